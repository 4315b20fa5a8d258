//! SIPp as a client of Kamailio: its steps are those of [`script`](crate::script).

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use poc::AnswerMode;

use crate::access::Access;
use crate::network::Network;
use crate::program::PATIENCE;
use crate::script::{Part, scenario};
use crate::sipping::{
    Logged, PORT, Running, Transport, check_shared, has_sipp, is_bound, own_address, read_log, wait,
};

/// SIPp as a user, by UDP.
pub(crate) struct Sipp {
    name: &'static str,
    running: Running,
    folder: PathBuf,
}

impl Sipp {
    /// SIPp as a user who is invited: registered, with settings published, and listening. `None` without SIPp.
    pub(crate) fn invited(network: &Network, name: &'static str, steps: &str) -> Option<Self> {
        if !has_sipp() {
            return None;
        }
        let address = own_address();
        let credentials = |_: &str, _: &str| String::new();
        let part = Part { name, invited: "anna", list: &[], server: None, credentials: &credentials };
        let sipp = Self::start(network, (name, &part), steps, address, None);
        wait("SIPp listens", Instant::now() + PATIENCE, || is_bound(Transport::Udp, address));
        let mut access = Access::new(name, address, network.core_at);
        access.register(&format!("<sip:{name}@{address}:{PORT}>;+g.poc.talkburst"));
        access.publish(AnswerMode::Manual, false);
        Some(sipp)
    }

    /// SIPp as Anna, who invites `invited`. `None` without SIPp.
    pub(crate) fn anna(network: &Network, invited: &str, steps: &str) -> Option<Self> {
        if !has_sipp() {
            return None;
        }
        let address = own_address();
        let access = Access::new("anna", address, network.core_at);
        let credentials = |method: &str, uri: &str| access.credentials(method, uri);
        let part = Part { name: "anna", invited, list: &[], server: None, credentials: &credentials };
        Some(Self::start(network, ("anna", &part), steps, address, Some(network.core_at)))
    }

    fn start(
        network: &Network,
        (name, part): (&'static str, &Part<'_>),
        steps: &str,
        at: Ipv4Addr,
        to: Option<Ipv4Addr>,
    ) -> Self {
        let folder = network.folder.to_owned();
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        std::fs::write(file("xml"), scenario(part, steps)).unwrap();
        let at = at.to_string();
        let mut command = Command::new("sipp");
        command.args(to.map(|to| format!("{to}:{PORT}")));
        command.arg("-sf").arg(file("xml")).args(["-m", "1", "-nostdin", "-bind_local", "-i", &at]);
        command.args([
            "-p",
            &PORT.to_string(),
            "-ci",
            &at,
            "-timeout",
            "15s",
            "-timeout_error",
            "-t",
            "u1",
            "-pause_msg_ign",
        ]);
        command.arg("-trace_msg").arg("-message_file").arg(file("messages"));
        command.arg("-trace_err").arg("-error_file").arg(file("errors"));
        command.stdout(Stdio::null()).stderr(std::fs::File::create(file("story")).unwrap());
        let running = Running::start(command);
        Self { name, running, folder }
    }

    /// Its messages, once all went as the script says.
    pub(crate) fn messages(mut self) -> Vec<Logged> {
        let status = self.running.exit(Instant::now() + PATIENCE);
        let text = |kind: &str| {
            let file = std::fs::read(self.folder.join(format!("{}.{kind}", self.name)));
            String::from_utf8_lossy(&file.unwrap_or_default()).into_owned()
        };
        let is_well = status.and_then(|status| status.code()) == Some(0);
        assert!(is_well, "{}: {}{}", self.name, text("errors"), text("messages"));
        let messages = read_log(text("messages").as_bytes());
        // C05: the CANCEL of the last hop, which Kamailio writes, is that of its own INVITE.
        for cancel in messages.iter().filter(|logged| logged.is_ours && logged.word() == "CANCEL") {
            let invite = messages.iter().find(|logged| logged.is_ours && logged.word() == "INVITE");
            check_shared(&invite.expect("a CANCEL has an INVITE").message, &cancel.message);
        }
        messages
    }
}
