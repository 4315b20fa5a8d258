use super::*;

mod orders;

const SERVER: u8 = 9;

/// A client of Anna's, and the wire to her server without time.
struct Home {
    now: Instant,
    anna: Client,
}

impl Home {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(configure: impl Fn(&mut Config)) -> Self {
        let mut config = config(ANNA);
        config.registration = Some(Registration::new(vec![target(SERVER)], "home1.example"));
        configure(&mut config);
        Self { now: Instant::START, anna: Client::new(config) }
    }

    /// One that is registered, with its settings published under the tag `one`.
    fn registered() -> Self {
        let mut home = Self::new();
        home.press(Command::Register);
        let register = home.one();
        home.answer(&register, "200 OK", GRANTED);
        let publish = home.one();
        home.answer(&publish, "200 OK", "SIP-ETag: one\r\nExpires: 3600\r\n");
        home.told();
        home
    }

    fn press(&mut self, command: Command) {
        self.anna.handle_input(self.now, Input::Command(command)).unwrap();
    }

    /// The only message that leaves.
    fn one(&mut self) -> Message {
        let mut sent = sent(&mut self.anna);
        assert_eq!(sent.len(), 1, "{:?}", starts(&sent));
        sent.remove(0)
    }

    fn answer(&mut self, request: &Message, status: &str, further: &str) {
        let line = |name| text(request.value(name).unwrap());
        let bytes = Bytes::from(format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=home\r\nCall-ID: {}\r\nCSeq: {}\r\n{further}Content-Length: 0\r\n\r\n",
            line(Name::Via),
            line(Name::From),
            line(Name::To),
            line(Name::CallId),
            line(Name::CSeq),
        ));
        deliver(self.now, &mut self.anna, ANNA, SERVER, bytes);
    }

    fn told(&mut self) -> Vec<Event> {
        events(&mut self.anna)
    }

    /// Lets time pass, with nothing arriving.
    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.anna.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.anna.handle_timeout(at);
            assert!(self.anna.poll_timeout().is_none_or(|next| next > at));
        }
        self.now = until;
        self.anna.handle_timeout(until);
    }

    fn wait_secs(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }
}

/// Another terminal of hers is registered too.
const GRANTED: &str = "Contact: <sip:other@192.0.2.77:5060>;expires=17, <sip:anna@192.0.2.1:5060>;expires=1800\r\n\
    Service-Route: <sip:orig@home1.example;lr>\r\nP-Associated-URI: <sip:anna@home1.example>, <tel:+15551234>\r\n";

fn lines(message: &Message) -> String {
    text(message.bytes()).replace("\r\n", "\n")
}

/// digest 5, with the names that the endpoint draws.
#[test]
fn a_register_names_the_address_the_contact_and_what_the_client_is() {
    let mut home = Home::with(|config| {
        config.registration.as_mut().unwrap().tags = Bytes::from_static(b";+g.poc.groupad");
    });
    home.press(Command::Register);
    let register = home.one();
    let value = |name| text(register.value(name).unwrap_or_default());
    assert_eq!(text(register.uri_text()), "sip:home1.example");
    assert_eq!(value(Name::To), "\"Anna\" <sip:anna@home1.example>");
    assert!(value(Name::From).starts_with("\"Anna\" <sip:anna@home1.example>;tag="));
    assert_eq!(value(Name::CSeq), "1 REGISTER");
    assert_eq!(value(Name::Supported), "path");
    assert_eq!(value(Name::UserAgent), user_agent::CLIENT);
    assert!(value(Name::Contact).starts_with("<sip:"), "{}", value(Name::Contact));
    assert!(value(Name::Contact).ends_with("@192.0.2.1:5060>;+g.poc.talkburst;+g.poc.groupad;expires=3600"));
    assert_eq!(register.value(Name::Route), None);
}

#[test]
fn a_registration_is_told_kept_and_refreshed_with_the_same_call_id_and_the_next_cseq() {
    let mut home = Home::new();
    home.press(Command::Register);
    let first = home.one();
    home.answer(&first, "200 OK", GRANTED);
    let service_route = vec![Bytes::from("<sip:orig@home1.example;lr>")];
    let expires = Duration::from_secs(1800);
    assert_eq!(home.told(), [Event::Registered { expires, service_route }]);
    assert_eq!(home.anna.associated(), ["<sip:anna@home1.example>", "<tel:+15551234>"]);
    let publish = home.one();
    home.answer(&publish, "200 OK", "SIP-ETag: one\r\n");
    home.wait_secs(1199);
    assert!(sent(&mut home.anna).is_empty());
    home.wait_secs(1);
    let second = home.one();
    assert_eq!(first.call_id(), second.call_id());
    assert_eq!(second.value(Name::CSeq), Some(&b"2 REGISTER"[..]));
    assert_eq!(first.value(Name::Contact), second.value(Name::Contact));
}

