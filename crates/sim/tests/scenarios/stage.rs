//! The stage: Anna, Ben and Cara, a network that does what it is told, and verbs to tell a story with.

use bytes::Bytes;
use poc::{AnswerMode, Config, Event, Outcome, Profile};
use sim::chance::Chance;
use sim::ladder::{Fate, What};
use sim::world::Act;
use sim::{Deed, Faults, Network, Which, World};
use sip::{Duration, Instant, Message, SessionId};

pub(crate) const ANNA: usize = 0;
pub(crate) const BEN: usize = 1;
pub(crate) const CARA: usize = 2;

/// How long Ben's client rings by itself.
pub(crate) const RINGS: Duration = Duration::from_secs(90);

pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) struct Stage {
    pub(crate) world: World,
    /// Events that the story has waited for already.
    read: usize,
}

impl Stage {
    pub(crate) fn with(configure: impl Fn(usize, &mut Config)) -> Self {
        let world = World::new(7, 3, Faults::NONE, |place, config| {
            config.no_answer_after = Some(RINGS);
            configure(place, config);
        });
        Self { world, read: 0 }
    }

    /// Everybody answers by hand.
    pub(crate) fn manual() -> Self {
        Self::answering(AnswerMode::Manual)
    }

    pub(crate) fn answering(mode: AnswerMode) -> Self {
        Self::with(|_, config| config.settings.answer_mode = mode)
    }

    pub(crate) fn on_the_ims() -> Self {
        Self::with(|_, config| config.profile = Profile::Ims)
    }

    /// The INVITE that `inviter` would send now.
    pub(crate) fn invite_of(&self, inviter: usize, invited: usize) -> Message {
        let mut twin = Self { world: self.world.clone(), read: 0 };
        twin.world.network = Network::new(Faults::NONE, Chance::new(0));
        twin.on(inviter, "INVITE", 1, Deed::Hold);
        twin.invites(inviter, invited);
        twin.held()
    }

    // What users do.

    pub(crate) fn invites(&mut self, inviter: usize, invited: usize) -> SessionId {
        self.world.act(inviter, Act::Start { invited }).expect("a free client")
    }

    pub(crate) fn hangs_up(&mut self, place: usize, session: SessionId) {
        self.world.act(place, Act::HangUp(session));
    }

    pub(crate) fn accepts(&mut self, place: usize, session: SessionId) {
        self.world.act(place, Act::Accept(session));
    }

    // What the network does.

    /// Does `deed` to the `nth` message from now on that `place` sends and a ladder labels so.
    pub(crate) fn on(&mut self, place: usize, label: &'static str, nth: u64, deed: Deed) {
        let from = self.world.nodes[place].address;
        self.world.network.on(Which::Nth(from, label, nth), deed);
    }

    pub(crate) fn loses(&mut self, place: usize, label: &'static str, nth: u64) {
        self.on(place, label, nth, Deed::Lose);
    }

    pub(crate) fn loses_every(&mut self, place: usize, label: &'static str) {
        let from = self.world.nodes[place].address;
        self.world.network.on(Which::Every(from, label), Deed::Lose);
    }

    /// From now on nothing that `place` sends arrives, for `span`.
    pub(crate) fn cuts(&mut self, place: usize, span: Duration) {
        let (from, now) = (self.world.nodes[place].address, self.world.now);
        self.world.network.on(Which::Span(from, now, now + span), Deed::Lose);
    }

    /// The one message that is held back.
    pub(crate) fn held(&self) -> Message {
        let [held] = self.world.network.held() else { panic!("one message is held back") };
        Message::parse(held.bytes.clone()).expect("sent by a client")
    }

    /// Sends octets from the address of `from` that its client did not make.
    pub(crate) fn forges(&mut self, from: usize, to: usize, text: String) {
        self.world.forge(from, to, Bytes::from(text));
    }

    // Time.

    pub(crate) fn passes(&mut self, span: Duration) {
        let end = self.world.now + span;
        self.world.run_until(end);
    }

