//! A server that is killed, again and again, while it is given orders and calls are cancelled: what was answered as done is there
//! after a restart, and what was told as closed.
//!
//! `TALKBURST_KILLS` says how often; `TALKBURST_SEED` at which moments.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use program::{Folder, PATIENCE, Program, group};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use sip::Message;
use sip::message::{Method, Name};

const PATROL: &str = "sip:patrol@poc.internal";
const SDP: &str = "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n\
    m=application 40002 udp TBCP\r\na=fmtp:TBCP queuing=1; tb_priority=2\r\n";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn nothing_that_was_said_to_be_done_is_lost_by_a_kill() {
    let (kills, seed) = (number("TALKBURST_KILLS", 40), number("TALKBURST_SEED", 7));
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let folder = Folder::new("dying");
    // Erik and Fritz are of another domain, whose core is played by hand.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let peer = format!("other.example={}", socket.local_addr().unwrap());
    assert_eq!(group(&folder, &["add", "patrol", "--kind", "prearranged"]).0, Some(0));
    for name in ["erik", "fritz"] {
        let (code, _, said) =
            group(&folder, &["member", "add", "patrol", &format!("sip:{name}@other.example")]);
        assert_eq!(code, Some(0), "{said}");
    }
    let mut book = Book::default();
    let (mut calls, mut told, mut orders) = (0, BTreeSet::new(), 0);
    for round in 0..=kills {
        // No step by hand: the lock, the control socket and the log of the database are as the kill has left them.
        let data = folder.to_str().unwrap();
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--data", data, "--peer", &peer, "--shards", "2"];
        let mut server = Program::start(&arguments);
        let listening = server.until("listening");
        assert_eq!(listening["domain"], "poc.internal");
        let address = listening["udp"].as_str().unwrap().to_owned();

        // 1. What there is.
        let mut desk = Desk::open(&folder);
        book.check(&mut desk);
        let kept = records(&folder);
        let missing: Vec<_> = told.difference(&kept).collect();
        assert!(missing.is_empty(), "round {round}, seed {seed}: told and not kept: {missing:?}");

        // 2. The kill, in the midst of orders and calls.
        let is_over = Arc::new(AtomicBool::new(false));
        let caller = std::thread::spawn({
            let (socket, is_over) = (socket.try_clone().unwrap(), Arc::clone(&is_over));
            move || call(&socket, &address, calls, &is_over)
        });
        let ordering = std::thread::spawn(move || {
            while book.order(&mut desk).is_some() {
                orders += 1;
            }
            (book, orders)
        });
        std::thread::sleep(Duration::from_millis(20 + u64::from(chance.next_u32() % 200)));
        server.signal("KILL");
        let (code, events, said) = server.exit();
        assert_eq!((code, said.as_str()), (None, ""));
        is_over.store(true, Ordering::Relaxed);
        calls = caller.join().unwrap();
        (book, orders) = ordering.join().unwrap();
        let closed = events.iter().filter(|event| event["event"] == "closed");
        told.extend(closed.filter_map(call_of));
    }
    let count = format!("{kills} kills: {orders} orders, {calls} calls, {} told as closed", told.len());
    assert!(orders > kills && told.len() as u64 > kills, "nothing to lose: {count}");
    let _ = writeln!(std::io::stdout(), "{count}");
}

/// Which call a record is about: the canceller has said it.
fn call_of(record: &Value) -> Option<String> {
    record["reason"].as_str().map(str::to_owned)
}

