//! What a user agent does on the wire: the rules that a client and both sides of a server have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::Method;
use sip::transport::{Path, Transmit};
use sip::{Instant, Message};

use super::invited::{Answer, Invited};
use super::{COPIES, Checked, T1_64, TICK, branch_of, call_id_of, is_within, number_of};

/// One user agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Agent {
    /// INVITEs that it sent, by branch.
    pub(super) invited: BTreeMap<Bytes, Invited>,
    /// INVITEs that it received, by branch.
    pub(super) received: BTreeMap<Bytes, Received>,
    /// The dialogs that the peer left: Call-ID and the peer's tag.
    pub(super) released: BTreeSet<(Bytes, Bytes)>,
    /// Call-IDs of sessions that whoever began them has given up.
    pub(super) unwanted: BTreeSet<Bytes>,
    /// Call-IDs of sessions that are over.
    pub(super) over: BTreeSet<Bytes>,
    /// It may have both ends of a dialog, so the Call-ID of a request within one does not tell whose it is.
    pub(super) has_both_ends: bool,
}

/// An INVITE that arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) invite: Message,
    pub(super) call_id: Bytes,
    pub(super) is_change: bool,
    source: SocketAddr,
    /// The tag of its sender.
    peer: Option<Bytes>,
    /// Our To tag, which is one for all responses.
    tag: Option<Bytes>,
    pub(super) decided: Option<Decided>,
    /// A proxy has passed a 2xx on.
    pub(super) is_accepted: bool,
    pub(super) acknowledged: bool,
    /// The first CANCEL that arrived while nothing was decided.
    pub(super) cancel: Option<Message>,
    cancel_answer: Option<(Instant, Bytes)>,
    /// A CANCEL arrived in this instant.
    pub(super) owes_answer: bool,
    /// A copy of an INVITE that was refused arrived in this instant.
    owes_copy: bool,
    pub(super) byes: BTreeSet<Bytes>,
    /// The inviter left.
    pub(super) released: bool,
}

/// The final response to an INVITE.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) at: Instant,
    pub(super) status: u16,
    bytes: Bytes,
    copies: u32,
}

