//! SDP for a PoC Session: one line of speech and one of talk burst control, offered and answered (RFC 3264).
//!
//! ```text
//! m=audio 45200 RTP/AVP 97
//! a=rtpmap:97 AMR/8000
//! a=fmtp:97 octet-align=1
//! a=ptime:200
//! a=+g.poc.talkburst
//! m=application 25463 udp TBCP
//! a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0
//! ```
//!
//! [`offer`] writes the first description, [`answer`] reads one and writes the second, [`accept`] reads the second; the
//! two sides then hold the same codec and the same [`TalkBurst`]. An [`SdpError`] is a 488 (Not Acceptable Here).
//!
//! The `sdp-types` crate turns bytes into lines and lines into bytes; all that the lines mean is here. It is kept for
//! the PoC Client; its 3.3 microseconds for a parse and a write may turn out too slow for the PoC Server.

mod codec;
mod described;
mod read;
mod talk_burst;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Session, Time};
use serde::{Deserialize, Serialize};
use sip::message::Body;

pub use codec::Codec;
pub(crate) use described::Described;
pub use talk_burst::TalkBurst;

/// What we can do and where we listen: all that an offer or an answer of ours says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Capabilities {
    /// Where speech, its RTCP and talk burst control are received; unspecified, it would hold the peer.
    pub address: IpAddr,
    /// Port for speech. RTCP is received on the next one, so 65535 is of no use, and with 0 nothing can be agreed.
    pub audio_port: u16,
    /// Port for talk burst control. 0: we have none, and offer none.
    pub control_port: u16,
    /// Codecs, preferred first; at least one.
    pub codecs: Vec<Codec>,
    /// Milliseconds of speech that we like to receive in one packet.
    pub ptime: Option<u16>,
    /// The talk burst control parameters that we support.
    pub talk_burst: TalkBurst,
    /// Whether a session without talk burst control is refused.
    pub control_required: bool,
}

impl Capabilities {
    /// The usual handset: AMR narrow-band, octet-aligned, ten frames a packet; queuing, and priorities up to high.
    pub fn amr(address: IpAddr, audio_port: u16, control_port: u16) -> Self {
        let amr = Codec {
            payload: 97,
            name: "AMR".to_owned(),
            clock: 8000,
            channels: 1,
            parameters: "octet-align=1".to_owned(),
        };
        Self {
            address,
            audio_port,
            control_port,
            codecs: vec![amr],
            ptime: Some(200),
            talk_burst: TalkBurst { queuing: true, tb_priority: 2, ..TalkBurst::default() },
            control_required: true,
        }
    }

    /// The same with G.711 before it and AMR-WB behind it, in packets of 20 ms; and pre-emptive requests in the order of the moments at which the key
    /// was pressed.
    pub fn speech(address: IpAddr, audio_port: u16, control_port: u16) -> Self {
        let usual = Self::amr(address, audio_port, control_port);
        let g711 = [(0, "PCMU"), (8, "PCMA")].map(|(payload, name)| Codec {
            payload,
            name: name.to_owned(),
            clock: 8000,
            channels: 1,
            parameters: String::new(),
        });
        let wide = Codec {
            payload: 98,
            name: "AMR-WB".to_owned(),
            clock: 16_000,
            channels: 1,
            parameters: "octet-align=1".to_owned(),
        };
        Self {
            codecs: g711.into_iter().chain(usual.codecs).chain([wide]).collect(),
            ptime: Some(20),
            talk_burst: TalkBurst { tb_priority: 3, timestamp: true, ..usual.talk_burst },
            ..usual
        }
    }
}

impl Capabilities {
    /// Leaves only the codecs of these names, in this order.
    pub fn prefer<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let mut others = std::mem::take(&mut self.codecs);
        for name in names {
            self.codecs.extend(others.extract_if(.., |codec| codec.name.eq_ignore_ascii_case(name)));
        }
    }

    /// Our payload number of a codec that was agreed.
    pub(crate) fn payload_of(&self, codec: &Codec) -> u8 {
        let is_same =
            |own: &&Codec| (&own.name, own.clock, own.channels) == (&codec.name, codec.clock, codec.channels);
        self.codecs.iter().find(is_same).map_or(codec.payload, |own| own.payload)
    }
}

/// Which way speech may flow, from our point of view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From us only.
    SendOnly,
    /// To us only: the peer holds us.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same, seen from the other end.
    const fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The numbers in our `o=` line. Within a session the identity stays, and each new description raises the version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// Session identity, unique at our address.
    pub id: u64,
    /// Session version.
    pub version: u64,
}

/// What was agreed. The addresses are the peer's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// Where to send speech; unspecified (`0.0.0.0`) if the peer holds us that way, and then nothing is sent.
    pub audio: SocketAddr,
    /// Where to send RTCP reports: one port above speech unless `a=rtcp` says otherwise.
    pub rtcp: SocketAddr,
    /// The codec, in our spelling of its name, with the peer's payload number and the parameters of the answer.
    pub codec: Codec,
    /// Milliseconds of speech to send in one packet: the peer's wish or else ours, never above the peer's maximum.
    pub ptime: Option<u16>,
    /// Which way speech may flow, from our point of view.
    pub direction: Direction,
    /// Where to send talk burst control; `None` if there is none, or if the peer holds us without an address.
    pub control: Option<SocketAddr>,
    /// The talk burst control parameters that both sides have.
    pub talk_burst: TalkBurst,
}

