//! Forks in random orders of responses, CANCEL, losses and time. `wire` checks every message; at the end each INVITE has had
//! one final response, nobody is left ringing, and everything is gone.

use sip::transport::ConnectionId;
use sipcore::Input;

use crate::wire::*;

/// The same numbers for the same seed (Knuth's linear congruence).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// I4, I9, I11; R9 to R11, R19.
#[test]
fn a_fork_survives_every_order() {
    let mut answered = std::collections::BTreeMap::new();
    for seed in 0..3000 {
        let mut dice = Dice(seed);
        let mut wire = Wire::new();
        for (place, at) in [BEN, BEN_2, BEN_3].into_iter().enumerate() {
            let q = ["", ";q=0.5", ";q=0.1"][dice.roll(3)];
            if dice.roll(3) == 0 {
                let number = 10 + place as u32;
                let line = format!("Contact: <sip:ben@{at};transport=tcp>{q}\r\n");
                wire.register_on(tcp(at, number), "ben", at, &line);
            } else {
                wire.register("ben", at, q);
            }
        }
        let lines = ["", "", "Request-Disposition: no-cancel\r\n", "Request-Disposition: sequential\r\n"];
        let invite = Request::invite().with(lines[dice.roll(4)]);
        wire.send(&invite);
        let (mut branches, mut finals) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            for sent in wire.sent() {
                match word(&sent.message).as_str() {
                    "INVITE"
                        if !branches
                            .iter()
                            .any(|known: &Sent| branch(&known.message) == branch(&sent.message)) =>
                    {
                        branches.push(sent);
                    }
                    "CANCEL" if dice.roll(3) > 0 => wire.answer(&sent, 200),
                    "INVITE" | "CANCEL" | "ACK" => {}
                    _ if sent.message.status().is_some_and(|status| status >= 200)
                        && sent.message.is_cseq_method(sip::message::Method::Invite) =>
                    {
                        finals.push(sent.message.status().unwrap());
                        if sent.message.status() > Some(299) {
                            wire.send(&invite.ack(&sent.message));
                        }
                    }
                    _ => {}
                }
            }
            if branches.is_empty() {
                break;
            }
            let target = branches[dice.roll(branches.len())].clone();
            match dice.roll(12) {
                0..=2 => wire.answer(&target, [100, 180, 183][dice.roll(3)]),
                3 => wire.answer(&target, 200),
                4 | 5 => wire.answer(&target, [401, 486, 487, 503, 480, 408][dice.roll(6)]),
                6 => wire.answer(&target, 603),
                7 => wire.send(&invite.cancel()),
                8 if dice.roll(3) == 0 => {
                    let connection = ConnectionId::Accepted(10 + dice.roll(3) as u32);
                    wire.input(Input::ConnectionLost { connection });
                }
                // As long as its sender would.
                9 if finals.is_empty() && wire.now < T1_64 => wire.send(&invite),
                _ => wire.advance(ms([1, 500, 5_000, 33_000, 210_000][dice.roll(5)])),
            }
        }
        wire.advance(8 * T1_64 + ms(700_000));
        assert_eq!(wire.answered(), 1, "seed {seed}");
        let rest = wire.sent();
        finals.extend(rest.iter().filter_map(|sent| {
            sent.message
                .status()
                .filter(|status| *status >= 200 && sent.message.is_cseq_method(sip::message::Method::Invite))
        }));
        let first = *finals.first().expect("a final response");
        let is_one = finals.iter().all(|status| *status == first || (200..300).contains(status));
        assert!(is_one, "seed {seed}: {finals:?}");
        *answered.entry(first).or_insert(0) += 1;
        wire.finish();
    }
    assert!(answered.len() >= 6, "every outcome was met: {answered:?}");
}
