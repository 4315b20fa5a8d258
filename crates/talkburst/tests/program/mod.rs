//! The binary as a child with its events, and peers made by hand. Every wait is bounded.
#![allow(dead_code, reason = "each test file needs another part")]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes; only a mistake lets it pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A run of `talkburst ... --json`.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// The events so far.
    pub(crate) events: Vec<Value>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_command(Command::new(env!("CARGO_BIN_EXE_talkburst")).args(arguments).arg("--json"))
    }

    pub(crate) fn start_command(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, lines: read(lines), errors: read(errors), events: Vec::new() }
    }

    /// `talkburst answer` on a free port of the loopback address, and where that is.
    pub(crate) fn answer(arguments: &[&str]) -> (Self, SocketAddr) {
        let mut program = Self::start(&[&["answer", "--listen", "127.0.0.1:0"], arguments].concat());
        let listening = program.until("listening");
        let address = listening["udp"].as_str().or(listening["tcp"].as_str()).unwrap().parse().unwrap();
        (program, address)
    }

    /// `talkburst call` to `to`.
    pub(crate) fn call(to: SocketAddr, arguments: &[&str]) -> Self {
        Self::start(&[&["call", &format!("sip:ben@{to}")], arguments].concat())
    }

    /// The next event of this kind.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let errors: Vec<_> = self.errors.try_iter().collect();
                panic!("no {kind}; events: {:#?}; errors: {errors:?}", self.events)
            };
            let event: Value = serde_json::from_str(&line).unwrap();
            self.events.push(event.clone());
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// What was said on standard error, up to a line with this.
    pub(crate) fn said_until(&mut self, what: &str) -> String {
        let (until, mut said) = (Instant::now() + PATIENCE, String::new());
        while !said.contains(what) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.errors.recv_timeout(left) else { panic!("no {what}: {said}") };
            said = said + &line + "\n";
        }
        said
    }

    /// The signal, by the name that kill(1) knows.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, all events, and what was said on standard error.
    pub(crate) fn exit(mut self) -> (Option<i32>, Vec<Value>, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > until => panic!("does not end; events: {:#?}", self.events),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let rest = self.lines.iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        self.events.extend(rest);
        let said = self.errors.iter().collect::<Vec<_>>().join("\n");
        (status.code(), std::mem::take(&mut self.events), said)
    }
}

/// A client of a server that has this user, whose password is the name, in a file of that name.
pub(crate) fn client(folder: &std::path::Path, server: &str, name: &str, arguments: &[&str]) -> Program {
    let password = folder.join(name);
    let own = ["--server", server, "--user", name, "--password-file", password.to_str().unwrap()];
    Program::start(&[arguments, &own].concat())
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that does not outlive its test.
pub(crate) struct Bound(pub(crate) Child);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The names of the events.
pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// How the session ended: how, by whom, with which status.
pub(crate) fn end(events: &[Value]) -> (&str, &str, Option<u64>) {
    let ended = events.iter().find(|event| event["event"] == "ended").unwrap();
    (ended["end"].as_str().unwrap(), ended["by"].as_str().unwrap(), ended["status"].as_u64())
}

/// A peer made by hand.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
}

impl Peer {
    pub(crate) fn open() -> (Self, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = socket.local_addr().unwrap();
        (Self { socket }, address)
    }

    /// The next request, and where it came from.
    pub(crate) fn request(&self) -> (sip::Message, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.socket.recv_from(&mut buffer).unwrap();
        (sip::Message::parse(buffer[..length].to_vec().into()).unwrap(), from)
    }

    /// Answers `request` with `status`.
    pub(crate) fn answer(&self, request: &sip::Message, to: SocketAddr, status: u16) {
        self.answer_with(request, to, status, "Content-Length: 0\r\n\r\n");
    }

    /// The same, with these octets behind the lines that every response has.
    pub(crate) fn answer_with(&self, request: &sip::Message, to: SocketAddr, status: u16, rest: &str) {
        use sip::message::Name;
        let line = |name: Name| {
            let value = String::from_utf8(request.value(name).unwrap().to_vec()).unwrap();
            format!("{}: {value}", name.as_str())
        };
        let text = [
            format!("SIP/2.0 {status} X"),
            line(Name::Via),
            line(Name::From),
            format!("{};tag=peer", line(Name::To)),
            line(Name::CallId),
            line(Name::CSeq),
            rest.to_owned(),
        ];
        self.socket.send_to(text.join("\r\n").as_bytes(), to).unwrap();
    }

    /// Everything that has arrived and arrives within `span`.
    pub(crate) fn methods_within(&self, span: Duration) -> Vec<String> {
        let (until, mut buffer, mut methods) = (Instant::now() + span, vec![0; 65_536], Vec::new());
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.socket.set_read_timeout(Some(left)).unwrap();
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                methods.extend(text.split(' ').next().map(str::to_owned));
            }
        }
        methods
    }
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("talkburst-{}-{name}", std::process::id()))
}

/// Runs to the end: exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_talkburst"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("does not end: {arguments:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code(), text(run.stdout), text(run.stderr))
}

/// A data folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        Self(scratch(&format!("data-{name}")))
    }
}

impl std::ops::Deref for Folder {
    type Target = std::path::Path;

    fn deref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `talkburst user`, with this on standard input: exit code, standard output, standard error.
pub(crate) fn user(
    folder: &std::path::Path,
    arguments: &[&str],
    input: &str,
) -> (Option<i32>, String, String) {
    run_with("user", folder, arguments, input)
}

/// Runs `talkburst group`: exit code, standard output, standard error.
pub(crate) fn group(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run_with("group", folder, arguments, "")
}

fn run_with(
    what: &str,
    folder: &std::path::Path,
    arguments: &[&str],
    input: &str,
) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    command.arg(what).args(arguments).arg("--data").arg(folder);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have ended by now.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let run = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code(), text(run.stdout), text(run.stderr))
}
