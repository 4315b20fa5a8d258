//! Dialogs: identity, route set, remote target and sequence numbers. RFC 3261 §12.

use std::borrow::Cow;

use bytes::Bytes;

use crate::hash::{Key, Keyed};
use crate::message::{Essentials, Fault, Message, Method, Name, NameAddr, Uri, Writer};
use crate::transport::{Target, Transport};

/// Route values of the longest route set that is followed: a peer must not make requests that nobody can read.
pub const ROUTES_MAX: usize = 64;

/// A dialog, early or confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialog {
    /// Its [`Part`]s in one block.
    text: Bytes,
    /// Where each of them ends.
    ends: [u32; Part::COUNT],
    /// Route values in the order in which our requests pass them.
    routes: Vec<Bytes>,
    /// Where the next hop is, if its host is a name that somebody has looked up.
    located: Option<Box<Target>>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

/// What a dialog is known by and written with, in order.
#[derive(Clone, Copy)]
enum Part {
    CallId,
    /// The address, with its tag, that stands in From of our requests.
    Local,
    LocalTag,
    /// The address, with its tag, that stands in To of our requests.
    Remote,
    RemoteTag,
    /// The Contact URI of the peer.
    Target,
}

impl Part {
    const COUNT: usize = 6;
}

impl Dialog {
    /// The dialog that `response` creates for the sender of `request` (§12.1.2).
    ///
    /// # Errors
    /// The fault of a header field that the dialog is made of.
    pub fn of_client(request: &Message, response: &Essentials<'_>) -> Result<Self, Fault> {
        let routes = record_routes(response)?.rev().collect();
        let (local, remote) = (response.value(Name::From), response.value(Name::To));
        let (local_tag, remote_tag) = (response.from_tag()?, response.to_tag()?);
        // A 1xx need not have a Contact, and some peers forget it in a 2xx: then the peer is where the INVITE went.
        let target = contact(response)?.unwrap_or_else(|| request.uri_text());
        Ok(Self::new(
            request,
            [local, local_tag, remote, remote_tag],
            target,
            routes,
            Some(request.cseq()?.number),
            None,
        ))
    }

    /// The dialog that the receiver of `request` creates with `local_tag` (§12.1.1).
    ///
    /// # Errors
    /// The fault of a header field that the dialog is made of.
    pub fn of_server(request: &Essentials<'_>, local_tag: &[u8]) -> Result<Self, Fault> {
        let routes = record_routes(request)?.collect();
        let to = request.value(Name::To).unwrap_or_default();
        let local = [to, b";tag=", local_tag].concat();
        let (remote, remote_tag) = (request.value(Name::From), request.from_tag()?);
        // A peer that predates RFC 3261 need not have a Contact: it is reached at its From.
        let target = contact(request)?.unwrap_or(request.from()?.uri);
        let parts = [Some(&local[..]), Some(local_tag), remote, remote_tag];
        Ok(Self::new(request, parts, target, routes, None, Some(request.cseq()?.number)))
    }

    /// The dialog that `notify` creates for the sender of `subscribe` (RFC 6665 §4.4.1: its route set is that of the
    /// NOTIFY).
    ///
    /// # Errors
    /// The fault of a header field that the dialog is made of.
    pub fn of_subscriber(subscribe: &Message, notify: &Essentials<'_>) -> Result<Self, Fault> {
        let routes = record_routes(notify)?.collect();
        let (local, remote) = (subscribe.value(Name::From), notify.value(Name::From));
        let (local_tag, remote_tag) = (subscribe.from()?.tag(), notify.from_tag()?);
        let target = contact(notify)?.unwrap_or(notify.from()?.uri);
        let (own, other) = (subscribe.cseq()?.number, notify.cseq()?.number);
        let parts = [local, local_tag, remote, remote_tag];
        Ok(Self::new(subscribe, parts, target, routes, Some(own), Some(other)))
    }

    fn new(
        message: &Message,
        [local, local_tag, remote, remote_tag]: [Option<&[u8]>; 4],
        target: &[u8],
        routes: Vec<Bytes>,
        local_cseq: Option<u32>,
        remote_cseq: Option<u32>,
    ) -> Self {
        let part = Option::unwrap_or_default;
        let target = as_target(target);
        let (text, ends) =
            block([message.call_id(), part(local), part(local_tag), part(remote), part(remote_tag), &target]);
        Self { text, ends, routes, located: None, local_cseq: local_cseq.unwrap_or(0), remote_cseq }
    }

