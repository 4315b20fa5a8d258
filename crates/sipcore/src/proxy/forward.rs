//! A request as it leaves: RFC 3261 §16.6. The numbers are the steps of that section.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::{Message, Method, Name, NameAddr, Uri, Via, Writer, ip_address};
use sip::reply::write_amended;
use sip::transport::{Path, Target, Transport};
use sip::way::Text;
use sip::{Duration, Identifier, Instant};

use super::target::{Destination, Way};
use super::{Passing, token};
use crate::binding::{Sender, flow_to};
use crate::hub::Core;
use crate::identity::{Asserted, Origin, wants_privacy};
use crate::registrar::uri_of;

/// How many branches a request may have at once, if it does not say (RFC 5393 §5.3.3.1).
pub(crate) const BREADTH: u32 = 60;

const MAX_BREADTH: &[u8] = b"Max-Breadth";

/// What leaves.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) message: Message,
    pub(crate) path: Path,
    pub(crate) branch: Identifier,
    /// Whether it goes by TCP for its length only: if that is refused, it goes by UDP (§18.1.1).
    pub(crate) is_long: bool,
}

/// How long it is taken for granted that nobody takes a connection where none could be opened.
const DEAF_FOR: Duration = Duration::from_secs(60);

/// Addresses that are remembered for that at most.
const DEAF_MAX: usize = 1024;

/// Where no connection could be opened. What is too long for a datagram goes there by UDP at once (§18.1.1): to try again each
/// time would cost a connection a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deaf(BTreeMap<SocketAddr, Instant>);

impl Deaf {
    pub(crate) fn note(&mut self, remote: SocketAddr, now: Instant) {
        if self.0.len() >= DEAF_MAX {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() < DEAF_MAX {
            self.0.insert(remote, now + DEAF_FOR);
        }
    }

    fn is(&self, remote: SocketAddr, now: Instant) -> bool {
        self.0.get(&remote).is_some_and(|until| *until > now)
    }
}

/// The Max-Breadth of a request.
pub(crate) fn breadth_of(message: &Message) -> u32 {
    let is_it = |name: &[u8]| name.eq_ignore_ascii_case(MAX_BREADTH);
    let mut headers = message.headers().filter(|header| header.name == Name::Other && is_it(header.text));
    headers.next().and_then(|header| sip::message::scan::number(header.value)).unwrap_or(BREADTH).min(BREADTH)
}

impl Core {
    /// The copy of a request for one target. `None` if there is no way there.
    pub(crate) fn copy_for(
        &mut self,
        passing: &Passing,
        destination: &Destination,
        breadth: u32,
    ) -> Option<Copy> {
        // 7. is decided first, for what is written depends on it.
        let path = match destination.way {
            // Nothing would ever arrive there.
            Way::Along(Path { connection: Some(gone), .. }) if self.connections.is_gone(gone) => return None,
            Way::Along(path) => path,
            Way::To(target) => self.path_to(target)?,
            Way::Agent => self.agent.path(),
            Way::Nowhere => return None,
        };
        let copy = self.written(passing, destination, path, breadth)?;
        // §18.1.1: what is too long for a datagram goes by TCP, unless it is a flow that leads there.
        if path.transport == Transport::Udp
            && copy.message.bytes().len() > self.config.datagram_max
            && let Way::To(Target { remote, .. }) = destination.way
            && !self.deaf.is(remote, self.now)
            && let Some(path) = self.path_to(Target { transport: Transport::Tcp, remote })
        {
            return Some(Copy { is_long: true, ..self.written(passing, destination, path, breadth)? });
        }
        Some(copy)
    }

    /// The copy for one way.
    pub(crate) fn written(
        &mut self,
        passing: &Passing,
        destination: &Destination,
        path: Path,
        breadth: u32,
    ) -> Option<Copy> {
        let message = &passing.message;
        let branch = self.identifiers.draw();
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        // 1., 2., 6.
        let (uri, routes) = strictly(destination, passing);
        let mut writer = Writer::lines(&mut out);
        writer.copied(message.method_text()).copied(b" ").copied(uri).copied(b" SIP/2.0\r\n");
        // 8.
        let via = self.with_spelled(&path, |spelled| spelled.via(&branch));
        writer.parts(Name::Via, &[&via, b";loop=", &passing.trace.digits()]);
        // 4.
        if is_recorded(message) {
            for value in self.record_routes(passing, destination, &path) {
                writer.line(Name::RecordRoute, &value);
            }
        }
        for value in &routes {
            writer.line(Name::Route, value);
        }
        // 3.
        let hops = message.number(Name::MaxForwards).ok().flatten().map_or(70, |hops| hops.saturating_sub(1));
        writer.numbered(Name::MaxForwards, hops as usize);
        writer.copied(MAX_BREADTH).copied(b": ").number(breadth as usize).copied(b"\r\n");
        // 5.
        if let Some(value) = self.asserted(passing, &path) {
            writer.line(Name::PAssertedIdentity, value);
        }
        self.copy_lines(&mut writer, passing, &path);
        // 9.
        if message.value(Name::ContentLength).is_none() {
            writer.numbered(Name::ContentLength, message.body().len());
        }
        writer.finish_copied(message.body());
        let message = Message::parse(Bytes::copy_from_slice(&out)).ok();
        self.scratch = out;
        Some(Copy { message: message?, path, branch, is_long: false })
    }

