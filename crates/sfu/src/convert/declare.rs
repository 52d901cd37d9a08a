//! Publications and subscriptions, both ways.

use sluice_api::sfu::v1 as api;
use sluice_engine::id::PublicationId;
use sluice_engine::model::{
    LayerSpec, PauseReason, PublicationSpec, PublicationStatus, SubscriptionSpec, SubscriptionStatus, Wish,
};
use sluice_rtp::{Bitrate, Codec, MediaKind};
use tonic::Status;

use super::{invalid, kept};

/// Layers of a publication at most: more than any encoder makes (three simulcast or nine SVC layers).
const MAX_LAYERS: usize = 16;

/// Characters of a stream's or track's label at most (RFC 8830 section 2).
const MAX_LABEL: usize = 64;

/// Characters of a restriction identifier at most. RFC 8851 sets no limit; one byte has to hold the length (RFC 8285).
const MAX_RID: usize = 255;

pub(crate) fn publications(declared: Vec<api::Publication>) -> Result<Vec<PublicationSpec>, Status> {
    declared.into_iter().enumerate().map(|(index, one)| publication(index, one)).collect()
}

fn publication(index: usize, publication: api::Publication) -> Result<PublicationSpec, Status> {
    let field = |name: &str| format!("publications[{index}].{name}");
    let id = PublicationId::new(&publication.publication_id)
        .map_err(|error| invalid(&field("publication_id"), error))?;
    let kind = match publication.kind() {
        api::Kind::Audio => MediaKind::Audio,
        api::Kind::Video => MediaKind::Video,
        api::Kind::Unspecified => {
            return Err(invalid(&field("kind"), "KIND_AUDIO or KIND_VIDEO is needed"));
        }
    };
    // `-` is how a description says that a track belongs to no stream.
    let stream_label = label(&field("stream_label"), publication.stream_label, "-")?;
    let track_label = label(&field("track_label"), publication.track_label, id.as_str())?;
    if publication.client_track_id.len() > 256 {
        return Err(invalid(&field("client_track_id"), "at most 256 bytes are possible"));
    }
    if publication.layers.len() > MAX_LAYERS {
        return Err(invalid(&field("layers"), format_args!("at most {MAX_LAYERS} are possible")));
    }
    let policy = publication.codecs.unwrap_or_default();
    let mut codecs = Vec::new();
    for name in &policy.allowed {
        let codec: Codec = name
            .parse()
            .map_err(|error| invalid(&field("codecs.allowed"), format_args!("{name:?}: {error}")))?;
        if codec.kind() != kind {
            let problem = format_args!("{name:?} is not a codec for {kind}");
            return Err(invalid(&field("codecs.allowed"), problem));
        }
        codecs.push(codec);
    }
    let layers = publication.layers.into_iter().enumerate();
    let layers = layers.map(|(layer, spec)| self::layer(&field(&format!("layers[{layer}]")), spec));
    Ok(PublicationSpec {
        layers: layers.collect::<Result<_, _>>()?,
        id,
        client_track_id: publication.client_track_id,
        kind,
        stream_label,
        track_label,
        muted: publication.muted,
        codecs,
        opus_dtx: policy.opus_dtx,
        opus_stereo: policy.opus_stereo,
        screen_share: publication.screen_share,
        app_state: kept(&publication.app_state),
    })
}

