//! The general machine of a PoC Session: user-plane digest 6, without what a request does (`request.rs`).
//!
//! ```text
//!                     first join      request  Release of holder      speech of holder  holder leaves  alone          timer
//! StartStop (G0)      Idle, Taken     -        -                      -                 -              -              -
//! Idle (G1)           -               Taken    -                      -                 -              -              T7: Idle again; T4: told
//! Taken (G2)          -               *        next, or Draining      forwarded         next           PendingRevoke  T1: next; T2: PendingRevoke; T20: Granted again
//! Draining (G2)       -               *        next, or Draining      to the last       next           -              200 ms, T1, T2: next
//! PendingRevoke (G3)  -               *        next                   forwarded         next           -              T1, T3: next
//! Releasing (G6)      -               -        -                      -                 -              -              -
//! ```
//!
//! next: who is first in the queue is granted (g10), or else it is `Idle` (g11). *: see `request.rs`.

use std::sync::Arc;

use sip::Instant;

use super::burst::{Burst, is_after};
use super::participant::{self, Due, Participant};
use super::settings::Settings;
use super::timer::{Repeat, Silence, after};
use super::{Ending, Gate, Message, Others, Output, Priority, Revoke, TalkBursts, To, Told};
use crate::talk_burst::{DenyReason, Taken};

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    StartStop,
    Idle { again: Option<Repeat>, inactive_at: Instant }, // T7 and C7, T4
    Taken { burst: Burst, quiet: Silence, stop_at: Option<Instant>, again: Option<Repeat> }, // T1, T2, T20 and C20
    Draining { burst: Burst, last: u16, quiet: Silence, until: Instant },
    PendingRevoke { burst: Burst, revoke: Revoke, until: Instant, quiet: Option<Silence> }, // T3, T1
    Releasing,
}

impl State {
    pub(super) const fn burst(&self) -> Option<&Burst> {
        match self {
            Self::Taken { burst, .. } | Self::Draining { burst, .. } | Self::PendingRevoke { burst, .. } => {
                Some(burst)
            }
            Self::StartStop | Self::Idle { .. } | Self::Releasing => None,
        }
    }

    /// User-plane digest 6.6: nobody if and only if nobody speaks.
    pub(super) fn holder(&self) -> Option<usize> {
        self.burst().map(|burst| burst.holder)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::StartStop | Self::Releasing => None,
            Self::Idle { again, inactive_at } => {
                Some(again.map_or(*inactive_at, |again| again.at.min(*inactive_at)))
            }
            Self::Taken { quiet, stop_at, again, .. } => {
                let at = stop_at.map_or(quiet.deadline(), |stop_at| stop_at.min(quiet.deadline()));
                Some(again.map_or(at, |again| again.at.min(at)))
            }
            Self::Draining { quiet, until, .. } => Some(quiet.deadline().min(*until)),
            Self::PendingRevoke { until, quiet, .. } => {
                Some(quiet.map_or(*until, |quiet| quiet.deadline().min(*until)))
            }
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::StartStop => "Start-stop",
            Self::Idle { .. } => "G: TB_Idle",
            Self::Taken { .. } => "G: TB_Taken",
            Self::Draining { .. } => "G: TB_Taken, draining",
            Self::PendingRevoke { .. } => "G: pending TB_Revoke",
            Self::Releasing => "Releasing",
        }
    }
}

