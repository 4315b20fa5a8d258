//! `docs/conformance.md` is made from the tables in `docs/spec`, and what they name must exist.
//!
//! `UPDATE=1 cargo test -p talkburst --test docs conformance` writes the document anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Deserialize;

use super::{files, read, root};

/// The tables, as they follow each other in the document.
const SECTIONS: &[&str] = &[
    "founding",
    "invariants",
    "races",
    "cancelling",
    "cancelled",
    "cancelling-server",
    "client",
    "registration",
    "server",
    "descriptions",
    "talk-bursts-client",
    "talk-bursts-server",
    "user-plane",
    "sip",
    "attempts",
    "within",
    "core",
    "networks",
    "sipp-client",
    "sipp-server",
    "beyond",
    "not-yet",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    /// Without one the table goes on where the one before ended.
    title: Option<String>,
    #[serde(default)]
    intro: String,
    #[serde(default)]
    row: Vec<Row>,
    #[serde(default)]
    after: String,
}

/// A rule, where it is obeyed, and what would notice if it were not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Its name in its source, a colon, and what it asks for.
    rule: String,
    /// Below `crates`.
    #[serde(default)]
    places: Vec<String>,
    /// By name; by the end of the file's name, `::` and the name where several tests have that.
    #[serde(default)]
    tests: Vec<String>,
    /// Why it is not obeyed, or what of it is not.
    not: Option<String>,
}

fn section(name: &str) -> Section {
    let path = format!("docs/spec/{name}.toml");
    toml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sections() -> impl Iterator<Item = Section> {
    SECTIONS.iter().map(|name| section(name))
}

fn rows() -> Vec<Row> {
    sections().flat_map(|section| section.row).collect()
}

/// The files in which each test stands.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&root().join("crates")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = name.filter(|_| is_test).and_then(|rest| rest.split_once('(')) {
                found.entry(name.to_owned()).or_default().insert(file.to_string_lossy().into_owned());
            }
            let is_attribute = line.starts_with("#[") || line.starts_with("//");
            is_test = line == "#[test]" || line.starts_with("#[tokio::test") || (is_test && is_attribute);
        }
    }
    found
}

fn document() -> String {
    let mut text = String::from(
        "<!-- Made from docs/spec by `UPDATE=1 cargo test -p talkburst --test docs conformance`. -->\n\n",
    );
    text.push_str(&read("docs/spec/head.md"));
    for section in sections() {
        if let Some(title) = &section.title {
            writeln!(text, "\n## {title}").unwrap();
        }
        if !section.intro.is_empty() {
            write!(text, "\n{}", section.intro).unwrap();
        }
        if !section.row.is_empty() {
            text.push_str("\n| rule | place | tests |\n|---|---|---|\n");
        }
        for row in &section.row {
            let names = |names: &[String]| {
                let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                quoted.join(", ")
            };
            let tests = names(&row.tests);
            let proof = match &row.not {
                Some(why) if tests.is_empty() => format!("not: {why}"),
                Some(why) => format!("{tests}; not: {why}"),
                None => tests,
            };
            writeln!(text, "| {} | {} | {proof} |", row.rule, names(&row.places)).unwrap();
        }
        if !section.after.is_empty() {
            write!(text, "\n{}", section.after).unwrap();
        }
    }
    text
}

