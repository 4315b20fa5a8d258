//! Responses: RFC 3261 §8.2.6 and §18.2, RFC 3581.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::endpoint::Headers;
use crate::message::{Body, Essentials, Fault, Name, Writer, ip_address};
use crate::transport::Path;

/// What is kept of a request so that it can be answered: the lines that each response repeats, as they stand in it, in one
/// block of the right size.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyHead {
    lines: Bytes,
    /// Where the first [`Part`] begins in `lines`.
    start: u32,
    /// Where each of them ends.
    ends: [u32; Part::COUNT],
    /// Our tag goes behind the To: the request has one, and came outside of a dialog.
    needs_tag: bool,
}

/// The parts of a [`ReplyHead`], in order.
#[derive(Clone, Copy)]
enum Part {
    /// Via lines, the topmost with `received` and `rport`.
    Via,
    RecordRoute,
    From,
    /// The To line without its end, where our tag goes.
    To,
    /// The end of the To line, Call-ID and CSeq.
    Identity,
    Timestamp,
}

impl Part {
    const COUNT: usize = 6;
}

/// What a response repeats, as text.
impl fmt::Debug for ReplyHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.ends.last().map_or(0, |end| *end as usize);
        f.write_str(&String::from_utf8_lossy(&self.lines[self.start as usize..last]))
    }
}

/// What is needed of a request that has just come in order to answer it.
#[derive(Debug)]
pub struct Received {
    /// What its responses repeat.
    pub head: ReplyHead,
    /// The way it came.
    pub source: Path,
    /// The way back: the same but for the port.
    pub path: Path,
}

impl Received {
    /// Of a request that came along `path`. `lines` is a buffer to work in.
    ///
    /// # Errors
    /// [`Fault::Missing`] if the request has no Via: nobody knows where an answer would go.
    pub fn new(lines: &mut Vec<u8>, request: &Essentials<'_>, path: Path) -> Result<Self, Fault> {
        let via = match request.via() {
            Err(fault @ Fault::Missing(_)) => return Err(fault),
            via => via.ok(),
        };
        // One that cannot be read goes back as it came, to where it came from.
        let wants_port = via.is_none_or(|via| via.parameters.has(b"rport"));
        lines.clear();
        let mut ends = [0; Part::COUNT];
        let mut part = |part: Part, write: &dyn Fn(&mut Writer<'_>)| {
            write(&mut Writer::lines(lines));
            ends[part as usize] = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        };
        part(Part::Via, &|writer| match &via {
            Some(via) => {
                write_amended(writer, request.via_text(), path.remote, ip_address(via.host), wants_port);
                for via in request.items(Name::Via).skip(1) {
                    writer.line(Name::Via, via);
                }
            }
            None => {
                writer.copy_all(request, &[Name::Via]);
            }
        });
        part(Part::RecordRoute, &|writer| {
            writer.copy_all(request, &[Name::RecordRoute]);
        });
        // A request with a line too many is answered with its first.
        let first = |writer: &mut Writer<'_>, name: Name| {
            if let Some(value) = request.value(name) {
                writer.line(name, value);
            }
        };
        part(Part::From, &|writer| first(writer, Name::From));
        let to = request.value(Name::To);
        part(Part::To, &|writer| {
            if let Some(to) = to {
                writer.copied(b"To: ").copied(to);
            }
        });
        part(Part::Identity, &|writer| {
            if to.is_some() {
                writer.copied(b"\r\n");
            }
            first(writer, Name::CallId);
            first(writer, Name::CSeq);
        });
        part(Part::Timestamp, &|writer| first(writer, Name::Timestamp));
        // §18.2.2, RFC 3581 §4: to the port the request came from if asked for, else to the one of sent-by. An maddr
        // is not followed: it would let a peer aim our responses at somebody else.
        let port = if wants_port { path.remote.port() } else { via.and_then(|via| via.port).unwrap_or(5060) };
        let remote =
            if path.transport.is_reliable() { path.remote } else { SocketAddr::new(path.remote.ip(), port) };
        let needs_tag = to.is_some() && !request.to_tag().is_ok_and(|tag| tag.is_some());
        let head = ReplyHead { lines: Bytes::copy_from_slice(lines), start: 0, ends, needs_tag };
        Ok(Self { head, source: path, path: Path { remote, ..path } })
    }
}

impl ReplyHead {
    fn part(&self, part: Part) -> &[u8] {
        let end = |place: usize| self.ends[place] as usize;
        let start = (part as usize).checked_sub(1).map_or(self.start as usize, end);
        &self.lines[start..end(part as usize)]
    }

    /// A response, put together in `out`. `tag` is our tag; it is left out of a 100 (§8.2.6.2), and if the request has one already.
    pub fn response(
        &self,
        out: &mut Vec<u8>,
        status: u16,
        tag: &[u8],
        product: &[u8],
        extra: &Extra<'_>,
    ) -> Bytes {
        let mut writer = Writer::response(out, status);
        writer.copied(self.part(Part::Via));
        if extra.contact.is_some() {
            writer.copied(self.part(Part::RecordRoute)); // §12.1.1
        }
        writer.copied(self.part(Part::From)).copied(self.part(Part::To));
        if status != 100 && !tag.is_empty() && self.needs_tag {
            writer.copied(b";tag=").copied(tag);
        }
        writer.copied(self.part(Part::Identity));
        if status == 100 {
            writer.copied(self.part(Part::Timestamp)); // §8.2.6.1
        }
        if let Some(contact) = extra.contact {
            writer.line(Name::Contact, contact);
        }
        for (name, value) in extra.headers {
            writer.line(*name, value);
        }
        if !product.is_empty() {
            writer.line(Name::Server, product);
        }
        writer.finish(extra.body);
        Bytes::copy_from_slice(out)
    }

