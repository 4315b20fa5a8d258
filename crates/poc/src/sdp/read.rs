//! The peer's description, read against our capabilities. Offers and answers are read alike.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{AddrType, Attribute, Connection, NetType, Session};

use super::codec::Format;
use super::{Capabilities, Codec, Direction, Media, SdpError, TalkBurst};

/// More lines of media than anybody needs; each costs a line in the answer.
const MEDIA_LINES_MAX: usize = 64;

/// The lines that are taken, and what they amount to.
pub(super) struct Agreement<'a> {
    /// The index of the line of speech.
    pub(super) audio: usize,
    /// The index of the line of talk burst control.
    pub(super) control: Option<usize>,
    /// The codec, as in our capabilities.
    pub(super) codec: &'a Codec,
    /// The rest; the codec's parameters are still the peer's.
    pub(super) media: Media,
}

pub(super) fn parse(text: &[u8]) -> Result<Session, SdpError> {
    let session = Session::parse(text).map_err(|_| SdpError::Syntax)?;
    if session.medias.len() > MEDIA_LINES_MAX { Err(SdpError::Syntax) } else { Ok(session) }
}

/// Takes the first usable line of speech and the first of talk burst control.
pub(super) fn agree<'a>(capabilities: &'a Capabilities, peer: &Session) -> Result<Agreement<'a>, SdpError> {
    let (index, line, speech) = speech(capabilities, peer)?;
    let control = control(capabilities, peer);
    if control.is_none() && capabilities.control_required {
        return Err(SdpError::NoControl);
    }
    // RFC 3264 §8.4: with the address 0.0.0.0 nothing is sent to the peer, talk burst control included.
    let control_address = match control {
        Some((_, line)) => Some(address(capabilities, peer, line)?).filter(|ip| !ip.is_unspecified()),
        None => None,
    };
    let direction = if speech.ip.is_unspecified() { Direction::Inactive } else { direction(peer, line) };
    Ok(Agreement {
        audio: index,
        control: control.map(|(index, _)| index),
        codec: speech.codec,
        media: Media {
            audio: SocketAddr::new(speech.ip, line.port),
            rtcp: speech.rtcp,
            codec: Codec {
                payload: speech.format.payload,
                parameters: speech.format.parameters.to_owned(),
                ..speech.codec.clone()
            },
            ptime: ptime(capabilities, line),
            direction,
            control: control.zip(control_address).map(|((_, line), ip)| SocketAddr::new(ip, line.port)),
            talk_burst: control.map_or_else(TalkBurst::default, |(_, line)| {
                let parameters = about(line, "fmtp", "TBCP").unwrap_or_default();
                capabilities.talk_burst.agreed_with(TalkBurst::parse(parameters))
            }),
        },
    })
}

/// The codecs of the first line of speech that is not refused.
pub(super) fn codecs(peer: &Session) -> Result<Vec<Codec>, SdpError> {
    let line = peer.medias.iter().find(|line| is_speech(line)).ok_or(SdpError::NoAudio)?;
    let codecs: Vec<_> = formats(line).map(|format| format.codec()).collect();
    if codecs.is_empty() { Err(SdpError::NoCodec) } else { Ok(codecs) }
}

/// RFC 3264 §5.1: a stream with port 0 must not be used.
fn is_speech(line: &sdp_types::Media) -> bool {
    line.media.eq_ignore_ascii_case("audio") && line.proto.eq_ignore_ascii_case("RTP/AVP") && line.port != 0
}

struct Speech<'a, 'b> {
    codec: &'a Codec,
    format: Format<'b>,
    ip: IpAddr,
    rtcp: SocketAddr,
}

/// The first line of speech that is usable; if there is none, what is wrong with the first.
fn speech<'a, 'b>(
    capabilities: &'a Capabilities,
    peer: &'b Session,
) -> Result<(usize, &'b sdp_types::Media, Speech<'a, 'b>), SdpError> {
    let mut fault = None;
    for (index, line) in peer.medias.iter().enumerate() {
        if !is_speech(line) || capabilities.audio_port == 0 {
            continue;
        }
        match try_speech(capabilities, peer, line) {
            Ok(speech) => return Ok((index, line, speech)),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    Err(fault.unwrap_or(SdpError::NoAudio))
}

fn try_speech<'a, 'b>(
    capabilities: &'a Capabilities,
    peer: &Session,
    line: &'b sdp_types::Media,
) -> Result<Speech<'a, 'b>, SdpError> {
    let (codec, format) = codec(capabilities, line).ok_or(SdpError::NoCodec)?;
    let ip = address(capabilities, peer, line)?;
    let rtcp = rtcp(capabilities, ip, line).ok_or(SdpError::Address)?;
    Ok(Speech { codec, format, ip, rtcp })
}

/// RFC 3264 §5.1: the peer lists its formats in order of preference; the first that we have is taken.
fn codec<'a, 'b>(
    capabilities: &'a Capabilities,
    line: &'b sdp_types::Media,
) -> Option<(&'a Codec, Format<'b>)> {
    formats(line).find_map(|format| {
        let codec = capabilities.codecs.iter().find(|codec| codec.is(&format))?;
        Some((codec, format))
    })
}

/// The formats of a line that say which codec they are.
fn formats<'b>(line: &'b sdp_types::Media) -> impl Iterator<Item = Format<'b>> {
    // A format repeated is looked up once, so that a long list costs no more than it has attributes.
    let mut seen = 0_u128;
    line.fmt.split_ascii_whitespace().filter_map(move |written| {
        let payload = written.parse().ok().filter(|&payload: &u8| payload < 128)?;
        if seen & (1 << payload) != 0 {
            return None;
        }
        seen |= 1 << payload;
        let rtpmap = about(line, "rtpmap", written);
        Format::new(payload, rtpmap, about(line, "fmtp", written).unwrap_or_default())
    })
}