/// digest 6.
#[test]
fn the_settings_are_published_at_once_after_the_registration() {
    let mut home = Home::new();
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "200 OK", GRANTED);
    let publish = home.one();
    let expected = format!(
        "PUBLISH sip:anna@home1.example SIP/2.0
Max-Forwards: 70
Route: <sip:orig@home1.example;lr>
To: <sip:anna@home1.example>
CSeq: 1 PUBLISH
Event: poc-settings
Expires: 3600
Accept-Contact: *;+g.poc.talkburst;require;explicit
P-Preferred-Identity: \"Anna\" <sip:anna@home1.example>
User-Agent: {}
Content-Type: application/poc-settings+xml
Content-Length: {}

",
        user_agent::CLIENT,
        publish.body().len()
    );
    let drawn = ["Via: ", "From: ", "Call-ID: "];
    let head = lines(&publish);
    let head = head.split_inclusive('\n').filter(|line| !drawn.iter().any(|name| line.starts_with(name)));
    let head: String = head.collect();
    assert_eq!(head.split_once("\n\n").unwrap().0.to_owned() + "\n\n", expected);
    let entity = crate::body::settings::read_publication(publish.body()).unwrap();
    assert_eq!(entity.settings, PocSettings::default().into());
    home.told();
    home.answer(&publish, "200 OK", "SIP-ETag: one\r\nExpires: 600\r\n");
    assert_eq!(home.told(), [Event::SettingsPublished]);
    home.wait_secs(300);
    let refresh = home.one();
    assert_eq!(refresh.value(Name::SipIfMatch), Some(&b"one"[..]));
    assert!(refresh.body().is_empty());
}

#[test]
fn a_change_of_the_settings_is_obeyed_and_published() {
    let mut home = Home::registered();
    let settings = PocSettings { incoming_session_barring: true, ..PocSettings::default() };
    home.press(Command::SetSettings(settings));
    let publish = home.one();
    assert_eq!(publish.value(Name::SipIfMatch), Some(&b"one"[..]));
    let entity = crate::body::settings::read_publication(publish.body()).unwrap();
    assert_eq!(entity.settings.incoming_session_barring, Some(true));
    deliver(home.now, &mut home.anna, ANNA, SERVER, invite_of_a_peer(1, ""));
    assert_eq!(starts(&sent(&mut home.anna)), ["480 INVITE"]);
}

#[test]
fn after_a_412_the_settings_are_published_without_a_tag() {
    let mut home = Home::registered();
    home.press(Command::SetSettings(PocSettings::default()));
    let publish = home.one();
    home.answer(&publish, "412 Conditional Request Failed", "");
    let again = home.one();
    assert_eq!(again.value(Name::SipIfMatch), None);
    assert!(!again.body().is_empty());
}

#[test]
fn after_a_489_no_settings_are_published_any_more() {
    let mut home = Home::new();
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "200 OK", GRANTED);
    let publish = home.one();
    home.told();
    home.answer(&publish, "489 Bad Event", "");
    assert_eq!(home.told(), [Event::SettingsFailed { status: Some(489), retry_in: None }]);
    home.press(Command::SetSettings(PocSettings::default()));
    home.wait_secs(1200);
    let refresh = home.one();
    home.answer(&refresh, "200 OK", GRANTED);
    assert_eq!(starts(&sent(&mut home.anna)), Vec::<String>::new());
}

#[test]
fn a_423_raises_what_is_asked_for() {
    let mut home = Home::new();
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "423 Interval Too Brief", "Min-Expires: 7200\r\n");
    let again = home.one();
    assert!(text(again.value(Name::Contact).unwrap()).ends_with(";expires=7200"));
    assert_eq!(again.value(Name::CSeq), Some(&b"2 REGISTER"[..]));
    assert_eq!(home.told(), []);
}

#[test]
fn a_refused_refresh_ends_the_registration_and_what_was_published_lapses() {
    let mut home = Home::registered();
    home.wait_secs(1200);
    let refresh = home.one();
    home.answer(&refresh, "403 Forbidden", "");
    assert_eq!(home.told(), [Event::RegistrationFailed { status: Some(403), retry_in: None }]);
    home.wait_secs(86_400);
    assert_eq!(starts(&sent(&mut home.anna)), Vec::<String>::new());
    assert!(home.anna.is_empty());
    // Who registers again publishes again.
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "200 OK", GRANTED);
    assert_eq!(home.one().value(Name::SipIfMatch), None);
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"home1.example\", nonce=\"n\", algorithm=SHA-256\r\n";

