//! Who speaks, and who hears it: user-plane digest 5.3 and 6.6.
//!
//! In the order in which a server sends:
//!
//! | it sends | only if |
//! |---|---|
//! | speech to somebody | it told that one last that this talker speaks; when the speech came the talker was told last that it may |
//! | Talk Burst Taken | at the end of that instant its talker may speak, unless speech is kept for who comes late (10.6) |
//!
//! So a new talker is heard only after the talk burst of the former has ended there: at most one speaks.
//!
//! A client sends speech only after a grant has reached it and before its Release. Once a session is over for its user,
//! its client sends nothing of its talk bursts and tells nothing of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poc::Event;
use poc::media::Stream;
use poc::talk_burst::{self, Message, Revoke};
use sip::SessionId;
use sip::transport::Transmit;

use crate::system::element::media_port_of;

/// What is known of the talk bursts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talking {
    legs: BTreeMap<Leg, Said>,
    /// Whose a synchronization source is, as each server has heard.
    sources: BTreeMap<(IpAddr, u32), Leg>,
    /// Speech that came from who might speak: server, source, number.
    admitted: BTreeSet<(IpAddr, u32, u16)>,
    /// Servers keep speech for who comes late.
    is_kept: bool,
    /// Who was told in this instant that somebody speaks.
    shown: BTreeSet<Leg>,
    /// Legs whose client has a grant and has not released it.
    granted: BTreeSet<Leg>,
    /// The session in which a user acts in this instant.
    acting: Option<SessionId>,
    /// The session of a source, by client.
    sessions: BTreeMap<(usize, u32), SessionId>,
    over: BTreeSet<(usize, SessionId)>,
    met: BTreeMap<&'static str, u64>,
}

/// A participant at a server: its client, and which ports of the server it uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Leg {
    server: IpAddr,
    pair: u16,
    client: IpAddr,
}

/// What a server has told a participant last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    /// Nobody speaks.
    Idle,
    /// Who speaks; 0: it is not known yet.
    Taken(u32),
    /// The participant may speak.
    Granted,
    /// It must stop, and is heard until it has, for a while.
    Revoked,
}

impl Talking {
    /// `is_kept`: servers keep speech for who comes late.
    pub(super) fn new(is_kept: bool) -> Self {
        Self { is_kept, ..Self::default() }
    }

    /// The session is over for the user of `place`.
    pub(super) fn is_over(&mut self, place: usize, session: SessionId) {
        self.over.insert((place, session));
    }

    /// A user does something to the talk bursts of a session: what its client sends in this instant is of that session.
    pub(crate) fn acts(&mut self, session: SessionId) {
        self.acting = Some(session);
    }

    /// The client of `place` is another one.
    pub(super) fn restarted(&mut self, place: usize) {
        self.over.retain(|(whom, _)| *whom != place);
        self.sessions.retain(|(whom, _), _| *whom != place);
    }

    pub(super) fn client_sent(&mut self, place: usize, transmit: &Transmit) {
        let at = media_port_of(transmit.path.remote.port()).expect("a port of a server");
        let (server, client) = (transmit.path.remote.ip(), transmit.path.local.ip());
        let leg = Leg { server, pair: at.pair, client };
        let Some(source) = source_of(at.stream, &transmit.bytes) else { return };
        if let Some(session) = self.acting {
            self.sessions.insert((place, source), session);
        }
        let is_over = self.sessions.get(&(place, source)).is_some_and(|of| self.over.contains(&(place, *of)));
        assert!(!is_over, "c42: {leg:?} sends, and its session is over");
        match at.stream {
            Stream::Speech => {
                assert!(self.granted.contains(&leg), "user-plane digest 5.3: {leg:?} speaks and may not");
            }
            Stream::Control => {
                for message in messages(&transmit.bytes) {
                    if let Message::Release { .. } = message {
                        self.granted.remove(&leg);
                    }
                }
            }
        }
    }

    pub(super) fn client_received(&mut self, datagram: &Transmit) {
        let at = media_port_of(datagram.path.local.port()).expect("a port of a server");
        let (server, client) = (datagram.path.local.ip(), datagram.path.remote.ip());
        let is_grant = |message: &Message| matches!(message, Message::Granted { .. });
        if at.stream == Stream::Control && messages(&datagram.bytes).iter().any(is_grant) {
            self.granted.insert(Leg { server, pair: at.pair, client });
        }
    }

    pub(super) fn server_received(&mut self, datagram: &Transmit) {
        let at = media_port_of(datagram.path.remote.port()).expect("a port of a server");
        let (server, client) = (datagram.path.remote.ip(), datagram.path.local.ip());
        if let Some(source) = source_of(at.stream, &datagram.bytes) {
            self.sources.insert((server, source), Leg { server, pair: at.pair, client });
            if at.stream == Stream::Speech && self.may_be_heard(server, source) {
                self.admitted.insert((server, source, number_of(&datagram.bytes)));
            }
        }
    }

    pub(super) fn server_sent(&mut self, transmit: &Transmit) {
        let at = media_port_of(transmit.path.local.port()).expect("a port of a server");
        let leg = Leg { server: transmit.path.local.ip(), pair: at.pair, client: transmit.path.remote.ip() };
        match at.stream {
            Stream::Speech => {
                let source = source_of(at.stream, &transmit.bytes).expect("speech");
                self.assert_alone(leg, source, number_of(&transmit.bytes));
            }
            Stream::Control => {
                for message in messages(&transmit.bytes) {
                    self.told_by_server(leg, &message);
                }
            }
        }
    }

