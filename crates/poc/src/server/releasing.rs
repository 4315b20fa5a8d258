//! The end of the server: nothing new, every session released, and what is left of them (digest 10.5: operator action).
//!
//! ```text
//!            an INVITE   ReleaseControlled              Release                   Abandon
//! Serving    its way     Releasing, its own released    Releasing, all released   Releasing, all released, every record closed
//! Releasing  503         -                              all released              every record closed
//! ```
//!
//! How each leg is released, whatever it has come to, is what the two functions say of the end of a session; what a CANCEL
//! waits for, and what becomes of an answer that crosses it, is the endpoint's, as always.

use bytes::Bytes;
use sip::SessionId;
use sip::usage::{End, Party};

use super::controlling::Controlling;
use super::leg::{self, Ended};
use super::policy::{Inviter, Refusal};
use super::record::{Function, Record};
use super::{Place, Server};

/// What those hear who want something new, and whose sessions were not answered yet: RFC 3261 §21.5.4, maintenance.
pub(super) const STATUS: u16 = 503;

/// What a human reads then.
pub(super) const WARNING: &str = "the server is being stopped";

/// Whether the server takes new sessions. See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Duty {
    Serving,
    Releasing,
}

/// Why a session ends that did nothing wrong, for CANCEL and BYE.
pub(super) fn reason() -> Bytes {
    leg::reason_of_status(STATUS)
}

impl Server {
    /// Whether nothing is waited for any more: nobody rings, nobody is in a session, and nobody is owed an answer. What is left
    /// meets copies of what was settled.
    pub fn is_settled(&self) -> bool {
        self.has_no_session() && self.endpoint.is_settled()
    }

    /// Nothing new from now on, and what is controlled here ends.
    pub(super) fn release_what_is_controlled(&mut self) {
        match self.duty {
            Duty::Serving => self.duty = Duty::Releasing,
            Duty::Releasing => return,
        }
        tracing::info!(sessions = self.controlling.len(), "releasing");
        self.release_all_controlled();
    }

    /// The same, and all else that there is ends. Where sessions are controlled on several shards each has ended its own by then, so
    /// that the end of one is never taken for a participant's.
    pub(super) fn release_everything(&mut self) {
        self.release_what_is_controlled();
        self.release_all_participations();
        self.release_all_pre_established();
    }

    /// An INVITE that comes too late.
    pub(super) fn turn_away_late(&mut self, session: SessionId, inviter: &Inviter, is_focus: bool) {
        let function = if is_focus { Function::Participating } else { Function::Controlling };
        let record = Record::begun(function, None, inviter.address.as_ref(), self.now);
        self.turn_away(session, record, Refusal::saying(STATUS, WARNING));
    }

    /// Nothing is waited for any more. Every record is closed as it stands, with the number of its legs that have not ended.
    pub(super) fn abandon(&mut self) {
        self.release_everything();
        self.drain();
        let places = std::mem::take(&mut self.places);
        for place in places.values() {
            if let Some(record) = self.record_at(*place) {
                record.open += 1;
            }
        }
        tracing::info!(legs = places.len(), "abandoned");
        for place in places.into_values() {
            let ended = Ended { status: None, by: Party::Local, ..Ended::here(End::TimedOut, 408) };
            self.leg_ended(place, ended);
        }
    }

    /// The record that is closed when the leg at `place` has ended, or after that.
    fn record_at(&mut self, place: Place) -> Option<&mut Record> {
        match place {
            Place::Participant { place, key } => {
                self.controlling.get_mut(place).and_then(|each: &mut Controlling| each.record_of(key))
            }
            Place::TurnedAway(place) => self.turned_away.get_mut(place),
            Place::Upstream(place) | Place::Downstream(place) => {
                self.participating.get_mut(place).map(|each| &mut each.record)
            }
            Place::PreEstablished(at) => self.pre_established.record_of(at),
        }
    }

    /// The end of a leg.
    pub(super) fn leg_ended(&mut self, place: Place, ended: Ended) {
        match place {
            Place::Participant { place, key } => self.participant_ended(place, key, ended),
            Place::TurnedAway(place) => {
                let record = self.turned_away.remove(place);
                self.close(record);
            }
            Place::Upstream(place) => self.upstream_ended(place, ended),
            Place::Downstream(place) => self.downstream_ended(place, ended),
            Place::PreEstablished(at) => self.pre_established_ended(at, ended),
        }
    }
}
