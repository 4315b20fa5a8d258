//! What is lost between a client and the server.

use crate::harness::Play;

/// T15, I8, C53, C54: each copy of the CANCEL gets the same 200; there is one 487, and one CANCEL to Ben.
#[test]
fn each_copy_of_the_cancel_gets_the_same_200_and_goes_no_further() {
    let play = Play::new().t1(200).counting_copies();
    let play = play.anna(
        "> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > CANCEL\n < 200 CANCEL\n > CANCEL\n < 200 CANCEL\n > ACK\n ~ 300",
    );
    let play = play.ben("< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK\n ~ 300");
    let Some(played) = play.run() else { return };
    let answers = played.received("anna", "200 CANCEL");
    assert!(answers.iter().all(|answer| answer.message == answers[0].message));
    assert_eq!(played.received("anna", "487 INVITE").len(), 1);
}

/// R5: the 200 to the server's CANCEL is lost.
#[test]
fn the_server_sends_its_cancel_again_until_it_is_answered() {
    let play = Play::new().t1(100).counting_copies();
    let play = play.anna("> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let play =
        play.ben("< INVITE\n > 180\n < CANCEL\n < CANCEL\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK");
    let Some(played) = play.run() else { return };
    let copies = played.received("ben", "CANCEL");
    assert!(copies.iter().all(|copy| copy.message == copies[0].message));
}

/// R6: the 487 is lost on either leg.
#[test]
fn a_487_that_is_lost_is_sent_again_and_each_copy_is_acknowledged() {
    let play = Play::new().t1(100).counting_copies();
    let play = play.anna("> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n < 487\n > ACK\n ~ 300");
    let play = play.ben(
        "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK\n > 487 INVITE\n < ACK\n > 487 INVITE\n < ACK",
    );
    let Some(played) = play.run() else { return };
    assert_eq!(played.received("anna", "487 INVITE").len(), 2);
}

/// C38: the ACK of a 200 that crossed is lost: it is acknowledged again, and left once.
#[test]
fn each_copy_of_a_crossing_200_is_acknowledged_and_left_once() {
    let play = Play::new().t1(100).counting_copies();
    let play = play.anna("> INVITE\n < 180\n > CANCEL\n < 200 CANCEL\n < 487\n > ACK");
    let play = play.ben(
        "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 200 INVITE\n < ACK\n < BYE\n > 200\n > 200 INVITE\n < ACK\n ~ 200",
    );
    let Some(played) = play.run() else { return };
    assert_eq!(played.received("ben", "BYE").len(), 1);
}
