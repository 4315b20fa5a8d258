//! What a client does with its pre-established session, and how a PoC Session on it is one like others for the user. Digest 7.2,
//! 14.8; the states stand in [`super::pre_established`].
//!
//! The Contact of the PoC Server in the dialog says what is on it: a focus while there is a PoC Session.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::{Body, Method, Name};
use sip::usage::{End, Party};
use sip::{Headers, Instant, Invite, Message, Misuse, SessionId, SubscriptionId};

use super::members::{Change, Purpose, refer_to};
use super::outcome::Role;
use super::pre_established::{Action, Ended, Machine, Step, Told};
use super::retry::wait_after;
use super::session::{Session, State, unless_over};
use super::{Addressee, Client, Event};
use crate::answer_state::AnswerState;
use crate::body::resource_lists::{self, Entry};
use crate::body::sipfrag;
use crate::focus::Focus;
use crate::sdp::{self, Direction, Media, Origin};
use crate::talk_burst::Connect;

/// What a REFER points to that has its list with it (RFC 5368 §4).
const LIST: &[u8] = b"recipients@talkburst.invalid";

/// The pre-established session of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PreEstablished {
    machine: Machine,
    /// What the endpoint calls it.
    dialog: Option<SessionId>,
    /// What our last session description in the dialog said of itself, and that description.
    origin: Origin,
    described: Bytes,
    media: Option<Box<Media>>,
    /// The REFER that invites, and the one that ends what is on it.
    inviting: Option<SubscriptionId>,
    ending: Option<SubscriptionId>,
    /// Whom the PoC Session is with, as the REFER that ends it says.
    target: Bytes,
    /// What the last word about the invitation says besides its status.
    answer_state: AnswerState,
    focus: Option<Focus>,
    /// The Connect that was accepted, until its Disconnect.
    pub(super) connected: Option<Box<Connect>>,
    /// Its user wants it.
    is_wanted: bool,
    /// How often it could not be set up.
    failures: u32,
    /// PoC Sessions that were on it.
    numbered: u32,
}

impl PreEstablished {
    /// Nobody has asked yet. `guard`: 64*T1.
    pub(super) fn new(guard: sip::Duration) -> Box<Self> {
        Box::new(Self {
            machine: Machine::new(guard),
            dialog: None,
            origin: Origin { id: 0, version: 1 },
            described: Bytes::new(),
            media: None,
            inviting: None,
            ending: None,
            target: Bytes::new(),
            answer_state: AnswerState::Confirmed,
            focus: None,
            connected: None,
            is_wanted: false,
            failures: 0,
            numbered: 0,
        })
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    /// Where the PoC Server sends talk burst control from.
    pub(super) fn control(&self) -> Option<SocketAddr> {
        self.media.as_ref()?.control
    }

    /// The PoC Session on it.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.machine.session()
    }

    /// Whether a PoC Session may begin on it.
    pub(super) fn is_free(&self) -> bool {
        self.machine.is_free()
    }

    /// A PoC Session begins on it: what it is called, and what our next session description says of itself.
    pub(super) fn connect(&mut self, focus: Option<Focus>) -> (SessionId, Origin, Bytes) {
        self.numbered = self.numbered.wrapping_add(1);
        let id = SessionId::apart(self.numbered);
        self.machine.connect(id);
        (self.focus, self.answer_state) = (focus, AnswerState::Confirmed);
        (id, self.origin, self.described.clone())
    }

    /// Whether there is nothing of it.
    pub(super) fn is_absent(&self) -> bool {
        self.machine.is_absent()
    }
}

impl Client {
    /// Whether `id` is how the endpoint calls the pre-established session.
    pub(super) fn is_carrier(&self, id: SessionId) -> bool {
        self.pre_established.as_ref().is_some_and(|each| each.dialog == Some(id))
    }

    /// Whether `id` is a PoC Session on it.
    pub(super) fn is_carried(&self, id: SessionId) -> bool {
        self.carried() == Some(id)
    }

    fn carried(&self) -> Option<SessionId> {
        self.pre_established.as_ref()?.machine.session()
    }

    /// What the endpoint calls the dialog of a session.
    pub(super) fn dialog_of(&self, id: SessionId) -> SessionId {
        let carrier = self.pre_established.as_ref().filter(|each| each.machine.session() == Some(id));
        carrier.and_then(|carrier| carrier.dialog).unwrap_or(id)
    }

    // Setting it up, and tearing it down.

