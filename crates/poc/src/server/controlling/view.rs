//! What an operator sees of a session.

use sip::Instant;

use super::super::census::{Attendance, Attending, SessionState, Standing};
use super::super::record::{Function, SessionType};
use super::{Controlling, Participant, ParticipantState, State};

impl Controlling {
    /// How far it has come, and since when.
    pub(in super::super) fn state_since(&self) -> (SessionState, Instant) {
        let state = match self.state {
            State::Inviting => SessionState::Inviting,
            State::Unconfirmed => SessionState::Unconfirmed,
            State::Established => SessionState::Established,
            State::Releasing => SessionState::Releasing,
        };
        (state, self.since)
    }

    pub(in super::super) fn session_type(&self) -> SessionType {
        self.session_type
    }

    /// Those who take part.
    pub(in super::super) fn connected(&self) -> usize {
        self.connected
    }

    /// Those whose invitations are under way.
    pub(in super::super) fn pending(&self) -> usize {
        self.pending
    }

    /// Whether nothing keeps it here.
    pub(in super::super) fn has_no_legs(&self) -> bool {
        self.legs == 0
    }

    /// What is seen of it, with so many who take part.
    pub(in super::super) fn standing(&self, attending: usize) -> Standing {
        let attend = |(key, participant): (usize, &Participant)| Attending {
            address: participant.address.clone(),
            is_inviter: self.initiator == Some(key),
            attendance: match (participant.state, participant.leg) {
                (ParticipantState::Waiting, _) => Attendance::Waiting,
                (ParticipantState::Invited { is_alerting: false }, _) => Attendance::Invited,
                (ParticipantState::Invited { is_alerting: true }, _) => Attendance::Alerting,
                (ParticipantState::Connected, _) => Attendance::Connected,
                (ParticipantState::Withdrawn { .. }, Some(_)) => Attendance::Leaving,
                (ParticipantState::Withdrawn { .. }, None) | (ParticipantState::Over, _) => Attendance::Over,
            },
        };
        let (state, _) = self.state_since();
        Standing {
            function: Function::Controlling,
            identity: self.identity.clone(),
            session_type: Some(self.session_type),
            group: self.group.as_ref().map(|group| group.address.clone()).unwrap_or_default(),
            state,
            begun: self.begun,
            total: self.participants.len(),
            participants: self.participants.iter().take(attending).map(attend).collect(),
        }
    }
}
