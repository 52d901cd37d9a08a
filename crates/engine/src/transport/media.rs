//! The media plane beside str0m: its keys, what was agreed on, what it tells.

use std::time::Instant;

use sluice_media::{Egress, Event, Format, Ids, Ingress, Negotiated, Spec};
use sluice_rtp::{Bitrate, MediaKind};
use sluice_srtp::{Profile, Role};
use str0m::crypto::dtls::SrtpProfile;
use str0m::stats::PeerStats;

use super::route::Route;
use super::{MediaPacket, Mid, OutStream, PathReport, Refused, Rewritten, Rid, Transport, negotiate};

impl Transport {
    /// Takes the keys over, once: the handshake is done.
    pub(super) fn secure(&mut self) -> Result<(), Refused> {
        let Some(keys) = self.ear.take().and_then(|ear| ear.take()) else { return Ok(()) };
        let profile = match keys.profile {
            SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            other => return Err(Refused(format!("protection {other} is not known here"))),
        };
        let role = if keys.active { Role::Client } else { Role::Server };
        let (sealer, opener) = sluice_srtp::association(profile, &keys.material, role)
            .map_err(|error| Refused(format!("keys of the handshake: {error}")))?;
        self.media.secure(sealer, opener);
        self.ask_route_always();
        Ok(())
    }

    /// Takes over what the peer's description, which str0m has just taken, says of media.
    pub(super) fn agree(&mut self, remote: &str) {
        let mut agreed = Negotiated::default();
        agreed.declare(remote);
        for mid in remote.lines().filter_map(|line| line.strip_prefix("a=mid:")) {
            let mid = Mid::from(mid.trim_end());
            if let Some(media) = self.rtc.media(negotiate::mid(mid)) {
                agreed.mids.push(mid);
                agreed.ids.merge(&ids(media.remote_extmap()));
            }
        }
        agreed.formats = self
            .rtc
            .codec_config()
            .params()
            .iter()
            .map(|params| Format {
                payload_type: *params.pt(),
                clock: params.spec().clock_rate.get(),
                repair: params.resend().map(|pt| *pt),
                nack: params.fb_nack(),
            })
            .collect();
        self.media.negotiate(agreed);
    }

    /// The outgoing stream of a section, if it is negotiated to send.
    pub(crate) fn out_stream(&mut self, mid: Mid) -> Option<OutStream> {
        let named = negotiate::mid(mid);
        let section = self.rtc.media(named).filter(|section| section.direction().is_sending())?;
        let kind = if section.kind().is_video() { MediaKind::Video } else { MediaKind::Audio };
        let ids = ids(section.remote_extmap());
        let cname = section.cname().to_owned();
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(named, None)?;
        let kept = if kind == MediaKind::Video { self.rtx_video } else { self.rtx_audio };
        let (ssrc, repair) = (*stream.ssrc(), stream.rtx().map(|ssrc| *ssrc));
        Some(self.media.open(Spec { mid, kind, ssrc, repair, ids, cname, kept }))
    }

    /// Sends a packet on an outgoing stream. False if the transport is not connected yet.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        stream: OutStream,
        payload_type: u8,
        packet: &MediaPacket,
        rewritten: Rewritten,
    ) -> bool {
        self.media.write(now, stream, payload_type, packet, rewritten)
    }

    /// Asks the peer for a key frame (PLI, RFC 4585 section 6.3.1). False if no packet of the layer came yet.
    pub(crate) fn request_key_frame(&mut self, mid: Mid, rid: Option<Rid>) -> bool {
        self.media.request_key_frame(mid, rid)
    }

    /// Tells the estimator what is sent and what would be sent if the path allowed it.
    pub(crate) fn set_desired(&mut self, now: Instant, allocated: Bitrate, desired: Bitrate) {
        self.media.set_desired(now, allocated, desired);
    }

    /// What happened to media, before [`Transport::poll`] tells it.
    pub(crate) fn pop_media_event(&mut self) -> Option<Event> {
        self.media.pop_event()
    }

    /// How each layer does that comes in.
    pub(crate) fn ingress(&mut self) -> impl Iterator<Item = Ingress> {
        self.media.ingress()
    }

    /// How each stream does that goes out.
    pub(crate) fn egress(&self) -> impl Iterator<Item = Egress> {
        self.media.egress()
    }

    pub(super) fn on_stats(&mut self, stats: &PeerStats) -> PathReport {
        let pair = stats.selected_candidate_pair.as_ref();
        if let Some(pair) = pair {
            self.set_route(Route::of_pair(pair));
        }
        let media = self.media.path();
        PathReport {
            bytes_received: stats.peer_bytes_rx + media.bytes_received,
            bytes_sent: stats.peer_bytes_tx + media.bytes_sent,
            rtt: media.rtt.or_else(|| pair.and_then(|pair| pair.current_round_trip_time)),
            egress_loss: media.egress_loss,
            ingress_loss: media.ingress_loss,
            tcp: self.route.is_some_and(|route| route.is_tcp()),
        }
    }
}

fn ids(map: &str0m::rtp::ExtensionMap) -> Ids {
    let mut ids = Ids::default();
    for (id, extension) in map.iter() {
        ids.set(extension.as_uri(), id);
    }
    ids
}
