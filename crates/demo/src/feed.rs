//! What each signed-in page is told without asking: one bounded queue per open page.
//!
//! A page that does not read loses its feed, not the server its memory: it connects again and loads anew.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

/// Updates that may wait for one page. Larger: more memory for pages that do not read; smaller: more reloads.
const QUEUE: usize = 256;
/// Open pages of one person; the oldest gives way.
const PAGES_OF_ONE: usize = 16;
/// Open pages of everybody.
const PAGES: usize = 2_000;

/// One event of the feed.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    /// JSON.
    pub(crate) data: String,
}

#[derive(Default)]
pub(crate) struct Feed {
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    of: HashMap<String, Vec<mpsc::Sender<Update>>>,
    last_id: u64,
    closed: bool,
}

impl Feed {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new page of `person`. `None`: there are too many, or the server ends.
    pub(crate) fn open(&self, person: &str) -> Option<mpsc::Receiver<Update>> {
        let mut pages = self.pages();
        pages.of.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        if pages.closed || pages.of.values().map(Vec::len).sum::<usize>() >= PAGES {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let own = pages.of.entry(person.to_owned()).or_default();
        if own.len() >= PAGES_OF_ONE {
            own.remove(0);
        }
        own.push(sender);
        Some(receiver)
    }

    /// Who has a page open.
    pub(crate) fn listeners(&self) -> Vec<String> {
        self.pages().of.keys().cloned().collect()
    }

    /// Tells all pages of `person`. `what` is asked only if there is one; `None` is told to nobody.
    pub(crate) fn send<T: Serialize>(
        &self,
        person: &str,
        name: &'static str,
        what: impl FnOnce() -> Option<T>,
    ) {
        let mut pages = self.pages();
        if !pages.of.contains_key(person) {
            return;
        }
        let Some(what) = what() else { return };
        let data = match serde_json::to_string(&what) {
            Ok(data) => data,
            Err(error) => return tracing::error!(%error, name, "an update cannot be written as JSON"),
        };
        pages.last_id += 1;
        let update = Update { id: pages.last_id, name, data };
        if let Some(senders) = pages.of.get_mut(person) {
            senders.retain(|sender| match sender.try_send(update.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    metrics::counter!("sluice_demo_slow_pages_total").increment(1);
                    false
                }
            });
        }
    }

    /// Ends all feeds, and opens none any more.
    pub(crate) fn close(&self) {
        let mut pages = self.pages();
        pages.closed = true;
        pages.of.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_does_not_read_is_closed_and_the_others_go_on() {
        let feed = Feed::default();
        let (mut slow, mut quick) = (feed.open("asha").unwrap(), feed.open("asha").unwrap());
        for number in 0..=QUEUE {
            feed.send("asha", "message", || Some(number));
            assert_eq!(quick.try_recv().unwrap().data, number.to_string());
        }
        let mut read = 0;
        while slow.try_recv().is_ok() {
            read += 1;
        }
        assert_eq!(read, QUEUE);
        assert_eq!(slow.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
        feed.send("asha", "message", || Some("still here"));
        assert_eq!(quick.try_recv().unwrap().data, "\"still here\"");
    }

    #[test]
    fn the_oldest_page_of_a_person_gives_way() {
        let feed = Feed::default();
        let mut pages: Vec<_> = (0..=PAGES_OF_ONE).map(|_| feed.open("asha").unwrap()).collect();
        feed.send("asha", "person", || Some(1));
        assert_eq!(pages[0].try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
        assert!(pages[PAGES_OF_ONE].try_recv().is_ok());
    }

    #[test]
    fn nobody_hears_of_what_is_nothing_to_them() {
        let feed = Feed::default();
        let mut page = feed.open("asha").unwrap();
        feed.send("ravi", "message", || -> Option<u8> { panic!("nobody listens, so nobody asks") });
        feed.send("asha", "message", || None::<u8>);
        assert!(page.try_recv().is_err());
    }
}