fn control<'b>(capabilities: &Capabilities, peer: &'b Session) -> Option<(usize, &'b sdp_types::Media)> {
    peer.medias.iter().enumerate().find(|(_, line)| {
        let is_control = line.media.eq_ignore_ascii_case("application")
            && line.proto.eq_ignore_ascii_case("udp")
            && line.fmt.split_ascii_whitespace().any(|format| format.eq_ignore_ascii_case("TBCP"));
        is_control && line.port != 0 && capabilities.control_port != 0
    })
}

/// RFC 8866 §5.7: `c=` of the line, or else of the session.
fn address(capabilities: &Capabilities, peer: &Session, line: &sdp_types::Media) -> Result<IpAddr, SdpError> {
    let connection = line.connections.first().or(peer.connection.as_ref()).ok_or(SdpError::Address)?;
    usable(capabilities, connection).ok_or(SdpError::Address)
}

/// An address that we can send to, or the unspecified one.
fn usable(capabilities: &Capabilities, connection: &Connection) -> Option<IpAddr> {
    let ip = connection.try_address().ok()?.ip;
    let is_of_its_type = match connection.addrtype {
        AddrType::Ip4 => ip.is_ipv4(),
        AddrType::Ip6 => ip.is_ipv6(),
        AddrType::Other(_) => false,
    };
    let is_many = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    let is_ours = ip.is_unspecified() || ip.is_ipv4() == capabilities.address.is_ipv4();
    (connection.nettype == NetType::In && is_of_its_type && !is_many && is_ours).then_some(ip)
}

/// RFC 3264 §5.1: the port one higher, unless there is an explicit indication otherwise (RFC 3605).
fn rtcp(capabilities: &Capabilities, ip: IpAddr, line: &sdp_types::Media) -> Option<SocketAddr> {
    explicit_rtcp(capabilities, ip, line).or_else(|| Some(SocketAddr::new(ip, line.port.checked_add(1)?)))
}

fn explicit_rtcp(capabilities: &Capabilities, ip: IpAddr, line: &sdp_types::Media) -> Option<SocketAddr> {
    let rtcp = line.get_first_attribute_typed::<sdp_types::Rtcp>()?.ok().filter(|rtcp| rtcp.port != 0)?;
    let ip = match (rtcp.nettype, rtcp.addrtype, rtcp.connection_address) {
        (Some(nettype), Some(addrtype), Some(connection_address)) => {
            usable(capabilities, &Connection { nettype, addrtype, connection_address })?
        }
        _ => ip,
    };
    Some(SocketAddr::new(ip, rtcp.port))
}

/// RFC 3264 §6.1: sent with the interval that the peer asks for. RFC 4867 §8.3.1: `maxptime` is handled likewise.
fn ptime(capabilities: &Capabilities, line: &sdp_types::Media) -> Option<u16> {
    let milliseconds = |name| -> Option<u16> {
        let value = line.get_first_attribute_value(name)??;
        value.trim().parse().ok().filter(|&value| value != 0)
    };
    let wish = milliseconds("ptime").or(capabilities.ptime)?;
    Some(wish.min(milliseconds("maxptime").unwrap_or(u16::MAX)))
}

/// Our side of the peer's direction. RFC 3264 §5.1, §6.1: of the line, or else of the session, or else sendrecv.
fn direction(peer: &Session, line: &sdp_types::Media) -> Direction {
    let named = |attribute: &Attribute| {
        Direction::ALL
            .into_iter()
            .find(|direction| attribute.attribute.eq_ignore_ascii_case(direction.as_str()))
    };
    let written = line.attributes.iter().find_map(named).or_else(|| peer.attributes.iter().find_map(named));
    written.unwrap_or(Direction::SendRecv).reversed()
}

/// What attribute `name` says about `format`: the rest of its value.
fn about<'b>(line: &'b sdp_types::Media, name: &str, format: &str) -> Option<&'b str> {
    let named = line.attributes.iter().filter(|attribute| attribute.attribute.eq_ignore_ascii_case(name));
    named
        .filter_map(|attribute| attribute.value.as_deref()?.trim().split_once(' '))
        .find_map(|(about, rest)| about.eq_ignore_ascii_case(format).then(|| rest.trim()))
}
