//! `talkburst trace`: the messages that concern a user, as a ladder that grows.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use sim::ladder::{Fate, Party as Column, Role, Trace, label};
use sip::transport::{Path, Transmit, Transport};
use sip::{Duration, Instant, Message};

use super::session::arguments::span;
use super::user::{self, Data, Name, expected, strange};
use super::{DONE, Failure, block_on};
use crate::control::{End, Line, Order, Party, Reply, Shown};

/// Columns of the widest ladder; further parties share the last.
const COLUMNS_MAX: usize = 7;

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// What was typed behind `trace`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The user: `anna` or `anna@DOMAIN`.
    #[arg(long, value_name = "USER")]
    user: Name,
    /// One JSON object a line on standard output, one a message.
    #[arg(long)]
    json: bool,
    /// Stop after this time.
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
    #[command(flatten)]
    data: Data,
}

/// Shows what goes through the server, until stopped.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    block_on(async {
        let mut line = arguments.data.server().await?;
        let asked = Order::Domain { asked: arguments.user.domain.clone() };
        let Reply::Domain { domain } = expected(line.ask(&asked).await.map_err(Failure::Server)?)? else {
            return Err(strange());
        };
        let user = format!("{}@{domain}", arguments.user.user);
        user::done(line.ask(&Order::Trace { user: user.clone() }).await.map_err(Failure::Server)?)?;
        if !arguments.json {
            anstream::eprintln!("what concerns sip:{user}, until stopped:");
        }
        let showing = show(&mut line, arguments.json);
        match arguments.span {
            Some(span) => tokio::time::timeout(span, showing).await.unwrap_or(Ok(DONE)),
            None => showing.await,
        }
    })
}

async fn show(line: &mut Line, json: bool) -> Result<u8, Failure> {
    let mut ladder = Ladder::default();
    loop {
        let Some(reply) = line.next().await.map_err(Failure::Server)? else { return Ok(DONE) };
        let Reply::Shown(shown) = expected(reply)? else { return Err(strange()) };
        let mut out = anstream::stdout().lock();
        if json {
            writeln!(out, "{}", object(&shown))?;
        } else {
            write!(out, "{}", ladder.draw(&shown))?;
        }
        out.flush()?;
    }
}

/// A message for a script.
fn object(shown: &Shown) -> serde_json::Value {
    let label = Message::parse(shown.octets.clone().into()).map(|message| label(&message));
    serde_json::json!({
        "at": shown.at as f64 / 1_000_000.0,
        "transport": shown.transport,
        "from": shown.from,
        "to": shown.to,
        "label": label.unwrap_or_default(),
        "message": String::from_utf8_lossy(&shown.octets),
    })
}

/// A ladder whose parties are not known before they say something.
struct Ladder {
    trace: Trace,
    /// Name and address of the parties of the network that have columns, in their order.
    columns: Vec<(String, SocketAddr)>,
    /// The column of each address that was seen.
    network: BTreeMap<SocketAddr, SocketAddr>,
    begun: Option<u64>,
}

impl Default for Ladder {
    fn default() -> Self {
        let column = |name: &str, place, role| Column { name: name.to_owned(), address: place, role };
        let parties = vec![column("core", CORE, Role::Core), column("server", SERVER, Role::Server)];
        Self { trace: Trace::between(parties), columns: Vec::new(), network: BTreeMap::new(), begun: None }
    }
}

/// Places of a ladder are told by addresses; no peer has port 0.
const CORE: SocketAddr = place(1);
const SERVER: SocketAddr = place(2);

const fn place(number: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(0, 0, 0, number)), 0)
}

