//! Offer and answer between what is declared and what the peer's description has (RFC 8829).
//!
//! Assignments are worked out first and take effect only when the transport accepted the text, so that a bad
//! description changes nothing. `docs/negotiation.md` tells the rules and where they come from.

use std::time::Instant;

use sluice_rtp::MediaKind;
use sluice_sdp::{
    CodecPolicy, Description, Direction, Kind, Limits, Msid, Opus, Parsed, Plan, ReceivePolicy, Role,
    SendPolicy,
};

use crate::command::{Binding, Carries, CommandError, MissingSections, Negotiated, NegotiationStep};
use crate::demux::SessionKey;
use crate::model::{Offerer, PauseReason};
use crate::publication::Publication;
use crate::room::Room;
use crate::section::{PublicationKey, Section, SubscriptionKey, Use};
use crate::session::Session;
use crate::shard::Shard;
use crate::transport::{Mid, Rid, SectionChange};

/// What a section of the peer's offer will be, once the transport agreed.
struct Assignment {
    mid: Mid,
    kind: MediaKind,
    used: Use,
    peer_receives: bool,
    track: String,
    rids: Vec<Rid>,
}

impl Shard {
    /// Takes one step for a session.
    pub(crate) fn negotiate(
        &mut self,
        now: Instant,
        key: SessionKey,
        step: NegotiationStep,
    ) -> Result<Negotiated, CommandError> {
        let sdp = match step {
            NegotiationStep::RemoteOffer(text) => self.answer(now, key, &text)?,
            NegotiationStep::CreateOffer { ice_restart } => self.offer(key, ice_restart)?,
            NegotiationStep::RemoteAnswer(text) => {
                self.take_answer(key, &text)?;
                String::new()
            }
        };
        tracing::trace!(session = %self.sessions[key].id, sdp, "negotiated");
        let ufrag = self.sessions[key].transport.ufrag();
        self.name_session(key, ufrag);
        self.sessions[key].negotiation_announced = false;
        self.refresh_subscriptions(now, key);
        self.touch(key);
        self.check_negotiation(key);
        let session = &self.sessions[key];
        let room = &self.rooms[session.room];
        Ok(Negotiated { sdp, bindings: bindings(session, room), missing: missing(session, room) })
    }

    fn answer(&mut self, now: Instant, key: SessionKey, text: &str) -> Result<String, CommandError> {
        let limits = self.sdp_limits();
        let offer = Parsed::read(text, &limits).map_err(|e| invalid("remote_offer", &e))?;
        if self.sessions[key].settings.offerer != Offerer::Peer && !offer.description().sections.is_empty() {
            return Err(CommandError::Precondition("the node makes this session's offers".into()));
        }
        let fresh = self.credentials();
        let session = &mut self.sessions[key];
        let room = &mut self.rooms[session.room];
        let assignments = assign(session, room, offer.description());
        if assignments.len() > self.config.limits.sections {
            return Err(CommandError::Exhausted(format!(
                "more than {} sections",
                self.config.limits.sections
            )));
        }

        // The peer's offer is narrowed first, so that the transport holds the directions that the answer will have.
        let admitted = offer
            .admit_offer(&mut session.payload_types, &session.places, |section| {
                let mid = Mid::from(section.mid.as_str());
                assignments.iter().find(|a| a.mid == mid).map_or(Direction::Inactive, |a| a.direction())
            })
            .map_err(|e| invalid("remote_offer", &e))?;
        let raw =
            session.transport.accept_offer(&admitted.text, fresh).map_err(|e| invalid("remote_offer", &e))?;
        session.places = admitted.places;
        let ended = commit(session, assignments);
        let answer = Parsed::read(&raw, &limits).map_err(|e| fault(&e))?;
        let plan = roles(session, room, answer.description());
        let plan = Plan { sections: &plan, others: Role::Keep };
        let sdp = answer.correct_answer(&plan, admitted.order).map_err(|e| fault(&e))?;
        self.rebind(now, key, &ended);
        Ok(sdp)
    }