#[test]
fn a_challenge_is_answered_and_what_it_counted_is_not_counted_again() {
    let mut home = Home::with(|config| {
        let (username, secret) = (Bytes::from("anna"), Bytes::from("secret"));
        config.sip.credentials = vec![sip::Credentials { realm: None, username, secret }];
    });
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "401 Unauthorized", CHALLENGE);
    let again = home.one();
    assert!(again.value(Name::Authorization).is_some());
    assert_eq!(again.value(Name::CSeq), Some(&b"2 REGISTER"[..]));
    home.answer(&again, "200 OK", GRANTED);
    sent(&mut home.anna);
    home.wait_secs(1200);
    let refresh = sent(&mut home.anna).into_iter().find(|message| message.is(sip::message::Method::Register));
    assert_eq!(refresh.unwrap().value(Name::CSeq), Some(&b"3 REGISTER"[..]));
}

#[test]
fn credentials_that_are_refused_are_told_and_nothing_is_tried_again() {
    let mut home = Home::new();
    home.press(Command::Register);
    let register = home.one();
    home.answer(&register, "401 Unauthorized", CHALLENGE);
    assert_eq!(home.told(), [Event::RegistrationFailed { status: Some(401), retry_in: None }]);
    home.wait_secs(86_400);
    assert_eq!(starts(&sent(&mut home.anna)), Vec::<String>::new());
    assert!(home.anna.is_empty());
}

#[test]
fn a_registrar_that_fails_is_asked_again_after_growing_waits() {
    let mut home = Home::new();
    home.press(Command::Register);
    let mut asked = 0;
    let mut waits = Vec::new();
    // A day: 5 growing waits and some 90 of half an hour at most.
    for _ in 0..95 {
        let register = home.one();
        asked += 1;
        assert_eq!(register.value(Name::CSeq), Some(format!("{asked} REGISTER").as_bytes()));
        home.answer(&register, "503 Service Unavailable", "");
        let told = home.told();
        let [Event::RegistrationFailed { status: Some(503), retry_in: Some(wait) }] = told[..] else {
            panic!("{told:?}");
        };
        waits.push(wait.as_secs());
        home.wait(wait);
    }
    assert!(waits[0] <= 60 && waits[10..].iter().all(|wait| (900..=1800).contains(wait)), "{waits:?}");
}

#[test]
fn a_registrar_that_is_silent_is_told_and_asked_again_with_a_higher_cseq() {
    let mut home = Home::new();
    home.press(Command::Register);
    let register = home.one();
    home.wait_secs(32);
    let copies = sent(&mut home.anna);
    assert!(copies.iter().all(|copy| copy.bytes() == register.bytes()));
    let told = home.told();
    let [Event::RegistrationFailed { status: None, retry_in: Some(wait) }] = told[..] else {
        panic!("{told:?}")
    };
    home.wait(wait);
    let again = home.one();
    assert!(again.cseq().unwrap().number > register.cseq().unwrap().number);
}

/// digest 6: the settings first, then the registration.
#[test]
fn at_the_end_the_settings_are_removed_and_then_the_binding() {
    let mut home = Home::registered();
    home.press(Command::Deregister);
    let publish = home.one();
    assert_eq!(publish.value(Name::SipIfMatch), Some(&b"one"[..]));
    assert_eq!(publish.value(Name::Expires), Some(&b"0"[..]));
    assert!(publish.body().is_empty());
    assert_eq!(home.anna.handle_input(home.now, Input::Command(Command::Register)), Err(Misuse::Busy));
    home.answer(&publish, "200 OK", "SIP-ETag: two\r\n");
    let register = home.one();
    assert!(text(register.value(Name::Contact).unwrap()).ends_with(";expires=0"));
    assert_eq!(home.told(), []);
    home.answer(&register, "200 OK", "");
    assert_eq!(home.told(), [Event::Deregistered { status: Some(200) }]);
    assert!(!home.anna.is_empty(), "timer K");
    home.wait_secs(10);
    assert!(home.anna.is_empty() && home.anna.poll_timeout().is_none());
}

#[test]
fn an_end_that_nobody_answers_is_told_all_the_same() {
    let mut home = Home::registered();
    home.press(Command::Deregister);
    home.wait_secs(65);
    assert_eq!(home.told(), [Event::Deregistered { status: None }]);
    home.wait_secs(64);
    assert!(home.anna.is_empty() && home.anna.poll_timeout().is_none());
    sent(&mut home.anna);
    home.press(Command::Deregister);
    assert_eq!(home.told(), [Event::Deregistered { status: None }], "nothing is there to be removed");
}

