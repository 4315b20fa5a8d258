//! A server that is to end, in shards: hand-over goes on until nobody waits for anything.

use poc::server::Side;

use super::*;

/// Longer than anything takes in which nobody is silent.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

impl Stage {
    fn is_settled(&self) -> bool {
        self.settled.len() == self.shards.len() && self.settled.values().all(|is_settled| *is_settled)
    }

    /// Has all shards end, and lets time pass until they wait for nothing.
    fn release(&mut self) {
        self.all(&Input::Refuse);
        self.all(&Input::Release);
        let until = self.now + RELEASE_WITHIN;
        while !self.is_settled() && self.step() {
            assert!(self.now < until, "somebody is waited for");
        }
    }
}

#[test]
fn sessions_of_all_shards_are_released_and_nobody_is_left_ringing() {
    for count in [1, 2, 5] {
        let mut stage = Stage::new(count);
        let clients: Vec<_> = (7001..)
            .zip(NAMES)
            .zip([AnswerMode::Manual, AnswerMode::Automatic, AnswerMode::Manual, AnswerMode::Manual])
            .map(|((port, name), mode)| stage.client(name, port, mode))
            .collect();
        // Anna talks with Ben, and Carl rings at Dora.
        let talk = stage.invite(clients[0], "ben");
        stage.until(|_, event| matches!(event, Event::Established { session, .. } if *session == talk));
        stage.told.clear();
        let call = stage.invite(clients[2], "dora");
        assert_eq!(stage.until_invited(), clients[3]);
        stage.told.clear();
        stage.release();
        let mut ends: Vec<_> = stage
            .told
            .iter()
            .filter_map(|(at, event)| {
                let Event::Ended { outcome, .. } = event else { return None };
                Some((at.port(), outcome.end, outcome.status))
            })
            .collect();
        ends.sort_by_key(|(port, ..)| *port);
        let expected = [
            (7001, End::Released, None),
            (7002, End::Released, None),
            (7003, End::Rejected, Some(503)),
            (7004, End::Cancelled, Some(487)),
        ];
        assert_eq!(ends, expected, "{count} shards");
        assert_eq!(stage.closed.len(), 4, "{count} shards");
        for record in &stage.closed {
            assert_eq!((record.end, record.by, record.open), (End::Released, Side::Server, 0));
        }
        // Nothing new.
        let late = stage.invite(clients[0], "ben");
        let (_, event) =
            stage.until(|_, event| matches!(event, Event::Ended { session, .. } if *session == late));
        let Event::Ended { outcome, .. } = event else { unreachable!("it is what was waited for") };
        assert_eq!((outcome.end, outcome.status), (End::Rejected, Some(503)), "{call}");
    }
}

#[test]
fn who_says_nothing_any_more_is_waited_for_until_it_is_enough() {
    let mut stage = Stage::new(2);
    let anna = stage.client("anna", 7001, AnswerMode::Manual);
    let ben = stage.client("ben", 7002, AnswerMode::Automatic);
    let talk = stage.invite(anna, "ben");
    stage.until(|_, event| matches!(event, Event::Established { session, .. } if *session == talk));
    stage.clients.remove(&ben);
    stage.all(&Input::Refuse);
    stage.all(&Input::Release);
    assert_eq!(stage.until_ended(anna), End::Released);
    let until = stage.now + RELEASE_WITHIN;
    while stage.now < until && stage.step() {
        assert!(!stage.is_settled());
    }
    // The Controlling PoC Function has been left by its own two legs; that of Ben has not.
    stage.all(&Input::Abandon);
    let mut open: Vec<_> = stage.closed.iter().map(|record| record.open).collect();
    open.sort_unstable();
    assert_eq!(open, [0, 1]);
}