    fn offer(&mut self, key: SessionKey, ice_restart: bool) -> Result<String, CommandError> {
        if self.sessions[key].transport.is_offer_pending() && !ice_restart {
            return Err(CommandError::Precondition("an offer waits for its answer".into()));
        }
        if self.sessions[key].settings.offerer != Offerer::Node {
            return Err(CommandError::Precondition("the peer makes this session's offers".into()));
        }
        let limits = self.sdp_limits();
        let restart = ice_restart.then(|| self.credentials());
        let session = &mut self.sessions[key];
        let room = &self.rooms[session.room];
        // An offer that was never answered is void: its sections do not exist, or rest again.
        session.sections_offered.clear();

        let mut changes = Vec::new();
        let mut resumed = Vec::new();
        let mut added = Vec::new();
        for section in session.sections.iter() {
            if section.used == Use::Leaving {
                changes.push(SectionChange::Rest(section.mid));
            }
        }
        let mut unused: Vec<(Mid, MediaKind)> =
            session.sections.iter().filter(|s| s.used == Use::Unused).map(|s| (s.mid, s.kind)).collect();
        let mut room_left = self.config.limits.sections.saturating_sub(session.sections.len());
        for (subscription, kind, publication) in waiting(session, room) {
            if let Some(index) = unused.iter().position(|(_, k)| *k == kind) {
                let (mid, _) = unused.remove(index);
                changes.push(SectionChange::Resume(mid));
                resumed.push((mid, subscription));
            } else if room_left > 0 {
                room_left -= 1;
                changes.push(SectionChange::Add {
                    kind,
                    stream: publication.spec.stream_label.clone(),
                    track: publication.spec.track_label.clone(),
                });
                added.push((kind, subscription));
            }
        }

        let Some(offered) = session.transport.create_offer(&changes, restart) else {
            return Ok(String::new());
        };
        let new = offered.added.iter().zip(&added).map(|(mid, (kind, sub))| (*mid, *kind, *sub));
        session.sections_offered = new
            .chain(resumed.iter().filter_map(|(mid, sub)| {
                session.sections.get(*mid).map(|section| (*mid, section.kind, *sub))
            }))
            .collect();

        let offer = Parsed::read(&offered.sdp, &limits).map_err(|e| fault(&e))?;
        let plan = roles(session, room, offer.description());
        offer.correct(&Plan { sections: &plan, others: Role::Keep }).map_err(|e| fault(&e))
    }

    fn take_answer(&mut self, key: SessionKey, text: &str) -> Result<(), CommandError> {
        let limits = self.sdp_limits();
        let session = &mut self.sessions[key];
        if !session.transport.is_offer_pending() {
            return Err(CommandError::Precondition("no offer waits for an answer".into()));
        }
        let admitted =
            sluice_sdp::admit(text, &limits, &mut session.payload_types, |section| section.direction)
                .map_err(|e| invalid("remote_answer", &e))?;
        session.transport.accept_answer(&admitted.text).map_err(|e| invalid("remote_answer", &e))?;
        let answer = admitted.description;
        for (mid, kind, subscription) in std::mem::take(&mut session.sections_offered) {
            let used = Use::Subscription(subscription);
            match session.sections.get_mut(mid) {
                Some(section) => section.used = used,
                None => session.sections.push(Section::new(mid, kind, used)),
            }
        }
        let mut gone = Vec::new();
        for section in session.sections.iter_mut() {
            let answered = answer.section(&section.mid);
            section.peer_receives = answered.is_some_and(|a| !a.rejected && a.direction.receives());
            match section.used {
                // Only a section that the answer shows at rest is free for the next owner.
                Use::Leaving if answered.is_none_or(|a| a.direction == Direction::Inactive) => {
                    section.used = Use::Unused;
                }
                Use::Subscription(sub) if session.subscriptions.get(sub).is_none() => gone.push(section.mid),
                _ => {}
            }
        }
        // Subscriptions that ended while the offer was under way.
        for mid in gone {
            if let Some(section) = session.sections.get_mut(mid) {
                section.used = Use::Leaving;
            }
        }
        Ok(())
    }

    /// Publications whose section was taken away end; those that got one begin.
    fn rebind(&mut self, now: Instant, key: SessionKey, ended: &[PublicationKey]) {
        for publication in ended {
            self.unbind_publication(*publication, key);
        }
        let session = &self.sessions[key];
        let bound: Vec<_> = session
            .sections
            .iter()
            .filter_map(|s| match s.used {
                Use::Publication(publication) => Some((publication, s.mid, s.rids.clone())),
                _ => None,
            })
            .collect();
        for (publication, mid, rids) in bound {
            self.bind_publication(now, key, publication, mid, &rids);
        }
    }

    /// Tells the callers once that a round is due.
    pub(crate) fn check_negotiation(&mut self, key: SessionKey) {
        let session = &self.sessions[key];
        if session.negotiation_announced || session.transport.is_offer_pending() {
            return;
        }
        let room = &self.rooms[session.room];
        let leaving = session.sections.iter().any(|s| s.used == Use::Leaving);
        let waits = waiting(session, room).next().is_some();
        if !leaving && !waits {
            return;
        }
        let missing = missing(session, room);
        self.sessions[key].negotiation_announced = true;
        self.emit_negotiation_needed(key, missing);
    }

    fn sdp_limits(&self) -> Limits {
        Limits {
            bytes: self.config.limits.sdp_bytes,
            sections: self.config.limits.sections,
            ..Limits::default()
        }
    }
}

