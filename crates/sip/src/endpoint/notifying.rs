//! Subscriptions of peers: SUBSCRIBE, the user's decision, and NOTIFY. RFC 6665 §4.2.

use bytes::Bytes;

use super::asking::Waiting;
use super::check::{check_body, check_contact, check_headers, check_subscription_headers};
use super::face::{Contact, SubscriberId, SubscriptionState};
use super::referring::{REFER, trying};
use super::subscription::{EXPIRES, Home, Notification, Origin, Place, Subscribed, expires_of, written};
use super::*;
use crate::message::Valued;
use crate::reply::Received;
use crate::usage::subscription::notifier::{Action, Notifier, Step};
use crate::usage::subscription::{Outcome, is_same_event};

impl Endpoint {
    /// Allow-Events, if there is anything to subscribe to (§4.4.4).
    pub(super) fn allow_events(&self) -> Headers {
        let packages: Vec<_> = self.packages().collect();
        let value = || Bytes::from(packages.join(&b", "[..]));
        if packages.is_empty() { Vec::new() } else { vec![(Name::AllowEvents, value())] }
    }

    /// The event packages that a peer may have a subscription to.
    pub(super) fn packages(&self) -> impl Iterator<Item = &[u8]> {
        let refer = self.is_for_user(Method::Refer).then_some(REFER);
        self.config.events.iter().map(|each| &each[..]).chain(refer)
    }

    /// A SUBSCRIBE outside of any dialog.
    pub(super) fn handle_subscribe(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let event = request.value(Name::Event).and_then(|event| Some((event, Valued::parse(event)?.value)));
        let known = |package: &[u8]| self.packages().any(|each| each == package);
        let Some((event, package)) = event.filter(|(_, package)| known(package)) else {
            let headers = self.allow_events();
            return self.answer(key, path, request, 489, &headers); // §4.2.1.1
        };
        if package == REFER {
            return self.answer(key, path, request, 403, &Vec::new()); // RFC 3515 §2.4.4: only REFER makes one
        }
        let span = expires_of(request).unwrap_or(EXPIRES);
        let opened = self.open_subscriber(key, path, request, Origin::Subscribe, event, span)?;
        if let Some(subscriber) = opened {
            self.events.push_back(Event::Subscribed { subscriber, request: request.message().clone() });
        }
        Ok(())
    }

    /// Lets a request that makes a subscription wait for its user. `None`: there is no room, or it came twice, and that was
    /// said.
    pub(super) fn open_subscriber(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
        origin: Origin,
        event: &[u8],
        span: Duration,
    ) -> Result<Option<SubscriberId>, Fault> {
        let merged = key::merged(&self.keyed, request)?;
        if self.by_key.contains_key(&merged) {
            self.answer(key, path, request, 482, &Vec::new())?; // RFC 3261 §8.2.2.2
            return Ok(None);
        }
        if self.subscribers.len() >= self.config.subscribers_max {
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
            self.reply_once(path, request, 503, &headers);
            return Ok(None);
        }
        let tag = self.identifiers.draw();
        let dialog = Dialog::of_server(request, tag.as_bytes())?;
        let Received { head, path, .. } = Received::new(&mut self.scratch, request, path)?;
        let machine = Machine::Server { machine: Server::start(path, self.timers.clone()), tag };
        let transaction = self.open(machine, SmallVec::from_slice(&[key, merged]), Owner::Nobody);
        let home = Home::Own(dialog.key(&self.keyed));
        let event = Bytes::copy_from_slice(event);
        let id = self.enter_subscriber(origin, home, tag, path, event, span, (transaction, head));
        if let Some(subscriber) = self.subscriber(id) {
            subscriber.dialog = Some(Box::new(dialog));
        }
        Ok(Some(id))
    }

    #[expect(clippy::too_many_arguments, reason = "everything that makes a subscription")]
    pub(super) fn enter_subscriber(
        &mut self,
        origin: Origin,
        home: Home,
        local_tag: Identifier,
        path: Path,
        event: Bytes,
        span: Duration,
        asked: (usize, crate::reply::ReplyHead),
    ) -> SubscriberId {
        self.serial = self.serial.wrapping_add(1);
        let usage = Notifier::new(self.now, &self.timers);
        let entry = self.subscribers.vacant_entry();
        let index = u32::try_from(entry.key()).expect("fewer than 2^32 subscriptions");
        let id = SubscriberId { index, serial: self.serial };
        entry.insert(Subscribed {
            id,
            usage,
            origin,
            waiting: Waiting::default(),
            local_tag,
            path,
            event,
            span,
            dialog: None,
            home,
            target: None,
            asked: Some(asked),
            next: None,
            timer: None,
        });
        self.reschedule_subscriber(id);
        id
    }

