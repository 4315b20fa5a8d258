//! `talkburst probe`: the other side of a SIP or PoC endpoint, with good manners and bad ones.
//!
//! A case is one rule and a short script that sends octets of its own and judges what comes back. It uses neither transactions nor the
//! usage of `sip`: those would refuse to misbehave, and could hide in the target what is wrong in both.

mod call;
mod called;
mod calling;
mod case;
mod connections;
mod dialogs;
mod ends;
mod matching;
mod report;
mod settings;
mod stage;
mod through;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use sip::Duration;
use sip::message::Uri;
use sip::transport::Transport;

use self::case::{Case, Played, Verdict};
use self::ends::Way;
use self::settings::{Callee, Settings, User};
use self::stage::Sides;
use super::session::arguments::{IpPort, TransportName, span};
use super::{DONE, Failure};

/// Exit code: a rule was broken.
const BROKEN: u8 = 1;

/// Exit code: no rule was broken, but not every case could be judged.
const UNCLEAR: u8 = 6;

/// Cases that are played at a time.
const JOBS_MAX: usize = 64;

/// What was typed behind `probe`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Call this target, which rings: cases in which it is called.
    #[arg(value_name = "SIP-URI")]
    uri: Option<String>,
    /// Call this one where the target must answer at once; the default is the target itself.
    #[arg(long, value_name = "SIP-URI", requires = "uri")]
    answers: Option<String>,
    /// Send what is for the target here, if its URI has no address.
    #[arg(long, value_name = "IP[:PORT]", requires = "uri")]
    proxy: Option<IpPort>,
    /// Run this for each case in which the target calls; `{uri}` is whom it must call.
    #[arg(long, value_name = "COMMAND", conflicts_with = "by_hand")]
    calls_with: Option<String>,
    /// Ask on the terminal for each call of the target.
    #[arg(long, requires = "listen")]
    by_hand: bool,
    /// The target gives up this long after its INVITE.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "500ms")]
    gives_up_after: Duration,
    /// The target is a proxy, or a registrar and proxy, between two ends of ours.
    #[arg(long, value_name = "IP[:PORT]")]
    through: Option<IpPort>,
    /// The user of an end, as that proxy knows it: the inviter, then the invited.
    #[arg(long, value_name = "SIP-URI", requires = "password_file", num_args = 1)]
    user: Vec<String>,
    /// The passwords of these users, one on each line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Where our ends are; the default is the address of this machine from which the target is reached.
    #[arg(long, value_name = "IP[:PORT]")]
    listen: Option<IpPort>,
    /// What carries the messages; the default is UDP, or what the SIP-URI says.
    #[arg(long)]
    transport: Option<TransportName>,
    /// Invite to PoC Sessions, with talk burst control.
    #[arg(long)]
    poc: bool,
    /// Only this case; may be repeated.
    #[arg(long, value_name = "CASE")]
    case: Vec<String>,
    /// Also the cases that wait for 64*T1.
    #[arg(long)]
    long: bool,
    /// Say which cases there are.
    #[arg(long)]
    list: bool,
    /// The T1 of the target.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "500ms")]
    t1: Duration,
    /// How long an answer is waited for.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "2s")]
    patience: Duration,
    /// Play so many cases at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    jobs: usize,
    /// One JSON object a line: a case each, then a summary.
    #[arg(long)]
    json: bool,
    /// Show the ladder of every case, not only of those that did not pass.
    #[arg(long)]
    ladders: bool,
    /// Write what came of it to this file, in the format of JUnit.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Plays the cases that fit, and tells the verdicts in the exit code.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let chosen = chosen(arguments)?;
    if arguments.list {
        return report::list(chosen.into_iter(), arguments.json).map(|()| DONE);
    }
    let settings = understood(arguments)?;
    let fits = |case: &&Case| match case.sides {
        Sides::Inviter => settings.rings.is_some(),
        Sides::Invited => settings.calls_with.is_some() || arguments.by_hand,
        Sides::Both => settings.through.is_some(),
    };
    let is_wanted = |case: &&Case| !case.is_long || arguments.long || !arguments.case.is_empty();
    let is_carried = |case: &&Case| case.carried.by(settings.transport);
    let cases: Vec<_> = chosen.into_iter().filter(fits).filter(is_wanted).filter(is_carried).collect();
    if cases.is_empty() {
        return Err(Failure::Usage(
            "no case to play: name a target (SIP-URI, --calls-with, --by-hand or --through)",
        ));
    }
    // One call at a time for one person, and one place at a time for one user.
    let is_alone = arguments.by_hand || !settings.users.is_empty();
    let all = play(&cases, &settings, if is_alone { 1 } else { arguments.jobs })?;
    if let Some(path) = &arguments.junit {
        report::junit(&all, path)?;
    }
    report::report(&all, arguments.json, arguments.ladders)?;
    Ok(code_of(&all))
}

/// The worst verdict decides.
fn code_of(all: &[Played]) -> u8 {
    let has = |verdict| all.iter().any(|played| played.verdict == verdict);
    match (has(Verdict::Fail), has(Verdict::Inconclusive)) {
        (true, _) => BROKEN,
        (false, true) => UNCLEAR,
        (false, false) => DONE,
    }
}

