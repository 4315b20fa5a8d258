//! The gate between the parser and a user: RFC 3261 §7, §8.2 and the grammar of every header field relied on.

use super::header::RAck;
use super::scan::{self, Cursor, is_call_id};
use super::{Essentials, Fault, Message, Method, Name, NameAddr, Parameters, Valued};

/// What every message is known by, then what else may stand once only and has one value.
pub(super) const COUNTED: [Name; 18] = [
    Name::Via,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::ContentLength,
    Name::ContentType,
    Name::Date,
    Name::Expires,
    Name::Event,
    Name::ReferTo,
    Name::SessionExpires,
    Name::MinSe,
    Name::RAck,
    Name::RSeq,
    Name::PAnswerState,
    Name::Timestamp,
];

/// The bits of the names that every message has.
pub(super) const ESSENTIAL: u32 = 0b1_1111;

/// The bits of the names that may stand once only.
pub(super) const SINGLE: u32 = !1;

/// The bit that a name has by its place in [`COUNTED`].
pub(super) static BITS: [u32; Name::Other as usize + 1] = {
    let mut bits = [0; Name::Other as usize + 1];
    let mut place = 0;
    while place < COUNTED.len() {
        bits[COUNTED[place] as usize] = 1 << place;
        place += 1;
    }
    bits
};

/// Whether a message may have two lines of this name.
pub(crate) fn may_repeat(name: Name) -> bool {
    BITS[name as usize] & SINGLE == 0
}

#[inline]
fn is_essential(name: Name) -> bool {
    BITS[name as usize] & ESSENTIAL != 0
}

impl Message {
    /// Whether a user may see this message: every header field that this system relies on follows its grammar. Linear
    /// in the length of the message.
    ///
    /// # Errors
    /// As [`Message::validate_essentials`], then the first other header field that is malformed.
    pub fn validate(&self) -> Result<(), Fault> {
        self.validate_essentials()?;
        self.validate_others()
    }

    /// Whether this message can do its work: what identifies it is there and readable. RFC 3261 §8.2.2: what is
    /// malformed and not needed is ignored. A CANCEL must not fail for the text of its Reason.
    ///
    /// # Errors
    /// The first [`Fault`] found: what [`Message::parse`] met, then the start line, then the mandatory header fields,
    /// then the optional ones.
    pub fn validate_essentials(&self) -> Result<(), Fault> {
        Essentials::of(self).validate_essentials()
    }

    /// What [`Message::validate`] looks at besides.
    pub(crate) fn validate_others(&self) -> Result<(), Fault> {
        self.check_lines(|name| !is_essential(name))
    }

    /// Whether the lines of `names` follow their grammar: a proxy looks at nothing else (RFC 3261 §16.3 item 1).
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate_fields(&self, names: &[Name]) -> Result<(), Fault> {
        self.check_lines(|name| names.contains(&name))
    }

    #[inline]
    fn check_lines(&self, which: impl Fn(Name) -> bool) -> Result<(), Fault> {
        for line in &self.lines {
            if which(line.id) {
                check(line.id, self.slice(line.value))?;
            }
        }
        Ok(())
    }

    /// Whether this is a request of `method`.
    pub fn is(&self, method: Method) -> bool {
        self.method() == Some(method)
    }
}

/// Reads one header value for its grammar alone.
pub(crate) fn check(name: Name, value: &[u8]) -> Result<(), Fault> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other header field is read by those who use it"
    )]
    let well_formed = match name {
        Name::Via => each(value, |item| super::Via::parse(item).is_some()),
        Name::From | Name::To | Name::ReferTo | Name::ReferredBy => is_address(value),
        // A malformed expires parameter counts as 3600 (RFC 3261 §20.10), which is up to whoever reads it.
        Name::Contact => value == b"*" || each(value, is_address),
        Name::Route | Name::RecordRoute | Name::Path | Name::ServiceRoute => {
            each(value, |item| is_address(item) && item.contains(&b'<'))
        }
        Name::CallId => is_call_id(value),
        Name::MaxForwards => scan::number(value).is_some_and(|hops| hops <= 255), // RFC 3261 §20.22
        Name::Expires | Name::MinExpires | Name::RSeq => scan::number(value).is_some(),
        Name::RAck => RAck::parse(value).is_some(),
        Name::SessionExpires | Name::MinSe => {
            Valued::parse(value).is_some_and(|valued| valued.number().is_some())
        }
        Name::RetryAfter => is_retry_after(value),
        Name::ContentType => is_media_type(value),
        Name::Require | Name::ProxyRequire | Name::Supported | Name::Unsupported | Name::Allow => {
            each(value, |item| item.is_empty() || scan::is_token(item))
        }
        Name::Reason => {
            each(value, |item| Valued::parse(item).is_some_and(|reason| scan::is_token(reason.value)))
        }
        Name::Warning => {
            each(value, |item| item.len() > 4 && item[..3].iter().all(u8::is_ascii_digit) && item[3] == b' ')
        }
        _ => true,
    };
    if well_formed { Ok(()) } else { Err(Fault::Header(name)) }
}

/// Whether all elements of a list are well-formed.
#[inline]
fn each(list: &[u8], well_formed: impl Fn(&[u8]) -> bool) -> bool {
    match memchr::memchr(b',', list) {
        None => well_formed(list),
        Some(_) => scan::split(list, b',').all(well_formed),
    }
}

fn is_address(item: &[u8]) -> bool {
    NameAddr::read(item).is_some()
}

/// `type "/" subtype *( ";" parameter )`.
fn is_media_type(value: &[u8]) -> bool {
    Valued::parse(value).is_some_and(|valued| {
        let mut halves = valued.value.splitn(2, |byte| *byte == b'/').map(scan::trim);
        halves.next().is_some_and(scan::is_token) && halves.next().is_some_and(scan::is_token)
    })
}

/// `delta-seconds [ comment ] *( ";" parameter )`: RFC 3261 §20.33.
fn is_retry_after(value: &[u8]) -> bool {
    let mut cursor = Cursor::new(value);
    if scan::number(cursor.take_while(|byte| byte.is_ascii_digit())).is_none() {
        return false;
    }
    cursor.skip_space();
    let commented = cursor.peek() != Some(b'(') || cursor.comment().is_some();
    commented && Parameters::after(&mut cursor).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_well_formed(name: Name, value: &str) -> bool {
        check(name, value.as_bytes()).is_ok()
    }

    #[test]
    fn a_malformed_expires_parameter_does_not_spoil_a_contact() {
        assert!(is_well_formed(Name::Contact, "<sip:a@b>;expires=280297596632815"));
        assert!(!is_well_formed(Name::Contact, "<sip:a@b>;expires="));
    }

    #[test]
    fn a_malformed_date_is_ignored() {
        assert!(is_well_formed(Name::Date, "Fri, 01 Jan 2010 16:00:00 EST"));
    }

    #[test]
    fn retry_after_may_have_a_comment_with_semicolons() {
        for value in
            ["120", "120 (I'm in a (short; \\)) meeting)", "18000;duration=3600", "5 (x) ; duration = 1"]
        {
            assert!(is_well_formed(Name::RetryAfter, value), "{value}");
        }
        for value in ["", "soon", "4294967296", "120 (open", "120 x", "120 (a) b", "120;"] {
            assert!(!is_well_formed(Name::RetryAfter, value), "{value}");
        }
    }
}
