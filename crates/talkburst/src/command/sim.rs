//! `talkburst sim`: the whole system in virtual time, from one seed.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use clap::{Args, ValueEnum};
use serde::Serialize;
use sim::lane::Counted;
use sim::swarm::{self, Broken, Calm, Cut, DISTRICT, Only, Progress, Report, Settings};
use sip::Duration;

use super::{DONE, Failure};

/// What was typed behind `sim`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Everything is drawn from this; without it, a seed that is drawn, and told.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Simulated time after which nothing new begins.
    #[arg(long, value_name = "COUNT", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// How many clients there are, in districts of eight that call each other.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    clients: u32,
    /// Show the stories as ladders; with up to eight clients, or with --story. A story that breaks is always shown.
    #[arg(long)]
    ladder: bool,
    /// The report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Take it for a fault if a user is told this, or if it is among what is met: the smallest story of it is shown.
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Tell one story alone: a district and the number of the story there, as a report of a fault names them.
    #[arg(long, value_name = "DISTRICT[.STORY]", value_parser = only)]
    story: Option<Only>,
    /// Leave out these deeds of the stories; 0 is that anybody talks.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    without: Vec<u32>,
    /// Leave out these kinds of faults.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    calm: Vec<Kind>,
    /// Let nothing befall these messages of the story, as 1-7,9.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = numbers, requires = "story")]
    spare: Vec<(u64, u64)>,
    /// The same of speech and talk burst control.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = numbers, requires = "story")]
    spare_media: Vec<(u64, u64)>,
}

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    /// Messages that are lost.
    Loss,
    /// Messages that come twice.
    Duplication,
    /// Messages that chance delays, so that others overtake them.
    Jitter,
}

/// Exit code: something did not hold.
const BROKEN: u8 = 1;

fn only(typed: &str) -> Result<Only, &'static str> {
    const WRONG: &str = "must be a district and a story, as 12.3";
    let (district, story) = match typed.split_once('.') {
        Some((district, story)) => (district, Some(story.parse().map_err(|_| WRONG)?)),
        None => (typed, None),
    };
    Ok(Only { district: district.parse().map_err(|_| WRONG)?, story })
}

fn numbers(typed: &str) -> Result<(u64, u64), &'static str> {
    let number = |text: &str| text.parse().map_err(|_| "must be numbers, as 1-7,9");
    let (first, last) = typed.split_once('-').unwrap_or((typed, typed));
    let (first, last) = (number(first)?, number(last)?);
    // Nobody sends more messages in a story.
    if last < first || last - first > 1_000_000 {
        Err("must be numbers, as 1-7,9")
    } else {
        Ok((first, last))
    }
}

