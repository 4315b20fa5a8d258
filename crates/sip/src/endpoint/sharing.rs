//! REFER within the dialog of a session, and the subscriptions that share it: ours, and those of peers. RFC 3515 §2.4.6.
//!
//! Tags do not tell them apart, so Event does: `refer` for the first REFER that is taken in the dialog, `refer;id=N` for that
//! with the number N. They stand no longer than the session; whatever becomes of them, it goes on without them (RFC 5057 §3).

use bytes::Bytes;

use super::asking::Waiting;
use super::check::check_body;
use super::face::{SubscriberId, SubscriptionId};
use super::referring::{REFER, SPAN_MAX, origin_of};
use super::session::State;
use super::subscription::{EXPIRES, Home, Origin, Subscription};
use super::*;
use crate::message::Valued;
use crate::reply::Received;
use crate::usage::subscription::subscriber::Subscriber;
use crate::usage::subscription::{Standing, is_same_event};

/// REFERs of each side whose subscriptions may share one dialog.
const REFERRALS_MAX: usize = 16;

/// What shares the dialog of a session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Referrals {
    /// Subscriptions of ours, in order.
    pub(super) ours: Vec<SubscriptionId>,
    /// The number of the REFER whose NOTIFYs need no id, once it is known.
    unnamed: Option<u32>,
    /// Subscriptions of the peer, in order.
    pub(super) theirs: Vec<SubscriberId>,
    /// The number of the first REFER of the peer.
    first: Option<u32>,
}

