//! Which transaction a message belongs to: RFC 3261 §17.1.3 and §17.2.3.

use crate::hash::{Key, Keyed};
use crate::identifier::Identifier;
use crate::message::{Fault, Message, Method, Name};
use crate::transport::Path;

/// What a request is, as far as matching goes: an ACK belongs to its INVITE, and a CANCEL has a transaction of its own.
fn class(method: &[u8]) -> &[u8] {
    if method == b"ACK" { b"INVITE" } else { method }
}

/// The key of the server transaction that `request` belongs to or creates.
pub(crate) fn server(keyed: &Keyed, request: &Message) -> Result<Key, Fault> {
    of_method(keyed, request, request.method_text())
}

/// The key of a transaction of `method` on the branch of `request`.
pub(crate) fn of_method(keyed: &Keyed, request: &Message, method: &[u8]) -> Result<Key, Fault> {
    let via = request.via()?;
    // §18.1.1: the default of sent-by.
    let default_port = if via.transport.eq_ignore_ascii_case(b"TLS") { 5061 } else { 5060 };
    let port = via.port.unwrap_or(default_port).to_be_bytes();
    match via.branch().filter(|branch| has_cookie(branch)) {
        Some(branch) => {
            let host = via.host.to_ascii_lowercase();
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
fn rfc2543(keyed: &Keyed, request: &Message, class: &[u8]) -> Result<Key, Fault> {
    let from = request.from()?.tag().unwrap_or_default();
    let number = request.cseq()?.number.to_be_bytes();
    let via = request.items(Name::Via).next().unwrap_or_default();
    Ok(keyed.key(&[b"2543", request.uri_text(), from, request.call_id(), &number, via, class]))
}

/// The key of an INVITE server transaction by branch and source: how a CANCEL is matched whose sent-by differs from
/// that of its INVITE (a peer that learned its public address in between).
pub(crate) fn by_flow(keyed: &Keyed, request: &Message, flow: &Flow) -> Result<Key, Fault> {
    match request.via()?.branch().filter(|branch| has_cookie(branch)) {
        Some(branch) => Ok(keyed.key(&[b"flow", branch, &flow.0])),
        // No branch to go by: the fields of RFC 2543 but for the Via.
        None => {
            let from = request.from()?.tag().unwrap_or_default();
            let number = request.cseq()?.number.to_be_bytes();
            Ok(keyed.key(&[b"flow 2543", request.uri_text(), from, request.call_id(), &number, &flow.0]))
        }
    }
}

/// §8.2.2.2: the key under which a request that came twice over different ways is found.
pub(crate) fn merged(keyed: &Keyed, request: &Message) -> Result<Key, Fault> {
    let from = request.from()?.tag().unwrap_or_default();
    let cseq = request.cseq()?;
    Ok(keyed.key(&[b"merged", from, request.call_id(), &cseq.number.to_be_bytes(), cseq.method]))
}

/// The key of the client transaction that made `branch` for `method`.
pub(crate) fn client(keyed: &Keyed, branch: &Identifier, method: &[u8]) -> Key {
    keyed.key(&[b"client", branch.as_bytes(), method])
}

/// The key of the client transaction that `response` belongs to; `None` if its branch is none of ours.
pub(crate) fn client_of(keyed: &Keyed, response: &Message) -> Option<Key> {
    let branch = Identifier::from_branch(response.via().ok()?.branch()?)?;
    let cseq = response.cseq().ok()?;
    (cseq.method != Method::Ack.as_str().as_bytes()).then(|| client(keyed, &branch, cseq.method))
}

/// Where requests come from, as far as trusting a CANCEL goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flow(Vec<u8>);

impl Flow {
    /// The same connection; on UDP the same address, and the same port if `strict`.
    pub(crate) fn of(path: &Path, strict: bool) -> Self {
        let mut text = path.transport.as_str().as_bytes().to_vec();
        match path.connection {
            Some(connection) => text.extend_from_slice(format!("{connection:?}").as_bytes()),
            None if strict => text.extend_from_slice(path.remote.to_string().as_bytes()),
            None => text.extend_from_slice(path.remote.ip().to_string().as_bytes()),
        }
        Self(text)
    }
}

#[cfg(test)]
mod tests;
