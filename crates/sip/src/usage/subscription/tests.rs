use super::super::fixture::*;
use super::notifier::{self, Notifier};
use super::subscriber::{self, Subscriber};
use super::*;
use crate::time::Instant;
use crate::transaction::timer::Timers;

const GUARD: Duration = Duration::from_secs(32);

fn seconds_of(span: u64) -> Duration {
    Duration::from_secs(span)
}

fn lasting(span: u64) -> Standing {
    Standing::Lasting(Some(seconds_of(span)))
}

// One fixture per state. What begins it comes at 0 ms, each step that follows 100 ms later.

mod subscribing {
    use super::*;

    fn subscribing() -> Subscriber {
        Subscriber::new(at(0), seconds_of(3600), GUARD)
    }

    fn unsubscribe_waiting() -> Subscriber {
        let mut subscriber = subscribing();
        assert_eq!(subscriber.unsubscribe(at(100)), subscriber::Action::Nothing);
        subscriber
    }

    fn subscribed() -> Subscriber {
        let mut subscriber = subscribing();
        assert_eq!(subscriber.handle_notify(at(100), lasting(3600)), subscriber::Action::Nothing);
        subscriber
    }

    fn refreshing() -> Subscriber {
        let mut subscriber = subscribed();
        assert_eq!(wake(&mut subscriber, 3_000_100), subscriber::Action::Refresh);
        subscriber
    }

    fn expiring() -> Subscriber {
        let mut subscriber = subscribing();
        subscriber.handle_notify(at(100), lasting(1));
        subscriber
    }

    fn unsubscribing() -> Subscriber {
        let mut subscriber = subscribed();
        assert_eq!(subscriber.unsubscribe(at(200)), subscriber::Action::Unsubscribe);
        subscriber
    }

    fn show(subscriber: &Subscriber, now: Instant) -> String {
        use subscriber::State;
        match *subscriber.state() {
            State::Subscribing { give_up_at, span } => {
                format!("Subscribing {{ N {}, span {span:?} }}", wait(now, give_up_at))
            }
            State::UnsubscribeWaiting { give_up_at } => {
                format!("UnsubscribeWaiting {{ N {} }}", wait(now, give_up_at))
            }
            State::Subscribed { refresh_at, expires_at } => {
                let (refresh, end) = (wait(now, refresh_at), wait(now, expires_at));
                format!("Subscribed {{ refresh {refresh}, end {end} }}")
            }
            State::Refreshing { give_up_at, expires_at } => {
                format!("Refreshing {{ N {}, end {} }}", wait(now, give_up_at), wait(now, expires_at))
            }
            State::Expiring { expires_at } => format!("Expiring {{ end {} }}", wait(now, expires_at)),
            State::Unsubscribing { give_up_at } => {
                format!("Unsubscribing {{ N {} }}", wait(now, give_up_at))
            }
            State::Over => "Over".to_owned(),
        }
    }

