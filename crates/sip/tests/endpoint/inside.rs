//! Two elements of one process: what one sends inside is handed to the other as it is.

use std::collections::BTreeSet;

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::transport::{Listener, Path, Target, Transport};
use sip::usage::{End, Party};
use sip::{
    Command, Config, Duration, Endpoint, Event, Headers, Input, Instant, Invite, Message, Misuse, SessionId,
};

use crate::wire::{CONTACT, Request, Wire, address, invitation, read, response, text, uri, word};

const ANNA: &str = "127.0.0.1:5061";
const BEN: &str = "127.0.0.1:5062";

fn inside(local: &str, remote: &str) -> Path {
    Path { transport: Transport::Inside, local: address(local), remote: address(remote), connection: None }
}

fn config(local: &str, seed: u8) -> Config {
    let listener = |transport| Listener { transport, bind: address(local), advertised: address(local) };
    Config::new([Transport::Udp, Transport::Tcp, Transport::Inside].map(listener).into(), [seed; 32])
}

/// Each with its address.
struct Pair {
    endpoints: [(&'static str, Endpoint); 2],
    now: Duration,
    sent: Vec<Message>,
    events: [Vec<Event>; 2],
}

impl Pair {
    fn new() -> Self {
        let endpoint = |local, seed| (local, Endpoint::new(config(local, seed)));
        Self {
            endpoints: [endpoint(ANNA, 1), endpoint(BEN, 2)],
            now: Duration::ZERO,
            sent: Vec::new(),
            events: [Vec::new(), Vec::new()],
        }
    }

    fn command(&mut self, side: usize, command: Command) -> Result<Option<SessionId>, Misuse> {
        let result = self.endpoints[side].1.handle_input(Instant::at(self.now), Input::Command(command));
        self.carry();
        result
    }

    /// Hands everything over until both are quiet.
    fn carry(&mut self) {
        loop {
            let mut is_quiet = true;
            for side in 0..2 {
                while let Some(event) = self.endpoints[side].1.poll_event() {
                    self.events[side].push(event);
                }
                while let Some(transmit) = self.endpoints[side].1.poll_transmit() {
                    is_quiet = false;
                    let (from, to) = (self.endpoints[side].0, self.endpoints[1 - side].0);
                    assert_eq!(transmit.path, inside(from, to));
                    let message = read(&transmit.bytes);
                    self.sent.push(message.clone());
                    let input = Input::Message { path: inside(to, from), message };
                    let receiver = &mut self.endpoints[1 - side].1;
                    receiver.handle_input(Instant::at(self.now), input).expect("no command");
                }
            }
            if is_quiet {
                break;
            }
        }
    }

    fn words(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|message| word(&message)).collect()
    }

    fn finish(mut self) {
        for side in 0..2 {
            while let Some(next) = self.endpoints[side].1.poll_timeout() {
                self.endpoints[side].1.handle_timeout(next);
                assert_eq!(self.endpoints[side].1.poll_transmit(), None, "nothing is sent again");
            }
            assert!(self.endpoints[side].1.is_empty());
        }
    }
}

/// A description that no datagram is sent with.
fn long() -> Option<Body> {
    let bytes = Bytes::from(format!("v=0\r\n{}", "a=x\r\n".repeat(2000)));
    Some(Body { content_type: Bytes::from_static(b"application/sdp"), bytes })
}

fn invite() -> Invite {
    let targets = vec![Target { transport: Transport::Udp, remote: address(BEN) }];
    Invite { targets, body: long(), ..invitation() }
}

#[test]
fn a_call_inside_needs_no_copies_and_no_other_transport_for_its_length() {
    let mut pair = Pair::new();
    let session = pair.command(0, Command::Invite(Box::new(invite()))).unwrap().unwrap();
    let next = pair.endpoints[0].1.poll_timeout().unwrap();
    assert!(next > Instant::at(Duration::from_secs(20)), "timer B only: {next:?}");
    let sent = pair.sent.remove(0);
    assert!(text(&sent, Name::Via).starts_with(&format!("SIP/2.0/TCP {ANNA};branch=z9hG4bK")));
    assert!(!text(&sent, Name::Via).contains("rport"));
    assert!(text(&sent, Name::Contact).ends_with(&format!("@{ANNA}>")), "no transport parameter");
    assert!(sent.bytes().len() > 10_000);
    let Some(Event::Invited { session: invited, .. }) = pair.events[1].pop() else { panic!("not invited") };
    let none = Headers::new;
    let ring = Command::Progress { session: invited, status: 180, headers: none(), body: None };
    pair.command(1, ring).unwrap();
    pair.command(1, Command::Accept { session: invited, headers: none(), body: long() }).unwrap();
    assert_eq!(pair.words(), ["180 INVITE", "200 INVITE", "ACK"]);
    pair.command(0, Command::Modify { session, headers: Vec::new(), body: long() }).unwrap();
    pair.command(1, Command::Accept { session: invited, headers: none(), body: long() }).unwrap();
    assert_eq!(pair.words(), ["INVITE", "200 INVITE", "ACK"]);
    pair.command(1, Command::Leave { session: invited, headers: none() }).unwrap();
    assert_eq!(pair.words(), ["BYE", "200 BYE"]);
    let ended: Vec<_> = pair.events.iter().map(|events| events.last().cloned()).collect();
    for (event, expected) in
        ended.into_iter().zip([(End::Released, Party::Remote), (End::Left, Party::Local)])
    {
        let Some(Event::Ended { end, by, .. }) = event else { panic!("{event:?}") };
        assert_eq!((end, by), expected);
    }
    pair.finish();
}

/// 14.2 C10: the CANCEL goes the way of its INVITE, and is taken from there.
#[test]
fn a_cancel_goes_inside_like_its_invite() {
    let mut pair = Pair::new();
    let session = pair.command(0, Command::Invite(Box::new(invite()))).unwrap().unwrap();
    let Some(Event::Invited { session: invited, .. }) = pair.events[1].pop() else { panic!("not invited") };
    let ring = Command::Progress { session: invited, status: 180, headers: Headers::new(), body: None };
    pair.command(1, ring).unwrap();
    pair.command(0, Command::Cancel { session, headers: Headers::new() }).unwrap();
    let words: BTreeSet<_> = pair.words().into_iter().collect();
    let expected = ["INVITE", "180 INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"];
    assert_eq!(words, expected.map(String::from).into());
    pair.finish();
}

/// What the dialog names may be outside: the other element takes it there.
#[test]
fn whatever_a_dialog_names_is_reached_inside() {
    let mut wire = Wire::with(|config| *config = self::config(ANNA, 3));
    let session = wire.invite_with(invite());
    let sent = wire.log().remove(0);
    assert_eq!(sent.path, inside(ANNA, BEN));
    let lines = CONTACT.replace("ben.example", "192.0.2.9:5080;transport=tcp");
    wire.receive_on(inside(ANNA, BEN), &response(&sent.message, 200, "p1", &lines));
    let ack = wire.log().remove(0);
    assert_eq!(
        (ack.path, uri(&ack.message)),
        (inside(ANNA, "192.0.2.9:5080"), "sip:ben@192.0.2.9:5080;transport=tcp")
    );
    wire.leave(session).unwrap();
    assert_eq!(wire.log()[0].path, inside(ANNA, "192.0.2.9:5080"));
    wire.finish();
}

/// §18.2.2: as on a connection, whatever the Via says.
#[test]
fn an_answer_goes_back_inside_to_where_the_request_came_from() {
    let mut wire = Wire::with(|config| *config = self::config(ANNA, 3));
    let options = Request::invite("opt").follow("OPTIONS");
    let via = "SIP/2.0/TCP 198.51.100.7:9;branch=z9hG4bKopt".into();
    wire.receive_on(inside(ANNA, BEN), &Request { via, ..options }.text());
    let sent = wire.log().remove(0);
    assert_eq!((word(&sent.message), sent.path), ("200 OPTIONS".into(), inside(ANNA, BEN)));
    assert!(wire.endpoint.is_empty(), "§17.2.2: timer J is zero");
    wire.finish();
}
