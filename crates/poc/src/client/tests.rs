use std::net::SocketAddr;

use sip::message::Name;
use sip::transport::{Listener, Path, Transport};
use sip::usage::{End, Party};
use sip::{Duration, Message};

use super::*;
use crate::sdp::{Capabilities, Media};
use crate::user_agent;

const ANNA: u8 = 1;
const BEN: u8 = 2;

fn address(place: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, place], 5060))
}

fn target(place: u8) -> Target {
    Target { transport: Transport::Udp, remote: address(place) }
}

fn config(place: u8) -> Config {
    let listener = Listener { transport: Transport::Udp, bind: address(place), advertised: address(place) };
    let mut sip = sip::Config::new(vec![listener], [place; 32]);
    sip.owner = sip::Owner { node: u16::from(place), shard: 0 };
    let name = if place == ANNA { "\"Anna\" <sip:anna@home1.example>" } else { "<sip:ben@home1.example>" };
    Config::new(sip, Bytes::from(name), Capabilities::amr(address(place).ip(), 45_200, 25_463))
}

mod alerts;
mod carried;
mod enrolment;
mod handles;
mod members;
mod modifying;
mod starting;

/// Two clients and a wire without time.
#[derive(Clone)]
struct Pair {
    now: Instant,
    anna: Client,
    ben: Client,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(configure: impl Fn(&mut Config)) -> Self {
        let client = |place| {
            let mut config = config(place);
            configure(&mut config);
            Client::new(config)
        };
        Self { now: Instant::START, anna: client(ANNA), ben: client(BEN) }
    }

    fn invite(&mut self) -> SessionId {
        self.anna.start_session(self.now, target(BEN), "sip:ben@home1.example").unwrap()
    }

    /// What Anna sends goes to Ben, once. Returns it.
    fn anna_to_ben(&mut self) -> Vec<Message> {
        let sent = sent(&mut self.anna);
        for message in &sent {
            deliver(self.now, &mut self.ben, BEN, ANNA, message.bytes().clone());
        }
        sent
    }

    fn ben_to_anna(&mut self) -> Vec<Message> {
        let sent = sent(&mut self.ben);
        for message in &sent {
            deliver(self.now, &mut self.anna, ANNA, BEN, message.bytes().clone());
        }
        sent
    }

    /// Until neither has anything to send.
    fn settle(&mut self) {
        while !(self.anna_to_ben().is_empty() & self.ben_to_anna().is_empty()) {}
    }

    /// Until nothing is due any more.
    fn wait(&mut self) {
        while let Some(next) = self.anna.poll_timeout().into_iter().chain(self.ben.poll_timeout()).min() {
            self.now = next;
            self.anna.handle_timeout(next);
            self.ben.handle_timeout(next);
            self.settle();
        }
    }
}

