//! Speech and talk burst control on their way through the Controlling PoC Function (user-plane digest 1, 10).
//!
//! ```text
//! datagram ── whose is it ── TBCP ── talk burst machine ── TBCP to some
//!                 │                        │
//!              nobody's                 may speak
//!                                          │
//!                            RTP ── checked ── gate ── a copy to each of the others
//! ```
//!
//! The talker's synchronization source, sequence numbers, timestamps and speech are passed on as they are; only the payload
//! number is that of each listener. What is not the holder's ends at the gate. Of a session that
//! is not confirmed it is kept for those who come.

mod buffer;
mod counters;
mod forwarding;
mod legs;
mod pace;
mod playing;
mod recording;
mod relaying;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rtp_types::RtpPacket;
use serde::{Deserialize, Serialize};

use super::{Config, Server};
use crate::media::{Encoding, KEEP_ALIVE_MAX, Stream};
use crate::sdp::Capabilities;
use crate::talk_burst::controlling::Output;
use crate::{amr, talk_burst};

pub(super) use self::buffer::Buffer;
pub use self::counters::{DENIALS, ENDINGS, MediaCounters, REVOKES};
pub(super) use self::forwarding::Fans;
pub(super) use self::legs::{Agreed, Legs, Owner};
pub(super) use self::pace::Pace;
pub(super) use self::recording::Take;
pub use self::recording::{Beginning, Recording};

use self::legs::Sender;
use self::pace::Numbers;

/// Two ports: one for speech, one for its RTCP and talk burst control.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// Speech.
    pub speech: u16,
    /// Talk burst control.
    pub control: u16,
}

/// One of the ports of [`Config::ports`](super::Config::ports).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct MediaPort {
    /// Which pair.
    pub pair: u16,
    /// Which of the two.
    pub stream: Stream,
}

/// A datagram that is to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaTransmit {
    /// Talk burst control.
    Control {
        /// From where.
        from: MediaPort,
        /// Where to.
        to: SocketAddr,
        /// Its octets.
        bytes: Bytes,
    },
    /// Talk burst control that is the same for several.
    Announcement {
        /// From where.
        from: MediaPort,
        /// Where to.
        to: Receivers,
        /// Its octets.
        bytes: Bytes,
    },
    /// Speech: a copy to each.
    Speech {
        /// From where.
        from: MediaPort,
        /// Where to.
        to: Arc<[SocketAddr]>,
        /// The first octets.
        head: [u8; SPEECH_HEAD],
        /// Those that follow.
        tail: Bytes,
    },
}

/// Where an announcement goes: to all of these, or all but one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receivers {
    all: Arc<[SocketAddr]>,
    but: Option<usize>,
}

impl Receivers {
    /// Each, in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        let (before, after) = match self.but {
            Some(but) => (&self.all[..but], &self.all[but + 1..]),
            None => (&self.all[..], &[][..]),
        };
        before.iter().chain(after).copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len() - usize::from(self.but.is_some())
    }

    /// Whether it goes nowhere.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MediaTransmit {
    /// Whether it lets somebody speak: nothing is waited for as much.
    pub fn is_grant(&self) -> bool {
        match self {
            // User-plane digest 4.1: Talk Burst Granted has the subtype 1.
            Self::Control { bytes, .. } => {
                matches!(bytes[..], [0x81, 204, ..]) && bytes.get(8..12) == Some(b"PoC1")
            }
            Self::Announcement { .. } | Self::Speech { .. } => false,
        }
    }

    /// From where it leaves, where to, and its octets: for whoever sends each datagram by itself.
    pub fn into_datagrams(self) -> (MediaPort, Vec<SocketAddr>, Bytes) {
        match self {
            Self::Control { from, to, bytes } => (from, vec![to], bytes),
            Self::Announcement { from, to, bytes } => (from, to.iter().collect(), bytes),
            Self::Speech { from, to, head, tail } => {
                (from, to.to_vec(), Bytes::from([&head[..], &tail[..]].concat()))
            }
        }
    }
}

/// Octets that may differ between copies: the header, and what asks the far end for another mode.
pub const SPEECH_HEAD: usize = 13;

/// Octets of the room in which messages are written: some hundred of them.
const ROOM: usize = 16 * 1024;

/// No message has more (user-plane digest 4.13).
const MESSAGE_MAX: usize = 1024;

