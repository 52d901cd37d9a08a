//! What a worker counted within one second: sent to the coordinator, and added up there.
use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;

/// One second of one worker, or of all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Seconds since the start; this one began then.
    pub(crate) index: u64,
    pub(crate) people: People,
    pub(crate) media: Media,
    pub(crate) times: Times,
    pub(crate) own: Own,
    /// What went wrong, in words.
    pub(crate) failures: Vec<String>,
}

/// At the end of the second.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct People {
    /// Seats whose first join succeeded or failed.
    pub(crate) attempted: u64,
    pub(crate) present: u64,
    /// Of these, with their transports connected.
    pub(crate) connected: u64,
    /// Tracks on their way to a receiver: of these, something came within the second.
    pub(crate) streams: u64,
    /// Videos that are wanted, and of which nothing has come for seconds.
    pub(crate) dark: u64,
    /// Within the second.
    pub(crate) joined: u64,
    pub(crate) left: u64,
    pub(crate) failed: u64,
}

/// Within the second.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Media {
    pub(crate) sent_packets: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_packets: u64,
    pub(crate) received_bytes: u64,
    /// Less than zero when what was missing came late.
    pub(crate) lost: i64,
    pub(crate) missing: i64,
    pub(crate) duplicates: u64,
    pub(crate) layer_switches: u64,
    pub(crate) freezes: u64,
    pub(crate) frozen_us: u64,
    /// Receivers' time with a video, so that freezes can be told as a share.
    pub(crate) video_streams: u64,
    /// Datagrams of the groups' impaired networks.
    pub(crate) up: Fates,
    pub(crate) down: Fates,
}

/// What an impaired network made of the datagrams of one direction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Fates {
    pub(crate) passed: u64,
    /// At random.
    pub(crate) lost: u64,
    /// By a full queue.
    pub(crate) dropped: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) audio_latency: Distribution,
    pub(crate) video_latency: Distribution,
    pub(crate) join: Distribution,
    pub(crate) connect: Distribution,
    pub(crate) first_media: Distribution,
    pub(crate) key_frame_wait: Distribution,
    pub(crate) layer_switch: Distribution,
    pub(crate) calls: CallTimes,
}

/// Of calls through the calls API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CallTimes {
    /// From the request to create it until the other's device rings.
    pub(crate) ring: Distribution,
    /// From accepting until the way into the room is there.
    pub(crate) accept: Distribution,
    /// From the request to cancel until the ringing device is told.
    pub(crate) cancel: Distribution,
}

/// How the worker itself fared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Own {
    /// How late its event loop woke up.
    pub(crate) lateness: Distribution,
    /// Cores busy.
    pub(crate) cores: f64,
    pub(crate) rss_mib: f64,
    /// Packets that the sockets did not take.
    pub(crate) unsent: u64,
    /// Seconds of media that it made, and that were due, of what has an even rate.
    pub(crate) made: f64,
    pub(crate) due: f64,
}

impl Second {
    /// Takes in the same second of another worker, or the next of all.
    pub(crate) fn add(&mut self, other: &Self) {
        self.people.add(&other.people);
        self.media.add(&other.media);
        self.times.add(&other.times);
        self.own.add(&other.own);
        self.failures.extend(other.failures.iter().cloned());
    }
}

impl People {
    fn add(&mut self, other: &Self) {
        self.attempted += other.attempted;
        self.present += other.present;
        self.connected += other.connected;
        self.streams += other.streams;
        self.dark += other.dark;
        self.joined += other.joined;
        self.left += other.left;
        self.failed += other.failed;
    }
}

impl Media {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent_packets += other.sent_packets;
        self.sent_bytes += other.sent_bytes;
        self.received_packets += other.received_packets;
        self.received_bytes += other.received_bytes;
        self.lost += other.lost;
        self.missing += other.missing;
        self.duplicates += other.duplicates;
        self.layer_switches += other.layer_switches;
        self.freezes += other.freezes;
        self.frozen_us += other.frozen_us;
        self.video_streams += other.video_streams;
        self.up.add(&other.up);
        self.down.add(&other.down);
    }
}

impl Fates {
    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.lost += other.lost;
        self.dropped += other.dropped;
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            // A datagram that found no room after all is no longer one that passed.
            passed: self.passed.saturating_sub(before.passed),
            lost: self.lost - before.lost,
            dropped: self.dropped - before.dropped,
        }
    }

    /// What did not pass.
    pub(crate) fn gone(&self) -> u64 {
        self.lost + self.dropped
    }
}

impl From<sluice_client::Fates> for Fates {
    fn from(fates: sluice_client::Fates) -> Self {
        let sluice_client::Fates { passed, lost, dropped } = fates;
        Self { passed, lost, dropped }
    }
}

impl Times {
    pub(crate) fn add(&mut self, other: &Self) {
        self.audio_latency.add(&other.audio_latency);
        self.video_latency.add(&other.video_latency);
        self.join.add(&other.join);
        self.connect.add(&other.connect);
        self.first_media.add(&other.first_media);
        self.key_frame_wait.add(&other.key_frame_wait);
        self.layer_switch.add(&other.layer_switch);
        self.calls.add(&other.calls);
    }

    /// Audio and video together.
    pub(crate) fn latency(&self) -> Distribution {
        let mut both = self.audio_latency.clone();
        both.add(&self.video_latency);
        both
    }
}

impl CallTimes {
    pub(crate) fn add(&mut self, other: &Self) {
        self.ring.add(&other.ring);
        self.accept.add(&other.accept);
        self.cancel.add(&other.cancel);
    }
}

impl Own {
    fn add(&mut self, other: &Self) {
        self.lateness.add(&other.lateness);
        self.cores += other.cores;
        self.rss_mib += other.rss_mib;
        self.unsent += other.unsent;
        self.made += other.made;
        self.due += other.due;
    }
}
