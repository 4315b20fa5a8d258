//! Races of the talk bursts between real clients and a real server: user-plane digest 15, rows 7 to 13, and cases 9 and 13 of
//! `docs/cancel.md`.

use std::net::SocketAddr;

use bytes::Bytes;
use poc::media::Stream;
use poc::server::MediaPort;
use poc::talk_burst::client::Told;
use poc::talk_burst::{DenyReason, Priority, Revoke};
use sim::ladder::What;
use sim::system::Act;
use sim::{Deed, Which};
use sip::{Duration, Instant};

use crate::stage::ms;
use crate::talking::{Chat, USERS};

const ANNA: usize = 0;
const BEN: usize = 1;
const CARA: usize = 2;

/// T2. A grant of less than a second speaks of a second, so the server is the first to say that it is over.
const SHORT: Duration = Duration::from_millis(500);

/// The way of a BYE from a client to who controls the session: two networks' worth of hops, 1 ms each.
const BYE_WAY: Duration = Duration::from_millis(4);

impl Chat {
    fn now(&self) -> Instant {
        self.homes.system.now
    }

    fn begun(&self) -> usize {
        self.homes.system.events.len()
    }

    /// A user presses the key while T9 runs.
    fn asks_too_early(&mut self, who: usize) {
        let begun = self.begun();
        self.presses(who, Priority::Normal);
        self.homes.passes(ms(20));
        let denied = |told: &Told| matches!(told, Told::Denied { reason: DenyReason::RetryAfter, .. });
        assert!(self.told(who, begun).iter().any(denied), "{}", self.homes.ladder());
    }

    /// The labels of what has been sent to a user since, in order.
    fn sent_to(&self, who: usize, since: Instant) -> Vec<(Duration, String)> {
        let trace = self.homes.system.trace_since(since);
        let place = trace.parties().position(|party| party == USERS[who]);
        let entries = trace.entries().iter();
        let sent = entries.filter_map(|entry| match &entry.what {
            What::Message { to, label, .. } if Some(*to) == place => {
                Some((entry.at.saturating_since(since), label.clone()))
            }
            What::Message { .. } | What::Speech { .. } | What::Note { .. } => None,
        });
        sent.filter(|(_, label)| label.starts_with("Talk Burst") || label.starts_with("Queue Status"))
            .collect()
    }

    fn labels_to(&self, who: usize, since: Instant) -> Vec<String> {
        self.sent_to(who, since).into_iter().map(|(_, label)| label).collect()
    }

    /// Whatever talk burst control the element of this name sends is lost for so long.
    fn loses_control_of(&mut self, name: &str, pair: u16, span: Duration) {
        let address = self.homes.system.elements[self.homes.place(name)].address;
        let from = SocketAddr::new(address.ip(), 45_201 + 2 * pair);
        self.homes.system.media.on(Which::Span(from, self.now(), self.now() + span), Deed::Lose);
    }

    fn idles(&self, who: usize, begun: usize) -> usize {
        self.told(who, begun).into_iter().filter(|told| *told == Told::Idle).count()
    }

    /// Speech of a client that asks nobody, each 100 ms.
    fn speaks_unasked(&mut self, who: usize, packets: u8) {
        let system = &self.homes.system;
        let from = SocketAddr::new(system.elements[self.homes.place(USERS[who])].address.ip(), 45_200);
        let server = self.homes.place("server1");
        let at = MediaPort { pair: 0, stream: Stream::Speech };
        for number in 0..packets {
            let header = [0x80, 97, 0, number, 0, 0, number, 0, 0, 0, 0, 7];
            let bytes = Bytes::from([&header[..], &[0xf0, 0x04], &[0x55; 12]].concat());
            self.homes.system.intrude_media(server, at, from, bytes);
            self.homes.passes(ms(100));
        }
    }

