//! OMA Push-to-talk over Cellular (PoC) without I/O.
//!
//! [`Client`] is the PoC Client: it starts on-demand PoC Sessions, is invited, cancels, is cancelled, and leaves. Like
//! the endpoint below it, it takes bytes, commands and time, and gives bytes and events; the same machine runs in the
//! program, in the simulation and in anything that embeds it.
//!
//! ```
//! use bytes::Bytes;
//! use poc::{Client, Config, Event, sdp::Capabilities};
//! use sip::transport::{Listener, Target, Transport};
//! use sip::{Duration, Instant};
//!
//! let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
//! let listener = |port| Listener { transport: Transport::Udp, bind: address(port), advertised: address(port) };
//! let client = |name: &'static str, port, seed| {
//!     let sip = sip::Config::new(vec![listener(port)], [seed; 32]);
//!     Client::new(Config::new(sip, Bytes::from(name), Capabilities::amr(address(port).ip(), 45200, 25463)))
//! };
//! let (mut anna, mut ben) = (client("<sip:anna@home1.example>", 5060, 1), client("<sip:ben@home1.example>", 5070, 2));
//!
//! let target = Target { transport: Transport::Udp, remote: address(5070) };
//! let now = Instant::START;
//! let session = anna.start_session(now, target, "sip:ben@home1.example").expect("a free client");
//! anna.cancel(now, session).expect("nothing has been answered");
//! assert_eq!(anna.poll_transmit().map(|invite| invite.bytes.starts_with(b"INVITE")), Some(true));
//! assert_eq!(anna.poll_transmit(), None, "no CANCEL before a provisional response");
//! # let _ = (Duration::ZERO, &mut ben, None::<Event>);
//! ```
#![warn(missing_docs)]

pub mod address;
pub mod answer_state;
pub mod body;
pub mod client;
mod focus;
pub mod sdp;
pub mod server;
pub mod talk_burst;
pub mod user_agent;

pub use address::session_identity;
pub use client::{
    Addressee, AnswerMode, AnswerRequest, Client, Command, Config, Event, Input, Outcome, PocSettings,
    Profile, Registration, Timing,
};
pub use focus::Focus;
pub use server::{Server, SessionType};
