//! What a client asks for when it connects, in the form of `/rtc/v1`: one protobuf message in the query, often gzipped.
use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_PAD_INDIFFERENT;
use flate2::read::GzDecoder;
use livekit::wrapped_join_request::Compression;
use prost::Message;
use sluice_livekit_proto as livekit;

use super::query::{Early, Intent, IntentError, software};
use crate::model;

const NAME: &str = "join_request";

/// From the parameters of `/rtc/v1`; `largest` bounds the decompressed message.
pub(crate) fn intent(parameters: &HashMap<String, String>, largest: usize) -> Result<Intent, IntentError> {
    let encoded = parameters.get(NAME).map_or("", String::as_str);
    let malformed = |error: String| IntentError::Malformed(NAME, error);
    if encoded.is_empty() {
        return Err(malformed("it is missing".into()));
    }
    let bytes = URL_SAFE_PAD_INDIFFERENT.decode(encoded).map_err(|error| malformed(error.to_string()))?;
    let request = unwrap(&bytes, largest)?;
    from_message(request)
}

/// Old clients send the message without a wrapping.
fn unwrap(bytes: &[u8], largest: usize) -> Result<livekit::JoinRequest, IntentError> {
    let malformed = |error: prost::DecodeError| IntentError::Malformed(NAME, error.to_string());
    let wrapped = match livekit::WrappedJoinRequest::decode(bytes) {
        Ok(wrapped) if !wrapped.join_request.is_empty() => wrapped,
        _ if bytes.len() > largest => return Err(IntentError::TooLarge(NAME, largest)),
        _ => return livekit::JoinRequest::decode(bytes).map_err(malformed),
    };
    if wrapped.compression() == Compression::Gzip {
        let inner = gunzip(&wrapped.join_request, largest)?;
        return livekit::JoinRequest::decode(&inner[..]).map_err(malformed);
    }
    if wrapped.join_request.len() > largest {
        return Err(IntentError::TooLarge(NAME, largest));
    }
    livekit::JoinRequest::decode(wrapped.join_request).map_err(malformed)
}

/// Reads no further than the limit: a few kilobytes can unpack to gigabytes.
fn gunzip(bytes: &[u8], largest: usize) -> Result<Vec<u8>, IntentError> {
    let limit = u64::try_from(largest).unwrap_or(u64::MAX).saturating_add(1);
    let mut inner = Vec::new();
    let read = GzDecoder::new(bytes).take(limit).read_to_end(&mut inner);
    read.map_err(|error| IntentError::Malformed(NAME, error.to_string()))?;
    if inner.len() > largest {
        return Err(IntentError::TooLarge(NAME, largest));
    }
    Ok(inner)
}

fn from_message(request: livekit::JoinRequest) -> Result<Intent, IntentError> {
    let info = request.client_info.unwrap_or_default();
    let connection = request.connection_settings.unwrap_or_default();
    let client = model::Client {
        single_connection: true,
        auto_subscribe: connection.auto_subscribe,
        adaptive_stream: connection.adaptive_stream,
        allow_pause: connection.subscriber_allow_pause.unwrap_or(true),
        full_ice: connection.disable_ice_lite,
        protocol: info.protocol,
        software: software(info.sdk().as_str_name(), &info.version),
    };
    let resume = match (request.reconnect, request.participant_sid) {
        (false, _) => None,
        (true, sid) if sid.is_empty() => return Err(IntentError::ResumeWithoutSid),
        (true, sid) => Some(sid),
    };
    Ok(Intent {
        client,
        client_protocol: info.client_protocol,
        capabilities: info.capabilities,
        resume,
        reconnect_reason: request.reconnect_reason,
        metadata: (!request.metadata.is_empty()).then_some(request.metadata),
        attributes: request.participant_attributes.into_iter().collect::<BTreeMap<_, _>>(),
        early: Early {
            tracks: request.add_track_requests,
            offer: request.publisher_offer,
            sync_state: request.sync_state,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use flate2::Compression as Level;
    use flate2::write::GzEncoder;

    use super::*;

    const LARGEST: usize = 1024 * 1024;

    fn request() -> livekit::JoinRequest {
        let offer =
            livekit::SessionDescription { r#type: "offer".into(), sdp: "v=0".into(), ..Default::default() };
        livekit::JoinRequest {
            client_info: Some(livekit::ClientInfo { sdk: 1, protocol: 17, ..Default::default() }),
            publisher_offer: Some(offer),
            ..Default::default()
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrap(compression: Compression, join_request: Vec<u8>) -> Vec<u8> {
        let compression = compression.into();
        livekit::WrappedJoinRequest { compression, join_request: join_request.into() }.encode_to_vec()
    }

    fn read(encoded: String) -> Result<Intent, IntentError> {
        intent(&HashMap::from([(NAME.to_owned(), encoded)]), LARGEST)
    }

    #[test]
    fn plain_gzipped_and_bare_requests_mean_the_same() {
        let plain = request().encode_to_vec();
        let wrapped = read(URL_SAFE.encode(wrap(Compression::None, plain.clone()))).unwrap();
        let gzipped = read(URL_SAFE_NO_PAD.encode(wrap(Compression::Gzip, gzip(&plain)))).unwrap();
        let bare = read(URL_SAFE_NO_PAD.encode(plain)).unwrap();
        assert_eq!(wrapped.early.offer.as_ref().unwrap().sdp, "v=0");
        assert!(wrapped.client.single_connection);
        assert_eq!(wrapped, gzipped);
        assert_eq!(wrapped, bare);
    }

    #[test]
    fn absent_auto_subscribe_means_no() {
        assert!(
            !read(URL_SAFE.encode(wrap(Compression::None, request().encode_to_vec())))
                .unwrap()
                .client
                .auto_subscribe
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let wrong = [
            String::new(),
            "!!!".into(),
            URL_SAFE.encode([0x0a, 0x7f]),
            URL_SAFE.encode(wrap(Compression::Gzip, b"not gzip".to_vec())),
            URL_SAFE.encode(wrap(Compression::None, vec![0x0a, 0x7f])),
            URL_SAFE.encode(wrap(Compression::Gzip, gzip(&[0x0a, 0x7f]))),
        ];
        for encoded in wrong {
            assert!(matches!(read(encoded.clone()), Err(IntentError::Malformed(..))), "{encoded}");
        }
    }

    #[test]
    fn a_gzip_bomb_is_not_unpacked() {
        let bomb = gzip(&vec![0; 64 * LARGEST]);
        assert!(bomb.len() < 100_000);
        let result = read(URL_SAFE.encode(wrap(Compression::Gzip, bomb)));
        assert_eq!(result, Err(IntentError::TooLarge(NAME, LARGEST)));
    }

    #[test]
    fn an_uncompressed_request_is_bounded_too() {
        let result = read(URL_SAFE.encode(wrap(Compression::None, vec![0; LARGEST + 1])));
        assert_eq!(result, Err(IntentError::TooLarge(NAME, LARGEST)));
    }
}
