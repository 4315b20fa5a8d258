//! `talkburst sim`: whole systems from a seed.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::process::{Command, Output};

use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_talkburst")).arg("sim").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_octets_and_another_seed_gives_others() {
    let arguments = ["--minutes", "20", "--clients", "80"];
    for kind in ["--seed", "--json"] {
        let run = |seed: &str| {
            let extra: &[&str] =
                if kind == "--json" { &["--json", "--seed", seed] } else { &["--seed", seed] };
            let output = sim(&[&arguments[..], extra].concat());
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            text(&output)
        };
        let first = run("5");
        assert_eq!(first, run("5"));
        assert_ne!(first, run("6"));
    }
}

#[test]
fn a_run_says_what_was_met_in_it() {
    let output = sim(&["--seed", "3", "--minutes", "30", "--clients", "160", "--json"]);
    let report: Value = serde_json::from_str(&text(&output)).unwrap();
    let count = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {report}"))
    };
    assert_eq!(count("/clients"), 160);
    assert!(count("/stories") > 50);
    assert!(count("/deeds/calls") > 200);
    assert!(count("/deeds/clients that died") > 0);
    assert!(
        count("/messages/lost") > 100
            && count("/messages/doubled") > 100
            && count("/messages/overtook") > 100
    );
    assert!(count("/media/sent") > 1000);
    for what in [
        "cancelled while ringing",
        "cancelled before any 1xx",
        "crossing at Controlling",
        "talk burst: speech that was heard",
    ] {
        assert!(count(&format!("/met/{what}")) > 0, "{what}");
    }
}

/// What is looked for is a fault as any other: the run stops, and a small story of it is shown, which is told again by the command.
#[test]
fn a_fault_among_many_stories_is_shown_as_a_short_one_and_the_command_tells_it_again() {
    let wanted = "crossing at a core";
    let output = sim(&["--seed", "2", "--minutes", "30", "--clients", "80", "--find", wanted]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output);
    assert!(shown.contains(&format!("broken: found: {wanted}")), "{shown}");
    assert!(shown.contains("CANCEL"), "{shown}");
    let rows = shown.lines().filter(|line| line.contains("ms ")).count();
    assert!(rows < 300, "{rows} rows\n{shown}");
    let again = shown.lines().find_map(|line| line.trim().strip_prefix("again: talkburst sim ")).unwrap();
    let words: Vec<_> =
        again.replace(&format!("'{wanted}'"), "WANTED").split(' ').map(str::to_owned).collect();
    let words: Vec<_> = words.iter().map(|word| if word == "WANTED" { wanted } else { word }).collect();
    let output = sim(&words);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output), shown);
}

#[test]
fn a_ladder_has_room_for_one_district_only() {
    let output = sim(&["--seed", "1", "--clients", "80", "--ladder"]);
    assert_eq!(output.status.code(), Some(2));
    let output = sim(&["--seed", "1", "--minutes", "5", "--clients", "8", "--ladder"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains(" INVITE "), "{}", text(&output));
}
