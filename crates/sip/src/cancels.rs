//! What wishes to cancel and CANCELs met, counted for an operator (docs/cancel.md, R1 to R8). The rules themselves are those of
//! [`usage`](crate::usage); whoever carries their steps out counts them here.

use serde::{Deserialize, Serialize};

use crate::usage::End;
use crate::usage::invite_client::{Action, InviteClient, Outcome, State, Step};

/// How often what happened.
///
/// Each wish that was not too late is settled in one way: `terminated`, `crossed_success`, `crossed_failure`, `unsettled` or
/// `unheard`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cancels {
    /// Wishes before any response: the CANCEL waits for a 1xx (R1).
    pub wished_unanswered: u64,
    /// Wishes behind a 1xx: the CANCEL leaves at once.
    pub wished_ringing: u64,
    /// Wishes behind the final response: the session is left with BYE instead.
    pub wished_late: u64,
    /// The INVITE ended with 487: the rule.
    pub terminated: u64,
    /// A 2xx came in spite of the wish: acknowledged and left (R3).
    pub crossed_success: u64,
    /// Another refusal came (R4).
    pub crossed_failure: u64,
    /// No final response came within 64*T1 of the CANCEL (R7, R8).
    pub unsettled: u64,
    /// No response came at all, so no CANCEL left.
    pub unheard: u64,
    /// CANCELs of ours that were answered 2xx.
    pub answered: u64,
    /// CANCELs of ours that were answered 481: the final response of the INVITE is under way (RFC 5407 §3.1.2).
    pub unknown: u64,
    /// CANCELs of ours that were answered otherwise (R24).
    pub refused: u64,
    /// CANCELs of ours that nobody answered (R7).
    pub unanswered: u64,
    /// CANCELs of peers that met an undecided INVITE: 200, then 487.
    pub met_undecided: u64,
    /// CANCELs of peers that met an accepted INVITE: 200, and nothing else (R3).
    pub met_accepted: u64,
    /// CANCELs of peers that met a refused INVITE: 200, and nothing else (R4).
    pub met_refused: u64,
    /// CANCELs of peers that met another request: 200, and nothing else (R21).
    pub met_other: u64,
    /// CANCELs of peers that met nothing, or came from elsewhere than their INVITE: 481 (R2, R22).
    pub met_nothing: u64,
}

impl Cancels {
    /// Notes what a call that may have been a wish made of the state before it.
    pub fn note_wish(&mut self, before: &State, usage: &InviteClient) {
        match (before, usage.state()) {
            (State::Calling { .. }, State::CancelWaiting) => self.wished_unanswered += 1,
            (State::Proceeding { .. }, State::Cancelling { .. }) => self.wished_ringing += 1,
            (
                State::Calling { .. }
                | State::Proceeding { .. }
                | State::CancelWaiting
                | State::Cancelling { .. }
                | State::Answered
                | State::Withdrawn
                | State::GivenUp { .. }
                | State::Finished,
                _,
            ) => {}
        }
    }

    /// Notes what a wish met, if this step settles one.
    pub fn note_step(&mut self, step: &Step) {
        let Some(Outcome { end: End::Cancelled, status, .. }) = step.outcome else { return };
        let count = match (status, step.action) {
            (Some(487), _) => &mut self.terminated,
            (Some(200..=299), _) => &mut self.crossed_success,
            (Some(_), _) => &mut self.crossed_failure,
            (None, Action::Abandon) => &mut self.unsettled,
            (
                None,
                Action::Nothing
                | Action::SendCancel
                | Action::Establish
                | Action::AcknowledgeAndLeave
                | Action::Acknowledge,
            ) => &mut self.unheard,
        };
        *count += 1;
    }

    /// Notes the answer to a CANCEL of ours; `None` if there was none.
    pub fn note_answer(&mut self, status: Option<u16>) {
        let count = match status {
            Some(200..=299) => &mut self.answered,
            Some(481) => &mut self.unknown,
            Some(_) => &mut self.refused,
            None => &mut self.unanswered,
        };
        *count += 1;
    }
}
