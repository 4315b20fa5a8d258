//! How many instructions it takes to read and write a message, counted by Valgrind: unlike times they do not move with
//! the machine's other work.

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use sip::Message;
use sip::message::{Name, Writer};

/// 900 octets: an INVITE with 16 header lines and a session description.
const INVITE: &[u8] = include_bytes!("../tests/data/invite900.sip");

fn octets() -> Bytes {
    Bytes::from_static(INVITE)
}

fn message_and_buffer() -> (Message, Vec<u8>) {
    (Message::parse(octets()).expect("well-formed"), Vec::with_capacity(2048))
}

#[library_benchmark]
#[bench::invite(octets())]
fn parse(bytes: Bytes) -> bool {
    black_box(Message::parse(black_box(bytes))).is_ok()
}

#[library_benchmark]
#[bench::invite(octets())]
fn parse_and_validate(bytes: Bytes) -> bool {
    let message = Message::parse(black_box(bytes)).expect("well-formed");
    black_box(&message).validate().is_ok()
}

// What a transaction and a dialog are made of, each field judged once: the Request-URI, Via, From, To, Call-ID, CSeq,
// Contact and Max-Forwards.
#[library_benchmark]
#[bench::invite(octets())]
fn parse_and_validate_seven(bytes: Bytes) -> bool {
    let message = Message::parse(black_box(bytes)).expect("well-formed");
    black_box(&message).validate_essentials().is_ok()
        && message.addresses(Name::Contact).all(|contact| contact.is_ok())
        && message.number(Name::MaxForwards).is_ok()
}

#[library_benchmark]
#[bench::invite(message_and_buffer())]
fn write((message, mut out): (Message, Vec<u8>)) -> usize {
    black_box(&message).write(&mut out);
    out.len()
}

// A 180 with the lines of its request, put together as an endpoint does.
#[library_benchmark]
#[bench::invite(message_and_buffer())]
fn respond((request, mut out): (Message, Vec<u8>)) -> usize {
    let mut writer = Writer::response(&mut out, 180);
    writer.copy_all(black_box(&request), &[Name::Via, Name::RecordRoute, Name::From]);
    writer.parts(Name::To, &[request.value(Name::To).unwrap_or_default(), b";tag=", b"a1b2c3d4"]);
    writer.copy_all(&request, &[Name::CallId, Name::CSeq]);
    writer.line(Name::Contact, b"<sip:bob@192.0.2.2:5060>").finish(None);
    out.len()
}

library_benchmark_group!(
    name = message;
    benchmarks = parse, parse_and_validate_seven, parse_and_validate, write, respond
);
main!(library_benchmark_groups = message);
