//! What docs/operations.md and packaging/ say holds for the program.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
mod program;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::leave_out;
use program::{Folder, Program, run, user};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The values of a setting of the unit.
fn unit(setting: &str) -> Vec<String> {
    let unit = read("packaging/talkburst.service");
    let values = unit.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// The packaged file of options in a folder of a test, where it can be served: on a free port, with the secret beside it.
fn packaged(folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let text = read("packaging/talkburst.toml");
    let text = text.replace("/var/lib/talkburst", "data").replace("\"0.0.0.0\"", "\"127.0.0.1:0\"");
    let path = folder.join("talkburst.toml");
    std::fs::write(&path, text).unwrap();
    let secret = folder.join("secret");
    std::fs::write(&secret, "sixteen octets, and some more").unwrap();
    std::fs::set_permissions(secret, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

#[test]
fn the_commands_of_the_unit_are_commands_of_the_program() {
    let folder = Folder::new("unit");
    let path = packaged(&folder);
    let (path, place) = (path.to_str().unwrap(), "/etc/talkburst/talkburst.toml");
    let arguments = |setting: &str| -> Vec<String> {
        let [command] = &unit(setting)[..] else { panic!("{setting}") };
        let words = command.strip_prefix("/usr/bin/talkburst ").unwrap().split(' ');
        words.map(|word| word.replace(place, path)).collect()
    };
    let check = arguments("ExecStartPre");
    let (code, _, said) = run(&check.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let serve = arguments("ExecStart");
    let mut server = Program::start(&serve.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(server.until("listening")["data"], folder.join("data").to_str().unwrap());
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn a_credential_of_the_unit_is_the_secret() {
    let folder = Folder::new("credential");
    let path = packaged(&folder);
    std::fs::remove_file(folder.join("secret")).unwrap();
    // systemd lets the user of the service read it by an access control list, which shows as the right of a group.
    let credentials = folder.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let [name] = &unit("LoadCredential")[..] else { panic!() };
    let secret = credentials.join(name.split(':').next().unwrap());
    std::fs::write(&secret, [7; 32]).unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o440)).unwrap();
    let check = |credentials: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
        command.arg("check").arg(&path).env_remove("CREDENTIALS_DIRECTORY");
        command.envs(credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder))).output().unwrap()
    };
    let with = check(Some(&credentials));
    assert!(with.status.success(), "{with:?}");
    assert!(String::from_utf8(with.stdout).unwrap().contains(secret.to_str().unwrap()));
    assert_eq!(check(None).status.code(), Some(2));
}

#[test]
fn the_unit_waits_longer_than_sessions_are_released() {
    let [patience] = &unit("TimeoutStopSec")[..] else { panic!() };
    let folder = Folder::new("patience");
    let (_, out, _) = run(&["check", packaged(&folder).to_str().unwrap(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let options = told["options"].as_array().unwrap();
    let release = options.iter().find(|each| each["option"] == "release-within").unwrap();
    let release = release["value"].as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap();
    assert!(patience.parse::<u64>().unwrap() >= 2 * release);
}

#[test]
fn systemd_takes_the_unit() {
    let folder = Folder::new("verify");
    std::fs::create_dir_all(&*folder).unwrap();
    let path = folder.join("talkburst.service");
    let text =
        read("packaging/talkburst.service").replace("/usr/bin/talkburst", env!("CARGO_BIN_EXE_talkburst"));
    std::fs::write(&path, text).unwrap();
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&path).output();
    let Ok(verified) = analyze(&["verify"]) else { return leave_out("systemd-analyze") };
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // Exposure of at most 2.0 of 10.
    let secure = analyze(&["security", "--offline=true", "--threshold=20"]).unwrap();
    assert!(secure.status.success(), "{}", String::from_utf8_lossy(&secure.stdout));
}

/// The commands of docs/operations.md that begin so, with the data folder and the folder of copies of a test.
fn commands(beginning: &str, data: &Path, copies: &Path) -> Vec<String> {
    let text = read("docs/operations.md");
    let lines = text.lines().filter(|line| line.starts_with(beginning));
    let data = |line: &str| line.replace("/var/lib/talkburst", data.to_str().unwrap());
    lines.map(|line| data(line).replace("/var/backups", copies.to_str().unwrap())).collect()
}

fn shell(command: &str) -> String {
    let run = Command::new("sh").args(["-ec", command]).output().unwrap();
    assert!(run.status.success(), "{command}: {run:?}");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn a_backup_is_taken_while_the_server_runs_and_restored() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        return leave_out("sqlite3");
    }
    let (folder, copies) = (Folder::new("backup"), Folder::new("backup-copies"));
    std::fs::create_dir_all(&*copies).unwrap();
    let serve = || {
        let mut server =
            Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()]);
        server.until("listening");
        server
    };
    let names = || user(&folder, &["list"], "").1;

    // 1. A copy of a store that is in use.
    let server = serve();
    assert_eq!(user(&folder, &["add", "anna", "--password-stdin"], "anna").0, Some(0));
    let [backup, _before_upgrade] = &commands("(umask 077; sqlite3 ", &folder, &copies)[..] else { panic!() };
    shell(backup);
    let copy = copies.join("talkburst.sqlite");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0);
    let [check] = &commands("sqlite3 ", &folder, &copies)[..] else { panic!() };
    assert_eq!(shell(check), "ok\n");
    assert_eq!(user(&folder, &["remove", "anna"], "").0, Some(0));
    assert_eq!(user(&folder, &["add", "ben", "--password-stdin"], "ben").0, Some(0));
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));

    // 2. Back to it.
    for command in
        commands("rm -f ", &folder, &copies).iter().chain(&commands("install -m 600 ", &folder, &copies))
    {
        shell(&command.replace("-o talkburst -g talkburst ", ""));
    }
    let server = serve();
    let names = names();
    assert!(names.contains("anna") && !names.contains("ben"), "{names}");
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn what_is_installed_is_in_the_tree() {
    let text = read("docs/operations.md");
    let files =
        text.split_whitespace().filter(|word| word.starts_with("packaging/") || word.starts_with("docs/"));
    let mut count = 0;
    for file in files {
        assert!(root().join(file).exists(), "{file}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}