    /// Lets time pass until `place` is told something that `is_meant`.
    pub(crate) fn until(&mut self, place: usize, is_meant: impl Fn(&Event) -> bool) -> Event {
        loop {
            while let Some((whom, event)) = self.world.events.get(self.read) {
                self.read += 1;
                if *whom == place && is_meant(event) {
                    return event.clone();
                }
            }
            let moment = self.world.next_moment().expect("it happens before all is over");
            self.world.advance(moment.max(self.world.now));
        }
    }

    pub(crate) fn until_ringing(&mut self, place: usize) -> SessionId {
        let told = self.until(place, |event| matches!(event, Event::Invited { .. }));
        let Event::Invited { session, .. } = told else { unreachable!("waited for") };
        session
    }

    pub(crate) fn until_progress(&mut self, place: usize) {
        self.until(place, |event| matches!(event, Event::Progress { .. }));
    }

    pub(crate) fn until_established(&mut self, place: usize) {
        self.until(place, |event| matches!(event, Event::Established { .. }));
    }

    /// Everything comes to its end: every invariant holds and nothing remains.
    pub(crate) fn end(mut self) -> Ended {
        self.world.run_until(self.world.now + Duration::from_secs(600));
        self.world.monitor.finish();
        assert!(self.world.is_empty(), "nothing remains when all is over");
        Ended { world: self.world }
    }
}

/// A story that is over.
pub(crate) struct Ended {
    pub(crate) world: World,
}

impl Ended {
    /// How the only session of `place` ended; `None` if it had none.
    pub(crate) fn outcome_of(&self, place: usize) -> Option<Outcome> {
        let mut ended =
            self.world.events.iter().filter(|(whom, _)| *whom == place).filter_map(|(_, event)| {
                let Event::Ended { outcome, .. } = event else { return None };
                Some(outcome.clone())
            });
        let only = ended.next();
        assert_eq!(ended.next(), None, "I4: one end");
        only
    }

    /// The same as its user reads it.
    pub(crate) fn told(&self, place: usize) -> String {
        self.outcome_of(place).map_or_else(|| "nothing".to_owned(), |outcome| outcome.to_string())
    }

    /// What `place` sent, in order, in the words of a ladder.
    pub(crate) fn sent(&self, place: usize) -> Vec<String> {
        self.messages_of(place).map(|(_, label)| label.to_owned()).collect()
    }

    /// When `place` sent messages with this label, since the first of them.
    pub(crate) fn moments(&self, place: usize, label: &str) -> Vec<Duration> {
        let at: Vec<_> = self.messages_of(place).filter(|(_, is)| *is == label).map(|(at, _)| at).collect();
        at.iter().map(|moment| *moment - at[0]).collect()
    }

    pub(crate) fn count(&self, place: usize, label: &str) -> usize {
        self.moments(place, label).len()
    }

    fn messages_of(&self, place: usize) -> impl Iterator<Item = (Instant, &str)> {
        let entries = self.world.trace.entries().iter();
        entries.filter_map(move |entry| match &entry.what {
            What::Message { fate: Fate::LetGo, .. } => None, // it was sent before
            What::Message { from, label, .. } if *from == place => Some((entry.at, label.as_str())),
            What::Message { .. } | What::Speech { .. } | What::Note { .. } => None,
        })
    }
}

/// A request or response about the same INVITE as `invite`: this start line, To as given, and these further lines.
pub(crate) fn about(invite: &Message, start: &str, to_tag: &str, method: &str, further: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = |name| text(invite.value(name).unwrap_or_default());
    use sip::message::Name;
    format!(
        "{start}\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}{to_tag}\r\nCall-ID: {}\r\nCSeq: 1 {method}\r\n{further}Content-Length: 0\r\n\r\n",
        line(Name::Via),
        line(Name::From),
        line(Name::To),
        line(Name::CallId),
    )
}

/// A CANCEL of `invite` with these further lines.
pub(crate) fn cancel_of(invite: &Message, further: &str) -> String {
    let uri = String::from_utf8_lossy(invite.uri_text()).into_owned();
    about(invite, &format!("CANCEL {uri} SIP/2.0"), "", "CANCEL", further)
}
