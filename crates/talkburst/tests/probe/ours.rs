//! Ours keep every rule: `answer`, `call` and `serve`.

use crate::Verdicts;
use crate::program::{Folder, Program, user};
use crate::sipping::{PORT, own_address};

/// T1 of both sides: 64·T1 is 3.2 seconds.
const T1: [&str; 4] = ["--t1", "50ms", "--patience", "1s"];

#[test]
fn our_client_that_is_called_passes_every_case() {
    called("udp", &[], 50);
}

#[test]
fn our_client_that_is_called_over_tcp_passes_every_case() {
    // It takes a CANCEL on the connection of its INVITE only.
    called("tcp", &[("R30", "inconclusive")], 45);
}

fn called(transport: &str, exceptions: &[(&str, &str)], least: usize) {
    let (rings, answers, own) = (own_address(), own_address(), own_address().to_string());
    let start = |at: &str, arguments: &[&str]| {
        let mut client = Program::start(&[&["answer", "--listen", at, "--t1", "50ms"], arguments].concat());
        client.until("listening");
        client
    };
    let (at, later) = (format!("{rings}:{PORT}"), format!("{answers}:{PORT}"));
    let _rings = start(&at, &["--manual", "--reliable"]);
    let _answers = start(&later, &["--auto"]);
    let uri = format!("sip:ben@{at};transport={transport}");
    let other = format!("sip:ben@{later};transport={transport}");
    let verdicts =
        Verdicts::of(&[&[uri.as_str(), "--answers", &other, "--listen", &own, "--poc"], &T1[..]].concat());
    verdicts.check(exceptions);
    assert!(verdicts.of.len() > least, "{}", verdicts.of.len());
}

/// What our client is told beside whom to call.
const LONG_NAME: &str = "--user '\"Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna \
    Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna Anna\" <sip:anna@example.com>'";

#[test]
fn our_client_that_calls_and_gives_up_passes_every_case() {
    calling("udp", "", &[("C13", "inconclusive")], 35);
}

#[test]
fn our_client_that_calls_over_tcp_passes_every_case() {
    calling("tcp", "", &[], 35);
}

#[test]
fn an_invite_of_ours_that_is_too_long_for_a_datagram_is_cancelled_where_it_went() {
    calling("udp", LONG_NAME, &[], 1);
}

fn calling(transport: &str, more: &str, exceptions: &[(&str, &str)], least: usize) {
    let (own, at) = (own_address().to_string(), own_address());
    let call = format!(
        "{} call {{uri}} --listen {at}:0 --t1 50ms --cancel-after 300ms --json {more}",
        env!("CARGO_BIN_EXE_talkburst")
    );
    let own = ["--calls-with", &call, "--gives-up-after", "300ms", "--listen", &own, "--jobs", "8", "--long"];
    let only: &[&str] = if more.is_empty() { &[] } else { &["--case", "C13"] };
    let verdicts = Verdicts::of(&[&own, &T1[..], &["--transport", transport], only].concat());
    verdicts.check(exceptions);
    assert!(verdicts.of.len() >= least, "{}", verdicts.of.len());
}

#[test]
fn our_core_between_two_phones_passes_every_case() {
    between("udp", true, &[], 26);
}

#[test]
fn our_core_between_two_phones_over_tcp_passes_every_case() {
    between("tcp", true, &[("R30", "inconclusive")], 22);
}

#[test]
fn our_server_between_two_poc_clients_is_known() {
    // It is a user agent on either side, and answers a re-INVITE itself. Its CANCEL to the invited client is not sent again.
    between("udp", false, &[("C61", "inconclusive"), ("S4", "fail")], 26);
}

fn between(transport: &str, are_phones: bool, exceptions: &[(&str, &str)], least: usize) {
    let (at, own) = (own_address(), own_address().to_string());
    let folder = Folder::new(&format!("probe-{at}"));
    for name in ["anna", "ben"] {
        let kind: &[&str] = if are_phones { &["--plain-phone"] } else { &[] };
        user(&folder, &[&["add", name, "--password-stdin"], kind].concat(), name);
    }
    let passwords = folder.join("passwords");
    std::fs::write(&passwords, "anna\nben\n").unwrap();
    let listen = format!("{at}:{PORT}");
    let mut server = Program::start(&["serve", "--listen", &listen, "--data", folder.to_str().unwrap()]);
    server.until("listening");
    let poc: &[&str] = if are_phones { &[] } else { &["--poc"] };
    let users = ["--user", "sip:anna@poc.internal", "--user", "sip:ben@poc.internal"];
    let own = ["--through", &listen, "--listen", &own, "--password-file", passwords.to_str().unwrap()];
    let verdicts = Verdicts::of(&[&own[..], &users, &["--transport", transport], poc].concat());
    verdicts.check(exceptions);
    assert!(verdicts.of.len() >= least, "{}", verdicts.of.len());
}
