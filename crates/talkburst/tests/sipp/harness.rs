//! One play: SIPp with a scenario on one side, the binary on the other, and all that was seen.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sip::Message;
use sip::message::{Method, Name};

/// How long one play may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long SIPp may go on when our client has ended: its scenarios pause no longer.
const AFTERMATH: Duration = Duration::from_secs(3);

/// T1 of our client unless a play says otherwise: 64·T1 is 1.28 seconds.
pub(crate) const T1: Duration = Duration::from_millis(20);

/// Where both sides listen, each on an address of its own.
pub(crate) const PORT: u16 = 5060;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// Plays the same over UDP and over TCP, side by side.
pub(crate) fn over_udp_and_tcp(play: impl Fn(Transport) + Sync) {
    std::thread::scope(|scope| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let play = &play;
            scope.spawn(move || play(transport));
        }
    });
}

/// Plays several things side by side: most of their time is waiting.
pub(crate) fn side_by_side(plays: &[&(dyn Fn() + Sync)]) {
    std::thread::scope(|scope| {
        for play in plays {
            scope.spawn(*play);
        }
    });
}

/// An address of 127.0.0.0/8 that no other play of this machine uses, so that nobody has to look for a free port.
pub(crate) fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = COUNT.fetch_add(1, Ordering::Relaxed);
    assert!(last != u8::MAX, "more plays than addresses");
    Ipv4Addr::new(127, high | 0x80, low, last)
}

/// Whether SIPp is there. Where it is not each test says so and passes, unless the tools are required.
pub(crate) fn has_sipp() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let start =
        || Command::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let found = *FOUND.get_or_init(start);
    if !found {
        crate::common::leave_out("sipp");
    }
    found
}

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

/// A process that does not outlive its play.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// How it ended, unless it still runs at `until`.
    pub(crate) fn exit(&mut self, until: Instant) -> Option<ExitStatus> {
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// How it ended; soon after `other` has ended there is nothing more to wait for.
    fn exit_beside(&mut self, other: &mut Self, until: Instant) -> Option<ExitStatus> {
        let mut until = until;
        let mut is_alone = false;
        loop {
            if let Some(status) = self.exit((Instant::now() + Duration::from_millis(50)).min(until)) {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            if !is_alone && other.0.try_wait().unwrap().is_some() {
                is_alone = true;
                until = until.min(Instant::now() + AFTERMATH);
            }
        }
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait(what: &str, until: Instant, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a socket listens at `address`, as the kernel tells it: a probe of ours could be in the way.
fn is_bound(transport: Transport, address: Ipv4Addr) -> bool {
    let table = if transport == Transport::Udp { "/proc/net/udp" } else { "/proc/net/tcp" };
    let shown = format!(" {:08X}:{PORT:04X} ", u32::from_ne_bytes(address.octets()));
    std::fs::read_to_string(table).unwrap().contains(&shown)
}

/// One message in SIPp's log.
pub(crate) struct Logged {
    /// Seconds; only differences mean something.
    pub(crate) at: f64,
    /// Sent by our client.
    pub(crate) is_ours: bool,
    pub(crate) message: Message,
}

impl Logged {
    pub(crate) fn word(&self) -> String {
        word(&self.message)
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        std::str::from_utf8(self.message.value(name).unwrap_or_default()).unwrap()
    }
}

/// A request by its method, a response by status and method.
pub(crate) fn word(message: &Message) -> String {
    match (message.method(), message.status()) {
        (Some(_), _) => String::from_utf8_lossy(message.method_text()).into_owned(),
        (None, status) => {
            let method = message.cseq().unwrap().method;
            format!("{} {}", status.unwrap(), String::from_utf8_lossy(method))
        }
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

/// 14.2: what a CANCEL shares with its INVITE, and what else may stand in it.
fn check_cancel_of(invite: &Message, cancel: &Message) {
    assert_eq!(cancel.uri_text(), invite.uri_text());
    assert_eq!(cancel.values(Name::Via).count(), 1);
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::Route] {
        assert_eq!(cancel.value(name), invite.value(name), "{name}");
        if name != Name::Via {
            assert!(cancel.values(name).eq(invite.values(name)), "{name}");
        }
    }
    assert_eq!(cancel.cseq().unwrap().number, invite.cseq().unwrap().number);
    assert_eq!(cancel.value(Name::MaxForwards), Some(&b"70"[..]));
    assert_eq!(cancel.value(Name::ContentLength), Some(&b"0"[..]));
    let end = cancel.bytes().windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert_eq!(end + 4, cancel.bytes().len(), "a CANCEL has no body");
    let allowed = [
        Name::Via,
        Name::MaxForwards,
        Name::Route,
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::Reason,
        Name::UserAgent,
        Name::ContentLength,
    ];
    for header in cancel.headers() {
        assert!(allowed.contains(&header.name), "{}", String::from_utf8_lossy(header.text));
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

/// SIPp's log: a line of dashes with the time, a line with the direction and the number of octets, an empty line, and
/// the octets.
fn read_log(log: &[u8]) -> Vec<Logged> {
    let mut messages: Vec<Logged> = Vec::new();
    let mut rest = log;
    while let Some(line) = take_line(&mut rest) {
        let Some(moment) = line.strip_prefix("-----------------------------------------------") else {
            continue;
        };
        let header = take_line(&mut rest).unwrap();
        let digits: String = header.chars().filter(char::is_ascii_digit).collect();
        // What SIPp did not expect it shows twice, and tells no length then.
        let Ok(length) = digits.parse::<usize>() else { continue };
        assert_eq!(take_line(&mut rest).as_deref(), Some(""));
        let octets = bytes::Bytes::copy_from_slice(&rest[..length]);
        rest = &rest[length..];
        let before = messages.last().map_or(0.0, |logged| logged.at);
        let mut at = seconds_of_day(moment);
        if at < before {
            at += 86_400.0; // midnight
        }
        let is_ours = header.contains(" received ");
        messages.push(Logged { at, is_ours, message: Message::parse(octets).unwrap() });
    }
    messages
}

fn take_line(rest: &mut &[u8]) -> Option<String> {
    let end = rest.iter().position(|octet| *octet == b'\n')?;
    let line = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
    *rest = &rest[end + 1..];
    Some(line)
}

/// ` 2026-11-24 11:51:59.193462`
fn seconds_of_day(moment: &str) -> f64 {
    let time = moment.trim().split([' ', '\t']).nth(1).unwrap();
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}