    #[test]
    fn every_state_by_every_event() {
        let mut text = String::new();
        type Fixture = fn() -> Subscriber;
        let fixtures: [(&str, Fixture, u64); 6] = [
            ("Subscribing", subscribing, 400),
            ("UnsubscribeWaiting", unsubscribe_waiting, 400),
            ("Subscribed", subscribed, 400),
            ("Refreshing", refreshing, 3_000_400),
            ("Expiring", expiring, 400),
            ("Unsubscribing", unsubscribing, 400),
        ];
        for (name, fixture, ms) in fixtures {
            let now = at(ms);
            type Apply<'a> = &'a dyn Fn(&mut Subscriber) -> subscriber::Action;
            let mut try_event = |event: &str, now: Instant, apply: Apply<'_>| {
                let mut subscriber = fixture();
                let action = apply(&mut subscriber);
                text += &format!("{name} x {event} -> {}; {action:?}\n", show(&subscriber, now));
            };
            for (event, granted) in
                [("200", None), ("200 for 60 s", Some(60)), ("200 for a day", Some(86_400))]
            {
                try_event(event, now, &|subscriber| {
                    subscriber.handle_success(now, granted.map(seconds_of));
                    subscriber::Action::Nothing
                });
            }
            try_event("200 without one", now, &|subscriber| subscriber.release(200));
            for status in [481, 503] {
                try_event(&status.to_string(), now, &|subscriber| subscriber.handle_failure(now, status));
            }
            for end in [End::TimedOut, End::TransportFailed] {
                try_event(&format!("{end:?}"), now, &|subscriber| subscriber.handle_silence(now, end));
            }
            for (event, standing) in [
                ("NOTIFY", Standing::Lasting(None)),
                ("NOTIFY for 60 s", lasting(60)),
                ("NOTIFY for an hour", lasting(3600)),
                ("last NOTIFY", Standing::Terminated),
            ] {
                try_event(event, now, &|subscriber| subscriber.handle_notify(now, standing));
            }
            try_event("unsubscribe", now, &|subscriber| subscriber.unsubscribe(now));
            let deadline = fixture().deadline().expect("something is always waited for");
            try_event("deadline", deadline, &|subscriber| subscriber.handle_timeout(deadline));
        }
        insta::assert_snapshot!("subscriber", text);
    }

    #[test]
    fn a_subscription_is_refreshed_ten_minutes_before_its_end_or_at_half_of_it() {
        for (span, refresh) in [(3600, 3000), (1202, 602), (1200, 600), (60, 30), (2, 1)] {
            let mut subscriber = subscribing();
            subscriber.handle_notify(at(0), lasting(span));
            assert_eq!(wake(&mut subscriber, refresh * 1000), subscriber::Action::Refresh);
        }
    }

    /// Many NOTIFYs that only say what is left do not put the refresh off.
    #[test]
    fn what_is_left_does_not_move_the_refresh() {
        let mut subscriber = subscribed();
        for second in 1..2000 {
            subscriber.handle_notify(at(1000 * second + 100), lasting(3599 - second));
        }
        assert_eq!(subscriber.deadline(), Some(at(3_000_100)));
    }

    #[test]
    fn a_fetch_ends_with_its_notify() {
        let mut subscriber = Subscriber::new(at(0), Duration::ZERO, GUARD);
        let action = subscriber.handle_notify(at(100), Standing::Terminated);
        assert_eq!(action, subscriber::Action::End(Outcome::local(End::Left, None)));
    }

    /// A refresh that fails for another reason is tried again while the subscription stands.
    #[test]
    fn a_refresh_that_fails_is_tried_again_until_the_end() {
        let mut subscriber = subscribed();
        let mut refreshes = 0;
        let last = loop {
            let deadline = subscriber.deadline().unwrap();
            match subscriber.handle_timeout(deadline) {
                subscriber::Action::Refresh => refreshes += 1,
                action @ (subscriber::Action::Nothing
                | subscriber::Action::Unsubscribe
                | subscriber::Action::End(_)) => break action,
            }
            assert_eq!(subscriber.handle_failure(deadline, 503), subscriber::Action::Nothing);
        };
        assert_eq!(refreshes, 10);
        assert_eq!(last, subscriber::Action::End(Outcome::remote(End::Expired, None)));
    }
}

mod notifying {
    use super::*;
    use notifier::{State, Term};

    fn asked() -> Notifier {
        Notifier::new(at(0), &Timers::default())
    }

    fn idle() -> Notifier {
        let mut notifier = asked();
        assert!(notifier.admit(at(100), seconds_of(60)));
        notifier
    }

    fn closing() -> Notifier {
        let mut notifier = asked();
        assert!(notifier.admit(at(100), Duration::ZERO));
        notifier
    }

    fn notifying() -> Notifier {
        let mut notifier = idle();
        assert_eq!(notifier.notify(false).unwrap().action, notifier::Action::Notify);
        notifier
    }

