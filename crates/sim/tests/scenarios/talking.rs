//! Talk bursts between real clients and a real server: user-plane digest 15, and case 7 of `docs/cancel.md`.

use bytes::Bytes;
use poc::server::{Group, GroupKind, Who};
use poc::talk_burst::Priority;
use poc::talk_burst::client::Told;
use poc::{Addressee, AnswerMode, AnswerRequest, Event};
use sim::ladder::What;
use sim::system::{Act, Machine, Setup, Terminal};
use sim::{Deed, Which};
use sip::{Duration, SessionId};

use crate::homes::{Homes, answering};
use crate::stage::ms;

pub(crate) const USERS: [&str; 3] = ["anna", "ben", "cara"];

/// Anna, Ben and Cara in a chat group.
#[derive(Clone)]
pub(crate) struct Chat {
    pub(crate) homes: Homes,
    pub(crate) sessions: Vec<SessionId>,
    address: Bytes,
}

impl Chat {
    /// Nobody speaks for longer than `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        let address = Setup::group_address("field", 0);
        let terminals = USERS.map(|user| Terminal::new(user, 0)).to_vec();
        let mut homes = Homes::with(terminals, |setup| {
            let chat = Group::new(address.clone(), GroupKind::Chat);
            setup.groups.push((0, Group { joins: Who::Anybody, ..chat }));
            setup.stop_talking = limit;
        });
        let sessions = USERS.map(|user| join(&mut homes, user, &address)).to_vec();
        homes.passes(ms(4_000));
        Self { homes, sessions, address }
    }

    /// Who has left comes in again.
    pub(crate) fn comes(&mut self, who: usize) {
        self.sessions[who] = join(&mut self.homes, USERS[who], &self.address);
    }

    /// Leaves, and comes in again.
    pub(crate) fn comes_again(&mut self, who: usize) {
        self.homes.hangs_up(USERS[who], self.sessions[who]);
        self.homes.passes(ms(100));
        self.comes(who);
        self.homes.passes(ms(100));
    }

    pub(crate) fn does(&mut self, who: usize, act: impl FnOnce(SessionId) -> Act) {
        let place = self.homes.place(USERS[who]);
        self.homes.system.act(place, act(self.sessions[who]));
    }

    pub(crate) fn presses(&mut self, who: usize, priority: Priority) {
        self.does(who, |session| Act::Press(session, priority));
    }

    pub(crate) fn lets_go(&mut self, who: usize) {
        self.does(who, Act::LetGo);
    }

    pub(crate) fn speaks(&mut self, who: usize, packets: usize) {
        for _ in 0..packets {
            self.does(who, Act::Speak);
            self.homes.passes(ms(100));
        }
    }

    pub(crate) fn may_talk(&self, who: usize) -> bool {
        match &self.homes.system.elements[self.homes.place(USERS[who])].machine {
            Machine::Client(client) => client.may_talk(self.sessions[who]),
            Machine::Core(_) | Machine::Server(_) | Machine::Gone => false,
        }
    }

    /// What this user has been told of the talk bursts since `begun` events.
    pub(crate) fn told(&self, who: usize, begun: usize) -> Vec<Told> {
        let place = self.homes.place(USERS[who]);
        let events = self.homes.system.events[begun..].iter().filter(|(whom, _)| *whom == place);
        let told = events.filter_map(|(_, event)| {
            let Event::TalkBurst { told, .. } = event else { return None };
            Some(told.clone())
        });
        told.collect()
    }

    /// A grant, a queue, a pre-emption and a talk burst that is too long; everybody lets go in the end.
    fn tell(&mut self) {
        self.presses(0, Priority::Normal);
        self.homes.passes(ms(50));
        self.speaks(0, 2);
        self.presses(1, Priority::Normal); // queued
        self.speaks(0, 2);
        self.lets_go(0);
        self.homes.passes(ms(50));
        self.speaks(1, 2);
        self.presses(2, Priority::PreEmptive); // pre-empts
        self.homes.passes(ms(50));
        self.speaks(1, 1);
        self.lets_go(1);
        self.speaks(2, 2);
        self.lets_go(2);
        self.homes.passes(ms(1_500));
        self.presses(0, Priority::Normal);
        self.homes.passes(ms(50));
        self.speaks(0, 25); // too long
        self.lets_go(0);
    }

    /// Everybody is in C1 and the session in G1: who asks is granted, the others are told, and all is free again.
    pub(crate) fn has_converged(&mut self, what: &dyn std::fmt::Debug) {
        self.homes.passes(ms(6_000));
        for (who, user) in USERS.iter().enumerate() {
            assert!(!self.may_talk(who), "{what:?}: {user} may speak\n{}", self.homes.ladder());
        }
        for speaker in 0..USERS.len() {
            self.clone().must_be_free_for(speaker, what);
        }
    }

    fn must_be_free_for(mut self, speaker: usize, what: &dyn std::fmt::Debug) {
        let begun = self.homes.system.events.len();
        self.presses(speaker, Priority::Normal);
        self.homes.passes(ms(10));
        assert!(self.may_talk(speaker), "{what:?}\n{}", self.homes.ladder());
        self.lets_go(speaker);
        self.homes.passes(ms(10));
        for (who, user) in USERS.iter().enumerate() {
            let told = self.told(who, begun);
            let begins = |told: &Told| match who == speaker {
                true => matches!(told, Told::Granted { .. }),
                false => matches!(told, Told::TakenBy(_)),
            };
            let is_right = matches!(&told[..], [first, Told::Idle] if begins(first));
            assert!(is_right, "{what:?}: {user} was told {told:?}\n{}", self.homes.ladder());
        }
    }

    /// The speech of one never goes on behind that of another.
    fn hears_one_at_a_time(&self, begun: usize, what: &dyn std::fmt::Debug) {
        for user in USERS {
            let place = self.homes.place(user);
            let events = self.homes.system.events[begun..].iter().filter(|(whom, _)| *whom == place);
            let mut heard: Vec<_> = events
                .filter_map(|(_, event)| {
                    let Event::Heard { speech, .. } = event else { return None };
                    Some(speech.ssrc)
                })
                .collect();
            heard.dedup();
            // Anna has two talk bursts, with those of others between them.
            let mut speakers = heard.clone();
            speakers.sort_unstable();
            speakers.dedup();
            assert!(
                heard.len() <= speakers.len() + 1,
                "{what:?}: {user} hears {heard:x?}\n{}",
                self.homes.ladder()
            );
        }
    }

    fn with_each(deed: Deed) {
        let chat = Self::new(ms(2_000));
        let sent = chat.homes.system.media.sent();
        let mut whole = chat.clone();
        whole.tell();
        let messages = whole.homes.system.media.sent() - sent;
        whole.has_converged(&"nothing happens");
        let met = whole.homes.system.trace().render();
        for label in ["Granted", "Taken", "Release", "Idle", "Revoke", "Queue Status Response"] {
            assert!(met.contains(label), "{label}\n{met}");
        }
        for number in 1..=messages {
            let mut chat = chat.clone();
            chat.homes.system.media.on(Which::Number(sent + number), deed);
            let begun = chat.homes.system.events.len();
            chat.tell();
            chat.hears_one_at_a_time(begun, &(deed, number));
            chat.has_converged(&(deed, number));
        }
    }
}

