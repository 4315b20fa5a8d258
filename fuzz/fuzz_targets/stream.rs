//! A stream, cut into messages: the same cuts however it arrives, and no octet lost before a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::transport::{ConnectionId, Frame, Framer};

fuzz_target!(|octets: &[u8]| {
    let [sizes, octets @ ..] = octets else { return };
    let connection = if sizes & 0x80 == 0 { ConnectionId::Accepted(1) } else { ConnectionId::Opened(1) };
    let at_once = frames(connection, [octets].into_iter());
    let size = usize::from(sizes & 0x7f) + 1;
    assert_eq!(at_once, frames(connection, octets.chunks(size)), "cut every {size} octets");
    let faults = at_once.iter().filter(|frame| matches!(frame, Frame::Fault(_))).count();
    assert!(faults <= 1 && (faults == 0 || matches!(at_once.last(), Some(Frame::Fault(_)))));
    let mut rest = octets;
    for frame in &at_once {
        if let Frame::Message(message) = frame {
            let start = rest.windows(message.len()).position(|window| window == &message[..]);
            rest = &rest[start.expect("a message is a part of the stream, in order") + message.len()..];
        }
    }
});

fn frames<'a>(connection: ConnectionId, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut framer = Framer::new(connection);
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        frames.extend(std::iter::from_fn(|| framer.next_frame()));
    }
    frames
}
