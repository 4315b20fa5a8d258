//! What users say in the sessions of a story, by a chance of its own.

use std::collections::BTreeMap;

use poc::talk_burst::Priority;
use poc::talk_burst::client::Told;
use sip::{Duration, Instant, SessionId};

use super::super::{Act, System};
use crate::chance::Chance;

/// The users who speak.
pub(crate) struct Talkers {
    chance: Chance,
    /// What they will do, by moment.
    plan: BTreeMap<(Instant, u64), (usize, Deed)>,
    planned: u64,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Press(SessionId, Priority),
    /// Says something, and so many times more.
    Speak(SessionId, u64),
    LetGo(SessionId),
    AskPosition(SessionId),
}

impl Deed {
    const fn session(self) -> SessionId {
        match self {
            Self::Press(session, _)
            | Self::Speak(session, _)
            | Self::LetGo(session)
            | Self::AskPosition(session) => session,
        }
    }
}

/// Between two packets.
const PACE: Duration = Duration::from_millis(100);

impl Talkers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), plan: BTreeMap::new(), planned: 0 }
    }

    /// The longest talk burst of a story.
    pub(crate) fn stop_talking(&mut self) -> Duration {
        Duration::from_secs(self.chance.pick(&[30, 30, 2]))
    }

    /// When somebody does something next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.plan.first_key_value().map(|((at, _), _)| *at)
    }

    /// What users do in a session that stands.
    pub(crate) fn begin(&mut self, now: Instant, place: usize, session: SessionId) {
        for _ in 0..self.chance.pick(&[0, 1, 1, 2, 3]) {
            let when = now + self.moment(&[300, 3_000, 10_000]);
            let priority = self.chance.pick(&[
                Priority::None,
                Priority::Normal,
                Priority::Normal,
                Priority::High,
                Priority::PreEmptive,
            ]);
            self.plan(when, place, Deed::Press(session, priority));
            if self.chance.happens(300) {
                let when = when + self.moment(&[5, 100, 2_000]);
                self.plan(when, place, Deed::LetGo(session));
            }
        }
    }

    /// The user of `place` has heard this of a session, and speaks once it may.
    pub(crate) fn react(&mut self, now: Instant, place: usize, session: SessionId, told: &Told) {
        match told {
            Told::Granted { .. } => {
                let packets = self.chance.pick(&[0, 1, 5, 15, 40]);
                let when = now + self.moment(&[0, 200, 200]);
                self.plan(when, place, Deed::Speak(session, packets));
            }
            Told::GrantWaits { .. } => {
                let when = now + self.moment(&[3_000]);
                self.plan(when, place, Deed::Press(session, Priority::Normal));
            }
            Told::Queued { .. } if self.chance.happens(300) => {
                let when = now + self.moment(&[500, 5_000]);
                let deed = self.chance.pick(&[Deed::AskPosition(session), Deed::LetGo(session)]);
                self.plan(when, place, deed);
            }
            Told::Queued { .. }
            | Told::TimeIsShort { .. }
            | Told::TimeIsOver
            | Told::Denied { .. }
            | Told::TakenBy(_)
            | Told::Idle
            | Told::Revoked(_)
            | Told::NotQueued
            | Told::EndOfSpeech
            | Told::RequestTimedOut
            | Told::RefusedLocally { .. }
            | Told::MayAskAgain => {}
        }
    }

    /// What is due is done.
    pub(crate) fn carry_out(&mut self, system: &mut System) {
        let now = system.now;
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= now) {
            let (place, deed) = entry.remove();
            let act = match deed {
                Deed::Press(session, priority) => Act::Press(session, priority),
                Deed::Speak(session, _) => Act::Speak(session),
                Deed::LetGo(session) => Act::LetGo(session),
                Deed::AskPosition(session) => Act::AskPosition(session),
            };
            let done = system.act(place, act);
            match deed {
                // Whoever may not speak any more has noticed.
                Deed::Speak(session, 1..) if done.is_none() => self.plan(now, place, Deed::LetGo(session)),
                Deed::Speak(session, left @ 1..) => {
                    self.plan(now + PACE, place, Deed::Speak(session, left - 1));
                }
                // Some keep the key and say nothing.
                Deed::Speak(session, 0) if self.chance.happens(800) => {
                    self.plan(now + PACE, place, Deed::LetGo(session));
                }
                Deed::Speak(_, 0) | Deed::Press(..) | Deed::LetGo(_) | Deed::AskPosition(_) => {}
            }
        }
    }

    /// The session is over for the user of `place`.
    pub(crate) fn end(&mut self, place: usize, session: SessionId) {
        self.plan.retain(|_, (whom, deed)| (*whom, deed.session()) != (place, session));
    }

    /// What the user of `place` knew is no more.
    pub(crate) fn forget(&mut self, place: usize) {
        self.plan.retain(|_, (whom, _)| *whom != place);
    }

    fn plan(&mut self, at: Instant, place: usize, deed: Deed) {
        self.planned += 1;
        self.plan.insert((at, self.planned), (place, deed));
    }

    /// Within one of these, in milliseconds.
    fn moment(&mut self, longest: &[u64]) -> Duration {
        let longest = self.chance.pick(longest);
        self.chance.span(Duration::from_millis(longest))
    }
}
