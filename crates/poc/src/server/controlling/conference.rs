//! The conference event package: who takes part, told to those who want to know (RFC 4575, digest 9.7).
//!
//! A change is told a moment after it has happened, together with the others of that moment, and a subscriber hears nothing
//! twice within [`Config::notify_every`](super::super::Config::notify_every): what comes and goes in between was never there. So
//! a thousand members who answer at once are one NOTIFY to each subscriber, and a join that is cancelled is none.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::message::Body;
use sip::{Duration, Instant, Message, SubscriberId, SubscriptionState};

use super::super::group::{GroupKind, GroupRole};
use super::super::policy::Inviter;
use super::super::subscribers::gone;
use super::super::{Due, Server};
use super::{Controlling, Participant, ParticipantState, State};
use crate::body::conference_info::{self as info, ConferenceInfo, Disconnection, Role, Status};

/// The longest subscription (RFC 4575 §3.4).
const EXPIRES: Duration = Duration::from_secs(3600);

/// Subscriptions that a session has besides one for each participant.
const SPARE: usize = 16;

/// Who is told of a session, and what.
#[derive(Clone, Debug, Default)]
pub(super) struct Conference {
    subscribers: BTreeMap<SubscriberId, Subscription>,
    /// Whose state may have changed since the subscribers were told.
    changed: BTreeSet<Bytes>,
    /// Who stands in a document, and as what: the PoC Address, or nobody's.
    announced: BTreeMap<Bytes, Bytes>,
    /// When the subscribers are told.
    next: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Subscription {
    version: u32,
    told: Instant,
    /// Whether a change was not told: the next document is a full one.
    has_missed: bool,
    /// Whom the last document had no room for.
    omitted: Vec<Bytes>,
    /// The participant who may know only as one.
    guest: Option<Bytes>,
}

impl Conference {
    /// Something has happened to a participant.
    pub(super) fn note(&mut self, participant: &Participant) {
        if !self.subscribers.is_empty() {
            self.changed.insert(participant.address.clone());
        }
    }

    /// Somebody goes by another name than the one that was told: only a full document takes that one back.
    fn miss(&mut self) {
        self.subscribers.values_mut().for_each(|subscription| subscription.has_missed = true);
    }

    /// An entry stands for others now.
    pub(super) fn forget(&mut self, address: &Bytes) {
        self.changed.remove(address);
        if self.announced.contains_key(address) {
            self.changed.insert(address.clone());
        }
    }
}

impl Server {
    /// A SUBSCRIBE to the state of a session.
    pub(in super::super) fn be_subscribed(&mut self, subscriber: SubscriberId, request: &Message) {
        let found = self.identity_in(request.uri_text()).and_then(|identity| self.identities.get(&identity));
        let Some(place) = found.copied() else { return self.reject(subscriber, 404) };
        let controlling = &self.controlling[place];
        let who = Inviter::of(request).address;
        let is_inside = who.as_ref().is_some_and(|who| controlling.participant_of(who).is_some());
        let is_entitled = controlling
            .group
            .as_deref()
            .is_some_and(|group| self.directory.is_among(group.subscribes, group, who.as_deref()));
        if !is_inside && !is_entitled {
            return self.reject(subscriber, 403);
        }
        if controlling.conference.subscribers.len() >= controlling.participants_max + SPARE {
            return self.reject(subscriber, 503);
        }
        let guest = who.filter(|_| !is_entitled);
        let contact = controlling.invitation.contact.clone();
        let admit =
            sip::Command::Admit { subscriber, expires: EXPIRES, headers: Vec::new(), contact: Some(contact) };
        if self.command(admit).is_err() {
            return; // over before it was looked at
        }
        let subscription =
            Subscription { version: 0, told: self.now, has_missed: true, omitted: Vec::new(), guest };
        self.controlling[place].conference.subscribers.insert(subscriber, subscription);
        self.subscriptions.insert(subscriber, place);
        self.tell(place, subscriber, &BTreeSet::new());
    }

    /// A subscriber has said that it goes on, or goes: it is told all there is (RFC 6665 §4.2.1.2).
    pub(in super::super) fn be_resubscribed(&mut self, subscriber: SubscriberId) {
        let Some(&place) = self.subscriptions.get(&subscriber) else { return };
        let subscribers = &mut self.controlling[place].conference.subscribers;
        if let Some(subscription) = subscribers.get_mut(&subscriber) {
            subscription.has_missed = true;
        }
        self.tell(place, subscriber, &BTreeSet::new());
    }

