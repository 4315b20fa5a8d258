//! Pre-established sessions: digest 7.2 and the second table of 14.5.

use poc::server::Function;
use sip::Message;
use sip::message::Name;
use sip::usage::End;

use crate::ready::{AUTOMATIC, BEN, CLIENT, Ready, is_held, names_session, ready, ready_wanting, ready_with};
use crate::stage::{Call, FACTORY, SDP, ms, text, word};

const ERIK: &str = "sip:erik@home2.example";

// Setting up.

#[test]
fn an_invite_without_a_list_sets_up_a_dialog_with_our_media_and_takes_no_slot() {
    let Ready { mut stage, dialog, ok, .. } = ready();
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio 45200 RTP/AVP 97"), "our media");
    assert_eq!(names_session(&ok), None, "there is no session yet");
    assert_eq!(stage.sessions_of("ben"), 0);
    stage.cancel(&dialog);
    assert_eq!(stage.told(&dialog), ["200 CANCEL"], "without effect");
    stage.bye(&dialog, &ok);
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.function, record.session_type), (Function::Participating, None));
    assert_eq!((record.end, record.status), (End::Released, Some(200)));
}

#[test]
fn a_dialog_is_refused_to_who_may_not_have_one() {
    let Ready { mut stage, dialog, .. } = ready_with(|config| config.pre_established_max = 1);
    for (call, told) in [
        (dialog.again(), "486 INVITE"),
        (Call::originating("sip:nobody@home1.example", FACTORY), "403 INVITE"),
        (Call::originating("sip:cara@home1.example", FACTORY).with_body("v=0\r\n"), "488 INVITE"),
        (Call::originating("sip:dan@home1.example", FACTORY).with_body(""), "488 INVITE"),
    ] {
        stage.invite(&call);
        assert_eq!(stage.told(&call), [told]);
    }
    assert_eq!(stage.counters().refused, 4);
}

/// The server answers for itself.
#[test]
fn the_client_may_offer_other_media_at_any_time() {
    let mut ready = ready();
    let media = format!("{CLIENT}Content-Type: application/sdp\r\n");
    let held = SDP.replace("m=application", "a=inactive\r\nm=application");
    ready.within("INVITE", &media, &held);
    let ok = ready.stage.response(&ready.dialog, "200 INVITE");
    assert!(is_held(&ok));
    ready.within("UPDATE", &media, &SDP.replace("AMR/8000", "EVRC/8000"));
    assert_eq!(ready.stage.told(&ready.dialog), ["488 UPDATE"]);
}

// Used for an invitation: re-INVITE.

/// Erik invites Ben, whose client is asked in the dialog.
fn asked() -> (Ready, Call, Message) {
    let mut ready = ready();
    let (call, reinvite) = ask(&mut ready, 0);
    (ready, call, reinvite)
}

fn ask(ready: &mut Ready, round: usize) -> (Call, Message) {
    let mut call = Call::terminating(ERIK, BEN).with("Referred-By: <sip:boss@home2.example>\r\n");
    for _ in 0..round {
        call = call.again();
    }
    ready.stage.invite(&call);
    let reinvite = ready.reinvite();
    assert_eq!(ready.stage.invites_of("ben"), 0, "no INVITE by way of the core");
    (call, reinvite)
}

#[test]
fn an_invitation_is_a_re_invite_that_names_who_invites_and_the_session() {
    let (mut ready, call, reinvite) = asked();
    assert_eq!(text(&reinvite, Name::PAssertedIdentity), "<sip:erik@home2.example>");
    assert_eq!(text(&reinvite, Name::ReferredBy), "<sip:boss@home2.example>");
    assert_eq!(text(&reinvite, Name::AnswerMode), "Manual");
    assert_eq!(names_session(&reinvite).as_deref(), Some("sip:ps77@192.0.2.66;session=1-1"));
    assert!(!is_held(&reinvite));
    assert_eq!(ready.stage.sessions_of("ben"), 1);
    ready.stage.answer(&reinvite, 180);
    assert_eq!(ready.stage.told(&call), ["180 INVITE"]);
    ready.stage.answer(&reinvite, 200);
    assert_eq!(ready.heard(), ["ACK"]);
    let ok = ready.stage.established(&call);
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio 45200 RTP/AVP 97"), "our media");
    ready.stage.bye(&call, &ok);
    assert_eq!(ready.stage.told(&call), ["200 BYE"]);
    let told = ready.reinvite();
    assert!(is_held(&told) && names_session(&told).is_none());
    ready.stage.answer(&told, 200);
    ready.heard();
    ready.ends_with(1);
}