/// The calls of all records in the store, each of which is whole and there once.
fn records(folder: &Path) -> BTreeSet<String> {
    let path = folder.join("talkburst.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection, Row};
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", path.display());
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        let checked = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        assert_eq!(checked.get::<String, _>(0), "ok");
        let rows = sqlx::query("SELECT record FROM sessions").fetch_all(&mut connection).await.unwrap();
        let mut calls = BTreeSet::new();
        for row in rows {
            let record: Value = serde_json::from_str(&row.get::<String, _>(0)).unwrap();
            assert!(record["serial"].is_u64() && record["ended_after"].is_f64(), "{record}");
            // An INVITE that the kill has cut off, and that came again, has no CANCEL.
            if let Some(call) = call_of(&record) {
                assert!(calls.insert(call), "twice: {record}");
            }
        }
        connection.close().await.unwrap();
        calls
    })
}

// Orders.

/// The control socket.
struct Desk {
    stream: BufReader<UnixStream>,
}

impl Desk {
    fn open(folder: &Path) -> Self {
        let stream = UnixStream::connect(folder.join("control")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The reply; `None` if the server is no more.
    fn ask(&mut self, order: &Value) -> Option<Value> {
        let mut line = order.to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).ok()?;
        let mut reply = String::new();
        self.stream.read_line(&mut reply).ok()?;
        serde_json::from_str(&reply).ok()
    }
}

/// What must be there.
#[derive(Default)]
struct Book {
    drawn: u64,
    /// Users, and whom each has barred.
    users: BTreeMap<String, Option<String>>,
    groups: BTreeSet<String>,
    /// What a group of two looks like.
    group: Option<Value>,
    /// Whom an order was about that had no answer: it may have been carried out.
    unsure: Option<String>,
}

impl Book {
    /// Another order, and that it was done.
    fn order(&mut self, desk: &mut Desk) -> Option<()> {
        self.drawn += 1;
        let number = self.drawn;
        let last = self.users.keys().next_back().cloned();
        let (name, order) = match (number % 5, last) {
            (3, Some(name)) => {
                let rules = json!({ "access": { format!("sip:x{number}@other.example"): "bar" } });
                (name.clone(), json!({ "order": "set-rules", "name": name, "rules": rules }))
            }
            (4, Some(name)) => (name.clone(), json!({ "order": "remove", "name": name })),
            (2, _) => {
                let name = format!("g{number:06}");
                let mut group = self.group.clone().unwrap();
                group["name"] = name.as_str().into();
                (name, json!({ "order": "add-group", "domain": "poc.internal", "group": group }))
            }
            (_, _) => {
                let name = format!("u{number:06}");
                let ha1 = json!({ "md5": "0".repeat(32), "sha256": "0".repeat(64) });
                let user = json!({ "name": name, "ha1": ha1 });
                (name, json!({ "order": "add", "domain": "poc.internal", "user": user }))
            }
        };
        self.unsure = Some(name.clone());
        let mut line = json!({ "version": 1 });
        line.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
        let reply = desk.ask(&line)?;
        assert_eq!(reply["reply"], "done", "{line}: {reply}");
        self.unsure = None;
        match line["order"].as_str().unwrap() {
            "add" => drop(self.users.insert(name, None)),
            "remove" => drop(self.users.remove(&name)),
            "set-rules" => {
                self.users.insert(name, Some(format!("sip:x{number}@other.example")));
            }
            _ => drop(self.groups.insert(name)),
        }
        Some(())
    }

