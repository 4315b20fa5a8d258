//! Adding and removing users, and watching who takes part, with a focus that is written by hand.

use super::*;
use crate::body::conference_info::{self, ConferenceInfo, State, Status, User};

const IDENTITY: &str = "sip:token@home1.example;session=adhoc";
const CARA: &str = "sip:cara@home1.example";

/// Anna in a session whose focus is at Ben's place.
struct Focused {
    anna: Client,
    session: SessionId,
    notifies: u32,
}

impl Focused {
    fn new() -> Self {
        Self::by_way_of("<sip:leg@192.0.2.2;session=adhoc;identity=token%40home1.example>;isfocus")
    }

    fn by_way_of(contact: &str) -> Self {
        let mut anna = Client::new(config(ANNA));
        let session = anna.start_session(Instant::START, target(BEN), "sip:ben@home1.example").unwrap();
        let invite = sent(&mut anna).remove(0);
        let answer = crate::sdp::offer(&config(BEN).capabilities, crate::sdp::Origin { id: 1, version: 1 });
        let answer = response(&invite, "200 OK", "Content-Type: application/sdp\r\n", &text(&answer));
        let answer = text(&answer).replace("<sip:peer@192.0.2.2>", contact);
        deliver(Instant::START, &mut anna, ANNA, BEN, Bytes::from(answer));
        assert_eq!(starts(&sent(&mut anna)), ["ACK"]);
        events(&mut anna);
        Self { anna, session, notifies: 0 }
    }

