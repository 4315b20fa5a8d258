//! What the functions of a PoC Server do on the wire, and what they write down about it: digest 14.5, 14.6, I13.
//!
//! A leg belongs to the INVITE in whose instant it was begun: what arrives causes what leaves.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use poc::server::{Function, Invitation, Record, Side as By};
use sip::message::{Method, Name, Uri};
use sip::transport::{Path, Transmit};
use sip::usage::End;
use sip::{Instant, Message};

use super::agent::{Agent, Received};
use super::{Checked, branch_of, call_id_of, is_within};

/// One PoC Server.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions {
    pub(super) agent: Agent,
    /// The INVITEs for new sessions, in the order in which they arrived.
    pub(super) arrivals: Vec<Arrival>,
    /// The place in `arrivals` of what arrived in this instant.
    current: Option<usize>,
    /// The records that were closed.
    records: Vec<Record>,
    /// It may say 200 to an inviter before anybody has accepted.
    answers_early: bool,
}

/// An INVITE for a new session.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) branch: Bytes,
    at: Instant,
    pub(super) function: Function,
    /// Whose slot it takes.
    served: Bytes,
    inviter: Bytes,
    /// Call-IDs of the legs that were begun for it.
    pub(super) legs: Vec<Bytes>,
}

impl Functions {
    pub(super) fn new(answers_early: bool) -> Self {
        Self { agent: Agent { has_both_ends: true, ..Agent::default() }, answers_early, ..Self::default() }
    }

    /// It sent this.
    pub(super) fn sent(&mut self, now: Instant, message: &Message, path: Path, checked: &mut Checked) {
        if message.is(Method::Invite) && !is_within(message) {
            let call_id = call_id_of(message);
            let is_known = self.arrivals.iter().any(|arrival| arrival.legs.contains(&call_id));
            if !is_known {
                let place = self.current.expect("a leg is begun for an INVITE that arrives, and at once");
                self.arrivals[place].legs.push(call_id);
            }
        }
        self.agent.sent(now, message, path, checked);
    }

    /// This arrived.
    pub(super) fn received(&mut self, now: Instant, message: &Message, datagram: &Transmit) {
        if message.is(Method::Invite) && !is_within(message) {
            let branch = branch_of(message);
            if !self.agent.received.contains_key(&branch) {
                self.current = Some(self.arrivals.len());
                self.arrivals.push(Arrival::of(now, branch, message));
            }
        }
        self.agent.received(now, message, datagram);
    }

    /// It has nothing more to send in this instant. `slots`: how many are taken of a user's.
    pub(super) fn settled(&mut self, slots: impl Fn(&[u8]) -> Option<usize>) {
        self.current = None;
        for arrival in &self.arrivals {
            if is_over(&self.agent.received[&arrival.branch]) {
                self.agent.unwanted.extend(arrival.legs.iter().cloned());
            }
        }
        self.agent.settled();
        let mut taken: BTreeMap<&Bytes, RangeInclusive<usize>> = BTreeMap::new();
        for arrival in &self.arrivals {
            let received = &self.agent.received[&arrival.branch];
            let is_over = is_over(received);
            // Who has not confirmed our 200 cannot be told yet that it is over.
            let waits_for_ack = self.agent.waits_for_ack(received);
            let is_deserted = !arrival.legs.is_empty() && arrival.legs.iter().all(|leg| self.is_dead(leg));
            if is_over {
                self.assert_released(arrival);
            } else {
                let is_told = !is_deserted || waits_for_ack;
                assert!(is_told, "I14: everybody invited is gone, and the inviter is not told");
            }
            self.assert_accepted(arrival, received);
            let range = taken.entry(&arrival.served).or_insert(0..=0);
            let is_alive = !is_over && !is_deserted;
            let (least, most) = (
                range.start() + usize::from(is_alive && !waits_for_ack),
                range.end() + usize::from(is_alive),
            );
            *range = least..=most;
        }
        for (user, range) in taken {
            let held = slots(user);
            let is_right = held.is_none_or(|held| range.contains(&held));
            assert!(is_right, "digest 14.5: {user:?} has {held:?} slots taken, not {range:?}");
        }
    }

    /// A record was closed.
    pub(super) fn closed(&mut self, record: &Record) {
        self.records.push(record.clone());
    }

    /// Everything is over: what must be true then.
    pub(super) fn finish(&self, checked: &mut Checked) {
        self.agent.finish(checked);
        assert_eq!(self.records.len(), self.arrivals.len(), "I13: one record for each INVITE");
        for arrival in &self.arrivals {
            let is_same = |other: &&Arrival| {
                (other.at, other.function, &other.served) == (arrival.at, arrival.function, &arrival.served)
            };
            if self.arrivals.iter().filter(is_same).count() > 1 {
                continue; // two at once cannot be told apart
            }
            let mut records = self.records.iter().filter(|record| arrival.is_of(record));
            let record = records.next().unwrap_or_else(|| panic!("I13: no record of {arrival:?}"));
            self.assert_record(arrival, record);
        }
    }

    /// What was closed, with what came of it.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Digest 7.5: nobody is told that somebody has accepted before somebody has, unless early answers are switched on.
    fn assert_accepted(&self, arrival: &Arrival, received: &Received) {
        let is_accepted = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
        let may_be_early = self.answers_early && arrival.function == Function::Controlling;
        if is_accepted && !may_be_early {
            let has_answers =
                |call_id| self.agent.last_attempt(call_id).is_some_and(|invited| !invited.answers.is_empty());
            let legs = arrival.legs.iter();
            assert!(legs.map(|leg| &leg[..]).any(has_answers), "digest 7.5: 200, and nobody has accepted");
        }
    }

