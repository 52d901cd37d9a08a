//! Tracks between the client protocol's words and the node's, and what a participant wants of the others'
//! tracks.
use std::collections::{BTreeMap, HashMap};

use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as proto;

/// Those of a room, by id.
pub(crate) type Tracks = BTreeMap<String, proto::TrackInfo>;

/// The id of a participant's track. No identity has a dot.
pub(crate) fn id(identity: &str, number: usize) -> String {
    format!("{identity}.{number}")
}

/// Whose track it is.
pub(crate) fn owner(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(identity, _)| identity)
}

/// What a client announces, as it is declared at the node.
pub(crate) fn publication(request: &proto::AddTrackRequest, id: String) -> sfu::Publication {
    let video = request.r#type() == proto::TrackType::Video;
    let layer = |layer: &proto::VideoLayer| sfu::Layer {
        rid: layer.rid.clone(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate.into(),
        active: false,
    };
    sfu::Publication {
        publication_id: id,
        client_track_id: request.cid.clone(),
        kind: if video { sfu::Kind::Video } else { sfu::Kind::Audio }.into(),
        muted: request.muted,
        layers: request.layers.iter().map(layer).collect(),
        ..Default::default()
    }
}

/// A publication, as clients are told of it.
pub(crate) fn info(publication: &sfu::Publication) -> proto::TrackInfo {
    let largest = publication.layers.last();
    let layer = |layer: &sfu::Layer| proto::VideoLayer {
        width: layer.width,
        height: layer.height,
        ..Default::default()
    };
    let mut info = proto::TrackInfo {
        sid: publication.publication_id.clone(),
        muted: publication.muted,
        width: largest.map_or(0, |layer| layer.width),
        height: largest.map_or(0, |layer| layer.height),
        layers: publication.layers.iter().map(layer).collect(),
        ..Default::default()
    };
    info.set_type(match publication.kind() {
        sfu::Kind::Video => proto::TrackType::Video,
        sfu::Kind::Audio | sfu::Kind::Unspecified => proto::TrackType::Audio,
    });
    info
}

/// The track of each section.
pub(crate) fn by_section(bindings: Vec<sfu::Binding>) -> HashMap<String, String> {
    use sfu::binding::Carries::{PublicationId, SubscriptionPublicationId};
    let named = bindings.into_iter().filter_map(|binding| {
        let (PublicationId(track) | SubscriptionPublicationId(track)) = binding.carries?;
        Some((binding.mid, track))
    });
    named.collect()
}

/// News of the others, from what was told before to what is now: first who or what has gone, then who is
/// there.
pub(crate) fn news(told: &mut Tracks, now: &Tracks, me: &str) -> Vec<proto::ParticipantInfo> {
    let mut gone: BTreeMap<&str, Vec<proto::TrackInfo>> = BTreeMap::new();
    for (id, info) in told.iter().filter(|(id, _)| !now.contains_key(*id)) {
        gone.entry(owner(id)).or_default().push(info.clone());
    }
    let mut there: BTreeMap<&str, Vec<proto::TrackInfo>> = BTreeMap::new();
    for (id, info) in now.iter().filter(|(id, _)| owner(id) != me) {
        // Who loses a track is told of as gone, and then as there with the others.
        if told.get(id) != Some(info) || gone.contains_key(owner(id)) {
            there.entry(owner(id)).or_default().push(info.clone());
        }
    }
    let gone = gone.into_iter().map(|gone| (gone, proto::participant_info::State::Disconnected));
    let there = there.into_iter().map(|there| (there, proto::participant_info::State::Active));
    let news = gone
        .chain(there)
        .map(|((identity, tracks), state)| proto::ParticipantInfo { tracks, ..participant(identity, state) });
    let news = news.collect::<Vec<_>>();
    if !news.is_empty() {
        *told = now
            .iter()
            .filter(|(id, _)| owner(id) != me)
            .map(|(id, info)| (id.clone(), info.clone()))
            .collect();
    }
    news
}

pub(crate) fn participant(identity: &str, state: proto::participant_info::State) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: identity.into(),
        identity: identity.into(),
        state: state.into(),
        ..Default::default()
    }
}

/// What a participant wants of the others' tracks.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Every track as it appears.
    all: bool,
    /// The lowest layer until a size is asked for.
    adaptive: bool,
    chosen: HashMap<String, bool>,
    sizes: HashMap<String, (u32, u32)>,
}

impl Wishes {
    pub(crate) fn new(all: bool, adaptive: bool) -> Self {
        Self { all, adaptive, ..Self::default() }
    }

    pub(crate) fn choose(&mut self, update: &proto::UpdateSubscription) {
        self.chosen.extend(update.track_sids.iter().map(|id| (id.clone(), update.subscribe)));
    }

