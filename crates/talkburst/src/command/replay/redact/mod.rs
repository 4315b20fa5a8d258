//! A journal without names, addresses, passwords, texts and speech, which replays to the same states and events.
//!
//! 1. All machines of the journal run twice, side by side: one of each pair hears what was written, the other the same renamed.
//! 2. What both say is compared at once: it must be the same but for words that stand for each other. What the second says in the
//!    place of a word that was not heard before is what that word is called from then on: peers bring it back.
//! 3. What the first says must be what the journal has; what the second says becomes the digests of the redacted journal.
//! 4. In the end the states of each pair are compared, and only then there is a file.

mod media;
mod names;
mod places;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use poc::media::Stream as MediaStream;
use poc::server::{MediaTransmit, Recording};
use sip::auth::digest::{Algorithm, Input as Digested, Quality, Secret};
use sip::message::{Message, Name};
use sip::transport::{ConnectionId, Path, Transmit};
use sipcore::Ha1;

use self::names::Names;
use self::places::{Credentials, of_message};
use super::machine::{Machine, Output, label};
use crate::journal::{Config, Damage, Digests, Input, Reader, Record, Writer};
use crate::serve::shard::{self, Outgoing};

/// Keys that are tried: under another one what is ordered by name has another order.
const KEYS: usize = 8;

/// Why a journal was not redacted. Nothing was written then.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It cannot be read.
    Damage(Damage),
    /// It is not what these machines say.
    Different { number: usize, what: String },
    /// Renamed, something else comes of it.
    Untold { number: usize, what: String },
    /// It would take the place of the original.
    Same,
    /// It cannot be written.
    Write(std::io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => damage.fmt(f),
            Self::Different { number, what } => {
                write!(f, "record {number}: the machines now say something else ({what}); replay shows what")
            }
            Self::Untold { number, what } => {
                write!(f, "record {number} cannot be redacted so that the same comes of it: {what}")
            }
            Self::Same => f.write_str("the redacted journal needs another name"),
            Self::Write(error) => write!(f, "the redacted journal cannot be written: {error}"),
        }
    }
}

/// What was redacted.
pub(super) struct Redacted {
    pub(super) records: usize,
    pub(super) words: usize,
}

/// Writes the journal of `file` to `out`, redacted.
pub(super) fn redact(file: &FilePath, out: &FilePath) -> Result<Redacted, Refusal> {
    if out.canonicalize().is_ok_and(|out| file.canonicalize().is_ok_and(|file| file == out)) {
        return Err(Refusal::Same);
    }
    let records = read(file)?;
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let redacted = try_keys(&records, &part);
    match &redacted {
        Ok(_) => std::fs::rename(&part, out).map_err(Refusal::Write)?,
        // There may be none.
        Err(_) => drop(std::fs::remove_file(&part)),
    }
    redacted
}

fn try_keys(records: &[(usize, Record)], part: &FilePath) -> Result<Redacted, Refusal> {
    let mut tried = 1;
    loop {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| Refusal::Write(std::io::Error::other(error)))?;
        let file = BufWriter::new(File::create(part).map_err(Refusal::Write)?);
        match Redaction::new(key, records).run(records, file) {
            Err(Refusal::Untold { .. }) if tried < KEYS => tried += 1,
            result => return result,
        }
    }
}

/// All records with their numbers, in the order of time: a thread may have written what it heard before another what it had said.
/// Of a journal that a crash has cut off those that are whole.
fn read(file: &FilePath) -> Result<Vec<(usize, Record)>, Refusal> {
    let file = File::open(file).map_err(|error| Refusal::Damage(Damage::Read(error)))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(Refusal::Damage)?;
    let mut records = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((records.len() + 1, record)),
            Ok(None) | Err(Damage::CutOff { .. }) => break,
            Err(damage) => return Err(Refusal::Damage(damage)),
        }
    }
    let mut last = BTreeMap::new();
    records.sort_by_cached_key(|(_, record)| match record {
        Record::Head { .. } | Record::Start { .. } => (0, None),
        Record::Input { machine, at, .. } => {
            last.insert(*machine, *at);
            (1, Some(*at))
        }
        Record::Said { machine, .. } => (1, last.get(machine).copied()),
        Record::End(_) => (2, None),
    });
    Ok(records)
}