fn sent(client: &mut Client) -> Vec<Message> {
    std::iter::from_fn(|| client.poll_transmit())
        .map(|transmit| Message::parse(transmit.bytes).unwrap())
        .collect()
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn deliver(now: Instant, client: &mut Client, place: u8, from: u8, bytes: Bytes) {
    let path =
        Path { transport: Transport::Udp, local: address(place), remote: address(from), connection: None };
    client.handle_input(now, Input::Datagram { path, bytes }).unwrap();
}

fn invited(client: &mut Client) -> SessionId {
    let found = events(client).into_iter().find_map(|event| {
        let Event::Invited { session, .. } = event else { return None };
        Some(session)
    });
    found.expect("invited")
}

fn ended(client: &mut Client) -> Outcome {
    let found = events(client).into_iter().find_map(|event| {
        let Event::Ended { outcome, .. } = event else { return None };
        Some(outcome)
    });
    found.expect("ended")
}

fn starts(messages: &[Message]) -> Vec<String> {
    let start = |message: &Message| match message.status() {
        Some(status) => format!("{status} {}", text(message.cseq().unwrap().method)),
        None => text(message.method_text()),
    };
    messages.iter().map(start).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A response to `request` as a peer would write it.
fn response(request: &Message, status: &str, further: &str, body: &str) -> Bytes {
    let line = |name| text(request.value(name).unwrap());
    Bytes::from(format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=peer\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:peer@192.0.2.2>\r\n{further}Content-Length: {}\r\n\r\n{body}",
        line(Name::Via),
        line(Name::From),
        line(Name::To),
        line(Name::CallId),
        line(Name::CSeq),
        body.len(),
    ))
}

/// An INVITE as a peer would write it.
fn invite_of_a_peer(number: u8, body: &str) -> Bytes {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    Bytes::from(format!(
        "INVITE sip:ben@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpeer{number}\r\nMax-Forwards: 70\r\nFrom: \"Cara\" <sip:cara@home1.example>;tag=c{number}\r\nTo: <sip:ben@home1.example>\r\nCall-ID: call{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:cara@192.0.2.1:5060>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len(),
    ))
}

/// The ACK of a peer for `answer`, a 2xx to [`invite_of_a_peer`].
fn ack_of_a_peer(answer: &Message, body: &str) -> Bytes {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let line = |name| text(answer.value(name).unwrap());
    Bytes::from(format!(
        "ACK sip:ben@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpeerack\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        line(Name::From),
        line(Name::To),
        line(Name::CallId),
        body.len(),
    ))
}

mod what_is_written {
    use super::*;

    #[test]
    fn the_invite_of_a_poc_session() {
        let mut pair = Pair::new();
        pair.invite();
        let sent = sent(&mut pair.anna);
        assert_eq!(starts(&sent), ["INVITE"]);
        let expected = format!(
            "INVITE sip:ben@home1.example SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK000100jpebbx2701whfcy9z5;rport
Max-Forwards: 70
From: \"Anna\" <sip:anna@home1.example>;tag=000100gvmttnmrss1f7xe0vc
To: <sip:ben@home1.example>
Call-ID: 000100zq3r2v9ar8zttwbbqh
CSeq: 1 INVITE
Contact: <sip:000100gvmttnmrss1f7xe0vc@192.0.2.1:5060>;+g.poc.talkburst
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO
Supported: 100rel, timer
Accept-Contact: *;+g.poc.talkburst;require;explicit
P-Preferred-Identity: \"Anna\" <sip:anna@home1.example>
User-Agent: {}
Content-Type: application/sdp
Content-Length: 301

v=0
o=- 45200 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 45200 RTP/AVP 97
a=rtpmap:97 AMR/8000
a=fmtp:97 octet-align=1
a=ptime:200
a=+g.poc.talkburst
m=application 25463 udp TBCP
a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0
",
            user_agent::CLIENT,
        );
        assert_eq!(text(sent[0].bytes()).replace("\r\n", "\n"), expected);
    }

    #[test]
    fn a_set_up_limit_stands_in_expires() {
        let mut pair = Pair::with(|config| config.set_up_limit = Some(Duration::from_secs(20)));
        pair.invite();
        assert_eq!(sent(&mut pair.anna)[0].value(Name::Expires), Some(&b"20"[..]));
    }

    /// digest 14.2: identity, and nothing that must not appear.
    fn cancel_on(profile: Profile) -> (Message, Message) {
        let mut pair = Pair::with(|config| {
            config.profile = profile;
            config.set_up_limit = Some(Duration::from_secs(20));
        });
        let session = pair.invite();
        let invite = pair.anna_to_ben().remove(0);
        pair.ben_to_anna();
        pair.anna.cancel(pair.now, session).unwrap();
        (invite, sent(&mut pair.anna).remove(0))
    }

    #[test]
    fn the_cancel_has_the_identity_of_its_invite_and_nothing_that_must_not_appear() {
        for profile in [Profile::Plain, Profile::Ims] {
            let (invite, cancel) = cancel_on(profile);
            assert_eq!(invite.uri_text(), cancel.uri_text());
            for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::Route] {
                assert!(invite.values(name).eq(cancel.values(name)), "{name}");
            }
            assert_eq!(cancel.value(Name::CSeq), Some(&b"1 CANCEL"[..]));
            let names: Vec<_> = cancel.headers().map(|header| text(header.text)).collect();
            let reason: &[&str] = if profile == Profile::Ims { &["Reason"] } else { &[] };
            let expected =
                [&["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq"][..], reason, &["Content-Length"]]
                    .concat();
            assert_eq!(names, expected);
            assert!(cancel.body().is_empty());
        }
    }

    #[test]
    fn only_on_the_ims_a_cancel_says_why() {
        assert_eq!(cancel_on(Profile::Plain).1.value(Name::Reason), None);
        let expected = &b"RELEASE_CAUSE;cause=1;text=\"User ends call\""[..];
        assert_eq!(cancel_on(Profile::Ims).1.value(Name::Reason), Some(expected));
    }
}

