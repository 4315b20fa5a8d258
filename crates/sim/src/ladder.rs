//! Ladders: what happened between the parties, as a picture in text, with the rule beside each arrow.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use poc::Event;
use poc::media::Stream;
use poc::talk_burst::{self, client::Told};
use sip::message::Method;
use sip::transport::Transmit;
use sip::{Duration, Instant, Message};

/// Octets of the header of RTP (RFC 3550 §5.1): what has no more is no speech.
const RTP_HEADER: usize = 12;

/// What happened, in order.
#[derive(Clone, Debug)]
pub struct Trace {
    parties: Vec<Party>,
    entries: Vec<Entry>,
    /// The branches of the INVITEs seen: the ACK of a failure has the one of its INVITE.
    invite_branches: BTreeSet<Vec<u8>>,
}

/// One column of a ladder.
#[derive(Clone, Debug)]
pub struct Party {
    /// What stands above it.
    pub name: String,
    /// Where messages come from and go to.
    pub address: SocketAddr,
    /// By which rules it sends.
    pub role: Role,
}

/// What a party is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A PoC Client.
    Client,
    /// A registrar and proxy.
    Core,
    /// A PoC Server: a user agent on each side.
    Server,
}

/// One line of a ladder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What a line of a ladder shows.
#[derive(Clone, Debug)]
pub enum What {
    /// A message.
    Message {
        /// The place of the sender.
        from: usize,
        /// The place of the receiver.
        to: usize,
        /// What it is, in the words of the specification: `180 (INVITE)`.
        label: String,
        /// The rule that it follows.
        rule: &'static str,
        /// What became of it.
        fate: Fate,
    },
    /// Packets of speech, one after another.
    Speech {
        /// The place of the sender.
        from: usize,
        /// The place of the receiver.
        to: usize,
        /// How many.
        packets: usize,
    },
    /// Something that a party did or was told.
    Note {
        /// The place of the party.
        place: usize,
        /// What.
        text: String,
    },
}

/// What becomes of a message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrives, so long after it was sent.
    Arrives(Duration),
    /// It arrives twice; the first copy so long after it was sent.
    Doubled(Duration),
    /// It is lost.
    Lost,
    /// It waits on the way until somebody lets it go.
    Held,
    /// It had waited on the way, and arrives now.
    LetGo,
}

impl Fate {
    /// It in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arrives(_) => "arrives",
            Self::Doubled(_) => "doubled",
            Self::Lost => "lost",
            Self::Held => "held back",
            Self::LetGo => "let go",
        }
    }
}

impl Trace {
    /// An empty trace between clients: name and address of each, from left to right.
    pub fn new(parties: Vec<(String, SocketAddr)>) -> Self {
        let client = |(name, address)| Party { name, address, role: Role::Client };
        Self::between(parties.into_iter().map(client).collect())
    }

    /// An empty trace between `parties`, from left to right.
    pub fn between(parties: Vec<Party>) -> Self {
        Self { parties, entries: Vec::new(), invite_branches: BTreeSet::new() }
    }

    /// A party more, at this place: those behind it move to the right, and what happened moves with them.
    pub fn enter(&mut self, place: usize, party: Party) {
        let place = place.min(self.parties.len());
        self.parties.insert(place, party);
        let moved = |each: &mut usize| *each += usize::from(*each >= place);
        for entry in &mut self.entries {
            match &mut entry.what {
                What::Message { from, to, .. } | What::Speech { from, to, .. } => {
                    [from, to].into_iter().for_each(moved);
                }
                What::Note { place, .. } => moved(place),
            }
        }
    }

