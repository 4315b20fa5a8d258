//! The whole system under one seed, in virtual time.
//!
//! [`World`] drives the machines that ship, connected by a [`Network`] that loses, doubles, delays and reorders. A
//! [`Monitor`](monitor::Monitor) reads the wire and the events and knows the invariants; [`story`] draws what the users
//! do; [`ladder`] shows what happened.
#![warn(missing_docs)]

pub mod chance;
pub mod explore;
pub mod ladder;
pub mod lane;
pub mod monitor;
pub mod network;
pub mod story;
pub mod swarm;
pub mod system;
pub mod world;

pub use network::{Deed, Faults, Network, Which};
pub use system::System;
pub use world::World;
