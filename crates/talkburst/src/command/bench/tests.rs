//! A server in this process, and the load of the generator by way of it.

#[cfg(target_os = "linux")]
mod speaking;

use std::net::SocketAddr;

use sip::Duration;

use super::called::Called;
use super::caller::{Caller, Flow};
use super::child::{Wanted, fill};
use super::enter::enter;
use super::load::{Load, Pace, Plan};
use super::port::Port;
use crate::clock::Clock;
use crate::serve::{Listening, Service, Settings};
use crate::store::fixture::{Scratch, block_on};

/// Callers speak to the first listener, by IPv4, and those who are called are reached by the second, by IPv6, which peers know by
/// another address.
#[test]
fn calls_come_in_at_one_listener_and_leave_by_another() {
    block_on(async {
        let (clock, scratch) = (Clock::start(), Scratch::new());
        let free = |text: &str| text.parse::<SocketAddr>().unwrap();
        let caller_port = Port::open(free("127.0.0.1:0"), false).unwrap();
        let mut called_port = Port::open(free("[::1]:0"), false).unwrap();
        let caller_at = caller_port.local;

        // 1. The server.
        let domain = "home.net";
        let wanted = Wanted {
            listen: free("127.0.0.1:0"),
            domain,
            pairs: 1,
            groups: 0,
            trusted: None,
            shards: 2,
            program: None,
            more: &[],
        };
        fill(scratch.path(), &wanted).await.unwrap();
        let mut settings = Settings::new(scratch.path().to_owned());
        settings.listeners = vec![
            Listening { bind: free("127.0.0.1:0"), advertised: free("127.0.0.1:0") },
            Listening { bind: free("[::1]:0"), advertised: free("[2001:db8::9]:5099") },
        ];
        settings.shards = 2;
        settings.trusted = vec![sipcore::Source { ip: caller_at.ip(), port: Some(caller_at.port()) }];
        let (service, started) = Service::start(settings).await.unwrap();
        let [first, second] = started.listeners[..] else { panic!("{:?}", started.listeners) };
        assert!(first.advertised == first.bind && first.bind.port() != 0);
        assert_eq!(second.advertised, free("[2001:db8::9]:5099"));

        // 2. The load.
        let access = enter(clock, &mut called_port, second.bind, domain, 1).await.unwrap();
        let flow = Flow::Cancelled;
        let (server, access) = (first.bind, Some(&access));
        let plan = Plan { flow, domain, server, local: caller_at, access, is_trusted: true };
        let caller = Caller::new(flow, caller_at, vec![plan.lines(0)], 4, 7);
        let called = Called::new(flow, called_port.local);
        let mut load = Load::new(clock, server, (caller, caller_port), (called, called_port));
        let end = load.now() + Duration::from_secs(10);
        while load.caller.counts.done < 8 && load.now() < end {
            load.turn(&mut Pace::window(4)).await.unwrap();
        }
        assert_eq!((load.caller.counts.failed, load.caller.refusal), (0, None));
        assert!(load.caller.counts.done >= 8);
        assert_eq!(load.core, second.bind);
        let via = String::from_utf8(load.called.via.to_vec()).unwrap();
        assert!(via.contains("[2001:db8::9]:5099"), "{via}");
        service.stop().await.unwrap();
    });
}
