//! What crosses what: digest 14.6 step 5, and the entries of group B, D and E that concern a server.

use sip::message::Name;
use sip::transport::{Path, Transport};
use sip::usage::End;

use crate::stage::{Call, SDP, Stage, T1_64, answer, path, text};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";

fn anna_invites_ben() -> (Stage, Call, sip::Message) {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.seen(&ben);
    (stage, call, ben)
}

// Digest 14.6 step 5: of two things the first in the queue counts.

#[test]
fn step_5_row_1_cancel_then_2xx_is_487_and_the_member_is_left() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.answer(&ben, 200);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(stage.seen(&ben), ["CANCEL", "ACK", "BYE"]);
    stage.ends_with(1);
}

#[test]
fn step_5_row_2_2xx_then_cancel_stands_until_the_bye() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 200);
    stage.cancel(&call);
    let messages = stage.told(&call);
    assert_eq!(messages, ["200 INVITE", "200 CANCEL"]);
    assert_eq!(stage.seen(&ben), ["ACK"]);
    stage.ends_with(1);
}

/// The same with who is still pending: the BYE that follows cancels them.
#[test]
fn step_5_row_2_2xx_then_cancel_then_bye_cancels_who_is_pending() {
    let mut stage = Stage::new();
    let call = Call::listing(ANNA, &[BEN, CARA]);
    stage.invite(&call);
    let (ben, cara) = (stage.leg("ben"), stage.leg("cara"));
    stage.answer(&cara, 180);
    stage.answer(&ben, 200);
    let ok = stage.response(&call, "200 INVITE");
    stage.cancel(&call);
    stage.ack(&call, &ok);
    stage.seen(&ben);
    stage.seen(&cara);
    stage.bye(&call, &ok);
    assert_eq!(stage.told(&call), ["200 CANCEL", "200 BYE"]);
    assert_eq!(stage.seen(&ben), ["BYE"]);
    assert_eq!(stage.seen(&cara), ["CANCEL"]);
    stage.ends_with(1);
}

/// And 14.5 row 6.
#[test]
fn step_5_row_3_unconfirmed_then_cancel_has_no_effect() {
    let mut stage = Stage::with(|config| config.early_answer = true);
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer_saying(&ben, 183, "P-Answer-State: Unconfirmed\r\n", "");
    stage.seen(&ben);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 INVITE", "200 CANCEL"]);
    assert!(stage.seen(&ben).is_empty());
    stage.ends_with(1);
}

#[test]
fn step_5_row_4_cancel_then_a_request_in_the_dialog_is_481_and_nobody_is_invited() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    let ringing = stage.response(&call, "180 INVITE");
    stage.cancel(&call);
    stage.told(&call);
    stage.within(&call, &ringing, "REFER", 8, "Refer-To: <sip:cara@home1.example>\r\n", "");
    assert_eq!(stage.told(&call), ["481 REFER"]);
    assert_eq!(stage.invites_of("cara"), 0);
    stage.ends_with(1);
}

#[test]
fn step_5_row_5_the_last_failure_then_cancel_has_no_effect() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 480);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["480 INVITE", "200 CANCEL"]);
    stage.ends_with(1);
}

#[test]
fn step_5_row_6_of_the_set_up_timer_and_the_cancel_the_first_counts() {
    // The timer first: its Reason, its CANCEL, and the inviter's CANCEL adds none.
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.pass(crate::stage::SET_UP_LIMIT);
    let seen = stage.seen_whole(&ben);
    assert_eq!((seen.len(), text(&seen[0], Name::Reason)), (1, "SIP;cause=408;text=\"No answer\""));
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert!(stage.seen(&ben).is_empty());
    stage.answer(&seen[0], 200);
    stage.answer(&ben, 487);
    stage.ends_with(1);
    // The CANCEL first.
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.pass(crate::stage::SET_UP_LIMIT - crate::stage::ms(1));
    stage.cancel(&call);
    let seen = stage.seen_whole(&ben);
    assert_eq!((seen.len(), seen[0].value(Name::Reason)), (1, None));
    stage.answer(&seen[0], 200);
    stage.pass(crate::stage::ms(2));
    assert!(stage.seen(&ben).is_empty());
    stage.answer(&ben, 487);
    stage.ends_with(1);
}

// Group B.

/// C25: who gives up is told at once, and an answer that comes all the same is left.
#[test]
fn c25_a_mute_member_keeps_nobody_waiting() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    stage.seen(&ben);
    stage.answer(&ben, 200);
    assert_eq!(stage.seen(&ben), ["ACK", "BYE"]);
    stage.ends_with(1);
}