    /// Digest 14.6 step 3: nothing of a session goes on once its inviter is gone or was refused.
    fn assert_released(&self, arrival: &Arrival) {
        for call_id in &arrival.legs {
            // RFC 3261 §15: no BYE before the ACK of a 2xx of ours, that of a re-INVITE too.
            if self.agent.is_unconfirmed(call_id) {
                continue;
            }
            let own = self.agent.invited.values().filter(|each| each.is_of(call_id) && !each.is_change);
            for invited in own {
                for (tag, answer) in &invited.answers {
                    let is_left = self.agent.has_left(invited, tag, answer);
                    assert!(is_left, "I11: a leg that was connected is left when its session is over");
                }
            }
        }
    }

    /// Whether a leg has ended: refused, or left by either side.
    fn is_dead(&self, call_id: &Bytes) -> bool {
        let last = self.agent.last_attempt(call_id);
        last.is_some_and(|invited| match invited.answers.is_empty() {
            true => invited.finals.iter().any(|status| *status >= 300),
            false => {
                let mut answers = invited.answers.iter();
                answers.all(|(tag, answer)| self.agent.has_left(invited, tag, answer))
            }
        })
    }

    /// I13: what was written down agrees with the wire.
    fn assert_record(&self, arrival: &Arrival, record: &Record) {
        let received = &self.agent.received[&arrival.branch];
        let status = received.decided.as_ref().map(|decided| decided.status);
        assert_eq!(record.status, status, "I13: the final response: {record:?}");
        let is_accepted = status.is_some_and(|status| status < 300);
        assert_eq!(record.answered.is_some(), is_accepted, "I13: whether it was answered: {record:?}");
        let is_cancelled = received.cancel.is_some();
        let says_cancelled = (record.end, record.by) == (End::Cancelled, By::Inviter);
        assert_eq!(says_cancelled, is_cancelled, "I13: whether it was cancelled: {record:?}");
        // Digest 14.5: 487 is for who gave up, or whose INVITE had run out.
        let has_expired = (record.end, record.by) == (End::Expired, By::Inviter);
        assert!(
            status != Some(487) || is_cancelled || has_expired,
            "I13: 487 that nobody asked for: {record:?}"
        );
        if let Some(cancel) = &received.cancel {
            assert_eq!(record.reason.as_deref(), cancel.value(Name::Reason), "I13: the Reason of the CANCEL");
        }
        let is_unconfirmed = record.invitations.iter().all(|each| each.answered.is_none());
        match record.end {
            // After an early answer it is those who were invited that refused.
            End::Rejected => assert!(!is_accepted || is_unconfirmed, "I13: refused: {record:?}"),
            End::Left | End::Lost | End::NotAcknowledged => {
                assert!(is_accepted, "I13: a session that never was: {record:?}")
            }
            End::Cancelled | End::Expired | End::TimedOut | End::TransportFailed | End::Released => {}
        }
        if arrival.legs.is_empty() {
            // What a check refuses names its user, with the answer that the inviter got.
            let refused = |each: &Invitation| (each.end, each.status) == (record.end, record.status);
            assert!(record.invitations.iter().all(refused), "I13: nobody was invited: {record:?}");
            return;
        }
        assert_eq!(record.invitations.len(), arrival.legs.len(), "I13: who was invited: {record:?}");
        for (invitation, call_id) in record.invitations.iter().zip(&arrival.legs) {
            let last = self.agent.last_attempt(call_id).expect("it was begun");
            assert!(record.begun <= invitation.ended, "time never runs back");
            if let Some(status) = invitation.status.filter(|_| invitation.end != End::Lost) {
                assert!(last.finals.contains(&status), "I13: {status} never came: {record:?}");
            }
            let was_accepted = last.finals.iter().any(|status| (200..300).contains(status));
            assert!(invitation.answered.is_none() || was_accepted, "I13: nobody answered: {record:?}");
        }
    }
}

impl Arrival {
    fn of(now: Instant, branch: Bytes, invite: &Message) -> Self {
        let route = invite.addresses(Name::Route).next().and_then(Result::ok);
        let role = route.and_then(|route| Uri::parse(route.uri).ok()?.user.map(<[u8]>::to_vec));
        let asserted = invite.addresses(Name::PAssertedIdentity).next().and_then(Result::ok);
        let inviter = asserted.map(|each| Bytes::copy_from_slice(each.uri)).unwrap_or_default();
        let (function, served) = match role.as_deref() {
            Some(b"term") => (Function::Participating, Bytes::copy_from_slice(invite.uri_text())),
            Some(_) | None => (Function::Controlling, inviter.clone()),
        };
        Self { branch, at: now, function, served, inviter, legs: Vec::new() }
    }

    fn is_of(&self, record: &Record) -> bool {
        let invited = record.invitations.first();
        let is_same = match self.function {
            Function::Controlling => true,
            Function::Participating => invited.is_none_or(|invited| invited.invited == self.served),
        };
        is_same && (record.function, record.begun, &record.inviter) == (self.function, self.at, &self.inviter)
    }
}

/// Whether nobody waits for it any more, or is in it.
fn is_over(received: &Received) -> bool {
    let is_refused = received.decided.as_ref().is_some_and(|decided| decided.status >= 300);
    is_refused || received.released || !received.byes.is_empty()
}
