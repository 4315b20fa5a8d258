//! What a REFER asks for, and what a subscriber is told: of a session, or of what its REFER has come to.

use bytes::Bytes;
use sip::message::{Body, Message, Name, NameAddr};
use sip::{Duration, SubscriberId, SubscriptionState};

use super::Server;
use super::leg::unless_answered;
use super::policy::Refusal;
use crate::answer_state::AnswerState;
use crate::body::resource_lists::{self, Entry};
use crate::body::{multipart, sipfrag};

/// Longer than an invitation takes.
const REFERRAL: Duration = Duration::from_secs(300);

impl Server {
    /// Accepts a REFER.
    ///
    /// # Errors
    /// The status to refuse it with.
    pub(super) fn admit_referral(&mut self, subscriber: SubscriberId) -> Result<(), u16> {
        let admit = sip::Command::Admit { subscriber, expires: REFERRAL, headers: Vec::new(), contact: None };
        self.command(admit).map(|_| ()).map_err(|_| 500)
    }

    pub(super) fn reject(&mut self, subscriber: SubscriberId, status: u16) {
        let headers = self.explanation(Refusal::status(status));
        let reject = sip::Command::Reject { subscriber, status, headers };
        unless_answered(self.command(reject));
    }

    /// A NOTIFY that does not end anything, or one that does.
    pub(super) fn say(&mut self, subscriber: SubscriberId, state: SubscriptionState, body: Option<Body>) {
        let notify = sip::Command::Notify { subscriber, state, headers: Vec::new(), body };
        unless_answered(self.command(notify));
    }

    /// How far what a REFER asked for has come (RFC 3515 §2.4.5).
    pub(super) fn tell_progress(
        &mut self,
        subscriber: SubscriberId,
        status: u16,
        answer_state: Option<AnswerState>,
    ) {
        self.say(subscriber, SubscriptionState::Active, Some(progress(status, answer_state)));
    }

    /// What a REFER has come to.
    pub(super) fn tell_last(
        &mut self,
        subscriber: SubscriberId,
        status: u16,
        answer_state: Option<AnswerState>,
    ) {
        self.say(subscriber, gone(), Some(progress(status, answer_state)));
    }
}

/// The last word to a subscriber (RFC 3515 §2.4.7, RFC 6665 §4.1.3).
pub(super) fn gone() -> SubscriptionState {
    SubscriptionState::Terminated { reason: Bytes::from_static(b"noresource"), retry_after: None }
}

fn progress(status: u16, answer_state: Option<AnswerState>) -> Body {
    sipfrag::write(sipfrag::Progress { status, answer_state })
}

/// The Refer-To of a REFER; 400 if it cannot be read.
pub(super) fn target_in(request: &Message) -> Result<NameAddr<'_>, u16> {
    request.addresses(Name::ReferTo).next().and_then(Result::ok).ok_or(400)
}

/// The list that a Refer-To means, if it means one: the body, or a part of it (RFC 5368 §4); 400 if that cannot be read.
pub(super) fn list_in(request: &Message, target: &[u8]) -> Option<Result<Vec<Entry>, u16>> {
    let id = target.strip_prefix(b"cid:")?;
    let is_meant = |part: &&multipart::Part<'_>| {
        part.is(resource_lists::CONTENT_TYPE) && (part.id.is_empty() || part.id == id)
    };
    let parts = multipart::parts_of(request).unwrap_or_default();
    let list = parts.iter().find(is_meant).and_then(|list| resource_lists::read(list.bytes).ok());
    Some(list.ok_or(400))
}
