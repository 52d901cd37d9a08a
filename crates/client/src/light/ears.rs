//! Hears a connection's packets where they arrive, at a shared socket.
use std::time::{Duration, Instant};

use sluice_memory::Extent;
use tokio::sync::watch;

use super::{Heard, Light, SharedLight, is_rtcp, lock};
use crate::receive::{self, News};
use crate::socket::{Exit, Listener, Train, is_media};
use crate::stats::Stats;
use crate::{Noticed, Observer, Options};

/// How often those who wait for the counters are told of packets.
const TOLD: Duration = Duration::from_millis(250);

/// Things that a train touches, beside [`Light`]: two of all counters, two of the track's, and those of the streams.
const TOUCHED: usize = 2 + 2 + 5;

pub(crate) struct Ears {
    light: SharedLight,
    stats: watch::Sender<Stats>,
    observer: Option<Observer>,
    noticed: Option<Noticed>,
    /// Something was counted, and who waits for the counters was not told.
    untold: bool,
    /// When they are told again: to tell them of each train costs more than to count it.
    next_told: Instant,
    /// What the last train touched: the next one will, too.
    touched: [Extent; TOUCHED],
}

impl Ears {
    pub(crate) fn new(light: SharedLight, stats: watch::Sender<Stats>, options: &Options) -> Self {
        let (observer, noticed) = (options.observer.clone(), options.noticed.clone());
        let touched = [Extent::default(); TOUCHED];
        Self { light, stats, observer, noticed, untold: false, next_told: Instant::now(), touched }
    }
}

impl Listener for Ears {
    fn warm(&self) {
        Extent::of(&*self.light).fetch();
        self.touched.into_iter().for_each(Extent::fetch);
    }

    fn hear(&mut self, train: Train<'_>, exit: &dyn Exit, leave: &mut dyn FnMut(&[u8])) {
        let mut news = News::default();
        // The counters first, then the connection: as its task takes them.
        self.stats.send_if_modified(|stats| {
            let mut light = lock(&self.light);
            // If the keys are of no use the task will say so.
            let ready = light.ready().unwrap_or(false);
            let mut heard = false;
            for datagram in train.bytes.chunks_mut(train.stride) {
                // The task owns what is published, and with it what is said of that.
                if !ready || !is_media(datagram) || (is_rtcp(datagram) && light.publishes()) {
                    leave(datagram);
                    continue;
                }
                heard = true;
                if let Heard::Packet(track, packet) = light.receive(datagram, train.at) {
                    news |= receive::take(stats, self.observer.as_ref(), track, &packet);
                    self.untold = true;
                }
            }
            // Repair and padding are answered too, though nobody counts them.
            if heard {
                light.tick(train.at);
                flush(&mut light, exit);
            }
            let (of_light, place) = light.touched();
            let counters = place.and_then(|place| stats.received.get_index(place));
            let of_counters = counters.map(|(_, counters)| counters.touched()).unwrap_or_default();
            let (first, rest) = self.touched.split_at_mut(2);
            // The lock of the counters is right before them.
            first.copy_from_slice(&[Extent::of(stats).first(8), Extent::of(&stats.received)]);
            let (first, rest) = rest.split_at_mut(of_counters.len());
            first.copy_from_slice(&of_counters);
            rest.copy_from_slice(&of_light);
            let tell = news.track || (self.untold && train.at >= self.next_told);
            if tell {
                (self.untold, self.next_told) = (false, train.at + TOLD);
            }
            tell
        });
        if let (true, Some(noticed)) = (news.first, &self.noticed) {
            noticed();
        }
    }

    fn look(&mut self, now: Instant, exit: &dyn Exit) -> Option<Instant> {
        let mut light = lock(&self.light);
        if light.due().is_some_and(|due| due <= now) {
            // Packets of the task that wait for the end of its turn leave too.
            light.tick(now);
            flush(&mut light, exit);
        }
        let due = light.due();
        drop(light);
        if std::mem::take(&mut self.untold) {
            self.stats.send_if_modified(|_| true);
        }
        due
    }

    fn unsent(&mut self, datagrams: u64) {
        self.stats.send_if_modified(|stats| {
            stats.unsent_datagrams += datagrams;
            false
        });
    }
}

/// The exit takes everything, so that nothing is to be counted here: see [`Listener::unsent`].
fn flush(light: &mut Light, exit: &dyn Exit) {
    let _none = light.flush(exit);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use sluice_livekit_proto as proto;

    use super::*;
    use crate::Opened;

    struct NoExit;

    impl Exit for NoExit {
        fn send(&self, _: SocketAddr, _: &[u8], _: Option<usize>) -> bool {
            panic!("nothing is due")
        }

        fn longest_train(&self) -> usize {
            1
        }
    }

    #[test]
    fn what_was_counted_is_told_once_when_nothing_comes_any_more() {
        let now = Instant::now();
        let ((), ear) = sluice_dtls::listening(|| ());
        let light = Arc::new(Mutex::new(Light::new(Opened::Sample, ear, now)));
        let (stats, mut waits) = watch::channel(Stats::joined(now, &proto::JoinResponse::default()));
        let mut ears = Ears::new(light, stats, &Options::default());
        ears.look(now, &NoExit);
        assert!(!waits.has_changed().unwrap(), "nothing was counted");
        ears.untold = true;
        ears.look(now, &NoExit);
        assert!(waits.has_changed().unwrap());
        waits.mark_unchanged();
        ears.look(now, &NoExit);
        assert!(!waits.has_changed().unwrap());
        // The number is there for who looks; nobody is awoken for it.
        ears.unsent(3);
        assert!(!waits.has_changed().unwrap());
        assert_eq!(waits.borrow().unsent_datagrams, 3);
    }
}
