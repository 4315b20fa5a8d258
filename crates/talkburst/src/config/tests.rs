use super::*;
use crate::store::fixture::Scratch;

/// What a file comes to.
fn read_file(text: &str) -> Result<Configuration, String> {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path()).unwrap();
    let path = scratch.path().join("talkburst.toml");
    std::fs::write(&path, text).unwrap();
    let folder = scratch.path().display().to_string();
    let read = read(Some(&path), &Flags::default(), || Ok("/data".into()));
    read.map_err(|failure| failure.to_string().replace(&(folder + "/"), ""))
}

fn faults(text: &str) -> String {
    read_file(text).unwrap_err()
}

fn with_flags(text: &str, change: impl FnOnce(&mut Flags)) -> Result<Configuration, String> {
    let mut flags = Flags::default();
    change(&mut flags);
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path()).unwrap();
    let path = scratch.path().join("talkburst.toml");
    std::fs::write(&path, text).unwrap();
    read(Some(&path), &flags, || Ok("/data".into())).map_err(|failure| failure.to_string())
}

#[test]
fn an_empty_file_comes_to_the_defaults() {
    let settings = read_file("").unwrap().settings;
    assert_eq!(settings, Settings::new("/data".into()));
}

#[test]
fn an_unknown_name_is_told_with_its_place_its_table_and_the_nearest_name() {
    insta::assert_snapshot!(faults("shard = 3"));
    insta::assert_snapshot!(faults("[sessions]\n  setup_timer = \"3s\""));
    insta::assert_snapshot!(faults("t1 = \"3s\""));
    insta::assert_snapshot!(faults("[timers]\nshards = 1"));
    insta::assert_snapshot!(faults("[session]\nsetup-timer = \"3s\""));
    insta::assert_snapshot!(faults("[[listener]]\nbind = \"127.0.0.1\"\nbnid = 1"));
    insta::assert_snapshot!(faults("[limits]\nxyzzy = 1"));
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_is_expected() {
    insta::assert_snapshot!(faults(
        r#"
shards = "two"
core = "elsewhere"
data = 3
trusted = "192.0.2.7"
domain = "a..b"
timers = 5
listener = "127.0.0.1"
release-within = 5

[sessions]
setup-timer = "171s"
ring-limit = "a while"
early-answer = "yes"
reliable = "often"
session-expires = "10s"
invited-max = 0
min-se = 1.5

[log]
filter = "info,=,"

[metrics]
listen = "here"

[[peer]]
domain = "-"
address = "192.0.2.2"
"#
    ));
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    insta::assert_snapshot!(faults("shards = \n[timers\nt1 = \"1s\""));
    insta::assert_snapshot!(faults("shards = 1\nshards = 2"));
}

#[test]
fn options_that_do_not_go_together_are_told_all_at_once() {
    insta::assert_snapshot!(faults(
        r#"
domain = "poc.example"
trusted = ["192.0.2.7", "0.0.0.0", "192.0.2.7"]

[[listener]]
bind = "192.0.2.1"
advertise = "0.0.0.0"

[[listener]]
bind = "192.0.2.1:5060"
advertise = "::1"

[[listener]]
bind = "192.0.2.1:5062"
advertise = "198.51.100.1:5060"

[[listener]]
bind = "0.0.0.0:5062"
advertise = "198.51.100.1:5060"

[[listener]]
advertise = "192.0.2.1"

[[peer]]
domain = "POC.example"
address = "192.0.2.1:5062"

[[peer]]
domain = "b"
address = "[2001:db8::1]:5060"

[[peer]]
domain = "b"
address = "192.0.2.9:5060"

[[peer]]
domain = "c"

[timers]
t2 = "100ms"

[sessions]
setup-timer = "30s"
ring-limit = "20s"
session-expires = "90s"
min-se = "100s"

[registrations]
expires-max = "30m"

[log]
file = "/nowhere/talkburst.log"

[metrics]
listen = "192.0.2.1:5062"
"#
    ));
}

#[test]
fn an_outside_core_leaves_no_room_for_peers_of_ours() {
    insta::assert_snapshot!(faults(
        "core = \"127.0.0.1:5060\"\ntrusted = [\"192.0.2.1\"]\n[[peer]]\ndomain = \"b\"\naddress = \"192.0.2.2:5060\""
    ));
    insta::assert_snapshot!(faults("core = \"[::1]:5060\""));
}

#[test]
fn a_value_that_could_not_be_read_has_no_further_faults() {
    let said = faults("[sessions]\nring-limit = \"10s\"\nsetup-timer = 30");
    assert!(said.contains("has no unit") && !said.contains('\n'), "{said}");
    let said = faults("[[listener]]\nbind = 5");
    assert!(said.contains("is no text") && !said.contains('\n'), "{said}");
}

#[test]
fn t2_and_t4_follow_t1_unless_they_are_said() {
    let ms = Duration::from_millis;
    let timers = |text| read_file(text).unwrap().settings.timers;
    let followed = timers("[timers]\nt1 = \"100ms\"");
    assert_eq!((followed.t2, followed.t4), (ms(800), ms(1000)));
    let said = timers("[timers]\nt1 = \"100ms\"\nt2 = \"4s\"");
    assert_eq!((said.t2, said.t4), (ms(4000), ms(1000)));
}

#[test]
fn flags_win() {
    let text = "domain = \"a\"\n[timers]\nt1 = \"100ms\"\n[[listener]]\nbind = \"127.0.0.1:1\"\n[[listener]]\nbind = \"127.0.0.1:2\"";
    let won = with_flags(text, |flags| {
        flags.domain = Some("b".to_owned());
        flags.t1 = Some(Duration::from_millis(50));
        flags.listen = "127.0.0.2".parse().ok();
        flags.advertise = "192.0.2.1:9".parse().ok();
    });
    let settings = won.unwrap().settings;
    assert_eq!(settings.domain.as_deref(), Some("b"));
    assert_eq!(settings.timers.t2, Duration::from_millis(400));
    let listening =
        Listening { bind: "127.0.0.2:5060".parse().unwrap(), advertised: "192.0.2.1:9".parse().unwrap() };
    assert_eq!(settings.listeners, [listening]);
    let said = with_flags(text, |flags| flags.advertise = "192.0.2.1".parse().ok()).unwrap_err();
    assert!(said.contains("--advertise: which of the listeners?"), "{said}");
    // A fault of a flag names the flag.
    let said = with_flags("", |flags| flags.setup_timer = Some(Duration::from_secs(171))).unwrap_err();
    assert!(said.contains("--setup-timer: "), "{said}");
}

#[test]
fn relative_paths_begin_where_the_file_is() {
    let settings = read_file("data = \"data\"\n[log]\nfile = \"talkburst.log\"").unwrap().settings;
    assert!(settings.folder.is_absolute() && settings.folder.ends_with("data"));
    assert_eq!(settings.log.file.unwrap().parent(), settings.folder.parent());
}

#[test]
fn a_secret_is_long_enough_and_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path()).unwrap();
    let path = scratch.path().join("secret");
    let shown = path.display().to_string();
    let text = format!("secret-file = {}", quote(&shown));
    let tried = |mode: u32, octets: &[u8]| {
        std::fs::write(&path, octets).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = read_file(&text).map(|read| read.settings.secret.unwrap().octets);
        read.map_err(|said| said.replace(&shown, "secret"))
    };
    let missing = read_file(&text).unwrap_err().replace(&shown, "secret");
    insta::assert_snapshot!(missing);
    insta::assert_snapshot!(tried(0o600, b"fifteen octets.").unwrap_err());
    let one = tried(0o600, b"sixteen octets..").unwrap();
    assert_eq!(tried(0o400, b"sixteen octets..").unwrap(), one);
    assert_ne!(tried(0o600, b"seventeen octets.").unwrap(), one);
    insta::assert_snapshot!(tried(0o640, b"sixteen octets..").unwrap_err());
    let printed = format!(
        "{:?}",
        Settings {
            secret: Some(crate::serve::Secret { file: path.clone(), octets: one }),
            ..Settings::new("/".into())
        }
    );
    assert!(!printed.contains(&format!("{one:?}")));
}

