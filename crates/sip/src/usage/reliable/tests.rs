use super::super::fixture::*;
use super::*;

const FIRST: u32 = 41;

fn idle() -> ReliableServer {
    ReliableServer::new(FIRST, Arc::default())
}

fn ringing(number: u32, describes: bool) -> Provisional {
    Provisional { status: 180, number, response: Bytes::from(format!("180 {number}")), describes }
}

/// The first response left at 0 ms.
fn waiting(describes: bool) -> ReliableServer {
    let mut server = idle();
    let first = ringing(FIRST, describes);
    assert_eq!(server.send(at(0), first.clone()), Action::Send(first));
    server
}

/// §3: from T1, doubled without a cap, for 64*T1; then 5xx.
#[test]
fn without_a_prack_it_is_sent_again_ever_more_rarely_and_given_up() {
    let mut server = waiting(false);
    for ms in [500, 1500, 3500, 7500, 15_500, 31_500] {
        assert_eq!(wake(&mut server, ms), Action::Send(ringing(FIRST, false)));
    }
    assert_eq!(wake(&mut server, 32_000), Action::GiveUp);
    assert_waits_for_no_timer(&server);
    assert_eq!(server.handle_prack(at(33_000), FIRST), Some(Action::Nothing), "late, but it matches");
}

/// §3: the next one leaves when the one before is acknowledged, with the next number.
#[test]
fn the_next_one_waits_for_the_prack() {
    let mut server = waiting(false);
    assert_eq!(server.next_number(), FIRST + 1);
    assert_eq!(server.send(at(100), ringing(FIRST + 1, true)), Action::Nothing);
    assert!(server.delays_success(), "the description has not even left");
    assert_eq!(server.handle_prack(at(200), FIRST + 1), None, "it has not left");
    let next = Action::Send(ringing(FIRST + 1, true));
    assert_eq!(server.handle_prack(at(200), FIRST), Some(next));
    assert_eq!(server.deadline(), Some(at(700)), "its own retransmissions");
    assert_eq!(server.handle_prack(at(300), FIRST), None, "once");
    assert_eq!(server.handle_prack(at(300), FIRST + 1), Some(Action::Nothing));
    assert!(server.is_idle() && !server.delays_success());
    assert_waits_for_no_timer(&server);
}

#[test]
fn only_a_description_delays_the_2xx() {
    assert!(waiting(true).delays_success() && !waiting(false).delays_success() && !idle().delays_success());
}

#[test]
fn few_may_wait() {
    let mut server = waiting(false);
    for number in 1..=u32::try_from(QUEUE_MAX).unwrap() {
        assert!(!server.is_full());
        server.send(at(0), ringing(FIRST + number, false));
    }
    assert!(server.is_full());
    server.handle_prack(at(1), FIRST);
    assert!(!server.is_full());
}

/// R12, §3: nothing is sent any more, and a late PRACK matches once.
#[test]
fn a_final_response_stops_all_but_the_answer_to_a_late_prack() {
    let mut server = waiting(true);
    server.send(at(0), ringing(FIRST + 1, true));
    server.stop();
    server.stop();
    assert!(server.is_full() && server.is_unacknowledged() && !server.delays_success());
    assert_waits_for_no_timer(&server);
    assert_eq!(server.handle_prack(at(100), FIRST + 1), None, "it never left");
    assert_eq!(server.handle_prack(at(100), FIRST), Some(Action::Nothing));
    assert_eq!(server.handle_prack(at(100), FIRST), None);
    assert!(!server.is_unacknowledged());
    let mut server = idle();
    server.stop();
    assert!(!server.is_unacknowledged());
    assert_eq!(server.handle_prack(at(100), FIRST), None);
}

/// §4: what the side that invites acknowledges.
#[test]
fn only_the_next_number_is_in_order() {
    let mut client = ReliableClient::default();
    let taken = [7, 7, 9, 8, 8, 7, 9, 10].map(|number| client.accept(number));
    assert_eq!(taken, [true, false, false, true, false, false, true, true]);
    let mut last = ReliableClient::default();
    assert!(last.accept(u32::MAX) && !last.accept(0), "no wrap around");
}