    /// User-plane digest 6.6: only what the holder says is heard, and everybody has been told who that is.
    fn assert_alone(&mut self, leg: Leg, source: u32, number: u16) {
        let said = self.legs.get_mut(&leg);
        let Some(Said::Taken(told)) = said else { panic!("6.6: {leg:?} hears {source:#x} after {said:?}") };
        assert!([0, source].contains(told), "6.6: {leg:?} hears {source:#x} while {told:#x} speaks");
        *told = source;
        let talker = self.sources.get(&(leg.server, source)).expect("its speech came");
        assert_ne!(*talker, leg, "6.6: nobody hears itself");
        let is_admitted = self.admitted.contains(&(leg.server, source, number));
        assert!(is_admitted, "6.6: {talker:?} is heard, and might not speak");
        self.meet("speech that was passed on");
    }

    fn may_be_heard(&self, server: IpAddr, source: u32) -> bool {
        let said = self.sources.get(&(server, source)).and_then(|talker| self.legs.get(talker));
        matches!(said, Some(Said::Granted | Said::Revoked))
    }

    fn told_by_server(&mut self, leg: Leg, message: &Message) {
        let before = self.legs.get(&leg).copied();
        let said = match message {
            Message::Idle => Said::Idle,
            Message::Taken(taken) => {
                self.shown.insert(leg);
                self.meet("told who speaks");
                Said::Taken(taken.ssrc)
            }
            Message::Granted { .. } => {
                self.meet("granted");
                Said::Granted
            }
            Message::Revoke(revoke) => {
                self.meet(match revoke {
                    Revoke::PreEmpted => "pre-empted",
                    Revoke::TooLong { .. } => "spoke too long",
                    Revoke::OnlyOne | Revoke::NotPermitted | Revoke::Unknown { .. } => "revoked otherwise",
                });
                match before {
                    Some(Said::Granted | Said::Revoked) => Said::Revoked,
                    // u12: it may not speak anyway.
                    Some(Said::Idle | Said::Taken(_)) | None => return,
                }
            }
            Message::Deny { .. } => return self.meet("denied"),
            Message::QueueStatus { .. } => return self.meet("queued"),
            Message::Connect(_) | Message::Disconnect => return,
            Message::Request { .. }
            | Message::Release { .. }
            | Message::Acknowledgement(_)
            | Message::QueueStatusRequest => panic!("c41: a server says {message}"),
        };
        self.legs.insert(leg, said);
    }

    /// Nothing more happens in this instant.
    pub(super) fn settled(&mut self) {
        self.acting = None;
        for leg in std::mem::take(&mut self.shown) {
            let Some(Said::Taken(source @ 1..)) = self.legs.get(&leg).copied() else { continue };
            let may_speak = self.is_kept || self.may_be_heard(leg.server, source);
            assert!(may_speak, "6.6: {leg:?} is told of {source:#x}, who may not speak");
        }
    }

    /// `place` told its user this.
    pub(super) fn told(&mut self, place: usize, event: &Event) {
        match event {
            Event::Heard { session, .. } | Event::TalkBurst { session, .. } => {
                let is_over = self.over.contains(&(place, *session));
                assert!(!is_over, "c42: the session is over, and its user is told {event:?}");
                if matches!(event, Event::Heard { .. }) {
                    self.meet("speech that was heard");
                }
            }
            Event::Ended { session, .. } => self.is_over(place, *session),
            Event::Progress { .. }
            | Event::Established { .. }
            | Event::Invited { .. }
            | Event::Modified { .. }
            | Event::ModificationEnded { .. }
            | Event::MemberProgress { .. }
            | Event::MemberChanged { .. }
            | Event::Participants { .. }
            | Event::WatchEnded { .. }
            | Event::Alerted { .. }
            | Event::AlertAnswered { .. }
            | Event::PreEstablished
            | Event::PreEstablishedEnded { .. }
            | Event::Locate { .. }
            | Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. }
            | Event::Disconnect { .. } => {}
        }
    }

    /// All of it but what is only counted, as a text that differs if that does.
    pub(crate) fn view(&self) -> String {
        let whose = (&self.legs, &self.sources, &self.sessions, &self.over);
        format!("{:#?}", (whose, &self.admitted, &self.shown, &self.granted, self.acting))
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// Adds what chance met.
    pub(super) fn count(&self, met: &mut BTreeMap<String, u64>) {
        for (what, times) in &self.met {
            *met.entry(format!("talk burst: {what}")).or_default() += times;
        }
    }
}

fn messages(bytes: &bytes::Bytes) -> Vec<Message> {
    let packets = talk_burst::packets(bytes).into_iter().flatten();
    packets.flatten().map(|packet| packet.message).collect()
}

/// The sequence number of a packet of speech.
fn number_of(rtp: &[u8]) -> u16 {
    u16::from_be_bytes([rtp[2], rtp[3]])
}

/// The synchronization source of a datagram; `None` if it only keeps ports open.
fn source_of(stream: Stream, bytes: &[u8]) -> Option<u32> {
    let at = match stream {
        Stream::Speech => 8,
        Stream::Control => 4,
    };
    let octets = bytes.get(at..at + 4)?;
    octets.try_into().ok().map(u32::from_be_bytes)
}