    fn notify_waiting() -> Notifier {
        let mut notifier = notifying();
        assert_eq!(notifier.notify(false).unwrap().action, notifier::Action::Keep);
        notifier
    }

    fn end_waiting() -> Notifier {
        let mut notifier = notifying();
        assert_eq!(notifier.notify(true).unwrap().action, notifier::Action::Keep);
        notifier
    }

    fn ending() -> Notifier {
        let mut notifier = idle();
        assert_eq!(notifier.notify(true).unwrap().action, notifier::Action::Notify);
        notifier
    }

    fn show(notifier: &Notifier, now: Instant) -> String {
        let term = |name: &str, term: &Term| match term {
            Term::Until(at) => format!("{name} {{ end {} }}", wait(now, *at)),
            Term::Once(at) => format!("{name} {{ once, by {} }}", wait(now, *at)),
        };
        match notifier.state() {
            State::Asked(_) => "Asked".to_owned(),
            State::Idle(each) => term("Idle", each),
            State::Notifying(each) => term("Notifying", each),
            State::NotifyWaiting(each) => term("NotifyWaiting", each),
            State::EndWaiting => "EndWaiting".to_owned(),
            State::Ending => "Ending".to_owned(),
            State::Over => "Over".to_owned(),
        }
    }

    #[test]
    fn every_state_by_every_event() {
        let mut text = String::new();
        type Fixture = fn() -> Notifier;
        let fixtures: [(&str, Fixture); 7] = [
            ("Asked", asked),
            ("Idle", idle),
            ("Idle, once", closing),
            ("Notifying", notifying),
            ("NotifyWaiting", notify_waiting),
            ("EndWaiting", end_waiting),
            ("Ending", ending),
        ];
        let now = at(400);
        for (name, fixture) in fixtures {
            type Apply<'a> = &'a dyn Fn(&mut Notifier) -> String;
            let mut try_event = |event: &str, now: Instant, apply: Apply<'_>| {
                let mut notifier = fixture();
                let output = apply(&mut notifier);
                text += &format!("{name} x {event} -> {}; {output}\n", show(&notifier, now));
            };
            let told = |step: notifier::Step| format!("{:?} {:?}", step.action, step.outcome);
            let said = |step: Result<notifier::Step, notifier::NotStanding>| {
                step.map_or_else(|refusal| format!("{refusal:?}"), told)
            };
            for span in [60, 0] {
                let event = format!("SUBSCRIBE for {span} s");
                try_event(&event, now, &|notifier| notifier.admit(now, seconds_of(span)).to_string());
            }
            try_event("notify", now, &|notifier| said(notifier.notify(false)));
            try_event("last notify", now, &|notifier| said(notifier.notify(true)));
            for status in [Some(200), Some(500), Some(481), Some(408), None] {
                let event = status.map_or("silence".to_owned(), |status| status.to_string());
                try_event(&event, now, &|notifier| told(notifier.handle_answer(status)));
            }
            match fixture().deadline() {
                Some(when) => try_event("deadline", when, &|notifier| told(notifier.handle_timeout(when))),
                None => try_event("an hour", at(3_600_000), &|notifier| {
                    told(notifier.handle_timeout(at(3_600_000)))
                }),
            }
        }
        insta::assert_snapshot!("notifier", text);
    }

    #[test]
    fn nobody_who_decides_is_100_and_then_500() {
        let mut notifier = asked();
        assert_eq!(wake(&mut notifier, 3500).action, notifier::Action::Try);
        assert_eq!(wake(&mut notifier, 16_000).action, notifier::Action::GiveUp);
    }
}

#[test]
fn events_are_the_same_by_package_and_id() {
    assert!(is_same_event(b"foo; id=1234", b"foo; param=abcd; id=1234"));
    for other in ["foo", "Foo; id=1234", "foo; id=12345", "foo.winfo;id=1234", ""] {
        assert!(!is_same_event(b"foo; id=1234", other.as_bytes()), "{other}");
    }
}
