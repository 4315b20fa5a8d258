//! Who is trusted, and in whose name a request is sent: RFC 3325, RFC 3323.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::{Essentials, Message, Name, NameAddr, Uri};
use sip::transport::{Path, Target, Transport};

use crate::hub::Core;
use crate::uri::user_of;

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The PoC Server, another domain or another address of the trust domain (RFC 3325 §2.3).
    Trusted,
    /// Anybody else.
    Client,
}

/// What becomes of P-Asserted-Identity in a request that is passed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asserted {
    /// It stays: it comes from somebody that is trusted.
    AsWritten,
    /// It goes: a client may not write it (RFC 3325 §5).
    Nobody,
    /// We know who it is: this is the value.
    User(Bytes),
}

impl Core {
    pub(crate) fn origin(&self, path: &Path) -> Origin {
        if self.is_trusted(path) { Origin::Trusted } else { Origin::Client }
    }

    /// Whether the other end of `path` belongs to the trust domain.
    pub(crate) fn is_trusted(&self, path: &Path) -> bool {
        let Path { transport, remote, .. } = *path;
        let is_server = |server: Target| server.remote == remote && server.transport != Transport::Inside;
        // An address that is used inside says nothing outside.
        transport == Transport::Inside
            || self.is_peer(path)
            || self.config.server.is_some_and(is_server)
            || self.config.trusted.iter().any(|source| source.covers(remote))
    }

    /// Whether the other end of `path` is the core of another domain: at its address, or on a connection from its host, which is
    /// how what is long comes. Not if that host is ours too, where anybody may connect.
    pub(crate) fn is_peer(&self, path: &Path) -> bool {
        let Path { transport, remote, connection, .. } = *path;
        let is_shared = || {
            let listeners = self.config.listeners.iter();
            remote.ip().is_loopback()
                || listeners.map(|each| each.advertised.ip()).any(|ip| ip == remote.ip())
        };
        let is_at = |peer: SocketAddr| {
            peer == remote || (connection.is_some() && peer.ip() == remote.ip() && !is_shared())
        };
        transport != Transport::Inside && self.config.peers.iter().any(|peer| is_at(peer.target.remote))
    }

    /// Whether `host` is a domain that we are responsible for.
    pub(crate) fn is_home(&self, host: &[u8]) -> bool {
        self.config.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }

    /// Whether `uri` is the address of the user `name`.
    pub(crate) fn is_address_of(&self, uri: &[u8], name: &[u8]) -> bool {
        Uri::parse(uri).is_ok_and(|uri| uri.is_sip() && self.is_home(uri.host) && user_of(&uri) == name)
    }

    /// Whether `user` may send a request with this From: its own address, or none at all.
    pub(crate) fn may_call_itself(&self, request: &Essentials<'_>, user: &[u8]) -> bool {
        request.from().is_ok_and(|from| {
            self.is_address_of(from.uri, user)
                || from.uri.eq_ignore_ascii_case(b"sip:anonymous@anonymous.invalid")
        })
    }

    /// The identity that is asserted of `user`: the one that it prefers, if that is its own (RFC 3325 §6).
    pub(crate) fn assert(&self, request: &Message, user: &[u8]) -> Asserted {
        let mut preferred = request.addresses(Name::PPreferredIdentity).filter_map(Result::ok);
        let own = |each: &NameAddr<'_>| self.is_address_of(each.uri, user);
        let display = preferred.find(own).map(|each| each.display).unwrap_or_default();
        let space: &[u8] = if display.is_empty() { b"" } else { b" " };
        let domain = self.config.domains.first().map(|domain| &domain[..]).unwrap_or_default();
        Asserted::User(Bytes::from([display, space, b"<sip:", user, b"@", domain, b">"].concat()))
    }
}

/// Whether the sender wants its identity hidden from whoever is not trusted (RFC 3325 §9.3).
pub(crate) fn wants_privacy(message: &Message) -> bool {
    message.lists(Name::Privacy, b"id")
}

/// Whether the sender wants a kind of privacy that we do not give, or the request to fail (RFC 3323 §5).
pub(crate) fn wants_more_privacy(message: &Message) -> bool {
    let asks = |kind: &[u8]| message.lists(Name::Privacy, kind);
    asks(b"critical") && (asks(b"header") || asks(b"session") || asks(b"user"))
}
