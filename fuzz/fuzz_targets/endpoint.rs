//! Datagrams for an endpoint that is inviting somebody: each gets a bounded answer, and in the end nothing remains.
#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip::transport::{Listener, Path, Target, Transport};
use sip::{Command, Config, Duration, Endpoint, Event, Input, Instant, Invite};

/// A 200 and a 487, or an ACK and a BYE.
const ANSWER_MAX: usize = 2;

fuzz_target!(|octets: &[u8]| {
    let local = SocketAddr::from(([127, 0, 0, 1], 5060));
    let remote = SocketAddr::from(([127, 0, 0, 1], 5070));
    let listener = Listener { transport: Transport::Udp, bind: local, advertised: local };
    let mut endpoint = Endpoint::new(Config::new(vec![listener], [7; 32]));
    let mut now = Instant::START;
    let invite = Invite {
        targets: vec![Target { transport: Transport::Udp, remote }],
        uri: Bytes::from_static(b"sip:ben@poc.example"),
        from: Bytes::from_static(b"<sip:anna@poc.example>"),
        to: Bytes::from_static(b"<sip:ben@poc.example>"),
        routes: Vec::new(),
        headers: Vec::new(),
        body: None,
        expires: Some(Duration::from_secs(60)),
        expires_headers: Vec::new(),
    };
    endpoint.handle_input(now, Input::Command(Command::Invite(Box::new(invite)))).expect("well-formed");
    while endpoint.poll_transmit().is_some() {}
    let path = Path { transport: Transport::Udp, local, remote, connection: None };
    for datagram in octets.split(|octet| *octet == 0xff) {
        endpoint
            .handle_input(now, Input::Datagram { path, bytes: Bytes::copy_from_slice(datagram) })
            .expect("a peer");
        let sent = std::iter::from_fn(|| endpoint.poll_transmit()).count();
        assert!(sent <= ANSWER_MAX, "{sent} datagrams for one");
        react(&mut endpoint, now);
    }
    while let Some(next) = endpoint.poll_timeout() {
        assert!(next >= now, "time goes on");
        now = next;
        endpoint.handle_timeout(now);
        react(&mut endpoint, now);
    }
    assert!(endpoint.is_empty());
});

/// A user who wants nothing: refuses what comes and leaves what stands.
fn react(endpoint: &mut Endpoint, now: Instant) {
    while let Some(event) = endpoint.poll_event() {
        let command = match event {
            Event::Invited { session, .. } | Event::ModificationOffered { session, .. } => {
                Command::Refuse { session, status: 480, headers: Vec::new() }
            }
            Event::Established { session, .. } => Command::Leave { session, headers: Vec::new() },
            _ => continue,
        };
        endpoint.handle_input(now, Input::Command(command)).expect("it was just told");
    }
    while endpoint.poll_transmit().is_some() {}
}
