//! Kamailio as a child, the server behind it, and clients before it. Every wait is bounded.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sip::Message;
use sip::auth::digest::Algorithm;
use sip::message::Name;

use crate::program::{Folder, PATIENCE, Program, group, user};
use crate::sipping::{PORT, Transport, is_bound, own_address, wait, word};

const DOMAIN: &str = "poc.internal";

/// Enough that what one user does is seldom all on one of them.
const SHARDS: &str = "3";

/// Where the reader finds it.
const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/kamailio");

/// Whether Kamailio is there.
fn has_kamailio() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let start =
        || Command::new("kamailio").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let found = *FOUND.get_or_init(start);
    if !found {
        crate::common::leave_out("kamailio");
    }
    found
}

/// Kamailio, a server with Anna, Ben and Carl, and their group.
pub(crate) struct Network {
    pub(crate) server: Program,
    pub(crate) server_at: Ipv4Addr,
    pub(crate) core_at: Ipv4Addr,
    transport: Transport,
    /// Before its folder, so that it ends first.
    core: Core,
    pub(crate) folder: Folder,
}

impl Network {
    /// `None` without Kamailio. Clients and Kamailio speak by `transport`.
    pub(crate) fn start(transport: Transport) -> Option<Self> {
        if !has_kamailio() {
            return None;
        }
        let (core_at, server_at) = (own_address(), own_address());
        let folder = Folder::new(&format!("kamailio-{core_at}"));
        let data = folder.join("data");
        let mut subscribers = "username(string) domain(string) ha1(string)\n".to_owned();
        std::fs::create_dir_all(&*folder).unwrap();
        for name in ["anna", "ben", "carl"] {
            user(&data, &["add", name, "--password-stdin"], name);
            std::fs::write(folder.join(format!("password-of-{name}")), name).unwrap();
            let md5 = Algorithm::parse(b"MD5").unwrap();
            let ha1 = md5.ha1(name.as_bytes(), DOMAIN.as_bytes(), name.as_bytes());
            subscribers += &format!("{name}:{DOMAIN}:{ha1}\n");
        }
        std::fs::write(folder.join("subscriber"), subscribers).unwrap();
        group(&data, &["add", "patrol", "--kind", "prearranged"]);
        group(&data, &["member", "add", "patrol", "anna", "ben", "carl"]);
        let core = Core::start(&folder, core_at, server_at, transport);
        let (listen, behind) = (format!("{server_at}:{PORT}"), format!("{core_at}:{PORT}"));
        let mut server = Program::start(&[
            "serve",
            "--listen",
            &listen,
            "--core",
            &behind,
            "--shards",
            SHARDS,
            "--data",
            data.to_str().unwrap(),
        ]);
        server.until("listening");
        Some(Self { server, server_at, core_at, transport, core, folder })
    }

    /// `talkburst answer` or `call` as `name`, by way of Kamailio.
    pub(crate) fn client(&self, name: &str, arguments: &[&str]) -> Program {
        self.client_with_password_of(name, name, arguments)
    }

    /// The same with the password of `other`.
    pub(crate) fn client_with_password_of(&self, name: &str, other: &str, arguments: &[&str]) -> Program {
        let (core, user) = (format!("{}:{PORT}", self.core_at), format!("{name}@{DOMAIN}"));
        let password = self.folder.join(format!("password-of-{other}"));
        let own = ["--server", &core, "--user", &user, "--password-file", password.to_str().unwrap()];
        let transport = if self.transport == Transport::Udp { "udp" } else { "tcp" };
        let listen = format!("{}:{PORT}", own_address());
        Program::start(&[arguments, &own, &["--transport", transport, "--listen", &listen]].concat())
    }

    /// All that Kamailio has received and sent, once it has ended.
    pub(crate) fn seen(self) -> Vec<Seen> {
        let Self { folder, core, .. } = self;
        drop(core);
        written(&folder)
    }
}

/// What Kamailio has written down.
fn written(folder: &Path) -> Vec<Seen> {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "data") {
            seen.extend(read(&std::fs::read_to_string(path).unwrap()));
        }
    }
    seen
}

/// A message that Kamailio has received, or sent.
pub(crate) struct Seen {
    /// Seconds.
    at: String,
    pub(crate) is_sent: bool,
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    pub(crate) is_tcp: bool,
    pub(crate) message: Message,
}

impl Seen {
    pub(crate) fn is(&self, wanted: &str) -> bool {
        word(&self.message) == wanted
    }
}

