//! The binary, from outside: what is seen of a server that runs.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use program::{Folder, PATIENCE, Program, run, scratch, user};
use serde_json::Value;

/// A server with anna and ben, whose passwords are their names, and its metrics.
struct Seen {
    server: Program,
    sip: SocketAddr,
    metrics: SocketAddr,
    folder: Folder,
}

impl Seen {
    fn begin(name: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new(&format!("seeing-{name}"));
        let ours = ["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
        let mut server = Program::start(&[&ours[..], &["--metrics", "127.0.0.1:0"], arguments].concat());
        let listening = server.until("listening");
        let address = |what: &str| listening[what].as_str().unwrap().parse().unwrap();
        for name in ["anna", "ben"] {
            let (code, _, said) = user(&folder, &["add", name, "--password-stdin"], name);
            assert_eq!(code, Some(0), "{said}");
        }
        Self { sip: address("udp"), metrics: address("metrics"), server, folder }
    }

    fn client(&self, arguments: &[&str], name: &str) -> Program {
        let file = self.folder.join(format!("password-of-{name}"));
        std::fs::write(&file, name).unwrap();
        let (address, user) = (self.sip.to_string(), format!("{name}@poc.internal"));
        let ours = ["--server", &address, "--user", &user, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    }

    /// Ben, who is asked.
    fn ben(&self, arguments: &[&str]) -> Program {
        let mut ben =
            self.client(&[&["answer", "--listen", "127.0.0.1:0", "--once"], arguments].concat(), "ben");
        ben.until("published");
        ben
    }

    fn anna(&self, arguments: &[&str]) -> Program {
        self.client(&[&["call", "ben"], arguments].concat(), "anna")
    }

    /// Anna calls ben and gives up while it rings.
    fn cancelled_call(&mut self) {
        let ben = self.ben(&["--manual"]);
        let (code, _, said) = self.anna(&["--cancel-after", "200ms"]).exit();
        assert_eq!(code, Some(0), "{said}");
        ben.exit();
        for _ in 0..2 {
            self.server.until("closed");
        }
    }

    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// All samples with their labels, the page being no older than this call.
    fn samples(&self) -> BTreeMap<String, f64> {
        std::thread::sleep(Duration::from_millis(600));
        let (status, page) = self.get("/metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        samples.collect()
    }

    fn ask(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(&[arguments, &["--data", self.folder.to_str().unwrap()]].concat())
    }
}

/// The sum of what is counted under `name` with all of `labels`.
fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let is_meant =
        |key: &str| key.split('{').next() == Some(name) && labels.iter().all(|label| key.contains(label));
    samples.iter().filter(|(key, _)| is_meant(key)).map(|(_, value)| value).sum()
}

#[test]
fn a_cancelled_call_is_counted_and_nothing_is_stuck() {
    for shards in ["1", "3"] {
        let mut seen = Seen::begin(&format!("counted-{shards}"), &["--shards", shards, "--t1", "50ms"]);
        seen.cancelled_call();
        let samples = seen.samples();
        let count = |name: &str, labels: &[&str]| sum(&samples, name, labels);
        assert_eq!(count("talkburst_requests_total", &["\"in\"", "\"CANCEL\""]), 1.0);
        assert_eq!(count("talkburst_requests_total", &["\"out\"", "\"CANCEL\""]), 1.0);
        // From anna at the core, at each of the two functions, and at the core on the ways between them.
        assert_eq!(count("talkburst_cancels_received_total", &["\"server\"", "\"undecided\""]), 2.0);
        assert_eq!(count("talkburst_cancels_received_total", &["\"undecided\""]), 5.0);
        assert_eq!(
            count("talkburst_cancel_outcomes_total", &[]),
            count("talkburst_cancel_wishes_total", &[])
        );
        assert_eq!(count("talkburst_cancel_outcomes_total", &["\"terminated\""]), 5.0);
        assert_eq!(count("talkburst_cancel_answers_total", &["\"2xx\""]), 5.0);
        assert_eq!(count("talkburst_cancel_answered_seconds_count", &[]), 1.0);
        assert_eq!(count("talkburst_cancel_forwarded_seconds_count", &[]), 1.0);
        assert_eq!(count("talkburst_handling_seconds_count", &["\"CANCEL\""]), 1.0);
        assert_eq!(
            count("talkburst_invites_total", &["\"controlling\"", "\"cancelled\"", "\"inviter\""]),
            1.0
        );
        assert_eq!(count("talkburst_members_total", &["\"cancelled\""]), 1.0);
        assert_eq!(
            (count("talkburst_users", &[]), count("talkburst_shards", &[])),
            (2.0, shards.parse().unwrap())
        );
        // Ben is registered no more, or will be for an hour.
        let until = Instant::now() + PATIENCE;
        loop {
            let samples = seen.samples();
            let left =
                ["talkburst_transactions", "talkburst_legs", "talkburst_contexts", "talkburst_sessions"];
            let left: f64 = left.iter().map(|name| sum(&samples, name, &[])).sum();
            assert_eq!(sum(&samples, "talkburst_stuck", &[]), 0.0);
            if left == 0.0 {
                break;
            }
            assert!(Instant::now() < until, "{left} are left: {samples:#?}");
        }
    }
}

/// Everything that the page has stands in the document, with its type, and the other way round.
#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let seen = Seen::begin("documented", &[]);
    let page = seen.get("/metrics").1;
    let told: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observing.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `talkburst_"));
    let documented: BTreeSet<_> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let name = format!("talkburst_{}", cells.next().unwrap().trim_end_matches('`'));
            (name, cells.next().unwrap().to_owned())
        })
        .collect();
    assert_eq!(told, documented);
    assert!(told.len() > 40, "{}", told.len());
}

