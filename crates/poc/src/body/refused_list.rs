//! P-Refused-URI-List: of whom the groups consist that a server does not invite for another. RFC 5318.

use bytes::Bytes;
use sip::Message;
use sip::message::scan::split;
use sip::message::{Body, Name, NameAddr};

use super::BodyError;
use super::multipart::{self, PARTS_MAX, Part};
use super::resource_lists::{self, Entry, RECIPIENTS};

/// A group within a list of those who are to be invited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The URI that stood in the list.
    pub group: Bytes,
    /// Its members, as far as they are told.
    pub members: Vec<Entry>,
}

/// The header field and the body of a 403 that refuses these groups, [`PARTS_MAX`] of them at most.
pub fn write(refused: &[Refused]) -> (Bytes, Body) {
    let told = refused.iter().take(PARTS_MAX);
    let ids: Vec<_> = (0..told.len()).map(|number| format!("members-{number}@refused.invalid")).collect();
    // RFC 5318 §5: a quoted string that has a cid-url. Its example in §7 has the brackets and not the quotes.
    let field = |(each, id): (&Refused, &String)| {
        format!("<{}>;members=\"<cid:{id}>\"", String::from_utf8_lossy(&each.group))
    };
    let header = told.clone().zip(&ids).map(field).collect::<Vec<_>>().join(", ");
    let lists: Vec<_> = told.map(|each| resource_lists::write(&each.members)).collect();
    let part = |(list, id)| {
        let (list, id): (&Bytes, &String) = (list, id);
        let content_type = resource_lists::CONTENT_TYPE.as_bytes();
        Part { content_type, disposition: RECIPIENTS.as_bytes(), id: id.as_bytes(), bytes: list }
    };
    let parts: Vec<_> = lists.iter().zip(&ids).map(part).collect();
    (Bytes::from(header), multipart::write(&parts))
}

/// The groups that `response` refuses; none if it is not a 403 (RFC 5318 §6: no other response has the header field).
///
/// # Errors
/// [`BodyError`] if an element is not of this form, or names a list that is not there or is none.
pub fn read(response: &Message) -> Result<Vec<Refused>, BodyError> {
    if response.status() != Some(403) {
        return Ok(Vec::new());
    }
    let parts = multipart::parts_of(response)?;
    let mut refused = Vec::new();
    for item in response.items(Name::PRefusedUriList) {
        if refused.len() == PARTS_MAX {
            return Err(BodyError::TooLarge);
        }
        let mut fields = split(item, b';');
        let group = fields.next().and_then(|address| NameAddr::parse(address).ok());
        let group = group.ok_or(BodyError::Value("P-Refused-URI-List"))?;
        let members = match fields.find_map(members) {
            Some(url) => {
                let id = content_id(url).ok_or(BodyError::Value("members"))?;
                // RFC 5318 §6: one of the body parts MUST have it.
                let part = parts.iter().find(|part| part.id == id && part.is(resource_lists::CONTENT_TYPE));
                resource_lists::read(part.ok_or(BodyError::Value("members"))?.bytes)?
            }
            None => Vec::new(),
        };
        refused.push(Refused { group: response.share(group.uri), members });
    }
    Ok(refused)
}

/// The value of `members`, with or without quotes, with or without brackets.
fn members(field: &[u8]) -> Option<&[u8]> {
    let (name, value) = field.split_at_checked(field.iter().position(|byte| *byte == b'=')?)?;
    name.trim_ascii().eq_ignore_ascii_case(b"members").then_some(())?;
    let value = value[1..].trim_ascii();
    let value = within(value, b"\"", b"\"").unwrap_or(value);
    Some(within(value, b"<", b">").unwrap_or(value))
}

fn within<'a>(value: &'a [u8], open: &[u8], close: &[u8]) -> Option<&'a [u8]> {
    Some(value.strip_prefix(open)?.strip_suffix(close)?.trim_ascii())
}

/// RFC 2392 §2: the Content-ID of a `cid` URL: what stands behind the scheme, with its escapes resolved.
fn content_id(url: &[u8]) -> Option<Vec<u8>> {
    let (scheme, mut rest) = url.split_at_checked(4)?;
    (scheme.eq_ignore_ascii_case(b"cid:") && !rest.is_empty()).then_some(())?;
    let mut id = Vec::with_capacity(rest.len());
    while let Some((first, behind)) = rest.split_first() {
        let (octet, behind) = match first {
            b'%' => {
                let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, &behind[2..])
            }
            octet => (*octet, behind),
        };
        id.push(octet);
        rest = behind;
    }
    Some(id)
}

#[cfg(test)]
mod tests;