/// What is under way.
struct Redaction {
    names: Names,
    pairs: BTreeMap<u8, Pair>,
    /// What a password of each user was checked against, and is.
    passwords: BTreeMap<Bytes, (Ha1, Ha1)>,
    streams: BTreeMap<(u8, ConnectionId), Stream>,
}

/// A machine, and the one that hears the same renamed.
struct Pair {
    machines: [Machine; 2],
    digests: [Digests; 2],
}

/// All that comes of a stream: a message of it can be in several pieces.
#[derive(Default)]
struct Stream {
    octets: Vec<u8>,
    /// As far as it is renamed.
    renamed: Vec<u8>,
    /// As far as it was handed in.
    taken: usize,
}

impl Redaction {
    fn new(key: [u8; 16], records: &[(usize, Record)]) -> Self {
        let mut streams = BTreeMap::<_, Stream>::new();
        for (_, record) in records {
            if let Record::Input { machine, input, .. } = record
                && let Input::Client(poc::Input::Stream { path, bytes }) = &**input
                && let Some(connection) = path.connection
            {
                streams.entry((*machine, connection)).or_default().octets.extend_from_slice(bytes);
            }
        }
        Self { names: Names::new(key), pairs: BTreeMap::new(), passwords: BTreeMap::new(), streams }
    }

    fn run(mut self, records: &[(usize, Record)], file: BufWriter<File>) -> Result<Redacted, Refusal> {
        let mut writer = Writer::new(file).map_err(Refusal::Write)?;
        for (number, record) in records {
            let record = self.record(*number, record)?;
            if let Some(word) = self.names.exhausted() {
                let what = format!("no other word is left for \"{word}\"");
                return Err(Refusal::Untold { number: *number, what });
            }
            writer.put(&record).map_err(Refusal::Write)?;
        }
        for (name, pair) in &self.pairs {
            let [then, now] = pair.machines.each_ref().map(Machine::view);
            if let Some(word) = self.names.other_word(&then, &now) {
                let what =
                    format!("the {} {name} ends in another state, at \"{word}\"", pair.machines[0].kind());
                return Err(Refusal::Untold { number: records.len(), what });
            }
        }
        writer.finish().map_err(Refusal::Write)?;
        Ok(Redacted { records: records.len(), words: self.names.len() })
    }

    /// The record to be written in the place of this one.
    fn record(&mut self, number: usize, record: &Record) -> Result<Record, Refusal> {
        let untold = |what: &str| Refusal::Untold { number, what: what.to_owned() };
        let nobody = || untold("it is of a machine that has not begun");
        Ok(match record {
            Record::Head { version, .. } => Record::Head { version: version.clone(), is_redacted: true },
            Record::Start { machine, config } => {
                let renamed = self.config(config).ok_or_else(|| untold("the configuration"))?;
                let machines = [Machine::new((**config).clone()), Machine::new(renamed.clone())];
                self.pairs.insert(*machine, Pair { machines, digests: Default::default() });
                Record::Start { machine: *machine, config: Box::new(renamed) }
            }
            Record::Input { machine, at, input } => {
                let renamed = self.input(*machine, input).ok_or_else(|| untold("what was entered"))?;
                let pair = self.pairs.get_mut(machine).ok_or_else(nobody)?;
                let [then, now] = &mut pair.machines;
                if !then.handle(*at, (**input).clone()) || !now.handle(*at, renamed.clone()) {
                    return Err(untold("it is for another kind of machine"));
                }
                let said = pair.machines.each_mut().map(|machine| machine.drain());
                for (digests, said) in pair.digests.iter_mut().zip(&said) {
                    said.iter().for_each(|output| digests.add(&output.said()));
                }
                self.compare(&said).map_err(|what| untold(&format!("upon {}: {what}", label(&renamed))))?;
                Record::Input { machine: *machine, at: *at, input: Box::new(renamed) }
            }
            Record::Said { machine, digests } => {
                let pair = self.pairs.get(machine).ok_or_else(nobody)?;
                if pair.digests[0] != *digests {
                    let what = format!("{} {machine}", pair.machines[0].kind());
                    return Err(Refusal::Different { number, what });
                }
                Record::Said { machine: *machine, digests: pair.digests[1] }
            }
            Record::End(end) => Record::End(*end),
        })
    }