    fn may_nobody_talk(&self, what: &dyn std::fmt::Debug) {
        for (who, user) in USERS.iter().enumerate() {
            assert!(!self.may_talk(who), "{what:?}: {user} may speak\n{}", self.homes.ladder());
        }
    }
}

/// Row 7.
#[test]
fn a_release_and_a_revoke_that_cross_end_the_talk_burst_once() {
    let mut chat = Chat::new(SHORT);
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(50));
    chat.speaks(ANNA, 4);
    let mut crossed = 0;
    // T2 is over within the 100 ms that follow.
    for wait in 85..110 {
        let mut chat = chat.clone();
        let (since, begun) = (chat.now(), chat.begun());
        chat.homes.passes(ms(wait));
        chat.lets_go(ANNA);
        let let_go = chat.now().saturating_since(since);
        chat.homes.passes(ms(900));
        let to_anna = chat.sent_to(ANNA, since);
        let revoked = to_anna.iter().find(|(_, label)| label == "Talk Burst Revoke").map(|(at, _)| *at);
        crossed += u32::from(revoked.is_some_and(|at| at <= let_go && let_go <= at + ms(1)));
        for (who, user) in USERS.iter().enumerate() {
            assert_eq!(chat.idles(who, begun), 1, "{wait} ms, {user}\n{}", chat.homes.ladder());
        }
        chat.has_converged(&wait);
    }
    assert!(crossed > 0, "they cross");
}

/// Row 8.
#[test]
fn a_grant_that_crosses_the_release_of_the_key_lets_nobody_speak() {
    let chat = Chat::new(ms(30_000));
    for wait in 0..5 {
        let mut chat = chat.clone();
        let since = chat.now();
        chat.presses(ANNA, Priority::Normal);
        chat.homes.passes(ms(wait));
        chat.lets_go(ANNA);
        for _ in 0..50 {
            chat.may_nobody_talk(&wait);
            chat.does(ANNA, Act::Speak);
            chat.homes.passes(ms(1));
        }
        assert_eq!(chat.labels_to(ANNA, since)[0], "Talk Burst Granted", "{wait} ms");
        let trace = chat.homes.system.trace_since(since);
        let spoken = trace.entries().iter().any(|entry| matches!(entry.what, What::Speech { .. }));
        assert!(!spoken, "{wait} ms\n{}", chat.homes.ladder());
        chat.has_converged(&wait);
    }
}

/// Row 9.
#[test]
fn who_is_more_urgent_is_granted_once_the_talker_has_released_or_t3_is_over() {
    for is_lost in [false, true] {
        let mut chat = Chat::new(ms(30_000));
        chat.presses(ANNA, Priority::Normal);
        chat.homes.passes(ms(50));
        chat.speaks(ANNA, 3);
        if is_lost {
            chat.loses_control_of("anna", 0, ms(3_000));
        }
        let (since, begun) = (chat.now(), chat.begun());
        chat.presses(CARA, Priority::PreEmptive);
        chat.homes.passes(ms(1_500));
        let revoked = |told: &Told| *told == Told::Revoked(Revoke::PreEmpted);
        assert!(chat.told(ANNA, begun).iter().any(revoked), "{}", chat.homes.ladder());
        assert!(chat.told(ANNA, begun).iter().any(|told| matches!(told, Told::TakenBy(_))));
        assert!(chat.may_talk(CARA) && !chat.may_talk(ANNA), "{}", chat.homes.ladder());
        let to_anna = chat.sent_to(ANNA, since);
        assert_eq!(to_anna[0].1, "Talk Burst Revoke");
        let granted = chat.sent_to(CARA, since).into_iter().find(|(_, label)| label == "Talk Burst Granted");
        let granted = granted.map(|(at, _)| at.saturating_sub(to_anna[0].0)).expect("she is granted");
        match is_lost {
            // The Revoke there, and the Release back.
            false => assert_eq!(granted, ms(2), "{}", chat.homes.ladder()),
            true => assert_eq!(granted, ms(1_000), "{}", chat.homes.ladder()),
        }
        chat.lets_go(CARA);
        chat.lets_go(ANNA);
        chat.homes.passes(ms(3_000));
        chat.has_converged(&is_lost);
    }
}

