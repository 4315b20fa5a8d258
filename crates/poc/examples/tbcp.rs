//! Random and mutated datagrams for the decoder of TBCP (user-plane digest 15, check 2): nothing panics, and what is read is the same
//! when it is written and read again.
//!
//! ```sh
//! cargo run --release -p poc --example tbcp -- 10000000 1    # inputs, seed
//! ```

#![expect(clippy::print_stdout, reason = "its answer is a line")]

use bytes::Bytes;
use poc::talk_burst::{
    self, Acknowledgement, DenyReason, Message, NtpTimestamp, Packet, Position, Priority, Revoke,
    StopTalking, Taken, TooLong,
};

/// Octets of the longest input.
const LENGTH_MAX: u64 = 1500;

/// Xorshift: quick, and the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let identity = Bytes::from_static(b"sip:anna@home1.example");
    let taken = Taken::new(7, identity, Some("Anna".into()), Some(3));
    let messages = [
        Message::Request { priority: Some(Priority::High), timestamp: Some(NtpTimestamp(7)) },
        Message::Granted { stop_talking: StopTalking::Seconds(30), participants: Some(3) },
        Message::Taken(taken),
        Message::Deny { reason: DenyReason::Taken, phrase: "Floor busy".to_owned() },
        Message::Release { last: Some(7) },
        Message::Idle,
        Message::Revoke(Revoke::TooLong { retry_after: 5 }),
        Message::Acknowledgement(Acknowledgement::Taken),
        Message::QueueStatusRequest,
        Message::QueueStatus { priority: Priority::Normal, position: Position::Place(2) },
        Message::Disconnect,
    ];
    // A Connect with an inviter, as user-plane digest 14.1 has it.
    let connect = b"\x8f\xcc\x00\x09\xa1\xb2\xc3\xd4PoC1\x80\x00\x01\x00\x01\x15sip:alice@example.com\x00";
    let written = messages.into_iter().filter_map(|message| Packet { ssrc: 1, message }.write().ok());
    written.map(|bytes| bytes.to_vec()).chain([connect.to_vec()]).collect()
}

/// Half of them are octets of chance, half are messages in which something has changed.
fn fill(input: &mut Vec<u8>, chance: &mut Chance, seeds: &[Vec<u8>]) {
    input.clear();
    if chance.below(2) == 0 {
        let length = chance.below(LENGTH_MAX + 1) as usize;
        input.extend(
            std::iter::repeat_with(|| chance.next().to_le_bytes()).take(length.div_ceil(8)).flatten(),
        );
        input.truncate(length);
        return;
    }
    for _ in 0..=chance.below(2) {
        input.extend_from_slice(&seeds[chance.below(seeds.len() as u64) as usize]);
    }
    for _ in 0..=chance.below(4) {
        let (at, value) = (chance.below(input.len() as u64) as usize, chance.next() as u8);
        match chance.below(3) {
            0 => input[at] = value,
            1 => input[at] ^= 1 << (value & 7),
            _ => input.truncate(at.max(1)),
        }
    }
}

fn main() {
    let mut typed = std::env::args().skip(1).map_while(|typed| typed.parse::<u64>().ok());
    let (inputs, seed) = (typed.next().unwrap_or(1_000_000), typed.next().unwrap_or(1));
    let (mut chance, seeds, mut input) = (Chance(seed.max(1)), seeds(), Vec::new());
    let (mut no_rtcp, mut read, mut malformed) = (0_u64, 0_u64, 0_u64);
    for _ in 0..inputs {
        fill(&mut input, &mut chance, &seeds);
        let Ok(packets) = talk_burst::packets(&input) else {
            no_rtcp += 1;
            continue;
        };
        for packet in packets {
            let Ok(packet) = packet else {
                malformed += 1;
                continue;
            };
            read += 1;
            match packet.write() {
                Ok(written) => {
                    let again = talk_burst::packets(&written).ok().and_then(|mut all| all.next());
                    assert_eq!(again, Some(Ok(packet)), "{input:02x?}");
                }
                Err(TooLong) => assert!(matches!(packet.message, Message::Connect(_)), "{input:02x?}"),
            }
        }
    }
    println!("{inputs} inputs: {no_rtcp} no RTCP, {read} messages read, {malformed} malformed");
}
