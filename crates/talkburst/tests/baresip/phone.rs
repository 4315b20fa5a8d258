//! baresip as a child, and the server and clients around it. Every wait is bounded.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;

use crate::program::{Bound, Folder, PATIENCE, Program, group, user};
use crate::sipping::{PORT, Transport, is_bound, own_address, wait};

/// Where baresip takes orders.
const ORDERS: u16 = 4444;

/// Whether baresip is there.
fn has_baresip() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let start =
        || Command::new("baresip").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let found = *FOUND.get_or_init(start);
    if !found {
        crate::common::leave_out("baresip");
    }
    found
}

/// A server with Anna and Carl, who have our client, and Ben, who has a phone.
pub(crate) struct Network {
    pub(crate) server: Program,
    pub(crate) at: Ipv4Addr,
    folder: Folder,
}

impl Network {
    /// `None` without baresip.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&["--plain-phone"], &["--md5-only"])
    }

    /// The same with these rules of Ben and arguments of the server.
    pub(crate) fn with(rules: &[&str], arguments: &[&str]) -> Option<Self> {
        if !has_baresip() {
            return None;
        }
        let at = own_address();
        let folder = Folder::new(&format!("phone-{at}"));
        for (name, rules) in [("anna", &[][..]), ("carl", &[]), ("ben", rules)] {
            user(&folder, &[&["add", name, "--password-stdin"], rules].concat(), name);
            std::fs::write(folder.join(format!("password-of-{name}")), name).unwrap();
        }
        for (name, kind) in [("patrol", "prearranged"), ("lobby", "chat")] {
            group(&folder, &["add", name, "--kind", kind]);
            group(&folder, &["member", "add", name, "anna", "ben", "carl"]);
        }
        let listen = format!("{at}:{PORT}");
        let start = ["serve", "--listen", &listen, "--data", folder.to_str().unwrap()];
        let mut server = Program::start(&[&start, arguments].concat());
        server.until("listening");
        Some(Self { server, at, folder })
    }

    /// `talkburst answer` or `call` as `name`.
    pub(crate) fn client(&self, name: &str, arguments: &[&str]) -> Program {
        let (server, user) = (format!("{}:{PORT}", self.at), format!("{name}@poc.internal"));
        let password = self.folder.join(format!("password-of-{name}"));
        let own = ["--server", &server, "--user", &user, "--password-file", password.to_str().unwrap()];
        let listen = format!("{}:{PORT}", own_address());
        Program::start(&[arguments, &own, &["--listen", &listen]].concat())
    }

    /// Ben's phone, registered.
    pub(crate) fn phone(&mut self) -> Phone {
        let phone = Phone::start(self.at);
        while self.server.until("bindings-changed")["address"] != "sip:ben@poc.internal" {}
        phone
    }
}

/// baresip as Ben.
pub(crate) struct Phone {
    /// Before its folder, so that it ends first.
    _child: Bound,
    folder: PathBuf,
    orders: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Phone {
    /// Begins, and registers by UDP.
    pub(crate) fn start(server: Ipv4Addr) -> Self {
        let at = own_address();
        let folder = std::env::temp_dir().join(format!("talkburst-baresip-{at}"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| folder.join(name);
        std::fs::write(file("silence.wav"), wave(60)).unwrap();
        let folder_text = folder.display();
        std::fs::write(
            file("config"),
            format!(
                "module_path /usr/lib/baresip/modules\nnet_interface {at}\nsip_listen {at}:{PORT}\n\
                 module g711.so\nmodule amr.so\nmodule aufile.so\nmodule_tmp account.so\nmodule_app menu.so\n\
                 module ctrl_tcp.so\nctrl_tcp_listen {at}:{ORDERS}\n\
                 audio_source aufile,{folder_text}/silence.wav\naudio_player aufile,{folder_text}/heard.wav\n\
                 audio_alert aufile,{folder_text}/alert.wav\n"
            ),
        )
        .unwrap();
        let account = format!(
            "<sip:ben@poc.internal;transport=udp>;auth_pass=ben;outbound=\"sip:{server}:{PORT}\";audio_codecs=PCMU,AMR\n"
        );
        std::fs::write(file("accounts"), account).unwrap();
        let mut command = Command::new("baresip");
        command.arg("-4").arg("-f").arg(&folder).stdin(Stdio::null());
        command.stdout(std::fs::File::create(file("story")).unwrap()).stderr(Stdio::null());
        let child = Bound(command.spawn().unwrap());
        let until = Instant::now() + PATIENCE;
        wait("baresip listens", until, || is_bound(Transport::Udp, at));
        let mut orders = None;
        while orders.is_none() {
            assert!(Instant::now() < until, "never: baresip takes orders");
            orders = TcpStream::connect((at, ORDERS)).ok();
        }
        let orders = orders.unwrap();
        orders.set_read_timeout(Some(PATIENCE)).unwrap();
        let answers = BufReader::new(orders.try_clone().unwrap());
        Self { _child: child, folder, orders, answers }
    }

    /// Gives an order: `dial`, `accept`, `hangup`.
    pub(crate) fn order(&mut self, command: &str, parameters: &str) {
        let text = serde_json::json!({ "command": command, "params": parameters }).to_string();
        self.orders.write_all(format!("{}:{text},", text.len()).as_bytes()).unwrap();
    }

    /// The next event of this type.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        loop {
            let said = self.next();
            if said["type"] == kind {
                return said;
            }
        }
    }

    /// A netstring: what has happened, or the answer to an order.
    fn next(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut octet = [0];
            self.answers.read_exact(&mut octet).expect("baresip says something");
            match octet[0] {
                digit @ b'0'..=b'9' => length = 10 * length + usize::from(digit - b'0'),
                b':' => break,
                _ => {} // the comma behind the one before
            }
        }
        let mut text = vec![0; length];
        self.answers.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self._child.0.kill();
        let _ = self._child.0.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Silence in a WAV file, with the 8000 samples a second that AMR has. baresip hangs up at its end.
fn wave(seconds: u32) -> Vec<u8> {
    const RATE: u32 = 8000;
    let octets = 2 * RATE * seconds;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + octets).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    file.extend([RATE, 2 * RATE].into_iter().flat_map(u32::to_le_bytes));
    file.extend([2_u16, 16].into_iter().flat_map(u16::to_le_bytes));
    file.extend(b"data");
    file.extend(octets.to_le_bytes());
    file.resize(file.len() + octets as usize, 0);
    file
}
