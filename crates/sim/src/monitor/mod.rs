//! The invariants of `docs/cancel.md`, checked on the wire and on what users are told. A broken one stops the run.

mod agent;
mod controlled;
mod functions;
mod invited;
mod relay;
mod side;
pub mod system;
mod talking;

use std::sync::Arc;

use bytes::Bytes;
use poc::{Event, Outcome};
use sip::transport::Transmit;
use sip::usage::End;
use sip::{Duration, Instant, Message, SessionId};

use self::invited::Invited;
use self::side::{Seen, Side};

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
    /// Shared by copies of the whole until something happens at that client.
    parties: Vec<Arc<Side>>,
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
    /// Further NOTIFYs to somebody who is told of a PoC Session.
    pub notified: u64,
}

impl Checked {
    /// Each count, with its name.
    pub const fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("ended", self.ended),
            ("cancels", self.cancels),
            ("crossings", self.crossings),
            ("terminated", self.terminated),
            ("waited", self.waited),
            ("agreed", self.agreed),
            ("repeated", self.repeated),
            ("unacknowledged", self.unacknowledged),
            ("attempts", self.attempts),
            ("changes", self.changes),
            ("acknowledged", self.acknowledged),
            ("refreshed", self.refreshed),
        ]
    }
}

impl Monitor {
    /// A monitor of so many clients.
    pub fn new(count: usize) -> Self {
        Self { parties: vec![Arc::default(); count], set_up_limit: None, checked: Checked::default() }
    }

    /// The user of `place` ended a session, in whatever state it was.
    pub fn hung_up(&mut self, now: Instant, place: usize, session: SessionId) {
        self.party(place).hung_up(now, session);
    }

    /// The client of `place` began a session.
    pub fn began(&mut self, place: usize, session: SessionId) {
        self.party(place).began(session);
    }

    /// Nothing remains in the client of `place`.
    pub fn emptied(&mut self, now: Instant, place: usize) {
        self.party(place).emptied(now);
    }

    /// `place` sent this.
    pub fn sent(&mut self, now: Instant, place: usize, transmit: &Transmit) {
        let party = Arc::make_mut(&mut self.parties[place]);
        party.sent(now, &written(transmit), transmit, &mut self.checked);
    }

    /// This arrived at `place`.
    pub fn received(&mut self, now: Instant, place: usize, datagram: &Transmit) {
        self.party(place).received(now, &read(datagram), datagram);
    }

    /// `place` told its user this.
    pub fn told(&mut self, now: Instant, place: usize, event: &Event) {
        Arc::make_mut(&mut self.parties[place]).told(now, event, &mut self.checked);
    }

    /// The client of `place` has nothing more to send or to tell in this instant: what it owed has been paid.
    pub fn settled(&mut self, place: usize) {
        self.party(place).settled();
    }

    fn party(&mut self, place: usize) -> &mut Side {
        Arc::make_mut(&mut self.parties[place])
    }

    /// What it remembers of the client of `place`, as a text that differs if that does.
    pub(crate) fn view(&self, place: usize) -> String {
        format!("{:#?}", self.parties[place])
    }

    /// Everything is over: what must be true then.
    pub fn finish(&mut self) {
        for party in &self.parties {
            party.finish(self.set_up_limit, &mut self.checked);
        }
        for place in 0..self.parties.len() {
            for inviter in self.parties[place].sessions.values() {
                let invited = self.parties[place].agent.last_attempt(&inviter.call_id);
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
    /// What each is told of a CANCEL agrees with its own wire: [`Side::finish`].
    fn assert_truth(&self, inviter: &Seen, outcome: &Outcome, invited: &Invited) {
        let branch = branch_of(&invited.invite);
        let received = self.parties.iter().find_map(|party| party.agent.received.get(&branch));
        let peer = self
            .parties
            .iter()
            .filter(|party| party.agent.received.contains_key(&branch))
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
    }
}

/// What was sent, which is what we would accept.
fn written(transmit: &Transmit) -> Message {
    let message = Message::parse(transmit.bytes.clone()).expect("we write what we can read");
    assert_eq!(message.validate(), Ok(()), "we write what we accept: {message:?}");
    message
}

fn read(datagram: &Transmit) -> Message {
    Message::parse(datagram.bytes.clone()).expect("the network keeps octets as they are")
}

fn assert_accepted(peer: Option<(End, Option<u16>)>) {
    let accepted = matches!(peer, Some((End::Left | End::Released | End::NotAcknowledged | End::Lost, _)));
    assert!(accepted, "I13: a 2xx, but the invited side was told {peer:?}");
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
