//! Offer and answer through str0m's SDP API (RFC 8829).
//!
//! str0m's own text is returned as it is; `crate::negotiation` corrects it. ICE credentials are the exception: str0m
//! draws new ones at a restart, but ours must name the shard, so they are replaced here, in the text and in str0m.

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind as Str0mKind};

use sluice_rtp::MediaKind;

use super::{Credentials, Mid, Refused, Transport, channel_config};
use crate::model::DataChannel;

/// A section to add or change in an offer of ours.
#[derive(Debug, Clone)]
pub(crate) enum SectionChange {
    /// A new section that sends; its mid comes back in [`Offered::added`], in order.
    Add { kind: MediaKind, stream: String, track: String },
    /// An existing section sends again.
    Resume(Mid),
    /// An existing section rests.
    Rest(Mid),
}

/// An offer of ours.
pub(crate) struct Offered {
    pub(crate) sdp: String,
    pub(crate) added: Vec<Mid>,
}

/// An offer of ours that waits for its answer.
pub(super) struct Pending {
    changes: SdpPendingOffer,
    /// New credentials, if the offer restarts ICE.
    credentials: Option<Credentials>,
    /// Data channels that open with the answer.
    channels: Vec<DataChannel>,
}

impl Transport {
    /// Takes the peer's offer and returns str0m's answer. `fresh` replaces the credentials if the offer restarts ICE.
    pub(crate) fn accept_offer(&mut self, text: &str, fresh: Credentials) -> Result<String, Refused> {
        let offer = SdpOffer::from_sdp_string(text).map_err(|e| Refused(e.to_string()))?;
        self.void_offer();
        let before = self.ufrag();
        self.fed = true;
        let answer = self.rtc.sdp_api().accept_offer(offer).map_err(|e| Refused(e.to_string()))?;
        let mut sdp = answer.to_sdp_string();
        let drawn = self.rtc.direct_api().local_ice_credentials();
        if drawn.ufrag != before {
            sdp = with_credentials(&sdp, &fresh);
            self.rtc.direct_api().set_local_ice_credentials(fresh.into_str0m());
        }
        if text.contains("m=application") {
            for channel in std::mem::take(&mut self.to_open) {
                self.rtc.direct_api().create_data_channel(channel_config(&channel));
            }
        }
        self.agree(text);
        Ok(sdp)
    }

    /// Makes an offer. `None` if nothing is to be negotiated. An offer that still waits for its answer is void then.
    pub(crate) fn create_offer(
        &mut self,
        changes: &[SectionChange],
        restart: Option<Credentials>,
    ) -> Option<Offered> {
        self.void_offer();
        self.fed = true;
        let channels = std::mem::take(&mut self.to_open);
        let mut api = self.rtc.sdp_api();
        for channel in &channels {
            api.add_channel_with_config(channel_config(channel));
        }
        let mut added = Vec::new();
        for change in changes {
            match change {
                SectionChange::Add { kind, stream, track } => {
                    let kind = match kind {
                        MediaKind::Audio => Str0mKind::Audio,
                        MediaKind::Video => Str0mKind::Video,
                    };
                    let stream = Some(stream.clone());
                    let mid = api.add_media(kind, Direction::SendOnly, stream, Some(track.clone()), None);
                    added.push(Mid::from(&*mid));
                }
                SectionChange::Resume(mid) => api.set_direction(self::mid(*mid), Direction::SendOnly),
                SectionChange::Rest(mid) => api.set_direction(self::mid(*mid), Direction::Inactive),
            }
        }
        if restart.is_some() {
            api.ice_restart(true);
        }
        let (offer, changes) = api.apply()?;
        let mut sdp = offer.to_sdp_string();
        if let Some(credentials) = &restart {
            sdp = with_credentials(&sdp, credentials);
        }
        self.offer = Some(Pending { changes, credentials: restart, channels });
        Some(Offered { sdp, added })
    }

    /// Takes the answer to the offer that waits.
    pub(crate) fn accept_answer(&mut self, text: &str) -> Result<(), Refused> {
        let answer = SdpAnswer::from_sdp_string(text).map_err(|e| Refused(e.to_string()))?;
        let Some(pending) = self.offer.take() else {
            return Err(Refused("no offer waits for an answer".into()));
        };
        self.fed = true;
        self.rtc.sdp_api().accept_answer(pending.changes, answer).map_err(|e| Refused(e.to_string()))?;
        if let Some(credentials) = pending.credentials {
            self.rtc.direct_api().set_local_ice_credentials(credentials.into_str0m());
        }
        self.agree(text);
        Ok(())
    }

    /// Whether an offer of ours waits for its answer.
    pub(crate) fn is_offer_pending(&self) -> bool {
        self.offer.is_some()
    }

    /// An offer of ours that still waits is rolled back (RFC 8829 section 4.1.10.2); its channels wait for the next.
    fn void_offer(&mut self) {
        if let Some(pending) = self.offer.take() {
            self.to_open.extend(pending.channels);
        }
    }
}

/// A section's name as str0m has it.
pub(super) fn mid(mid: Mid) -> str0m::media::Mid {
    str0m::media::Mid::from(&*mid)
}

/// The same description with other ICE credentials (RFC 8839 section 5.4).
fn with_credentials(sdp: &str, credentials: &Credentials) -> String {
    let mut out = String::with_capacity(sdp.len() + 32);
    for line in sdp.split_inclusive("\r\n") {
        if line.starts_with("a=ice-ufrag:") {
            out.push_str(&format!("a=ice-ufrag:{}\r\n", credentials.ufrag));
        } else if line.starts_with("a=ice-pwd:") {
            out.push_str(&format!("a=ice-pwd:{}\r\n", credentials.password));
        } else {
            out.push_str(line);
        }
    }
    out
}
