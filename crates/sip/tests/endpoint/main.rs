//! The endpoint against a peer that is written by hand: raw text in, raw text out, virtual time.
//!
//! Comments name what a test covers: rows of the state tables (U1c/1xx, V2/CANCEL), of the race catalogue (R3), of the test
//! list (T7), defects of other stacks (C36), measured mistakes (item 6) and invariants (I5). `wire` checks the invariants
//! that hold for every test on every message.

mod attempts;
mod between;
mod cancelled;
mod cancelling;
mod census;
mod contacts;
mod defects;
mod dialogs;
mod hygiene;
mod inside;
mod matching;
mod modifications;
mod notifications;
mod orders;
mod races;
mod received;
mod referring;
mod reliable;
mod requests;
mod robustness;
mod session_timers;
mod sharing;
mod streams;
mod subscriptions;
mod updates;
mod wire;