    pub(crate) fn size(&mut self, update: &proto::UpdateTrackSettings) {
        let size = (update.width, update.height);
        self.sizes.extend(update.track_sids.iter().map(|id| (id.clone(), size)));
    }

    /// Forgets tracks that are no more.
    pub(crate) fn keep(&mut self, tracks: &Tracks) {
        self.chosen.retain(|id, _| tracks.contains_key(id));
        self.sizes.retain(|id, _| tracks.contains_key(id));
    }

    /// All subscriptions, as the node shall have them.
    pub(crate) fn subscriptions(&self, tracks: &Tracks) -> Vec<sfu::Subscription> {
        let wanted = tracks.iter().filter(|(id, _)| self.chosen.get(*id).copied().unwrap_or(self.all));
        let subscription = |(id, info): (&String, &proto::TrackInfo)| sfu::Subscription {
            publication_id: id.clone(),
            wish: Some(self.wish(id, info.r#type() == proto::TrackType::Video)),
            ..Default::default()
        };
        wanted.map(subscription).collect()
    }

    fn wish(&self, id: &str, video: bool) -> sfu::Wish {
        match self.sizes.get(id) {
            Some(&(width, height)) => sfu::Wish { width, height, ..Default::default() },
            None => sfu::Wish { max_layer: (self.adaptive && video).then_some(0), ..Default::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(ids: &[&str]) -> Tracks {
        let track = |id: &&str| {
            let mut info = proto::TrackInfo { sid: (*id).into(), ..Default::default() };
            info.set_type(proto::TrackType::Video);
            ((*id).to_owned(), info)
        };
        ids.iter().map(track).collect()
    }

    fn said(news: &[proto::ParticipantInfo]) -> Vec<String> {
        let ids = |info: &proto::ParticipantInfo| {
            info.tracks.iter().map(|track| track.sid.clone()).collect::<Vec<_>>()
        };
        news.iter().map(|info| format!("{:?} {}", info.state(), ids(info).join(" "))).collect()
    }

    #[test]
    fn news_tell_who_is_gone_and_who_is_there_and_nothing_of_oneself() {
        let mut told = Tracks::new();
        assert_eq!(
            said(&news(&mut told, &tracks(&["a.0", "b.0", "b.1", "me.0"]), "me")),
            ["Active a.0", "Active b.0 b.1"]
        );
        assert!(news(&mut told, &tracks(&["a.0", "b.0", "b.1"]), "me").is_empty(), "nothing new");
        let one_less = tracks(&["a.0", "b.1"]);
        assert_eq!(said(&news(&mut told, &one_less, "me")), ["Disconnected b.0", "Active b.1"]);
        assert_eq!(said(&news(&mut told, &tracks(&["b.1"]), "me")), ["Disconnected a.0"]);
        let mut muted = tracks(&["b.1"]);
        muted.values_mut().for_each(|info| info.muted = true);
        assert_eq!(said(&news(&mut told, &muted, "me")), ["Active b.1"]);
        assert!(told["b.1"].muted);
    }

    #[test]
    fn an_announced_track_comes_back_as_it_was() {
        let mut request = proto::AddTrackRequest { cid: "cam".into(), ..Default::default() };
        request.set_type(proto::TrackType::Video);
        let layer = |rid: &str, height| proto::VideoLayer { rid: rid.into(), height, ..Default::default() };
        request.layers = vec![layer("q", 180), layer("f", 720)];
        let publication = publication(&request, id("ann-1", 0));
        assert_eq!((publication.client_track_id.as_str(), publication.layers[1].rid.as_str()), ("cam", "f"));
        let info = info(&publication);
        assert_eq!((owner(&info.sid), info.height, info.layers.len()), ("ann-1", 720, 2));
        assert_eq!(info.r#type(), proto::TrackType::Video);
    }

    #[test]
    fn who_asks_for_sizes_begins_low_and_who_chooses_gets_only_that() {
        let tracks = tracks(&["a.0", "b.0"]);
        let mut wishes = Wishes { adaptive: true, ..Wishes::default() };
        assert!(wishes.subscriptions(&tracks).is_empty());
        let track_sids = vec!["b.0".to_owned()];
        wishes.choose(&proto::UpdateSubscription {
            track_sids: track_sids.clone(),
            subscribe: true,
            ..Default::default()
        });
        let wish = |wishes: &Wishes| wishes.subscriptions(&tracks)[0].wish.unwrap();
        assert_eq!((wishes.subscriptions(&tracks).len(), wish(&wishes).max_layer), (1, Some(0)));
        wishes.size(&proto::UpdateTrackSettings {
            track_sids,
            width: 640,
            height: 360,
            ..Default::default()
        });
        assert_eq!((wish(&wishes).height, wish(&wishes).max_layer), (360, None));
        wishes.keep(&Tracks::new());
        assert!(wishes.subscriptions(&tracks).is_empty(), "forgotten with its track");
    }
}