/// What the module `sipdump` writes: lines about a message, a line of tildes, the message, a line of bars.
fn read(text: &str) -> Vec<Seen> {
    let mut all = Vec::new();
    for block in text.split("====================\n").skip(1) {
        let (about, rest) = block.split_once("~~~~~~~~~~~~~~~~~~~~\n").unwrap();
        let octets = rest.rsplit_once("||||||||||||||||||||").unwrap().0;
        let line = |name: &str| {
            let value = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_else(|| panic!("no {name} in {about}")).to_owned()
        };
        // What is no message is a keep-alive.
        let Ok(message) = Message::parse(bytes::Bytes::from(octets.to_owned())) else { continue };
        all.push(Seen {
            at: line("time"),
            is_sent: line("tag") == "snd",
            from: line("srcip").parse().unwrap(),
            to: line("dstip").parse().unwrap(),
            is_tcp: line("proto").starts_with("tcp"),
            message,
        });
    }
    all
}

/// Kamailio and its children, none of which outlives it.
struct Core {
    child: Child,
    folder: PathBuf,
}

impl Core {
    fn start(folder: &Path, at: Ipv4Addr, server: Ipv4Addr, transport: Transport) -> Self {
        // The file itself, beside a description of this place.
        let copy =
            |name: &str| std::fs::copy(Path::new(CONFIGURATION).join(name), folder.join(name)).unwrap();
        copy("kamailio.cfg");
        let folder_text = folder.to_str().unwrap();
        let local = std::fs::read_to_string(Path::new(CONFIGURATION).join("local.cfg")).unwrap();
        let told = [
            ("CORE_IP", at.to_string()),
            ("SERVER_IP", server.to_string()),
            ("SERVER_PORT", PORT.to_string()),
            ("SERVER_TRANSPORT", if transport == Transport::Udp { "udp" } else { "tcp" }.to_owned()),
            ("POC_DOMAIN", DOMAIN.to_owned()),
            ("USERS", folder_text.to_owned()),
        ];
        let lines = local.lines().map(|line| {
            let named = told.iter().find(|(name, _)| line.starts_with(&format!("#!substdef \"!{name}!")));
            named.map_or_else(|| line.to_owned(), |(name, value)| format!("#!substdef \"!{name}!{value}!g\""))
        });
        let local: String = lines.map(|line| line + "\n").collect();
        let dump = format!(
            "loadmodule \"sipdump.so\"\nmodparam(\"sipdump\", \"enable\", 1)\nmodparam(\"sipdump\", \"folder\", \"{folder_text}\")\n"
        );
        std::fs::write(folder.join("local.cfg"), local + &dump).unwrap();
        let story = std::fs::File::create(folder.join("story")).unwrap();
        let file = |name: &str| -> PathBuf { folder.join(name) };
        let mut command = Command::new("kamailio");
        command.arg("-f").arg(file("kamailio.cfg")).arg("-P").arg(file("pid")).arg("-Y").arg(folder);
        command.args(["-m", "64", "-M", "8", "-DD", "-E", "-n", "2", "-N", "2"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(story).process_group(0);
        let core = Self { child: command.spawn().unwrap(), folder: folder.to_owned() };
        let until = Instant::now() + PATIENCE;
        wait("Kamailio listens", until, || is_bound(Transport::Udp, at) && is_bound(Transport::Tcp, at));
        core
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let signal = |name: &str, whom: String| {
            let _ = Command::new("kill").args([name, "--", &whom]).stderr(Stdio::null()).status();
        };
        signal("-TERM", self.child.id().to_string());
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && self.child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Whatever has not followed: the group is its own.
        signal("-KILL", format!("-{}", self.child.id()));
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string(self.folder.join("story")).unwrap_or_default());
            for Seen { at, is_sent, from, to, is_tcp, message } in written(&self.folder) {
                let way = if is_sent { "sent" } else { "received" };
                let call =
                    String::from_utf8_lossy(message.value(Name::CallId).unwrap_or_default()).into_owned();
                println!(
                    "{at} {way} {from} -> {to} {} {} {call}",
                    if is_tcp { "tcp" } else { "udp" },
                    word(&message)
                );
            }
        }
    }
}

/// Every request that makes a dialog and was passed on names Kamailio in Record-Route, and no other way was taken.
pub(crate) fn check_way(seen: &[Seen], core: Ipv4Addr) {
    for each in seen {
        assert!(each.from == core || each.to == core);
        let makes_dialog = each.is("INVITE") || each.is("SUBSCRIBE");
        let is_first = each.message.to().unwrap().tag().is_none();
        if each.is_sent && makes_dialog && is_first {
            let routes = each.message.addresses(Name::RecordRoute).filter_map(Result::ok);
            let named = routes.filter(|route| {
                let uri = sip::message::Uri::parse(route.uri).unwrap();
                uri.socket_address().is_some_and(|at| at.ip() == core)
            });
            assert!(named.count() > 0, "{:?}", each.message);
        }
    }
}
