//! `talkburst bench media`: in each group one speaks and the others hear. What a copy of a packet costs the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use poc::talk_burst::Message;
use sip::Duration;

use super::child::{Used, resident};
use super::control::{Control, LEGS_MAX, Said, octets, source};
use super::figures::Figures;
use super::legs::{Legs, Plan};
use super::port::open_socket;
use crate::clock::Clock;
use crate::command::session::arguments::span;
use crate::command::{DONE, Failure, block_on};

/// A packet of 20 ms of G.711.
const PACKET: usize = 172;

/// How long a packet may be under way before it counts as lost.
const LATE: Duration = Duration::from_millis(250);

/// How long a grant is waited for, and after how long it is asked for again.
const GRANT_MAX: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Sockets that are told of at once.
const READY_MAX: usize = 512;

/// No talk burst is longer (T2).
const SPAN_MAX: Duration = Duration::from_secs(25);

/// What was typed behind `bench media`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Groups: in each of them one speaks.
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    groups: u32,
    /// Those who hear in each group. Each has a socket: `ulimit -n` must allow for it.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=5000))]
    listeners: u32,
    /// How long they speak; 25 s at most.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, default_value = "5s")]
    span: Duration,
    /// How long there is speech before.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "500ms")]
    warm_up: Duration,
    /// Time between two packets of a talker.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "20ms")]
    ptime: Duration,
    /// Listeners look for what has come only so often: nobody has to be woken, as if they were elsewhere. 0s: they wait for it.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1ms")]
    nap: Duration,
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
    let (groups, members) = (arguments.groups as usize, arguments.listeners as usize + 1);
    if groups * members > LEGS_MAX {
        return Err(Failure::Usage("there can be 100000 legs at most"));
    }
    if arguments.warm_up + arguments.span > SPAN_MAX || arguments.ptime.is_zero() {
        return Err(Failure::Usage("a talk burst has 25 s at most, and a packet some time"));
    }
    // 1. Everybody has a socket for speech; the first of each group is who speaks.
    let open = || open_socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map(UdpSocket::from);
    let sockets = (0..groups * members).map(|_| open()).collect::<io::Result<Vec<_>>>();
    let sockets = sockets.map_err(Failure::Network)?;
    let speech = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>();
    let speech = speech.map_err(Failure::Network)?;
    let control = Control::open().map_err(Failure::Network)?;
    let (program, with) = (arguments.program.as_deref(), &*arguments.with);
    let plan = Plan { sessions: groups, members, speech: &speech, with, program };
    let legs = block_on(Legs::join(&plan, &control))?;

    // 2. Who speaks, and who hears.
    let clock = Clock::start();
    let room = Room { clock, arguments, members, legs: &legs, sockets: &sockets, control: &control };
    room.ask().map_err(Failure::Network)?;
    room.speak(arguments.warm_up).map_err(Failure::Network)?;
    let mut heard = room.speak(arguments.span).map_err(Failure::Network)?;

    // 3. What came of it.
    let mut figures = Figures::default();
    heard.tell(arguments, &legs, &mut figures);
    let mut out = io::stdout().lock();
    if arguments.json {
        let labels = [("groups", arguments.groups.into()), ("listeners", arguments.listeners.into())];
        figures.write_json(&labels, &mut out)?;
    } else {
        figures.write(&format!("media {} x {}", arguments.groups, arguments.listeners), &mut out)?;
    }
    Ok(DONE)
}

struct Room<'a> {
    clock: Clock,
    arguments: &'a Arguments,
    members: usize,
    legs: &'a Legs,
    sockets: &'a [UdpSocket],
    control: &'a Control,
}

/// What has come.
#[derive(Default)]
struct Heard {
    sent: u64,
    copies: u64,
    used: u64,
    own: u64,
    delays: Vec<u32>,
}