impl TalkBursts {
    /// What a participant hears first (user-plane digest 9).
    pub(super) fn admit(&mut self, now: Instant, key: usize, asks: bool) {
        match self.state {
            State::StartStop => {
                let is_waiting =
                    |participant: &Participant| participant.state() == participant::State::StartStop;
                let waiting = self.keys(is_waiting).next();
                match (waiting, asks) {
                    // g01
                    (Some(waiting), _) => {
                        self.grant(now, waiting, Priority::Normal, false);
                        if asks {
                            self.queue_implicitly(key);
                        }
                    }
                    (None, true) if self.is_alone() => {
                        if let Some(participant) = self.participant_mut(key) {
                            participant.wait();
                        }
                    }
                    (None, true) => self.grant(now, key, Priority::Normal, false),
                    (None, false) => self.enter_idle(now), // g02
                }
            }
            // u03
            State::Idle { .. } if asks => self.grant(now, key, Priority::Normal, false),
            State::Idle { .. } => self.send_state(now, key), // u01
            State::Taken { .. } | State::Draining { .. } | State::PendingRevoke { .. } => {
                // u02, u04: also who waits hears who speaks.
                self.send_state(now, key);
                if asks {
                    self.queue_implicitly(key);
                }
            }
            State::Releasing => {}
        }
    }

    /// The talk bursts begin without the implicit request that waits: its user has done something else since.
    pub(super) fn begin_without(&mut self, now: Instant, key: usize) {
        if let Some(participant) = self.participant_mut(key) {
            participant.begin();
        }
        self.enter_idle(now);
    }

    /// Somebody is gone.
    pub(super) fn lose(&mut self, now: Instant, key: usize) {
        let was_holder = self.state.holder() == Some(key);
        if was_holder {
            self.tell(Told::Ended { key, ending: Ending::Left });
        }
        if self.count == 0 {
            (self.others, self.participants_due) = (Others::Needed, None);
            return self.enter(State::StartStop);
        }
        if was_holder {
            self.enter_idle(now); // g30, g46
        } else {
            self.revoke_if_alone(now);
        }
    }

    /// g31
    pub(super) fn revoke_if_alone(&mut self, now: Instant) {
        match self.state {
            State::Taken { .. } if self.is_alone() => self.revoke(now, Revoke::OnlyOne),
            State::StartStop
            | State::Idle { .. }
            | State::Taken { .. }
            | State::Draining { .. }
            | State::PendingRevoke { .. }
            | State::Releasing => {}
        }
    }

    /// A packet on the leg of who is permitted: g21, g41, u30, u41.
    pub(super) fn hear_holder(&mut self, now: Instant, ssrc: u32, sequence: u16) -> Gate {
        match &mut self.state {
            State::Taken { burst, quiet, stop_at, again } => {
                let is_first = burst.is_silent();
                if !burst.hear(ssrc, sequence) {
                    return Gate::Drop;
                }
                quiet.hear(now);
                *again = None;
                if is_first {
                    *stop_at = Some(after(now, self.settings.t2_stop_talking));
                    self.recognise(ssrc);
                }
                Gate::Forward
            }
            State::PendingRevoke { burst, quiet, .. } => {
                if !burst.hear(ssrc, sequence) {
                    return Gate::Drop;
                }
                if let Some(quiet) = quiet {
                    quiet.hear(now);
                }
                Gate::Forward
            }
            // User-plane digest 6.1: up to the packet that the Release named.
            State::Draining { burst, last, quiet, .. } => {
                if is_after(sequence, *last) || !burst.hear(ssrc, sequence) {
                    return Gate::Drop;
                }
                quiet.hear(now);
                if burst.has_reached(*last) {
                    self.end_burst(now, Ending::Released);
                }
                Gate::Forward
            }
            State::StartStop | State::Idle { .. } | State::Releasing => Gate::Drop,
        }
    }

    /// The first packet of a talk burst tells its synchronization source. If Talk Burst Taken said another one, whoever has heard
    /// that would drop the speech (user-plane digest 10.1), so it is said anew.
    fn recognise(&mut self, ssrc: u32) {
        let Some(holder) = self.state.holder() else { return };
        if let Some(participant) = self.participant_mut(holder) {
            participant.speak(ssrc);
        }
        let announced = self.state.burst().map_or(0, |burst| burst.announced);
        if announced != 0 && announced != ssrc {
            self.announce(holder, |participant, _| participant.tell_source());
        }
    }

