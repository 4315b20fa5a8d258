//! What a user may not ask for.

use std::fmt;

use bytes::Bytes;

use super::face::{Contact, Headers};
use crate::dialog::ROUTES_MAX;
use crate::message::{Body, Name, NameAddr, Uri, Valued, check_value, has_line_end, may_repeat, scan};

/// Our own caller asked for what the state does not allow. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misuse {
    /// There is no such session, or it is over.
    NoSession,
    /// A final response is known already: leave the session instead.
    TooLate,
    /// There is no request of the peer to answer, or something was said to it already.
    NothingToAnswer,
    /// The session is not established, so it cannot be left or changed: cancel it, or refuse it.
    NotEstablished,
    /// Another change of the session, or another request of this name, is under way; or too many provisional responses
    /// wait for their PRACK.
    Busy,
    /// There is no listener for the transport and address family of the target.
    NoListener,
    /// This text is no URI or no address.
    Address,
    /// No next hop is given.
    NoTarget,
    /// This method has a command of its own, or is none that can be asked for.
    Method,
    /// A header value is malformed or has a line end in it, or names a header field that the endpoint writes itself.
    HeaderLine,
    /// The status code is not one for this answer.
    Status,
    /// The message would be longer than [`LENGTH_MAX`](crate::message::LENGTH_MAX), or what a user adds to it is longer
    /// than 8 KiB or 64 lines.
    TooLong,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "no such session",
            Self::TooLate => "too late: a final response is known, leave the session instead",
            Self::NothingToAnswer => "no request to answer",
            Self::NotEstablished => "session is not established: cancel or refuse it",
            Self::Busy => "another change of the session, or request of this name, is under way",
            Self::NoListener => "no listener for the transport and address family of the target",
            Self::Address => "not a URI or an address",
            Self::NoTarget => "no next hop is given",
            Self::Method => "not a method for a request outside of a dialog",
            Self::HeaderLine => {
                "line end in a header value, or a header field that the endpoint writes itself"
            }
            Self::Status => "status code does not fit the answer",
            Self::TooLong => "message too long",
        })
    }
}

impl std::error::Error for Misuse {}

/// Octets of the header lines, or of the Route values, that a user adds to a message.
const ADDED_MAX: usize = 8 * 1024;

/// Header lines that a user adds to a message.
const LINES_MAX: usize = 64;

