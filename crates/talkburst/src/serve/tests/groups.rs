//! Groups on several shards: the users, the group and its session are each where they are.

use poc::Addressee;
use poc::client::{Alert, AlertId, Change};
use poc::server::{GroupKind, GroupRole};

use super::*;
use crate::store::group::{Group, Policy};

const SHARDS: [u8; 3] = [1, 2, 5];

/// Groups that are on different shards.
const GROUPS: [&str; 3] = ["patrol", "watch", "ronda"];

fn address_of(name: &str) -> String {
    clerk::address(name, DOMAIN)
}

/// Groups of all users, and a client of each; with all that a client can do.
fn stage(count: u8, kind: GroupKind, pre_establishes: bool) -> (Stage, Vec<SocketAddr>) {
    let mut stage = Stage::new(count);
    for name in GROUPS {
        let members = NAMES.iter().map(|name| (address_of(name), GroupRole::Ordinary)).collect();
        let group = Group { name: name.to_owned(), display_name: None, policy: Policy::of(kind), members };
        stage.all(&clerk::put_group(&group, DOMAIN));
    }
    let change = |config: &mut poc::Config| {
        config.conference_factory = Some(Bytes::from(address_of(FACTORY)));
        config.accepts_alerts = true;
        config.pre_establishes = pre_establishes;
    };
    let named = (7001..).zip(NAMES);
    let clients: Vec<_> =
        named.map(|(port, name)| stage.client_with(name, port, AnswerMode::Automatic, change)).collect();
    if pre_establishes {
        for at in &clients {
            stage.until(|told, event| told == *at && matches!(event, Event::PreEstablished));
        }
    }
    (stage, clients)
}

impl Stage {
    /// The session of a client that stands, and its identity.
    fn until_established(&mut self, at: SocketAddr) -> (SessionId, Bytes) {
        let told = self.until(|told, event| told == at && matches!(event, Event::Established { .. })).1;
        let Event::Established { session, focus, .. } = told else { unreachable!("it was waited for") };
        (session, focus.expect("a focus").identity)
    }

    fn leave(&mut self, at: SocketAddr, session: SessionId) {
        self.command(at, Command::Leave(session));
        assert_eq!(self.until_ended(at), End::Left);
    }
}

#[test]
fn a_group_is_begun_watched_changed_left_and_rejoined_however_many_shards_there_are() {
    for count in SHARDS {
        let (mut stage, clients) = stage(count, GroupKind::PreArranged, false);
        for name in GROUPS {
            let begun = stage.start(clients[0], Addressee::PreArranged(address_of(name).into()));
            let (session, identity) = stage.until_established(clients[0]);
            assert_eq!(session, begun);
            let others: Vec<_> =
                clients[1..].iter().map(|at| (*at, stage.until_established(*at).0)).collect();
            // SUBSCRIBE and REFER find the session.
            stage.command(clients[0], Command::Watch(session));
            stage.until(|_, event| {
                matches!(event, Event::Participants { roster, .. } if roster.users().count() == NAMES.len())
            });
            let user = Bytes::from(address_of(NAMES[3]));
            stage.command(clients[0], Command::Refer { session, change: Change::Remove, user });
            let changed = stage.until(|_, event| matches!(event, Event::MemberChanged { .. })).1;
            assert!(matches!(changed, Event::MemberChanged { status: Some(200), .. }), "{changed:?}");
            assert_eq!(stage.until_ended(clients[3]), End::Released);
            // And so does who comes back.
            stage.leave(clients[0], session);
            let back = stage.start(clients[0], Addressee::Session(identity));
            assert_eq!(stage.until_established(clients[0]).0, back);
            stage.leave(clients[0], back);
            stage.leave(others[0].0, others[0].1);
            assert_eq!(stage.until_ended(others[1].0), End::Released, "one alone is no session");
            stage.told.clear();
        }
        stage.assert_forgotten();
        assert_eq!(stage.hops > 0, count > 1);
    }
}

#[test]
fn a_chat_is_one_whoever_comes_from_wherever() {
    for count in SHARDS {
        let (mut stage, clients) = stage(count, GroupKind::Chat, false);
        for name in GROUPS {
            let mut sessions = Vec::new();
            for at in &clients {
                let session = stage.start(*at, Addressee::Chat(address_of(name).into()));
                let (established, identity) = stage.until_established(*at);
                assert_eq!(session, established);
                sessions.push((*at, session, identity));
            }
            assert!(sessions.iter().all(|(.., identity)| *identity == sessions[0].2), "{count}: {name}");
            for (at, session, _) in sessions {
                stage.leave(at, session);
            }
        }
        stage.assert_forgotten();
        assert!(stage.closed.iter().all(|record| record.end == End::Released), "{:?}", stage.closed);
    }
}

/// The server invites as a client of itself, by way of the core.
#[test]
fn on_pre_established_sessions_users_and_groups_are_reached_on_every_shard() {
    for count in SHARDS {
        let (mut stage, clients) = stage(count, GroupKind::PreArranged, true);
        for (caller, at) in clients.iter().enumerate() {
            let called = (caller + 1) % NAMES.len();
            let session = stage.invite(*at, NAMES[called]);
            assert_eq!(stage.until_established(*at).0, session);
            stage.until_established(clients[called]);
            stage.leave(*at, session);
            assert_eq!(stage.until_ended(clients[called]), End::Released);
            stage.told.clear();

            let group = GROUPS[caller % GROUPS.len()];
            let session = stage.start(*at, Addressee::PreArranged(address_of(group).into()));
            assert_eq!(stage.until_established(*at).0, session);
            let others: Vec<_> = clients.iter().filter(|other| *other != at).copied().collect();
            let sessions: Vec<_> = others.iter().map(|at| (*at, stage.until_established(*at).0)).collect();
            stage.leave(*at, session);
            stage.leave(sessions[0].0, sessions[0].1);
            stage.leave(sessions[1].0, sessions[1].1);
            stage.until_ended(sessions[2].0);
            stage.told.clear();
        }
    }
}

#[test]
fn an_alert_reaches_a_user_and_a_group_on_every_shard() {
    for count in SHARDS {
        let (mut stage, clients) = stage(count, GroupKind::Chat, false);
        let mut alert = |to: &str, expected: u16, heard: usize| {
            let command = Command::Alert {
                id: AlertId(7),
                targets: Vec::new(),
                routes: Vec::new(),
                to: Bytes::from(address_of(to)),
                alert: Alert::Personal { text: "call me".to_owned() },
            };
            stage.command(clients[0], command);
            let answered = stage.until(|_, event| matches!(event, Event::AlertAnswered { .. })).1;
            let Event::AlertAnswered { status, .. } = answered else { unreachable!("it was waited for") };
            assert_eq!(status, Some(expected), "{count}: {to}");
            for _ in 0..heard {
                stage.until(|at, event| at != clients[0] && matches!(event, Event::Alerted { .. }));
            }
        };
        for name in &NAMES[1..] {
            alert(name, 200, 1);
        }
        for name in GROUPS {
            alert(name, 202, NAMES.len() - 1);
        }
        alert("nobody", 404, 0);
        stage.assert_forgotten();
    }
}