impl Room<'_> {
    fn talkers(&self) -> impl Iterator<Item = usize> {
        (0..self.legs.at.len()).step_by(self.members)
    }

    /// Asks for all talk bursts until they are granted.
    fn ask(&self) -> io::Result<()> {
        let (begun, mut asked) = (Instant::now(), None);
        let mut waiting: Vec<_> = self.talkers().collect();
        while !waiting.is_empty() {
            if asked.is_none_or(|asked: Instant| asked.elapsed() >= ASK_AGAIN) {
                asked = Some(Instant::now());
                for leg in &waiting {
                    let request = octets(*leg, Message::Request { priority: None, timestamp: None });
                    self.control.send(*leg, self.legs.at[*leg].control, &request)?;
                }
            }
            if begun.elapsed() > GRANT_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not grant"));
            }
            std::thread::sleep(Duration::from_millis(1));
            for place in 0..self.control.sockets().count() {
                self.control.answer(
                    place,
                    |leg| self.legs.at[leg].control,
                    |leg, said| {
                        if said == Said::Granted {
                            waiting.retain(|each| *each != leg);
                        }
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Nanoseconds by a clock that all threads share.
    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().since_start().as_nanos()).unwrap_or(u64::MAX)
    }

    /// All talkers speak for so long.
    fn speak(&self, span: Duration) -> io::Result<Heard> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (place, socket) in self.sockets.iter().enumerate() {
            poll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
        }
        let (server, own) = ([self.legs.server.id()], [std::process::id()]);
        let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = (Used::by(&server), Used::by(&own));
        let mut heard = std::thread::scope(|scope| {
            scope.spawn(|| {
                let told = self.talk(span, &sent);
                std::thread::sleep(LATE);
                is_over.store(true, Ordering::Relaxed);
                told
            });
            self.hear(&poll, &is_over, span)
        })?;
        heard.used = Used::by(&server).since(before.0).total;
        heard.own = Used::by(&own).since(before.1).total;
        heard.sent = sent.load(Ordering::Relaxed);
        for place in 0..self.control.sockets().count() {
            self.control.answer(place, |leg| self.legs.at[leg].control, |_, _| {})?;
        }
        Ok(heard)
    }

    /// A packet of each group in turn, evenly.
    fn talk(&self, span: Duration, sent: &AtomicU64) -> io::Result<()> {
        let (ptime, groups) = (self.arguments.ptime, self.arguments.groups);
        let begun = Instant::now();
        let mut packet = [0x55; PACKET];
        packet[..2].copy_from_slice(&[0x80, 0]);
        let slots = u32::try_from(span.as_nanos() / ptime.as_nanos()).unwrap_or(u32::MAX);
        for slot in 0..slots {
            for (number, leg) in (0..).zip(self.talkers()) {
                let due = ptime * slot + ptime * number / groups;
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                // What is said later goes on from where this ends: the clock numbers packets.
                let count = (self.now() / ptime.as_nanos().max(1) as u64) as u32;
                packet[2..4].copy_from_slice(&(count as u16).to_be_bytes());
                packet[4..8].copy_from_slice(&count.wrapping_mul(160).to_be_bytes());
                packet[8..12].copy_from_slice(&source(leg).to_be_bytes());
                packet[12..20].copy_from_slice(&self.now().to_be_bytes());
                if self.sockets[leg].send_to(&packet, self.legs.at[leg].speech).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Takes what comes until it is over.
    fn hear(&self, poll: &Epoll, is_over: &AtomicBool, span: Duration) -> io::Result<Heard> {
        let expected = span.as_nanos() / self.arguments.ptime.as_nanos().max(1) * self.sockets.len() as u128;
        let mut heard = Heard { delays: Vec::with_capacity(expected as usize + 1000), ..Heard::default() };
        let (mut ready, mut room) = ([EpollEvent::empty(); READY_MAX], [0; 2048]);
        while !is_over.load(Ordering::Relaxed) {
            let count = poll.wait(&mut ready, 20_u8)?;
            for event in &ready[..count] {
                let socket = &self.sockets[event.data() as usize];
                while let Ok(length) = socket.recv(&mut room) {
                    if let (PACKET, Some(stamp)) = (length, room[12..].first_chunk()) {
                        heard.copies += 1;
                        let delay = self.now().saturating_sub(u64::from_be_bytes(*stamp)) / 1000;
                        heard.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
                    }
                }
            }
            if !self.arguments.nap.is_zero() {
                std::thread::sleep(self.arguments.nap);
            }
        }
        Ok(heard)
    }
}

impl Heard {
    fn tell(&mut self, arguments: &Arguments, legs: &Legs, figures: &mut Figures) {
        let due = (self.sent * u64::from(arguments.listeners)) as f64;
        let each = |nanos: u64, of: u64| nanos as f64 / 1000.0 / of.max(1) as f64;
        figures.put("sent", "packets of talkers", self.sent as f64, 0);
        figures.put("copies", "copies that came", self.copies as f64, 0);
        let lost = 100.0 * (due - self.copies as f64) / due.max(1.0);
        figures.put("loss_pct", "% of the copies that did not", lost, 2);
        figures.put(
            "cpu_us/copy",
            "µs of processor time a copy, the server",
            each(self.used, self.copies),
            3,
        );
        figures.put("cpu_us/in", "µs a packet that comes in", each(self.used, self.sent), 2);
        let share = self.used as f64 / 1e9 / arguments.span.as_secs_f64() * 100.0;
        figures.put("cpu_pct", "% of a processor", share, 1);
        figures.put("self_us/copy", "µs a copy, this generator", each(self.own, self.copies), 3);
        let delays = [
            ("p50", "µs from the talker to a listener: half of the copies at most"),
            ("p99", "µs: 99 % at most"),
            ("p999", "µs: 99.9 % at most"),
        ];
        figures.put_percentiles(delays, &mut self.delays);
        figures.put("rss_kb", "KiB of memory, the server", resident(legs.server.id()) as f64, 0);
    }
}