/// Row 10.
#[test]
fn who_has_spoken_too_long_is_denied_until_t9_is_over_and_granted_then() {
    let mut chat = Chat::new(SHORT);
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(50));
    // She does not hear of T12, and stops when the second is over of which her grant spoke.
    chat.loses_control_of("server1", 0, ms(1_500));
    let since = chat.now();
    chat.speaks(ANNA, 9);
    chat.homes.passes(ms(1_500));
    assert_eq!(chat.labels_to(ANNA, since)[0], "Talk Burst Revoke", "{}", chat.homes.ladder());
    chat.asks_too_early(ANNA);
    chat.homes.passes(ms(3_500));
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(20));
    assert!(chat.may_talk(ANNA), "{}", chat.homes.ladder());
}

/// Row 10: T9 is of the user, not of the leg.
#[test]
fn who_has_spoken_too_long_and_comes_again_is_denied_all_the_same() {
    let mut chat = Chat::new(SHORT);
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(50));
    chat.speaks(ANNA, 7);
    assert!(!chat.may_talk(ANNA), "she was revoked");
    chat.comes_again(ANNA);
    chat.asks_too_early(ANNA);
    chat.lets_go(ANNA);
    chat.homes.passes(ms(5_000));
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(20));
    assert!(chat.may_talk(ANNA), "{}", chat.homes.ladder());
}

/// Row 12.
#[test]
fn who_speaks_without_a_grant_is_revoked_each_second_until_it_has_released() {
    let mut chat = Chat::new(ms(30_000));
    let (since, begun) = (chat.now(), chat.begun());
    chat.loses_control_of("server1", 0, ms(3_500));
    chat.speaks_unasked(ANNA, 35);
    let revokes = |chat: &Chat| {
        let sent = chat.sent_to(ANNA, since).into_iter();
        sent.filter(|(_, label)| label == "Talk Burst Revoke").map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(revokes(&chat), [0, 1_000, 2_000, 3_000].map(ms), "T8\n{}", chat.homes.ladder());
    // She hears the next one, and her client answers it.
    chat.speaks_unasked(ANNA, 6);
    assert_eq!(revokes(&chat).len(), 5, "{}", chat.homes.ladder());
    chat.homes.passes(ms(3_000));
    assert_eq!(revokes(&chat).len(), 5, "{}", chat.homes.ladder());
    assert_eq!(chat.idles(ANNA, begun), 1, "{}", chat.homes.ladder());
    let is_heard = |(_, event): &(usize, poc::Event)| matches!(event, poc::Event::Heard { .. });
    assert!(!chat.homes.system.events[begun..].iter().any(is_heard), "{}", chat.homes.ladder());
    chat.has_converged(&"she has released");
}

/// Row 13.
#[test]
fn who_joins_late_hears_first_whether_somebody_speaks() {
    for (speaks, first) in [(true, "Talk Burst Taken"), (false, "Talk Burst Idle")] {
        let mut chat = Chat::new(ms(30_000));
        let session = chat.sessions[CARA];
        chat.homes.hangs_up("cara", session);
        chat.homes.passes(ms(5_000));
        if speaks {
            chat.presses(ANNA, Priority::Normal);
            chat.homes.passes(ms(50));
            chat.speaks(ANNA, 3);
        }
        let since = chat.now();
        chat.comes(CARA);
        chat.homes.passes(ms(50));
        assert_eq!(chat.labels_to(CARA, since)[0], first, "{}", chat.homes.ladder());
        let begun = chat.begun();
        if speaks {
            chat.speaks(ANNA, 1);
            let place = chat.homes.place("cara");
            let hears = |(whom, event): &(usize, poc::Event)| {
                *whom == place && matches!(event, poc::Event::Heard { .. })
            };
            assert!(chat.homes.system.events[begun..].iter().any(hears), "{}", chat.homes.ladder());
        }
    }
}

/// Case 9.
#[test]
fn a_place_in_the_queue_goes_with_who_leaves_at_whatever_moment() {
    let mut chat = Chat::new(ms(30_000));
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(50));
    chat.speaks(ANNA, 3);
    let (mut queued, mut crossed) = (0, 0);
    for wait in 0..12 {
        let mut chat = chat.clone();
        let since = chat.now();
        chat.presses(BEN, Priority::High);
        chat.presses(CARA, Priority::Normal);
        chat.homes.passes(ms(wait));
        let (session, begun) = (chat.sessions[BEN], chat.begun());
        chat.homes.hangs_up("ben", session);
        let gone_at = chat.now().saturating_since(since) + BYE_WAY;
        // Anna lets go while his BYE is on its way, or when he has gone.
        chat.homes.passes(ms(12 - wait));
        chat.lets_go(ANNA);
        chat.homes.passes(ms(100));
        let to_ben = chat.sent_to(BEN, since);
        queued += u32::from(to_ben.iter().any(|(_, label)| label == "Queue Status Response"));
        let granted = to_ben.iter().find(|(_, label)| label == "Talk Burst Granted").map(|(at, _)| *at);
        crossed += u32::from(granted.is_some());
        assert!(granted.is_none_or(|at| at < gone_at), "{wait} ms\n{}", chat.homes.ladder());
        assert_eq!(chat.told(BEN, begun), [], "{wait} ms\n{}", chat.homes.ladder());
        assert!(chat.may_talk(CARA), "{wait} ms: she is next\n{}", chat.homes.ladder());
        // He comes again, and has no place.
        chat.homes.passes(ms(1_000));
        chat.comes(BEN);
        chat.homes.passes(ms(100));
        let begun = chat.begun();
        chat.lets_go(CARA);
        chat.homes.passes(ms(100));
        let granted = |told: &Told| matches!(told, Told::Granted { .. });
        assert!(!chat.told(BEN, begun).iter().any(granted), "{wait} ms\n{}", chat.homes.ladder());
        chat.has_converged(&wait);
    }
    assert!(queued > 5 && crossed > 0, "{queued}, {crossed}");
}

