//! The binary, from outside: a server, its users, and those who call and answer by way of it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

use program::{Folder, PATIENCE, Program, end, kinds, run, user};
use serde_json::Value;

/// A server with anna and ben, whose passwords are their names.
struct Afternoon {
    server: Program,
    address: SocketAddr,
    folder: Folder,
}

impl Afternoon {
    fn begin(name: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        let (server, address) = serve(&folder, arguments);
        let afternoon = Self { server, address, folder };
        for name in ["anna", "ben"] {
            let (code, _, said) = afternoon.user(&["add", name, "--password-stdin"], name);
            assert_eq!(code, Some(0), "{said}");
        }
        afternoon
    }

    fn user(&self, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
        user(&self.folder, arguments, input)
    }

    fn client(&self, arguments: &[&str], name: &str, password: &str) -> Program {
        let file = self.folder.join(format!("password-of-{name}"));
        std::fs::write(&file, password).unwrap();
        let address = self.address.to_string();
        let user = format!("{name}@poc.internal");
        let ours = ["--server", &address, "--user", &user, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    }

    /// Ben, who answers, and whose settings are known.
    fn answer(&self, arguments: &[&str]) -> Program {
        let listening = ["answer", "--listen", "127.0.0.1:0", "--once"];
        let mut ben = self.client(&[&listening, arguments].concat(), "ben", "ben");
        ben.until("published");
        ben
    }

    /// Anna, who calls him.
    fn call(&self, arguments: &[&str]) -> Program {
        self.client(&[&["call", "ben"], arguments].concat(), "anna", "anna")
    }

    /// The records of one INVITE: of the controlling, and of the participating function.
    fn records(&mut self) -> [Value; 2] {
        let mut records = [(); 2].map(|()| self.server.until("closed"));
        records.sort_by_key(|record| record["function"].as_str().unwrap().to_owned());
        records
    }

    /// Stops the server in order; what the store has kept comes back.
    fn stop(self) -> Vec<Value> {
        self.server.signal("TERM");
        let (code, _, said) = self.server.exit();
        assert_eq!((code, said.as_str()), (Some(0), ""));
        stored(&self.folder)
    }
}

/// The records in the store of a folder that nobody has.
fn stored(folder: &Folder) -> Vec<Value> {
    let path = folder.join("talkburst.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection, Row};
        sqlx::any::install_default_drivers();
        let mut connection =
            sqlx::AnyConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let rows = sqlx::query("SELECT record FROM sessions").fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(&row.get::<String, _>(0)).unwrap()).collect()
    })
}

fn serve(folder: &Folder, arguments: &[&str]) -> (Program, SocketAddr) {
    let ours = ["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let mut server = Program::start(&[&ours, arguments].concat());
    let listening = server.until("listening");
    (server, listening["udp"].as_str().unwrap().parse().unwrap())
}

#[test]
fn a_call_is_answered_and_ends() {
    for shards in ["1", "4"] {
        let mut afternoon = Afternoon::begin(&format!("answered-{shards}"), &["--shards", shards]);
        let ben = afternoon.answer(&["--answer-after", "20ms"]);
        let (code, events, said) = afternoon.call(&["--leave-after", "50ms"]).exit();
        assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)), "{said}");
        let established = events.iter().find(|event| event["event"] == "established").unwrap();
        assert_eq!(established["answer_state"], "confirmed");
        let (code, events, _) = ben.exit();
        assert_eq!((code, end(&events).0), (Some(0), "released"));
        let records = afternoon.records();
        assert_eq!(records[0]["function"], "controlling");
        assert_eq!(records[0]["inviter"], "sip:anna@poc.internal");
        assert_eq!(records[0]["invitations"][0]["invited"], "sip:ben@poc.internal");
        assert_eq!(records[1]["function"], "participating");
        assert!(records.iter().all(|record| record["status"] == 200));
        let stored = afternoon.stop();
        assert_eq!(stored.len(), 2);
        assert!(stored.iter().all(|kept| records.iter().any(|told| told["serial"] == kept["serial"])));
    }
}

