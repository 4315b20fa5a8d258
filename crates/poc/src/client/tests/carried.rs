//! Pre-established sessions, with a PoC Server that is written by hand.

use super::*;

mod connected;
mod equivalence;

const FACTORY: &str = "sip:poc-factory@home1.example";
const BENS: &str = "sip:ben@home1.example";
const IDENTITY: &str = "sip:token@home1.example;session=1-1";
const FOCUS: &str = "<sip:pre@192.0.2.2;session=1-1;identity=token%40home1.example>;+g.poc.talkburst;isfocus";
const PLAIN: &str = "<sip:pre@192.0.2.2>;+g.poc.talkburst";

fn served(configure: impl FnOnce(&mut Config)) -> Config {
    let mut config = config(ANNA);
    config.registration = Some(Registration::new(vec![target(BEN)], "home1.example"));
    config.conference_factory = Some(Bytes::from(FACTORY));
    configure(&mut config);
    config
}

fn pre_establishing(config: &mut Config) {
    config.pre_establishes = true;
}

/// Anna at home, at Ben's place.
#[derive(Clone)]
struct Home {
    now: Instant,
    anna: Client,
    /// The INVITE that has made the dialog.
    invite: Message,
    /// Requests of the server in it.
    cseq: u32,
}

impl Home {
    /// Registered, and the pre-established session has been asked for.
    fn asked(configure: impl FnOnce(&mut Config)) -> Self {
        let mut anna = Client::new(served(configure));
        anna.handle_input(Instant::START, Input::Command(Command::Register)).unwrap();
        let register = sent(&mut anna).remove(0);
        deliver(Instant::START, &mut anna, ANNA, BEN, response(&register, "200 OK", "Expires: 3600\r\n", ""));
        let asked = sent(&mut anna);
        let (publish, invite) = (asked[0].clone(), asked.last().unwrap().clone());
        let published = response(&publish, "200 OK", "SIP-ETag: e\r\nExpires: 3600\r\n", "");
        deliver(Instant::START, &mut anna, ANNA, BEN, published);
        events(&mut anna);
        Self { now: Instant::START, anna, invite, cseq: 0 }
    }

    fn standing(configure: impl FnOnce(&mut Config)) -> Self {
        let mut home = Self::asked(configure);
        home.answers_invite(&home.invite.clone(), PLAIN);
        assert_eq!(starts(&sent(&mut home.anna)), ["ACK"]);
        assert_eq!(events(&mut home.anna), [Event::PreEstablished]);
        home
    }

    fn with() -> Self {
        Self::standing(pre_establishing)
    }

    fn delivers(&mut self, bytes: Bytes) {
        deliver(self.now, &mut self.anna, ANNA, BEN, bytes);
    }

    fn answers(&mut self, request: &Message, status: &str) {
        self.delivers(response(request, status, "", ""));
    }

    fn answers_invite(&mut self, invite: &Message, contact: &str) {
        let answer = offer_of_the_server("sendrecv");
        let answer = response(invite, "200 OK", "Content-Type: application/sdp\r\n", &answer);
        self.delivers(Bytes::from(text(&answer).replace("<sip:peer@192.0.2.2>", contact)));
    }

    fn request(&mut self, method: &str, further: &str, body: &str) -> Bytes {
        self.cseq += 1;
        self.request_again(method, further, body)
    }

    /// With the number and the branch of the last one: its ACK, or its CANCEL.
    fn request_again(&mut self, method: &str, further: &str, body: &str) -> Bytes {
        let line = |name| text(self.invite.value(name).unwrap());
        let (cseq, branch) = (self.cseq, if method == "ACK" { "ack" } else { "" });
        Bytes::from(format!(
            "{method} sip:anna@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKserver{cseq}{branch}\r\nMax-Forwards: 70\r\nFrom: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{further}Content-Length: {}\r\n\r\n{body}",
            line(Name::To),
            line(Name::From),
            line(Name::CallId),
            body.len(),
        ))
    }

    /// What a NOTIFY says of `refer`.
    fn says(&mut self, refer: &Message, state: &str, fragment: &str) {
        let id = refer.cseq().unwrap().number;
        let further = format!(
            "Contact: {PLAIN}\r\nEvent: refer;id={id}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n"
        );
        let notify = self.request("NOTIFY", &further, &format!("SIP/2.0 {fragment}\r\n"));
        self.delivers(notify);
    }

