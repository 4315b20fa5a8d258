//! Journals of real processes, replayed: the same comes of them, to the octet.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::path::{Path, PathBuf};

use program::{Folder, Program, run, user};

const CALLER: &str = "marguerite";
const CALLED: &str = "bartholomew";
const PASSWORD: &str = "swordfish";
const ADDRESS: &str = "127.77.66.55";

/// A cancelled call, and one with a talk burst; the journals of the server and of both clients.
fn journals(name: &str, shards: &str) -> (Folder, [PathBuf; 3]) {
    let folder = Folder::new(name);
    let files = ["server", CALLER, CALLED].map(|who| folder.join(format!("{who}.journal")));
    let [ours, callers, calleds] = &files;
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let listen = format!("{ADDRESS}:0");
    let data = folder.to_str().unwrap();
    let mut server = Program::start(&[
        "serve",
        "--listen",
        &listen,
        "--shards",
        shards,
        "--data",
        data,
        "--journal",
        &text(ours),
    ]);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    let password = folder.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    for name in [CALLER, CALLED] {
        assert_eq!(user(&folder, &["add", name, "--password-stdin"], PASSWORD).0, Some(0));
    }
    let client = |who: &str, journal: &str, arguments: &[&str]| {
        let password = text(&password);
        let own = ["--server", &address, "--user", who, "--password-file", &password, "--listen", &listen];
        Program::start(&[arguments, &own, &["--journal", journal]].concat())
    };
    let mut called = client(CALLED, &text(calleds), &["answer", "--answer-after", "700ms"]);
    called.until("published");
    // She gives up before he answers; then she waits.
    let caller = client(
        CALLER,
        &text(&folder.join("cancelled.journal")),
        &["call", CALLED, "--cancel-after", "300ms"],
    );
    let (code, events, said) = caller.exit();
    assert_eq!(program::end(&events).0, "cancelled", "{code:?} {said} {events:?}");
    let talk = ["call", CALLED, "--talk-for", "400ms", "--leave-after", "900ms"];
    let (code, events, said) = client(CALLER, &text(callers), &talk).exit();
    assert_eq!(code, Some(0), "{said}");
    assert!(events.iter().any(|event| event["talk_burst"] == "granted"), "{events:?}");
    called.signal("TERM");
    called.exit();
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
    (folder, files)
}

fn replay(file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(&[&["replay", file.to_str().unwrap()], more].concat())
}

#[test]
fn a_server_and_two_clients_with_a_cancelled_call_and_a_talk_burst_replay_to_the_same_octets() {
    let (folder, files) = journals("replay-same", "2");
    for file in files.iter().chain([&folder.join("cancelled.journal")]) {
        let (code, out, said) = replay(file, &[]);
        assert_eq!(code, Some(0), "{}: {out}{said}", file.display());
        assert!(out.contains("identical: "), "{out}");
        assert!(!out.contains("not complete"), "{out}");
    }
    let (_, out, _) = replay(&files[0], &[]);
    assert!(out.contains("shard 0: ") && out.contains("shard 1: "), "{out}");
    let (_, out, _) = replay(&folder.join("cancelled.journal"), &["--ladder"]);
    assert!(out.contains("CANCEL") && out.contains("487 (INVITE)"), "{out}");
    let (_, out, _) = replay(&files[1], &["--ladder"]);
    assert!(out.contains("speech ×20") && out.contains("told: speak"), "{out}");
}

#[test]
fn an_octet_that_was_changed_is_noticed_and_shown_where_it_is_and_what_a_crash_leaves_is_replayed() {
    let (folder, files) = journals("replay-changed", "1");
    let whole = std::fs::read(&files[0]).unwrap();
    let damaged = folder.join("damaged.journal");
    let invite = whole.windows(11).position(|window| window == b"INVITE sip:").unwrap();
    let mut octets = whole.clone();
    octets[invite + 8] ^= 1;
    std::fs::write(&damaged, &octets).unwrap();
    let (code, _, said) = replay(&damaged, &[]);
    assert_eq!(code, Some(3), "{said}");
    let place = said.split("at octet ").nth(1).unwrap().split(',').next().unwrap().parse::<usize>().unwrap();
    assert!(said.contains("is not as it was written"), "{said}");
    assert!(place <= invite && invite - place < 4096, "{place}, {invite}");

    std::fs::write(&damaged, &whole[..invite + 40]).unwrap();
    let (code, out, said) = replay(&damaged, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("the journal is not complete: it ends within record "), "{out}");
    assert!(out.contains("identical: "), "{out}");

    std::fs::write(&damaged, b"talkburst journal 9\nand more").unwrap();
    assert!(replay(&damaged, &[]).2.contains("another version"));
    std::fs::write(&damaged, b"something else altogether").unwrap();
    assert!(replay(&damaged, &[]).2.contains("it is no journal"));
}