    /// The user accepts a SUBSCRIBE or a REFER.
    pub(super) fn admit(
        &mut self,
        id: SubscriberId,
        expires: Duration,
        headers: &Headers,
        contact: Option<Contact>,
    ) -> Result<(), Misuse> {
        check_subscription_headers(headers)?;
        contact.as_ref().map_or(Ok(()), check_contact)?;
        let now = self.now;
        let subscriber = self.subscriber(id).ok_or(Misuse::NoSession)?;
        if contact.is_some() && matches!(subscriber.home, Home::Session(_)) {
            return Err(Misuse::HeaderLine);
        }
        let asked = subscriber.asked.take().ok_or(Misuse::NothingToAnswer)?;
        // §4.2.1.1: it may be shortened and is never lengthened.
        subscriber.span = subscriber.span.min(expires);
        subscriber.usage.admit(now, subscriber.span);
        subscriber.waiting.contact = contact;
        let target = subscriber.target.take();
        let (span, home, origin) = (subscriber.span, subscriber.home, subscriber.origin);
        if let (Some(target), Some(dialog)) = (target, self.dialog_of_subscription(Owner::Notifying(id))) {
            dialog.set_target(&target);
        }
        let mut lines = match origin {
            Origin::Subscribe => vec![(Name::Expires, written(span))],
            Origin::Refer => Vec::new(),
            Origin::Unobserved => vec![(Name::ReferSub, Bytes::from_static(b"false"))], // RFC 4488 §4
        };
        lines.extend(headers.iter().cloned());
        self.respond_to_subscribe(id, &asked, 200, &lines); // §8.3.1, RFC 7647 §5: never 202
        match origin {
            Origin::Subscribe | Origin::Refer => {
                if let Home::Own(key) = home {
                    self.dialogs.insert(key, Place::Subscriber(id));
                }
                self.reschedule_subscriber(id);
            }
            Origin::Unobserved => self.remove_subscriber(id),
        }
        Ok(())
    }

    /// The user refuses a SUBSCRIBE or a REFER.
    pub(super) fn reject(&mut self, id: SubscriberId, status: u16, headers: &Headers) -> Result<(), Misuse> {
        check_headers(headers)?;
        let subscriber = self.subscriber(id).ok_or(Misuse::NoSession)?;
        if !subscriber.usage.is_asked() {
            return Err(Misuse::NothingToAnswer);
        }
        if !(300..700).contains(&status) || status == 408 {
            return Err(Misuse::Status); // RFC 4320 §4.2
        }
        if let Some(asked) = subscriber.asked.take() {
            self.respond_to_subscribe(id, &asked, status, headers);
        }
        self.remove_subscriber(id);
        Ok(())
    }

    /// The user has something to say.
    pub(super) fn notify(
        &mut self,
        id: SubscriberId,
        state: SubscriptionState,
        headers: &Headers,
        body: Option<Body>,
    ) -> Result<(), Misuse> {
        check_subscription_headers(headers)?;
        check_body(body.as_ref())?;
        let is_last = match &state {
            SubscriptionState::Active | SubscriptionState::Pending => false,
            SubscriptionState::Terminated { reason, .. } => {
                if !crate::message::scan::is_token(reason) {
                    return Err(Misuse::HeaderLine);
                }
                true
            }
        };
        if body.as_ref().is_some_and(|body| body.bytes.len() > NOTIFICATION_MAX) {
            return Err(Misuse::TooLong);
        }
        let subscriber = self.subscriber(id).ok_or(Misuse::NoSession)?;
        let step = subscriber.usage.notify(is_last).map_err(|_| Misuse::NotEstablished)?;
        // §4.4.3: the last of a subscription that the peer has ended.
        let state = if step.outcome.is_some() && !is_last { timeout() } else { state };
        subscriber.next = Some(Box::new(Notification { state, headers: headers.clone(), body }));
        self.take_notifier_step(id, step);
        Ok(())
    }

    /// Whether something that was said to a subscriber waits behind a NOTIFY that is under way: what is said now replaces it.
    pub fn has_unsent(&self, subscriber: SubscriberId) -> bool {
        let entry = self.subscribers.get(subscriber.index as usize);
        entry.is_some_and(|entry| entry.id == subscriber && entry.next.is_some())
    }