impl Agent {
    /// It sent this.
    pub(super) fn sent(&mut self, now: Instant, message: &Message, path: Path, checked: &mut Checked) {
        let branch = branch_of(message);
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => self.invites(now, message, branch, path, checked),
            (Some(Method::Prack), _) => checked.acknowledged += 1,
            (Some(Method::Update), _) => checked.refreshed += 1,
            (Some(Method::Cancel), _) => {
                let invited =
                    self.invited.get_mut(&branch).expect("I1: a CANCEL has the branch of its INVITE");
                checked.cancels += u64::from(invited.is_cancelled(now, message, path));
            }
            (Some(Method::Ack), _) => self.acknowledges(message, &branch),
            (Some(Method::Bye), _) => self.leaves(now, message, branch),
            (None, Some(status)) => {
                let repeated = self.answers(now, message, path, &branch, status);
                checked.repeated += u64::from(repeated);
            }
            (Some(_), _) | (None, None) => {}
        }
    }

    /// This arrived.
    pub(super) fn received(&mut self, now: Instant, message: &Message, datagram: &Transmit) {
        let source = datagram.path.local;
        let branch = branch_of(message);
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                let first = || Received::new(message.clone(), source);
                self.received
                    .entry(branch)
                    .and_modify(|received| received.is_repeated(now))
                    .or_insert_with(first);
            }
            (Some(Method::Cancel), _) => {
                if let Some(received) = self.received.get_mut(&branch) {
                    received.is_cancelled(message, source);
                }
            }
            (Some(Method::Ack), _) => {
                for (own, received) in &mut self.received {
                    let is_success = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
                    let is_ours = match is_success {
                        true => {
                            let is_same = number_of(&received.invite) == number_of(message);
                            received.is_to(message) && is_same && own != &branch
                        }
                        false => own == &branch,
                    };
                    received.acknowledged |= is_ours && received.decided.is_some();
                }
            }
            (Some(Method::Bye), _) => {
                let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
                let tag = Bytes::copy_from_slice(tag);
                for received in self.received.values_mut() {
                    received.released |= received.is_to(message);
                }
                self.released.insert((call_id_of(message), tag));
            }
            (None, Some(status)) if message.is_cseq_method(Method::Invite) => {
                self.is_answered(now, message, &branch, status);
            }
            (None, Some(200..)) if message.is_cseq_method(Method::Cancel) => {
                if let Some(invited) = self.invited.get_mut(&branch) {
                    invited.cancel_is_answered();
                }
            }
            (None, _) | (Some(_), _) => {}
        }
    }

    /// It has nothing more to send in this instant: what it owed has been paid.
    pub(super) fn settled(&mut self) {
        for invited in self.invited.values_mut() {
            invited.settled();
            // Who leaves a session ends what it asks for in it when the BYE is answered.
            let is_wanted = match invited.is_change {
                true => !self.over.contains(&invited.call_id),
                false => !self.unwanted.contains(&invited.call_id),
            };
            let undecided = invited.provisional && invited.finals.is_empty();
            assert!(
                is_wanted || !undecided || invited.cancel.is_some(),
                "I14: the CANCEL may leave, and does not: {:?}",
                invited.invite
            );
            for (tag, answer) in invited.answers.iter().filter(|(_, answer)| answer.unwanted) {
                let is_released = self.released.contains(&(invited.call_id.clone(), tag.clone()));
                assert!(is_released || answer.byes.len() == 1, "I5: a 2xx after the wish is left at once");
            }
        }
        for received in self.received.values_mut() {
            assert!(!received.owes_answer, "I6: a CANCEL is answered at once");
            assert!(!received.owes_copy, "RFC 3261 §17.2.1: a copy of the INVITE is answered again");
            if received.cancel.is_some() {
                let decided = received.decided.as_ref().map(|decided| decided.status);
                assert_eq!(decided, Some(487), "I6: what is cancelled is answered 487 at once");
            }
        }
    }

    /// Everything is over: what must be true then.
    pub(super) fn finish(&self, checked: &mut Checked) {
        for invited in self.invited.values() {
            invited.finish();
            for (tag, answer) in &invited.answers {
                assert_eq!(answer.acks, answer.copies, "I5: every copy of a 2xx is acknowledged");
                let is_left = invited.is_change || self.has_left(invited, tag, answer);
                assert!(is_left, "I5: every dialog is left, once");
            }
        }
        for received in self.received.values() {
            let decided = received.decided.as_ref().expect("I4: every INVITE gets a final response");
            if decided.status < 300 && !received.is_change {
                assert!(received.released || received.byes.len() == 1, "I5: every dialog is left, once");
            }
            checked.unacknowledged += u64::from(received.is_unacknowledged());
        }
    }

    /// The last attempt of the INVITE that began the session of `call_id`.
    pub(super) fn last_attempt(&self, call_id: &[u8]) -> Option<&Invited> {
        let attempts = self.invited.values().filter(|each| each.is_of(call_id) && !each.is_change);
        attempts.max_by_key(|each| each.place)
    }

    /// Whether a 2xx of ours in the dialog of `received` waits for its ACK, so that no BYE may be sent.
    pub(super) fn waits_for_ack(&self, received: &Received) -> bool {
        self.received.values().any(|each| each.is_beside(received) && each.is_unconfirmed())
    }

    /// Whether a 2xx of ours to a re-INVITE in a session of `call_id` waits for its ACK.
    pub(super) fn is_unconfirmed(&self, call_id: &Bytes) -> bool {
        self.received.values().any(|each| each.is_change && each.is_of(call_id) && each.is_unconfirmed())
    }

    /// Whether the peer gave up a change of a session of `call_id` while it was undecided.
    pub(super) fn is_change_given_up(&self, call_id: &[u8]) -> bool {
        let changes = self.received.values().filter(|each| each.is_change && each.is_of(call_id));
        changes.filter(|each| each.cancel.is_some()).count() > 0
    }

    /// Whether the dialog of `answer` is over, for us or for the peer.
    pub(super) fn has_left(&self, invited: &Invited, tag: &Bytes, answer: &Answer) -> bool {
        answer.byes.len() == 1 || self.released.contains(&(invited.call_id.clone(), tag.clone()))
    }

    fn invites(&mut self, now: Instant, message: &Message, branch: Bytes, path: Path, checked: &mut Checked) {
        if let Some(known) = self.invited.get_mut(&branch) {
            return known.is_repeated(message, path);
        }
        let call_id = message.call_id();
        let is_change = is_within(message);
        let is_wanted = !self.unwanted.contains(call_id) && !self.over.contains(call_id);
        let is_untold = self.has_both_ends && is_change;
        assert!(is_wanted || is_untold, "I3: no new INVITE after the wish");
        let is_again = self.last_attempt(call_id).is_some();
        checked.changes += u64::from(is_change);
        checked.attempts += u64::from(!is_change && is_again);
        let invited = Invited::new(now, self.invited.len(), message.clone(), path);
        self.invited.insert(branch, invited);
    }

    /// A response to an INVITE of ours arrived.
    fn is_answered(&mut self, now: Instant, response: &Message, branch: &Bytes, status: u16) {
        let Some(invited) = self.invited.get_mut(branch) else { return };
        if !invited.is_covered(now) {
            return; // the last who remembered it is gone
        }
        if status < 200 {
            return invited.progresses(now);
        }
        if status >= 300 && invited.is_accepted() {
            return;
        }
        invited.is_decided(now, status);
        invited.owed = Some(1);
        if status < 300 {
            let is_over = self.unwanted.contains(&invited.call_id) || self.over.contains(&invited.call_id);
            let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
            let unwanted = !invited.is_change && (is_over || invited.cancel.is_some());
            let first = Answer { unwanted, ..Answer::default() };
            invited.answers.entry(Bytes::copy_from_slice(tag)).or_insert(first).copies += 1;
        }
    }

    fn acknowledges(&mut self, ack: &Message, branch: &Bytes) {
        if let Some(invited) = self.invited.get_mut(branch) {
            let tag = ack.to().ok().and_then(|to| to.tag().map(<[u8]>::len));
            assert!(tag.is_some(), "the ACK of a failure has the To of the response");
            invited.paid += 1;
            return;
        }
        let tag = ack.to().ok().and_then(|to| to.tag()).unwrap_or_default().to_vec();
        let own = self.invited.values_mut().find(|invited| {
            let is_same = number_of(&invited.invite) == number_of(ack);
            invited.is_of(ack.call_id()) && is_same && invited.answers.contains_key(&tag[..])
        });
        let invited = own.expect("the ACK has the number of its INVITE, and the tag of a 2xx to it");
        invited.paid += 1;
        invited.answers.entry(Bytes::from(tag)).or_default().acks += 1;
    }

    fn leaves(&mut self, now: Instant, bye: &Message, branch: Bytes) {
        if let Some(answer) = self.answer(bye) {
            answer.byes.insert(branch);
            assert!(answer.byes.len() <= 1, "I5: a dialog is left once");
            assert!(answer.acks > 0, "the ACK leaves before the BYE");
            return;
        }
        let received = self.received.values_mut().find(|received| {
            let is_accepted = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
            received.is_from(bye) && is_accepted && !received.is_change
        });
        let received = received.expect("who is invited leaves what it accepted, and nothing else");
        let decided = received.decided.as_ref().expect("found by it");
        let may_leave = received.acknowledged || received.released || now >= decided.at + T1_64;
        assert!(may_leave, "RFC 3261 §15: no BYE before the ACK or the end of the transaction");
        let is_heard = received.acknowledged || received.released || !received.byes.is_empty();
        let is_timely = is_heard || now <= decided.at + T1_64 + TICK;
        assert!(is_timely, "RFC 3261 §13.3.1.4: a 2xx without ACK is left after 64*T1");
        received.byes.insert(branch);
        assert!(received.byes.len() <= 1, "I5: a dialog is left once");
    }

    /// The answer to an INVITE of ours in whose dialog `request` was sent.
    fn answer(&mut self, request: &Message) -> Option<&mut Answer> {
        let tag = request.to().ok()?.tag()?.to_vec();
        let mut matching = self
            .invited
            .values_mut()
            .filter(|invited| invited.is_of(request.call_id()) && !invited.is_change);
        matching.find_map(|invited| invited.answers.get_mut(&tag[..]))
    }

    /// A response to an INVITE that we received, or to its CANCEL. Returns whether it repeats one to a CANCEL.
    fn answers(&mut self, now: Instant, response: &Message, path: Path, branch: &Bytes, status: u16) -> bool {
        let Some(received) = self.received.get_mut(branch) else { return false };
        if received.source != path.remote {
            assert_eq!(status, 481, "I7: a CANCEL from elsewhere is refused");
            return false;
        }
        let to_cancel = response.is_cseq_method(Method::Cancel);
        let to_invite = response.is_cseq_method(Method::Invite);
        if let Some(tag) = response.to().ok().and_then(|to| to.tag()).filter(|_| to_invite || status < 300) {
            let tag = Bytes::copy_from_slice(tag);
            assert_eq!(received.tag.get_or_insert(tag.clone()), &tag, "one To tag for all responses");
        }
        if to_cancel {
            return received.answers_cancel(now, response, status);
        }
        if to_invite && status >= 200 {
            received.decides(now, response, status);
        }
        false
    }
}