/// Runs it. A run that breaks is made smaller, and shown.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let settings = settings(&arguments)?;
    let place = watch_panics();
    let mut last = std::time::Instant::now();
    let is_shown = std::io::stderr().is_terminal();
    let mut tell = |progress: &Progress| {
        if is_shown && last.elapsed() >= Duration::from_secs(1) {
            last = std::time::Instant::now();
            anstream::eprintln!("{}", far(progress));
        }
    };
    let mut out = std::io::stdout().lock();
    match swarm::run(&settings, &mut tell) {
        Ok(report) => {
            if arguments.json {
                serde_json::to_writer(&mut out, &told(&settings, &report)).map_err(std::io::Error::from)?;
                writeln!(out)?;
            } else {
                write_report(&mut out, &settings, &report)?;
            }
            Ok(DONE)
        }
        Err(broken) => {
            if is_shown {
                anstream::eprintln!("broken: {}", broken.what.lines().next().unwrap_or_default());
                anstream::eprintln!("looking for a smaller story");
            }
            let mut attempts = 0;
            let (smaller, least) = swarm::shrink(&settings, &broken, &mut |count| attempts = count);
            let broken = Shown { settings: &smaller, broken: &least, attempts, place: &place() };
            if arguments.json {
                serde_json::to_writer(&mut out, &broken.told()).map_err(std::io::Error::from)?;
                writeln!(out)?;
            } else {
                broken.write(&mut out)?;
            }
            Ok(BROKEN)
        }
    }
}

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    let Arguments { minutes, clients, story, .. } = arguments;
    let is_small = *clients as usize <= DISTRICT || story.is_some();
    if arguments.ladder && !is_small {
        return Err(Failure::Usage("--ladder: has room for eight clients; add --clients 8 or --story"));
    }
    let districts = (*clients as usize).div_ceil(DISTRICT);
    if story.is_some_and(|only| only.district >= districts) {
        return Err(Failure::Usage("--story: there is no such district; --clients must be as it was"));
    }
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => {
            let mut octets = [0; 4];
            getrandom::fill(&mut octets).map_err(|error| Failure::Network(std::io::Error::other(error)))?;
            u64::from(u32::from_be_bytes(octets))
        }
    };
    let spared = |typed: &[(u64, u64)]| typed.iter().flat_map(|(first, last)| *first..=*last).collect();
    let is_calm = |kind| arguments.calm.contains(&kind);
    Ok(Settings {
        seed,
        span: Duration::from_secs(60) * *minutes,
        clients: *clients as usize,
        find: arguments.find.clone(),
        cut: Cut {
            only: *story,
            without: arguments.without.iter().copied().collect(),
            calm: Calm {
                loss: is_calm(Kind::Loss),
                duplication: is_calm(Kind::Duplication),
                jitter: is_calm(Kind::Jitter),
            },
            spared: spared(&arguments.spare),
            spared_media: spared(&arguments.spare_media),
        },
        keeps_story: arguments.ladder,
    })
}

/// An invariant that does not hold panics: where is shown later. The last place is given.
fn watch_panics() -> impl Fn() -> String {
    static PLACE: Mutex<String> = Mutex::new(String::new());
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if let Ok(mut last) = PLACE.lock() {
            *last = place;
        }
    }));
    || PLACE.lock().map(|last| last.clone()).unwrap_or_default()
}

/// How far a run is.
fn far(progress: &Progress) -> String {
    let Progress { now, span, stories, running, messages, media } = progress;
    let minute = now.since_start().as_secs() / 60;
    let of = span.as_secs() / 60;
    format!(
        "minute {minute} of {of}: {stories} stories told, {running} being told, {messages} messages, {media} packets of media"
    )
}

/// The report as JSON has it. The same seed gives the same octets.
#[derive(Serialize)]
struct Told<'a> {
    seed: u64,
    clients: usize,
    districts: usize,
    minutes: u64,
    stories: u64,
    seconds: f64,
    moments: u64,
    deeds: &'a std::collections::BTreeMap<&'static str, u64>,
    met: &'a std::collections::BTreeMap<String, u64>,
    checked: &'a std::collections::BTreeMap<&'static str, u64>,
    messages: Befallen,
    media: Befallen,
    digest: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ladders: Vec<&'a str>,
}

#[derive(Serialize)]
struct Befallen {
    sent: u64,
    lost: u64,
    doubled: u64,
    overtook: u64,
}

impl From<Counted> for Befallen {
    fn from(Counted { sent, lost, doubled, overtook }: Counted) -> Self {
        Self { sent, lost, doubled, overtook }
    }
}

fn told<'a>(settings: &Settings, report: &'a Report) -> Told<'a> {
    Told {
        seed: settings.seed,
        clients: report.clients,
        districts: report.districts,
        minutes: settings.span.as_secs() / 60,
        stories: report.stories,
        seconds: report.ended.since_start().as_secs_f64(),
        moments: report.moments,
        deeds: &report.deeds,
        met: &report.met,
        checked: &report.checked,
        messages: report.messages.into(),
        media: report.media.into(),
        digest: &report.digest,
        ladders: report.ladders.iter().map(|(_, _, ladder)| &ladder[..]).collect(),
    }
}

