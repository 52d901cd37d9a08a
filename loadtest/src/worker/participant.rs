//! A participant who is there: what it asks of the server, and what its client counted.
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rustc_hash::FxHashMap;
use sluice_client::{Client, Stats};
use sluice_livekit_proto as proto;

use super::receiver::Receiver;
use super::second::{Media, Own, Times};
use crate::scenario::{Group, Media as Kinds};

/// Packets of audio in a second, without DTX.
const AUDIO_RATE: f64 = 50.0;
/// A track counts as a stream if something came within this time.
const ALIVE: Duration = Duration::from_secs(1);

/// A video that is wanted for so long, and of which nothing came for so long, is dark.
const DARK: Duration = Duration::from_secs(5);

/// Something to ask of the server.
#[derive(Debug)]
pub(crate) enum Wish {
    Subscribe(String),
    Size(String, u32, u32),
    Mute(String, bool),
}

/// What it sends, as the server names it.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    pub(crate) audio: Option<String>,
    /// With the bits per second of a single layer, which are even; simulcast layers may be paused.
    pub(crate) video: Option<(String, Option<u32>)>,
}

pub(crate) struct Participant {
    pub(crate) id: usize,
    pub(crate) client: Client,
    pub(crate) receiver: Arc<Receiver>,
    group: Group,
    sends: Sends,
    tracks: FxHashMap<String, Known>,
    seen: Option<Progress>,
    first_track: Option<Instant>,
    connected: bool,
    media_came: bool,
    turns: Turns,
    counted: Counted,
}

/// A track of somebody else.
struct Known {
    since: Instant,
    is_video: bool,
    /// Of its layers, lowest first.
    heights: Vec<u16>,
    due_told: bool,
}

/// As long as this does not change, there is nothing new to look at.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Progress {
    announced: usize,
    negotiations: u64,
    connected: bool,
    media: bool,
}

/// What changes by the clock.
struct Turns {
    size: usize,
    next_size: Instant,
    muted: bool,
    next_mute: Option<Instant>,
    /// Muted or unmuted since the last count: its packets are no even rate.
    uneven: bool,
}

/// Totals at the last count.
#[derive(Default)]
struct Counted {
    at: Option<Instant>,
    media: Media,
    audio_packets: u64,
    audio_skipped: Duration,
    video_bytes: u64,
    unsent: u64,
}

