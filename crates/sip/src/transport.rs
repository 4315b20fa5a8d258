//! Where messages come from and go to, and how a stream is cut into messages. No sockets.

use std::fmt;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::message::{LENGTH_MAX, Message, Name};

/// What carries a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the transports' own names")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
    /// Another element of this process: reliable and in order, without connection and framing. An endpoint that listens
    /// inside sends everything inside.
    Inside,
}

impl Transport {
    /// Whether it delivers in order and without loss, as long as the connection lives if it has one.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether messages go over a connection.
    pub const fn has_connections(self) -> bool {
        match self {
            Self::Tcp | Self::Tls | Self::Ws | Self::Wss => true,
            Self::Udp | Self::Inside => false,
        }
    }

    /// The token that stands in a Via. Nobody outside of the process sees the one of [`Transport::Inside`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp | Self::Inside => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The parameter with which a URI names it, with its semicolon (RFC 3261 §19.1.1): none for what is meant without.
    pub const fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp | Self::Inside => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws => ";transport=ws",
            Self::Wss => ";transport=wss",
        }
    }

    /// The port of a URI that names none (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp | Self::Ws | Self::Wss | Self::Inside => 5060,
            Self::Tls => 5061,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A connection, numbered by the side that opened it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ConnectionId {
    /// Numbered by the endpoint. The first [`Transmit`] with a new number asks the driver to connect.
    Opened(u32),
    /// Numbered by the driver, when it accepted the connection.
    Accepted(u32),
}

/// The way of one message: on every input and every transmit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Path {
    /// What carries it.
    pub transport: Transport,
    /// The bind address of our listener.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// The connection; `None` on UDP and inside.
    pub connection: Option<ConnectionId>,
}

/// Octets to send. UDP and inside: one message. Otherwise: the next octets of the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub path: Path,
    /// What.
    pub bytes: Bytes,
}

/// An address at which the endpoint can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// What it listens for.
    pub transport: Transport,
    /// The address of the socket: [`Path::local`] of everything that arrives there.
    pub bind: SocketAddr,
    /// The address that peers are told, in Via and Contact.
    pub advertised: SocketAddr,
}

/// Where a request is to go, as the user or a lookup decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// UDP becomes TCP for a request that is too long for a datagram (RFC 3261 §18.1.1). Everything becomes
    /// [`Transport::Inside`] at an endpoint that listens there.
    pub transport: Transport,
    /// The next hop.
    pub remote: SocketAddr,
}

/// Cuts a stream into messages. Never holds more than one message of [`LENGTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framer {
    /// RFC 5626 §3.5.1: the side that opened the connection sends pings and receives pongs.
    opened_by_us: bool,
    /// Nothing is read behind a fault.
    is_broken: bool,
    buffer: BytesMut,
    /// Octets of `buffer` in which no end of a header part begins.
    searched: usize,
    /// The length of the message at the start of `buffer`, once its header part is there.
    expected: Option<usize>,
}

/// What a stream contained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// RFC 5626 §3.5.1: two line ends ask for one in return.
    Ping,
    /// RFC 5626 §3.5.1: the one in return.
    Pong,
    /// The stream cannot be cut any more: close the connection.
    Fault(FrameFault),
}

/// Why a stream cannot be cut into messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameFault {
    /// RFC 3261 §18.3: Content-Length is mandatory on streams; it was missing or malformed.
    ContentLength,
    /// A message longer than [`LENGTH_MAX`].
    TooLong,
    /// What came is not SIP.
    NotSip,
}

