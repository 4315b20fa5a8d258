//! What a server keeps, in octets of heap as asked of the allocator: a user, a binding, a call that rings, a session, a leg of talk
//! bursts; and how many blocks each message takes for itself. A core and a PoC Server with the hop inside, no sockets.
//!
//! ```sh
//! cargo bench -p sim --bench memory                         # all of it
//! cargo bench -p sim --bench memory -- sessions profile     # one part, and dhat-heap.json: who holds it
//! ```

#![expect(clippy::print_stdout, reason = "its answer is a table")]

#[path = "../examples/house/mod.rs"]
mod house;
mod registering;

use std::sync::Arc;

use bytes::Bytes;
use poc::sdp::TalkBurst;
use poc::talk_burst::controlling::{Joining, Settings, TalkBursts};
use sip::{Duration, Instant};

use house::House;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let typed: Vec<String> = std::env::args().skip(1).filter(|each| !each.starts_with('-')).collect();
    let _profiler = if typed.iter().any(|each| each == "profile") {
        dhat::Profiler::builder().trim_backtraces(Some(40)).build()
    } else {
        dhat::Profiler::builder().testing().build()
    };
    let parts: [(&str, fn()); 5] = [
        ("bindings", bindings),
        ("ringing", ringing),
        ("sessions", sessions),
        ("legs", legs),
        ("messages", messages),
    ];
    let is_wanted = |part: &str| {
        !parts.iter().any(|(name, _)| typed.iter().any(|each| each == name))
            || typed.iter().any(|each| each == part)
    };
    for (name, tell) in parts {
        if is_wanted(name) {
            tell();
        }
    }
}

/// What stands now.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    octets: usize,
    blocks: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        let stats = dhat::HeapStats::get();
        Self { octets: stats.curr_bytes, blocks: stats.curr_blocks }
    }

    /// Prints what each of `count` has added since.
    pub(crate) fn print_since(self, before: Self, count: usize, what: &str) {
        let octets = self.octets.saturating_sub(before.octets) / count;
        let blocks = self.blocks.saturating_sub(before.blocks) as f64 / count as f64;
        println!("{what:<64} {octets:>6} octets {blocks:>5.1} blocks");
    }
}

fn bindings() {
    registering::tell();
}

/// Calls that are held at once.
const CALLS: u64 = 8_000;

fn ringing() {
    let mut house = House::new(CALLS);
    house.passes(Duration::from_secs(40)); // what registering has left
    let before = Held::now();
    (0..CALLS).for_each(|number| house.ringing(number));
    Held::now().print_since(before, CALLS as usize, "a call that rings, both legs, core and server");
    house.passes(Duration::from_secs(5));
    Held::now().print_since(before, CALLS as usize, "the same, five seconds later");
    keep(house);
}

fn sessions() {
    let mut house = House::new(CALLS);
    house.passes(Duration::from_secs(40));
    let before = Held::now();
    (0..CALLS).for_each(|number| house.answered(number));
    Held::now().print_since(before, CALLS as usize, "a session that has just been answered");
    house.passes(Duration::from_secs(32));
    house.passes(Duration::from_secs(5));
    house.passes(Duration::from_secs(5));
    Held::now().print_since(before, CALLS as usize, "a session, transactions over");
    keep(house);
}

/// Sessions of the PoC Server that are measured at once, and who takes part in each.
const SESSIONS: usize = 10_000;
const MEMBERS: usize = 10;

fn legs() {
    let settings = Arc::new(Settings::default());
    let address = Bytes::from_static(b"sip:ada@example.org");
    let joining = || Joining {
        address: address.clone(),
        name: None,
        agreed: Some(TalkBurst::default()),
        may_speak: true,
        is_pre_empt_protected: false,
        asks: false,
        may_be_alone: false,
    };
    let before = Held::now();
    let mut sessions: Vec<_> = (0..SESSIONS).map(|_| TalkBursts::new(Arc::clone(&settings))).collect();
    for bursts in &mut sessions {
        for key in 0..MEMBERS {
            bursts.join(Instant::START, key, joining());
            while bursts.poll_output().is_some() {}
        }
    }
    Held::now().print_since(
        before,
        SESSIONS * MEMBERS,
        "a leg of a session of ten, talk bursts, the session's share",
    );
}

/// What a profile is to show stands when it ends.
fn keep(house: House) {
    if std::env::args().any(|each| each == "profile") {
        std::mem::forget(house);
    }
}

fn messages() {
    let mut house = House::new(1);
    // Buffers and tables have grown by then, and the timers of earlier calls run out.
    const WARM: u64 = 4_000;
    (0..WARM).for_each(|number| house.cancelled(number));
    house.counts(|| dhat::HeapStats::get().total_blocks);
    (WARM..2 * WARM).for_each(|number| house.cancelled(number));
    for (word, (times, blocks)) in &house.counted {
        println!("{word:<64} {:>6.2} blocks allocated, {times} times", *blocks as f64 / *times as f64);
    }
}
