//! The invariants of `docs/cancel.md`, checked on the wire and on what users are told. A broken one stops the run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use poc::{Event, Outcome};
use sip::message::{Method, Name};
use sip::transport::{Path, Transmit};
use sip::usage::{End, Party};
use sip::{Duration, Instant, Message, SessionId};

/// The default T1.
const T1: Duration = Duration::from_millis(500);
/// 64*T1.
const T1_64: Duration = Duration::from_secs(32);
/// How late the timer wheel may be.
const TICK: Duration = Duration::from_millis(10);
/// 256*T1 + 2*T4 (I9), and the ticks of the timer wheel.
const LIFE_MAX: Duration = Duration::from_millis(4 * 32_000 + 10_000 + 50);
/// Copies of a final response, or of a CANCEL, in 64*T1: after 0, 0.5, 1.5, 3.5 and 7.5 s, then each 4 s.
const COPIES: u32 = 11;
/// Copies of an INVITE in 64*T1: after 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
const INVITE_COPIES: u32 = 7;

/// Reads what happens and knows what must hold.
#[derive(Clone, Debug)]
pub struct Monitor {
    parties: Vec<Side>,
    /// The set-up limit of the clients, if they have one.
    pub set_up_limit: Option<Duration>,
    /// Events that were counted, so that a test can see that something was checked.
    pub checked: Checked,
}

/// What a run has exercised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Sessions that ended.
    pub ended: u64,
    /// CANCELs sent for the first time.
    pub cancels: u64,
    /// 2xx that came after the wish and were left.
    pub crossings: u64,
    /// Inviters whose cancelling was settled by 487.
    pub terminated: u64,
    /// Wishes that were carried out only when a provisional response came, or never.
    pub waited: u64,
    /// Invitations whose two ends were compared (I13).
    pub agreed: u64,
    /// Copies of a CANCEL that were answered again (I8).
    pub repeated: u64,
    /// Final responses that were sent until 64*T1 had passed, since no ACK came.
    pub unacknowledged: u64,
    /// Further attempts of an INVITE: after 422, or to another target.
    pub attempts: u64,
    /// re-INVITEs.
    pub changes: u64,
    /// PRACKs.
    pub acknowledged: u64,
    /// Refreshes of a session, by UPDATE.
    pub refreshed: u64,
}

/// What one client did.
#[derive(Clone, Debug, Default)]
struct Side {
    /// INVITEs that it sent, by branch.
    invited: BTreeMap<Bytes, Invited>,
    /// INVITEs that it received, by branch.
    received: BTreeMap<Bytes, Received>,
    sessions: BTreeMap<SessionId, Seen>,
    /// A session that was begun and whose INVITE has not been seen yet.
    starting: Option<SessionId>,
    /// The Call-ID of an INVITE that has just arrived and whose session has not been seen yet.
    arriving: Option<Bytes>,
    /// The dialogs that the peer left: Call-ID and the peer's tag.
    released: BTreeSet<(Bytes, Bytes)>,
    /// When its user first ended a session, or when that had an end by itself.
    wish: Option<Instant>,
}

/// What is known of a session.
#[derive(Clone, Debug)]
struct Seen {
    call_id: Bytes,
    wish: Option<Wish>,
    outcome: Option<Outcome>,
}

/// The user ended a session.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// No final response to the INVITE was known then.
    undecided: bool,
}

#[derive(Clone, Debug)]
struct Invited {
    invite: Message,
    /// How many others the client had sent before.
    place: usize,
    path: Path,
    begun: Instant,
    copies: u32,
    /// Until when a 2xx must be acknowledged; `None` while the user may still wait for it.
    covered_until: Option<Instant>,
    provisional: bool,
    /// The status codes of the final responses that came.
    finals: BTreeSet<u16>,
    cancel: Option<(Instant, Bytes)>,
    cancel_copies: u32,
    cancel_last: Option<Instant>,
    /// A final response to the CANCEL came.
    cancel_answered: bool,
    /// To tags of 2xx that came, with what became of each.
    answers: BTreeMap<Bytes, Answer>,
    /// ACKs that this instant owes, and those that it has brought.
    owed: Option<u32>,
    paid: u32,
}

