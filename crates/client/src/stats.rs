//! What a client counts.
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indexmap::IndexMap;
use sluice_livekit_proto as proto;
use sluice_memory::Extent;

use crate::freeze::FreezeMeter;
use crate::gaps::Gaps;
use crate::impair::Impaired;

/// Data messages kept for tests; older ones are dropped and counted.
pub(crate) const KEPT_DATA: usize = 1_024;
/// Latencies above this are taken as this.
const LONGEST_US: u64 = 60_000_000;

/// Counters of a client since it joined.
#[derive(Debug, Clone)]
pub struct Stats {
    /// When [`Client::connect`](crate::Client::connect) began.
    pub began: Instant,
    /// From then until the server let us in.
    pub joined_after: Duration,
    /// From then until every PeerConnection of the path was connected for the first time.
    pub connected_after: Option<Duration>,
    /// From then until the first media packet.
    pub first_media_after: Option<Duration>,
    /// The others in the room: id to identity.
    pub participants: BTreeMap<String, String>,
    /// Their tracks: id to what is known of it.
    pub announced: BTreeMap<String, proto::TrackInfo>,
    /// Received media by track id, in the order in which tracks came. None is ever taken out.
    pub received: IndexMap<String, ReceivedStats>,
    /// Sent media by track id.
    pub published: BTreeMap<String, PublishedStats>,
    /// The newest data messages.
    pub data: VecDeque<DataSeen>,
    /// Data messages received in all.
    pub data_received: u64,
    /// Packets received that belong to no known track.
    pub stray_packets: u64,
    /// Datagrams that the socket did not take.
    pub unsent_datagrams: u64,
    /// Datagrams that came to a shared socket faster than the client took them.
    pub dropped_datagrams: u64,
    /// Datagrams of the impaired network, see [`Options::impairment`](crate::Options::impairment).
    pub impaired: Impaired,
    /// The newest level per speaking participant.
    pub speakers: BTreeMap<String, f32>,
    /// Offers and answers that went through.
    pub negotiations: u64,
    /// Why the client is no longer there.
    pub ended: Option<Ended>,
}

impl Stats {
    pub(crate) fn joined(began: Instant, join: &proto::JoinResponse) -> Self {
        let mut stats = Self {
            began,
            joined_after: began.elapsed(),
            connected_after: None,
            first_media_after: None,
            participants: BTreeMap::new(),
            announced: BTreeMap::new(),
            received: IndexMap::new(),
            published: BTreeMap::new(),
            data: VecDeque::new(),
            data_received: 0,
            stray_packets: 0,
            unsent_datagrams: 0,
            dropped_datagrams: 0,
            impaired: Impaired::default(),
            speakers: BTreeMap::new(),
            negotiations: 0,
            ended: None,
        };
        let me = join.participant.as_ref().map(|me| me.sid.as_str()).unwrap_or_default();
        stats.update(&join.other_participants, me);
        stats
    }

    /// How far things came, in a line.
    #[must_use]
    pub fn brief(&self) -> String {
        let received = |(sid, track): (&String, &ReceivedStats)| {
            let (packets, height) = (track.packets, track.height);
            format!("{sid}: {packets} packets, {} lost, {height} lines", track.lost())
        };
        let received: Vec<String> = self.received.iter().map(received).collect();
        let published: Vec<String> =
            self.published.iter().map(|(sid, track)| format!("{sid}: {} packets", track.packets)).collect();
        let (others, announced) = (self.participants.len(), self.announced.len());
        format!(
            "connected after {:?}, {} negotiations, {others} others with {announced} tracks, received [{}], published [{}], \
             {} stray packets, {} datagrams unsent, {} data messages, ended {:?}",
            self.connected_after,
            self.negotiations,
            received.join("; "),
            published.join("; "),
            self.stray_packets,
            self.unsent_datagrams,
            self.data_received,
            self.ended
        )
    }

    /// Takes in what the server says of participants.
    pub(crate) fn update(&mut self, participants: &[proto::ParticipantInfo], me: &str) {
        for info in participants.iter().filter(|info| info.sid != me) {
            if info.state() == proto::participant_info::State::Disconnected {
                self.participants.remove(&info.sid);
                for track in &info.tracks {
                    self.announced.remove(&track.sid);
                }
                continue;
            }
            self.participants.insert(info.sid.clone(), info.identity.clone());
            for track in &info.tracks {
                self.announced.insert(track.sid.clone(), track.clone());
            }
        }
    }

    pub(crate) fn saw_data(&mut self, seen: DataSeen) {
        self.data_received += 1;
        if self.data.len() == KEPT_DATA {
            self.data.pop_front();
        }
        self.data.push_back(seen);
    }
}