/// A user's header lines must not break the message apart, nor double what the endpoint writes.
pub(super) fn check_headers(headers: &Headers) -> Result<(), Misuse> {
    let own = [
        Name::Via,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::MaxForwards,
        Name::Contact,
        Name::ContentLength,
        Name::ContentType,
        Name::Route,
        Name::RecordRoute,
        Name::RSeq,
        Name::RAck,
        Name::SessionExpires,
        Name::MinSe,
        Name::Other,
    ];
    let is_fine = |(name, value): &(Name, Bytes)| {
        !own.contains(name) && !has_line_end(value) && check_value(*name, value).is_ok()
    };
    let octets: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if octets > ADDED_MAX || headers.len() > LINES_MAX {
        return Err(Misuse::TooLong);
    }
    let is_first = |place: usize| headers[..place].iter().all(|(name, _)| *name != headers[place].0);
    let is_single = (0..headers.len()).all(|place| may_repeat(headers[place].0) || is_first(place));
    if is_single && headers.iter().all(is_fine) { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// Likewise in a subscription, where the endpoint writes more.
pub(super) fn check_subscription_headers(headers: &Headers) -> Result<(), Misuse> {
    check_headers(headers)?;
    let is_own = |(name, _): &(Name, Bytes)| {
        matches!(
            name,
            Name::Event | Name::Expires | Name::SubscriptionState | Name::AllowEvents | Name::ReferSub
        )
    };
    if headers.iter().any(is_own) { Err(Misuse::HeaderLine) } else { Ok(()) }
}

/// RFC 6665 §8.2.1: one event package, and its parameters.
pub(super) fn check_event(event: &[u8]) -> Result<(), Misuse> {
    let is_fine = !has_line_end(event)
        && scan::split(event, b',').count() == 1
        && Valued::parse(event).is_some_and(|event| scan::is_token(event.value));
    if is_fine { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// Likewise in a REFER, whose Refer-To is one address (RFC 3515 §2.4.1).
pub(super) fn check_refer(refer_to: &[u8], headers: &Headers) -> Result<(), Misuse> {
    check_subscription_headers(headers)?;
    if headers.iter().any(|(name, _)| *name == Name::ReferTo) {
        return Err(Misuse::HeaderLine);
    }
    if has_line_end(refer_to)
        || NameAddr::parse(refer_to).is_err()
        || scan::split(refer_to, b',').count() != 1
    {
        return Err(Misuse::Address);
    }
    Ok(())
}

/// RFC 3261 §9.1: a CANCEL requires nothing.
pub(super) fn check_cancel_headers(headers: &Headers) -> Result<(), Misuse> {
    check_headers(headers)?;
    let requires = |(name, _): &(Name, Bytes)| matches!(name, Name::Require | Name::ProxyRequire);
    if headers.iter().any(requires) { Err(Misuse::HeaderLine) } else { Ok(()) }
}

/// The type of a body stands in a header line of its own.
pub(super) fn check_body(body: Option<&Body>) -> Result<(), Misuse> {
    let is_fine = body.is_none_or(|body| {
        let kind = &body.content_type;
        !has_line_end(kind) && check_value(Name::ContentType, kind).is_ok()
    });
    if is_fine { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// An address and parameters of a Contact that stay where they are put, and do not begin another one.
pub(super) fn check_contact(contact: &Contact) -> Result<(), Misuse> {
    let Contact { address, uri_parameters, parameters } = contact;
    if address.len() + uri_parameters.len() + parameters.len() > ADDED_MAX {
        return Err(Misuse::TooLong);
    }
    // RFC 3261 §25.1: paramchar, and what stands between them.
    let is_parameter = |octet: &u8| octet.is_ascii_alphanumeric() || b"[]/:&+$-_.!~*'()%;=".contains(octet);
    let own: &[u8] = if address.is_empty() { b"u@h" } else { address };
    let uri = [b"sip:", own, &uri_parameters[..]].concat();
    let value = [b"<", &uri[..], b">", parameters].concat();
    let behind_semicolon = |text: &[u8]| text.is_empty() || text.starts_with(b";");
    let is_fine = !has_line_end(&value)
        && behind_semicolon(uri_parameters)
        && uri_parameters.iter().all(is_parameter)
        && behind_semicolon(parameters)
        && scan::split(&value, b',').count() == 1
        && NameAddr::parse(&value).is_ok()
        && is_user_at_host(own)
        && Uri::parse(&uri).is_ok();
    if is_fine { Ok(()) } else { Err(Misuse::HeaderLine) }
}

/// Whether a URI is nothing but a user, a host and perhaps a port.
fn is_user_at_host(address: &[u8]) -> bool {
    let uri = [b"sip:", address].concat();
    Uri::parse(&uri).is_ok_and(|uri| {
        let is_bare = uri.parameters.as_bytes().is_empty() && uri.headers.is_none();
        let has_user = uri.user.is_some_and(|user| !user.contains(&b':')); // no password
        is_bare && has_user && !address.ends_with(b";")
    })
}

/// Route values, each an address on one line.
pub(super) fn check_routes(routes: &[Bytes]) -> Result<(), Misuse> {
    if routes.len() > ROUTES_MAX || routes.iter().map(Bytes::len).sum::<usize>() > ADDED_MAX {
        return Err(Misuse::TooLong);
    }
    let is_fine =
        |route: &Bytes| !has_line_end(route) && NameAddr::parse(route).is_ok() && route.contains(&b'<');
    if routes.iter().all(is_fine) { Ok(()) } else { Err(Misuse::Address) }
}

/// A Request-URI: on one line, and without header fields (RFC 3261 §19.1.1).
pub(super) fn check_uri(text: &[u8]) -> Result<(), Misuse> {
    let uri = Uri::parse(text).map_err(|_| Misuse::Address)?;
    if has_line_end(text) || uri.headers.is_some() { Err(Misuse::Address) } else { Ok(()) }
}

/// An address for From or To: readable, on one line, and without a tag, which is the endpoint's to write.
pub(super) fn check_address(text: &[u8]) -> Result<(), Misuse> {
    let address = NameAddr::parse(text).map_err(|_| Misuse::Address)?;
    if has_line_end(text) || address.tag().is_some() || scan::trim(text).len() != text.len() {
        return Err(Misuse::Address);
    }
    Ok(())
}
