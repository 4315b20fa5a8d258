//! The stage of two networks: Anna in the first, Dan in the second, a core and a PoC Server in each.

use poc::server::Record;
use poc::{AnswerMode, AnswerRequest, Event, Outcome};
use sim::ladder::{Fate, Trace, What};
use sim::system::{Act, Setup, System, Terminal};
use sim::{Deed, Faults, Which};
use sip::{Duration, Instant, SessionId};

#[derive(Clone)]
pub(crate) struct Homes {
    pub(crate) system: System,
    /// When the story begins: everybody has registered.
    begun: Instant,
    /// How many messages had been sent then.
    sent: u64,
    /// Events that the story has waited for already.
    read: usize,
}

impl Homes {
    /// Anna and Dan, who answers so.
    pub(crate) fn of(mode: AnswerMode) -> Self {
        Self::with(vec![Terminal::new("anna", 0), answering("dan", 1, mode)], |_| {})
    }

    pub(crate) fn with(terminals: Vec<Terminal>, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::new(terminals);
        change(&mut setup);
        let mut system = System::new(7, setup, Faults::NONE);
        system.register_everybody();
        system.run_until(system.now + Duration::from_secs(60));
        let (begun, sent) = (system.now, system.network.sent());
        Self { system, begun, sent, read: 0 }
    }

    pub(crate) fn place(&self, name: &str) -> usize {
        self.system.place(name)
    }

    // What users do.

    pub(crate) fn invites(&mut self, inviter: &str, invited: &str) -> SessionId {
        self.invites_so(inviter, invited, AnswerRequest::Usual)
    }

    pub(crate) fn invites_so(&mut self, inviter: &str, invited: &str, answer: AnswerRequest) -> SessionId {
        let (inviter, invited) = (self.place(inviter), self.place(invited));
        self.system.act(inviter, Act::Start { invited, answer }).expect("a free client")
    }

    pub(crate) fn hangs_up(&mut self, name: &str, session: SessionId) {
        self.system.act(self.place(name), Act::HangUp(session));
    }

    pub(crate) fn accepts(&mut self, name: &str, session: SessionId) {
        self.system.act(self.place(name), Act::Accept(session));
    }

    // What the network does.

    /// Loses the `nth` message of the story.
    pub(crate) fn loses(&mut self, nth: u64) {
        self.system.network.on(Which::Number(self.sent + nth), Deed::Lose);
    }

    /// Loses the `nth` message from now on that this element sends and a ladder labels so.
    pub(crate) fn loses_of(&mut self, name: &str, label: &'static str, nth: u64) {
        let from = self.system.elements[self.place(name)].address;
        self.system.network.on(Which::Nth(from, label, nth), Deed::Lose);
    }

    /// How many messages the story has had.
    pub(crate) fn messages(&self) -> u64 {
        self.system.network.sent() - self.sent
    }

    // Time.

    pub(crate) fn passes(&mut self, span: Duration) {
        let end = self.system.now + span;
        self.system.run_until(end);
    }

    /// Lets time pass until `name` is told something that `is_meant`.
    pub(crate) fn until(&mut self, name: &str, is_meant: impl Fn(&Event) -> bool) -> Event {
        let place = self.place(name);
        loop {
            while let Some((whom, event)) = self.system.events.get(self.read) {
                self.read += 1;
                if *whom == place && is_meant(event) {
                    return event.clone();
                }
            }
            let moment = self.system.next_moment().expect("it happens before all is over");
            assert!(moment < self.begun + Duration::from_secs(600), "it happens\n{}", self.ladder());
            self.system.advance(moment.max(self.system.now));
        }
    }

    pub(crate) fn until_ringing(&mut self, name: &str) -> SessionId {
        let told = self.until(name, |event| matches!(event, Event::Invited { .. }));
        told.session().expect("it is about one")
    }

    pub(crate) fn until_established(&mut self, name: &str) {
        self.until(name, |event| matches!(event, Event::Established { .. }));
    }

