//! Who is on the stage: clients, and between them nobody, or a SIP/IP core with a PoC Server behind it.

use std::net::IpAddr;

use bytes::Bytes;
use poc::media::Stream;
use poc::sdp::Capabilities;
use poc::server::{Group, GroupKind, GroupMember, GroupRole, OverrideBy, User};
use poc::{AnswerMode, Client, Config, Registration, Server};
use sip::transport::{Listener, Target, Transport};
use sip::{Credentials, Duration, Owner};
use sipcore::{Core, Ha1};

use super::super::Failure;
use super::element::{Element, Machine, seed, socket};
use crate::driver::MediaSockets;
use crate::serve::{SERVER, server_address};

/// The domain of all users.
pub(super) const DOMAIN: &str = "poc.example";

/// Everybody's password: nobody but the demo can reach its ports.
const PASSWORD: &[u8] = b"open sesame";

/// The group that there is in scenes with one; everybody is a member.
pub(super) const GROUP: &str = "patrol";

/// What stands between the clients.
#[derive(Clone, Copy)]
pub(super) enum Between {
    /// A wire.
    Nobody,
    /// A core and a PoC Server.
    Server(Rules),
}

/// What is settled before a scene by way of the server.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Whether the server may answer before an invited user has.
    pub(super) early_answer: bool,
    /// Who is there besides Anna.
    pub(super) others: &'static [&'static str],
    /// Who answers there.
    pub(super) answer_mode: AnswerMode,
    /// Whether Anna may override that.
    pub(super) may_override: bool,
    /// What kind of group there is.
    pub(super) group: Option<GroupKind>,
    /// How long somebody may speak; `None`: as long as usual.
    pub(super) talk_limit: Option<Duration>,
    /// What alone speech is coded in; `None`: whatever is usual.
    pub(super) codec: Option<&'static str>,
    /// Whether the others set up a pre-established session when they register.
    pub(super) pre_establishes: bool,
}

/// The two clients, each with a socket.
pub(super) async fn wire(ip: IpAddr) -> Result<Vec<Element>, Failure> {
    Ok(vec![client("anna", 1, ip, |_| {}).await?, client("ben", 2, ip, |_| {}).await?])
}

