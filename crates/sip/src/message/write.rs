//! Writing messages into a caller's buffer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Header, Line, Message, Method, Name, Start};

/// A body and its type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Body {
    /// The Content-Type value.
    pub content_type: Bytes,
    /// The octets.
    pub bytes: Bytes,
}

impl Body {
    /// A copy in blocks of the right size: one that was taken from a message keeps all of that message.
    #[must_use]
    pub fn apart(&self) -> Self {
        let content_type = match &self.content_type[..] {
            b"application/sdp" => Bytes::from_static(b"application/sdp"),
            other => Bytes::copy_from_slice(other),
        };
        Self { content_type, bytes: Bytes::copy_from_slice(&self.bytes) }
    }
}

/// Writes one message: the start line first, then header lines, then [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Begins a request. `out` is cleared.
    pub fn request(out: &'a mut Vec<u8>, method: Method, uri: &[u8]) -> Self {
        out.clear();
        let mut writer = Self { out };
        writer.raw(&[method.as_str().as_bytes(), b" ", uri, b" SIP/2.0\r\n"]);
        writer
    }

    /// Begins a response. `out` is cleared.
    pub fn response(out: &'a mut Vec<u8>, status: u16) -> Self {
        out.clear();
        let mut writer = Self { out };
        writer.raw(&[b"SIP/2.0 "]).number(status.into());
        writer.raw(&[b" ", reason_phrase(status).as_bytes(), b"\r\n"]);
        writer
    }

    /// Goes on behind what stands in `out`.
    pub fn lines(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes octets that are right as they are.
    pub fn copied(&mut self, octets: &[u8]) -> &mut Self {
        self.raw(&[octets])
    }

    /// Writes a header line.
    pub fn line(&mut self, name: Name, value: &[u8]) -> &mut Self {
        self.parts(name, &[value])
    }

    /// Writes a header line whose value is put together from `parts`.
    pub fn parts(&mut self, name: Name, parts: &[&[u8]]) -> &mut Self {
        self.raw(&[name.as_str().as_bytes(), b": "]).raw(parts).raw(&[b"\r\n"])
    }

    /// Writes a header line whose value is a number.
    pub fn numbered(&mut self, name: Name, number: usize) -> &mut Self {
        self.raw(&[name.as_str().as_bytes(), b": "]).number(number).raw(&[b"\r\n"])
    }

    /// Writes a header line as another message has it.
    pub fn copy(&mut self, header: &Header<'_>) -> &mut Self {
        let name = if header.name == Name::Other { header.text } else { header.name.as_str().as_bytes() };
        self.raw(&[name, b": ", header.value, b"\r\n"])
    }

    /// Writes every line of `names` that `message` has, in the order of the message.
    pub fn copy_all(&mut self, message: &Message, names: &[Name]) -> &mut Self {
        for line in message.lines.iter().filter(|line| names.contains(&line.id)) {
            self.copy_line(message, line);
        }
        self
    }

    /// Writes a line of `message`: in one piece if it stands there as it is written here, with its full name and one blank.
    fn copy_line(&mut self, message: &Message, line: &Line) {
        let (begin, end) = (usize::from(line.name.start), usize::from(line.value.end));
        let (name_end, value_start) = (usize::from(line.name.end), usize::from(line.value.start));
        let bytes = message.bytes();
        let is_as_written = (line.id == Name::Other || line.name.len() == line.id.as_str().len())
            && value_start == name_end + 2
            && bytes[name_end..].starts_with(b": ")
            && bytes[end..].starts_with(b"\r\n");
        if is_as_written {
            self.raw(&[&bytes[begin..end + 2]]);
        } else {
            self.copy(&message.header(line));
        }
    }

    #[inline]
    fn raw(&mut self, parts: &[&[u8]]) -> &mut Self {
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self
    }

    /// Writes a number.
    pub fn number(&mut self, number: usize) -> &mut Self {
        let mut digits = [0; usize::MAX.ilog10() as usize + 1];
        let (mut rest, mut at) = (number, digits.len());
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.raw(&[&digits[at..]])
    }

    /// Writes Content-Length, the empty line and the body.
    pub fn finish(&mut self, body: Option<&Body>) {
        if let Some(body) = body {
            self.line(Name::ContentType, &body.content_type);
        }
        let octets = body.map_or(&b""[..], |body| &body.bytes);
        self.numbered(Name::ContentLength, octets.len()).raw(&[b"\r\n", octets]);
    }

    /// Writes the empty line and the body: Content-Length and Content-Type have been copied.
    pub fn finish_copied(&mut self, body: &[u8]) {
        self.raw(&[b"\r\n", body]);
    }
}

impl Message {
    /// Writes the message again: the same start line, header fields in order with their full names, and body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        let mut writer = Writer { out };
        match self.start {
            Start::Request { method_text, uri, version, .. } => {
                let (method, uri, version) = (self.slice(method_text), self.slice(uri), self.slice(version));
                writer.raw(&[method, b" ", uri, b" ", version, b"\r\n"]);
            }
            Start::Response { status, version, reason } => {
                writer.raw(&[self.slice(version), b" "]).number(status.into());
                writer.raw(&[b" ", self.slice(reason), b"\r\n"]);
            }
        }
        for line in &self.lines {
            writer.copy_line(self, line);
        }
        writer.finish_copied(self.body());
    }

    /// A right-sized copy that has the start line and the header lines of `names`, and no body: a part of a message that was
    /// read is one that can be read.
    #[must_use]
    pub fn reduced_to(&self, names: &[Name]) -> Bytes {
        let mut out = Vec::with_capacity(self.bytes().len());
        let mut writer = Writer { out: &mut out };
        let method = self.method_text();
        writer
            .raw(&[method, b" ", self.uri_text(), b" SIP/2.0\r\n"])
            .copy_all(self, names)
            .finish_copied(b"");
        Bytes::copy_from_slice(&out)
    }
}

/// The phrase of a status code that this system or its examples use; "Unnamed" for others, which means nothing to SIP.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        433 => "Anonymity Disallowed",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Unnamed",
    }
}