/// All media of a server.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) legs: Legs,
    ports: Vec<Ports>,
    outgoing: VecDeque<MediaTransmit>,
    /// Where messages are written, one behind the other; used again once they have left.
    room: BytesMut,
    /// What the machine of one session has come to.
    outputs: VecDeque<Output>,
    recordings: VecDeque<Recording>,
    /// Talk bursts that were recorded so far.
    recorded: u64,
    pub(super) counters: MediaCounters,
    /// The synchronization source of the server.
    ssrc: u32,
    /// Of the talk bursts of every session.
    pub(super) settings: Arc<talk_burst::controlling::Settings>,
}

impl Media {
    pub(super) fn new(config: &Config, secret: [u8; 16], ssrc: u32) -> Self {
        Self {
            legs: Legs::new(secret, &config.ports),
            ports: config.ports.clone(),
            outgoing: VecDeque::new(),
            room: BytesMut::new(),
            outputs: VecDeque::new(),
            recordings: VecDeque::new(),
            recorded: 0,
            counters: MediaCounters::default(),
            ssrc,
            settings: Arc::new(config.talk_bursts.clone()),
        }
    }

    /// What decides how it goes on.
    pub(super) fn state(&self) -> impl std::fmt::Debug {
        (self.legs.state(), &self.outgoing, &self.recordings)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.outgoing.is_empty() && self.recordings.is_empty()
    }

    pub(super) fn has_recordings(&self) -> bool {
        !self.recordings.is_empty()
    }

    /// The ports of a leg.
    pub(super) fn ports_of(&self, leg: usize) -> Option<Ports> {
        self.ports.get(usize::from(self.legs.get(leg)?.pair)).copied()
    }

    /// What we can do, as a leg is told it: at its ports.
    pub(super) fn at_ports_of<'a>(
        &self,
        leg: Option<usize>,
        own: Cow<'a, Capabilities>,
    ) -> Cow<'a, Capabilities> {
        let Some(Ports { speech, control }) = leg.and_then(|leg| self.ports_of(leg)) else { return own };
        if (own.audio_port, own.control_port) == (speech, control) {
            return own;
        }
        Cow::Owned(Capabilities { audio_port: speech, control_port: control, ..own.into_owned() })
    }

    /// Talk burst control to one participant, if it is told any.
    pub(super) fn tell(&mut self, leg: usize, bytes: &Bytes) {
        let Some(media) = self.legs.get(leg) else { return };
        let Some(to) = media.agreed.as_ref().and_then(|agreed| agreed.control) else { return };
        let from = MediaPort { pair: media.pair, stream: Stream::Control };
        self.counters.told += 1;
        self.outgoing.push_back(MediaTransmit::Control { from, to, bytes: bytes.clone() });
    }

    /// Speech to one participant; false if it is not known where that is.
    pub(super) fn copy_to(&mut self, leg: usize, bytes: &Bytes, hides_mode_request: bool) -> bool {
        let Some(media) = self.legs.get(leg) else { return false };
        let Some(agreed) = &media.agreed else { return false };
        let (pair, payload, to) = (media.pair, agreed.payload, Arc::from([agreed.speech]));
        self.copy((pair, payload, &to), bytes, hides_mode_request);
        true
    }

    /// Speech to those who are told from one port, with one payload number.
    fn copy(
        &mut self,
        (pair, payload, to): (u16, u8, &Arc<[SocketAddr]>),
        bytes: &Bytes,
        hides_mode_request: bool,
    ) {
        let Some(mut head) = bytes.first_chunk::<SPEECH_HEAD>().copied() else { return };
        head[1] = head[1] & 0x80 | payload;
        if hides_mode_request {
            head[SPEECH_HEAD - 1] |= 0xf0; // RFC 4867 §4.3.1: no mode is asked for
        }
        self.counters.copies += to.len() as u64;
        let from = MediaPort { pair, stream: Stream::Speech };
        let tail = bytes.slice(SPEECH_HEAD..);
        self.outgoing.push_back(MediaTransmit::Speech { from, to: Arc::clone(to), head, tail });
    }

    /// The octets of a message of the server.
    pub(super) fn write(&mut self, message: talk_burst::Message) -> Option<Bytes> {
        let packet = talk_burst::Packet { ssrc: self.ssrc, message };
        if self.room.capacity() < MESSAGE_MAX {
            self.room.reserve(ROOM);
        }
        match packet.write_in(&mut self.room) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(%error, "cannot be told");
                None
            }
        }
    }
}

impl Server {
    /// What is to be sent next of speech and talk burst control; drain until `None`, after
    /// [`poll_transmit`](Self::poll_transmit): who is told that the talk burst is free has an answer first.
    pub fn poll_media(&mut self) -> Option<MediaTransmit> {
        self.media.outgoing.pop_front()
    }

