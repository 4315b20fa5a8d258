//! The Controlling PoC Function: one PoC Session and its participants (digest 10.3 to 10.7, 14.6).
//!
//! ```text
//!              183 Unconfirmed   enough take part   nobody is left to wait for   the initiator ends   release
//! Inviting     Unconfirmed +200  Established +200   Releasing +4xx               Releasing            Releasing +4xx
//! Unconfirmed  -                 Established        Releasing +BYE               Releasing            Releasing +BYE
//! Established  -                 -                  too few: Releasing           too few: Releasing   Releasing +BYE
//! Releasing    -                 -                  -                            -                    -
//! ```
//!
//! +200, +4xx and +BYE go to the initiator, whose INVITE made the session. A session that invites nobody begins as
//! `Established`. Entering `Releasing` withdraws every leg, whatever it has come to; it is left when the last leg has ended,
//! and then the record is closed. What "too few" are is the policy's to say.

mod adding;
mod conference;
mod inviting;
mod joining;
mod plan;
mod release;
mod talking;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Contact, Guard, Headers, Instant, Message, SessionId, SubscriberId};
use slab::Slab;

use self::conference::Conference;
use self::inviting::Invitee;
use super::group::{Group, GroupKind, GroupRole, ReleasePolicy};
use super::leg::{self, Ended};
use super::media::{Buffer, Fans, Pace, Take};
use super::policy::{Inviter, Refusal};
use super::record::{Function, Record, SessionType, Side};
use super::{Place, Server};
use crate::answer_state::AnswerState;
use crate::sdp::{self, Capabilities, Described};
use crate::talk_burst::controlling::TalkBursts;

/// One PoC Session.
#[derive(Clone, Debug)]
pub(super) struct Controlling {
    state: State,
    /// When it entered that state.
    since: Instant,
    /// When it began.
    begun: Instant,
    session_type: SessionType,
    /// The group that it is a session of, as it was when the session began.
    group: Option<Box<Group>>,
    /// The PoC Session Identity: the user and host of our Contact on every leg.
    identity: Bytes,
    participants: Slab<Participant>,
    /// The last who had this PoC Address.
    by_address: BTreeMap<Bytes, usize>,
    /// Participants so far.
    entrances: u64,
    /// Groups in the list whose members took their place.
    resolved: BTreeSet<Bytes>,
    /// Whose INVITE made the session, if it invites anybody, until that leg has ended.
    initiator: Option<usize>,
    /// Who is still to be invited.
    queue: VecDeque<Invitee>,
    /// When the next of them are invited.
    next_invites: Option<Instant>,
    /// Legs that have not ended.
    legs: usize,
    /// Participants whose legs stand.
    connected: usize,
    /// Those of them who are distinguished.
    leading: usize,
    /// Participants whose invitations are under way.
    pending: usize,
    participants_max: usize,
    participants_min: usize,
    policy: ReleasePolicy,
    /// When it has lasted long enough.
    until: Option<Instant>,
    /// Whether the initiator has been told that somebody is being asked.
    has_rung: bool,
    /// The initiator's slot is taken.
    holds_slot: bool,
    /// What the initiator offered.
    offer: Bytes,
    /// What the participants are told of our media.
    media: Capabilities,
    /// What is the same in every INVITE of the session.
    invitation: Invitation,
    conference: Conference,
    /// Who speaks.
    pub(super) bursts: TalkBursts,
    /// T9 of those who have left.
    penalties: Vec<(Bytes, Instant)>,
    /// When something in them may be due.
    pub(super) bursts_due: Option<Instant>,
    /// How the talk burst of who speaks goes on.
    pub(super) pace: Pace,
    /// To whom speech and talk burst control go.
    pub(super) fans: Fans,
    /// What was said before those came who are to hear it.
    pub(super) buffer: Option<Box<Buffer>>,
    /// When something of it is to be heard.
    pub(super) buffer_due: Option<Instant>,
    /// The talk bursts that are recorded.
    pub(super) takes: Vec<Take>,
    /// What will be told of the INVITE that made the session, if it invites anybody.
    record: Option<Box<Record>>,
}

/// See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Inviting,
    Unconfirmed,
    Established,
    Releasing,
}

