//! `talkburst bench bursts`: in many sessions talk bursts are asked for, granted and released. What a message costs the server, and
//! how long a grant takes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;

use clap::Args;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use poc::talk_burst::Message;
use sip::{Duration, Instant};

use super::child::{Used, resident};
use super::control::{Control, LEGS_MAX, Said, octets};
use super::figures::Figures;
use super::legs::{Legs, Plan};
use super::sip::{free, rate};
use crate::clock::Clock;
use crate::command::session::arguments::span;
use crate::command::{DONE, Failure, block_on};

/// How long a talk burst lasts.
const HELD: Duration = Duration::from_millis(5);

/// How long messages may still come once no more talk bursts begin.
const LATE: Duration = Duration::from_millis(300);

/// Sockets that are told of at once.
const READY_MAX: usize = 64;

/// What the server counts of the time that its grants take.
const GRANTS: &str = "talkburst_grant_seconds";

/// What was typed behind `bench bursts`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Sessions.
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,
    /// Those who take part in each.
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = clap::value_parser!(u32).range(2..=1000))]
    members: u32,
    /// Talk bursts a second, of all sessions in turn, whatever becomes of those before.
    #[arg(long, value_name = "BURSTS", default_value = "1000", value_parser = rate)]
    rate: f64,
    /// How long it is measured.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, default_value = "5s")]
    span: Duration,
    /// How long there are talk bursts before.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1s")]
    warm_up: Duration,
    /// Wait for messages instead of looking for them all the time: the server is charged for waking this program.
    #[arg(long)]
    wait: bool,
    /// The program that serves: another build of this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// One more argument for the server; may be repeated.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    with: Vec<String>,
    /// One JSON object on standard output instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and tells.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let (sessions, members) = (arguments.sessions as usize, arguments.members as usize);
    if sessions * members > LEGS_MAX {
        return Err(Failure::Usage("there can be 100000 legs at most"));
    }
    // 1. Everybody joins.
    let control = Control::open().map_err(Failure::Network)?;
    let metrics = block_on(free(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    let mut with = arguments.with.clone();
    with.extend(["--metrics".to_owned(), metrics.to_string()]);
    let program = arguments.program.as_deref();
    let plan = Plan { sessions, members, speech: &[], with: &with, program };
    let legs = block_on(Legs::join(&plan, &control))?;

    // 2. Talk bursts.
    let mut turns = Turns { clock: Clock::start(), arguments, legs: &legs, control: &control, number: 0 };
    turns.pass(arguments.warm_up).map_err(Failure::Network)?;
    let (before, used) = (Grants::read(metrics), Used::by(&[legs.server.id()]));
    let mut seen = turns.pass(arguments.span).map_err(Failure::Network)?;
    let used = Used::by(&[legs.server.id()]).since(used).total;
    let grants = Grants::read(metrics).since(&before);

    // 3. What came of it.
    let mut figures = Figures::default();
    seen.tell(used, &mut figures);
    grants.tell(&mut figures);
    figures.put("rss_kb", "KiB of memory, the server", resident(legs.server.id()) as f64, 0);
    let mut out = io::stdout().lock();
    if arguments.json {
        let labels = [
            ("sessions", arguments.sessions.into()),
            ("members", arguments.members.into()),
            ("rate", arguments.rate.into()),
        ];
        figures.write_json(&labels, &mut out)?;
    } else {
        let label = format!("bursts {sessions} x {members} @{}", arguments.rate);
        figures.write(&label, &mut out)?;
    }
    Ok(DONE)
}

struct Turns<'a> {
    clock: Clock,
    arguments: &'a Arguments,
    legs: &'a Legs,
    control: &'a Control,
    /// Talk bursts that there have been.
    number: usize,
}

/// What has come of them.
#[derive(Default)]
struct Seen {
    asked: u64,
    granted: u64,
    denied: u64,
    /// Messages both ways.
    messages: u64,
    /// From the moment at which it should have been asked for, in microseconds.
    delays: Vec<u32>,
}