    /// Forgets what has happened: the story begins now.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.invite_branches.clear();
    }

    /// The lines so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of the parties, from left to right.
    pub fn parties(&self) -> impl Iterator<Item = &str> {
        self.parties.iter().map(|party| party.name.as_str())
    }

    /// A message was sent, and this becomes of it.
    pub fn message_with(&mut self, now: Instant, transmit: &Transmit, fate: Fate) {
        let place = |address| self.parties.iter().position(|party| party.address == address);
        let (Some(from), Some(to)) = (place(transmit.path.local), place(transmit.path.remote)) else {
            return;
        };
        let Ok(message) = Message::parse(transmit.bytes.clone()) else { return };
        if message.is(Method::Invite) {
            self.invite_branches.extend(branch_of(&message));
        }
        let (label, rule) = (label(&message), self.rule(&message, self.parties[from].role));
        self.entries.push(Entry { at: now, what: What::Message { from, to, label, rule, fate } });
    }

    /// A datagram of speech or talk burst control was sent. Packets of one talk burst are one line; what is neither is none.
    pub fn media(
        &mut self,
        now: Instant,
        (from, to): (usize, usize),
        stream: Stream,
        bytes: &[u8],
        fate: Fate,
    ) {
        match stream {
            Stream::Control => {
                let Ok(packets) = talk_burst::packets(bytes) else { return };
                for packet in packets.flatten() {
                    let (label, rule) = (packet.message.to_string(), "");
                    self.entries.push(Entry { at: now, what: What::Message { from, to, label, rule, fate } });
                }
            }
            Stream::Speech if bytes.len() <= RTP_HEADER => {}
            Stream::Speech => self.speech(now, from, to),
        }
    }

    fn speech(&mut self, now: Instant, from: usize, to: usize) {
        // Copies to several parties take turns.
        for entry in self.entries.iter_mut().rev().take(self.parties.len()) {
            match &mut entry.what {
                What::Speech { from: before, to: there, packets } if (*before, *there) == (from, to) => {
                    *packets += 1;
                    return;
                }
                What::Speech { .. } => {}
                What::Message { .. } | What::Note { .. } => break,
            }
        }
        self.entries.push(Entry { at: now, what: What::Speech { from, to, packets: 1 } });
    }

    /// Something that a party did.
    pub fn note(&mut self, now: Instant, place: usize, text: String) {
        self.entries.push(Entry { at: now, what: What::Note { place, text } });
    }

    /// Something that a party was told.
    pub fn event(&mut self, now: Instant, place: usize, event: &Event) {
        if let Some(text) = told(event) {
            self.note(now, place, text);
        }
    }

    /// The rule that a message follows. An ACK follows another rule for a failure than for a 2xx: the branch tells.
    fn rule(&self, message: &Message, sender: Role) -> &'static str {
        let cseq = message.cseq().map(|cseq| Method::parse(cseq.method)).unwrap_or(Method::Other);
        match (sender, message.method(), message.status(), cseq) {
            (_, Some(Method::Ack), ..) => match branch_of(message) {
                Some(branch) if self.invite_branches.contains(&branch) => "RFC 3261 §17.1.1.3",
                Some(_) | None => "RFC 3261 §13.2.2.4",
            },
            // The founding contribution is about the PoC Client.
            (Role::Client, Some(Method::Invite), ..) => "PoC CP 6.1.3",
            (Role::Client, Some(Method::Cancel), ..) => "PoC CP 6.1.X.1; RFC 3261 §9.1",
            (Role::Client, Some(Method::Bye), ..) => "PoC CP 6.1.6.1",
            (Role::Client, None, Some(487), Method::Invite) => "PoC CP 6.2.X.1 step 2",
            (Role::Client, None, Some(200..=299), Method::Cancel) => "PoC CP 6.2.X.1 step 1",
            (Role::Core, Some(Method::Cancel), ..) => "RFC 3261 §16.10, §9.1",
            (Role::Core, Some(_), ..) => "RFC 3261 §16.6",
            (Role::Core, None, Some(401 | 407), _) => "RFC 3261 §22",
            (Role::Core, None, Some(100), _) => "RFC 3261 §17.2.1",
            (Role::Core, None, Some(200..=299), Method::Cancel) => "RFC 3261 §16.10",
            (Role::Core, None, Some(_), _) => "RFC 3261 §16.7",
            (_, Some(Method::Invite), ..) => "RFC 3261 §13.2.1",
            (_, Some(Method::Cancel), ..) => "RFC 3261 §9.1",
            (_, Some(Method::Bye), ..) => "RFC 3261 §15.1.1",
            (_, Some(Method::Register), ..) => "RFC 3261 §10.2",
            (_, Some(Method::Publish), ..) => "RFC 3903 §4",
            (_, None, Some(100), _) => "RFC 3261 §17.2.1",
            (_, None, Some(101..=199), _) => "RFC 3261 §13.3.1.1",
            (_, None, Some(401 | 407), _) => "RFC 3261 §22",
            (_, None, Some(487), Method::Invite) | (_, None, Some(200..=299), Method::Cancel) => {
                "RFC 3261 §9.2"
            }
            (_, None, Some(200..=299), Method::Invite) => "RFC 3261 §13.3.1.4",
            (_, None, Some(200..=299), Method::Bye) => "RFC 3261 §15.1.2",
            (_, None, Some(481), _) => "RFC 3261 §9.2, §12.2.2",
            (_, None, Some(300..), Method::Invite) => "RFC 3261 §13.3.1.3",
            (_, None, ..) | (_, Some(_), ..) => "",
        }
    }

    /// The ladder as text. Times are relative to the first line.
    pub fn render(&self) -> String {
        let begin = self.entries.first().map_or(Instant::START, |entry| entry.at);
        let rows = self.entries.iter().map(|entry| self.row(entry, begin));
        std::iter::once(self.head()).chain(rows).collect()
    }

    /// The line above the ladder: the names of the parties.
    pub fn head(&self) -> String {
        let grid = Grid::of(self.parties.len());
        let mut head = format!("{:>10} ", "");
        for Party { name, .. } in &self.parties {
            let _ = write!(head, "{name:<width$}", width = grid.width);
        }
        head.truncate(head.trim_end().len());
        head.push('\n');
        head
    }

    /// The last line as text, with its time since `begin`; it is forgotten then. For a ladder that is shown as it grows.
    pub fn take_row(&mut self, begin: Instant) -> Option<String> {
        let entry = self.entries.pop()?;
        Some(self.row(&entry, begin))
    }

    fn row(&self, entry: &Entry, begin: Instant) -> String {
        let since = entry.at.saturating_since(begin).as_secs_f64() * 1000.0;
        let line = Grid::of(self.parties.len()).line(&entry.what);
        format!("{since:>8.1}ms {}\n", line.trim_end())
    }
}

