//! Messages: one buffer, an index of its lines, and header fields that are read when somebody asks.
//!
//! [`Message::parse`] finds the start line, the header lines and the body in one linear pass and allocates nothing per
//! header. Values are read on demand by the typed accessors. [`Message::validate`] is the gate before a user sees a
//! message: it reads every header field whose grammar this system relies on.

mod disposition;
mod essentials;
mod header;
mod marks;
mod name;
pub mod scan;
mod uri;
mod validate;
mod write;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use marks::Marks;

pub use disposition::{Disposition, Handling};
pub use essentials::Essentials;
pub use header::{CSeq, Credentials, NameAddr, Parameters, RAck, Valued, Via};
pub use name::{Method, Name};
pub use uri::{Uri, ip_address};
pub(crate) use validate::{check as check_value, may_repeat};
pub use write::{Body, Writer, reason_phrase};

/// Octets of the longest message that is read: what a UDP datagram can carry.
pub const LENGTH_MAX: usize = 65_535;

/// Header lines of the longest message that is read.
pub const HEADERS_MAX: usize = 256;

/// A SIP request or response. Cloning shares the buffer.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    start: Start,
    lines: SmallVec<[Line; 24]>,
    body: Span,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

#[derive(Clone, Copy)]
struct Line {
    id: Name,
    name: Span,
    value: Span,
}

#[derive(Clone, Copy)]
enum Start {
    Request { method: Method, method_text: Span, uri: Span, version: Span },
    Response { status: u16, version: Span, reason: Span },
}

/// One header line of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Which header field it is.
    pub name: Name,
    /// The name as written.
    pub text: &'a [u8],
    /// The value, surrounding white space removed; folding inside is kept.
    pub value: &'a [u8],
}

/// These octets are no SIP message that could be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive.
    Empty,
    /// More than [`LENGTH_MAX`] octets.
    TooLong,
    /// More than [`HEADERS_MAX`] header lines.
    TooManyHeaders,
    /// The first line is neither a request line nor a status line.
    StartLine,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no message, only line ends",
            Self::TooLong => "message longer than 65535 octets",
            Self::TooManyHeaders => "message with more than 256 header lines",
            Self::StartLine => "first line is neither a request line nor a status line",
        })
    }
}

impl std::error::Error for ParseError {}

/// What is wrong with a message that could be read. [`Fault::status`] says how a request with it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request line or status line is malformed.
    StartLine,
    /// Another protocol version than SIP/2.0.
    Version,
    /// A status code outside 100 to 699.
    Status,
    /// A header line has no colon, no name, or a line end that is not CR LF.
    HeaderLine,
    /// The header part is not closed by an empty line.
    Unfinished,
    /// The value of this header field does not follow its grammar or exceeds its range.
    Header(Name),
    /// A mandatory header field is missing.
    Missing(Name),
    /// A header field that may stand once stands several times.
    Repeated(Name),
    /// CSeq names another method than the request line.
    CSeqMethod,
    /// The body is shorter than Content-Length says.
    BodyTruncated,
    /// A URI is malformed.
    Uri,
    /// A host or port is malformed.
    Host,
}

impl Fault {
    /// The status code with which a request that has this fault is refused.
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 505, // RFC 3261 §21.5.6
            Self::StartLine
            | Self::Status
            | Self::HeaderLine
            | Self::Unfinished
            | Self::Header(_)
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::CSeqMethod
            | Self::BodyTruncated
            | Self::Uri
            | Self::Host => 400,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartLine => f.write_str("malformed start line"),
            Self::Version => f.write_str("version is not SIP/2.0"),
            Self::Status => f.write_str("status code outside 100 to 699"),
            Self::HeaderLine => f.write_str("malformed header line"),
            Self::Unfinished => f.write_str("no empty line after the header fields"),
            Self::Header(name) => write!(f, "malformed {name}"),
            Self::Missing(name) => write!(f, "missing {name}"),
            Self::Repeated(name) => write!(f, "repeated {name}"),
            Self::CSeqMethod => f.write_str("CSeq names another method"),
            Self::BodyTruncated => f.write_str("body shorter than Content-Length"),
            Self::Uri => f.write_str("malformed URI"),
            Self::Host => f.write_str("malformed host"),
        }
    }
}

impl std::error::Error for Fault {}

