//! What goes over the wire, written down: as a capture file, and as the ladder of the session.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use poc::Event;
use poc::media::Stream as Media;
use poc::talk_burst;
use sim::ladder::{Fate, Trace};
use sip::message::{Method, Name};
use sip::transport::{ConnectionId, Frame, Framer, Path, Transmit, Transport};
use sip::{Duration, Instant, Message};

use crate::capture::Capture;
use crate::clock::wall;

/// Lines of the longest ladder. A peer could make it longer for ever.
const LINES_MAX: usize = 1000;

/// Messages that are kept of an INVITE before it is known to begin a session.
const BEFORE_MAX: usize = 16;

/// The peer has one place in a ladder, whichever of its addresses a message comes from: so each place has one.
const PLACES: [SocketAddr; 2] = [place(1), place(2)];

/// The left one.
const OUR_PLACE: usize = 0;

const fn place(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port)
}

/// From our point of view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Writes down what it is shown, if somebody wants to see it.
pub(crate) struct Recorder {
    /// What stands for our side where the socket is bound to any address.
    advertised: SocketAddr,
    capture: Option<(PathBuf, Capture)>,
    /// Why the capture ended early.
    failure: Option<(PathBuf, String)>,
    ladder: Option<Ladder>,
    streams: BTreeMap<ConnectionId, Stream>,
}

/// One direction of a connection is cut into messages; the other one comes in messages.
struct Stream {
    framer: Framer,
    ends: Option<(SocketAddr, SocketAddr)>,
    /// What was sent before the connection was open, and so before our end of it was known.
    waiting: Vec<Bytes>,
}

/// The ladder of one session: what has the Call-ID of its INVITE.
struct Ladder {
    name: String,
    call_id: Option<Bytes>,
    /// The messages so far of an INVITE that may begin a session; and behind it talk burst control, which may be a TBCP Connect.
    before: Vec<(Instant, Way, Before)>,
    /// The session has begun; before, every further INVITE may be the one that begins it.
    trace: Option<Trace>,
}

/// What came before its session.
enum Before {
    Message(Bytes),
    Media(Media, Bytes),
}

impl Recorder {
    /// Writes to `capture`, and draws ladders in which our side is called `name`.
    pub(crate) fn new(
        advertised: SocketAddr,
        capture: Option<(PathBuf, Capture)>,
        name: Option<String>,
    ) -> Self {
        let ladder = name.map(Ladder::new);
        Self { advertised, capture, failure: None, ladder, streams: BTreeMap::new() }
    }

    /// Whether the capture has ended early.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Why the capture file could not be written to its end.
    pub(crate) fn failure(&mut self) -> Option<(PathBuf, String)> {
        self.failure.take()
    }

    /// A datagram.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        way: Way,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &Bytes,
    ) {
        let local = if local.ip().is_unspecified() { self.advertised } else { local };
        let (from, to) = ends(way, local, remote);
        self.write(|capture| capture.datagram(wall(), from, to, bytes));
        if let Some(ladder) = &mut self.ladder {
            ladder.message(now, way, bytes);
        }
    }

    /// A datagram of speech or talk burst control.
    pub(crate) fn media(
        &mut self,
        now: Instant,
        way: Way,
        (local, remote): (SocketAddr, SocketAddr),
        stream: Media,
        bytes: &Bytes,
    ) {
        let ip = if local.ip().is_unspecified() { self.advertised.ip() } else { local.ip() };
        let (from, to) = ends(way, SocketAddr::new(ip, local.port()), remote);
        self.write(|capture| capture.datagram(wall(), from, to, bytes));
        if let Some(ladder) = &mut self.ladder {
            ladder.media(now, way, stream, bytes);
        }
    }

    /// Octets of a connection, whose end here may not be known yet.
    pub(crate) fn stream(
        &mut self,
        now: Instant,
        way: Way,
        id: ConnectionId,
        between: (Option<SocketAddr>, SocketAddr),
        bytes: &Bytes,
    ) {
        if self.capture.is_none() && self.ladder.is_none() {
            return;
        }
        let stream = self.streams.entry(id).or_insert_with(|| Stream {
            framer: Framer::new(id),
            ends: None,
            waiting: Vec::new(),
        });
        let mut messages = Vec::new();
        match way {
            Way::Out => messages.push(bytes.clone()),
            Way::In => {
                stream.framer.push(bytes);
                while let Some(frame) = stream.framer.next_frame() {
                    messages.extend(match frame {
                        Frame::Message(message) => Some(message),
                        Frame::Ping | Frame::Pong | Frame::Fault(_) => None,
                    });
                }
            }
        }
        match between {
            (Some(local), remote) => {
                stream.ends = Some((local, remote));
                let (from, to) = ends(way, local, remote);
                self.write(|capture| capture.stream(wall(), from, to, bytes));
            }
            (None, _) if self.capture.is_some() => stream.waiting.push(bytes.clone()),
            (None, _) => {}
        }
        if let Some(ladder) = &mut self.ladder {
            messages.iter().for_each(|message| ladder.message(now, way, message));
        }
    }

    /// A connection of ours is open: what waited has left.
    pub(crate) fn opened(&mut self, id: ConnectionId, local: SocketAddr, remote: SocketAddr) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.ends = Some((local, remote));
        for bytes in std::mem::take(&mut stream.waiting) {
            self.write(|capture| capture.stream(wall(), local, remote, &bytes));
        }
    }

    /// A connection is closed.
    pub(crate) fn closed(&mut self, id: ConnectionId) {
        let ends = self.streams.remove(&id).and_then(|stream| stream.ends);
        if let (Some((local, remote)), Some((_, capture))) = (ends, &mut self.capture) {
            capture.closed(local, remote);
        }
    }

    /// The session has begun, with `peer`: the last INVITE was its own.
    pub(crate) fn begin(&mut self, peer: &str) {
        if let Some(ladder) = &mut self.ladder {
            ladder.begin(peer);
        }
    }

    /// Our user did something.
    pub(crate) fn note(&mut self, now: Instant, text: &str) {
        if let Some(trace) = self.trace() {
            trace.note(now, OUR_PLACE, text.to_owned());
        }
    }

    /// Our user was told something.
    pub(crate) fn event(&mut self, now: Instant, event: &Event) {
        if let Some(trace) = self.trace() {
            trace.event(now, OUR_PLACE, event);
        }
    }

    /// The ladder of the session, if one has begun since the last was taken.
    pub(crate) fn take_ladder(&mut self) -> Option<String> {
        let ladder = self.ladder.as_mut()?;
        let trace = ladder.trace.take()?;
        *ladder = Ladder::new(std::mem::take(&mut ladder.name));
        Some(trace.render())
    }

    fn trace(&mut self) -> Option<&mut Trace> {
        self.ladder.as_mut()?.trace.as_mut().filter(|trace| trace.entries().len() < LINES_MAX)
    }

    /// Nothing more is written after the first failure.
    fn write(&mut self, write: impl FnOnce(&mut Capture) -> Result<(), pcap_file::PcapError>) {
        if let Some((path, capture)) = &mut self.capture
            && let Err(error) = write(capture)
        {
            self.failure = Some((path.clone(), error.to_string()));
            self.capture = None;
        }
    }
}

