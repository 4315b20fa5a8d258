//! What the probe says: ladders and tables for people, lines of JSON for scripts, JUnit's XML for those who collect tests.

use std::io::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use sip::Duration;

use super::super::Failure;
use super::case::{Case, Played, Verdict};
use super::stage::Sides;

const TITLE: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const UNCLEAR: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();

#[derive(Serialize)]
struct Row<'a> {
    case: &'a str,
    target: &'static str,
    title: &'a str,
    rule: &'a str,
    source: &'a str,
    verdict: Verdict,
    why: &'a [String],
    took_ms: f64,
    ladder: String,
}

#[derive(Serialize)]
struct Summary {
    cases: usize,
    pass: usize,
    fail: usize,
    inconclusive: usize,
}

/// What the target is, in one word.
pub(super) const fn role(sides: Sides) -> &'static str {
    match sides {
        Sides::Inviter => "called",
        Sides::Invited => "calling",
        Sides::Both => "between",
    }
}

/// The cases that there are.
pub(super) fn list<'a>(cases: impl Iterator<Item = &'a Case>, json: bool) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    if !json {
        writeln!(out, "{TITLE}{:<5} {:<8} {:<52} source{TITLE:#}", "case", "target", "title")?;
    }
    for case in cases {
        let Case { name, title, rule, source, sides, is_long, carried, play: _ } = case;
        if json {
            let line = serde_json::json!({
                "case": name, "target": role(*sides), "title": title, "rule": rule, "source": source, "long": is_long,
                "transport": carried.as_str(),
            });
            writeln!(out, "{line}")?;
        } else {
            let long = if *is_long { " (long)" } else { "" };
            writeln!(out, "{name:<5} {:<8} {:<52} {source}", role(*sides), format!("{title}{long}"))?;
        }
    }
    Ok(())
}

const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => GOOD,
        Verdict::Fail => BAD,
        Verdict::Inconclusive => UNCLEAR,
    }
}

/// A line for who waits.
pub(super) fn progress(played: &Played, done: usize, of: usize) {
    let Case { name, title, sides, .. } = played.case;
    let (style, word) = (style(played.verdict), played.verdict.as_str());
    anstream::eprintln!("{done:>3}/{of} {style}{word:<12}{style:#} {name:<4} {:<8} {title}", role(*sides));
}

/// Everything, in the order of the cases.
pub(super) fn report(all: &[Played], json: bool, shows_all: bool) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    if json {
        for played in all {
            let line = serde_json::to_string(&row(played)).map_err(std::io::Error::other)?;
            writeln!(out, "{line}")?;
        }
        let summary = serde_json::to_string(&summary(all)).map_err(std::io::Error::other)?;
        writeln!(out, "{summary}")?;
        return Ok(());
    }
    for played in all.iter().filter(|played| shows_all || played.verdict != Verdict::Pass) {
        let Case { name, title, rule, source, sides, .. } = played.case;
        let (style, word) = (style(played.verdict), played.verdict.as_str());
        writeln!(
            out,
            "{TITLE}{name} ({}): {title}{TITLE:#}\n{QUIET}rule: {rule} ({source}){QUIET:#}",
            role(*sides)
        )?;
        let why = if played.why.is_empty() { String::new() } else { format!(": {}", played.why.join("; ")) };
        writeln!(out, "{style}{word}{style:#}{why}\n\n{}", played.ladder.render())?;
    }
    writeln!(out, "{TITLE}{:<5} {:<8} {:<13} {:>9}  title{TITLE:#}", "case", "target", "verdict", "took")?;
    for played in all {
        let Case { name, title, sides, .. } = played.case;
        let (style, word) = (style(played.verdict), played.verdict.as_str());
        let took = ms(played.took);
        writeln!(out, "{name:<5} {:<8} {style}{word:<13}{style:#} {took:>7.0}ms  {title}", role(*sides))?;
        for why in &played.why {
            writeln!(out, "{:>41}{QUIET}{why}{QUIET:#}", "")?;
        }
    }
    let Summary { cases, pass, fail, inconclusive } = summary(all);
    writeln!(out, "\n{cases} cases: {pass} pass, {fail} fail, {inconclusive} inconclusive")?;
    out.flush()?;
    Ok(())
}

/// The same for who collects tests: a file in the format of JUnit.
pub(super) fn junit(all: &[Played], path: &Path) -> Result<(), Failure> {
    let Summary { cases, fail, inconclusive, .. } = summary(all);
    let time: f64 = all.iter().map(|played| played.took.as_secs_f64()).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"talkburst probe\" tests=\"{cases}\" \
         failures=\"{fail}\" errors=\"0\" skipped=\"{inconclusive}\" time=\"{time:.3}\">\n"
    );
    for played in all {
        let Case { name, title, rule, source, sides, .. } = played.case;
        text += &format!(
            "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">\n",
            role(*sides),
            escaped(&format!("{name} {title}")),
            played.took.as_secs_f64()
        );
        let why = escaped(&played.why.join("; "));
        match played.verdict {
            Verdict::Pass => {}
            Verdict::Fail => {
                let about = escaped(&format!("{rule} ({source})"));
                text += &format!("<failure message=\"{why}\">{about}</failure>\n");
            }
            Verdict::Inconclusive => text += &format!("<skipped message=\"{why}\"/>\n"),
        }
        text += &format!("<system-out>{}</system-out>\n</testcase>\n", escaped(&played.ladder.render()));
    }
    text += "</testsuite>\n</testsuites>\n";
    std::fs::write(path, text).map_err(|error| Failure::File(path.to_owned(), error.to_string()))
}

/// Text that may stand in XML: what may not, no matter how it is written (XML 1.0 §2.2), is left out.
fn escaped(text: &str) -> String {
    text.chars()
        .filter(|each| matches!(each, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
        .fold(String::with_capacity(text.len()), |mut all, each| {
            match each {
                '&' => all += "&amp;",
                '<' => all += "&lt;",
                '>' => all += "&gt;",
                '"' => all += "&quot;",
                other => all.push(other),
            }
            all
        })
}

fn row(played: &Played) -> Row<'_> {
    let Case { name, title, rule, source, sides, .. } = played.case;
    Row {
        case: name,
        target: role(*sides),
        title,
        rule,
        source,
        verdict: played.verdict,
        why: &played.why,
        took_ms: ms(played.took),
        ladder: played.ladder.render(),
    }
}

fn summary(all: &[Played]) -> Summary {
    let count = |verdict| all.iter().filter(|played| played.verdict == verdict).count();
    Summary {
        cases: all.len(),
        pass: count(Verdict::Pass),
        fail: count(Verdict::Fail),
        inconclusive: count(Verdict::Inconclusive),
    }
}

/// Milliseconds, to the microsecond.
fn ms(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_target_says_cannot_break_the_file() {
        assert_eq!(escaped("a<b>&\"c\"\u{1}\u{ffff}│"), "a&lt;b&gt;&amp;&quot;c&quot;│");
    }
}
