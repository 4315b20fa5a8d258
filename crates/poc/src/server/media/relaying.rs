//! Media of a PoC Session on a pre-established session: between the client and the session beyond, as they are (user-plane digest 7).
//!
//! The server is the peer of both sides, at ports of its own: only the payload number of speech is that of the side it goes to. Who
//! may speak is for the Controlling PoC Function to say.

use bytes::Bytes;

use super::super::Server;
use super::Owner;

impl Server {
    /// The leg that hears what comes from this one.
    pub(super) fn other_side_of(&self, leg: usize) -> Option<usize> {
        match self.media.legs.get(leg)?.of {
            Owner::Participant { .. } => None,
            Owner::Client(at) => self.pre_established.all.get(at)?.far,
            Owner::Beyond(at) => Some(self.pre_established.all.get(at)?.near),
        }
    }

    /// Talk burst control, or other RTCP.
    pub(super) fn relay_control(&mut self, to: usize, bytes: &Bytes) {
        self.media.counters.relayed += 1;
        self.media.tell(to, bytes);
    }

    /// A packet of speech.
    pub(super) fn relay_speech(&mut self, to: usize, bytes: &Bytes) {
        if self.media.copy_to(to, bytes, false) {
            self.media.counters.relayed += 1;
        }
    }
}