#[derive(Clone, Debug, Default)]
struct Answer {
    copies: u32,
    acks: u32,
    byes: BTreeSet<Bytes>,
    /// It came after the wish.
    unwanted: bool,
}

#[derive(Clone, Debug)]
struct Received {
    invite: Message,
    source: SocketAddr,
    /// Our To tag, which is one for all responses.
    tag: Option<Bytes>,
    decided: Option<Decided>,
    acknowledged: bool,
    /// The first CANCEL that arrived while nothing was decided.
    cancel: Option<Message>,
    cancel_answer: Option<(Instant, Bytes)>,
    /// A CANCEL arrived in this instant.
    owes_answer: bool,
    byes: BTreeSet<Bytes>,
    /// The inviter left.
    released: bool,
}

/// The final response to an INVITE.
#[derive(Clone, Debug)]
struct Decided {
    at: Instant,
    status: u16,
    bytes: Bytes,
    copies: u32,
}

impl Monitor {
    /// A monitor of so many clients.
    pub fn new(count: usize) -> Self {
        Self { parties: vec![Side::default(); count], set_up_limit: None, checked: Checked::default() }
    }

    /// The user of `place` ended a session, in whatever state it was.
    pub fn hung_up(&mut self, now: Instant, place: usize, session: SessionId) {
        let party = &mut self.parties[place];
        party.wish.get_or_insert(now);
        let Some(seen) = party.sessions.get_mut(&session) else { return };
        let undecided = match last_attempt(&party.invited, &seen.call_id) {
            Some(invited) => invited.finals.is_empty(),
            None => true, // the INVITE has not even left
        };
        seen.wish.get_or_insert(Wish { undecided });
    }

    /// The client of `place` began a session.
    pub fn began(&mut self, place: usize, session: SessionId) {
        self.parties[place].starting = Some(session);
    }

    /// Nothing remains in the client of `place`.
    pub fn emptied(&mut self, now: Instant, place: usize) {
        let party = &mut self.parties[place];
        for session in party.sessions.values() {
            assert!(session.outcome.is_some(), "I4: nothing remains of a session whose end was not told");
        }
        let wish = party.wish.take().filter(|_| party.sessions.len() == 1);
        if let Some(wish) = wish {
            assert!(now - wish <= LIFE_MAX, "I9: something lives until {now:?} after the wish of {wish:?}");
        }
    }

