//! What comes out of an endpoint beside messages.

use bytes::Bytes;

use super::face::{ReceivedId, RequestId, SessionId, SubscriberId, SubscriptionId};
use crate::message::Message;
use crate::time::Duration;
use crate::transport::ConnectionId;
use crate::usage::{End, Party};

/// What the user must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A 101 to 199 for our INVITE, in whatever dialog.
    Progress {
        /// Which.
        session: SessionId,
        /// The response.
        response: Message,
    },
    /// Our INVITE was accepted and the ACK has been sent.
    Established {
        /// Which.
        session: SessionId,
        /// The 2xx.
        response: Message,
    },
    /// An INVITE arrived that begins a session.
    Invited {
        /// The session that it begins.
        session: SessionId,
        /// The INVITE.
        request: Message,
    },
    /// The ACK for our 2xx arrived.
    Acknowledged {
        /// Which.
        session: SessionId,
        /// The ACK.
        request: Message,
    },
    /// A reliable 1xx of ours has arrived.
    ProgressAcknowledged {
        /// Which.
        session: SessionId,
        /// The PRACK; its body is the answer if the 1xx held an offer (RFC 3262 §5).
        request: Message,
    },
    /// The peer wants to change the session: answer with accept or refuse. An UPDATE or a PRACK, which may come before
    /// the session is established, wants it at once: after T2 it is answered 504 (RFC 3311 §5.2).
    ModificationOffered {
        /// Which.
        session: SessionId,
        /// The re-INVITE, UPDATE or PRACK.
        request: Message,
    },
    /// Our change was accepted and the ACK has been sent; or a refresh of ours, whose answer may be another one (RFC 4028
    /// §7.4).
    Modified {
        /// Which.
        session: SessionId,
        /// The 2xx.
        response: Message,
    },
    /// A change, ours or the peer's, is over without having been wanted by both. The session is as it was before, unless
    /// `status` is a 2xx: then the peer had accepted before our CANCEL reached it, and the change holds.
    ModificationEnded {
        /// Which.
        session: SessionId,
        /// How.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response, if there was one.
        status: Option<u16>,
        /// After a 491: how long to wait before another try (RFC 3261 §14.1).
        retry_after: Option<Duration>,
    },
    /// The next hop of the session is a name. Requests go the way of the INVITE until it was looked up; nothing waits
    /// for that. Told once.
    Locate {
        /// Which.
        session: SessionId,
        /// The URI to look up (RFC 3263).
        uri: Bytes,
    },
    /// A request outside of any dialog is over: told once.
    Answered {
        /// Which.
        request: RequestId,
        /// The final response.
        response: Option<Message>,
        /// Why there is none.
        end: Option<End>,
    },
    /// A request of [`Config::methods`](super::Config::methods) arrived outside of any dialog: answer it with
    /// [`Command::Respond`](super::Command::Respond).
    Requested {
        /// Under which name it is answered.
        request: ReceivedId,
        /// The request.
        message: Message,
    },
    /// A NOTIFY of a subscription of ours arrived and was answered 200.
    Notified {
        /// Which.
        subscription: SubscriptionId,
        /// The NOTIFY.
        message: Message,
    },
    /// A subscription of ours is over: the last event of it.
    SubscriptionEnded {
        /// Which.
        subscription: SubscriptionId,
        /// How. `Left`: the user ended it, or what was fetched has come; `Released`: the peer ended it, or accepted a REFER
        /// without making one.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response that settled it, if there was one.
        status: Option<u16>,
        /// The reason in the last NOTIFY (RFC 6665 §4.1.3).
        reason: Option<Bytes>,
        /// How long to wait before another try, if the last NOTIFY says so.
        retry_after: Option<Duration>,
    },
    /// A peer wants to subscribe: answer with [`Command::Admit`](super::Command::Admit) or
    /// [`Command::Reject`](super::Command::Reject). A span of zero asks for one NOTIFY.
    Subscribed {
        /// Under which name.
        subscriber: SubscriberId,
        /// The SUBSCRIBE.
        request: Message,
    },
    /// A peer wants a request to be sent: answer with [`Command::Admit`](super::Command::Admit) or
    /// [`Command::Reject`](super::Command::Reject). Each NOTIFY has a body of type `message/sipfrag`, the last one the state
    /// terminated with the reason `noresource` (RFC 3515 §2.4.5, §2.4.7).
    Referred {
        /// Under which name.
        subscriber: SubscriberId,
        /// The session in whose dialog it came, and whose end is that of the subscription too.
        session: Option<SessionId>,
        /// Whether it becomes a subscription once it is accepted. If not, nothing is said of it any more (RFC 4488).
        wants_progress: bool,
        /// The REFER; its Refer-To is one address.
        request: Message,
    },
    /// A peer has refreshed its subscription, or ended it with an Expires of zero: it waits for a NOTIFY (RFC 6665
    /// §4.2.1.2), which in the second case is the last, and leaves without the user after T2.
    Resubscribed {
        /// Which.
        subscriber: SubscriberId,
        /// The SUBSCRIBE, which was answered 200.
        request: Message,
    },
    /// A subscription of a peer is over: the last event of it.
    SubscriberEnded {
        /// Which.
        subscriber: SubscriberId,
        /// How. `Left`: the user ended it; `Released`: the peer did; `Expired`: the peer did not refresh it; `Lost`: a NOTIFY
        /// met nobody.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response that settled it, if there was one.
        status: Option<u16>,
    },
    /// This stream cannot be read any more: close the connection.
    Disconnect {
        /// Which.
        connection: ConnectionId,
    },
    /// The session is over: the last event of it, and the only one of this kind.
    Ended {
        /// Which.
        session: SessionId,
        /// How.
        end: End,
        /// Who caused it.
        by: Party,
        /// The final response to the INVITE that settled it, if there was one.
        status: Option<u16>,
        /// The value of Reason in the message that ended it (RFC 3326).
        reason: Option<Bytes>,
        /// The 300 to 699 to our INVITE, if that ended it.
        response: Option<Message>,
    },
}
