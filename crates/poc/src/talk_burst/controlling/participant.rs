//! The machine of one participant: user-plane digest 6.4.
//!
//! ```text
//!                            Request      Release          speech         granted     revoked        Idle, Taken due  timer
//! StartStop (U0)             (to general machine)          -              Permitted   -              NotPermitted     -
//! NotPermitted (U1, U2)      (general)    answered         Unpermitted +R Permitted   -              -                -
//! Permitted (U3)             (general)    (general)        (general)      -           PendingRevoke  NotPermitted     -
//! PendingRevoke (U4)         (general)    (general)        (general)      -           -              NotPermitted     T8: +R
//! Unpermitted (U5)           (general)    NotPermitted     -              Permitted   -              -                T8: +R; 2 s of silence: NotPermitted
//! Uncontrolled               -            -                -              -           -              -                -
//! ```
//!
//! +R: a Talk Burst Revoke is sent. U1 and U2 differ in the state of the general machine, which alone has it. Who leaves (U6) is
//! gone. `Uncontrolled` is who has no talk burst control: it listens, and is sent nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::Instant;

use super::Joining;
use super::settings::Settings;
use super::timer::after;
use crate::sdp::TalkBurst;
use crate::talk_burst::{Message, NtpTimestamp, Priority, Revoke, Taken};

/// A participant and what it may do. Its size is what a large session costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Participant {
    address: Bytes,
    name: Option<Arc<str>>,
    agreed: TalkBurst,
    may_speak: bool,
    pub(super) is_pre_empt_protected: bool,
    /// The synchronization sources of what it sends; 0: nothing has come yet.
    control_ssrc: u32,
    speech_ssrc: u32,
    state: State,
    introduction: Introduction,
    /// T9: it may not ask before.
    penalty_until: Option<Instant>,
    /// What comes of its last talk burst until then is late, and no offence.
    late_until: Option<Instant>,
}

/// See the table at the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The talk bursts of the session have not begun: they begin with its implicit request, when somebody is there to hear it (g01).
    StartStop,
    NotPermitted,
    Permitted,
    PendingRevoke {
        revoke: Revoke,
        resend_at: Instant,
    }, // T8
    Unpermitted {
        resend_at: Instant,
        heard_at: Instant,
    }, // T8
    Uncontrolled,
}

/// Whether Talk Burst Taken arrives at the participant: user-plane digest 6.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Introduction {
    /// None has been sent.
    Waiting,
    /// The first one is to be acknowledged.
    Asked { sends: u8, again_at: Instant },
    /// It has arrived, or something else has been sent since.
    Over,
}

/// What a timer of a participant wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// u40, u51
    Revoke(Revoke),
    /// Talk Burst Taken once more, to be acknowledged.
    Taken,
    /// It was never acknowledged.
    Unproven,
    /// u53: what is the state of the session.
    Standing,
}

