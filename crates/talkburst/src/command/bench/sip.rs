//! `talkburst bench sip`: callers at one socket, those who are called at another, and a server between them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use sip::Duration;

use super::called::Called;
use super::caller::{Caller, Flow};
use super::child::{Server, Used, Wanted, memory};
use super::enter::enter;
use super::figures::Figures;
use super::load::{Load, Pace, Plan};
use super::port::Port;
use crate::clock::Clock;
use crate::command::session::arguments::span;
use crate::command::{DONE, Failure, block_on};
use crate::driver::Sockets;
use crate::serve::SHARDS_MAX;

/// Sessions that a user has at once, at most: half of what the server allows, since one that ends may still count.
const SESSIONS: usize = 4;

/// Calls of an open loop that may be open at once.
const OPEN_MAX: usize = 8192;

/// Calls that are to be held are set up so many at once, if no rate is given.
const HOLD_WINDOW: u64 = 32;

/// How long nothing may change while they are.
const HOLD_PATIENCE: Duration = Duration::from_secs(10);

/// How long calls may still take once no more begin.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What was typed behind `bench sip`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What a call is.
    #[arg(long, value_enum, default_value = "cancelled")]
    flow: Flow,
    /// So many calls at once, each followed by the next: what a call costs.
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u32).range(1..=8192))]
    window: u32,
    /// So many calls a second, whatever becomes of those before: how long a call takes, from when it should have begun.
    #[arg(long, value_name = "CALLS", conflicts_with = "window", value_parser = rate)]
    rate: Option<f64>,
    /// How long it is measured.
    #[arg(long = "for", value_name = "SPAN", value_parser = span, default_value = "5s")]
    span: Duration,
    /// How long there is load before.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1s")]
    warm_up: Duration,
    /// First so many calls that stay, ringing or established, and what memory each takes; the rest is measured beside them.
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    hold: u32,
    /// How long they stay before their memory is read.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1s")]
    settle: Duration,
    /// Callers prove who they are, instead of being trusted.
    #[arg(long, conflicts_with = "target")]
    digest: bool,
    /// Threads of the server.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=i64::from(SHARDS_MAX)))]
    shards: u8,
    /// The program that serves: another build of this one.
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    program: Option<PathBuf>,
    /// One more argument for the server; may be repeated.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, conflicts_with = "target")]
    with: Vec<String>,
    /// Measure the server that runs there instead: one that knows its way to --called.
    #[arg(long, value_name = "IP:PORT")]
    target: Option<SocketAddr>,
    /// The processes of that server.
    #[arg(long, value_name = "PID", value_delimiter = ',', requires = "target")]
    pid: Vec<u32>,
    /// The domain of all users.
    #[arg(long, value_name = "NAME", default_value = "home.net")]
    domain: String,
    /// Where those who call are.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    caller: SocketAddr,
    /// Where those who are called are.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    called: SocketAddr,
    /// Send and receive runs of datagrams, as the server does: another server of the same kind would.
    #[arg(long)]
    runs: bool,
    /// One JSON object on standard output instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn rate(typed: &str) -> Result<f64, &'static str> {
    let wrong = "not a number of calls a second, such as 500";
    typed.parse().ok().filter(|rate| (0.1..=1e6).contains(rate)).ok_or(wrong)
}

/// Measures and tells.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> Result<u8, Failure> {
    let clock = Clock::start();
    let open = |at: SocketAddr| {
        Port::open(at, arguments.runs).map_err(|error| Failure::Socket(at.to_string(), error))
    };
    let (caller_port, mut called_port) = (open(arguments.caller)?, open(arguments.called)?);

    // 1. The server, and its users.
    let pairs = (arguments.hold as usize + arguments.open_max()).div_ceil(SESSIONS).max(1);
    let (server, child, access) = match arguments.target {
        Some(target) => (target, None, None),
        None => {
            let listen = free(arguments.caller).await?;
            let trusted = (!arguments.digest).then_some(caller_port.local);
            let (domain, shards) = (arguments.domain.as_str(), arguments.shards);
            let mut more = arguments.with.clone();
            if arguments.hold > 0 {
                more.extend(["--setup-timer".to_owned(), "170s".to_owned()]);
            }
            let program = arguments.program.as_deref();
            let groups = 0;
            let wanted = Wanted { listen, domain, pairs, groups, trusted, shards, program, more: &more };
            let child = Server::start(&wanted).await?;
            let access = enter(clock, &mut called_port, listen, domain, pairs).await?;
            (listen, Some(child), Some(access))
        }
    };
    let processes = child.as_ref().map_or(arguments.pid.clone(), |child| vec![child.id()]);

    // 2. The load.
    let plan = Plan {
        flow: arguments.flow,
        domain: &arguments.domain,
        server,
        local: caller_port.local,
        access: access.as_ref(),
        is_trusted: !arguments.digest,
    };
    let lines = (0..pairs).map(|number| plan.lines(number)).collect();
    let calls = arguments.hold as usize + arguments.open_max();
    let caller = Caller::new(arguments.flow, caller_port.local, lines, calls, std::process::id());
    let called = Called::new(arguments.flow, called_port.local);
    let mut load = Load::new(clock, server, (caller, caller_port), (called, called_port));
    let mut figures = Figures::default();
    if arguments.hold > 0 {
        hold(arguments, &mut load, &processes, &mut figures).await?;
    }
    if !arguments.span.is_zero() {
        beside(arguments, &mut load, &processes, &mut figures).await?;
    }
    let counts = load.caller.counts;
    let (failed, repeated) = (counts.failed, counts.repeated + load.called.repeated);
    figures.put("failed", "calls that failed", failed as f64, 0);
    figures.put("retrans", "messages that were sent again", repeated as f64, 0);

    // 3. What came of it.
    let mut out = io::stdout().lock();
    if arguments.json {
        figures.write_json(&arguments.labels(), &mut out)?;
    } else {
        figures.write(&arguments.label(), &mut out)?;
    }
    if failed > 0 || repeated > 0 {
        return Err(Failure::Void { failed, repeated, refusal: load.caller.refusal });
    }
    Ok(DONE)
}

