//! Reading challenges: RFC 3261 §20.27 and §20.44, RFC 7616 §3.3.

use bytes::Bytes;

use super::digest::{Algorithm, Function, Quality};
use crate::message::scan::{self, Cursor};
use crate::message::{Message, Name};

/// Challenges that are read of one response. Further ones are ignored.
pub const CHALLENGES_MAX: usize = 8;

/// Octets of the longest challenge that is answered: what it says is repeated in requests of ours.
const LENGTH_MAX: usize = 2048;

/// A challenge that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Challenge {
    /// The header field in which the answer stands: Authorization or Proxy-Authorization.
    pub(super) answer: Name,
    pub(super) realm: Bytes,
    pub(super) nonce: Bytes,
    pub(super) opaque: Option<Bytes>,
    /// Whether only the nonce was refused.
    pub(super) is_stale: bool,
    pub(super) algorithm: Algorithm,
    /// Whether the challenge names the algorithm, so that the answer does too.
    pub(super) is_named: bool,
    pub(super) quality: Option<Quality>,
    /// Whether the server wants the user name hashed.
    pub(super) userhash: bool,
}

/// The challenges of `response` that we support. Of those for one realm the topmost counts: the order is the server's
/// preference (RFC 8760 §2.4).
pub(super) fn challenges(response: &Message) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    // RFC 3261 §22.3: a forking proxy may put challenges of both kinds into one response.
    let kinds =
        [(Name::WwwAuthenticate, Name::Authorization), (Name::ProxyAuthenticate, Name::ProxyAuthorization)];
    let mut read = 0;
    for (name, answer) in kinds {
        for parts in response.values(name).flat_map(split) {
            read += 1;
            if read > CHALLENGES_MAX {
                return found;
            }
            let Some(challenge) = parse(&parts, answer) else { continue };
            let is_same = |each: &Challenge| each.answer == answer && each.realm == challenge.realm;
            if !found.iter().any(is_same) {
                found.push(challenge);
            }
        }
    }
    found
}

/// A scheme and its parameters, as written.
struct Parts<'a> {
    scheme: &'a [u8],
    parameters: Vec<(&'a [u8], &'a [u8])>,
    length: usize,
}

/// The challenges of one line. SIP has one a line; several, as HTTP has them, are told apart by the scheme that stands
/// before a parameter.
fn split(line: &[u8]) -> Vec<Parts<'_>> {
    let mut all: Vec<Parts<'_>> = Vec::new();
    for item in items(line) {
        let mut cursor = Cursor::new(item);
        let Some(mut name) = cursor.token() else { continue };
        if !cursor.eat_separator(b'=') {
            if all.len() == CHALLENGES_MAX {
                break;
            }
            all.push(Parts { scheme: name, parameters: Vec::new(), length: 0 });
            cursor.skip_space();
            let Some(first) = cursor.token() else { continue };
            if !cursor.eat_separator(b'=') {
                continue;
            }
            name = first;
        }
        if let Some(parts) = all.last_mut() {
            parts.length += item.len();
            parts.parameters.push((name, scan::trim(cursor.rest())));
        }
    }
    all
}

/// What stands between the commas that are not in quotes.
fn items(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => at += scan::quoted_length(&text[at..]).unwrap_or(text.len() - at),
                b',' => {
                    rest = Some(&text[at + 1..]);
                    return Some(scan::trim(&text[..at]));
                }
                _ => at += 1,
            }
        }
        rest = None;
        Some(scan::trim(text))
    })
}

fn parse(parts: &Parts<'_>, answer: Name) -> Option<Challenge> {
    if !parts.scheme.eq_ignore_ascii_case(b"Digest") || parts.length > LENGTH_MAX {
        return None;
    }
    let value = |name: &[u8]| {
        let mut parameters = parts.parameters.iter();
        parameters.find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| unquoted(value))
    };
    let required = |name: &[u8]| value(name).flatten();
    // A parameter that is there and unreadable is not as good as an absent one.
    let optional = |name: &[u8]| match value(name) {
        Some(value) => value.map(Some),
        None => Some(None),
    };
    let is_true = |value: Option<Bytes>| value.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
    let name = optional(b"algorithm")?;
    let md5 = Algorithm { function: Function::Md5, is_session: false };
    let algorithm = name.as_ref().map_or(Some(md5), |name| Algorithm::parse(name))?; // RFC 7616 §3.3
    let quality = match optional(b"qop")? {
        Some(options) => Some(quality(&options)?),
        None => None,
    };
    // RFC 3261 §22.4 item 8: without qop there is no cnonce, to which A1 would be bound.
    if algorithm.is_session && quality.is_none() {
        return None;
    }
    Some(Challenge {
        answer,
        realm: required(b"realm")?,
        nonce: required(b"nonce")?,
        opaque: optional(b"opaque")?,
        is_stale: is_true(optional(b"stale")?),
        algorithm,
        is_named: name.is_some(),
        quality,
        userhash: is_true(optional(b"userhash")?),
    })
}

/// The first that we support; `auth` before `auth-int`, since a proxy may change a body.
fn quality(options: &[u8]) -> Option<Quality> {
    [Quality::Authentication, Quality::Integrity].into_iter().find(|quality| {
        let mut options = options.split(|byte| *byte == b',').map(scan::trim);
        options.any(|option| option.eq_ignore_ascii_case(quality.as_str().as_bytes()))
    })
}

/// The text of a token, or of a quoted string without quotes and escapes. `None` if it is neither, or has octets that
/// must not stand in a line of ours.
pub fn unquoted(value: &[u8]) -> Option<Bytes> {
    let text = match value {
        [b'"', ..] => {
            let length = scan::quoted_length(value).filter(|length| *length == value.len())?;
            let mut octets = value[1..length - 1].iter();
            let mut text = Vec::with_capacity(length);
            while let Some(octet) = octets.next() {
                text.push(if *octet == b'\\' { *octets.next()? } else { *octet });
            }
            Bytes::from(text)
        }
        _ if scan::is_token(value) => Bytes::copy_from_slice(value),
        _ => return None,
    };
    text.iter().all(|octet| *octet == b'\t' || !octet.is_ascii_control()).then_some(text)
}