/// Somebody who takes part, is to, or did.
#[derive(Clone, Debug)]
struct Participant {
    address: Bytes,
    /// What it calls itself, if it has said so.
    name: Option<Box<str>>,
    is_anonymous: bool,
    /// Counts the participants of the session: keys are used again.
    number: u64,
    role: GroupRole,
    /// The leg, until it has ended.
    leg: Option<SessionId>,
    state: ParticipantState,
    entrance: Entrance,
    described: Described,
    /// Where it speaks and hears, until the leg has ended.
    media: Option<usize>,
    answered: Option<Instant>,
    /// How it ended, once it has.
    ended: Option<(Instant, Ended)>,
}

/// How far a participant has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ParticipantState {
    /// The participant's own INVITE waits for its answer.
    Waiting,
    /// The invitation is under way.
    Invited {
        /// Its client alerts.
        is_alerting: bool,
    },
    /// The participant takes part.
    Connected,
    /// The leg is to end, for this status towards the initiator if that is not what it ends with.
    Withdrawn {
        /// This status.
        instead: Option<u16>,
        /// Whether somebody else has wanted it so.
        is_removed: bool,
    },
    /// The leg has ended.
    Over,
}

/// How somebody came into a session.
#[derive(Clone, Debug)]
enum Entrance {
    /// The session was made by the participant's INVITE.
    Initiated,
    /// The participant's INVITE met a session that stood; the record of that INVITE.
    Joined(Box<Record>),
    /// Was invited.
    Invited {
        /// Groups within groups above the entry.
        depth: usize,
        /// Who is told how the invitation goes: whose REFER it was.
        referral: Option<SubscriberId>,
        /// In whose name, if it is not the initiator's.
        adder: Option<Arc<Invitation>>,
    },
}

/// What is the same in every INVITE of a session, or in those that one of its participants wanted.
#[derive(Clone, Debug, Default)]
struct Invitation {
    from: Bytes,
    headers: Headers,
    contact: Contact,
    hops: Option<u8>,
    /// Who is invited too, for those who are.
    history: Option<Bytes>,
}

impl Controlling {
    /// Whether the session was made by the user of this address.
    fn serves(&self, address: &[u8]) -> bool {
        self.record.as_ref().is_some_and(|record| record.inviter == address)
    }

    /// Moves a participant on, and counts.
    fn enter(&mut self, key: usize, state: ParticipantState) {
        let Some(participant) = self.participants.get_mut(key) else { return };
        let before = std::mem::replace(&mut participant.state, state);
        let role = participant.role;
        for (each, is_more) in [(before, false), (state, true)] {
            let count = match each {
                ParticipantState::Connected => &mut self.connected,
                ParticipantState::Invited { .. } => &mut self.pending,
                ParticipantState::Waiting | ParticipantState::Withdrawn { .. } | ParticipantState::Over => {
                    continue;
                }
            };
            *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
            if each == ParticipantState::Connected && role == GroupRole::Distinguished {
                self.leading = if is_more { self.leading + 1 } else { self.leading.saturating_sub(1) };
            }
        }
        self.conference.note(&self.participants[key]);
    }

    /// Enters somebody who is not there yet.
    fn insert(&mut self, participant: Participant) -> usize {
        let state = participant.state;
        let address = participant.address.clone();
        self.entrances += 1;
        self.legs += usize::from(participant.leg.is_some());
        let participant =
            Participant { number: self.entrances, state: ParticipantState::Over, ..participant };
        let key = self.participants.insert(participant);
        self.by_address.insert(address, key);
        self.enter(key, state);
        key
    }

    /// Who of this address takes part or is to.
    fn participant_of(&self, address: &[u8]) -> Option<(usize, &Participant)> {
        let key = *self.by_address.get(address)?;
        let is_inside = |participant: &&Participant| match participant.state {
            ParticipantState::Waiting | ParticipantState::Invited { .. } | ParticipantState::Connected => {
                true
            }
            // Its leg may still have to end, and it is in no hurry to say so.
            ParticipantState::Withdrawn { .. } | ParticipantState::Over => false,
        };
        self.participants.get(key).filter(is_inside).map(|found| (key, found))
    }

    /// Whether the INVITE of this address made the session and waits for its answer.
    fn awaits(&self, address: &[u8]) -> bool {
        self.participant_of(address).is_some_and(|(_, each)| each.state == ParticipantState::Waiting)
    }