#[test]
fn health_and_readiness_are_told_and_nothing_else() {
    let seen = Seen::begin("health", &["--shards", "2"]);
    for path in ["/health", "/ready"] {
        assert_eq!(seen.get(path), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    }
    assert_eq!(seen.get("/").0, "HTTP/1.1 404 Not Found");
    let mut stream = TcpStream::connect(seen.metrics).unwrap();
    stream.write_all(b"POST /health HTTP/1.1\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    // Too long, or never whole: closed.
    let mut stream = TcpStream::connect(seen.metrics).unwrap();
    let _ = stream.write_all(&[b'x'; 20_000]);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert_eq!(seen.get("/health").0, "HTTP/1.1 200 OK");
}

#[test]
fn a_session_is_listed_while_it_stands() {
    let seen = Seen::begin("listed", &[]);
    let _ben = seen.ben(&["--answer-after", "10ms"]);
    let mut anna = seen.anna(&["--leave-after", "30s"]);
    anna.until("established");
    let (code, out, said) = seen.ask(&["sessions", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((found["total"].as_u64(), found["sessions"].as_array().unwrap().len()), (Some(1), 1));
    let session = &found["sessions"][0];
    assert_eq!((&session["state"], &session["session_type"]), (&"established".into(), &"1-1".into()));
    let participants = session["participants"].as_array().unwrap();
    let addresses: Vec<_> = participants.iter().map(|each| each["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["sip:anna@poc.internal", "sip:ben@poc.internal"]);
    assert!(participants.iter().all(|each| each["state"] == "connected"));
    let (_, table, _) = seen.ask(&["sessions"]);
    assert!(table.contains("anna@poc.internal (inviter)") && table.ends_with("\n1 session\n"), "{table}");
    let (_, out, _) = seen.ask(&["sessions", "--json", "--all"]);
    assert!(serde_json::from_str::<Value>(&out).unwrap()["total"].as_u64() >= Some(2), "{out}");
    let (_, out, _) = seen.ask(&["sessions", "--json", "--limit", "0"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["total"], 1);
}

#[test]
fn a_server_that_does_not_run_is_said_to_whoever_asks() {
    let folder = Folder::new("seeing-nobody");
    for arguments in [&["sessions"][..], &["trace", "--user", "anna"], &["capture", "-o", "x.pcap"]] {
        let (code, out, said) = run(&[arguments, &["--data", folder.to_str().unwrap()]].concat());
        assert_eq!((code, out.as_str()), (Some(4), ""), "{said}");
        assert!(said.contains("does it run?"), "{said}");
    }
}

#[test]
fn a_trace_shows_what_concerns_a_user_at_every_hop_and_no_secret() {
    let mut seen = Seen::begin("traced", &["--shards", "2"]);
    let data = ["--data", seen.folder.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    let ladder = command.args(["trace", "--user", "ben", "--for", "5s"]).args(data);
    let ladder =
        ladder.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let trace = Program::start_command(
        Command::new(env!("CARGO_BIN_EXE_talkburst"))
            .args(["trace", "--user", "anna", "--for", "5s"])
            .args(data)
            .arg("--json"),
    );
    std::thread::sleep(Duration::from_millis(300));
    seen.cancelled_call();
    let (code, messages, said) = trace.exit();
    assert_eq!(code, Some(0), "{said}");
    let text = |message: &Value, what: &str| message[what].as_str().unwrap().to_owned();
    let ways = |label: &str| -> BTreeSet<String> {
        let found = messages.iter().filter(|message| message["label"] == label);
        found
            .map(|message| format!("{} {}", text(&message["from"], "party"), text(&message["to"], "party")))
            .collect()
    };
    let all = ["core network", "core server", "network core", "server core"].map(str::to_owned);
    for label in ["INVITE", "CANCEL", "200 (CANCEL)", "487 (INVITE)"] {
        assert_eq!(ways(label), all.clone().into(), "{label}");
    }
    // She has registered: what her password could be guessed from is not shown.
    let proofs: Vec<_> = messages
        .iter()
        .map(|message| text(message, "message"))
        .filter(|text| text.contains("response=\""))
        .collect();
    assert!(!proofs.is_empty());
    let shown = |text: &str, what: &str| {
        text.split(what).nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
    };
    for text in &proofs {
        for secret in [" response=\"", " nonce=\"", " cnonce=\""] {
            assert!(shown(text, secret).bytes().all(|byte| byte == b'*'), "{text}");
        }
    }
    assert!(proofs.iter().all(|text| text.contains("username=\"anna\"")));
    let output = ladder.wait_with_output().unwrap();
    let ladder = String::from_utf8(output.stdout).unwrap();
    assert!(ladder.contains("core") && ladder.contains("CANCEL") && ladder.contains("RFC 3261"), "{ladder}");
}

#[test]
fn what_is_kept_can_be_written_as_a_capture() {
    let mut seen = Seen::begin("captured", &[]);
    let file = scratch("seeing.pcap");
    let output = ["capture", "-o", file.to_str().unwrap()];
    let (code, _, said) = seen.ask(&output);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--keep SIZE"), "{said}");
    assert_eq!(seen.ask(&["capture", "--keep", "1M"]).0, Some(0));
    seen.cancelled_call();
    let (code, _, said) = seen.ask(&output);
    assert_eq!(code, Some(0), "{said}");
    let mut reader = pcap_file::pcap::PcapReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let mut texts = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let sliced = etherparse::SlicedPacket::from_ip(&packet.data).unwrap();
        let payload = match sliced.transport.unwrap() {
            etherparse::TransportSlice::Udp(udp) => udp.payload().to_vec(),
            etherparse::TransportSlice::Tcp(tcp) => tcp.payload().to_vec(),
            other @ (etherparse::TransportSlice::Icmpv4(_)
            | etherparse::TransportSlice::Icmpv6(_)
            | etherparse::TransportSlice::Igmp(_)) => panic!("{other:?}"),
        };
        texts.push(String::from_utf8_lossy(&payload).into_owned());
    }
    let cancels = texts.iter().filter(|text| text.starts_with("CANCEL ")).count();
    assert!(cancels >= 6, "at every hop: {cancels}");
    if Command::new("tshark").arg("-v").output().is_ok() {
        let port = seen.sip.port();
        let decode =
            ["udp.port==1,sip".to_owned(), format!("udp.port=={port},sip"), format!("tcp.port=={port},sip")];
        let mut tshark = Command::new("tshark");
        tshark.args(["-r", file.to_str().unwrap(), "-z", "expert", "-q"]);
        for each in &decode {
            tshark.args(["-d", each]);
        }
        let output = tshark.output().unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !found.contains("Warn") && !found.contains("Error"), "{found}");
    }
    assert!(sum(&seen.samples(), "talkburst_ring_bytes", &[]) > 1000.0);
    assert_eq!(seen.ask(&["capture", "--keep", "0"]).0, Some(0));
    assert_eq!(seen.ask(&output).0, Some(2));
    assert_eq!(sum(&seen.samples(), "talkburst_ring_bytes", &[]), 0.0);
    let _ = std::fs::remove_file(&file);
}

#[test]
fn the_log_tells_of_the_program_and_of_no_secret() {
    let file = scratch("seeing.log");
    let _ = std::fs::remove_file(&file);
    let arguments = ["--log", "debug", "--log-format", "json", "--log-file", file.to_str().unwrap()];
    let mut seen = Seen::begin("logged", &arguments);
    seen.cancelled_call();
    seen.server.signal("TERM");
    let Seen { server, .. } = seen;
    let (code, _, said) = server.exit();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |message: &str| lines.iter().any(|line| line["message"] == message);
    for message in ["serving", "listening", "order", "stopping", "stopped", "cancel wanted"] {
        assert!(has(message), "{message}: {text}");
    }
    assert!(lines.iter().any(|line| line["message"] == "order" && line["about"] == "anna"));
    for secret in ["response=", "nonce=", "\"ha1"] {
        assert!(!text.to_ascii_lowercase().contains(secret), "{secret}: {text}");
    }
    let _ = std::fs::remove_file(&file);
    let folder = Folder::new("seeing-filter");
    let (code, _, said) = run(&["serve", "--data", folder.to_str().unwrap(), "--log", "a=b=c=["]);
    assert_eq!(code, Some(2), "{said}");
}