    /// An INVITE to the conference factory that invites nobody (digest 7.2).
    pub(super) fn pre_establish(&mut self) {
        let factory = self.config.conference_factory.clone().filter(|_| !self.is_closed);
        let Some(factory) = factory else { return };
        let origin = self.next_origin();
        let Some(carrier) = &mut self.pre_established else { return };
        carrier.is_wanted = true;
        if !carrier.machine.set_up() {
            return;
        }
        let offer = sdp::offer(&self.config.capabilities, origin);
        (carrier.origin, carrier.described) = (origin, offer.clone());
        let (targets, routes) = self.way_to(Vec::new(), Vec::new());
        let invite = Invite {
            targets,
            to: Bytes::from([b"<", &factory[..], b">"].concat()),
            uri: factory,
            from: self.config.address.clone(),
            routes,
            headers: self.identified(),
            body: Some(sdp::body(offer)),
            expires: self.config.set_up_limit,
            expires_headers: self.release_cause(6, "Call-setup time-out"),
            contact: None,
            hops: None,
        };
        let input = sip::Input::Command(sip::Command::Invite(Box::new(invite)));
        match self.endpoint.handle_input(self.now, input) {
            Ok(dialog) => {
                if let Some(carrier) = &mut self.pre_established {
                    carrier.dialog = dialog;
                }
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be pre-established");
                self.carrier_lost(Ended { end: End::TransportFailed, by: Party::Local, status: None }, None);
            }
        }
    }

    /// It is wanted no more, and nothing that is on it.
    pub(super) fn tear_down(&mut self) {
        let Some(carrier) = &mut self.pre_established else { return };
        carrier.is_wanted = false;
        let step = carrier.machine.tear_down();
        self.follow(step, None);
    }

    /// The 2xx to its INVITE.
    pub(super) fn carrier_stands(&mut self, response: &Message) {
        let agreed = sdp::accept(&self.config.capabilities, response.body());
        let Some(carrier) = &mut self.pre_established else { return };
        match agreed {
            Ok(media) => {
                carrier.media = Some(Box::new(media));
                carrier.failures = 0;
                carrier.machine.handle_set_up();
                self.events.push_back(Event::PreEstablished);
            }
            Err(error) => {
                tracing::warn!(%error, "unusable answer");
                self.tear_down();
            }
        }
    }

    /// The dialog is over.
    pub(super) fn carrier_lost(&mut self, how: Ended, reason: Option<Bytes>) {
        let Some(carrier) = &mut self.pre_established else { return };
        carrier.dialog = None;
        let step = carrier.machine.handle_lost(how);
        self.follow(step, reason);
        let (now, chance) = (self.now, &mut self.chance);
        let Some(carrier) = &mut self.pre_established else { return };
        // Asking again would only meet it again; another time it may be otherwise.
        let is_refused = how.end == End::Rejected
            && how.status.is_some_and(|status| !matches!(status, 408 | 480 | 486 | 500..=599));
        let retry_in = (carrier.is_wanted && !is_refused).then(|| {
            carrier.failures = carrier.failures.saturating_add(1);
            let wait = wait_after(carrier.failures, None, chance);
            carrier.machine.wait(now + wait);
            wait
        });
        self.events.push_back(Event::PreEstablishedEnded { status: how.status, retry_in });
    }

    pub(super) fn handle_carrier_timeout(&mut self) {
        let now = self.now;
        let Some(carrier) = &mut self.pre_established else { return };
        let (is_due, step) = carrier.machine.handle_timeout(now);
        self.follow(step, None);
        if is_due {
            self.pre_establish();
        }
    }

    // A PoC Session of ours on it.

    /// Whether a session with `to` begins on it.
    pub(super) fn can_carry(&self, to: &Addressee) -> bool {
        // What was left is found by its own identity, which the Participating PoC Function need not know.
        let is_new = !matches!(to, Addressee::Session(_));
        is_new && self.pre_established.as_ref().is_some_and(|carrier| carrier.machine.is_free())
    }

