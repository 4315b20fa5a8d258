//! One PoC Session of the client, and the procedures that begin and end it.

use bytes::Bytes;
use sip::message::{Fault, Name, NameAddr};
use sip::transport::Target;
use sip::usage::{End, Party};
use sip::{Instant, Message, Misuse, SessionId};

use super::outcome::{Outcome, Role, Timing};
use super::pre_established::Ended;
use super::talking::Talk;
use super::{Client, Command, Emphasis, Event, Profile};
use crate::answer_state::AnswerState;
use crate::focus::Focus;
use crate::sdp::{self, Media, Origin};
use crate::server::SessionType;
use crate::talk_burst::client::Machine;

/// A PoC Session as its user sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Session {
    role: Role,
    pub(super) timing: Timing,
    pub(super) state: State,
    /// The client refused for its user, who had not answered in time.
    unanswered: bool,
    /// What our last session description said of itself.
    pub(super) origin: Origin,
    /// Our last session description.
    pub(super) described: Bytes,
    /// What the PoC Server calls it.
    pub(super) focus: Option<Focus>,
    /// What it is among others.
    pub(super) emphasis: Emphasis,
    /// The next hops and Route values that its user has given for it.
    pub(super) way: (Vec<Target>, Vec<Bytes>),
    /// Answers that came in reliable provisional responses, by the tag of their dialog (RFC 3262 §5).
    early: Vec<(Bytes, Box<Media>)>,
    /// Our offer stood in the 200 to a re-INVITE: the answer will stand in the ACK.
    awaits_answer: bool,
    /// Our offer stood in a reliable provisional response: the answer will stand in its PRACK.
    pub(super) offered_early: bool,
    /// What is said and heard, once it stands.
    pub(super) talk: Option<Box<Talk>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// We invited, and nobody has answered.
    Inviting,
    /// We are invited, and our user has not answered.
    Alerting { offer: Bytes, no_answer_at: Option<Instant> },
    /// We accepted, and the inviter's ACK has not come.
    Accepted { media: Option<Box<Media>> },
    /// Both sides know the session.
    Established,
    /// We have left.
    Leaving,
}

impl Session {
    pub(super) fn new(role: Role, now: Instant, state: State, origin: Origin) -> Self {
        Self {
            role,
            timing: Timing::begun(now),
            state,
            unanswered: false,
            origin,
            focus: None,
            way: (Vec::new(), Vec::new()),
            emphasis: Emphasis::default(),
            early: Vec::new(),
            awaits_answer: false,
            offered_early: false,
            talk: None,
            described: Bytes::new(),
        }
    }

    /// What decides how it goes on: all but the moments that are only reported.
    pub(super) fn without_history(&self) -> impl std::fmt::Debug {
        (
            self.role,
            &self.state,
            self.unanswered,
            &self.early,
            self.awaits_answer,
            self.offered_early,
            &self.described,
            self.emphasis,
            &self.talk,
        )
    }

    /// A further description. RFC 3264 §8, RFC 4028 §7.4: the version rises by one if it differs from the last one, and
    /// says that nothing changed if it does not.
    pub(super) fn describe<T>(&self, description: impl Fn(Origin) -> (Bytes, T)) -> (Bytes, T, Origin) {
        let (same, of_same) = description(self.origin);
        if same == self.described {
            return (same, of_same, self.origin);
        }
        let origin = Origin { version: self.origin.version + 1, ..self.origin };
        let (next, of_next) = description(origin);
        (next, of_next, origin)
    }

    /// When something is due in its talk bursts.
    pub(super) fn talk_deadline(&self) -> Option<Instant> {
        self.talk.as_ref()?.deadline()
    }

    /// When the client stops waiting for its user.
    pub(super) fn no_answer_at(&self) -> Option<Instant> {
        match &self.state {
            State::Alerting { no_answer_at, .. } => *no_answer_at,
            State::Inviting | State::Accepted { .. } | State::Established | State::Leaving => None,
        }
    }
}

