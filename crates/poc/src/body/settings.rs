//! `application/poc-settings+xml`: what a PoC Client publishes about itself. RFC 4354 §6.

use std::fmt::Write;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BodyError;
use super::xml::{self, Element};
use crate::client::AnswerMode;

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/poc-settings+xml";

/// The event package.
pub const EVENT: &str = "poc-settings";

const NAMESPACE: &str = "urn:oma:params:xml:ns:poc:poc-settings";

/// Entities of a document that are read: the terminals of one user.
const ENTITIES_MAX: usize = 64;

/// Octets of the longest identity of a terminal that is taken.
const ID_MAX: usize = 256;

/// What one terminal says; `None` where it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Whether every incoming session is refused.
    pub incoming_session_barring: Option<bool>,
    /// Who decides about an invitation.
    pub answer_mode: Option<AnswerMode>,
    /// Whether every Instant Personal Alert is refused.
    pub incoming_personal_alert_barring: Option<bool>,
    /// Whether a second session may begin while there is one.
    pub simultaneous_sessions: Option<bool>,
}

/// A terminal and what it says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entity {
    /// What tells the terminals of a user apart.
    pub id: String,
    /// What it says.
    pub settings: Settings,
}

/// Writes a document of these terminals: one in a PUBLISH, all of a user in a NOTIFY.
pub fn write(entities: &[Entity]) -> Bytes {
    let mut out =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<poc-settings xmlns=\"{NAMESPACE}\">\n");
    for Entity { id, settings } in entities {
        out.push_str("  <entity id=\"");
        xml::escape(&mut out, id);
        out.push_str("\">\n");
        // RFC 4354 §6.1: in this order.
        let switch = |out: &mut String, of: &str, name: &str, value: Option<bool>| {
            if let Some(value) = value {
                let _ = writeln!(out, "    <{of}><{name} active=\"{value}\"/></{of}>");
            }
        };
        switch(&mut out, "isb-settings", "incoming-session-barring", settings.incoming_session_barring);
        if let Some(mode) = settings.answer_mode {
            let mode = match mode {
                AnswerMode::Automatic => "automatic",
                AnswerMode::Manual => "manual",
            };
            let _ = writeln!(out, "    <am-settings><answer-mode>{mode}</answer-mode></am-settings>");
        }
        let alerts = settings.incoming_personal_alert_barring;
        switch(&mut out, "ipab-settings", "incoming-personal-alert-barring", alerts);
        let simultaneous = settings.simultaneous_sessions;
        switch(&mut out, "sss-settings", "simultaneous-sessions-support", simultaneous);
        out.push_str("  </entity>\n");
    }
    out.push_str("</poc-settings>\n");
    Bytes::from(out)
}

/// Reads a document. Elements and attributes that RFC 4354 does not have are ignored.
///
/// # Errors
/// [`BodyError`] if it is none, or says of one terminal the same thing twice.
pub fn read(document: &[u8]) -> Result<Vec<Entity>, BodyError> {
    let root = xml::read(document, &[NAMESPACE])?;
    if !root.is(NAMESPACE, "poc-settings") {
        return Err(BodyError::Root);
    }
    let entities: Vec<_> = root.all(NAMESPACE, "entity").map(entity).collect::<Result<_, _>>()?;
    if entities.len() > ENTITIES_MAX { Err(BodyError::TooLarge) } else { Ok(entities) }
}

/// Reads the document of a PUBLISH, which speaks of one terminal (RFC 4354 §6).
///
/// # Errors
/// As [`read`]; and if there is not exactly one.
pub fn read_publication(document: &[u8]) -> Result<Entity, BodyError> {
    let mut entities = read(document)?;
    match (entities.pop(), entities.is_empty()) {
        (Some(entity), true) => Ok(entity),
        (Some(_) | None, _) => Err(BodyError::Value("entity")),
    }
}

fn entity(element: &Element) -> Result<Entity, BodyError> {
    let id = element.attribute("id").filter(|id| id.len() <= ID_MAX).ok_or(BodyError::Value("id"))?;
    Ok(Entity {
        id: id.to_owned(),
        settings: Settings {
            incoming_session_barring: switch(element, "isb-settings", "incoming-session-barring")?,
            answer_mode: answer_mode(element)?,
            incoming_personal_alert_barring: switch(
                element,
                "ipab-settings",
                "incoming-personal-alert-barring",
            )?,
            simultaneous_sessions: switch(element, "sss-settings", "simultaneous-sessions-support")?,
        },
    })
}

/// An element of `active`, in an element of its own.
fn switch(entity: &Element, of: &'static str, name: &'static str) -> Result<Option<bool>, BodyError> {
    let Some(segment) = entity.one(NAMESPACE, of)? else { return Ok(None) };
    let Some(element) = segment.one(NAMESPACE, name)? else { return Err(BodyError::Value(name)) };
    // xs:boolean, XML Schema Part 2 §3.2.2: white space around it counts for nothing.
    match element.attribute("active").map(str::trim) {
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) | None => Err(BodyError::Value(name)),
    }
}

fn answer_mode(entity: &Element) -> Result<Option<AnswerMode>, BodyError> {
    let Some(segment) = entity.one(NAMESPACE, "am-settings")? else { return Ok(None) };
    let mode = segment.one(NAMESPACE, "answer-mode")?.map(Element::text);
    match mode {
        Some("automatic") => Ok(Some(AnswerMode::Automatic)),
        Some("manual") => Ok(Some(AnswerMode::Manual)),
        Some(_) | None => Err(BodyError::Value("answer-mode")),
    }
}

#[cfg(test)]
mod tests;
