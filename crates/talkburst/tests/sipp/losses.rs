//! Messages around the CANCEL are lost: T8, R5, R6.

use crate::harness::Play;

/// T8, timer E: T1, doubled up to T2, which is 8·T1 here as in RFC 3261 §17.1.2.2.
#[test]
fn a_cancel_that_is_lost_five_times_is_sent_again_after_t1_2_4_8_and_8_t1() {
    let play =
        Play::new("ben_loses_five_cancels").counting_copies().t1(100).with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    let copies = played.all("CANCEL").into_iter().filter(|logged| logged.is_ours);
    let copies: Vec<_> = copies.collect();
    assert!(copies.windows(2).all(|two| two[0].message == two[1].message), "copies are copies");
    let gaps: Vec<_> = copies.windows(2).map(|two| two[1].at - two[0].at).collect();
    assert_eq!(gaps.len(), 5);
    for (gap, times) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 8.0]) {
        assert!((gap - times * 0.1).abs() < 0.08, "{gaps:?}");
    }
    played.check_cancel();
}

/// R5: the 487 ends it for the user; the CANCEL goes on until it is answered.
#[test]
fn a_lost_200_to_the_cancel_is_asked_for_again() {
    let play = Play::new("ben_loses_his_200_to_the_cancel")
        .counting_copies()
        .t1(60)
        .with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    assert!(played.seconds("cancelling", "ended") < 0.09, "before the copy of the CANCEL");
    assert_eq!(played.all("CANCEL").len(), 2);
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
}

/// R6, timer D: each copy of the 487 is acknowledged, and the user is told once.
#[test]
fn each_copy_of_the_487_is_acknowledged() {
    let play = Play::new("ben_repeats_his_487").counting_copies().t1(100).with(&["--cancel-after", "50ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    assert_eq!(played.all("ACK").len(), 3);
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
}

/// R6, timer G: the 487 is sent again until it is acknowledged, and not once more.
#[test]
fn a_487_that_is_lost_is_sent_again_until_its_ack_comes() {
    let play =
        Play::new("anna_does_not_hear_the_487").stopped().counting_copies().t1(100).with(&["--manual"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "remote", Some(487)));
    let copies = played.all("487 INVITE");
    assert_eq!(copies.len(), 3);
    for (two, times) in copies.windows(2).zip([1.0, 2.0]) {
        assert!((two[1].at - two[0].at - times * 0.1).abs() < 0.08);
    }
}

/// T15, R5, I8, C53: each copy of the CANCEL gets the same 200, and there is one 487.
#[test]
fn each_copy_of_the_cancel_gets_the_same_200_and_there_is_one_487() {
    let play = Play::new("anna_repeats_her_cancel").counting_copies().t1(200).with(&["--manual"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.story(), ["invited", "ended"]);
    let answers = played.all("200 CANCEL");
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.message == answers[0].message));
    assert_eq!(played.sent(), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
}