    /// `place` sent this.
    pub fn sent(&mut self, now: Instant, place: usize, transmit: &Transmit) {
        let (bytes, path) = (&transmit.bytes, transmit.path);
        let message = Message::parse(bytes.clone()).expect("we write what we can read");
        assert_eq!(message.validate(), Ok(()), "we write what we accept: {message:?}");
        let branch = branch_of(&message);
        let party = &mut self.parties[place];
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                let is_change = is_within(&message);
                let count = party.invited.len();
                let is_again = last_attempt(&party.invited, &call_id_of(&message)).is_some();
                party.invites(now, message, branch, path);
                let is_new = party.invited.len() > count;
                self.checked.changes += u64::from(is_new && is_change);
                self.checked.attempts += u64::from(is_new && !is_change && is_again);
            }
            (Some(Method::Prack), _) => self.checked.acknowledged += 1,
            (Some(Method::Update), _) => self.checked.refreshed += 1,
            (Some(Method::Cancel), _) => {
                let invited =
                    party.invited.get_mut(&branch).expect("I1: a CANCEL has the branch of its INVITE");
                assert!(invited.provisional, "I2: no CANCEL before a provisional response");
                assert_identity(&invited.invite, &message);
                assert_eq!(invited.path, path, "I1: a CANCEL goes the way of its INVITE");
                invited.cancel_copies += 1;
                let previous = invited.cancel_last.replace(now);
                match &invited.cancel {
                    Some((_, first)) => {
                        assert_eq!(first, bytes, "I2: one CANCEL an INVITE");
                        assert!(!invited.cancel_answered, "a CANCEL that was answered is not sent again");
                        let timely = previous.is_some_and(|previous| now >= previous + T1);
                        assert!(timely, "I2: a CANCEL is sent again by timer E, and by nothing else");
                    }
                    None => {
                        assert!(invited.finals.is_empty(), "I2: no CANCEL after a final response");
                        invited.cancel = Some((now, bytes.clone()));
                        invited.covered_until.get_or_insert(now + 2 * T1_64);
                        self.checked.cancels += 1;
                    }
                }
            }
            (Some(Method::Ack), _) => party.acknowledges(&message, &branch),
            (Some(Method::Bye), _) => party.leaves(now, &message, branch),
            (None, Some(status)) => {
                let repeated = party.answers(now, &message, path, &branch, status);
                self.checked.repeated += u64::from(repeated);
            }
            (Some(_), _) | (None, None) => {}
        }
    }

    /// This arrived at `place`.
    pub fn received(&mut self, now: Instant, place: usize, datagram: &Transmit) {
        let source = datagram.path.local;
        let message = Message::parse(datagram.bytes.clone()).expect("the network keeps octets as they are");
        let branch = branch_of(&message);
        let party = &mut self.parties[place];
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                let call_id = call_id_of(&message);
                if !party.sessions.values().any(|session| session.call_id == call_id) {
                    party.arriving = Some(call_id);
                }
                party.received.entry(branch).or_insert_with(|| Received::new(message, source));
            }
            (Some(Method::Cancel), _) => {
                let known = party.received.get_mut(&branch);
                // I7: a CANCEL from elsewhere is none of this INVITE.
                if let Some(received) = known.filter(|received| received.source == source) {
                    received.owes_answer = true;
                    if received.decided.is_none() {
                        received.cancel.get_or_insert(message);
                    }
                }
            }
            (Some(Method::Ack), _) => {
                for (own, received) in &mut party.received {
                    let is_success = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
                    let is_ours = match is_success {
                        true => {
                            let is_same = number_of(&received.invite) == number_of(&message);
                            received.is_of(&call_id_of(&message)) && is_same && own != &branch
                        }
                        false => own == &branch,
                    };
                    received.acknowledged |= is_ours && received.decided.is_some();
                }
            }
            (Some(Method::Bye), _) => {
                let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
                let tag = Bytes::copy_from_slice(tag);
                for received in party.received.values_mut() {
                    received.released |= received.is_of(&call_id_of(&message));
                }
                party.released.insert((call_id_of(&message), tag));
            }
            (None, Some(status)) if message.is_cseq_method(Method::Invite) => {
                party.is_answered(now, &message, &branch, status);
            }
            (None, Some(200..)) if message.is_cseq_method(Method::Cancel) => {
                if let Some(invited) = party.invited.get_mut(&branch) {
                    invited.cancel_answered = true;
                }
            }
            (None, _) | (Some(_), _) => {}
        }
    }

    /// `place` told its user this.
    pub fn told(&mut self, now: Instant, place: usize, event: &Event) {
        let Some(session) = event.session() else { return };
        let party = &mut self.parties[place];
        if !party.sessions.contains_key(&session) {
            let call_id = party.arriving.take().expect("a session begins by an INVITE that is not a copy");
            party.sessions.insert(session, Seen { call_id, wish: None, outcome: None });
        }
        let seen = party.sessions.get_mut(&session).expect("entered above");
        assert!(seen.outcome.is_none(), "I4: one terminal event a session, and nothing after it");
        let Event::Ended { outcome, .. } = event else { return };
        seen.outcome = Some(outcome.clone());
        self.checked.ended += 1;
        let invited = last_attempt(&party.invited, &seen.call_id);
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
            Some(200..=299) if by_us => self.checked.crossings += 1,
            Some(487) if by_us => self.checked.terminated += 1,
            None if by_us => self.checked.waited += 1,
            Some(_) | None => {}
        }
    }

    /// The client of `place` has nothing more to send or to tell in this instant: what it owed has been paid.
    pub fn settled(&mut self, place: usize) {
        let Side { invited, received, sessions, arriving, released, .. } = &mut self.parties[place];
        *arriving = None;
        for invited in invited.values_mut() {
            if let Some(owed) = invited.owed.take() {
                assert_eq!(invited.paid, owed, "I5: each copy of a final response is acknowledged, at once");
            }
            invited.paid = 0;
            let call_id = call_id_of(&invited.invite);
            let session = sessions.values().find(|session| session.call_id == call_id);
            // Who leaves a session ends what it asks for in it when the BYE is answered.
            let is_wanted = session.is_none_or(|session| match is_within(&invited.invite) {
                true => session.outcome.is_none(),
                false => session.wish.is_none(),
            });
            let undecided = invited.provisional && invited.finals.is_empty();
            assert!(
                is_wanted || !undecided || invited.cancel.is_some(),
                "I14: the CANCEL may leave, and does not"
            );
            for (tag, answer) in invited.answers.iter().filter(|(_, answer)| answer.unwanted) {
                let is_released = released.contains(&(call_id.clone(), tag.clone()));
                assert!(is_released || answer.byes.len() == 1, "I5: a 2xx after the wish is left at once");
            }
        }
        for received in received.values_mut() {
            assert!(!received.owes_answer, "I6: a CANCEL is answered at once");
            if received.cancel.is_none() {
                continue;
            }
            let decided = received.decided.as_ref().map(|decided| decided.status);
            assert_eq!(decided, Some(487), "I6: what is cancelled is answered 487 at once");
            let mut sessions = sessions.values().filter(|session| received.is_of(&session.call_id));
            let is_change = is_within(&received.invite);
            let is_told = is_change || sessions.all(|session| session.outcome.is_some());
            assert!(is_told, "nobody rings after the CANCEL has arrived");
        }
    }

    /// Everything is over: what must be true then.
    pub fn finish(&mut self) {
        for party in &self.parties {
            assert_eq!(party.starting, None, "a session begins with an INVITE");
            for (session, seen) in &party.sessions {
                assert!(seen.outcome.is_some(), "I4: {session} was never ended");
            }
            for invited in party.invited.values() {
                let call_id = call_id_of(&invited.invite);
                let silent = !invited.provisional && invited.finals.is_empty();
                assert!(
                    !silent || invited.copies >= INVITE_COPIES,
                    "an INVITE is sent until an answer comes"
                );
                let unheard = invited.cancel.is_some() && !invited.cancel_answered;
                assert!(
                    !unheard || invited.cancel_copies >= COPIES,
                    "a CANCEL is sent until an answer comes"
                );
                for (tag, answer) in &invited.answers {
                    assert_eq!(answer.acks, answer.copies, "I5: every copy of a 2xx is acknowledged");
                    let is_released = party.released.contains(&(call_id.clone(), tag.clone()));
                    let is_change = is_within(&invited.invite);
                    let is_left = is_change || is_released || answer.byes.len() == 1;
                    assert!(is_left, "I5: every dialog is left, once");
                }
            }
            for received in party.received.values() {
                let decided = received.decided.as_ref().expect("I4: every INVITE gets a final response");
                if decided.status < 300 && !is_within(&received.invite) {
                    assert!(received.released || received.byes.len() == 1, "I5: every dialog is left, once");
                }
                if !received.acknowledged && !received.released {
                    assert!(decided.copies >= COPIES, "a final response is sent until its ACK comes");
                    self.checked.unacknowledged += 1;
                }
            }
        }
        for place in 0..self.parties.len() {
            for inviter in self.parties[place].sessions.values() {
                let invited = last_attempt(&self.parties[place].invited, &inviter.call_id);
                if let (Some(invited), Some(outcome)) = (invited, &inviter.outcome) {
                    self.assert_truth(inviter, outcome, invited);
                    self.checked.agreed += 1;
                }
            }
        }
    }

    /// I13: what both sides of an invitation were told agrees with the wire, and so with each other.
    ///
    /// | inviter was told | so the invited side sent | and was told |
    /// |---|---|---|
    /// | a 2xx, or that it was in session | a 2xx | left, released, or not acknowledged |
    /// | 487 | 487 | cancelled or expired |
    /// | 422 | that one | nothing |
    /// | another final response | that one | refused with it, expired with it, or not acknowledged (504) |
    /// | nothing came | anything | anything |
    ///
    /// And the other way round: who was told that it was cancelled has received a CANCEL and sent 487; and an inviter
    /// that sent CANCEL, or whose user gave up before a final response came, was told that it cancelled.
    fn assert_truth(&self, inviter: &Seen, outcome: &Outcome, invited: &Invited) {
        let branch = branch_of(&invited.invite);
        let received = self.parties.iter().find_map(|party| party.received.get(&branch));
        let peer = self
            .parties
            .iter()
            .filter(|party| party.received.contains_key(&branch))
            .find_map(|party| party.sessions.values().find(|each| each.call_id == inviter.call_id))
            .and_then(|seen| seen.outcome.as_ref());
        let sent = received.and_then(|received| received.decided.as_ref()).map(|decided| decided.status);
        let was_in_session = matches!(outcome.end, End::Left | End::Released | End::Lost);
        if outcome.status.is_some() && !was_in_session {
            assert_eq!(outcome.status, sent, "I13: the inviter was told what the invited side sent");
        }
        let peer_end = peer.map(|peer| (peer.end, peer.status));
        match outcome.status {
            _ if was_in_session => assert_accepted(peer_end),
            Some(200..=299) => assert_accepted(peer_end),
            Some(422) => assert_eq!(peer_end, None, "I13: 422, and the invited side was told of it"),
            Some(487) => assert!(
                matches!(peer_end, Some((End::Cancelled | End::Expired, Some(487)))),
                "I13: 487, but the invited side was told {peer_end:?}"
            ),
            Some(status) => assert!(
                matches!(
                    peer_end,
                    Some((End::Rejected | End::Expired | End::NotAcknowledged, told)) if told == Some(status)
                ),
                "I13: {status}, but the invited side was told {peer_end:?}"
            ),
            None => {}
        }
        let cancelled = outcome.end == End::Cancelled;
        if cancelled {
            let lasted = outcome.timing.ended - outcome.timing.begun;
            let limited = self.set_up_limit.is_some_and(|limit| lasted >= limit);
            assert!(limited || inviter.wish.is_some(), "I13: nobody cancels but the user");
            assert_eq!(outcome.by, Party::Local, "I13: an inviter is cancelled by nobody else");
        }
        if inviter.wish.is_some_and(|wish| wish.undecided) {
            assert!(cancelled, "I13: the user gave up in time, and was told {outcome:?}");
        }
        if invited.cancel.is_some() {
            let silent = outcome.end == End::TimedOut; // it left with a 1xx that came after timer B
            assert!(cancelled || silent, "I13: CANCEL was sent, and the user was told {outcome:?}");
        }
        if let Some(peer) = peer.filter(|peer| peer.end == End::Cancelled) {
            let cancel = received.and_then(|received| received.cancel.as_ref());
            let cancel = cancel.expect("I13: cancelled, and no CANCEL came");
            assert_eq!((peer.by, peer.status), (Party::Remote, Some(487)), "I13: who is cancelled says 487");
            assert_eq!(peer.reason.as_deref(), cancel.value(Name::Reason), "I13: the Reason of the CANCEL");
        }
    }
}