    fn asks(&mut self, command: Command) -> Message {
        self.anna.handle_input(Instant::START, Input::Command(command)).unwrap();
        let mut sent = sent(&mut self.anna);
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    fn refer(&mut self, change: Change) -> Message {
        let session = self.session;
        self.asks(Command::Refer { session, change, user: Bytes::from(CARA) })
    }

    fn answers(&mut self, request: &Message, status: &str) {
        deliver(
            Instant::START,
            &mut self.anna,
            ANNA,
            BEN,
            response(request, status, "Expires: 3600\r\n", ""),
        );
    }

    /// A NOTIFY in the dialog that `request` has begun.
    fn notifies(&mut self, request: &Message, state: &str, kind: &str, body: &str) {
        self.notifies += 1;
        let number = self.notifies;
        let line = |name| text(request.value(name).unwrap());
        let event = request.value(Name::Event).map_or("refer".to_owned(), text);
        let notify = format!(
            "NOTIFY sip:anna@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKnotify{number}{}\r\nMax-Forwards: 70\r\nFrom: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} NOTIFY\r\nContact: <sip:peer@192.0.2.2>\r\nEvent: {event}\r\nSubscription-State: {state}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            line(Name::CallId),
            line(Name::To),
            line(Name::From),
            line(Name::CallId),
            body.len(),
        );
        deliver(Instant::START, &mut self.anna, ANNA, BEN, Bytes::from(notify));
        assert_eq!(starts(&sent(&mut self.anna)), ["200 NOTIFY"]);
    }

    fn says(&mut self, refer: &Message, state: &str, status: &str) {
        self.notifies(refer, state, "message/sipfrag;version=2.0", &format!("SIP/2.0 {status}\r\n"));
    }

    fn decided(&self, change: Change, status: Option<u16>) -> Event {
        Event::MemberChanged { session: self.session, change, user: Bytes::from(CARA), status }
    }
}

/// digest 9.4: to the PoC Session Identity, outside of the session's dialog.
#[test]
fn a_user_is_added_and_removed_by_a_refer_to_the_session() {
    for (change, expected) in
        [(Change::Add, "<sip:cara@home1.example>"), (Change::Remove, "<sip:cara@home1.example;method=BYE>")]
    {
        let mut focused = Focused::new();
        let refer = focused.refer(change);
        assert_eq!(refer.method_text(), b"REFER");
        assert_eq!(text(refer.uri_text()), IDENTITY);
        assert_eq!(text(refer.value(Name::To).unwrap()), format!("<{IDENTITY}>"));
        assert_eq!(text(refer.value(Name::ReferTo).unwrap()), expected);
        assert!(
            refer.value(Name::AcceptContact).is_some() && refer.value(Name::PPreferredIdentity).is_some()
        );
    }
}

#[test]
fn what_becomes_of_an_added_user_is_told_once_it_is_decided() {
    let mut focused = Focused::new();
    let refer = focused.refer(Change::Add);
    focused.answers(&refer, "202 Accepted");
    focused.says(&refer, "active;expires=180", "100 Trying");
    assert_eq!(events(&mut focused.anna), []);
    focused.says(&refer, "active;expires=180", "180 Ringing");
    let told = events(&mut focused.anna);
    assert!(matches!(told[..], [Event::MemberProgress { status: 180, .. }]), "{told:?}");
    focused.says(&refer, "terminated;reason=noresource", "200 OK");
    assert_eq!(events(&mut focused.anna), [focused.decided(Change::Add, Some(200))]);
}

#[test]
fn an_end_without_a_word_is_told_as_one() {
    let mut focused = Focused::new();
    let refer = focused.refer(Change::Add);
    focused.answers(&refer, "202 Accepted");
    focused.says(&refer, "active;expires=180", "180 Ringing");
    focused.says(&refer, "terminated;reason=noresource", "180 Ringing");
    events(&mut focused.anna).pop().filter(|last| *last == focused.decided(Change::Add, None)).unwrap();
}

#[test]
fn a_refused_refer_is_told_with_its_status() {
    let mut focused = Focused::new();
    let refer = focused.refer(Change::Remove);
    focused.answers(&refer, "403 Forbidden");
    assert_eq!(events(&mut focused.anna), [focused.decided(Change::Remove, Some(403))]);
}

/// RFC 4488: no subscription, so the answer is all that there is.
#[test]
fn a_refer_that_is_taken_on_without_a_subscription_is_decided_by_its_answer() {
    let mut focused = Focused::new();
    let refer = focused.refer(Change::Add);
    deliver(
        Instant::START,
        &mut focused.anna,
        ANNA,
        BEN,
        response(&refer, "202 Accepted", "Refer-Sub: false\r\n", ""),
    );
    assert_eq!(events(&mut focused.anna), [focused.decided(Change::Add, Some(202))]);
}

#[test]
fn without_a_focus_or_a_session_that_stands_nothing_can_be_asked() {
    let user = || Bytes::from(CARA);
    let mut direct = Focused::by_way_of("<sip:ben@192.0.2.2>");
    let session = direct.session;
    let mut established = direct.anna.established(session).unwrap();
    assert_eq!(established.add(Instant::START, user()), Err(Misuse::NotEstablished));
    assert_eq!(established.watch(Instant::START), Err(Misuse::NotEstablished));
    let mut focused = Focused::new();
    for wrong in [
        "cara",
        "tel:+491",
        "sip:home1.example",
        "sip:cara@h;method=INVITE",
        "sip:cara@h?x=y",
        "sip:c@h>,<sip:d@h",
    ] {
        let session = focused.session;
        let done = focused.anna.established(session).unwrap().add(Instant::START, Bytes::from(wrong));
        assert_eq!(done, Err(Misuse::Address), "{wrong}");
    }
    assert_eq!(focused.anna.poll_transmit(), None);
}

#[test]
fn what_is_asked_at_once_has_a_bound() {
    let mut focused = Focused::new();
    let session = focused.session;
    let refused = (0..100).find_map(|number| {
        let user = Bytes::from(format!("sip:u{number}@h"));
        focused
            .anna
            .established(session)
            .unwrap()
            .add(Instant::START, user)
            .err()
            .map(|error| (number, error))
    });
    assert_eq!(refused, Some((64, Misuse::Busy)));
}

fn document(version: u32, state: State, users: &[(&'static str, Status)]) -> String {
    let mut info = ConferenceInfo::new(Bytes::from(IDENTITY), version, state);
    info.users = users.iter().map(|(uri, status)| User::new(Bytes::from(*uri), *status, None)).collect();
    text(&conference_info::write(&info).document)
}

fn watching() -> (Focused, Message) {
    let mut focused = Focused::new();
    let subscribe = focused.asks(Command::Watch(focused.session));
    focused.answers(&subscribe, "200 OK");
    (focused, subscribe)
}

/// digest 9.7.
#[test]
fn who_takes_part_is_subscribed_to_at_the_session_and_told_whole() {
    let (mut focused, subscribe) = watching();
    assert_eq!(subscribe.method_text(), b"SUBSCRIBE");
    assert_eq!(text(subscribe.uri_text()), IDENTITY);
    assert_eq!(text(subscribe.value(Name::Event).unwrap()), "conference");
    assert_eq!(text(subscribe.value(Name::Accept).unwrap()), "application/conference-info+xml");
    assert_eq!(text(subscribe.value(Name::Expires).unwrap()), "3600");
    let full = document(1, State::Full, &[("sip:anna@h", Status::Connected), (CARA, Status::Alerting)]);
    focused.notifies(&subscribe, "active;expires=3600", conference_info::CONTENT_TYPE, &full);
    let partial = document(2, State::Partial, &[(CARA, Status::Connected)]);
    focused.notifies(&subscribe, "active;expires=3600", conference_info::CONTENT_TYPE, &partial);
    let told = events(&mut focused.anna);
    let [Event::Participants { .. }, Event::Participants { session, roster }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*session, focused.session);
    let stands: Vec<_> = roster.users().map(|user| (text(&user.entity), user.endpoints[0].status)).collect();
    assert_eq!(
        stands,
        [("sip:anna@h".to_owned(), Some(Status::Connected)), (CARA.to_owned(), Some(Status::Connected))]
    );
    focused.anna.established(focused.session).unwrap().watch(Instant::START).unwrap();
    assert_eq!(focused.anna.poll_transmit(), None, "once is enough");
}

/// RFC 4575 §4.6.
#[test]
fn where_a_part_is_missing_the_whole_is_asked_for_anew_but_not_for_ever() {
    let (mut focused, mut subscribe) = watching();
    for round in 0..4 {
        let full = document(1, State::Full, &[]);
        focused.notifies(&subscribe, "active;expires=3600", conference_info::CONTENT_TYPE, &full);
        let partial = document(3, State::Partial, &[(CARA, Status::Connected)]);
        focused.notifies += 1;
        let line = |name| text(subscribe.value(name).unwrap());
        let number = focused.notifies;
        let notify = format!(
            "NOTIFY sip:anna@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKmissed{round}\r\nMax-Forwards: 70\r\nFrom: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} NOTIFY\r\nContact: <sip:peer@192.0.2.2>\r\nEvent: conference\r\nSubscription-State: active;expires=3600\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{partial}",
            line(Name::To),
            line(Name::From),
            line(Name::CallId),
            conference_info::CONTENT_TYPE,
            partial.len(),
        );
        deliver(Instant::START, &mut focused.anna, ANNA, BEN, Bytes::from(notify));
        let sent = sent(&mut focused.anna);
        let anew = ["200 NOTIFY", "SUBSCRIBE", "SUBSCRIBE"];
        assert_eq!(starts(&sent), if round < 3 { &anew[..] } else { &anew[..2] });
        if round < 3 {
            subscribe = sent[2].clone();
            focused.answers(&subscribe, "200 OK");
        }
    }
    let last = events(&mut focused.anna).pop();
    assert_eq!(last, Some(Event::WatchEnded { session: focused.session, status: None }));
}

#[test]
fn a_refused_subscription_is_told_and_the_session_goes_on() {
    let mut focused = Focused::new();
    let subscribe = focused.asks(Command::Watch(focused.session));
    focused.answers(&subscribe, "403 Forbidden");
    assert_eq!(
        events(&mut focused.anna),
        [Event::WatchEnded { session: focused.session, status: Some(403) }]
    );
    assert!(focused.anna.established(focused.session).is_ok());
}

#[test]
fn nothing_is_told_of_a_session_behind_its_end() {
    let (mut focused, subscribe) = watching();
    let full = document(1, State::Full, &[]);
    focused.notifies(&subscribe, "active;expires=3600", conference_info::CONTENT_TYPE, &full);
    let refer = focused.refer(Change::Add);
    focused.anna.leave(Instant::START, focused.session).unwrap();
    let bye = sent(&mut focused.anna).remove(0);
    focused.answers(&bye, "200 OK");
    assert_eq!(starts(&sent(&mut focused.anna)), ["SUBSCRIBE"], "it is ended with the session");
    focused.answers(&refer, "202 Accepted");
    focused.says(&refer, "terminated;reason=noresource", "200 OK");
    let told = events(&mut focused.anna);
    assert!(matches!(told.last(), Some(Event::Ended { .. })), "{told:?}");
}

/// digest 8.3.
#[test]
fn a_session_is_made_the_primary_one_or_locked_by_a_re_invite() {
    let mut focused = Focused::new();
    let session = focused.session;
    let emphasis = Emphasis { is_primary: true, is_locked: true };
    let offer = focused.asks(Command::Emphasise { session, emphasis });
    assert_eq!(offer.method_text(), b"INVITE");
    assert!(text(offer.body()).contains("poc_sess_priority=1; poc_lock=1"), "{}", text(offer.body()));
    let again = focused.anna.established(session).unwrap().emphasise(Instant::START, Emphasis::default());
    assert_eq!(again, Err(Misuse::Busy));
    focused.answers(&offer, "488 Not Acceptable Here");
    sent(&mut focused.anna);
    let offer = focused.asks(Command::Modify(session));
    assert!(text(offer.body()).contains("poc_sess_priority=1; poc_lock=1"), "a misuse changes nothing");
}