    /// A Release: g22, g42, u11, u21, u31, u42, u52.
    pub(super) fn handle_release(&mut self, now: Instant, key: usize, ssrc: u32, last: Option<u16>) {
        let drain = self.settings.drain;
        let t1 = self.settings.t1_end_of_rtp;
        let Some(participant) = self.participant_mut(key) else { return };
        let is_own = participant.is_called(ssrc);
        match &mut self.state {
            // `neg-rel-from-server-ssrc`: in the name of somebody else it ends nothing.
            State::Taken { burst, .. }
            | State::Draining { burst, .. }
            | State::PendingRevoke { burst, .. }
                if burst.holder == key && !is_own => {}
            State::Taken { burst, .. } | State::Draining { burst, .. }
                if burst.holder == key && last.is_none_or(|last| burst.has_reached(last)) =>
            {
                self.end_burst(now, Ending::Released);
            }
            State::Taken { burst, stop_at, .. } if burst.holder == key => {
                // User-plane digest 6.1. g24: who has let go is not revoked any more, so T2 ends it too.
                let t1_at = after(now, t1);
                let until = stop_at.map_or(t1_at, |stop_at| stop_at.min(t1_at));
                let (burst, last) = (*burst, last.unwrap_or_default());
                self.enter(State::Draining { burst, last, quiet: Silence::begin(now, drain), until });
            }
            State::Draining { burst, last: expected, .. } if burst.holder == key => {
                *expected = last.unwrap_or(*expected);
            }
            // g42
            State::PendingRevoke { burst, .. } if burst.holder == key => {
                self.end_burst(now, Ending::Released);
            }
            State::StartStop => self.begin_without(now, key),
            State::Idle { .. }
            | State::Taken { .. }
            | State::Draining { .. }
            | State::PendingRevoke { .. } => {
                // User-plane digest 6.2: it is out of the queue, and hears the state, so that its T10 stops.
                self.queue.remove(key);
                if let Some(participant) = self.participant_mut(key) {
                    participant.let_go(now, drain);
                }
                self.send_state(now, key);
            }
            State::Releasing => {}
        }
    }

    /// The talk burst is over: g22, g23, g42, g43, g44.
    pub(super) fn end_burst(&mut self, now: Instant, ending: Ending) {
        let drain = self.settings.drain;
        let Some(key) = self.state.holder() else { return };
        if let Some(participant) = self.participant_mut(key) {
            participant.end_burst();
            match ending {
                Ending::Released => participant.let_go(now, drain),
                Ending::Silent | Ending::Revoked | Ending::Left => {}
            }
        }
        self.tell(Told::Ended { key, ending });
        self.enter_idle(now);
    }

    /// *enter idle*
    pub(super) fn enter_idle(&mut self, now: Instant) {
        // g10
        while let Some(entry) = self.queue.take_first() {
            if self.is_alone() {
                // g13 by analogy: those who would have heard it are gone.
                self.deny(entry.key, DenyReason::OnlyOne);
                continue;
            }
            return self.grant(now, entry.key, entry.priority, true);
        }
        // g11
        let again = Repeat::first(now, self.settings.t7_idle, self.settings.c7_idle);
        self.enter(State::Idle { again, inactive_at: after(now, self.settings.t4_inactivity) });
        self.tell(Told::Idle);
        for participant in self.participants.iter_mut().flatten() {
            participant.tell_idle();
        }
        self.send_idle();
    }

    fn send_idle(&mut self) {
        if self.keys(Participant::hears).next().is_some() {
            self.outputs.push_back(Output::Send { to: To::All, message: Message::Idle });
        }
    }

