//! Subscriptions of ours: SUBSCRIBE, its refreshes, and the NOTIFYs that come. RFC 6665 §4.1.

use bytes::Bytes;

use super::asking::Waiting;
use super::check::{
    check_address, check_body, check_contact, check_event, check_routes, check_subscription_headers,
    check_uri,
};
use super::face::{Request, RequestId, Subscribe, SubscriptionId};
use super::referring::{identified, is_unobserved};
use super::subscription::{Home, Place, Subscription, expires_of, written};
use super::*;
use crate::message::Valued;
use crate::reply::Received;
use crate::usage::subscription::subscriber::{Action, Subscriber};
use crate::usage::subscription::{Outcome, Standing, is_same_event, seconds};

impl Endpoint {
    /// Sends the first SUBSCRIBE.
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Misuse> {
        let Subscribe { id, targets, uri, from, to, routes, event, expires, headers, body, contact } =
            subscribe;
        check_event(&event)?;
        check_subscription_headers(&headers)?;
        check_uri(&uri)?;
        check_address(&from)?;
        check_address(&to)?;
        check_routes(&routes)?;
        check_body(body.as_ref())?;
        let lines = [(Name::Event, event.clone()), (Name::Expires, written(expires))];
        let request = Request {
            id: RequestId(0),
            method: Method::Subscribe,
            uri,
            from,
            to,
            targets,
            routes,
            headers: lines.into_iter().chain(headers.iter().cloned()).collect(),
            body,
            call_id: None,
            cseq: None,
            contact: None,
            hops: None,
        };
        self.begin_subscription(id, request, Beginning { asked: expires, event, headers, contact })
    }

    /// Sends the request that makes a subscription.
    pub(super) fn begin_subscription(
        &mut self,
        id: SubscriptionId,
        mut request: Request,
        beginning: Beginning,
    ) -> Result<(), Misuse> {
        let Beginning { asked, event, headers, contact } = beginning;
        contact.as_ref().map_or(Ok(()), check_contact)?;
        if self.subscriptions.contains_key(&id) {
            return Err(Misuse::Busy);
        }
        let mut targets = VecDeque::from(std::mem::take(&mut request.targets));
        let path = self.path_to(targets.pop_front().ok_or(Misuse::NoTarget)?)?;
        let (tag, call_id, branch) =
            (self.identifiers.draw(), self.identifiers.draw(), self.identifiers.draw());
        let (message, path, fallback) = self.fit(path, |endpoint, path| {
            let own = endpoint.contact(path, &tag, contact.as_ref());
            endpoint.compose_request(&request, path, [&tag, &branch], call_id.as_bytes(), Some(&own))
        })?;
        let key = half_key(&self.keyed, call_id.as_bytes(), tag.as_bytes());
        let first = Some(message.clone());
        let method = request.method.as_str().as_bytes();
        let transaction = self.start_request(message, &branch, method, path, Owner::Subscribing(id));
        self.dialogs.insert(key, Place::Subscription(id));
        self.subscriptions.insert(
            id,
            Subscription {
                usage: Subscriber::new(self.now, asked, self.timers.t1_64()),
                waiting: Waiting { authentication: Authentication::default(), targets, fallback, contact },
                local_tag: tag,
                path,
                event,
                headers,
                first,
                dialog: None,
                home: Home::Own(key),
                transaction,
                timer: None,
            },
        );
        self.reschedule_subscription(id);
        Ok(())
    }