    /// The lines of the request that stay, in their order.
    fn copy_lines(&self, writer: &mut Writer<'_>, passing: &Passing, path: &Path) {
        let Passing { message, source, .. } = passing;
        let keeps_identity = passing.asserted == Asserted::AsWritten && !self.hides(message, path);
        let mut is_top = true;
        for header in message.headers() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a proxy leaves alone what it does not know")]
            match header.name {
                Name::Via if std::mem::take(&mut is_top) => {
                    let mut vias = sip::message::scan::split(header.value, b',');
                    if let Some(via) = vias.next() {
                        let read = Via::parse(via);
                        let sent_by = read.and_then(|via| ip_address(via.host));
                        let wants_port = read.is_none_or(|via| via.parameters.has(b"rport"));
                        write_amended(writer, via, source.remote, sent_by, wants_port);
                    }
                    for via in vias {
                        writer.line(Name::Via, via);
                    }
                }
                Name::Route | Name::MaxForwards => {}
                Name::PAssertedIdentity if !keeps_identity => {}
                Name::PPreferredIdentity | Name::PAssertedService if passing.origin == Origin::Client => {}
                // §20.28: whoever asked for it takes it.
                Name::ProxyAuthorization if self.is_for_our_realm(header.value) => {}
                Name::Other if header.text.eq_ignore_ascii_case(MAX_BREADTH) => {}
                _ => drop(writer.copy(&header)),
            }
        }
    }

    fn is_for_our_realm(&self, value: &[u8]) -> bool {
        let parameters = value.iter().position(|byte| *byte == b' ').map(|at| &value[at + 1..]);
        let mut parts = sip::message::scan::split(parameters.unwrap_or_default(), b',');
        parts.any(|part| self.realm.is_ours(&sip::message::Parameters::new(part)))
    }

    /// The value of P-Asserted-Identity that we write.
    fn asserted<'a>(&self, passing: &'a Passing, path: &Path) -> Option<&'a Bytes> {
        match &passing.asserted {
            Asserted::User(value) if !self.hides(&passing.message, path) => Some(value),
            Asserted::User(_) | Asserted::AsWritten | Asserted::Nobody => None,
        }
    }

    /// RFC 3325 §7: whether the identity of the sender is none of the next hop's business.
    pub(crate) fn hides(&self, message: &Message, path: &Path) -> bool {
        wants_privacy(message) && !self.is_trusted(path)
    }

    /// Two values, for the side to which the request goes and the one from which it came: they may differ in transport (RFC
    /// 5658), and each names the flow that leads to its side.
    fn record_routes(&self, passing: &Passing, destination: &Destination, path: &Path) -> [Text; 2] {
        let out = match destination.way {
            Way::Along(flow) if destination.routes.is_empty() => Some(flow),
            Way::Along(_) | Way::To(_) | Way::Agent | Way::Nowhere => None,
        };
        let back = match passing.origin {
            Origin::Trusted => None,
            Origin::Client => {
                let contact = passing.message.addresses(Name::Contact).find_map(Result::ok);
                let contact = contact.and_then(|contact| Uri::parse(contact.uri).ok());
                let sender = Sender { path: &passing.source, origin: passing.origin };
                contact.and_then(|uri| flow_to(&uri, &passing.message, sender))
            }
        };
        let user = |flow: Option<Path>| {
            token::write(&self.shared, &self.config.listeners, passing.message.call_id(), flow.as_ref())
        };
        [self.own_route(path, &user(out), b""), self.own_route(&passing.source, &user(back), b"")]
    }
}

/// Whether we stay on the way of what follows: with all that makes a dialog, or refreshes its target.
fn is_recorded(message: &Message) -> bool {
    [Method::Invite, Method::Subscribe, Method::Refer, Method::Notify, Method::Update]
        .into_iter()
        .any(|method| message.is(method))
}

/// 6.: Request-URI and Route, swapped if the first Route is that of a strict router.
fn strictly<'a>(destination: &'a Destination, passing: &'a Passing) -> (&'a [u8], Vec<Bytes>) {
    let mut routes: Vec<Bytes> = destination.routes.iter().chain(&passing.routes).cloned().collect();
    let is_strict =
        routes.first().is_some_and(|first| uri_of(first).is_some_and(|uri| !uri.parameters.has(b"lr")));
    if !is_strict {
        return (&destination.uri, routes);
    }
    routes.remove(0);
    routes.push(Bytes::from([b"<", &destination.uri[..], b">"].concat()));
    let first = destination.routes.first().or_else(|| passing.routes.first());
    let uri = first.and_then(|first| NameAddr::parse(first).ok()).map(|address| address.uri);
    (uri.unwrap_or(&destination.uri), routes)
}