#[test]
fn on_another_network_the_client_registers_at_once_and_the_old_answer_counts_for_nothing() {
    let mut home = Home::registered();
    home.press(Command::NetworkChanged);
    let first = home.one();
    home.press(Command::NetworkChanged);
    let second = home.one();
    assert!(second.cseq().unwrap().number > first.cseq().unwrap().number);
    assert_eq!(first.call_id(), second.call_id());
    home.answer(&first, "403 Forbidden", "");
    assert_eq!(home.told(), []);
    home.answer(&second, "200 OK", GRANTED);
    assert!(matches!(home.told()[..], [Event::Registered { .. }]));
}

#[test]
fn without_a_registrar_there_is_nothing_to_register() {
    let mut anna = Client::new(config(ANNA));
    for command in [Command::Register, Command::Deregister, Command::NetworkChanged] {
        let done = anna.handle_input(Instant::START, Input::Command(command));
        assert_eq!(done, Err(Misuse::NoTarget));
    }
    // One that cannot be reached has changed nothing.
    let mut home = Home::with(|config| {
        config.registration.as_mut().unwrap().targets =
            vec![Target { transport: Transport::Tcp, remote: address(9) }];
    });
    let done = home.anna.handle_input(home.now, Input::Command(Command::Register));
    assert_eq!(done, Err(Misuse::NoListener));
    assert!(home.anna.is_empty());
}

mod sessions_by_way_of_the_server {
    use super::*;

    fn invite(home: &mut Home, answer: AnswerRequest) -> Message {
        let to = Addressee::User(Bytes::from("sip:ben@home2.example"));
        home.press(Command::StartSession { targets: Vec::new(), routes: Vec::new(), to, answer });
        home.one()
    }

    /// RFC 3608 §6.1.
    #[test]
    fn an_invite_goes_the_way_of_the_service_route() {
        let mut home = Home::registered();
        let invite = invite(&mut home, AnswerRequest::Usual);
        assert_eq!(text(invite.uri_text()), "sip:ben@home2.example");
        assert_eq!(invite.value(Name::Route), Some(&b"<sip:orig@home1.example;lr>"[..]));
        assert_eq!(invite.value(Name::PrivAnswerMode).or(invite.value(Name::AnswerMode)), None);
    }

    #[test]
    fn a_proxy_comes_before_the_service_route_and_only_once() {
        for (proxy, expected) in [
            ("<sip:proxy.example;lr>", &["<sip:proxy.example;lr>", "<sip:orig@home1.example;lr>"][..]),
            ("<sip:orig@home1.example;lr>", &["<sip:orig@home1.example;lr>"]),
        ] {
            let mut home = Home::with(|config| {
                config.registration.as_mut().unwrap().routes = vec![Bytes::from(proxy)];
            });
            home.press(Command::Register);
            let register = home.one();
            assert_eq!(register.value(Name::Route), Some(proxy.as_bytes()));
            home.answer(&register, "200 OK", GRANTED);
            home.one();
            let invite = invite(&mut home, AnswerRequest::Usual);
            assert!(invite.items(Name::Route).map(text).eq(expected.iter().map(|route| (*route).to_owned())));
        }
    }

    /// RFC 3608 §6.1: cleared by an answer without one, and discarded after a refusal.
    #[test]
    fn a_service_route_is_forgotten_when_the_registrar_says_so() {
        for (status, further) in [("200 OK", "Expires: 1800\r\n"), ("403 Forbidden", "")] {
            let mut home = Home::registered();
            home.press(Command::NetworkChanged);
            let register = home.one();
            home.answer(&register, status, further);
            assert_eq!(invite(&mut home, AnswerRequest::Usual).value(Name::Route), None, "{status}");
        }
    }

    /// digest 7.1 and 8.4; RFC 5366 §3.
    #[test]
    fn by_way_of_the_conference_factory_the_invited_user_stands_in_a_list() {
        let factory = Bytes::from("sip:poc-factory@home1.example");
        let mut home = Home::with(|config| config.conference_factory = Some(factory.clone()));
        let invite = invite(&mut home, AnswerRequest::Usual);
        assert_eq!(text(invite.uri_text()), "sip:poc-factory@home1.example");
        assert_eq!(invite.value(Name::To), Some(&b"<sip:poc-factory@home1.example>"[..]));
        assert_eq!(invite.value(Name::Require), Some(&b"recipient-list-invite"[..]));
        let parts = crate::body::multipart::parts_of(&invite).unwrap();
        let [sdp, list] = parts[..] else { panic!("{parts:?}") };
        assert!(sdp.is("application/sdp") && sdp.bytes.starts_with(b"v=0"));
        assert!(list.is("application/resource-lists+xml") && list.is_for("recipient-list"));
        let entries = crate::body::resource_lists::read(list.bytes).unwrap();
        assert_eq!(
            entries.iter().map(|entry| &entry.uri[..]).collect::<Vec<_>>(),
            [b"sip:ben@home2.example"]
        );
    }

