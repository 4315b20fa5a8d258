//! Ours keep every rule: `answer`, `call` and `serve`.

use crate::Verdicts;
use crate::program::{Folder, Program, user};
use crate::sipping::{PORT, own_address};

/// T1 of both sides: 64·T1 is 3.2 seconds.
const T1: [&str; 4] = ["--t1", "50ms", "--patience", "1s"];

#[test]
fn our_client_that_is_called_passes_every_case() {
    let (rings, answers, own) = (own_address(), own_address(), own_address().to_string());
    let start = |at: &str, arguments: &[&str]| {
        let mut client = Program::start(&[&["answer", "--listen", at, "--t1", "50ms"], arguments].concat());
        client.until("listening");
        client
    };
    let (at, later) = (format!("{rings}:{PORT}"), format!("{answers}:{PORT}"));
    let _rings = start(&at, &["--manual", "--reliable"]);
    let _answers = start(&later, &["--auto"]);
    let (uri, other) = (format!("sip:ben@{at}"), format!("sip:ben@{later}"));
    let verdicts =
        Verdicts::of(&[&[uri.as_str(), "--answers", &other, "--listen", &own, "--poc"], &T1[..]].concat());
    verdicts.check(&[]);
    assert!(verdicts.of.len() > 50 && verdicts.code == Some(0), "{}", verdicts.of.len());
}

#[test]
fn our_client_that_calls_and_gives_up_passes_every_case() {
    let (own, at) = (own_address().to_string(), own_address());
    let call = format!(
        "{} call {{uri}} --listen {at}:0 --t1 50ms --cancel-after 300ms --json",
        env!("CARGO_BIN_EXE_talkburst")
    );
    let verdicts = Verdicts::of(
        &[
            &["--calls-with", &call, "--gives-up-after", "300ms", "--listen", &own, "--jobs", "8", "--long"],
            &T1[..],
        ]
        .concat(),
    );
    verdicts.check(&[]);
    assert!(verdicts.of.len() > 35 && verdicts.code == Some(0), "{}", verdicts.of.len());
}

#[test]
fn our_core_between_two_phones_passes_every_case() {
    let (at, own) = (own_address(), own_address().to_string());
    let folder = Folder::new(&format!("probe-{at}"));
    for name in ["anna", "ben"] {
        user(&folder, &["add", name, "--password-stdin", "--plain-phone"], name);
    }
    let passwords = folder.join("passwords");
    std::fs::write(&passwords, "anna\nben\n").unwrap();
    let listen = format!("{at}:{PORT}");
    let mut server = Program::start(&["serve", "--listen", &listen, "--data", folder.to_str().unwrap()]);
    server.until("listening");
    let users = ["--user", "sip:anna@poc.internal", "--user", "sip:ben@poc.internal"];
    let own = ["--through", &listen, "--listen", &own, "--password-file", passwords.to_str().unwrap()];
    let verdicts = Verdicts::of(&[&own[..], &users].concat());
    verdicts.check(&[]);
    assert!(verdicts.of.len() > 20 && verdicts.code == Some(0), "{}", verdicts.of.len());
}
