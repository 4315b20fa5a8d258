//! `application/vnd.poc.group-advertisement+xml`: a group that a user may want to know of. digest 9.8.
//!
//! The type is registered; of its schema no copy was found. What stands here is the content that the digest names, in elements of a
//! namespace that can be set. A reader takes them in any namespace, and what it does not know it ignores.

use std::fmt::Write;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BodyError;
use super::xml;

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/vnd.poc.group-advertisement+xml";

/// The namespace that is written if nothing else is said.
pub const NAMESPACE: &str = "urn:oma:params:xml:ns:poc:group-advertisement";

/// Octets of the longest URI, name or note.
const TEXT_MAX: usize = 1024;

/// A group and what is said about it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Advertisement {
    /// The PoC Group Identity.
    pub group: Bytes,
    /// What users see as its name.
    pub display_name: Option<String>,
    /// What kind of group it is.
    pub kind: Option<AdvertisedKind>,
    /// A word of who sends it.
    pub note: Option<String>,
}

/// What kind of group is advertised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum AdvertisedKind {
    /// Members are invited.
    PreArranged,
    /// Each joins.
    Chat,
    /// As pre-arranged, with a dispatcher.
    Dispatch,
}

impl AdvertisedKind {
    const ALL: [Self; 3] = [Self::PreArranged, Self::Chat, Self::Dispatch];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreArranged => "pre-arranged",
            Self::Chat => "chat",
            Self::Dispatch => "dispatch",
        }
    }

    /// `prearranged` as well as `pre-arranged`, in any case.
    fn parse(text: &str) -> Option<Self> {
        let letters = |text: &str| text.replace('-', "").to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| letters(kind.as_str()) == letters(text))
    }
}

/// Writes a document with its elements in `namespace`: [`NAMESPACE`], or that of a peer.
pub fn write(advertisement: &Advertisement, namespace: &str) -> Bytes {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<group-advertisement xmlns=\"");
    xml::escape(&mut out, namespace);
    out.push_str("\">\n");
    let group = String::from_utf8_lossy(&advertisement.group);
    for (name, text) in [
        ("uri", Some(&*group)),
        ("display-name", advertisement.display_name.as_deref()),
        ("type", advertisement.kind.map(AdvertisedKind::as_str)),
        ("note", advertisement.note.as_deref()),
    ] {
        if let Some(text) = text {
            let _ = write!(out, "  <{name}>");
            xml::escape(&mut out, text);
            let _ = writeln!(out, "</{name}>");
        }
    }
    out.push_str("</group-advertisement>\n");
    Bytes::from(out)
}

/// Reads a document.
///
/// # Errors
/// [`BodyError`] if it is none, or does not name one group.
pub fn read(document: &[u8]) -> Result<Advertisement, BodyError> {
    let root = xml::read(document, &[])?;
    if !root.is_named("group-advertisement") {
        return Err(BodyError::Root);
    }
    let text = |name: &'static str| match root.one_named(name)?.map(xml::Element::text) {
        Some(text) if text.len() > TEXT_MAX => Err(BodyError::Value(name)),
        text => Ok(text),
    };
    let is_uri = |uri: &&str| !uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic());
    Ok(Advertisement {
        group: text("uri")?
            .filter(is_uri)
            .map(|uri| Bytes::copy_from_slice(uri.as_bytes()))
            .ok_or(BodyError::Value("uri"))?,
        display_name: text("display-name")?.map(str::to_owned),
        // A kind that nobody knows is as good as none.
        kind: text("type")?.and_then(AdvertisedKind::parse),
        note: text("note")?.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests;
