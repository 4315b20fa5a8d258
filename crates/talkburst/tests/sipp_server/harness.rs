//! One play: a server, who invites, who is invited, and all that was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use poc::AnswerMode;
use serde_json::Value;
use sip::message::Name;

use crate::access::Access;
use crate::script::{Part, scenario};
use crate::sipping::{Logged, Running, check_cancel_of, has_sipp, is_bound, own_address, read_log, wait};
pub(crate) use crate::sipping::{PORT, T1, Transport, over_udp_and_tcp, side_by_side};

/// How long one play may take.
const DEADLINE: Duration = Duration::from_secs(25);

/// Who takes part.
#[derive(Clone)]
enum Actor {
    /// SIPp, with the steps of its script.
    Sipp(String),
    /// Our client, with more arguments.
    Ours(Vec<String>),
    /// Nobody: there is a binding, and nothing listens there.
    Absent,
}

/// What is to be played.
#[derive(Clone)]
pub(crate) struct Play {
    transport: Transport,
    server: Vec<String>,
    rules: Vec<String>,
    sipp: Vec<String>,
    mode: AnswerMode,
    is_barred: bool,
    /// What is said of groups, before the server begins.
    groups: Vec<Vec<String>>,
    /// Whom an INVITE is for, and who stands in the list that it has.
    called: &'static str,
    list: Vec<String>,
    inviter: Option<Actor>,
    /// Those who invite before.
    joined: Vec<(&'static str, Actor)>,
    invited: Vec<(&'static str, Actor)>,
    records: usize,
    calls: usize,
    t1: Duration,
    disturbance: Option<fn(&Scene<'_>)>,
}

/// What somebody else can know of a play that is under way.
pub(crate) struct Scene<'a> {
    pub(crate) server: Ipv4Addr,
    /// Where nobody is.
    pub(crate) address: Ipv4Addr,
    folder: &'a Path,
}

impl Scene<'_> {
    /// The INVITE of SIPp as Anna, once it rings.
    pub(crate) fn ringing(&self) -> sip::Message {
        let messages = || read_log(&std::fs::read(self.folder.join("anna.messages")).unwrap_or_default());
        let until = Instant::now() + DEADLINE;
        wait("it rings", until, || messages().iter().any(|logged| logged.word() == "180 INVITE"));
        messages().swap_remove(0).message
    }

    /// The PoC Session Identity that this response to Anna's INVITE tells.
    pub(crate) fn session(&self, word: &str) -> String {
        let told = || {
            let log = read_log(&std::fs::read(self.folder.join("anna.messages")).unwrap_or_default());
            log.into_iter().find(|logged| logged.word() == word)
        };
        wait("there is a session", Instant::now() + DEADLINE, || told().is_some());
        let message = told().unwrap().message;
        let contact = message.addresses(Name::Contact).next().unwrap().unwrap().uri;
        String::from_utf8(poc::session_identity(contact).unwrap().to_vec()).unwrap()
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|each| (*each).to_owned()).collect()
}

impl Play {
    pub(crate) fn new() -> Self {
        Self {
            transport: Transport::Udp,
            server: Vec::new(),
            rules: Vec::new(),
            sipp: Vec::new(),
            mode: AnswerMode::Manual,
            is_barred: false,
            groups: Vec::new(),
            called: "ben",
            list: Vec::new(),
            inviter: None,
            joined: Vec::new(),
            invited: Vec::new(),
            records: 2,
            calls: 1,
            t1: T1,
            disturbance: None,
        }
    }

    pub(crate) fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// More arguments for the server.
    pub(crate) fn served_with(mut self, arguments: &[&str]) -> Self {
        self.server = owned(arguments);
        self
    }

    /// The rules of Ben.
    pub(crate) fn rules(mut self, arguments: &[&str]) -> Self {
        self.rules = owned(arguments);
        self
    }

    /// A group with these members, to which INVITEs are.
    pub(crate) fn group(mut self, name: &'static str, policy: &[&str], members: &[&str]) -> Self {
        self.called = name;
        self.another_group(name, policy, members)
    }

