//! Somebody who is no element of the system and sends whatever it likes from wherever it says.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use poc::server::MediaPort;
use sip::Message;
use sip::transport::{Path, Transmit, Transport};

use super::{Happened, System};

/// An answer is at most so much longer than what it answers.
pub const AMPLIFICATION_MAX: usize = 512;

impl System {
    /// A stranger at `from` sends a datagram to the element of `place`, at once. The monitor does not count on it: whatever it
    /// is, what holds for everybody else goes on to hold. Returns the answer.
    ///
    /// # Panics
    /// If there is more than one answer, or a longer one than [`AMPLIFICATION_MAX`] lets it be.
    pub fn intrude(&mut self, place: usize, from: SocketAddr, bytes: Bytes) -> Option<Message> {
        let local = self.elements[place].address;
        let path = Path { transport: Transport::Udp, local, remote: from, connection: None };
        let length = bytes.len();
        let now = self.now;
        self.elements[place].machine.handle_datagram(now, path, bytes);
        let before = self.to_strangers.len();
        self.settle(place);
        let answers = self.to_strangers.split_off(before);
        assert!(answers.len() <= 1, "one answer to one datagram: {answers:?}");
        let answer = answers.into_iter().next()?.bytes;
        assert!(
            answer.len() <= length + AMPLIFICATION_MAX,
            "{length} octets are answered by {}",
            answer.len()
        );
        Message::parse(answer).ok()
    }

    /// The same with a datagram to a port of media.
    ///
    /// # Panics
    /// If the stranger is told anything.
    pub fn intrude_media(&mut self, place: usize, at: MediaPort, from: SocketAddr, bytes: Bytes) {
        let now = self.now;
        self.elements[place].machine.handle_media(now, at, from, bytes);
        let before = self.to_strangers.len();
        self.settle(place);
        assert_eq!(self.to_strangers[before..], [], "who takes no part is told nothing");
    }

    /// The messages that elements have sent, in order.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Transmit> {
        self.story.iter().filter_map(|(_, what)| match what {
            Happened::Message(transmit, _) => Some(transmit),
            Happened::Media(..) | Happened::Note(..) | Happened::Told(..) => None,
        })
    }

    /// What left for addresses that are no element's since it was asked last, answers to [`System::intrude`] aside.
    pub fn take_to_strangers(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.to_strangers)
    }

    /// Whether there is nobody at this address.
    pub(super) fn is_strange(&self, address: SocketAddr) -> bool {
        self.place_at(address.ip()).is_none_or(|place| self.elements[place].address != address)
    }

    /// Whether nobody has this address.
    pub(super) fn is_strange_host(&self, ip: IpAddr) -> bool {
        self.place_at(ip).is_none()
    }
}
