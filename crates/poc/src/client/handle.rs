//! What can be done to a session, by what it is now.
//!
//! [`Client::session`] lends a session as the handle of what it has come to, and each handle has the verbs of that: what is
//! ringing cannot be left, and what stands cannot be cancelled. While the handle is held nothing can happen to the session;
//! each verb that ends that state takes the handle with it.
//!
//! A session lives in the [`Client`], not in a handle or in its name: nobody goes on ringing because one was lost.
//! [`Client::sessions`] names them all, and [`Client::close`] ends them all.

use bytes::Bytes;
use sip::{Instant, Misuse, SessionId};

use super::session::{State, unless_over};
use super::{Change, Client, Command, Emphasis, Input};
use crate::focus::Focus;

/// A session, as what it is now.
#[derive(Debug)]
pub enum Handle<'a> {
    /// Ours, and nobody has answered.
    Outgoing(Outgoing<'a>),
    /// A peer's, and our user has not answered.
    Incoming(Incoming<'a>),
    /// Our user has accepted, and the inviter does not know it yet.
    Accepted(Accepted<'a>),
    /// Both sides know it.
    Established(Established<'a>),
    /// It has been left, and the other side does not know it yet: there is nothing to do.
    Ending,
}

impl Handle<'_> {
    /// Ends the session, whatever it is: cancels, refuses or leaves it. What the hang-up key does.
    pub fn hang_up(self, now: Instant) {
        match self {
            Self::Outgoing(session) => session.cancel(now),
            Self::Incoming(session) => session.refuse(now),
            Self::Accepted(session) => session.leave(now),
            Self::Established(session) => session.leave(now),
            Self::Ending => {}
        }
    }
}

/// A session of ours that nobody has answered.
#[derive(Debug)]
pub struct Outgoing<'a>(Lent<'a>);

impl Outgoing<'_> {
    /// Gives it up (PoC CP 6.1.X.1). It ends with [`Event::Ended`](super::Event::Ended), and nobody is left ringing.
    pub fn cancel(self, now: Instant) {
        self.0.command(now, Command::Cancel);
    }
}

/// An invitation that our user has not answered.
#[derive(Debug)]
pub struct Incoming<'a>(Lent<'a>);

impl Incoming<'_> {
    /// Accepts it.
    pub fn accept(self, now: Instant) {
        self.0.command(now, Command::Accept);
    }

    /// Refuses it.
    pub fn refuse(self, now: Instant) {
        self.0.command(now, Command::Refuse);
    }
}

/// A session that our user has accepted, and that the inviter has not confirmed.
#[derive(Debug)]
pub struct Accepted<'a>(Lent<'a>);

impl Accepted<'_> {
    /// Leaves it, as soon as that is allowed (RFC 3261 §15).
    pub fn leave(self, now: Instant) {
        self.0.command(now, Command::Leave);
    }
}

/// A session that stands.
#[derive(Debug)]
pub struct Established<'a>(Lent<'a>);

impl Established<'_> {
    /// Leaves it (PoC CP 6.1.6.1).
    pub fn leave(self, now: Instant) {
        self.0.command(now, Command::Leave);
    }

    /// Offers the client's capabilities again.
    ///
    /// # Errors
    /// [`Misuse::Busy`] while another change is under way.
    pub fn modify(&mut self, now: Instant) -> Result<(), Misuse> {
        self.0.client.modify(now, self.0.id)
    }

    /// Gives up a change of ours; the session goes on.
    ///
    /// # Errors
    /// [`Misuse::TooLate`] if there is none without an answer.
    pub fn cancel_modification(&mut self, now: Instant) -> Result<(), Misuse> {
        self.0.client.cancel(now, self.0.id)
    }

    /// Says what it is among simultaneous sessions.
    ///
    /// # Errors
    /// [`Misuse::Busy`] while another change is under way.
    pub fn emphasise(&mut self, now: Instant, emphasis: Emphasis) -> Result<(), Misuse> {
        self.more(now, |session| Command::Emphasise { session, emphasis })
    }

    /// Asks the PoC Server to invite another user; told by [`Event::MemberChanged`](super::Event::MemberChanged).
    ///
    /// # Errors
    /// [`Misuse::Address`] if `user` is no SIP URI of a user; [`Misuse::NotEstablished`] if there is no focus;
    /// [`Misuse::Busy`] while too much else is being asked.
    pub fn add(&mut self, now: Instant, user: Bytes) -> Result<(), Misuse> {
        self.more(now, |session| Command::Refer { session, change: Change::Add, user })
    }

    /// Asks the PoC Server to send a user away, or to take back an invitation that still rings.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn remove(&mut self, now: Instant, user: Bytes) -> Result<(), Misuse> {
        self.more(now, |session| Command::Refer { session, change: Change::Remove, user })
    }

    /// Asks who takes part: told by [`Event::Participants`](super::Event::Participants) until the session ends.
    ///
    /// # Errors
    /// [`Misuse::NotEstablished`] if there is no focus; [`Misuse::Busy`] while too much else is being asked.
    pub fn watch(&mut self, now: Instant) -> Result<(), Misuse> {
        self.more(now, Command::Watch)
    }

    fn more(&mut self, now: Instant, command: impl FnOnce(SessionId) -> Command) -> Result<(), Misuse> {
        let id = self.0.id;
        self.0.client.handle_input(now, Input::Command(command(id))).map(|_| ())
    }

    /// What the PoC Server calls it; `None`: nobody is between the two.
    pub fn focus(&self) -> Option<&Focus> {
        self.0.client.sessions.get(&self.0.id)?.focus.as_ref()
    }
}

