//! SIP without I/O.
#![warn(missing_docs)]

pub mod auth;
mod cancels;
pub mod connection;
pub mod dialog;
mod endpoint;
pub mod guard;
pub mod hash;
pub mod identifier;
pub mod message;
pub mod reply;
mod time;
pub mod transaction;
pub mod transport;
pub mod usage;
pub mod way;
pub mod wheel;

pub use auth::Credentials;
pub use cancels::Cancels;
pub use endpoint::{
    ALLOWED, Canonical, Census, Command, Config, Contact, Counters, Endpoint, Event, Headers, Input, Invite,
    JOURNAL_VERSION, LATE, Misuse, ReceivedId, Record, Refer, Reliability, Request, RequestId, SESSION_MARK,
    SessionId, Subscribe, SubscriberId, SubscriptionId, SubscriptionState, TIME_MARK, Transactions,
};
pub use guard::Guard;
pub use identifier::{Identifier, Identifiers, Owner};
pub use message::Message;
pub use time::{Duration, Instant};