impl Participant {
    pub(super) fn new(joining: Joining) -> Self {
        let Joining { address, name, agreed, may_speak, is_pre_empt_protected, .. } = joining;
        Self {
            address,
            name: name.map(Arc::from),
            agreed: agreed.unwrap_or_default(),
            may_speak,
            is_pre_empt_protected,
            control_ssrc: 0,
            speech_ssrc: 0,
            state: agreed.map_or(State::Uncontrolled, |_| State::NotPermitted),
            introduction: Introduction::Waiting,
            penalty_until: None,
            late_until: None,
        }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Whether messages go to it.
    pub(super) const fn hears(&self) -> bool {
        match self.state {
            State::StartStop | State::Uncontrolled => false,
            State::NotPermitted
            | State::Permitted
            | State::PendingRevoke { .. }
            | State::Unpermitted { .. } => true,
        }
    }

    /// Whether an implicit request of it counts: it is never denied (user-plane digest 9).
    pub(super) const fn can_ask(&self) -> bool {
        self.may_speak && !matches!(self.state, State::Uncontrolled)
    }

    pub(super) const fn may_speak(&self) -> bool {
        self.may_speak
    }

    pub(super) const fn has_queuing(&self) -> bool {
        self.agreed.queuing
    }

    /// User-plane digest 4.2, 6.2: what is more than agreed is lowered, and none counts as normal.
    pub(super) fn priority_of(&self, requested: Option<Priority>) -> Priority {
        let agreed = Priority::of_code(self.agreed.tb_priority.into()).max(Priority::Normal);
        requested.map_or(Priority::Normal, |requested| requested.clamp(Priority::Normal, agreed))
    }

    /// User-plane digest 6.2: a timestamp counts where it is agreed.
    pub(super) fn timestamp_of(&self, told: Option<NtpTimestamp>) -> Option<NtpTimestamp> {
        told.filter(|_| self.agreed.timestamp)
    }

    pub(super) const fn penalty(&self) -> Option<Instant> {
        self.penalty_until
    }

    pub(super) fn penalise(&mut self, until: Instant) {
        self.penalty_until = self.penalty_until.max(Some(until));
    }

    pub(super) fn is_penalised(&self, now: Instant) -> bool {
        self.penalty_until.is_some_and(|until| now < until)
    }

    /// The synchronization source of its speech, as far as that is known.
    pub(super) const fn ssrc(&self) -> u32 {
        if self.speech_ssrc == 0 { self.control_ssrc } else { self.speech_ssrc }
    }

    /// `neg-rel-from-server-ssrc`: whether who names itself so can be this participant.
    pub(super) const fn is_called(&self, ssrc: u32) -> bool {
        self.ssrc() == 0 || ssrc != 0 && (ssrc == self.control_ssrc || ssrc == self.speech_ssrc)
    }

    /// The message that names it as the talker.
    pub(super) fn taken(&self, participants: u16) -> Taken {
        Taken::new(self.ssrc(), self.address.clone(), self.name.clone(), Some(participants))
    }

    /// A message has come.
    pub(super) fn hear(&mut self, ssrc: u32, message: &Message) {
        // u60, user-plane digest 6.5: any message shows that the user plane carries.
        self.introduce();
        // A Release with the name of somebody else must not teach that name.
        if !matches!(message, Message::Release { .. }) {
            self.control_ssrc = ssrc;
        }
    }

    /// g21: the first packet of its talk burst.
    pub(super) const fn speak(&mut self, ssrc: u32) {
        self.speech_ssrc = ssrc;
    }

    /// Speech without permission is discarded, and teaches no synchronization source. Whether Talk Burst Revoke is to be sent (u12, u50).
    pub(super) fn speak_unpermitted(&mut self, now: Instant, settings: &Settings) -> bool {
        match &mut self.state {
            // User-plane digest 6.4: not within a drain period after its Release.
            State::NotPermitted if self.late_until.is_some_and(|until| now < until) => false,
            State::NotPermitted => {
                self.state = State::Unpermitted { resend_at: after(now, settings.t8_revoke), heard_at: now };
                true
            }
            State::Unpermitted { heard_at, .. } => {
                *heard_at = now;
                false
            }
            State::StartStop | State::Permitted | State::PendingRevoke { .. } | State::Uncontrolled => false,
        }
    }

    /// Its implicit request waits.
    pub(super) const fn wait(&mut self) {
        self.state = State::StartStop;
    }

    /// Its implicit request does not wait any more.
    pub(super) const fn begin(&mut self) {
        if matches!(self.state, State::StartStop) {
            self.state = State::NotPermitted;
        }
    }

    /// u14
    pub(super) fn grant(&mut self) {
        self.introduce();
        self.late_until = None;
        self.state = State::Permitted;
    }

    /// u33
    pub(super) fn revoke(&mut self, now: Instant, revoke: Revoke, settings: &Settings) {
        if matches!(revoke, Revoke::TooLong { retry_after: 1.. }) {
            self.penalty_until = Some(after(now, settings.t9_retry_after)); // T9
        }
        self.state = State::PendingRevoke { revoke, resend_at: after(now, settings.t8_revoke) };
    }

    /// u31, u42, u43: its talk burst is over.
    pub(super) const fn end_burst(&mut self) {
        self.state = State::NotPermitted;
    }

    /// u11, u21, u52: a Release that ends no talk burst; and of one that does, too, the last packets may be on their way.
    pub(super) fn let_go(&mut self, now: Instant, drain: Duration) {
        self.late_until = Some(after(now, drain));
        if matches!(self.state, State::Unpermitted { .. }) {
            self.state = State::NotPermitted;
        }
    }

    /// Talk Burst Idle is sent.
    pub(super) const fn tell_idle(&mut self) {
        self.introduce();
    }

    /// Talk Burst Taken is sent; whether it is to be acknowledged.
    pub(super) fn tell_taken(&mut self, now: Instant, settings: &Settings) -> bool {
        match self.introduction {
            // User-plane digest 4.4: the first of a leg.
            Introduction::Waiting => {
                self.introduction =
                    Introduction::Asked { sends: 1, again_at: after(now, settings.taken_repeat) };
                true
            }
            Introduction::Asked { .. } | Introduction::Over => {
                self.introduction = Introduction::Over;
                false
            }
        }
    }

    /// The same Talk Burst Taken is sent with another source; whether it is to be acknowledged.
    pub(super) const fn tell_source(&self) -> bool {
        matches!(self.introduction, Introduction::Asked { .. })
    }

    const fn introduce(&mut self) {
        if matches!(self.introduction, Introduction::Asked { .. }) {
            self.introduction = Introduction::Over;
        }
    }

    /// A timer that has run out, until there is none.
    pub(super) fn handle_timeout(&mut self, now: Instant, settings: &Settings) -> Option<Due> {
        match &mut self.introduction {
            Introduction::Asked { sends, again_at } if *again_at <= now => {
                // User-plane digest 6.5: so often, then the leg is unproven.
                if *sends >= settings.taken_sends {
                    self.introduction = Introduction::Over;
                    return Some(Due::Unproven);
                }
                (*sends, *again_at) = (*sends + 1, after(now, settings.taken_repeat));
                return Some(Due::Taken);
            }
            Introduction::Waiting | Introduction::Asked { .. } | Introduction::Over => {}
        }
        match &mut self.state {
            State::PendingRevoke { revoke, resend_at } if *resend_at <= now => {
                *resend_at = after(now, settings.t8_revoke);
                Some(Due::Revoke(*revoke))
            }
            State::Unpermitted { heard_at, .. } if after(*heard_at, settings.unpermitted_quiet) <= now => {
                self.state = State::NotPermitted;
                Some(Due::Standing)
            }
            State::Unpermitted { resend_at, .. } if *resend_at <= now => {
                *resend_at = after(now, settings.t8_revoke);
                Some(Due::Revoke(Revoke::NotPermitted))
            }
            State::StartStop
            | State::NotPermitted
            | State::Permitted
            | State::PendingRevoke { .. }
            | State::Unpermitted { .. }
            | State::Uncontrolled => None,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn deadline(&self, settings: &Settings) -> Option<Instant> {
        let taken = match self.introduction {
            Introduction::Asked { again_at, .. } => Some(again_at),
            Introduction::Waiting | Introduction::Over => None,
        };
        let revoke = match &self.state {
            State::PendingRevoke { resend_at, .. } => Some(*resend_at),
            State::Unpermitted { resend_at, heard_at } => {
                Some(after(*heard_at, settings.unpermitted_quiet).min(*resend_at))
            }
            State::StartStop | State::NotPermitted | State::Permitted | State::Uncontrolled => None,
        };
        taken.into_iter().chain(revoke).min()
    }
}
