//! Modifications of a session, and answers that come before the 200.

use super::*;

fn in_session() -> (Pair, SessionId, SessionId) {
    let mut pair = Pair::new();
    let annas = pair.invite();
    pair.settle();
    let bens = invited(&mut pair.ben);
    pair.ben.accept(pair.now, bens).unwrap();
    pair.settle();
    events(&mut pair.anna);
    events(&mut pair.ben);
    (pair, annas, bens)
}

/// Ben's answer to an offer of Anna's.
fn answer(port: u16) -> String {
    let origin = crate::sdp::Origin { id: 1, version: 1 };
    let offer = crate::sdp::offer(&config(ANNA).capabilities, origin);
    let capabilities = Capabilities { audio_port: port, ..config(BEN).capabilities };
    text(&crate::sdp::answer(&capabilities, origin, &offer).unwrap().0)
}

const DESCRIPTION: &str = "Content-Type: application/sdp\r\n";

fn media_of(event: &Event) -> &Media {
    match event {
        Event::Modified { media, .. } | Event::Established { media, .. } => media,
        Event::Progress { .. }
        | Event::Invited { .. }
        | Event::ModificationEnded { .. }
        | Event::Ended { .. }
        | Event::MemberProgress { .. }
        | Event::MemberChanged { .. }
        | Event::Participants { .. }
        | Event::WatchEnded { .. }
        | Event::Alerted { .. }
        | Event::AlertAnswered { .. }
        | Event::PreEstablished
        | Event::PreEstablishedEnded { .. }
        | Event::Locate { .. }
        | Event::TalkBurst { .. }
        | Event::Heard { .. }
        | Event::Registered { .. }
        | Event::RegistrationFailed { .. }
        | Event::Deregistered { .. }
        | Event::SettingsPublished
        | Event::SettingsFailed { .. }
        | Event::Disconnect { .. } => panic!("{event:?}"),
    }
}

#[test]
fn both_sides_are_told_the_media_of_a_modification() {
    let (mut pair, annas, bens) = in_session();
    pair.anna.modify(pair.now, annas).unwrap();
    assert_eq!(pair.anna.modify(pair.now, annas), Err(Misuse::Busy));
    let offer = pair.anna_to_ben().remove(0);
    assert!(text(offer.body()).contains("o=- 45200 1 IN"), "RFC 3264 §8: nothing has changed");
    pair.settle();
    let told = [events(&mut pair.anna), events(&mut pair.ben)];
    for (told, (session, peer)) in told.iter().zip([(annas, BEN), (bens, ANNA)]) {
        let [event @ Event::Modified { session: of, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(*of, session);
        assert_eq!(media_of(event).audio, SocketAddr::new(address(peer).ip(), 45_200));
    }
    pair.anna.leave(pair.now, annas).unwrap();
    pair.settle();
    assert_eq!(ended(&mut pair.ben).end, End::Released);
}

/// I10, R20, C61: the wish is for the modification, and the session goes on.
#[test]
fn cancelling_in_a_session_ends_the_modification_only() {
    let (mut pair, annas, _) = in_session();
    assert_eq!(pair.anna.cancel(pair.now, annas), Err(Misuse::TooLate), "there is none");
    pair.anna.modify(pair.now, annas).unwrap();
    let offer = sent(&mut pair.anna).remove(0);
    pair.anna.cancel(pair.now, annas).unwrap();
    deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&offer, "100 Trying", "", ""));
    assert_eq!(starts(&sent(&mut pair.anna)), ["CANCEL"]);
    deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&offer, "487 Request Terminated", "", ""));
    assert_eq!(starts(&sent(&mut pair.anna)), ["ACK"]);
    let told = events(&mut pair.anna);
    let ended =
        Event::ModificationEnded { session: annas, end: End::Cancelled, by: Party::Local, status: Some(487) };
    assert_eq!(told, [ended]);
    pair.anna.leave(pair.now, annas).unwrap();
    assert_eq!(starts(&sent(&mut pair.anna)), ["BYE"]);
    let outcome = {
        pair.anna.handle_timeout(pair.now + Duration::from_secs(32));
        super::ended(&mut pair.anna)
    };
    assert_eq!((outcome.end, outcome.timing.cancelled), (End::Left, None));
}

