//! What it costs to read a message.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sip::Message;

fn main() {
    divan::main();
}

/// 900 octets: an INVITE with 20 header lines and a session description.
const INVITE: &[u8] = include_bytes!("../tests/data/invite900.sip");

#[divan::bench]
fn parse(bencher: Bencher) {
    let bytes = Bytes::from_static(INVITE);
    bencher.counter(BytesCount::new(INVITE.len())).bench_local(|| Message::parse(black_box(bytes.clone())));
}

#[divan::bench]
fn parse_and_validate(bencher: Bencher) {
    let bytes = Bytes::from_static(INVITE);
    bencher.counter(BytesCount::new(INVITE.len())).bench_local(|| {
        let message = Message::parse(black_box(bytes.clone())).expect("well-formed");
        message.validate().is_ok()
    });
}

#[divan::bench]
fn parse_and_write(bencher: Bencher) {
    let (bytes, mut out) = (Bytes::from_static(INVITE), Vec::with_capacity(2048));
    bencher.counter(BytesCount::new(INVITE.len())).bench_local(|| {
        Message::parse(black_box(bytes.clone())).expect("well-formed").write(&mut out);
        out.len()
    });
}