impl Message {
    /// Finds the parts of the message in `bytes`: one datagram, or one message that
    /// [`Framer`](crate::transport::Framer) cut from a stream. Octets beyond Content-Length are ignored (RFC 3261 §18.3).
    ///
    /// A message with malformed parts is returned too, as far as its lines can be told apart: [`Message::validate`]
    /// names the fault, and a request can be answered.
    ///
    /// # Errors
    /// [`ParseError`] if there is nothing that could be answered.
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        if bytes.len() > LENGTH_MAX {
            return Err(ParseError::TooLong);
        }
        // RFC 3261 §7.5: empty lines before the start line are ignored.
        let mut at = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if at == bytes.len() {
            return Err(ParseError::Empty);
        }
        let mut marks = Marks::new(&bytes);
        let found = marks.next_end(at);
        let first = Found::new(&bytes, &mut marks, found);
        let (start, mut fault) = Start::parse(&bytes, Span::new(at, first.end))?;
        at = first.next;
        let mut lines = SmallVec::new();
        loop {
            let begin = at;
            let colon = marks.next_colon_or_end(begin);
            let has_colon = bytes.get(colon) == Some(&b':');
            let end = if has_colon { marks.next_end(colon + 1) } else { colon };
            let found = Found::new(&bytes, &mut marks, end);
            at = found.next;
            if found.end == begin {
                if at == begin {
                    fault = fault.or(Some(Fault::Unfinished));
                }
                break;
            }
            match Line::parse(&bytes, begin, has_colon.then_some(colon), &found) {
                None if matches!(bytes[begin], b' ' | b'\t') => {
                    fault = fault.or(extend_last(&mut lines, &bytes, begin, &found));
                }
                _ if lines.len() == HEADERS_MAX => return Err(ParseError::TooManyHeaders),
                Some(line) => lines.push(line),
                None => fault = fault.or(Some(Fault::HeaderLine)),
            }
        }
        let body = Span::new(at, bytes.len());
        let mut message = Self { bytes, start, lines, body, fault };
        message.limit_body();
        Ok(message)
    }

    fn limit_body(&mut self) {
        let Some(length) = self.value(Name::ContentLength) else { return };
        match scan::number(length) {
            Some(length) if length as usize <= self.body.len() => {
                self.body = Span::new(self.body.start.into(), usize::from(self.body.start) + length as usize);
            }
            Some(_) => self.fault = self.fault.or(Some(Fault::BodyTruncated)),
            None => self.fault = self.fault.or(Some(Fault::Header(Name::ContentLength))),
        }
    }

    /// The octets it was read from.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The method of a request, `None` for a response.
    pub fn method(&self) -> Option<Method> {
        match self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The method of a request as written; empty for a response.
    pub fn method_text(&self) -> &[u8] {
        match self.start {
            Start::Request { method_text, .. } => self.slice(method_text),
            Start::Response { .. } => b"",
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn uri_text(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => self.slice(uri),
            Start::Response { .. } => b"",
        }
    }

    /// The Request-URI.
    ///
    /// # Errors
    /// [`Fault::Uri`] or [`Fault::Host`] if it is malformed, or if this is a response.
    pub fn uri(&self) -> Result<Uri<'_>, Fault> {
        Uri::parse(self.uri_text())
    }

    /// The status code of a response, `None` for a request.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response; empty for a request.
    pub fn reason(&self) -> &[u8] {
        match self.start {
            Start::Request { .. } => b"",
            Start::Response { reason, .. } => self.slice(reason),
        }
    }

    /// The body, as long as Content-Length says.
    pub fn body(&self) -> &[u8] {
        self.slice(self.body)
    }

    /// The header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.lines.iter().map(|line| self.header(line))
    }

    fn header(&self, line: &Line) -> Header<'_> {
        Header { name: line.id, text: self.slice(line.name), value: self.slice(line.value) }
    }

    /// The value of the first line of this header field.
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The value of each line of this header field.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.id == name).map(|line| self.slice(line.value))
    }

    /// The elements of a comma-separated header field, over all of its lines.
    pub fn items(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(|value| scan::split(value, b','))
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[usize::from(span.start)..usize::from(span.end)]
    }

    /// The part of the buffer that `text`, a value of this message, lies in; shares the buffer.
    pub fn share(&self, text: &[u8]) -> Bytes {
        self.bytes.slice_ref(text)
    }

    /// The same on one line: a fold is a blank (RFC 3261 §7.3.1).
    pub fn unfolded(&self, text: &[u8]) -> Bytes {
        if has_line_end(text) { unfold(text) } else { self.share(text) }
    }

    /// The values of Reason as one, on one line (RFC 3326 §2: one for each protocol).
    pub fn cause(&self) -> Option<Bytes> {
        let values: Vec<_> = self.values(Name::Reason).collect();
        (!values.is_empty()).then(|| unfold(&values.join(&b", "[..])))
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

/// As its octets.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Bytes::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

impl Span {
    /// Both places lie within a message, so below [`LENGTH_MAX`].
    #[inline]
    fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= LENGTH_MAX);
        Self { start: start as u16, end: end as u16 }
    }

    #[inline]
    fn len(self) -> usize {
        usize::from(self.end - self.start)
    }

    /// The part of `bytes[start..end]` without surrounding white space.
    #[inline]
    fn trimmed(bytes: &[u8], start: usize, end: usize) -> Self {
        let text = scan::trim_start(&bytes[start..end]);
        let start = end - text.len();
        Self::new(start, start + scan::trim_end(text).len())
    }
}

