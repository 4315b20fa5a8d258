//! `message/sipfrag`: how far the request that a REFER asked for has come. RFC 3420, RFC 3515 §2.4.5, RFC 4964.

use bytes::Bytes;
use sip::Message;
use sip::message::{Body, Name, Writer};

use super::BodyError;
use crate::answer_state::AnswerState;

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "message/sipfrag;version=2.0";

/// The response that the referred request has got.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Progress {
    /// The status code.
    pub status: u16,
    /// Who accepted, if the response says so and that counts: [`AnswerState::of`].
    pub answer_state: Option<AnswerState>,
}

/// Writes the body of a NOTIFY. An answer state that counts for nothing in such a response is left out.
pub fn write(progress: Progress) -> Body {
    write_naming(progress, None)
}

/// The same with the Contact of the response: who has accepted learns the PoC Session Identity from it.
pub fn write_naming(progress: Progress, contact: Option<&[u8]>) -> Body {
    let mut out = Vec::new();
    let mut writer = Writer::response(&mut out, progress.status);
    // RFC 4964 §5, §6: Unconfirmed in 18x and 2xx, Confirmed in 2xx.
    let answer_state = match (progress.status, progress.answer_state) {
        (180..=189, Some(AnswerState::Unconfirmed)) | (200..=299, Some(_)) => progress.answer_state,
        (_, Some(_) | None) => None,
    };
    if let Some(contact) = contact {
        writer.line(Name::Contact, contact);
    }
    if let Some(answer_state) = answer_state {
        writer.line(Name::PAnswerState, answer_state.as_str().as_bytes());
    }
    Body { content_type: Bytes::from_static(CONTENT_TYPE.as_bytes()), bytes: Bytes::from(out) }
}

/// Reads the body of a NOTIFY. Header fields besides P-Answer-State, and a body within it, are ignored.
///
/// # Errors
/// [`BodyError`] if it does not begin with the status line of a response.
pub fn read(body: &[u8]) -> Result<Progress, BodyError> {
    let response = Message::parse(Bytes::copy_from_slice(body)).map_err(|_| BodyError::Syntax)?;
    let status = response.status().ok_or(BodyError::Root)?;
    Ok(Progress { status, answer_state: AnswerState::of(&response) })
}

#[cfg(test)]
mod tests;