/// Works out who uses each section of the peer's offer.
fn assign(session: &Session, room: &Room, offer: &Description) -> Vec<Assignment> {
    let mut claimed: Vec<PublicationKey> = Vec::new();
    let mut bound: Vec<SubscriptionKey> = Vec::new();
    let media = || {
        offer.sections.iter().filter_map(|s| {
            let kind = match s.kind {
                Kind::Audio => MediaKind::Audio,
                Kind::Video => MediaKind::Video,
                Kind::Application => return None,
            };
            Some((s, kind, Mid::from(s.mid.as_str())))
        })
    };
    // Present owners first, so that nobody else is given what they hold.
    for (section, _, mid) in media() {
        match session.sections.get(mid).map(|s| (s.used, s.track.as_str())) {
            Some((Use::Publication(publication), track))
                if sends(section) && msid_track(section) == track =>
            {
                claimed.push(publication);
            }
            Some((Use::Subscription(subscription), _)) if receives(section) => bound.push(subscription),
            _ => {}
        }
    }
    let mut assignments = Vec::new();
    for (section, kind, mid) in media() {
        let present = session.sections.get(mid);
        let track = msid_track(section);
        let used = if sends(section) {
            match present.map(|s| (s.used, s.track == track)) {
                Some((Use::Publication(publication), true)) => Use::Publication(publication),
                _ => match claim(session, room, kind, track, &claimed) {
                    Some(publication) => {
                        claimed.push(publication);
                        Use::Publication(publication)
                    }
                    None => Use::Unclaimed,
                },
            }
        } else if receives(section) {
            match present.map(|s| s.used) {
                Some(Use::Subscription(subscription)) => Use::Subscription(subscription),
                // Rests for this round; the next one may give it away again.
                Some(Use::Leaving | Use::Publication(_) | Use::Unclaimed) => Use::Unused,
                Some(Use::Unused) | None => {
                    let next = waiting(session, room).find(|(sub, k, _)| *k == kind && !bound.contains(sub));
                    match next {
                        Some((subscription, ..)) => {
                            bound.push(subscription);
                            Use::Subscription(subscription)
                        }
                        None => Use::Unused,
                    }
                }
            }
        } else {
            Use::Unused
        };
        assignments.push(Assignment {
            mid,
            kind,
            used,
            peer_receives: receives(section),
            track: track.to_owned(),
            rids: section.rids_send.iter().map(|rid| Rid::from(rid.as_str())).collect(),
        });
    }
    assignments
}

/// The declared publication that a track belongs to: by its id, else the oldest of its kind without a section.
pub(crate) fn claim(
    session: &Session,
    room: &Room,
    kind: MediaKind,
    track: &str,
    taken: &[PublicationKey],
) -> Option<PublicationKey> {
    let free = || {
        session.publications.iter().copied().filter(|key| {
            let publication = &room.publications[*key];
            publication.spec.kind == kind && publication.mid.is_none() && !taken.contains(key)
        })
    };
    free()
        .find(|key| !track.is_empty() && room.publications[*key].spec.client_track_id == track)
        .or_else(|| free().next())
}

/// Puts assignments into effect; returns the publications that lost their section.
fn commit(session: &mut Session, assignments: Vec<Assignment>) -> Vec<PublicationKey> {
    let mut ended = Vec::new();
    session.sections.forget_unused(|mid| assignments.iter().any(|a| a.mid == mid));
    for assignment in assignments {
        if session.sections.get(assignment.mid).is_none() {
            session.sections.push(Section::new(assignment.mid, assignment.kind, Use::Unused));
        }
        let Some(section) = session.sections.get_mut(assignment.mid) else { continue };
        if let Use::Publication(old) = section.used
            && assignment.used != section.used
        {
            ended.push(old);
        }
        // The stream stays the section's: whoever gets the section next goes on with its numbers.
        if let Use::Subscription(old) = section.used
            && assignment.used != section.used
            && let Some(subscription) = session.subscriptions.get_mut(old)
            && let Some(mut egress) = subscription.egress.take_if(|egress| egress.mid == assignment.mid)
        {
            egress.switcher.set_target(None);
            subscription.paused = Some(PauseReason::NotNegotiated);
            section.spare = Some(Box::new(egress));
        }
        section.used = assignment.used;
        section.peer_receives = assignment.peer_receives;
        section.track = assignment.track;
        section.rids = assignment.rids;
    }
    ended
}

impl Assignment {
    /// The direction that the transport shall see, from the peer's side.
    fn direction(&self) -> Direction {
        match self.used {
            Use::Unused | Use::Leaving => Direction::Inactive,
            // A section that could do both only sends: tracks to the peer get sections of their own.
            Use::Publication(_) | Use::Unclaimed => Direction::SendOnly,
            Use::Subscription(_) => Direction::RecvOnly,
        }
    }
}