impl Framer {
    /// A framer for what arrives on `connection`.
    pub fn new(connection: ConnectionId) -> Self {
        let opened_by_us = matches!(connection, ConnectionId::Opened(_));
        Self { opened_by_us, is_broken: false, buffer: BytesMut::new(), searched: 0, expected: None }
    }

    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.is_broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next frame; `None` until more octets arrive.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.searched == 0
            && self.expected.is_none()
            && let Some(frame) = self.keep_alive()?
        {
            return Some(frame);
        }
        match self.message_length() {
            Ok(length) => {
                let length = length.filter(|length| *length <= self.buffer.len())?;
                (self.searched, self.expected) = (0, None);
                Some(Frame::Message(self.buffer.split_to(length).freeze()))
            }
            Err(fault) => {
                self.is_broken = true;
                self.buffer = BytesMut::new();
                self.searched = 0;
                Some(Frame::Fault(fault))
            }
        }
    }

    /// The length of the message that begins the buffer; `None` as long as its header part is not complete.
    fn message_length(&mut self) -> Result<Option<usize>, FrameFault> {
        if self.expected.is_none() {
            let Some(end) = memchr::memmem::find(&self.buffer[self.searched..], b"\r\n\r\n") else {
                self.searched = self.buffer.len().saturating_sub(3);
                return if self.buffer.len() > LENGTH_MAX { Err(FrameFault::TooLong) } else { Ok(None) };
            };
            let head = self.searched + end + 4;
            let length = head + content_length(&self.buffer[..head])?;
            if length > LENGTH_MAX {
                return Err(FrameFault::TooLong);
            }
            self.expected = Some(length);
        }
        Ok(self.expected)
    }

    /// Takes the line ends before a message. `Some(None)`: a message begins; `None`: more octets are needed to tell.
    #[expect(clippy::option_option, reason = "undecided, decided for nothing, decided for a frame")]
    fn keep_alive(&mut self) -> Option<Option<Frame>> {
        loop {
            match (self.opened_by_us, &self.buffer[..]) {
                (true, [b'\r', b'\n', ..]) => {
                    self.buffer.advance(2);
                    return Some(Some(Frame::Pong));
                }
                (false, [b'\r', b'\n', b'\r', b'\n', ..]) => {
                    self.buffer.advance(4);
                    return Some(Some(Frame::Ping));
                }
                (_, [] | [b'\r']) | (false, [b'\r', b'\n'] | [b'\r', b'\n', b'\r']) => return None,
                // RFC 3261 §7.5: a line end before a start line means nothing.
                (false, [b'\r', b'\n', ..]) => self.buffer.advance(2),
                _ => return Some(None),
            }
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize, FrameFault> {
    let message = Message::parse(Bytes::copy_from_slice(head)).map_err(|_| FrameFault::NotSip)?;
    let value = message.value(Name::ContentLength).ok_or(FrameFault::ContentLength)?;
    crate::message::scan::number(value).map(|length| length as usize).ok_or(FrameFault::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nl: 4\r\n\r\nbody";

    fn frames_on(connection: ConnectionId, chunks: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::new(connection);
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.next_frame() {
                frames.push(frame);
            }
        }
        frames
    }

    fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
        frames_on(ConnectionId::Accepted(0), chunks)
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives() {
        let stream = [MESSAGE, b"\r\n\r\n", MESSAGE, b"\r\n", MESSAGE].concat();
        let message = || Frame::Message(Bytes::from_static(MESSAGE));
        let expected = vec![message(), Frame::Ping, message(), message()];
        assert_eq!(frames(&[&stream]), expected);
        for cut in 1..stream.len() {
            assert_eq!(frames(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
        }
        let octets: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&octets), expected);
    }

    #[test]
    fn the_side_that_opened_the_connection_receives_pongs() {
        assert_eq!(frames(&[b"\r\n", b"\r\n"]), [Frame::Ping]);
        assert_eq!(frames_on(ConnectionId::Opened(0), &[b"\r\n", b"\r\n"]), [Frame::Pong, Frame::Pong]);
    }

    #[test]
    fn a_message_without_content_length_ends_the_stream() {
        let fault = |text: &[u8]| frames(&[text]).pop();
        let expected = Some(Frame::Fault(FrameFault::ContentLength));
        assert_eq!(fault(b"OPTIONS sip:a@b SIP/2.0\r\nTo: b\r\n\r\n"), expected);
        assert_eq!(fault(b"OPTIONS sip:a@b SIP/2.0\r\nl: -1\r\n\r\n"), expected);
        assert_eq!(fault(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"), Some(Frame::Fault(FrameFault::NotSip)));
    }

    #[test]
    fn nothing_is_read_behind_a_fault() {
        assert_eq!(frames(&[b"junk\r\n\r\n", MESSAGE]), [Frame::Fault(FrameFault::NotSip)]);
    }

    #[test]
    fn a_stream_that_never_ends_a_message_is_bounded() {
        assert_eq!(frames(&[&[b'x'; LENGTH_MAX + 1]]), [Frame::Fault(FrameFault::TooLong)]);
    }
}
