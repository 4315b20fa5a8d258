//! What is answered at the control socket about a server that runs.

use std::io;
use std::net::SocketAddr;

use poc::server::{Attendance, Function, SessionState, SessionType, Standing};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sip::Instant;
use sip::transport::Transport;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::Watch;
use super::lens::{Party, Seen, masked};
use crate::control::{Order, Refusal, Reply};

/// Sessions that are told at once, whatever is asked for.
const SESSIONS_MAX: usize = 10_000;

/// The largest ring of a shard, in octets.
const RING_MAX: u64 = 1 << 32;

/// A session, as it is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) shard: u8,
    pub(crate) function: Function,
    /// The PoC Session Identity; empty if another function has it.
    pub(crate) identity: String,
    pub(crate) session_type: Option<SessionType>,
    pub(crate) group: Option<String>,
    pub(crate) state: SessionState,
    /// In seconds.
    pub(crate) age: f64,
    /// How many take part, are to, or did.
    pub(crate) total: usize,
    /// The first of them.
    pub(crate) participants: Vec<Participant>,
}

/// Somebody in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Participant {
    pub(crate) address: String,
    pub(crate) inviter: bool,
    pub(crate) state: Attendance,
}

/// A message, as it is told: without secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// Microseconds since the Unix epoch.
    pub(crate) at: u64,
    pub(crate) transport: String,
    pub(crate) from: End,
    pub(crate) to: End,
    /// The octets, each as the character of its number.
    #[serde(serialize_with = "write_octets", deserialize_with = "read_octets")]
    pub(crate) octets: Vec<u8>,
}

/// One end of its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) party: Party,
    pub(crate) address: SocketAddr,
}

fn write_octets<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&octets.iter().map(|octet| char::from(*octet)).collect::<String>())
}

fn read_octets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let octet = |each: char| u8::try_from(each).map_err(|_| serde::de::Error::custom("not an octet"));
    text.chars().map(octet).collect()
}

impl Session {
    fn of(shard: u8, standing: Standing, now: Instant) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let participants = standing.participants.iter().map(|each| Participant {
            address: text(&each.address),
            inviter: each.is_inviter,
            state: each.attendance,
        });
        Self {
            shard,
            function: standing.function,
            identity: text(&standing.identity),
            session_type: standing.session_type,
            group: (!standing.group.is_empty()).then(|| text(&standing.group)),
            state: standing.state,
            age: now.saturating_since(standing.begun).as_secs_f64(),
            total: standing.total,
            participants: participants.collect(),
        }
    }
}

impl Shown {
    fn of(seen: &Seen) -> Self {
        let end = |(party, address): (Party, SocketAddr)| End { party, address };
        let transport = match seen.transport {
            Transport::Inside => "inside",
            Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                seen.transport.as_str()
            }
        };
        Self {
            at: u64::try_from(seen.at.as_micros()).unwrap_or(u64::MAX),
            transport: transport.to_ascii_lowercase(),
            from: end(seen.from),
            to: end(seen.to),
            octets: masked(&seen.bytes),
        }
    }
}

/// Answers an order about a server that runs; the order comes back if it is none.
pub(crate) async fn answer(
    watch: &Watch,
    order: Order,
    stream: &mut BufReader<UnixStream>,
) -> io::Result<Option<Order>> {
    let (what, about) = order.label();
    tracing::debug!(what, about, "asked");
    match order {
        Order::Sessions { limit, participations } => {
            let (found, total) = watch.sessions(limit.min(SESSIONS_MAX), participations).await;
            let now = watch.now();
            let sessions = found.into_iter().map(|(shard, each)| Session::of(shard, each, now)).collect();
            write(stream, &Reply::Sessions { total, sessions }).await?;
        }
        Order::Trace { user } => {
            tracing::info!(user, "somebody traces a user");
            trace(watch, &user, stream).await?;
        }
        Order::Keep { octets } => {
            let reply = if octets > RING_MAX {
                Reply::Refused(Refusal::Value { why: format!("a ring has {RING_MAX} octets at most") })
            } else {
                watch.keep(usize::try_from(octets).unwrap_or(usize::MAX));
                Reply::Done
            };
            write(stream, &reply).await?;
        }
        Order::Capture => {
            let (kept, is_kept) = watch.kept().await;
            if !is_kept {
                let why = "no messages are kept; capture --keep SIZE changes that".to_owned();
                write(stream, &Reply::Refused(Refusal::Value { why })).await?;
                return Ok(None);
            }
            for seen in &kept {
                write(stream, &Reply::Shown(Box::new(Shown::of(seen)))).await?;
            }
            write(stream, &Reply::Done).await?;
        }
        Order::Domain { .. }
        | Order::Add { .. }
        | Order::Remove { .. }
        | Order::List
        | Order::SetPassword { .. }
        | Order::SetRules { .. }
        | Order::AddGroup { .. }
        | Order::RemoveGroup { .. }
        | Order::ListGroups
        | Order::SetPolicy { .. }
        | Order::PutMembers { .. }
        | Order::RemoveMembers { .. } => return Ok(Some(order)),
    }
    Ok(None)
}

/// Shows messages until whoever has asked goes, or says something.
async fn trace(watch: &Watch, user: &str, stream: &mut BufReader<UnixStream>) -> io::Result<()> {
    let mut seen = watch.trace(user);
    write(stream, &Reply::Done).await?;
    loop {
        tokio::select! {
            _ = stream.fill_buf() => return Ok(()),
            seen = seen.recv() => match seen {
                Some(seen) => write(stream, &Reply::Shown(Box::new(Shown::of(&seen)))).await?,
                None => return Ok(()),
            },
        }
    }
}

async fn write(stream: &mut BufReader<UnixStream>, reply: &Reply) -> io::Result<()> {
    stream.get_mut().write_all(&reply.to_line()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_octets_come_through_the_control_socket_as_they_are() {
        let address = "127.0.0.1:5060".parse().unwrap();
        let octets: Vec<u8> = (0..=255).collect();
        let end = End { party: Party::Core, address };
        let shown = Shown { at: 1, transport: "udp".to_owned(), from: end, to: end, octets };
        let line = Reply::Shown(Box::new(shown.clone())).to_line();
        assert_eq!(Reply::from_line(&line), Ok(Reply::Shown(Box::new(shown))));
    }
}
