//! The server behind Kamailio: a SIP/IP core that is not ours, with the configuration that `packaging/kamailio` has.
//!
//! Clients register with it and know nothing else; it asks for their passwords, says to the PoC Server who they are, and stays in
//! every dialog. What it has passed on it writes down itself, and that is looked at. SIPp does what our clients never would ([`sipp`]).
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod network;
mod sipp;

mod crossings;
mod guard;
mod sessions;

#[expect(dead_code, reason = "nobody has a wrong password here")]
#[path = "../sipp_server/access.rs"]
mod access;
#[path = "../sipp_server/script.rs"]
mod script;

#[path = "../common/mod.rs"]
mod common;
#[path = "../program/mod.rs"]
mod program;
#[path = "../sipping/mod.rs"]
mod sipping;
