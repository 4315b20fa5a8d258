//! What leaves by UDP in one turn, put together so that few calls send it.
//!
//! Datagrams of one length for one peer make a run, which one call sends. A datagram never overtakes an earlier one of its own
//! dialog to the same peer: a 200 to a CANCEL stays before the 487. Others may be overtaken, as the network may do as well.

use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;

/// Datagrams that wait at most. Then they are sent before more is put to them.
pub(crate) const WAITING_MAX: usize = 128;

/// Datagrams in a run: what every kernel takes.
pub(crate) const RUN_MAX: usize = 64;

/// Octets of a run: one UDP datagram over IPv6 without a jumbo payload.
const RUN_OCTETS_MAX: usize = 65_000;

/// A datagram that leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leaving {
    pub(crate) remote: SocketAddr,
    pub(crate) bytes: Bytes,
    dialog: u64,
    run: usize,
    number: usize,
}

/// Datagrams of one length to one peer.
#[derive(Clone, Debug)]
struct Run {
    remote: SocketAddr,
    length: usize,
    count: usize,
}

/// The datagrams of a turn.
#[derive(Clone, Default, Debug)]
pub(crate) struct Outbox {
    leaving: Vec<Leaving>,
    runs: Vec<Run>,
}

impl Outbox {
    /// Puts one to the others, in a run if it has at most `segment_max` octets.
    pub(crate) fn push(&mut self, remote: SocketAddr, bytes: Bytes, segment_max: usize) {
        let (dialog, length) = (dialog_of(&bytes), bytes.len());
        let earlier = self.leaving.iter().filter(|each| each.dialog == dialog && each.remote == remote);
        let earliest = earlier.map(|each| each.run).max().unwrap_or(0);
        let has_room = |run: &Run| {
            run.length == length
                && run.remote == remote
                && run.count < RUN_MAX
                && (run.count + 1) * length <= RUN_OCTETS_MAX
        };
        let open = self.runs.iter().skip(earliest).position(has_room).filter(|_| length <= segment_max);
        let run = match open {
            Some(place) => earliest + place,
            None => {
                self.runs.push(Run { remote, length, count: 0 });
                self.runs.len() - 1
            }
        };
        self.runs[run].count += 1;
        let number = self.leaving.len();
        self.leaving.push(Leaving { remote, bytes, dialog, run, number });
    }

    /// Whether it has to be sent before more is put in.
    pub(crate) fn is_full(&self) -> bool {
        self.leaving.len() >= WAITING_MAX
    }

    /// All of it, runs together; nothing is left once the answer has been dropped.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, Leaving> {
        self.runs.clear();
        // Not the stable sort, which allocates.
        self.leaving.sort_unstable_by_key(|each| (each.run, each.number));
        self.leaving.drain(..)
    }
}

#[cfg(test)]
impl Outbox {
    /// One run of all of these, whatever it is.
    pub(crate) fn force_run(&mut self, remote: SocketAddr, run: &[Bytes]) {
        for (number, bytes) in run.iter().enumerate() {
            self.leaving.push(Leaving { remote, bytes: bytes.clone(), dialog: 0, run: 0, number });
        }
    }
}

/// How many of the first datagrams are sent by one call: a run, or single ones up to the next run.
pub(crate) fn sent_together(leaving: &[Leaving]) -> Together {
    let mut runs = leaving.chunk_by(|one, other| one.run == other.run).map(<[_]>::len);
    match runs.next() {
        Some(count) if count > 1 => Together::Run(count),
        first => {
            let singles = usize::from(first.is_some()) + runs.take_while(|count| *count == 1).count();
            Together::Singles(singles.min(RUN_MAX))
        }
    }
}

/// What one call sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Together {
    /// So many of one length to one peer.
    Run(usize),
    /// So many of which each is by itself.
    Singles(usize),
}

/// What the dialog of a message is known by here. Equal numbers by chance only keep an order that nobody needs.
fn dialog_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(call_id(bytes).unwrap_or_default());
    hasher.finish()
}