mod states {
    use super::*;

    /// Each state, told by the side that is in it.
    fn inviting() -> (Client, SessionId) {
        let mut pair = Pair::new();
        let session = pair.invite();
        pair.anna_to_ben();
        (pair.anna, session)
    }

    fn proceeding() -> (Client, SessionId) {
        let mut pair = Pair::new();
        let session = pair.invite();
        pair.settle();
        (pair.anna, session)
    }

    fn cancel_waiting() -> (Client, SessionId) {
        let (mut client, session) = inviting();
        client.cancel(Instant::START, session).unwrap();
        (client, session)
    }

    fn cancelling() -> (Client, SessionId) {
        let (mut client, session) = proceeding();
        client.cancel(Instant::START, session).unwrap();
        (client, session)
    }

    /// Anna and Ben in session.
    fn in_session() -> (Pair, SessionId, SessionId) {
        let (mut pair, annas, bens) = accepted();
        pair.settle();
        (pair, annas, bens)
    }

    fn accepted() -> (Pair, SessionId, SessionId) {
        let mut pair = Pair::new();
        let annas = pair.invite();
        pair.settle();
        let bens = invited(&mut pair.ben);
        pair.ben.accept(pair.now, bens).unwrap();
        (pair, annas, bens)
    }

    fn ringing() -> (Client, SessionId) {
        let mut pair = Pair::new();
        pair.invite();
        pair.settle();
        let session = invited(&mut pair.ben);
        (pair.ben, session)
    }

    fn cancelled() -> (Client, SessionId) {
        let mut pair = Pair::new();
        let annas = pair.invite();
        pair.settle();
        let bens = invited(&mut pair.ben);
        pair.anna.cancel(pair.now, annas).unwrap();
        pair.settle();
        (pair.ben, bens)
    }

    fn inviter_of((pair, session, _): (Pair, SessionId, SessionId)) -> (Client, SessionId) {
        (pair.anna, session)
    }

    fn invited_of((pair, _, session): (Pair, SessionId, SessionId)) -> (Client, SessionId) {
        (pair.ben, session)
    }

    fn all() -> Vec<(&'static str, Client, SessionId)> {
        let named = |name, (client, session)| (name, client, session);
        vec![
            named("inviting", inviting()),
            named("inviting, 1xx", proceeding()),
            named("cancel waits", cancel_waiting()),
            named("cancelling", cancelling()),
            named("inviter in session", inviter_of(in_session())),
            named("invited in session", invited_of(in_session())),
            named("ringing", ringing()),
            named("accepted, no ACK", invited_of(accepted())),
            named("leaving", {
                let (mut pair, annas, _) = in_session();
                pair.anna.leave(pair.now, annas).unwrap();
                (pair.anna, annas)
            }),
            named("refused", {
                let (mut client, session) = ringing();
                client.refuse(Instant::START, session).unwrap();
                (client, session)
            }),
            named("cancelled", cancelled()),
        ]
    }

    type Verb = fn(&mut Client, Instant, SessionId) -> Result<(), Misuse>;

    const VERBS: [(&str, Verb); 5] = [
        ("cancel", Client::cancel),
        ("accept", Client::accept),
        ("refuse", Client::refuse),
        ("leave", Client::leave),
        ("hang_up", Client::hang_up),
    ];

