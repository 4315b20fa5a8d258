//! What a cancelled call costs two endpoints, beside none and beside many calls that are ringing.

use std::net::SocketAddr;

use bytes::Bytes;
use divan::{Bencher, black_box};
use sip::transport::{Listener, Path, Target, Transport};
use sip::{Command, Config, Duration, Endpoint, Event, Input, Instant, Invite, SessionId};

fn main() {
    divan::main();
}

struct Pair {
    now: Instant,
    inviter: Endpoint,
    invited: Endpoint,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn endpoint(port: u16) -> Endpoint {
    let listener = Listener { transport: Transport::Udp, bind: address(port), advertised: address(port) };
    let mut config = Config::new(vec![listener], [port as u8; 32]);
    config.transactions_max = usize::MAX;
    Endpoint::new(config)
}

impl Pair {
    /// Two endpoints with so many calls that ring.
    fn ringing(calls: usize) -> Self {
        let mut pair = Self { now: Instant::START, inviter: endpoint(5060), invited: endpoint(5070) };
        for _ in 0..calls {
            pair.invite();
        }
        pair
    }

    /// An INVITE, and a 180 back. Returns the session as each side knows it.
    fn invite(&mut self) -> [SessionId; 2] {
        let invite = Invite {
            targets: vec![Target { transport: Transport::Udp, remote: address(5070) }],
            uri: Bytes::from_static(b"sip:ben@poc.example"),
            from: Bytes::from_static(b"<sip:anna@poc.example>"),
            to: Bytes::from_static(b"<sip:ben@poc.example>"),
            routes: Vec::new(),
            headers: Vec::new(),
            body: None,
            expires: None,
            expires_headers: Vec::new(),
            contact: None,
            hops: None,
        };
        let command = Input::Command(Command::Invite(Box::new(invite)));
        let session = self.inviter.handle_input(self.now, command).expect("well-formed").expect("a session");
        self.exchange();
        let mut invited = None;
        while let Some(event) = self.invited.poll_event() {
            if let Event::Invited { session, .. } = event {
                let ring = Command::Progress { session, status: 180, headers: Vec::new(), body: None };
                self.invited.handle_input(self.now, Input::Command(ring)).expect("just invited");
                invited = Some(session);
            }
        }
        self.exchange();
        [session, invited.expect("the INVITE has arrived")]
    }

    /// CANCEL, 200, 487, ACK.
    fn cancel(&mut self, session: SessionId) {
        let cancel = Command::Cancel { session, headers: Vec::new() };
        self.inviter.handle_input(self.now, Input::Command(cancel)).expect("ringing");
        self.exchange();
        while self.inviter.poll_event().is_some() || self.invited.poll_event().is_some() {}
    }

    fn exchange(&mut self) {
        let mut busy = true;
        while std::mem::take(&mut busy) {
            for (from, to) in [(true, false), (false, true)] {
                while let Some(sent) = self.side(from).poll_transmit() {
                    let path = Path { local: sent.path.remote, remote: sent.path.local, ..sent.path };
                    let now = self.now;
                    self.side(to)
                        .handle_input(now, Input::Datagram { path, bytes: sent.bytes })
                        .expect("a peer");
                    busy = true;
                }
            }
        }
    }

    fn side(&mut self, inviter: bool) -> &mut Endpoint {
        if inviter { &mut self.inviter } else { &mut self.invited }
    }

    /// Lets what is over run out, and what rings ring on.
    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.inviter.handle_timeout(self.now);
        self.invited.handle_timeout(self.now);
        self.exchange();
    }
}

/// The 180 of a call that rings, said again: the response is put together from what was kept of the INVITE.
#[divan::bench(sample_count = 50, sample_size = 1000)]
fn response_to_a_kept_request(bencher: Bencher) {
    let mut pair = Pair::ringing(0);
    let [_, invited] = pair.invite();
    bencher.bench_local(|| {
        let ring =
            Command::Progress { session: black_box(invited), status: 180, headers: Vec::new(), body: None };
        pair.invited.handle_input(pair.now, Input::Command(ring)).expect("it rings");
        pair.invited.poll_transmit()
    });
}

/// Both sides: 6 messages, from the INVITE to the ACK of the 487, and every timer that they armed.
#[divan::bench(args = [0, 1_000, 10_000, 100_000, 1_000_000], sample_count = 20, sample_size = 500)]
fn cancelled_call_beside(bencher: Bencher, ringing: usize) {
    let mut pair = Pair::ringing(ringing);
    bencher.bench_local(|| {
        let [session, _] = pair.invite();
        pair.cancel(black_box(session));
        pair.pass(Duration::from_millis(20));
    });
}
