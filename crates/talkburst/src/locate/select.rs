//! RFC 3263 and RFC 2782 without the asking: what to ask for, and what to make of the answers.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use sip::dialog::{target_of, transport_of};
use sip::message::Uri;
use sip::transport::{Target, Transport};

use super::LocateError;

/// Targets of one URI: an answer of a name server must not make a call fail for hours, one target after another.
pub(super) const TARGETS_MAX: usize = 16;

/// What a URI asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// An address: nothing is to be asked.
    Numeric(Target),
    /// The addresses of a host.
    Addresses(Server, Transport),
    /// The SRV records of a domain; `None`: of the transport that its NAPTR records prefer.
    Services(Name, Option<Transport>),
}

/// A host that is to be contacted on a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Server {
    pub(super) host: Name,
    pub(super) port: u16,
}

/// What NAPTR records say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Preference {
    /// Use this transport; its SRV records have this name.
    Service(Transport, Name),
    /// There are records for SIP, all of them for TLS.
    TlsOnly,
    /// Nothing about SIP.
    Nothing,
}

/// What to do for `uri`; `forced` is the transport that the user wants.
pub(super) fn way(uri: &str, forced: Option<Transport>) -> Result<Way, LocateError> {
    let uri = Uri::parse(uri.as_bytes()).map_err(|_| LocateError::Uri)?;
    if !uri.is_sip() {
        return Err(LocateError::Uri);
    }
    if uri.is_sips() {
        return Err(LocateError::Sips);
    }
    let wanted = match forced {
        Some(transport) => Some(transport),
        None => transport_of(&uri).map_err(|_| LocateError::Transport)?,
    };
    match wanted {
        None | Some(Transport::Udp | Transport::Tcp) => {}
        Some(Transport::Tls | Transport::Ws | Transport::Wss | Transport::Inside) => {
            return Err(LocateError::Transport);
        }
    }
    if let Some(remote) = uri.socket_address() {
        let transport = wanted.unwrap_or_else(|| target_of(&uri).map_or(Transport::Udp, |it| it.transport));
        return Ok(Way::Numeric(Target { transport, remote }));
    }
    let host = name(uri.contacted_host())?;
    Ok(match uri.port {
        // RFC 3263 §4.1, §4.2: a port that is written ends the choice; no SRV records are looked up.
        Some(port) => Way::Addresses(Server { host, port }, wanted.unwrap_or(Transport::Udp)),
        None => Way::Services(host, wanted),
    })
}

/// A domain name. One with a dot is complete; one without may be searched for in the domains of the system.
fn name(host: &[u8]) -> Result<Name, LocateError> {
    let host = String::from_utf8_lossy(host);
    let fault = || LocateError::Name { host: host.to_string() };
    let mut name = Name::from_ascii(&*host).map_err(|_| fault())?;
    if name.is_root() {
        return Err(fault());
    }
    if name.num_labels() > 1 {
        name.set_fqdn(true);
    }
    Ok(name)
}

/// A name as it is typed.
pub(super) fn shown(name: &Name) -> String {
    name.to_utf8().trim_end_matches('.').to_owned()
}

/// The name of the SRV records of `host` for `transport`.
pub(super) fn service(host: &Name, transport: Transport) -> Result<Name, LocateError> {
    let protocol = if transport == Transport::Udp { "_udp" } else { "_tcp" };
    host.prepend_label(protocol)
        .and_then(|name| name.prepend_label("_sip"))
        .map_err(|_| LocateError::Name { host: shown(host) })
}

/// The most preferred transport that is carried (RFC 3263 §4.1).
pub(super) fn preferred(records: &[NAPTR]) -> Preference {
    // RFC 3263 §4.1: an empty regular expression, and a replacement that names SRV records: flag "s".
    let usable = records.iter().filter(|it| it.flags.eq_ignore_ascii_case(b"s") && it.regexp.is_empty());
    let mut found = Vec::new();
    let mut wants_tls = false;
    for record in usable {
        match &record.services.to_ascii_uppercase()[..] {
            b"SIP+D2U" => found.push((record, Transport::Udp)),
            b"SIP+D2T" => found.push((record, Transport::Tcp)),
            b"SIPS+D2T" => wants_tls = true,
            _ => {}
        }
    }
    match found.iter().min_by_key(|(record, _)| (record.order, record.preference)) {
        Some((record, transport)) => Preference::Service(*transport, record.replacement.clone()),
        None if wants_tls => Preference::TlsOnly,
        None => Preference::Nothing,
    }
}

/// The servers of SRV records in the order in which they are to be tried (RFC 2782); empty if the service is
/// decidedly not available. `draw` draws a number below its argument.
pub(super) fn ordered(mut records: Vec<SRV>, draw: &mut impl FnMut(u64) -> u64) -> Vec<Server> {
    // RFC 2782: a target of "." is no host.
    records.retain(|record| !record.target.is_root() && record.port != 0);
    // Records of weight 0 stand first among their equals.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut servers: Vec<Server> = Vec::new();
    while let Some(first) = records.first()
        && servers.len() < TARGETS_MAX
    {
        let priority = first.priority;
        let equals = || records.iter().take_while(|record| record.priority == priority);
        let sum: u64 = equals().map(|record| u64::from(record.weight)).sum();
        let drawn = draw(sum + 1);
        let mut running = 0;
        let chosen = equals().position(|record| {
            running += u64::from(record.weight);
            running >= drawn
        });
        let SRV { port, target, .. } = records.remove(chosen.unwrap_or(0));
        let server = Server { host: target, port };
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The targets of servers, in their order, with the addresses of each; `can_reach` tells which addresses the machine can use.
pub(super) fn targets(
    transport: Transport,
    servers: impl IntoIterator<Item = (u16, Vec<IpAddr>)>,
    can_reach: impl Fn(SocketAddr) -> bool,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for (port, mut addresses) in servers {
        // RFC 7984 §4: the addresses of one server are ordered among themselves only, by RFC 6724: IPv6 before IPv4.
        addresses.sort_by_key(IpAddr::is_ipv4);
        for address in addresses {
            let target = Target { transport, remote: SocketAddr::new(address.to_canonical(), port) };
            if targets.len() < TARGETS_MAX
                && !address.is_unspecified()
                && !address.is_multicast()
                && !targets.contains(&target)
                && can_reach(target.remote)
            {
                targets.push(target);
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests;
