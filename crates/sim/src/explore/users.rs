//! What users may do, and what they know.

use poc::{AnswerMode, Event};
use sip::SessionId;

/// What a user may do in a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deed {
    /// Accepts.
    Accept,
    /// Cancels, refuses or leaves.
    HangUp,
    /// Offers other media.
    Modify,
    /// Gives that up again.
    Withdraw,
    /// Presses the key to speak.
    Press,
    /// Speaks.
    Speak,
    /// Lets go of the key.
    LetGo,
}

/// A session that a user knows, and how often what may still be done.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) place: usize,
    pub(super) session: SessionId,
    /// Its user stays until the patience of users is over.
    pub(super) stays: bool,
    pub(super) rings: bool,
    pub(super) refuses: bool,
    pub(super) is_established: bool,
    pub(super) left: Vec<(Deed, u32)>,
}

/// What users do in a session: those who invite, and those who are invited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Habits {
    pub(super) inviter: Vec<(Deed, u32)>,
    pub(super) invited: Vec<(Deed, u32)>,
    /// Whether those who are invited may refuse; if not, they wait, or accept.
    pub(super) refuses: bool,
    /// Whether they end it only when the patience of users is over.
    pub(super) leaves_late: bool,
}

impl Known {
    /// Whether it is left to be done, and may be done now.
    pub(super) fn can(&self, deed: Deed) -> bool {
        self.may(deed) && self.left.iter().any(|(each, left)| *each == deed && *left > 0)
    }

    pub(super) fn may(&self, deed: Deed) -> bool {
        match deed {
            Deed::Accept => self.rings,
            Deed::HangUp => self.refuses || !self.rings,
            Deed::Modify | Deed::Press | Deed::Speak | Deed::LetGo => self.is_established,
            Deed::Withdraw => {
                let modifies = |(deed, left): &(Deed, u32)| *deed == Deed::Modify && *left > 0;
                self.is_established && !self.left.iter().any(modifies)
            }
        }
    }
}

impl Deed {
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Accept => "accepts",
            Self::HangUp => "hangs up",
            Self::Modify => "offers other media",
            Self::Withdraw => "gives up the change",
            Self::Press => "presses the key",
            Self::Speak => "speaks",
            Self::LetGo => "lets go of the key",
        }
    }
}

/// What a user knows from now on.
pub(super) fn note_event(known: &mut Vec<Known>, habits: &Habits, place: usize, event: &Event) {
    let Some(session) = event.session() else { return };
    let which = known.iter().position(|each| (each.place, each.session) == (place, session));
    if let Event::Invited { answer_mode, .. } = event {
        let rings = *answer_mode == AnswerMode::Manual;
        let left = habits.invited.clone();
        let (refuses, stays) = (habits.refuses, habits.leaves_late);
        known.push(Known { place, session, stays, rings, refuses, is_established: !rings, left });
    } else if let (Event::Ended { .. }, Some(which)) = (event, which) {
        known.remove(which);
    } else if let (Event::Established { .. }, Some(which)) = (event, which) {
        known[which].is_established = true;
        known[which].rings = false;
    }
}
