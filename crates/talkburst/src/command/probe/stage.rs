//! What a case is played on: sockets of its own, what was heard on them, and the ladder of it.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::task::Poll;

use bytes::Bytes;
use sim::ladder::{Fate, Party, Role, Trace, label};
use sip::message::{Method, Name};
use sip::transport::{Path, Transmit, Transport};
use sip::{Duration, Instant, Message};
use tokio::runtime::Runtime;

use super::call::Call;
use super::ends::{Arrived, End, Way};
use super::settings::Settings;
use crate::clock::Clock;

/// Messages that one case keeps: a target that floods is cut off.
const HEARD_MAX: usize = 4096;

/// How long what a case leaves behind is cleared away.
const TIDYING: Duration = Duration::from_millis(400);

/// What lies between the pieces of a message.
const PIECE: Duration = Duration::from_millis(20);

/// How long a command may go on when its standard input has ended.
const GRACE: Duration = Duration::from_millis(300);

/// How long a person has to call.
const BY_HAND: Duration = Duration::from_secs(120);

/// How long a command has to call.
const BY_COMMAND: Duration = Duration::from_secs(10);

/// Why a script ends before its last line.
#[derive(Debug)]
pub(super) enum Stop {
    /// The target broke the rule.
    Failed(String),
    /// What the rule is about did not come to pass.
    Unclear(String),
    /// This machine's network failed.
    Network(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

/// What a step of a script comes to.
pub(super) type Step<T = ()> = Result<T, Stop>;

/// Which sides the probe plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sides {
    /// The inviter; the target is called.
    Inviter,
    /// The invited; the target calls.
    Invited,
    /// Both; the target is between them.
    Both,
}

/// A message that was heard.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) end: usize,
    pub(super) from: Way,
    /// The number of its connection at that end; 0 is none.
    pub(super) connection: usize,
    pub(super) message: Message,
    is_taken: bool,
}

/// One case's sockets, messages and ladder.
pub(super) struct Stage<'a> {
    pub(super) settings: &'a Settings,
    runtime: Runtime,
    clock: Clock,
    ends: Vec<End>,
    /// The place of the target in the ladder, and what stands for its address there.
    target: (usize, SocketAddr),
    heard: Vec<Heard>,
    trace: Trace,
    /// Whether what happens still belongs to the case.
    is_told: bool,
    /// The only call that counts, once there is one that the target began.
    call_id: Option<Bytes>,
    faults: Vec<String>,
    calls: Vec<Call>,
    child: Option<Child>,
    /// Where the ends are registered.
    registrar: Option<Way>,
    /// What is being read.
    buffer: Vec<u8>,
}

impl<'a> Stage<'a> {
    /// Opens the sockets of a case.
    pub(super) fn open(settings: &'a Settings, sides: Sides) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let names: &[(&str, Option<usize>)] = match sides {
            Sides::Inviter => &[("probe", Some(0)), ("target", None)],
            Sides::Invited => &[("target", None), ("probe", Some(0))],
            Sides::Both => &[("inviter", Some(0)), ("target", None), ("invited", Some(1))],
        };
        let nowhere = SocketAddr::new(settings.listen.ip(), 0);
        let (mut ends, mut parties, mut target) = (Vec::new(), Vec::new(), (0, nowhere));
        for (place, (name, end)) in names.iter().enumerate() {
            let (address, role) = match end {
                Some(_) => {
                    let _entered = runtime.enter();
                    let port = if sides == Sides::Invited { settings.listen.port() } else { 0 };
                    let end = End::open(SocketAddr::new(settings.listen.ip(), port), place)?;
                    let at = end.at;
                    ends.push(end);
                    (at, Role::Server)
                }
                None => {
                    target = (place, nowhere);
                    (nowhere, if sides == Sides::Both { Role::Core } else { Role::Server })
                }
            };
            parties.push(Party { name: (*name).to_owned(), address, role });
        }
        Ok(Self {
            settings,
            runtime,
            clock: Clock::start(),
            ends,
            target,
            heard: Vec::new(),
            trace: Trace::between(parties),
            is_told: true,
            call_id: None,
            faults: Vec::new(),
            calls: Vec::new(),
            child: None,
            registrar: None,
            buffer: Vec::new(),
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Where this end receives.
    pub(super) fn at(&self, end: usize) -> SocketAddr {
        self.ends[end].at
    }

    /// A description of this end's media: an offer, or the answer to `offer`.
    pub(super) fn description(&self, end: usize, offer: Option<&[u8]>) -> String {
        let End { at, media, .. } = &self.ends[end];
        let ip = at.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let port = |place: usize| media[place].local_addr().map_or(9, |at: SocketAddr| at.port());
        let head = format!("v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n");
        let Some(offer) = offer.filter(|offer| !offer.is_empty()) else {
            let control =
                format!("m=application {} udp TBCP\r\na=fmtp:TBCP queuing=1; tb_priority=2\r\n", port(1));
            let speech = format!(
                "m=audio {} RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 AMR/8000\r\n\
                 a=fmtp:97 octet-align=1\r\n",
                port(0)
            );
            return head + &speech + if self.settings.is_poc { &control } else { "" };
        };
        // Each line of media as it was offered, at our ports: what was offered is what the target can.
        let offer = String::from_utf8_lossy(offer).into_owned();
        let mut answer = head;
        for line in offer.lines().skip_while(|line| !line.starts_with("m=")) {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some(kind), Some(_)) if kind.starts_with("m=") => {
                    let place = usize::from(kind == "m=application");
                    let rest: Vec<_> = words.collect();
                    answer += &format!("{kind} {} {}\r\n", port(place), rest.join(" "));
                }
                _ if line.starts_with("a=rtpmap") || line.starts_with("a=fmtp") => {
                    answer += &format!("{line}\r\n");
                }
                _ => {}
            }
        }
        answer
    }