pub(super) fn publication_back(status: &PublicationStatus) -> api::Publication {
    let spec = &status.spec;
    let layer = |(index, layer): (usize, &LayerSpec)| api::Layer {
        rid: layer.rid.clone(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate.as_bps(),
        active: status.active.get(index).copied().unwrap_or(false),
    };
    api::Publication {
        publication_id: spec.id.to_string(),
        client_track_id: spec.client_track_id.clone(),
        kind: kind_back(spec.kind).into(),
        stream_label: spec.stream_label.clone(),
        track_label: spec.track_label.clone(),
        muted: spec.muted,
        codecs: Some(api::CodecPolicy {
            allowed: spec.codecs.iter().map(|codec| codec.name().to_owned()).collect(),
            opus_dtx: spec.opus_dtx,
            opus_stereo: spec.opus_stereo,
        }),
        layers: spec.layers.iter().enumerate().map(layer).collect(),
        screen_share: spec.screen_share,
        app_state: spec.app_state.clone(),
        mid: status.mid.clone().unwrap_or_default(),
        codec: codec_back(status.codec),
    }
}

pub(crate) fn subscriptions(declared: Vec<api::Subscription>) -> Result<Vec<SubscriptionSpec>, Status> {
    declared.into_iter().enumerate().map(|(index, one)| subscription(index, one)).collect()
}

fn subscription(index: usize, subscription: api::Subscription) -> Result<SubscriptionSpec, Status> {
    let field = |name: &str| format!("subscriptions[{index}].{name}");
    let publication = PublicationId::new(&subscription.publication_id)
        .map_err(|error| invalid(&field("publication_id"), error))?;
    let wish = subscription.wish.unwrap_or_default();
    let max_layer = wish.max_layer.map(u8::try_from).transpose();
    let max_layer = max_layer.map_err(|_| invalid(&field("wish.max_layer"), "at most 255 is possible"))?;
    Ok(SubscriptionSpec {
        publication,
        wish: Wish {
            width: wish.width,
            height: wish.height,
            frame_rate: wish.frame_rate,
            priority: wish.priority,
            paused: wish.paused,
            max_layer,
        },
    })
}

pub(super) fn subscription_back(status: &SubscriptionStatus) -> api::Subscription {
    let wish = &status.spec.wish;
    api::Subscription {
        publication_id: status.spec.publication.to_string(),
        wish: Some(api::Wish {
            width: wish.width,
            height: wish.height,
            frame_rate: wish.frame_rate,
            priority: wish.priority,
            paused: wish.paused,
            max_layer: wish.max_layer.map(u32::from),
        }),
        mid: status.mid.clone().unwrap_or_default(),
        layer: status.layer.map(u32::from),
        pause_reason: pause_back(status.paused).into(),
    }
}

pub(super) fn kind_back(kind: MediaKind) -> api::Kind {
    match kind {
        MediaKind::Audio => api::Kind::Audio,
        MediaKind::Video => api::Kind::Video,
    }
}

pub(super) fn codec_back(codec: Option<Codec>) -> String {
    codec.map(|codec| codec.name().to_owned()).unwrap_or_default()
}

pub(super) fn pause_back(reason: Option<PauseReason>) -> api::PauseReason {
    match reason {
        None => api::PauseReason::None,
        Some(PauseReason::Wish) => api::PauseReason::Wish,
        Some(PauseReason::Muted) => api::PauseReason::Muted,
        Some(PauseReason::Bandwidth) => api::PauseReason::Bandwidth,
        Some(PauseReason::Codec) => api::PauseReason::Codec,
        Some(PauseReason::NotNegotiated) => api::PauseReason::NotNegotiated,
        Some(PauseReason::NoMedia) => api::PauseReason::NoMedia,
    }
}

fn layer(field: &str, layer: api::Layer) -> Result<LayerSpec, Status> {
    // RFC 8851 section 10: letters, digits, `-` and `_`.
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if layer.rid.len() > MAX_RID || !layer.rid.bytes().all(valid) {
        return Err(invalid(&format!("{field}.rid"), "letters, digits, '-' and '_' alone are possible"));
    }
    Ok(LayerSpec {
        rid: layer.rid,
        width: layer.width,
        height: layer.height,
        bitrate: Bitrate::bps(layer.bitrate),
    })
}

/// A label goes into session descriptions of others: one that is not a token could write lines of its own there.
fn label(field: &str, given: String, otherwise: &str) -> Result<String, Status> {
    let label = if given.is_empty() { otherwise.to_owned() } else { given };
    if label.len() > MAX_LABEL || !label.bytes().all(is_token_byte) {
        let problem =
            format_args!("at most {MAX_LABEL} characters of a token (RFC 8866 section 9) are possible");
        return Err(invalid(field, problem));
    }
    Ok(label)
}

/// RFC 8866 section 9, `token-char`.
fn is_token_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x27 | 0x2A..=0x2B | 0x2D..=0x2E | 0x30..=0x39 | 0x41..=0x5A | 0x5E..=0x7E)
}
