//! The tracks that a participant announced, until and while they are published.
use std::sync::Arc;

use livekit::request_response::Reason;
use prost::Message;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

use crate::model::{Layer, Permissions, Source, Track};
use crate::room::access::may_publish;

/// Layers of a track: clients use three at most.
const MOST_LAYERS: usize = 8;
/// Bytes of the texts in an announcement, each; no more than the node takes of a track's id.
const LONGEST_TEXT: usize = 256;
/// Characters of a restriction identifier; clients use one.
const LONGEST_RID: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Publishing {
    tracks: Vec<Published>,
}

#[derive(Debug)]
struct Published {
    track: Arc<Track>,
    /// The room knows it.
    announced: bool,
}

/// What a negotiation round changed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bound {
    pub(super) begun: Vec<Arc<Track>>,
    pub(super) ended: Vec<String>,
}

impl Publishing {
    /// Tracks that the room knows already.
    pub(super) fn restore(tracks: Vec<Arc<Track>>) -> Self {
        let published = |track: Arc<Track>| Published { announced: !track.mid.is_empty(), track };
        Self { tracks: tracks.into_iter().map(published).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = &Arc<Track>> {
        self.tracks.iter().map(|published| &published.track)
    }

    pub(super) fn get(&self, track_id: &str) -> Option<&Arc<Track>> {
        self.tracks.iter().map(|published| &published.track).find(|track| track.track_id == track_id)
    }

    /// Takes an announcement; the track's id is `track_id`. An error is what the client is told.
    pub(super) fn add(
        &mut self,
        request: &livekit::AddTrackRequest,
        permissions: &Permissions,
        most: usize,
        track_id: String,
    ) -> Result<Arc<Track>, Reason> {
        let source = Source::try_from(request.source).unwrap_or(Source::Unspecified);
        if !may_publish(permissions, source) {
            return Err(Reason::NotAllowed);
        }
        if request.r#type() == livekit::TrackType::Data {
            return Err(Reason::UnsupportedType);
        }
        if !request.sid.is_empty() {
            // A second codec for a track: we never ask for one.
            let known = self.get(&request.sid).is_some();
            return Err(if known { Reason::UnsupportedType } else { Reason::NotFound });
        }
        let texts = [&request.cid, &request.name, &request.stream];
        if request.cid.is_empty() || texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(Reason::InvalidRequest);
        }
        let codecs = request.simulcast_codecs.iter().flat_map(|codec| &codec.layers);
        if !request.layers.iter().chain(codecs).all(|layer| is_rid(&layer.rid)) {
            return Err(Reason::InvalidRequest);
        }
        if self.tracks.iter().any(|known| known.track.client_track_id == request.cid && !known.announced) {
            return Err(Reason::Queued);
        }
        if self.tracks.len() >= most || request.layers.len() > MOST_LAYERS {
            return Err(Reason::LimitExceeded);
        }
        let track = Arc::new(from_request(request, source, track_id));
        self.tracks.push(Published { track: track.clone(), announced: false });
        Ok(track)
    }

    /// Takes the sections of a round: those of ours that it carries are published, those that it no longer does are not.
    pub(super) fn bind(&mut self, bindings: &[sfu::Binding]) -> Bound {
        let mut bound = Bound::default();
        for published in &mut self.tracks {
            let mid = bindings.iter().find(|binding| carries(binding, &published.track.track_id));
            match mid {
                Some(binding) if !published.announced => {
                    Arc::make_mut(&mut published.track).mid = binding.mid.clone();
                    published.announced = true;
                    bound.begun.push(published.track.clone());
                }
                None if published.announced => bound.ended.push(published.track.track_id.clone()),
                _ => {}
            }
        }
        self.tracks.retain(|published| !bound.ended.contains(&published.track.track_id));
        bound
    }

    /// Forgets a track; true if it was there.
    pub(super) fn remove(&mut self, track_id: &str) -> bool {
        let before = self.tracks.len();
        self.tracks.retain(|published| published.track.track_id != track_id);
        self.tracks.len() < before
    }

