//! A participant's sessions at the node: which there are, what they are set to, and what waits for them.
//!
//! With two PeerConnections the one on which the node offers is `PA_x.sub`, the other `PA_x.pub`; the latter is created
//! when the client first offers, since a client that publishes nothing never does. With one it is `PA_x`.
use prost::Message;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

use super::encode;
use crate::model;
use crate::node::{BackOff, Node, is_transient};
use crate::room::Presence;

/// Channels of the client protocol that hold one message each of a known shape; others are passed on as they are.
const PACKET_LABELS: [&str; 2] = ["_reliable", "_lossy"];
/// Field numbers of the message on those channels.
const DESTINATIONS_FIELD: u32 = 5;
/// `DataPacket.user.destination_identities`: where some clients still name the receivers.
const USER_DESTINATIONS_PATH: [u32; 2] = [2, 6];
const SEQUENCE_FIELD: u32 = 16;
/// Candidates that come before their session.
const MOST_EARLY_CANDIDATES: usize = 64;
/// Attempts to end a session: about a minute. Then the node's own timeout does.
const MOST_DELETIONS: u32 = 20;

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) room_id: String,
    pub(super) epoch: u64,
}

#[derive(Debug)]
pub(super) struct Sessions {
    participant_id: String,
    /// Where the client offers.
    pub(super) publisher: String,
    /// Where subscriptions live; `None` if the participant may not subscribe and has no such session.
    pub(super) subscriber: Option<String>,
    /// The publisher's session exists.
    pub(super) publisher_exists: bool,
    /// For the publisher's session before it exists.
    pub(super) early_candidates: Vec<String>,
}

impl Sessions {
    pub(super) fn new(me: &Presence, client: &model::Client) -> Self {
        let id = me.id();
        let (publisher, subscriber) = if client.single_connection {
            (id.to_owned(), Some(id.to_owned()))
        } else {
            (format!("{id}.pub"), me.permissions().can_subscribe.then(|| format!("{id}.sub")))
        };
        // The first session is created on joining, whatever it is.
        let publisher_exists = subscriber.as_ref().is_none_or(|subscriber| *subscriber == publisher);
        let participant_id = id.to_owned();
        Self { participant_id, publisher, subscriber, publisher_exists, early_candidates: Vec::new() }
    }

    /// The session that stands for the participant: it is created on joining, and holds its record.
    pub(super) fn primary(&self) -> &str {
        self.subscriber.as_ref().unwrap_or(&self.publisher)
    }

    /// The node makes the offers on the subscriber's session.
    pub(super) fn node_offers(&self) -> bool {
        self.subscriber.as_ref().is_some_and(|subscriber| *subscriber != self.publisher)
    }

    pub(super) fn hold_candidate(&mut self, candidate: String) {
        if self.early_candidates.len() < MOST_EARLY_CANDIDATES {
            self.early_candidates.push(candidate);
        }
    }

    pub(super) fn put_primary(
        &self,
        scope: Scope,
        me: &Presence,
        client: &model::Client,
        memory: &model::Member,
    ) -> sfu::PutSessionRequest {
        let mut request = self.put(scope, self.primary(), me, client);
        request.app_state = Some(encode(memory));
        request
    }

    pub(super) fn put_publisher(
        &self,
        scope: Scope,
        me: &Presence,
        client: &model::Client,
    ) -> sfu::PutSessionRequest {
        self.put(scope, &self.publisher, me, client)
    }

    fn put(
        &self,
        scope: Scope,
        session: &str,
        me: &Presence,
        client: &model::Client,
    ) -> sfu::PutSessionRequest {
        let publisher = session == self.publisher;
        let subscriber = self.subscriber.as_deref() == Some(session);
        let permissions = me.permissions();
        let data = sfu::DataPolicy {
            may_send: publisher && permissions.can_publish_data,
            // Messages come where tracks come; who gets no tracks gets them on its only session.
            receives: subscriber || self.subscriber.is_none(),
            address: me.participant.identity.clone(),
            open: if publisher { Vec::new() } else { channels() },
            labels: PACKET_LABELS.map(String::from).to_vec(),
            append: sender(me).into(),
            destinations_field: DESTINATIONS_FIELD,
            destinations_path: USER_DESTINATIONS_PATH.to_vec(),
            sequence_field: SEQUENCE_FIELD,
            ..Default::default()
        };
        let offerer = if publisher { sfu::Offerer::Peer } else { sfu::Offerer::Node };
        let settings = sfu::SessionSettings {
            offerer: offerer.into(),
            data: Some(data),
            ice_lite: client.full_ice.then_some(false),
            ..Default::default()
        };
        sfu::PutSessionRequest {
            room_id: scope.room_id,
            owner_epoch: scope.epoch,
            session_id: session.into(),
            participant_id: self.participant_id.clone(),
            settings: Some(settings),
            app_state: None,
        }
    }