    /// *grant* (g20): the Granted goes before the Taken of all others.
    pub(super) fn grant(&mut self, now: Instant, key: usize, priority: Priority, is_from_queue: bool) {
        let Some(participant) = self.participant_mut(key) else { return };
        participant.grant();
        let settings = Arc::clone(&self.settings);
        // T20 is for who has waited.
        let again = Repeat::first(now, settings.t20_granted, settings.c20_granted).filter(|_| is_from_queue);
        let quiet = Silence::begin(now, settings.t1_end_of_rtp);
        self.enter(State::Taken { burst: Burst::new(key, priority, 0), quiet, stop_at: None, again });
        self.send_granted(now);
        self.tell(Told::Granted { key });
        self.announce(key, |participant, settings| participant.tell_taken(now, settings));
    }

    /// Talk Burst Granted, with what is left of the time: g20, g25, g26.
    pub(super) fn send_granted(&mut self, now: Instant) {
        let State::Taken { burst, stop_at, .. } = &self.state else { return };
        let left = stop_at.map_or(self.settings.t2_stop_talking, |stop_at| stop_at.saturating_since(now));
        let stop_talking = self.settings.stop_talking(left);
        let key = burst.holder;
        let participants = Some(self.participants_told());
        self.send(key, Message::Granted { stop_talking, participants });
    }

    /// Talk Burst Taken to all but the talker (u13): `tell` says who is to acknowledge it.
    fn announce(&mut self, talker: usize, tell: impl Fn(&mut Participant, &Settings) -> bool) {
        let participants = self.participants_told();
        let Some(taken) = self.participant(talker).map(|participant| participant.taken(participants)) else {
            return;
        };
        if let State::Taken { burst, .. } = &mut self.state {
            burst.announced = taken.ssrc;
        }
        let (mut plain, mut acknowledged) = (0_usize, Vec::new());
        for (key, participant) in self.participants.iter_mut().enumerate() {
            let Some(participant) = participant.as_mut().filter(|_| key != talker) else { continue };
            if participant.hears() {
                match tell(participant, &self.settings) {
                    true => acknowledged.push(key),
                    false => plain += 1,
                }
                let deadline = participant.deadline(&self.settings);
                self.participants_due = self.participants_due.into_iter().chain(deadline).min();
            }
        }
        let to_acknowledge = Message::Taken(Taken { is_acknowledged: true, ..taken.clone() });
        let taken = Message::Taken(taken);
        let others = To::Others(talker);
        match (plain, acknowledged.is_empty()) {
            (0, true) => {}
            (0, false) => self.outputs.push_back(Output::Send { to: others, message: to_acknowledge }),
            (1.., true) => self.outputs.push_back(Output::Send { to: others, message: taken }),
            (1.., false) => {
                let is_plain = |key: &usize| *key != talker && acknowledged.binary_search(key).is_err();
                let plain = self.keys(Participant::hears).filter(is_plain).collect();
                self.send_each(acknowledged, to_acknowledge);
                self.send_each(plain, taken);
            }
        }
    }

    /// Tells one participant the state of the session.
    pub(super) fn send_state(&mut self, now: Instant, key: usize) {
        let settings = Arc::clone(&self.settings);
        let participants = self.participants_told();
        let talker = self.state.holder().and_then(|holder| self.participant(holder));
        let taken = talker.map(|talker| talker.taken(participants));
        let Some(participant) = self.participant_mut(key).filter(|participant| participant.hears()) else {
            return;
        };
        match taken {
            Some(mut taken) => {
                taken.is_acknowledged = participant.tell_taken(now, &settings);
                self.note_deadline(key);
                self.send(key, Message::Taken(taken));
            }
            None => {
                participant.tell_idle();
                self.send(key, Message::Idle);
            }
        }
    }

