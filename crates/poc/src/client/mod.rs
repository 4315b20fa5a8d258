//! The PoC Client: on-demand PoC Sessions from the user's side.
//!
//! Starting, being invited (manual and automatic answer), cancelling (PoC CP 6.1.X.1), being cancelled (6.2.X.1),
//! refusing, leaving (6.1.6.1), being released, modifying. What SIP requires of all that is the endpoint's; what is here is what
//! PoC adds: the header fields and media of a PoC Session, answer modes, how it ended for the user, the registration and the
//! settings that a PoC Server goes by.

mod addressee;
mod alerts;
mod carried;
mod connected;
mod enrolment;
mod face;
mod handle;
mod invited;
mod members;
mod outcome;
mod pre_established;
mod registration;
mod retry;
mod session;
mod settings;
mod starting;
mod talking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use sip::message::Method;
use sip::transport::{Target, Transmit};
use sip::{Endpoint, Identifiers, Instant, Misuse, SessionId, SubscriptionId};

pub use addressee::{Addressee, Invitees, ListError};
pub use alerts::{Alert, AlertId};
pub use enrolment::Registration;
pub use face::{AnswerMode, AnswerRequest, Command, Config, Emphasis, Event, Input, PocSettings, Profile};
pub use handle::{Accepted, Established, Handle, Incoming, Outgoing};
pub use members::Change;
pub use outcome::{Outcome, Role, Timing};
pub use talking::{MediaTransmit, Speech};

use self::carried::PreEstablished;
use self::enrolment::Enrolment;
use self::members::Purpose;
use self::session::Session;
use self::talking::Early;

/// A PoC Client without sockets and without a clock. See [`Endpoint`] for the order of calls.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    endpoint: Endpoint,
    sessions: BTreeMap<SessionId, Session>,
    /// What is asked of PoC Servers about sessions.
    subscriptions: BTreeMap<SubscriptionId, Purpose>,
    /// Alerts that have no answer.
    alerts: BTreeSet<AlertId>,
    pre_established: Option<Box<PreEstablished>>,
    events: VecDeque<Event>,
    outgoing_media: VecDeque<MediaTransmit>,
    early: Early,
    /// Its user wants no session any more.
    is_closed: bool,
    /// Sessions that were described so far.
    described: u64,
    enrolment: Option<Box<Enrolment>>,
    chance: Identifiers,
    now: Instant,
    /// What went in, while somebody keeps it.
    kept: Option<Vec<(Instant, Input)>>,
}

impl Client {
    /// A client that knows nobody yet.
    pub fn new(mut config: Config) -> Self {
        let answermode = &b"answermode"[..];
        if config.trusts_answer_mode && !config.sip.supported.iter().any(|tag| tag == answermode) {
            config.sip.supported.push(Bytes::from_static(answermode)); // RFC 5373 §2
        }
        if config.accepts_alerts {
            if !config.sip.methods.contains(&Method::Message) {
                config.sip.methods.push(Method::Message);
            }
            if let Some(registration) = &mut config.registration {
                registration.add_tag(b";+g.poc.groupad"); // digest 9.8
            }
        }
        let endpoint = Endpoint::new(config.sip.clone());
        // Another seed than the endpoint's: what is drawn here is not drawn there too.
        let seed = config.sip.seed.map(|octet| !octet);
        let mut chance = Identifiers::new(config.sip.owner, seed);
        let pre_established = config.pre_establishes.then(|| PreEstablished::new(config.sip.timers.t1_64()));
        Self {
            enrolment: Enrolment::new(&config, &mut chance),
            chance,
            config,
            endpoint,
            sessions: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            alerts: BTreeSet::new(),
            pre_established,
            events: VecDeque::new(),
            outgoing_media: VecDeque::new(),
            early: Early::default(),
            is_closed: false,
            described: 0,
            now: Instant::START,
            kept: None,
        }
    }

