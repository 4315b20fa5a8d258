use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use tokio::sync::mpsc;

use super::*;
use crate::store::control_socket;
use crate::store::fixture::{Scratch, block_on};

fn account(name: &str) -> Account {
    let ha1 = Ha1::of(name, "poc.internal", b"secret");
    Account { name: name.to_owned(), ha1, display_name: None, rules: Rules::default() }
}

fn add(user: Account) -> Order {
    Order::Add { domain: "poc.internal".to_owned(), user }
}

/// A clerk with a store, behind a socket; `with` runs beside it.
fn served<T: Send + 'static>(scratch: &Scratch, with: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let path = scratch.path().to_owned();
    block_on(async {
        let mut store = scratch.store().await;
        let (clerk, mut asked) = mpsc::channel::<Asked>(4);
        let listening = listen(store.folder(), clerk).unwrap();
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
        assert_eq!(ask(Order::Domain { asked: None }).await, (domain, None));
        assert_eq!(ask(Order::Remove { name: anna() }).await, (unknown(), None));

        let put = |account| Some(Change::Put(Box::new(account)));
        assert_eq!(ask(add(account("anna"))).await, (Reply::Done, put(account("anna"))));
        let taken = Reply::Refused(Refusal::Taken { name: anna() });
        assert_eq!(ask(add(account("anna"))).await, (taken, None));
        let other = Order::Domain { asked: Some("home1.example".to_owned()) };
        let of = "poc.internal".to_owned();
        assert_eq!(ask(other).await, (Reply::Refused(Refusal::OtherDomain { of }), None));
        let ha1 = Ha1::of("anna", "poc.internal", b"other");
        let changed = Account { ha1: ha1.clone(), ..account("anna") };
        let order = Order::SetPassword { name: anna(), ha1 };
        assert_eq!(ask(order.clone()).await, (Reply::Done, put(changed)));
        assert_eq!(ask(Order::Remove { name: anna() }).await, (Reply::Done, Some(Change::Remove(anna()))));
        assert_eq!(ask(order).await, (unknown(), None));
    });
}
