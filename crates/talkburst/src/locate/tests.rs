//! Against a name server on the loopback interface, by the sockets that a user's look-up takes. It is put together from
//! `hickory-proto`, which is there anyway: most of its manners are faults, which need no server with zones.

use std::time::Instant;

use hickory_resolver::proto::rr::Record;

use super::name_server::{Manner, NameServer, a, aaaa, cname, naptr, srv};
use super::*;

fn run<T>(look_up: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(look_up)
}

/// What `uri` leads to, as `UDP 192.0.2.1:5060`.
fn located_at(
    server: &NameServer,
    uri: &str,
    transport: Option<Transport>,
) -> Result<Vec<String>, LocateError> {
    run(async {
        let mut locator = Locator::new(&[server.address]).unwrap();
        locator.can_reach = |_| true;
        let targets = locator.locate(uri, transport).await?;
        Ok(targets.iter().map(|target| format!("{} {}", target.transport, target.remote)).collect())
    })
}

fn located(zone: Vec<Record>, uri: &str) -> Result<Vec<String>, LocateError> {
    located_at(&NameServer::start(Manner::Correct, zone), uri, None)
}

fn home() -> String {
    "home.example".to_owned()
}

/// A domain with everything: TCP is preferred, each transport has two servers.
fn domain() -> Vec<Record> {
    vec![
        naptr("home.example.", 50, "SIPS+D2T", "_sips._tcp.home.example."),
        naptr("home.example.", 100, "SIP+D2U", "_sip._udp.home.example."),
        naptr("home.example.", 90, "SIP+D2T", "_sip._tcp.far.example."),
        srv("_sip._tcp.far.example.", 20, 5070, "two.example."),
        srv("_sip._tcp.far.example.", 10, 5060, "one.example."),
        srv("_sip._udp.home.example.", 10, 5080, "one.example."),
        a("one.example.", "192.0.2.1"),
        aaaa("one.example.", "2001:db8::1"),
        a("two.example.", "192.0.2.2"),
        a("home.example.", "192.0.2.9"),
    ]
}

#[test]
fn naptr_leads_to_srv_and_srv_to_addresses() {
    let targets = located(domain(), "sip:ben@home.example").unwrap();
    assert_eq!(targets, ["TCP [2001:db8::1]:5060", "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5070"]);
}

#[test]
fn a_transport_of_the_uri_or_of_the_user_skips_naptr() {
    let server = NameServer::start(Manner::Correct, domain());
    let expected = ["UDP [2001:db8::1]:5080", "UDP 192.0.2.1:5080"];
    assert_eq!(located_at(&server, "sip:home.example;transport=udp", None).unwrap(), expected);
    assert_eq!(located_at(&server, "sip:home.example", Some(Transport::Udp)).unwrap(), expected);
    assert!(server.questions().iter().all(|it| !it.contains("NAPTR")), "{:?}", server.questions());
}

#[test]
fn without_naptr_records_srv_records_are_looked_for() {
    let tcp = [srv("_sip._tcp.home.example.", 1, 5062, "one.example."), a("one.example.", "192.0.2.1")];
    assert_eq!(located(tcp.to_vec(), "sip:home.example").unwrap(), ["TCP 192.0.2.1:5062"]);
    let both = [&tcp[..], &[srv("_sip._udp.home.example.", 9, 5061, "one.example.")]].concat();
    assert_eq!(located(both, "sip:home.example").unwrap(), ["UDP 192.0.2.1:5061"]);
}

#[test]
fn without_srv_records_the_host_itself_is_contacted() {
    let zone = vec![aaaa("home.example.", "2001:db8::9"), a("home.example.", "192.0.2.9")];
    let expected = ["UDP [2001:db8::9]:5060", "UDP 192.0.2.9:5060"];
    assert_eq!(located(zone.clone(), "sip:home.example").unwrap(), expected);
    let server = NameServer::start(Manner::Simple, zone.clone());
    assert_eq!(located_at(&server, "sip:home.example", None).unwrap(), expected);
    let server = NameServer::start(Manner::Correct, zone);
    let expected = ["TCP [2001:db8::9]:5070", "TCP 192.0.2.9:5070"];
    assert_eq!(located_at(&server, "sip:home.example:5070", Some(Transport::Tcp)).unwrap(), expected);
    assert_eq!(server.questions().len(), 2, "with a port addresses only: {:?}", server.questions());
}

#[test]
fn an_alias_is_followed_and_a_loop_of_aliases_is_an_error() {
    let zone = vec![cname("home.example.", "one.example."), a("one.example.", "192.0.2.1")];
    assert_eq!(located(zone, "sip:home.example:5060").unwrap(), ["UDP 192.0.2.1:5060"]);
    let zone = vec![cname("home.example.", "one.example."), cname("one.example.", "home.example.")];
    assert!(located(zone, "sip:home.example").is_err());
}

