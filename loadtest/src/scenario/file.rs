//! The format of a scenario. `docs/loadtest.md` explains it field by field.
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use sluice_client::{AudioShape, Dtx, LayerShape, VideoShape};

use super::calls::Calls;
use super::network::Network;
use super::units::{Rate, Size};

/// Opus packets of 20 ms are below this many bytes at every bitrate (RFC 6716 section 3.4: 1,275 bytes a frame).
const LARGEST_AUDIO: usize = 1_200;
/// Of a talk spurt, and of the silence after it.
const SHORTEST_SPURT: Duration = Duration::from_millis(100);
const LONGEST_SPURT: Duration = Duration::from_secs(600);
/// A frame rate above this makes no camera's load.
const FASTEST: u32 = 240;

/// A load: rooms, and the groups of participants that come into each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// A line for people.
    #[serde(default)]
    pub(crate) about: String,
    /// Rooms; each gets all groups.
    #[serde(default = "one")]
    pub(crate) rooms: usize,
    /// In each room; the one group without a `count` takes what the others leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) participants: Option<usize>,
    /// Measured, once everybody has joined.
    #[serde(with = "humantime_serde")]
    pub(crate) duration: Duration,
    /// From the first join to the last.
    #[serde(with = "humantime_serde", default = "five_seconds")]
    pub(crate) ramp: Duration,
    /// Between the last join and the measurement.
    #[serde(with = "humantime_serde", default = "two_seconds")]
    pub(crate) settle: Duration,
    /// People call each other through the calls API instead of coming into rooms by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) calls: Option<Calls>,
    /// Who comes.
    pub(crate) groups: Vec<Group>,
    /// What decides the exit code.
    #[serde(default)]
    pub(crate) thresholds: Thresholds,
}

/// Participants that do the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Names its participants, and the group in `--set NAME.field=value`.
    pub(crate) name: String,
    /// In each room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<usize>,
    /// Audio that each sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audio: Option<Audio>,
    /// Video that each sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) video: Option<Video>,
    /// What lies between it and the server; media and data pass through it, signalling does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<Network>,
    /// What of the others it subscribes to.
    #[serde(default)]
    pub(crate) receive: Media,
    /// Sizes that it asks for, one after the other; none: the server's own choice.
    #[serde(default)]
    pub(crate) sizes: Vec<Size>,
    /// How long one size holds, if there are several.
    #[serde(with = "humantime_serde", default = "two_seconds")]
    pub(crate) size_every: Duration,
    /// The group's first join is so long after the start.
    #[serde(with = "humantime_serde", default)]
    pub(crate) join_after: Duration,
    /// Joins per second of the whole group; without it they are spread over the ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join_rate: Option<f64>,
    /// Each leaves after about so long (half to one and a half of it), and comes again.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) stay: Option<Duration>,
    /// How long it stays away then.
    #[serde(with = "humantime_serde", default = "one_second")]
    pub(crate) away: Duration,
}

/// Opus-shaped packets of 20 ms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audio {
    /// As RFC 6464 has it: 0 is loudest, 127 silent.
    #[serde(default = "speech")]
    pub(crate) level: u8,
    /// Payload bytes, from and to.
    #[serde(default = "speech_bytes")]
    pub(crate) bytes: [usize; 2],
    /// Speaks for so long, then is muted for `pause`; without it, never muted.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) talk: Option<Duration>,
    /// How long it is muted between two talks.
    #[serde(with = "humantime_serde", default = "five_seconds")]
    pub(crate) pause: Duration,
    /// Talks in spurts, and between them sends what Opus DTX does: one small packet each 400 ms.
    #[serde(default)]
    pub(crate) dtx: bool,
    /// Length of a talk spurt, on average.
    #[serde(with = "humantime_serde", default = "usual_spurt")]
    pub(crate) spurt: Duration,
    /// Between two spurts, on average.
    #[serde(with = "humantime_serde", default = "usual_silence")]
    pub(crate) silence: Duration,
}

/// VP8-shaped frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Video {
    /// All layers together.
    pub(crate) bitrate: Rate,
    /// Frames per second.
    #[serde(default = "thirty")]
    pub(crate) frame_rate: u32,
    /// Of the largest layer.
    #[serde(default = "hd")]
    pub(crate) size: Size,
    /// 1: a single stream; 2 or 3: simulcast, each layer half as wide as the next.
    #[serde(default = "one_layer")]
    pub(crate) layers: u8,
}

/// Kinds of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Media {
    /// Audio and video.
    #[default]
    All,
    Audio,
    Video,
    Nothing,
}

