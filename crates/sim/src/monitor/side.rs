//! One client: its wire, and what its user is told.

use std::collections::BTreeMap;

use bytes::Bytes;
use poc::answer_state::AnswerState;
use poc::{Event, Outcome, Timing};
use sip::message::{Method, Name};
use sip::transport::Transmit;
use sip::usage::{End, Party};
use sip::{Duration, Instant, Message, SessionId};

use super::agent::Agent;
use super::{Checked, LIFE_MAX, T1_64, TICK, branch_of, call_id_of, is_within};

/// One client.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// What it did on the wire.
    pub(super) agent: Agent,
    pub(super) sessions: BTreeMap<SessionId, Seen>,
    /// A session that was begun and whose INVITE has not been seen yet.
    starting: Option<SessionId>,
    /// Call-ID and branch of an INVITE that has just arrived and whose session has not been seen yet.
    arriving: Option<(Bytes, Bytes)>,
    /// When its user first ended a session, or when that had an end by itself.
    wish: Option<Instant>,
}

/// What is known of a session.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) call_id: Bytes,
    /// The branch of the INVITE that it came with, if it is none of ours. A Call-ID may come by several ways.
    pub(super) branch: Option<Bytes>,
    pub(super) wish: Option<Wish>,
    pub(super) outcome: Option<Outcome>,
    /// What was said of the acceptance, once there was one.
    pub(super) answer_state: Option<AnswerState>,
}

/// The user ended a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// No final response to the INVITE was known then.
    pub(super) undecided: bool,
}

impl Seen {
    fn new(call_id: Bytes, branch: Option<Bytes>) -> Self {
        Self { call_id, branch, wish: None, outcome: None, answer_state: None }
    }
}

impl Side {
    /// The user ended a session, in whatever state it was.
    pub(super) fn hung_up(&mut self, now: Instant, session: SessionId) {
        self.wish.get_or_insert(now);
        let Some(seen) = self.sessions.get_mut(&session) else { return };
        // If there is none, the INVITE has not even left.
        let undecided =
            self.agent.last_attempt(&seen.call_id).is_none_or(|invited| invited.finals.is_empty());
        seen.wish.get_or_insert(Wish { undecided });
        self.agent.unwanted.insert(seen.call_id.clone());
    }

    /// The client began a session.
    pub(super) fn began(&mut self, session: SessionId) {
        self.starting = Some(session);
    }

    /// Nothing remains in the client.
    pub(super) fn emptied(&mut self, now: Instant) {
        for session in self.sessions.values() {
            assert!(session.outcome.is_some(), "I4: nothing remains of a session whose end was not told");
        }
        let wish = self.wish.take().filter(|_| self.sessions.len() == 1);
        if let Some(wish) = wish {
            assert!(now - wish <= LIFE_MAX, "I9: something lives until {now:?} after the wish of {wish:?}");
        }
    }

