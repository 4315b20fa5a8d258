//! What a proxy does on the wire: RFC 3261 §16.6 to §16.10 as far as INVITE and CANCEL go, hop by hop (C05).

use std::collections::BTreeMap;

use bytes::Bytes;
use sip::message::{Method, Name, Via};
use sip::transport::{Path, Transmit};
use sip::{Duration, Instant, Message};

use super::agent::Received;
use super::invited::Invited;
use super::{Checked, branch_of, is_within};

/// One proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Relay {
    /// INVITEs that it received, by branch.
    pub(super) incoming: BTreeMap<Bytes, Incoming>,
    /// INVITEs that it made of them, by branch.
    pub(super) outgoing: BTreeMap<Bytes, Outgoing>,
    /// It was told to stop.
    pub(super) is_stopped: bool,
}

/// An INVITE that arrived.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) received: Received,
    /// It was challenged, or came too late, and was answered without a transaction.
    is_challenged: bool,
    /// It would make a dialog, and the proxy was told to stop before it came.
    is_late: bool,
    /// 2xx of this instant that have not been passed on.
    owed: u32,
    /// Branches.
    pub(super) branches: Vec<Bytes>,
}

/// A branch of one.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) invited: Invited,
    /// The branch of the INVITE that it was made of.
    pub(super) parent: Bytes,
}

/// Timer C: a branch that rings as long as this without another 1xx is cancelled (RFC 3261 §16.8).
const TIMER_C: Duration = Duration::from_secs(200);

/// What a proxy says by itself: nobody is there, nobody is known, nobody answered, nobody could be asked, or it is full.
const OWN: [u16; 10] = [403, 404, 408, 440, 480, 482, 483, 500, 502, 503];