impl Ladder {
    fn new(name: String) -> Self {
        Self { name, call_id: None, before: Vec::new(), trace: None }
    }

    fn message(&mut self, now: Instant, way: Way, bytes: &Bytes) {
        let Ok(message) = Message::parse(bytes.clone()) else { return };
        let call_id = message.value(Name::CallId);
        let is_other = call_id != self.call_id.as_deref();
        if self.trace.is_none() && is_other && message.is(Method::Invite) {
            self.call_id = call_id.map(Bytes::copy_from_slice);
            self.before.clear();
        } else if is_other {
            return;
        }
        match &mut self.trace {
            Some(trace) if trace.entries().len() < LINES_MAX => draw(trace, now, way, bytes),
            None => self.keep(now, way, Before::Message(bytes.clone())),
            Some(_) => {}
        }
    }

    fn media(&mut self, now: Instant, way: Way, stream: Media, bytes: &Bytes) {
        match &mut self.trace {
            Some(trace) if trace.entries().len() < LINES_MAX => draw_media(trace, now, way, stream, bytes),
            None if self.call_id.is_some() && is_talk_burst_control(stream, bytes) => {
                self.keep(now, way, Before::Media(stream, bytes.clone()));
            }
            Some(_) | None => {}
        }
    }

    fn keep(&mut self, now: Instant, way: Way, before: Before) {
        if self.before.len() < BEFORE_MAX {
            self.before.push((now, way, before));
        }
    }

    fn begin(&mut self, peer: &str) {
        let mut trace =
            Trace::new(vec![(self.name.clone(), PLACES[OUR_PLACE]), (peer.to_owned(), PLACES[1])]);
        for (now, way, before) in std::mem::take(&mut self.before) {
            match before {
                Before::Message(bytes) => draw(&mut trace, now, way, &bytes),
                Before::Media(stream, bytes) => draw_media(&mut trace, now, way, stream, &bytes),
            }
        }
        self.trace = Some(trace);
    }
}

fn draw(trace: &mut Trace, now: Instant, way: Way, bytes: &Bytes) {
    let (local, remote) = ends(way, PLACES[OUR_PLACE], PLACES[1]);
    let path = Path { transport: Transport::Udp, local, remote, connection: None };
    trace.message_with(now, &Transmit { path, bytes: bytes.clone() }, Fate::Arrives(Duration::ZERO));
}

fn draw_media(trace: &mut Trace, now: Instant, way: Way, stream: Media, bytes: &[u8]) {
    let (from, to) = ends(way, OUR_PLACE, 1 - OUR_PLACE);
    trace.media(now, (from, to), stream, bytes, Fate::Arrives(Duration::ZERO));
}

fn is_talk_burst_control(stream: Media, bytes: &[u8]) -> bool {
    match stream {
        Media::Control => talk_burst::packets(bytes).is_ok_and(|mut packets| packets.next().is_some()),
        Media::Speech => false,
    }
}

fn ends<T>(way: Way, local: T, remote: T) -> (T, T) {
    match way {
        Way::In => (remote, local),
        Way::Out => (local, remote),
    }
}
