//! Where a URI leads: RFC 3263.
//!
//! One list of targets for one request: the caller keeps it, so that a CANCEL, an ACK and every resent request go where the
//! request went (RFC 3263 §4: exactly once per transaction), and an attempt that fails goes on to the next target (§4.3).
//!
//! A question waits [`QUESTION_PATIENCE`] for its answer, in which it is resent, and a whole look-up [`PATIENCE`].

mod error;
mod select;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use sip::transport::{Target, Transport};
use tokio::task::JoinSet;

pub(crate) use self::error::LocateError;
use self::select::{Preference, Server, Way, shown};

/// How long one question waits for its answer.
const QUESTION_PATIENCE: Duration = Duration::from_millis(2500);

/// How long a look-up takes at most, all its questions together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds where requests go.
pub(crate) struct Locator {
    resolver: TokioResolver,
    /// What the machine itself says about names: it comes before what any name server says.
    hosts: Hosts,
    /// Whether this machine has a route to an address.
    can_reach: fn(SocketAddr) -> bool,
}

impl Locator {
    /// Asks `nameservers`, or those of the system if there are none.
    ///
    /// # Errors
    /// [`LocateError::NoNameServer`] if no resolver can be made.
    pub(crate) fn new(nameservers: &[SocketAddr]) -> Result<Self, LocateError> {
        let configured = ResolverConfig::from_name_servers(nameservers.iter().map(name_server).collect());
        let given = || TokioResolver::builder_with_config(configured, TokioRuntimeProvider::default());
        let mut builder = if nameservers.is_empty() {
            // Without a configuration addresses, `localhost` and the hosts file still work.
            TokioResolver::builder_tokio().unwrap_or_else(|_| given())
        } else {
            given()
        };
        let options = builder.options_mut();
        options.timeout = QUESTION_PATIENCE;
        options.attempts = 0;
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let resolver = builder.build().map_err(|_| LocateError::NoNameServer)?;
        Ok(Self { resolver, hosts: Hosts::from_system().unwrap_or_default(), can_reach })
    }

    /// The targets of `uri`, best first; never empty. `transport` is what the user wants, if anything.
    ///
    /// # Errors
    /// Why there is no target.
    pub(crate) async fn locate(
        &self,
        uri: &str,
        transport: Option<Transport>,
    ) -> Result<Vec<Target>, LocateError> {
        let way = select::way(uri, transport)?;
        tokio::time::timeout(PATIENCE, self.follow(way)).await.unwrap_or(Err(LocateError::Silent))
    }

    async fn follow(&self, way: Way) -> Result<Vec<Target>, LocateError> {
        let (host, transport, servers) = match way {
            Way::Numeric(target) => return Ok(vec![target]),
            Way::Addresses(server, transport) => (server.host.clone(), transport, vec![server]),
            Way::Services(host, transport) => {
                let (transport, servers) = self.servers(&host, transport).await?;
                (host, transport, servers)
            }
        };
        self.targets(&host, transport, servers).await
    }

    /// RFC 3263 §4.1 and the SRV part of §4.2.
    async fn servers(
        &self,
        host: &Name,
        wanted: Option<Transport>,
    ) -> Result<(Transport, Vec<Server>), LocateError> {
        let itself = |transport: Transport| {
            (transport, vec![Server { host: host.clone(), port: transport.default_port() }])
        };
        if self.is_local(host) {
            return Ok(itself(wanted.unwrap_or(Transport::Udp)));
        }
        let services = match wanted {
            Some(transport) => vec![(transport, select::service(host, transport)?)],
            None => match select::preferred(&self.naptr(host).await?) {
                Preference::Service(transport, service) => vec![(transport, service)],
                Preference::TlsOnly => return Err(LocateError::TlsOnly { host: shown(host) }),
                Preference::Nothing => vec![
                    (Transport::Udp, select::service(host, Transport::Udp)?),
                    (Transport::Tcp, select::service(host, Transport::Tcp)?),
                ],
            },
        };
        // §4.1, §4.2: if no SRV records are found, the host itself, on the transport chosen, or UDP.
        let mut outcome = Ok(itself(services[0].0));
        for (transport, service) in services {
            let records = self.srv(&service).await?;
            if records.is_empty() {
                continue;
            }
            let servers = select::ordered(records, &mut draw);
            if !servers.is_empty() {
                return Ok((transport, servers));
            }
            // RFC 2782: a service that is decidedly not available is not looked for at the host itself.
            outcome = Err(LocateError::NotOffered { host: shown(host), transport });
        }
        outcome
    }