    /// A SUBSCRIBE in the dialog of a subscription: a refresh, or its end (§4.2.1.4).
    pub(super) fn handle_resubscribe(
        &mut self,
        key: Key,
        path: Path,
        id: SubscriberId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let number = request.cseq()?.number;
        let Some(subscriber) = self.subscriber(id) else { return Ok(()) };
        if !subscriber.dialog.as_mut().is_some_and(|dialog| dialog.accept_cseq(number)) {
            return self.answer(key, path, request, 500, &Vec::new()); // RFC 3261 §12.2.2
        }
        if !request.value(Name::Event).is_some_and(|event| is_same_event(&subscriber.event, event)) {
            return self.answer(key, path, request, 403, &Vec::new()); // §4.5.2: dialogs are not shared
        }
        self.resubscribe(key, path, id, request)
    }

    /// The same, in order and of this subscription.
    pub(super) fn resubscribe(
        &mut self,
        key: Key,
        path: Path,
        id: SubscriberId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let now = self.now;
        let Some(subscriber) = self.subscriber(id) else { return Ok(()) };
        let span = expires_of(request).unwrap_or(EXPIRES).min(subscriber.span);
        if !subscriber.usage.admit(now, span) {
            return self.answer(key, path, request, 481, &Vec::new());
        }
        let (tag, owner) = (subscriber.local_tag, Owner::Notifying(id));
        if let Some(dialog) = self.dialog_of_subscription(owner) {
            dialog.refresh_target(request);
        }
        let received = Received::new(&mut self.scratch, request, path)?;
        let contact = self.contact_of_subscription(owner, &received.path);
        let lines = [(Name::Expires, written(span))];
        let extra = Extra { contact: contact.as_deref(), headers: &lines, body: None };
        self.answer_with(key, &received, request, tag, 200, &extra);
        self.events.push_back(Event::Resubscribed { subscriber: id, request: request.message().clone() });
        self.reschedule_subscriber(id);
        Ok(())
    }

    /// The final response to a NOTIFY, or its lack. A transport failure counts as 503 (RFC 3261 §8.1.3.1).
    pub(super) fn notification_answered(&mut self, id: SubscriberId, status: Option<u16>, end: Option<End>) {
        let status = status.or((end == Some(End::TransportFailed)).then_some(503));
        let Some(subscriber) = self.subscriber(id) else { return };
        let step = subscriber.usage.handle_answer(status);
        self.take_notifier_step(id, step);
    }

    pub(super) fn handle_subscriber_timeout(&mut self, index: usize) {
        let now = self.now;
        let subscriber = &mut self.subscribers[index];
        subscriber.timer = None;
        let (id, step) = (subscriber.id, subscriber.usage.handle_timeout(now));
        self.take_notifier_step(id, step);
    }

    fn take_notifier_step(&mut self, id: SubscriberId, step: Step) {
        if let Some(outcome) = step.outcome {
            self.tell_subscriber_ended(id, outcome);
        }
        match step.action {
            Action::Nothing | Action::Keep => {}
            Action::Try => self.say_to_subscribe(id, 100),
            Action::GiveUp => {
                self.say_to_subscribe(id, 500);
                self.remove_subscriber(id);
            }
            Action::Notify => self.send_notify(id),
            Action::NotifyTimeout => {
                self.say_timeout(id);
                self.send_notify(id);
            }
            Action::KeepTimeout => self.say_timeout(id),
            Action::Remove => self.remove_subscriber(id),
        }
        self.reschedule_subscriber(id);
    }

    /// §4.2.1.4: nobody has refreshed it, or its user had nothing to add.
    fn say_timeout(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscriber(id) {
            let body = match subscriber.origin {
                Origin::Subscribe | Origin::Unobserved => None,
                Origin::Refer => Some(trying()),
            };
            let notification = Notification { state: timeout(), headers: Vec::new(), body };
            subscriber.next = Some(Box::new(notification));
        }
    }