impl Start {
    fn parse(bytes: &[u8], line: Span) -> Result<(Self, Option<Fault>), ParseError> {
        let (start, end) = (usize::from(line.start), usize::from(line.end));
        let text = &bytes[start..end];
        let first = memchr::memchr(b' ', text).ok_or(ParseError::StartLine)?;
        if text.len() > 4 && text[..4].eq_ignore_ascii_case(b"SIP/") {
            return Self::parse_status_line(text, start, first);
        }
        let last = memchr::memrchr(b' ', text).filter(|last| *last > first).ok_or(ParseError::StartLine)?;
        let method_text = &text[..first];
        let version_at = last + 1;
        let fault = match version_of(&text[version_at..]) {
            Some(true) => None,
            Some(false) => Some(Fault::Version),
            // Something that could have been meant as a request line: only then an answer can be meant for somebody.
            None if text[first..].windows(4).any(|word| word.eq_ignore_ascii_case(b"SIP/")) => {
                Some(Fault::StartLine)
            }
            None => return Err(ParseError::StartLine),
        };
        let method = Method::parse(method_text);
        if method == Method::Other && !scan::is_token(method_text) {
            return Err(ParseError::StartLine);
        }
        let request = Self::Request {
            method,
            method_text: Span::new(start, start + first),
            uri: Span::new(start + first + 1, start + last),
            version: Span::new(start + version_at, end),
        };
        Ok((request, fault))
    }

    fn parse_status_line(
        text: &[u8],
        start: usize,
        first: usize,
    ) -> Result<(Self, Option<Fault>), ParseError> {
        let rest = &text[first + 1..];
        let code = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let status = scan::number(&rest[..code]).and_then(|code| u16::try_from(code).ok());
        let status = status.ok_or(ParseError::StartLine)?;
        let fault = match version_of(&text[..first]) {
            Some(true) if code != 3 || !(100..700).contains(&status) => Some(Fault::Status),
            Some(true) if rest.get(code).is_some_and(|byte| *byte != b' ') => Some(Fault::StartLine),
            // RFC 3261 §25.1: a reason phrase has no CR and no LF; others might see a line end there.
            Some(true) if memchr::memchr2(b'\r', b'\n', rest).is_some() => Some(Fault::StartLine),
            Some(true) => None,
            Some(false) => Some(Fault::Version),
            None => Some(Fault::StartLine),
        };
        let reason = (first + 1 + code + 1).min(text.len());
        let version = Span::new(start, start + first);
        Ok((Self::Response { status, version, reason: Span::new(start + reason, start + text.len()) }, fault))
    }
}

/// Whether this is SIP/2.0; `None` if it is no SIP version at all. RFC 3261 §7.1: without regard to case.
fn version_of(text: &[u8]) -> Option<bool> {
    if text == b"SIP/2.0" {
        return Some(true);
    }
    let number = text.get(..4).filter(|name| name.eq_ignore_ascii_case(b"SIP/")).map(|_| &text[4..])?;
    let dot = memchr::memchr(b'.', number)?;
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    (digits(&number[..dot]) && digits(&number[dot + 1..])).then_some(number == b"2.0")
}

