use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use poc::server::GroupKind;
use tokio::sync::mpsc;

use super::*;
use crate::store::control_socket;
use crate::store::fixture::{Scratch, block_on};
use crate::watch::Watch;

fn account(name: &str) -> Account {
    let ha1 = Ha1::of(name, "poc.internal", b"secret");
    Account { name: name.to_owned(), ha1, display_name: None, rules: Rules::default() }
}

fn add(user: Account) -> Order {
    Order::Add { domain: "poc.internal".to_owned(), user }
}

fn group(name: &str) -> Group {
    Group {
        name: name.to_owned(),
        display_name: None,
        policy: Policy::of(GroupKind::PreArranged),
        members: BTreeMap::new(),
    }
}

fn add_group(group: Group) -> Order {
    Order::AddGroup { domain: "poc.internal".to_owned(), group }
}

fn owned(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|address| (*address).to_owned()).collect()
}

fn put_members(name: &str, addresses: &[&str]) -> Order {
    Order::PutMembers { name: name.to_owned(), addresses: owned(addresses), role: GroupRole::Ordinary }
}

fn remove_members(name: &str, addresses: &[&str]) -> Order {
    Order::RemoveMembers { name: name.to_owned(), addresses: owned(addresses) }
}

/// A clerk with a store, behind a socket; `with` runs beside it.
fn served<T: Send + 'static>(scratch: &Scratch, with: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let path = scratch.path().to_owned();
    block_on(async {
        let mut store = scratch.store().await;
        let (clerk, mut asked) = mpsc::channel::<Asked>(4);
        let listening = listen(store.folder(), clerk, Watch::nothing()).unwrap();
        let mut beside = tokio::task::spawn_blocking(move || with(&path));
        let done = loop {
            tokio::select! {
                done = &mut beside => break done.unwrap(),
                Some((order, reply)) = asked.recv() => {
                    reply.send(carry_out(&mut store, order).await.unwrap().0).unwrap();
                }
            }
        };
        listening.abort();
        done
    })
}

/// Sends `octets` as they are; the lines that come back until the connection is closed or `count` are there.
fn raw(folder: &Path, octets: &[u8], count: usize) -> Vec<Reply> {
    let mut stream = UnixStream::connect(control_socket(folder)).unwrap();
    stream.write_all(octets).unwrap();
    let lines = BufReader::new(stream).split(b'\n').take(count);
    lines.map(|line| Reply::from_line(&line.unwrap()).unwrap()).collect()
}

