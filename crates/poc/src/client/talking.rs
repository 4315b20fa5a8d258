//! Talk bursts and speech in the sessions of a client: one machine a session, and RTP both ways.
//!
//! What comes is heard only from where the session's description says that it is sent (user-plane digest 10.1). It may be
//! here before the answer that names it: then it waits, for a moment.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use rtp_types::{RtpPacket, RtpPacketBuilder};
use serde::{Deserialize, Serialize};
use sip::{Duration, Instant, Misuse, SessionId};

use super::session::State;
use super::{Client, Event};
use crate::media::{KEEP_ALIVE_MAX, Stream};
use crate::sdp::{Direction, Media};
use crate::talk_burst::client::{Hear, Machine, Output, Start};
use crate::talk_burst::{self, NtpTimestamp, Packet, Priority};

/// How long media wait for the answer that says whose they are (user-plane digest 9), and how many datagrams.
const EARLY_FOR: Duration = Duration::from_secs(2);
const EARLY_MAX: usize = 64;

/// User-plane digest 10.7.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);

/// A datagram that is to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaTransmit {
    /// From which of the two ports of [`Config::capabilities`](super::Config::capabilities).
    pub from: Stream,
    /// Where to.
    pub to: SocketAddr,
    /// Its octets.
    pub bytes: Bytes,
}

/// A packet of speech.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Speech {
    /// Who speaks: its synchronization source.
    pub ssrc: u32,
    /// Its place among the packets of this speaker.
    pub sequence: u16,
    /// When it was spoken, in samples.
    pub timestamp: u32,
    /// Whether it begins a talk burst.
    pub is_first: bool,
    /// The speech, coded.
    pub payload: Bytes,
}

/// What a session says and hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Talk {
    machine: Machine,
    media: Box<Media>,
    ssrc: u32,
    sequence: u16,
    /// Of the next packet of the talk burst; `None`: the next one begins a talk burst.
    timestamp: Option<u32>,
    begun: Instant,
    keep_alive_at: Instant,
}

impl Talk {
    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.machine.poll_timeout().into_iter().chain([self.keep_alive_at]).min()
    }

    /// What it calls itself.
    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    fn is_from(&self, stream: Stream, remote: SocketAddr) -> bool {
        match stream {
            Stream::Speech => self.media.audio == remote,
            Stream::Control => self.media.control == Some(remote),
        }
    }

    /// A keep-alive on each port: an empty report, which also says who is here, and a datagram without octets.
    fn keep_alive(&mut self, now: Instant, outgoing: &mut VecDeque<MediaTransmit>) {
        self.keep_alive_at = now + KEEP_ALIVE_EVERY;
        if let Some(to) = self.media.control {
            let mut report = [0x80, 201, 0, 1, 0, 0, 0, 0]; // RFC 3550 §6.4.2: without reports
            report[4..].copy_from_slice(&self.ssrc.to_be_bytes());
            let bytes = Bytes::copy_from_slice(&report);
            outgoing.push_back(MediaTransmit { from: Stream::Control, to, bytes });
        }
        if !self.media.audio.ip().is_unspecified() {
            outgoing.push_back(MediaTransmit {
                from: Stream::Speech,
                to: self.media.audio,
                bytes: Bytes::new(),
            });
        }
    }

    /// RTP of what is said (user-plane digest 10.1): the timestamp goes on with the time between talk bursts.
    fn speak(&mut self, now: Instant, payload: &Bytes, samples: u32) -> Option<Bytes> {
        let elapsed = now.saturating_since(self.begun).as_micros();
        let clock = u128::from(self.media.codec.clock);
        let at_once = (elapsed * clock / 1_000_000) as u32;
        let timestamp = self.timestamp.unwrap_or(at_once);
        let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .marker_bit(self.timestamp.is_none())
            .payload_type(self.media.codec.payload)
            .sequence_number(self.sequence)
            .timestamp(timestamp)
            .ssrc(self.ssrc)
            .payload(&payload[..])
            .write_vec()
            .ok()?;
        self.machine.sent(self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = Some(timestamp.wrapping_add(samples));
        Some(Bytes::from(packet))
    }
}