    /// A group that nobody calls.
    pub(crate) fn another_group(mut self, name: &str, policy: &[&str], members: &[&str]) -> Self {
        self.groups.push(owned(&[&["add", name], policy].concat()));
        if !members.is_empty() {
            self.groups.push(owned(&[&["member", "add", name], members].concat()));
        }
        self
    }

    /// Another member of a group that is there.
    pub(crate) fn member(mut self, group: &str, member: &str) -> Self {
        self.groups.push(owned(&["member", "add", group, member]));
        self
    }

    /// INVITEs are to the conference factory, with a list of these users.
    pub(crate) fn list(mut self, entries: &[&str]) -> Self {
        (self.called, self.list) = ("poc-factory", owned(entries));
        self
    }

    /// SIPp as Ben has published that he answers by himself.
    pub(crate) fn automatic(mut self) -> Self {
        self.mode = AnswerMode::Automatic;
        self
    }

    /// SIPp as Ben has published that he takes no sessions.
    pub(crate) fn barred(mut self) -> Self {
        self.is_barred = true;
        self
    }

    /// Every copy is a step of the script: SIPp does not look for retransmissions.
    pub(crate) fn counting_copies(mut self) -> Self {
        self.sipp.push("-nr".to_owned());
        self
    }

    /// SIPp hears nothing while it pauses.
    pub(crate) fn deaf_in_pauses(mut self) -> Self {
        self.sipp.push("-pause_msg_ign".to_owned());
        self
    }

    /// How many records the server writes, if not one for each function.
    pub(crate) fn records(mut self, count: usize) -> Self {
        self.records = count;
        self
    }

    /// How often Ben plays his script.
    pub(crate) fn calls(mut self, count: usize) -> Self {
        self.calls = count;
        self
    }

    /// T1 of the server and of our clients.
    pub(crate) fn t1(mut self, milliseconds: u64) -> Self {
        self.t1 = Duration::from_millis(milliseconds);
        self
    }

