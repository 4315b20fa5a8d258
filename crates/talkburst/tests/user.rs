//! The binary, from outside: `talkburst user` without a server.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::path::{Path, PathBuf};

use program::{Folder, PATIENCE, run, user};
use serde_json::Value;

fn listed(folder: &Path) -> Vec<Value> {
    let (code, out, said) = user(folder, &["list", "--json"], "");
    assert_eq!(code, Some(0), "{said}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_user_is_entered_listed_changed_and_removed() {
    let folder = Folder::new("life");
    assert_eq!(user(&folder, &["add", "ben", "--password-stdin"], "one\n").0, Some(0));
    let rules = ["--bar", "carl", "--pass", "sip:dora@home1.example", "--allow-override", "anybody"];
    let add = ["add", "anna", "--display-name", "Anna \u{e4}", "--password-stdin"];
    let (code, out, said) = user(&folder, &[&add[..], &rules].concat(), "two\n");
    assert_eq!((code, out.as_str()), (Some(0), ""), "{said}");
    let users = listed(&folder);
    assert_eq!(users.len(), 2);
    assert_eq!(users[0]["address"], "sip:anna@poc.internal");
    assert_eq!(users[0]["display_name"], "Anna \u{e4}");
    assert_eq!(users[0]["rules"]["access"]["sip:carl@poc.internal"], "bar");
    assert_eq!(users[0]["rules"]["access"]["sip:dora@home1.example"], "pass");
    assert_eq!(users[0]["rules"]["allow_override"][0], "anybody");
    assert_eq!(users[1]["name"], "ben");

    assert_eq!(user(&folder, &["passwd", "ben", "--password-stdin"], "three\n").0, Some(0));
    assert_eq!(user(&folder, &["rules", "anna"], "").0, Some(0));
    assert_eq!(user(&folder, &["remove", "ben@poc.internal"], "").0, Some(0));
    let (code, out, _) = user(&folder, &["list"], "");
    assert_eq!((code, out.as_str()), (Some(0), "sip:anna@poc.internal \"Anna \u{e4}\"\n"));
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let folder = Folder::new("errors");
    let failed = |arguments: &[&str], input, code, advice: &str| {
        let (found, out, said) = user(&folder, arguments, input);
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {said}");
        assert!(said.contains(advice), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    failed(&["add", "an na", "--password-stdin"], "x\n", 2, "such as anna");
    failed(&["add", "anna@a..b", "--password-stdin"], "x\n", 2, "such as poc.internal");
    failed(&["add", "anna", "--password-stdin"], "", 3, "first line");
    failed(&["add", "anna"], "", 2, "--password-stdin");
    failed(&["add", "anna", "--password-stdin", "--bar", "tel:+1"], "x\n", 2, "sip:");
    failed(&["add", "anna", "--password-stdin", "--bar", "b", "--pass", "b"], "x\n", 2, "choose one");
    failed(&["add", "anna", "--password-stdin", "--display-name", "a\tb"], "x\n", 2, "display name");
    failed(&["remove", "anna"], "", 5, "user list");
    failed(&["passwd", "anna", "--password-stdin"], "x\n", 5, "user list");
    assert_eq!(user(&folder, &["add", "anna", "--password-stdin"], "x\n").0, Some(0));
    failed(&["add", "anna", "--password-stdin"], "y\n", 5, "already");
    failed(&["add", "ben@home1.example", "--password-stdin"], "y\n", 5, "poc.internal");
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, said) = run(&["user", "list", "--data", file.to_str().unwrap()]);
    assert_eq!(code, Some(3));
    assert!(said.contains("--data"), "{said}");
}

#[test]
fn the_first_user_settles_the_domain() {
    let folder = Folder::new("domain");
    assert_eq!(user(&folder, &["add", "anna@home1.example", "--password-stdin"], "x\n").0, Some(0));
    assert_eq!(user(&folder, &["add", "ben", "--password-stdin"], "x\n").0, Some(0));
    assert_eq!(listed(&folder)[1]["address"], "sip:ben@home1.example");
}

#[test]
fn many_at_once_enter_users_without_a_server() {
    let folder = Folder::new("many");
    std::thread::scope(|scope| {
        for each in 0..8 {
            let folder = &folder;
            scope.spawn(move || {
                let add = ["add", &format!("user{each}"), "--password-stdin"];
                let (code, _, said) = user(folder, &add, "x\n");
                assert_eq!(code, Some(0), "{said}");
            });
        }
    });
    assert_eq!(listed(&folder).len(), 8);
}

#[test]
fn a_password_is_typed_twice_and_not_shown() {
    let folder = Folder::new("typed");
    let command = format!("{} user add anna --data '{}'", env!("CARGO_BIN_EXE_talkburst"), folder.display());
    let typed = |first: &str, second: &str| {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let mut terminal = rexpect::spawn(&command, Some(patience)).unwrap();
        terminal.exp_string("Password: ").unwrap();
        terminal.send(first).unwrap();
        terminal.send_line("").unwrap();
        let shown = terminal.exp_string("Again: ").unwrap();
        assert!(!shown.contains(first), "{shown}");
        terminal.send(second).unwrap();
        terminal.send_line("").unwrap();
        terminal.exp_eof().unwrap()
    };
    assert!(typed("secret", "secrte").contains("not the same"));
    assert!(listed(&folder).is_empty());
    assert!(typed("secret", "secret").contains("is entered"));
    assert_eq!(listed(&folder).len(), 1);
}

#[test]
fn the_data_folder_is_found_by_way_of_the_environment() {
    let folder = Folder::new("environment");
    let home = PathBuf::from(&*folder).join("home");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_talkburst"))
        .args(["user", "list"])
        .env_remove("TALKBURST_DATA")
        .env("XDG_DATA_HOME", &home)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(home.join("talkburst/talkburst.sqlite").exists());
}
