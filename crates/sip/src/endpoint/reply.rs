//! Responses: RFC 3261 §8.2.6 and §18.2, RFC 3581.

use std::io::Write;
use std::net::SocketAddr;

use bytes::Bytes;

use super::face::Headers;
use super::way::Text;
use crate::message::{Body, Essentials, Fault, Name, Writer, ip_address};
use crate::transport::Path;

/// What is kept of a request so that it can be answered: the lines that each response repeats, as they stand in it, in one
/// block of the right size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReplyHead {
    lines: Box<[u8]>,
    /// Where each [`Part`] ends in `lines`.
    ends: [u32; Part::COUNT],
    /// The To of the request has a tag already: the request came within a dialog.
    has_tag: bool,
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
    /// Call-ID and CSeq.
    Identity,
    Timestamp,
}

impl Part {
    const COUNT: usize = 6;
}

/// What is needed of a request that has just come in order to answer it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: ReplyHead,
    /// The way it came.
    pub(super) source: Path,
    /// The way back: the same but for the port.
    pub(super) path: Path,
}

impl Received {
    /// Of a request that came along `path`. `lines` is a buffer to work in.
    pub(super) fn new(lines: &mut Vec<u8>, request: &Essentials<'_>, path: Path) -> Result<Self, Fault> {
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
                let top = amended(request.via_text(), path.remote, ip_address(via.host), wants_port);
                writer.line(Name::Via, &top);
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
        part(Part::To, &|writer| {
            writer.copied(b"To: ").copied(request.value(Name::To).unwrap_or_default());
        });
        part(Part::Identity, &|writer| {
            first(writer, Name::CallId);
            first(writer, Name::CSeq);
        });
        part(Part::Timestamp, &|writer| first(writer, Name::Timestamp));
        // §18.2.2, RFC 3581 §4: to the port the request came from if asked for, else to the one of sent-by. An maddr
        // is not followed: it would let a peer aim our responses at somebody else.
        let port = if wants_port { path.remote.port() } else { via.and_then(|via| via.port).unwrap_or(5060) };
        let remote = match path.connection {
            Some(_) => path.remote,
            None => SocketAddr::new(path.remote.ip(), port),
        };
        let has_tag = request.to_tag().is_ok_and(|tag| tag.is_some());
        let head = ReplyHead { lines: lines.as_slice().into(), ends, has_tag };
        Ok(Self { head, source: path, path: Path { remote, ..path } })
    }
}

impl ReplyHead {
    fn part(&self, part: Part) -> &[u8] {
        let end = |place: usize| self.ends[place] as usize;
        let start = (part as usize).checked_sub(1).map_or(0, end);
        &self.lines[start..end(part as usize)]
    }

    /// A response, put together in `out`. `tag` is our tag; it is left out of a 100 (§8.2.6.2), and if the request has one already.
    pub(super) fn response(
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
        if status != 100 && !tag.is_empty() && !self.has_tag {
            writer.copied(b";tag=").copied(tag);
        }
        writer.copied(b"\r\n").copied(self.part(Part::Identity));
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
}

/// What a response has besides the lines of its request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra<'a> {
    pub(super) contact: Option<&'a [u8]>,
    pub(super) headers: &'a [(Name, Bytes)],
    pub(super) body: Option<&'a Body>,
}

impl<'a> Extra<'a> {
    pub(super) fn headers(headers: &'a Headers) -> Self {
        Self { headers, ..Self::default() }
    }
}

/// The topmost Via with what the receiver knows: §18.2.1, RFC 3581 §4.
fn amended(via: &[u8], from: SocketAddr, sent_by: Option<std::net::IpAddr>, wants_port: bool) -> Text {
    let mut parts = crate::message::scan::split(via, b';');
    let mut top = Text::from_slice(parts.next().unwrap_or_default());
    for parameter in parts {
        let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = crate::message::scan::trim(name);
        let ours =
            name.eq_ignore_ascii_case(b"received") || (wants_port && name.eq_ignore_ascii_case(b"rport"));
        if !ours {
            top.push(b';');
            top.extend_from_slice(parameter);
        }
    }
    if wants_port || sent_by != Some(from.ip()) {
        let _ = write!(top, ";received={}", from.ip());
    }
    if wants_port {
        let _ = write!(top, ";rport={}", from.port());
    }
    top
}
