use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

fn hop(transport: Transport, remote: &str) -> Way {
    Way::Numeric(Target { transport, remote: remote.parse().unwrap() })
}

fn domain(name: &str) -> Name {
    Name::from_ascii(name).unwrap()
}

fn naptr(order: u16, preference: u16, flags: &str, services: &str) -> NAPTR {
    let part = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    NAPTR::new(order, preference, part(flags), part(services), part(""), domain("srv.example."))
}

fn srv(priority: u16, weight: u16, target: &str) -> SRV {
    SRV::new(priority, weight, 5060, domain(target))
}

/// Draws below a bound, the same from the same seed.
fn chance(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    move |bound| u64::try_from((u128::from(generator.next_u64()) * u128::from(bound)) >> 64).unwrap()
}

fn hosts(servers: &[Server]) -> Vec<String> {
    servers.iter().map(|server| server.host.to_utf8()).collect()
}

// RFC 3263 §4.1: parameter, else UDP for an address.
#[test]
fn an_address_needs_no_look_up() {
    assert_eq!(way("sip:ben@192.0.2.1", None), Ok(hop(Transport::Udp, "192.0.2.1:5060")));
    assert_eq!(way("sip:ben@192.0.2.1:5070;transport=tcp", None), Ok(hop(Transport::Tcp, "192.0.2.1:5070")));
    assert_eq!(way("sip:ben@[2001:db8::9]", None), Ok(hop(Transport::Udp, "[2001:db8::9]:5060")));
    assert_eq!(way("sip:192.0.2.1", Some(Transport::Tcp)), Ok(hop(Transport::Tcp, "192.0.2.1:5060")));
}

// RFC 3263 §4: TARGET is maddr, if it is there.
#[test]
fn maddr_is_contacted_instead_of_the_host() {
    let numeric = way("sip:ben@home.example:5070;maddr=192.0.2.7", None);
    assert_eq!(numeric, Ok(hop(Transport::Udp, "192.0.2.7:5070")));
    let named = way("sip:ben@192.0.2.1;maddr=home.example", None);
    assert_eq!(named, Ok(Way::Services(domain("home.example."), None)));
}

#[test]
fn a_port_ends_the_choice() {
    let server = Server { host: domain("home.example."), port: 5060 };
    let expected = Ok(Way::Addresses(server.clone(), Transport::Udp));
    assert_eq!(way("sip:ben@home.example:5060", None), expected);
    let expected = Ok(Way::Addresses(server, Transport::Tcp));
    assert_eq!(way("sip:ben@home.example:5060;transport=TCP", None), expected);
}

#[test]
fn a_transport_skips_naptr_and_what_the_user_wants_beats_the_parameter() {
    let services = |transport| Ok(Way::Services(domain("home.example."), transport));
    assert_eq!(way("sip:home.example", None), services(None));
    assert_eq!(way("sip:home.example;transport=udp", None), services(Some(Transport::Udp)));
    assert_eq!(way("sip:home.example;transport=ws", Some(Transport::Tcp)), services(Some(Transport::Tcp)));
}

#[test]
fn what_is_not_carried_is_said_clearly() {
    let said = |uri| way(uri, None).unwrap_err().to_string();
    assert_eq!(said("sips:ben@home.example"), "sips: needs TLS, which is not there yet; use sip:");
    assert_eq!(way("sips:home.example", Some(Transport::Tcp)), Err(LocateError::Sips));
    for transport in ["tls", "ws", "wss", "sctp"] {
        let uri = format!("sip:ben@192.0.2.1;transport={transport}");
        assert_eq!(way(&uri, None), Err(LocateError::Transport), "{uri}");
    }
    assert_eq!(way("sip:home.example", Some(Transport::Tls)), Err(LocateError::Transport));
    for uri in ["ben", "tel:+15550100", "http://home.example", "sip:", ""] {
        assert_eq!(way(uri, None), Err(LocateError::Uri), "{uri}");
    }
    let long = "x".repeat(64);
    for host in ["a..example", &long, &format!("{}example", "a.".repeat(128))] {
        let expected = Err(LocateError::Name { host: host.to_owned() });
        assert_eq!(way(&format!("sip:{host}"), None), expected);
    }
}