    fn goes_on(&mut self, refer: &Message, fragment: &str) {
        self.says(refer, "active;expires=180", fragment);
    }

    fn is_final(&mut self, refer: &Message, fragment: &str) {
        self.says(refer, "terminated;reason=noresource", fragment);
    }

    /// A re-INVITE.
    fn offers(&mut self, contact: &str, further: &str, direction: &str) {
        let further = format!("Contact: {contact}\r\n{further}Content-Type: application/sdp\r\n");
        let invite = self.request("INVITE", &further, &offer_of_the_server(direction));
        self.delivers(invite);
    }

    fn acknowledges(&mut self) {
        let ack = self.request_again("ACK", "", "");
        self.delivers(ack);
    }

    fn one(&mut self, what: &str) -> Message {
        let sent = sent(&mut self.anna);
        assert_eq!(starts(&sent), [what]);
        sent[0].clone()
    }

    fn start(&mut self, to: Addressee) -> (SessionId, Message) {
        let session = self.anna.start(self.now, to).unwrap();
        (session, self.one("REFER"))
    }

    fn start_with_ben(&mut self) -> (SessionId, Message) {
        self.start(Addressee::User(Bytes::from(BENS)))
    }

    /// In session with Ben.
    fn in_session() -> (Self, SessionId) {
        let mut home = Self::with();
        let (session, refer) = home.start_with_ben();
        home.answers(&refer, "202 Accepted");
        home.is_final(&refer, &format!("200 OK\r\nContact: {FOCUS}"));
        sent(&mut home.anna);
        (home, session)
    }

    fn stands(&mut self) -> bool {
        self.anna.can_carry(&Addressee::User(Bytes::from(BENS)))
    }
}

fn offer_of_the_server(direction: &str) -> String {
    let offer = crate::sdp::offer(&config(BEN).capabilities, crate::sdp::Origin { id: 1, version: 1 });
    text(&offer).replace("a=ptime", &format!("a={direction}\r\na=ptime"))
}

/// digest 7.2: after registration, to the factory, with an offer and no list.
#[test]
fn it_is_set_up_once_registered() {
    let home = Home::asked(pre_establishing);
    assert_eq!((home.invite.method_text(), text(home.invite.uri_text()).as_str()), (&b"INVITE"[..], FACTORY));
    assert_eq!(home.invite.value(Name::Require), None);
    assert_eq!(text(home.invite.value(Name::ContentType).unwrap()), "application/sdp");
    assert!(
        home.invite.value(Name::AcceptContact).is_some()
            && home.invite.value(Name::PPreferredIdentity).is_some()
    );
    let mut home = Home::with();
    assert!(home.stands());
    assert_eq!(home.anna.sessions().count(), 0, "it is no PoC Session");
}

/// digest 7.2: whom it is with stands in the REFER.
#[test]
fn a_session_begins_by_a_refer_in_its_dialog() {
    let list = Invitees::new(["sip:ben@h", "sip:cara@h"].map(Bytes::from).to_vec()).unwrap();
    let one = Invitees::new(vec![Bytes::from(BENS)]).unwrap();
    let patrol = Bytes::from("sip:patrol@h");
    for (to, expected) in [
        (Addressee::User(Bytes::from(BENS)), "<sip:ben@home1.example>"),
        (Addressee::Users(one), "<sip:ben@home1.example>"),
        (Addressee::Users(list), "<cid:recipients@talkburst.invalid>"),
        (Addressee::PreArranged(patrol.clone()), "<sip:patrol@h;session=prearranged>"),
        (Addressee::Chat(patrol), "<sip:patrol@h;session=chat>"),
    ] {
        let mut home = Home::with();
        let (_, refer) = home.start(to);
        assert_eq!(text(refer.value(Name::ReferTo).unwrap()), expected);
        assert_eq!(refer.value(Name::CallId), home.invite.value(Name::CallId));
        let is_list = expected.starts_with("<cid:");
        let lines = [Name::Require, Name::ContentDisposition, Name::ContentId, Name::ContentType];
        let lines = lines.map(|name| refer.value(name).map(text));
        let listed = [
            "multiple-refer",
            "recipient-list",
            "<recipients@talkburst.invalid>",
            "application/resource-lists+xml",
        ];
        assert_eq!(lines, listed.map(|value| is_list.then(|| value.to_owned())));
    }
}