    fn config(&mut self, config: &Config) -> Option<Config> {
        Some(match config {
            Config::Client(config) => {
                Config::Client(Box::new(settings::renamed(&**config, &mut self.names)?))
            }
            Config::Shard(config) => {
                if config.core.shards > 1 {
                    self.names.keep_shards(config.core.secret, config.core.shards.into());
                }
                Config::Shard(Box::new(settings::renamed(&**config, &mut self.names)?))
            }
        })
    }

    fn path(&mut self, path: &Path) -> Path {
        Path { local: self.socket(path.local), remote: self.socket(path.remote), ..*path }
    }

    fn socket(&mut self, mut socket: SocketAddr) -> SocketAddr {
        socket.set_ip(self.names.address(socket.ip()));
        socket
    }

    fn media(&mut self, stream: MediaStream, bytes: &Bytes) -> Bytes {
        self.names.renamed(bytes, &media::of_media(stream, bytes)).into()
    }

    fn input(&mut self, machine: u8, input: &Input) -> Option<Input> {
        Some(match input {
            Input::Client(poc::Input::Datagram { path, bytes }) => {
                Input::Client(poc::Input::Datagram { path: self.path(path), bytes: self.message(bytes) })
            }
            Input::Client(poc::Input::Stream { path, bytes }) => {
                let renamed = self.stream((machine, path.connection?), bytes.len());
                Input::Client(poc::Input::Stream { path: self.path(path), bytes: renamed })
            }
            Input::Client(poc::Input::Media { stream, remote, bytes }) => {
                let (remote, bytes) = (self.socket(*remote), self.media(*stream, bytes));
                Input::Client(poc::Input::Media { stream: *stream, remote, bytes })
            }
            Input::Client(other) => Input::Client(settings::renamed(other, &mut self.names)?),
            Input::Shard(shard::Input::Message { path, bytes }) => {
                Input::Shard(shard::Input::Message { path: self.path(path), bytes: self.message(bytes) })
            }
            Input::Shard(shard::Input::Hop(hop)) => {
                let (path, bytes) = (self.path(&hop.path), self.message(&hop.bytes));
                Input::Shard(shard::Input::Hop(shard::Hop { to: hop.to, path, bytes, message: None }))
            }
            Input::Shard(shard::Input::Media { at, remote, bytes }) => {
                let (remote, bytes) = (self.socket(*remote), self.media(at.stream, bytes));
                Input::Shard(shard::Input::Media { at: *at, remote, bytes })
            }
            Input::Shard(other) => {
                let renamed = settings::renamed(other, &mut self.names)?;
                if let (
                    shard::Input::Put { core: Some(then), .. },
                    shard::Input::Put { core: Some(now), .. },
                ) = (other, &renamed)
                {
                    self.passwords.insert(then.name.clone(), (then.ha1.clone(), now.ha1.clone()));
                }
                Input::Shard(renamed)
            }
        })
    }

    /// The next octets of a stream.
    fn stream(&mut self, key: (u8, ConnectionId), length: usize) -> Bytes {
        let Some(mut stream) = self.streams.remove(&key) else { return Bytes::new() };
        let end = (stream.taken + length).min(stream.octets.len());
        while stream.renamed.len() < end {
            let rest = &stream.octets[stream.renamed.len()..];
            let message = Bytes::copy_from_slice(&rest[..first_of(rest)]);
            stream.renamed.extend_from_slice(&self.message(&message));
        }
        let renamed = Bytes::copy_from_slice(&stream.renamed[stream.taken..end]);
        stream.taken = end;
        self.streams.insert(key, stream);
        renamed
    }