impl Received {
    pub(super) fn new(invite: Message, source: SocketAddr) -> Self {
        Self {
            call_id: call_id_of(&invite),
            is_change: is_within(&invite),
            peer: invite.from().ok().and_then(|from| from.tag()).map(Bytes::copy_from_slice),
            invite,
            source,
            tag: None,
            decided: None,
            is_accepted: false,
            acknowledged: false,
            cancel: None,
            cancel_answer: None,
            owes_answer: false,
            owes_copy: false,
            byes: BTreeSet::new(),
            released: false,
        }
    }

    pub(super) fn is_of(&self, call_id: &[u8]) -> bool {
        self.call_id == call_id
    }

    /// The INVITE arrived again. Once its refusal is acknowledged, or timer H has run out, nobody answers it any more.
    fn is_repeated(&mut self, now: Instant) {
        let refused = self.decided.as_ref().filter(|decided| decided.status >= 300 && !self.acknowledged);
        self.owes_copy = refused.is_some_and(|decided| now < decided.at + T1_64);
    }

    /// A CANCEL arrived.
    pub(super) fn is_cancelled(&mut self, cancel: &Message, source: SocketAddr) {
        // I7: a CANCEL from elsewhere is none of this INVITE.
        if self.source == source {
            self.owes_answer = true;
            if !self.is_answered() {
                self.cancel.get_or_insert_with(|| cancel.clone());
            }
        }
    }

