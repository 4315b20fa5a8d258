//! XML as far as our documents need it: elements, attributes and text in known namespaces, within bounds.
//!
//! No document type and no entity of its own is read, so a short document cannot stand for a long one.

use std::borrow::Cow;
use std::fmt::Write;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::reader::NsReader;

use super::BodyError;

/// Octets of the longest document that is read.
pub(super) const LENGTH_MAX: usize = 64 * 1024;

/// Elements of a document.
const ELEMENTS_MAX: usize = 4096;

/// Elements within each other.
const DEPTH_MAX: usize = 16;

/// Attributes of one element. Each is compared with those before it.
const ATTRIBUTES_MAX: usize = 32;

/// An element with all that is in it.
#[derive(Debug)]
pub(super) struct Element {
    space: Space,
    name: String,
    attributes: Vec<(Space, String, String)>,
    text: String,
    children: Vec<Self>,
}

/// The namespace of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    /// None.
    None,
    /// One that the reader asked for.
    Known(&'static str),
    /// Any other.
    Foreign,
}

impl Element {
    pub(super) fn is(&self, space: &'static str, name: &str) -> bool {
        self.space == Space::Known(space) && self.name == name
    }

    /// The elements in it that have this name.
    pub(super) fn all<'a>(&'a self, space: &'static str, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(space, name))
    }

    /// The one element in it that has this name, if there is one.
    pub(super) fn one(&self, space: &'static str, name: &'static str) -> Result<Option<&Self>, BodyError> {
        let mut all = self.all(space, name);
        let first = all.next();
        if all.next().is_some() { Err(BodyError::Value(name)) } else { Ok(first) }
    }

    /// Whether it has this name in whatever namespace.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    /// As [`one`](Self::one), in whatever namespace.
    pub(super) fn one_named(&self, name: &'static str) -> Result<Option<&Self>, BodyError> {
        let mut all = self.children.iter().filter(|child| child.name == name);
        let first = all.next();
        if all.next().is_some() { Err(BodyError::Value(name)) } else { Ok(first) }
    }

    /// The value of an attribute without a namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_in(Space::None, name)
    }

    pub(super) fn attribute_in(&self, space: Space, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(of, each, _)| *of == space && each == name);
        found.map(|(_, _, value)| value.as_str())
    }

    /// Its own text, without space around it.
    pub(super) fn text(&self) -> &str {
        self.text.trim_matches([' ', '\t', '\r', '\n'])
    }
}

/// Reads a document. Names in a namespace that is not among `known` are foreign.
pub(super) fn read(document: &[u8], known: &[&'static str]) -> Result<Element, BodyError> {
    if document.len() > LENGTH_MAX {
        return Err(BodyError::TooLarge);
    }
    let text = allowed(std::str::from_utf8(document).map_err(|_| BodyError::Encoding)?)?;
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        match reader.read_event().map_err(|_| BodyError::Syntax)? {
            Event::Start(start) => {
                elements += 1;
                if elements > ELEMENTS_MAX || open.len() == DEPTH_MAX {
                    return Err(BodyError::TooLarge);
                }
                if root.is_some() {
                    return Err(BodyError::Syntax);
                }
                open.push(element(&start, reader.resolver(), known)?);
            }
            // Names are compared by the reader.
            Event::End(_) => {
                let closed = open.pop().ok_or(BodyError::Syntax)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => root = Some(closed),
                }
            }
            Event::Text(text) => add(&mut open, &text.decode().map_err(|_| BodyError::Encoding)?)?,
            Event::CData(text) => add(&mut open, &text.decode().map_err(|_| BodyError::Encoding)?)?,
            Event::GeneralRef(reference) => add(&mut open, &referred(&reference)?)?,
            Event::Decl(declaration) => match declaration.encoding() {
                None => {}
                Some(Ok(encoding)) if encoding.eq_ignore_ascii_case(b"UTF-8") => {}
                Some(_) => return Err(BodyError::Encoding),
            },
            Event::DocType(_) => return Err(BodyError::DocumentType),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if open.is_empty() => return root.ok_or(BodyError::Syntax),
            Event::Eof | Event::Empty(_) => return Err(BodyError::Syntax),
        }
    }
}

fn element(
    start: &BytesStart<'_>,
    resolver: &NamespaceResolver,
    known: &[&'static str],
) -> Result<Element, BodyError> {
    let (space, name) = resolver.resolve_element(start.name());
    let mut element = Element {
        space: space_of(&space, known)?,
        name: text_of(name.as_ref())?,
        attributes: Vec::new(),
        text: String::new(),
        children: Vec::new(),
    };
    for (count, attribute) in start.attributes().enumerate() {
        if count == ATTRIBUTES_MAX {
            return Err(BodyError::TooLarge);
        }
        let attribute = attribute.map_err(|_| BodyError::Syntax)?;
        if attribute.value.contains(&b'<') {
            return Err(BodyError::Syntax);
        }
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (space, name) = resolver.resolve_attribute(attribute.key);
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| BodyError::DocumentType)?;
        allowed(&value)?;
        element.attributes.push((space_of(&space, known)?, text_of(name.as_ref())?, value.into_owned()));
    }
    Ok(element)
}

fn space_of(space: &ResolveResult<'_>, known: &[&'static str]) -> Result<Space, BodyError> {
    match space {
        ResolveResult::Unbound => Ok(Space::None),
        ResolveResult::Bound(namespace) => {
            let found = known.iter().find(|each| each.as_bytes() == namespace.as_ref());
            Ok(found.map_or(Space::Foreign, |found| Space::Known(found)))
        }
        ResolveResult::Unknown(_) => Err(BodyError::Syntax),
    }
}

fn text_of(name: &[u8]) -> Result<String, BodyError> {
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| BodyError::Encoding)
}

/// What XML can say at all (XML 1.0 §2.2), written out or by number.
fn is_character(each: char) -> bool {
    !matches!(each, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

fn allowed(text: &str) -> Result<&str, BodyError> {
    if text.chars().all(is_character) { Ok(text) } else { Err(BodyError::Syntax) }
}

/// Text outside of the root is space.
fn add(open: &mut [Element], text: &str) -> Result<(), BodyError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
        None => return Err(BodyError::Syntax),
    }
    Ok(())
}

/// What `&name;` stands for: a character, or one of the five entities of XML itself.
fn referred(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, BodyError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| BodyError::Syntax)? {
        let text = character.to_string();
        allowed(&text)?;
        return Ok(Cow::Owned(text));
    }
    let name = reference.decode().map_err(|_| BodyError::Encoding)?;
    let found = quick_xml::escape::resolve_predefined_entity(&name).ok_or(BodyError::DocumentType)?;
    Ok(Cow::Borrowed(found))
}

/// Writes `text` such that it can stand in an attribute or in an element.
///
/// What XML cannot say at all, a control character for instance, is left out.
pub(super) fn escape(out: &mut String, text: &str) {
    for each in text.chars() {
        match each {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader makes a space of these in an attribute.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(each));
            }
            each if is_character(each) => out.push(each),
            _ => {}
        }
    }
}
