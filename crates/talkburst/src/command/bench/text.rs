//! What the generator says: texts with holes, put together by copying. It must cost less than what it measures.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

/// Octets that are taken from the allocator at once.
const BLOCK: usize = 256 * 1024;

/// No message of ours is longer.
const MESSAGE_MAX: usize = 4096;

/// The session description of an offer and of an answer: speech and talk burst control.
pub(super) const SDP: &str = "v=0\r\no=- 2890844526 2890842807 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
    m=audio 3456 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 mode-set=0,2\r\na=ptime:160\r\na=rtcp:5560\r\n\
    m=application 2000 udp TBCP\r\na=fmtp:TBCP queuing=1;tb_priority=2\r\n";

/// Puts a message together.
#[derive(Default)]
pub(super) struct Writer {
    buffer: BytesMut,
}

impl Writer {
    /// Begins with this.
    pub(super) fn begin(&mut self, text: &[u8]) -> &mut Self {
        if self.buffer.capacity() < MESSAGE_MAX {
            self.buffer = BytesMut::with_capacity(BLOCK);
        }
        self.put(text)
    }

    pub(super) fn put(&mut self, text: &[u8]) -> &mut Self {
        self.buffer.put_slice(text);
        self
    }

    /// Eight hexadecimal digits: every message of a kind has one length.
    pub(super) fn hex(&mut self, number: u32) -> &mut Self {
        let digit = |shift: u32| b"0123456789abcdef"[(number >> shift & 15) as usize];
        self.put(&[28, 24, 20, 16, 12, 8, 4, 0].map(digit))
    }

    pub(super) fn finish(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

/// The number that [`Writer::hex`] has written.
pub(super) fn unhex(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text.get(..8)?).ok()?, 16).ok()
}

/// A caller and whom it calls.
pub(super) fn pair(number: usize) -> (String, String) {
    (format!("c{number:05}"), format!("u{number:05}"))
}

/// A user of the pairs.
pub(super) fn user(number: usize) -> String {
    let (caller, called) = pair(number / 2);
    if number.is_multiple_of(2) { caller } else { called }
}

/// A group.
pub(super) fn group(number: usize) -> String {
    format!("g{number:05}")
}

/// What a caller says that is the same in every call.
pub(super) struct Lines {
    /// `sip:u00001@home.net`
    pub(super) uri: Vec<u8>,
    /// The lines From, up to the tag, and To, up to the tag.
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    /// What an INVITE, a REGISTER or an OPTIONS has besides, from the line behind CSeq to the end of the body.
    pub(super) rest: Vec<u8>,
}

/// The body and its lines.
pub(super) fn with_sdp(lines: &str) -> Vec<u8> {
    format!("{lines}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}", SDP.len()).into_bytes()
}

/// The lines of a PoC INVITE behind CSeq.
pub(super) fn invite_lines(identity: &str, route: &str, local: SocketAddr) -> Vec<u8> {
    with_sdp(&format!(
        "{route}{identity}Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
         User-Agent: PoC-client/OMA2.0 PoCrs/0.1 Acme-Talk5000/v1.01\r\nContact: <sip:alice@{local}>;+g.poc.talkburst\r\n\
         Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nAllow: INVITE,ACK,CANCEL,BYE,REFER\r\n"
    ))
}
