//! What happens within a dialog, in random orders: nothing panics, everything is answered once, and nothing remains
//! (C60, R12 to R15, I9). `wire` checks what holds for every message.

use std::collections::BTreeMap;

use bytes::Bytes;
use sip::message::{Method, Name};
use sip::{
    Command, Config, Duration, Event, Message, Refer, Reliability, SessionId, SubscriberId, SubscriptionId,
    SubscriptionState,
};

use crate::wire::*;

/// The same numbers for the same seed (Knuth's linear congruence).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn configure(config: &mut Config) {
    config.reliability = Reliability::WhenSupported;
    config.session_expires = Some(Duration::from_secs(90));
}

const TERMS: &str = "Supported: 100rel, timer\r\nSession-Expires: 90\r\nAllow: UPDATE\r\n";

fn body(request: Request) -> Request {
    Request { body: OFFER.into(), ..request.with("Content-Type: application/sdp\r\n") }
}

/// What the user may do at any moment; that it may be too late is none of the peer's business.
fn command(wire: &mut Wire, dice: &mut Dice, session: SessionId) {
    let headers = Vec::new;
    let described = dice.roll(2) == 0;
    let body = described.then(sdp).flatten();
    let command = match dice.roll(7) {
        0 | 1 => Command::Progress { session, status: 183, headers: headers(), body },
        2 => Command::Accept { session, headers: headers(), body },
        3 if dice.roll(3) == 0 => Command::Refuse { session, status: 488, headers: headers(), body: sdp() },
        4 if dice.roll(3) == 0 => Command::Leave { session, headers: headers() },
        5 => Command::Cancel { session, headers: headers() },
        _ => Command::Modify { session, headers: headers(), body: sdp() },
    };
    let _ = wire.command(command);
}

fn pass_time(wire: &mut Wire, dice: &mut Dice) {
    let spans = [0, 300, 1000, 5000, 33_000, 50_000];
    wire.advance(ms(spans[usize::try_from(dice.roll(6)).expect("few")]));
}

/// Every request that was sent gets an answer some time, or none.
fn answer_some(wire: &mut Wire, dice: &mut Dice, sent: &[Message]) {
    let requests = sent.iter().filter(|message| message.method().is_some_and(|method| method != Method::Ack));
    for request in requests.filter(|request| !request.is(Method::Cancel)) {
        let lines = format!("{CONTACT}{TERMS}");
        let status = [200, 200, 481, 491, 405, 422, 100, 0][usize::try_from(dice.roll(8)).expect("few")];
        if status != 0 {
            wire.receive(&response(request, status, "p1", &lines));
        }
    }
}

#[test]
fn the_invited_side_survives_every_order() {
    for seed in 0..1500 {
        let mut dice = Dice(seed);
        let mut wire = Wire::with(configure);
        let lines = if dice.roll(2) == 0 { "Require: 100rel\r\n" } else { "" };
        let invite = Request::invite("inv").with(&format!("{TERMS}{lines}"));
        wire.receive(&invite.text());
        let session = wire.invited();
        wire.ring(session);
        let mut ours = wire.one();
        for number in 8..28 {
            let request = |method| invite.within(&ours, method, number).with(CONTACT);
            match dice.roll(12) {
                0 => wire.receive(&invite.cancel().text()),
                1 | 2 => {
                    let rseq =
                        ours.value(Name::RSeq).map_or("1".into(), |_| text(&ours, Name::RSeq).to_owned());
                    let prack = request("PRACK").with(&format!("RAck: {rseq} 7 INVITE\r\n"));
                    wire.receive(&if dice.roll(4) == 0 { body(prack) } else { prack }.text());
                }
                3 => wire.receive(&request("UPDATE").with(TERMS).text()),
                4 => wire.receive(&body(request("UPDATE")).text()),
                5 => wire.receive(&body(request("INVITE").with(TERMS)).text()),
                6 => wire.receive(&invite.within(&ours, "ACK", 7).text()),
                7 if dice.roll(3) == 0 => wire.receive(&request("BYE").text()),
                8 => pass_time(&mut wire, &mut dice),
                _ => command(&mut wire, &mut dice, session),
            }
            let sent = wire.sent();
            answer_some(&mut wire, &mut dice, &sent);
            let of_invite =
                |message: &&Message| message.is_cseq_method(Method::Invite) && to_tag(message).is_some();
            if let Some(last) = sent.iter().rfind(of_invite).filter(|last| last.status().is_some()) {
                ours = last.clone();
            }
            wire.events();
        }
        let _ = wire.refuse(session, 480);
        let _ = wire.refuse(session, 480);
        let _ = wire.leave(session);
        wire.finish();
    }
}

#[test]
fn the_inviting_side_survives_every_order() {
    for seed in 0..1500 {
        let mut dice = Dice(seed);
        let mut wire = Wire::with(configure);
        let session = wire.invite();
        let invite = wire.one();
        for number in 1..20 {
            let from_peer = |method: &'static str| {
                Request {
                    from_tag: "p1".into(),
                    to_tag: from_tag(&invite),
                    call_id: text(&invite, Name::CallId).into(),
                    number,
                    ..Request::invite(&format!("peer{method}{number}")).follow(method)
                }
                .with(CONTACT)
            };
            let rseq = 1 + dice.roll(3);
            let reliable = format!("{CONTACT}Require: 100rel\r\nRSeq: {rseq}\r\n{TERMS}");
            match dice.roll(12) {
                0..=2 => wire.receive(&response(&invite, 183, "p1", &reliable)),
                3 => wire.receive(&response(&invite, 183, "p2", &reliable)),
                4 => wire.receive(&response(&invite, 200, "p1", &format!("{CONTACT}{TERMS}"))),
                5 if dice.roll(3) == 0 => wire.answer(&invite, 487, "p1"),
                6 => wire.receive(&body(from_peer("UPDATE").with(TERMS)).text()),
                7 => wire.receive(&body(from_peer("INVITE").with(TERMS)).text()),
                8 if dice.roll(3) == 0 => wire.receive(&from_peer("BYE").text()),
                9 => pass_time(&mut wire, &mut dice),
                _ => command(&mut wire, &mut dice, session),
            }
            let sent = wire.sent();
            answer_some(&mut wire, &mut dice, &sent);
            wire.events();
        }
        let _ = wire.refuse(session, 480);
        let _ = wire.cancel(session);
        let _ = wire.leave(session);
        wire.finish();
    }
}

