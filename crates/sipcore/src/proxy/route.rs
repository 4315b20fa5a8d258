//! Where a request has been, and where its Route says that it goes: RFC 3261 §16.4, RFC 5393 §4.2.

use bytes::Bytes;
use sip::Identifier;
use sip::hash::Key;
use sip::message::{Essentials, Name, Uri, Via, ip_address};
use sip::transport::{Path, Target, Transport};
use sip::way::{Spelled, Text};
use smallvec::SmallVec;

use super::target::{Destination, Way};
use super::token;
use crate::hub::Core;
use crate::registrar::uri_of;

/// The rule that a Route of ours says has been applied already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Applied {
    Originating,
    Terminating,
}

/// What is left of the way of a request when it arrives here.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) uri: Bytes,
    pub(crate) routes: Vec<Bytes>,
    /// Whether it follows a Record-Route of ours, and the flow that this names.
    pub(crate) dialog: Option<Option<Path>>,
    pub(crate) applied: Option<Applied>,
}

impl Core {
    /// §16.4: takes what is ours from Route.
    pub(crate) fn standing(&self, request: &Essentials<'_>) -> Standing {
        let mut uri = Bytes::copy_from_slice(request.uri_text());
        let mut routes: Vec<Bytes> = request.items(Name::Route).map(Bytes::copy_from_slice).collect();
        // A strict router put our Record-Route into the Request-URI.
        let token = |text: &[u8]| {
            let uri = Uri::parse(text).ok().filter(|uri| self.is_own(uri))?;
            token::read(&self.shared, &self.config.listeners, request.call_id(), uri.user?)
        };
        let (mut dialog, mut applied) = (token(&uri), None);
        if dialog.is_some()
            && let Some(last) = routes.pop()
            && let Some(address) = sip::message::NameAddr::parse(&last).ok()
        {
            uri = Bytes::copy_from_slice(address.uri);
        }
        let is_ours = |value: &Bytes| uri_of(value).is_some_and(|uri| self.is_own(&uri));
        let count = routes.iter().take_while(|value| is_ours(value)).count();
        for value in routes.drain(..count) {
            let Some(own) = uri_of(&value) else { continue };
            let read = own
                .user
                .and_then(|user| token::read(&self.shared, &self.config.listeners, request.call_id(), user));
            dialog = read.or(dialog);
            applied = match own.parameters.value(b"odi") {
                Some(b"orig") => Some(Applied::Originating),
                Some(b"term") => Some(Applied::Terminating),
                Some(_) | None => applied,
            };
        }
        // A first request of a dialog has not seen our Record-Route yet.
        let is_within = request.to_tag().is_ok_and(|tag| tag.is_some());
        Standing { uri, routes, dialog: dialog.filter(|_| is_within), applied }
    }

    /// Whether `uri` names this core: one of its listeners, or a domain of ours without a user.
    pub(crate) fn is_own(&self, uri: &Uri<'_>) -> bool {
        let is_listener = uri.is_sip()
            && ip_address(uri.host).is_some_and(|ip| {
                self.config.listeners.iter().any(|each| {
                    let port = uri.port.unwrap_or_else(|| each.transport.default_port());
                    each.advertised.ip() == ip && each.advertised.port() == port
                })
            });
        is_listener || (uri.parameters.has(b"lr") && self.is_home(uri.host))
    }

    /// A Route value that leads to the listener of `path`.
    pub(crate) fn own_route(&self, path: &Path, user: &[u8], parameters: &[u8]) -> Text {
        self.with_spelled(path, |spelled| spelled.route(user, parameters))
    }

    /// What Via and Route say of the listener of `path`.
    pub(crate) fn with_spelled(&self, path: &Path, write: impl FnOnce(&Spelled) -> Text) -> Text {
        let mut listeners = self.config.listeners.iter();
        match listeners.position(|each| each.bind == path.local && each.transport == path.transport) {
            Some(place) => write(&self.spelled[place]),
            None => write(&Spelled::new(path.transport, path.local, b"")),
        }
    }