    /// A REFER in its dialog (digest 7.2).
    pub(super) fn begin_carried(&mut self, to: &Addressee) -> Result<SessionId, Misuse> {
        let (uri, listed) = to.resolve(self.config.conference_factory.as_ref())?;
        let mut headers = self.identified();
        let (target, pointer, body) = match to {
            Addressee::User(user) => (user.clone(), refer_to(user, Change::Add)?, None),
            // digest 7.2: a list is for several.
            Addressee::Users(_) if listed.len() == 1 => {
                (listed[0].clone(), refer_to(&listed[0], Change::Add)?, None)
            }
            Addressee::Users(_) => {
                headers.extend(listing());
                (uri, Bytes::from([b"<cid:", LIST, b">"].concat()), Some(list_of(listed)))
            }
            Addressee::PreArranged(_) | Addressee::Chat(_) => {
                (uri.clone(), Bytes::from([b"<", &uri[..], b">"].concat()), None)
            }
            Addressee::Session(_) => return Err(Misuse::Address),
        };
        let name = self.refer_within(pointer, headers, body, Purpose::Inviting { last: None }, true)?;
        let Some(carrier) = &mut self.pre_established else { return Err(Misuse::NoSession) };
        carrier.numbered = carrier.numbered.wrapping_add(1);
        let id = SessionId::apart(carrier.numbered);
        carrier.machine.refer(id);
        (carrier.inviting, carrier.target, carrier.focus) = (Some(name), target, None);
        let mut session = Session::new(Role::Inviter, self.now, State::Inviting, carrier.origin);
        session.described.clone_from(&carrier.described);
        self.sessions.insert(id, session);
        Ok(id)
    }

    fn refer_within(
        &mut self,
        pointer: Bytes,
        headers: Headers,
        body: Option<Body>,
        purpose: Purpose,
        wants_progress: bool,
    ) -> Result<SubscriptionId, Misuse> {
        let name = self.free_subscription()?;
        let dialog = self.pre_established.as_ref().and_then(|carrier| carrier.dialog);
        let refer = sip::Refer::within(name, dialog.ok_or(Misuse::NoSession)?, pointer);
        let refer = sip::Refer { headers, body, wants_progress, ..refer };
        self.command(sip::Command::Refer(Box::new(refer)))?;
        self.subscriptions.insert(name, purpose);
        Ok(name)
    }

    /// What a NOTIFY says of the invitation.
    pub(super) fn carried_progressed(&mut self, name: SubscriptionId, fragment: &[u8]) {
        let Ok(progress) = sipfrag::read(fragment) else { return };
        let Some(carrier) = self.pre_established.as_mut().filter(|each| each.inviting == Some(name)) else {
            return;
        };
        // RFC 3420 allows header fields in it: those of the response that it stands for.
        let focus = Message::parse(Bytes::copy_from_slice(fragment)).ok().and_then(|whole| Focus::of(&whole));
        carrier.focus = focus.or_else(|| carrier.focus.take());
        carrier.answer_state = progress.answer_state.unwrap_or(AnswerState::Confirmed);
        let step = carrier.machine.handle_status(progress.status);
        self.follow(step, None);
    }

    /// The subscription of a REFER in the dialog is over. `last`: what its last NOTIFY said; `answer`: what refused it.
    pub(super) fn carried_referral_ended(
        &mut self,
        name: SubscriptionId,
        last: Option<u16>,
        answer: Option<u16>,
    ) {
        let now = self.now;
        let Some(carrier) = &mut self.pre_established else { return };
        let step = if carrier.ending == Some(name) {
            carrier.ending = None;
            let is_taken = last.or(answer).is_some_and(|status| (200..300).contains(&status));
            carrier.machine.handle_end(now, is_taken)
        } else if carrier.inviting == Some(name) {
            carrier.inviting = None;
            match answer.filter(|status| *status >= 300 && last.is_none()) {
                Some(status) => carrier.machine.handle_status(status),
                None if last.is_some_and(|status| status >= 200) => return,
                None => carrier.machine.handle_silence(),
            }
        } else {
            return;
        };
        self.follow(step, None);
    }

    // A PoC Session of a peer on it.

    /// A re-INVITE or an UPDATE of the PoC Server: an invitation, the end of what is on it, or other media.
    pub(super) fn carrier_offered(&mut self, dialog: SessionId, request: &Message) {
        let Some(carrier) = &mut self.pre_established else { return };
        let focus = Focus::of(request);
        let is_invite = request.is(Method::Invite);
        match (carrier.machine.session(), &focus) {
            (None, Some(_)) if is_invite && carrier.machine.is_free() => {
                carrier.numbered = carrier.numbered.wrapping_add(1);
                let id = SessionId::apart(carrier.numbered);
                let next = Origin { version: carrier.origin.version + 1, ..carrier.origin };
                if carrier.machine.invite(id) {
                    carrier.focus.clone_from(&focus);
                    self.be_invited_to(id, request, next);
                }
            }
            (Some(id), _) if self.sessions.get(&id).is_some_and(|each| each.state == State::Established) => {
                if focus.is_none() && is_on_hold(request.body()) {
                    self.be_released();
                    self.answer_carrier(dialog, request);
                } else {
                    self.answer_modification(id, request);
                }
            }
            // Both begin one at once: what is asked for here goes first, and there is room for one.
            (Some(_), Some(_)) if is_invite => {
                let refused = self.refuse_in(dialog, 486);
                unless_over(dialog, refused);
            }
            (Some(_) | None, _) => self.answer_carrier(dialog, request),
        }
    }

