//! The Participating PoC Function of an inviting user whose session another function controls (digest 10.1).

use sip::{Message, SessionId};

use super::Server;
use super::policy::{Inviter, Refusal};

impl Server {
    /// An INVITE of a user of this server for a group, or for a session that stands.
    pub(super) fn originate(&mut self, session: SessionId, _request: &Message, _inviter: Inviter) {
        self.refuse(session, Refusal::saying(403, "function not allowed"));
    }
}
