//! `talkburst capture`: the last messages of a server that runs, for tshark and its like.

use std::path::PathBuf;

use clap::Args;
use sip::Duration;

use super::user::{self, Data, expected, strange};
use super::{DONE, Failure, block_on};
use crate::capture::Capture;
use crate::control::{Order, Reply, Shown};

/// Octets of the longest datagram.
const DATAGRAM_MAX: usize = 65_000;

/// What was typed behind `capture`.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["output", "keep"])))]
pub(crate) struct Arguments {
    /// Write what is kept to this file, in the format of libpcap; what went inside the server stands in it as UDP.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep the last messages from now on, so many octets a shard, such as 64M; 0 for none.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep: Option<u64>,
    #[command(flatten)]
    data: Data,
}

/// Has messages kept, or writes those that are.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    block_on(async {
        let mut line = arguments.data.server().await?;
        if let Some(octets) = arguments.keep {
            user::done(line.ask(&Order::Keep { octets }).await.map_err(Failure::Server)?)?;
        }
        let Some(path) = &arguments.output else { return Ok(DONE) };
        let failed = |error: pcap_file::PcapError| Failure::File(path.clone(), error.to_string());
        let mut reply = expected(line.ask(&Order::Capture).await.map_err(Failure::Server)?)?;
        let (mut capture, mut count) = (Capture::create(path).map_err(failed)?, 0);
        loop {
            match reply {
                Reply::Shown(shown) => {
                    add(&mut capture, &shown).map_err(failed)?;
                    count += 1;
                }
                Reply::Done => break,
                Reply::Domain { .. }
                | Reply::Users { .. }
                | Reply::Groups { .. }
                | Reply::Sessions { .. }
                | Reply::Refused(_)
                | Reply::Failed { .. } => return Err(strange()),
            }
            let next =
                line.next().await.and_then(|next| next.ok_or(std::io::ErrorKind::UnexpectedEof.into()));
            reply = expected(next.map_err(Failure::Server)?)?;
        }
        capture.close().map_err(failed)?;
        anstream::eprintln!("{count} messages are in {}", path.display());
        Ok(DONE)
    })
}

fn add(capture: &mut Capture, shown: &Shown) -> Result<(), pcap_file::PcapError> {
    let at = Duration::from_micros(shown.at);
    let (from, to) = (shown.from.address, shown.to.address);
    match shown.transport.as_str() {
        "tcp" => capture.stream(at, from, to, &shown.octets),
        _ if shown.octets.len() > DATAGRAM_MAX => Ok(()),
        _ => capture.datagram(at, from, to, &shown.octets),
    }
}

/// `64M`, `500k`, `1G`, or octets.
pub(super) fn size(typed: &str) -> Result<u64, &'static str> {
    let wrong = "not a number of octets, such as 64M, 500k or 1G";
    let (digits, unit) = match typed.to_ascii_lowercase().chars().last() {
        Some('k') => (&typed[..typed.len() - 1], 1 << 10),
        Some('m') => (&typed[..typed.len() - 1], 1 << 20),
        Some('g') => (&typed[..typed.len() - 1], 1 << 30),
        _ => (typed, 1_u64),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        assert_eq!(["0", "500", "2k", "64M", "1g"].map(size), [0, 500, 2048, 64 << 20, 1 << 30].map(Ok));
        for wrong in ["", "M", "-1", "1T", "1.5M", "99999999999999999999", "99999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