    /// Ends all sessions, in the background: the node may be away for a while.
    pub(super) async fn delete(self, node: Node, scope: Scope) {
        let mut ids = vec![self.publisher];
        ids.extend(self.subscriber.filter(|subscriber| *subscriber != ids[0]));
        for id in ids {
            let mut back_off = BackOff::default();
            for _ in 0..MOST_DELETIONS {
                match node.delete_session(&scope.room_id, &id).await {
                    Err(status) if is_transient(&status) => tokio::time::sleep(back_off.next()).await,
                    _ => break,
                }
            }
        }
    }
}

/// The channels that clients expect to be opened towards them.
fn channels() -> Vec<sfu::DataChannel> {
    let channel = |label: &str, ordered, max_retransmits| sfu::DataChannel {
        label: label.into(),
        ordered,
        max_retransmits,
    };
    vec![
        channel("_reliable", true, None),
        channel("_lossy", false, Some(0)),
        channel("_data_track", false, Some(0)),
    ]
}

/// Fields that the node appends to each message, so that nobody can speak in another's name. The channel that a message
/// came by is left as the sender states it: receivers learn it from the channel itself.
fn sender(me: &Presence) -> Vec<u8> {
    livekit::DataPacket {
        participant_identity: me.participant.identity.clone(),
        participant_sid: me.id().to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(can_subscribe: bool) -> Presence {
        let permissions = model::Permissions { can_subscribe, can_publish_data: true, ..Default::default() };
        let participant = model::Participant {
            participant_id: "PA_1".into(),
            identity: "alice".into(),
            permissions: Some(permissions),
            ..Default::default()
        };
        Presence { participant, tracks: Vec::new() }
    }

    fn put(session: &str, me: &Presence, client: &model::Client) -> sfu::SessionSettings {
        let scope = Scope { room_id: "RM_1".into(), epoch: 1 };
        Sessions::new(me, client).put(scope, session, me, client).settings.unwrap()
    }

    #[test]
    fn with_two_connections_data_goes_up_on_one_and_down_on_the_other() {
        let (me, client) = (me(true), model::Client::default());
        let publisher = put("PA_1.pub", &me, &client);
        assert_eq!(publisher.offerer(), sfu::Offerer::Peer);
        let data = publisher.data.unwrap();
        assert!(data.may_send && !data.receives && data.open.is_empty());
        let subscriber = put("PA_1.sub", &me, &client);
        assert_eq!(subscriber.offerer(), sfu::Offerer::Node);
        let data = subscriber.data.unwrap();
        assert!(!data.may_send && data.receives);
        assert_eq!(
            data.open.iter().map(|channel| channel.label.as_str()).collect::<Vec<_>>(),
            ["_reliable", "_lossy", "_data_track"]
        );
    }

    #[test]
    fn with_one_connection_data_goes_both_ways_on_the_clients_channels() {
        let (me, client) = (me(true), model::Client { single_connection: true, ..Default::default() });
        let data = put("PA_1", &me, &client).data.unwrap();
        assert!(data.may_send && data.receives && data.open.is_empty());
        assert_eq!(data.address, "alice");
    }

    #[test]
    fn who_may_not_subscribe_has_one_session_of_two() {
        let (me, client) = (me(false), model::Client::default());
        let sessions = Sessions::new(&me, &client);
        assert_eq!((sessions.primary(), sessions.node_offers()), ("PA_1.pub", false));
        assert!(sessions.publisher_exists && put("PA_1.pub", &me, &client).data.unwrap().receives);
    }

    #[test]
    fn the_sender_cannot_be_forged() {
        let mut message =
            livekit::DataPacket { participant_sid: "PA_9".into(), ..Default::default() }.encode_to_vec();
        message.extend(sender(&me(true)));
        let message = livekit::DataPacket::decode(&message[..]).unwrap();
        assert_eq!(
            (message.participant_sid.as_str(), message.participant_identity.as_str()),
            ("PA_1", "alice")
        );
    }
}