/// What each section of our own text must say.
fn roles(session: &Session, room: &Room, text: &Description) -> Vec<(String, Role)> {
    let offered = |mid: Mid| session.sections_offered.iter().find(|(m, ..)| *m == mid).map(|o| o.2);
    let mut plan = Vec::new();
    for section in &text.sections {
        if section.kind == Kind::Application || section.rejected {
            continue;
        }
        let mid = Mid::from(section.mid.as_str());
        let used = match offered(mid) {
            Some(subscription) => Use::Subscription(subscription),
            None => session.sections.get(mid).map_or(Use::Unused, |s| s.used),
        };
        let role = match used {
            Use::Publication(key) => receive_role(&room.publications[key], section),
            Use::Unclaimed => Role::Receive(ReceivePolicy::default()),
            Use::Subscription(key) => session
                .subscriptions
                .get(key)
                .and_then(|s| room.publications.get(s.publication?))
                .and_then(|publication| send_role(publication, section))
                .unwrap_or(Role::Inactive),
            Use::Unused | Use::Leaving => Role::Inactive,
        };
        plan.push((section.mid.clone(), role));
    }
    plan
}

fn receive_role(publication: &Publication, section: &sluice_sdp::Section) -> Role {
    let names = section.codec_names();
    // One codec and no more: some browsers send the first of their own, whatever the answer prefers.
    let first = publication.spec.codecs.iter().map(|c| c.name()).find(|name| names.contains(name));
    Role::Receive(ReceivePolicy {
        codecs: first.map_or(CodecPolicy::Any, |name| CodecPolicy::Only(vec![name.to_owned()])),
        opus: Opus { dtx: publication.spec.opus_dtx, stereo: publication.spec.opus_stereo },
        red: false,
    })
}

fn send_role(publication: &Publication, section: &sluice_sdp::Section) -> Option<Role> {
    let msid =
        Msid::new(publication.spec.stream_label.as_str(), publication.spec.track_label.as_str()).ok()?;
    let names = section.codec_names();
    let codecs = match publication.codec() {
        Some(codec) if names.contains(&codec.name()) => CodecPolicy::Only(vec![codec.name().to_owned()]),
        _ => CodecPolicy::Any,
    };
    Some(Role::Send(SendPolicy { msid, codecs }))
}

/// Subscriptions that could flow but have no section, in order of declaration.
pub(crate) fn waiting<'a>(
    session: &'a Session,
    room: &'a Room,
) -> impl Iterator<Item = (SubscriptionKey, MediaKind, &'a Publication)> {
    session.subscriptions.iter().filter_map(|(key, subscription)| {
        let publication = room.publications.get(subscription.publication?)?;
        publication.mid?;
        session.sections.of_subscription(key).is_none().then_some((key, publication.spec.kind, publication))
    })
}

/// Sections that the peer must add to its next offer.
fn missing(session: &Session, room: &Room) -> MissingSections {
    if session.settings.offerer == Offerer::Node {
        return MissingSections::default();
    }
    let lacking = |kind: MediaKind| {
        let wanted = waiting(session, room).filter(|(_, k, _)| *k == kind).count();
        let free = session
            .sections
            .iter()
            .filter(|s| s.kind == kind && s.peer_receives && matches!(s.used, Use::Unused))
            .count();
        u32::try_from(wanted.saturating_sub(free)).unwrap_or(u32::MAX)
    };
    MissingSections { audio: lacking(MediaKind::Audio), video: lacking(MediaKind::Video) }
}

fn bindings(session: &Session, room: &Room) -> Vec<Binding> {
    session
        .sections
        .iter()
        .filter_map(|section| {
            let carries = match section.used {
                Use::Publication(key) => Carries::Publication(room.publications.get(key)?.spec.id.clone()),
                Use::Subscription(key) => {
                    Carries::Subscription(session.subscriptions.get(key)?.spec.publication.clone())
                }
                _ => return None,
            };
            Some(Binding { mid: section.mid.to_string(), carries })
        })
        .collect()
}

fn sends(section: &sluice_sdp::Section) -> bool {
    !section.rejected && section.direction.sends()
}

fn receives(section: &sluice_sdp::Section) -> bool {
    !section.rejected && section.direction == Direction::RecvOnly
}

fn msid_track(section: &sluice_sdp::Section) -> &str {
    section.msid.as_ref().map_or("", Msid::track)
}

fn invalid(field: &str, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Invalid(format!("{field}: {error}"))
}

/// Our own text does not read back: a fault of the node, not of the caller.
fn fault(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Precondition(format!("the node's own description is broken: {error}"))
}