    /// What happened to datagrams of media so far.
    pub fn media_counters(&self) -> MediaCounters {
        MediaCounters { unlatched: self.media.legs.unlatched, ..self.media.counters }
    }

    /// A datagram of media.
    pub(super) fn handle_media(&mut self, at: MediaPort, remote: SocketAddr, bytes: &Bytes) {
        match at.stream {
            Stream::Speech => self.be_spoken_to(at, remote, bytes),
            Stream::Control if bytes.len() <= KEEP_ALIVE_MAX => {}
            Stream::Control => self.be_asked(at, remote, bytes),
        }
    }

    /// TBCP, and other RTCP around it.
    fn be_asked(&mut self, at: MediaPort, remote: SocketAddr, bytes: &Bytes) {
        let Ok(packets) = talk_burst::packets(bytes) else {
            self.media.counters.malformed += 1;
            return tracing::debug!(%remote, "dropped: no RTCP");
        };
        let ssrc = source_of(bytes);
        let found = self.media.legs.sender(at, remote).map(|sender| match sender {
            Sender::Known(leg) | Sender::Unproven(leg) => leg,
        });
        let Some(leg) = found.or_else(|| self.media.legs.moved(at, remote, ssrc)) else {
            return self.drop_stranger(remote);
        };
        self.latch(leg, at, remote, ssrc);
        if self.be_acknowledged(leg, bytes) {
            return;
        }
        if let Some(other) = self.other_side_of(leg) {
            return self.relay_control(other, bytes);
        }
        for packet in packets {
            match packet {
                Ok(packet) => {
                    self.media.counters.heard += 1;
                    self.hear_burst_control(leg, packet);
                }
                Err(error) => {
                    self.media.counters.malformed += 1;
                    tracing::debug!(%remote, %error, "dropped");
                }
            }
        }
    }

    /// RTP.
    fn be_spoken_to(&mut self, at: MediaPort, remote: SocketAddr, bytes: &Bytes) {
        let Some(sender) = self.media.legs.sender(at, remote) else {
            return self.drop_stranger(remote);
        };
        let (Sender::Known(leg) | Sender::Unproven(leg)) = sender;
        let Some(agreed) = self.media.legs.get(leg).and_then(|leg| leg.agreed.as_ref()) else { return };
        let packet = match RtpPacket::parse(bytes) {
            Ok(packet) if packet.payload_type() == agreed.payload_here => packet,
            Ok(_) | Err(_) => {
                self.media.counters.malformed += 1;
                return tracing::trace!(%remote, "dropped: no speech as agreed");
            }
        };
        let format = match agreed.encoding {
            Encoding::Amr(format) => Some(format),
            Encoding::Pcmu | Encoding::Pcma | Encoding::Opus | Encoding::Other => None,
        };
        let is_speech = |format| amr::frames(format, packet.payload()).is_ok();
        if packet.payload().is_empty() || !format.is_none_or(is_speech) {
            self.media.counters.malformed += 1;
            return tracing::trace!(%remote, "dropped: no speech as agreed");
        }
        let (ssrc, sequence, timestamp) = (packet.ssrc(), packet.sequence_number(), packet.timestamp());
        // The mode request of a talker concerns the other direction (user-plane digest 10.3).
        let has_mode_request = format.is_some() && packet.payload_offset() == SPEECH_HEAD - 1;
        self.latch(leg, at, remote, ssrc);
        self.forward(leg, Numbers { ssrc, sequence, timestamp }, bytes, has_mode_request);
    }

    fn drop_stranger(&mut self, remote: SocketAddr) {
        self.media.counters.strangers += 1;
        tracing::trace!(%remote, "dropped: of nobody who takes part");
    }

    /// Learns where a leg is, and what it calls itself.
    fn latch(&mut self, leg: usize, at: MediaPort, remote: SocketAddr, ssrc: u32) {
        let is_moved = self.media.legs.latch(leg, at, remote);
        let Some(media) = self.media.legs.get_mut(leg) else { return };
        // User-plane digest 10.7: by it talk burst control proves whose it is, so speech teaches none that is not known from there.
        if at.stream == Stream::Control || media.ssrc == 0 {
            media.ssrc = ssrc;
        }
        let of = media.of;
        if is_moved {
            self.media.counters.latched += 1;
            match of {
                Owner::Participant { place, .. } => self.forget_fans(place),
                Owner::Client(_) | Owner::Beyond(_) => {}
            }
        }
    }
}

/// RFC 3550 §6: the source of the first packet.
fn source_of(rtcp: &[u8]) -> u32 {
    rtcp.get(4..8).and_then(|octets| octets.try_into().ok()).map_or(0, u32::from_be_bytes)
}
