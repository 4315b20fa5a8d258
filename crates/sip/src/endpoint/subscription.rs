//! Subscriptions as the endpoint keeps them: ours, and those of peers.

use bytes::Bytes;

use super::asking::Waiting;
use super::face::{Headers, SubscriberId, SubscriptionId, SubscriptionState};
use super::*;
use crate::reply::ReplyHead;
use crate::usage::subscription::notifier::Notifier;
use crate::usage::subscription::subscriber::Subscriber;

/// How long a subscription is asked for if its SUBSCRIBE does not say.
pub(super) const EXPIRES: Duration = Duration::from_secs(3600);

/// What a dialog belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Session(SessionId),
    /// A subscription of ours; before the first NOTIFY its dialog is only half known.
    Subscription(SubscriptionId),
    Subscriber(SubscriberId),
}

/// In which dialog a subscription stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    /// One of its own, at this place in the dialog table.
    Own(Key),
    /// That of a session (RFC 3515 §2.4.6).
    Session(SessionId),
}

/// A subscription of ours.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) usage: Subscriber,
    /// What another attempt of a SUBSCRIBE is made of.
    pub(super) waiting: Waiting,
    /// Our tag, and the user of our Contact.
    pub(super) local_tag: Identifier,
    /// The way that the first SUBSCRIBE, or the REFER, went.
    pub(super) path: Path,
    /// The value of Event.
    pub(super) event: Bytes,
    /// What the user adds to each SUBSCRIBE.
    pub(super) headers: Headers,
    /// The first SUBSCRIBE, or the REFER, until a NOTIFY has made the dialog; in that of a session for good.
    pub(super) first: Option<Message>,
    /// The one that a NOTIFY has made.
    pub(super) dialog: Option<Box<Dialog>>,
    pub(super) home: Home,
    /// The last SUBSCRIBE, or the REFER: what is said to an earlier one does not count any more.
    pub(super) transaction: usize,
    pub(super) timer: Option<(TimerId, Instant)>,
}

/// A subscription of a peer.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub(super) id: SubscriberId,
    pub(super) usage: Notifier,
    pub(super) origin: Origin,
    /// What another attempt of a NOTIFY is made of.
    pub(super) waiting: Waiting,
    /// Our tag, and the user of our Contact.
    pub(super) local_tag: Identifier,
    /// The way back to where the first SUBSCRIBE, or the REFER, came from.
    pub(super) path: Path,
    /// The value of Event.
    pub(super) event: Bytes,
    /// The longest span that its user grants; before that the one that the peer asks for.
    pub(super) span: Duration,
    /// That of its own.
    pub(super) dialog: Option<Box<Dialog>>,
    pub(super) home: Home,
    /// The Contact URI of a REFER within a session: the remote target once it is accepted (RFC 5057 §5.4).
    pub(super) target: Option<Bytes>,
    /// The first SUBSCRIBE, or the REFER, until it is answered.
    pub(super) asked: Option<(usize, ReplyHead)>,
    /// What is to be said next.
    pub(super) next: Option<Box<Notification>>,
    pub(super) timer: Option<(TimerId, Instant)>,
}

/// What a subscription of a peer comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Subscribe,
    Refer,
    /// A REFER that makes no subscription (RFC 4488 §4).
    Unobserved,
}

/// What a NOTIFY says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Notification {
    pub(super) state: SubscriptionState,
    pub(super) headers: Headers,
    pub(super) body: Option<Body>,
}

/// The span that a SUBSCRIBE, or the 2xx to one, names.
pub(super) fn expires_of(message: &Message) -> Option<Duration> {
    message.number(Name::Expires).ok().flatten().map(|seconds| Duration::from_secs(seconds.into()))
}

/// In whole seconds, so that it is never more than it is.
pub(super) fn written(span: Duration) -> Bytes {
    Bytes::from(span.as_secs().to_string())
}

