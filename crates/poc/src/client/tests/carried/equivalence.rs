//! Case 8: for its user a PoC Session on a pre-established session is one like others. Each story is told twice.

use super::*;

/// What happens, whoever carries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The server takes the invitation on.
    TakenOn,
    Rings,
    Accepts,
    /// The last word about the invitation, with this status.
    Final(&'static str),
    GivesUp,
    /// What shows that the wish was heard.
    WishHeard,
    Leaves,
    Releases,
    /// Nobody says anything any more.
    Silence,
}

use Step::{Accepts, Final, GivesUp, Leaves, Releases, Rings, Silence, TakenOn, WishHeard};

/// What the user is told of one session: everything but moments and media.
fn told(client: &mut Client, session: SessionId) -> Vec<String> {
    let of_session = events(client).into_iter().filter(|event| event.session() == Some(session));
    let words = |event: Event| match event {
        Event::Progress { status, .. } => format!("progress {status}"),
        Event::Invited { answer_mode, .. } => format!("invited {answer_mode:?}"),
        Event::Established { answer_state, .. } => format!("established {answer_state:?}"),
        Event::Ended { outcome, .. } => {
            format!("{outcome}: {:?} {:?} {:?} {:?}", outcome.role, outcome.end, outcome.by, outcome.status)
        }
        other @ (Event::Modified { .. }
        | Event::ModificationEnded { .. }
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
        | Event::Disconnect { .. }) => panic!("{other:?}"),
    };
    of_session.map(words).collect()
}

fn last(home: &mut Home, method: &str) -> Option<Message> {
    sent(&mut home.anna).into_iter().rev().find(|message| message.method_text() == method.as_bytes())
}

/// Lets time go by until `is_over`, with nobody there.
fn silence(home: &mut Home, session: SessionId) {
    while home.anna.session(session).is_ok() {
        home.now = home.anna.poll_timeout().unwrap();
        home.anna.handle_timeout(home.now);
        sent(&mut home.anna);
    }
}

fn on_demand(story: &[Step]) -> Vec<String> {
    let mut home = Home::asked(|_| {});
    sent(&mut home.anna);
    let session = home.anna.start(home.now, Addressee::User(Bytes::from(BENS))).unwrap();
    let invite = home.one("INVITE");
    for step in story {
        match step {
            TakenOn => home.answers(&invite, "100 Trying"),
            Rings => home.answers(&invite, "180 Ringing"),
            Accepts => home.answers_invite(&invite, FOCUS),
            Final(status) => home.answers(&invite, status),
            GivesUp => home.anna.cancel(home.now, session).unwrap(),
            Leaves => home.anna.leave(home.now, session).unwrap(),
            WishHeard => {
                for request in sent(&mut home.anna) {
                    if [&b"CANCEL"[..], b"BYE"].contains(&request.method_text()) {
                        home.answers(&request, "200 OK");
                    }
                }
            }
            Releases => {
                home.invite = invite.clone();
                let bye = home.request("BYE", "", "");
                home.delivers(bye);
            }
            Silence => silence(&mut home, session),
        }
    }
    assert!(home.anna.session(session).is_err(), "{story:?}: over");
    told(&mut home.anna, session)
}

fn pre_established(story: &[Step]) -> Vec<String> {
    let mut home = Home::with();
    let (session, refer) = home.start_with_ben();
    let mut bye = None;
    for step in story {
        match step {
            TakenOn => {
                home.answers(&refer, "202 Accepted");
                home.goes_on(&refer, "100 Trying");
            }
            Rings => home.goes_on(&refer, "180 Ringing"),
            Accepts => home.is_final(&refer, &format!("200 OK\r\nContact: {FOCUS}")),
            Final(status) => home.is_final(&refer, status),
            GivesUp => home.anna.cancel(home.now, session).unwrap(),
            Leaves => home.anna.leave(home.now, session).unwrap(),
            WishHeard => {
                let bye = bye.take().or_else(|| last(&mut home, "REFER")).unwrap();
                home.delivers(response(&bye, "202 Accepted", "Refer-Sub: false\r\n", ""));
            }
            Releases => home.offers(PLAIN, "", "inactive"),
            Silence => silence(&mut home, session),
        }
        bye = last(&mut home, "REFER").or(bye);
    }
    assert!(home.anna.session(session).is_err(), "{story:?}: over");
    told(&mut home.anna, session)
}

