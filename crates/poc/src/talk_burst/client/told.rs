//! What goes into the machine and what comes out of it.

use std::time::Duration;

use super::super::message::{DenyReason, Message, Position, Priority, Revoke, Taken};

/// How talk burst control begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// The INVITE counts as the request.
    ImplicitRequest,
    /// The answer to the INVITE has granted it.
    Granted,
    /// Nobody has asked here.
    Listening,
}

/// What the machine says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// To the server.
    Send(Message),
    /// To the user.
    Told(Told),
}

/// What the user is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The user may speak.
    Granted {
        /// For so many seconds, if there is a limit that is known. Told again if it becomes known, or more.
        seconds: Option<u16>,
        /// How many take part, if the server says so and knows.
        participants: Option<u16>,
    },
    /// The user, who was in the queue and does not press, may speak once the button is pressed within this time.
    GrantWaits {
        /// How long.
        wait: Duration,
    },
    /// The user may speak for so many seconds only.
    TimeIsShort {
        /// How many.
        seconds: u16,
    },
    /// The user has spoken for as long as may be, and is not heard any more.
    TimeIsOver,
    /// The server does not let the user speak.
    Denied {
        /// Why.
        reason: DenyReason,
        /// The same in the words of the server; may be empty.
        phrase: String,
    },
    /// Somebody else speaks.
    TakenBy(Box<Taken>),
    /// Nobody speaks.
    Idle,
    /// The user may not speak any more.
    Revoked(Revoke),
    /// The request is in the queue.
    Queued {
        /// With this priority.
        priority: Priority,
        /// At this place.
        position: Position,
    },
    /// No request is in the queue.
    NotQueued,
    /// Nothing was heard of who spoke for a while: what has been received of it is all.
    EndOfSpeech,
    /// The server does not answer.
    RequestTimedOut,
    /// The user may not ask yet.
    RefusedLocally {
        /// So many seconds later, that is.
        seconds: u16,
    },
    /// The user may ask again.
    MayAskAgain,
}

/// What becomes of speech.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hear {
    /// It is played.
    Play,
    /// It is not.
    Drop,
}