/// What must hold; what is not given is reported and not judged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thresholds {
    /// Gaps in received sequence numbers, in percent of packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_percent: Option<f64>,
    /// Gaps in the senders' own counts, in percent of packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing_percent: Option<f64>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency_p99: Option<Duration>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) join_p99: Option<Duration>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_media_p99: Option<Duration>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_frame_wait_p99: Option<Duration>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer_switch_p99: Option<Duration>,
    /// From the request to create a call until the other's device rings.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) ring_p99: Option<Duration>,
    /// From accepting a call until the way into its room is there.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) accept_p99: Option<Duration>,
    /// Freezes of all receivers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) freezes: Option<u64>,
    /// Joins that failed, and participants that were thrown out.
    #[serde(default)]
    pub(crate) failed: u64,
    /// Videos that were wanted, and of which nothing came for five seconds, at one time.
    #[serde(default)]
    pub(crate) dark_videos: u64,
    /// Memory, file descriptors and sessions of the server are back 30 s after the load. Needs `--server-pid`.
    #[serde(default)]
    pub(crate) given_back: bool,
}

impl Scenario {
    /// Reads and checks.
    ///
    /// # Errors
    /// If a field is unknown, missing or out of range; the text names it.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        scenario.settle_counts()?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Participants in all rooms.
    pub(crate) fn total(&self) -> usize {
        self.rooms * self.groups.iter().map(Group::members).sum::<usize>()
    }

    /// Gives the group without a `count` what the others leave of `participants`.
    fn settle_counts(&mut self) -> anyhow::Result<()> {
        let counted: usize = self.groups.iter().filter_map(|group| group.count).sum();
        let open: Vec<&str> =
            self.groups.iter().filter(|group| group.count.is_none()).map(|group| &*group.name).collect();
        let rest = match (self.participants, open.as_slice()) {
            (_, [first, second, ..]) => {
                bail!(
                    "`{first}` and `{second}` have no `count`: only one group may take what the others leave"
                )
            }
            (None, [name]) => bail!("`{name}` has no `count`, and the scenario no `participants`"),
            (None, []) => return Ok(()),
            (Some(participants), _) if participants < counted => {
                bail!("participants = {participants}, but the groups' counts make {counted} already")
            }
            (Some(participants), []) if participants > counted => {
                bail!(
                    "participants = {participants}, but every group has a `count`, together {counted}: leave one out"
                )
            }
            (Some(participants), _) => participants - counted,
        };
        for group in self.groups.iter_mut().filter(|group| group.count.is_none()) {
            group.count = Some(rest);
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rooms > 0, "`rooms` must be at least 1");
        ensure!(self.duration >= Duration::from_secs(2), "`duration` must be at least 2s");
        ensure!(!self.groups.is_empty(), "there are no `groups`, so nobody would come");
        ensure!(self.total() > 0, "all groups are empty, so nobody would come");
        for (index, group) in self.groups.iter().enumerate() {
            let name = &group.name;
            let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            ensure!(
                !name.is_empty() && name.chars().all(letters),
                "a group's `name` is made of letters, digits, `-` and `_`; `{name}` is not"
            );
            ensure!(
                self.groups[..index].iter().all(|other| other.name != *name),
                "two groups are named `{name}`"
            );
            group.check().map_err(|error| error.context(format!("group `{name}`")))?;
        }
        if let Some(calls) = &self.calls {
            calls.check(&self.groups)?;
        }
        self.thresholds.check()
    }
}

impl Group {
    /// In each room.
    pub(crate) fn members(&self) -> usize {
        self.count.unwrap_or(0)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.join_rate.is_none_or(|rate| rate.is_finite() && rate > 0.0),
            "`join_rate` must be above 0"
        );
        ensure!(self.size_every >= Duration::from_millis(100), "`size_every` must be at least 100ms");
        ensure!(
            self.stay.is_none_or(|stay| stay >= Duration::from_millis(500)),
            "`stay` must be at least 500ms"
        );
        if let Some(audio) = &self.audio {
            ensure!(audio.level <= 127, "`audio.level` is 0 (loudest) to 127 (silent), not {}", audio.level);
            let [least, most] = audio.bytes;
            ensure!(
                least <= most && most <= LARGEST_AUDIO,
                "`audio.bytes` are from and to, {LARGEST_AUDIO} at most"
            );
            for (name, time) in [("spurt", audio.spurt), ("silence", audio.silence)] {
                ensure!(
                    (SHORTEST_SPURT..=LONGEST_SPURT).contains(&time),
                    "`audio.{name}` is {SHORTEST_SPURT:?} to {LONGEST_SPURT:?}"
                );
            }
        }
        if let Some(network) = &self.network {
            network.check()?;
        }
        if let Some(video) = &self.video {
            ensure!((1..=FASTEST).contains(&video.frame_rate), "`video.frame_rate` is 1 to {FASTEST}");
            ensure!((1..=3).contains(&video.layers), "`video.layers` is 1, 2 or 3");
        }
        Ok(())
    }
}

impl Thresholds {
    fn check(&self) -> anyhow::Result<()> {
        for (name, percent) in
            [("loss_percent", self.loss_percent), ("missing_percent", self.missing_percent)]
        {
            ensure!(
                percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)),
                "`thresholds.{name}` is 0 to 100"
            );
        }
        Ok(())
    }
}

impl Audio {
    /// Speakers with different seeds talk at different times. `phase` is where in its interval a packet is made.
    pub(crate) fn shape(&self, seed: u64, phase: f64) -> AudioShape {
        let dtx = Dtx { spurt: self.spurt, silence: self.silence, seed };
        let dtx = self.dtx.then_some(dtx);
        AudioShape { bytes: self.bytes.into(), level: self.level, dtx, phase: Some(phase) }
    }
}

