//! The binary, from outside: a server and its file of options.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::path::PathBuf;

use program::{Folder, Program, run};
use serde_json::Value;

/// A file of options in a folder of its own, and its path.
fn file(name: &str, text: &str) -> (Folder, PathBuf) {
    let folder = Folder::new(name);
    std::fs::create_dir_all(&*folder).unwrap();
    let path = folder.join("talkburst.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// A document of this project.
fn document(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(name)).unwrap()
}

#[test]
fn a_server_serves_as_its_file_says_and_flags_win() {
    let text = "domain = \"poc.example\"\ndata = \"data\"\nshards = 3\n[[listener]]\nbind = \"[::1]:0\"\n";
    let (folder, path) = file("config-serve", text);
    let path = path.to_str().unwrap();
    let mut server = Program::start(&["serve", "--config", path]);
    let listening = server.until("listening");
    assert_eq!((&listening["domain"], &listening["shards"]), (&Value::from("poc.example"), &Value::from(3)));
    assert!(listening["udp"].as_str().unwrap().starts_with("[::1]:"), "{listening}");
    // A relative path begins where the file is.
    assert_eq!(listening["data"], folder.join("data").to_str().unwrap());
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));

    let mut server = Program::start(&["serve", "--config", path, "--listen", "127.0.0.1:0", "--shards", "1"]);
    let listening = server.until("listening");
    assert_eq!((&listening["domain"], &listening["shards"]), (&Value::from("poc.example"), &Value::from(1)));
    assert!(listening["udp"].as_str().unwrap().starts_with("127.0.0.1:"), "{listening}");
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn a_wrong_file_is_refused_by_serve_and_by_check_with_all_its_faults() {
    // As docs/configuration.md shows it.
    let text = "shard = 3\n[sessions]\nsetup-timer = 30\n\n[[listener]]\nbind = \"localhost\"\n";
    let (_folder, path) = file("config-wrong", text);
    let path = path.to_str().unwrap();
    let (code, out, said) = run(&["serve", "--config", path]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(run(&["check", path]), (code, out, said.clone()));
    let shown = said.replace(path, "wrong.toml");
    assert!(document("docs/configuration.md").contains(&shown), "{shown}");

    let (code, out, said) = run(&["check", path, "--json"]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["ok"], false);
    let place = |fault: &Value| (fault["line"].as_u64().unwrap(), fault["column"].as_u64().unwrap());
    let places: Vec<_> = told["faults"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(places, [(1, 1), (3, 15), (6, 8)]);
}

#[test]
fn check_tells_what_a_file_comes_to_and_where_each_value_is_from() {
    let (_folder, path) =
        file("config-check", "data = \"/d\"\nshards = 3\n\n[sessions]\nsetup-timer = \"5s\"\n");
    let (code, first, said) = run(&["check", path.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    for (option, from) in
        [("shards = 3", "line 2"), ("setup-timer = \"5s\"", "line 5"), ("early-answer = false", "default")]
    {
        let line = first.lines().find(|line| line.starts_with(option)).unwrap();
        assert!(line.ends_with(&format!("# {from}")), "{line}");
    }
    // It is a file itself, and comes to the same.
    let (_folder, second) = file("config-check-again", &first);
    let (code, again, _) = run(&["check", second.to_str().unwrap()]);
    let values = |text: &str| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(" # ").next().unwrap().trim().to_owned()).collect()
    };
    assert_eq!((code, values(&again)), (Some(0), values(&first)));

    let (code, out, _) = run(&["check", path.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["ok"]), (Some(0), &Value::from(true)));
    let shards = told["options"].as_array().unwrap().iter().find(|each| each["option"] == "shards").unwrap();
    assert_eq!((&shards["value"], &shards["from"]), (&Value::from(3), &Value::from("line 2")));
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let (code, _, said) = run(&["check", "/nonexistent/talkburst.toml"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("/nonexistent/talkburst.toml: No such file"), "{said}");
    assert_eq!(run(&["serve", "--config", "/nonexistent/talkburst.toml"]), (code, String::new(), said));
}

#[test]
fn the_example_of_the_document_is_fine() {
    let text = document("docs/configuration.md");
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (_folder, path) = file("config-example", example);
    let (code, _, said) = run(&["check", path.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn the_document_has_what_the_program_tells_of_its_options() {
    let (code, told, _) = run(&["check", "--options"]);
    assert_eq!(code, Some(0));
    assert!(document("docs/configuration.md").contains(&told), "talkburst check --options has changed");
}
