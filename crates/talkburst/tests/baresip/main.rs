//! The server with baresip: a SIP phone that knows nothing of PoC, of which others are made too.
//!
//! It registers, is called, and calls, headless and on loopback: [`phone`] starts it and gives it orders. Who calls it or is called by
//! it is our client.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod phone;

mod called;
mod calling;
mod groups;

#[path = "../common/mod.rs"]
mod common;
#[path = "../program/mod.rs"]
mod program;
#[path = "../sipping/mod.rs"]
mod sipping;
