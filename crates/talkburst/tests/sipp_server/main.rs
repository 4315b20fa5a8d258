//! The server against SIPp and sockets: `talkburst serve` on the wire, with clients that do what ours never would.
//!
//! SIPp plays the inviter, the invited terminals, or all of them; where it does not, `talkburst call --server` and
//! `talkburst answer --server` do. What SIPp sends and waits for stands beside each test as a [`script`]; it fails on anything else.
//! Bad input comes from sockets ([`hostile`]).
//!
//! Each element has an address of its own in 127.0.0.0/8, all of which only Linux has.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops where it is surprised, and says what it leaves out and what it has seen"
)]

mod access;
mod harness;
mod script;

mod answered;
mod automatic;
mod cancelled;
mod crossings;
mod forks;
mod groups;
mod guard;
mod hostile;
mod hostile_groups;
mod losses;
mod matching;
mod reliable;

#[path = "../common/mod.rs"]
mod common;
#[path = "../sipping/mod.rs"]
mod sipping;
