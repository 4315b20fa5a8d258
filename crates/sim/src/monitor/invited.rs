//! An INVITE that was sent, by whoever: its copies, its responses, its CANCEL. I1 and I2.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::message::Name;
use sip::transport::Path;
use sip::{Instant, Message};

use super::{COPIES, INVITE_COPIES, T1, T1_64, call_id_of, is_within, number_of};

#[derive(Clone, Debug)]
pub(super) struct Invited {
    pub(super) invite: Message,
    pub(super) call_id: Bytes,
    /// It is a re-INVITE.
    pub(super) is_change: bool,
    /// How many others had been sent before.
    pub(super) place: usize,
    path: Path,
    pub(super) begun: Instant,
    copies: u32,
    /// Until when a 2xx must be taken; `None` while somebody may still wait for it.
    pub(super) covered_until: Option<Instant>,
    pub(super) provisional: bool,
    /// The status codes of the final responses that came.
    pub(super) finals: BTreeSet<u16>,
    pub(super) cancel: Option<(Instant, Bytes)>,
    cancel_copies: u32,
    cancel_last: Option<Instant>,
    /// A final response to the CANCEL came.
    cancel_answered: bool,
    /// To tags of 2xx that came, with what became of each.
    pub(super) answers: BTreeMap<Bytes, Answer>,
    /// ACKs that this instant owes, and those that it has brought.
    pub(super) owed: Option<u32>,
    pub(super) paid: u32,
}

/// A 2xx.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) copies: u32,
    pub(super) acks: u32,
    pub(super) byes: BTreeSet<Bytes>,
    /// It came after the wish.
    pub(super) unwanted: bool,
}

impl Invited {
    pub(super) fn new(now: Instant, place: usize, invite: Message, path: Path) -> Self {
        Self {
            call_id: call_id_of(&invite),
            is_change: is_within(&invite),
            invite,
            place,
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
        }
    }

    pub(super) fn is_of(&self, call_id: &[u8]) -> bool {
        self.call_id == call_id
    }

    /// The INVITE was sent again.
    pub(super) fn is_repeated(&mut self, message: &Message, path: Path) {
        self.copies += 1;
        let unheard = !self.provisional && self.finals.is_empty();
        assert!(unheard, "an INVITE that was answered is not sent again");
        assert_eq!(self.invite, *message, "a retransmission is the same octets");
        assert_eq!(self.path, path, "a retransmission goes the same way");
    }

    /// A CANCEL was sent. Returns whether it was the first.
    pub(super) fn is_cancelled(&mut self, now: Instant, message: &Message, path: Path) -> bool {
        assert!(self.provisional, "I2: no CANCEL before a provisional response");
        assert_identity(&self.invite, message);
        assert_eq!(self.path, path, "I1: a CANCEL goes the way of its INVITE");
        self.cancel_copies += 1;
        let previous = self.cancel_last.replace(now);
        match &self.cancel {
            Some((_, first)) => {
                assert_eq!(first, message.bytes(), "I2: one CANCEL an INVITE");
                assert!(!self.cancel_answered, "a CANCEL that was answered is not sent again");
                let timely = previous.is_some_and(|previous| now >= previous + T1);
                assert!(timely, "I2: a CANCEL is sent again by timer E, and by nothing else");
                false
            }
            None => {
                assert!(self.finals.is_empty(), "I2: no CANCEL after a final response");
                self.cancel = Some((now, message.bytes().clone()));
                self.covered_until.get_or_insert(now + 2 * T1_64);
                true
            }
        }
    }

    /// Whether whoever sent it still remembers it.
    pub(super) fn is_covered(&self, now: Instant) -> bool {
        self.covered_until.is_none_or(|until| now < until)
    }

    /// A provisional response arrived.
    pub(super) fn progresses(&mut self, now: Instant) {
        if now < self.begun + T1_64 && self.cancel.is_none() && self.finals.is_empty() {
            self.covered_until = None;
        }
        self.provisional = true;
    }

    /// A final response arrived. Returns whether it was the first.
    pub(super) fn is_decided(&mut self, now: Instant, status: u16) -> bool {
        let undecided = self.finals.is_empty();
        if undecided {
            // A failure that comes after giving up is acknowledged, and remembered no longer than that.
            let earlier = self.covered_until.filter(|_| status >= 300);
            let until = now + T1_64;
            self.covered_until = Some(earlier.map_or(until, |earlier| earlier.min(until)));
        }
        self.finals.insert(status);
        undecided
    }

    /// Whether a failure is not for us any more: RFC 6026 §7.2, after a 2xx there are only others.
    pub(super) fn is_accepted(&self) -> bool {
        self.finals.iter().any(|status| (200..300).contains(status))
    }

    /// A final response to the CANCEL arrived.
    pub(super) fn cancel_is_answered(&mut self) {
        self.cancel_answered = true;
    }

    /// I5: what a final response of this instant is owed has been sent.
    pub(super) fn settled(&mut self) {
        if let Some(owed) = self.owed.take() {
            assert_eq!(self.paid, owed, "I5: each copy of a final response is acknowledged, at once");
        }
        self.paid = 0;
    }

    /// Everything is over.
    pub(super) fn finish(&self) {
        let silent = !self.provisional && self.finals.is_empty();
        assert!(!silent || self.copies >= INVITE_COPIES, "an INVITE is sent until an answer comes");
        let unheard = self.cancel.is_some() && !self.cancel_answered;
        assert!(!unheard || self.cancel_copies >= COPIES, "a CANCEL is sent until an answer comes");
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
