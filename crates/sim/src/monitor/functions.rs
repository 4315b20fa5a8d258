//! What the functions of a PoC Server do on the wire, and what they write down about it: digest 14.5, 14.6, I13.
//!
//! A leg belongs to the INVITE in whose instant it was begun: what arrives causes what leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use poc::address;
use poc::server::{Function, Group, Invitation, Record, Side as By};
use sip::message::{Method, Name, Uri};
use sip::transport::{Path, Transmit};
use sip::usage::End;
use sip::{Duration, Identifier, Instant, Message};

use super::agent::{Agent, Received};
use super::controlled::Controlled;
use super::{Checked, branch_of, call_id_of, is_within, number_of};

/// One PoC Server.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions {
    pub(super) agent: Agent,
    /// The INVITEs for new sessions, in the order in which they arrived.
    pub(super) arrivals: Vec<Arrival>,
    /// The place in `arrivals` of what arrived in this instant.
    current: Option<usize>,
    /// The PoC Sessions that are controlled here, by identity.
    pub(super) sessions: BTreeMap<Bytes, Controlled>,
    /// The identity of the session that a leg belongs to.
    legs: BTreeMap<Bytes, Bytes>,
    /// Legs to groups that have told their members, who take their place: they are nobody.
    replaced: BTreeSet<Bytes>,
    /// Who is told of sessions, by the dialog: its Call-ID and tag.
    subscribers: BTreeMap<(Bytes, Bytes), Subscriber>,
    /// The records that were closed.
    records: Vec<Record>,
    /// It may say 200 to an inviter before anybody has accepted.
    answers_early: bool,
    /// How long an invited user may take to answer.
    pub(super) set_up_limit: Duration,
    /// Nobody waits to be invited.
    pub(super) invites_at_once: bool,
    /// The groups of all networks.
    groups: BTreeMap<Bytes, Group>,
    /// A REFER has arrived in this instant.
    is_referring: bool,
    /// Its operator has ended something.
    pub(super) was_removed: bool,
    /// It was told to stop.
    pub(super) is_stopped: bool,
}

/// Somebody who is told of a session.
#[derive(Clone, Debug)]
struct Subscriber {
    /// The number of the last NOTIFY, and when it was sent.
    number: Option<u32>,
    told: Instant,
    /// It has asked since.
    has_asked: bool,
    /// The last NOTIFY was sent again, so that the next may have had to wait.
    is_repeated: bool,
    was_late: bool,
}

/// How long a subscriber is left alone: `notify_every` of the defaults, less a tick of the timer wheel.
const NOTIFY_EVERY: Duration = Duration::from_millis(4_990);

/// An INVITE for a new session.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) branch: Bytes,
    at: Instant,
    pub(super) function: Function,
    /// Whose slot it takes; empty for nobody's.
    served: Bytes,
    /// The user who is served is the inviter.
    is_originating: bool,
    pub(super) inviter: Bytes,
    /// It came after the server was told to stop: which function it would have been for is not looked at.
    is_late: bool,
    /// The group that it is for, if it is for one.
    pub(super) group: Option<Bytes>,
    /// Call-IDs of the legs that were begun for it.
    pub(super) legs: Vec<Bytes>,
}