    /// Whether enough take part for the initiator to be answered; the initiator counts.
    fn is_ready(&self) -> bool {
        self.connected + 1 >= self.participants_min
    }

    /// Places that are taken: by participants, and by those who may still come.
    fn taken(&self) -> usize {
        let waiting = usize::from(self.state == State::Inviting && self.initiator.is_some());
        self.connected + waiting + self.pending + self.queue.len()
    }

    /// Whether the initiator has nobody left to wait for.
    fn has_failed(&self) -> bool {
        match self.state {
            State::Inviting => self.is_hopeless(),
            State::Unconfirmed => self.pending == 0 && self.queue.is_empty(),
            State::Established | State::Releasing => false,
        }
    }

    /// Whether too few may still come.
    fn is_hopeless(&self) -> bool {
        self.connected + 1 + self.pending + self.queue.len() < self.participants_min
    }

    /// Digest 10.5: whether those who remain are to be released.
    fn is_to_end(&self) -> bool {
        let is_led = |group: &Group| group.kind == GroupKind::Dispatch;
        let is_leaderless = self.group.as_deref().is_some_and(is_led) && self.leading == 0;
        self.connected < self.policy.fewer_than.max(1)
            || (self.policy.with_initiator && !self.has_initiator() && self.record.is_some())
            || is_leaderless
    }

    /// Whether the initiator takes part, or still waits for it. Who has been sent away does not.
    fn has_initiator(&self) -> bool {
        self.initiator.is_some_and(|key| !self.participants[key].was_removed())
    }

    /// Digest 12.3: what the failure of everybody is to the initiator.
    fn best_status(&self) -> u16 {
        let statuses = || {
            let invited = self
                .participants
                .iter()
                .filter(|(_, each)| matches!(each.entrance, Entrance::Invited { .. }));
            invited.map(|(_, each)| match (&each.ended, each.state) {
                (_, ParticipantState::Withdrawn { instead: Some(status), .. }) => status,
                (Some((_, ended)), _) => ended.status_for_inviter(),
                (None, _) => 480,
            })
        };
        let first = statuses().next().unwrap_or(480);
        match () {
            () if self.session_type == SessionType::OneToOne => first,
            () if statuses().all(|status| status >= 600) => first,
            () if statuses().all(|status| status == 486) => 486,
            () => 480,
        }
    }
}

impl Server {
    /// An INVITE that makes a session here, or joins one.
    pub(super) fn control(&mut self, session: SessionId, request: &Message, inviter: Inviter) {
        match self.plan(request, &inviter) {
            Ok(plan::Plan::Create(creation)) => self.create(session, request, &inviter, creation),
            Ok(plan::Plan::Join(joining)) => self.join(session, inviter, joining),
            Err(refusal) => {
                let record = self.record(&inviter);
                self.turn_away(session, record, refusal);
            }
        }
    }

    /// Refuses an INVITE that no session comes of; its record is closed when its leg is gone.
    pub(super) fn turn_away(&mut self, session: SessionId, mut record: Record, refusal: Refusal) {
        self.counters.refused += 1;
        record.status = Some(refusal.status);
        let place = self.turned_away.insert(record);
        self.places.insert(session, Place::TurnedAway(place));
        self.refuse(session, refusal);
    }

    /// The record of an INVITE that arrives now.
    fn record(&self, inviter: &Inviter) -> Record {
        Record::begun(Function::Controlling, None, inviter.address.as_ref(), self.now)
    }

    /// A participant's 1xx.
    pub(super) fn participant_progressed(&mut self, place: usize, key: usize, response: &Message) {
        let controlling = &mut self.controlling[place];
        let is_ringing = response.status() == Some(180);
        let is_invited =
            controlling.participants[key].state == ParticipantState::Invited { is_alerting: false };
        if is_ringing && is_invited {
            controlling.enter(key, ParticipantState::Invited { is_alerting: true });
            self.tell_referrer(place, key, 180, None);
            self.note_conference(place);
        }
        let controlling = &mut self.controlling[place];
        match controlling.state {
            State::Inviting => {}
            State::Unconfirmed | State::Established | State::Releasing => return,
        }
        let Some(initiator) = controlling.initiator_leg() else { return };
        if AnswerState::of(response) == Some(AnswerState::Unconfirmed) {
            // Digest 7.5: the header field in a 1xx is for servers, and ends here.
            if self.config.early_answer && controlling.participants_min <= 2 {
                self.answer_initiator(place, AnswerState::Unconfirmed);
            }
        } else if is_ringing && !std::mem::replace(&mut controlling.has_rung, true) {
            self.progress(initiator, 180, Vec::new());
        }
    }

