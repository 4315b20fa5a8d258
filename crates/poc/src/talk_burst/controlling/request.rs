//! What a Talk Burst Request does: g12 to g15, g25, g27 to g29, g45, g45b, u10, u20, u32; and the queue as it is seen from outside.
//!
//! ```text
//!                 of the holder          of somebody who waits    of another
//! Idle            -                      -                        granted
//! Taken           Granted again          its place; pre-empts     queued, denied, or pre-empts
//! Draining        ended, then anew       its place; takes over    queued, denied, or takes over
//! PendingRevoke   denied                 its place                queued or denied
//! ```
//!
//! Before all that: who may only listen is denied, who has spoken too long, and who is alone.

use sip::Instant;

use super::general::State;
use super::participant::Participant;
use super::queue::Entry;
use super::{Ending, Message, Revoke, TalkBursts, Told};
use crate::talk_burst::{DenyReason, NtpTimestamp, Priority};

impl TalkBursts {
    /// A Talk Burst Request.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        key: usize,
        priority: Option<Priority>,
        timestamp: Option<NtpTimestamp>,
    ) {
        if matches!(self.state, State::StartStop) {
            self.begin_without(now, key);
        }
        if self.state.holder() == Some(key) {
            match self.state {
                State::Taken { .. } => return self.send_granted(now), // g25
                // Who has let go and presses again begins another talk burst.
                State::Draining { .. } => self.end_burst(now, Ending::Released),
                State::PendingRevoke { revoke, .. } => return self.deny(key, denied_while_revoked(revoke)),
                State::StartStop | State::Idle { .. } | State::Releasing => {}
            }
        }
        let Some(participant) = self.participant(key) else { return };
        let priority = participant.priority_of(priority);
        let entry = Entry::new(key, priority, participant.timestamp_of(timestamp));
        if !participant.may_speak() {
            return self.deny(key, DenyReason::ListenOnly); // g14
        }
        if participant.is_penalised(now) {
            return self.deny(key, DenyReason::RetryAfter); // g15
        }
        if self.is_alone() {
            return self.deny(key, DenyReason::OnlyOne); // g13
        }
        match self.state {
            State::Idle { .. } => self.grant(now, key, priority, false), // g12
            State::Taken { .. } if self.pre_empts(priority) => {
                // g27
                self.queue.insert_pre_emptor(entry);
                self.tell(Told::Queued { key });
                self.send_position(key);
                self.revoke(now, Revoke::PreEmpted);
            }
            // Whoever is draining has stopped already.
            State::Draining { .. } if self.pre_empts(priority) => {
                self.queue.insert_pre_emptor(entry);
                self.end_burst(now, Ending::Released);
            }
            State::Taken { .. } | State::Draining { .. } | State::PendingRevoke { .. } => self.wait(entry),
            State::StartStop | State::Releasing => {}
        }
    }

    /// g27: whether who is permitted must stop for that.
    fn pre_empts(&self, priority: Priority) -> bool {
        let Some(burst) = self.state.burst() else { return false };
        let is_protected = self.participant(burst.holder).is_some_and(|holder| holder.is_pre_empt_protected);
        priority == Priority::PreEmptive && burst.priority < Priority::PreEmptive && !is_protected
    }

    /// g28, g29, g45, g45b
    fn wait(&mut self, entry: Entry) {
        let key = entry.key;
        let has_queuing = self.participant(key).is_some_and(Participant::has_queuing);
        if self.queue.raise(key, entry.priority) {
            self.send_position(key);
        } else if !has_queuing {
            self.deny(key, DenyReason::Taken);
        } else if self.queue.len() >= self.settings.queue_max {
            self.deny(key, DenyReason::ServerError); // user-plane digest 6.2
        } else {
            self.queue.insert(entry);
            self.tell(Told::Queued { key });
            self.send_position(key);
        }
    }

    /// u04, user-plane digest 9: an implicit request waits if it can, and is not denied.
    pub(super) fn queue_implicitly(&mut self, key: usize) {
        let Some(participant) = self.participant(key) else { return };
        if participant.has_queuing() && self.queue.len() < self.settings.queue_max {
            self.wait(Entry::new(key, Priority::Normal, None));
        }
    }

    /// A Queue Status Request: u22, u23. Of who is permitted it is discarded: its Granted is on the way. So it is of who waits for
    /// the talk bursts to begin.
    pub(super) fn handle_queue_status_request(&mut self, key: usize) {
        let hears = self.participant(key).is_some_and(Participant::hears);
        if hears && self.state.holder() != Some(key) {
            let (priority, position) = self.queue.position_of(key);
            self.send(key, Message::QueueStatus { priority, position });
        }
    }

    /// Queue Status Response to who waits. An accepted pre-emptor without queuing hears nothing until it is granted (g45b).
    fn send_position(&mut self, key: usize) {
        if self.participant(key).is_some_and(Participant::has_queuing) {
            let (priority, position) = self.queue.position_of(key);
            self.send(key, Message::QueueStatus { priority, position });
        }
    }

    pub(super) fn deny(&mut self, key: usize, reason: DenyReason) {
        self.send(key, Message::Deny { reason, phrase: reason.to_string() });
        self.tell(Told::Denied { key, reason });
    }
}

/// Who is being revoked asks again, or its first request came twice.
const fn denied_while_revoked(revoke: Revoke) -> DenyReason {
    match revoke {
        Revoke::OnlyOne => DenyReason::OnlyOne,
        Revoke::TooLong { retry_after: 1.. } => DenyReason::RetryAfter,
        Revoke::TooLong { .. } | Revoke::NotPermitted | Revoke::PreEmpted | Revoke::Unknown { .. } => {
            DenyReason::Taken
        }
    }
}
