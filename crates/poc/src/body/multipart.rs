//! `multipart/mixed`: several bodies in one. RFC 2046 §5.1, RFC 5621.

use bytes::{BufMut, Bytes, BytesMut};
use sip::message::{Body, Message, Name, Valued};

use super::{BodyError, resource_lists};
use crate::sdp;

/// Parts of a body that are read.
pub const PARTS_MAX: usize = 16;

/// Octets of the header of one part.
const HEADER_MAX: usize = 4096;

/// Octets of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

/// One body of several, or the only one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Part<'a> {
    /// Content-Type; empty if there is none.
    pub content_type: &'a [u8],
    /// Content-Disposition; empty if there is none.
    pub disposition: &'a [u8],
    /// Content-ID without its brackets; empty if there is none.
    pub id: &'a [u8],
    /// The octets.
    pub bytes: &'a [u8],
}

impl Part<'_> {
    /// Whether it is of this type, whatever the parameters.
    pub fn is(&self, content_type: &str) -> bool {
        is_named(self.content_type, content_type)
    }

    /// Whether it is there for this, whatever the parameters: `recipient-list`.
    pub fn is_for(&self, disposition: &str) -> bool {
        is_named(self.disposition, disposition)
    }

    /// RFC 3261 §20.11: whether who does not understand it must refuse the message.
    pub fn is_required(&self) -> bool {
        let handling =
            Valued::list(self.disposition).next().and_then(|each| each.parameters.value(b"handling"));
        !handling.is_some_and(|handling| handling.eq_ignore_ascii_case(b"optional"))
    }
}

/// Puts several bodies into one.
pub fn write(parts: &[Part<'_>]) -> Body {
    let boundary = boundary_for(parts);
    let mut out = BytesMut::new();
    for part in parts {
        for line in [b"--", boundary.as_bytes(), b"\r\n"] {
            out.put_slice(line);
        }
        let lines = [
            (&b"Content-Type: "[..], part.content_type, &b"\r\n"[..]),
            (b"Content-Disposition: ", part.disposition, b"\r\n"),
            (b"Content-ID: <", part.id, b">\r\n"),
        ];
        for (name, value, end) in lines.into_iter().filter(|(_, value, _)| !value.is_empty()) {
            for text in [name, value, end] {
                out.put_slice(text);
            }
        }
        for text in [b"\r\n", part.bytes, b"\r\n"] {
            out.put_slice(text);
        }
    }
    for text in [b"--", boundary.as_bytes(), b"--\r\n"] {
        out.put_slice(text);
    }
    let content_type = Bytes::from(format!("multipart/mixed;boundary=\"{boundary}\""));
    Body { content_type, bytes: out.freeze() }
}

/// The bodies of `message`: those of a `multipart/mixed`, or the one that it is; none if there is none.
///
/// # Errors
/// [`BodyError`] if it says that it is several and is not, or more than [`PARTS_MAX`].
pub fn parts_of(message: &Message) -> Result<Vec<Part<'_>>, BodyError> {
    let bytes = message.body();
    let content_type = message.value(Name::ContentType).unwrap_or_default();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if is_named(content_type, "multipart/mixed") {
        return read(content_type, bytes);
    }
    let disposition = message.value(Name::ContentDisposition).unwrap_or_default();
    Ok(vec![Part { content_type, disposition, id: b"", bytes }])
}

/// The session description in `message`, alone or as one of several bodies; empty if there is none.
pub(crate) fn description_in(message: &Message) -> &[u8] {
    description(&parts_of(message).unwrap_or_default())
}

/// The session description among `parts`; empty if there is none.
pub(crate) fn description<'a>(parts: &[Part<'a>]) -> &'a [u8] {
    parts.iter().find(|part| part.is("application/sdp")).map_or(&b""[..], |part| part.bytes)
}