    const TABLE: &str = "\
inviting            cancel
inviting            accept   NothingToAnswer
inviting            refuse   NothingToAnswer
inviting            leave    NotEstablished
inviting            hang_up
inviting, 1xx       cancel   CANCEL
inviting, 1xx       accept   NothingToAnswer
inviting, 1xx       refuse   NothingToAnswer
inviting, 1xx       leave    NotEstablished
inviting, 1xx       hang_up  CANCEL
cancel waits        cancel
cancel waits        accept   NothingToAnswer
cancel waits        refuse   NothingToAnswer
cancel waits        leave    NotEstablished
cancel waits        hang_up
cancelling          cancel
cancelling          accept   NothingToAnswer
cancelling          refuse   NothingToAnswer
cancelling          leave    NotEstablished
cancelling          hang_up
inviter in session  cancel   TooLate
inviter in session  accept   NothingToAnswer
inviter in session  refuse   NothingToAnswer
inviter in session  leave    BYE
inviter in session  hang_up  BYE
invited in session  cancel   TooLate
invited in session  accept   NothingToAnswer
invited in session  refuse   NothingToAnswer
invited in session  leave    BYE
invited in session  hang_up  BYE
ringing             cancel   TooLate
ringing             accept   200 INVITE
ringing             refuse   480 INVITE
ringing             leave    NotEstablished
ringing             hang_up  480 INVITE
accepted, no ACK    cancel   TooLate
accepted, no ACK    accept   NothingToAnswer
accepted, no ACK    refuse   NothingToAnswer
accepted, no ACK    leave
accepted, no ACK    hang_up
leaving             cancel   TooLate
leaving             accept   NothingToAnswer
leaving             refuse   NothingToAnswer
leaving             leave
leaving             hang_up
refused             cancel   NoSession
refused             accept   NoSession
refused             refuse   NoSession
refused             leave    NoSession
refused             hang_up  NoSession
cancelled           cancel   NoSession
cancelled           accept   NoSession
cancelled           refuse   NoSession
cancelled           leave    NoSession
cancelled           hang_up  NoSession
";

