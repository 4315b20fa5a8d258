//! What the talk bursts of many sessions cost, and what speech does: counted by the allocator.

use std::sync::Arc;

use bytes::Bytes;
use poc::sdp::TalkBurst;
use poc::talk_burst::controlling::{Gate, Joining, Settings, TalkBursts};
use poc::talk_burst::{Acknowledgement, Message};
use sip::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PARTICIPANTS: usize = 10;
const SESSIONS: usize = 1000;

/// The octets that `action` leaves behind, and the blocks that it takes. The allocator counts for the whole process: this file has
/// one test.
fn cost<T>(action: impl FnOnce() -> T) -> (T, usize, u64) {
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get();
    let done = action();
    let after = dhat::HeapStats::get();
    drop(profiler);
    (done, after.curr_bytes - before.curr_bytes, after.total_blocks - before.total_blocks)
}

#[test]
fn a_participant_costs_at_most_192_octets_and_speech_allocates_nothing() {
    let settings = Arc::new(Settings::default());
    // The address is the owner's: here it is shared.
    let agreed = Some(TalkBurst { queuing: true, tb_priority: 3, ..TalkBurst::default() });
    let joining = Joining {
        address: Bytes::from_static(b"sip:anna@home1.example"),
        agreed,
        may_speak: true,
        ..Joining::default()
    };
    let mut sessions = Vec::with_capacity(SESSIONS);
    let (mut now, start) = (Instant::START, Instant::START);
    let ((), octets, _) = cost(|| {
        for _ in 0..SESSIONS {
            let mut session = TalkBursts::new(Arc::clone(&settings));
            for key in 0..PARTICIPANTS {
                session.join(now, key, joining.clone());
                while session.poll_output().is_some() {}
            }
            session.handle_message(now, 0, 1, &Message::Request { priority: None, timestamp: None });
            while session.poll_output().is_some() {}
            sessions.push(session);
        }
    });
    let each = (octets + SESSIONS * size_of::<TalkBursts>()) / (SESSIONS * PARTICIPANTS);

    assert!(each <= 192, "{each} octets a participant");

    let session = &mut sessions[0];
    for key in 1..PARTICIPANTS {
        session.handle_message(now, key, 2, &Message::Acknowledgement(Acknowledgement::Taken));
    }
    // 25 s, a packet each 20 ms.
    let (timeouts, _, blocks) = cost(|| {
        let mut timeouts = 0;
        for sequence in 0..1250 {
            now = start + Duration::from_millis(20) * u32::from(sequence);
            assert_eq!(session.handle_speech(now, 0, 1, sequence), Gate::Forward);
            assert_eq!(session.poll_output(), None);
            if session.poll_timeout().is_some_and(|at| at <= now) {
                session.handle_timeout(now);
                timeouts += 1;
            }
        }
        timeouts
    });
    assert_eq!(blocks, 0);
    // T1 is looked at each 4 s, and once what waited for an acknowledgement.

    assert!(timeouts <= 8, "{timeouts} timeouts");
}