/// Why there is no agreement; each is a 488 (Not Acceptable Here).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SdpError {
    /// Not a session description, or one with too many lines of media.
    Syntax,
    /// No address that we can send to: absent, a host name, multicast, or not of our family.
    Address,
    /// No line of speech, or only refused ones.
    NoAudio,
    /// No codec in common.
    NoCodec,
    /// No talk burst control, which we require.
    NoControl,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "unreadable session description",
            Self::Address => "no usable media address",
            Self::NoAudio => "no speech stream",
            Self::NoCodec => "no common codec",
            Self::NoControl => "no talk burst control",
        })
    }
}

impl std::error::Error for SdpError {}

/// The offer of all our capabilities.
pub fn offer(capabilities: &Capabilities, origin: Origin) -> Bytes {
    offer_for(capabilities, origin, Direction::SendRecv)
}

/// The same with speech one way, or neither.
pub fn offer_for(capabilities: &Capabilities, origin: Origin, direction: Direction) -> Bytes {
    let mut session = describe(capabilities, origin);
    session.add_time(Time::new(0, 0));
    session.add_media(speech(capabilities, "RTP/AVP", &capabilities.codecs, direction));
    if capabilities.control_port != 0 {
        session.add_media(control(capabilities, "udp", capabilities.talk_burst));
    }
    write(&session)
}

/// The answer to `offer`, and what the two then agree on.
///
/// # Errors
///
/// Says which half of the agreement is missing; the offer is then refused as a whole.
pub fn answer(capabilities: &Capabilities, origin: Origin, offer: &[u8]) -> Result<(Bytes, Media), SdpError> {
    let offered = read::parse(offer)?;
    let read::Agreement { audio, control: control_line, codec, mut media } =
        read::agree(capabilities, &offered)?;
    media.codec.parameters = codec.answered(&media.codec.parameters);

    let mut session = describe(capabilities, origin);
    // RFC 3264 §6: the t= line equals that of the offer.
    session.add_times(offered.times.iter().map(|time| Time::new(time.start_time, time.stop_time)));
    // RFC 3264 §6: as many m= lines as in the offer and in its order, refused with port 0.
    session.add_medias(offered.medias.iter().enumerate().map(|(index, line)| {
        if index == audio {
            speech(capabilities, &line.proto, std::slice::from_ref(&media.codec), media.direction)
        } else if Some(index) == control_line {
            control(capabilities, &line.proto, media.talk_burst)
        } else {
            media_line(&line.media, 0, &line.proto, line.fmt.clone())
        }
    }));
    Ok((write(&session), media))
}

/// What the answer to our own offer makes of it. `capabilities` are those that were offered.
///
/// # Errors
///
/// Says which half of the agreement is missing.
pub fn accept(capabilities: &Capabilities, answer: &[u8]) -> Result<Media, SdpError> {
    Ok(read::agree(capabilities, &read::parse(answer)?)?.media)
}

/// The codecs of an offer, in the order of its preference, as they stand in its first line of speech: what a server offers
/// to others that relays speech and never transcodes.
///
/// # Errors
///
/// There is no line of speech, or none of its formats says what it is.
pub fn codecs(offer: &[u8]) -> Result<Vec<Codec>, SdpError> {
    read::codecs(&read::parse(offer)?)
}

/// What a description is as a body (RFC 8866 §8.1).
pub(crate) const CONTENT_TYPE: &[u8] = b"application/sdp";

/// A description as the body of a message.
pub(crate) fn body(description: Bytes) -> Body {
    Body { content_type: Bytes::from_static(CONTENT_TYPE), bytes: description }
}

fn describe(capabilities: &Capabilities, origin: Origin) -> Session {
    let origin = sdp_types::Origin::with_ip_addr(origin.id, origin.version, capabilities.address);
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(capabilities.address));
    session
}

fn speech(
    capabilities: &Capabilities,
    proto: &str,
    codecs: &[Codec],
    direction: Direction,
) -> sdp_types::Media {
    let formats = codecs.iter().map(|codec| codec.payload.to_string()).collect::<Vec<_>>().join(" ");
    let mut line = media_line("audio", capabilities.audio_port, proto, formats);
    line.add_attributes(codecs.iter().flat_map(Codec::attributes));
    // RFC 3264 §5.1: greater than zero.
    if let Some(ptime) = capabilities.ptime.filter(|&ptime| ptime != 0) {
        line.add_attribute_with_value("ptime", ptime);
    }
    line.add_attribute_from_str("+g.poc.talkburst");
    if direction != Direction::SendRecv {
        line.add_attribute_from_str(direction);
    }
    line
}

fn control(capabilities: &Capabilities, proto: &str, talk_burst: TalkBurst) -> sdp_types::Media {
    let mut line = media_line("application", capabilities.control_port, proto, "TBCP".to_owned());
    line.add_attribute(Attribute::with_value("fmtp", format_args!("TBCP {talk_burst}")));
    line
}

fn media_line(media: &str, port: u16, proto: &str, fmt: String) -> sdp_types::Media {
    sdp_types::Media {
        media: media.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

fn write(session: &Session) -> Bytes {
    let mut text = Vec::with_capacity(512);
    session.write(&mut text).expect("a vector takes every write");
    text.into()
}

#[cfg(test)]
mod tests;
