//! The invariants of `cancel-cases.md`, checked on the wire and on what users are told. A broken one stops the run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use poc::{Event, Outcome};
use sip::message::{Method, Name};
use sip::usage::{End, Party};
use sip::{Duration, Instant, Message, SessionId};

/// 64*T1 with the default T1.
const T1_64: Duration = Duration::from_secs(32);
/// 256*T1 + 2*T4 (I9), and the ticks of the timer wheel.
const LIFE_MAX: Duration = Duration::from_millis(4 * 32_000 + 10_000 + 50);

/// Reads what happens and knows what must hold.
#[derive(Clone, Debug)]
pub struct Monitor {
    parties: Vec<Side>,
    addresses: Vec<SocketAddr>,
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
}

/// What one client did.
#[derive(Clone, Debug, Default)]
struct Side {
    /// INVITEs that it sent, by branch.
    invited: BTreeMap<Bytes, Invited>,
    /// INVITEs that it received, by branch.
    received: BTreeMap<Bytes, Received>,
    /// How its sessions ended.
    ended: BTreeMap<SessionId, Outcome>,
    begun: BTreeSet<SessionId>,
    /// When its user first ended a session.
    wish: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Invited {
    invite: Message,
    begun: Instant,
    /// Until when a 2xx must be acknowledged; `None` while the user may still wait for it.
    covered_until: Option<Instant>,
    provisional: bool,
    finals: bool,
    cancel: Option<(Instant, Bytes)>,
    /// To tags of 2xx that came, with the copies of each.
    answers: BTreeMap<Bytes, Answer>,
}

#[derive(Clone, Debug, Default)]
struct Answer {
    copies: u32,
    acks: u32,
    byes: BTreeSet<Bytes>,
}

#[derive(Clone, Debug, Default)]
struct Received {
    finals: BTreeSet<Bytes>,
    cancelled: bool,
    cancel_answered: bool,
}

impl Monitor {
    /// A monitor of the clients at `addresses`.
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            parties: vec![Side::default(); addresses.len()],
            addresses,
            set_up_limit: None,
            checked: Checked::default(),
        }
    }

    /// The user of `place` ended a session, in whatever state it was.
    pub fn hung_up(&mut self, now: Instant, place: usize) {
        self.parties[place].wish.get_or_insert(now);
    }

    /// The client of `place` began a session.
    pub fn began(&mut self, place: usize, session: SessionId) {
        self.parties[place].begun.insert(session);
    }

    /// Nothing remains in the client of `place`.
    pub fn emptied(&mut self, now: Instant, place: usize) {
        let party = &mut self.parties[place];
        let wish = party.wish.take().filter(|_| party.begun.len() == 1);
        if let Some(wish) = wish {
            assert!(now - wish <= LIFE_MAX, "I9: something lives until {now:?} after the wish of {wish:?}");
        }
    }

    /// `place` sent these octets.
    pub fn sent(&mut self, now: Instant, place: usize, bytes: &Bytes) {
        let message = Message::parse(bytes.clone()).expect("we write what we can read");
        assert_eq!(message.validate(), Ok(()), "we write what we accept: {message:?}");
        let branch = branch_of(&message);
        let party = &mut self.parties[place];
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                let fresh = Invited {
                    invite: message.clone(),
                    begun: now,
                    covered_until: Some(now + 2 * T1_64),
                    provisional: false,
                    finals: false,
                    cancel: None,
                    answers: BTreeMap::new(),
                };
                let known = party.invited.entry(branch).or_insert(fresh);
                assert_eq!(known.invite, message, "a retransmission is the same octets");
            }
            (Some(Method::Cancel), _) => {
                let invited =
                    party.invited.get_mut(&branch).expect("I1: a CANCEL has the branch of its INVITE");
                assert!(invited.provisional, "I2: no CANCEL before a provisional response");
                assert_identity(&invited.invite, &message);
                match &invited.cancel {
                    Some((_, first)) => assert_eq!(first, bytes, "I2: one CANCEL an INVITE"),
                    None => {
                        assert!(!invited.finals, "I2: no CANCEL after a final response");
                        invited.cancel = Some((now, bytes.clone()));
                        invited.covered_until.get_or_insert(now + 2 * T1_64);
                        self.checked.cancels += 1;
                    }
                }
            }
            (Some(Method::Ack), _) => {
                if let Some(answer) = party.answer(&message, &branch) {
                    answer.acks += 1;
                }
            }
            (Some(Method::Bye), _) => {
                if let Some(answer) = party.answer(&message, &branch) {
                    answer.byes.insert(branch);
                    assert!(answer.byes.len() <= 1, "I5: a dialog is left once");
                    assert!(answer.acks > 0, "the ACK leaves before the BYE");
                }
            }
            (None, Some(status)) => party.answered(&message, branch, status, bytes),
            (Some(_), _) | (None, None) => {}
        }
    }

    /// These octets arrived at `place`.
    pub fn received(&mut self, now: Instant, place: usize, bytes: &Bytes) {
        let message = Message::parse(bytes.clone()).expect("the network keeps octets as they are");
        let branch = branch_of(&message);
        let party = &mut self.parties[place];
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                party.received.entry(branch).or_default();
            }
            (Some(Method::Cancel), _) => {
                if let Some(received) = party.received.get_mut(&branch) {
                    received.cancelled = true;
                }
            }
            (None, Some(status)) if cseq_is(&message, Method::Invite) => {
                let Some(invited) = party.invited.get_mut(&branch) else { return };
                if invited.covered_until.is_some_and(|until| now >= until) {
                    return; // the last who remembered it is gone
                }
                if status < 200 && now < invited.begun + T1_64 && invited.cancel.is_none() && !invited.finals
                {
                    invited.covered_until = None;
                }
                if status >= 200 && !invited.finals {
                    invited.covered_until = Some(now + T1_64);
                }
                invited.provisional |= status < 200;
                invited.finals |= status >= 200;
                if (200..300).contains(&status) {
                    let tag = message.to().ok().and_then(|to| to.tag()).unwrap_or_default();
                    invited.answers.entry(Bytes::copy_from_slice(tag)).or_default().copies += 1;
                }
            }
            (None, _) | (Some(_), _) => {}
        }
    }

    /// `place` told its user this.
    pub fn told(&mut self, now: Instant, place: usize, event: &Event) {
        let party = &mut self.parties[place];
        match event {
            Event::Ended { session, outcome } => {
                let earlier = party.ended.insert(*session, outcome.clone());
                assert_eq!(earlier, None, "I4: one terminal event a session");
                self.checked.ended += 1;
                if let Some(cancelling) = outcome.timing.cancelling() {
                    // The CANCEL leaves with the first 1xx, which comes before timer B if it comes at all.
                    assert!(
                        cancelling <= 2 * T1_64 + Duration::from_millis(10),
                        "I9: {cancelling:?} at {now:?}"
                    );
                }
                let by_us = (outcome.end, outcome.by) == (End::Cancelled, Party::Local);
                match outcome.status {
                    Some(200..=299) if by_us => self.checked.crossings += 1,
                    Some(487) if by_us => self.checked.terminated += 1,
                    None if by_us => self.checked.waited += 1,
                    Some(_) | None => {}
                }
            }
            Event::Progress { session, .. }
            | Event::Invited { session, .. }
            | Event::Established { session, .. } => {
                assert!(!party.ended.contains_key(session), "I4: nothing comes after the end");
                party.begun.insert(*session);
            }
            Event::Disconnect { .. } => {}
        }
    }

    /// Everything is over: what must be true then.
    pub fn finish(&self) {
        for (place, party) in self.parties.iter().enumerate() {
            let address = self.addresses[place];
            for session in &party.begun {
                assert!(party.ended.contains_key(session), "I4: {session} of {address} was never ended");
            }
            for invited in party.invited.values() {
                for answer in invited.answers.values() {
                    assert_eq!(
                        answer.acks, answer.copies,
                        "I5: every copy of a 2xx is acknowledged by {address}"
                    );
                }
            }
            for received in party.received.values() {
                assert!(received.finals.len() <= 1, "I4: one final response an INVITE");
            }
        }
        self.agree();
    }

    /// I13: what both sides were told agrees with the wire.
    fn agree(&self) {
        for party in &self.parties {
            for outcome in party.ended.values() {
                if (outcome.end, outcome.by) == (End::Cancelled, Party::Local) {
                    let lasted = outcome.timing.ended - outcome.timing.begun;
                    let limited = self.set_up_limit.is_some_and(|limit| lasted >= limit);
                    assert!(limited || outcome.timing.cancelled.is_some(), "nobody cancels but the user");
                }
                if (outcome.end, outcome.by) == (End::Cancelled, Party::Remote) {
                    assert_eq!(outcome.status, Some(487), "who is cancelled has said 487");
                }
            }
        }
    }
}

