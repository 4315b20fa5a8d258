//! P-Answer-State: whether an answer came from the invited user or from a server on its behalf (RFC 4964).

use sip::Message;
use sip::message::Name;

/// Who accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnswerState {
    /// The invited PoC Client, or nobody said otherwise.
    Confirmed,
    /// A server that expects the invited PoC Client to accept: media is buffered until it does.
    Unconfirmed,
}

impl AnswerState {
    /// What a response to an INVITE says. `None`: nothing that counts.
    ///
    /// RFC 4964 §5, §6: a 2xx without the header field is confirmed; a provisional response may say Unconfirmed only,
    /// and anything else that it says is ignored.
    pub fn of(response: &Message) -> Option<Self> {
        let written = response.value(Name::PAnswerState);
        let is_unconfirmed = written.is_some_and(|value| value.eq_ignore_ascii_case(b"Unconfirmed"));
        match response.status()? {
            180..=189 => is_unconfirmed.then_some(Self::Unconfirmed),
            200..=299 if is_unconfirmed => Some(Self::Unconfirmed),
            200..=299 => Some(Self::Confirmed),
            _ => None,
        }
    }

    /// The value of the header field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "Confirmed",
            Self::Unconfirmed => "Unconfirmed",
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn said(status: u16, header: &str) -> Option<AnswerState> {
        let text = format!("SIP/2.0 {status} X\r\n{header}\r\n");
        AnswerState::of(&Message::parse(Bytes::from(text)).unwrap())
    }

    #[test]
    fn a_provisional_response_can_only_be_unconfirmed() {
        assert_eq!(said(183, "P-Answer-State: Unconfirmed\r\n"), Some(AnswerState::Unconfirmed));
        assert_eq!(said(183, "P-Answer-State: Confirmed\r\n"), None);
        assert_eq!(said(180, ""), None);
        assert_eq!(said(100, "P-Answer-State: Unconfirmed\r\n"), None);
    }

    #[test]
    fn a_2xx_is_confirmed_unless_it_says_otherwise() {
        assert_eq!(said(200, ""), Some(AnswerState::Confirmed));
        assert_eq!(said(200, "P-Answer-State: Confirmed\r\n"), Some(AnswerState::Confirmed));
        assert_eq!(said(200, "p-answer-state: unconfirmed\r\n"), Some(AnswerState::Unconfirmed));
        assert_eq!(said(486, "P-Answer-State: Unconfirmed\r\n"), None);
    }
}