#[test]
fn the_client_leaves_an_invitation_that_it_has_accepted_by_refer() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer(&reinvite, 200);
    ready.heard();
    ready.stage.established(&call);
    ready.give_up("sip:ps77@192.0.2.66");
    assert_eq!(ready.heard(), ["200 REFER"]);
    assert_eq!(ready.stage.told(&call), ["BYE"]);
    assert_eq!(ready.stage.sessions_of("ben"), 0);
    ready.ends_with(1);
}

#[test]
fn a_client_that_answers_by_itself_is_announced_and_asked() {
    let mut ready = ready_wanting(AUTOMATIC, |_| {});
    let call = Call::terminating(ERIK, BEN);
    ready.stage.invite(&call);
    let progress = ready.stage.response(&call, "183 INVITE");
    assert_eq!(text(&progress, Name::PAnswerState), "Unconfirmed");
    let reinvite = ready.reinvite();
    assert_eq!(text(&reinvite, Name::AnswerMode), "Auto");
    ready.stage.answer(&reinvite, 200);
    assert_eq!(text(&ready.stage.established(&call), Name::PAnswerState), "Confirmed");
}

/// RFC 3261 §14.1: the dialog is as it was.
#[test]
fn a_refusal_is_passed_on_and_the_dialog_can_be_used_again() {
    for (said, told) in [(480, 480), (486, 486), (488, 488), (603, 603), (491, 480), (487, 480)] {
        let (mut ready, call, reinvite) = asked();
        ready.stage.answer(&reinvite, said);
        assert_eq!(ready.heard(), ["ACK"]);
        assert_eq!(ready.stage.told(&call), [format!("{told} INVITE")]);
        assert_eq!(ready.stage.sessions_of("ben"), 0);
        ready.ends_with(1);
    }
}

/// RFC 3261 §12.2.1.2: the client does not know the dialog, or is not there.
#[test]
fn a_client_that_is_gone_is_480_and_the_dialog_is_gone_too() {
    for status in [481, 408] {
        let (mut ready, call, reinvite) = asked();
        ready.stage.answer(&reinvite, status);
        assert_eq!(ready.stage.told(&call), ["480 INVITE"]);
        ready.stage.ends_with(2);
    }
    let (mut ready, call, _) = asked();
    ready.stage.pass(crate::stage::T1_64 + ms(1));
    assert!(ready.stage.told(&call).contains(&"480 INVITE".to_owned()));
    ready.stage.ends_with(2);
}

#[test]
fn a_client_that_accepts_what_is_of_no_use_is_488_and_is_told() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer_saying(&reinvite, 200, "", "v=0\r\n");
    assert_eq!(ready.stage.told(&call), ["488 INVITE"]);
    let messages = ready.stage.told_whole(&ready.dialog);
    assert_eq!(messages.iter().map(word).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert!(is_held(&messages[1]));
    ready.stage.answer(&messages[1], 200);
    ready.heard();
    ready.ends_with(1);
}

/// T21, digest 14.5: the CANCEL of the re-INVITE leaves the dialog as it was, as often as one likes.
#[test]
fn t21_the_re_invite_is_cancelled_and_the_dialog_can_be_used_again() {
    let mut ready = ready();
    for round in 0..4 {
        let (call, reinvite) = ask(&mut ready, round);
        ready.stage.answer(&reinvite, 180);
        ready.stage.told(&call);
        ready.stage.cancel_saying(&call, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
        assert_eq!(ready.stage.told(&call), ["200 CANCEL", "487 INVITE"], "at once");
        assert_eq!(ready.stage.sessions_of("ben"), 0, "at once");
        let cancel = ready.stage.told_whole(&ready.dialog).remove(0);
        assert_eq!(word(&cancel), "CANCEL");
        assert_eq!(text(&cancel, Name::Reason), "SIP;cause=200;text=\"Call completed elsewhere\"");
        ready.stage.answer(&cancel, 200);
        ready.stage.answer(&reinvite, 487);
        assert_eq!(ready.heard(), ["ACK"]);
        assert!(ready.stage.told(&call).is_empty(), "what the client says reaches nobody");
        let record = &ready.stage.records[round];
        assert_eq!((record.end, record.status), (End::Cancelled, Some(487)));
        assert_eq!(record.invitations[0].end, End::Cancelled);
    }
    ready.ends_with(4);
}

#[test]
fn t21_before_a_1xx_the_cancel_waits() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.cancel(&call);
    assert_eq!(ready.stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert!(ready.heard().is_empty());
    ready.stage.answer(&reinvite, 100);
    assert_eq!(ready.heard(), ["CANCEL"]);
    ready.stage.answer(&reinvite, 487);
    ready.heard();
    ready.ends_with(1);
}

/// Both sides must agree that there is no session.
#[test]
fn t21_a_2xx_that_crosses_the_cancel_is_acknowledged_and_the_client_told_that_nothing_is_there() {
    for has_rung in [false, true] {
        let (mut ready, call, reinvite) = asked();
        if has_rung {
            ready.stage.answer(&reinvite, 180);
        }
        ready.stage.cancel(&call);
        ready.stage.told(&call);
        ready.stage.told(&ready.dialog);
        ready.stage.answer(&reinvite, 200);
        assert!(ready.stage.told(&call).is_empty());
        let messages = ready.stage.told_whole(&ready.dialog);
        assert_eq!(messages.iter().map(word).collect::<Vec<_>>(), ["ACK", "INVITE"], "no BYE");
        assert!(is_held(&messages[1]) && names_session(&messages[1]).is_none());
        ready.stage.answer(&messages[1], 200);
        assert_eq!(ready.heard(), ["ACK"]);
        ready.ends_with(1);
    }
}

/// It would go on to believe in a session, so it has to set up another dialog.
#[test]
fn a_client_that_will_not_be_told_that_nothing_is_there_is_left() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer(&reinvite, 180);
    ready.stage.cancel(&call);
    ready.stage.answer(&reinvite, 200);
    let told = ready.stage.response(&ready.dialog, "INVITE");
    assert!(is_held(&told));
    ready.stage.answer(&told, 488);
    assert_eq!(ready.heard(), ["ACK", "BYE"]);
    ready.stage.ends_with(2);
}