/// What the user may do with what shares the dialog of a session. Counts what has begun.
fn share(wire: &mut Wire, dice: &mut Dice, session: SessionId, begun: &mut Begun) {
    let subscription = SubscriptionId(dice.roll(3));
    let place = usize::try_from(dice.roll(4)).expect("few");
    let subscriber = begun.subscribers.keys().rev().nth(place).copied();
    match (dice.roll(5), subscriber) {
        (0, _) => {
            let refer = Refer {
                wants_progress: dice.roll(3) > 0,
                ..Refer::within(subscription, session, Bytes::from_static(b"<sip:cara@example.com>"))
            };
            if wire.command(Command::Refer(Box::new(refer))).is_ok() {
                begun.subscriptions += 1;
            }
        }
        (1, _) => {
            let _ = wire.command(Command::Unsubscribe { subscription });
        }
        (2, Some(subscriber)) => {
            let expires = Duration::from_secs(60 * dice.roll(2));
            let _ = wire.command(Command::Admit { subscriber, expires, headers: Vec::new(), contact: None });
        }
        (3, Some(subscriber)) => {
            let reason = Bytes::from_static(b"noresource");
            let last = SubscriptionState::Terminated { reason, retry_after: None };
            let state = if dice.roll(2) == 0 { SubscriptionState::Active } else { last };
            let _ = wire.command(Command::Notify { subscriber, state, headers: Vec::new(), body: None });
        }
        (4, Some(subscriber)) if dice.roll(3) == 0 => {
            let _ = wire.command(Command::Reject { subscriber, status: 403, headers: Vec::new() });
        }
        _ => {}
    }
}

/// What shared a dialog, and what was told of it.
#[derive(Default)]
struct Begun {
    subscriptions: usize,
    ended: usize,
    /// How often the end of each was told.
    subscribers: BTreeMap<SubscriberId, usize>,
    is_over: bool,
}

impl Begun {
    fn note(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Referred { subscriber, .. } = event {
                self.subscribers.insert(*subscriber, 0);
            }
            if let Event::SubscriberEnded { subscriber, .. } = event {
                *self.subscribers.get_mut(subscriber).expect("it has begun") += 1;
            }
            self.ended += usize::from(matches!(event, Event::SubscriptionEnded { .. }));
            assert!(!self.is_over, "the end of the session is the last that is told: {event:?}");
            self.is_over = matches!(event, Event::Ended { .. });
        }
    }
}

/// Each is told its end once, and none outlives the session.
#[test]
fn what_shares_a_dialog_survives_every_order() {
    for seed in 0..2000 {
        let mut dice = Dice(seed);
        let mut wire = Wire::with(|config| {
            configure(config);
            config.methods = vec![Method::Refer];
        });
        let invite = Request::invite("inv").with(TERMS);
        wire.receive(&invite.text());
        let session = wire.invited();
        wire.accept(session).expect("alerting");
        let ours = wire.one();
        wire.receive(&invite.within(&ours, "ACK", 7).text());
        wire.events();
        let mut begun = Begun::default();
        for number in 8..34 {
            let request = |method| invite.within(&ours, method, number).with(CONTACT);
            let id = dice.roll(10);
            let event = if id < 2 { "refer".into() } else { format!("refer;id={id}") };
            let lines = format!("Event: {event}\r\nExpires: {}\r\n", 60 * dice.roll(2));
            let state = ["active;expires=60", "terminated;reason=noresource"][usize::from(dice.roll(3) == 0)];
            match dice.roll(12) {
                0 | 1 => {
                    let lines = ["", "Refer-Sub: false\r\n"][usize::from(dice.roll(4) == 0)];
                    let lines = format!("Refer-To: <sip:cara@example.com>\r\n{lines}");
                    wire.receive(&request("REFER").with(&lines).text());
                }
                2 => wire.receive(&request("SUBSCRIBE").with(&lines).text()),
                3 | 4 => {
                    let state = format!("Event: {event}\r\nSubscription-State: {state}\r\n");
                    wire.receive(&request("NOTIFY").with(&state).text());
                }
                5 if dice.roll(6) == 0 => wire.receive(&request("BYE").text()),
                6 => wire.receive(&body(request("INVITE").with(TERMS)).text()),
                7 if dice.roll(2) == 0 => pass_time(&mut wire, &mut dice),
                8 if dice.roll(3) == 0 => command(&mut wire, &mut dice, session),
                _ => share(&mut wire, &mut dice, session, &mut begun),
            }
            let sent = wire.sent();
            answer_some(&mut wire, &mut dice, &sent);
            begun.note(&wire.events());
        }
        let _ = wire.refuse(session, 480);
        let _ = wire.leave(session);
        wire.advance(4 * T1_64);
        begun.note(&wire.events());
        assert!(begun.is_over, "{seed}");
        assert_eq!(begun.ended, begun.subscriptions, "{seed}");
        assert!(begun.subscribers.values().all(|ended| *ended < 2), "{seed}");
        wire.finish();
    }
}