/// The cases that were named, or all.
fn chosen(arguments: &Arguments) -> Result<Vec<&'static Case>, Failure> {
    for name in &arguments.case {
        if !case::all().any(|case| case.name.eq_ignore_ascii_case(name)) {
            return Err(Failure::Usage("--case: there is no such case; see --list"));
        }
    }
    let is_named = |case: &&Case| {
        arguments.case.is_empty() || arguments.case.iter().any(|name| case.name.eq_ignore_ascii_case(name))
    };
    Ok(case::all().filter(is_named).collect())
}

/// Plays each case, so many at a time, and puts what came of them in the order of the cases.
fn play(cases: &[&'static Case], settings: &Settings, jobs: usize) -> Result<Vec<Played>, Failure> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::<(usize, Played)>::new()));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(place) else { return Ok(()) };
            let played = case.play(settings)?;
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            report::progress(&played, done.len() + 1, cases.len());
            done.push((place, played));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..jobs.clamp(1, JOBS_MAX.min(cases.len()))).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(worked) => worked,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
    .map_err(Failure::Network)?;
    let mut all = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, played)| played).collect())
}

/// What was typed, as it is meant.
fn understood(arguments: &Arguments) -> Result<Settings, Failure> {
    let transport = arguments.transport.map(Transport::from);
    let callee =
        |uri: &Option<String>| uri.as_ref().map(|uri| callee(uri, arguments.proxy, transport)).transpose();
    let rings = callee(&arguments.uri)?;
    let transport = transport.or(rings.as_ref().map(|rings| rings.at.transport)).unwrap_or(Transport::Udp);
    let through = arguments.through.map(|through| Way::typed(transport, through));
    let towards = rings.as_ref().map(|callee| callee.at).or(through);
    let listen = match (arguments.listen, towards) {
        (Some(listen), _) => listen.or_port(0),
        (None, Some(towards)) => SocketAddr::new(own_ip(towards.at)?, 0),
        (None, None) => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    Ok(Settings {
        listen,
        answers: callee(&arguments.answers)?,
        rings,
        calls_with: arguments.calls_with.clone(),
        gives_up_after: arguments.gives_up_after,
        through,
        users: users(arguments)?,
        transport,
        is_poc: arguments.poc,
        t1: arguments.t1,
        patience: arguments.patience,
    })
}

fn callee(typed: &str, proxy: Option<IpPort>, transport: Option<Transport>) -> Result<Callee, Failure> {
    let wrong = |why| Failure::Address { what: "SIP-URI", typed: typed.to_owned(), why };
    let uri =
        Uri::parse(typed.as_bytes()).map_err(|_| wrong("not a SIP URI, such as sip:ben@127.0.0.1:5060"))?;
    // RFC 3261 §19.1.1: the parameter names what carries a request to the URI.
    let said = uri.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"transport"));
    let said = match said {
        None => Transport::Udp,
        Some((_, Some(value))) if value.eq_ignore_ascii_case(b"udp") => Transport::Udp,
        Some((_, Some(value))) if value.eq_ignore_ascii_case(b"tcp") => Transport::Tcp,
        Some(_) => return Err(wrong("the probe has no other transport than udp and tcp")),
    };
    let transport = transport.unwrap_or(said);
    let at = match proxy {
        Some(proxy) => Some(Way::typed(transport, proxy)),
        None => uri.socket_address().map(|at| Way::new(transport, at)),
    };
    let at = at.ok_or_else(|| wrong("its host is no IP address; name one with --proxy"))?;
    Ok(Callee { uri: typed.to_owned(), at })
}

/// The address of ours from which `towards` is reached.
fn own_ip(towards: SocketAddr) -> Result<IpAddr, Failure> {
    let any: SocketAddr = if towards.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let found = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(towards)?;
        socket.local_addr()
    });
    found.map(|at| at.ip()).map_err(|error| Failure::NoRoute(towards, error))
}

fn users(arguments: &Arguments) -> Result<Vec<User>, Failure> {
    let Some(path) = &arguments.password_file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Password(path.display().to_string(), error))?;
    let passwords: Vec<_> = text.lines().collect();
    if arguments.user.len() != 2 || passwords.len() != 2 {
        return Err(Failure::Usage("--user, --password-file: two users, the inviter and the invited"));
    }
    let user = |(uri, password): (&String, &&str)| {
        let name = uri.trim_start_matches("sip:").split('@').next().unwrap_or_default();
        User { uri: uri.clone(), username: name.to_owned(), password: (*password).to_owned() }
    };
    Ok(arguments.user.iter().zip(&passwords).map(user).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_once_for_each_kind_of_target() {
        let mut names: Vec<_> = case::all().map(|case| (case.name, report::role(case.sides))).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 40, "{count}");
    }

    #[test]
    fn the_table_of_who_keeps_which_rule_has_every_case() {
        let page = include_str!("../../../../../docs/probe.md");
        for Case { name, title, source, sides, .. } in case::all() {
            let row = format!("| {} | {name} | {title} | {source} | ", report::role(*sides));
            assert!(page.contains(&row), "{row}");
        }
        let count = format!("There are {} cases", case::all().count());
        assert!(page.contains(&count), "{count}");
    }

    #[test]
    fn each_case_says_its_rule_and_where_it_is_written() {
        for case in case::all() {
            assert!(!case.rule.is_empty() && !case.title.is_empty(), "{}", case.name);
            let is_known = ["RFC ", "I"].iter().any(|begin| case.source.starts_with(begin));
            assert!(is_known, "{}: {}", case.name, case.source);
        }
    }
}