#[test]
fn a_call_is_cancelled_while_it_rings() {
    for transport in ["udp", "tcp"] {
        let mut afternoon = Afternoon::begin(&format!("cancelled-{transport}"), &["--shards", "3"]);
        let mut ben = afternoon.answer(&["--manual"]);
        let mut anna = afternoon.call(&["--cancel-after", "300ms", "--transport", transport]);
        anna.until("progress");
        ben.until("invited");
        let (code, events, said) = anna.exit();
        assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))), "{said}");
        let (code, events, _) = ben.exit();
        assert_eq!((code, end(&events)), (Some(0), ("cancelled", "remote", Some(487))));
        assert_eq!(events.iter().find(|event| event["event"] == "ended").unwrap()["missed"], true);
        for record in afternoon.records() {
            assert_eq!((&record["end"], &record["by"]), (&"cancelled".into(), &"inviter".into()));
        }
    }
}

#[test]
fn a_call_is_refused() {
    let mut afternoon = Afternoon::begin("refused", &[]);
    let ben = afternoon.answer(&["--refuse-after", "20ms"]);
    let (code, events, _) = afternoon.call(&[]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(480))));
    assert_eq!(end(&ben.exit().1).0, "rejected");
    assert_eq!(afternoon.records()[0]["by"], "invited");
}

#[test]
fn an_automatic_answer_that_meets_a_cancel_leaves_nobody_connected() {
    for early in [&["--early-answer"][..], &[]] {
        let afternoon = Afternoon::begin(&format!("crossing-{}", early.len()), early);
        for after in ["0ms", "2ms", "5ms", "10ms"] {
            let ben = afternoon.answer(&["--auto", "--t1", "50ms"]);
            let (code, events, said) = afternoon.call(&["--cancel-after", after, "--t1", "50ms"]).exit();
            assert_eq!(code, Some(0), "{after}: {said}");
            assert!(matches!(end(&events).0, "cancelled" | "left"), "{events:?}");
            // The INVITE may not have reached him; what began has ended.
            ben.signal("INT");
            let (code, events, _) = ben.exit();
            assert_eq!(code, Some(0));
            let count = |kind| kinds(&events).iter().filter(|each| **each == kind).count();
            assert_eq!(count("invited"), count("ended"), "{events:?}");
        }
        afternoon.server.signal("TERM");
        assert_eq!(afternoon.server.exit().0, Some(0));
    }
}

#[test]
fn who_is_removed_is_out_at_once() {
    let afternoon = Afternoon::begin("removed", &["--shards", "2"]);
    let mut ben = afternoon.answer(&["--auto"]);
    let mut anna = afternoon.call(&["--t1", "50ms"]);
    anna.until("established");
    ben.until("established");
    assert_eq!(afternoon.user(&["remove", "ben"], "").0, Some(0));
    ben.until("ended");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events).0), (Some(0), "released"));
    let (code, events, _) = afternoon.call(&["--t1", "50ms"]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(404))));
    drop(ben);
    let again = afternoon.client(&["answer", "--listen", "127.0.0.1:0"], "ben", "ben");
    assert_eq!(again.exit().0, Some(7));
}

#[test]
fn a_wrong_password_is_refused_and_another_one_counts_at_once() {
    let afternoon = Afternoon::begin("password", &[]);
    assert_eq!(afternoon.client(&["call", "ben"], "anna", "wrong").exit().0, Some(7));
    assert_eq!(afternoon.user(&["passwd", "anna", "--password-stdin"], "wrong").0, Some(0));
    let ben = afternoon.answer(&["--refuse-after", "1ms"]);
    assert_eq!(afternoon.client(&["call", "ben"], "anna", "wrong").exit().0, Some(5));
    assert_eq!(ben.exit().0, Some(0));
}