    /// A message that came; whoever has proved a password proves the one that there is now.
    fn message(&mut self, bytes: &Bytes) -> Bytes {
        let found = of_message(bytes);
        let mut renamed = self.names.renamed(bytes, &found.places);
        for credentials in &found.credentials {
            if let Some((range, response)) = self.answer(bytes, &renamed, credentials) {
                self.names.learn(bytes[range.clone()].to_ascii_lowercase(), response.clone().into_bytes());
                renamed[range].copy_from_slice(response.as_bytes());
            }
        }
        Bytes::from(renamed)
    }

    /// Where the answer to a challenge stands, and what it is now, if it was right.
    fn answer(
        &self,
        then: &Bytes,
        now: &[u8],
        credentials: &Credentials,
    ) -> Option<(std::ops::Range<usize>, String)> {
        let place =
            |name: &[u8]| credentials.iter().find(|(each, _)| each == name).map(|(_, range)| range.clone());
        let (response, username) = (place(b"response")?, place(b"username")?);
        let (before, after) = self.passwords.get(&then[username])?;
        let message = Message::parse(then.clone()).ok()?;
        let algorithm = match place(b"algorithm") {
            Some(range) => Algorithm::parse(&then[range])?,
            None => Algorithm::parse(b"MD5")?,
        };
        let of = |bytes: &[u8], ha1: &Ha1| {
            let text = |name: &[u8]| place(name).map(|range| bytes[range].to_vec()).unwrap_or_default();
            let [sha_256, md5] = ha1.digits();
            let count = text(b"nc");
            let (username, realm, nonce, cnonce, uri) =
                (text(b"username"), text(b"realm"), text(b"nonce"), text(b"cnonce"), text(b"uri"));
            let digested = Digested {
                algorithm,
                username: &username,
                realm: &realm,
                secret: Secret::Ha1(if algorithm.as_str().starts_with("MD5") { md5 } else { sha_256 }),
                nonce: &nonce,
                cnonce: &cnonce,
                count: u32::from_str_radix(std::str::from_utf8(&count).ok()?, 16).ok()?,
                quality: Some(Quality::Authentication),
                method: message.method_text(),
                uri: &uri,
                body: b"",
            };
            Some(digested.response())
        };
        let was_right = of(then, before)?.as_bytes() == &then[response.clone()];
        let answer = of(now, after).filter(|answer| was_right && answer.len() == response.len())?;
        Some((response, answer))
    }

    /// Whether both have said the same, but for words that stand for each other; or what is different.
    fn compare(&mut self, [then, now]: &[Vec<Output>; 2]) -> Result<(), String> {
        if let Some((then, now)) = then.iter().zip(now).find(|(then, now)| !self.is_same(then, now)) {
            let line = first_difference(then, now).map(|line| format!(", at \"{line}\"")).unwrap_or_default();
            return Err(format!("it was \"{}\", and is \"{}\"{line}", then.label(), now.label()));
        }
        match then.len() == now.len() {
            true => Ok(()),
            false => Err(format!("{} things were said, and are {} now", then.len(), now.len())),
        }
    }

