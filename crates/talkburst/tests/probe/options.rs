//! What is typed, and what is told.

use crate::callee::{self, Flaw};
use crate::program::{run, scratch};

#[test]
fn the_list_names_each_case_with_its_source() {
    let (code, list, _) = run(&["probe", "--list"]);
    assert_eq!(code, Some(0));
    assert!(list.lines().count() > 100, "{list}");
    assert!(list.lines().any(|line| line.starts_with("C36 ") && line.contains("RFC 3261")), "{list}");
    let (_, list, _) = run(&["probe", "--list", "--case", "c36", "--json"]);
    let first: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(first["case"], "C36");
}

#[test]
fn people_see_the_rule_the_ladder_and_a_table() {
    let uri = format!("sip:callee@{}", callee::start(Flaw::Busy));
    let (code, shown, told) = run(&["probe", &uri, "--case", "C50"]);
    assert_eq!(code, Some(1));
    for part in ["RFC 3261 §9.2", "CANCEL", "486 (INVITE)", "1 cases: 0 pass, 1 fail, 0 inconclusive"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(told.contains("1/1 fail"), "{told}");
}

#[test]
fn a_file_for_who_collects_tests_has_each_verdict() {
    let path = scratch("junit.xml");
    let uri = format!("sip:callee@{}", callee::start(Flaw::Busy));
    let arguments = ["--case", "C49", "--case", "C50", "--case", "C60", "--junit", path.to_str().unwrap()];
    run(&[&["probe", &uri], &arguments[..]].concat());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for part in
        ["tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"", "<failure message=\"the INVITE is answered"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (arguments, why) in [
        (&["probe"][..], "no case to play"),
        (&["probe", "sip:ben@127.0.0.1", "--case", "C999"], "no such case"),
        (&["probe", "sip:ben@example.com"], "--proxy"),
        (&["probe", "ben"], "not a SIP URI"),
    ] {
        let (code, _, said) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(said.contains(why), "{said}");
    }
}
