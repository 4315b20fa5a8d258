//! OMA Push-to-talk over Cellular (PoC) without I/O.
//!
//! [`Client`] is the PoC Client: it starts and joins PoC Sessions of every kind, is invited, cancels, is cancelled, and leaves.
//! Like the endpoint below it, it takes bytes, commands and time, and gives bytes and events; the same machine runs in the
//! program, in the simulation and in anything that embeds it. A session is lent out as the [handle](client::Handle) of what it
//! has come to, which has the verbs of that.
//!
//! ```
//! use bytes::Bytes;
//! use poc::{Client, Config, Event, client::Handle, sdp::Capabilities};
//! use sip::transport::{Listener, Path, Target, Transport};
//! use sip::{Instant, usage::End};
//!
//! let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
//! let listener = |port| Listener { transport: Transport::Udp, bind: address(port), advertised: address(port) };
//! let client = |name: &'static str, port, seed| {
//!     let sip = sip::Config::new(vec![listener(port)], [seed; 32]);
//!     Client::new(Config::new(sip, Bytes::from(name), Capabilities::amr(address(port).ip(), 45200, 25463)))
//! };
//! let (mut anna, mut ben) = (client("<sip:anna@home1.example>", 5060, 1), client("<sip:ben@home1.example>", 5070, 2));
//! let now = Instant::START;
//! // What one sends goes to the other.
//! let carry = |from: &mut Client, to: &mut Client| {
//!     while let Some(sent) = from.poll_transmit() {
//!         let path = Path { local: sent.path.remote, remote: sent.path.local, ..sent.path };
//!         to.handle_input(now, poc::Input::Datagram { path, bytes: sent.bytes }).expect("only commands are refused");
//!     }
//! };
//!
//! let target = Target { transport: Transport::Udp, remote: address(5070) };
//! let call = anna.start_session(now, target, "sip:ben@home1.example").expect("a free client");
//! carry(&mut anna, &mut ben); // INVITE
//! carry(&mut ben, &mut anna); // 180
//! let Some(Event::Invited { session, .. }) = ben.poll_event() else { panic!("Ben is not invited") };
//! assert!(matches!(ben.session(session), Ok(Handle::Incoming(_))), "it can be accepted or refused");
//!
//! // Nobody has answered, so it can be cancelled, and not left.
//! assert!(anna.established(call).is_err());
//! anna.outgoing(call).expect("it rings").cancel(now);
//! carry(&mut anna, &mut ben); // CANCEL
//! carry(&mut ben, &mut anna); // 200 to it, 487 to the INVITE
//! let Some(Event::Ended { outcome, .. }) = ben.poll_event() else { panic!("Ben is left ringing") };
//! assert_eq!((outcome.end, outcome.is_missed()), (End::Cancelled, true));
//! assert!(anna.session(call).is_err(), "what is over has no handle");
//! ```
//!
//! `crates/sim/examples/ad_hoc.rs` is the same with a group, by way of a core and a server.
#![warn(missing_docs)]

pub mod address;
pub mod amr;
pub mod answer_state;
pub mod body;
pub mod client;
mod display;
mod focus;
pub mod media;
pub mod playout;
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
