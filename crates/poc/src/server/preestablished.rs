//! Pre-established sessions (digest 7.2, 14.8).

use sip::{Message, SessionId};

use super::Server;
use super::policy::{Inviter, Refusal};

impl Server {
    /// An INVITE of a user of this server that invites nobody.
    pub(super) fn pre_establish(&mut self, session: SessionId, _request: &Message, _inviter: Inviter) {
        self.refuse(session, Refusal::saying(403, "function not allowed"));
    }
}