    /// The PoC Server has ended what is on it.
    pub(super) fn be_released(&mut self) {
        if let Some(step) = self.pre_established.as_mut().map(|carrier| carrier.machine.handle_release()) {
            self.follow(step, None);
        }
    }

    /// Nothing is on it, or nothing yet: the media of the dialog alone.
    fn answer_carrier(&mut self, dialog: SessionId, request: &Message) {
        let Some(carrier) = &self.pre_established else { return };
        let mut before = Session::new(Role::Inviter, self.now, State::Established, carrier.origin);
        before.described.clone_from(&carrier.described);
        let offer = request.body();
        if self.answer_to(offer, carrier.origin).is_err() {
            let refused = self.refuse_in(dialog, 488);
            return unless_over(dialog, refused);
        }
        let answer = |origin| self.answer_to(offer, origin).unwrap_or_default();
        let (answer, media, origin) = before.describe(answer);
        let body = Some(sdp::body(answer.clone()));
        let accept = sip::Command::Accept { session: dialog, headers: Vec::new(), body };
        let accepted = self.command(accept);
        if let Some(carrier) = self.pre_established.as_mut().filter(|_| accepted.is_ok()) {
            (carrier.origin, carrier.described) = (origin, answer);
            carrier.media = media.or_else(|| carrier.media.take());
        }
        unless_over(dialog, accepted);
    }

    /// The user has accepted.
    pub(super) fn carried_accepted(&mut self, id: SessionId) {
        if let Some(carrier) = self.pre_established.as_mut().filter(|each| each.machine.session() == Some(id))
        {
            carrier.machine.accept();
        }
    }

    /// The user has refused: of a re-INVITE the endpoint says no more.
    pub(super) fn carried_refused(&mut self, id: SessionId, status: u16) {
        let ended = Ended { end: End::Rejected, by: Party::Local, status: Some(status) };
        let carrier = self.pre_established.as_mut().filter(|each| each.machine.session() == Some(id));
        if let Some(step) = carrier.map(|carrier| carrier.machine.handle_no_invitation(ended)) {
            self.follow(step, None);
        }
    }

    pub(super) fn carrier_acknowledged(&mut self, ack: &Message) {
        let Some(carrier) = &mut self.pre_established else { return };
        let Some(id) = carrier.machine.session() else { return };
        let step = carrier.machine.handle_acknowledged();
        // Told by what the ACK means for the session, as for others.
        self.be_acknowledged(id, ack);
        self.follow(Step { told: None, ..step }, None);
    }

    /// A change of the dialog is over without having been made: an invitation that was refused or withdrawn, or other media.
    pub(super) fn carrier_modification_ended(&mut self, how: Ended) {
        let Some(carrier) = &mut self.pre_established else { return };
        let Some(session) = carrier.machine.session() else { return };
        let step = carrier.machine.handle_no_invitation(how);
        if step.told.is_none()
            && self.sessions.get(&session).is_some_and(|each| each.state == State::Established)
        {
            let Ended { end, by, status } = how;
            self.events.push_back(Event::ModificationEnded { session, end, by, status });
        }
        self.follow(step, None);
    }

    pub(super) fn carrier_modified(&mut self, response: &Message) {
        if let Some(id) = self.carried().filter(|id| self.sessions.contains_key(id)) {
            self.be_modified(id, response);
        }
    }

    // Giving up, and leaving.

    /// The user gives up or leaves a PoC Session on it.
    pub(super) fn give_up_carried(&mut self) {
        let Some(carrier) = &mut self.pre_established else { return };
        let step = carrier.machine.give_up();
        self.follow(step, None);
    }

