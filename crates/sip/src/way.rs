//! Which listener a request leaves by, and what Via and Contact say of it. RFC 3261 §18.1.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::endpoint::Contact;
use crate::identifier::Identifier;
use crate::transport::{Listener, Target, Transport};

/// A header value that seldom needs the heap.
pub type Text = SmallVec<[u8; 128]>;

/// The listener by which a request to `target` leaves: the first of its transport and address family.
pub fn listener_to<'a>(listeners: &'a [Listener], target: &Target) -> Option<&'a Listener> {
    let fits = |bind: &SocketAddr| bind.is_ipv4() == target.remote.is_ipv4();
    listeners.iter().find(|listener| listener.transport == target.transport && fits(&listener.bind))
}

/// What is the same in every Via and every Contact of a listener.
#[derive(Clone, Debug)]
pub struct Spelled {
    before_branch: Box<[u8]>,
    behind_branch: &'static [u8],
    behind_user: Box<[u8]>,
    contact_parameters: Box<[u8]>,
}

impl Spelled {
    /// One for each of `listeners`. `contact_parameters` stand behind every Contact, each with its semicolon.
    pub fn of(listeners: &[Listener], contact_parameters: &[u8]) -> Vec<Self> {
        listeners.iter().map(|each| Self::new(each.transport, each.advertised, contact_parameters)).collect()
    }

    /// `advertised` is the address at which peers reach the listener.
    pub fn new(transport: Transport, advertised: SocketAddr, contact_parameters: &[u8]) -> Self {
        let parameter = transport.uri_parameter();
        let before_branch = format!("SIP/2.0/{transport} {advertised};branch={}", Identifier::COOKIE);
        let behind_user = format!("@{advertised}{parameter}");
        Self {
            before_branch: before_branch.into_bytes().into(),
            behind_branch: if transport.is_reliable() { b"" } else { b";rport" }, // RFC 3581 §3
            behind_user: behind_user.into_bytes().into(),
            contact_parameters: contact_parameters.into(),
        }
    }

    /// A Via for a request of ours.
    pub fn via(&self, branch: &Identifier) -> Text {
        let mut via = Text::from_slice(&self.before_branch);
        via.extend_from_slice(branch.as_bytes());
        via.extend_from_slice(self.behind_branch);
        via
    }

    /// A Contact of ours.
    pub fn contact(&self, user: &Identifier) -> Text {
        self.contact_of(&[user.as_bytes(), &self.behind_user], b"", &self.contact_parameters)
    }

    /// A Contact of ours that says what its user wants it to.
    pub fn contact_with(&self, user: &Identifier, contact: &Contact) -> Text {
        let Contact { address, uri_parameters, parameters } = contact;
        match &address[..] {
            [] => self.contact_of(&[user.as_bytes(), &self.behind_user], uri_parameters, parameters),
            address => self.contact_of(&[address], uri_parameters, parameters),
        }
    }

    /// A Route value that leads to the listener. `parameters` stand in the URI, each with its semicolon.
    pub fn route(&self, user: &[u8], parameters: &[u8]) -> Text {
        let address = if user.is_empty() { &self.behind_user[1..] } else { &self.behind_user[..] };
        let mut route = Text::from_slice(b"<sip:");
        for part in [user, address, b";lr", parameters, b">"] {
            route.extend_from_slice(part);
        }
        route
    }

    fn contact_of(&self, address: &[&[u8]], of_uri: &[u8], behind: &[u8]) -> Text {
        let mut contact = Text::from_slice(b"<sip:");
        for part in address.iter().chain(&[of_uri, b">", behind]) {
            contact.extend_from_slice(part);
        }
        contact
    }
}