/// Where the line of the first party stands.
const MARGIN: usize = 2;

/// Characters of a row behind its time. With it: 120.
const ROW: usize = 109;

/// Where things stand in a row.
#[derive(Clone, Copy, Debug)]
struct Grid {
    columns: usize,
    /// Characters from one party's line to the next.
    width: usize,
}

impl Grid {
    /// Few parties stand far from each other; many so near that a row with its rule still fits.
    fn of(columns: usize) -> Self {
        let width = match columns {
            0..=3 => 30,
            4 => 24,
            5 => 20,
            6.. => 16,
        };
        Self { columns, width }
    }

    fn center(self, place: usize) -> usize {
        MARGIN + place * self.width
    }

    fn line(self, what: &What) -> String {
        let gap = if self.columns > 3 { 2 } else { 4 };
        let mut row: Vec<char> = vec![' '; self.center(self.columns.saturating_sub(1)) + gap];
        for place in 0..self.columns {
            row[self.center(place)] = '│';
        }
        match what {
            What::Message { from, to, label, rule, fate } => {
                let (left, right) = (self.center(*from.min(to)) + 1, self.center(*from.max(to)));
                let (line, note, end) = match fate {
                    Fate::Arrives(_) => (1.0, "", None),
                    Fate::Doubled(_) => (1.0, "  [doubled]", None),
                    Fate::LetGo => (1.0, "  [let go]", None),
                    Fate::Lost => (0.85, "  [lost]", Some("╳")),
                    Fate::Held => (0.85, "  [held back]", Some(if from < to { "┤" } else { "├" })),
                };
                let length = ((right.saturating_sub(left)) as f64 * line) as usize;
                let begin = if from < to { left } else { right - length };
                put(&mut row, begin, &"─".repeat(length));
                let room = right.saturating_sub(left);
                // What all of them have in front goes first, if there is no room.
                let is_long = label.chars().count() + 4 > room;
                let label = label.strip_prefix("Talk Burst ").filter(|_| is_long).unwrap_or(label);
                let text =
                    if label.chars().count() + 3 > room { label.to_owned() } else { format!(" {label} ") };
                put(&mut row, left + room.saturating_sub(text.chars().count()) / 2, &text);
                let head = end.unwrap_or(if from < to { "►" } else { "◄" });
                let tip = if from < to { begin + length.saturating_sub(1) } else { begin };
                put(&mut row, tip, head);
                let row: String = row.into_iter().collect();
                let fits = row.chars().count() + rule.chars().count() + note.chars().count() <= ROW;
                // The first of several rules, if there is no room for all.
                let rule = if fits { rule } else { rule.split("; ").next().unwrap_or(rule) };
                format!("{row}{rule}{note}")
            }
            What::Speech { from, to, packets } => {
                let (left, right) = (self.center(*from.min(to)) + 1, self.center(*from.max(to)));
                let room = right.saturating_sub(left);
                put(&mut row, left, &"┄".repeat(room));
                let text = format!(" speech ×{packets} ");
                put(&mut row, left + room.saturating_sub(text.chars().count()) / 2, &text);
                let (tip, head) = if from < to { (right.saturating_sub(1), "►") } else { (left, "◄") };
                put(&mut row, tip, head);
                row.into_iter().collect()
            }
            What::Note { place, text } => {
                let at = self.center(*place);
                let length = text.chars().count() + 2;
                match at.checked_sub(length - 1).filter(|_| at + length > ROW) {
                    Some(begin) => put(&mut row, begin, &format!("{text} ●")),
                    None => put(&mut row, at, &format!("● {text}")),
                }
                row.into_iter().collect()
            }
        }
    }
}