/// The hang-up key is for the session, whatever else is under way.
#[test]
fn hanging_up_during_a_modification_leaves_the_session() {
    let (mut pair, annas, _) = in_session();
    pair.anna.modify(pair.now, annas).unwrap();
    sent(&mut pair.anna);
    pair.anna.hang_up(pair.now, annas).unwrap();
    assert_eq!(starts(&sent(&mut pair.anna)), ["BYE"]);
}

#[test]
fn a_refused_modification_leaves_the_media_as_they_were() {
    let (mut pair, annas, _) = in_session();
    pair.anna.modify(pair.now, annas).unwrap();
    let offer = sent(&mut pair.anna).remove(0);
    deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&offer, "488 Not Acceptable Here", "", ""));
    let told = events(&mut pair.anna);
    assert!(
        matches!(told[..], [Event::ModificationEnded { end: End::Rejected, status: Some(488), .. }]),
        "{told:?}"
    );
}

/// RFC 3262 §5, RFC 3261 §13.2.1: the answer of a reliable 1xx is the answer; the 200 need not repeat it.
#[test]
fn an_answer_in_a_reliable_1xx_is_kept_for_the_200() {
    for in_200 in ["".to_owned(), answer(7000)] {
        let mut pair = Pair::new();
        pair.invite();
        let invite = sent(&mut pair.anna).remove(0);
        let reliable = format!("{DESCRIPTION}Require: 100rel\r\nRSeq: 1\r\n");
        let progress = response(&invite, "183 Session Progress", &reliable, &answer(6000));
        deliver(pair.now, &mut pair.anna, ANNA, BEN, progress);
        assert_eq!(starts(&sent(&mut pair.anna)), ["PRACK"]);
        let ok = response(&invite, "200 OK", if in_200.is_empty() { "" } else { DESCRIPTION }, &in_200);
        deliver(pair.now, &mut pair.anna, ANNA, BEN, ok);
        assert_eq!(starts(&sent(&mut pair.anna)), ["ACK"]);
        let told = events(&mut pair.anna);
        let [Event::Progress { status: 183, .. }, established] = &told[..] else { panic!("{told:?}") };
        assert_eq!(media_of(established).audio.port(), 6000);
    }
}

/// A preview that came unreliably is none, and the answer of another fork is that of the fork.
#[test]
fn only_the_reliable_answer_of_the_same_dialog_counts() {
    let reliable = format!("{DESCRIPTION}Require: 100rel\r\nRSeq: 1\r\n");
    for (lines, tag) in [(DESCRIPTION, "tag=peer"), (reliable.as_str(), "tag=fork")] {
        let mut pair = Pair::new();
        pair.invite();
        let invite = sent(&mut pair.anna).remove(0);
        let progress = response(&invite, "183 Session Progress", lines, &answer(6000));
        let progress = Bytes::from(text(&progress).replace("tag=peer", tag));
        deliver(pair.now, &mut pair.anna, ANNA, BEN, progress);
        sent(&mut pair.anna);
        deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&invite, "200 OK", "", ""));
        assert_eq!(starts(&sent(&mut pair.anna)), ["ACK", "BYE"], "{lines} {tag}");
    }
}