    fn part(&self, part: Part) -> &[u8] {
        let end = |place: usize| self.ends[place] as usize;
        let start = (part as usize).checked_sub(1).map_or(0, end);
        &self.text[start..end(part as usize)]
    }

    /// The key under which in-dialog requests find it.
    pub fn key(&self, keyed: &Keyed) -> Key {
        let [call_id, local_tag, remote_tag] =
            [Part::CallId, Part::LocalTag, Part::RemoteTag].map(|part| self.part(part));
        Self::key_of(keyed, call_id, local_tag, remote_tag)
    }

    /// The key of the dialog with this identity (§12).
    pub fn key_of(keyed: &Keyed, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> Key {
        keyed.key(&[b"dialog", call_id, local_tag, remote_tag])
    }

    /// The tag of the peer.
    pub fn remote_tag(&self) -> &[u8] {
        self.part(Part::RemoteTag)
    }

    /// The Contact URI of the peer.
    pub fn target(&self) -> &[u8] {
        self.part(Part::Target)
    }

    /// §12.2.1.2: a target refresh.
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(Some(target)) = contact(message) {
            self.set_target(target);
        }
    }

    /// The remote target, from a request of the peer.
    pub fn set_target(&mut self, target: &[u8]) {
        let target = as_target(target);
        if self.routes.is_empty() && self.target() != &*target {
            self.located = None; // another name
        }
        let [call_id, local, local_tag, remote, remote_tag] =
            [Part::CallId, Part::Local, Part::LocalTag, Part::Remote, Part::RemoteTag]
                .map(|part| self.part(part));
        (self.text, self.ends) = block([call_id, local, local_tag, remote, remote_tag, &target]);
    }

    /// Takes the route set and target of the response that confirms an early dialog (§13.2.2.4: recomputed on 2xx).
    pub fn confirm(&mut self, response: &Message) {
        if let Ok(routes) = record_routes(response) {
            self.routes = routes.rev().collect();
        }
        self.refresh_target(response);
    }

    /// §12.2.2: whether the number of `request` is in order; remembers it.
    pub fn accept_cseq(&mut self, number: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| number > last);
        if in_order {
            self.remote_cseq = Some(number);
        }
        in_order
    }

    /// The number of the last request of ours.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Takes the next number for a request of ours (§12.2.1.1).
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// The same, and at least `number`: what was refused with one less is sent again.
    pub fn next_cseq_from(&mut self, number: u32) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1).max(number);
        self.local_cseq
    }

    /// Where the next request goes, if its host is an address or was looked up: the first route, or the remote target.
    pub fn next_hop(&self) -> Option<Target> {
        target_of(&Uri::parse(self.next_uri()?).ok()?).or(self.located.as_deref().copied())
    }

    /// The URI to look up if the next request is to go where the dialog names: its host is a name (RFC 3263).
    pub fn next_name(&self) -> Option<&[u8]> {
        let text = self.next_uri()?;
        let uri = Uri::parse(text).ok()?;
        (uri.is_sip() && uri.socket_address().is_none()).then_some(text)
    }

    /// Where the next hop is whose host is a name.
    pub fn locate(&mut self, target: Target) {
        self.located = Some(Box::new(target));
    }

    fn next_uri(&self) -> Option<&[u8]> {
        match self.routes.first() {
            Some(route) => Some(NameAddr::parse(route).ok()?.uri),
            None => Some(self.target()),
        }
    }

    /// Begins a request of `method` with number `cseq`; `via` is the Via value. §12.2.1.1.
    pub fn write_request<'a>(
        &self,
        out: &'a mut Vec<u8>,
        method: Method,
        cseq: u32,
        via: &[u8],
    ) -> Writer<'a> {
        let strict = self.routes.first().and_then(|route| strict_router(route));
        let mut writer = Writer::request(out, method, strict.unwrap_or(self.target()));
        writer.line(Name::Via, via).line(Name::MaxForwards, b"70");
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            writer.line(Name::Route, route);
        }
        if strict.is_some() {
            writer.parts(Name::Route, &[b"<", self.target(), b">"]);
        }
        writer
            .line(Name::From, self.part(Part::Local))
            .line(Name::To, self.part(Part::Remote))
            .line(Name::CallId, self.part(Part::CallId))
            .parts(Name::CSeq, &[cseq.to_string().as_bytes(), b" ", method.as_str().as_bytes()]);
        writer
    }
}