impl Client {
    pub(super) fn handle_command(&mut self, command: Command) -> Result<Option<SessionId>, Misuse> {
        // The endpoint remembers a session for a while after its end; the user does not have it any more.
        match &command {
            Command::Cancel(id)
            | Command::Accept(id)
            | Command::Refuse(id)
            | Command::Leave(id)
            | Command::Modify(id)
            | Command::Refer { session: id, .. }
            | Command::Watch(id)
            | Command::Emphasise { session: id, .. }
            | Command::Press { session: id, .. }
            | Command::LetGo(id)
            | Command::AskPosition(id)
            | Command::Speak { session: id, .. }
            | Command::Located { session: id, .. } => {
                if !self.sessions.contains_key(id) && !self.is_carrier(*id) {
                    return Err(Misuse::NoSession);
                }
            }
            Command::StartSession { .. }
            | Command::Alert { .. }
            | Command::Register
            | Command::Deregister
            | Command::NetworkChanged
            | Command::SetSettings(_)
            | Command::Close => {}
        }
        match command {
            Command::StartSession { targets, routes, to, answer } => {
                return self.start_with(targets, routes, &to, answer).map(Some);
            }
            Command::Cancel(session) => self.cancel_session(session)?,
            Command::Accept(session) => self.accept_session(session)?,
            Command::Refuse(session) => self.refuse_session(session, 480)?, // digest Q2
            Command::Leave(session) => self.leave_session(session, Vec::new())?,
            Command::Modify(session) => self.modify_session(session)?,
            Command::Emphasise { session, emphasis } => self.emphasise(session, emphasis)?,
            Command::Refer { session, change, user } => self.refer_to(session, change, user)?,
            Command::Watch(session) => self.watch(session)?,
            Command::Press { session, priority, timestamp } => self.press(session, priority, timestamp)?,
            Command::LetGo(session) => self.with_talk(session, Machine::let_go)?,
            Command::AskPosition(session) => self.with_talk(session, Machine::ask_position)?,
            Command::Speak { session, payload, samples } => self.speak(session, &payload, samples)?,
            Command::Alert { id, targets, routes, to, alert } => {
                self.send_alert(id, (targets, routes), to, &alert)?;
            }
            Command::Located { session, targets } => {
                self.command(sip::Command::Located { session, targets })?;
            }
            Command::Register => self.register()?,
            Command::Deregister => self.deregister()?,
            Command::NetworkChanged => self.change_network()?,
            Command::SetSettings(settings) => self.set_settings(&settings),
            Command::Close => self.close_sessions(),
        }
        Ok(None)
    }