    fn is_same(&mut self, then: &Output, now: &Output) -> bool {
        match (then, now) {
            (Output::Message(then), Output::Message(now))
            | (Output::Outgoing(Outgoing::Network(then)), Output::Outgoing(Outgoing::Network(now))) => {
                self.is_same_message((&then.path, &then.bytes), now)
            }
            (
                Output::Outgoing(Outgoing::Shard { to, hop }),
                Output::Outgoing(Outgoing::Shard { to: now_to, hop: now }),
            ) => {
                let transmit = Transmit { path: now.path, bytes: now.bytes.clone() };
                (to, hop.to) == (now_to, now.to) && self.is_same_message((&hop.path, &hop.bytes), &transmit)
            }
            (Output::Media(then), Output::Media(now)) => self.is_same_media(then, now),
            (Output::ClientMedia(then), Output::ClientMedia(now)) => {
                let places = media::of_media(then.from, &then.bytes);
                then.from == now.from
                    && self.socket(then.to) == now.to
                    && self.names.are_equal(&then.bytes, &now.bytes, &places)
            }
            (Output::Recording(then), Output::Recording(now)) => match (then, now) {
                (Recording::Speech { burst, bytes }, Recording::Speech { burst: now_burst, bytes: now }) => {
                    let places = media::of_media(MediaStream::Speech, bytes);
                    burst == now_burst && self.names.are_equal(bytes, now, &places)
                }
                (then, now) => self.is_same_text(then, now),
            },
            (Output::Event(then), Output::Event(now)) => self.is_same_text(then, now),
            (
                Output::ClientEvent(poc::Event::Heard { session, speech }),
                Output::ClientEvent(poc::Event::Heard { session: now_session, speech: now }),
            ) => {
                let silent = |speech: &poc::client::Speech| poc::client::Speech {
                    payload: Bytes::from(vec![0; speech.payload.len()]),
                    ..speech.clone()
                };
                session == now_session && silent(speech) == silent(now)
            }
            (Output::ClientEvent(then), Output::ClientEvent(now)) => self.is_same_text(then, now),
            _ => false,
        }
    }

    fn is_same_text(&mut self, then: &impl fmt::Debug, now: &impl fmt::Debug) -> bool {
        self.names.are_equal_texts(&format!("{then:?}"), &format!("{now:?}"))
    }

    fn is_same_message(&mut self, (path, bytes): (&Path, &Bytes), now: &Transmit) -> bool {
        self.path(path) == now.path && self.names.are_equal(bytes, &now.bytes, &of_message(bytes).places)
    }

    fn is_same_media(&mut self, then: &MediaTransmit, now: &MediaTransmit) -> bool {
        let ((from, to, bytes), (now_from, now_to, now)) =
            (then.clone().into_datagrams(), now.clone().into_datagrams());
        let to: Vec<_> = to.into_iter().collect();
        let now_to: Vec<_> = now_to.into_iter().collect();
        let mut ends = to.iter().zip(&now_to);
        from == now_from
            && to.len() == now_to.len()
            && ends.all(|(then, now)| self.socket(*then) == *now)
            && self.names.are_equal(&bytes, &now, &media::of_media(from.stream, &bytes))
    }
}

/// The first line of a message that is neither the same nor as long.
fn first_difference(then: &Output, now: &Output) -> Option<String> {
    let octets = |output: &Output| match output {
        Output::Message(transmit) | Output::Outgoing(Outgoing::Network(transmit)) => {
            Some(transmit.bytes.clone())
        }
        Output::Outgoing(Outgoing::Shard { hop, .. }) => Some(hop.bytes.clone()),
        Output::Media(_)
        | Output::ClientMedia(_)
        | Output::Recording(_)
        | Output::Event(_)
        | Output::ClientEvent(_) => None,
    };
    let (then, now) = (octets(then)?, octets(now)?);
    let lines =
        |octets: &Bytes| octets.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (then, now) = (lines(&then), lines(&now));
    let place = then.iter().zip(&now).position(|(then, now)| then.len() != now.len());
    let line = place.and_then(|place| now.get(place)).or_else(|| now.get(then.len()))?;
    Some(String::from_utf8_lossy(line).trim_end().to_owned())
}

/// Octets of the first message of a stream, or of the empty lines before it (RFC 5626 §3.5.1); all of them if it is not whole.
fn first_of(octets: &[u8]) -> usize {
    let empty = octets.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    if empty > 0 {
        return empty;
    }
    let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") else { return octets.len() };
    let head = Message::parse(Bytes::copy_from_slice(&octets[..end + 4])).ok();
    let length = head
        .as_ref()
        .and_then(|head| std::str::from_utf8(head.value(Name::ContentLength)?).ok()?.parse().ok());
    (end + 4).saturating_add(length.unwrap_or(0)).min(octets.len())
}