    /// *revoke* (g40)
    pub(super) fn revoke(&mut self, now: Instant, revoke: Revoke) {
        let State::Taken { burst, quiet, .. } = &self.state else { return };
        let (burst, quiet) = (*burst, *quiet);
        let key = burst.holder;
        // g24: T1 is stopped.
        let quiet = Some(quiet).filter(|_| !matches!(revoke, Revoke::TooLong { .. }));
        let until = after(now, self.settings.grace(revoke));
        self.enter(State::PendingRevoke { burst, revoke, until, quiet });
        let settings = Arc::clone(&self.settings);
        if let Some(participant) = self.participant_mut(key) {
            participant.revoke(now, revoke, &settings);
        }
        self.note_deadline(key);
        self.send(key, Message::Revoke(revoke));
        self.tell(Told::Revoked { key, revoke });
    }

    /// T1, T2, T3, T4, T7, T20, whichever has come.
    pub(super) fn handle_general_timeout(&mut self, now: Instant) {
        let settings = Arc::clone(&self.settings);
        match &mut self.state {
            State::Idle { again, inactive_at } => {
                let is_again = again.filter(|again| again.at <= now);
                if let Some(due) = is_again {
                    *again = due.next(now, settings.t7_idle, settings.c7_idle);
                }
                let is_inactive = *inactive_at <= now;
                if is_inactive {
                    *inactive_at = after(now, settings.t4_inactivity);
                }
                if is_again.is_some() {
                    self.send_idle(); // g16
                }
                if is_inactive {
                    self.tell(Told::Inactive); // g17
                }
            }
            State::Taken { quiet, stop_at, again, .. } => {
                if quiet.has_lasted(now, settings.t1_end_of_rtp) {
                    self.end_burst(now, Ending::Silent); // g23
                } else if stop_at.is_some_and(|stop_at| stop_at <= now) {
                    self.revoke(now, settings.too_long()); // g24
                } else if let Some(due) = again.filter(|again| again.at <= now) {
                    *again = due.next(now, settings.t20_granted, settings.c20_granted);
                    self.send_granted(now); // g26
                }
            }
            State::Draining { quiet, until, .. } => {
                if quiet.has_lasted(now, settings.drain) || *until <= now {
                    self.end_burst(now, Ending::Released);
                }
            }
            State::PendingRevoke { until, quiet, .. } => {
                let is_silent =
                    quiet.as_mut().is_some_and(|quiet| quiet.has_lasted(now, settings.t1_end_of_rtp));
                if is_silent || *until <= now {
                    self.end_burst(now, Ending::Revoked); // g43, g44
                }
            }
            State::StartStop | State::Releasing => {}
        }
    }

    /// T8 and what else runs for a participant.
    pub(super) fn handle_participants_timeout(&mut self, now: Instant) {
        let settings = Arc::clone(&self.settings);
        self.participants_due = None;
        for key in 0..self.participants.len() {
            while let Some(due) =
                self.participant_mut(key).and_then(|participant| participant.handle_timeout(now, &settings))
            {
                match due {
                    Due::Revoke(revoke) => self.send(key, Message::Revoke(revoke)),
                    Due::Taken => self.send_taken_again(key),
                    Due::Unproven => self.tell(Told::Unproven { key }),
                    Due::Standing => self.send_state(now, key),
                }
            }
            self.note_deadline(key);
        }
    }

    /// User-plane digest 6.5. A newer state message would have ended it, so somebody speaks still.
    fn send_taken_again(&mut self, key: usize) {
        let participants = self.participants_told();
        let talker = self.state.holder().and_then(|holder| self.participant(holder));
        let Some(mut taken) = talker.map(|talker| talker.taken(participants)) else { return };
        taken.is_acknowledged = true;
        self.send(key, Message::Taken(taken));
    }

    /// The participants that are meant, in order.
    pub(super) fn keys(&self, is_meant: impl Fn(&Participant) -> bool) -> impl Iterator<Item = usize> {
        let each = self.participants.iter().enumerate();
        each.filter(move |(_, each)| each.as_ref().is_some_and(&is_meant)).map(|(key, _)| key)
    }

    fn enter(&mut self, state: State) {
        tracing::debug!(from = self.state.name(), to = state.name(), "talk bursts");
        self.state = state;
    }
}