    /// What each verb does in each state: the misuse, or what it sends.
    #[test]
    fn every_verb_in_every_state() {
        let mut table = String::new();
        for (name, client, session) in all() {
            for (verb, act) in VERBS {
                let mut client = client.clone();
                sent(&mut client);
                events(&mut client);
                let before = format!("{:?}", client.canonical(Instant::START, &[]));
                let done = act(&mut client, Instant::START, session);
                if done.is_err() {
                    assert_eq!(
                        before,
                        format!("{:?}", client.canonical(Instant::START, &[])),
                        "a misuse changes nothing"
                    );
                    assert_eq!(client.poll_transmit(), None);
                    assert_eq!(client.poll_event(), None);
                }
                let text = match done {
                    Ok(()) => starts(&sent(&mut client)).join(", "),
                    Err(misuse) => format!("{misuse:?}"),
                };
                table.push_str(format!("{name:<20}{verb:<9}{text}").trim_end());
                table.push('\n');
            }
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn a_session_that_never_was_is_no_session_for_any_verb() {
        let (_, session) = inviting();
        for (verb, act) in VERBS {
            let mut nobody = Client::new(config(BEN));
            assert_eq!(act(&mut nobody, Instant::START, session), Err(Misuse::NoSession), "{verb}");
        }
    }

    #[test]
    fn cancelling_twice_sends_one_cancel() {
        let (mut client, session) = cancelling();
        assert_eq!(starts(&sent(&mut client)), ["CANCEL"]);
        assert_eq!(client.cancel(Instant::START, session), Ok(()));
        assert_eq!(starts(&sent(&mut client)), [""; 0]);
    }

    #[test]
    fn hanging_up_before_the_ack_leaves_when_the_ack_has_come() {
        let (mut pair, _, bens) = accepted();
        pair.ben.hang_up(pair.now, bens).unwrap();
        let answer = sent(&mut pair.ben);
        assert_eq!(starts(&answer), ["200 INVITE"], "RFC 3261 §15: no BYE before the ACK");
        deliver(pair.now, &mut pair.anna, ANNA, BEN, answer[0].bytes().clone());
        pair.anna_to_ben();
        assert_eq!(starts(&pair.ben_to_anna()), ["BYE"]);
        pair.settle();
        assert_eq!((ended(&mut pair.ben).end, ended(&mut pair.anna).end), (End::Left, End::Released));
    }
}

mod several_sessions {
    use super::*;

    #[test]
    fn a_second_session_is_refused_while_there_is_one() {
        let mut pair = Pair::new();
        pair.invite();
        let again = pair.anna.start_session(pair.now, target(BEN), "sip:ben@home1.example");
        assert_eq!(again, Err(Misuse::Busy));
    }

    fn invitations(configure: impl Fn(&mut Config), count: u8) -> Vec<String> {
        let offer =
            text(&crate::sdp::offer(&config(ANNA).capabilities, crate::sdp::Origin { id: 1, version: 1 }));
        let mut pair = Pair::with(configure);
        for number in 1..=count {
            deliver(pair.now, &mut pair.ben, BEN, ANNA, invite_of_a_peer(number, &offer));
        }
        starts(&sent(&mut pair.ben))
    }

    #[test]
    fn a_second_invitation_meets_486_unless_simultaneous_sessions_are_on() {
        assert_eq!(invitations(|_| {}, 2), ["180 INVITE", "486 INVITE"]);
        assert_eq!(
            invitations(|config| config.settings.simultaneous_sessions = true, 2),
            ["180 INVITE", "180 INVITE"]
        );
    }

    #[test]
    fn simultaneous_sessions_have_a_bound() {
        let few = |config: &mut Config| {
            config.settings.simultaneous_sessions = true;
            config.sessions_max = 2;
        };
        assert_eq!(invitations(few, 3), ["180 INVITE", "180 INVITE", "486 INVITE"]);
    }

    /// RFC 5366 §4.
    #[test]
    fn who_is_invited_too_is_shown_and_the_description_beside_the_list_is_answered() {
        use crate::body::multipart::{self, Part};
        use crate::body::resource_lists::{self, Entry};
        let offer = crate::sdp::offer(&config(BEN).capabilities, crate::sdp::Origin { id: 1, version: 1 });
        let list = resource_lists::write(&[Entry::new(Bytes::from_static(b"sip:dan@home1.example"))]);
        let part = |content_type: &'static str, disposition: &'static str, bytes| {
            let (content_type, disposition) = (content_type.as_bytes(), disposition.as_bytes());
            Part { content_type, disposition, id: b"", bytes }
        };
        let body = multipart::write(&[
            part("application/sdp", "", &offer),
            part(resource_lists::CONTENT_TYPE, resource_lists::HISTORY, &list),
        ]);
        let invite = text(&invite_of_a_peer(1, &text(&body.bytes)));
        let kind = format!("Content-Type: {}", text(&body.content_type));
        let invite = invite
            .replace("Content-Type: application/sdp\r\nContent-Length", &format!("{kind}\r\nContent-Length"));
        let mut ben = Client::new(config(BEN));
        deliver(Instant::START, &mut ben, BEN, ANNA, Bytes::from(invite));
        let told = events(&mut ben);
        let [Event::Invited { session, others, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(others[..], [Bytes::from_static(b"sip:dan@home1.example")]);
        ben.accept(Instant::START, *session).unwrap();
        let sent = sent(&mut ben);
        assert!(sent.iter().any(|message| message.status() == Some(200)), "{sent:?}");
    }

    #[test]
    fn who_was_refused_as_busy_is_not_shown_to_the_user_as_an_invitation() {
        let mut pair = Pair::new();
        for number in 1..=2 {
            deliver(pair.now, &mut pair.ben, BEN, ANNA, invite_of_a_peer(number, ""));
        }
        let told = events(&mut pair.ben);
        let invited = told.iter().filter(|event| matches!(event, Event::Invited { .. })).count();
        assert_eq!((invited, told.len()), (1, 2), "{told:?}");
    }

    #[test]
    fn a_session_that_was_cancelled_makes_room_at_once() {
        let mut pair = Pair::new();
        let session = pair.invite();
        pair.settle();
        pair.anna.cancel(pair.now, session).unwrap();
        pair.settle();
        pair.invite();
        pair.settle();
        let told = events(&mut pair.ben);
        let invited = told.iter().filter(|event| matches!(event, Event::Invited { .. })).count();
        assert_eq!(invited, 2, "T22: no slot is kept by what was cancelled");
    }
}

mod media {
    use super::*;

    fn answer() -> String {
        let offer = crate::sdp::offer(&config(BEN).capabilities, crate::sdp::Origin { id: 1, version: 1 });
        let origin = crate::sdp::Origin { id: 2, version: 1 };
        text(&crate::sdp::answer(&config(ANNA).capabilities, origin, &offer).unwrap().0)
    }

    /// Ben accepted an INVITE without an offer. The 200.
    fn offerless() -> (Pair, Message) {
        let mut pair = Pair::new();
        deliver(pair.now, &mut pair.ben, BEN, ANNA, invite_of_a_peer(1, ""));
        assert_eq!(starts(&sent(&mut pair.ben)), ["180 INVITE"]);
        let session = invited(&mut pair.ben);
        pair.ben.accept(pair.now, session).unwrap();
        let accepted = sent(&mut pair.ben).remove(0);
        (pair, accepted)
    }

    #[test]
    fn an_invite_without_an_offer_gets_one_in_the_200_and_brings_the_answer_in_the_ack() {
        let (mut pair, accepted) = offerless();
        let own = crate::sdp::Origin { id: 45_200, version: 1 };
        assert_eq!(text(accepted.body()), text(&crate::sdp::offer(&config(BEN).capabilities, own)));
        assert_eq!(events(&mut pair.ben), [], "nothing is agreed before the ACK");
        deliver(pair.now, &mut pair.ben, BEN, ANNA, ack_of_a_peer(&accepted, &answer()));
        let told = events(&mut pair.ben);
        let [Event::Established { media, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(media.audio, SocketAddr::from(([192, 0, 2, 1], 45_200)));
    }

    #[test]
    fn without_an_answer_in_the_ack_the_session_is_left_with_the_reason() {
        let (mut pair, accepted) = offerless();
        deliver(pair.now, &mut pair.ben, BEN, ANNA, ack_of_a_peer(&accepted, ""));
        let bye = sent(&mut pair.ben);
        assert_eq!(starts(&bye), ["BYE"]);
        assert_eq!(bye[0].value(Name::Reason), Some(&b"SIP;cause=488;text=\"Not Acceptable Here\""[..]));
    }

    #[test]
    fn an_unusable_answer_is_acknowledged_and_left_with_the_reason() {
        for body in
            ["", "nonsense", "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n"]
        {
            let mut pair = Pair::new();
            pair.invite();
            let invite = sent(&mut pair.anna).remove(0);
            let kind = "Content-Type: application/sdp\r\n";
            deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&invite, "200 OK", kind, body));
            let sent = sent(&mut pair.anna);
            assert_eq!(starts(&sent), ["ACK", "BYE"], "{body:?}");
            assert_eq!(sent[1].value(Name::Reason), Some(&b"SIP;cause=488;text=\"Not Acceptable Here\""[..]));
            deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&sent[1], "200 OK", "", ""));
            let told = events(&mut pair.anna);
            assert!(
                matches!(&told[..], [Event::Ended { outcome, .. }] if outcome.end == End::Left),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_2xx_after_the_wish_is_left_without_a_look_at_its_body() {
        let mut pair = Pair::new();
        let session = pair.invite();
        let invite = sent(&mut pair.anna).remove(0);
        pair.anna.cancel(pair.now, session).unwrap();
        deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&invite, "200 OK", "", ""));
        let sent = sent(&mut pair.anna);
        assert_eq!(starts(&sent), ["ACK", "BYE"]);
        assert_eq!(sent[1].value(Name::Reason), None);
        let outcome = ended(&mut pair.anna);
        assert_eq!((outcome.end, outcome.status), (End::Cancelled, Some(200)));
    }

    #[test]
    fn an_offer_without_a_common_codec_meets_488() {
        let mut pair = Pair::new();
        let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        deliver(pair.now, &mut pair.ben, BEN, ANNA, invite_of_a_peer(1, offer));
        assert_eq!(starts(&sent(&mut pair.ben)), ["488 INVITE"]);
    }
}

mod outcomes {
    use super::*;

    fn outcome(role: Role, end: End, by: Party, status: Option<u16>, reason: &'static str) -> Outcome {
        let reason = (!reason.is_empty()).then(|| Bytes::from_static(reason.as_bytes()));
        Outcome { role, end, by, status, reason, timing: Timing::begun(Instant::START) }
    }

    /// digest 14.10 and what else there is.
    #[test]
    fn every_outcome_has_its_words_and_only_an_unanswered_invitation_was_missed() {
        use End::{
            Cancelled, Expired, Left, Lost, NotAcknowledged, Rejected, Released, TimedOut, TransportFailed,
        };
        use Party::{Local, Remote};
        use Role::{Invited, Inviter};
        let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
        let table = [
            (Inviter, Cancelled, Local, Some(487), "", "cancelled", false),
            (Inviter, Cancelled, Local, Some(200), "", "cancelled", false),
            (Inviter, Cancelled, Local, Some(486), "", "cancelled", false),
            (Inviter, Cancelled, Local, None, elsewhere, "cancelled", false),
            (Inviter, Rejected, Remote, Some(486), "", "busy", false),
            (Inviter, Rejected, Remote, Some(480), "", "not accepted", false),
            (Inviter, Rejected, Remote, Some(488), "", "not accepted", false),
            (Inviter, Expired, Remote, Some(487), "", "no answer in time", false),
            (Inviter, TimedOut, Remote, None, "", "no answer from the network", false),
            (Inviter, TransportFailed, Remote, None, "", "could not be sent", false),
            (Inviter, Left, Local, None, "", "ended", false),
            (Inviter, Released, Remote, None, "", "ended", false),
            (Inviter, Lost, Remote, Some(481), "", "session lost", false),
            (Invited, Cancelled, Remote, Some(487), "", "missed invitation", true),
            (Invited, Cancelled, Remote, Some(487), "SIP;cause=603", "missed invitation", true),
            (Invited, Cancelled, Remote, Some(487), "RELEASE_CAUSE;cause=200", "missed invitation", true),
            (Invited, Cancelled, Remote, Some(487), elsewhere, "answered elsewhere", false),
            (
                Invited,
                Cancelled,
                Remote,
                Some(487),
                "Q.850;cause=16, sip ; cause=200",
                "answered elsewhere",
                false,
            ),
            (Invited, Expired, Remote, Some(487), "", "missed invitation", true),
            (Invited, Expired, Local, Some(480), "", "missed invitation", true),
            (Invited, Rejected, Local, Some(480), "", "refused", false),
            (Invited, Rejected, Local, Some(486), "", "refused", false),
            (Invited, NotAcknowledged, Remote, Some(200), "", "the inviter did not confirm", false),
            (Invited, Left, Local, None, "", "ended", false),
            (Invited, Released, Remote, None, "", "ended", false),
        ];
        for (role, end, by, status, reason, words, is_missed) in table {
            let outcome = outcome(role, end, by, status, reason);
            assert_eq!(
                (outcome.to_string().as_str(), outcome.is_missed()),
                (words, is_missed),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn a_reason_has_one_cause_for_a_protocol() {
        let outcome = outcome(
            Role::Invited,
            End::Cancelled,
            Party::Remote,
            Some(487),
            "Q.850;cause=16;text=\"a,b\", SIP;cause=408",
        );
        assert_eq!(outcome.reason_cause(b"q.850").as_deref(), Some(&b"16"[..]));
        assert_eq!(outcome.reason_cause(b"SIP").as_deref(), Some(&b"408"[..]));
        assert_eq!(outcome.reason_cause(b"RELEASE_CAUSE"), None);
    }
}

mod in_one_piece {
    use sip::transport::ConnectionId;

    use super::*;

    /// C58, item 10: a stream may bring an invitation and its CANCEL at once, before the client has said anything.
    #[test]
    fn an_invitation_and_its_cancel_leave_nothing_behind() {
        for mode in [AnswerMode::Manual, AnswerMode::Automatic] {
            let mut config = config(BEN);
            config.settings.answer_mode = mode;
            let udp = config.sip.listeners[0];
            config.sip.listeners.push(Listener { transport: Transport::Tcp, ..udp });
            let mut ben = Client::new(config);
            let invite = text(&invite_of_a_peer(7, "")).replace("/UDP", "/TCP");
            let cancel = invite.replace("INVITE", "CANCEL");
            let path = Path {
                transport: Transport::Tcp,
                local: address(BEN),
                remote: address(ANNA),
                connection: Some(ConnectionId::Accepted(1)),
            };
            let bytes = Bytes::from([invite, cancel].concat());
            assert_eq!(ben.handle_input(Instant::START, Input::Stream { path, bytes }), Ok(None));
            assert_eq!(starts(&sent(&mut ben)), ["200 CANCEL", "487 INVITE"]);
            assert_eq!(ended(&mut ben).end, End::Cancelled);
            assert!(ben.sessions.is_empty());
        }
    }
}

mod when_challenged {
    use super::*;

    /// T11, C08, I3: the session that is cancelled is the one of the second INVITE, which says all that the first said.
    #[test]
    fn a_session_that_was_challenged_is_cancelled_by_its_second_invite() {
        let mut config = config(ANNA);
        config.sip.credentials = vec![sip::Credentials {
            realm: Some(Bytes::from_static(b"home1.example")),
            username: Bytes::from_static(b"anna"),
            secret: Bytes::from_static(b"secret"),
        }];
        let (now, mut anna) = (Instant::START, Client::new(config));
        let session = anna.start_session(now, target(BEN), "sip:ben@home1.example").unwrap();
        let first = sent(&mut anna).remove(0);
        let challenge = "Proxy-Authenticate: Digest realm=\"home1.example\", nonce=\"n\", qop=\"auth\"\r\n";
        deliver(now, &mut anna, ANNA, BEN, response(&first, "100 Trying", "", ""));
        let refusal = response(&first, "407 Proxy Authentication Required", challenge, "");
        deliver(now, &mut anna, ANNA, BEN, refusal);
        let again = sent(&mut anna);
        assert_eq!(starts(&again), ["ACK", "INVITE"]);
        let second = &again[1];
        let lines = |message: &Message| -> Vec<_> {
            let other = [Name::Via, Name::CSeq, Name::ProxyAuthorization];
            let headers = message.headers().filter(|header| !other.contains(&header.name));
            headers.map(|header| (text(header.text), text(header.value))).collect()
        };
        assert_eq!((lines(second), second.body()), (lines(&first), first.body()));
        assert!(second.value(Name::PPreferredIdentity).is_some());
        assert!(second.value(Name::ProxyAuthorization).is_some());
        deliver(now, &mut anna, ANNA, BEN, response(second, "180 Ringing", "", ""));
        anna.cancel(now, session).unwrap();
        let cancel = sent(&mut anna).remove(0);
        assert_eq!(cancel.value(Name::CSeq), Some(&b"2 CANCEL"[..]));
        assert_eq!(cancel.value(Name::Via), second.value(Name::Via));
        deliver(now, &mut anna, ANNA, BEN, response(second, "487 Request Terminated", "", ""));
        assert_eq!(starts(&sent(&mut anna)), ["ACK"]);
        assert_eq!(ended(&mut anna).end, End::Cancelled);
    }
}