impl Video {
    /// `phase` is where in its interval a frame is made.
    pub(crate) fn shape(&self, phase: f64) -> VideoShape {
        let phase = Some(phase);
        let Size { width, height } = self.size;
        if self.layers == 1 {
            return VideoShape {
                frame_rate: self.frame_rate,
                phase,
                ..VideoShape::single(width, height, self.bitrate.0)
            };
        }
        let rids = ["q", "h", "f"];
        let count = usize::from(self.layers.clamp(1, 3));
        // Each layer has four times the pixels of the one below, and about four times its bits.
        let shares: u32 = (0..count).map(|index| 4_u32.pow(index as u32)).sum();
        let layers = (0..count).map(|index| {
            let halvings = count - 1 - index;
            LayerShape {
                rid: rids[index].into(),
                width: (width >> halvings) & !1,
                height: (height >> halvings) & !1,
                bitrate: (u64::from(self.bitrate.0) * u64::from(4_u32.pow(index as u32)) / u64::from(shares))
                    as u32,
            }
        });
        VideoShape { layers: layers.collect(), frame_rate: self.frame_rate, phase }
    }
}

fn one() -> usize {
    1
}

fn one_layer() -> u8 {
    1
}

fn thirty() -> u32 {
    30
}

fn speech() -> u8 {
    AudioShape::default().level
}

fn speech_bytes() -> [usize; 2] {
    AudioShape::default().bytes.into()
}

fn usual_spurt() -> Duration {
    Dtx::default().spurt
}

fn usual_silence() -> Duration {
    Dtx::default().silence
}

fn hd() -> Size {
    Size { width: 1280, height: 720 }
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
duration = \"10s\"
participants = 5
[[groups]]
name = \"sender\"
count = 1
video = { bitrate = \"1.2 Mbit/s\", layers = 3 }
[[groups]]
name = \"viewers\"
sizes = [\"320x180\"]
";

    fn error(text: &str) -> String {
        format!("{:#}", Scenario::parse(text).unwrap_err())
    }

    #[test]
    fn the_group_without_a_count_takes_what_the_others_leave() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!(scenario.groups[1].members(), 4);
        assert_eq!(scenario.total(), 5);
        assert!(error(&SMALL.replace("participants = 5", "")).contains("`viewers` has no `count`"));
        assert!(error(&SMALL.replace("count = 1", "")).contains("`sender` and `viewers`"));
        assert!(error(&SMALL.replace("count = 1", "count = 9")).contains("make 9 already"));
        assert!(error(&SMALL.replace("sizes", "count = 1\nsizes")).contains("leave one out"));
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let text = error(&SMALL.replace("bitrate", "bitrat"));
        assert!(text.contains("line 6") && text.contains("`bitrat`"), "{text}");
        let text = error(&format!("{SMALL}colour = 1\n"));
        assert!(text.contains("line 10") && text.contains("`colour`"), "{text}");
        let text = error(&SMALL.replace("320x180", "large"));
        assert!(text.contains("line 9") && text.contains("`large` is no size"), "{text}");
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (from, to, needle) in [
            ("10s", "1s", "`duration`"),
            ("layers = 3", "layers = 4", "group `sender`: `video.layers`"),
            ("viewers", "sender", "two groups"),
            ("viewers", "view ers", "made of letters"),
            ("count = 1", "count = 1\naudio = { level = 128 }", "`audio.level`"),
            ("count = 1", "count = 1\naudio = { dtx = true, spurt = \"1ms\" }", "`audio.spurt`"),
            ("count = 1", "count = 1\nnetwork = { delay = \"1m\" }", "group `sender`: `network.delay`"),
            ("count = 1", "count = 1\njoin_rate = 0.0", "`join_rate`"),
        ] {
            let text = error(&SMALL.replace(from, to));
            assert!(text.contains(needle), "{text}");
        }
        assert!(error(&format!("{SMALL}[thresholds]\nloss_percent = 101.0\n")).contains("loss_percent"));
    }

    #[test]
    fn simulcast_layers_halve_and_share_the_bitrate() {
        let shape = Scenario::parse(SMALL).unwrap().groups[0].video.clone().unwrap().shape(0.0);
        let sizes: Vec<_> = shape.layers.iter().map(|layer| (layer.width, layer.height)).collect();
        assert_eq!(sizes, [(320, 180), (640, 360), (1280, 720)]);
        let bitrate: u32 = shape.layers.iter().map(|layer| layer.bitrate).sum();
        assert!((1_199_000..=1_200_000).contains(&bitrate), "{bitrate}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let more =
            "count = 1\naudio = { dtx = true }\nnetwork = { loss = 1.5, up = { rate = \"1 Mbit/s\" } }";
        let scenario = Scenario::parse(&SMALL.replace("count = 1", more)).unwrap();
        assert_eq!(Scenario::parse(&toml::to_string(&scenario).unwrap()).unwrap(), scenario);
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario);
    }
}
