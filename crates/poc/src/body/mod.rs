//! Bodies of SIP messages other than session descriptions: what a PoC Client publishes, whom it invites, and who takes part.

pub mod conference_info;
pub mod group_advertisement;
pub mod multipart;
pub mod refused_list;
pub mod resource_lists;
pub mod settings;
pub mod sipfrag;
mod xml;

use std::fmt;

/// Why a body cannot be used: whoever sent it is at fault, and a request with it is answered 400.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyError {
    /// More octets, elements, levels or parts than anybody needs.
    TooLarge,
    /// Not UTF-8, or said to be something else.
    Encoding,
    /// Not well-formed.
    Syntax,
    /// A document type, or a reference to an entity that XML itself does not have.
    DocumentType,
    /// Another document than the content type says.
    Root,
    /// An element or attribute is missing, is there twice, or has a value that it cannot have.
    Value(&'static str),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("body too large"),
            Self::Encoding => f.write_str("body is not UTF-8"),
            Self::Syntax => f.write_str("malformed body"),
            Self::DocumentType => f.write_str("body with a document type or an entity"),
            Self::Root => f.write_str("body is another document"),
            Self::Value(what) => write!(f, "wrong, missing or double {what}"),
        }
    }
}

impl std::error::Error for BodyError {}
