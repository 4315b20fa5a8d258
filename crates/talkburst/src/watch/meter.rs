//! What a worker counts. It alone writes; whoever reads sees numbers that were right a moment ago.

use std::sync::atomic::{AtomicU64, Ordering};

use poc::server::{Function, Record, Side};
use sip::Duration;
use sip::usage::End;

/// What a message is: a request by its method, or a response by its class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind(u8);

/// Methods; the last stands for all others.
pub(crate) const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "REGISTER",
    "OPTIONS",
    "MESSAGE",
    "PUBLISH",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PRACK",
    "UPDATE",
    "INFO",
    "other",
];

/// Classes of responses.
pub(crate) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

const OTHER: u8 = METHODS.len() as u8 - 1;
const KINDS: usize = METHODS.len() + CLASSES.len();

impl Kind {
    pub(crate) const CANCEL: Self = Self(2);

    /// By the first octets; nothing is parsed.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if let Some(status) = bytes.strip_prefix(b"SIP/2.0 ") {
            let class = status.first().map_or(0, |digit| digit.wrapping_sub(b'1')).min(5);
            return Self(METHODS.len() as u8 + class);
        }
        let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        let place = METHODS.iter().position(|name| name.as_bytes() == method);
        Self(place.and_then(|place| u8::try_from(place).ok()).unwrap_or(OTHER))
    }

    /// Where its time is counted: all responses together.
    fn timed(self) -> usize {
        usize::from(self.0).min(METHODS.len())
    }
}

/// Upper bounds of the buckets, in microseconds.
pub(crate) const BOUNDS: [u64; 14] =
    [25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// How long something took, how often.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn note(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        add(&self.buckets[place], 1);
        add(&self.micros, micros);
    }

    /// So many in each bucket, and the sum in microseconds.
    pub(crate) fn read(&self) -> ([u64; BOUNDS.len() + 1], u64) {
        (std::array::from_fn(|place| read(&self.buckets[place])), read(&self.micros))
    }
}

/// Ways that things end.
pub(crate) const ENDS: [(End, &str); 9] = [
    (End::Cancelled, "cancelled"),
    (End::Rejected, "rejected"),
    (End::Expired, "expired"),
    (End::TimedOut, "timed-out"),
    (End::TransportFailed, "transport-failed"),
    (End::NotAcknowledged, "not-acknowledged"),
    (End::Left, "left"),
    (End::Released, "released"),
    (End::Lost, "lost"),
];

/// Who ends them.
pub(crate) const SIDES: [(Side, &str); 3] =
    [(Side::Inviter, "inviter"), (Side::Invited, "invited"), (Side::Server, "server")];

/// Functions of the PoC Server.
pub(crate) const FUNCTIONS: [(Function, &str); 2] =
    [(Function::Controlling, "controlling"), (Function::Participating, "participating")];

/// The first status that refuses.
const REFUSES: u16 = 300;

/// Counters of one shard, on cache lines of their own.
#[repr(align(128))]
pub(crate) struct Meter {
    received: [AtomicU64; KINDS],
    sent: [AtomicU64; KINDS],
    /// From a message to all that leaves because of it.
    handled: [Histogram; METHODS.len() + 1],
    /// From a CANCEL to its 200.
    pub(crate) cancel_answered: Histogram,
    /// From a CANCEL to the CANCELs that leave because of it.
    pub(crate) cancel_forwarded: Histogram,
    /// From a message of talk burst control to the Talk Burst Granted that leaves because of it.
    pub(crate) granted: Histogram,
    /// Datagrams of media for which the kernel had no room.
    lost: AtomicU64,
    invites: [[[AtomicU64; SIDES.len()]; ENDS.len()]; FUNCTIONS.len()],
    members: [AtomicU64; ENDS.len()],
    /// By status, from 300 on.
    refused: [AtomicU64; 400],
    /// Messages that nobody who traced was quick enough for.
    unseen: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        let zeros = || AtomicU64::new(0);
        Self {
            received: std::array::from_fn(|_| zeros()),
            sent: std::array::from_fn(|_| zeros()),
            handled: std::array::from_fn(|_| Histogram::default()),
            cancel_answered: Histogram::default(),
            cancel_forwarded: Histogram::default(),
            granted: Histogram::default(),
            lost: zeros(),
            invites: Default::default(),
            members: Default::default(),
            refused: std::array::from_fn(|_| zeros()),
            unseen: zeros(),
        }
    }
}

/// Only the worker writes, so this loses nothing.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What the worker writes.
impl Meter {
    pub(super) fn note_received(&self, kind: Kind) {
        add(&self.received[usize::from(kind.0)], 1);
    }