impl Ladder {
    /// The next lines.
    fn draw(&mut self, shown: &Shown) -> String {
        let mut text = String::new();
        let Ok(message) = Message::parse(shown.octets.clone().into()) else { return text };
        let known = self.columns.len();
        let (local, remote) = (self.place(shown.from, &message, true), self.place(shown.to, &message, false));
        if known < self.columns.len() || self.begun.is_none() {
            text.push_str(&self.trace.head());
        }
        let begun = *self.begun.get_or_insert(shown.at);
        let at = Instant::at(Duration::from_micros(shown.at.saturating_sub(begun)));
        let path = Path { transport: Transport::Udp, local, remote, connection: None };
        self.trace.message_with(
            at,
            &Transmit { path, bytes: shown.octets.clone().into() },
            Fate::Arrives(Duration::ZERO),
        );
        text.push_str(&self.trace.take_row(Instant::START).unwrap_or_default());
        text
    }

    /// Where a party stands; a new one gets a column. A user who has two ports, one of them for TCP, has one.
    fn place(&mut self, end: End, message: &Message, is_sender: bool) -> SocketAddr {
        match end.party {
            Party::Core => return CORE,
            Party::Server => return SERVER,
            Party::Network => {}
        }
        if let Some(column) = self.network.get(&end.address) {
            return *column;
        }
        let is_from = is_sender == message.status().is_none();
        let name = name_in(message, is_from).unwrap_or_else(|| end.address.to_string());
        let mut columns = self.columns.iter();
        let same = columns.find(|(known, column)| *known == name && column.ip() == end.address.ip());
        let column = match same.or(self.columns.last().filter(|_| self.columns.len() + 2 >= COLUMNS_MAX)) {
            Some((_, column)) => *column,
            None => {
                // The first to the left of the core, all others to the right of the server.
                let at = if self.columns.is_empty() { 0 } else { self.columns.len() + 2 };
                let party = Column { name: name.clone(), address: end.address, role: Role::Client };
                self.trace.enter(at, party);
                self.columns.push((name, end.address));
                end.address
            }
        };
        if self.network.len() < ADDRESSES_MAX {
            self.network.insert(end.address, column);
        }
        column
    }
}

/// The user in From, or in To.
fn name_in(message: &Message, is_from: bool) -> Option<String> {
    let party = if is_from { message.from() } else { message.to() }.ok()?;
    let user = sip::message::Uri::parse(party.uri).ok()?.user?;
    let is_plain = |octet: &u8| octet.is_ascii_graphic();
    let name: Vec<u8> = user.iter().copied().filter(is_plain).take(14).collect();
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(at: u64, from: End, to: End, line: &str) -> Shown {
        let text = format!(
            "{line}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:anna@poc.internal>;tag=1\r\n\
             To: <sip:ben@poc.internal>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        Shown { at, transport: "udp".to_owned(), from, to, octets: text.into_bytes() }
    }

    #[test]
    fn a_party_gets_a_column_when_it_is_first_seen() {
        let network = |port| End { party: Party::Network, address: ([127, 0, 0, 1], port).into() };
        let (core, server) =
            (End { party: Party::Core, address: CORE }, End { party: Party::Server, address: SERVER });
        let mut ladder = Ladder::default();
        let invite = "INVITE sip:ben@poc.internal SIP/2.0";
        let text = ladder.draw(&shown(7_000_000, network(1), core, invite));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let names: Vec<_> = lines[0].split_whitespace().collect();
        assert_eq!(names, ["anna", "core", "server"]);
        assert!(lines[1].trim_start().starts_with("0.0ms") && lines[1].contains("INVITE"), "{text}");
        assert_eq!(ladder.draw(&shown(7_000_500, core, server, invite)).lines().count(), 1);
        let text = ladder.draw(&shown(7_001_000, core, network(2), invite));
        let names: Vec<_> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(names, ["anna", "core", "server", "ben"]);
        assert!(text.lines().last().unwrap().contains("1.0ms"), "{text}");
        // Ben by another port is Ben.
        assert_eq!(ladder.draw(&shown(7_001_000, core, network(3), invite)).lines().count(), 1);
        for host in 2..20 {
            let end = End { party: Party::Network, address: ([127, 0, 0, host], 1).into() };
            ladder.draw(&shown(7_002_000, core, end, invite));
        }
        assert_eq!(ladder.trace.parties().count(), COLUMNS_MAX);
    }
}
