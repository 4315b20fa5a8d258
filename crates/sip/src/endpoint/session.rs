//! A session: the INVITEs that made and changed it, and the dialogs that came of them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::Further;
use super::face::{Contact, Headers, SessionId};
use super::sharing::Referrals;
use crate::auth::Authentication;
use crate::dialog::Dialog;
use crate::hash::Key;
use crate::identifier::Identifier;
use crate::message::Body;
use crate::reply::ReplyHead;
use crate::time::{Duration, Instant};
use crate::transport::Path;
use crate::usage::invite_client::InviteClient;
use crate::usage::invite_server::InviteServer;
use crate::usage::reliable::{ReliableClient, ReliableServer};
use crate::usage::session_timer::{SessionTimer, Terms};
use crate::wheel::TimerId;

/// Everything that is kept of a session. What only some have stands apart, so that each takes little room.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) state: State,
    /// Our tag, and the user of our Contact.
    pub(super) local_tag: Identifier,
    /// What our Contact says besides, if that is not the same in every session.
    pub(super) contact: Option<Box<Contact>>,
    /// Whether we sent the first INVITE, and so own the Call-ID (RFC 3261 §14.1).
    pub(super) is_inviter: bool,
    /// The way that the first INVITE went or came: where requests go if the dialog names no address.
    pub(super) path: Path,
    /// INVITEs of ours: the first, and re-INVITEs, each until its transaction is gone.
    pub(super) outgoing: Vec<Outgoing>,
    /// INVITEs of the peer: the first, and re-INVITEs, each until its transaction is gone.
    pub(super) incoming: Vec<Incoming>,
    /// The dialog that the user has.
    pub(super) dialog: Option<Box<Dialog>>,
    /// Where in the dialog table this session stands.
    pub(super) keys: SmallVec<[Key; 1]>,
    /// What the user wants to stand in the BYE that waits for an ACK.
    pub(super) leave_headers: Headers,
    /// BYEs of ours without a final response.
    pub(super) byes: u32,
    /// An offer of the peer that waits for its answer, outside of an INVITE.
    pub(super) asked: Option<Box<Asked>>,
    /// What keeps the session from being forgotten (RFC 4028).
    pub(super) session_timer: Option<Box<SessionTimer>>,
    /// The largest Min-SE that was heard of.
    pub(super) min_se: Duration,
    /// Whether the peer allows UPDATE.
    pub(super) allows_update: bool,
    /// What we last said of our media: what a refresh says again.
    pub(super) described: Option<Box<Body>>,
    /// What shares the dialog.
    pub(super) referrals: Option<Box<Referrals>>,
    /// The challenges that were answered under this Call-ID.
    pub(super) authentication: Authentication,
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
    /// The offer.
    pub(super) body: Option<Box<Body>>,
    /// The Session-Expires that it asks for.
    pub(super) session_expires: Option<Duration>,
    /// A re-INVITE that only refreshes the session: its user does not know of it.
    pub(super) is_refresh: bool,
    /// What another attempt would be made of.
    pub(super) further: Further,
}

/// A dialog that a response to our INVITE created.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    /// The ACK, once there was a 2xx: it is sent again for every copy of it (RFC 3261 §13.2.2.4).
    pub(super) ack: Option<(Path, Bytes)>,
    /// The peer sent BYE before its 2xx arrived here.
    pub(super) released: bool,
    /// The order of its reliable provisional responses.
    pub(super) reliable: ReliableClient,
    /// A reliable provisional response held the answer.
    pub(super) described: bool,
}

/// An INVITE of the peer.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) usage: InviteServer,
    pub(super) transaction: usize,
    pub(super) head: ReplyHead,
    pub(super) cseq: u32,
    /// The dialog that a 2xx will make; moved into the session by it. `None` for a re-INVITE.
    pub(super) dialog: Option<Box<Dialog>>,
    /// The Contact URI of a re-INVITE: the remote target once it is accepted (§12.2.2).
    pub(super) target: Option<Box<Bytes>>,
    /// Whether it holds an offer.
    pub(super) offers: bool,
    /// What it says about the session timer.
    pub(super) terms: Terms,
    /// Its provisional responses, if they are reliable.
    pub(super) reliable: Option<Box<ReliableServer>>,
    /// A reliable provisional response of ours held a description.
    pub(super) described: bool,
    /// The last reliable provisional response of the user, to be said again.
    pub(super) said: Option<Box<(u16, Headers)>>,
    /// The user has accepted, and the 2xx waits for a PRACK.
    pub(super) accepted: Option<Box<(Headers, Option<Body>)>>,
}

/// An UPDATE or PRACK of the peer with an offer that waits for the user's answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) transaction: usize,
    pub(super) head: ReplyHead,
    /// The tag that tells the dialog.
    pub(super) remote_tag: Bytes,
    /// The remote target of an UPDATE, once it is accepted.
    pub(super) target: Option<Bytes>,
    /// What an UPDATE says about the session timer; `None` for a PRACK.
    pub(super) terms: Option<Terms>,
    /// When the user has waited too long.
    pub(super) until: Instant,
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

    /// The INVITE of ours that was sent last because the user wanted it.
    pub(super) fn last_wanted(&mut self) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().rfind(|outgoing| !outgoing.is_refresh)
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

    /// The dialog with the peer of this tag: the user's, an early one, or one that was declined.
    pub(super) fn dialog_with(&mut self, remote_tag: &[u8]) -> Option<&mut Dialog> {
        let early = self.incoming.iter_mut().filter_map(|incoming| incoming.dialog.as_deref_mut());
        let legs = self.outgoing.iter_mut().flat_map(|outgoing| &mut outgoing.legs);
        let mut all =
            self.dialog.as_deref_mut().into_iter().chain(early).chain(legs.map(|leg| &mut leg.dialog));
        all.find(|dialog| dialog.remote_tag() == remote_tag)
    }

    /// Whether the dialog with the peer of this tag is one that the user has, or may get.
    pub(super) fn is_open(&self, remote_tag: &[u8]) -> bool {
        match self.state {
            State::Inviting | State::Established => match &self.dialog {
                Some(dialog) => dialog.remote_tag() == remote_tag,
                None => self.early_dialogs().any(|dialog| dialog.remote_tag() == remote_tag),
            },
            State::Leaving | State::Over => false,
        }
    }

    /// The early dialogs; those of an attempt that gave way have ended with it (RFC 3261 §12.3).
    fn early_dialogs(&self) -> impl Iterator<Item = &Dialog> {
        let pending = self.outgoing.iter().filter(|outgoing| outgoing.usage.is_pending());
        let legs = pending.flat_map(|outgoing| &outgoing.legs).map(|leg| &leg.dialog);
        self.incoming.iter().filter_map(|incoming| incoming.dialog.as_deref()).chain(legs)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let outgoing = self.outgoing.iter().filter_map(|outgoing| outgoing.usage.deadline());
        let incoming = self.incoming.iter().filter_map(|incoming| incoming.usage.deadline());
        let reliable = self.incoming.iter().filter_map(|incoming| incoming.reliable.as_ref()?.deadline());
        let asked = self.asked.iter().map(|asked| asked.until);
        let session_timer = self.session_timer.iter().map(|timer| timer.deadline());
        outgoing.chain(incoming).chain(reliable).chain(asked).chain(session_timer).min()
    }
}