#[test]
fn an_order_and_its_reply_are_one_line_each() {
    let orders = [
        Order::Domain { asked: None },
        add(account("anna")),
        Order::Remove { name: "anna".to_owned() },
        Order::List,
        Order::SetPassword { name: "anna".to_owned(), ha1: account("anna").ha1 },
        Order::SetRules { name: "anna".to_owned(), rules: Rules::default() },
        add_group(group("patrol")),
        Order::RemoveGroup { name: "patrol".to_owned() },
        Order::ListGroups,
        Order::SetPolicy {
            name: "patrol".to_owned(),
            display_name: None,
            policy: Policy::of(GroupKind::Chat),
        },
        put_members("patrol", &["sip:anna@poc.internal"]),
        remove_members("patrol", &["sip:anna@poc.internal"]),
    ];
    for order in orders {
        let line = order.to_line();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert!(line.starts_with(br#"{"version":1,"order":""#));
        assert_eq!(Order::from_line(&line), Ok(order));
    }
    let refused = Reply::Refused(Refusal::Taken { name: "anna".to_owned() });
    assert_eq!(Reply::from_line(&refused.to_line()), Ok(refused));
}

#[test]
fn a_line_of_another_version_is_told_so_whatever_it_wants() {
    let line = br#"{"version":2,"order":"dance"}"#;
    assert_eq!(Order::from_line(line), Err(Refusal::Version { known: 1 }));
}

#[test]
fn what_makes_no_sense_is_refused_and_the_next_line_is_read() {
    let scratch = Scratch::new();
    let lines: &[&[u8]] = &[
        b"\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{\"version\":1}\n",
        b"{\"version\":1,\"order\":\"dance\"}\n",
        b"{\"version\":1,\"order\":\"add\",\"user\":{\"name\":7}}\n",
        b"{\"version\":1,\"order\":\"list\"}\n",
    ];
    let octets = lines.concat();
    let replies = served(&scratch, move |folder| raw(folder, &octets, 7));
    for reply in &replies[..6] {
        assert!(matches!(reply, Reply::Refused(Refusal::Line { .. })), "{reply:?}");
    }
    assert_eq!(replies[6], Reply::Users { users: Vec::new() });
}

#[test]
fn a_line_without_an_end_is_not_kept() {
    let scratch = Scratch::new();
    let replies = served(&scratch, |folder| raw(folder, &vec![b'x'; LINE_MAX], 2));
    assert!(matches!(&replies[..], [Reply::Refused(Refusal::Line { .. })]), "{replies:?}");
}

#[test]
fn a_value_that_no_user_can_have_is_refused_before_the_store() {
    let scratch = Scratch::new();
    let no_hash = Ha1 { md5: "secret".to_owned(), sha256: String::new() };
    let wrong = [
        account("an na"),
        Account { ha1: no_hash, ..account("anna") },
        Account { display_name: Some("a\nb".to_owned()), ..account("anna") },
        Account {
            rules: Rules { allow_override: ["ben".to_owned()].into(), ..Rules::default() },
            ..account("anna")
        },
    ];
    let octets = wrong.map(|user| add(user).to_line()).concat();
    let replies = served(&scratch, move |folder| raw(folder, &octets, 4));
    for reply in replies {
        assert!(matches!(reply, Reply::Refused(Refusal::Value { .. })), "{reply:?}");
    }
}

#[test]
fn users_are_entered_by_many_at_once() {
    let scratch = Scratch::new();
    let users = served(&scratch, |folder| {
        std::thread::scope(|scope| {
            for writer in 0..20 {
                scope.spawn(move || {
                    for each in 0..5 {
                        let line = add(account(&format!("user-{writer}-{each}")));
                        assert_eq!(raw(folder, &line.to_line(), 1), [Reply::Done]);
                    }
                });
            }
        });
        raw(folder, &Order::List.to_line(), 1)
    });
    assert!(matches!(&users[..], [Reply::Users { users }] if users.len() == 100));
}

#[test]
fn a_socket_that_a_crash_has_left_is_replaced_and_closed_to_others() {
    let scratch = Scratch::new();
    drop(std::os::unix::net::UnixListener::bind(control_socket(scratch.path())).unwrap());
    let mode = served(&scratch, |folder| {
        assert_eq!(raw(folder, &Order::List.to_line(), 1).len(), 1);
        std::fs::metadata(control_socket(folder)).unwrap().mode() & 0o777
    });
    assert_eq!(mode, 0o600);
}

#[test]
fn each_order_is_carried_out_or_refused_by_name() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        let mut ask = async |order: Order| carry_out(&mut store, order).await.unwrap();
        let anna = || "anna".to_owned();
        let unknown = || Reply::Refused(Refusal::Unknown { name: anna() });
        let domain = Reply::Domain { domain: "poc.internal".to_owned() };
        assert_eq!(ask(Order::Domain { asked: None }).await, (domain, Vec::new()));
        assert_eq!(ask(Order::Remove { name: anna() }).await, (unknown(), Vec::new()));

        let put = |account| vec![Change::Put(Box::new(account))];
        assert_eq!(ask(add(account("anna"))).await, (Reply::Done, put(account("anna"))));
        let taken = Reply::Refused(Refusal::Taken { name: anna() });
        assert_eq!(ask(add(account("anna"))).await, (taken, Vec::new()));
        let other = Order::Domain { asked: Some("home1.example".to_owned()) };
        let of = "poc.internal".to_owned();
        assert_eq!(ask(other).await, (Reply::Refused(Refusal::OtherDomain { of }), Vec::new()));
        let ha1 = Ha1::of("anna", "poc.internal", b"other");
        let changed = Account { ha1: ha1.clone(), ..account("anna") };
        let order = Order::SetPassword { name: anna(), ha1 };
        assert_eq!(ask(order.clone()).await, (Reply::Done, put(changed)));
        assert_eq!(ask(Order::Remove { name: anna() }).await, (Reply::Done, vec![Change::Remove(anna())]));
        assert_eq!(ask(order).await, (unknown(), Vec::new()));
    });
}

