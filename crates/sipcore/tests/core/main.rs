//! The core between peers that are written by hand: datagrams in, datagrams out, virtual time.
//!
//! Comments name what a test covers: rows of the race catalogue (R9), of the test list (T23), cases, defects of other stacks
//! (C05) and invariants (I4). `wire` checks what holds for every test on every message.

mod amplification;
mod authentication;
mod cancelling;
mod census;
mod forking;
mod hosting;
mod hygiene;
mod identity;
mod orders;
mod proxying;
mod reg;
mod registering;
mod releasing;
mod rules;
mod wire;