fn put(row: &mut Vec<char>, at: usize, text: &str) {
    for (offset, each) in text.chars().enumerate() {
        match row.get_mut(at + offset) {
            Some(cell) => *cell = each,
            None => row.push(each),
        }
    }
}

/// What a user is told, in a word or two; `None`: it is shown otherwise.
pub fn told(event: &Event) -> Option<String> {
    let text = match event {
        Event::Progress { status: 180, .. } => "told: it rings (180)".to_owned(),
        Event::Progress { status, .. } => format!("told: progress ({status})"),
        Event::Invited { .. } => "told: invited".to_owned(),
        Event::Established { .. } => "told: in session".to_owned(),
        Event::Modified { .. } => "told: media changed".to_owned(),
        Event::ModificationEnded { .. } => "told: media as before".to_owned(),
        Event::Ended { outcome, .. } => match outcome.status {
            Some(status) => format!("told: {outcome} ({status})"),
            None => format!("told: {outcome}"),
        },
        Event::MemberProgress { status, .. } => format!("told: about a user ({status})"),
        Event::MemberChanged { status: Some(status), .. } => {
            format!("told: decided about a user ({status})")
        }
        Event::MemberChanged { status: None, .. } => "told: nothing about a user".to_owned(),
        Event::Participants { .. } => "told: who takes part".to_owned(),
        Event::WatchEnded { .. } => "told: no more who takes part".to_owned(),
        Event::Alerted { .. } => "told: alerted".to_owned(),
        Event::AlertAnswered { .. } => "told: the alert is answered".to_owned(),
        Event::PreEstablished => "told: pre-established".to_owned(),
        Event::PreEstablishedEnded { .. } => "told: not pre-established".to_owned(),
        Event::Locate { .. } => "told: look up the next hop".to_owned(),
        Event::Registered { .. } => "told: registered".to_owned(),
        Event::RegistrationFailed { .. } => "told: not registered".to_owned(),
        Event::Deregistered { .. } => "told: no longer registered".to_owned(),
        Event::SettingsPublished => "told: settings published".to_owned(),
        Event::SettingsFailed { .. } => "told: settings not published".to_owned(),
        Event::TalkBurst { told, .. } => format!("told: {}", burst(told)),
        // The packets are shown as they come.
        Event::Heard { .. } => return None,
        Event::Disconnect { .. } => "told: stream broken".to_owned(),
    };
    Some(text)
}

/// What a user is told about who speaks, in a word or two.
fn burst(told: &Told) -> &'static str {
    match told {
        Told::Granted { .. } => "speak",
        Told::GrantWaits { .. } => "your turn",
        Told::TimeIsShort { .. } => "time is short",
        Told::TimeIsOver => "time is over",
        Told::Denied { .. } => "not now",
        Told::TakenBy(_) => "somebody speaks",
        Told::Idle => "nobody speaks",
        Told::Revoked(_) => "stop",
        Told::Queued { .. } => "in the queue",
        Told::NotQueued => "not in the queue",
        Told::EndOfSpeech => "nothing more is heard",
        Told::RequestTimedOut => "no answer about the talk burst",
        Told::RefusedLocally { .. } => "not yet",
        Told::MayAskAgain => "you may ask again",
    }
}

fn branch_of(message: &Message) -> Option<Vec<u8>> {
    Some(message.via().ok()?.branch()?.to_vec())
}

/// The message in the words of the specification: `INVITE`, `200 (CANCEL)`.
pub fn label(message: &Message) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match message.status() {
        None => text(message.method_text()),
        Some(status) => match message.cseq() {
            Ok(cseq) => format!("{status} ({})", text(cseq.method)),
            Err(_) => status.to_string(),
        },
    }
}
