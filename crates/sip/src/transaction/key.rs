//! Which transaction a message belongs to: RFC 3261 §17.1.3 and §17.2.3.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::hash::{Key, Keyed};
use crate::identifier::Identifier;
use crate::message::{Essentials, Fault, Method};
use crate::transport::{ConnectionId, Path, Transport};

/// What a request is, as far as matching goes: an ACK belongs to its INVITE, and a CANCEL has a transaction of its own.
fn class(method: &[u8]) -> &[u8] {
    if method == b"ACK" { b"INVITE" } else { method }
}

/// The key of the server transaction that `request` belongs to or creates.
///
/// # Errors
/// [`Fault::Missing`] or [`Fault::Header`] if what it is made of cannot be read.
pub fn server(keyed: &Keyed, request: &Essentials<'_>) -> Result<Key, Fault> {
    of_method(keyed, request, request.method_text())
}

/// The key of a transaction of `method` on the branch of `request`.
///
/// # Errors
/// [`Fault::Missing`] or [`Fault::Header`] if what it is made of cannot be read.
pub fn of_method(keyed: &Keyed, request: &Essentials<'_>, method: &[u8]) -> Result<Key, Fault> {
    let via = request.via()?;
    // §18.1.1: the default of sent-by.
    let default_port = if via.transport.eq_ignore_ascii_case(b"TLS") { 5061 } else { 5060 };
    let port = via.port.unwrap_or(default_port).to_be_bytes();
    match request.branch().filter(|branch| has_cookie(branch)) {
        Some(branch) => {
            let mut host: SmallVec<[u8; 64]> = SmallVec::from_slice(via.host);
            host.make_ascii_lowercase();
            Ok(keyed.key(&[b"3261", branch, &host, &port, class(method)]))
        }
        None => rfc2543(keyed, request, class(method)),
    }
}

/// A branch with more behind the cookie than the cookie itself.
fn has_cookie(branch: &[u8]) -> bool {
    branch.len() > Identifier::COOKIE.len() && branch.starts_with(Identifier::COOKIE.as_bytes())
}

/// §17.2.3: a peer that predates RFC 3261. The To tag cannot be part of the key: an ACK has the one of the response.
fn rfc2543(keyed: &Keyed, request: &Essentials<'_>, class: &[u8]) -> Result<Key, Fault> {
    let from = request.from_tag()?.unwrap_or_default();
    let number = request.cseq()?.number.to_be_bytes();
    let parts = [b"2543", request.uri_text(), from, request.call_id(), &number, request.via_text(), class];
    Ok(keyed.key(&parts))
}

/// The key of an INVITE server transaction by branch and source: how a CANCEL is matched whose sent-by differs from
/// that of its INVITE (a peer that learned its public address in between).
///
/// # Errors
/// [`Fault::Missing`] or [`Fault::Header`] if what it is made of cannot be read.
pub fn by_flow(keyed: &Keyed, request: &Essentials<'_>, flow: &Flow) -> Result<Key, Fault> {
    match request.via().map(|_| request.branch())?.filter(|branch| has_cookie(branch)) {
        Some(branch) => Ok(keyed.key(&[b"flow", branch, &flow.octets()])),
        // No branch to go by: the fields of RFC 2543 but for the Via.
        None => {
            let from = request.from_tag()?.unwrap_or_default();
            let number = request.cseq()?.number.to_be_bytes();
            Ok(keyed.key(&[
                b"flow 2543",
                request.uri_text(),
                from,
                request.call_id(),
                &number,
                &flow.octets(),
            ]))
        }
    }
}

/// §8.2.2.2: the key under which a request that came twice over different ways is found.
///
/// # Errors
/// [`Fault::Missing`] or [`Fault::Header`] if what it is made of cannot be read.
pub fn merged(keyed: &Keyed, request: &Essentials<'_>) -> Result<Key, Fault> {
    let from = request.from_tag()?.unwrap_or_default();
    let cseq = request.cseq()?;
    Ok(keyed.key(&[b"merged", from, request.call_id(), &cseq.number.to_be_bytes(), cseq.method]))
}

/// The key of the client transaction that made `branch` for `method`.
pub fn client(keyed: &Keyed, branch: &Identifier, method: &[u8]) -> Key {
    keyed.key(&[b"client", branch.as_bytes(), method])
}

/// The key of the client transaction that `response` belongs to; `None` if its branch is none of ours.
pub fn client_of(keyed: &Keyed, response: &Essentials<'_>) -> Option<Key> {
    let branch = Identifier::from_branch(response.branch()?)?;
    let cseq = response.cseq().ok()?;
    (cseq.method != Method::Ack.as_str().as_bytes()).then(|| client(keyed, &branch, cseq.method))
}

/// Where requests come from, as far as trusting a CANCEL goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    transport: Transport,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Connection(ConnectionId),
    Socket(SocketAddr),
    Address(IpAddr),
}

impl Flow {
    /// The same connection; on UDP and inside the same address, and the same port if `strict`.
    pub fn of(path: &Path, strict: bool) -> Self {
        let source = match path.connection {
            Some(connection) => Source::Connection(connection),
            None if strict => Source::Socket(path.remote),
            None => Source::Address(path.remote.ip()),
        };
        Self { transport: path.transport, source }
    }

    /// What of it goes into a key.
    fn octets(&self) -> SmallVec<[u8; 32]> {
        let mut octets = SmallVec::from_slice(&[self.transport as u8]);
        let mut address = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => octets.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => octets.extend_from_slice(&ip.octets()),
        };
        match self.source {
            Source::Connection(ConnectionId::Opened(number)) => {
                octets.push(b'o');
                octets.extend_from_slice(&number.to_be_bytes());
            }
            Source::Connection(ConnectionId::Accepted(number)) => {
                octets.push(b'a');
                octets.extend_from_slice(&number.to_be_bytes());
            }
            Source::Socket(socket) => {
                address(socket.ip());
                octets.extend_from_slice(&socket.port().to_be_bytes());
            }
            Source::Address(ip) => address(ip),
        }
        octets
    }
}

#[cfg(test)]
mod tests;