    /// As for a session with a dialog of its own.
    pub(super) fn leave_carried(&mut self, id: SessionId) -> Result<(), Misuse> {
        let session = self.sessions.get_mut(&id).ok_or(Misuse::NoSession)?;
        match session.state {
            State::Accepted { .. } | State::Established | State::Leaving => session.state = State::Leaving,
            State::Inviting | State::Alerting { .. } => return Err(Misuse::NotEstablished),
        }
        self.end_talk(id);
        self.give_up_carried();
        Ok(())
    }

    fn follow(&mut self, step: Step, reason: Option<Bytes>) {
        match step.told {
            Some(Told::Progress(session, status)) => {
                self.events.push_back(Event::Progress { session, status });
            }
            Some(Told::Established(session)) => self.carried_established(session),
            Some(Told::Ended(session, ended)) => self.carried_ended(session, ended, reason),
            None => {}
        }
        match step.action {
            Action::Nothing => {}
            Action::End => self.end_carried(),
            Action::Close => self.close_carrier(),
        }
    }

    pub(super) fn carried_established(&mut self, id: SessionId) {
        let now = self.now;
        let Some(carrier) = &self.pre_established else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(mut media) = carrier.media.clone() else { return };
        // Digest 7.2: on hold until it is used, and it is.
        media.direction = Direction::SendRecv;
        session.timing.answered = Some(now);
        session.focus.clone_from(&carrier.focus);
        let answer_state = carrier.answer_state;
        self.be_established(id, answer_state, media);
    }

    fn carried_ended(&mut self, id: SessionId, Ended { end, by, status }: Ended, reason: Option<Bytes>) {
        let Some(session) = self.sessions.get(&id) else { return };
        if let Some(carrier) = &mut self.pre_established {
            (carrier.origin, carrier.described) = (session.origin, session.described.clone());
            carrier.connected = None;
            for name in [carrier.inviting.take(), carrier.ending.take()].into_iter().flatten() {
                self.subscriptions.insert(name, Purpose::Nothing);
            }
        }
        self.be_ended(id, end, by, status, reason);
    }

    /// A REFER with `method=BYE` (digest 14.8): for whom it was begun, or for the session once that has a name.
    fn end_carried(&mut self) {
        let Some(carrier) = &self.pre_established else { return };
        let (target, now) = (carrier.target.clone(), self.now);
        let session = carrier.machine.session().and_then(|id| self.sessions.get(&id));
        let focus = session.and_then(|session| session.focus.clone()).or_else(|| carrier.focus.clone());
        let uri = focus.map_or(target, |focus| focus.identity);
        let pointer = Bytes::from([b"<", &uri[..], b";method=BYE>"].concat());
        let headers = self.identified();
        match self.refer_within(pointer, headers, None, Purpose::Ending { last: None }, false) {
            Ok(name) => {
                if let Some(carrier) = &mut self.pre_established {
                    carrier.ending = Some(name);
                }
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be ended by itself");
                let Some(carrier) = &mut self.pre_established else { return };
                let step = carrier.machine.handle_end(now, false);
                self.follow(step, None);
            }
        }
    }

    /// digest 14.8: BYE on the dialog, or CANCEL of what sets it up.
    fn close_carrier(&mut self) {
        let Some(dialog) = self.pre_established.as_ref().and_then(|carrier| carrier.dialog) else { return };
        let headers = self.release_cause(1, "User ends call");
        let left = match self.command(sip::Command::Leave { session: dialog, headers: Vec::new() }) {
            Err(Misuse::NotEstablished) => self.command(sip::Command::Cancel { session: dialog, headers }),
            left => left,
        };
        unless_over(dialog, left);
    }
}

/// digest 7.2: the media of a pre-established session are on hold until it is used.
fn is_on_hold(offer: &[u8]) -> bool {
    offer.split(|octet| *octet == b'\n').any(|line| line.trim_ascii() == b"a=inactive")
}

/// RFC 5368 §4, §5.
fn listing() -> Headers {
    vec![
        (Name::Require, Bytes::from_static(b"multiple-refer")),
        (Name::ContentDisposition, Bytes::from_static(resource_lists::RECIPIENTS.as_bytes())),
        (Name::ContentId, Bytes::from([b"<", LIST, b">"].concat())),
    ]
}

fn list_of(users: &[Bytes]) -> Body {
    let entries: Vec<_> = users.iter().cloned().map(Entry::new).collect();
    Body {
        content_type: Bytes::from_static(resource_lists::CONTENT_TYPE.as_bytes()),
        bytes: resource_lists::write(&entries),
    }
}