    /// RFC 5373 §4.3.3; digest 7.3.
    #[test]
    fn the_wanted_answer_mode_stands_in_the_invite() {
        for (answer, name, value) in [
            (AnswerRequest::Manual, Name::AnswerMode, &b"Manual"[..]),
            (AnswerRequest::Automatic, Name::AnswerMode, b"Auto"),
            (AnswerRequest::Override, Name::PrivAnswerMode, b"Auto"),
        ] {
            assert_eq!(invite(&mut Home::registered(), answer).value(name), Some(value));
        }
    }
}

mod answer_modes_in_an_invite {
    use super::*;

    /// What Ben does with an INVITE for PoC that has these lines: 180, 200 or a refusal.
    fn answer(trusts: bool, own: AnswerMode, lines: &str) -> String {
        answer_any(trusts, own, &format!("Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n{lines}"))
    }

    fn answer_any(trusts: bool, own: AnswerMode, lines: &str) -> String {
        let mut config = config(BEN);
        config.trusts_answer_mode = trusts;
        config.settings.answer_mode = own;
        let mut ben = Client::new(config);
        let invite = text(&invite_of_a_peer(1, "")).replace("Contact:", &format!("{lines}Contact:"));
        deliver(Instant::START, &mut ben, BEN, ANNA, Bytes::from(invite));
        starts(&sent(&mut ben)).concat()
    }

    /// RFC 5373 §4.5.1.
    #[test]
    fn a_server_that_is_trusted_is_obeyed() {
        let (manual, automatic) = (AnswerMode::Manual, AnswerMode::Automatic);
        assert_eq!(answer(true, manual, "Answer-Mode: Auto\r\n"), "200 INVITE");
        assert_eq!(answer(true, manual, "Priv-Answer-Mode: auto;require\r\n"), "200 INVITE");
        assert_eq!(answer(true, automatic, "Answer-Mode: Manual\r\n"), "180 INVITE");
        let both = "Answer-Mode: Manual\r\nPriv-Answer-Mode: Auto\r\n";
        assert_eq!(answer(true, manual, both), "200 INVITE", "the privileged one is looked at first");
        assert_eq!(answer(true, automatic, "Answer-Mode: Whatever\r\n"), "200 INVITE");
        assert_eq!(answer(true, manual, "Require: answermode\r\n"), "180 INVITE");
    }

    /// A core hands only what asks for PoC to the server, so nothing else may open a microphone.
    #[test]
    fn what_went_past_the_server_meets_the_user_whatever_it_says() {
        for own in [AnswerMode::Manual, AnswerMode::Automatic] {
            for lines in ["", "Answer-Mode: Auto\r\n", "Priv-Answer-Mode: Auto\r\n"] {
                assert_eq!(answer_any(true, own, lines), "180 INVITE", "{own:?} {lines}");
            }
            assert_eq!(answer_any(true, own, "Priv-Answer-Mode: Auto;require\r\n"), "403 INVITE");
        }
        assert_eq!(answer_any(false, AnswerMode::Automatic, ""), "200 INVITE", "without a server as before");
    }

    #[test]
    fn who_is_not_trusted_decides_nothing_and_what_it_requires_is_refused() {
        let (manual, automatic) = (AnswerMode::Manual, AnswerMode::Automatic);
        assert_eq!(answer(false, manual, "Answer-Mode: Auto\r\n"), "180 INVITE");
        assert_eq!(answer(false, manual, "Priv-Answer-Mode: Auto\r\n"), "180 INVITE");
        assert_eq!(answer(false, manual, "Priv-Answer-Mode: Auto;require\r\n"), "403 INVITE");
        assert_eq!(answer(false, automatic, "Answer-Mode: Manual;require\r\n"), "180 INVITE");
        assert_eq!(answer(false, automatic, "Answer-Mode: Auto;require\r\n"), "200 INVITE");
        assert_eq!(answer(false, manual, "Require: answermode\r\n"), "420 INVITE");
    }
}