    /// The one way in.
    ///
    /// # Errors
    /// [`Misuse`] for a command that the state does not allow; nothing has changed then.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Result<Option<SessionId>, Misuse> {
        self.now = now;
        if let Some(kept) = &mut self.kept {
            kept.push((now, input.clone()));
        }
        let below = match input {
            Input::Datagram { path, bytes } => sip::Input::Datagram { path, bytes },
            Input::Stream { path, bytes } => sip::Input::Stream { path, bytes },
            Input::ConnectionRefused { connection } => sip::Input::ConnectionRefused { connection },
            Input::ConnectionLost { connection } => sip::Input::ConnectionLost { connection },
            Input::Media { stream, remote, bytes } => {
                self.hear(stream, remote, &bytes);
                return Ok(None);
            }
            Input::Timeout => {
                self.handle_talk_timeout();
                self.refuse_unanswered();
                self.handle_enrolment_timeout();
                self.handle_carrier_timeout();
                sip::Input::Timeout
            }
            Input::Command(command) => {
                let session = self.handle_command(command);
                self.drain();
                return session;
            }
        };
        self.endpoint.handle_input(now, below)?;
        self.drain();
        Ok(None)
    }

    /// Does what is due. An extra call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_input(now, Input::Timeout).expect("only commands are refused");
    }

    /// What is to be sent next; drain until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    /// What the user must know next; drain until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let unanswered = self.sessions.values().filter_map(Session::no_answer_at).min();
        let enrolment = self.enrolment.as_ref().and_then(|enrolment| enrolment.deadline());
        let carrier = self.pre_established.as_ref().and_then(|carrier| carrier.deadline());
        let talk = self.sessions.values().filter_map(Session::talk_deadline).min();
        let below = self.endpoint.poll_timeout();
        [below, unanswered, enrolment, carrier, talk].into_iter().flatten().min()
    }

    /// What the client was told once.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether nothing remains of any session, nor of a registration.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.is_unknown() && self.endpoint.is_empty()
    }

    /// Whether nothing remains of any session, and no request is under way. It may be registered.
    pub fn is_at_rest(&self) -> bool {
        self.sessions.is_empty() && self.endpoint.is_empty()
    }

    /// Whether nothing is waited for any more: see [`Endpoint::is_settled`]. A client that is registered waits for the time
    /// to refresh that.
    pub fn is_settled(&self) -> bool {
        self.sessions.is_empty() && self.is_unknown() && self.endpoint.is_settled()
    }

    /// Whether it is registered nowhere, has nothing published, and no session is pre-established.
    fn is_unknown(&self) -> bool {
        let is_absent = self.pre_established.as_ref().is_none_or(|carrier| carrier.is_absent());
        is_absent && self.enrolment.as_ref().is_none_or(|enrolment| enrolment.is_idle())
    }

    /// The canonical view at `now`, for exploration: see [`Endpoint::canonical`].
    pub fn canonical(&self, now: Instant, owners: &[sip::Owner]) -> sip::Canonical {
        self.endpoint.canonical_beside(now, owners, &self.own_state())
    }

    /// What the canonical view is made of: see [`Endpoint::view`].
    pub fn view(&self) -> String {
        self.endpoint.view(&self.own_state())
    }

    /// What decides how it goes on, besides the endpoint.
    fn own_state(&self) -> impl std::fmt::Debug {
        let sessions: Vec<_> =
            self.sessions.iter().map(|(id, session)| (id, session.without_history())).collect();
        let enrolment = self.enrolment.as_ref().map(|enrolment| enrolment.state());
        (
            sessions,
            enrolment,
            self.config.settings,
            (&self.subscriptions, &self.alerts, &self.pre_established),
            (self.is_closed, &self.early, &self.outgoing_media),
            &self.events,
        )
    }

    /// Begins a session, or joins one, by way of the server where the client registers.
    ///
    /// # Errors
    /// [`Misuse::Busy`] if there is a session already and simultaneous ones are off, or the client was closed;
    /// [`Misuse::Address`] if `to` is no URI of a user or a group; [`Misuse::NoTarget`] without a server, or without a
    /// conference factory for several users.
    pub fn start(&mut self, now: Instant, to: Addressee) -> Result<SessionId, Misuse> {
        let answer = AnswerRequest::Usual;
        let command = Command::StartSession { targets: Vec::new(), routes: Vec::new(), to, answer };
        self.handle_input(now, Input::Command(command))?.ok_or(Misuse::NoSession)
    }

    /// Invites `invited`, a URI, by way of `target`.
    ///
    /// # Errors
    /// [`Misuse::Busy`] if there is a session already and simultaneous ones are off; [`Misuse::Address`] if `invited`
    /// is no URI; [`Misuse::NoListener`] if `target` cannot be reached.
    pub fn start_session(
        &mut self,
        now: Instant,
        target: Target,
        invited: &str,
    ) -> Result<SessionId, Misuse> {
        let to = Addressee::User(Bytes::copy_from_slice(invited.as_bytes()));
        let answer = AnswerRequest::Usual;
        let command = Command::StartSession { targets: vec![target], routes: Vec::new(), to, answer };
        let started = self.handle_input(now, Input::Command(command))?;
        started.ok_or(Misuse::NoSession)
    }

    /// Gives up a session that the other side has not answered, or a modification of ours in an established one, which
    /// goes on then. Asking again changes nothing.
    ///
    /// # Errors
    /// [`Misuse::TooLate`] once it was answered: leave it instead; [`Misuse::NoSession`] if it is over.
    pub fn cancel(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.handle_input(now, Input::Command(Command::Cancel(session))).map(|_| ())
    }

    /// Accepts an invitation.
    ///
    /// # Errors
    /// [`Misuse::NothingToAnswer`] if it was answered or is one of ours; [`Misuse::NoSession`] if it is over.
    pub fn accept(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.handle_input(now, Input::Command(Command::Accept(session))).map(|_| ())
    }

    /// Refuses an invitation.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn refuse(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.handle_input(now, Input::Command(Command::Refuse(session))).map(|_| ())
    }

    /// Leaves a session.
    ///
    /// # Errors
    /// [`Misuse::NotEstablished`] if it is not: cancel or refuse it.
    pub fn leave(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.handle_input(now, Input::Command(Command::Leave(session))).map(|_| ())
    }

    /// Offers the client's capabilities again in an established session.
    ///
    /// # Errors
    /// [`Misuse::NotEstablished`] if it is not; [`Misuse::Busy`] while another modification is under way.
    pub fn modify(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.handle_input(now, Input::Command(Command::Modify(session))).map(|_| ())
    }

    /// Ends a session whatever its state: cancels, refuses or leaves it. What the hang-up key does.
    ///
    /// # Errors
    /// [`Misuse::NoSession`] if there is none.
    pub fn hang_up(&mut self, now: Instant, session: SessionId) -> Result<(), Misuse> {
        self.session(session)?.hang_up(now);
        Ok(())
    }

    /// From now on keeps what goes in, for whoever writes a journal and calls [`take_inputs`](Self::take_inputs).
    pub fn keep_inputs(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// What went in since the last call, if it is kept.
    pub fn take_inputs(&mut self) -> Vec<(Instant, Input)> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Cancels, refuses or leaves every session, and has none any more: before a client is dropped. Drive it then until
    /// [`is_settled`](Self::is_settled), and nobody is left ringing or connected because of it.
    pub fn close(&mut self, now: Instant) {
        self.handle_input(now, Input::Command(Command::Close)).expect("it can always be closed");
    }

    fn drain(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            self.handle_event(event);
        }
    }
}

/// digest 8.1.
pub(crate) const ACCEPT_CONTACT: &[u8] = b"*;+g.poc.talkburst;require;explicit";

#[cfg(test)]
mod tests;