/// Media that have come before it is known whose they are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Early(VecDeque<(Instant, Stream, SocketAddr, Bytes)>);

impl Client {
    /// What is to be sent next of speech and talk burst control; drain until `None`.
    pub fn poll_media(&mut self) -> Option<MediaTransmit> {
        self.outgoing_media.pop_front()
    }

    /// Whether speech would be sent now in this session.
    pub fn may_talk(&self, session: SessionId) -> bool {
        self.sessions
            .get(&session)
            .and_then(|session| session.talk.as_ref())
            .is_some_and(|talk| talk.machine.may_talk())
    }

    /// The session stands: its talk bursts begin. `asks`: its INVITE was a request for the first one.
    pub(super) fn begin_talk(&mut self, id: SessionId, media: Box<Media>, asks: bool) {
        let (now, timers) = (self.now, self.config.talk_bursts);
        let ssrc = self.chance.below(u32::MAX).max(1);
        let sequence = u16::try_from(self.chance.below(0x8000)).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if media.control.is_none() {
            return;
        }
        let mut machine = Machine::new(timers, ssrc, media.talk_burst);
        machine.begin(
            now,
            match (asks, media.talk_burst.tb_granted) {
                (true, true) => Start::Granted,
                (true, false) => Start::ImplicitRequest,
                (false, _) => Start::Listening,
            },
        );
        let mut talk =
            Talk { machine, media, ssrc, sequence, timestamp: None, begun: now, keep_alive_at: now };
        talk.keep_alive(now, &mut self.outgoing_media);
        session.talk = Some(Box::new(talk));
        self.settle_talk(id);
        for (at, stream, remote, bytes) in std::mem::take(&mut self.early.0) {
            if now.saturating_since(at) <= EARLY_FOR {
                self.hear(stream, remote, &bytes);
            }
        }
    }