/// The URI of a route without `lr`: it wants to be the Request-URI (§12.2.1.1).
pub(crate) fn strict_router(route: &[u8]) -> Option<&[u8]> {
    let uri = NameAddr::parse(route).ok()?.uri;
    let is_loose = Uri::parse(uri).is_ok_and(|uri| uri.parameters.has(b"lr"));
    (!is_loose).then_some(uri)
}

/// The address and transport that a URI with a numeric host names (RFC 3263 §4.1 without look-ups).
pub fn target_of(uri: &Uri<'_>) -> Option<Target> {
    let transport = transport_of(uri).ok()?.unwrap_or(Transport::Udp);
    let mut remote = uri.socket_address()?;
    remote.set_port(uri.port.unwrap_or(transport.default_port()));
    Some(Target { transport, remote })
}

/// The transport that a URI itself asks for, by scheme or parameter (RFC 3263 §4.1).
///
/// # Errors
/// [`Fault::Uri`] if it asks for one that has no name here.
pub fn transport_of(uri: &Uri<'_>) -> Result<Option<Transport>, Fault> {
    Ok(match uri.parameters.value(b"transport").map(<[u8]>::to_ascii_lowercase).as_deref() {
        _ if uri.is_sips() => Some(Transport::Tls),
        None => None,
        Some(b"udp") => Some(Transport::Udp),
        Some(b"tcp") => Some(Transport::Tcp),
        Some(b"tls") => Some(Transport::Tls),
        Some(b"ws") => Some(Transport::Ws),
        Some(b"wss") => Some(Transport::Wss),
        Some(_) => return Err(Fault::Uri),
    })
}

/// A Contact URI as a Request-URI: §19.1.1 allows neither header fields nor a method parameter there.
fn as_target(contact: &[u8]) -> Cow<'_, [u8]> {
    let Ok(uri) = Uri::parse(contact) else { return Cow::Borrowed(contact) };
    if !uri.is_sip() || (uri.headers.is_none() && !uri.parameters.has(b"method")) {
        return Cow::Borrowed(contact);
    }
    let address = uri.headers.map_or(contact, |headers| &contact[..contact.len() - headers.len() - 1]);
    let parameters = uri.parameters.as_bytes();
    let mut target = match parameters {
        [] => address.to_vec(),
        _ => address[..address.len() - parameters.len() - 1].to_vec(),
    };
    for parameter in parameters.split(|byte| *byte == b';') {
        let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
        if !parameter.is_empty() && !name.eq_ignore_ascii_case(b"method") {
            target.push(b';');
            target.extend_from_slice(parameter);
        }
    }
    Cow::Owned(target)
}

fn contact(message: &Message) -> Result<Option<&[u8]>, Fault> {
    message.addresses(Name::Contact).next().transpose().map(|contact| contact.map(|contact| contact.uri))
}

fn record_routes(message: &Message) -> Result<impl DoubleEndedIterator<Item = Bytes> + use<>, Fault> {
    let mut routes = Vec::new();
    for item in message.items(Name::RecordRoute) {
        if routes.len() == ROUTES_MAX {
            return Err(Fault::Header(Name::RecordRoute));
        }
        NameAddr::parse(item).map_err(|_| Fault::Header(Name::RecordRoute))?;
        routes.push(Bytes::copy_from_slice(item));
    }
    routes.shrink_to_fit();
    Ok(routes.into_iter())
}

/// The parts in one allocation of the right size, and where each ends.
fn block<const N: usize>(parts: [&[u8]; N]) -> (Bytes, [u32; N]) {
    let mut end = 0;
    let ends = parts.map(|part| {
        end += part.len();
        u32::try_from(end).expect("parts of a message")
    });
    (Bytes::from(parts.concat()), ends)
}

#[cfg(test)]
mod tests;