fn write_report(out: &mut impl Write, settings: &Settings, report: &Report) -> std::io::Result<()> {
    for (district, story, ladder) in &report.ladders {
        writeln!(out, "story {district}.{story}\n{ladder}")?;
    }
    let minutes = settings.span.as_secs() / 60;
    writeln!(
        out,
        "seed {}: {} clients in {} districts, {minutes} minutes; {} stories, all of them over after {:.0} minutes",
        settings.seed,
        report.clients,
        report.districts,
        report.stories,
        report.ended.since_start().as_secs_f64() / 60.0
    )?;
    let mut line = |times: u64, what: &str| writeln!(out, "{times:>9} {what}");
    for (what, times) in &report.deeds {
        line(*times, what)?;
    }
    for (kind, counted) in [("messages", report.messages), ("packets of media", report.media)] {
        line(counted.sent, kind)?;
        line(counted.lost, &format!("{kind} that were lost"))?;
        line(counted.doubled, &format!("{kind} that came twice"))?;
        line(counted.overtook, &format!("{kind} that overtook others"))?;
    }
    for (what, times) in &report.met {
        line(*times, what)?;
    }
    for (what, times) in &report.checked {
        line(*times, &format!("checked: {what}"))?;
    }
    writeln!(out, "nothing is left anywhere; digest {}", report.digest)
}

/// A run that breaks, as small as it can be.
struct Shown<'a> {
    settings: &'a Settings,
    broken: &'a Broken,
    attempts: usize,
    place: &'a str,
}

#[derive(Serialize)]
struct ToldBroken<'a> {
    seed: u64,
    broken: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
    seconds: f64,
    attempts: usize,
    again: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ladder: Option<&'a str>,
}

impl Shown<'_> {
    fn told(&self) -> ToldBroken<'_> {
        ToldBroken {
            seed: self.settings.seed,
            broken: &self.broken.what,
            place: Some(self.place).filter(|place| !place.is_empty()),
            seconds: self.broken.at.since_start().as_secs_f64(),
            attempts: self.attempts,
            again: again(self.settings),
            ladder: self.broken.ladder.as_deref(),
        }
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        write!(out, "{}", self.broken.ladder.as_deref().unwrap_or_default())?;
        writeln!(out, "broken: {}", self.broken.what)?;
        if !self.place.is_empty() {
            writeln!(out, "   where: {}", self.place)?;
        }
        writeln!(out, "   again: {}", again(self.settings))
    }
}

/// The command that tells the same story again.
fn again(settings: &Settings) -> String {
    let Settings { seed, span, clients, find, cut, keeps_story: _ } = settings;
    let mut words =
        format!("talkburst sim --seed {seed} --minutes {} --clients {clients}", span.as_secs() / 60);
    let mut option = |name: &str, value: String| {
        if !value.is_empty() {
            words.push_str(&format!(" {name} {value}"));
        }
    };
    option("--find", find.as_ref().map(|text| format!("'{text}'")).unwrap_or_default());
    let only = cut.only.map(|Only { district, story }| match story {
        Some(story) => format!("{district}.{story}"),
        None => district.to_string(),
    });
    option("--story", only.unwrap_or_default());
    let comma = |each: Vec<String>| each.join(",");
    option("--without", comma(cut.without.iter().map(ToString::to_string).collect()));
    let Calm { loss, duplication, jitter } = cut.calm;
    let kinds = [(loss, "loss"), (duplication, "duplication"), (jitter, "jitter")];
    option("--calm", comma(kinds.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned()).collect()));
    option("--spare", comma(spans(&cut.spared)));
    option("--spare-media", comma(spans(&cut.spared_media)));
    words
}

/// Numbers as `--spare` has them.
fn spans(numbers: &BTreeSet<u64>) -> Vec<String> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            Some(_) | None => spans.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    spans.iter().map(text).collect()
}