impl Side {
    /// The answer to an INVITE of ours in whose dialog `request` was sent.
    fn answer(&mut self, request: &Message, branch: &Bytes) -> Option<&mut Answer> {
        if self.invited.contains_key(branch) {
            return None; // the ACK of a failure
        }
        let call_id = request.call_id().to_vec();
        let tag = request.to().ok()?.tag()?.to_vec();
        let mut matching = self.invited.values_mut().filter(|invited| invited.invite.call_id() == call_id);
        matching.find_map(|invited| invited.answers.get_mut(&tag[..]))
    }

    fn answered(&mut self, response: &Message, branch: Bytes, status: u16, bytes: &Bytes) {
        let Some(received) = self.received.get_mut(&branch) else { return };
        if cseq_is(response, Method::Cancel) {
            received.cancel_answered = true;
        } else if cseq_is(response, Method::Invite) && status >= 200 {
            if status == 487 && received.cancelled {
                assert!(received.cancel_answered, "I6: 200 to the CANCEL, then 487 to the INVITE");
            }
            received.finals.insert(bytes.clone());
        }
    }
}

/// I1, and the table of `control-plane.md` 14.2.
fn assert_identity(invite: &Message, cancel: &Message) {
    assert_eq!(invite.uri_text(), cancel.uri_text(), "I1: Request-URI");
    for name in [Name::From, Name::To, Name::CallId, Name::Route] {
        assert!(invite.values(name).eq(cancel.values(name)), "I1: {name}");
    }
    assert!(invite.items(Name::Via).take(1).eq(cancel.items(Name::Via)), "I1: the top Via, and no other");
    let number = |message: &Message| message.cseq().map(|cseq| cseq.number);
    assert_eq!(number(invite), number(cancel), "I1: the number of CSeq");
    for name in
        [Name::Require, Name::ProxyRequire, Name::Contact, Name::ContentType, Name::PPreferredIdentity]
    {
        assert_eq!(cancel.value(name), None, "14.2: {name} must not stand in a CANCEL");
    }
    assert!(cancel.body().is_empty(), "14.2: a CANCEL has no body");
}

fn branch_of(message: &Message) -> Bytes {
    let via = message.via().expect("validated");
    message.share(via.branch().expect("ours have one"))
}

fn cseq_is(message: &Message, method: Method) -> bool {
    message.is_cseq_method(method)
}