    /// The user wants nothing more.
    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) -> Result<(), Misuse> {
        let now = self.now;
        let subscription = self.subscriptions.get_mut(&id).ok_or(Misuse::NoSession)?;
        let action = subscription.usage.unsubscribe(now);
        self.take_subscriber_action(id, action, None);
        Ok(())
    }

    /// Another attempt of a SUBSCRIBE has left.
    pub(super) fn subscription_goes_on(
        &mut self,
        id: SubscriptionId,
        request: Message,
        transaction: usize,
        path: Path,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.transaction = transaction;
        if subscription.dialog.is_none() {
            (subscription.first, subscription.path) = (Some(request), path);
        }
    }

    /// Whether a SUBSCRIBE that failed may be sent again.
    pub(super) fn may_subscribe_again(&self, id: SubscriptionId, transaction: usize) -> bool {
        let subscription = self.subscriptions.get(&id);
        subscription.is_some_and(|each| each.transaction == transaction && each.usage.may_try_again())
    }

    /// The final response to a SUBSCRIBE or a REFER, or why there is none.
    pub(super) fn subscription_answered(
        &mut self,
        id: SubscriptionId,
        transaction: usize,
        response: Option<&Message>,
        end: Option<End>,
    ) {
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.transaction != transaction {
            return;
        }
        let action = match (response.and_then(Message::status), response) {
            (Some(status @ 200..=299), Some(response)) if response.is_cseq_method(Method::Refer) => {
                // RFC 3515 §2.4.4: the span is told by the NOTIFY.
                if is_unobserved(response) {
                    let action = subscription.usage.release(status);
                    self.refresh_target_within(id, response);
                    action
                } else {
                    self.refresh_target_within(id, response);
                    self.note_referred(id);
                    Action::Nothing
                }
            }
            (Some(200..=299), Some(response)) => {
                subscription.usage.handle_success(now, expires_of(response));
                Action::Nothing
            }
            (Some(status), _) => subscription.usage.handle_failure(now, status),
            (None, _) => subscription.usage.handle_silence(now, end.unwrap_or(End::TimedOut)),
        };
        self.take_subscriber_action(id, action, None);
    }

    /// A NOTIFY outside of every dialog that is known: the first of a subscription, or nobody's (§4.4.1).
    pub(super) fn handle_first_notify(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let half = half_key(&self.keyed, request.call_id(), request.to_tag()?.unwrap_or_default());
        let Some(&Place::Subscription(id)) = self.dialogs.get(&half) else {
            return self.answer(key, path, request, 481, &Vec::new()); // §4.1.3
        };
        self.handle_notify(key, path, id, request)
    }

    /// A NOTIFY for a subscription of ours. Nobody is asked (§4.1.3).
    pub(super) fn handle_notify(
        &mut self,
        key: Key,
        path: Path,
        id: SubscriptionId,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let Some(event) = request.value(Name::Event) else {
            return self.answer(key, path, request, 489, &Vec::new());
        };
        let number = request.cseq()?.number;
        let standing = Standing::of(request).ok_or(Fault::Header(Name::SubscriptionState))?;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        let identified = subscription.first.as_ref().and_then(identified);
        if let Some(identified) = identified.filter(|identified| is_same_event(identified, event)) {
            subscription.event = identified;
        }
        if !is_same_event(&subscription.event, event) {
            return self.answer(key, path, request, 481, &Vec::new()); // §4.1.3
        }
        match (&mut subscription.dialog, &subscription.first) {
            (Some(dialog), _) => {
                if !dialog.accept_cseq(number) {
                    return self.answer(key, path, request, 500, &Vec::new()); // RFC 3261 §12.2.2
                }
                dialog.refresh_target(request);
            }
            // §4.4.1: this makes the dialog. Any other of the same SUBSCRIBE finds nothing from now on.
            (None, Some(first)) => {
                let dialog = Dialog::of_subscriber(first, request)?;
                let full = dialog.key(&self.keyed);
                subscription.dialog = Some(Box::new(dialog));
                subscription.first = None;
                subscription.waiting.targets.clear(); // a dialog has one next hop
                subscription.waiting.fallback = None;
                if let Home::Own(half) = std::mem::replace(&mut subscription.home, Home::Own(full)) {
                    self.dialogs.remove(&half);
                }
                self.dialogs.insert(full, Place::Subscription(id));
            }
            (None, None) => return Ok(()),
        }
        self.take_notify(key, path, id, standing, request)
    }

    /// A NOTIFY of a subscription of ours, in order.
    pub(super) fn take_notify(
        &mut self,
        key: Key,
        path: Path,
        id: SubscriptionId,
        standing: Standing,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        let is_wanted = !subscription.usage.is_unwanted();
        let tag = subscription.local_tag;
        let action = subscription.usage.handle_notify(now, standing);
        let received = Received::new(&mut self.scratch, request, path)?;
        let contact = self.contact_of_subscription(Owner::Subscribing(id), &received.path);
        let extra = Extra { contact: contact.as_deref(), headers: &[], body: None };
        self.answer_with(key, &received, request, tag, 200, &extra);
        if is_wanted {
            self.events.push_back(Event::Notified { subscription: id, message: request.message().clone() });
        }
        self.take_subscriber_action(id, action, Some(request));
        Ok(())
    }

    pub(super) fn handle_subscription_timeout(&mut self, id: SubscriptionId) {
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.timer = None;
        let action = subscription.usage.handle_timeout(now);
        self.take_subscriber_action(id, action, None);
    }

    fn take_subscriber_action(&mut self, id: SubscriptionId, action: Action, notify: Option<&Message>) {
        match action {
            Action::Nothing => {}
            Action::Refresh => {
                let asked = self.subscriptions.get(&id).map(|each| each.usage.asked()).unwrap_or_default();
                self.send_subscribe(id, asked);
            }
            Action::Unsubscribe => self.send_subscribe(id, Duration::ZERO),
            Action::End(outcome) => return self.end_subscription(id, outcome, notify),
        }
        self.reschedule_subscription(id);
    }

    fn send_subscribe(&mut self, id: SubscriptionId, expires: Duration) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let inherited = subscription.path;
        let mut lines = vec![(Name::Event, subscription.event.clone()), (Name::Expires, written(expires))];
        lines.extend(subscription.headers.iter().cloned());
        let owner = Owner::Subscribing(id);
        let Some(dialog) = self.dialog_of_subscription(owner) else { return };
        let cseq = dialog.next_cseq();
        let dialog = dialog.clone();
        let path = self.path_in(&dialog, inherited);
        let contact = self.contact_of_subscription(owner, &path).unwrap_or_default();
        lines.push((Name::Contact, Bytes::copy_from_slice(&contact)));
        let sent = self.start_in_dialog(&dialog, cseq, Method::Subscribe, &lines, path, owner);
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        match sent {
            Ok(transaction) => subscription.transaction = transaction,
            Err(_) => {
                let action = subscription.usage.handle_failure(now, 513);
                if let Action::End(outcome) = action {
                    self.end_subscription(id, outcome, None);
                }
            }
        }
    }

    pub(super) fn end_subscription(
        &mut self,
        id: SubscriptionId,
        outcome: Outcome,
        notify: Option<&Message>,
    ) {
        let Some(subscription) = self.subscriptions.remove(&id) else { return };
        if let Some((timer, _)) = subscription.timer {
            self.wheel.disarm(timer);
        }
        match subscription.home {
            Home::Own(key) => drop(self.dialogs.remove(&key)),
            Home::Session(_) => self.forget_referral(subscription.home, id),
        }
        let state = notify.and_then(|notify| notify.valued(Name::SubscriptionState).next()?.ok());
        let reason = |state: &Valued<'_>| state.parameters.value(b"reason").map(Bytes::copy_from_slice);
        let Outcome { end, by, status } = outcome;
        tracing::debug!(subscription = id.0, ?end, ?by, ?status, "subscription over");
        self.events.push_back(Event::SubscriptionEnded {
            subscription: id,
            end,
            by,
            status,
            reason: state.as_ref().and_then(reason),
            retry_after: state.as_ref().and_then(|state| seconds(state, b"retry-after")),
        });
    }

    pub(super) fn reschedule_subscription(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let deadline = subscription.usage.deadline();
        tables::rearm(&mut self.wheel, &mut subscription.timer, Due::Subscription(id), deadline);
    }
}

/// What a subscription of ours is besides the request that makes it.
pub(super) struct Beginning {
    /// How long it is to stand.
    pub(super) asked: Duration,
    pub(super) event: Bytes,
    /// Further lines of each SUBSCRIBE.
    pub(super) headers: Headers,
    pub(super) contact: Option<Contact>,
}

/// Where a subscription stands whose dialog has no remote tag yet.
fn half_key(keyed: &Keyed, call_id: &[u8], local_tag: &[u8]) -> Key {
    keyed.key(&[b"subscription", call_id, local_tag])
}
