//! SIP without I/O.
#![warn(missing_docs)]

pub mod auth;
pub mod connection;
pub mod dialog;
mod endpoint;
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
pub use endpoint::{
    ALLOWED, Canonical, Command, Config, Contact, Endpoint, Event, Headers, Input, Invite, JOURNAL_VERSION,
    Misuse, ReceivedId, Record, Refer, Reliability, Request, RequestId, SessionId, Subscribe, SubscriberId,
    SubscriptionId, SubscriptionState,
};
pub use identifier::{Identifier, Identifiers, Owner};
pub use message::Message;
pub use time::{Duration, Instant};
