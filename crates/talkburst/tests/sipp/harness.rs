//! One play: SIPp with a scenario on one side, the binary on the other, and all that was seen.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sip::Message;
use sip::message::{Method, Name};

use crate::sipping::{Logged, Running, check_cancel_of, has_sipp, is_bound, read_log, wait};
pub(crate) use crate::sipping::{PORT, T1, Transport, over_udp_and_tcp, own_address, side_by_side, word};

/// How long one play may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// What is to be played.
pub(crate) struct Play {
    scenario: &'static str,
    transport: Transport,
    t1: Duration,
    sipp: Vec<String>,
    program: Vec<String>,
    next_hop: Option<Ipv4Addr>,
    asked: Option<Transport>,
    user: String,
    has_password: bool,
    is_stopped: bool,
    exit_code: i32,
    /// Where SIPp is.
    pub(crate) sipp_address: Ipv4Addr,
    program_address: Ipv4Addr,
}

impl Play {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            transport: Transport::Udp,
            t1: T1,
            sipp: Vec::new(),
            program: Vec::new(),
            next_hop: None,
            asked: None,
            user: "sip:anna@example.com".to_owned(),
            has_password: false,
            is_stopped: false,
            exit_code: 0,
            sipp_address: own_address(),
            program_address: own_address(),
        }
    }

    pub(crate) fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    pub(crate) fn t1(mut self, milliseconds: u64) -> Self {
        self.t1 = Duration::from_millis(milliseconds);
        self
    }

    /// Every copy is a step of the scenario: SIPp does not look for retransmissions.
    pub(crate) fn counting_copies(mut self) -> Self {
        self.sipp.push("-nr".to_owned());
        self
    }

    /// SIPp hears nothing while it pauses.
    pub(crate) fn deaf_in_pauses(mut self) -> Self {
        self.sipp.push("-pause_msg_ign".to_owned());
        self
    }

    /// More arguments for our client.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.program.extend(arguments.iter().map(|each| (*each).to_owned()));
        self
    }

    /// Our client calls this address, which is on the way to SIPp.
    pub(crate) fn by_way_of(mut self, next_hop: Ipv4Addr) -> Self {
        self.next_hop = Some(next_hop);
        self
    }

    /// Our client is asked for this transport, whatever SIPp is reached by.
    pub(crate) fn asked_for(mut self, transport: Transport) -> Self {
        self.asked = Some(transport);
        self
    }

    /// Our client calls as this user.
    pub(crate) fn of_user(mut self, address: &str) -> Self {
        address.clone_into(&mut self.user);
        self
    }

    /// Our client has a password, and so an answer to challenges.
    pub(crate) fn with_password(mut self) -> Self {
        self.has_password = true;
        self
    }

    /// Our client is stopped by SIGTERM when SIPp is done: it has no session that could end it.
    pub(crate) fn stopped(mut self) -> Self {
        self.is_stopped = true;
        self
    }

    /// With which code our client exits, if not 0.
    pub(crate) fn exits(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }

    /// Plays it to the end; `None` without SIPp.
    pub(crate) fn run(self) -> Option<Played> {
        if !has_sipp() {
            return None;
        }
        let mut played = Played::begin(self.scenario, self.sipp_address);
        let until = Instant::now() + DEADLINE;
        let calls = self.scenario.starts_with("ben_");
        let (mut program, mut sipp);
        if calls {
            sipp = self.start_sipp(&played.folder);
            wait("SIPp listens", until, || is_bound(self.transport, self.sipp_address));
            program = self.start_program(&played.folder, true);
        } else {
            program = self.start_program(&played.folder, false);
            let listens = || played.read_events().iter().any(|event| event["event"] == "listening");
            wait("our client listens", until, listens);
            sipp = self.start_sipp(&played.folder);
        }
        let sipp_status = sipp.exit_beside(&mut program, until);
        if self.is_stopped && sipp_status.is_some() {
            program.terminate();
        }
        let program_status = program.exit(until);
        drop((program, sipp));
        played.read();
        assert_eq!(
            sipp_status.map(|status| status.code()),
            Some(Some(0)),
            "SIPp: all went as the scenario says"
        );
        played.check_what_always_holds(program_status, self.exit_code);
        Some(played)
    }

    /// Our client calls `peer`, a socket of the test in SIPp's place: there is no log of messages then.
    pub(crate) fn run_with(self, peer: impl FnOnce(&TcpListener)) -> Played {
        let mut played = Played::begin(self.scenario, self.sipp_address);
        let play = self.over(Transport::Tcp);
        let listener = TcpListener::bind((play.sipp_address, PORT)).unwrap();
        let mut program = play.start_program(&played.folder, true);
        peer(&listener);
        let status = program.exit(Instant::now() + DEADLINE);
        played.read();
        played.check_what_always_holds(status, play.exit_code);
        played
    }

    fn start_sipp(&self, folder: &Path) -> Running {
        let scenario = format!("{}/tests/sipp/scenarios/{}.xml", env!("CARGO_MANIFEST_DIR"), self.scenario);
        let address = self.sipp_address.to_string();
        let file = |name: &str| folder.join(name).into_os_string();
        let mut command = Command::new("sipp");
        if !self.scenario.starts_with("ben_") {
            command.arg(format!("{}:{PORT}", self.program_address));
        }
        command.arg("-sf").arg(scenario).args(["-m", "1", "-nostdin", "-bind_local", "-i", &address]);
        command.args(["-p", &PORT.to_string(), "-ci", &address, "-timeout", "15s", "-timeout_error"]);
        command.args(["-t", if self.transport == Transport::Udp { "u1" } else { "t1" }]);
        command.arg("-trace_msg").arg("-message_file").arg(file("messages"));
        command.arg("-trace_err").arg("-error_file").arg(file("errors")).args(&self.sipp);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(folder.join("sipp")).unwrap());
        Running::start(command)
    }

    fn start_program(&self, folder: &Path, calls: bool) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
        command.arg(if calls { "call" } else { "answer" });
        command.args(["--json", "--t1", &format!("{}ms", self.t1.as_millis())]);
        if self.has_password {
            let file = folder.join("password");
            std::fs::write(&file, "secret\n").unwrap();
            command.args(["--username", "anna", "--password-file"]).arg(file);
        }
        if calls {
            let asked = self.asked.unwrap_or(self.transport);
            let transport = if asked == Transport::Udp { "udp" } else { "tcp" };
            let next_hop = self.next_hop.unwrap_or(self.sipp_address);
            command.args(["--user", &self.user, "--transport", transport]).args(&self.program);
            command.arg(format!("sip:ben@{next_hop}:{PORT}"));
        } else {
            let listen = format!("{}:{PORT}", self.program_address);
            command.args(["--user", "sip:ben@example.com", "--listen", &listen]);
            command.args(if self.is_stopped { &[][..] } else { &["--once"] }).args(&self.program);
        }
        command.stdout(std::fs::File::create(folder.join("events")).unwrap());
        command.stderr(std::fs::File::create(folder.join("story")).unwrap());
        Running::start(command)
    }
}