/// C26: what the retransmission still wakes is cancelled as soon as it says so.
#[test]
fn c26_a_member_that_is_reached_late_rings_no_longer_than_one_round_trip() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.cancel(&call);
    stage.pass(sip::Duration::from_secs(5));
    stage.seen(&ben);
    stage.answer(&ben, 180);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.ends_with(1);
}

// Group D.

/// C49, I6.
#[test]
fn c49_the_200_leaves_before_the_487() {
    let (mut stage, call, _) = anna_invites_ben();
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
}

/// C53, C54, I8.
#[test]
fn c53_c54_copies_of_the_cancel_get_the_same_200_and_cancel_nothing_twice() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.told(&call);
    for _ in 0..3 {
        stage.cancel(&call);
    }
    let told = stage.told(&call);
    assert_eq!(told.iter().filter(|word| *word == "487 INVITE").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|word| *word == "200 CANCEL").count(), 3, "{told:?}");
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.ends_with(1);
}

/// C50: the cause is 487 if the CANCEL won.
#[test]
fn c50_a_cancel_and_a_refusal_at_once_are_487() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.answer(&ben, 486);
    assert_eq!(stage.told(&call), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    stage.ends_with(1);
}

/// C52, I7: the right Call-ID is not enough.
#[test]
fn c52_a_cancel_with_another_branch_is_481_and_has_no_effect() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.told(&call);
    stage.seen(&ben);
    stage.cancel_on_branch(&call, "origother", "192.0.2.1:5060");
    assert_eq!(stage.told(&call), ["481 CANCEL"]);
    assert!(stage.seen(&ben).is_empty());
    stage.answer(&ben, 200);
    assert_eq!(stage.told(&call), ["200 INVITE"]);
}

/// A CANCEL from elsewhere reaches nobody, whatever it knows.
#[test]
fn a_cancel_that_does_not_come_from_the_core_is_dropped_and_counted() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.told(&call);
    stage.seen(&ben);
    stage.cancel_on_branch(&call, "origanna", "198.51.100.7:5060");
    assert!(stage.told(&call).is_empty() && stage.seen(&ben).is_empty());
    assert_eq!(stage.counters().untrusted, 1);
    assert_eq!(stage.sessions_of("anna"), 1);
}

/// A host may have more on it than the core; on a connection its port says nothing.
#[test]
fn the_core_is_known_by_its_address_and_on_a_connection_by_its_host() {
    let stage = Stage::with(|config| config.trusted.clear());
    let hears = |transport, remote| stage.server.hears(&Path { transport, ..path(remote) });
    assert!(hears(Transport::Udp, "192.0.2.1:5060"));
    assert!(!hears(Transport::Udp, "192.0.2.1:5061") && !hears(Transport::Udp, "192.0.2.2:5060"));
    assert!(hears(Transport::Tcp, "192.0.2.1:40000") && !hears(Transport::Tcp, "192.0.2.2:5060"));
}

/// C65, C68, C69, I14: no look-up stands between an INVITE and its CANCEL.
#[test]
fn c65_c69_a_cancel_right_behind_its_invite_ends_everything() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    stage.answer(&ben, 100);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 487);
    stage.ends_with(1);
}

// Group E.

/// C66: for every k of n members that have rung, and accepted.
#[test]
fn c66_an_inviter_who_gives_up_after_k_of_n_leaves_nobody_behind() {
    let users = ["ben", "cara", "dan"];
    for rung in 0..=users.len() {
        for accepted in 0..=rung {
            let mut stage = Stage::new();
            let members = users.map(|user| format!("sip:{user}@home1.example"));
            let call = Call::listing(ANNA, &members.each_ref().map(String::as_str));
            stage.invite(&call);
            let legs = users.map(|user| stage.leg(user));
            for leg in &legs[..rung] {
                stage.answer(leg, 180);
            }
            for leg in &legs[..accepted] {
                stage.answer(leg, 200);
            }
            for leg in &legs {
                stage.seen(leg);
            }
            if accepted == 0 {
                stage.cancel(&call);
            } else {
                let ok = stage.established(&call);
                stage.bye(&call, &ok);
            }
            let expected = |place: usize| match place {
                // Case 4: two who have accepted go on (Q4), and so does who still rings.
                _ if accepted >= 2 => vec![],
                place if place < accepted => vec!["BYE"],
                place if place < rung => vec!["CANCEL"],
                _ => vec![],
            };
            for (place, leg) in legs.iter().enumerate() {
                assert_eq!(
                    stage.seen(leg),
                    expected(place),
                    "{rung} rang, {accepted} accepted, member {place}"
                );
            }
            if accepted < 2 {
                for leg in &legs[rung..] {
                    stage.answer(leg, 180);
                    assert_eq!(stage.seen(leg), ["CANCEL"]);
                }
                stage.ends_with(1);
            }
        }
    }
}