/// C65, C69: nothing waits between the two.
#[test]
fn t21_a_cancel_right_behind_its_invite_leaves_the_dialog_as_it_was() {
    let mut ready = ready();
    let call = Call::terminating(ERIK, BEN);
    ready.stage.receive_together(&[call.invite(), call.cancel()]);
    assert_eq!(ready.stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    let reinvite = ready.reinvite();
    ready.stage.answer(&reinvite, 180);
    assert_eq!(ready.heard(), ["CANCEL"]);
    ready.stage.answer(&reinvite, 487);
    ready.heard();
    ready.ends_with(1);
}

#[test]
fn a_client_that_rings_for_ever_in_the_dialog_is_cancelled_at_last() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer(&reinvite, 180);
    ready.stage.told(&call);
    ready.stage.told(&ready.dialog);
    ready.stage.pass(sip::Duration::from_secs(170));
    let messages = ready.stage.told_whole(&ready.dialog);
    assert_eq!(text(&messages[0], Name::Reason), "SIP;cause=408;text=\"No answer\"");
    assert!(ready.stage.told(&call).contains(&"480 INVITE".to_owned()));
    ready.stage.answer(&reinvite, 487);
    ready.heard();
    ready.ends_with(1);
}

#[test]
fn the_bye_of_a_client_that_is_asked_is_480_and_ends_the_dialog() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer(&reinvite, 180);
    ready.stage.told(&call);
    ready.within("BYE", "", "");
    assert_eq!(ready.stage.told(&call), ["480 INVITE"]);
    ready.stage.answer(&reinvite, 487);
    ready.stage.ends_with(2);
}

#[test]
fn a_client_whose_dialog_is_not_free_is_asked_on_demand() {
    let settings = "<am-settings><answer-mode>manual</answer-mode></am-settings>\
        <sss-settings><simultaneous-sessions-support active=\"true\"/></sss-settings>";
    let mut ready = ready_wanting(settings, |_| {});
    let (call, reinvite) = ask(&mut ready, 0);
    let second = call.again();
    ready.stage.invite(&second);
    assert_eq!(ready.stage.invites_of("ben"), 1, "asked already");
    ready.stage.cancel(&call);
    let third = second.again();
    ready.stage.invite(&third);
    assert_eq!(ready.stage.invites_of("ben"), 2, "given up, and the client has not said so");
    ready.stage.answer(&reinvite, 487);
    ready.heard();
    ready.stage.invite(&third.again());
    assert_eq!(ready.stage.invites_of("ben"), 2, "free again");
}

#[test]
fn a_client_that_cannot_take_the_media_in_the_dialog_is_asked_on_demand() {
    let mut ready = ready();
    let call = Call::terminating(ERIK, BEN).with_body(&SDP.replace("AMR/8000", "EVRC/8000"));
    ready.stage.invite(&call);
    assert!(ready.heard().is_empty());
    assert_eq!(ready.stage.invites_of("ben"), 1);
}

#[test]
fn a_user_who_is_removed_loses_the_dialog_and_what_it_is_used_for() {
    let (mut ready, call, reinvite) = asked();
    ready.stage.answer(&reinvite, 180);
    ready.stage.told(&call);
    ready.stage.told(&ready.dialog);
    ready.stage.remove("ben");
    assert_eq!(ready.stage.told(&call), ["404 INVITE"]);
    assert_eq!(ready.heard(), ["CANCEL", "BYE"]);
    ready.stage.answer(&reinvite, 487);
    ready.stage.ends_with(2);
}