/// The Call-ID, whatever else the message may be.
fn call_id(bytes: &[u8]) -> Option<&[u8]> {
    let mut ends = memchr::memchr_iter(b'\n', bytes);
    let mut begin = ends.next()? + 1;
    for end in ends {
        let line = &bytes[begin..end];
        begin = end + 1;
        // Few names begin like this: most lines are passed over by their first octet.
        let name = match line.first()? {
            b'C' | b'c' => "Call-ID".as_bytes(),
            b'i' | b'I' => b"i",
            // The empty line before the body.
            b'\r' => return None,
            _ => continue,
        };
        let is_named = line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        let rest = line.get(name.len()..).unwrap_or_default().trim_ascii_start();
        if let (true, [b':', value @ ..]) = (is_named, rest) {
            return Some(value.trim_ascii());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn message(call_id: &str, padding: usize) -> Bytes {
        let padding = "x".repeat(padding);
        Bytes::from(format!(
            "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nCall-ID: {call_id}\r\nSubject: {padding}\r\n\r\n"
        ))
    }

    fn taken(outbox: &mut Outbox) -> Vec<(Together, Vec<Leaving>)> {
        let all: Vec<_> = outbox.take().collect();
        let (mut rest, mut calls) = (&all[..], Vec::new());
        while !rest.is_empty() {
            let together = sent_together(rest);
            let (Together::Run(count) | Together::Singles(count)) = together;
            calls.push((together, rest[..count].to_vec()));
            rest = &rest[count..];
        }
        calls
    }

    #[test]
    fn what_has_one_length_and_goes_to_one_peer_leaves_together() {
        let mut outbox = Outbox::default();
        for number in 0..10 {
            let call_id = format!("call-{number}");
            outbox.push(remote(1), message(&call_id, 5), 1500);
            outbox.push(remote(2), message(&call_id, 9), 1500);
        }
        let calls = taken(&mut outbox);
        assert_eq!(calls.iter().map(|(call, _)| *call).collect::<Vec<_>>(), [Together::Run(10); 2]);
    }

    #[test]
    fn what_is_alone_leaves_with_others_that_are() {
        let mut outbox = Outbox::default();
        for port in 1..=100 {
            outbox.push(remote(port), message("a", 0), 1500);
        }
        let calls = taken(&mut outbox);
        assert_eq!(
            calls.iter().map(|(call, _)| *call).collect::<Vec<_>>(),
            [Together::Singles(64), Together::Singles(36)]
        );
    }

    #[test]
    fn a_487_stays_behind_the_200_to_the_cancel() {
        let mut outbox = Outbox::default();
        // The 487 of the first call would have a run before the 200 of the second, which has its length.
        for (call_id, padding) in [("a", 1), ("a", 2), ("b", 2), ("b", 1)] {
            outbox.push(remote(1), message(call_id, padding), 1500);
        }
        let order: Vec<_> = taken(&mut outbox).into_iter().flat_map(|(_, leaving)| leaving).collect();
        let of_b: Vec<_> = order.iter().filter(|each| call_id(&each.bytes) == Some(b"b")).collect();
        assert_eq!(of_b[0].bytes, message("b", 2));
        assert_eq!(of_b[1].bytes, message("b", 1));
    }

    #[test]
    fn what_is_longer_than_a_segment_may_be_is_alone() {
        let mut outbox = Outbox::default();
        for call_id in ["a", "b"] {
            outbox.push(remote(1), message(call_id, 1000), 500);
        }
        assert_eq!(taken(&mut outbox)[0].0, Together::Singles(2));
    }

    #[test]
    fn a_call_id_is_found_however_it_is_written() {
        for (line, found) in [
            ("Call-ID: a@b", Some("a@b")),
            ("CALL-ID:a@b ", Some("a@b")),
            ("i : a@b", Some("a@b")),
            ("I: a@b", Some("a@b")),
            ("Call-IDs: a@b", None),
            ("Info: a@b", None),
            ("C", None),
            ("\r\nCall-ID: a@b", None),
        ] {
            let text = format!("OPTIONS sip:a SIP/2.0\r\nContact: c\r\n{line}\r\n\r\n");
            assert_eq!(call_id(text.as_bytes()), found.map(str::as_bytes), "{line:?}");
        }
        for odd in ["", "\r\n", "\r\n\r\n", "\n\n\n", "Call-ID: a@b\r\n"] {
            assert_eq!(call_id(odd.as_bytes()), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_overtaken_within_its_dialog(
            sent in prop::collection::vec((0_u16..3, 0_usize..6, 0_usize..4), 0..200),
            segment_max in 0_usize..200,
        ) {
            let mut outbox = Outbox::default();
            for (port, call, padding) in &sent {
                outbox.push(remote(*port), message(&format!("call-{call}"), *padding), segment_max);
            }
            let calls = taken(&mut outbox);
            prop_assert!(outbox.leaving.is_empty() && outbox.runs.is_empty());
            for (together, leaving) in &calls {
                if let Together::Run(count) = together {
                    prop_assert!((2..=RUN_MAX).contains(count));
                    prop_assert!(leaving.iter().all(|each| each.remote == leaving[0].remote));
                    prop_assert!(leaving.iter().all(|each| each.bytes.len() == leaving[0].bytes.len()));
                    prop_assert!(leaving[0].bytes.len() <= segment_max);
                }
            }
            // The datagrams of each dialog to each peer are the same, in the same order.
            let left: Vec<_> = calls.into_iter().flat_map(|(_, leaving)| leaving).collect();
            prop_assert_eq!(left.len(), sent.len());
            for port in 0..3 {
                for call in 0..6 {
                    let of = |p: u16, c: usize| p == port && c == call;
                    let expected: Vec<_> = sent
                        .iter()
                        .filter(|(p, c, _)| of(*p, *c))
                        .map(|(_, c, padding)| message(&format!("call-{c}"), *padding))
                        .collect();
                    let call_id_wanted = format!("call-{call}");
                    let found: Vec<_> = left
                        .iter()
                        .filter(|each| each.remote == remote(port))
                        .filter(|each| call_id(&each.bytes) == Some(call_id_wanted.as_bytes()))
                        .map(|each| each.bytes.clone())
                        .collect();
                    prop_assert_eq!(expected, found);
                }
            }
        }
    }
}