#[test]
fn a_name_that_does_not_exist_is_an_error() {
    let error = located(domain(), "sip:ben@nowhere.example").unwrap_err();
    assert_eq!(error, LocateError::NotFound { host: "nowhere.example".to_owned() });
}

#[test]
fn what_a_domain_refuses_is_an_error() {
    let tls = vec![naptr("home.example.", 50, "SIPS+D2T", "_sips._tcp.home.example.")];
    assert_eq!(located(tls, "sip:home.example"), Err(LocateError::TlsOnly { host: home() }));
    let refused = vec![srv("_sip._udp.home.example.", 0, 0, "."), a("home.example.", "192.0.2.9")];
    let expected = LocateError::NotOffered { host: home(), transport: Transport::Udp };
    assert_eq!(located(refused, "sip:home.example"), Err(expected));
}

#[test]
fn a_server_without_address_does_not_hide_the_next() {
    let zone = vec![
        srv("_sip._udp.home.example.", 1, 5060, "gone.example."),
        srv("_sip._udp.home.example.", 2, 5060, "one.example."),
        a("one.example.", "192.0.2.1"),
    ];
    assert_eq!(located(zone, "sip:home.example").unwrap(), ["UDP 192.0.2.1:5060"]);
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_tcp_and_is_bounded() {
    let zone = (0..200).map(|number| a("home.example.", &format!("192.0.2.{number}"))).collect();
    let server = NameServer::start(Manner::Truncating, zone);
    assert_eq!(located_at(&server, "sip:home.example", None).unwrap().len(), select::TARGETS_MAX);
}

#[test]
fn a_name_server_that_does_not_answer_ends_in_an_error_in_time() {
    for manner in [Manner::Silent, Manner::Garbled, Manner::Slow] {
        let server = NameServer::start(manner, domain());
        let begin = Instant::now();
        let error = located_at(&server, "sip:home.example", None).unwrap_err();
        assert!(begin.elapsed() < PATIENCE + Duration::from_secs(1), "{:?}", begin.elapsed());
        assert!(!server.questions().is_empty());
        assert!(matches!(error, LocateError::Silent | LocateError::Failed { .. }), "{error:?}");
    }
}

// The machine's own word comes first: no name server is asked.
#[test]
fn localhost_and_addresses_work_while_the_name_server_is_dead() {
    let server = NameServer::start(Manner::Silent, Vec::new());
    let targets = located_at(&server, "sip:ben@localhost", None).unwrap();
    assert!(targets.contains(&"UDP 127.0.0.1:5060".to_owned()), "{targets:?}");
    assert_eq!(located_at(&server, "sip:[::1]:5070", None).unwrap(), ["UDP [::1]:5070"]);
    assert!(server.questions().is_empty());
}

#[test]
fn a_name_of_the_hosts_file_is_not_asked_for() {
    let hosts = || {
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"192.0.2.3 pbx pbx.home.example"[..]).unwrap();
        hosts
    };
    let server = NameServer::start(Manner::Correct, domain());
    for uri in ["sip:pbx.home.example", "sip:pbx"] {
        let targets = run(async {
            let mut locator = Locator::new(&[server.address]).unwrap();
            (locator.hosts, locator.can_reach) = (hosts(), |_| true);
            locator.resolver.set_hosts(hosts().into());
            locator.locate(uri, None).await.unwrap()
        });
        assert_eq!(targets[0].remote, "192.0.2.3:5060".parse().unwrap());
    }
    let questions = server.questions();
    assert!(questions.iter().all(|it| !it.contains("NAPTR") && !it.contains("SRV")), "{questions:?}");
}

#[test]
fn addresses_without_a_route_are_left_out() {
    let server = NameServer::start(Manner::Correct, domain());
    let locate = |can_reach: fn(SocketAddr) -> bool| {
        run(async {
            let mut locator = Locator::new(&[server.address]).unwrap();
            locator.can_reach = can_reach;
            locator.locate("sip:home.example:5060", None).await
        })
    };
    assert_eq!(locate(|remote| remote.is_ipv4()).unwrap().len(), 1);
    assert_eq!(locate(|_| false), Err(LocateError::NoRoute { host: home() }));
    assert!(can_reach("127.0.0.1:5060".parse().unwrap()));
}

#[test]
fn a_machine_without_name_server_says_so() {
    let locate = |uri| {
        run(async {
            let mut locator = Locator::new(&[]).unwrap();
            let nobody = ResolverConfig::from_name_servers(Vec::new());
            let builder = TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default());
            locator.resolver = builder.build().unwrap();
            locator.locate(uri, None).await
        })
    };
    assert_eq!(locate("sip:home.example"), Err(LocateError::NoNameServer));
    assert!(locate("sip:localhost").is_ok());
}

#[test]
fn a_server_whose_addresses_nobody_tells_ends_in_an_error() {
    let zone = vec![srv("_sip._udp.home.example.", 1, 5060, "gone.example.")];
    assert_eq!(located(zone, "sip:home.example"), Err(LocateError::NotFound { host: home() }));
}