    /// An invited participant's 200, which has been acknowledged.
    pub(super) fn participant_accepted(&mut self, place: usize, key: usize, response: &Message) {
        let now = self.now;
        let controlling = &mut self.controlling[place];
        let participant = &mut controlling.participants[key];
        let own = self.directory.media_for(&participant.address, &controlling.media);
        let agreed = sdp::accept(&own, response.body());
        let Some(leg) = participant.leg else { return };
        let (media, payload_here) = match agreed {
            Ok(media) => {
                let payload_here = own.payload_of(&media.codec);
                (media, payload_here)
            }
            Err(error) => {
                tracing::warn!(%error, "unusable answer of a participant");
                let state = ParticipantState::Withdrawn { instead: Some(488), is_removed: false };
                controlling.enter(key, state);
                return self.leave(leg, leg::reason(Some(&leg::reason_of_status(488))));
            }
        };
        participant.answered = Some(now);
        // Everybody who comes later must take what the first one took: the server does not transcode.
        controlling.media.codecs = vec![media.codec.clone()];
        controlling.enter(key, ParticipantState::Connected);
        self.tell_referrer(place, key, 200, AnswerState::of(response));
        self.participant_came(place);
        // The talk burst is the initiator's first, if it is answered now.
        self.take_part(place, key, &media, payload_here, false);
    }

    /// One more takes part.
    fn participant_came(&mut self, place: usize) {
        let controlling = &mut self.controlling[place];
        match controlling.state {
            State::Inviting if controlling.is_ready() => {
                self.answer_initiator(place, AnswerState::Confirmed);
            }
            // The initiator alone, by another leg, is no session yet.
            State::Unconfirmed if controlling.connected > 1 => controlling.state = State::Established,
            State::Inviting | State::Unconfirmed | State::Established => {}
            State::Releasing => debug_assert!(false, "a leg that was withdrawn is never established"),
        }
        self.note_conference(place);
    }

    /// 200 to the initiator, with our media (digest 7.5, 10.3 step 7).
    fn answer_initiator(&mut self, place: usize, answer_state: AnswerState) {
        let now = self.now;
        let Some(key) = self.controlling[place].initiator else { return };
        let may_speak = self.may_speak(place, key);
        let controlling = &mut self.controlling[place];
        let Some(leg) = controlling.initiator_leg() else { return };
        let Participant { address, described, media, .. } = &mut controlling.participants[key];
        let own = self.directory.media_for(address, &controlling.media);
        let (mut own, offer) = (self.media.at_ports_of(*media, own), &controlling.offer);
        // User-plane digest 9: whoever can be told so is granted by the answer; the Granted that follows has the time.
        own.to_mut().talk_burst.tb_granted = may_speak && controlling.bursts.holder().is_none();
        let answer = described.try_describe(|origin| sdp::answer(&own, origin, offer));
        let Ok((answer, agreed)) = answer else {
            // The codec that the participant took is one that the initiator offered, so this does not happen; if it did,
            // nobody would hear anybody.
            let ended = Ended::here(End::Rejected, 488);
            return self.release(place, Side::Server, ended);
        };
        let headers: Headers = match answer_state {
            AnswerState::Confirmed => {
                (controlling.state, controlling.since) = (State::Established, now);
                Vec::new()
            }
            AnswerState::Unconfirmed => {
                (controlling.state, controlling.since) = (State::Unconfirmed, now);
                vec![(Name::PAnswerState, Bytes::from_static(answer_state.as_str().as_bytes()))]
            }
        };
        controlling.enter(key, ParticipantState::Connected);
        controlling.participants[key].answered = Some(now);
        if let Some(record) = &mut controlling.record {
            (record.answered, record.status) = (Some(now), Some(200));
        }
        self.accept(leg, headers, Some(sdp::body(answer)));
        // User-plane digest 9: the INVITE that makes a session asks for the talk burst.
        self.take_part(place, key, &agreed, agreed.codec.payload, true);
        self.note_conference(place);
    }

