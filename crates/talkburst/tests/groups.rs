//! The binary, from outside: groups as their operator sees them.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

#[cfg(target_os = "linux")]
use std::net::UdpSocket;

#[cfg(target_os = "linux")]
use program::end;
use program::{Folder, Program, group, kinds, user};
use serde_json::{Value, json};

fn serve(folder: &Folder) -> Program {
    let data = folder.to_str().unwrap();
    let mut server = Program::start(&["serve", "--listen", "127.0.0.1:0", "--shards", "2", "--data", data]);
    server.until("listening");
    server
}

fn add_user(folder: &Folder, name: &str) {
    let (code, _, said) = user(folder, &["add", name, "--password-stdin"], name);
    assert_eq!(code, Some(0), "{said}");
}

/// What is done without complaint; what it says comes back.
fn done(folder: &Folder, arguments: &[&str]) -> String {
    let (code, out, said) = group(folder, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    out + &said
}

fn list(folder: &Folder) -> Vec<Value> {
    let (code, out, said) = group(folder, &["list", "--json"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A server that runs is told what nobody had to tell it again after a crash.
#[test]
fn a_group_is_there_at_once_and_outlasts_a_crash() {
    let folder = Folder::new("group-crash");
    let mut server = serve(&folder);
    assert_eq!(server.events[0]["groups"], 0);
    add_user(&folder, "anna");
    let said = done(&folder, &["add", "patrol", "--kind", "dispatch", "--display-name", "The Patrol"]);
    assert_eq!(said, "sip:patrol@poc.internal is entered\n");
    let changed = server.until("group-changed");
    assert_eq!((&changed["address"], &changed["members"]), (&json!("sip:patrol@poc.internal"), &json!(0)));
    done(&folder, &["member", "add", "patrol", "anna", "--dispatcher"]);
    done(&folder, &["member", "add", "patrol@poc.internal", "sip:dora@home2.example", "emil@home2.example"]);
    done(&folder, &["member", "remove", "patrol", "emil@home2.example"]);
    done(&folder, &["set", "patrol", "--kind", "dispatch", "--min", "3"]);
    let counts = [1, 3, 2, 2].map(|_| server.until("group-changed")["members"].as_u64().unwrap());
    assert_eq!(counts, [1, 3, 2, 2]);
    let listed = list(&folder);
    assert_eq!(listed.len(), 1);
    let members = json!({ "sip:anna@poc.internal": "distinguished", "sip:dora@home2.example": "ordinary" });
    assert_eq!((&listed[0]["members"], &listed[0]["display_name"]), (&members, &Value::Null));
    assert_eq!(listed[0]["policy"]["participants_min"], 3);
    server.signal("KILL");
    drop(server);

    // By nobody, and by the next server.
    assert_eq!(list(&folder), listed);
    let mut server = serve(&folder);
    assert_eq!((&server.events[0]["groups"], &server.events[0]["users"]), (&json!(1), &json!(1)));
    assert_eq!(list(&folder), listed);
    let line = "sip:patrol@poc.internal --kind dispatch --min 3: sip:anna@poc.internal (dispatcher), sip:dora@home2.example\n";
    assert_eq!(done(&folder, &["list"]), line);

    // Who is removed belongs to nothing any more.
    assert_eq!(user(&folder, &["remove", "anna"], "").0, Some(0));
    assert_eq!(server.until("group-changed")["members"], 1);
    let (_, out, _) = group(&folder, &["member", "list", "patrol", "--json"]);
    assert_eq!(out, "{\"address\":\"sip:dora@home2.example\",\"role\":\"ordinary\"}\n");
    done(&folder, &["remove", "patrol"]);
    assert_eq!(server.until("group-removed")["address"], "sip:patrol@poc.internal");
    assert_eq!(list(&folder), Vec::<Value>::new());
    server.signal("TERM");
    let (code, events, said) = server.exit();
    let expected = ["listening", "user-removed", "group-changed", "group-removed", "releasing", "stopped"];
    assert_eq!((code, kinds(&events)), (Some(0), expected.to_vec()), "{said}");
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let folder = Folder::new("group-refused");
    add_user(&folder, "anna");
    done(&folder, &["add", "patrol", "--kind", "chat"]);
    let refused: [(&[&str], i32, &str); 12] = [
        (&["add", "patrol", "--kind", "chat"], 5, "there is a group patrol already"),
        (&["add", "anna", "--kind", "chat"], 5, "there is a user anna already"),
        (&["add", "poc-factory", "--kind", "chat"], 2, "conference factory"),
        (&["add", "ronda@home2.example", "--kind", "chat"], 5, "poc.internal"),
        (&["add", "ronda", "--kind", "chat", "--min", "5", "--max", "4"], 2, "more participants"),
        (&["add", "ronda"], 2, "--kind"),
        (&["remove", "ronda"], 5, "there is no group ronda"),
        (&["set", "ronda", "--kind", "chat"], 5, "there is no group ronda"),
        (&["member", "add", "ronda", "anna"], 5, "there is no group ronda"),
        (&["member", "add", "patrol", "anna", "ben"], 5, "neither a user nor a group sip:ben@poc.internal"),
        (&["member", "remove", "patrol", "anna"], 5, "sip:anna@poc.internal is no member of patrol"),
        (&["member", "list", "ronda"], 5, "there is no group ronda"),
    ];
    // By nobody, and by a server.
    for is_served in [false, true] {
        let server = is_served.then(|| serve(&folder));
        for (arguments, code, reason) in refused {
            let (found, out, said) = group(&folder, arguments);
            assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {said}");
            assert!(said.contains(reason), "{arguments:?}: {said}");
        }
        let (code, _, said) = user(&folder, &["add", "patrol", "--password-stdin"], "secret");
        assert_eq!(code, Some(5));
        assert!(said.contains("there is a group patrol already"), "{said}");
        assert_eq!(done(&folder, &["list"]), "sip:patrol@poc.internal --kind chat: nobody\n");
        drop(server);
    }
}

/// Two servers that know each other, each with users of its domain. Only Linux has all of 127.0.0.0/8.
#[cfg(target_os = "linux")]
struct Neighbours {
    servers: Vec<Program>,
    addresses: Vec<String>,
    folders: [Folder; 2],
}

#[cfg(target_os = "linux")]
const DOMAINS: [&str; 2] = ["home1.example", "home2.example"];

/// Clients are elsewhere, and not trusted.
#[cfg(target_os = "linux")]
const HOSTS: [&str; 2] = ["127.0.0.2", "127.0.0.3"];

#[cfg(target_os = "linux")]
impl Neighbours {
    fn begin(name: &str) -> Self {
        // Both must know the other's port before they begin. What is long goes by TCP, from another port.
        let ports: Vec<_> = HOSTS.iter().map(|host| UdpSocket::bind((*host, 0)).unwrap()).collect();
        let addresses: Vec<_> =
            ports.into_iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
        let folders = [0, 1].map(|each| Folder::new(&format!("{name}-{each}")));
        let mut servers = Vec::new();
        for each in 0..2 {
            let peer = format!("{}={}", DOMAINS[1 - each], addresses[1 - each]);
            let data = folders[each].to_str().unwrap();
            let trusted = ["--trusted", HOSTS[1 - each]];
            let ours = ["--domain", DOMAINS[each], "--peer", &peer, "--data", data];
            let listen = ["serve", "--listen", &addresses[each], "--shards", "2"];
            let mut server = Program::start(&[&listen[..], &ours, &trusted].concat());
            server.until("listening");
            servers.push(server);
        }
        Self { servers, addresses, folders }
    }

    fn client(&self, each: usize, name: &str, arguments: &[&str]) -> Program {
        let file = self.folders[each].join(name);
        if !file.exists() {
            add_user(&self.folders[each], name);
            std::fs::write(&file, name).unwrap();
        }
        let address = format!("{name}@{}", DOMAINS[each]);
        let server = &self.addresses[each];
        let ours = ["--server", server, "--user", &address, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    }

    fn answer(&self, each: usize, name: &str, arguments: &[&str]) -> Program {
        let listening = ["answer", "--listen", "127.0.0.1:0", "--once"];
        let mut answering = self.client(each, name, &[&listening, arguments].concat());
        answering.until("published");
        answering
    }
}

/// A group of the one domain, with a group of the other domain in it (RFC 5318).
#[cfg(target_os = "linux")]
#[test]
fn a_group_of_two_domains_is_begun_and_given_up_from_either() {
    let mut both = Neighbours::begin("group-domains");
    let anna = both.answer(0, "anna", &["--manual"]);
    done(&both.folders[0], &["add", "patrol", "--kind", "prearranged", "--open"]);
    done(&both.folders[0], &["member", "add", "patrol", "anna", "watch@home2.example"]);
    let mut ben = both.answer(1, "ben", &["--auto"]);
    done(&both.folders[1], &["add", "watch", "--kind", "prearranged", "--open"]);
    done(&both.folders[1], &["member", "add", "watch", "ben"]);
    drop(anna);

    // 1. From the domain of the group: the other one is asked who belongs to its group.
    let (code, events, said) = both.client(0, "anna", &["call", "patrol", "--leave-after", "100ms"]).exit();
    assert_eq!((code, end(&events).0), (Some(0), "left"), "{said}");
    ben.until("invited");
    assert_eq!(ben.exit().0, Some(0));
    let controlling = |record: &Value| record["function"] == "controlling";
    let record = std::iter::repeat_with(|| both.servers[0].until("closed")).find(controlling).unwrap();
    assert_eq!(
        (&record["session_type"], &record["group"]),
        (&json!("prearranged"), &json!("sip:patrol@home1.example"))
    );

    // 2. From the other one, by way of both servers; and given up there.
    let mut anna = both.answer(0, "anna", &["--manual"]);
    let group = "sip:patrol@home1.example;session=prearranged";
    let (code, events, said) = both.client(1, "ben", &["call", group, "--cancel-after", "400ms"]).exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))), "{said}");
    anna.until("invited");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events).0), (Some(0), "cancelled"));

    // 3. And answered.
    let anna = both.answer(0, "anna", &["--auto"]);
    let (code, events, said) = both.client(1, "ben", &["call", group, "--leave-after", "100ms"]).exit();
    assert_eq!((code, end(&events).0), (Some(0), "left"), "{said}");
    assert_eq!(end(&anna.exit().1).0, "released");
}