    /// The A and AAAA part of §4.2, all servers at once: one whose name server is dead must not hide the others.
    async fn targets(
        &self,
        host: &Name,
        transport: Transport,
        servers: Vec<Server>,
    ) -> Result<Vec<Target>, LocateError> {
        let mut questions = JoinSet::new();
        for (at, server) in servers.iter().enumerate() {
            let (resolver, host) = (self.resolver.clone(), server.host.clone());
            questions.spawn(async move { (at, resolver.lookup_ip(host).await) });
        }
        let mut found: Vec<(u16, Vec<IpAddr>)> = servers.iter().map(|it| (it.port, Vec::new())).collect();
        let mut fault = None;
        while let Some(Ok((at, answer))) = questions.join_next().await {
            match answer {
                Ok(addresses) => found[at].1 = addresses.iter().collect(),
                Err(error) => fault = fault.or(fault_of(&error, host)),
            }
        }
        let has_addresses = found.iter().any(|(_, addresses)| !addresses.is_empty());
        let targets = select::targets(transport, found, self.can_reach);
        match fault {
            _ if !targets.is_empty() => Ok(targets),
            _ if has_addresses => Err(LocateError::NoRoute { host: shown(host) }),
            Some(fault) => Err(fault),
            None => Err(LocateError::NotFound { host: shown(host) }),
        }
    }

    /// Whether the machine itself knows the addresses of `host`.
    fn is_local(&self, host: &Name) -> bool {
        let is_in_file = |kind| self.hosts.lookup_static_host(&Query::query(host.clone(), kind)).is_some();
        host.is_localhost() || is_in_file(RecordType::A) || is_in_file(RecordType::AAAA)
    }

    async fn naptr(&self, name: &Name) -> Result<Vec<NAPTR>, LocateError> {
        let is_naptr = |data| if let RData::NAPTR(naptr) = data { Some(naptr) } else { None };
        Ok(self.records(name, RecordType::NAPTR).await?.into_iter().filter_map(is_naptr).collect())
    }

    async fn srv(&self, name: &Name) -> Result<Vec<SRV>, LocateError> {
        let is_srv = |data| if let RData::SRV(srv) = data { Some(srv) } else { None };
        Ok(self.records(name, RecordType::SRV).await?.into_iter().filter_map(is_srv).collect())
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Result<Vec<RData>, LocateError> {
        match self.resolver.lookup(name.clone(), kind).await {
            Ok(answer) => Ok(answer.answers().iter().map(|record| record.data.clone()).collect()),
            // There are name servers that refuse what they do not know: whether the name exists its addresses will tell.
            Err(NetError::Dns(_)) => Ok(Vec::new()),
            Err(error) => Err(fault_of(&error, name).unwrap_or(LocateError::Silent)),
        }
    }
}

/// What is wrong with the name service; `None` if it is well and the name has no such records.
fn fault_of(error: &NetError, host: &Name) -> Option<LocateError> {
    if error.is_no_records_found() {
        None
    } else if matches!(error, NetError::NoConnections) {
        Some(LocateError::NoNameServer)
    } else if matches!(error, NetError::Timeout | NetError::Io(_)) {
        Some(LocateError::Silent)
    } else {
        Some(LocateError::Failed { host: shown(host) })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

/// RFC 6724 §6, rule 1: whether the machine has a route; nothing is sent.
fn can_reach(remote: SocketAddr) -> bool {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(remote)).is_ok()
}

/// A number below `bound`. Without randomness the first of equal servers is as good as any.
fn draw(bound: u64) -> u64 {
    let wide = u128::from(getrandom::u64().unwrap_or(0)) * u128::from(bound);
    u64::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
#[path = "../../tests/name_server/mod.rs"]
mod name_server;
#[cfg(test)]
mod tests;