/// What was seen.
pub(crate) struct Played {
    scenario: &'static str,
    folder: PathBuf,
    /// What our client said.
    pub(crate) events: Vec<Value>,
    /// What SIPp has received and sent, in order.
    pub(crate) messages: Vec<Logged>,
}

impl Played {
    fn begin(scenario: &'static str, address: Ipv4Addr) -> Self {
        let folder = std::env::temp_dir().join(format!("talkburst-sipp-{address}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self { scenario, folder, events: Vec::new(), messages: Vec::new() }
    }

    fn text(&self, file: &str) -> String {
        let octets = std::fs::read(self.folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// The whole lines so far.
    fn read_events(&self) -> Vec<Value> {
        let text = self.text("events");
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    fn read(&mut self) {
        self.events = self.read_events();
        self.messages = read_log(&std::fs::read(self.folder.join("messages")).unwrap_or_default());
    }

    fn check_what_always_holds(&self, status: Option<ExitStatus>, exit_code: i32) {
        let status = status.expect("our client ends in time");
        assert_eq!(status.code(), Some(exit_code), "the exit code of our client");
        for logged in self.ours() {
            assert!(logged.message.validate().is_ok(), "malformed: {:?}", logged.message);
        }
        assert_eq!(self.events[0]["event"], "listening");
        let moments: Vec<_> = self.events.iter().map(|event| event["at"].as_f64().unwrap()).collect();
        assert!(moments.is_sorted(), "time runs back");
        for event in &self.events {
            // I4: a session that begins has one end.
            if ["calling", "invited"].contains(&event["event"].as_str().unwrap()) {
                let of_session =
                    |each: &&Value| each["event"] == "ended" && each["session"] == event["session"];
                assert_eq!(self.events.iter().filter(of_session).count(), 1, "one end");
            }
        }
    }

    /// The names of the events after `listening`, in order.
    pub(crate) fn story(&self) -> Vec<&str> {
        self.events[1..].iter().map(|event| event["event"].as_str().unwrap()).collect()
    }

    /// The one event of this name.
    pub(crate) fn event(&self, name: &str) -> &Value {
        let mut found = self.events.iter().filter(|event| event["event"] == name);
        let event = found.next().unwrap_or_else(|| panic!("no event {name}"));
        assert!(found.next().is_none(), "several events {name}");
        event
    }

    /// Seconds from one event to another.
    pub(crate) fn seconds(&self, from: &str, to: &str) -> f64 {
        self.event(to)["at"].as_f64().unwrap() - self.event(from)["at"].as_f64().unwrap()
    }

    /// How the session ended: end, by, status.
    pub(crate) fn end(&self) -> (&str, &str, Option<u64>) {
        let ended = self.event("ended");
        (ended["end"].as_str().unwrap(), ended["by"].as_str().unwrap(), ended["status"].as_u64())
    }

    /// What our client has sent.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Logged> {
        self.messages.iter().filter(|logged| logged.is_ours)
    }

    /// What our client has sent, in words; a copy of an earlier message is left out.
    pub(crate) fn sent(&self) -> Vec<String> {
        let mut seen: Vec<&Message> = Vec::new();
        for logged in self.ours() {
            if !seen.contains(&&logged.message) {
                seen.push(&logged.message);
            }
        }
        seen.into_iter().map(word).collect()
    }

    /// The messages of both sides that `word` fits, copies included.
    pub(crate) fn all(&self, word: &str) -> Vec<&Logged> {
        self.messages.iter().filter(|logged| logged.word() == word).collect()
    }

    /// The first message that `word` fits.
    pub(crate) fn first(&self, word: &str) -> &Logged {
        self.all(word).into_iter().next().unwrap_or_else(|| panic!("no {word}"))
    }

    /// PoC CP 6.1.6.1, RFC 3261 §13.2.2.4, §12.2.1.1: ACK and then one BYE, both in the dialog of the 200.
    pub(crate) fn check_leaving(&self) {
        let (invite, answer) = (self.first("INVITE"), self.first("200 INVITE"));
        let (ack, bye) = (self.first("ACK"), self.first("BYE"));
        let place = |word: &str| self.messages.iter().position(|logged| logged.word() == word);
        assert!(place("200 INVITE") < place("ACK") && place("ACK") < place("BYE"));
        assert!(self.all("BYE").iter().all(|each| each.message == bye.message), "one BYE and its copies");
        let number = invite.message.cseq().unwrap().number;
        assert_eq!(ack.message.cseq().unwrap().number, number);
        assert_eq!(bye.message.cseq().unwrap().number, number + 1);
        let contact = answer.message.addresses(Name::Contact).next().unwrap().unwrap();
        for ours in [ack, bye] {
            assert_eq!(ours.message.uri_text(), contact.uri);
            assert_eq!(ours.message.to().unwrap().tag(), Some(&b"ben"[..]));
            assert_eq!(ours.message.from().unwrap().tag(), invite.message.from().unwrap().tag());
        }
    }

    /// I1, T9: every CANCEL is that of the INVITE before it, and has nothing that must not appear.
    pub(crate) fn check_cancel(&self) {
        let mut invite = None;
        for logged in self.messages.iter().filter(|logged| logged.is_ours) {
            match logged.message.method() {
                Some(Method::Invite) => invite = Some(logged),
                Some(Method::Cancel) => check_cancel_of(&invite.unwrap().message, &logged.message),
                Some(_) | None => {}
            }
        }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let parts = ["messages", "errors", "sipp", "events", "story"];
            let seen = parts.map(|file| format!("-- {file}\n{}\n", self.text(file)));
            eprintln!("== {}\n{}", self.scenario, seen.concat());
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