/// Where a line ends.
struct Found {
    /// Where its CR LF stands; without one the end of the message.
    end: usize,
    /// Where the next line begins.
    next: usize,
    /// No CR and no LF stands in the line, where others might see a line end.
    is_clean: bool,
}

impl Found {
    /// The end of the line whose first CR or LF stands at `found`.
    #[inline]
    fn new(bytes: &[u8], marks: &mut Marks<'_>, found: usize) -> Self {
        let mut end = found;
        while let Some(rest) = bytes.get(end..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(b"\r\n") {
                return Self { end, next: end + 2, is_clean: end == found };
            }
            end = marks.next_end(end + 1);
        }
        Self { end, next: end, is_clean: found == end }
    }
}

impl Line {
    #[inline]
    fn parse(bytes: &[u8], begin: usize, colon: Option<usize>, found: &Found) -> Option<Self> {
        let colon = colon.filter(|_| found.is_clean)?;
        // HCOLON allows white space before the colon, never before the name.
        let name = scan::trim_end(&bytes[begin..colon]);
        let id = Name::parse(name);
        (id != Name::Other || scan::is_token(name)).then(|| Self {
            id,
            name: Span::new(begin, begin + name.len()),
            value: Span::trimmed(bytes, colon + 1, found.end),
        })
    }
}

/// RFC 3261 §7.3.1: a line that begins with white space continues the one before it.
#[cold]
fn extend_last(lines: &mut SmallVec<[Line; 24]>, bytes: &[u8], begin: usize, found: &Found) -> Option<Fault> {
    let Some(last) = lines.last_mut().filter(|_| found.is_clean) else { return Some(Fault::HeaderLine) };
    let extended = Span::trimmed(bytes, begin, found.end);
    if extended.len() > 0 {
        let start = if last.value.len() > 0 { last.value.start } else { extended.start };
        last.value = Span { start, end: extended.end };
    }
    None
}

/// A value without its folds, each of which is a blank (§7.3.1).
fn unfold(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(scan::trim_end(&rest[..end]));
        out.push(b' ');
        rest = scan::trim_start(&rest[end..]);
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}

/// Whether a CR or an LF stands in `text`.
pub fn has_line_end(text: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(start_line: &'static str) -> Result<Option<Fault>, ParseError> {
        Message::parse(Bytes::from_static(start_line.as_bytes())).map(|message| message.fault)
    }

    #[test]
    fn a_message_is_kept_as_its_octets_and_read_again() {
        let message =
            Message::parse(Bytes::from_static(b"BYE sip:a@b SIP/2.0\r\nCall-ID: c\r\n\r\n")).unwrap();
        let kept = serde_json::to_string(&message).unwrap();
        assert_eq!(kept, serde_json::to_string(message.bytes()).unwrap());
        assert_eq!(serde_json::from_str::<Message>(&kept).unwrap(), message);
        let nothing = serde_json::to_string(&Bytes::from_static(b"\r\n")).unwrap();
        assert!(serde_json::from_str::<Message>(&nothing).is_err());
    }

    #[test]
    fn a_version_is_read_in_any_case_behind_one_blank() {
        assert_eq!(fault("OPTIONS sip:a@b sip/2.0\r\n\r\n"), Ok(None));
        assert_eq!(fault("Sip/2.0 200 OK\r\n\r\n"), Ok(None));
        assert_eq!(fault("OPTIONS sip:a@b sip/7.0\r\n\r\n"), Ok(Some(Fault::Version)));
        assert_eq!(fault("OPTIONS sip:a@b \tSIP/2.0\r\n\r\n"), Ok(Some(Fault::StartLine)));
        assert_eq!(fault("OPTIONS sip:a@b HTTP/2.0\r\n\r\n"), Err(ParseError::StartLine));
    }

    #[test]
    fn a_reason_phrase_has_no_line_ends() {
        assert_eq!(fault("SIP/2.0 200 Gut geh\u{f6}rt\r\n\r\n"), Ok(None));
        for line in ["SIP/2.0 200 OK\nVia: x\r\n\r\n", "SIP/2.0 200 \r OK\r\n\r\n"] {
            assert_eq!(fault(line), Ok(Some(Fault::StartLine)), "{line}");
        }
    }
}