impl Participant {
    pub(crate) fn new(
        id: usize,
        client: Client,
        receiver: Arc<Receiver>,
        group: Group,
        sends: Sends,
    ) -> Self {
        let now = Instant::now();
        // Somewhere within the first turn: they must not all change at once.
        let some_of = |time: Duration| now + time.mul_f32(rand::rng().random());
        let talk = group.audio.as_ref().and_then(|audio| audio.talk);
        let turns = Turns {
            size: rand::rng().random_range(0..group.sizes.len().max(1)),
            next_size: some_of(group.size_every),
            muted: false,
            next_mute: talk.map(some_of),
            uneven: false,
        };
        Self {
            id,
            client,
            receiver,
            group,
            sends,
            tracks: FxHashMap::default(),
            seen: None,
            first_track: None,
            connected: false,
            media_came: false,
            turns,
            counted: Counted::default(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether it does something by the clock, and must be looked at though nothing is new.
    pub(crate) fn takes_turns(&self) -> bool {
        self.group.sizes.len() > 1 || self.turns.next_mute.is_some()
    }

    /// Why it is no longer there, if it is not.
    pub(crate) fn ended(&self) -> Option<String> {
        let why = self.client.with_stats(|stats| stats.ended.clone())?;
        Some(format!("{} ended by itself: {why:?}", self.client.identity()))
    }

    /// Looks at what is new, and at the clock.
    pub(crate) fn poll(&mut self, now: Instant, times: &mut Times) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let progress = self.client.with_stats(|stats| Progress {
            announced: stats.announced.len(),
            negotiations: stats.negotiations,
            connected: stats.connected_after.is_some(),
            media: stats.first_media_after.is_some(),
        });
        if self.seen.replace(progress) != Some(progress) {
            // Few clients are here at a time, so a copy of what they count is not made: it is large.
            let Self { client, group, receiver, tracks, first_track, .. } = self;
            client.with_stats(|stats| {
                notice(stats, group, tracks, now, &mut wishes, size_at(group, self.turns.size));
                tracks.retain(|sid, _| {
                    let there = stats.announced.contains_key(sid);
                    if !there {
                        receiver.forget(sid);
                    }
                    there
                });
                if !tracks.is_empty() {
                    first_track.get_or_insert(now);
                }
            });
            self.tell_times(times);
        }
        self.take_turns(now, &mut wishes);
        wishes
    }

    fn tell_times(&mut self, times: &mut Times) {
        let (began, connected_after, media_after) =
            self.client.with_stats(|stats| (stats.began, stats.connected_after, stats.first_media_after));
        if let Some(after) = connected_after {
            if !std::mem::replace(&mut self.connected, true) {
                times.connect.record(after);
            }
            for (sid, track) in self.tracks.iter_mut().filter(|(_, track)| track.is_video && !track.due_told)
            {
                track.due_told = true;
                self.receiver.due(sid, track.since.max(began + after));
            }
        }
        if let (Some(after), Some(first_track), false) = (media_after, self.first_track, self.media_came) {
            self.media_came = true;
            // Those who found tracks waited from their join on; the first in a room had nothing to wait for.
            let joined = began + self.client.with_stats(|stats| stats.joined_after);
            let found = first_track.saturating_duration_since(joined) < Duration::from_millis(50);
            let since = if found { began } else { first_track };
            times.first_media.record((began + after).saturating_duration_since(since));
        }
    }

    fn take_turns(&mut self, now: Instant, wishes: &mut Vec<Wish>) {
        let turns = &mut self.turns;
        if self.group.sizes.len() > 1 && now >= turns.next_size {
            turns.next_size = now + self.group.size_every;
            turns.size += 1;
            for (sid, track) in self.tracks.iter().filter(|(_, track)| track.is_video) {
                let Some((width, height)) = size_at(&self.group, turns.size) else { continue };
                if let Some(lines) = layer_for(&track.heights, height) {
                    self.receiver.asked(sid, now, lines);
                }
                wishes.push(Wish::Size(sid.clone(), width, height));
            }
        }
        if let (Some(audio), Some(sid)) = (&self.group.audio, &self.sends.audio)
            && turns.next_mute.is_some_and(|at| now >= at)
        {
            turns.muted = !turns.muted;
            turns.uneven = true;
            let hold = if turns.muted { audio.pause } else { audio.talk.unwrap_or(audio.pause) };
            turns.next_mute = Some(now + hold);
            wishes.push(Wish::Mute(sid.clone(), turns.muted));
        }
    }

    /// What was counted since the last time.
    pub(crate) fn count(&mut self, now: Instant, media: &mut Media, own: &mut Own) -> u64 {
        let (totals, streams, video_streams, audio_packets, video_bytes) =
            self.client.with_stats(|stats| self.totals(stats, now));
        let skipped = self.client.with_stats(|stats| self.skipped(stats));
        let was = std::mem::replace(&mut self.counted.media, totals);
        media.add(&Media {
            sent_packets: totals.sent_packets - was.sent_packets,
            sent_bytes: totals.sent_bytes - was.sent_bytes,
            received_packets: totals.received_packets - was.received_packets,
            received_bytes: totals.received_bytes - was.received_bytes,
            lost: totals.lost - was.lost,
            missing: totals.missing - was.missing,
            duplicates: totals.duplicates - was.duplicates,
            layer_switches: totals.layer_switches - was.layer_switches,
            freezes: totals.freezes - was.freezes,
            frozen_us: totals.frozen_us - was.frozen_us,
            video_streams,
            up: totals.up.since(&was.up),
            down: totals.down.since(&was.down),
        });
        let unsent = self.client.with_stats(|stats| {
            let datagrams = stats.unsent_datagrams + stats.dropped_datagrams;
            datagrams + stats.published.values().map(|track| track.unsent).sum::<u64>()
        });
        own.unsent += unsent - std::mem::replace(&mut self.counted.unsent, unsent);
        let elapsed = self.counted.at.replace(now).map(|at| now.duration_since(at).as_secs_f64());
        let audio = audio_packets - std::mem::replace(&mut self.counted.audio_packets, audio_packets);
        let skipped = skipped.saturating_sub(std::mem::replace(&mut self.counted.audio_skipped, skipped));
        let video = video_bytes - std::mem::replace(&mut self.counted.video_bytes, video_bytes);
        let uneven = std::mem::replace(&mut self.turns.uneven, false) || self.turns.muted;
        if let Some(elapsed) = elapsed {
            if self.sends.audio.is_some() && !uneven {
                // How many packets DTX makes is not known, but how much its maker left out is.
                let dtx = self.group.audio.as_ref().is_some_and(|audio| audio.dtx);
                own.made += if dtx { elapsed - skipped.as_secs_f64() } else { audio as f64 / AUDIO_RATE };
                own.due += elapsed;
            }
            if let Some((_, Some(bitrate))) = self.sends.video {
                own.made += video as f64 * 8.0 / f64::from(bitrate);
                own.due += elapsed;
            }
        }
        streams
    }

    /// Counts pictures that stand still at the end and never came back.
    pub(crate) fn finish(&self, now: Instant, media: &mut Media) {
        self.client.with_stats(|stats| {
            let there = stats.received.iter().filter(|(sid, _)| self.tracks.contains_key(*sid));
            for frozen in there.filter_map(|(_, track)| track.stands_still(now)) {
                media.freezes += 1;
                media.frozen_us += micros(frozen);
            }
        });
    }

    /// Videos that this participant waits for in vain.
    pub(crate) fn dark(&self, now: Instant) -> u64 {
        let long_ago = |at: Instant| now.saturating_duration_since(at) >= DARK;
        self.client.with_stats(|stats| {
            let dark = self.tracks.iter().filter(|(sid, track)| {
                let muted = stats.announced.get(*sid).is_none_or(|info| info.muted);
                let came = stats.received.get(*sid).is_some_and(|track| !long_ago(track.last_packet));
                track.is_video && long_ago(track.since) && !muted && !came
            });
            dark.count() as u64
        })
    }

    fn skipped(&self, stats: &Stats) -> Duration {
        let published = self.sends.audio.as_ref().and_then(|sid| stats.published.get(sid));
        published.map_or(Duration::ZERO, |track| track.skipped)
    }

    fn totals(&self, stats: &Stats, now: Instant) -> (Media, u64, u64, u64, u64) {
        let (up, down) = (stats.impaired.up.into(), stats.impaired.down.into());
        let mut totals = Media { up, down, ..Media::default() };
        let (mut streams, mut video_streams) = (0, 0);
        for (sid, track) in &stats.received {
            totals.received_packets += track.packets;
            totals.received_bytes += track.bytes;
            totals.lost += signed(track.lost());
            totals.missing += signed(track.missing());
            totals.duplicates += track.duplicates();
            totals.layer_switches += track.switches;
            totals.freezes += track.freezes;
            totals.frozen_us += micros(track.frozen);
            streams += u64::from(now.saturating_duration_since(track.last_packet) < ALIVE);
            // A picture that stands still is watched, too.
            video_streams += u64::from(track.height > 0 && self.tracks.contains_key(sid));
        }
        for track in stats.published.values() {
            totals.sent_packets += track.packets;
            totals.sent_bytes += track.bytes;
        }
        let published = |sid: &str| stats.published.get(sid);
        let audio = self.sends.audio.as_deref().and_then(published).map_or(0, |track| track.packets);
        let video =
            self.sends.video.as_ref().and_then(|(sid, _)| published(sid)).map_or(0, |track| track.bytes);
        (totals, streams, video_streams, audio, video)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn size_at(group: &Group, turn: usize) -> Option<(u32, u32)> {
    let size = group.sizes.get(turn % group.sizes.len().max(1))?;
    Some((size.width.into(), size.height.into()))
}

/// The lowest layer that covers so many lines, else the highest.
fn layer_for(heights: &[u16], lines: u32) -> Option<u16> {
    heights.iter().copied().find(|height| u32::from(*height) >= lines).or_else(|| heights.last().copied())
}

/// Takes note of tracks that are new, and wishes for what the group wants of them.
fn notice(
    stats: &Stats,
    group: &Group,
    tracks: &mut FxHashMap<String, Known>,
    now: Instant,
    wishes: &mut Vec<Wish>,
    size: Option<(u32, u32)>,
) {
    for (sid, info) in &stats.announced {
        let is_video = info.r#type() == proto::TrackType::Video;
        let wanted = match group.receive {
            Kinds::All => true,
            Kinds::Audio => !is_video,
            Kinds::Video => is_video,
            Kinds::Nothing => false,
        };
        if !wanted || tracks.contains_key(sid) {
            continue;
        }
        if group.receive != Kinds::All {
            wishes.push(Wish::Subscribe(sid.clone()));
        }
        if let (true, Some((width, height))) = (is_video, size) {
            wishes.push(Wish::Size(sid.clone(), width, height));
        }
        let mut heights: Vec<u16> =
            info.layers.iter().filter_map(|layer| u16::try_from(layer.height).ok()).collect();
        heights.sort_unstable();
        tracks.insert(sid.clone(), Known { since: now, is_video, heights, due_told: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_due_is_the_lowest_that_covers_the_size() {
        let heights = [180, 360, 720];
        assert_eq!(layer_for(&heights, 180), Some(180));
        assert_eq!(layer_for(&heights, 181), Some(360));
        assert_eq!(layer_for(&heights, 1080), Some(720));
        assert_eq!(layer_for(&[], 180), None);
    }
}