#[test]
fn whoever_begins_a_session_is_told_the_same_of_it_either_way() {
    let refused: &[&[Step]] = &[
        &[TakenOn, Final("486 Busy Here")],
        &[TakenOn, Rings, Final("480 Temporarily Unavailable")],
        &[TakenOn, Rings, Final("603 Decline")],
        &[Final("403 Forbidden")],
        &[Silence],
    ];
    let established: &[&[Step]] = &[
        &[TakenOn, Rings, Accepts, Leaves, WishHeard],
        &[TakenOn, Accepts, Releases],
        &[TakenOn, Rings, Rings, Accepts, Releases],
        &[Accepts, Leaves, WishHeard],
        &[TakenOn, Accepts, Leaves, Silence],
    ];
    // digest 14.10, at each moment, and whatever crosses the wish.
    let given_up: &[&[Step]] = &[
        &[TakenOn, Rings, GivesUp, WishHeard, Final("487 Request Terminated")],
        &[TakenOn, Rings, GivesUp, Final("487 Request Terminated")],
        &[TakenOn, GivesUp, GivesUp, Final("487 Request Terminated")],
        &[TakenOn, Rings, GivesUp, Final("486 Busy Here")],
        &[TakenOn, Rings, GivesUp, Accepts, WishHeard],
        &[GivesUp, Accepts, WishHeard],
        &[GivesUp, Final("486 Busy Here")],
        &[GivesUp, TakenOn, Final("487 Request Terminated")],
        &[GivesUp, Silence],
        &[TakenOn, Rings, GivesUp, WishHeard, Silence],
        &[TakenOn, Rings, GivesUp, Silence],
    ];
    for story in [refused, established, given_up].concat() {
        let told = on_demand(story);
        assert_eq!(pre_established(story), told, "{story:?}");
        assert!(told.last().is_some_and(|last| last.contains("Inviter")), "{told:?}");
    }
}

/// What happens on the invited side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    Accepts,
    Acknowledged,
    Refuses,
    Withdrawn,
    Released,
    Leaves,
    NobodyAnswers,
}

fn invited_on(story: &[Heard], is_pre_established: bool, mode: AnswerMode) -> Vec<String> {
    let configure = |config: &mut Config| {
        config.pre_establishes = is_pre_established;
        config.settings.answer_mode = mode;
        config.no_answer_after = Some(Duration::from_secs(20));
    };
    let mut home = if is_pre_established { Home::standing(configure) } else { Home::asked(configure) };
    sent(&mut home.anna);
    if is_pre_established {
        home.offers(FOCUS, "", "sendrecv");
    } else {
        let further = format!("Contact: {FOCUS}\r\nContent-Type: application/sdp\r\n");
        let invite = text(&home.request("INVITE", &further, &offer_of_the_server("sendrecv")));
        // One that begins a dialog has no tag of ours.
        let to = text(home.invite.value(Name::From).unwrap());
        home.delivers(Bytes::from(invite.replace(&to, to.split(';').next().unwrap())));
    }
    let session = home.anna.sessions().next().unwrap();
    let answer = sent(&mut home.anna).into_iter().find(|message| message.status().is_some());
    let local = answer.and_then(|answer| answer.value(Name::To).map(text)).unwrap();
    for step in story {
        let within = |home: &mut Home, request: Bytes| {
            let to = text(home.invite.value(Name::From).unwrap());
            let request =
                if is_pre_established { request } else { Bytes::from(text(&request).replace(&to, &local)) };
            home.delivers(request);
        };
        match step {
            Heard::Accepts => home.anna.accept(home.now, session).unwrap(),
            Heard::Refuses => home.anna.refuse(home.now, session).unwrap(),
            Heard::Leaves => {
                home.anna.leave(home.now, session).unwrap();
                let request = sent(&mut home.anna).pop().unwrap();
                home.delivers(response(&request, "200 OK", "Refer-Sub: false\r\n", ""));
            }
            Heard::Acknowledged => {
                let ack = home.request_again("ACK", "", "");
                within(&mut home, ack);
            }
            Heard::Withdrawn => {
                let cancel = home.request_again("CANCEL", "", "");
                let to = text(home.invite.value(Name::From).unwrap());
                let bare = to.split(';').next().unwrap().to_owned();
                let cancel =
                    if is_pre_established { text(&cancel) } else { text(&cancel).replace(&to, &bare) };
                home.delivers(Bytes::from(cancel));
            }
            Heard::Released if is_pre_established => home.offers(PLAIN, "", "inactive"),
            Heard::Released => {
                let bye = home.request("BYE", "", "");
                within(&mut home, bye);
            }
            Heard::NobodyAnswers => silence(&mut home, session),
        }
        sent(&mut home.anna);
    }
    assert!(home.anna.session(session).is_err(), "{story:?}: over");
    assert!(!is_pre_established || home.stands(), "{story:?}: the dialog stays");
    told(&mut home.anna, session)
}

#[test]
fn whoever_is_invited_is_told_the_same_of_it_either_way() {
    use Heard::{Accepts, Acknowledged, Leaves, NobodyAnswers, Refuses, Released, Withdrawn};
    let manual: &[&[Heard]] = &[
        &[Accepts, Acknowledged, Released],
        &[Accepts, Acknowledged, Leaves],
        &[Refuses],
        &[Withdrawn],
        &[NobodyAnswers],
    ];
    let automatic: &[&[Heard]] = &[&[Acknowledged, Released], &[Acknowledged, Leaves]];
    for (mode, stories) in [(AnswerMode::Manual, manual), (AnswerMode::Automatic, automatic)] {
        for story in stories {
            let told = invited_on(story, false, mode);
            assert_eq!(invited_on(story, true, mode), told, "{mode:?} {story:?}");
            assert!(told.last().is_some_and(|last| last.contains("Invited")), "{told:?}");
        }
    }
}
