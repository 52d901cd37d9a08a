//! Data messages on their way from one session to the others of its room.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::data::{Fields, scan};
use crate::demux::SessionKey;
use crate::id::ParticipantId;
use crate::model::CloseReason;
use crate::room::RoomKey;
use crate::shard::Shard;
use crate::transport::Channel;

impl Shard {
    /// A message from a peer.
    pub(crate) fn on_message(
        &mut self,
        now: Instant,
        from: SessionKey,
        channel: Channel,
        binary: bool,
        data: Vec<u8>,
    ) {
        let session = &mut self.sessions[from];
        let policy = &session.settings.data;
        let Some(label) = session.data.label(channel).map(str::to_owned) else { return };
        if !session.data.admit(now, data.len(), policy, &self.config.limits) {
            self.counters.messages_refused += 1;
            return;
        }
        if !policy.labels.contains(&label) {
            return self.spread(now, from, (&label, binary, &Bytes::from(data)), &[]);
        }
        let fields = Fields {
            destinations: policy.destinations_field,
            destinations_path: &policy.destinations_path,
            sequence: policy.sequence_field,
        };
        let Ok(scanned) = scan(&data, &fields) else {
            session.data.stats.refused += 1;
            self.counters.messages_refused += 1;
            return;
        };
        if let Some(number) = scanned.sequence.filter(|n| *n > 0)
            && !session.data.is_new(number)
        {
            self.counters.messages_refused += 1;
            return;
        }
        let destinations: Vec<String> = scanned.destinations.iter().map(|d| (*d).to_owned()).collect();
        let mut payload = BytesMut::with_capacity(data.len() + policy.append.len());
        payload.put_slice(&data);
        payload.put_slice(&policy.append);
        self.spread(now, from, (&label, binary, &payload.freeze()), &destinations);
    }

    /// Gives a message of a session to everybody else in its room, on this shard and on the others.
    fn spread(
        &mut self,
        now: Instant,
        from: SessionKey,
        message: (&str, bool, &Bytes),
        destinations: &[String],
    ) {
        self.relay(from, message, destinations);
        let (room, sender) = (self.sessions[from].room, self.sessions[from].participant.clone());
        self.deliver(now, room, Some(&sender), message, destinations);
    }

    /// Gives a message to every session of the room on this shard that receives and is meant; returns how many.
    pub(crate) fn deliver(
        &mut self,
        now: Instant,
        room: RoomKey,
        sender: Option<&ParticipantId>,
        message: (&str, bool, &Bytes),
        destinations: &[String],
    ) -> usize {
        let receivers: Vec<_> = self.rooms[room]
            .sessions
            .values()
            .copied()
            .filter(|key| {
                let session = &self.sessions[*key];
                let policy = &session.settings.data;
                policy.receives
                    && sender != Some(&session.participant)
                    && (destinations.is_empty() || destinations.contains(&policy.address))
            })
            .collect();
        let mut overflowed = Vec::new();
        for key in &receivers {
            let session = &mut self.sessions[*key];
            let dropped = session.data.stats.dropped;
            let sent = session.data.send(
                now,
                &mut session.transport,
                message,
                &session.settings.data,
                &self.config.limits,
            );
            self.counters.messages_out += 1;
            self.counters.messages_dropped += session.data.stats.dropped - dropped;
            if sent.is_err() {
                overflowed.push(*key);
            }
            self.touch(*key);
        }
        for key in overflowed {
            self.close_session(key, CloseReason::DataOverflow);
        }
        receivers.len()
    }
}