impl Endpoint {
    /// Sends a REFER in the dialog of an established session.
    pub(super) fn refer_within(
        &mut self,
        id: SubscriptionId,
        session_id: SessionId,
        lines: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_body(body)?;
        if self.subscriptions.contains_key(&id) {
            return Err(Misuse::Busy);
        }
        let session = self.session(session_id).filter(|session| session.state != State::Over);
        let session = session.ok_or(Misuse::NoSession)?;
        let is_full = session.referrals.as_ref().is_some_and(|each| each.ours.len() >= REFERRALS_MAX);
        let dialog = session.dialog.clone().filter(|_| session.state == State::Established);
        let mut dialog = dialog.ok_or(Misuse::NotEstablished)?;
        if is_full {
            return Err(Misuse::Busy);
        }
        let (inherited, local_tag) = (session.path, session.local_tag);
        let number = dialog.next_cseq();
        let branch = self.identifiers.draw();
        let path = self.path_in(&dialog, inherited);
        let (message, path, fallback) = self.fit(path, |endpoint, path| {
            let contact = endpoint.contact_in(&endpoint.sessions[session_id.index as usize], path);
            let via = endpoint.via(path, &branch);
            let mut writer = dialog.write_request(&mut endpoint.scratch, Method::Refer, number, &via);
            writer.line(Name::Contact, &contact);
            for (name, value) in lines {
                writer.line(*name, value);
            }
            writer.finish(body);
            endpoint.composed()
        })?;
        if let Some(session) = self.session(session_id) {
            session.dialog = Some(dialog);
            session.referrals.get_or_insert_default().ours.push(id);
        }
        let usage = Subscriber::new(self.now, EXPIRES, self.timers.t1_64());
        let subscription = Subscription {
            usage,
            waiting: Waiting { fallback, ..Waiting::default() },
            local_tag,
            path,
            event: Bytes::from_static(REFER),
            headers: Vec::new(),
            first: Some(message.clone()),
            dialog: None,
            home: Home::Session(session_id),
            transaction: 0,
            timer: None,
        };
        self.subscriptions.insert(id, subscription);
        let transaction = self.send_request(message, &branch, b"REFER", path, Owner::Subscribing(id));
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.transaction = transaction;
        }
        self.reschedule_subscription(id);
        Ok(())
    }

    /// A 2xx to a REFER of ours, if it is within a session.
    pub(super) fn refresh_target_within(&mut self, id: SubscriptionId, response: &Message) {
        let Some(Home::Session(session)) = self.subscriptions.get(&id).map(|each| each.home) else { return };
        if let Some(dialog) = self.session(session).and_then(|session| session.dialog.as_mut()) {
            dialog.refresh_target(response); // RFC 5057 §5.4: for all that share it
        }
    }

    /// A REFER of ours makes a subscription. If it is the first in its dialog its NOTIFYs need no id.
    pub(super) fn note_referred(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        let Home::Session(session) = subscription.home else { return };
        let number = subscription.number();
        if let Some(referrals) = self.session(session).and_then(|session| session.referrals.as_mut()) {
            referrals.unnamed = referrals.unnamed.or(number);
        }
    }

    /// A NOTIFY in the dialog of a session, in order.
    pub(super) fn handle_notify_within(
        &mut self,
        key: Key,
        path: Path,
        session_id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let Some(event) = request.value(Name::Event) else {
            return self.answer(key, path, request, 489, &Vec::new());
        };
        let standing = Standing::of(request).ok_or(Fault::Header(Name::SubscriptionState))?;
        let Some(id) = self.referral_of(session_id, event) else {
            return self.answer(key, path, request, 481, &Vec::new()); // RFC 6665 §4.1.3
        };
        if Valued::parse(event).is_some_and(|event| event.parameters.value(b"id").is_none()) {
            self.note_referred(id);
        }
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.event = Bytes::copy_from_slice(event); // what the peer calls it is understood
        }
        if let Some(dialog) = self.session(session_id).and_then(|session| session.dialog.as_mut()) {
            dialog.refresh_target(request); // RFC 5057 §5.4
        }
        self.take_notify(key, path, id, standing, request)
    }

    /// The subscription of ours that an Event within the session names.
    fn referral_of(&mut self, session_id: SessionId, event: &[u8]) -> Option<SubscriptionId> {
        let referrals = self.session(session_id)?.referrals.clone()?;
        let named = |id: &SubscriptionId| {
            let first = self.subscriptions.get(id)?.first.as_ref()?;
            Some(is_same_event(&super::referring::identified(first)?, event))
        };
        if let Some(id) = referrals.ours.iter().find(|id| named(id) == Some(true)) {
            return Some(*id);
        }
        let has_number = |id: &SubscriptionId, number: u32| {
            self.subscriptions.get(id).is_some_and(|each| each.number() == Some(number))
        };
        let mut ours = referrals.ours.iter().copied();
        match referrals.unnamed.filter(|_| is_same_event(REFER, event)) {
            Some(number) => ours.find(|id| has_number(id, number)),
            None if is_same_event(REFER, event) => ours.next(),
            None => None,
        }
    }

    /// A REFER in the dialog of a session, in order.
    pub(super) fn handle_refer_within(
        &mut self,
        key: Key,
        path: Path,
        session_id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let origin = origin_of(request)?;
        let number = request.cseq()?.number;
        let remote_tag = request.from_tag()?.unwrap_or_default();
        let is_open = self.session(session_id).is_some_and(|session| session.is_open(remote_tag));
        if !is_open {
            return self.answer(key, path, request, 481, &Vec::new());
        }
        let is_full = self.subscribers.len() >= self.config.subscribers_max;
        let Some(session) = self.session(session_id) else { return Ok(()) };
        if session.state != State::Established {
            return self.answer(key, path, request, 403, &Vec::new()); // nothing to share yet
        }
        let (local_tag, own_path) = (session.local_tag, session.path);
        let referrals = session.referrals.get_or_insert_default();
        if is_full || referrals.theirs.len() >= REFERRALS_MAX {
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
            return self.answer(key, path, request, 503, &headers);
        }
        let is_first = *referrals.first.get_or_insert(number) == number;
        let Received { head, path, .. } = Received::new(&mut self.scratch, request, path)?;
        let machine = Machine::Server { machine: Server::start(path, self.timers.clone()), tag: local_tag };
        let transaction = self.open(machine, SmallVec::from_slice(&[key]), Owner::Nobody);
        let event =
            if is_first { Bytes::from_static(REFER) } else { Bytes::from(format!("refer;id={number}")) };
        let home = Home::Session(session_id);
        let asked = (transaction, head);
        let subscriber = self.enter_subscriber(origin, home, local_tag, own_path, event, SPAN_MAX, asked);
        let contact = request.addresses(Name::Contact).next().and_then(Result::ok);
        if let Some(subscriber) = self.subscriber(subscriber) {
            subscriber.target = contact.map(|contact| Bytes::copy_from_slice(contact.uri));
        }
        if let Some(referrals) = self.session(session_id).and_then(|session| session.referrals.as_mut()) {
            referrals.theirs.push(subscriber);
        }
        self.events.push_back(Event::Referred {
            subscriber,
            session: Some(session_id),
            wants_progress: origin == Origin::Refer,
            request: request.message().clone(),
        });
        Ok(())
    }

    /// A SUBSCRIBE in the dialog of a session, in order: a refresh of what a REFER of the peer made, or its end.
    pub(super) fn handle_subscribe_within(
        &mut self,
        key: Key,
        path: Path,
        session_id: SessionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let event = request.value(Name::Event).unwrap_or_default();
        let is_refer = Valued::parse(event).is_some_and(|event| event.value == REFER);
        if !is_refer || !self.is_for_user(Method::Refer) {
            return self.answer(key, path, request, 403, &Vec::new()); // RFC 6665 §4.5.2: dialogs are not shared
        }
        let referrals = self.session(session_id).and_then(|session| session.referrals.clone());
        let Some(referrals) = referrals else { return self.answer(key, path, request, 481, &Vec::new()) };
        // The first may be named either way (RFC 3515 §2.4.6).
        let first = referrals.first.map(|number| format!("refer;id={number}")).unwrap_or_default();
        let meant = if is_same_event(first.as_bytes(), event) { REFER } else { event };
        let found = referrals.theirs.iter().find(|id| {
            let subscriber = self.subscribers.get(id.index as usize).filter(|each| each.id == **id);
            subscriber.is_some_and(|each| !each.usage.is_asked() && is_same_event(&each.event, meant))
        });
        match found {
            Some(id) => self.resubscribe(key, path, *id, request),
            None => self.answer(key, path, request, 481, &Vec::new()),
        }
    }

    /// Ends what shares the dialog of a session that ends: each is told once. What the peer asked gets its answer (RFC 3261
    /// §15.1.2).
    pub(super) fn end_referrals(&mut self, id: SessionId, end: End, by: Party) {
        let Some(referrals) = self.session(id).and_then(|session| session.referrals.take()) else { return };
        let outcome = crate::usage::subscription::Outcome { end, by, status: None };
        for subscription in referrals.ours {
            self.end_subscription(subscription, outcome, None);
        }
        for subscriber in referrals.theirs {
            self.end_subscriber(subscriber, outcome);
        }
    }

    /// A subscription of ours that shared a dialog is over.
    pub(super) fn forget_referral(&mut self, home: Home, id: SubscriptionId) {
        if let Some(referrals) = self.referrals(home) {
            referrals.ours.retain(|each| *each != id);
        }
    }

    /// One of a peer that shared a dialog is over.
    pub(super) fn forget_referrer(&mut self, home: Home, id: SubscriberId) {
        if let Some(referrals) = self.referrals(home) {
            referrals.theirs.retain(|each| *each != id);
        }
    }

    fn referrals(&mut self, home: Home) -> Option<&mut Referrals> {
        match home {
            Home::Session(id) => self.session(id)?.referrals.as_deref_mut(),
            Home::Own(_) => None,
        }
    }

    /// What a request of a subscription says in Allow within a session: REFER and what comes of it have a user there too.
    pub(super) fn allow_within(&self) -> Headers {
        let mut value = ALLOWED.to_vec();
        if self.is_for_user(Method::Refer) {
            value.extend_from_slice(b", SUBSCRIBE, NOTIFY, REFER");
        }
        vec![(Name::Allow, Bytes::from(value))]
    }
}

impl Subscription {
    /// The number of the REFER that makes it.
    fn number(&self) -> Option<u32> {
        self.first.as_ref()?.cseq().ok().map(|cseq| cseq.number)
    }
}
