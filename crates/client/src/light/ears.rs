//! Hears a connection's packets where they arrive, at a shared socket.
use std::time::Instant;

use tokio::sync::watch;

use super::{Heard, SharedLight, is_rtcp, lock};
use crate::socket::{Exit, Listener, Train, is_media};
use crate::stats::Stats;
use crate::{Noticed, Observer, receive};

pub(crate) struct Ears {
    pub(crate) light: SharedLight,
    pub(crate) stats: watch::Sender<Stats>,
    pub(crate) observer: Option<Observer>,
    pub(crate) noticed: Option<Noticed>,
}

impl Listener for Ears {
    fn hear(&mut self, train: Train<'_>, exit: &dyn Exit, leave: &mut dyn FnMut(&[u8])) {
        let mut first = false;
        // The counters first, then the connection: as its task takes them.
        self.stats.send_if_modified(|stats| {
            let mut light = lock(&self.light);
            // If the keys are of no use the task will say so.
            let ready = light.ready().unwrap_or(false);
            let (mut heard, mut counted) = (false, false);
            for datagram in train.bytes.chunks_mut(train.stride) {
                // The task owns what is published, and with it what is said of that.
                if !ready || !is_media(datagram) || (is_rtcp(datagram) && light.publishes()) {
                    leave(datagram);
                    continue;
                }
                heard = true;
                if let Heard::Packet(track, packet) = light.receive(datagram, train.at) {
                    first |= receive::take(stats, self.observer.as_ref(), track, &packet);
                    counted = true;
                }
            }
            // Repair and padding are answered too, though nobody counts them.
            if heard {
                light.tick(train.at);
                stats.unsent_datagrams += light.flush(exit);
            }
            counted
        });
        if let (true, Some(noticed)) = (first, &self.noticed) {
            noticed();
        }
    }

    fn look(&mut self, now: Instant, exit: &dyn Exit) {
        if lock(&self.light).due().is_none_or(|due| due > now) {
            return;
        }
        self.stats.send_if_modified(|stats| {
            let mut light = lock(&self.light);
            // Packets of the task that wait for the end of its turn leave too.
            light.tick(now);
            stats.unsent_datagrams += light.flush(exit);
            false
        });
    }
}
