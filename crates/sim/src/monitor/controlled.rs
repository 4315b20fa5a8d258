//! What the Controlling PoC Function does to a session of several: digest 10.5, 14.6, I10, I11.

use bytes::Bytes;
use poc::address;
use poc::server::{Group, GroupKind};
use sip::{Duration, Instant};

use super::T1_64;
use super::functions::{Arrival, Functions, is_over};

/// A PoC Session that is controlled here.
#[derive(Clone, Debug)]
pub(super) struct Controlled {
    /// The INVITEs of those who came by themselves, the one that made the session first: places in the arrivals.
    pub(super) arrivals: Vec<usize>,
    /// Call-IDs of those who were invited.
    pub(super) legs: Vec<Bytes>,
    /// Legs that the server has ended in this instant, by Call-ID.
    pub(super) ends: Vec<(Instant, Bytes)>,
    /// Who is to be removed because somebody asked for it.
    pub(super) removed: Vec<Bytes>,
    /// Somebody was invited because somebody else wanted it.
    pub(super) was_extended: bool,
    /// Nobody takes part any more, or ever will.
    pub(super) is_over: bool,
    /// Fewer participants than these are none.
    fewer_than: usize,
    /// It ends with the one whose INVITE made it.
    ends_with_initiator: bool,
    /// Those of its group who invite nobody.
    pub(super) invites_nobody: bool,
    /// It may end because nobody leads it.
    is_led: bool,
    /// Participants without whom its initiator is not answered.
    participants_min: usize,
}

/// From then on a session that nobody refreshes may end.
const REFRESHED: Duration = Duration::from_secs(40);

impl Controlled {
    pub(super) fn new(group: Option<&Group>) -> Self {
        let invites_nobody = group.is_some_and(|group| group.kind == GroupKind::Chat);
        Self {
            arrivals: Vec::new(),
            legs: Vec::new(),
            ends: Vec::new(),
            removed: Vec::new(),
            was_extended: false,
            is_over: false,
            fewer_than: group.map_or(2, |group| group.release.fewer_than.max(1)),
            ends_with_initiator: group.is_some_and(|group| group.release.with_initiator),
            invites_nobody,
            is_led: group.is_some_and(|group| group.kind == GroupKind::Dispatch),
            participants_min: match group {
                Some(_) if invites_nobody => 1,
                Some(group) => group.participants_min.max(2),
                None => 2,
            },
        }
    }
}

impl Functions {
    /// Digest 10.5, 14.6: whether everybody else must be released.
    pub(super) fn must_be_over(&self, session: &Controlled) -> bool {
        let received = |place: &usize| &self.agent.received[&self.arrivals[*place].branch];
        let initiator = received(&session.arrivals[0]);
        if !initiator.is_answered() && !is_over(initiator) {
            return false; // it is being set up, whoever has come meanwhile
        }
        let has_stood = session
            .arrivals
            .iter()
            .any(|place| received(place).decided.as_ref().is_some_and(|decided| decided.status < 300));
        // Who has come once more is still the initiator.
        let first = &self.arrivals[session.arrivals[0]].inviter;
        let mut own = session.arrivals.iter().filter(|place| self.arrivals[**place].inviter == *first);
        let is_gone = own.all(|place| is_over(received(place)));
        // Digest 14.6 step 1: the INVITE that makes the session is its set-up.
        let is_refused = initiator.decided.as_ref().is_some_and(|decided| decided.status >= 300);
        if is_refused
            || !has_stood && is_over(initiator)
            || session.ends_with_initiator && !session.invites_nobody && is_gone
        {
            return true;
        }
        let others = session.arrivals[1..].iter().filter(|place| !is_over(received(place))).count();
        let inside = session.legs.iter().filter(|leg| self.is_inside(leg)).count();
        if !has_stood {
            return false;
        }
        // After an early answer nobody may have accepted yet.
        let is_other = |place: &usize| self.arrivals[*place].inviter != *first;
        let is_confirmed = session.invites_nobody
            || session.arrivals.iter().any(is_other)
            || session.legs.iter().any(|leg| self.has_accepted(leg));
        let connected = others + inside + usize::from(!is_over(initiator));
        match is_confirmed {
            true => connected < session.fewer_than,
            false => is_gone,
        }
    }

