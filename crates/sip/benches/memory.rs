//! What an open INVITE costs the endpoint that was invited, in octets of heap: after its 1xx, while it rings.

#![expect(clippy::print_stdout, reason = "its answer is a table")]

use std::net::SocketAddr;

use bytes::Bytes;
use sip::transport::{Listener, Path, Transport};
use sip::{Command, Config, Endpoint, Event, Input, Instant};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const INVITE: &str = include_str!("../tests/data/invite900.sip");

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    println!("calls that ring   octets each   blocks each");
    for calls in [1_000, 10_000, 100_000] {
        let before = dhat::HeapStats::get();
        let endpoint = ringing(calls);
        let after = dhat::HeapStats::get();
        let octets = (after.curr_bytes - before.curr_bytes) / calls;
        let blocks = (after.curr_blocks - before.curr_blocks) as f64 / calls as f64;
        println!("{calls:>15}   {octets:>11}   {blocks:>11.1}");
        drop(endpoint);
    }
}

fn ringing(calls: usize) -> Endpoint {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let listener = Listener { transport: Transport::Udp, bind: address(5060), advertised: address(5060) };
    let mut config = Config::new(vec![listener], [1; 32]);
    config.transactions_max = usize::MAX;
    config.supported = vec![Bytes::from_static(b"timer")];
    let mut endpoint = Endpoint::new(config);
    let path =
        Path { transport: Transport::Udp, local: address(5060), remote: address(5070), connection: None };
    for call in 0..calls {
        let invite = INVITE
            .replace("z9hG4bKnashds7a8f", &format!("z9hG4bK{call:010}"))
            .replace("b89rjhnedlrfjflslj40a222", &format!("b89rjhnedlrfjf{call:010}"));
        let input = Input::Datagram { path, bytes: Bytes::from(invite) };
        endpoint.handle_input(Instant::START, input).expect("a peer");
        while let Some(event) = endpoint.poll_event() {
            if let Event::Invited { session, .. } = event {
                let ring = Command::Progress { session, status: 180, headers: Vec::new(), body: None };
                endpoint.handle_input(Instant::START, Input::Command(ring)).expect("just invited");
            }
        }
        while endpoint.poll_transmit().is_some() {}
    }
    endpoint
}