    /// The end of a participant's leg: refused, never answered, left, or what was withdrawn. A CANCEL of it has been answered
    /// already, both parts.
    pub(super) fn participant_ended(&mut self, place: usize, key: usize, ended: Ended) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let Some(participant) = controlling.participants.get_mut(key) else { return };
        let before = participant.state;
        if participant.leg.take().is_some() {
            controlling.legs -= 1;
        }
        self.take_no_part(place, key);
        self.close_media(place, key);
        let controlling = &mut self.controlling[place];
        let participant = &mut controlling.participants[key];
        participant.ended = Some((now, ended.clone()));
        let address = participant.address.clone();
        let side = controlling.side_of(key);
        if !matches!(before, ParticipantState::Withdrawn { .. }) {
            controlling.enter(key, ParticipantState::Over);
        } else {
            controlling.conference.note(&controlling.participants[key]);
        }
        if controlling.initiator == Some(key) {
            controlling.initiator = None;
            self.vacate_initiator(place);
        }
        let status = ended.status_for_inviter();
        // Who has added a group hears of its members, the first of whom to answer counts.
        if !self.replace_by_members(place, key, &ended) {
            self.tell_referrer(place, key, status, None);
            self.close_joined(place, key, &ended);
        }
        self.forget_subscriptions_of(place, &address);
        self.reconsider(place, side, before, ended);
        self.note_conference(place);
        self.close_controlling(place);
    }

    /// What the end of one leg means for the others (digest 10.3 steps 10 and 11, 10.5, 14.6 steps 1 to 4).
    fn reconsider(&mut self, place: usize, side: Side, before: ParticipantState, ended: Ended) {
        let controlling = &self.controlling[place];
        let has_left = before == ParticipantState::Connected;
        match controlling.state {
            State::Inviting if controlling.initiator.is_none() && Guard::WishEndsSetUp.is_off() => {}
            State::Unconfirmed if side == Side::Inviter && Guard::EarlyAnswerIsWithdrawn.is_off() => {}
            State::Inviting if controlling.initiator.is_none() => self.release(place, side, ended),
            // The BYE after an early answer.
            State::Unconfirmed if side == Side::Inviter => self.release(place, side, ended),
            State::Inviting | State::Unconfirmed if controlling.has_failed() => self.fail(place),
            State::Established if has_left && controlling.is_to_end() => self.release(place, side, ended),
            State::Inviting | State::Unconfirmed | State::Established | State::Releasing => {}
        }
    }

    /// Too many have failed for a session to come of it.
    fn fail(&mut self, place: usize) {
        self.await_nobody(place);
        let status = self.controlling[place].best_status();
        let ended = Ended { by: Party::Remote, ..Ended::here(End::Rejected, status) };
        self.release(place, Side::Invited, ended);
    }

    /// A participant of a session that is controlled here offers other media: the server answers for itself.
    pub(super) fn answer_participant(&mut self, place: usize, key: usize, session: SessionId, offer: &[u8]) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let Some(participant) = controlling.participants.get_mut(key) else { return };
        let own = self.directory.media_for(&participant.address, &controlling.media);
        let own = self.media.at_ports_of(participant.media, own);
        match participant.described.respond(&own, offer) {
            Ok((answer, agreed)) => {
                self.accept(session, Vec::new(), Some(sdp::body(answer)));
                if let Some(agreed) = agreed {
                    self.move_media(place, key, &agreed);
                }
            }
            Err(_) => self.refuse(session, Refusal::status(488)),
        }
    }
}

impl Controlling {
    /// Whose leg it is, as the record tells it. The initiator may have come by another one.
    fn side_of(&self, key: usize) -> Side {
        if self.initiator == Some(key) { Side::Inviter } else { Side::Invited }
    }

    /// The record that tells of the leg of a participant.
    pub(super) fn record_of(&mut self, key: usize) -> Option<&mut Record> {
        match self.participants.get_mut(key).map(|participant| &mut participant.entrance) {
            Some(Entrance::Joined(record)) => Some(record),
            Some(Entrance::Initiated | Entrance::Invited { .. }) | None => self.record.as_deref_mut(),
        }
    }

    /// The leg of the initiator, while it stands or waits.
    fn initiator_leg(&self) -> Option<SessionId> {
        self.initiator.and_then(|key| self.participants[key].leg)
    }
}
