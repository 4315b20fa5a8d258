//! What the documents name must exist.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod conformance;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust source below `folder`, in one text.
fn sources(folder: &Path, text: &mut String) {
    for file in files(folder) {
        text.push_str(&std::fs::read_to_string(file).unwrap());
    }
}

/// Every Rust source below `folder`, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = read("README.md");
    let block = readme.split("```").nth(1).unwrap();
    let commands: Vec<_> = block.lines().skip(1).map(|line| line.split('#').next().unwrap().trim()).collect();
    assert_eq!(commands, ["cargo run --release -- demo", "cargo test --workspace"]);
}

#[test]
fn every_file_that_a_document_links_to_exists() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/configuration.md",
        "docs/conformance.md",
        "docs/interoperability.md",
        "docs/observing.md",
        "docs/operations.md",
        "docs/performance.md",
        "docs/reliability.md",
        "docs/replay.md",
        "docs/responses.md",
        "docs/screen.md",
    ] {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let beside = Path::new(document).parent().unwrap().join(link);
            assert!(link.starts_with("http") || root().join(&beside).exists(), "{document}: {link}");
        }
    }
}

/// Whether `name` stands in `text` as a word.
fn names(text: &str, name: &str) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.match_indices(name).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !is_word(before) && !is_word(bytes.get(at + name.len()))
    })
}

#[test]
fn every_defect_and_every_mistake_that_an_endpoint_can_make_is_named_by_a_test() {
    let mut text = String::new();
    for part in
        ["sip/tests", "sip/src", "poc/src", "poc/tests", "sipcore/tests", "sim/tests", "talkburst/tests"]
    {
        sources(&root().join("crates").join(part), &mut text);
    }
    let document = read("docs/cancel.md");
    let mistakes = (1..=14).map(|number| format!("item {number}"));
    // Rows of defects (C01) and of tests (T1).
    let rows = document.lines().filter(|line| !line.contains("(not yet: "));
    let ids = rows.filter_map(|line| line.strip_prefix("| ")?.split_once(" |")).map(|(id, _)| id.to_owned());
    let is_named = |id: &String| {
        let number = id.strip_prefix(['C', 'T']).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let text = text.replace("Item ", "item ");
    let wanted: Vec<_> = ids.filter(is_named).chain(mistakes).collect();
    assert!(wanted.len() > 60, "{}", wanted.len());
    let missing: Vec<_> = wanted.iter().filter(|id| !names(&text, id)).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}