    /// It sent this.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        message: &Message,
        transmit: &Transmit,
        checked: &mut Checked,
    ) {
        if message.is(Method::Invite)
            && let Some(session) = self.starting.take()
        {
            let call_id = call_id_of(message);
            self.sessions.insert(session, Seen::new(call_id, None));
        }
        self.agent.sent(now, message, transmit.path, checked);
    }

    /// This arrived.
    pub(super) fn received(&mut self, now: Instant, message: &Message, datagram: &Transmit) {
        if message.is(Method::Invite) && !is_within(message) {
            let branch = branch_of(message);
            if !self.agent.received.contains_key(&branch) {
                self.arriving = Some((call_id_of(message), branch));
            }
        }
        self.agent.received(now, message, datagram);
    }

    /// It told its user this.
    pub(super) fn told(&mut self, now: Instant, event: &Event, checked: &mut Checked) {
        let Some(session) = event.session() else { return };
        if !self.sessions.contains_key(&session) {
            let arrived = self.arriving.take();
            let (call_id, branch) = arrived.expect("a session begins by an INVITE that is not a copy");
            self.sessions.insert(session, Seen::new(call_id, Some(branch)));
        }
        let seen = self.sessions.get_mut(&session).expect("entered above");
        assert!(seen.outcome.is_none(), "I4: one terminal event a session, and nothing after it");
        if let Event::Established { answer_state, .. } = event {
            seen.answer_state = Some(*answer_state);
        }
        if let Event::ModificationEnded { end: End::Cancelled, by: Party::Remote, .. } = event {
            let is_given_up = self.agent.is_change_given_up(&seen.call_id);
            assert!(is_given_up, "14.4 V2: a change is given up that is undecided, or none");
        }
        let Event::Ended { outcome, .. } = event else { return };
        seen.outcome = Some(outcome.clone());
        self.agent.over.insert(seen.call_id.clone());
        checked.ended += 1;
        let invited = self.agent.last_attempt(&seen.call_id);
        // A session is lost by the answer to something else.
        let status = outcome.status.filter(|_| outcome.end != End::Lost);
        if let (Some(invited), Some(status)) = (invited, status) {
            assert!(invited.finals.contains(&status), "I13: {status} was told, and never came");
        }
        if let Some(cancelling) = outcome.timing.cancelling() {
            // The CANCEL leaves with the first 1xx, which comes before timer B if it comes at all.
            assert!(cancelling <= 2 * T1_64 + TICK, "I9: {cancelling:?} at {now:?}");
        }
        if let Some(invited) = invited.filter(|_| outcome.end == End::Cancelled) {
            let since = invited.cancel.as_ref().map_or(invited.begun, |(at, _)| *at);
            assert!(now - since <= T1_64 + TICK, "I9: told {:?} after the CANCEL or the INVITE", now - since);
        }
        let by_us = (outcome.end, outcome.by) == (End::Cancelled, Party::Local);
        match outcome.status {
            Some(200..=299) if by_us => checked.crossings += 1,
            Some(487) if by_us => checked.terminated += 1,
            None if by_us => checked.waited += 1,
            Some(_) | None => {}
        }
    }

    /// It has nothing more to send or to tell in this instant: what it owed has been paid.
    pub(super) fn settled(&mut self) {
        self.arriving = None;
        self.agent.settled();
        for seen in self.sessions.values().filter(|seen| seen.outcome.is_none()) {
            let received = seen.branch.as_ref().and_then(|branch| self.agent.received.get(branch));
            let is_cancelled = received.is_some_and(|received| received.cancel.is_some());
            assert!(!is_cancelled, "nobody rings after the CANCEL has arrived");
        }
    }

    /// Everything is over: what must be true then. `limit`: the set-up limit of the client, if it has one.
    pub(super) fn finish(&self, limit: Option<Duration>, checked: &mut Checked) {
        assert_eq!(self.starting, None, "a session begins with an INVITE");
        for (session, seen) in &self.sessions {
            let outcome = seen.outcome.as_ref();
            let outcome = outcome.unwrap_or_else(|| panic!("I4: {session} was never ended"));
            match self.agent.last_attempt(&seen.call_id) {
                Some(_) => self.assert_inviter(seen, outcome, limit),
                None if outcome.end == End::Cancelled => self.assert_cancelled(seen, outcome),
                None => {}
            }
        }
        self.agent.finish(checked);
    }

    /// I13: an inviter that sent CANCEL, or whose user gave up before a final response came, was told that it cancelled.
    fn assert_inviter(&self, seen: &Seen, outcome: &Outcome, limit: Option<Duration>) {
        let Some(invited) = self.agent.last_attempt(&seen.call_id) else { return };
        let cancelled = outcome.end == End::Cancelled;
        if cancelled {
            let lasted = outcome.timing.ended - outcome.timing.begun;
            let limited = limit.is_some_and(|limit| lasted >= limit);
            assert!(limited || seen.wish.is_some(), "I13: nobody cancels but the user");
            assert_eq!(outcome.by, Party::Local, "I13: an inviter is cancelled by nobody else");
        }
        if seen.wish.is_some_and(|wish| wish.undecided) {
            assert!(cancelled, "I13: the user gave up in time, and was told {outcome:?}");
        }
        if let Some(limit) = limit {
            // Digest 14.3: the limit is a wish like that of the user.
            let Timing { begun, answered, ended, .. } = outcome.timing;
            let waited = answered.or_else(|| (!cancelled).then_some(ended));
            let is_over = waited.is_some_and(|until| until > begun + limit + TICK);
            assert!(!is_over, "14.3 U2: the limit has come, and the client waits on: {outcome:?}");
        }
        if invited.cancel.is_some() {
            let silent = outcome.end == End::TimedOut; // it left with a 1xx that came after timer B
            assert!(cancelled || silent, "I13: CANCEL was sent, and the user was told {outcome:?}");
        }
    }

    /// I13: who was told that it was cancelled has received a CANCEL and sent 487.
    fn assert_cancelled(&self, seen: &Seen, outcome: &Outcome) {
        let received = seen.branch.as_ref().and_then(|branch| self.agent.received.get(branch));
        let cancel = received.and_then(|received| received.cancel.as_ref());
        let cancel = cancel.expect("I13: cancelled, and no CANCEL came");
        assert_eq!(
            (outcome.by, outcome.status),
            (Party::Remote, Some(487)),
            "I13: who is cancelled says 487"
        );
        assert_eq!(outcome.reason.as_deref(), cancel.value(Name::Reason), "I13: the Reason of the CANCEL");
    }
}