#[test]
fn the_document_is_what_the_tables_say() {
    let path = root().join("docs/conformance.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let is_current = std::fs::read_to_string(&path).unwrap() == document();
    assert!(is_current, "run UPDATE=1 cargo test -p talkburst --test docs conformance");
}

#[test]
fn every_table_is_part_of_the_document() {
    let folder = std::fs::read_dir(root().join("docs/spec")).unwrap();
    let found: BTreeSet<_> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(found, SECTIONS.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn every_row_has_a_place_and_a_test_or_says_why_not() {
    for row in rows() {
        let is_obeyed = !row.places.is_empty() && !row.tests.is_empty();
        assert!(is_obeyed || row.not.is_some(), "{}", row.rule);
        assert!(row.tests.is_empty() || !row.places.is_empty(), "{}", row.rule);
        assert!(!row.rule.contains('|') && !row.rule.contains('\n'), "{}", row.rule);
    }
}

#[test]
fn every_place_and_every_test_that_conformance_names_exists() {
    let tests = tests();
    let mut missing = Vec::new();
    for row in rows() {
        for place in &row.places {
            if !root().join("crates").join(place).exists() {
                missing.push(format!("no such place: {place}"));
            }
        }
        for test in &row.tests {
            let (file, name) = test.split_once("::").unwrap_or(("", test));
            let all = tests.get(name).into_iter().flatten().filter(|path| path.ends_with(file));
            match all.collect::<Vec<_>>()[..] {
                [] => missing.push(format!("no such test: {test}")),
                [_] => {}
                [..] => missing.push(format!("a test of this name in several files: {test}")),
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The names that the rules have in their sources: all of them, once.
#[test]
fn every_name_has_a_row_and_every_row_of_talk_bursts_a_test_of_its_name() {
    let rows = rows();
    let numbered = |letter: char, numbers: &[std::ops::RangeInclusive<u8>]| {
        let numbers: Vec<_> = numbers.iter().cloned().flatten().collect();
        numbers.into_iter().map(move |number| format!("{letter}{number:02}"))
    };
    let of_talk_bursts: Vec<_> = numbered('c', &[1..=43])
        .chain(numbered('g', &[1..=2, 10..=17, 20..=31, 40..=46, 50..=50]))
        .chain(numbered('u', &[1..=4, 10..=14, 20..=24, 30..=33, 40..=43, 50..=53, 60..=61]))
        .chain(["c14b", "g45b"].map(str::to_owned))
        .collect();
    for name in &of_talk_bursts {
        let [row] =
            &rows.iter().filter(|row| row.rule.starts_with(&format!("{name}, "))).collect::<Vec<_>>()[..]
        else {
            panic!("not one row: {name}")
        };
        assert!(row.tests.iter().all(|test| test.starts_with(&format!("{name}_"))), "{}", row.rule);
    }
    let named = [
        ("founding", (1..=7).map(|number| format!("C{number}, ")).collect::<Vec<_>>()),
        ("invariants", (1..=14).map(|number| format!("I{number}: ")).collect()),
        ("races", (1..=30).map(|number| format!("R{number}: ")).collect()),
        ("cancelling-server", (1..=11).map(|row| format!("14.5 row {row}, ")).collect()),
        ("cancelling-server", (1..=6).map(|row| format!("14.6 step 5 row {row}, ")).collect()),
        ("cancelling-server", (1..=5).map(|row| format!("14.8 row {row}, ")).collect()),
        ("user-plane", (1..=17).map(|row| format!("15 row {row}: ")).collect()),
    ];
    for (name, rules) in named {
        let rows = section(name).row;
        for rule in rules {
            assert_eq!(rows.iter().filter(|row| row.rule.starts_with(&rule)).count(), 1, "{name}: {rule}");
        }
    }
}

/// The tables of both sides of a CANCEL, as `docs/cancel.md` has them: state, event.
#[test]
fn every_state_and_event_of_cancelling_has_a_row() {
    let document = read("docs/cancel.md");
    let tables = [("## The side that cancels", "14.3"), ("## The side that is cancelled", "14.4")];
    let rows = rows();
    let mut count = 0;
    for (title, chapter) in tables {
        let (_, table) = document.split_once(title).unwrap();
        let lines = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        for line in lines.take_while(|line| line.starts_with('|')) {
            let [state, event] = line.splitn(4, '|').skip(1).take(2).map(str::trim).collect::<Vec<_>>()[..]
            else {
                panic!("{line}")
            };
            let name = format!("{chapter}, {state}, {event}: ");
            assert_eq!(rows.iter().filter(|row| row.rule.starts_with(&name)).count(), 1, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 42);
}

#[test]
fn every_rfc_that_the_code_cites_has_a_row() {
    let mut text = String::new();
    for part in ["sip", "sipcore", "poc", "talkburst"] {
        super::sources(&root().join("crates").join(part).join("src"), &mut text);
    }
    let cited = |text: &str| -> BTreeSet<String> {
        let numbers = text.split("RFC ").skip(1).filter_map(|rest| rest.get(..4));
        numbers.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned).collect()
    };
    let rules: String = rows().iter().map(|row| row.rule.as_str()).collect();
    let rows = cited(&rules);
    let missing: Vec<_> = cited(&text).into_iter().filter(|number| !rows.contains(number)).collect();
    assert!(missing.is_empty(), "no row: RFC {missing:?}");
}