impl Relay {
    /// It sent this.
    pub(super) fn sent(&mut self, now: Instant, message: &Message, path: Path, checked: &mut Checked) {
        let branch = branch_of(message);
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => self.passes_on(now, message, branch, path),
            (Some(Method::Cancel), _) => {
                let outgoing = self.outgoing.get_mut(&branch);
                let outgoing = outgoing.expect("I1: a CANCEL has the branch of the INVITE of its hop");
                let is_first = outgoing.invited.is_cancelled(now, message, path);
                checked.cancels += u64::from(is_first);
                if is_first {
                    self.assert_reason_to_cancel(now, &branch);
                }
            }
            (Some(Method::Ack), _) => {
                // That of a 2xx has a branch of its own.
                if let Some(outgoing) = self.outgoing.get_mut(&branch) {
                    outgoing.invited.paid += 1;
                }
            }
            (None, Some(status)) if message.is_cseq_method(Method::Invite) => {
                self.answers(now, message, &branch, status);
            }
            (None, Some(status)) if message.is_cseq_method(Method::Cancel) => {
                if let Some(incoming) = self.incoming.get_mut(&branch) {
                    checked.repeated += u64::from(incoming.received.answers_cancel(now, message, status));
                }
            }
            (Some(_), _) | (None, _) => {}
        }
    }

    /// This arrived.
    pub(super) fn received(&mut self, now: Instant, message: &Message, datagram: &Transmit) {
        let source = datagram.path.local;
        let branch = branch_of(message);
        match (message.method(), message.status()) {
            (Some(Method::Invite), _) => {
                let is_late = self.is_stopped && !is_within(message);
                self.incoming.entry(branch).or_insert_with(|| Incoming {
                    received: Received::new(message.clone(), source),
                    is_challenged: false,
                    is_late,
                    owed: 0,
                    branches: Vec::new(),
                });
            }
            (Some(Method::Cancel), _) => {
                if let Some(incoming) = self.incoming.get_mut(&branch) {
                    incoming.received.is_cancelled(message, source);
                }
            }
            (Some(Method::Ack), _) => {
                if let Some(incoming) = self.incoming.get_mut(&branch) {
                    incoming.received.acknowledged |= incoming.received.decided.is_some();
                }
            }
            (None, Some(status)) if message.is_cseq_method(Method::Invite) => {
                let Some(outgoing) = self.outgoing.get_mut(&branch) else { return };
                if !outgoing.invited.is_covered(now) {
                    return; // the last who remembered it is gone
                }
                match status {
                    ..200 => outgoing.invited.progresses(now),
                    200..300 => {
                        outgoing.invited.is_decided(now, status);
                        let incoming = self.incoming.get_mut(&outgoing.parent);
                        incoming.expect("it was made of one").owed += 1;
                    }
                    300.. if outgoing.invited.is_accepted() => {}
                    300.. => {
                        outgoing.invited.is_decided(now, status);
                        outgoing.invited.owed = Some(1);
                    }
                }
            }
            (None, Some(200..)) if message.is_cseq_method(Method::Cancel) => {
                if let Some(outgoing) = self.outgoing.get_mut(&branch) {
                    outgoing.invited.cancel_is_answered();
                }
            }
            (None, _) | (Some(_), _) => {}
        }
    }

    /// It has nothing more to send in this instant.
    pub(super) fn settled(&mut self) {
        for incoming in self.incoming.values() {
            assert!(!incoming.received.owes_answer, "I6: a CANCEL is answered at once");
            assert_eq!(incoming.owed, 0, "RFC 3261 §16.7 step 5: every 2xx is passed on, at once");
        }
        for outgoing in self.outgoing.values_mut() {
            outgoing.invited.settled();
            let undecided = outgoing.invited.provisional && outgoing.invited.finals.is_empty();
            if !undecided || outgoing.invited.cancel.is_some() {
                continue;
            }
            let incoming = &self.incoming[&outgoing.parent];
            assert!(incoming.received.cancel.is_none(), "I11, I14: a branch may be cancelled, and is not");
            assert!(
                !incoming.received.is_accepted,
                "RFC 3261 §16.7 step 10: a branch that lost is cancelled"
            );
        }
    }

    /// Everything is over: what must be true then.
    pub(super) fn finish(&self, checked: &mut Checked) {
        for incoming in self.incoming.values().filter(|incoming| !incoming.is_challenged) {
            let received = &incoming.received;
            assert!(received.is_answered(), "I4: every INVITE gets a final response");
            checked.unacknowledged += u64::from(received.is_unacknowledged());
        }
        for outgoing in self.outgoing.values() {
            outgoing.invited.finish();
        }
    }

    fn passes_on(&mut self, now: Instant, message: &Message, branch: Bytes, path: Path) {
        if let Some(known) = self.outgoing.get_mut(&branch) {
            return known.invited.is_repeated(message, path);
        }
        let below = message.items(Name::Via).nth(1).and_then(|via| Via::parse(via)?.branch());
        let parent = message.share(below.expect("a proxy invents no INVITE"));
        let incoming = self.incoming.get_mut(&parent).expect("a proxy invents no INVITE");
        assert!(incoming.received.cancel.is_none(), "I3, I11: no new branch after the CANCEL");
        assert!(
            !incoming.is_late,
            "nothing that makes a dialog is passed on by a core that was told to stop"
        );
        let is_answered = incoming.received.is_answered();
        assert!(!is_answered, "no new branch after the final response");
        incoming.branches.push(branch.clone());
        let invited = Invited::new(now, self.outgoing.len(), message.clone(), path);
        self.outgoing.insert(branch, Outgoing { invited, parent });
    }

    /// A proxy cancels because it was told to, because another branch has answered, by timer C, or because it has given up
    /// and said so.
    fn assert_reason_to_cancel(&self, now: Instant, branch: &Bytes) {
        let outgoing = &self.outgoing[branch];
        let incoming = &self.incoming[&outgoing.parent];
        let mut finals = self.finals_of(incoming);
        let is_decided = finals.any(|status| (200..300).contains(&status) || status >= 600);
        let is_limited = now >= outgoing.invited.begun + TIMER_C;
        let is_told = incoming.received.cancel.is_some() || incoming.received.is_answered();
        assert!(is_told || is_decided || is_limited, "I10: nobody cancels a branch but who is upstream");
    }

    fn finals_of(&self, incoming: &Incoming) -> impl Iterator<Item = u16> {
        let branches = incoming.branches.iter();
        branches.flat_map(|branch| self.outgoing[branch].invited.finals.iter().copied())
    }

    /// A response to an INVITE.
    fn answers(&mut self, now: Instant, response: &Message, branch: &Bytes, status: u16) {
        let Some(incoming) = self.incoming.get_mut(branch) else { return };
        match status {
            ..200 => {}
            401 | 407 if incoming.branches.is_empty() => incoming.is_challenged = true,
            503 if incoming.is_late || incoming.is_challenged => incoming.is_challenged = true,
            200..300 => {
                assert!(incoming.owed > 0, "a proxy accepts nothing by itself");
                incoming.owed -= 1;
                incoming.received.is_accepted = true;
            }
            _ => {
                let is_new = incoming.received.decided.is_none();
                let is_late = is_new && incoming.received.is_accepted;
                assert!(!is_late, "RFC 3261 §16.7 step 5: no failure after a 2xx");
                incoming.received.decides(now, response, status);
                let incoming = &self.incoming[branch];
                let said = self.finals_of(incoming).any(|each| each == status);
                let is_cancelled = status == 487 && incoming.received.cancel.is_some();
                assert!(said || is_cancelled || OWN.contains(&status), "I13: nobody said {status}");
            }
        }
    }
}