    /// Changes a track; returns it if that changed anything, and whether the room knows it.
    pub(super) fn amend(
        &mut self,
        track_id: &str,
        amend: impl FnOnce(&mut Track),
    ) -> Option<(Arc<Track>, bool)> {
        let published = self.tracks.iter_mut().find(|published| published.track.track_id == track_id)?;
        let before = published.track.clone();
        amend(Arc::make_mut(&mut published.track));
        (published.track != before).then(|| (published.track.clone(), published.announced))
    }

    /// The node reports on a publication. Returns the track if something changed that others shall see; a section that
    /// was bound outside a round of ours publishes it.
    pub(super) fn reported(&mut self, publication: &sfu::Publication) -> Option<Arc<Track>> {
        let published = self
            .tracks
            .iter_mut()
            .find(|published| published.track.track_id == publication.publication_id)?;
        let before = (published.track.clone(), published.announced);
        let track = Arc::make_mut(&mut published.track);
        if !publication.mid.is_empty() {
            track.mid.clone_from(&publication.mid);
            published.announced = true;
        }
        if !publication.codec.is_empty() {
            track.mime_type = mime_type(track.video, &publication.codec);
        }
        let changed = published.announced && before != (published.track.clone(), published.announced);
        changed.then(|| published.track.clone())
    }

    /// All publications, as the node shall have them.
    pub(super) fn declare(&self, participant_id: &str, enabled: &[String]) -> Vec<sfu::Publication> {
        self.tracks.iter().map(|published| declaration(&published.track, participant_id, enabled)).collect()
    }
}

fn carries(binding: &sfu::Binding, track_id: &str) -> bool {
    matches!(&binding.carries, Some(sfu::binding::Carries::PublicationId(id)) if id == track_id)
}

fn from_request(request: &livekit::AddTrackRequest, source: Source, track_id: String) -> Track {
    use livekit::AudioTrackFeature::{TfNoDtx, TfStereo};
    let video = request.r#type() == livekit::TrackType::Video;
    let has = |feature: livekit::AudioTrackFeature| request.audio_features.contains(&feature.into());
    let codec = request.simulcast_codecs.first();
    let named = codec.map_or("", |codec| codec.codec.as_str()).to_ascii_lowercase();
    let named = named.rsplit('/').next().unwrap_or_default().to_owned();
    let mode = codec.map_or(0, |codec| codec.video_layer_mode);
    let spatial = livekit::video_layer::Mode::MultipleSpatialLayersPerStream;
    let svc = mode == i32::from(spatial) || (mode == 0 && matches!(named.as_str(), "vp9" | "av1"));
    let described = match codec {
        Some(codec) if request.layers.is_empty() => &codec.layers,
        _ => &request.layers,
    };
    Track {
        track_id,
        client_track_id: request.cid.clone(),
        video,
        source: source.into(),
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        layers: if video { layers(described, svc) } else { Vec::new() },
        mime_type: mime_type(video, &named),
        mid: String::new(),
        stereo: request.stereo || has(TfStereo),
        no_dtx: request.disable_dtx || has(TfNoDtx),
        no_red: request.disable_red,
        encryption: request.encryption,
        stream: request.stream.clone(),
        audio_features: request.audio_features.clone(),
        packet_trailer_features: request.packet_trailer_features.clone(),
        backup_codec_policy: request.backup_codec_policy,
        layer_mode: mode,
    }
}

/// Lowest first. Without stated rids, clients send `q`, `h`, `f` from the lowest, and none if there is but one layer.
fn layers(described: &[livekit::VideoLayer], svc: bool) -> Vec<Layer> {
    const RIDS: [&str; 3] = ["q", "h", "f"];
    let mut described: Vec<_> = described.iter().take(MOST_LAYERS).collect();
    described.sort_by_key(|layer| (layer.quality, layer.width));
    let single = described.len() <= 1;
    let rid = |index: usize, layer: &livekit::VideoLayer| match RIDS.get(index) {
        _ if svc || (single && layer.rid.is_empty()) => String::new(),
        _ if !layer.rid.is_empty() => layer.rid.clone(),
        Some(rid) => (*rid).to_owned(),
        None => index.to_string(),
    };
    let layers = described.iter().enumerate().map(|(index, layer)| Layer {
        quality: layer.quality,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        rid: rid(index, layer),
    });
    let mut layers: Vec<_> = layers.collect();
    // Some applications list their simulcast presets in another order than the qualities' names suggest.
    layers.sort_by_key(|layer| layer.width.saturating_mul(layer.height));
    layers
}

