//! What a server of its own costs and does while somebody means ill: `cargo bench -p talkburst --bench hostile`.
//!
//! On the loopback interface only, bounded in time and count. Each attack goes on for `--seconds`, meanwhile one user calls
//! another again and again. It fails if a call does not get through, if memory grows on, if somebody who has proved nothing
//! gets more than one answer to a datagram, a longer one than 512 octets more than that, or one that comes again.
#![cfg_attr(not(target_os = "linux"), allow(unused, reason = "memory is read from /proc"))]

mod attack;
mod honest;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use attack::{Attack, Traffic};
use honest::{Caller, Home};

/// What an answer may be longer than what it answers.
const LONGER_MAX: usize = 512;
/// What memory may grow by from the first second of an attack to its end.
const GROWTH_MAX: u64 = 32 << 20;
/// For how long answers are waited for that should not come.
const SILENCE: Duration = Duration::from_secs(3);

/// What is attacked, and how hard.
struct Target {
    sip: SocketAddr,
    media: SocketAddr,
    seconds: u64,
    /// Datagrams a second; of INVITEs a tenth.
    rate: u64,
}

fn main() {
    let mut target = Target { sip: honest::NOWHERE, media: honest::NOWHERE, seconds: 5, rate: 100_000 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => target.seconds = number(arguments.next()),
            "--rate" => target.rate = number(arguments.next()),
            _ => {} // what cargo adds
        }
    }
    let home = Home::begin();
    (target.sip, target.media) = (home.sip, home.media);
    let mut caller = Caller::new(&home);
    tell(&format!(
        "{:<34} {:>8} {:>8} {:>7} {:>7} {:>6} {:>14} {:>12} {:>20}",
        "attack",
        "sent/s",
        "answers",
        "longer",
        "again",
        "late",
        "calls (longest)",
        "server CPU",
        "memory MB"
    ));
    let mut broken = Vec::new();
    for attack in Attack::ALL {
        broken.extend(run(attack, &target, &home, &mut caller));
    }
    for what in &broken {
        tell(what);
    }
    drop(home);
    std::process::exit(i32::from(!broken.is_empty()));
}

fn number(argument: Option<String>) -> u64 {
    argument.and_then(|text| text.parse().ok()).expect("a number")
}

fn tell(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads it");
}

/// One attack, and what it has broken.
fn run(attack: Attack, target: &Target, home: &Home, caller: &mut Caller<'_>) -> Vec<String> {
    let (begun, cpu) = (Instant::now(), home.cpu());
    let end = begun + Duration::from_secs(target.seconds);
    let (traffic, early, share, calls) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| attack.carry_out(target, end, SILENCE));
        let mut early = None;
        let mut calls = Vec::new();
        while Instant::now() < end {
            calls.push(caller.call());
            if begun.elapsed() > Duration::from_secs(1) {
                early.get_or_insert_with(|| home.memory());
            }
        }
        let share = (home.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
        (attacker.join().expect("it ends"), early.unwrap_or_default(), share, calls)
    });
    let late = home.memory();
    let through = calls.iter().filter_map(Option::as_ref).count();
    let longest = calls.iter().flatten().max().copied().unwrap_or_default();
    let Traffic { sent, answers, longer, again, late: said_late, .. } = traffic;
    tell(&format!(
        "{:<34} {:>8} {:>8} {:>7} {:>7} {:>6} {:>6}/{} ({} ms) {:>10.0} % {:>8} -> {}",
        attack.name(),
        sent / target.seconds.max(1),
        answers,
        longer,
        again,
        said_late,
        through,
        calls.len(),
        longest.as_millis(),
        100.0 * share,
        early >> 20,
        late >> 20
    ));
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            broken.push(format!("{}: {what}", attack.name()));
        }
    };
    must(sent > 0, "nothing was sent");
    must(through == calls.len(), "a call did not get through");
    must(late <= early + GROWTH_MAX, "memory grows on");
    if attack.proves_nothing() {
        must(answers <= sent, "more than one answer to a datagram");
        must(longer <= LONGER_MAX, "an answer is longer than 512 octets more");
        must(again == 0, "an answer came again");
        must(said_late == 0, "something was said when all was over");
    }
    broken
}
