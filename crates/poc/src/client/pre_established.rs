//! A pre-established session, and the PoC Session on it. Digest 7.2, 14.8.
//!
//! ```text
//!                1xx          2xx          >=300       silence      give up        BYE taken   BYE not taken  released    lost
//! Absent         -            -            -           -            -              -           -              -           -
//! Waiting        -            -            -           -            -              -           -              -           -
//! SettingUp      -            -            -           -            -              -           -              -           Absent
//! Standing       -            -            -           -            -              -           -              -           Absent
//! Referring      Inviting !   InSession !  Standing !  Closing +D!  GiveUpWaiting  -           -              -           Absent !
//! GiveUpWaiting  GivingUp +B  Crossed +B   Standing !  Closing +D!  -              -           -              -           Absent !
//! Inviting       Inviting !   InSession !  Standing !  Closing +D!  GivingUp +B    -           -              -           Absent !
//! GivingUp       -            Crossed      Standing !  Closing +D!  -              Withdrawn   Closing +D!    -           Absent !
//! Withdrawn      -            Standing !   Standing !  Standing !   -              -           -              -           Absent !
//! Crossed        -            -            -           -            -              Standing !  Closing +D!    Standing !  Absent !
//! InSession      -            -            -           -            Leaving +B     -           -              Standing !  Absent !
//! Leaving        -            -            -           -            -              Standing !  Closing +D!    Standing !  Absent !
//! Alerting       -            -            -           -            -              -           -              -           Absent !
//! Accepted       -            -            -           -            LeaveWaiting   -           -              -           Absent !
//! LeaveWaiting   -            -            -           -            -              -           -              -           Absent !
//! Closing        -            -            -           -            -              -           -              -           Absent
//!
//!                set up     2xx to it  refer      invited   accept    no          ACK          tear down    deadline
//! Absent         SettingUp  -          -          -         -         -           -            -            -
//! Waiting        SettingUp  -          -          -         -         -           -            Absent       -
//! SettingUp      -          Standing   -          -         -         -           -            Closing +D   -
//! Standing       -          -          Referring  Alerting  -         -           -            Closing +D   -
//! Referring      -          -          -          -         -         -           -            Closing +D!  -
//! GiveUpWaiting  -          -          -          -         -         -           -            Closing +D!  -
//! Inviting       -          -          -          -         -         -           -            Closing +D!  -
//! GivingUp       -          -          -          -         -         -           -            Closing +D!  -
//! Withdrawn      -          -          -          -         -         -           -            Closing +D!  Closing +D!
//! Crossed        -          -          -          -         -         -           -            Closing +D!  -
//! InSession      -          -          -          -         -         -           -            Closing +D!  -
//! Leaving        -          -          -          -         -         -           -            Closing +D!  -
//! Alerting       -          -          -          -         Accepted  Standing !  -            Closing +D!  -
//! Accepted       -          -          -          -         -         -           InSession !  Closing +D!  -
//! LeaveWaiting   -          -          -          -         -         -           Leaving +B   Closing +D!  -
//! Closing        -          -          -          -         -         -           -            -            -
//! ```
//!
//! 1xx, 2xx and >=300 are what the NOTIFYs of the REFER say; a REFER that is refused is as one that says the same. A Connect that is
//! accepted makes of Standing InSession, and a Disconnect releases. Silence: its
//! subscription is over without a last word. No: the invitation of a re-INVITE was refused here, or withdrawn. ACK: that for the
//! 2xx to it. +B: a REFER with `method=BYE` leaves; +D: the dialog is left, or its INVITE given up; !: the user is told. What the user has given up it is told to have ended only by what shows that nobody is ringing or
//! connected any more: the last word about the invitation, the answer to the BYE, or the end of the dialog. A REFER has
//! no CANCEL (RFC 3261 §9.1), so GiveUpWaiting waits for its answer.

use sip::usage::{End, Party};
use sip::{Duration, Instant, SessionId};

/// What a pre-established session has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Machine {
    state: State,
    /// How long the end of an invitation is waited for: 64*T1.
    guard: Duration,
}

/// See the tables at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Absent,
    Waiting { retry_at: Instant },
    SettingUp,
    Standing,
    Referring(SessionId),
    GiveUpWaiting(SessionId),
    Inviting(SessionId),
    GivingUp(SessionId),
    Withdrawn { session: SessionId, give_up_at: Instant },
    Crossed(SessionId),
    InSession(SessionId),
    Leaving(SessionId),
    Alerting(SessionId),
    Accepted(SessionId),
    LeaveWaiting(SessionId),
    Closing,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Nothing,
    /// Send a REFER with `method=BYE`.
    End,
    /// Leave the dialog, or give up its INVITE.
    Close,
}