/// Anna and the others, each with a socket; then a core, at which they will register, and a PoC Server.
pub(super) async fn house(ip: IpAddr, rules: Rules) -> Result<Vec<Element>, Failure> {
    let (socket, address) = socket(ip).await?;
    let at_server = server_address(address);
    let listener = |transport, address| Listener { transport, bind: address, advertised: address };

    let listeners = vec![listener(Transport::Udp, address), listener(Transport::Inside, address)];
    let mut config = sipcore::Config::new(Bytes::from_static(DOMAIN.as_bytes()), listeners, seed()?);
    config.server = Some(Target { transport: Transport::Inside, remote: at_server });
    let mut core = Core::new(config);

    let mut sip = sip::Config::new(vec![listener(Transport::Inside, at_server)], seed()?);
    sip.owner = Owner { node: 0, shard: SERVER };
    let towards_core = Target { transport: Transport::Inside, remote: address };
    let factory = Bytes::from(format!("sip:poc-factory@{DOMAIN}"));
    let sockets = media(ip)?;
    let media = capabilities(ip, &sockets);
    let mut config = poc::server::Config::new(sip, towards_core, factory.clone(), media);
    config.early_answer = rules.early_answer;
    if let Some(limit) = rules.talk_limit {
        config.talk_bursts.t2_stop_talking = limit;
    }
    let mut server = Server::new(config);

    let names = || ["anna"].into_iter().chain(rules.others.iter().copied());
    for name in names() {
        let ha1 = Ha1::of(name.as_bytes(), DOMAIN.as_bytes(), PASSWORD);
        let user = sipcore::User { name: Bytes::from(name), ha1 };
        core.handle_input(sip::Instant::START, sipcore::Input::Command(sipcore::Command::PutUser(user)));
        let mut user = User::new(address_of(name));
        if name != "anna" && rules.may_override {
            user.override_by = OverrideBy::These(vec![address_of("anna")]);
        }
        let put = poc::server::Command::PutUser(Box::new(user));
        server.handle_input(sip::Instant::START, poc::server::Input::Command(put));
    }
    if let Some(kind) = rules.group {
        let service = sipcore::Command::PutService(Bytes::from_static(GROUP.as_bytes()));
        core.handle_input(sip::Instant::START, sipcore::Input::Command(service));
        let member = |name| GroupMember { address: address_of(name), role: GroupRole::Ordinary };
        let members = names().map(member).collect();
        let group = Group { members, ..Group::new(address_of(GROUP), kind) };
        let put = poc::server::Command::PutGroup(Box::new(group));
        server.handle_input(sip::Instant::START, poc::server::Input::Command(put));
    }

    let registrar = Target { transport: Transport::Udp, remote: address };
    let register = |config: &mut Config, name: &str| {
        config.registration = Some(Registration::new(vec![registrar], DOMAIN));
        config.conference_factory = rules.uses_factory().then(|| factory.clone());
        let username = Bytes::copy_from_slice(name.as_bytes());
        config.sip.credentials =
            vec![Credentials { realm: None, username, secret: Bytes::from_static(PASSWORD) }];
        config.trusts_answer_mode = true;
    };
    let mut elements = Vec::new();
    for (node, name) in names().enumerate() {
        let node = u16::try_from(node + 1).unwrap_or(u16::MAX);
        let client = client(name, node, ip, |config| {
            register(config, name);
            if let Some(codec) = rules.codec {
                config.capabilities.prefer([codec]);
            }
            if name != "anna" {
                config.settings.answer_mode = rules.answer_mode;
                config.pre_establishes = rules.pre_establishes;
            }
        });
        elements.push(client.await?);
    }
    let core = Element {
        name: "core",
        machine: Machine::Core(Box::new(core)),
        address,
        socket: Some(socket),
        media: None,
    };
    let server = Element {
        name: "server",
        machine: Machine::Server(Box::new(server)),
        address: at_server,
        socket: None,
        media: Some(sockets),
    };
    elements.extend([core, server]);
    Ok(elements)
}

impl Rules {
    /// Whether there are several to invite, which takes a list, or a session without anybody to set up.
    fn uses_factory(self) -> bool {
        self.others.len() > 1 || self.pre_establishes
    }
}

/// The address of a user, or of the group.
pub(super) fn address_of(name: &str) -> Bytes {
    Bytes::from(format!("sip:{name}@{DOMAIN}"))
}

async fn client(
    name: &'static str,
    node: u16,
    ip: IpAddr,
    change: impl FnOnce(&mut Config),
) -> Result<Element, Failure> {
    let (socket, address) = socket(ip).await?;
    let listener = Listener { transport: Transport::Udp, bind: address, advertised: address };
    let mut sip = sip::Config::new(vec![listener], seed()?);
    sip.owner = Owner { node, shard: 0 };
    let user = Bytes::from(format!("<sip:{name}@{DOMAIN}>"));
    let sockets = media(ip)?;
    let mut config = Config::new(sip, user, capabilities(ip, &sockets));
    change(&mut config);
    Ok(Element {
        name,
        machine: Machine::Client(Box::new(Client::new(config))),
        address,
        socket: Some(socket),
        media: Some(sockets),
    })
}

/// Ports for speech and talk burst control.
fn media(ip: IpAddr) -> Result<MediaSockets, Failure> {
    MediaSockets::open(ip).map_err(|occupied| Failure::Socket(ip.to_string(), occupied.error))
}

fn capabilities(ip: IpAddr, sockets: &MediaSockets) -> Capabilities {
    Capabilities::speech(ip, sockets.port(Stream::Speech), sockets.port(Stream::Control))
}