/// RFC 3262 §5: an INVITE without an offer that requires reliable responses: offer in the 180, answer in the PRACK.
#[test]
fn the_offer_of_a_reliable_180_is_answered_in_the_prack() {
    for answered in [true, false] {
        let mut pair = Pair::new();
        let invite =
            text(&invite_of_a_peer(1, "")).replace("Max-Forwards", "Require: 100rel\r\nMax-Forwards");
        deliver(pair.now, &mut pair.ben, BEN, ANNA, Bytes::from(invite));
        let ringing = sent(&mut pair.ben).remove(0);
        let rseq = text(ringing.value(Name::RSeq).unwrap());
        let own = crate::sdp::Origin { id: 45_200, version: 1 };
        assert_eq!(text(ringing.body()), text(&crate::sdp::offer(&config(BEN).capabilities, own)));
        let session = invited(&mut pair.ben);
        pair.ben.accept(pair.now, session).unwrap();
        assert_eq!(starts(&sent(&mut pair.ben)), [""; 0], "the 200 waits for the PRACK");
        let body = if answered { answer(6000) } else { String::new() };
        let prack = text(&ack_of_a_peer(&ringing, &body))
            .replace("ACK", "PRACK")
            .replace("CSeq: 1", "CSeq: 2")
            .replace("peerack", "peerprack")
            .replace("Max-Forwards", &format!("RAck: {rseq} 1 INVITE\r\nMax-Forwards"));
        deliver(pair.now, &mut pair.ben, BEN, ANNA, Bytes::from(prack));
        let answers = sent(&mut pair.ben);
        assert_eq!(starts(&answers), ["200 PRACK", "200 INVITE"]);
        assert!(answers[1].body().is_empty());
        deliver(pair.now, &mut pair.ben, BEN, ANNA, ack_of_a_peer(&answers[1], ""));
        if answered {
            let told = events(&mut pair.ben);
            let [established] = &told[..] else { panic!("{told:?}") };
            assert_eq!(media_of(established).audio.port(), 6000);
        } else {
            assert_eq!(starts(&sent(&mut pair.ben)), ["BYE"], "no media came of it");
        }
    }
}

/// RFC 3311 §5.1: media that were agreed on early can be changed early, and the last that were agreed on count.
#[test]
fn an_update_before_the_200_changes_what_the_prack_answered() {
    let mut pair = Pair::new();
    let invite = text(&invite_of_a_peer(1, "")).replace("Max-Forwards", "Require: 100rel\r\nMax-Forwards");
    deliver(pair.now, &mut pair.ben, BEN, ANNA, Bytes::from(invite));
    let ringing = sent(&mut pair.ben).remove(0);
    let rseq = text(ringing.value(Name::RSeq).unwrap());
    let session = invited(&mut pair.ben);
    let within = |method: &str, number: u32, line: &str, body: &str| {
        let request = text(&ack_of_a_peer(&ringing, body))
            .replace("ACK", method)
            .replace("CSeq: 1", &format!("CSeq: {number}"))
            .replace("peerack", &format!("peer{method}"));
        Bytes::from(request.replace("Max-Forwards", &format!("{line}Max-Forwards")))
    };
    let prack = within("PRACK", 2, &format!("RAck: {rseq} 1 INVITE\r\n"), &answer(6000));
    deliver(pair.now, &mut pair.ben, BEN, ANNA, prack);
    assert_eq!(starts(&sent(&mut pair.ben)), ["200 PRACK"]);
    let capabilities = Capabilities { audio_port: 8000, ..config(ANNA).capabilities };
    let offer = text(&crate::sdp::offer(&capabilities, crate::sdp::Origin { id: 1, version: 2 }));
    let contact = "Contact: <sip:anna@192.0.2.1>\r\n";
    deliver(pair.now, &mut pair.ben, BEN, ANNA, within("UPDATE", 3, contact, &offer));
    assert_eq!(starts(&sent(&mut pair.ben)), ["200 UPDATE"]);
    pair.ben.accept(pair.now, session).unwrap();
    let accepted = sent(&mut pair.ben).remove(0);
    deliver(pair.now, &mut pair.ben, BEN, ANNA, ack_of_a_peer(&accepted, ""));
    let told = events(&mut pair.ben);
    let [established] = &told[..] else { panic!("{told:?}") };
    assert_eq!(media_of(established).audio.port(), 8000);
}

