//! `talkburst serve`: a SIP/IP core and a PoC Server in one process.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use sip::Duration;

use super::session::arguments::{IpPort, span};
use super::session::wishes::{Keys, Wishes};
use super::user::Data;
use super::{DONE, Failure, block_on};
use crate::config::{self, Flags};
use crate::control::domain_fault;
use crate::serve::{LogFormat, SHARDS_MAX, Service, Settings, Started};
use crate::store::default_path;
use crate::watch::log::{self, LogError};

/// What was typed behind `serve`. What is not typed is as the file says, or as it usually is.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A file of options: docs/configuration.md. Flags win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to receive, UDP and TCP on the same port; port 0 is one that is free [default: 127.0.0.1:5060].
    #[arg(long, value_name = "IP[:PORT]")]
    listen: Option<IpPort>,
    /// What peers are told in Via, Record-Route and Contact, if it is not the address that is listened on.
    #[arg(long, value_name = "IP[:PORT]")]
    advertise: Option<IpPort>,
    /// The domain of the users: the one of the data folder, or poc.internal in a new one.
    #[arg(long, value_name = "NAME", value_parser = domain)]
    domain: Option<String>,
    /// Threads that share the work: as many as there are processor cores.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u8>,
    /// Tell inviters 200 (Unconfirmed) before somebody has accepted.
    #[arg(long)]
    early_answer: bool,
    /// How long an invited user may take to answer [default: 30s].
    #[arg(long, value_name = "SPAN", value_parser = |typed: &str| within("sessions.setup-timer", typed))]
    setup_timer: Option<Duration>,
    /// T1, the estimate of the round trip; T2 is 8*T1, T4 is 10*T1 [default: 500ms].
    #[arg(long, value_name = "SPAN", value_parser = |typed: &str| within("timers.t1", typed))]
    t1: Option<Duration>,
    /// The SIP/IP core, if it is another one than the built-in: only what it sends is looked at, and it says who somebody is.
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["peer", "trusted", "md5_only"])]
    core: Option<SocketAddr>,
    /// Ask for passwords by MD5 alone, for phones that give up where SHA-256 is offered besides.
    #[arg(long)]
    md5_only: bool,
    /// Another domain and its SIP/IP core, whose requests are trusted; may be repeated.
    #[arg(long, value_name = "DOMAIN=IP:PORT", value_parser = peer)]
    peer: Vec<(String, SocketAddr)>,
    /// An element whose requests are trusted besides, as an application server; may be repeated.
    #[arg(long, value_name = "IP[:PORT]")]
    trusted: Vec<IpPort>,
    /// A file of 16 octets or more, only for us to read: with it nonces are good after a restart.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Where metrics are told, by HTTP: /metrics, /health, /ready. Who can connect there is told everything.
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,
    /// Record each talk burst to a file in this folder. Tell your users.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Keep all that comes in, in this file, so that `replay` can do the same again. It has what is said and what passwords are
    /// checked against.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Keep the last messages for a capture, so many octets a shard, such as 64M.
    #[arg(long, value_name = "SIZE", value_parser = super::capture::size)]
    ring: Option<u64>,
    /// What is logged, such as info, or warn,poc=debug; warn if nothing else is said.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How a line of the log looks.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Where the log is written instead of standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// One JSON object a line on standard output, one an event.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: Data,
}

/// Serves until stopped.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let settings = arguments.settings()?;
    let _log = log::start(&settings.log)?;
    block_on(async {
        let mut wishes = Wishes::listen(Keys::None).map_err(Failure::Network)?;
        let (mut service, started) = Service::start(settings).await?;
        arguments.next_steps(&started).iter().for_each(|line| service.hint(line));
        let failure = loop {
            tokio::select! {
                // Without keys all wishes are signals, and all signals mean the same.
                _ = wishes.next() => break None,
                work = service.wait() => match work {
                    Ok(work) => service.handle(work).await,
                    Err(failure) => break Some(failure),
                },
            }
        };
        let open = match failure {
            None => service.release(wishes.next()).await?,
            Some(failure) => return service.stop().await.and(Err(failure)),
        };
        if open > 0 && arguments.json {
            // Whoever has closed it wants to hear nothing.
            let _ = writeln!(io::stderr(), "stopped with {open} sessions that had not ended");
        }
        Ok(DONE)
    })
}

impl Arguments {
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = Flags {
            data: self.data.folder.clone(),
            listen: self.listen,
            advertise: self.advertise,
            domain: self.domain.clone(),
            shards: self.shards,
            early_answer: self.early_answer,
            setup_timer: self.setup_timer,
            t1: self.t1,
            core: self.core,
            md5_only: self.md5_only,
            peers: self.peer.clone(),
            trusted: self.trusted.clone(),
            secret_file: self.secret_file.clone(),
            json: self.json,
        };
        let configuration =
            config::read(self.config.as_deref(), &flags, || default_path(|name| std::env::var_os(name)))?;
        let mut settings = configuration.settings;
        settings.metrics = self.metrics.or(settings.metrics);
        settings.recordings = self.record.clone().or(settings.recordings);
        settings.journal.clone_from(&self.journal);
        settings.ring =
            self.ring.map_or(settings.ring, |octets| usize::try_from(octets).unwrap_or(usize::MAX));
        settings.log.format = self.log_format.unwrap_or(settings.log.format);
        if let Some(filter) = &self.log {
            settings.log.filter.clone_from(filter);
        }
        settings.log.file = self.log_file.clone().or(settings.log.file);
        Ok(settings)
    }

    /// What may be typed next: two users, one who answers, one who calls.
    fn next_steps(&self, Started { core, domain, users, .. }: &Started) -> Vec<String> {
        let data = self.data.folder.as_ref().map(|folder| format!(" --data '{}'", folder.display()));
        let data = data.unwrap_or_default();
        let mut lines = vec!["           in other terminals:".to_owned()];
        let mut names = users.clone();
        for name in ["anna", "ben"] {
            if names.len() < 2 && !names.iter().any(|each| each == name) {
                names.push(name.to_owned());
                lines.push(format!("             talkburst user add {name}{data}"));
            }
        }
        if let [caller, called, ..] = &names[..] {
            lines.push(format!("             talkburst answer --server {core} --user {called}@{domain}"));
            lines.push(format!(
                "             talkburst call {called}@{domain} --server {core} --user {caller}@{domain}"
            ));
        }
        lines
    }
}

/// A span that is within the bounds of this option.
fn within(option: &str, typed: &str) -> Result<Duration, String> {
    let span = span(typed)?;
    config::span_fault(option, span).map_or(Ok(span), Err)
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Filter(why) => Self::Value(format!("--log: {why}")),
            LogError::File(path, error) => Self::File(path, error.to_string()),
        }
    }
}

fn domain(typed: &str) -> Result<String, &'static str> {
    domain_fault(typed).map_or_else(|| Ok(typed.to_ascii_lowercase()), Err)
}

fn peer(typed: &str) -> Result<(String, SocketAddr), &'static str> {
    let wrong = "not a domain and the address of its core, such as home2.example=192.0.2.2:5060";
    let (name, address) = typed.split_once('=').ok_or(wrong)?;
    Ok((domain(name)?, address.parse().map_err(|_| wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_domain_and_an_address() {
        let found = Ok(("home2.example".to_owned(), "192.0.2.2:5060".parse().unwrap()));
        assert_eq!(peer("Home2.example=192.0.2.2:5060"), found);
        for wrong in [
            "",
            "home2.example",
            "home2.example=",
            "=192.0.2.2:5060",
            "home2.example=192.0.2.2",
            "a..b=[::1]:1",
        ] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }
}