/// A session that is there, with the client that has it.
#[derive(Debug)]
struct Lent<'a> {
    client: &'a mut Client,
    id: SessionId,
}

impl Lent<'_> {
    /// A command that the state allows, as the handle says.
    fn command(self, now: Instant, command: impl FnOnce(SessionId) -> Command) {
        let done = self.client.handle_input(now, Input::Command(command(self.id)));
        debug_assert!(done.is_ok(), "a handle has the verbs of its state: {done:?}");
        unless_over(self.id, done.map(|_| ()));
    }
}

impl Client {
    /// Lends a session.
    ///
    /// # Errors
    /// [`Misuse::NoSession`] if it is over, or never was.
    pub fn session(&mut self, id: SessionId) -> Result<Handle<'_>, Misuse> {
        let session = self.sessions.get(&id).ok_or(Misuse::NoSession)?;
        Ok(match session.state {
            State::Inviting => Handle::Outgoing(Outgoing(Lent { client: self, id })),
            State::Alerting { .. } => Handle::Incoming(Incoming(Lent { client: self, id })),
            State::Accepted { .. } => Handle::Accepted(Accepted(Lent { client: self, id })),
            State::Established => Handle::Established(Established(Lent { client: self, id })),
            State::Leaving => Handle::Ending,
        })
    }

    /// Lends a session that is ours and has no answer.
    ///
    /// # Errors
    /// [`Misuse::NoSession`] if it is over; [`Misuse::TooLate`] if it is no such session.
    pub fn outgoing(&mut self, id: SessionId) -> Result<Outgoing<'_>, Misuse> {
        match self.session(id)? {
            Handle::Outgoing(session) => Ok(session),
            Handle::Incoming(_) | Handle::Accepted(_) | Handle::Established(_) | Handle::Ending => {
                Err(Misuse::TooLate)
            }
        }
    }

    /// Lends an invitation that our user has not answered.
    ///
    /// # Errors
    /// [`Misuse::NoSession`] if it is over; [`Misuse::NothingToAnswer`] if it is no such session.
    pub fn incoming(&mut self, id: SessionId) -> Result<Incoming<'_>, Misuse> {
        match self.session(id)? {
            Handle::Incoming(session) => Ok(session),
            Handle::Outgoing(_) | Handle::Accepted(_) | Handle::Established(_) | Handle::Ending => {
                Err(Misuse::NothingToAnswer)
            }
        }
    }

    /// Lends a session that stands.
    ///
    /// # Errors
    /// [`Misuse::NoSession`] if it is over; [`Misuse::NotEstablished`] if it is no such session.
    pub fn established(&mut self, id: SessionId) -> Result<Established<'_>, Misuse> {
        match self.session(id)? {
            Handle::Established(session) => Ok(session),
            Handle::Outgoing(_) | Handle::Incoming(_) | Handle::Accepted(_) | Handle::Ending => {
                Err(Misuse::NotEstablished)
            }
        }
    }

    /// All sessions that there are.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }
}