/// C76, C77, C81.
#[test]
fn c76_c77_a_member_that_dies_behind_its_180_is_reaped() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.cancel(&call);
    stage.pass(T1_64);
    stage.ends_with(1);
}

/// C80: slots are free, and nothing else remains.
#[test]
fn c80_a_cancel_frees_the_inviter_and_the_invited() {
    let (mut stage, call, _) = anna_invites_ben();
    assert_eq!(stage.sessions_of("anna"), 1);
    stage.cancel(&call);
    assert_eq!(stage.sessions_of("anna"), 0);
    stage.ends_with(1);
}

/// R29: the core gives up on its own.
#[test]
fn r29_a_cancel_that_the_core_made_is_one_like_any_other() {
    let (mut stage, call, ben) = anna_invites_ben();
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.cancel_saying(&call, "Reason: SIP;cause=503\r\n");
    let seen = stage.seen_whole(&ben);
    assert_eq!(text(&seen[0], Name::Reason), "SIP;cause=503");
    stage.ends_with(1);
}

/// T25, R12: 487 may overtake the PRACK, which is answered all the same.
#[test]
fn t25_a_cancel_while_a_reliable_1xx_is_outstanding_is_487_at_once() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN).with("Require: 100rel\r\n");
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    let ringing = stage.response(&call, "180 INVITE");
    assert_eq!(text(&ringing, Name::Require), "100rel");
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    let rack = format!("RAck: {} 7 INVITE\r\n", text(&ringing, Name::RSeq));
    stage.within(&call, &ringing, "PRACK", 8, &rack, "");
    assert_eq!(stage.told(&call), ["200 PRACK"]);
    stage.ends_with(1);
}

// What comes in one piece of a stream is one input; its messages still count in their order.

#[test]
fn a_cancel_and_the_2xx_that_it_crosses_may_come_in_one_piece() {
    for call in [Call::originating(ANNA, BEN), Call::terminating(ANNA, BEN)] {
        let mut stage = Stage::new();
        stage.receive_together(&[call.invite()]);
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.told(&call);
        stage.seen(&ben);
        stage.receive_together(&[call.cancel(), answer(&ben, 200, "", SDP)]);
        assert_eq!(stage.told(&call), ["200 CANCEL", "487 INVITE"]);
        assert_eq!(stage.seen(&ben), ["CANCEL", "ACK", "BYE"]);
        stage.ends_with(1);
        let record = &stage.records[0];
        assert_eq!((record.end, record.status, record.answered), (End::Cancelled, Some(487), None));
        assert_eq!(record.invitations.len(), 1);
    }
}

#[test]
fn a_2xx_and_the_cancel_behind_it_may_come_in_one_piece() {
    for call in [Call::originating(ANNA, BEN), Call::terminating(ANNA, BEN)] {
        let mut stage = Stage::new();
        stage.receive_together(&[call.invite()]);
        let ben = stage.leg("ben");
        stage.answer(&ben, 180);
        stage.told(&call);
        stage.seen(&ben);
        stage.receive_together(&[answer(&ben, 200, "", SDP), call.cancel()]);
        assert_eq!(stage.told(&call), ["200 INVITE", "200 CANCEL"]);
        assert_eq!(stage.seen(&ben), ["ACK"]);
        stage.ends_with(1);
        assert_eq!(stage.records[0].status, Some(200));
    }
}

/// I13: the check comes first, so the record and the wire say the same.
#[test]
fn an_invite_that_a_check_refuses_and_its_cancel_may_come_in_one_piece() {
    let mut stage = Stage::new();
    let call = Call::terminating(ANNA, "sip:nobody@home1.example");
    stage.receive_together(&[call.invite(), call.cancel()]);
    assert_eq!(stage.told(&call), ["404 INVITE", "200 CANCEL"]);
    stage.ends_with(1);
    assert_eq!((stage.records[0].end, stage.records[0].status), (End::Rejected, Some(404)));
}