    pub(super) fn note_sent(&self, kind: Kind) {
        add(&self.sent[usize::from(kind.0)], 1);
    }

    pub(super) fn note_handled(&self, kind: Kind, span: Duration) {
        self.handled[kind.timed()].note(span);
    }

    pub(super) fn note_cancel_answered(&self, span: Duration) {
        self.cancel_answered.note(span);
    }

    pub(super) fn note_cancel_forwarded(&self, span: Duration) {
        self.cancel_forwarded.note(span);
    }

    pub(super) fn note_granted(&self, span: Duration) {
        self.granted.note(span);
    }

    pub(super) fn note_lost(&self, count: usize) {
        add(&self.lost, u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(super) fn note_unseen(&self) {
        add(&self.unseen, 1);
    }

    pub(super) fn note_record(&self, record: &Record) {
        let end = |end: End| ENDS.iter().position(|(each, _)| *each == end).unwrap_or_default();
        let side = SIDES.iter().position(|(side, _)| *side == record.by).unwrap_or_default();
        let function =
            FUNCTIONS.iter().position(|(function, _)| *function == record.function).unwrap_or_default();
        add(&self.invites[function][end(record.end)][side], 1);
        if let (End::Rejected, Some(status)) = (record.end, record.status)
            && let Some(count) = self.refused.get(usize::from(status.saturating_sub(REFUSES)))
        {
            add(count, 1);
        }
        if record.function == Function::Controlling {
            for invitation in &record.invitations {
                add(&self.members[end(invitation.end)], 1);
            }
        }
    }
}

/// What others read.
impl Meter {
    /// Requests by method, and responses by class.
    pub(crate) fn received(&self) -> ([u64; METHODS.len()], [u64; CLASSES.len()]) {
        parts(&self.received)
    }

    /// The same of what was sent.
    pub(crate) fn sent(&self) -> ([u64; METHODS.len()], [u64; CLASSES.len()]) {
        parts(&self.sent)
    }

    /// The time of each method, and of responses.
    pub(crate) fn handled(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        METHODS.into_iter().chain(["response"]).zip(&self.handled)
    }

    /// INVITEs that are over: function, end, side.
    pub(crate) fn invites(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        FUNCTIONS.iter().zip(&self.invites).flat_map(|((_, function), ends)| {
            ENDS.iter().zip(ends).flat_map(move |((_, end), sides)| {
                SIDES.iter().zip(sides).map(move |((_, side), count)| ([*function, *end, *side], read(count)))
            })
        })
    }

    /// Invited users, and how that ended.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ENDS.iter().zip(&self.members).map(|((_, end), count)| (*end, read(count)))
    }

    /// Refused INVITEs by status: those that there are.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (u16, u64)> {
        (REFUSES..)
            .zip(&self.refused)
            .map(|(status, count)| (status, read(count)))
            .filter(|(_, count)| *count > 0)
    }

    pub(crate) fn lost(&self) -> u64 {
        read(&self.lost)
    }

    pub(crate) fn unseen(&self) -> u64 {
        read(&self.unseen)
    }
}

fn parts(counters: &[AtomicU64; KINDS]) -> ([u64; METHODS.len()], [u64; CLASSES.len()]) {
    let all = counters.each_ref().map(read);
    (std::array::from_fn(|place| all[place]), std::array::from_fn(|place| all[METHODS.len() + place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_first_octets() {
        let place = |name: &str| Kind(METHODS.iter().position(|each| *each == name).unwrap() as u8);
        assert_eq!(Kind::of(b"CANCEL sip:a SIP/2.0\r\n"), Kind::CANCEL);
        assert_eq!(Kind::of(b"INFO sip:a SIP/2.0\r\n"), place("INFO"));
        for other in [&b"INVITEX sip:a SIP/2.0"[..], b"", b"\r\n", b" ", b"other "] {
            assert!(Kind::of(other) == place("other"), "{other:?}");
        }
        let class = |class: u8| Kind(METHODS.len() as u8 + class);
        assert_eq!(Kind::of(b"SIP/2.0 100 Trying"), class(0));
        assert_eq!(Kind::of(b"SIP/2.0 603 Declined"), class(5));
        for wrong in [&b"SIP/2.0 "[..], b"SIP/2.0 \xff", b"SIP/2.0 0"] {
            Meter::default().note_received(Kind::of(wrong));
        }
    }

    #[test]
    fn what_took_as_long_as_a_bound_is_below_it() {
        let histogram = Histogram::default();
        for micros in [0, 25, 26, 1_000_000, 1_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let (buckets, sum) = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14], sum), (2, 1, 1, 1, 2_000_052));
    }
}