#[test]
fn what_it_cannot_say_or_carry_goes_on_demand() {
    let start = |home: &mut Home, to, answer| {
        let command = Command::StartSession { targets: Vec::new(), routes: Vec::new(), to, answer };
        home.anna.handle_input(home.now, Input::Command(command)).unwrap();
        home.one("INVITE");
    };
    let ben = || Addressee::User(Bytes::from(BENS));
    start(&mut Home::with(), ben(), AnswerRequest::Override);
    start(&mut Home::with(), Addressee::Session(Bytes::from(IDENTITY)), AnswerRequest::Usual);
    let (mut home, _) = Home::in_session();
    let settings = PocSettings { simultaneous_sessions: true, ..PocSettings::default() };
    home.anna.handle_input(home.now, Input::Command(Command::SetSettings(settings))).unwrap();
    sent(&mut home.anna);
    start(&mut home, ben(), AnswerRequest::Usual);
}

#[test]
fn the_session_is_told_with_its_identity_and_can_be_asked_for_more() {
    let (mut home, session) = Home::in_session();
    let told = events(&mut home.anna);
    let [Event::Established { focus: Some(focus), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(text(&focus.identity), IDENTITY);
    home.anna.established(session).unwrap().watch(home.now).unwrap();
    let subscribe = home.one("SUBSCRIBE");
    assert_eq!(text(subscribe.uri_text()), IDENTITY);
    assert_ne!(subscribe.value(Name::CallId), home.invite.value(Name::CallId));
}

/// digest 14.8: for the target, or for the session once that has a name.
#[test]
fn giving_up_and_leaving_are_a_refer_with_the_method_bye() {
    let mut home = Home::with();
    let (session, refer) = home.start_with_ben();
    home.answers(&refer, "202 Accepted");
    home.goes_on(&refer, "180 Ringing");
    sent(&mut home.anna);
    home.anna.outgoing(session).unwrap().cancel(home.now);
    let bye = home.one("REFER");
    assert_eq!(text(bye.value(Name::ReferTo).unwrap()), "<sip:ben@home1.example;method=BYE>");
    assert_eq!(text(bye.value(Name::ReferSub).unwrap()), "false");
    home.anna.cancel(home.now, session).unwrap();
    assert_eq!(home.anna.poll_transmit(), None, "once is enough");

    let (mut home, session) = Home::in_session();
    home.anna.established(session).unwrap().leave(home.now);
    let bye = home.one("REFER");
    assert_eq!(text(bye.value(Name::ReferTo).unwrap()), format!("<{IDENTITY};method=BYE>"));
    home.delivers(response(&bye, "202 Accepted", "Refer-Sub: false\r\n", ""));
    let told = events(&mut home.anna).pop();
    assert!(matches!(told, Some(Event::Ended { ref outcome, .. }) if outcome.end == End::Left), "{told:?}");
    assert!(home.stands(), "the dialog stays");
}

/// RFC 3261 §9.1: a REFER has no CANCEL.
#[test]
fn a_wish_before_the_answer_to_the_refer_waits_for_it() {
    let mut home = Home::with();
    let (session, refer) = home.start_with_ben();
    home.anna.cancel(home.now, session).unwrap();
    assert_eq!(home.anna.poll_transmit(), None);
    home.answers(&refer, "202 Accepted");
    assert_eq!(home.anna.poll_transmit(), None);
    home.goes_on(&refer, "100 Trying");
    assert_eq!(starts(&sent(&mut home.anna)), ["200 NOTIFY", "REFER"]);
}

/// Q5, digest 14.8: and then it is set up again.
#[test]
fn where_it_cannot_be_ended_by_itself_the_dialog_is_left() {
    let (mut home, session) = Home::in_session();
    home.anna.leave(home.now, session).unwrap();
    let bye = home.one("REFER");
    home.answers(&bye, "405 Method Not Allowed");
    let bye = home.one("BYE");
    home.answers(&bye, "200 OK");
    let told = events(&mut home.anna);
    assert!(
        matches!(told[..], [.., Event::Ended { .. }, Event::PreEstablishedEnded { retry_in: Some(_), .. }]),
        "{told:?}"
    );
    while home.anna.poll_transmit().is_none() {
        home.now = home.anna.poll_timeout().unwrap();
        home.anna.handle_timeout(home.now);
    }
}

/// The Contact of the server says what is on it.
#[test]
fn a_re_invite_with_a_focus_is_an_invitation_and_one_without_ends_it() {
    let mut home = Home::with();
    home.offers(FOCUS, "P-Asserted-Identity: <sip:ben@home1.example>\r\n", "sendrecv");
    assert_eq!(starts(&sent(&mut home.anna)), ["180 INVITE"]);
    let told = events(&mut home.anna);
    let [Event::Invited { session, inviter, focus, answer_mode: AnswerMode::Manual, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((text(inviter).as_str(), focus.is_some()), ("<sip:ben@home1.example>", true));
    home.anna.incoming(*session).unwrap().accept(home.now);
    assert_eq!(starts(&sent(&mut home.anna)), ["200 INVITE"]);
    home.acknowledges();
    let told = events(&mut home.anna);
    assert!(matches!(&told[..], [Event::Established { focus: Some(_), .. }]), "{told:?}");
    // Other media are not the end of it.
    home.offers(FOCUS, "", "inactive");
    assert_eq!(starts(&sent(&mut home.anna)), ["200 INVITE"]);
    home.acknowledges();
    assert!(matches!(events(&mut home.anna)[..], [Event::Modified { .. }]));
    home.offers(PLAIN, "", "inactive");
    assert_eq!(starts(&sent(&mut home.anna)), ["200 INVITE"]);
    home.acknowledges();
    let told = events(&mut home.anna).pop();
    assert!(
        matches!(told, Some(Event::Ended { ref outcome, .. }) if outcome.end == End::Released),
        "{told:?}"
    );
    assert!(home.stands());
}

/// digest 14.4: its CANCEL ends the invitation, and nothing else (I10).
#[test]
fn the_cancel_of_the_re_invite_ends_the_invitation_and_the_dialog_lives_on() {
    let mut home = Home::with();
    home.offers(FOCUS, "", "sendrecv");
    sent(&mut home.anna);
    let session = invited(&mut home.anna);
    let cancel = home.request_again("CANCEL", "", "");
    home.delivers(cancel);
    assert_eq!(starts(&sent(&mut home.anna)), ["200 CANCEL", "487 INVITE"]);
    let outcome = ended(&mut home.anna);
    assert_eq!((outcome.end, outcome.by, outcome.is_missed()), (End::Cancelled, Party::Remote, true));
    assert_eq!(home.anna.session(session).err(), Some(Misuse::NoSession));
    assert!(home.stands());
    home.start_with_ben();
}

#[test]
fn the_answer_mode_of_the_server_is_obeyed_without_the_feature_tag() {
    let mut home = Home::standing(|config| {
        pre_establishing(config);
        config.trusts_answer_mode = true;
    });
    home.offers(FOCUS, "Answer-Mode: Auto\r\n", "sendrecv");
    assert_eq!(starts(&sent(&mut home.anna)), ["200 INVITE"]);
}

#[test]
fn a_re_invite_that_crosses_a_refer_of_ours_meets_486() {
    let mut home = Home::with();
    let (_, refer) = home.start_with_ben();
    home.offers(FOCUS, "", "sendrecv");
    assert_eq!(starts(&sent(&mut home.anna)), ["486 INVITE"]);
    home.answers(&refer, "202 Accepted");
    home.is_final(&refer, "200 OK");
    assert!(matches!(events(&mut home.anna)[..], [Event::Established { .. }]));
}

#[test]
fn other_media_while_nothing_is_on_it_are_nobodys_session() {
    let mut home = Home::with();
    home.offers(PLAIN, "", "inactive");
    assert_eq!(starts(&sent(&mut home.anna)), ["200 INVITE"]);
    home.acknowledges();
    assert_eq!(events(&mut home.anna), []);
    assert!(home.stands());
}

#[test]
fn when_its_dialog_is_lost_so_is_the_session_on_it() {
    let (mut home, _) = Home::in_session();
    events(&mut home.anna);
    let bye = home.request("BYE", "Reason: SIP;cause=503\r\n", "");
    home.delivers(bye);
    let told = events(&mut home.anna);
    let [Event::Ended { outcome, .. }, Event::PreEstablishedEnded { retry_in: Some(_), .. }] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((outcome.end, outcome.reason.as_deref()), (End::Released, Some(&b"SIP;cause=503"[..])));
}

#[test]
fn a_refusal_to_set_it_up_is_told_and_sessions_go_on_demand() {
    for (status, is_tried_again) in [("403 Forbidden", false), ("503 Service Unavailable", true)] {
        let mut home = Home::asked(pre_establishing);
        home.answers(&home.invite.clone(), status);
        sent(&mut home.anna);
        let told = events(&mut home.anna);
        let [Event::PreEstablishedEnded { retry_in, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(retry_in.is_some(), is_tried_again, "{status}");
        home.anna.start(home.now, Addressee::User(Bytes::from(BENS))).unwrap();
        home.one("INVITE");
    }
}

/// C32.
#[test]
fn who_deregisters_or_closes_leaves_it_and_everybody_on_it() {
    for command in [Command::Deregister, Command::Close] {
        for with_session in [true, false] {
            let mut home = if with_session { Home::in_session().0 } else { Home::with() };
            events(&mut home.anna);
            home.anna.handle_input(home.now, Input::Command(command.clone())).unwrap();
            let sent = sent(&mut home.anna);
            assert!(starts(&sent).contains(&"BYE".to_owned()), "{:?}", starts(&sent));
            let told = events(&mut home.anna);
            assert_eq!(told.iter().any(|event| matches!(event, Event::Ended { .. })), with_session);
            let bye = sent.iter().find(|message| message.method_text() == b"BYE").unwrap().clone();
            home.answers(&bye, "200 OK");
            let told = events(&mut home.anna);
            assert!(matches!(told[..], [Event::PreEstablishedEnded { retry_in: None, .. }]), "{told:?}");
        }
    }
}

#[test]
fn one_that_is_being_set_up_is_given_up_by_cancel() {
    let mut home = Home::asked(pre_establishing);
    home.answers(&home.invite.clone(), "100 Trying");
    home.anna.close(home.now);
    home.one("CANCEL");
}

/// The verbs of a session are those of its state, on a pre-established session as well.
#[test]
fn a_misuse_changes_nothing() {
    let (mut home, session) = Home::in_session();
    events(&mut home.anna);
    assert_eq!(home.anna.cancel(home.now, session), Err(Misuse::TooLate));
    assert_eq!(home.anna.accept(home.now, session), Err(Misuse::NothingToAnswer));
    assert_eq!(home.anna.refuse(home.now, session), Err(Misuse::NothingToAnswer));
    let mut home = Home::with();
    let (session, _) = home.start_with_ben();
    assert_eq!(home.anna.leave(home.now, session), Err(Misuse::NotEstablished));
    assert_eq!(home.anna.modify(home.now, session), Err(Misuse::NotEstablished));
    assert_eq!((home.anna.poll_transmit(), home.anna.poll_event()), (None, None));
}

#[test]
fn other_media_of_a_session_on_it_are_offered_in_its_dialog() {
    let (mut home, session) = Home::in_session();
    events(&mut home.anna);
    home.anna.established(session).unwrap().modify(home.now).unwrap();
    let offer = home.one("INVITE");
    assert_eq!(offer.value(Name::CallId), home.invite.value(Name::CallId));
    home.answers_invite(&offer, FOCUS);
    home.one("ACK");
    assert!(matches!(events(&mut home.anna)[..], [Event::Modified { session: of, .. }] if of == session));
    home.anna.established(session).unwrap().modify(home.now).unwrap();
    let offer = home.one("INVITE");
    home.answers(&offer, "100 Trying");
    home.anna.established(session).unwrap().cancel_modification(home.now).unwrap();
    home.one("CANCEL");
    home.answers(&offer, "487 Request Terminated");
    let told = events(&mut home.anna);
    assert!(matches!(told[..], [Event::ModificationEnded { session: of, .. }] if of == session), "{told:?}");
    assert!(home.anna.established(session).is_ok());
}