#[test]
fn each_order_about_a_group_is_carried_out_or_refused_by_name() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        let mut ask = async |order: Order| carry_out(&mut store, order).await.unwrap();
        let put = |members: &[&str]| {
            let members = members.iter().map(|address| ((*address).to_owned(), GroupRole::Ordinary));
            vec![Change::PutGroup(Box::new(Group { members: members.collect(), ..group("patrol") }))]
        };
        let patrol = || "patrol".to_owned();
        let unknown = || refused(Refusal::UnknownGroup { name: patrol() });
        let (anna, there) = ("sip:anna@poc.internal", "sip:dora@home2.example");

        for order in [
            Order::RemoveGroup { name: patrol() },
            Order::SetPolicy { name: patrol(), display_name: None, policy: group("patrol").policy },
            put_members("patrol", &[]),
            remove_members("patrol", &[anna]),
        ] {
            assert_eq!(ask(order).await, unknown());
        }
        assert_eq!(ask(add_group(group("patrol"))).await, (Reply::Done, put(&[])));
        let taken = Refusal::GroupTaken { name: patrol() };
        assert_eq!(ask(add_group(group("patrol"))).await, refused(taken.clone()));
        assert_eq!(ask(add(account("patrol"))).await, refused(taken));
        ask(add(account("anna"))).await;
        let taken = Refusal::Taken { name: "anna".to_owned() };
        assert_eq!(ask(add_group(group("anna"))).await, refused(taken));

        // All or none. Of another domain nothing is known.
        let nobody = Refusal::UnknownMember { address: "sip:ben@poc.internal".to_owned() };
        let order = put_members("patrol", &[anna, "sip:ben@poc.internal"]);
        assert_eq!(ask(order).await, refused(nobody));
        assert_eq!(ask(put_members("patrol", &[there, anna])).await, (Reply::Done, put(&[anna, there])));
        let stranger = Refusal::NoMember { name: patrol(), address: "sip:ben@poc.internal".to_owned() };
        let order = remove_members("patrol", &[there, "sip:ben@poc.internal"]);
        assert_eq!(ask(order).await, refused(stranger));
        assert_eq!(ask(remove_members("patrol", &[there])).await, (Reply::Done, put(&[anna])));

        // Whoever is removed belongs to nothing: the next one of that name is somebody else.
        let removed = vec![Change::Remove("anna".to_owned()), put(&[]).remove(0)];
        assert_eq!(ask(Order::Remove { name: "anna".to_owned() }).await, (Reply::Done, removed));
        assert_eq!(ask(add_group(group("all"))).await.0, Reply::Done);
        assert_eq!(ask(put_members("all", &["sip:patrol@poc.internal"])).await.0, Reply::Done);
        let all = Change::PutGroup(Box::new(group("all")));
        let removed = vec![Change::RemoveGroup(patrol()), all];
        assert_eq!(ask(Order::RemoveGroup { name: patrol() }).await, (Reply::Done, removed));
        let listed = ListedGroup { address: "sip:all@poc.internal".to_owned(), group: group("all") };
        assert_eq!(ask(Order::ListGroups).await.0, Reply::Groups { groups: vec![listed] });
    });
}

#[test]
fn a_value_that_no_group_can_have_is_refused_before_the_store() {
    let scratch = Scratch::new();
    let policy = |change: fn(&mut Policy)| {
        let mut policy = group("patrol").policy;
        change(&mut policy);
        add_group(Group { policy, ..group("patrol") })
    };
    let wrong = [
        add_group(group("poc-factory")),
        add(account("poc-factory")),
        add_group(group("pat rol")),
        add_group(Group { display_name: Some("a\u{7}".to_owned()), ..group("patrol") }),
        policy(|policy| policy.participants_max = 1),
        policy(|policy| policy.participants_min = policy.participants_max + 1),
        policy(|policy| policy.release_below = policy.participants_max + 1),
        policy(|policy| policy.longest_minutes = Some(0)),
        put_members("patrol", &["ben"]),
        put_members("patrol", &["sip:ben@HOME2.example"]),
        add_group(Group { members: [("tel:+1".to_owned(), GroupRole::Ordinary)].into(), ..group("patrol") }),
    ];
    let octets: Vec<u8> = wrong.iter().flat_map(Order::to_line).collect();
    let replies = served(&scratch, move |folder| raw(folder, &octets, 11));
    for (order, reply) in wrong.iter().zip(replies) {
        assert!(matches!(reply, Reply::Refused(Refusal::Value { .. })), "{order:?}: {reply:?}");
    }
    // Once it is there.
    block_on(async {
        let mut store = scratch.store().await;
        carry_out(&mut store, add_group(group("patrol"))).await.unwrap();
        for members in [put_members("patrol", &["sip:patrol@poc.internal"]), too_many()] {
            let (reply, changes) = carry_out(&mut store, members).await.unwrap();
            assert!(matches!(reply, Reply::Refused(Refusal::Value { .. })), "{reply:?}");
            assert_eq!(changes, []);
        }
        assert_eq!(store.group("patrol").await.unwrap(), Some(group("patrol")));
    });
}

fn too_many() -> Order {
    let addresses: Vec<_> = (0..10_001).map(|each| format!("sip:user{each}@home2.example")).collect();
    Order::PutMembers { name: "patrol".to_owned(), addresses, role: GroupRole::Ordinary }
}