impl Turns<'_> {
    /// Talk bursts for so long.
    fn pass(&mut self, span: Duration) -> io::Result<Seen> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (place, socket) in self.control.sockets().enumerate() {
            poll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
        }
        let timeout = if self.arguments.wait { EpollTimeout::from(1_u8) } else { EpollTimeout::ZERO };
        let mut ready = [EpollEvent::empty(); READY_MAX];
        let (mut seen, begun) = (Seen::default(), self.clock.now());
        let every = Duration::from_secs_f64(1.0 / self.arguments.rate);
        let (mut next, mut held) = (begun, VecDeque::new());
        // By session: who has asked, and when it should have.
        let mut asking: Vec<Option<(usize, Instant)>> = vec![None; self.legs.at.len()];
        loop {
            let now = self.clock.now();
            if now > begun + span + LATE {
                return Ok(seen);
            }
            while next <= now && next < begun + span {
                let leg = self.next_leg();
                asking[leg] = Some((leg, next));
                self.say(leg, Message::Request { priority: None, timestamp: None }, &mut seen)?;
                seen.asked += 1;
                next = next + every;
            }
            while let Some((leg, _)) = held.pop_front_if(|(_, until)| *until <= now) {
                self.say(leg, Message::Release { last: None }, &mut seen)?;
            }
            let count = poll.wait(&mut ready, timeout)?;
            for event in &ready[..count] {
                let (place, at) = (event.data() as usize, |leg: usize| self.legs.at[leg].control);
                let answered = self.control.answer(place, at, |leg, said| {
                    seen.messages += 1;
                    match said {
                        Said::Granted => {
                            let Some((_, due)) = asking.get_mut(leg).and_then(Option::take) else { return };
                            let now = self.clock.now();
                            let delay = now.saturating_since(due).as_micros();
                            seen.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
                            seen.granted += 1;
                            held.push_back((leg, now + HELD));
                        }
                        Said::Denied => seen.denied += 1,
                        Said::Taken(_) | Said::Other => {}
                    }
                })?;
                seen.messages += answered;
            }
        }
    }

    /// Who asks next: another session each time, and once they have all had their turn another member.
    fn next_leg(&mut self) -> usize {
        let (sessions, members) = (self.arguments.sessions as usize, self.arguments.members as usize);
        let (session, turn) = (self.number % sessions, self.number / sessions);
        self.number += 1;
        session * members + turn % members
    }

    fn say(&self, leg: usize, message: Message, seen: &mut Seen) -> io::Result<()> {
        seen.messages += 1;
        self.control.send(leg, self.legs.at[leg].control, &octets(leg, message))
    }
}

impl Seen {
    fn tell(&mut self, used: u64, figures: &mut Figures) {
        let each = |of: u64| used as f64 / 1000.0 / of.max(1) as f64;
        figures.put("bursts", "talk bursts that were asked for", self.asked as f64, 0);
        figures.put("granted", "that were granted", self.granted as f64, 0);
        figures.put("denied", "that were denied", self.denied as f64, 0);
        figures.put("msgs", "messages, both ways", self.messages as f64, 0);
        figures.put(
            "server_us/burst",
            "µs of processor time a talk burst, the server",
            each(self.granted),
            1,
        );
        figures.put("server_us/msg", "µs a message", each(self.messages), 2);
        let delays = [
            ("p50", "µs from the moment of the request to its grant: half of them at most"),
            ("p99", "µs: 99 % at most"),
            ("p999", "µs: 99.9 % at most"),
        ];
        figures.put_percentiles(delays, &mut self.delays);
    }
}

/// Grants of the server, by how long they took inside: how many took at most so many seconds.
#[derive(Default)]
struct Grants(Vec<(f64, u64)>);

impl Grants {
    /// As the server tells it; nothing if it does not.
    fn read(metrics: SocketAddr) -> Self {
        let ask = || -> io::Result<String> {
            let (mut stream, mut text) = (TcpStream::connect(metrics)?, String::new());
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        // What is kept of the page is half a second old at most.
        std::thread::sleep(Duration::from_millis(600));
        let text = ask().unwrap_or_default();
        let bucket = |line: &str| {
            let rest = line.strip_prefix(GRANTS)?.strip_prefix("_bucket")?;
            let (bound, rest) = rest.split_once("le=\"")?.1.split_once('"')?;
            let count = rest.rsplit(' ').next()?.parse().ok()?;
            Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, count))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    fn since(&self, earlier: &Self) -> Self {
        let before =
            |bound: f64| earlier.0.iter().find(|(each, _)| *each >= bound).map_or(0, |(_, count)| *count);
        Self(self.0.iter().map(|(bound, count)| (*bound, count.saturating_sub(before(*bound)))).collect())
    }

    fn tell(&self, figures: &mut Figures) {
        let Some((_, all)) = self.0.last().filter(|(_, all)| *all > 0) else { return };
        for (bound, name, what) in [
            (
                25e-6,
                "inside_25us_pct",
                "% of the grants left the server within 25 µs of the request's arrival",
            ),
            (50e-6, "inside_50us_pct", "% within 50 µs"),
            (100e-6, "inside_100us_pct", "% within 100 µs"),
            (250e-6, "inside_250us_pct", "% within 250 µs"),
        ] {
            let within =
                self.0.iter().rev().find(|(each, _)| *each <= bound * 1.001).map_or(0, |(_, count)| *count);
            figures.put(name, what, within as f64 * 100.0 / *all as f64, 2);
        }
    }
}