    /// Where a request within a dialog goes: by what remains of its Route, along the flow that ours names, or to its
    /// Request-URI. `None` if that is nowhere.
    pub(crate) fn within_dialog(&self, standing: &Standing) -> Option<Destination> {
        let Standing { uri, routes, dialog, .. } = standing;
        let way = match (routes.first(), *dialog) {
            (Some(route), _) => Way::To(self.target_of(&uri_of(route)?)?),
            (None, Some(Some(flow))) => Way::Along(flow),
            (None, Some(None) | None) => match Uri::parse(uri).ok()? {
                uri if self.leads_to_agent(&uri) => Way::Agent,
                uri => Way::To(self.target_of(&uri)?),
            },
        };
        Some(Destination { uri: uri.clone(), routes: Vec::new(), way })
    }

    /// The next hop to `uri`. Names are not looked up: other domains are those of the table.
    pub(crate) fn target_of(&self, uri: &Uri<'_>) -> Option<Target> {
        if let Some(server) = self.config.server
            && self.leads_to_server(uri)
        {
            return Some(server);
        }
        if let Some(address) = uri.socket_address() {
            let named = uri.parameters.value(b"transport").unwrap_or(b"udp");
            let all = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
            let named = all.into_iter().find(|each| each.as_str().as_bytes().eq_ignore_ascii_case(named))?;
            let transport = if uri.is_sips() { Transport::Tls } else { named };
            let port = uri.port.unwrap_or_else(|| transport.default_port());
            return Some(Target { transport, remote: std::net::SocketAddr::new(address.ip(), port) });
        }
        let mut peers = self.config.peers.iter();
        peers.find(|peer| peer.domain.eq_ignore_ascii_case(uri.contacted_host())).map(|peer| peer.target)
    }

    /// Whether `uri` is the address of the PoC Server, or names something of one of its shards.
    pub(crate) fn leads_to_server(&self, uri: &Uri<'_>) -> bool {
        let is_server = self.config.server.is_some_and(|server| uri.socket_address() == Some(server.remote));
        is_server || self.names_session(uri)
    }

    /// Whether `uri` is a PoC Session Identity of ours (digest 3): a shard of the PoC Server has made its user part.
    pub(crate) fn names_session(&self, uri: &Uri<'_>) -> bool {
        let owner = uri.user.and_then(|user| Identifier::parse(user)?.owner());
        let is_its = owner.is_some_and(|owner| {
            owner.node == self.config.owner.node && self.config.server_shards.contains(&owner.shard)
        });
        is_its && self.config.server.is_some() && (self.is_home(uri.host) || self.is_own(uri))
    }

    /// What the way of a request through this core depends on: if it comes back the same, it has looped.
    pub(crate) fn trace_of(&self, request: &Essentials<'_>) -> Key {
        let number = request.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
        let (from, to) = (request.from_tag().ok().flatten(), request.to_tag().ok().flatten());
        let mut parts: SmallVec<[&[u8]; 12]> = SmallVec::new();
        parts.extend([b"trace", request.uri_text(), request.call_id()]);
        parts.extend([from.unwrap_or_default(), to.unwrap_or_default(), &number]);
        parts.extend(request.items(Name::Route));
        self.shared.key(&parts)
    }

    /// RFC 5393 §4.2.2: whether a Via of ours stands in the request that was written when it was what it is now. The value
    /// has a parameter of its own, for our branches have a fixed width.
    pub(crate) fn has_looped(&self, request: &Essentials<'_>) -> bool {
        let is_ours = |via: &Via<'_>| {
            ip_address(via.host).is_some_and(|ip| {
                let port = via.port.unwrap_or(5060);
                let mut listeners = self.config.listeners.iter();
                listeners.any(|each| each.advertised.ip() == ip && each.advertised.port() == port)
            })
        };
        let mut ours = request.vias().filter_map(Result::ok).filter(is_ours).peekable();
        if ours.peek().is_none() {
            return false;
        }
        let trace = self.trace_of(request).digits();
        ours.any(|via| via.parameters.value(b"loop") == Some(&trace[..]))
    }
}
