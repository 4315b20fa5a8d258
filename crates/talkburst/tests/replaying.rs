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

/// Whether any of `words` stands in the file: as it is, in hexadecimal digits or in base64, in whatever case.
fn told(file: &Path, words: &[Vec<u8>]) -> Vec<String> {
    let octets = std::fs::read(file).unwrap().to_ascii_lowercase();
    let holds = |form: Vec<u8>| {
        let form = form.to_ascii_lowercase();
        octets.windows(form.len()).any(|window| window == form)
    };
    let hexadecimal =
        |word: &[u8]| word.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into_bytes();
    let forms = |word: &Vec<u8>| [word.clone(), hexadecimal(word), base64(word)];
    let found = words.iter().filter(|word| forms(word).into_iter().any(holds));
    found.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// RFC 4648 §4, as far as whole groups of three octets go.
fn base64(word: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups =
        word.chunks_exact(3).map(|group| group.iter().fold(0, |all, octet| all << 8 | usize::from(*octet)));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| ALPHABET[group >> shift & 63])).collect()
}

/// Redacts it, and replays what comes of it.
fn redacted(file: &Path) -> PathBuf {
    let redacted = file.with_extension("redacted");
    let (code, out, said) = replay(file, &["--redact", redacted.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{}: {out}{said}", file.display());
    let (code, out, said) = replay(&redacted, &[]);
    assert_eq!(code, Some(0), "{}: {out}{said}", file.display());
    assert!(out.contains(", redacted"), "{out}");
    redacted
}

#[test]
fn a_redacted_journal_replays_alike_and_nothing_in_it_tells_who_called_whom_from_where_or_what_was_said() {
    let (folder, files) = journals("replay-redacted", "2");
    let mut words: Vec<Vec<u8>> =
        [CALLER, CALLED, PASSWORD, ADDRESS, "poc.internal"].map(|word| word.into()).to_vec();
    for name in [CALLER, CALLED] {
        let ha1 = sipcore::Ha1::of(name.as_bytes(), b"poc.internal", PASSWORD.as_bytes());
        words.extend(ha1.digits().map(<[u8]>::to_vec));
    }
    assert_eq!(
        told(&files[0], &words),
        [CALLER, CALLED, ADDRESS, "poc.internal"]
            .map(str::to_owned)
            .to_vec()
            .into_iter()
            .chain(words[5..].iter().map(|word| String::from_utf8(word.clone()).unwrap()))
            .collect::<Vec<_>>()
    );
    for file in files.iter().chain([&folder.join("cancelled.journal")]) {
        assert_eq!(told(&redacted(file), &words), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn a_group_and_what_is_written_to_its_members_are_redacted_too_and_what_is_no_journal_leaves_no_file() {
    const LISTED: &str = "ferdinand";
    let folder = Folder::new("replay-redacted-group");
    let (journal, password) = (folder.join("server.journal"), folder.join("password"));
    let (listen, data) = (format!("{ADDRESS}:0"), folder.to_str().unwrap());
    let ours = journal.to_str().unwrap();
    let serve = ["serve", "--listen", &listen, "--shards", "2", "--data", data, "--journal", ours];
    let mut server = Program::start(&serve);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    std::fs::write(&password, PASSWORD).unwrap();
    for name in [CALLER, CALLED, LISTED] {
        assert_eq!(user(&folder, &["add", name, "--password-stdin"], PASSWORD).0, Some(0));
    }
    let named = ["add", "lighthouse", "--kind", "prearranged", "--display-name", "Harbour Keepers"];
    assert_eq!(program::group(&folder, &named).0, Some(0));
    let members = ["member", "add", "lighthouse", CALLER, CALLED, LISTED];
    assert_eq!(program::group(&folder, &members).0, Some(0));
    let client = |who: &str, arguments: &[&str]| {
        let password = password.to_str().unwrap();
        let own = ["--server", &address, "--user", who, "--password-file", password, "--listen", &listen];
        Program::start(&[arguments, &own].concat())
    };
    let mut called = [CALLED, LISTED].map(|who| client(who, &["answer", "--answer-after", "200ms"]));
    for called in &mut called {
        called.until("published");
    }
    let call = ["call", "--group", "lighthouse", "--talk-for", "300ms", "--leave-after", "1500ms"];
    let (code, events, said) = client(CALLER, &call).exit();
    assert_eq!(code, Some(0), "{said} {events:?}");
    let (code, _, said) = client(CALLER, &["alert", CALLED, "--text", "elderberry harvest"]).exit();
    assert_eq!(code, Some(0), "{said}");
    for called in called {
        called.signal("TERM");
        called.exit();
    }
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
    let words =
        [CALLER, CALLED, LISTED, "lighthouse", "harbour", "keepers", "elderberry", "harvest", ADDRESS];
    let words = words.map(|word| word.as_bytes().to_vec());
    assert_eq!(told(&journal, &words).len(), words.len());
    assert_eq!(told(&redacted(&journal), &words), Vec::<String>::new());

    let (other, out) = (folder.join("other"), folder.join("out"));
    std::fs::write(&other, b"something else altogether").unwrap();
    assert_eq!(replay(&other, &["--redact", out.to_str().unwrap()]).0, Some(3));
    assert_eq!(replay(&journal, &["--redact", ours]).0, Some(3));
    assert!(!out.exists());
}