impl Functions {
    pub(super) fn new(answers_early: bool, groups: &[Group]) -> Self {
        Self {
            agent: Agent { has_both_ends: true, ..Agent::default() },
            answers_early,
            groups: groups.iter().map(|group| (group.address.clone(), group.clone())).collect(),
            set_up_limit: Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// It sent this.
    pub(super) fn sent(&mut self, now: Instant, message: &Message, path: Path, checked: &mut Checked) {
        if message.is(Method::Invite) && !is_within(message) {
            self.begins(message);
        }
        if message.status().is_some_and(|status| (101..300).contains(&status))
            && message.is_cseq_method(Method::Invite)
            && let Some(identity) = identity_of(message)
        {
            let branch = branch_of(message);
            let place = self.arrivals.iter().position(|arrival| arrival.branch == branch);
            let place = place.filter(|place| self.arrivals[*place].function == Function::Controlling);
            if let Some(place) = place {
                self.enters(identity, place);
            }
        }
        if message.is(Method::Cancel) || message.is(Method::Bye) {
            self.ends(now, message);
        }
        if message.is(Method::Notify) && message.lists(Name::Event, b"conference") {
            self.notifies(now, message, checked);
        }
        self.agent.sent(now, message, path, checked);
    }

    /// This arrived.
    pub(super) fn received(&mut self, now: Instant, message: &Message, datagram: &Transmit) {
        if message.is(Method::Invite) && !is_within(message) {
            let branch = branch_of(message);
            if !self.agent.received.contains_key(&branch) {
                self.current = Some(self.arrivals.len());
                let is_late = self.is_stopped;
                self.arrivals.push(Arrival { is_late, ..Arrival::of(now, branch, message, &self.groups) });
            }
        }
        if message.is(Method::Refer) {
            self.is_referred(message);
        }
        if message.is(Method::Subscribe) {
            // RFC 6665 §4.2.1.2: who subscribes, or subscribes again, is told at once.
            let call_id = call_id_of(message);
            let mut own = self.subscribers.iter_mut().filter(|((of, _), _)| *of == call_id);
            if let Some((_, subscriber)) = own.next() {
                subscriber.has_asked = true;
            }
        }
        // RFC 5318 §6.
        if message.status() == Some(403) && message.value(Name::PRefusedUriList).is_some() {
            let call_id = call_id_of(message);
            let is_wanted = self.legs.get(&call_id).is_some_and(|session| !self.sessions[session].is_over);
            if is_wanted {
                self.replaced.insert(call_id);
            }
        }
        self.agent.received(now, message, datagram);
    }

    /// RFC 4579 §5.11: somebody is to be sent away.
    fn is_referred(&mut self, refer: &Message) {
        let Ok(to) = refer.address(Name::ReferTo) else { return };
        self.is_referring = true;
        let is_removal = Uri::parse(to.uri).is_ok_and(|uri| uri.parameters.value(b"method") == Some(b"BYE"));
        let identity = refer.uri().ok().map(|uri| [uri.user.unwrap_or_default(), b"@", uri.host].concat());
        if let Some(session) = identity.and_then(|identity| self.sessions.get_mut(&identity[..]))
            && let Some(address) = address::canonical(to.uri).filter(|_| is_removal)
        {
            session.removed.push(address);
        }
    }

    /// RFC 4575, T18: a subscriber is not told more often than it was agreed, but for the first time, when it asks, and at
    /// the end.
    fn notifies(&mut self, now: Instant, notify: &Message, checked: &mut Checked) {
        let tag = notify.from().ok().and_then(|from| from.tag()).map(Bytes::copy_from_slice);
        let key = (call_id_of(notify), tag.unwrap_or_default());
        let number = number_of(notify);
        let is_last = notify
            .value(Name::SubscriptionState)
            .is_some_and(|state| state.to_ascii_lowercase().starts_with(b"terminated"));
        let Some(subscriber) = self.subscribers.get_mut(&key) else {
            self.subscribers.insert(
                key,
                Subscriber { number, told: now, has_asked: false, is_repeated: false, was_late: false },
            );
            return;
        };
        if subscriber.number >= number {
            subscriber.is_repeated = true;
            return; // a copy
        }
        checked.notified += 1;
        let is_due = now >= subscriber.told + NOTIFY_EVERY;
        let has_asked = std::mem::take(&mut subscriber.has_asked);
        // What waits for the answer to the one before leaves later than it was meant to, and the next is on time.
        let was_repeated =
            std::mem::take(&mut subscriber.is_repeated) || std::mem::take(&mut subscriber.was_late);
        subscriber.was_late = was_repeated && !subscriber.was_late;
        let is_free = is_last || has_asked || was_repeated;
        assert!(is_due || is_free, "T18: a subscriber is told again after {:?}", now - subscriber.told);
        (subscriber.number, subscriber.told) = (number, now);
    }

    /// A leg is begun: of the session whose focus its Contact names, or for the INVITE that has just arrived.
    fn begins(&mut self, invite: &Message) {
        let call_id = call_id_of(invite);
        let of_attempt = |arrival: &Arrival| arrival.legs.contains(&call_id);
        if self.legs.contains_key(&call_id) || self.arrivals.iter().any(of_attempt) {
            return;
        }
        assert!(!self.is_stopped, "nobody is invited by a server that was told to stop");
        let Some(identity) = identity_of(invite) else {
            let place = self.current.expect("a leg is begun for an INVITE that arrives, and at once");
            return self.arrivals[place].legs.push(call_id);
        };
        if !self.sessions.contains_key(&identity) {
            let place = self.current.expect("a session is made by an INVITE that arrives, and at once");
            self.enters(identity.clone(), place);
        }
        let session = self.sessions.get_mut(&identity).expect("entered above");
        assert!(!session.is_over, "I3: nobody is invited to a session that is over");
        session.legs.push(call_id.clone());
        session.was_extended |= self.is_referring;
        self.arrivals[session.arrivals[0]].legs.push(call_id.clone());
        self.legs.insert(call_id, identity);
    }

    /// The INVITE of `place` makes a session of this identity, or joins it.
    fn enters(&mut self, identity: Bytes, place: usize) {
        let arrival = &self.arrivals[place];
        let group = arrival.group.as_ref().and_then(|group| self.groups.get(group));
        let session = self.sessions.entry(identity).or_insert_with(|| Controlled::new(group));
        if !session.arrivals.contains(&place) {
            session.arrivals.push(place);
        }
    }

    /// A BYE or a CANCEL leaves: it must have a reason.
    fn ends(&mut self, now: Instant, message: &Message) {
        let call_id = call_id_of(message);
        // The other end of a leg may be here too.
        let from = |message: &Message| message.from().ok().and_then(|from| from.tag().map(<[u8]>::to_vec));
        let is_ours = |call_id: &Bytes| {
            self.agent.last_attempt(call_id).is_some_and(|invited| from(&invited.invite) == from(message))
        };
        let of_leg = self.legs.get(&call_id).filter(|_| is_ours(&call_id)).cloned();
        let of_arrival = || {
            let place = self.arrivals.iter().position(|arrival| {
                arrival.function == Function::Controlling
                    && self.agent.received[&arrival.branch].is_from(message)
            })?;
            let mut sessions = self.sessions.iter();
            sessions
                .find(|(_, session)| session.arrivals.contains(&place))
                .map(|(identity, _)| identity.clone())
        };
        if let Some(identity) = of_leg.or_else(of_arrival)
            && let Some(session) = self.sessions.get_mut(&identity)
        {
            session.ends.push((now, call_id));
        }
    }

    /// It has nothing more to send in this instant. `slots`: how many are taken of a user's.
    pub(super) fn settled(&mut self, slots: impl Fn(&[u8]) -> Option<usize>) {
        (self.current, self.is_referring) = (None, false);
        for arrival in &self.arrivals {
            let is_over = self.is_stopped || is_over(&self.agent.received[&arrival.branch]);
            if arrival.is_of_one() && is_over {
                self.agent.unwanted.extend(arrival.legs.iter().cloned());
            }
        }
        let mut sessions = std::mem::take(&mut self.sessions);
        for session in sessions.values_mut().filter(|session| !session.is_over) {
            session.is_over = self.is_stopped || self.must_be_over(session);
            if session.is_over {
                self.agent.unwanted.extend(session.legs.iter().cloned());
            }
        }
        self.agent.settled();
        for session in sessions.values_mut() {
            self.assert_session(session);
        }
        self.sessions = sessions;
        let mut taken: BTreeMap<&Bytes, RangeInclusive<usize>> = BTreeMap::new();
        for arrival in &self.arrivals {
            let received = &self.agent.received[&arrival.branch];
            let is_over = is_over(received);
            // Who has not confirmed our 200 cannot be told yet that it is over.
            let waits_for_ack = self.agent.waits_for_ack(received);
            let is_told = is_over || waits_for_ack;
            assert!(is_told || !self.is_stopped, "an inviter is left at a server that was told to stop");
            let is_deserted = arrival.is_of_one()
                && !arrival.legs.is_empty()
                && arrival.legs.iter().all(|leg| self.is_dead(leg));
            if !is_over && !self.is_stopped {
                let is_told = !is_deserted || waits_for_ack;
                assert!(is_told, "I14: everybody invited is gone, and the inviter is not told");
            } else if arrival.is_of_one() {
                self.assert_released(&arrival.legs);
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

    /// Whether the session that an INVITE made is one of its inviter and one other, and nobody else came into it.
    pub(super) fn is_of_two(&self, branch: &Bytes) -> bool {
        let Some(place) = self.arrivals.iter().position(|arrival| arrival.branch == *branch) else {
            return true;
        };
        let mut its = self.sessions.values().filter(|session| session.arrivals.contains(&place));
        let is_of_two = |session: &Controlled| session.arrivals.len() == 1 && session.legs.len() == 1;
        its.all(|session| is_of_two(session) && !session.invites_nobody && !session.was_extended)
    }

    /// Whether it may say 200 before anybody has accepted.
    pub(super) fn answers_early(&self) -> bool {
        self.answers_early
    }

    /// What was closed, with what came of it.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Digest 7.5: nobody is told that somebody has accepted before somebody has, unless early answers are switched on.
    fn assert_accepted(&self, arrival: &Arrival, received: &Received) {
        let is_accepted = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
        let may_be_early = self.answers_early && arrival.function == Function::Controlling;
        if is_accepted && arrival.is_of_one() && !may_be_early {
            let has_answers =
                |call_id| self.agent.last_attempt(call_id).is_some_and(|invited| !invited.answers.is_empty());
            let legs = arrival.legs.iter();
            assert!(legs.map(|leg| &leg[..]).any(has_answers), "digest 7.5: 200, and nobody has accepted");
        }
    }

    /// Digest 14.6 step 3: nothing of a session goes on once its inviter is gone or was refused.
    pub(super) fn assert_released(&self, legs: &[Bytes]) {
        for call_id in legs {
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
    pub(super) fn is_dead(&self, call_id: &Bytes) -> bool {
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
            // RFC 3262 §3: a reliable response that nobody acknowledges ends the INVITE.
            End::NotAcknowledged if status == Some(504) => {}
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
        let uri_of = |call_id: &Bytes| {
            let last = self.agent.last_attempt(call_id).expect("it was begun");
            address::canonical(last.invite.uri_text()).unwrap_or_default()
        };
        // Of those who are added to a chat nobody keeps a record.
        let place = self.arrivals.iter().position(|each| each.branch == arrival.branch);
        let mut its = self.sessions.values().filter(|session| place == session.arrivals.first().copied());
        if its.any(|session| session.invites_nobody) {
            return;
        }
        let least = arrival.legs.iter().filter(|leg| !self.replaced.contains(*leg)).count();
        let is_counted = (least..=arrival.legs.len()).contains(&record.invitations.len());
        assert!(is_counted, "I13: who was invited: {record:?}");
        for invitation in &record.invitations {
            assert!(record.begun <= invitation.ended, "time never runs back");
            let invited = address::canonical(&invitation.invited).unwrap_or_default();
            let is_its = |call_id: &&Bytes| arrival.is_originating || uri_of(call_id) == invited;
            let its = || arrival.legs.iter().filter(is_its).filter_map(|leg| self.agent.last_attempt(leg));
            assert!(its().next().is_some(), "I13: nobody invited {invited:?}: {record:?}");
            if let Some(status) = invitation.status.filter(|_| invitation.end != End::Lost) {
                let came = its().any(|last| last.finals.contains(&status));
                assert!(came, "I13: {status} never came: {record:?}");
            }
            let accepted = |status: &u16| (200..300).contains(status);
            let was_accepted = its().any(|last| last.finals.iter().any(accepted));
            assert!(invitation.answered.is_none() || was_accepted, "I13: nobody answered: {record:?}");
        }
    }
}

impl Arrival {
    fn of(now: Instant, branch: Bytes, invite: &Message, groups: &BTreeMap<Bytes, Group>) -> Self {
        let route = invite.addresses(Name::Route).next().and_then(Result::ok);
        let role = route.and_then(|route| Uri::parse(route.uri).ok()?.user.map(<[u8]>::to_vec));
        let asserted = invite.addresses(Name::PAssertedIdentity).next().and_then(Result::ok);
        let inviter = asserted.map(|each| Bytes::copy_from_slice(each.uri)).unwrap_or_default();
        let uri = invite.uri().expect("validated");
        let kind = uri.parameters.value(b"session");
        let is_session = uri.user.is_some_and(|user| Identifier::parse(user).is_some());
        let address = address::canonical(invite.uri_text()).unwrap_or_default();
        let is_group = groups.contains_key(&address);
        let is_elsewhere = is_group || is_session || kind.is_some_and(|kind| kind != b"1-1");
        let is_originating = role.as_deref() == Some(b"orig");
        let (function, served) = match is_originating {
            true if is_elsewhere => (Function::Participating, inviter.clone()),
            true => (Function::Controlling, inviter.clone()),
            false if is_group || is_session => (Function::Controlling, Bytes::new()),
            false => (Function::Participating, Bytes::copy_from_slice(invite.uri_text())),
        };
        let group = is_group.then_some(address);
        let (legs, is_late) = (Vec::new(), false);
        Self { branch, at: now, function, served, is_originating, inviter, is_late, group, legs }
    }

    /// Whether it begins and ends with its one leg: all but those for a session of several.
    fn is_of_one(&self) -> bool {
        self.function == Function::Participating
    }

    fn is_of(&self, record: &Record) -> bool {
        let invited = record.invitations.first();
        let is_same = match self.function {
            Function::Controlling => true,
            Function::Participating => {
                self.is_originating || invited.is_none_or(|invited| invited.invited == self.served)
            }
        };
        let is_function = self.is_late || record.function == self.function;
        is_same && is_function && (record.begun, &record.inviter) == (self.at, &self.inviter)
    }
}

/// The PoC Session Identity, user and host, if the sender of this message is the focus itself (digest 3).
fn identity_of(message: &Message) -> Option<Bytes> {
    let contact = message.addresses(Name::Contact).next()?.ok()?;
    let uri = Uri::parse(contact.uri).ok()?;
    let is_focus = contact.parameters.has(b"isfocus") && !uri.parameters.has(b"identity");
    is_focus.then(|| Bytes::from([uri.user.unwrap_or_default(), b"@", uri.host].concat()))
}

/// Whether nobody waits for it any more, or is in it.
pub(super) fn is_over(received: &Received) -> bool {
    let is_refused = received.decided.as_ref().is_some_and(|decided| decided.status >= 300);
    is_refused || received.released || !received.byes.is_empty()
}