/// Case 13, C61: I10.
#[test]
fn a_change_that_is_given_up_at_whatever_moment_takes_the_talk_burst_from_nobody() {
    let mut chat = Chat::new(ms(30_000));
    chat.presses(ANNA, Priority::Normal);
    chat.homes.passes(ms(50));
    chat.speaks(ANNA, 3);
    for who in [ANNA, BEN] {
        for wait in 0..12 {
            let mut chat = chat.clone();
            let begun = chat.begun();
            chat.does(who, Act::Modify);
            chat.homes.passes(ms(wait));
            chat.does(who, Act::Withdraw);
            chat.speaks(ANNA, 5);
            assert!(chat.may_talk(ANNA), "{wait} ms\n{}", chat.homes.ladder());
            let place = chat.homes.place("cara");
            let events = &chat.homes.system.events[begun..];
            let heard = events
                .iter()
                .filter(|(whom, event)| *whom == place && matches!(event, poc::Event::Heard { .. }));
            assert_eq!(heard.count(), 5, "{wait} ms\n{}", chat.homes.ladder());
            let ends = events.iter().any(|(_, event)| matches!(event, poc::Event::Ended { .. }));
            assert!(!ends, "{wait} ms\n{}", chat.homes.ladder());
            for (whom, user) in USERS.iter().enumerate() {
                let told = chat.told(whom, begun);
                assert!(told.is_empty(), "{wait} ms: {user} was told {told:?}\n{}", chat.homes.ladder());
            }
            chat.lets_go(ANNA);
            chat.has_converged(&(who, wait));
        }
    }
}
