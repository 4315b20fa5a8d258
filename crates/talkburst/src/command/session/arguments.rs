//! What was typed: the options that `call` and `answer` share, and the values that options have.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use sip::Duration;
use sip::transport::Transport;

/// The longest span that is taken. Longer ones are slips of the pen.
const SPAN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Options of every command that has sessions with real peers.
#[derive(Args)]
pub(crate) struct Shared {
    /// Our PoC Address: `sip:anna@example.com`, `anna@example.com` or `"Anna" <sip:anna@example.com>`; with --server also
    /// `anna`.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) user: Option<String>,
    /// Where to receive, UDP and TCP on the same port; port 0 is one that is free.
    #[arg(long, value_name = "IP[:PORT]")]
    pub(super) listen: Option<IpPort>,
    /// What peers are told in Via and Contact, if it is not the address that is listened on.
    #[arg(long, value_name = "IP[:PORT]")]
    pub(super) advertise: Option<IpPort>,
    /// The transport towards the target (call), or the only one to listen on (answer).
    #[arg(long, value_enum)]
    pub(super) transport: Option<TransportName>,
    /// Send everything by way of this outbound proxy.
    #[arg(long, value_name = "HOST[:PORT]|SIP-URI")]
    pub(super) proxy: Option<String>,
    /// Register here, and go by way of it.
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "proxy", requires = "user")]
    pub(super) server: Option<String>,
    /// The domain of users who are named without one, if it is not that of --user.
    #[arg(long, value_name = "NAME", requires = "server")]
    pub(super) domain: Option<String>,
    /// How long a registration is to last before it is refreshed.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1h", requires = "server")]
    pub(super) register_for: Duration,
    /// The user name for authentication, if it is not the user part of --user.
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "password_file")]
    pub(super) password_stdin: bool,
    /// Read the password from the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Ask this name server instead of the system's; may be repeated.
    #[arg(long, value_name = "IP[:PORT]")]
    pub(super) nameserver: Vec<IpPort>,
    /// T1, the estimate of the round trip. T2 is 8*T1, T4 is 10*T1.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "500ms")]
    pub(super) t1: Duration,
    /// What the SIP/IP core is.
    #[arg(long, value_enum, default_value = "plain")]
    pub(super) profile: ProfileName,
    /// One JSON object a line on standard output, one an event.
    #[arg(long)]
    pub(super) json: bool,
    /// A line an event, also in a terminal that could show a screen.
    #[arg(long)]
    pub(super) plain: bool,
    /// The screen does without the bell of the terminal.
    #[arg(long)]
    pub(super) no_bell: bool,
    /// Draw each session as a ladder when it has ended (with --json: on standard error).
    #[arg(long)]
    pub(super) ladder: bool,
    /// Write every message to this file, which tshark and Wireshark open.
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,
    /// Keep all that goes in, in this file, so that `replay` can do the same again. It has what is said and the password.
    #[cfg(unix)]
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Leave this long after the session is established.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(super) leave_after: Option<Duration>,
    /// Say this WAV file, and let go when it ends.
    #[arg(long, value_name = "FILE")]
    pub(super) talk: Option<PathBuf>,
    /// Say what the microphone hears.
    #[arg(long, conflicts_with = "talk")]
    pub(super) microphone: bool,
    /// Let what is heard come from the loudspeaker.
    #[arg(long)]
    pub(super) loudspeaker: bool,
    /// Speak for this long: a tone without --talk.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(super) talk_for: Option<Duration>,
    /// Press the key this long after the session is established.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(super) talk_after: Option<Duration>,
    /// Write what is heard to this WAV file.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// What speech may be coded in, the best first [default: all that the program has].
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub(super) codec: Vec<CodecName>,
    /// How urgent it is.
    #[arg(long, value_enum, default_value = "normal")]
    pub(super) priority: PriorityName,
    /// Ask for a session that is over after this span unless it is refreshed (RFC 4028); at least 90s.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(super) session_expires: Option<Duration>,
}

/// A transport as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportName {
    Udp,
    Tcp,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Udp => Self::Udp,
            TransportName::Tcp => Self::Tcp,
        }
    }
}

/// A codec as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CodecName {
    Pcmu,
    Pcma,
    Amr,
    AmrWb,
    Opus,
}

impl CodecName {
    /// As session descriptions name it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Amr => "AMR",
            Self::AmrWb => "AMR-WB",
            Self::Opus => "opus",
        }
    }
}

/// A priority as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PriorityName {
    Normal,
    High,
    PreEmptive,
}

impl From<PriorityName> for poc::talk_burst::Priority {
    fn from(name: PriorityName) -> Self {
        match name {
            PriorityName::Normal => Self::Normal,
            PriorityName::High => Self::High,
            PriorityName::PreEmptive => Self::PreEmptive,
        }
    }
}

/// A profile as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileName {
    Plain,
    Ims,
}

impl From<ProfileName> for poc::Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Plain => Self::Plain,
            ProfileName::Ims => Self::Ims,
        }
    }
}

/// `IP[:PORT]`; an IPv6 address that is followed by a port stands in brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IpPort {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
}

impl IpPort {
    /// The address, with `port` if none was typed.
    pub(crate) fn or_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl FromStr for IpPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: address.ip(), port: Some(address.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let ip =
            bare.parse().map_err(|_| "not an IP address with or without a port, such as 127.0.0.1:5060")?;
        Ok(Self { ip, port: None })
    }
}

/// A span: `200ms`, `2s`, `1m30s`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text)
        .map_err(|_| "not a span of time, such as 200ms, 2s or 1m30s".to_owned())?;
    if span > SPAN_MAX { Err("longer than a day".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_port() {
        let read = |text: &str| text.parse::<IpPort>().ok().map(|read| (read.ip.to_string(), read.port));
        assert_eq!(read("127.0.0.1"), Some(("127.0.0.1".to_owned(), None)));
        assert_eq!(read("127.0.0.1:0"), Some(("127.0.0.1".to_owned(), Some(0))));
        assert_eq!(read("::1"), Some(("::1".to_owned(), None)));
        assert_eq!(read("[::1]"), Some(("::1".to_owned(), None)));
        assert_eq!(read("[::1]:5070"), Some(("::1".to_owned(), Some(5070))));
        for wrong in ["", "localhost", "127.0.0.1:", "127.0.0.1:65536", "[::1", "1.2.3.4:x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_has_a_unit_and_is_at_most_a_day() {
        assert_eq!(span("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(span("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("0ms"), Ok(Duration::ZERO));
        assert_eq!(span("24h"), Ok(SPAN_MAX));
        for wrong in ["", "2", "-1s", "2 parsecs", "25h", "99999999999999999999s"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