    /// Whether a final response was sent, be it that of a proxy or one that it passed on.
    pub(super) fn is_answered(&self) -> bool {
        self.decided.is_some() || self.is_accepted
    }

    /// Whether the ACK of the final response never came, at the end of all.
    pub(super) fn is_unacknowledged(&self) -> bool {
        let decided = self.decided.as_ref().filter(|_| !self.acknowledged && !self.released);
        decided.inspect(|decided| {
            assert!(decided.copies >= COPIES, "a final response is sent until its ACK comes");
        });
        decided.is_some()
    }

    /// Whether `request` is one of the peer in the dialog with us. A server may have both ends of a dialog, and several that
    /// differ in the peer alone.
    fn is_to(&self, request: &Message) -> bool {
        let tags =
            (request.from().ok().and_then(|from| from.tag()), request.to().ok().and_then(|to| to.tag()));
        self.is_of(request.call_id()) && tags == (self.peer.as_deref(), self.tag.as_deref())
    }

    /// Whether `request` is one of ours in that dialog.
    pub(super) fn is_from(&self, request: &Message) -> bool {
        let tags =
            (request.to().ok().and_then(|to| to.tag()), request.from().ok().and_then(|from| from.tag()));
        self.is_of(request.call_id()) && tags == (self.peer.as_deref(), self.tag.as_deref())
    }

    /// Whether a 2xx of ours waits for its ACK.
    fn is_unconfirmed(&self) -> bool {
        !self.acknowledged && self.decided.as_ref().is_some_and(|decided| decided.status < 300)
    }

    /// Whether both came in the same dialog.
    fn is_beside(&self, other: &Self) -> bool {
        (&self.call_id, &self.tag, &self.peer) == (&other.call_id, &other.tag, &other.peer)
    }

    /// A response to the CANCEL. Returns whether it repeats one.
    pub(super) fn answers_cancel(&mut self, now: Instant, response: &Message, status: u16) -> bool {
        self.owes_answer = false;
        let bytes = response.bytes().clone();
        match &self.cancel_answer {
            Some((_, first)) if status < 300 => assert_eq!(*first, bytes, "I8: every copy gets the same"),
            Some((at, _)) => assert!(now >= *at + T1_64, "I8: a copy of the CANCEL is refused"),
            None if status < 300 => self.cancel_answer = Some((now, bytes)),
            None => assert!(self.is_answered(), "I7: the CANCEL of what rings is refused"),
        }
        self.cancel_answer.as_ref().is_some_and(|(at, _)| *at < now)
    }

    /// The final response, or a copy of it.
    pub(super) fn decides(&mut self, now: Instant, response: &Message, status: u16) {
        if self.cancel.is_some() {
            assert!(self.cancel_answer.is_some(), "I6: 200 to the CANCEL, then 487 to the INVITE");
        }
        // A BYE is the end of what was accepted; what was refused waits for its ACK.
        let is_settled = self.acknowledged || (self.released && status < 300);
        assert!(
            !is_settled,
            "a final response is not sent again once its ACK, or a BYE, has come: {response:?}"
        );
        let bytes = response.bytes().clone();
        let first = || Decided { at: now, status, bytes: bytes.clone(), copies: 0 };
        let decided = self.decided.get_or_insert_with(first);
        assert_eq!(decided.bytes, bytes, "I4: one final response an INVITE");
        decided.copies += 1;
        self.owes_copy = false;
    }
}
