//! What is done to a participant from outside, against its own wish: muted, or kept from publishing something.
use livekit::signal_response::Message as Response;
use sluice_livekit_proto as livekit;

use super::Peer;
use crate::model::Source;
use crate::room::access::may_publish;

impl Peer {
    /// As if the client had muted its microphone itself, and the client is told to. It may unmute: nobody else can.
    pub(super) async fn mute_microphone(&mut self) {
        let microphones =
            self.publishing.tracks().filter(|track| track.source() == Source::Microphone && !track.muted);
        let microphones: Vec<String> = microphones.map(|track| track.track_id.clone()).collect();
        for sid in microphones {
            let request = livekit::MuteTrackRequest { sid, muted: true };
            self.tell(Response::Mute(request.clone()));
            self.mute(request).await;
        }
    }

    /// Takes back what may be published no longer. Clients stop such tracks by themselves when they hear of their new
    /// permissions; this is for those that do not.
    pub(super) async fn withdraw(&mut self) {
        let permissions = self.people.me.permissions();
        let forbidden = self.publishing.tracks().filter(|track| !may_publish(&permissions, track.source()));
        let forbidden: Vec<String> = forbidden.map(|track| track.track_id.clone()).collect();
        for track_id in forbidden {
            if self.publishing.remove(&track_id) {
                self.unpublished(track_id).await;
            }
        }
    }
}