    /// Everything comes to its end: every invariant holds and nothing remains.
    pub(crate) fn end(mut self) -> Finished {
        self.system.run_until(self.system.now + Duration::from_secs(500));
        assert!(self.system.is_quiet(), "nobody has anything to do any more\n{}", self.ladder());
        let messages = self.messages();
        let events = std::mem::take(&mut self.system.events);
        let ladder = self.ladder();
        for place in self.system.clients().collect::<Vec<_>>() {
            self.system.act(place, Act::Deregister);
        }
        while let Some(moment) = self.system.next_moment() {
            self.system.advance(moment.max(self.system.now));
        }
        self.system.watch.finish();
        assert!(self.system.is_empty(), "nothing remains when all is over");
        Finished { system: self.system, messages, events, ladder, begun: self.begun }
    }

    pub(crate) fn ladder(&self) -> String {
        self.trace().render()
    }

    pub(crate) fn trace(&self) -> Trace {
        self.system.trace_since(self.begun)
    }
}

/// A terminal whose user wants this.
pub(crate) fn answering(user: &'static str, home: usize, answer_mode: AnswerMode) -> Terminal {
    let terminal = Terminal::new(user, home);
    Terminal { settings: poc::PocSettings { answer_mode, ..terminal.settings }, ..terminal }
}

/// A story that is over.
pub(crate) struct Finished {
    pub(crate) system: System,
    /// How many messages it had, registrations aside.
    pub(crate) messages: u64,
    pub(crate) ladder: String,
    events: Vec<(usize, Event)>,
    begun: Instant,
}

impl Finished {
    /// How the only session of a client ended; `None` if it had none.
    pub(crate) fn outcome_of(&self, name: &str) -> Option<Outcome> {
        let place = self.system.place(name);
        let mut ended = self.events.iter().filter(|(whom, _)| *whom == place).filter_map(|(_, event)| {
            let Event::Ended { outcome, .. } = event else { return None };
            Some(outcome.clone())
        });
        let only = ended.next();
        assert_eq!(ended.next(), None, "I4: one end\n{}", self.ladder);
        only
    }

    /// The same as its user reads it.
    pub(crate) fn told(&self, name: &str) -> String {
        self.outcome_of(name).map_or_else(|| "nothing".to_owned(), |outcome| outcome.to_string())
    }

    /// Whether its user was ever asked or told that somebody calls.
    pub(crate) fn was_asked(&self, name: &str) -> bool {
        let place = self.system.place(name);
        let asked = |event: &Event| matches!(event, Event::Invited { answer_mode: AnswerMode::Manual, .. });
        self.events.iter().any(|(whom, event)| *whom == place && asked(event))
    }

    /// What an element sent of INVITE and CANCEL, in order, in the words of a ladder.
    pub(crate) fn sent(&self, name: &str) -> Vec<String> {
        let trace = self.system.trace_since(self.begun);
        let place = trace.parties().position(|party| party == name).expect("it takes part");
        let entries = trace.entries().iter();
        let labels = entries.filter_map(|entry| match &entry.what {
            What::Message { fate: Fate::LetGo, .. } => None, // it was sent before
            What::Message { from, label, .. } if *from == place => Some(label.clone()),
            What::Message { .. } | What::Speech { .. } | What::Note { .. } => None,
        });
        let is_of_them = |label: &String| !label.contains("REGISTER") && !label.contains("PUBLISH");
        labels.filter(is_of_them).collect()
    }

    /// The records of a server.
    pub(crate) fn records(&self, name: &str) -> Vec<&Record> {
        let place = self.system.place(name);
        self.system.records.iter().filter(|(whom, _)| *whom == place).map(|(_, record)| record).collect()
    }

    /// How often chance met this.
    pub(crate) fn met(&self, what: &str) -> u64 {
        self.system.watch.met.get(what).copied().unwrap_or(0)
    }
}