#[test]
fn what_it_comes_to_is_a_file_that_comes_to_the_same() {
    let text = r#"
data = "/a \"b\""
domain = "poc.example"
shards = 3
trusted = ["192.0.2.7", "[2001:db8::1]:5060"]
[[listener]]
bind = "192.0.2.1"
[[listener]]
bind = "[2001:db8::5]:0"
advertise = "2001:db8::6"
[[peer]]
domain = "b"
address = "192.0.2.2:5060"
[sessions]
session-expires = "never"
reliable = "never"
[publications]
unpublished = "manual"
"#;
    let first = read_file(text).unwrap();
    let second = read_file(&first.to_toml()).unwrap();
    assert_eq!(first.settings, second.settings);
    assert_ne!(first.settings, Settings::new("/data".into()));
    insta::assert_snapshot!(first.to_toml());
}

#[test]
fn every_option_takes_its_default_and_its_bounds() {
    let defaults = Settings::new("/data".into());
    for item in OPTIONS {
        let in_table = |value: &str| match item.table {
            "" => format!("{} = {value}", item.key),
            table => format!("[{table}]\n{} = {value}", item.key),
        };
        if let Some(shown) = item.show(&defaults) {
            read_file(&in_table(&shown)).unwrap();
        }
        let (inside, outside) = match &item.kind {
            Kind::Span { from, to, .. } => {
                let show = |span| format!("\"{}\"", value::show_span(span));
                (vec![show(*from), show(*to)], show(*to + Duration::from_nanos(1)))
            }
            Kind::Count { from, to, .. } => (vec![from.to_string(), to.to_string()], (to + 1).to_string()),
            Kind::Switch { .. }
            | Kind::Choice { .. }
            | Kind::Text { .. }
            | Kind::SecretFile
            | Kind::Sources
            | Kind::Part { .. } => continue,
        };
        for inside in inside {
            // Another option may be in the way of a bound, but the value itself is taken.
            match read_file(&in_table(&inside)) {
                Ok(read) => assert_eq!(item.show(&read.settings).as_ref(), Some(&inside)),
                Err(said) => assert!(said.contains("change one of them"), "{said}"),
            }
        }
        assert!(faults(&in_table(&outside)).contains("out of bounds"), "{}", item.name());
    }
}

/// A document of this project.
fn document_of(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_document_has_every_option_as_the_code_has_it() {
    let text = document_of("docs/configuration.md");
    let rows = |text: &str| -> Vec<String> {
        let is_row = |line: &&str| line.starts_with("| `") || line.starts_with("### ");
        text.lines().filter(is_row).map(str::to_owned).collect()
    };
    let section = text.split("## Every option").nth(1).unwrap().split("\n## ").next().unwrap();
    assert_eq!(rows(section), rows(&document()), "talkburst check --options tells the rows");
}

#[test]
fn the_example_of_the_document_says_every_option() {
    let text = document_of("docs/configuration.md");
    let example = text.split("```toml\n").find(|block| block.starts_with("# Every option")).unwrap();
    let example = example.split("```").next().unwrap();
    for item in OPTIONS {
        let line = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{} = ", item.key));
        assert!(example.lines().any(line), "{}", item.name());
        assert!(item.table.is_empty() || example.contains(&format!("[{}]", item.table)), "{}", item.name());
    }
}
