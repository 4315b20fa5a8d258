//! The SIP/IP core that ships inside: registrar and transaction-stateful proxy, without I/O.
//!
//! [`Core`] faces the world: it knows users by their passwords, binds them to the addresses at which they are reached,
//! asserts who sends a request, stays on the way of every dialog, and hands the requests of PoC to the PoC Server as an IMS
//! core would. Who may know where a user is registered can subscribe to it. Like every machine here it takes bytes, commands and time, and gives bytes and events.
//!
//! ```
//! use bytes::Bytes;
//! use sip::Instant;
//! use sip::transport::{Listener, Path, Transport};
//! use sipcore::{Command, Config, Core, Ha1, Input, User};
//!
//! let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
//! let listener = Listener { transport: Transport::Udp, bind: address(5060), advertised: address(5060) };
//! let mut core = Core::new(Config::new(Bytes::from("poc.example"), vec![listener], [1; 32]));
//! let user = User { name: Bytes::from("anna"), ha1: Ha1::of(b"anna", b"poc.example", b"secret") };
//! core.handle_input(Instant::START, Input::Command(Command::PutUser(user)));
//!
//! let register = "REGISTER sip:poc.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\n\
//!                 From: <sip:anna@poc.example>;tag=a\r\nTo: <sip:anna@poc.example>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
//!                 Contact: <sip:anna@127.0.0.1:5070>\r\nContent-Length: 0\r\n\r\n";
//! let path = Path { transport: Transport::Udp, local: address(5060), remote: address(5070), connection: None };
//! core.handle_input(Instant::START, Input::Datagram { path, bytes: Bytes::from(register) });
//! let challenge = core.poll_transmit().expect("an answer");
//! assert!(challenge.bytes.starts_with(b"SIP/2.0 401 Unauthorized"));
//! assert!(core.is_empty(), "a challenge keeps nothing");
//! ```
#![warn(missing_docs)]

mod authentication;
mod binding;
mod bucket;
mod census;
mod directory;
mod face;
mod hub;
mod identity;
mod incoming;
mod preference;
mod proxy;
mod reg;
mod registrar;
mod releasing;
mod shard;
mod transaction;
mod uri;

pub use authentication::{Algorithms, Ha1};
pub use census::Census;
pub use face::{Command, Config, Counters, Event, Expires, Input, Load, Nonces, Peer, Rate, Source, User};
pub use hub::Core;
pub use reg::AGENT_SHARDS;
pub use shard::shard_of;
pub use uri::user_of;