impl Endpoint {
    /// What a request of this owner, if it is none of a session, is tried again with.
    pub(super) fn waiting(&mut self, owner: Owner) -> Option<&mut Waiting> {
        match owner {
            Owner::Request(id) => self.requests.get_mut(&id),
            Owner::Subscribing(id) => self.subscriptions.get_mut(&id).map(|each| &mut each.waiting),
            Owner::Notifying(id) => self.subscriber(id).map(|each| &mut each.waiting),
            Owner::Invite(_)
            | Owner::Leaving(_)
            | Owner::Declining(_)
            | Owner::Refreshing(_)
            | Owner::Acknowledging(_)
            | Owner::Nobody => None,
        }
    }

    /// In which dialog the subscription stands that the request is one of.
    fn home_of(&self, owner: Owner) -> Option<Home> {
        match owner {
            Owner::Subscribing(id) => self.subscriptions.get(&id).map(|each| each.home),
            Owner::Notifying(id) => {
                let subscriber = self.subscribers.get(id.index as usize).filter(|each| each.id == id);
                subscriber.map(|each| each.home)
            }
            Owner::Invite(_)
            | Owner::Leaving(_)
            | Owner::Declining(_)
            | Owner::Refreshing(_)
            | Owner::Acknowledging(_)
            | Owner::Request(_)
            | Owner::Nobody => None,
        }
    }

    /// The session under whose Call-ID the request was sent.
    pub(super) fn session_under(&self, owner: Owner) -> Option<SessionId> {
        match self.home_of(owner) {
            Some(Home::Session(id)) => Some(id),
            Some(Home::Own(_)) | None => owner.session(),
        }
    }

    /// The dialog of a subscription.
    pub(super) fn dialog_of_subscription(&mut self, owner: Owner) -> Option<&mut Dialog> {
        if let Home::Session(id) = self.home_of(owner)? {
            return self.session(id)?.dialog.as_deref_mut();
        }
        match owner {
            Owner::Subscribing(id) => self.subscriptions.get_mut(&id)?.dialog.as_deref_mut(),
            Owner::Notifying(id) => self.subscriber(id)?.dialog.as_deref_mut(),
            Owner::Invite(_)
            | Owner::Leaving(_)
            | Owner::Declining(_)
            | Owner::Refreshing(_)
            | Owner::Acknowledging(_)
            | Owner::Request(_)
            | Owner::Nobody => None,
        }
    }

    /// Our Contact in the dialog of a subscription.
    pub(super) fn contact_of_subscription(&self, owner: Owner, path: &Path) -> Option<Text> {
        if let Home::Session(id) = self.home_of(owner)? {
            let session = self.sessions.get(id.index as usize).filter(|session| session.id == id)?;
            return Some(self.contact_in(session, path));
        }
        let (local_tag, waiting) = match owner {
            Owner::Subscribing(id) => {
                self.subscriptions.get(&id).map(|each| (&each.local_tag, &each.waiting))?
            }
            Owner::Notifying(id) => {
                let subscriber = self.subscribers.get(id.index as usize).filter(|each| each.id == id);
                subscriber.map(|each| (&each.local_tag, &each.waiting))?
            }
            Owner::Invite(_)
            | Owner::Leaving(_)
            | Owner::Declining(_)
            | Owner::Refreshing(_)
            | Owner::Acknowledging(_)
            | Owner::Request(_)
            | Owner::Nobody => return None,
        };
        Some(self.contact(path, local_tag, waiting.contact.as_ref()))
    }

    pub(super) fn subscriber(&mut self, id: SubscriberId) -> Option<&mut Subscribed> {
        self.subscribers.get_mut(id.index as usize).filter(|each| each.id == id)
    }

    /// A request in the dialog of a subscription.
    pub(super) fn handle_in_subscription(
        &mut self,
        key: Key,
        path: Path,
        place: Place,
        method: Method,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        match (place, method) {
            (Place::Subscription(id), Method::Notify) => self.handle_notify(key, path, id, request),
            (Place::Subscriber(id), Method::Subscribe) => self.handle_resubscribe(key, path, id, request),
            (
                _,
                Method::Ack
                | Method::Bye
                | Method::Cancel
                | Method::Info
                | Method::Invite
                | Method::Message
                | Method::Notify
                | Method::Options
                | Method::Prack
                | Method::Publish
                | Method::Refer
                | Method::Register
                | Method::Subscribe
                | Method::Update
                | Method::Other,
            ) => self.answer(key, path, request, 481, &Vec::new()), // there is no usage that it could mean
        }
    }
}