#[test]
fn rules_count() {
    let afternoon = Afternoon::begin("rules", &[]);
    assert_eq!(afternoon.user(&["rules", "ben", "--bar", "anna"], "").0, Some(0));
    let ben = afternoon.answer(&["--manual", "--trust-server"]);
    let (code, events, _) = afternoon.call(&[]).exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(403))));
    assert_eq!(afternoon.user(&["rules", "ben", "--allow-override", "anna"], "").0, Some(0));
    let (code, events, said) = afternoon.call(&["--override", "--leave-after", "20ms"]).exit();
    assert_eq!((code, end(&events).0), (Some(0), "left"), "{said}");
    let (_, events, _) = ben.exit();
    let invited = events.iter().find(|event| event["event"] == "invited").unwrap();
    assert_eq!(invited["answer_mode"], "automatic");
}

#[test]
fn who_listens_on_tcp_only_is_reached_from_every_shard() {
    let afternoon = Afternoon::begin("tcp", &["--shards", "4"]);
    for name in ["carl", "dora", "emil"] {
        assert_eq!(afternoon.user(&["add", name, "--password-stdin"], name).0, Some(0));
    }
    let names = ["ben", "carl", "dora", "emil"];
    let listening = ["answer", "--listen", "127.0.0.1:0", "--once", "--auto", "--transport", "tcp"];
    let mut answers: Vec<_> = names.iter().map(|name| afternoon.client(&listening, name, name)).collect();
    for answer in &mut answers {
        answer.until("published");
    }
    for name in names {
        let call = ["call", name, "--transport", "tcp", "--leave-after", "20ms"];
        let (code, events, said) = afternoon.client(&call, "anna", "anna").exit();
        assert_eq!((code, end(&events).0), (Some(0), "left"), "{name}: {said}");
    }
    for answer in answers {
        assert_eq!(answer.exit().0, Some(0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_domains_reach_each_other() {
    // Both must know the other's port before they begin. An INVITE between them is long, so it goes by TCP; clients are
    // elsewhere, and not trusted.
    let hosts = ["127.0.0.2", "127.0.0.3"];
    let ports = hosts.map(|host| UdpSocket::bind((host, 0)).unwrap());
    let ports = ports.map(|socket| socket.local_addr().unwrap().to_string());
    let domains = ["home1.example", "home2.example"];
    let folders = [Folder::new("peer-1"), Folder::new("peer-2")];
    let mut servers = Vec::new();
    for each in 0..2 {
        let peer = format!("{}={}", domains[1 - each], ports[1 - each]);
        let ours = ["serve", "--listen", &ports[each], "--domain", domains[each], "--peer", &peer];
        let rest = ["--trusted", hosts[1 - each], "--data", folders[each].to_str().unwrap()];
        let mut server = Program::start(&[&ours[..], &rest].concat());
        server.until("listening");
        servers.push(server);
    }
    let client = |each: usize, arguments: &[&str], name: &str| {
        let (code, _, said) = user(&folders[each], &["add", name, "--password-stdin"], name);
        assert_eq!(code, Some(0), "{said}");
        let file = folders[each].join(name);
        std::fs::write(&file, name).unwrap();
        let address = format!("{name}@{}", domains[each]);
        let ours = ["--server", &ports[each], "--user", &address, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    };
    let mut ben = client(1, &["answer", "--listen", "127.0.0.1:0", "--once", "--manual"], "ben");
    ben.until("published");
    let anna = client(0, &["call", "sip:ben@home2.example", "--cancel-after", "300ms"], "anna");
    let (code, events, said) = anna.exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))), "{said}");
    let (_, events, _) = ben.exit();
    assert_eq!(end(&events).0, "cancelled");
    assert_eq!(servers[0].until("closed")["function"], "controlling");
    assert_eq!(servers[1].until("closed")["function"], "participating");
}

// Without clients.

#[test]
fn a_restart_keeps_the_users_and_a_crash_too() {
    let mut afternoon = Afternoon::begin("restart", &[]);
    let told: Vec<_> = (0..2).map(|_| afternoon.server.until("user-changed")).collect();
    assert_eq!(told[1]["address"], "sip:ben@poc.internal");
    let Afternoon { server, folder, .. } = afternoon;
    server.signal("KILL");
    drop(server);
    assert!(folder.join("control").exists(), "the crash has left its socket");

    let (server, _) = serve(&folder, &[]);
    assert_eq!(server.events[0]["users"], 2);
    assert_eq!(user(&folder, &["remove", "ben"], "").0, Some(0));
    server.signal("TERM");
    let (code, events, said) = server.exit();
    assert_eq!(
        (code, kinds(&events)),
        (Some(0), vec!["listening", "user-removed", "releasing", "stopped"]),
        "{said}"
    );

    let (server, _) = serve(&folder, &[]);
    assert_eq!(server.events[0]["users"], 1);
    server.signal("INT");
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn a_folder_and_a_port_have_one_server() {
    let afternoon = Afternoon::begin("one", &["--shards", "2"]);
    let (code, _, said) =
        run(&["serve", "--listen", "127.0.0.1:0", "--data", afternoon.folder.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("another server has it"), "{said}");
    let other = Folder::new("one-other");
    let address = afternoon.address.to_string();
    let (code, _, said) =
        run(&["serve", "--shards", "2", "--listen", &address, "--data", other.to_str().unwrap()]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("another port with --listen"), "{said}");
}

#[test]
fn a_folder_of_another_domain_is_not_served() {
    let folder = Folder::new("other-domain");
    assert_eq!(user(&folder, &["add", "anna@home1.example", "--password-stdin"], "x").0, Some(0));
    let ours = ["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let (code, _, said) = run(&[&ours[..], &["--domain", "home2.example"]].concat());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("home1.example"), "{said}");
    let (server, _) = serve(&folder, &[]);
    assert_eq!(server.events[0]["domain"], "home1.example");
    let (code, _, said) = user(&folder, &["add", "ben@home2.example", "--password-stdin"], "x");
    assert_eq!(code, Some(5), "{said}");
}

#[test]
fn many_at_once_enter_users_while_it_serves() {
    let afternoon = Afternoon::begin("many-served", &["--shards", "3"]);
    std::thread::scope(|scope| {
        for each in 0..8 {
            let folder = &afternoon.folder;
            scope.spawn(move || {
                let (code, _, said) = user(folder, &["add", &format!("user{each}"), "--password-stdin"], "x");
                assert_eq!(code, Some(0), "{said}");
            });
        }
    });
    assert_eq!(afternoon.user(&["list"], "").1.lines().count(), 10);
}

#[test]
fn what_comes_to_the_control_socket_disturbs_nobody() {
    let afternoon = Afternoon::begin("bad-orders", &[]);
    let open = || {
        let stream = UnixStream::connect(afternoon.folder.join("control")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut idle: Vec<_> = (0..4).map(|_| open()).collect();
    let mut stream = open();
    stream.write_all(b"\0\xff\n{\"version\":9}\n").unwrap();
    stream.write_all(&vec![b'x'; 1024 * 1024]).unwrap_or_default();
    let mut replies = Vec::new();
    let _ = stream.read_to_end(&mut replies);
    let replies = String::from_utf8(replies).unwrap();
    assert!(replies.contains("\"refusal\":\"version\""), "{replies}");
    idle[0].write_all(b"{\"version\":1,\"order\"").unwrap();
    assert_eq!(afternoon.user(&["list"], "").1.lines().count(), 2);
}

/// A REGISTER without credentials.
fn register(transport: &str) -> String {
    format!(
        "REGISTER sip:poc.internal SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;rport;branch=z9hG4bKr\r\n\
         From: <sip:anna@poc.internal>;tag=1\r\nTo: <sip:anna@poc.internal>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:anna@127.0.0.1:9>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn udp_and_tcp_are_served_whatever_else_comes() {
    for shards in ["1", "4"] {
        let afternoon = Afternoon::begin(&format!("garbage-{shards}"), &["--shards", shards]);
        // Several sockets: the kernel spreads them over the shards.
        for _ in 0..8 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            for garbage in [&b""[..], b"\0\xff\xfe", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", &[b'x'; 60_000]] {
                socket.send_to(garbage, afternoon.address).unwrap();
            }
            socket.send_to(register("UDP").as_bytes(), afternoon.address).unwrap();
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            assert!(buffer[..length].starts_with(b"SIP/2.0 401 "));

            let mut stream = TcpStream::connect(afternoon.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // RFC 5626 §3.5.1: a ping meets a pong.
            stream.write_all(b"\r\n\r\n").unwrap();
            stream.read_exact(&mut buffer[..2]).unwrap();
            assert_eq!(&buffer[..2], b"\r\n");
            for octet in register("TCP").as_bytes().chunks(100) {
                stream.write_all(octet).unwrap();
            }
            stream.read_exact(&mut buffer[..12]).unwrap();
            assert_eq!(&buffer[..12], b"SIP/2.0 401 ");

            let mut stream = TcpStream::connect(afternoon.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            // Closed: by an end or by a reset, whichever the system makes of it.
            assert!(matches!(stream.read(&mut buffer), Ok(0) | Err(_)));
        }
    }
}

#[test]
fn what_is_suggested_works_as_it_stands() {
    let folder = Folder::new("suggested");
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&*folder);
    let mut server = Program::start_command(&mut command);
    let said = server.said_until("talkburst call");
    let mut typed = said.lines().filter_map(|line| line.trim().strip_prefix("talkburst "));
    let mut terminal = || {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let command = format!("{} {}", env!("CARGO_BIN_EXE_talkburst"), typed.next().unwrap());
        rexpect::spawn(&command, Some(patience)).unwrap()
    };
    for _ in ["anna", "ben"] {
        let mut add = terminal();
        for prompt in ["Password: ", "Again: "] {
            add.exp_string(prompt).unwrap();
            add.send_line("secret").unwrap();
        }
        add.exp_string("is entered").unwrap();
        add.exp_eof().unwrap();
    }
    let mut client = || {
        let mut client = terminal();
        client.exp_string("Password of ").unwrap();
        client.send_line("secret").unwrap();
        client.exp_string("settings published").unwrap();
        client
    };
    let mut ben = client();
    let mut anna = client();
    ben.exp_string("invited by").unwrap();
    ben.send("a").unwrap();
    ben.flush().unwrap();
    anna.exp_string("in session").unwrap();
    anna.send("q").unwrap();
    anna.flush().unwrap();
    ben.exp_string("ended").unwrap();
}

#[test]
fn it_says_what_may_be_typed_next() {
    let folder = Folder::new("hints");
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&*folder);
    let mut server = Program::start_command(&mut command);
    let said = server.said_until("talkburst call");
    for line in
        ["user add anna --data", "user add ben --data", "answer --server 127.0.0.1:", "call ben@poc.internal"]
    {
        assert!(said.contains(&format!("talkburst {line}")), "{said}");
    }
    server.signal("TERM");
    let (code, events, _) = server.exit();
    assert_eq!((code, events.len()), (Some(0), 0), "standard output is for --json");
}

#[test]
fn a_wrong_command_line_is_refused() {
    let folder = Folder::new("wrong");
    let ours = ["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    for wrong in [
        &["--shards", "0"][..],
        &["--shards", "129"],
        &["--domain", "a..b"],
        &["--peer", "home2.example"],
        &["--setup-timer", "0s"],
        &["--setup-timer", "171s"],
        &["--t1", "0s"],
        &["--advertise", "0.0.0.0"],
        &["--advertise", "::1"],
    ] {
        let (code, _, said) = run(&[&ours[..], wrong].concat());
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
}
