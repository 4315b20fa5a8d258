//! A session: the INVITEs that made and changed it, and the dialogs that came of them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::face::{Headers, SessionId};
use super::reply::ReplyHead;
use crate::dialog::Dialog;
use crate::hash::Key;
use crate::identifier::Identifier;
use crate::time::Instant;
use crate::transport::Path;
use crate::usage::invite_client::InviteClient;
use crate::usage::invite_server::InviteServer;
use crate::wheel::TimerId;

/// Everything that is kept of a session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) state: State,
    /// Our tag, and the user of our Contact.
    pub(super) local_tag: Identifier,
    /// Whether we sent the first INVITE, and so own the Call-ID (RFC 3261 §14.1).
    pub(super) is_inviter: bool,
    /// The way that the first INVITE went or came: where requests go if the dialog names no address.
    pub(super) path: Path,
    /// INVITEs of ours: the first, and re-INVITEs, each until its transaction is gone.
    pub(super) outgoing: Vec<Outgoing>,
    /// INVITEs of the peer: the first, and re-INVITEs, each until its transaction is gone.
    pub(super) incoming: Vec<Incoming>,
    /// The dialog that the user has.
    pub(super) dialog: Option<Dialog>,
    /// Where in the dialog table this session stands.
    pub(super) keys: SmallVec<[Key; 1]>,
    /// What the user wants to stand in the BYE that waits for an ACK.
    pub(super) leave_headers: Headers,
    /// BYEs of ours without a final response.
    pub(super) byes: u32,
    pub(super) timer: Option<(TimerId, Instant)>,
}

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    /// An INVITE waits for its final response, or for the ACK of its 2xx.
    Inviting,
    /// The user has it.
    Established,
    /// Our BYE is under way.
    Leaving,
    /// The user was told the end. What remains ends what the peer may still believe to have.
    Over,
}

/// An INVITE of ours.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) usage: InviteClient,
    pub(super) transaction: usize,
    /// What the user wants to stand in the CANCEL.
    pub(super) cancel_headers: Headers,
    /// The dialogs that responses created, by To tag.
    pub(super) legs: Vec<Leg>,
}

/// A dialog that a response to our INVITE created.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    /// The ACK, once there was a 2xx: it is sent again for every copy of it (RFC 3261 §13.2.2.4).
    pub(super) ack: Option<(Path, Bytes)>,
    /// The peer sent BYE before its 2xx arrived here.
    pub(super) released: bool,
}

/// An INVITE of the peer.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) usage: InviteServer,
    pub(super) transaction: usize,
    pub(super) head: ReplyHead,
    pub(super) cseq: u32,
    /// The dialog that a 2xx will make; moved into the session by it. `None` for a re-INVITE.
    pub(super) dialog: Option<Dialog>,
    /// The Contact URI of a re-INVITE: the remote target once it is accepted (§12.2.2).
    pub(super) target: Option<Bytes>,
}

impl Session {
    /// The INVITE of ours that `transaction` carries.
    pub(super) fn outgoing_of(&mut self, transaction: usize) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|outgoing| outgoing.transaction == transaction)
    }

    /// The INVITE of the peer that `transaction` carries.
    pub(super) fn incoming_of(&mut self, transaction: usize) -> Option<&mut Incoming> {
        self.incoming.iter_mut().find(|incoming| incoming.transaction == transaction)
    }

    /// The INVITE of ours that has no final response yet.
    pub(super) fn pending_outgoing(&mut self) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|outgoing| outgoing.usage.is_pending())
    }

    /// The INVITE of the peer that has no final response yet.
    pub(super) fn alerting(&mut self) -> Option<&mut Incoming> {
        self.incoming.iter_mut().find(|incoming| incoming.usage.is_alerting())
    }

    /// The INVITE of the peer whose 2xx has no ACK yet.
    pub(super) fn unacknowledged(&mut self) -> Option<&mut Incoming> {
        self.incoming.iter_mut().find(|incoming| incoming.usage.is_unacknowledged())
    }

    /// Whether nothing remains that anybody could ask for.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Over && self.outgoing.is_empty() && self.incoming.is_empty() && self.byes == 0
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let outgoing = self.outgoing.iter().filter_map(|outgoing| outgoing.usage.deadline());
        let incoming = self.incoming.iter().filter_map(|incoming| incoming.usage.deadline());
        outgoing.chain(incoming).min()
    }
}
