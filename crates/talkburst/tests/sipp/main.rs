//! The binary against SIPp: `talkburst call` and `talkburst answer` on real sockets, each race of cancelling played by a
//! scenario file of its own.
//!
//! SIPp plays Ben if our client calls (`scenarios/ben_*.xml`) and Anna if it answers (`scenarios/anna_*.xml`). A scenario
//! says what SIPp sends and when, and fails on anything that it does not expect; the log of its messages and the events
//! of our client are checked here. What SIPp cannot play is played by a socket ([`connection`]).
//!
//! Each play has addresses of its own in 127.0.0.0/8, all of which only Linux has.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops where it is surprised, and says what it leaves out and what it has seen"
)]

mod harness;

mod challenges;
mod connection;
mod crossings;
mod expiry;
mod guard;
mod identity;
mod invited;
mod losses;
mod matching;
mod modification;
mod progress;
mod reliable;

#[path = "../common/mod.rs"]
mod common;
#[path = "../sipping/mod.rs"]
mod sipping;