/// Letters and digits (RFC 8851 section 10), and two that are in use; or none.
fn is_rid(rid: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    rid.len() <= LONGEST_RID && rid.bytes().all(usual)
}

/// `video/VP8` from `vp8`; audio without a name is Opus.
fn mime_type(video: bool, codec: &str) -> String {
    match (video, codec.to_ascii_lowercase().as_str()) {
        (true, "") => String::new(),
        (false, "") => "audio/opus".into(),
        (true, name) => format!("video/{}", name.to_ascii_uppercase()),
        (false, name) => format!("audio/{name}"),
    }
}

fn declaration(track: &Track, participant_id: &str, enabled: &[String]) -> sfu::Publication {
    let layer = |layer: &Layer| sfu::Layer {
        rid: layer.rid.clone(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate.into(),
        active: false,
    };
    let allowed = allowed_codecs(track, enabled);
    sfu::Publication {
        publication_id: track.track_id.clone(),
        client_track_id: track.client_track_id.clone(),
        kind: if track.video { sfu::Kind::Video } else { sfu::Kind::Audio }.into(),
        stream_label: format!("{participant_id}|{}", track.track_id),
        track_label: track.track_id.clone(),
        muted: track.muted,
        codecs: Some(sfu::CodecPolicy { allowed, opus_dtx: !track.no_dtx, opus_stereo: track.stereo }),
        layers: track.layers.iter().map(layer).collect(),
        screen_share: track.source() == Source::ScreenShare,
        app_state: track.encode_to_vec().into(),
        mid: String::new(),
        codec: String::new(),
    }
}

/// The codec that the client announced if it is enabled, else all enabled ones of its kind.
fn allowed_codecs(track: &Track, enabled: &[String]) -> Vec<String> {
    let prefix = if track.video { "video/" } else { "audio/" };
    let name = |mime: &str| mime.to_ascii_lowercase().split_once('/').map(|(_, name)| name.to_owned());
    if track.video && enabled.iter().any(|mime| mime.eq_ignore_ascii_case(&track.mime_type)) {
        return name(&track.mime_type).into_iter().collect();
    }
    let of_kind = enabled.iter().filter(|mime| mime.to_ascii_lowercase().starts_with(prefix));
    // Redundant audio (RFC 2198) wraps another codec and is none of its own.
    of_kind.filter_map(|mime| name(mime)).filter(|name| name != "red").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(cid: &str) -> livekit::AddTrackRequest {
        let layer = |quality: i32, width: u32| livekit::VideoLayer {
            quality,
            width,
            height: width / 2,
            ..Default::default()
        };
        livekit::AddTrackRequest {
            cid: cid.into(),
            r#type: livekit::TrackType::Video.into(),
            source: livekit::TrackSource::Camera.into(),
            layers: vec![layer(2, 1280), layer(0, 320), layer(1, 640)],
            simulcast_codecs: vec![livekit::SimulcastCodec { codec: "vp8".into(), ..Default::default() }],
            ..Default::default()
        }
    }

    fn everything() -> Permissions {
        Permissions { can_publish: true, ..Default::default() }
    }

    fn binding(mid: &str, track_id: &str) -> sfu::Binding {
        sfu::Binding { mid: mid.into(), carries: Some(sfu::binding::Carries::PublicationId(track_id.into())) }
    }

    #[test]
    fn a_track_is_published_when_a_round_carries_it_and_ends_when_one_does_not() {
        let mut publishing = Publishing::default();
        publishing.add(&camera("c"), &everything(), 4, "TR_1".into()).unwrap();
        assert_eq!(publishing.bind(&[]), Bound::default(), "announced, not negotiated yet");
        let bound = publishing.bind(&[binding("0", "TR_1")]);
        assert_eq!(bound.begun[0].mid, "0");
        assert_eq!(publishing.bind(&[binding("0", "TR_1")]), Bound::default(), "nothing new");
        assert_eq!(publishing.bind(&[]).ended, ["TR_1"]);
        assert!(publishing.is_empty());
    }

    #[test]
    fn layers_are_sorted_and_get_the_rids_that_clients_use() {
        let mut publishing = Publishing::default();
        let track = publishing.add(&camera("c"), &everything(), 4, "TR_1".into()).unwrap();
        let layers: Vec<_> = track.layers.iter().map(|layer| (layer.rid.as_str(), layer.width)).collect();
        assert_eq!(layers, [("q", 320), ("h", 640), ("f", 1280)]);
        assert_eq!(track.mime_type, "video/VP8");
    }

    #[test]
    fn a_single_layer_and_scalable_ones_have_no_rid() {
        let mut publishing = Publishing::default();
        let mut single = camera("s");
        single.layers.truncate(1);
        assert_eq!(publishing.add(&single, &everything(), 4, "TR_1".into()).unwrap().layers[0].rid, "");
        let mut scalable = camera("v");
        scalable.simulcast_codecs[0].codec = "vp9".into();
        let track = publishing.add(&scalable, &everything(), 4, "TR_2".into()).unwrap();
        assert!(track.layers.len() == 3 && track.layers.iter().all(|layer| layer.rid.is_empty()));
    }

    #[test]
    fn what_is_not_permitted_or_too_much_is_refused() {
        let mut publishing = Publishing::default();
        let microphone = Permissions { sources: vec![Source::Microphone.into()], ..everything() };
        let mut add = |request: &livekit::AddTrackRequest, permissions: &Permissions| {
            publishing.add(request, permissions, 1, "TR_1".into()).map(|track| track.track_id.clone())
        };
        assert_eq!(add(&camera("c"), &microphone), Err(Reason::NotAllowed));
        let data = livekit::AddTrackRequest { r#type: livekit::TrackType::Data.into(), ..camera("c") };
        assert_eq!(add(&data, &everything()), Err(Reason::UnsupportedType));
        assert_eq!(add(&camera(""), &everything()), Err(Reason::InvalidRequest));
        let long = livekit::AddTrackRequest { name: "x".repeat(1000), ..camera("c") };
        assert_eq!(add(&long, &everything()), Err(Reason::InvalidRequest));
        let mut odd = camera("c");
        odd.layers[0].rid = "q h".into();
        assert_eq!(add(&odd, &everything()), Err(Reason::InvalidRequest));
        let backup = livekit::AddTrackRequest { sid: "TR_9".into(), ..camera("c") };
        assert_eq!(add(&backup, &everything()), Err(Reason::NotFound));
        assert!(add(&camera("c"), &everything()).is_ok());
        assert_eq!(add(&camera("c"), &everything()), Err(Reason::Queued));
        assert_eq!(add(&camera("d"), &everything()), Err(Reason::LimitExceeded));
    }

    #[test]
    fn the_node_is_told_labels_codecs_and_the_record() {
        let mut publishing = Publishing::default();
        publishing.add(&camera("c"), &everything(), 4, "TR_1".into()).unwrap();
        let enabled = ["video/VP8".to_owned(), "video/H264".to_owned(), "audio/opus".to_owned()];
        let publication = publishing.declare("PA_1", &enabled).remove(0);
        assert_eq!(publication.stream_label, "PA_1|TR_1");
        assert_eq!(publication.codecs.unwrap().allowed, ["vp8"]);
        let track = Track::decode(&publication.app_state[..]).unwrap();
        assert_eq!(track.client_track_id, "c");
        let publication = publishing.declare("PA_1", &enabled[1..]).remove(0);
        assert_eq!(publication.codecs.unwrap().allowed, ["h264"], "a codec that is off is replaced");
    }

    #[test]
    fn reports_of_the_node_change_what_others_see() {
        let mut publishing = Publishing::default();
        publishing.add(&camera("c"), &everything(), 4, "TR_1".into()).unwrap();
        let mut report =
            sfu::Publication { publication_id: "TR_1".into(), codec: "h264".into(), ..Default::default() };
        assert_eq!(publishing.reported(&report), None, "not negotiated yet");
        report.mid = "1".into();
        assert_eq!(publishing.reported(&report).unwrap().mime_type, "video/H264");
        assert_eq!(publishing.reported(&report), None, "nothing new");
    }
}