/// A request of Ben's in the dialog that `answered`, a request of Anna's, was sent in.
fn from_ben(ours: &Message, method: &str, number: u32, body: &str) -> Bytes {
    let line = |name| text(ours.value(name).unwrap());
    let kind = if body.is_empty() { "" } else { DESCRIPTION };
    Bytes::from(format!(
        "{method} sip:anna@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:ben@192.0.2.2>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        line(Name::To),
        line(Name::From),
        line(Name::CallId),
        body.len(),
    ))
}

/// Anna's session with a peer that is written by hand. The ACK.
fn with_a_peer() -> (Pair, Message) {
    let mut pair = Pair::new();
    pair.invite();
    let invite = sent(&mut pair.anna).remove(0);
    deliver(pair.now, &mut pair.anna, ANNA, BEN, response(&invite, "200 OK", DESCRIPTION, &answer(6000)));
    let ack = sent(&mut pair.anna).remove(0);
    events(&mut pair.anna);
    (pair, ack)
}

#[test]
fn an_update_with_an_offer_is_answered_and_told() {
    let (mut pair, ack) = with_a_peer();
    let origin = crate::sdp::Origin { id: 1, version: 2 };
    let capabilities = Capabilities { audio_port: 8000, ..config(BEN).capabilities };
    let offer = text(&crate::sdp::offer(&capabilities, origin));
    deliver(pair.now, &mut pair.anna, ANNA, BEN, from_ben(&ack, "UPDATE", 1, &offer));
    let sent = sent(&mut pair.anna);
    assert_eq!(starts(&sent), ["200 UPDATE"]);
    assert!(!sent[0].body().is_empty());
    let told = events(&mut pair.anna);
    let [modified] = &told[..] else { panic!("{told:?}") };
    assert_eq!(media_of(modified).audio.port(), 8000);
}

/// RFC 3264 §8, RFC 4028 §7.4: the version says whether a description differs from the last one.
#[test]
fn the_version_of_a_description_rises_only_with_a_change() {
    let (mut pair, ack) = with_a_peer();
    let mut versions = Vec::new();
    // The first offer had no direction of its own; one that holds us changes our answer, and its copy does not.
    for (number, hold) in [(1, false), (2, true), (3, true), (4, false)] {
        let origin = crate::sdp::Origin { id: 1, version: number.into() };
        let offer = text(&crate::sdp::offer(&config(BEN).capabilities, origin));
        let offer = if hold { offer.replace("a=ptime", "a=sendonly\r\na=ptime") } else { offer };
        deliver(pair.now, &mut pair.anna, ANNA, BEN, from_ben(&ack, "UPDATE", number, &offer));
        let answer = text(sent(&mut pair.anna)[0].body());
        let version = answer.split_whitespace().nth(3).map(str::to_owned);
        versions.extend(version);
    }
    let of = |place: usize| versions[place].parse::<u32>().unwrap();
    assert_eq!((of(1) - of(0), of(2) - of(1), of(3) - of(2)), (1, 0, 1), "{versions:?}");
}

#[test]
fn an_offer_that_a_re_invite_asked_for_is_answered_in_the_ack() {
    let (mut pair, ack) = with_a_peer();
    deliver(pair.now, &mut pair.anna, ANNA, BEN, from_ben(&ack, "INVITE", 5, ""));
    assert_eq!(starts(&sent(&mut pair.anna)), ["200 INVITE"]);
    assert_eq!(events(&mut pair.anna), [], "nothing is agreed before the ACK");
    deliver(pair.now, &mut pair.anna, ANNA, BEN, from_ben(&ack, "ACK", 5, &answer(9000)));
    let told = events(&mut pair.anna);
    let [modified] = &told[..] else { panic!("{told:?}") };
    assert_eq!(media_of(modified).audio.port(), 9000);
}