fn assert_accepted(peer: Option<(End, Option<u16>)>) {
    let accepted = matches!(peer, Some((End::Left | End::Released | End::NotAcknowledged | End::Lost, _)));
    assert!(accepted, "I13: a 2xx, but the invited side was told {peer:?}");
}

impl Side {
    fn invites(&mut self, now: Instant, message: Message, branch: Bytes, path: Path) {
        if let Some(known) = self.invited.get_mut(&branch) {
            known.copies += 1;
            let unheard = !known.provisional && known.finals.is_empty();
            assert!(unheard, "an INVITE that was answered is not sent again");
            assert_eq!(known.invite, message, "a retransmission is the same octets");
            assert_eq!(known.path, path, "a retransmission goes the same way");
            return;
        }
        let call_id = call_id_of(&message);
        if let Some(session) = self.starting.take() {
            self.sessions.insert(session, Seen { call_id: call_id.clone(), wish: None, outcome: None });
        } else {
            let session = self.sessions.values().find(|session| session.call_id == call_id);
            let is_wanted =
                session.is_some_and(|session| session.wish.is_none() && session.outcome.is_none());
            assert!(is_wanted, "I3: no new INVITE after the wish");
        }
        let invited = Invited {
            invite: message,
            place: self.invited.len(),
            path,
            begun: now,
            copies: 1,
            covered_until: Some(now + 2 * T1_64),
            provisional: false,
            finals: BTreeSet::new(),
            cancel: None,
            cancel_copies: 0,
            cancel_last: None,
            cancel_answered: false,
            answers: BTreeMap::new(),
            owed: None,
            paid: 0,
        };
        self.invited.insert(branch, invited);
    }