/// A session description, and a list of URIs that is there for `disposition` (RFC 5366 §4).
pub(crate) fn with_list(description: &[u8], list: &[u8], disposition: &str) -> Body {
    write(&[
        Part { content_type: sdp::CONTENT_TYPE, bytes: description, ..Part::default() },
        Part {
            content_type: resource_lists::CONTENT_TYPE.as_bytes(),
            disposition: disposition.as_bytes(),
            bytes: list,
            ..Part::default()
        },
    ])
}

/// Reads the parts of `body`, whose Content-Type has the boundary. One that is `multipart` itself is not taken apart.
///
/// # Errors
/// [`BodyError`] if there is no boundary, no part, or no end.
pub fn read<'a>(content_type: &[u8], body: &'a [u8]) -> Result<Vec<Part<'a>>, BodyError> {
    let boundary = Valued::list(content_type).next().and_then(|each| each.parameters.text(b"boundary"));
    let boundary = boundary.filter(|text| !text.is_empty() && text.len() <= BOUNDARY_MAX);
    let boundary = boundary.ok_or(BodyError::Value("boundary"))?;
    let mut parts = Vec::new();
    // Where the part begins whose end is looked for.
    let mut begin = None;
    let mut at = 0;
    while let Some(line) = line_at(body, at) {
        let next = at + line.len();
        if let Some(delimiter) = delimiter(line, boundary) {
            if let Some(begin) = begin {
                if parts.len() == PARTS_MAX {
                    return Err(BodyError::TooLarge);
                }
                // The line end before a delimiter belongs to the delimiter.
                let end = at.checked_sub(2).filter(|end| *end >= begin).ok_or(BodyError::Syntax)?;
                parts.push(part(&body[begin..end])?);
            }
            if delimiter == Delimiter::Last {
                return if parts.is_empty() { Err(BodyError::Syntax) } else { Ok(parts) };
            }
            begin = Some(next);
        }
        at = next;
    }
    Err(BodyError::Syntax)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Next,
    Last,
}

/// RFC 2046 §5.1.1: two hyphens and the boundary at the beginning of a line, and nothing but space behind.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (rest, delimiter) = match rest.strip_prefix(b"--") {
        Some(rest) => (rest, Delimiter::Last),
        None => (rest, Delimiter::Next),
    };
    rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).then_some(delimiter)
}

/// The line that begins at `at`, with its end.
fn line_at(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n");
    Some(end.map_or(rest, |end| &rest[..end + 2]))
}

/// What stands between two delimiters: header lines, an empty line, and the octets.
fn part(text: &[u8]) -> Result<Part<'_>, BodyError> {
    let mut part = Part::default();
    let mut at = 0;
    loop {
        let line = line_at(text, at).ok_or(BodyError::Syntax)?;
        if at > HEADER_MAX {
            return Err(BodyError::TooLarge);
        }
        at += line.len();
        if line == b"\r\n" {
            break;
        }
        let line = line.strip_suffix(b"\r\n").ok_or(BodyError::Syntax)?;
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BodyError::Syntax)?;
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"Content-Type") {
            part.content_type = value;
        } else if name.eq_ignore_ascii_case(b"Content-Disposition") {
            part.disposition = value;
        } else if name.eq_ignore_ascii_case(b"Content-ID") {
            let inner = value.strip_prefix(b"<").and_then(|value| value.strip_suffix(b">"));
            part.id = inner.unwrap_or(value);
        }
    }
    part.bytes = &text[at..];
    Ok(part)
}

/// A boundary that stands in none of the parts.
fn boundary_for(parts: &[Part<'_>]) -> String {
    let stands_in = |text: &str| parts.iter().any(|part| contains(part.bytes, text.as_bytes()));
    let mut boundaries = (0_u32..).map(|number| format!("part-{number}"));
    boundaries.find(|text| !stands_in(text)).expect("a body is shorter than all of them together")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether `value` without its parameters is `name`.
fn is_named(value: &[u8], name: &str) -> bool {
    let value = value.split(|byte| *byte == b';').next().unwrap_or_default();
    value.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests;