    /// Keeps the lines where they stand in `response`, a 1xx of this head with `tag` and a Contact, instead of a block of
    /// their own. Timestamp, which only a 100 repeats, is forgotten.
    pub(crate) fn adopt(&mut self, response: &Bytes, tag: &[u8]) {
        let Some(end) = memchr::memchr(b'\n', response) else { return };
        let added = if self.needs_tag { b";tag=".len() + tag.len() } else { 0 };
        let start = end as u32 + 1;
        for (place, end) in self.ends.iter_mut().enumerate() {
            *end = *end - self.start + start;
            if place >= Part::To as usize {
                *end += added as u32;
            }
        }
        self.ends[Part::Timestamp as usize] = self.ends[Part::Identity as usize];
        (self.lines, self.start, self.needs_tag) = (response.clone(), start, false);
    }
}

/// What a response has besides the lines of its request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// The value of Contact. With it the Record-Route lines are repeated too.
    pub contact: Option<&'a [u8]>,
    /// Further header lines.
    pub headers: &'a [(Name, Bytes)],
    /// The body.
    pub body: Option<&'a Body>,
}

impl<'a> Extra<'a> {
    /// Nothing but header lines.
    pub fn headers(headers: &'a Headers) -> Self {
        Self { headers, ..Self::default() }
    }
}

/// Writes the line of the topmost Via with what the receiver knows: §18.2.1, RFC 3581 §4. `from` is where the request came
/// from, `sent_by` the address that the Via names.
pub fn write_amended(
    writer: &mut Writer<'_>,
    via: &[u8],
    from: SocketAddr,
    sent_by: Option<IpAddr>,
    wants_port: bool,
) {
    let mut parts = crate::message::scan::split(via, b';');
    writer.copied(b"Via: ").copied(parts.next().unwrap_or_default());
    for parameter in parts {
        let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = crate::message::scan::trim(name);
        let ours =
            name.eq_ignore_ascii_case(b"received") || (wants_port && name.eq_ignore_ascii_case(b"rport"));
        if !ours {
            writer.copied(b";").copied(parameter);
        }
    }
    if wants_port || sent_by != Some(from.ip()) {
        match from.ip() {
            IpAddr::V4(ip) => {
                for (octet, before) in ip.octets().into_iter().zip([&b";received="[..], b".", b".", b"."]) {
                    writer.copied(before).number(octet.into());
                }
            }
            IpAddr::V6(ip) => {
                writer.copied(b";received=").copied(ip.to_string().as_bytes());
            }
        }
    }
    if wants_port {
        writer.copied(b";rport=").number(from.port().into());
    }
    writer.copied(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::transport::Transport;

    fn head(to: &str) -> ReplyHead {
        let text = format!(
            "INVITE sip:ben@poc.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;rport;branch=z9hG4bKa\r\n\
             Via: SIP/2.0/UDP b.example;branch=z9hG4bKb\r\nf: <sip:anna@poc.example>;tag=a1\r\n\
             Record-Route: <sip:p.example;lr>\r\nTo: {to}\r\nTimestamp: 7\r\ni: c-4711\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        head_of(&text)
    }

    fn head_of(request: &str) -> ReplyHead {
        let request = Message::parse(Bytes::copy_from_slice(request.as_bytes())).unwrap();
        let (local, remote) =
            (SocketAddr::from(([127, 0, 0, 1], 5060)), SocketAddr::from(([127, 0, 0, 2], 7)));
        let path = Path { transport: Transport::Udp, local, remote, connection: None };
        Received::new(&mut Vec::new(), &Essentials::of(&request), path).unwrap().head
    }

    /// Such a request is refused; what it lacks is not made up.
    #[test]
    fn a_request_without_to_or_call_id_is_answered_without() {
        let text = "INVITE sip:ben@poc.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKa\r\n\
                    From: <sip:anna@poc.example>;tag=a1\r\nCSeq: 1 INVITE\r\n\r\n";
        let answer = head_of(text).response(&mut Vec::new(), 400, b"b1", b"", &Extra::default());
        let answer = Message::parse(answer).unwrap();
        let names = [Name::From, Name::CSeq, Name::To, Name::CallId];
        assert_eq!(names.map(|name| answer.value(name).is_some()), [true, true, false, false]);
    }

    /// Whatever was said before, a response repeats the lines of its request.
    #[test]
    fn a_response_is_the_same_whether_the_lines_stand_apart_or_in_a_1xx() {
        let contact = Extra { contact: Some(b"<sip:b1@127.0.0.1>"), ..Extra::default() };
        let mut out = Vec::new();
        for to in ["<sip:ben@poc.example>", "<sip:ben@poc.example>;tag=b1"] {
            let (apart, mut adopting) = (head(to), head(to));
            for status in [180, 183, 180] {
                let progress = adopting.response(&mut out, status, b"b1", b"", &contact);
                assert_eq!(progress, apart.response(&mut out, status, b"b1", b"", &contact));
                adopting.adopt(&progress, b"b1");
                for (status, extra) in [(200, &contact), (487, &Extra::default())] {
                    let answer = adopting.response(&mut out, status, b"b1", b"talkburst", extra);
                    assert_eq!(answer, apart.response(&mut out, status, b"b1", b"talkburst", extra));
                }
            }
        }
    }
}