    /// PoC CP 6.1.X.1. Whether there is still something to cancel is the endpoint's to say. In a session that is
    /// established that is a modification, and the session goes on.
    fn cancel_session(&mut self, id: SessionId) -> Result<(), Misuse> {
        let is_inviting = self.sessions.get(&id).is_some_and(|session| session.state == State::Inviting);
        if is_inviting && self.is_carried(id) {
            self.give_up_carried();
        } else {
            let headers = self.release_cause(1, "User ends call");
            self.command(sip::Command::Cancel { session: self.dialog_of(id), headers })?;
        }
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.state == State::Inviting) {
            session.timing.cancelled.get_or_insert(now);
        }
        Ok(())
    }

    pub(super) fn accept_session(&mut self, id: SessionId) -> Result<(), Misuse> {
        let session = self.sessions.get(&id).ok_or(Misuse::NoSession)?;
        let State::Alerting { offer, .. } = &session.state else { return Err(Misuse::NothingToAnswer) };
        let Ok((answer, media)) = self.answer_to(offer, session.origin) else {
            return self.refuse_session(id, 488);
        };
        let body = (!session.offered_early).then(|| sdp::body(answer.clone()));
        let headers = Vec::new();
        self.command(sip::Command::Accept { session: self.dialog_of(id), headers, body })?;
        self.carried_accepted(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.timing.answered = Some(self.now);
            session.state = State::Accepted { media };
            if !session.offered_early {
                session.described = answer;
            }
        }
        Ok(())
    }

    /// Nobody is left ringing or connected because of a client that nobody listens to any more (C32).
    fn close_sessions(&mut self) {
        self.is_closed = true;
        self.tear_down();
        for (id, state) in
            self.sessions.iter().map(|(id, session)| (*id, session.state.clone())).collect::<Vec<_>>()
        {
            let done = match state {
                State::Inviting => self.cancel_session(id),
                State::Alerting { .. } => self.refuse_session(id, 480), // digest Q2
                State::Accepted { .. } | State::Established => self.leave_session(id, Vec::new()),
                State::Leaving => Ok(()),
            };
            unless_over(id, done);
        }
    }

    pub(super) fn refuse_session(&mut self, id: SessionId, status: u16) -> Result<(), Misuse> {
        let state = self.sessions.get(&id).map(|session| &session.state);
        if self.is_carried(id) && !matches!(state, Some(State::Alerting { .. })) {
            return Err(Misuse::NothingToAnswer);
        }
        self.refuse_in(self.dialog_of(id), status)?;
        self.carried_refused(id, status);
        Ok(())
    }

    pub(super) fn refuse_in(&mut self, dialog: SessionId, status: u16) -> Result<(), Misuse> {
        self.command(sip::Command::Refuse { session: dialog, status, headers: Vec::new(), body: None })
    }

    /// PoC CP 6.1.6.1.
    fn leave_session(&mut self, id: SessionId, headers: sip::Headers) -> Result<(), Misuse> {
        if self.is_carried(id) {
            return self.leave_carried(id);
        }
        self.command(sip::Command::Leave { session: id, headers })?;
        self.end_talk(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Leaving;
        }
        Ok(())
    }

    /// Offers our capabilities again: a session that was held, for instance, goes on.
    fn modify_session(&mut self, id: SessionId) -> Result<(), Misuse> {
        let session = self.sessions.get(&id).ok_or(Misuse::NoSession)?;
        if self.is_carried(id) && session.state != State::Established {
            return Err(Misuse::NotEstablished); // its dialog is, and is nobody's session
        }
        let capabilities = self.emphasised(session.emphasis);
        let offer = |origin| (sdp::offer(&capabilities, origin), ());
        let (offer, (), origin) = session.describe(offer);
        self.command(sip::Command::Modify {
            session: self.dialog_of(id),
            headers: Vec::new(),
            body: Some(sdp::body(offer.clone())),
        })?;
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.origin, session.described) = (origin, offer);
        }
        Ok(())
    }

    /// digest 8.3: offered again with what it is among others. A change that cannot be offered changes nothing.
    fn emphasise(&mut self, id: SessionId, emphasis: Emphasis) -> Result<(), Misuse> {
        let session = self.sessions.get_mut(&id).ok_or(Misuse::NoSession)?;
        let before = std::mem::replace(&mut session.emphasis, emphasis);
        self.modify_session(id).inspect_err(|_| {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.emphasis = before;
            }
        })
    }

    fn emphasised(&self, Emphasis { is_primary, is_locked }: Emphasis) -> sdp::Capabilities {
        let mut capabilities = self.config.capabilities.clone();
        capabilities.talk_burst.poc_sess_priority |= is_primary;
        capabilities.talk_burst.poc_lock |= is_locked;
        capabilities
    }

    pub(super) fn command(&mut self, command: sip::Command) -> Result<(), Misuse> {
        self.endpoint.handle_input(self.now, sip::Input::Command(command)).map(|_| ())
    }

    /// The user has not answered in time (digest 9.2).
    pub(super) fn refuse_unanswered(&mut self) {
        let now = self.now;
        let late = |session: &Session| session.no_answer_at().is_some_and(|at| at <= now);
        let due: Vec<_> = self.sessions.iter().filter(|(_, each)| late(each)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.unanswered = true;
            }
            let refused = self.refuse_session(id, 480);
            debug_assert_eq!(refused, Ok(()), "an invitation that alerts can be refused");
        }
    }

    // What the endpoint reports.

    pub(super) fn handle_event(&mut self, event: sip::Event) {
        match event {
            sip::Event::Progress { session, .. } if self.is_carrier(session) => {}
            sip::Event::Established { session, response } if self.is_carrier(session) => {
                self.carrier_stands(&response);
            }
            sip::Event::Acknowledged { session, request } if self.is_carrier(session) => {
                self.carrier_acknowledged(&request);
            }
            sip::Event::ModificationOffered { session, request } if self.is_carrier(session) => {
                self.carrier_offered(session, &request);
            }
            sip::Event::Modified { session, response } if self.is_carrier(session) => {
                self.carrier_modified(&response);
            }
            sip::Event::ModificationEnded { session, end, by, status, .. } if self.is_carrier(session) => {
                self.carrier_modification_ended(Ended { end, by, status });
            }
            sip::Event::Ended { session, end, by, status, reason, .. } if self.is_carrier(session) => {
                self.carrier_lost(Ended { end, by, status }, reason);
            }
            sip::Event::Progress { session, response } => self.be_told_progress(session, &response),
            sip::Event::Invited { session, request } => self.be_invited(session, &request),
            sip::Event::Established { session, response } => self.be_answered(session, &response),
            sip::Event::Acknowledged { session, request } => self.be_acknowledged(session, &request),
            sip::Event::ModificationOffered { session, request } => {
                self.answer_modification(session, &request)
            }
            sip::Event::Ended { session, end, by, status, reason, response: _ } => {
                self.be_ended(session, end, by, status, reason);
            }
            sip::Event::Disconnect { connection } => self.events.push_back(Event::Disconnect { connection }),
            sip::Event::Modified { session, response } => self.be_modified(session, &response),
            sip::Event::ModificationEnded { session, end, by, status, retry_after: _ } => {
                self.events.push_back(Event::ModificationEnded { session, end, by, status });
            }
            sip::Event::Locate { session, uri } => self.events.push_back(Event::Locate { session, uri }),
            sip::Event::Answered { request, response, end: _ } => {
                if !self.alert_answered(request, response.as_ref()) {
                    self.be_told(request, response.as_ref());
                }
            }
            sip::Event::Requested { request, message } => self.be_alerted(request, &message),
            sip::Event::Notified { subscription, message } => self.be_notified(subscription, &message),
            sip::Event::SubscriptionEnded { subscription, end, status, .. } => {
                self.subscription_ended(subscription, end, status);
            }
            // No event package is served, and no REFER: see [`sip::Config`].
            sip::Event::Subscribed { .. }
            | sip::Event::Referred { .. }
            | sip::Event::Resubscribed { .. }
            | sip::Event::SubscriberEnded { .. } => {}
            sip::Event::ProgressAcknowledged { session, request } => {
                let is_answer = self.sessions.get(&session).is_some_and(|session| session.offered_early);
                if is_answer && !request.body().is_empty() {
                    self.note_early_answer(session, request.from(), request.body());
                }
            }
        }
    }

    fn be_told_progress(&mut self, id: SessionId, response: &Message) {
        let status = response.status().unwrap_or(180);
        let is_reliable = response.lists(Name::Require, b"100rel") && response.value(Name::RSeq).is_some();
        if is_reliable && !response.body().is_empty() {
            self.note_early_answer(id, response.to(), response.body());
        }
        self.events.push_back(Event::Progress { session: id, status });
    }

    /// RFC 3261 §13.2.1: the first description in a dialog is the answer; what follows repeats it.
    fn note_early_answer(&mut self, id: SessionId, of: Result<NameAddr<'_>, Fault>, answer: &[u8]) {
        let forks_max = self.config.sip.forks_max;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let tag = tag_of(of);
        let is_first = session.early.iter().all(|(of, _)| *of != tag) && session.early.len() < forks_max;
        // One that cannot be used shows with the 200.
        if is_first && let Ok(media) = sdp::accept(&self.config.capabilities, answer) {
            session.early.push((tag, Box::new(media)));
        }
    }

    fn be_answered(&mut self, id: SessionId, response: &Message) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.timing.answered = Some(now);
        let tag = tag_of(response.to());
        let early = std::mem::take(&mut session.early).into_iter().find(|(of, _)| *of == tag);
        let media = match early {
            Some((_, media)) => Ok(media),
            None => sdp::accept(&self.config.capabilities, response.body()).map(Box::new),
        };
        match media {
            Ok(media) => {
                session.focus = Focus::of(response);
                self.be_established(id, AnswerState::of(response).unwrap_or(AnswerState::Confirmed), media);
            }
            Err(error) => {
                tracing::warn!(%error, "unusable answer");
                self.leave_for_media(id);
            }
        }
    }

    pub(super) fn be_acknowledged(&mut self, id: SessionId, ack: &Message) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if std::mem::take(&mut session.awaits_answer) {
            return self.take_answer(id, ack.body());
        }
        let State::Accepted { media } = &mut session.state else { return };
        // An INVITE without an offer: ours stood in the 200, and the answer stands in the ACK (RFC 3264, RFC 3261 §13.2.1).
        let media = match media.take().or_else(|| session.early.pop().map(|(_, media)| media)) {
            Some(media) => Ok(media),
            None => sdp::accept(&self.config.capabilities, ack.body()).map(Box::new),
        };
        match media {
            Ok(media) => self.be_established(id, AnswerState::Confirmed, media),
            Err(error) => {
                tracing::warn!(%error, "unusable answer in the ACK");
                self.leave_for_media(id);
            }
        }
    }

    /// Both sides know the session: its talk bursts begin.
    pub(super) fn be_established(&mut self, id: SessionId, answer_state: AnswerState, media: Box<Media>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.state = State::Established;
        let focus = session.focus.clone();
        // User-plane digest 9: the INVITE that makes a session asks for the talk burst; one that joins a chat group does not.
        let is_chat = focus.as_ref().is_some_and(|focus| focus.session_type == SessionType::Chat);
        let asks = session.role == Role::Inviter && focus.is_some() && !is_chat;
        let agreed = media.clone();
        self.events.push_back(Event::Established { session: id, answer_state, focus, media });
        self.begin_talk(id, agreed, asks);
    }

    /// No media came of it: the session is left with the reason that would have been its refusal.
    fn leave_for_media(&mut self, id: SessionId) {
        let reason = Bytes::from_static(b"SIP;cause=488;text=\"Not Acceptable Here\"");
        let left = self.leave_session(id, vec![(Name::Reason, reason)]);
        unless_over(id, left);
    }

    /// The peer offers a change: a re-INVITE, or an UPDATE, which may come before the session is established.
    pub(super) fn answer_modification(&mut self, id: SessionId, request: &Message) {
        let Some(session) = self.sessions.get(&id) else { return };
        let origin = session.origin;
        if self.answer_to(request.body(), origin).is_err() {
            let refused = self.refuse_in(self.dialog_of(id), 488);
            return unless_over(id, refused);
        }
        let answer = |origin| self.answer_to(request.body(), origin).unwrap_or_default();
        let (answer, media, origin) = session.describe(answer);
        let body = Some(sdp::body(answer.clone()));
        let session = self.dialog_of(id);
        let answered = self.command(sip::Command::Accept { session, headers: Vec::new(), body });
        let is_answered = answered.is_ok();
        unless_over(id, answered);
        let Some(session) = self.sessions.get_mut(&id).filter(|_| is_answered) else { return };
        (session.origin, session.described) = (origin, answer);
        match (&mut session.state, media) {
            (State::Established, Some(media)) => self.be_changed(id, media),
            (State::Established, None) => session.awaits_answer = true,
            (State::Accepted { media: agreed }, Some(media)) => *agreed = Some(media),
            (State::Inviting | State::Alerting { .. }, Some(media)) => {
                let tag = tag_of(request.from());
                session.early.retain(|(of, _)| *of != tag);
                session.early.push((tag, media));
            }
            (State::Accepted { .. } | State::Inviting | State::Alerting { .. }, None)
            | (State::Leaving, _) => {}
        }
    }

    /// The peer accepted a change of ours, or a refresh, which offers the same again.
    pub(super) fn be_modified(&mut self, id: SessionId, response: &Message) {
        if !response.body().is_empty() {
            self.take_answer(id, response.body());
        }
    }

    /// Other media were agreed on.
    fn be_changed(&mut self, id: SessionId, media: Box<Media>) {
        self.move_talk(id, &media);
        self.events.push_back(Event::Modified { session: id, media });
    }

    /// The answer to an offer of ours in an established session.
    fn take_answer(&mut self, id: SessionId, answer: &[u8]) {
        match sdp::accept(&self.config.capabilities, answer) {
            Ok(media) => self.be_changed(id, Box::new(media)),
            Err(error) => {
                tracing::warn!(%error, "unusable answer to a modification");
                self.leave_for_media(id);
            }
        }
    }

    pub(super) fn be_ended(
        &mut self,
        id: SessionId,
        end: End,
        by: Party,
        status: Option<u16>,
        reason: Option<Bytes>,
    ) {
        self.end_talk(id);
        let Some(mut session) = self.sessions.remove(&id) else { return };
        session.timing.ended = self.now;
        self.forget_members(id);
        let end = if session.unanswered { End::Expired } else { end };
        let outcome = Outcome { role: session.role, end, by, status, reason, timing: session.timing };
        self.events.push_back(Event::Ended { session: id, outcome });
    }

    // What goes into messages.

    pub(super) fn is_busy(&self) -> bool {
        let sessions = self.sessions.len();
        sessions >= self.config.sessions_max || (sessions > 0 && !self.config.settings.simultaneous_sessions)
    }

    /// Our description for an offer; an offer of ours if the peer made none.
    pub(super) fn answer_to(
        &self,
        offer: &[u8],
        origin: Origin,
    ) -> Result<(Bytes, Option<Box<Media>>), sdp::SdpError> {
        let capabilities = &self.config.capabilities;
        if offer.is_empty() {
            return Ok((sdp::offer(capabilities, origin), None));
        }
        // User-plane digest 1, 2.1: by an answer the talk burst is granted, and that is for a server to say.
        let mut capabilities = capabilities.clone();
        capabilities.talk_burst.tb_granted = false;
        let (answer, media) = sdp::answer(&capabilities, origin, offer)?;
        Ok((answer, Some(Box::new(media))))
    }

    /// RFC 8866 §5.2: unique for each session of this client.
    pub(super) fn next_origin(&mut self) -> Origin {
        let id = u64::from(self.config.capabilities.audio_port) + (self.described << 16);
        self.described += 1;
        Origin { id, version: 1 }
    }

    /// digest 14.9: on the IMS a CANCEL tells why.
    pub(super) fn release_cause(&self, cause: u8, text: &str) -> sip::Headers {
        match self.config.profile {
            Profile::Plain => Vec::new(),
            Profile::Ims => {
                vec![(Name::Reason, Bytes::from(format!("RELEASE_CAUSE;cause={cause};text=\"{text}\"")))]
            }
        }
    }
}

/// The tag of an address that the endpoint has read.
fn tag_of(address: Result<NameAddr<'_>, Fault>) -> Bytes {
    Bytes::copy_from_slice(address.ok().and_then(|address| address.tag()).unwrap_or_default())
}

/// What the client does by itself may meet a session that the same octets of a stream have ended.
pub(super) fn unless_over(id: SessionId, done: Result<(), Misuse>) {
    if let Err(misuse) = done {
        tracing::debug!(session = %id, %misuse, "over already");
    }
}
