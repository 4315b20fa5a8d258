//! Every kind of PoC Session from its inviter's side, and what the invited side is shown of it.

use super::*;
use crate::body::{multipart, resource_lists};
use crate::server::SessionType;
use crate::talk_burst::client::Told;

const FACTORY: &str = "sip:poc-factory@home1.example";

fn anna() -> Client {
    Client::new(Config { conference_factory: Some(Bytes::from(FACTORY)), ..config(ANNA) })
}

fn uri(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn users(uris: &[&'static str]) -> Addressee {
    Addressee::Users(Invitees::new(uris.iter().copied().map(uri).collect()).unwrap())
}

fn begin(client: &mut Client, to: Addressee) -> Result<Option<SessionId>, Misuse> {
    let targets = vec![target(BEN)];
    let command = Command::StartSession { targets, routes: Vec::new(), to, answer: AnswerRequest::Usual };
    client.handle_input(Instant::START, Input::Command(command))
}

/// The INVITE that begins it.
fn invite_for(to: Addressee) -> Message {
    let mut anna = anna();
    begin(&mut anna, to).unwrap();
    sent(&mut anna).remove(0)
}

fn listed(invite: &Message) -> Vec<String> {
    let parts = multipart::parts_of(invite).unwrap();
    let lists = parts.iter().filter(|part| part.is_for(resource_lists::RECIPIENTS));
    let entries = lists.flat_map(|part| resource_lists::read(part.bytes).unwrap());
    entries.map(|entry| text(&entry.uri)).collect()
}

/// digest 8.2, 8.4; RFC 5366 §3.
#[test]
fn an_ad_hoc_group_is_a_list_behind_the_offer_that_the_factory_must_understand() {
    let invite = invite_for(users(&["sip:ben@home2.example", "sip:cara@home1.example"]));
    assert_eq!(text(invite.uri_text()), FACTORY);
    assert_eq!(text(invite.value(Name::To).unwrap()), format!("<{FACTORY}>"));
    assert_eq!(text(invite.value(Name::Require).unwrap()), "recipient-list-invite");
    let parts = multipart::parts_of(&invite).unwrap();
    let kinds: Vec<_> = parts.iter().map(|part| text(part.content_type)).collect();
    assert_eq!(kinds, ["application/sdp", "application/resource-lists+xml"]);
    assert_eq!(listed(&invite), ["sip:ben@home2.example", "sip:cara@home1.example"]);
}

#[test]
fn one_user_is_a_list_of_one() {
    let invite = invite_for(Addressee::User(uri("sip:ben@home2.example")));
    assert_eq!(
        (text(invite.uri_text()).as_str(), listed(&invite)),
        (FACTORY, vec!["sip:ben@home2.example".to_owned()])
    );
}

/// digest 7.1, 9.3: no list, for who is invited is not the inviter's to say.
#[test]
fn a_group_and_a_session_are_invited_to_at_their_own_identities() {
    let patrol = "sip:patrol@home2.example";
    let identity = "sip:token@home2.example;session=chat";
    for (to, expected) in [
        (Addressee::PreArranged(uri(patrol)), "sip:patrol@home2.example;session=prearranged"),
        (Addressee::Chat(uri(patrol)), "sip:patrol@home2.example;session=chat"),
        (Addressee::Session(uri(identity)), identity),
    ] {
        let invite = invite_for(to);
        assert_eq!(text(invite.uri_text()), expected);
        assert_eq!(text(invite.value(Name::To).unwrap()), format!("<{expected}>"));
        assert_eq!(invite.value(Name::Require), None);
        assert_eq!(text(invite.value(Name::ContentType).unwrap()), "application/sdp");
    }
}

#[test]
fn what_cannot_be_invited_is_a_misuse_that_changes_nothing() {
    let without_factory = Client::new(config(ANNA));
    let both = users(&["sip:ben@home2.example", "sip:cara@home1.example"]);
    for (mut client, to, misuse) in [
        (without_factory, both, Misuse::NoTarget),
        (anna(), Addressee::User(uri("ben")), Misuse::Address),
        (anna(), Addressee::PreArranged(uri("tel:+491")), Misuse::Address),
        (anna(), Addressee::Chat(uri("sip:patrol@h;session=prearranged")), Misuse::Address),
        (anna(), Addressee::Session(uri("sip:home1.example")), Misuse::Address),
    ] {
        let before = format!("{:?}", client.canonical(Instant::START, &[]));
        assert_eq!(begin(&mut client, to), Err(misuse));
        assert_eq!(before, format!("{:?}", client.canonical(Instant::START, &[])));
        assert_eq!(client.poll_transmit(), None);
    }
}

/// C13: it goes by TCP if that is there; if not, in one piece all the same.
#[test]
fn the_longest_list_can_be_sent() {
    let longest = (0..Invitees::MAX).map(|number| Bytes::from(format!("sip:{number:0>230}@home1.example")));
    let invite = invite_for(Addressee::Users(Invitees::new(longest.collect()).unwrap()));
    assert_eq!(listed(&invite).len(), Invitees::MAX);
}

/// digest 9.1 step 4.
#[test]
fn who_begins_a_session_is_told_its_identity_by_the_focus_only() {
    let contact = "<sip:leg@192.0.2.2;session=adhoc;identity=token%40home1.example>";
    for (is_focus, expected) in [(";isfocus", Some("sip:token@home1.example;session=adhoc")), ("", None)] {
        let mut anna = anna();
        let session = begin(&mut anna, users(&["sip:ben@home2.example"])).unwrap().unwrap();
        let invite = sent(&mut anna).remove(0);
        let offer = crate::sdp::offer(&config(BEN).capabilities, crate::sdp::Origin { id: 1, version: 1 });
        let kind = "Content-Type: application/sdp\r\n";
        let answer = response(&invite, "200 OK", kind, &text(&offer));
        let answer =
            text(&answer).replace("<sip:peer@192.0.2.2>", &format!("{contact};+g.poc.talkburst{is_focus}"));
        deliver(Instant::START, &mut anna, ANNA, BEN, Bytes::from(answer));
        let told = events(&mut anna);
        let [Event::Established { focus, .. }] = &told[..] else { panic!("{told:?}") };
        let kind = focus.as_ref().map(|focus| (text(&focus.identity), focus.session_type));
        assert_eq!(kind, expected.map(|identity| (identity.to_owned(), SessionType::AdHoc)));
        assert_eq!(anna.established(session).unwrap().focus(), focus.as_ref());
    }
}

/// Her offers say so of `tb_granted`.
fn anna_who_offers(tb_granted: bool) -> Client {
    let mut config = config(ANNA);
    config.conference_factory = Some(Bytes::from(FACTORY));
    config.capabilities.talk_burst.tb_granted = tb_granted;
    Client::new(config)
}

/// The 200 of a focus, which grants the talk burst or does not.
fn accepted_by_focus(invite: &Message, grants: bool) -> Bytes {
    let mut server = config(BEN).capabilities;
    server.talk_burst.tb_granted = grants;
    let answer = crate::sdp::offer(&server, crate::sdp::Origin { id: 1, version: 1 });
    let answer = response(invite, "200 OK", "Content-Type: application/sdp\r\n", &text(&answer));
    let focus = "<sip:leg@192.0.2.2;session=adhoc;identity=token%40home1.example>;isfocus";
    Bytes::from(text(&answer).replace("<sip:peer@192.0.2.2>", focus))
}

/// c02: what the answer of the focus grants, if the offer could be granted by it.
#[test]
fn an_answer_that_grants_the_talk_burst_lets_the_inviter_speak_at_once() {
    for (offers, grants) in [(true, true), (true, false), (false, true)] {
        let mut anna = anna_who_offers(offers);
        let session = begin(&mut anna, users(&["sip:ben@home2.example"])).unwrap().unwrap();
        let invite = sent(&mut anna).remove(0);
        deliver(Instant::START, &mut anna, ANNA, BEN, accepted_by_focus(&invite, grants));
        assert_eq!(anna.may_talk(session), offers && grants, "{offers} {grants}");
        let told = events(&mut anna);
        let is_granted = |event: &Event| {
            matches!(event, Event::TalkBurst { told: Told::Granted { seconds: None, .. }, .. })
        };
        assert_eq!(told.iter().any(is_granted), offers && grants, "{told:?}");
    }
}

/// User-plane digest 1, 2.1: a client has nothing to grant.
#[test]
fn an_answer_of_a_client_grants_nothing_whatever_was_offered() {
    let mut pair = Pair::with(|config| config.capabilities.talk_burst.tb_granted = true);
    let session = pair.invite();
    let offer = pair.anna_to_ben();
    assert!(text(offer[0].body()).contains("tb_granted=1"));
    let told = events(&mut pair.ben);
    let [Event::Invited { session: rings, .. }] = &told[..] else { panic!("{told:?}") };
    pair.ben.accept(pair.now, *rings).unwrap();
    let answers = pair.ben_to_anna();
    let ok = answers.iter().find(|answer| answer.status() == Some(200)).unwrap();
    assert!(text(ok.body()).contains("tb_granted=0"), "{}", text(ok.body()));
    assert!(!pair.anna.may_talk(session));
}

/// Case 7: the grant in the 200 that crosses the CANCEL.
#[test]
fn a_grant_in_a_200_that_crosses_the_cancel_lets_nobody_speak() {
    for gives_up in [false, true] {
        let mut anna = anna_who_offers(true);
        let session = begin(&mut anna, users(&["sip:ben@home2.example"])).unwrap().unwrap();
        let invite = sent(&mut anna).remove(0);
        deliver(Instant::START, &mut anna, ANNA, BEN, response(&invite, "180 Ringing", "", ""));
        if gives_up {
            anna.cancel(Instant::START, session).unwrap();
            assert!(sent(&mut anna).iter().any(|message| message.is(sip::message::Method::Cancel)));
        }
        deliver(Instant::START, &mut anna, ANNA, BEN, accepted_by_focus(&invite, true));
        let left = sent(&mut anna).iter().any(|message| message.is(sip::message::Method::Bye));
        let told = events(&mut anna);
        let is_granted = told.iter().any(|event| matches!(event, Event::TalkBurst { .. }));
        assert_eq!((left, is_granted, anna.may_talk(session)), (gives_up, !gives_up, !gives_up), "{told:?}");
        assert_eq!(anna.poll_media().is_some(), !gives_up);
    }
}

/// digest 8.5.
#[test]
fn who_is_invited_is_shown_the_inviter_the_group_and_the_session() {
    let focus =
        |kind| format!("<sip:leg@192.0.2.1;session={kind};identity=token%40h>;+g.poc.talkburst;isfocus");
    let cara = "\"Cara\" <sip:cara@home1.example>";
    for (contact, referred_by, expected) in [
        (focus("1-1"), "", (cara, None, Some(SessionType::OneToOne))),
        (focus("adhoc"), "Referred-By: <sip:dan@h>\r\n", (cara, None, Some(SessionType::AdHoc))),
        (focus("prearranged"), "", (cara, None, Some(SessionType::PreArranged))),
        (
            focus("prearranged"),
            "Referred-By: \"Dan\" <sip:dan@h>;cid=\"1@h\"\r\n",
            ("\"Dan\" <sip:dan@h>", Some(cara), Some(SessionType::PreArranged)),
        ),
        (focus("chat"), "b: <sip:dan@h>\r\n", ("<sip:dan@h>", Some(cara), Some(SessionType::Chat))),
        ("<sip:cara@192.0.2.1:5060>".to_owned(), "Referred-By: <sip:dan@h>\r\n", (cara, None, None)),
    ] {
        let mut ben = Client::new(config(BEN));
        let invite = text(&invite_of_a_peer(1, "")).replace(
            "Contact: <sip:cara@192.0.2.1:5060>\r\n",
            &format!("Contact: {contact}\r\n{referred_by}"),
        );
        deliver(Instant::START, &mut ben, BEN, ANNA, Bytes::from(invite));
        let told = events(&mut ben);
        let [Event::Invited { inviter, group, focus, .. }] = &told[..] else { panic!("{told:?}") };
        let kind = focus.as_ref().map(|focus| focus.session_type);
        let group = group.as_ref().map(|group| text(group));
        assert_eq!((text(inviter).as_str(), group.as_deref(), kind), expected);
        assert!(focus.as_ref().is_none_or(|focus| focus.identity.starts_with(b"sip:token@h;session=")));
    }
}