fn join(homes: &mut Homes, user: &str, address: &Bytes) -> SessionId {
    let call = Act::Call { to: Addressee::Chat(address.clone()), answer: AnswerRequest::Usual };
    let place = homes.place(user);
    homes.system.act(place, call).expect("a free client")
}

/// Row 4.
#[test]
fn whatever_message_of_the_talk_bursts_is_lost_nobody_keeps_them() {
    Chat::with_each(Deed::Lose);
}

/// Row 5.
#[test]
fn whatever_message_of_the_talk_bursts_is_overtaken_nobody_keeps_them() {
    Chat::with_each(Deed::Delay(ms(5)));
    Chat::with_each(Deed::Delay(ms(150)));
}

/// Row 5.
#[test]
fn whatever_message_of_the_talk_bursts_changes_places_with_the_next_nobody_keeps_them() {
    Chat::with_each(Deed::Swap);
}

/// Row 6.
#[test]
fn whatever_message_of_the_talk_bursts_comes_twice_nobody_keeps_them() {
    Chat::with_each(Deed::Double);
}

/// Row 11: T1.
#[test]
fn who_waits_for_a_talker_that_died_is_granted_once_nothing_has_been_heard_for_t1() {
    let mut chat = Chat::new(ms(30_000));
    chat.presses(0, Priority::Normal);
    chat.homes.passes(ms(50));
    chat.speaks(0, 3);
    chat.presses(1, Priority::Normal);
    chat.homes.system.die(chat.homes.place("anna"));
    chat.homes.passes(ms(1_000));
    assert!(!chat.may_talk(1));
    chat.homes.passes(ms(4_000));
    assert!(chat.may_talk(1), "{}", chat.homes.ladder());
}

/// Case 7.
#[test]
fn whoever_gives_up_at_whatever_moment_around_the_answer_is_granted_nothing_after_the_cancel() {
    let terminals = vec![Terminal::new("anna", 0), answering("ben", 0, AnswerMode::Manual)];
    let homes = Homes::with(terminals, |_| {});
    let (mut cancelled, mut granted) = (0, 0);
    for wait in 0..40 {
        let mut homes = homes.clone();
        let session = homes.invites("anna", "ben");
        let rings = homes.until_ringing("ben");
        homes.passes(ms(100));
        let begun = homes.system.now;
        // Ben answers after 15 ms.
        homes.passes(ms(wait.min(15)));
        if wait <= 15 {
            homes.hangs_up("anna", session);
            homes.passes(ms(15 - wait));
        }
        homes.accepts("ben", rings);
        if wait > 15 {
            homes.passes(ms(wait - 15));
            homes.hangs_up("anna", session);
        }
        let finished = homes.end();
        let trace = finished.system.trace_since(begun);
        let server = trace.parties().position(|party| party == "server1");
        let mut heard = false;
        for entry in trace.entries() {
            match &entry.what {
                // In the instant in which it hears the CANCEL.
                What::Message { from, label, .. } if Some(*from) == server && label == "200 (CANCEL)" => {
                    heard = true;
                }
                What::Message { label, .. } if label == "Talk Burst Granted" => {
                    granted += 1;
                    assert!(!heard, "{wait} ms\n{}", finished.ladder);
                }
                What::Message { .. } | What::Speech { .. } | What::Note { .. } => {}
            }
        }
        cancelled += u32::from(heard);
    }
    assert!(cancelled > 15 && granted > 5, "both are met: {cancelled}, {granted}");
}
