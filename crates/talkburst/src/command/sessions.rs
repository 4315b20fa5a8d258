//! `talkburst sessions`: the PoC Sessions of a server that runs.

use std::io::Write;

use clap::Args;
use poc::server::{Attendance, Function};
use sip::Duration;

use super::user::{Data, expected, strange};
use super::{DONE, Failure, block_on};
use crate::control::{Order, Reply, Session};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Clears a terminal and goes to its beginning.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What was typed behind `sessions`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// One JSON object a line on standard output, one each time that is looked.
    #[arg(long)]
    json: bool,
    /// Look again every second, until stopped.
    #[arg(long)]
    watch: bool,
    /// Show participations too: what the Participating PoC Function does for one user.
    #[arg(long)]
    all: bool,
    /// Sessions that are shown.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: usize,
    #[command(flatten)]
    data: Data,
}

/// Tells which there are.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    block_on(async {
        let mut line = arguments.data.server().await?;
        loop {
            let order = Order::Sessions { limit: arguments.limit, participations: arguments.all };
            let reply = expected(line.ask(&order).await.map_err(Failure::Server)?)?;
            let Reply::Sessions { total, sessions } = reply else { return Err(strange()) };
            let mut out = anstream::stdout().lock();
            if arguments.json {
                let found = serde_json::json!({ "total": total, "sessions": sessions });
                writeln!(out, "{found}")?;
            } else {
                let clear = if arguments.watch { CLEAR } else { "" };
                write!(out, "{clear}{}", table(total, &sessions))?;
            }
            out.flush()?;
            drop(out);
            if !arguments.watch {
                return Ok(DONE);
            }
            tokio::time::sleep(EVERY).await;
        }
    })
}

/// One row a participant; what is the same in the next row is left out there.
fn table(total: usize, sessions: &[Session]) -> String {
    let head = ["SESSION", "TYPE", "STATE", "AGE", "SHARD", "PARTICIPANT", "STATE"].map(str::to_owned);
    let mut rows = vec![head];
    for session in sessions {
        let kind = session.session_type.map_or("unknown", |kind| kind.as_str());
        let age = humantime::format_duration(Duration::from_secs(session.age as u64)).to_string();
        let mut first = [
            name_of(session),
            kind.to_owned(),
            session.state.as_str().to_owned(),
            age,
            session.shard.to_string(),
        ];
        for each in &session.participants {
            let inviter = if each.inviter { " (inviter)" } else { "" };
            let [name, kind, state, age, shard] = std::mem::take(&mut first);
            let who = format!("{}{inviter}", bare(&each.address));
            rows.push([name, kind, state, age, shard, who, attendance(each.state).to_owned()]);
        }
        let more = session.total.saturating_sub(session.participants.len());
        if more > 0 || session.participants.is_empty() {
            let [name, kind, state, age, shard] = first;
            rows.push([name, kind, state, age, shard, format!("{more} more"), String::new()]);
        }
    }
    let widths: [usize; 7] = std::array::from_fn(|place| {
        rows.iter().map(|row| row[place].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    let shown = sessions.len();
    let which = if shown < total { format!(", {shown} of them shown") } else { String::new() };
    text.push_str(&format!("{total} {}{which}\n", if total == 1 { "session" } else { "sessions" }));
    text
}

/// A group by its name, another session by what is drawn for it.
fn name_of(session: &Session) -> String {
    let function = match session.function {
        Function::Controlling => "",
        Function::Participating => "for one user",
    };
    let identity = bare(&session.identity);
    let identity = identity.split('@').next().unwrap_or_default();
    session.group.as_deref().map_or_else(|| format!("{identity}{function}"), bare)
}

/// Without `sip:`, and with nothing that commands a terminal.
fn bare(address: &str) -> String {
    let address = address.strip_prefix("sip:").unwrap_or(address);
    address.chars().map(|each| if each.is_control() { char::REPLACEMENT_CHARACTER } else { each }).collect()
}

fn attendance(state: Attendance) -> &'static str {
    match state {
        Attendance::Waiting => "waiting",
        Attendance::Invited => "invited",
        Attendance::Alerting => "alerting",
        Attendance::Connected => "connected",
        Attendance::Leaving => "leaving",
        Attendance::Over => "over",
    }
}

#[cfg(test)]
mod tests {
    use poc::server::{SessionState, SessionType};

    use super::*;
    use crate::control::Participant;

    #[test]
    fn a_session_is_a_row_for_each_who_takes_part() {
        let participant =
            |address: &str, inviter, state| Participant { address: address.to_owned(), inviter, state };
        let session = Session {
            shard: 1,
            function: Function::Controlling,
            identity: "sip:0000G1abc@poc.internal".to_owned(),
            session_type: Some(SessionType::OneToOne),
            group: None,
            state: SessionState::Established,
            age: 75.4,
            total: 3,
            participants: vec![
                participant("sip:anna@poc.internal", true, Attendance::Connected),
                participant("sip:ben\u{1b}@poc.internal", false, Attendance::Alerting),
            ],
        };
        let lines = [
            "SESSION    TYPE  STATE        AGE     SHARD  PARTICIPANT                  STATE",
            "0000G1abc  1-1   established  1m 15s  1      anna@poc.internal (inviter)  connected",
            "                                             ben\u{fffd}@poc.internal            alerting",
            "                                             1 more",
            "2 sessions, 1 of them shown",
            "",
        ];
        assert_eq!(table(2, &[session]), lines.join("\n"));
        assert!(table(0, &[]).ends_with("STATE\n0 sessions\n"));
    }
}