    /// A response to an INVITE of ours arrived.
    fn is_answered(&mut self, now: Instant, response: &Message, branch: &Bytes, status: u16) {
        let Some(invited) = self.invited.get_mut(branch) else { return };
        if invited.covered_until.is_some_and(|until| now >= until) {
            return; // the last who remembered it is gone
        }
        let undecided = invited.finals.is_empty();
        if status < 200 {
            if now < invited.begun + T1_64 && invited.cancel.is_none() && undecided {
                invited.covered_until = None;
            }
            invited.provisional = true;
            return;
        }
        if undecided {
            // A failure that comes after giving up is acknowledged, and remembered no longer than that.
            let earlier = invited.covered_until.filter(|_| status >= 300);
            let until = now + T1_64;
            invited.covered_until = Some(earlier.map_or(until, |earlier| earlier.min(until)));
        }
        invited.finals.insert(status);
        invited.owed = Some(1);
        if status < 300 {
            let call_id = call_id_of(&invited.invite);
            let session = self.sessions.values().find(|session| session.call_id == call_id);
            let is_over = session.is_some_and(|each| each.wish.is_some() || each.outcome.is_some());
            let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
            let unwanted = !is_within(&invited.invite) && (is_over || invited.cancel.is_some());
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
        let call_id = call_id_of(ack);
        let tag = ack.to().ok().and_then(|to| to.tag()).unwrap_or_default().to_vec();
        let own = self.invited.values_mut().find(|invited| {
            let is_same = number_of(&invited.invite) == number_of(ack);
            invited.is_of(&call_id) && is_same && invited.answers.contains_key(&tag[..])
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
        let call_id = call_id_of(bye);
        let received = self.received.values_mut().find(|received| {
            let is_accepted = received.decided.as_ref().is_some_and(|decided| decided.status < 300);
            received.is_of(&call_id) && is_accepted && !is_within(&received.invite)
        });
        let received = received.expect("who is invited leaves what it accepted, and nothing else");
        let decided = received.decided.as_ref().expect("found by it");
        let may_leave = received.acknowledged || received.released || now >= decided.at + T1_64;
        assert!(may_leave, "RFC 3261 §15: no BYE before the ACK or the end of the transaction");
        received.byes.insert(branch);
        assert!(received.byes.len() <= 1, "I5: a dialog is left once");
    }

    /// The answer to an INVITE of ours in whose dialog `request` was sent.
    fn answer(&mut self, request: &Message) -> Option<&mut Answer> {
        let call_id = call_id_of(request);
        let tag = request.to().ok()?.tag()?.to_vec();
        let mut matching = self
            .invited
            .values_mut()
            .filter(|invited| invited.is_of(&call_id) && !is_within(&invited.invite));
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
            received.owes_answer = false;
            let bytes = response.bytes().clone();
            match &received.cancel_answer {
                Some((_, first)) if status < 300 => assert_eq!(*first, bytes, "I8: every copy gets the same"),
                Some((at, _)) => assert!(now >= *at + T1_64, "I8: a copy of the CANCEL is refused"),
                None if status < 300 => received.cancel_answer = Some((now, bytes)),
                None => assert!(received.decided.is_some(), "I7: the CANCEL of what rings is refused"),
            }
            return received.cancel_answer.as_ref().is_some_and(|(at, _)| *at < now);
        }
        if to_invite && status >= 200 {
            if received.cancel.is_some() {
                assert!(received.cancel_answer.is_some(), "I6: 200 to the CANCEL, then 487 to the INVITE");
            }
            // A BYE is the end of what was accepted; what was refused waits for its ACK.
            let is_settled = received.acknowledged || (received.released && status < 300);
            assert!(!is_settled, "a final response is not sent again once its ACK, or a BYE, has come");
            let bytes = response.bytes().clone();
            let first = || Decided { at: now, status, bytes: bytes.clone(), copies: 0 };
            let decided = received.decided.get_or_insert_with(first);
            assert_eq!(decided.bytes, bytes, "I4: one final response an INVITE");
            decided.copies += 1;
        }
        false
    }
}

impl Invited {
    fn is_of(&self, call_id: &Bytes) -> bool {
        self.invite.call_id() == call_id.as_ref()
    }
}

impl Received {
    fn new(invite: Message, source: SocketAddr) -> Self {
        Self {
            invite,
            source,
            tag: None,
            decided: None,
            acknowledged: false,
            cancel: None,
            cancel_answer: None,
            owes_answer: false,
            byes: BTreeSet::new(),
            released: false,
        }
    }

    fn is_of(&self, call_id: &Bytes) -> bool {
        self.invite.call_id() == call_id.as_ref()
    }
}

/// I1, and the table of digest 14.2.
fn assert_identity(invite: &Message, cancel: &Message) {
    assert_eq!(invite.uri_text(), cancel.uri_text(), "I1: Request-URI");
    for name in [Name::From, Name::To, Name::CallId, Name::Route] {
        assert!(invite.values(name).eq(cancel.values(name)), "I1: {name}");
    }
    assert!(invite.items(Name::Via).take(1).eq(cancel.items(Name::Via)), "I1: the top Via, and no other");
    assert_eq!(number_of(invite), number_of(cancel), "I1: the number of CSeq");
    let own = [Name::Via, Name::MaxForwards, Name::Route, Name::From, Name::To, Name::CallId, Name::CSeq];
    let further = [Name::Reason, Name::UserAgent, Name::ContentLength];
    for header in cancel.headers() {
        let name = header.name;
        assert!(own.contains(&name) || further.contains(&name), "14.2: {name} must not stand in a CANCEL");
    }
    assert_eq!(cancel.value(Name::MaxForwards), Some(&b"70"[..]), "14.2: Max-Forwards");
    assert!(cancel.body().is_empty(), "14.2: a CANCEL has no body");
}

/// The last attempt of the INVITE that began the session of `call_id`.
fn last_attempt<'a>(invited: &'a BTreeMap<Bytes, Invited>, call_id: &Bytes) -> Option<&'a Invited> {
    let attempts = invited.values().filter(|each| each.is_of(call_id) && !is_within(&each.invite));
    attempts.max_by_key(|each| each.place)
}

/// Whether it is a request of a session that stands: a re-INVITE and its CANCEL.
fn is_within(request: &Message) -> bool {
    request.to().is_ok_and(|to| to.tag().is_some())
}

fn number_of(message: &Message) -> Option<u32> {
    message.cseq().ok().map(|cseq| cseq.number)
}

fn branch_of(message: &Message) -> Bytes {
    let via = message.via().expect("validated");
    message.share(via.branch().expect("ours have one"))
}

fn call_id_of(message: &Message) -> Bytes {
    message.share(message.call_id())
}