/// What the user must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Progress(SessionId, u16),
    Established(SessionId),
    Ended(SessionId, Ended),
}

/// How a PoC Session ended that was carried by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) by: Party,
    pub(super) status: Option<u16>,
}

/// What the machine answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) told: Option<Told>,
}

const NOTHING: Step = Step { action: Action::Nothing, told: None };

/// The user gave up, and that is how it ended.
fn cancelled(status: Option<u16>) -> Ended {
    Ended { end: End::Cancelled, by: Party::Local, status }
}

fn left() -> Ended {
    Ended { end: End::Left, by: Party::Local, status: None }
}

impl Machine {
    /// Nobody has asked yet. `guard`: 64*T1.
    pub(super) fn new(guard: Duration) -> Self {
        Self { state: State::Absent, guard }
    }

    /// The PoC Session on it.
    pub(super) fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Referring(session)
            | State::GiveUpWaiting(session)
            | State::Inviting(session)
            | State::GivingUp(session)
            | State::Withdrawn { session, .. }
            | State::Crossed(session)
            | State::InSession(session)
            | State::Leaving(session)
            | State::Alerting(session)
            | State::Accepted(session)
            | State::LeaveWaiting(session) => Some(session),
            State::Absent | State::Waiting { .. } | State::SettingUp | State::Standing | State::Closing => {
                None
            }
        }
    }

    /// Whether a PoC Session may begin on it.
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Standing
    }

    /// Whether there is nothing of it, and nothing is waited for.
    pub(super) fn is_absent(&self) -> bool {
        self.state == State::Absent
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { retry_at } => Some(retry_at),
            State::Withdrawn { give_up_at, .. } => Some(give_up_at),
            State::Absent
            | State::SettingUp
            | State::Standing
            | State::Referring(_)
            | State::GiveUpWaiting(_)
            | State::Inviting(_)
            | State::GivingUp(_)
            | State::Crossed(_)
            | State::InSession(_)
            | State::Leaving(_)
            | State::Alerting(_)
            | State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Closing => None,
        }
    }

    /// Its INVITE is to be sent: true if it is.
    pub(super) fn set_up(&mut self) -> bool {
        let is_wanted = matches!(self.state, State::Absent | State::Waiting { .. });
        if is_wanted {
            self.state = State::SettingUp;
        }
        is_wanted
    }

    /// Its INVITE was accepted.
    pub(super) fn handle_set_up(&mut self) {
        if self.state == State::SettingUp {
            self.state = State::Standing;
        }
    }

    /// It is not there, and is set up again then.
    pub(super) fn wait(&mut self, retry_at: Instant) {
        if self.state == State::Absent {
            self.state = State::Waiting { retry_at };
        }
    }

    /// A REFER for `session` has left.
    pub(super) fn refer(&mut self, session: SessionId) {
        debug_assert!(self.is_free(), "one PoC Session at a time");
        self.state = State::Referring(session);
    }

    /// What a NOTIFY says of the invitation, or the answer to the REFER if that refuses it.
    pub(super) fn handle_status(&mut self, status: u16) -> Step {
        let ended = |session, ended| told(Told::Ended(session, ended));
        let rejected = Ended { end: End::Rejected, by: Party::Remote, status: Some(status) };
        match (self.state, status) {
            (State::Referring(session) | State::Inviting(session), ..200) => {
                self.state = State::Inviting(session);
                if status > 100 { told(Told::Progress(session, status)) } else { NOTHING }
            }
            (State::Referring(session) | State::Inviting(session), 200..300) => {
                self.state = State::InSession(session);
                told(Told::Established(session))
            }
            (State::Referring(session) | State::Inviting(session), 300..) => {
                self.state = State::Standing;
                ended(session, rejected)
            }
            (State::GiveUpWaiting(session), ..200) => self.become_and(State::GivingUp(session), Action::End),
            (State::GiveUpWaiting(session), 200..300) => {
                self.become_and(State::Crossed(session), Action::End)
            }
            (State::GivingUp(session), 200..300) => self.become_and(State::Crossed(session), Action::Nothing),
            (State::GiveUpWaiting(session) | State::GivingUp(session), 300..)
            | (State::Withdrawn { session, .. }, 200..) => {
                self.state = State::Standing;
                ended(session, cancelled(Some(status)))
            }
            (State::GivingUp(_) | State::Withdrawn { .. }, ..200)
            | (
                State::Absent
                | State::Waiting { .. }
                | State::SettingUp
                | State::Standing
                | State::Crossed(_)
                | State::InSession(_)
                | State::Leaving(_)
                | State::Alerting(_)
                | State::Accepted(_)
                | State::LeaveWaiting(_)
                | State::Closing,
                _,
            ) => NOTHING,
        }
    }

    /// Nothing more is said of the invitation: its REFER had no answer, or the subscription ended without a last word.
    pub(super) fn handle_silence(&mut self) -> Step {
        match self.state {
            State::Referring(session) | State::Inviting(session) => {
                let ended = Ended { end: End::TimedOut, by: Party::Remote, status: None };
                self.close(Some(Told::Ended(session, ended)))
            }
            State::GiveUpWaiting(session) | State::GivingUp(session) => {
                self.close(Some(Told::Ended(session, cancelled(None))))
            }
            State::Withdrawn { session, .. } => {
                self.state = State::Standing;
                told(Told::Ended(session, cancelled(None)))
            }
            State::Absent
            | State::Waiting { .. }
            | State::SettingUp
            | State::Standing
            | State::Crossed(_)
            | State::InSession(_)
            | State::Leaving(_)
            | State::Alerting(_)
            | State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Closing => NOTHING,
        }
    }

    /// The user gives up or leaves the PoC Session. Asking again changes nothing.
    pub(super) fn give_up(&mut self) -> Step {
        match self.state {
            State::Referring(session) => self.become_and(State::GiveUpWaiting(session), Action::Nothing),
            State::Inviting(session) => self.become_and(State::GivingUp(session), Action::End),
            State::InSession(session) => self.become_and(State::Leaving(session), Action::End),
            // RFC 3261 §15: not before the ACK.
            State::Accepted(session) => self.become_and(State::LeaveWaiting(session), Action::Nothing),
            State::Absent
            | State::Waiting { .. }
            | State::SettingUp
            | State::Standing
            | State::GiveUpWaiting(_)
            | State::GivingUp(_)
            | State::Withdrawn { .. }
            | State::Crossed(_)
            | State::Leaving(_)
            | State::Alerting(_)
            | State::LeaveWaiting(_)
            | State::Closing => NOTHING,
        }
    }

    /// The REFER with `method=BYE` was accepted, or refused or not answered.
    pub(super) fn handle_end(&mut self, now: Instant, is_taken: bool) -> Step {
        match (self.state, is_taken) {
            (State::GivingUp(session), true) => {
                let give_up_at = now + self.guard;
                self.become_and(State::Withdrawn { session, give_up_at }, Action::Nothing)
            }
            (State::GivingUp(session), false) => self.close(Some(Told::Ended(session, cancelled(None)))),
            (State::Crossed(session), true) => {
                self.state = State::Standing;
                told(Told::Ended(session, cancelled(Some(200))))
            }
            (State::Crossed(session), false) => self.close(Some(Told::Ended(session, cancelled(Some(200))))),
            (State::Leaving(session), true) => {
                self.state = State::Standing;
                told(Told::Ended(session, left()))
            }
            (State::Leaving(session), false) => self.close(Some(Told::Ended(session, left()))),
            (
                State::Absent
                | State::Waiting { .. }
                | State::SettingUp
                | State::Standing
                | State::Referring(_)
                | State::GiveUpWaiting(_)
                | State::Inviting(_)
                | State::Withdrawn { .. }
                | State::InSession(_)
                | State::Alerting(_)
                | State::Accepted(_)
                | State::LeaveWaiting(_)
                | State::Closing,
                _,
            ) => NOTHING,
        }
    }

    /// The peer ended the PoC Session, and the dialog stays.
    pub(super) fn handle_release(&mut self) -> Step {
        let (session, ended) = match self.state {
            State::InSession(session) => {
                (session, Ended { end: End::Released, by: Party::Remote, status: None })
            }
            State::Crossed(session) => (session, cancelled(Some(200))),
            State::Leaving(session) => (session, left()),
            State::Absent
            | State::Waiting { .. }
            | State::SettingUp
            | State::Standing
            | State::Referring(_)
            | State::GiveUpWaiting(_)
            | State::Inviting(_)
            | State::GivingUp(_)
            | State::Withdrawn { .. }
            | State::Alerting(_)
            | State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Closing => return NOTHING,
        };
        self.state = State::Standing;
        told(Told::Ended(session, ended))
    }

    /// A re-INVITE that invites to `session`: false if there is a PoC Session already.
    pub(super) fn invite(&mut self, session: SessionId) -> bool {
        let is_free = self.is_free();
        if is_free {
            self.state = State::Alerting(session);
        }
        is_free
    }

    /// A Connect for `session`, which is as an invitation that is accepted at once.
    pub(super) fn connect(&mut self, session: SessionId) {
        debug_assert!(self.is_free(), "one PoC Session at a time");
        self.state = State::InSession(session);
    }

    /// The user accepted it.
    pub(super) fn accept(&mut self) {
        if let State::Alerting(session) = self.state {
            self.state = State::Accepted(session);
        }
    }

    /// The invitation is over and was not accepted: refused here, or withdrawn.
    pub(super) fn handle_no_invitation(&mut self, ended: Ended) -> Step {
        let State::Alerting(session) = self.state else { return NOTHING };
        self.state = State::Standing;
        told(Told::Ended(session, ended))
    }

    /// The ACK for the 2xx of the invitation.
    pub(super) fn handle_acknowledged(&mut self) -> Step {
        match self.state {
            State::Accepted(session) => {
                self.state = State::InSession(session);
                told(Told::Established(session))
            }
            State::LeaveWaiting(session) => self.become_and(State::Leaving(session), Action::End),
            State::Absent
            | State::Waiting { .. }
            | State::SettingUp
            | State::Standing
            | State::Referring(_)
            | State::GiveUpWaiting(_)
            | State::Inviting(_)
            | State::GivingUp(_)
            | State::Withdrawn { .. }
            | State::Crossed(_)
            | State::InSession(_)
            | State::Leaving(_)
            | State::Alerting(_)
            | State::Closing => NOTHING,
        }
    }

    /// Its user wants it no more, and nothing that is on it.
    pub(super) fn tear_down(&mut self) -> Step {
        let ended = match self.state {
            State::Absent | State::Closing => return NOTHING,
            State::Waiting { .. } => return self.become_and(State::Absent, Action::Nothing),
            State::SettingUp | State::Standing => None,
            State::Referring(session)
            | State::GiveUpWaiting(session)
            | State::Inviting(session)
            | State::GivingUp(session)
            | State::Withdrawn { session, .. } => Some((session, cancelled(None))),
            State::Crossed(session) => Some((session, cancelled(Some(200)))),
            State::Alerting(session) => {
                Some((session, Ended { end: End::Rejected, by: Party::Local, status: Some(480) }))
            }
            State::InSession(session)
            | State::Leaving(session)
            | State::Accepted(session)
            | State::LeaveWaiting(session) => Some((session, left())),
        };
        self.close(ended.map(|(session, ended)| Told::Ended(session, ended)))
    }

    /// The dialog is over, as `how` says.
    pub(super) fn handle_lost(&mut self, how: Ended) -> Step {
        let ended = match self.state {
            State::Absent | State::Waiting { .. } => return NOTHING,
            State::SettingUp | State::Standing | State::Closing => None,
            State::GiveUpWaiting(session) | State::GivingUp(session) | State::Withdrawn { session, .. } => {
                Some((session, cancelled(how.status)))
            }
            State::Crossed(session) => Some((session, cancelled(Some(200)))),
            State::Leaving(session) | State::LeaveWaiting(session) => Some((session, left())),
            State::Referring(session)
            | State::Inviting(session)
            | State::InSession(session)
            | State::Alerting(session)
            | State::Accepted(session) => Some((session, how)),
        };
        self.state = State::Absent;
        Step { action: Action::Nothing, told: ended.map(|(session, ended)| Told::Ended(session, ended)) }
    }

    /// The deadline of the state, if it has come. `true`: it is to be set up again.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> (bool, Step) {
        if self.deadline().is_none_or(|at| at > now) {
            return (false, NOTHING);
        }
        match self.state {
            State::Waiting { .. } => (true, NOTHING),
            State::Withdrawn { session, .. } => {
                (false, self.close(Some(Told::Ended(session, cancelled(None)))))
            }
            State::Absent
            | State::SettingUp
            | State::Standing
            | State::Referring(_)
            | State::GiveUpWaiting(_)
            | State::Inviting(_)
            | State::GivingUp(_)
            | State::Crossed(_)
            | State::InSession(_)
            | State::Leaving(_)
            | State::Alerting(_)
            | State::Accepted(_)
            | State::LeaveWaiting(_)
            | State::Closing => (false, NOTHING),
        }
    }

    fn become_and(&mut self, state: State, action: Action) -> Step {
        self.state = state;
        Step { action, told: None }
    }

    fn close(&mut self, told: Option<Told>) -> Step {
        self.state = State::Closing;
        Step { action: Action::Close, told }
    }
}

fn told(told: Told) -> Step {
    Step { action: Action::Nothing, told: Some(told) }
}

#[cfg(test)]
mod tests;