/// What arrived of one track.
// In the order of fields: what each packet touches comes first, and is fetched ahead as a whole.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct ReceivedStats {
    /// Packets, those that came twice included.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Longest time without a packet.
    pub longest_pause: Duration,
    /// When the newest packet came.
    pub last_packet: Instant,
    /// Timestamp of the newest frame whose last packet came.
    pub(crate) newest_frame: Option<u32>,
    /// Height of the layer that the newest key frame belongs to, in a sample the newest frame that was looked into; 0 for audio
    /// and before the first key frame.
    pub height: u16,
    pub(crate) counter_layer: u16,
    /// Once it was announced.
    pub(crate) is_video: Option<bool>,
    pub(crate) picture: FreezeMeter,
    pub(crate) by_sequence: Gaps,
    /// First packets of key frames (VP8), of those that were looked into.
    pub key_frames: u64,
    /// From the client's start until the first packet.
    pub first_packet_after: Duration,
    /// How often the layer changed. A sample misses a change that is undone within some frames.
    pub switches: u64,
    /// How often a video's picture stood still, as `freezeCount` of WebRTC's statistics has it.
    pub freezes: u64,
    /// For how long in all.
    pub frozen: Duration,
    /// From sending to receiving, microseconds. `None` if there is an [`Observer`](crate::Observer), which is told of each packet.
    pub latency_us: Option<Histogram<u64>>,
    pub(crate) by_counter: Gaps,
    pub(crate) missing_before: u64,
}

impl ReceivedStats {
    #[allow(clippy::expect_used, reason = "the bounds are constants: 1 <= 60,000,000 / 2 and 2 <= 5 digits")]
    pub(crate) fn new(first_packet_after: Duration, now: Instant, keeps_latencies: bool) -> Self {
        let histogram = || {
            let mut histogram =
                Histogram::new_with_bounds(1, LONGEST_US, 2).expect("constant bounds are valid");
            histogram.auto(false);
            histogram
        };
        Self {
            packets: 0,
            bytes: 0,
            key_frames: 0,
            first_packet_after,
            last_packet: now,
            longest_pause: Duration::ZERO,
            height: 0,
            switches: 0,
            freezes: 0,
            frozen: Duration::ZERO,
            picture: FreezeMeter::default(),
            newest_frame: None,
            latency_us: keeps_latencies.then(histogram),
            is_video: None,
            by_sequence: Gaps::default(),
            by_counter: Gaps::default(),
            missing_before: 0,
            counter_layer: 0,
        }
    }

    /// What the packet after this one will touch.
    pub(crate) fn touched(&self) -> [Extent; 2] {
        let each = std::mem::offset_of!(Self, by_sequence) + Gaps::TOUCHED;
        [Extent::of(self).first(each), self.by_sequence.next()]
    }

    /// Packets that never came: gaps in the sequence numbers that we were sent.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.by_sequence.missing()
    }

    /// Packets that the sender sent and that never came, whatever the sequence numbers say: gaps in its own count while
    /// one layer was received.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing_before + self.by_counter.missing()
    }

    /// How long a video's picture stands still by now, if that is a freeze. It is none of [`Self::freezes`] until it ends.
    #[must_use]
    pub fn stands_still(&self, now: Instant) -> Option<Duration> {
        self.picture.frozen(now)
    }

    /// Packets that came more than once.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.by_sequence.duplicates()
    }
}

/// What was sent of one track.
#[derive(Debug, Clone, Default)]
pub struct PublishedStats {
    /// Packets, all layers together.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Key frames sent.
    pub key_frames: u64,
    /// Key frames asked for by the server.
    pub key_frame_requests: u64,
    /// Packets that could not be handed to the connection.
    pub unsent: u64,
    /// Media that was due and is left out, as the client was held up for too long to make up for it.
    pub skipped: Duration,
}

/// A data message as received.
#[derive(Debug, Clone)]
pub struct DataSeen {
    /// Identity of the sender, as the server states it.
    pub from: String,
    /// Whether it came on the reliable channel.
    pub reliable: bool,
    /// What was sent.
    pub payload: Vec<u8>,
}

/// Why a client is no longer there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// [`Client::leave`](crate::Client::leave), or the client was dropped.
    Left,
    /// [`Options::lifetime`](crate::Options::lifetime) passed.
    Lifetime,
    /// The server said so: its reason and whether we should come back.
    ByServer {
        /// `DisconnectReason` by number.
        reason: i32,
        /// `LeaveRequest.Action` by number.
        action: i32,
    },
    /// The WebSocket closed or failed.
    Signal(String),
    /// A PeerConnection failed.
    Media(String),
}