    /// The session has other media now.
    pub(super) fn move_talk(&mut self, id: SessionId, media: &Media) {
        if let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) {
            *talk.media = media.clone();
        }
    }

    /// Nothing is said or heard any more (c42).
    pub(super) fn end_talk(&mut self, id: SessionId) {
        if let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) {
            talk.machine.release();
            self.settle_talk(id);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.talk = None;
        }
    }

    /// What a command does to the talk burst machine of a session.
    pub(super) fn with_talk(
        &mut self,
        id: SessionId,
        does: impl FnOnce(&mut Machine, Instant),
    ) -> Result<(), Misuse> {
        let now = self.now;
        let session = self.sessions.get_mut(&id).ok_or(Misuse::NoSession)?;
        let talk = session.talk.as_mut().ok_or(Misuse::NotEstablished)?;
        does(&mut talk.machine, now);
        self.settle_talk(id);
        Ok(())
    }

    pub(super) fn press(
        &mut self,
        id: SessionId,
        priority: Priority,
        timestamp: Option<NtpTimestamp>,
    ) -> Result<(), Misuse> {
        self.with_talk(id, |machine, now| machine.press(now, priority, timestamp))
    }

    /// Speech, if it may be sent; else nothing is.
    pub(super) fn speak(&mut self, id: SessionId, payload: &Bytes, samples: u32) -> Result<(), Misuse> {
        let now = self.now;
        let session = self.sessions.get_mut(&id).ok_or(Misuse::NoSession)?;
        let talk = session.talk.as_mut().ok_or(Misuse::NotEstablished)?;
        let may_send = match talk.media.direction {
            Direction::SendRecv | Direction::SendOnly => talk.machine.may_talk(),
            Direction::RecvOnly | Direction::Inactive => false,
        };
        if !may_send {
            return Err(Misuse::TooLate);
        }
        let to = talk.media.audio;
        if let Some(bytes) = talk.speak(now, payload, samples) {
            self.outgoing_media.push_back(MediaTransmit { from: Stream::Speech, to, bytes });
        }
        Ok(())
    }

    /// A datagram of media.
    pub(super) fn hear(&mut self, stream: Stream, remote: SocketAddr, bytes: &Bytes) {
        if stream == Stream::Control {
            self.hear_connections(remote, bytes);
        }
        let is_of = |talk: &Talk| talk.is_from(stream, remote);
        let found = self.sessions.iter().find(|(_, session)| session.talk.as_deref().is_some_and(is_of));
        let Some(id) = found.map(|(id, _)| *id) else {
            return self.keep_early(stream, remote, bytes);
        };
        match stream {
            Stream::Control if bytes.len() <= KEEP_ALIVE_MAX => {}
            Stream::Control => self.hear_control(id, bytes),
            Stream::Speech => self.hear_speech(id, bytes),
        }
    }

    fn hear_control(&mut self, id: SessionId, bytes: &Bytes) {
        let now = self.now;
        let Ok(packets) = talk_burst::packets(bytes) else { return tracing::debug!("dropped: no RTCP") };
        let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) else { return };
        for packet in packets {
            match packet {
                Ok(packet) => talk.machine.handle_message(now, &packet.message),
                Err(error) => tracing::debug!(%error, "dropped"),
            }
        }
        self.settle_talk(id);
    }

    fn hear_speech(&mut self, id: SessionId, bytes: &Bytes) {
        let now = self.now;
        let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) else { return };
        let Ok(packet) = RtpPacket::parse(bytes) else { return };
        let codec = &talk.media.codec;
        // Whoever offered has a number of its own.
        let numbers = [codec.payload, self.config.capabilities.payload_of(codec)];
        if !numbers.contains(&packet.payload_type()) || packet.payload().is_empty() {
            return;
        }
        let speech = Speech {
            ssrc: packet.ssrc(),
            sequence: packet.sequence_number(),
            timestamp: packet.timestamp(),
            is_first: packet.marker_bit(),
            payload: bytes.slice_ref(packet.payload()),
        };
        let hear = talk.machine.handle_speech(now, speech.ssrc);
        self.settle_talk(id);
        match hear {
            Hear::Play => self.events.push_back(Event::Heard { session: id, speech }),
            Hear::Drop => {}
        }
    }

    /// Whose it is may be known soon: only while a session is being set up.
    fn keep_early(&mut self, stream: Stream, remote: SocketAddr, bytes: &Bytes) {
        let is_set_up = |state: &State| match state {
            State::Inviting | State::Alerting { .. } | State::Accepted { .. } => true,
            State::Established | State::Leaving => false,
        };
        if self.sessions.values().any(|session| is_set_up(&session.state)) && self.early.0.len() < EARLY_MAX {
            self.early.0.push_back((self.now, stream, remote, bytes.clone()));
        }
    }

    pub(super) fn handle_talk_timeout(&mut self) {
        let now = self.now;
        let is_due = |talk: &Talk| talk.deadline().is_some_and(|at| at <= now);
        let due: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.talk.as_deref().is_some_and(is_due))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) else {
                continue;
            };
            talk.machine.handle_timeout(now);
            if talk.keep_alive_at <= now {
                talk.keep_alive(now, &mut self.outgoing_media);
            }
            self.settle_talk(id);
        }
    }

    /// Sends and tells what the machine of a session has come to.
    fn settle_talk(&mut self, id: SessionId) {
        let Some(talk) = self.sessions.get_mut(&id).and_then(|session| session.talk.as_mut()) else { return };
        while let Some(output) = talk.machine.poll_output() {
            match output {
                Output::Send(message) => {
                    let (Some(to), Ok(bytes)) =
                        (talk.media.control, Packet { ssrc: talk.ssrc, message }.write())
                    else {
                        continue;
                    };
                    self.outgoing_media.push_back(MediaTransmit { from: Stream::Control, to, bytes });
                }
                Output::Told(told) => self.events.push_back(Event::TalkBurst { session: id, told }),
            }
        }
        if !talk.machine.may_talk() {
            talk.timestamp = None;
        }
    }
}