    /// The URI at which this end receives, as `user`.
    pub(super) fn uri(&self, end: usize, user: &str, transport: Transport) -> String {
        format!("sip:{user}@{}{}", self.at(end), transport.uri_parameter())
    }

    /// Sends a message from an end.
    pub(super) fn say(&mut self, end: usize, to: Way, text: &str) -> Step {
        self.told(end, text);
        self.send(end, to, text)
    }

    /// Sends messages from an end with nothing between them: over a connection, in one piece.
    pub(super) fn say_at_once(&mut self, end: usize, to: Way, texts: &[&str]) -> Step {
        if !to.transport.has_connections() {
            return texts.iter().try_for_each(|text| self.say(end, to, text));
        }
        for text in texts {
            self.told(end, text);
        }
        self.send(end, to, &texts.concat())
    }

    /// Sends a message from an end in pieces of a stream, cut at these octets.
    pub(super) fn say_in_pieces(&mut self, end: usize, to: Way, text: &str, cuts: &[usize]) -> Step {
        self.told(end, text);
        let mut begin = 0;
        for cut in cuts.iter().copied().chain([text.len()]) {
            self.send(end, to, &text[begin..cut])?;
            self.listen(PIECE)?;
            begin = cut;
        }
        Ok(())
    }

    /// The ladder shows what this end says.
    fn told(&mut self, end: usize, text: &str) {
        let from = self.ends[end].place;
        self.tell(from, self.target.0, Bytes::copy_from_slice(text.as_bytes()));
    }