    /// A subscription has ended, whoever wanted it.
    pub(in super::super) fn subscriber_ended(&mut self, subscriber: SubscriberId) {
        let Some(place) = self.subscriptions.remove(&subscriber) else { return };
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.conference.subscribers.remove(&subscriber);
        if controlling.conference.subscribers.is_empty() {
            controlling.conference.changed.clear();
            controlling.conference.announced.clear();
            self.stop_notifying(place);
        }
    }

    /// Has the subscribers told of what has changed, if anything has, a moment from now.
    pub(super) fn note_conference(&mut self, place: usize) {
        let soon = self.now + self.config.notify_after;
        let every = self.config.notify_every;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let conference = &mut controlling.conference;
        if controlling.state != State::Releasing
            && !conference.changed.is_empty()
            && conference.next.is_none()
        {
            let told = conference.subscribers.values().map(|subscription| subscription.told).min();
            let at = told.map_or(soon, |told| soon.max(told + every));
            conference.next = Some(at);
            self.due.insert((at, Due::Notify(place)));
        }
    }

    /// The moment is over.
    pub(in super::super) fn notify_due(&mut self, place: usize) {
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.conference.next = None;
        let changed = std::mem::take(&mut controlling.conference.changed);
        if changed.iter().any(|address| controlling.is_renamed(address)) {
            controlling.conference.miss();
        }
        let every = self.config.notify_every;
        let mut next: Option<Instant> = None;
        let mut told = Vec::new();
        for (subscriber, subscription) in &mut controlling.conference.subscribers {
            let is_owed = !changed.is_empty() || subscription.has_missed || !subscription.omitted.is_empty();
            let at = subscription.told + every;
            if at <= self.now && is_owed {
                told.push(*subscriber);
            } else if is_owed {
                subscription.has_missed = true;
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        for subscriber in told {
            self.tell(place, subscriber, &changed);
        }
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        controlling.forget_departed(&changed);
        let is_behind =
            controlling.conference.subscribers.values().any(|subscription| !subscription.omitted.is_empty());
        let next = next.or(is_behind.then(|| self.now + every));
        if let Some(at) = next {
            controlling.conference.next = Some(at);
            self.due.insert((at, Due::Notify(place)));
        }
    }

    /// One NOTIFY: of `changed`, or of everybody if the subscriber has missed something.
    fn tell(&mut self, place: usize, subscriber: SubscriberId, changed: &BTreeSet<Bytes>) {
        let now = self.now;
        let Some(controlling) = self.controlling.get_mut(place) else { return };
        let Some(subscription) = controlling.conference.subscribers.get(&subscriber) else { return };
        // What waits behind a NOTIFY that is under way is not said any more.
        let is_full = subscription.has_missed || self.endpoint.has_unsent(subscriber);
        let whom: Vec<Bytes> = match is_full {
            true => controlling.by_address.keys().cloned().collect(),
            false => changed.iter().chain(&subscription.omitted).cloned().collect(),
        };
        let version = subscription.version;
        let users: Vec<_> = whom
            .iter()
            .filter_map(|address| Some((address.clone(), controlling.user_of(address, is_full)?)))
            .collect();
        if users.is_empty() && !is_full {
            return;
        }
        let state = if is_full { info::State::Full } else { info::State::Partial };
        let entity = controlling.entity();
        let count = u32::try_from(controlling.connected).unwrap_or(u32::MAX);
        let document = ConferenceInfo {
            display_text: controlling.group.as_ref().map(|group| group.display_name.clone()),
            user_count: Some(count),
            is_active: Some(true),
            users_state: state,
            users: users.iter().map(|(_, user)| user.clone()).collect(),
            ..ConferenceInfo::new(entity, version, state)
        };
        let written = info::write(&document);
        for (address, user) in users.iter().take(written.users) {
            let entity = user.entity.clone();
            let former = controlling.conference.announced.insert(address.clone(), entity.clone());
            if former.is_some_and(|former| former != entity) {
                controlling.conference.miss();
            }
        }
        let omitted = users.into_iter().skip(written.users).map(|(address, _)| address).collect();
        if let Some(subscription) = controlling.conference.subscribers.get_mut(&subscriber) {
            subscription.version += 1;
            subscription.told = now;
            subscription.has_missed = false;
            subscription.omitted = omitted;
        }
        self.say(subscriber, SubscriptionState::Active, Some(body(written.document)));
    }

    /// Digest 10.5, 14.6 step 4: the last NOTIFY, once.
    pub(super) fn end_conference(&mut self, place: usize) {
        self.stop_notifying(place);
        let controlling = &mut self.controlling[place];
        let entity = controlling.entity();
        let conference = std::mem::take(&mut controlling.conference);
        for (subscriber, Subscription { version, .. }) in conference.subscribers {
            self.subscriptions.remove(&subscriber);
            let document = ConferenceInfo::new(entity.clone(), version, info::State::Deleted);
            self.say(subscriber, gone(), Some(body(info::write(&document).document)));
        }
    }

    /// Who takes part no more learns no more of it than anybody else (RFC 6665 §4.1.3).
    pub(super) fn forget_subscriptions_of(&mut self, place: usize, address: &Bytes) {
        let Some(controlling) = self.controlling.get(place) else { return };
        if controlling.participant_of(address).is_some() {
            return;
        }
        let subscribers = controlling.conference.subscribers.iter();
        let ended: Vec<_> = subscribers
            .filter(|(_, subscription)| subscription.guest.as_ref() == Some(address))
            .map(|(subscriber, _)| *subscriber)
            .collect();
        for subscriber in ended {
            let reason = Bytes::from_static(b"rejected");
            let state = SubscriptionState::Terminated { reason, retry_after: None };
            self.say(subscriber, state, None);
            self.subscriber_ended(subscriber);
        }
    }

    fn stop_notifying(&mut self, place: usize) {
        if let Some(at) = self.controlling[place].conference.next.take() {
            self.due.remove(&(at, Due::Notify(place)));
        }
    }
}

fn body(document: Bytes) -> Body {
    Body { content_type: Bytes::from_static(info::CONTENT_TYPE.as_bytes()), bytes: document }
}

impl Controlling {
    /// The PoC Session Identity as a URI.
    pub(in super::super) fn entity(&self) -> Bytes {
        Bytes::from([b"sip:", &self.identity[..], &self.invitation.contact.uri_parameters[..]].concat())
    }

    /// What is said of somebody; nothing of one who has gone before anybody heard, or, in a full document, is not there.
    fn user_of(&self, address: &Bytes, is_full: bool) -> Option<info::User> {
        let announced = self.conference.announced.get(address);
        let Some(participant) = self.by_address.get(address).and_then(|key| self.participants.get(*key))
        else {
            let entity = announced.filter(|_| !is_full)?.clone();
            return Some(info::User::new(entity, Status::Disconnected, Some(Disconnection::Departed)));
        };
        let (status, disconnection) = participant.status();
        if is_full && status == Status::Disconnected {
            return None;
        }
        let entity = match announced {
            // Who has gone is who came, by whatever name.
            Some(announced) if status == Status::Disconnected => announced.clone(),
            Some(_) | None => participant.entity(),
        };
        let is_led = self.group.as_deref().is_some_and(|group| group.kind == GroupKind::Dispatch);
        let role = match participant.role {
            GroupRole::Ordinary => Role::Ordinary,
            GroupRole::Distinguished => Role::Distinguished,
        };
        Some(info::User { role: is_led.then_some(role), ..info::User::new(entity, status, disconnection) })
    }

    /// Whether somebody was told of by another name.
    fn is_renamed(&self, address: &Bytes) -> bool {
        let announced = self.conference.announced.get(address);
        announced.is_some_and(|announced| {
            self.user_of(address, true).is_some_and(|user| user.entity != *announced)
        })
    }

    /// Who has gone, and of whom that has been told, is not spoken of again.
    fn forget_departed(&mut self, changed: &BTreeSet<Bytes>) {
        for address in changed.iter().filter(|address| !self.by_address.contains_key(*address)) {
            self.conference.announced.remove(address);
        }
    }
}

impl Participant {
    /// Digest 9.7: an anonymous one is nobody, and never the same nobody again.
    fn entity(&self) -> Bytes {
        match self.is_anonymous {
            true => Bytes::from(format!("sip:anonymous-{}@anonymous.invalid", self.number)),
            false => self.address.clone(),
        }
    }

    /// RFC 4575 §5.7.3, §5.7.6.
    fn status(&self) -> (Status, Option<Disconnection>) {
        match self.state {
            ParticipantState::Waiting => (Status::DialingIn, None),
            ParticipantState::Invited { is_alerting: false } => (Status::DialingOut, None),
            ParticipantState::Invited { is_alerting: true } => (Status::Alerting, None),
            ParticipantState::Connected => (Status::Connected, None),
            ParticipantState::Withdrawn { .. } if self.leg.is_some() => (Status::Disconnecting, None),
            ParticipantState::Withdrawn { .. } | ParticipantState::Over => {
                (Status::Disconnected, Some(self.disconnection()))
            }
        }
    }

    /// Who never joined has not departed (digest 9.7).
    fn disconnection(&self) -> Disconnection {
        let status = self.ended.as_ref().and_then(|(_, ended)| ended.status);
        match self.answered {
            Some(_) if self.was_removed() => Disconnection::Booted,
            Some(_) => Disconnection::Departed,
            None if status == Some(486) => Disconnection::Busy,
            None => Disconnection::Failed,
        }
    }
}