    /// Everything that was done is there, and nothing else; what nobody knows of is so or so, and known from now on.
    fn check(&mut self, desk: &mut Desk) {
        let users = desk.ask(&json!({ "version": 1, "order": "list" })).unwrap();
        let barred = |user: &Value| user["rules"]["access"].as_object().unwrap().keys().next().cloned();
        let mut found: BTreeMap<String, Option<String>> = users["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| (user["name"].as_str().unwrap().to_owned(), barred(user)))
            .collect();
        let groups = desk.ask(&json!({ "version": 1, "order": "list-groups" })).unwrap();
        let groups = groups["groups"].as_array().unwrap();
        let mut named = BTreeSet::new();
        for group in groups {
            assert_eq!(group["members"].as_object().unwrap().len(), 2, "whole: {group}");
            if group["name"] == "patrol" {
                let mut group = group.clone();
                group.as_object_mut().unwrap().remove("address");
                self.group = Some(group);
            } else {
                named.insert(group["name"].as_str().unwrap().to_owned());
            }
        }
        let known = (found.clone(), named.clone());
        if let Some(name) = self.unsure.take() {
            for users in [&mut found, &mut self.users] {
                users.remove(&name);
            }
            for groups in [&mut named, &mut self.groups] {
                groups.remove(&name);
            }
        }
        assert_eq!(found, self.users);
        assert_eq!(named, self.groups);
        (self.users, self.groups) = known;
    }
}

// Calls.

/// Erik calls the patrol, Fritz rings, and Erik gives up; again and again. The number of the next call comes back.
fn call(socket: &UdpSocket, server: &str, first: u64, is_over: &AtomicBool) -> u64 {
    let at = socket.local_addr().unwrap();
    let mut number = first;
    // The INVITEs to Fritz, by their branches.
    let mut invited = BTreeMap::new();
    let branch = |message: &Message| message.via().ok().and_then(|via| via.branch().map(<[u8]>::to_vec));
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let request = |method: &str, to_tag: &str, lines: &str, body: &str| {
            let text = format!(
                "{method} {PATROL} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:erik@other.example>;tag=e\r\nTo: <{PATROL}>{to_tag}\r\nCall-ID: call{number}\r\n\
                 CSeq: 1 {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            // Nobody may be there any more.
            let _ = socket.send_to(text.as_bytes(), server);
        };
        let lines = format!(
            "Contact: <sip:erik@{at}>;+g.poc.talkburst\r\nP-Asserted-Identity: <sip:erik@other.example>\r\n\
             Accept-Contact: *;+g.poc.talkburst;require;explicit\r\nContent-Type: application/sdp\r\n"
        );
        request("INVITE", "", &lines, SDP);
        let reason = format!("Reason: RELEASE_CAUSE;cause=1;text=\"{number}\"\r\n");
        let mut buffer = vec![0; 65_536];
        // A kill is followed by silence.
        while let Ok(length) = socket.recv(&mut buffer) {
            let Ok(message) = Message::parse(buffer[..length].to_vec().into()) else { continue };
            let is_ours = message.value(Name::CallId) == Some(format!("call{number}").as_bytes());
            match (message.method(), message.status()) {
                (Some(Method::Invite), _) => {
                    answer(socket, server, &message, 180);
                    invited.insert(branch(&message), message);
                }
                (Some(Method::Cancel), _) => {
                    answer(socket, server, &message, 200);
                    if let Some(invited) = invited.remove(&branch(&message)) {
                        answer(socket, server, &invited, 487);
                    }
                }
                (None, Some(180)) if is_ours => request("CANCEL", "", &reason, ""),
                (None, Some(300..)) if is_ours && message.is_cseq_method(Method::Invite) => {
                    let tag = message.to().ok().and_then(|to| to.tag()).unwrap_or_default();
                    request("ACK", &format!(";tag={}", String::from_utf8_lossy(tag)), "", "");
                    break;
                }
                (Some(_), _) | (None, _) => {}
            }
        }
    }
    number
}

fn answer(socket: &UdpSocket, server: &str, request: &Message, status: u16) {
    let line =
        |name: Name, value: &[u8]| format!("{}: {}\r\n", name.as_str(), String::from_utf8_lossy(value));
    let mut text = format!("SIP/2.0 {status} x\r\n");
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::To, Name::CallId, Name::CSeq] {
        for value in request.items(name) {
            let mut line = line(name, value);
            if name == Name::To {
                line.insert_str(line.len() - 2, ";tag=f");
            }
            text += &line;
        }
    }
    text += "Contact: <sip:fritz@127.0.0.1>\r\nContent-Length: 0\r\n\r\n";
    let _ = socket.send_to(text.as_bytes(), server);
}