    fn send(&mut self, end: usize, to: Way, text: &str) -> Step {
        let patience = self.settings.patience;
        let end = &mut self.ends[end];
        let sent = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, end.say(to, text.as_bytes())).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            // A connection has another side, which may refuse or lose it.
            Ok(Err(error)) if to.transport.has_connections() => {
                Err(Stop::Unclear(format!("no connection to {}: {error}", to.at)))
            }
            Ok(Err(error)) => Err(Stop::Network(error)),
            Err(_) => Err(Stop::Unclear(format!("{} reads nothing", to.at))),
        }
    }

    /// Closes the connections of this end.
    pub(super) fn hang_up(&mut self, end: usize) {
        self.note(self.ends[end].place, "closes the connection".to_owned());
        self.ends[end].hang_up();
    }

    /// Sends octets from a socket at which nobody listens.
    pub(super) fn say_aside(&mut self, to: Way, text: &str) -> Step {
        self.told(0, text);
        if to.transport.has_connections() {
            let mut stream = std::net::TcpStream::connect_timeout(&to.at, self.settings.patience)?;
            return Ok(io::Write::write_all(&mut stream, text.as_bytes())?);
        }
        std::net::UdpSocket::bind((self.settings.listen.ip(), 0))?.send_to(text.as_bytes(), to.at)?;
        Ok(())
    }

    /// The next message at `end` of which this is so, if it comes in time. It counts once.
    pub(super) fn hear(
        &mut self,
        end: usize,
        within: Duration,
        is_wanted: impl Fn(&Message) -> bool,
    ) -> Step<Option<Heard>> {
        let until = self.now() + within;
        loop {
            let found = self
                .heard
                .iter_mut()
                .find(|heard| heard.end == end && !heard.is_taken && is_wanted(&heard.message));
            if let Some(heard) = found {
                heard.is_taken = true;
                return Ok(Some(heard.clone()));
            }
            if !self.receive(until)? {
                return Ok(None);
            }
        }
    }

    /// The same, which must come: what it is, in words.
    pub(super) fn expect(
        &mut self,
        end: usize,
        what: &str,
        is_wanted: impl Fn(&Message) -> bool,
    ) -> Step<Heard> {
        self.hear(end, self.settings.patience, is_wanted)?
            .ok_or_else(|| Stop::Failed(format!("{what} did not come within {:?}", self.settings.patience)))
    }

    /// Hears whatever comes for so long.
    pub(super) fn listen(&mut self, span: Duration) -> Step {
        let until = self.now() + span;
        while self.receive(until)? {}
        Ok(())
    }

    /// All that was heard at `end` and of which this is so.
    pub(super) fn all(&self, end: usize, is_wanted: impl Fn(&Message) -> bool) -> Vec<Heard> {
        self.heard.iter().filter(|heard| heard.end == end && is_wanted(&heard.message)).cloned().collect()
    }

    /// A rule: if it is not kept the case has failed, and goes on.
    pub(super) fn must(&mut self, is_so: bool, what: impl Into<String>) {
        if !is_so {
            self.faults.push(what.into());
        }
    }

    /// The faults so far.
    pub(super) fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    pub(super) fn ladder(&self) -> &Trace {
        &self.trace
    }

    /// Remembers a call that must not be left behind.
    pub(super) fn began(&mut self, call: &Call) {
        self.calls.push(call.clone());
    }

    /// Remembers that our ends are registered.
    pub(super) fn registered(&mut self, registrar: Way) {
        self.registrar = Some(registrar);
    }

    /// What must be sent so that nothing goes on at the target. No part of the case.
    pub(super) fn tidy(&mut self) -> Step {
        self.is_told = false;
        for call in std::mem::take(&mut self.calls) {
            self.clear(&call)?;
        }
        if self.child.is_some() || self.call_id.is_some() {
            self.turn_away()?;
        }
        if let Some(registrar) = self.registrar {
            for end in 0..self.ends.len() {
                super::call::register(self, end, registrar, 0)?;
            }
        }
        Ok(())
    }

    /// Ends a call of ours.
    fn clear(&mut self, call: &Call) -> Step {
        let is_mine = |message: &Message| {
            message.call_id() == call.call_id.as_bytes()
                && is_of(message, Method::Invite)
                && message.cseq().is_ok_and(|cseq| cseq.number == call.cseq)
        };
        let is_final = |message: &Message| is_mine(message) && message.status() >= Some(200);
        if self.all(call.end, is_final).is_empty() {
            self.say(call.end, call.to, &call.cancel())?;
            let until = self.now() + TIDYING;
            while self.all(call.end, is_final).is_empty() && self.receive(until)? {}
        }
        let finals = self.all(call.end, is_final);
        for answer in &finals {
            self.say(call.end, call.to, &call.ack(&answer.message))?;
            if answer.message.status() < Some(300) {
                self.say(call.end, call.to, &call.bye(&answer.message))?;
            }
        }
        if finals.is_empty()
            && let Some(early) =
                self.all(call.end, |message| is_mine(message) && tag(message).is_some()).pop()
        {
            // RFC 3261 §15: the caller may, in an early dialog.
            self.say(call.end, call.to, &call.bye(&early.message))?;
            let until = self.now() + TIDYING;
            while self.all(call.end, is_final).is_empty() && self.receive(until)? {}
            for answer in self.all(call.end, is_final) {
                self.say(call.end, call.to, &call.ack(&answer.message))?;
            }
        }
        self.listen(Duration::from_millis(20))
    }

    /// Ends what the target has begun: whoever still asks is answered.
    fn turn_away(&mut self) -> Step {
        let begin = self.heard.len();
        let open: Vec<_> = self.all(0, |message| message.is(Method::Invite));
        let mut asked: Vec<Heard> = open.into_iter().take(1).collect();
        let until = self.now() + TIDYING;
        let mut next = begin;
        loop {
            for heard in std::mem::take(&mut asked) {
                let status = if heard.message.is(Method::Invite) { 487 } else { 200 };
                if !heard.message.is(Method::Ack) && heard.message.method().is_some() {
                    let answer = super::call::answer(&heard.message, status, "tidy", "");
                    self.say(heard.end, heard.from, &answer)?;
                }
            }
            if !self.receive(until)? {
                break;
            }
            asked.extend(self.heard[next..].iter().cloned());
            next = self.heard.len();
        }
        Ok(())
    }

    /// Waits until somebody calls, and takes the call.
    pub(super) fn called(&mut self) -> Step<Heard> {
        let uri = self.uri(0, "probe", self.settings.transport);
        let within = match &self.settings.calls_with {
            Some(command) => {
                // One word for the shell, whatever stands in it and whether or not it was quoted.
                let command = command.replace("'{uri}'", "{uri}").replace("\"{uri}\"", "{uri}");
                let command = command.replace("{uri}", &format!("'{uri}'"));
                let child = Command::new("sh")
                    .args(["-c", &format!("exec {command}")])
                    .env("PROBE_URI", &uri)
                    .stdin(Stdio::piped()) // it ends when the case does
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                self.child = Some(child);
                BY_COMMAND
            }
            None => {
                anstream::eprintln!("call {uri}, and give up after {:?}", self.settings.gives_up_after);
                BY_HAND
            }
        };
        let is_new =
            |message: &Message| message.is(Method::Invite) && message.to().is_ok_and(|to| to.tag().is_none());
        let Some(invite) = self.hear(0, within, is_new)? else {
            return Err(Stop::Unclear("the target did not call".to_owned()));
        };
        self.call_id = Some(Bytes::copy_from_slice(invite.message.call_id()));
        Ok(invite)
    }

    /// Whether something has come by then.
    fn receive(&mut self, until: Instant) -> Step<bool> {
        let (ends, clock, buffer) = (&mut self.ends, self.clock, &mut self.buffer);
        let arrived = self.runtime.block_on(async {
            tokio::select! {
                arrived = next(ends, buffer) => Some(arrived),
                () = clock.until(Some(until)) => None,
            }
        });
        let Some(arrived) = arrived else { return Ok(false) };
        let (end, arrived) = arrived?;
        let (from, connection, bytes) = match arrived {
            Arrived::Message { from, connection, bytes } => (from, connection, bytes),
            Arrived::Broken(what) => {
                self.note(self.target.0, what);
                return Ok(true);
            }
            Arrived::Connection => return Ok(true),
        };
        let place = self.ends[end].place;
        self.tell(self.target.0, place, bytes.clone());
        let Ok(message) = Message::parse(bytes) else { return Ok(true) };
        if self.call_id.as_ref().is_some_and(|only| only != message.call_id()) {
            return Ok(true);
        }
        if self.heard.len() == HEARD_MAX {
            return Err(Stop::Failed("the target does not stop sending".to_owned()));
        }
        self.heard.push(Heard { at: self.now(), end, from, connection, message, is_taken: false });
        Ok(true)
    }

    /// Adds what somebody did to the ladder.
    fn note(&mut self, place: usize, what: String) {
        if self.is_told {
            self.trace.note(self.now(), place, what);
        }
    }

    /// Adds a message to the ladder.
    fn tell(&mut self, from: usize, to: usize, bytes: Bytes) {
        if !self.is_told {
            return;
        }
        let address = |place: usize| {
            let end = self.ends.iter().find(|end| end.place == place);
            end.map_or(self.target.1, |end| end.at)
        };
        let path =
            Path { transport: Transport::Udp, local: address(from), remote: address(to), connection: None };
        let now = self.now();
        if Message::parse(bytes.clone()).is_ok() {
            let transmit = Transmit { path, bytes };
            self.trace.message_with(now, &transmit, Fate::Arrives(Duration::ZERO));
        } else if bytes.iter().any(|octet| !octet.is_ascii_whitespace() && *octet != 0) {
            self.trace.note(now, from, format!("{} octets that are no SIP", bytes.len()));
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
            let until = self.clock.now() + GRACE;
            while self.clock.now() < until && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            // An error means that it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The next thing that comes at any end.
async fn next(ends: &mut [End], buffer: &mut Vec<u8>) -> io::Result<(usize, Arrived)> {
    std::future::poll_fn(|context| {
        for (place, end) in ends.iter_mut().enumerate() {
            if let Poll::Ready(arrived) = end.poll(context, buffer) {
                return Poll::Ready(arrived.map(|arrived| (place, arrived)));
            }
        }
        Poll::Pending
    })
    .await
}

/// Whether it is a response to a request of this method.
pub(super) fn is_of(message: &Message, method: Method) -> bool {
    message.status().is_some() && message.is_cseq_method(method)
}

/// A response to a request of `method` with a status in `range`.
pub(super) fn answers(
    method: Method,
    range: std::ops::RangeInclusive<u16>,
) -> impl Fn(&Message) -> bool + Clone {
    move |message| is_of(message, method) && message.status().is_some_and(|status| range.contains(&status))
}

/// A request of this method.
pub(super) fn asks(method: Method) -> impl Fn(&Message) -> bool + Clone {
    move |message| message.is(method)
}

/// The tag in To.
pub(super) fn tag(message: &Message) -> Option<Vec<u8>> {
    message.to().ok().and_then(|to| to.tag().map(<[u8]>::to_vec))
}

/// The branch of the topmost Via.
pub(super) fn branch(message: &Message) -> Option<Vec<u8>> {
    message.via().ok().and_then(|via| via.branch().map(<[u8]>::to_vec))
}

/// A header's first value as text.
pub(super) fn text(message: &Message, name: Name) -> String {
    String::from_utf8_lossy(message.value(name).unwrap_or_default()).into_owned()
}

/// What a message is called in the report.
pub(super) fn word(message: &Message) -> String {
    label(message)
}