// RFC 3263 §4.1, with the example of the RFC: TLS comes first there, and is not carried.
#[test]
fn the_most_preferred_transport_that_is_carried_is_used() {
    let service = |transport| Preference::Service(transport, domain("srv.example."));
    let (tls, tcp, udp) =
        (naptr(50, 50, "s", "SIPS+D2T"), naptr(90, 50, "s", "SIP+D2T"), naptr(100, 50, "s", "SIP+D2U"));
    assert_eq!(preferred(&[udp.clone(), tcp.clone(), tls.clone()]), service(Transport::Tcp));
    assert_eq!(preferred(&[tcp, naptr(90, 10, "S", "sip+d2u")]), service(Transport::Udp));
    assert_eq!(preferred(std::slice::from_ref(&tls)), Preference::TlsOnly);
}

#[test]
fn naptr_records_for_something_else_are_discarded() {
    let mut rewriting = naptr(1, 1, "s", "SIP+D2U");
    rewriting.regexp = b"!.*!sip:x!".to_vec().into_boxed_slice();
    let others =
        [naptr(1, 1, "u", "E2U+sip"), naptr(1, 1, "s", "SIP+D2S"), naptr(1, 1, "a", "SIP+D2U"), rewriting];
    assert_eq!(preferred(&others), Preference::Nothing);
    assert_eq!(preferred(&[]), Preference::Nothing);
}

#[test]
fn servers_are_ordered_by_priority_whatever_their_weight() {
    let records = vec![srv(20, 60000, "c."), srv(10, 0, "b."), srv(0, 1, "a.")];
    for seed in 0..100 {
        assert_eq!(hosts(&ordered(records.clone(), &mut chance(seed))), ["a.", "b.", "c."]);
    }
}

// RFC 2782: proportionate to the weight, and a very small chance for weight 0.
#[test]
fn servers_of_one_priority_are_drawn_by_weight() {
    let records = [srv(0, 0, "zero."), srv(0, 100, "light."), srv(0, 300, "heavy.")];
    let mut draw = chance(3263);
    let mut first = [0_u32; 3];
    for _ in 0..40_000 {
        let servers = ordered(records.to_vec(), &mut draw);
        assert_eq!(servers.len(), 3);
        first[records.iter().position(|record| record.target == servers[0].host).unwrap()] += 1;
    }
    // 1, 100 and 300 of 401; four standard deviations are 40, 346 and 347.
    assert!((60..=140).contains(&first[0]), "{first:?}");
    assert!((9_629..=10_321).contains(&first[1]), "{first:?}");
    assert!((29_578..=30_272).contains(&first[2]), "{first:?}");
}

// RFC 2782: the first running sum that is greater than or equal to the number drawn.
#[test]
fn the_number_drawn_selects_the_first_running_sum_that_reaches_it() {
    let records = || vec![srv(0, 2, "b."), srv(0, 3, "c."), srv(0, 0, "a.")];
    for (drawn, expected) in [(0, "a."), (1, "b."), (2, "b."), (3, "c."), (5, "c.")] {
        let first = ordered(records(), &mut |bound| drawn.min(bound - 1)).swap_remove(0);
        assert_eq!(first.host, domain(expected), "{drawn}");
    }
}

#[test]
fn a_service_that_is_decidedly_not_available_has_no_servers() {
    assert!(ordered(vec![srv(0, 0, ".")], &mut chance(1)).is_empty());
}

#[test]
fn servers_are_bounded_and_named_once() {
    let many = (0..3000).map(|number| srv(0, 1, &format!("h{}.", number % 20))).collect();
    let servers = ordered(many, &mut chance(1));
    assert_eq!(servers.len(), TARGETS_MAX);
    assert!(servers.iter().enumerate().all(|(at, server)| !servers[..at].contains(server)));
}

// RFC 7984 §4: IPv6 before IPv4 within a server, never across servers.
#[test]
fn targets_keep_the_order_of_the_servers() {
    let addresses = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect::<Vec<IpAddr>>();
    let servers = [
        (5060, addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.1"])),
        (5070, addresses(&["0.0.0.0", "224.0.0.1", "2001:db8::2", "192.0.2.1"])),
    ];
    let remotes = |targets: Vec<Target>| -> Vec<String> {
        targets.iter().map(|target| target.remote.to_string()).collect()
    };
    assert_eq!(
        remotes(targets(Transport::Tcp, servers.clone(), |_| true)),
        ["[2001:db8::1]:5060", "192.0.2.1:5060", "[2001:db8::2]:5070", "192.0.2.1:5070"],
    );
    assert_eq!(
        remotes(targets(Transport::Tcp, servers, |remote| remote.is_ipv4())),
        ["192.0.2.1:5060", "192.0.2.1:5070"],
    );
    let many = (1..=200).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    assert_eq!(targets(Transport::Udp, [(5060, many)], |_| true).len(), TARGETS_MAX);
}
