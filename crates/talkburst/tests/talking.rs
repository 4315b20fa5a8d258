//! Programs that speak: a server, those who take part, and what each of them hears, over real sockets.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::os::unix::fs::DirBuilderExt;

use program::{Folder, Program, client, end, group, user};
use serde_json::Value;

const NAMES: [&str; 3] = ["anna", "ben", "cara"];

/// A server with three users and a chat group.
fn network(name: &str) -> (Folder, Program, String) {
    network_where(name, "")
}

/// The same whose server has more in its file.
fn network_where(name: &str, options: &str) -> (Folder, Program, String) {
    let folder = Folder::new(name);
    std::fs::DirBuilder::new().mode(0o700).create(&*folder).unwrap();
    let (data, config) = (folder.to_str().unwrap(), folder.join("talkburst.toml"));
    std::fs::write(&config, options).unwrap();
    let own = ["serve", "--listen", "127.0.0.1:0", "--shards", "2", "--data", data];
    let mut server = Program::start(&[&own[..], &["--config", config.to_str().unwrap()]].concat());
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    for name in NAMES {
        assert_eq!(user(&folder, &["add", name, "--password-stdin"], name).0, Some(0));
        std::fs::write(folder.join(name), name).unwrap();
    }
    assert_eq!(group(&folder, &["add", "field", "--kind", "chat", "--joins", "anybody"]).0, Some(0));
    (folder, server, address)
}

/// Whether this event is a talk burst that has come to this.
fn is_burst(event: &Value, state: &str) -> bool {
    event["event"] == "talk-burst" && event["talk_burst"] == state
}

fn heard(events: &[Value]) -> u64 {
    events
        .iter()
        .filter(|event| event["event"] == "heard")
        .filter_map(|event| event["packets"].as_u64())
        .sum()
}

#[test]
fn what_the_caller_says_is_heard_by_who_is_called_and_by_nobody_before() {
    let (folder, _server, address) = network("talk-one");
    let mut ben = client(&folder, &address, "ben", &["answer", "--auto", "--once"]);
    ben.until("published");
    let anna =
        client(&folder, &address, "anna", &["call", "ben", "--talk-for", "400ms", "--leave-after", "800ms"]);
    let (code, events, said) = anna.exit();
    assert_eq!(code, Some(0), "{said}");
    // User-plane digest 9: by the 200, which knows no time, and by Talk Burst Granted, which does.
    let granted = events.iter().filter(|event| is_burst(event, "granted"));
    let seconds: Vec<_> = granted.map(|event| event["seconds"].as_u64()).collect();
    assert_eq!(seconds, [None, Some(30)], "{events:?}");
    let (_, events, _) = ben.exit();
    let taken = events.iter().find(|event| is_burst(event, "taken")).unwrap();
    assert_eq!(taken["by"], "sip:anna@poc.internal");
    let packets = heard(&events);
    assert!((18..=21).contains(&packets), "400 ms are 20 packets: {packets}");
}

#[test]
fn in_a_chat_one_speaks_and_who_is_more_urgent_takes_the_talk_burst() {
    let (folder, _server, address) = network("talk-chat");
    let join = |name, more: &[&str]| {
        let mut client = client(&folder, &address, name, &[&["call", "field", "--chat"], more].concat());
        client.until("established");
        client
    };
    let cara = join("cara", &["--leave-after", "4s"]);
    let mut ben = join("ben", &["--talk-for", "3s", "--leave-after", "3500ms"]);
    while !is_burst(&ben.until("talk-burst"), "granted") {}
    let anna = join(
        "anna",
        &["--talk-for", "500ms", "--talk-after", "200ms", "--priority", "pre-emptive", "--leave-after", "2s"],
    );
    let (_, annas, said) = anna.exit();
    assert!(annas.iter().any(|event| is_burst(event, "granted")), "{said}: {annas:?}");
    let (_, bens, _) = ben.exit();
    let revoked = bens.iter().find(|event| is_burst(event, "revoked")).unwrap();
    assert_eq!(revoked["reason"], "somebody more important speaks");
    let packets = heard(&bens);
    assert!((20..=26).contains(&packets), "500 ms are 25 packets: {packets}");
    let (_, caras, _) = cara.exit();
    let speakers: Vec<_> = caras
        .iter()
        .filter(|event| is_burst(event, "taken"))
        .map(|event| event["by"].as_str().unwrap())
        .collect();
    assert_eq!(speakers, ["sip:ben@poc.internal", "sip:anna@poc.internal"]);
    assert!(heard(&caras) > packets, "she has heard both");
}

/// User-plane digest 4.5.
#[test]
fn who_may_only_listen_is_denied_and_hears() {
    let (folder, _server, address) = network("talk-listen");
    let quiet = ["add", "depot", "--kind", "chat", "--joins", "anybody", "--speaks", "members"];
    assert_eq!(group(&folder, &quiet).0, Some(0));
    assert_eq!(group(&folder, &["member", "add", "depot", "anna"]).0, Some(0));
    let join = |name, more: &[&str]| {
        let mut client = client(&folder, &address, name, &[&["call", "depot", "--chat"], more].concat());
        client.until("established");
        client
    };
    let ben = join("ben", &["--talk-for", "300ms", "--leave-after", "2s"]);
    let talk = ["--talk-after", "500ms", "--talk-for", "400ms", "--leave-after", "1200ms"];
    let (code, annas, said) = join("anna", &talk).exit();
    assert_eq!((code, heard(&annas)), (Some(0), 0), "{said}");
    let (_, bens, _) = ben.exit();
    let denied = bens.iter().find(|event| is_burst(event, "denied")).unwrap();
    assert_eq!(denied["reason"], "this user only listens");
    let packets = heard(&bens);
    assert!((18..=21).contains(&packets), "400 ms are 20 packets: {packets}");
}

/// User-plane digest 5.4, 7: by TBCP where that is on, and by re-INVITE where it is not.
#[test]
fn who_answers_by_itself_over_a_pre_established_session_is_connected_hears_and_is_disconnected() {
    for (options, is_connected) in [("", true), ("[talk-bursts]\nconnects = false\n", false)] {
        let (folder, _server, address) = network_where(&format!("talk-connect-{is_connected}"), options);
        let answer = ["answer", "--auto", "--once", "--pre-established", "--ladder"];
        let mut ben = client(&folder, &address, "ben", &answer);
        ben.until("published");
        ben.until("pre-established");
        let call = ["call", "ben", "--talk-for", "400ms", "--leave-after", "800ms"];
        let (code, events, said) = client(&folder, &address, "anna", &call).exit();
        assert_eq!(code, Some(0), "{said}");
        assert!(events.iter().any(|event| is_burst(event, "granted")), "{events:?}");
        let (code, events, ladder) = ben.exit();
        assert_eq!((code, end(&events)), (Some(0), ("released", "remote", None)), "{ladder}");
        let invited = events.iter().find(|event| event["event"] == "invited").unwrap();
        assert_eq!(invited["session_type"], "1-1");
        let packets = heard(&events);
        assert!((18..=21).contains(&packets), "400 ms are 20 packets: {packets}\n{ladder}");
        let order = ["Connect", "Talk Burst Taken", "Disconnect"].map(|message| ladder.find(message));
        match is_connected {
            true => assert!(order.is_sorted() && order[0].is_some(), "{order:?}\n{ladder}"),
            false => assert_eq!([order[0], order[2]], [None, None], "{ladder}"),
        }
        let is_invited = |line: &str| line.contains('◄') && line.contains("─ INVITE ─");
        assert_eq!(ladder.lines().any(is_invited), !is_connected, "{ladder}");
    }
}
