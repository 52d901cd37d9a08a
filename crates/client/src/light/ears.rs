//! Hears a connection's packets where they arrive, at a shared socket.
use tokio::sync::watch;

use super::{Heard, SharedLight, is_rtp, lock};
use crate::socket::{Exit, Listener, Train};
use crate::stats::Stats;
use crate::{Noticed, Observer, receive};

pub(crate) struct Ears {
    pub(crate) light: SharedLight,
    pub(crate) stats: watch::Sender<Stats>,
    pub(crate) observer: Option<Observer>,
    pub(crate) noticed: Option<Noticed>,
}

impl Listener for Ears {
    fn hear(&mut self, train: Train<'_>, exit: &dyn Exit, leave: &mut dyn FnMut(&[u8])) -> bool {
        let (mut first, mut begins) = (false, false);
        // The counters first, then the connection: as its task takes them.
        self.stats.send_if_modified(|stats| {
            let mut light = lock(&self.light);
            // If the keys are of no use the task will say so.
            let ready = light.ready().unwrap_or(false);
            let (mut packets, mut counted) = (false, false);
            for datagram in train.bytes.chunks_mut(train.stride) {
                if !ready || !is_rtp(datagram) {
                    leave(datagram);
                    continue;
                }
                packets = true;
                if let Heard::Packet(track, packet) = light.receive(datagram, train.at) {
                    first |= receive::take(stats, self.observer.as_ref(), track, &packet);
                    counted = true;
                }
            }
            // Repair and padding are answered too, though nobody counts them.
            if packets {
                begins = light.begins_to_flow();
                light.tick(train.at);
                stats.unsent_datagrams += light.flush(exit);
            }
            counted
        });
        if let (true, Some(noticed)) = (first, &self.noticed) {
            noticed();
        }
        begins
    }
}
