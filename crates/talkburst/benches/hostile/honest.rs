//! A server, two users of it who do as they should, and some who know their passwords and do not.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sip::Message;
use sip::auth::digest::{Algorithm, Input, Quality, Secret};
use sip::auth::unquoted;
use sip::message::Name;

use crate::attack::{MUTE, Traffic};

pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Where the server receives media.
const MEDIA: u16 = 47_000;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child that does not outlive this.
struct Bound(Child);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with its users, one of whom answers by itself.
pub(crate) struct Home {
    folder: PathBuf,
    pub(crate) sip: SocketAddr,
    pub(crate) media: SocketAddr,
    ben: Option<Bound>,
    server: Bound,
}

fn talkburst(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    command.args(arguments);
    command
}

/// Starts it, and waits for an event of this kind.
fn until(command: &mut Command, kind: &'static str) -> (Bound, Value) {
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let bound = Bound(child);
    let events = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let mut events = events.skip_while(move |event| event["event"] != kind);
    let event = events.next().expect("it tells");
    // Or it could not tell any more.
    std::thread::spawn(move || events.for_each(drop));
    (bound, event)
}

impl Home {
    pub(crate) fn begin() -> Self {
        let folder = std::env::temp_dir().join(format!("talkburst-hostile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (data, config) = (folder.join("data"), folder.join("config.toml"));
        std::fs::write(&config, format!("[media]\nfirst-port = {MEDIA}\n")).expect("written");
        let [data, config] = [&data, &config].map(|path| path.to_str().expect("text"));
        let serve = [
            "serve",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--shards",
            "2",
            "--config",
            config,
            "--data",
            data,
        ];
        let (server, listening) = until(&mut talkburst(&serve), "listening");
        let sip = listening["udp"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let mute = (0..MUTE).map(|number| format!("mute{number}"));
        for name in ["anna".to_owned(), "ben".to_owned()].into_iter().chain(mute) {
            let mut add = talkburst(&["user", "add", &name, "--password-stdin", "--data", data]);
            let mut child = add
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            child.stdin.take().expect("piped").write_all(name.as_bytes()).expect("read");
            assert!(child.wait().expect("it ends").success());
            std::fs::write(folder.join(&name), &name).expect("written");
        }
        let chat = ["group", "add", "field", "--kind", "chat", "--joins", "anybody", "--data", data];
        assert!(
            talkburst(&chat).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs").success()
        );
        let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA));
        let mut home = Self { folder, sip, media, ben: None, server };
        let (ben, _) = until(home.client("ben", &["answer", "--auto"]).arg("--json"), "published");
        home.ben = Some(ben);
        home
    }

    fn client(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = talkburst(arguments);
        command.args(["--server", &self.sip.to_string(), "--user", name, "--password-file"]);
        command.arg(self.folder.join(name));
        command
    }

    fn of_server(&self, file: &str) -> String {
        let path = Path::new("/proc").join(self.server.0.id().to_string()).join(file);
        std::fs::read_to_string(path).expect("it runs")
    }

    /// Octets that the server has in memory.
    pub(crate) fn memory(&self) -> u64 {
        let status = self.of_server("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("told");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// Processor time that the server has taken; the kernel counts hundredths of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.of_server("stat");
        let (_, behind) = stat.rsplit_once(") ").expect("told");
        let ticks: u64 = behind.split(' ').skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Anna.
pub(crate) struct Caller<'a> {
    home: &'a Home,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(home: &'a Home) -> Self {
        Self { home }
    }

    /// Registers, calls Ben, talks for a moment and leaves: how long that took, if it was a session.
    pub(crate) fn call(&mut self) -> Option<Duration> {
        let begun = Instant::now();
        let mut command = self.home.client("anna", &["call", "ben", "--json", "--leave-after", "20ms"]);
        let mut child =
            Bound(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?);
        while child.0.try_wait().ok()?.is_none() {
            if begun.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let took = begun.elapsed();
        let out = BufReader::new(child.0.stdout.take()?).lines().map_while(Result::ok);
        let mut events = out.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        events.any(|event| event["event"] == "established").then_some(took)
    }
}

/// Each joins a chat, and says nothing to its 200.
pub(crate) fn unacknowledged(server: SocketAddr, end: Instant) -> Traffic {
    let mut traffic = Traffic::default();
    let mut sockets = Vec::new();
    for number in 0..MUTE {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.connect(server).expect("possible");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("possible");
        traffic.sent += u64::from(join(&socket, &format!("mute{number}")).is_some());
        sockets.push(socket);
    }
    let mut buffer = [0; 65_536];
    for socket in &sockets {
        socket.set_nonblocking(true).expect("possible");
    }
    while Instant::now() < end {
        for socket in &sockets {
            while let Ok(length) = socket.recv(&mut buffer) {
                traffic.answers += 1;
                traffic.again += u64::from(buffer[..length].starts_with(b"SIP/2.0 200"));
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    traffic
}

/// Begins a session as this user does, but for the ACK of its 200.
fn join(socket: &UdpSocket, name: &str) -> Option<()> {
    let local = socket.local_addr().ok()?;
    let uri = "sip:field@poc.internal";
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 97\r\n\
         a=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\nm=application {} udp TBCP\r\na=fmtp:TBCP queuing=1\r\n",
        local.port(),
        local.port()
    );
    let send = |number: u32, lines: &str| {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{name}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@poc.internal>;tag=f\r\nTo: <{uri}>\r\nCall-ID: {name}-{local}\r\nCSeq: {number} INVITE\r\n\
             Contact: <sip:{name}@{local}>;+g.poc.talkburst\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
             {lines}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.send(text.as_bytes()).ok()?;
        let mut buffer = [0; 65_536];
        loop {
            let length = socket.recv(&mut buffer).ok()?;
            let answer = Message::parse(buffer[..length].to_vec().into()).ok()?;
            if answer.status().is_some_and(|status| status >= 200) {
                return Some(answer);
            }
        }
    };
    let challenge = send(1, "")?;
    let mut all = challenge.credentials(Name::ProxyAuthenticate).filter_map(Result::ok);
    let parameters = all.find(|each| each.parameters.value(b"algorithm") == Some(b"MD5"))?.parameters;
    let nonce = parameters.value(b"nonce").and_then(unquoted)?.to_vec();
    let response = Input {
        algorithm: Algorithm::parse(b"MD5")?,
        username: name.as_bytes(),
        realm: b"poc.internal",
        secret: Secret::Password(name.as_bytes()),
        nonce: &nonce,
        cnonce: b"c",
        count: 1,
        quality: Some(Quality::Authentication),
        method: b"INVITE",
        uri: uri.as_bytes(),
        body: b"",
    }
    .response();
    let nonce = String::from_utf8(nonce).ok()?;
    let line = format!(
        "Proxy-Authorization: Digest username=\"{name}\", realm=\"poc.internal\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, \
         qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n"
    );
    (send(2, &line)?.status() == Some(200)).then_some(())
}