    /// What must hold of a session in every instant.
    pub(super) fn assert_session(&self, session: &mut Controlled) {
        let received = |place: &usize| &self.agent.received[&self.arrivals[*place].branch];
        let ends = std::mem::take(&mut session.ends);
        if session.is_over {
            self.assert_released(&session.legs);
            for place in &session.arrivals {
                let each = received(place);
                let is_told = is_over(each) || self.agent.waits_for_ack(each);
                let who = &self.arrivals[*place].inviter;
                assert!(is_told, "digest 10.5: {who:?} is left in a session that is over: {session:?}");
            }
            return;
        }
        for (at, call_id) in ends {
            self.assert_justified(session, at, &call_id);
        }
        let initiator = received(&session.arrivals[0]);
        let first = &self.arrivals[session.arrivals[0]].inviter;
        let mut own = session.arrivals.iter().filter(|place| self.arrivals[**place].inviter == *first);
        let mut others = session.arrivals.iter().filter(|place| self.arrivals[**place].inviter != *first);
        let is_alone = others.all(|place| is_over(received(place)));
        let is_deserted = !session.legs.is_empty() && session.legs.iter().all(|leg| self.is_dead(leg));
        let is_told = own.all(|place| is_over(received(place)) || self.agent.waits_for_ack(received(place)));
        assert!(
            is_told || !is_deserted || !is_alone || session.invites_nobody || !self.invites_at_once,
            "I14: everybody invited is gone, and the inviter is not told"
        );
        let is_accepted = initiator.decided.as_ref().is_some_and(|decided| decided.status < 300);
        if is_accepted && !self.answers_early() {
            let accepted = session.legs.iter().filter(|leg| self.has_answered(leg)).count();
            let others = session.arrivals.len() - 1;
            let is_enough = accepted + others + 1 >= session.participants_min;
            assert!(is_enough, "digest 7.5: 200, and {accepted} have accepted");
        }
    }

    /// I10, T18: of a session that goes on nobody is sent away without a reason of its own.
    fn assert_justified(&self, session: &Controlled, at: Instant, call_id: &Bytes) {
        let is_removed = |address: &Bytes| session.removed.contains(address);
        let comes_again = |address: &Bytes| {
            let by = session.arrivals.iter().map(|place| &self.arrivals[*place]);
            by.filter(|arrival| address::canonical(&arrival.inviter).as_ref() == Some(address)).count()
        };
        let is_justified = match self.agent.last_attempt(call_id).filter(|_| session.legs.contains(call_id)) {
            Some(invited) => {
                let address = address::canonical(invited.invite.uri_text()).unwrap_or_default();
                let is_late = at >= invited.begun + self.set_up_limit;
                is_removed(&address)
                    || comes_again(&address) > 0
                    || is_late
                    || invited.cancel.is_some() && invited.answers.values().any(|answer| answer.unwanted)
            }
            None => {
                let own = session.arrivals.iter().map(|place| &self.arrivals[*place]);
                let mut own = own.filter(|arrival| self.agent.received[&arrival.branch].is_of(call_id));
                own.any(|arrival| {
                    let address = address::canonical(&arrival.inviter).unwrap_or_default();
                    let decided = self.agent.received[&arrival.branch].decided.as_ref();
                    let is_late = decided.is_some_and(|decided| at >= decided.at + T1_64.min(REFRESHED));
                    is_removed(&address) || comes_again(&address) > 1 || is_late
                })
            }
        };
        // The BYE of who was sent away may still wait for the ACK of our 200.
        let is_leaving = |arrival: &Arrival| {
            let address = address::canonical(&arrival.inviter).unwrap_or_default();
            is_removed(&address) && self.agent.waits_for_ack(&self.agent.received[&arrival.branch])
        };
        let mut own = session.arrivals.iter().map(|place| &self.arrivals[*place]);
        let may_be_over = session.is_led || own.any(is_leaving);
        assert!(
            is_justified || may_be_over || self.was_removed,
            "I10: a session goes on, and somebody is sent away: {call_id:?} of {session:?}"
        );
    }

    /// Whether somebody has accepted who was still wanted.
    fn has_accepted(&self, call_id: &Bytes) -> bool {
        let last = self.agent.last_attempt(call_id);
        last.is_some_and(|invited| invited.answers.values().any(|answer| !answer.unwanted))
    }

    fn has_answered(&self, call_id: &Bytes) -> bool {
        self.agent.last_attempt(call_id).is_some_and(|invited| !invited.answers.is_empty())
    }

    /// Whether a leg is connected.
    fn is_inside(&self, call_id: &Bytes) -> bool {
        self.agent.last_attempt(call_id).is_some_and(|invited| {
            invited.answers.iter().any(|(tag, answer)| !self.agent.has_left(invited, tag, answer))
        })
    }
}
