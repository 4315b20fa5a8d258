//! The binary, from outside: a server that is told to stop.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::time::{Duration, Instant};

use program::{Folder, Program, end, kinds, user};
use serde_json::Value;

/// A server with anna and ben, and ben, who answers.
struct Evening {
    server: Program,
    address: String,
    folder: Folder,
}

impl Evening {
    fn begin(name: &str, shards: &str) -> Self {
        let folder = Folder::new(name);
        let data = folder.to_str().unwrap();
        let mut server =
            Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--shards", shards]);
        let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
        for name in ["anna", "ben"] {
            let (code, _, said) = user(&folder, &["add", name, "--password-stdin"], name);
            assert_eq!(code, Some(0), "{said}");
        }
        Self { server, address, folder }
    }

    fn client(&self, arguments: &[&str], name: &str) -> Program {
        let file = self.folder.join(format!("password-of-{name}"));
        std::fs::write(&file, name).unwrap();
        let user = format!("{name}@poc.internal");
        let ours = ["--server", &self.address, "--user", &user, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    }

    fn answer(&self, arguments: &[&str]) -> Program {
        let listening = ["answer", "--listen", "127.0.0.1:0", "--once"];
        let mut ben = self.client(&[&listening, arguments].concat(), "ben");
        ben.until("published");
        ben
    }

    /// Anna and Ben talk, and Ben's machine loses its power.
    fn talk_with_the_dead(name: &str) -> (Self, Program) {
        let evening = Self::begin(name, "2");
        // The end of a connection would be noticed.
        let ben = evening.answer(&["--answer-after", "1ms", "--transport", "udp"]);
        let mut anna = evening.client(&["call", "ben"], "anna");
        anna.until("established");
        ben.signal("KILL");
        ben.exit();
        (evening, anna)
    }

    /// What the server has said since, the records that it has told, what it has said on standard error, and how long it took.
    fn end(self, begun: Instant) -> (Vec<Value>, Vec<Value>, String, Duration) {
        let (code, events, said) = self.server.exit();
        let took = begun.elapsed();
        assert_eq!(code, Some(0), "{said}");
        let records = events.iter().filter(|event| event["event"] == "closed").cloned().collect();
        (events, records, said, took)
    }
}

/// The other function may have been left by this one before it was told that it is to end.
fn controlling(records: &[Value]) -> &Value {
    records.iter().find(|record| record["function"] == "controlling").unwrap()
}

#[test]
fn who_rings_is_cancelled_who_waits_is_answered_and_the_server_ends_at_once() {
    for (signal, shards) in [("TERM", "1"), ("INT", "3")] {
        let evening = Evening::begin(&format!("ringing-{signal}"), shards);
        let mut ben = evening.answer(&["--manual"]);
        let mut anna = evening.client(&["call", "ben"], "anna");
        anna.until("progress");
        ben.until("invited");
        let begun = Instant::now();
        evening.server.signal(signal);
        let (_, events, said) = anna.exit();
        assert_eq!(end(&events), ("rejected", "remote", Some(503)), "{said}");
        let (_, events, _) = ben.exit();
        assert_eq!(end(&events), ("cancelled", "remote", Some(487)));
        let (events, records, said, took) = evening.end(begun);
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert_eq!((records.len(), said.as_str()), (2, ""), "{events:#?}");
        assert!(records.iter().all(|record| record["open"] == 0));
        let record = controlling(&records);
        assert_eq!((&record["end"], &record["by"]), (&"released".into(), &"server".into()));
        assert_eq!(record["status"], 503);
        assert_eq!(kinds(&events).last(), Some(&"stopped"));
        assert_eq!(events.last().unwrap()["open"], 0);
    }
}

#[test]
fn a_session_is_left_and_the_server_ends_at_once() {
    let evening = Evening::begin("talking", "3");
    let ben = evening.answer(&["--answer-after", "1ms"]);
    let mut anna = evening.client(&["call", "ben"], "anna");
    anna.until("established");
    let begun = Instant::now();
    evening.server.signal("TERM");
    for program in [anna, ben] {
        let (_, events, said) = program.exit();
        assert_eq!(end(&events).0, "released", "{said}");
    }
    let (events, records, said, took) = evening.end(begun);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!((records.len(), said.as_str()), (2, ""), "{events:#?}");
    assert!(records.iter().all(|record| record["end"] == "released" && record["open"] == 0));
    assert_eq!(controlling(&records)["by"], "server");
}

#[test]
fn a_peer_that_never_answers_is_waited_for_as_long_as_it_was_said_and_counted() {
    let (evening, anna) = Evening::talk_with_the_dead("dead");
    let begun = Instant::now();
    evening.server.signal("TERM");
    let (_, events, said) = anna.exit();
    assert_eq!(end(&events).0, "released", "{said}");
    let (events, records, said, took) = evening.end(begun);
    assert!((Duration::from_secs(4)..Duration::from_millis(5500)).contains(&took), "{took:?}: {events:#?}");
    assert_eq!(said, "stopped with 1 sessions that had not ended");
    assert_eq!(events.last().unwrap()["open"], 1);
    let mut open: Vec<_> = records.iter().map(|record| record["open"].as_u64()).collect();
    open.sort_unstable();
    assert_eq!(open, [Some(0), Some(1)], "{events:#?}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_records_are_kept() {
    let (mut evening, anna) = Evening::talk_with_the_dead("twice");
    let begun = Instant::now();
    evening.server.signal("TERM");
    evening.server.until("releasing");
    let (_, events, said) = anna.exit();
    assert_eq!(end(&events).0, "released", "{said}");
    evening.server.signal("TERM");
    let (_, records, _, took) = evening.end(begun);
    assert!(took < Duration::from_millis(3500), "{took:?}");
    assert_eq!(records.len(), 2);
}
