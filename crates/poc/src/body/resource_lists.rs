//! `application/resource-lists+xml`: whom a request is for. RFC 5366 §4, RFC 5364, RFC 4826.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::BodyError;
use super::xml::{self, Element, Space};

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/resource-lists+xml";

/// The value of Content-Disposition of those who are to be invited (RFC 5366 §3).
pub const RECIPIENTS: &str = "recipient-list";

/// The value of Content-Disposition of those who are invited too, towards each of them (RFC 5366 §4).
pub const HISTORY: &str = "recipient-list-history; handling=optional";

/// The option tag of a request with such a list (RFC 5366 §3).
pub const OPTION_TAG: &str = "recipient-list-invite";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

const COPY_CONTROL: &str = "urn:ietf:params:xml:ns:copycontrol";

/// The spelling of an example in RFC 5366 (digest 8.2).
const COPY_CONTROL_IN_EXAMPLE: &str = "urn:ietf:params:xml:ns:copyControl";

/// Entries of the longest list that is read.
pub const ENTRIES_MAX: usize = 1024;

/// Whether the others see an entry, as `copyControl` says (RFC 5364 §4). The greater one counts if there are two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Copy {
    /// They do not: also what is meant by nothing.
    #[default]
    Bcc,
    /// They see it as one who is told.
    Cc,
    /// They see it as one who is meant.
    To,
}

/// Somebody for whom a request is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entry {
    /// The URI.
    pub uri: Bytes,
    /// Whether the others see it.
    pub copy: Copy,
    /// Whether the others see somebody, but not whom.
    pub is_anonymous: bool,
}

impl Entry {
    /// Somebody whom nobody else sees.
    pub fn new(uri: Bytes) -> Self {
        Self { uri, copy: Copy::default(), is_anonymous: false }
    }
}

/// Writes a flat list of these entries.
pub fn write(entries: &[Entry]) -> Bytes {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<resource-lists xmlns=\"");
    out.push_str(NAMESPACE);
    if entries.iter().any(|entry| entry.copy != Copy::Bcc || entry.is_anonymous) {
        out.push_str("\" xmlns:cp=\"");
        out.push_str(COPY_CONTROL);
    }
    out.push_str("\">\n  <list>\n");
    for entry in entries {
        out.push_str("    <entry uri=\"");
        xml::escape(&mut out, &String::from_utf8_lossy(&entry.uri));
        out.push_str(match entry.copy {
            Copy::To => "\" cp:copyControl=\"to",
            Copy::Cc => "\" cp:copyControl=\"cc",
            Copy::Bcc => "",
        });
        out.push_str(if entry.is_anonymous { "\" cp:anonymize=\"true\"/>\n" } else { "\"/>\n" });
    }
    out.push_str("  </list>\n</resource-lists>\n");
    Bytes::from(out)
}

/// Reads the entries of a list in their order, each URI once: the entry that more of the others see counts (digest 8.2).
///
/// RFC 5366 §4: what is more than a flat list is left out: lists within lists, and references.
///
/// # Errors
/// [`BodyError`] if it is no list, or too long a one.
pub fn read(document: &[u8]) -> Result<Vec<Entry>, BodyError> {
    let root = xml::read(document, &[NAMESPACE, COPY_CONTROL, COPY_CONTROL_IN_EXAMPLE])?;
    if !root.is(NAMESPACE, "resource-lists") {
        return Err(BodyError::Root);
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut places = BTreeMap::new();
    for element in root.all(NAMESPACE, "list").flat_map(|list| list.all(NAMESPACE, "entry")) {
        let entry = entry(element)?;
        match places.get(&entry.uri) {
            Some(&place) => {
                let first: &mut Entry = &mut entries[place];
                if entry.copy > first.copy {
                    *first = entry;
                }
            }
            None if entries.len() == ENTRIES_MAX => return Err(BodyError::TooLarge),
            None => {
                places.insert(entry.uri.clone(), entries.len());
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

fn entry(element: &Element) -> Result<Entry, BodyError> {
    // What a reference to a character can say, a line end for instance, is no part of a URI (RFC 3986 §2).
    let is_uri = |uri: &&str| !uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic());
    let uri = element.attribute("uri").map(str::trim).filter(is_uri).ok_or(BodyError::Value("uri"))?;
    let controlled = |name| {
        let spaces = [COPY_CONTROL, COPY_CONTROL_IN_EXAMPLE];
        spaces.into_iter().find_map(|space| element.attribute_in(Space::Known(space), name))
    };
    let copy = match controlled("copyControl") {
        Some("to") => Copy::To,
        Some("cc") => Copy::Cc,
        Some("bcc") | None => Copy::Bcc,
        Some(_) => return Err(BodyError::Value("copyControl")),
    };
    let is_anonymous = matches!(controlled("anonymize").map(str::trim), Some("true" | "1"));
    Ok(Entry { uri: Bytes::copy_from_slice(uri.as_bytes()), copy, is_anonymous })
}

#[cfg(test)]
mod tests;