    fn send_notify(&mut self, id: SubscriberId) {
        let now = self.now;
        let Some(subscriber) = self.subscriber(id) else { return };
        let Some(notification) = subscriber.next.take() else { return };
        let (inherited, event) = (subscriber.path, subscriber.event.clone());
        let state = spelled(&notification.state, subscriber.usage.remaining(now));
        let owner = Owner::Notifying(id);
        let Some(dialog) = self.dialog_of_subscription(owner) else { return };
        let cseq = dialog.next_cseq();
        let dialog = dialog.clone();
        let path = self.path_in(&dialog, inherited);
        let branch = self.identifiers.draw();
        let composed = self.fit(path, |endpoint, path| {
            let via = endpoint.via(path, &branch);
            let contact = endpoint.contact_of_subscription(owner, path).unwrap_or_default();
            let mut writer = dialog.write_request(&mut endpoint.scratch, Method::Notify, cseq, &via);
            writer
                .line(Name::Contact, &contact)
                .line(Name::Event, &event)
                .line(Name::SubscriptionState, state.as_bytes());
            for (name, value) in &notification.headers {
                writer.line(*name, value);
            }
            writer.finish(notification.body.as_ref());
            endpoint.composed()
        });
        match composed {
            Ok((request, path, fallback)) => {
                if let Some(subscriber) = self.subscriber(id) {
                    subscriber.waiting.fallback = fallback;
                }
                self.send_request(request, &branch, b"NOTIFY", path, owner);
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "NOTIFY cannot be written");
                self.notification_answered(id, Some(513), None);
            }
        }
    }

    /// Says something without further lines to the SUBSCRIBE that waits for its user.
    fn say_to_subscribe(&mut self, id: SubscriberId, status: u16) {
        let Some(asked) = self.subscriber(id).and_then(|subscriber| subscriber.asked.clone()) else { return };
        self.respond_to_subscribe(id, &asked, status, &Vec::new());
    }

    fn respond_to_subscribe(
        &mut self,
        id: SubscriberId,
        (transaction, head): &(usize, crate::reply::ReplyHead),
        status: u16,
        headers: &Headers,
    ) {
        let Some(subscriber) = self.subscriber(id) else { return };
        let (tag, path) = (subscriber.local_tag, subscriber.path);
        let is_success = (200..300).contains(&status);
        let contact = self.contact_of_subscription(Owner::Notifying(id), &path).filter(|_| is_success);
        let extra = Extra { contact: contact.as_deref(), headers, body: None };
        let product = &self.config.product;
        let response = head.response(&mut self.scratch, status, tag.as_bytes(), product, &extra);
        if let Machine::Server { machine, .. } = &mut self.transactions[*transaction].machine {
            machine.respond(self.now, status, response, &mut self.outbox);
        }
        self.reschedule(*transaction);
    }

    fn remove_subscriber(&mut self, id: SubscriberId) {
        if self.subscriber(id).is_none() {
            return;
        }
        let subscriber = self.subscribers.remove(id.index as usize);
        if let Some((timer, _)) = subscriber.timer {
            self.wheel.disarm(timer);
        }
        match subscriber.home {
            Home::Own(key) => drop(self.dialogs.remove(&key)),
            Home::Session(_) => self.forget_referrer(subscriber.home, id),
        }
    }

    /// Ends a subscription of a peer whose session ends, and what asks for one (RFC 3261 §15.1.2).
    pub(super) fn end_subscriber(&mut self, id: SubscriberId, outcome: Outcome) {
        let Some(subscriber) = self.subscriber(id) else { return };
        let is_told = subscriber.usage.is_ending();
        if let Some(asked) = subscriber.asked.take() {
            self.respond_to_subscribe(id, &asked, 487, &Vec::new());
        }
        if !is_told {
            self.tell_subscriber_ended(id, outcome);
        }
        self.remove_subscriber(id);
    }

    fn tell_subscriber_ended(&mut self, id: SubscriberId, outcome: Outcome) {
        let Outcome { end, by, status } = outcome;
        tracing::debug!(subscriber = id.serial, ?end, ?by, ?status, "subscriber gone");
        self.events.push_back(Event::SubscriberEnded { subscriber: id, end, by, status });
    }

    fn reschedule_subscriber(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(id.index as usize).filter(|each| each.id == id)
        else {
            return;
        };
        let deadline = subscriber.usage.deadline();
        let due = Due::Subscriber(id.index as usize);
        tables::rearm(&mut self.wheel, &mut subscriber.timer, due, deadline);
    }
}

/// Octets of the longest body of a NOTIFY: the rest of the message has room beside it.
const NOTIFICATION_MAX: usize = 48 * 1024;

fn timeout() -> SubscriptionState {
    SubscriptionState::Terminated { reason: Bytes::from_static(b"timeout"), retry_after: None }
}

/// The value of Subscription-State; §4.2.2: what lasts says how long.
fn spelled(state: &SubscriptionState, remaining: Option<Duration>) -> String {
    let expires = remaining.unwrap_or_default().as_secs();
    match state {
        SubscriptionState::Active => format!("active;expires={expires}"),
        SubscriptionState::Pending => format!("pending;expires={expires}"),
        SubscriptionState::Terminated { reason, retry_after } => {
            let retry =
                retry_after.map(|span| format!(";retry-after={}", span.as_secs())).unwrap_or_default();
            format!("terminated;reason={}{retry}", String::from_utf8_lossy(reason))
        }
    }
}