    /// What is done by somebody else while all that goes on.
    pub(crate) fn disturbed(mut self, disturbance: fn(&Scene<'_>)) -> Self {
        self.disturbance = Some(disturbance);
        self
    }

    /// SIPp invites.
    pub(crate) fn anna(mut self, steps: &str) -> Self {
        self.inviter = Some(Actor::Sipp(steps.to_owned()));
        self
    }

    /// SIPp as somebody who has invited before Anna does.
    pub(crate) fn joined(mut self, name: &'static str, steps: &str) -> Self {
        self.joined.push((name, Actor::Sipp(steps.to_owned())));
        self
    }

    /// `talkburst call` invites.
    pub(crate) fn anna_calls(mut self, arguments: &[&str]) -> Self {
        self.inviter = Some(Actor::Ours(owned(arguments)));
        self
    }

    /// SIPp is invited.
    pub(crate) fn ben(mut self, steps: &str) -> Self {
        self.invited.push(("ben", Actor::Sipp(steps.to_owned())));
        self
    }

    /// SIPp as somebody else is invited.
    pub(crate) fn invited(mut self, name: &'static str, steps: &str) -> Self {
        self.invited.push((name, Actor::Sipp(steps.to_owned())));
        self
    }

    /// SIPp is another terminal of Ben.
    pub(crate) fn bens_phone(mut self, steps: &str) -> Self {
        self.invited.push(("phone", Actor::Sipp(steps.to_owned())));
        self
    }

    /// Ben is registered where nobody is.
    pub(crate) fn ben_is_gone(mut self) -> Self {
        self.invited.push(("ben", Actor::Absent));
        self
    }

    /// `talkburst answer` is invited.
    pub(crate) fn ben_answers(mut self, arguments: &[&str]) -> Self {
        self.invited.push(("ben", Actor::Ours(owned(arguments))));
        self
    }

    /// Plays it to the end; `None` without SIPp.
    pub(crate) fn run(self) -> Option<Played> {
        if !has_sipp() {
            return None;
        }
        let until = Instant::now() + DEADLINE;
        let address = own_address();
        let folder = std::env::temp_dir().join(format!("talkburst-server-{address}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut played = Played { folder, records: Vec::new(), actors: BTreeMap::new() };
        let stage = Stage { play: &self, folder: played.folder.clone(), server: address };
        // 1. The server, with its users.
        let others = self.invited.iter().chain(&self.joined).map(|(name, _)| user_of(name));
        let names: BTreeSet<_> = others.chain(["anna", "ben", "carl"]).collect();
        for name in names {
            stage.run("user", &["add", name, "--password-stdin"], name);
            std::fs::write(stage.folder.join(format!("password-of-{name}")), name).unwrap();
        }
        if !self.rules.is_empty() {
            stage.run("user", &[&["rules", "ben"][..], &borrowed(&self.rules)].concat(), "");
        }
        for arguments in &self.groups {
            stage.run("group", &borrowed(arguments), "");
        }
        let mut server = stage.serve();
        wait("the server listens", until, || says(&played.folder, "server", "listening"));
        // 2. Who is invited, and then who invites.
        let mut running = Vec::new();
        for (name, actor) in &self.invited {
            running.extend(stage.invited(name, actor, until).map(|running| (*name, running)));
        }
        for (name, actor) in &self.joined {
            running.push((*name, stage.inviter(name, actor)));
            let has_joined = || {
                let messages = std::fs::read(played.folder.join(format!("{name}.messages")));
                read_log(&messages.unwrap_or_default()).iter().any(|logged| logged.word() == "200 INVITE")
            };
            wait("somebody is there", until, has_joined);
        }
        if let Some(actor) = &self.inviter {
            running.push(("anna", stage.inviter("anna", actor)));
        }
        // 3. All that happens.
        if let Some(disturbance) = self.disturbance {
            disturbance(&Scene { server: address, address: own_address(), folder: &played.folder });
        }
        let mut ended = Vec::new();
        for (name, running) in &mut running {
            ended.push((*name, running.exit(until)));
        }
        played.read(&ended);
        for (name, status) in &ended {
            let status = status.unwrap_or_else(|| panic!("{name} does not end"));
            assert!(!played.is_sipp(name) || status.code() == Some(0), "{name}: all goes as the script says");
        }
        wait("every INVITE has its records", until, || records(&played.folder).len() >= self.records);
        server.terminate();
        let status = server.exit(until).expect("the server stops");
        drop((server, running));
        played.read(&ended);
        assert_eq!(status.code(), Some(0));
        assert_eq!(text(&played.folder, "server.story"), "", "the server says nothing on standard error");
        assert_eq!(played.records.len(), self.records, "C84: one record an INVITE and function");
        let joined = self.joined.iter().map(|(name, _)| *name);
        played.check_what_always_holds(&joined.chain(["anna", "carl"]).collect());
        Some(played)
    }
}

/// Whose terminal this is.
fn user_of(name: &'static str) -> &'static str {
    if name == "phone" { "ben" } else { name }
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn text(folder: &Path, file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(folder.join(file)).unwrap_or_default()).into_owned()
}

/// The events of an actor so far.
fn events(folder: &Path, name: &str) -> Vec<Value> {
    let text = text(folder, &format!("{name}.events"));
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn says(folder: &Path, name: &str, event: &str) -> bool {
    events(folder, name).iter().any(|each| each["event"] == event)
}

fn records(folder: &Path) -> Vec<Value> {
    events(folder, "server").into_iter().filter(|event| event["event"] == "closed").collect()
}

/// A play that has begun.
struct Stage<'a> {
    play: &'a Play,
    folder: PathBuf,
    server: Ipv4Addr,
}

impl Stage<'_> {
    fn run(&self, what: &str, arguments: &[&str], input: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
        command.arg(what).args(arguments).arg("--data").arg(self.folder.join("data"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A command that reads nothing may have ended by now.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        assert!(child.wait().unwrap().success(), "{what} {arguments:?}");
    }

    fn program(&self, name: &str, arguments: &[&str], more: &[String]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
        command
            .args(arguments)
            .args(["--json", "--t1", &format!("{}ms", self.play.t1.as_millis())])
            .args(more);
        let file = |kind: &str| std::fs::File::create(self.folder.join(format!("{name}.{kind}"))).unwrap();
        command.stdout(file("events")).stderr(file("story"));
        Running::start(command)
    }

    fn serve(&self) -> Running {
        let (listen, data) = (format!("{}:{PORT}", self.server), self.folder.join("data"));
        let arguments = ["serve", "--listen", &listen, "--data", data.to_str().unwrap()];
        self.program("server", &arguments, &self.play.server)
    }

    /// Our client as `name`.
    fn ours(&self, name: &str, arguments: &[&str], more: &[String]) -> Running {
        let (server, user) = (format!("{}:{PORT}", self.server), format!("{name}@poc.internal"));
        let password = self.folder.join(format!("password-of-{name}"));
        let own = ["--server", &server, "--user", &user, "--password-file", password.to_str().unwrap()];
        self.program(name, &[arguments, &own].concat(), more)
    }

    fn invited(&self, name: &'static str, actor: &Actor, until: Instant) -> Option<Running> {
        let address = own_address();
        let running = match actor {
            Actor::Ours(more) => {
                let listen = format!("{address}:{PORT}");
                let running = self.ours(name, &["answer", "--once", "--listen", &listen], more);
                wait("our client is reached", until, || says(&self.folder, name, "published"));
                return Some(running);
            }
            Actor::Sipp(steps) => {
                let credentials = |_: &str, _: &str| String::new();
                let part = Part {
                    name,
                    invited: "anna",
                    list: &[],
                    server: Some(self.server),
                    credentials: &credentials,
                };
                let running = self.sipp(&part, steps, address, false);
                wait("SIPp listens", until, || is_bound(self.play.transport, address));
                Some(running)
            }
            Actor::Absent => None,
        };
        let mut access = Access::new(user_of(name), address, self.server);
        let transport = if self.play.transport == Transport::Udp { "udp" } else { "tcp" };
        access.register(&format!("<sip:{name}@{address}:{PORT};transport={transport}>;+g.poc.talkburst"));
        access.publish(self.play.mode, self.play.is_barred);
        running
    }

    fn inviter(&self, name: &str, actor: &Actor) -> Running {
        let address = own_address();
        match actor {
            Actor::Ours(more) => {
                let transport = if self.play.transport == Transport::Udp { "udp" } else { "tcp" };
                let arguments = ["call", "ben", "--transport", transport, "--listen", &address.to_string()];
                self.ours(name, &arguments, more)
            }
            Actor::Sipp(steps) => {
                let access = Access::new(name, address, self.server);
                let credentials = |method: &str, uri: &str| access.credentials(method, uri);
                let part = Part {
                    name,
                    invited: self.play.called,
                    list: &self.play.list,
                    server: Some(self.server),
                    credentials: &credentials,
                };
                self.sipp(&part, steps, address, true)
            }
            Actor::Absent => unreachable!("somebody invites"),
        }
    }

    fn sipp(&self, part: &Part<'_>, steps: &str, address: Ipv4Addr, invites: bool) -> Running {
        let file = |kind: &str| self.folder.join(format!("{}.{kind}", part.name));
        std::fs::write(file("xml"), scenario(part, steps)).unwrap();
        let (address, calls) = (address.to_string(), if invites { 1 } else { self.play.calls }.to_string());
        let mut command = Command::new("sipp");
        if invites {
            command.arg(format!("{}:{PORT}", self.server));
        }
        command.arg("-sf").arg(file("xml")).args(["-m", &calls, "-nostdin", "-bind_local", "-i", &address]);
        command.args(["-p", &PORT.to_string(), "-ci", &address, "-timeout", "15s", "-timeout_error"]);
        command.args(["-t", if self.play.transport == Transport::Udp { "u1" } else { "t1" }]);
        command.arg("-trace_msg").arg("-message_file").arg(file("messages"));
        command.arg("-trace_err").arg("-error_file").arg(file("errors")).args(&self.play.sipp);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(file("story")).unwrap());
        Running::start(command)
    }
}

/// What one of them has seen: SIPp its messages, our client its events.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) messages: Vec<Logged>,
    pub(crate) events: Vec<Value>,
    pub(crate) exit_code: Option<i32>,
}

/// What was seen.
pub(crate) struct Played {
    folder: PathBuf,
    /// What the server says of each INVITE, in the order in which they closed.
    pub(crate) records: Vec<Value>,
    actors: BTreeMap<&'static str, Seen>,
}

impl Played {
    fn read(&mut self, ended: &[(&'static str, Option<std::process::ExitStatus>)]) {
        self.records = records(&self.folder);
        for (name, status) in ended {
            let messages = std::fs::read(self.folder.join(format!("{name}.messages"))).unwrap_or_default();
            let seen = Seen {
                messages: read_log(&messages),
                events: events(&self.folder, name),
                exit_code: status.and_then(|status| status.code()),
            };
            self.actors.insert(name, seen);
        }
    }

    fn check_what_always_holds(&self, inviters: &BTreeSet<&str>) {
        for (name, seen) in &self.actors {
            for logged in seen.messages.iter().filter(|logged| logged.is_ours) {
                assert!(logged.message.validate().is_ok(), "{name}: malformed: {:?}", logged.message);
            }
            // I1, C05, C06: each hop's CANCEL is that of its own INVITE.
            for cancel in self.received(name, "CANCEL") {
                let same = |each: &&Logged| {
                    each.message.via().unwrap().branch() == cancel.message.via().unwrap().branch()
                };
                let invite = self.received(name, "INVITE").into_iter().find(same);
                check_cancel_of(&invite.expect("a CANCEL has an INVITE").message, &cancel.message);
            }
        }
        // Who controls a session and who takes part in it say the same of its end.
        for record in &self.records {
            let inviter = record["inviter"].as_str().unwrap();
            let user = inviter.strip_prefix("sip:").and_then(|address| address.strip_suffix("@poc.internal"));
            assert!(user.is_some_and(|user| inviters.contains(user)), "{inviter}");
        }
    }

    fn is_sipp(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.xml")).exists()
    }

    pub(crate) fn of(&self, name: &str) -> &Seen {
        &self.actors[name]
    }

    /// The messages that SIPp, as `name`, has received and that `word` fits.
    pub(crate) fn received(&self, name: &str, word: &str) -> Vec<&Logged> {
        self.of(name).messages.iter().filter(|logged| logged.is_ours && logged.word() == word).collect()
    }

    /// A header field of the first of them.
    pub(crate) fn line(&self, name: &str, word: &str, line: Name) -> &str {
        self.received(name, word).first().unwrap_or_else(|| panic!("{name}: no {word}")).text(line)
    }

    /// When SIPp, as `name`, saw the first message that `word` fits: seconds, on a clock that all have.
    pub(crate) fn moment(&self, name: &str, word: &str) -> f64 {
        self.of(name).messages.iter().find(|logged| logged.word() == word).unwrap().at
    }

    /// Seconds between two messages of SIPp, as `name`.
    pub(crate) fn seconds(&self, name: &str, from: &str, to: &str) -> f64 {
        self.moment(name, to) - self.moment(name, from)
    }

    /// How the session of our client ended: end, by, status.
    pub(crate) fn end(&self, name: &str) -> (&str, &str, Option<u64>) {
        let ended = self.of(name).events.iter().find(|event| event["event"] == "ended").expect("an end");
        (ended["end"].as_str().unwrap(), ended["by"].as_str().unwrap(), ended["status"].as_u64())
    }

    /// What the record of a function says: end, by, status.
    pub(crate) fn record(&self, function: &str) -> (&str, &str, Option<u64>) {
        let record = self.records.iter().find(|record| record["function"] == function).expect("a record");
        (record["end"].as_str().unwrap(), record["by"].as_str().unwrap(), record["status"].as_u64())
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut files: Vec<_> =
                std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            for file in files.iter().filter(|file| file.is_file()) {
                eprintln!(
                    "-- {}\n{}",
                    file.display(),
                    String::from_utf8_lossy(&std::fs::read(file).unwrap())
                );
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