/// A port at the address of `other` that is free.
pub(super) async fn free(other: SocketAddr) -> Result<SocketAddr, Failure> {
    let any = SocketAddr::new(other.ip(), 0);
    let failed = |occupied: crate::driver::Occupied| Failure::Listen(occupied.transport, any, occupied.error);
    Ok(Sockets::open(any, None).await.map_err(failed)?.bind)
}

/// Calls that stay, and what memory they take.
async fn hold(
    arguments: &Arguments,
    load: &mut Load,
    processes: &[u32],
    figures: &mut Figures,
) -> Result<(), Failure> {
    let count = u64::from(arguments.hold);
    let before = memory(processes);
    load.caller.holds = true;
    let mut pace = match arguments.rate {
        Some(rate) => Pace::rate(rate, load.now(), count),
        None => Pace::Window { open: HOLD_WINDOW, left: count },
    };
    let (mut ended, mut at) = (0, load.now());
    while ended < count && load.now() < at + HOLD_PATIENCE {
        load.turn(&mut pace).await?;
        let now_ended = load.caller.counts.held + load.caller.counts.failed;
        if now_ended > ended {
            (ended, at) = (now_ended, load.now());
        }
    }
    let settled = load.now() + arguments.settle;
    while load.now() < settled {
        load.turn(&mut Pace::None).await?;
    }
    load.caller.holds = false;
    let held = load.caller.counts.held;
    figures.put("held", "calls held", held as f64, 0);
    if !processes.is_empty() {
        let more = memory(processes).saturating_sub(before);
        figures.put("bytes/held", "octets of memory a held call", more as f64 / (held.max(1)) as f64, 0);
    }
    Ok(())
}

/// The load that is measured.
async fn beside(
    arguments: &Arguments,
    load: &mut Load,
    processes: &[u32],
    figures: &mut Figures,
) -> Result<(), Failure> {
    let mut pace = match arguments.rate {
        Some(rate) => Pace::rate(rate, load.now(), u64::MAX),
        None => Pace::window(arguments.window.into()),
    };
    // 1. Before it is measured.
    load.until(load.now() + arguments.warm_up, &mut pace).await?;
    load.caller.latencies.clear();
    load.caller.cancel_latencies.clear();
    let own = [std::process::id()];
    let begin = (load.now(), load.caller.counts, Used::by(processes), Used::by(&own));

    // 2. While it is.
    load.until(begin.0 + arguments.span, &mut pace).await?;
    let end = (load.now(), load.caller.counts, Used::by(processes), Used::by(&own));

    // 3. What is under way comes to its end.
    let at_most = load.now() + DRAIN_MAX;
    while load.caller.open() > 0 && load.now() < at_most {
        load.turn(&mut Pace::None).await?;
    }
    load.caller.counts.failed += load.caller.open();

    let done = end.1.done - begin.1.done;
    let calls = done.max(1) as f64;
    let micros = |nanos: u64| nanos as f64 / 1000.0 / calls;
    figures.put("done", "calls in the time that is measured", done as f64, 0);
    figures.put("rate/s", "calls a second", done as f64 / (end.0 - begin.0).as_secs_f64(), 0);
    if !processes.is_empty() {
        let used = end.2.since(begin.2);
        figures.put("target_us/call", "µs of processor time a call, the server", micros(used.total), 1);
        figures.put("target_user_us/call", "µs of these in user mode", micros(used.user), 1);
    }
    figures.put(
        "self_us/call",
        "µs of processor time a call, this generator",
        micros(end.3.since(begin.3).total),
        1,
    );
    let whole = [
        ("p50_us", "µs that a call takes: half of them at most"),
        ("p99_us", "µs: 99 % at most"),
        ("p999_us", "µs: 99.9 % at most"),
    ];
    figures.put_percentiles(whole, &mut load.caller.latencies);
    let cancel = [
        ("cancel_p50_us", "µs from a CANCEL to its answer: half of them at most"),
        ("cancel_p99_us", "µs: 99 % at most"),
        ("cancel_p999_us", "µs: 99.9 % at most"),
    ];
    figures.put_percentiles(cancel, &mut load.caller.cancel_latencies);
    Ok(())
}

impl Arguments {
    /// Calls that are open at once, at most, besides those that are held.
    fn open_max(&self) -> usize {
        if self.span.is_zero() {
            0
        } else if self.rate.is_some() {
            OPEN_MAX
        } else {
            self.window as usize
        }
    }

    fn labels(&self) -> [(&'static str, serde_json::Value); 4] {
        let window = self.rate.is_none().then_some(self.window);
        [
            ("flow", self.flow.as_str().into()),
            ("window", window.into()),
            ("rate", self.rate.into()),
            ("digest", self.digest.into()),
        ]
    }

    fn label(&self) -> String {
        let digest = if self.digest { " digest" } else { "" };
        match self.rate {
            Some(rate) => format!("{} @{rate}{digest}", self.flow.as_str()),
            None => format!("{} window {}{digest}", self.flow.as_str(), self.window),
        }
    }
}
