//! What 14.3 wants of an INVITE, apart from the states in which the machine keeps it.

use proptest::prelude::*;

use super::*;

/// What may happen, and how long after the event before it.
#[derive(Clone, Copy, Debug)]
enum Event {
    Cancel,
    Provisional,
    Success(u16),
    Failure(u16),
    Silence(End),
    Timeout,
}

/// What is known about the INVITE so far.
struct Reference {
    scope: Scope,
    limit_at: Option<Instant>,
    /// A 1xx has come.
    progressed: bool,
    /// Nobody wants the session: the user, the limit, or nothing was heard.
    unwanted: bool,
    /// When the CANCEL left.
    cancelled_at: Option<Instant>,
    /// Nobody waits for a final response any more.
    given_up: bool,
    /// A 2xx or a 300-699 has come.
    settled: bool,
    /// It was a 300-699.
    refused: bool,
}

impl Reference {
    fn new(scope: Scope, limit: Option<Duration>) -> Self {
        Self {
            scope,
            limit_at: limit.map(|limit| at(0) + limit),
            progressed: false,
            unwanted: false,
            cancelled_at: None,
            given_up: false,
            settled: false,
            refused: false,
        }
    }

    fn handle(&mut self, now: Instant, event: Event) -> Result<Step, TooLate> {
        let is_open = !self.settled && !self.given_up;
        let mut step = Step::NOTHING;
        match event {
            Event::Cancel if !is_open => return Err(TooLate),
            Event::Cancel => self.unwanted = true,
            Event::Provisional => self.progressed = true,
            Event::Success(status) => {
                step.action = match self.unwanted || self.settled {
                    true => unwanted(self.scope),
                    false => Action::Establish,
                };
                step.outcome =
                    (is_open && self.unwanted).then_some(self.outcome(End::Cancelled, Some(status)));
                self.settled = true;
            }
            Event::Failure(status) => {
                step.outcome = is_open.then(|| self.outcome(End::Rejected, Some(status)));
                self.refused |= !self.settled;
                self.settled = true;
            }
            Event::Silence(end) => {
                if is_open && !self.progressed {
                    step.outcome = Some(self.outcome(end, None));
                    (self.given_up, self.unwanted) = (true, true);
                }
            }
            Event::Timeout => {
                if self.deadline().is_some_and(|deadline| deadline <= now) {
                    if self.cancelled_at.is_some() {
                        self.given_up = true;
                        step = Step::cancelled(Action::Abandon, None);
                    }
                    self.unwanted = true;
                }
            }
        }
        let is_due = self.unwanted && self.progressed && !self.settled && self.cancelled_at.is_none();
        if is_due {
            self.cancelled_at = Some(now);
            step.action = Action::SendCancel;
        }
        Ok(step)
    }

    /// Who gave up first has ended it.
    fn outcome(&self, end: End, status: Option<u16>) -> Outcome {
        match self.unwanted {
            true => Outcome { end: End::Cancelled, by: Party::Local, status },
            false => Outcome { end, by: Party::Remote, status },
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.settled || self.given_up, self.unwanted) {
            (true, _) => None,
            (false, true) => self.cancelled_at.map(|cancelled_at| cancelled_at + guard()),
            (false, false) => self.limit_at,
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Cancel),
        4 => Just(Event::Provisional),
        2 => (200..300u16).prop_map(Event::Success),
        2 => (300..700u16).prop_map(Event::Failure),
        2 => prop_oneof![Just(End::TimedOut), Just(End::TransportFailed)].prop_map(Event::Silence),
        4 => Just(Event::Timeout),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![Just(Scope::Session), Just(Scope::Modification)]
}

/// Up to a minute and a half, often more than the guard.
fn events() -> impl Strategy<Value = Vec<(Event, u64)>> {
    prop::collection::vec((event(), prop_oneof![0..1000u64, Just(32_000), 0..90_000u64]), 1..16)
}

fn apply(client: &mut InviteClient, now: Instant, event: Event) -> Result<Step, TooLate> {
    Ok(match event {
        Event::Cancel => Step::act(client.cancel(now)?),
        Event::Provisional => Step::act(client.handle_provisional(now)),
        Event::Success(status) => client.handle_success(status),
        Event::Failure(status) => client.handle_failure(status),
        Event::Silence(end) => client.handle_silence(end),
        Event::Timeout => client.handle_timeout(now),
    })
}

fn limit() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((1..100_000u64).prop_map(Duration::from_millis))
}

proptest! {
    #[test]
    fn the_machine_does_what_the_reference_says(scope in scope(), limit in limit(), events in events()) {
        let mut client = InviteClient::new(at(0), scope, limit, guard());
        let mut reference = Reference::new(scope, limit);
        let mut now = at(0);
        for (event, later) in events {
            now = now + Duration::from_millis(later);
            prop_assert_eq!(apply(&mut client, now, event), reference.handle(now, event), "{:?}", event);
            prop_assert_eq!(client.deadline(), reference.deadline());
            prop_assert_eq!(client.is_pending(), !reference.settled && !reference.given_up);
            prop_assert_eq!(client.is_unwanted(), reference.unwanted && !reference.refused);
        }
    }

    // The promises of 14.3, without the reference.
    #[test]
    fn whatever_happens_the_promises_hold(scope in scope(), limit in limit(), events in events()) {
        let mut client = InviteClient::new(at(0), scope, limit, guard());
        let (mut progressed, mut settled, mut cancel_accepted) = (false, false, false);
        let (mut cancels, mut outcomes, mut establishments) = (0, 0, 0);
        let mut now = at(0);
        for (event, later) in events {
            now = now + Duration::from_millis(later);
            let was_unwanted = client.is_unwanted();
            let was_finished = client.state() == &State::Finished;
            progressed |= matches!(event, Event::Provisional);
            settled |= matches!(event, Event::Success(_) | Event::Failure(_));
            let step = apply(&mut client, now, event);
            cancel_accepted |= matches!(event, Event::Cancel) && step.is_ok();
            let step = step.unwrap_or(Step::NOTHING);
            if step.action == Action::SendCancel {
                cancels += 1;
                prop_assert!(progressed, "RFC 3261 §9.1: no CANCEL before a provisional response");
                prop_assert!(!settled, "RFC 3261 §9.1: no CANCEL after a final response");
                prop_assert!(client.is_unwanted(), "no CANCEL of what is wanted");
            }
            if step.action == Action::Establish {
                establishments += 1;
                prop_assert!(!cancel_accepted && !was_unwanted, "seed C4: what was cancelled is left");
            }
            if scope == Scope::Modification {
                prop_assert_ne!(step.action, Action::AcknowledgeAndLeave, "§14.1: the session goes on");
            }
            outcomes += u32::from(step.outcome.is_some());
            prop_assert!(cancels <= 1, "one CANCEL");
            prop_assert!(outcomes + establishments <= 1, "one end or one beginning");
            let is_finished = client.state() == &State::Finished;
            prop_assert!(!was_unwanted || client.is_unwanted() || is_finished, "the wish is never taken back");
            prop_assert!(!was_finished || is_finished, "nothing leads out of the end");
            prop_assert!(client.deadline().is_none_or(|at| at > now || !matches!(event, Event::Timeout)));
        }
    }
}
