//! A datagram of talk burst control, read and written again; and what a client makes of the messages in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poc::sdp::TalkBurst;
use poc::talk_burst::client::{Hear, Machine, Output, Start, Timers};
use poc::talk_burst::{Priority, packets};
use sip::{Duration, Instant};

fuzz_target!(|octets: &[u8]| {
    let [settings, octets @ ..] = octets else { return };
    let Ok(found) = packets(octets) else { return };
    let found: Vec<_> = found.filter_map(Result::ok).collect();
    for packet in &found {
        let written = packet.write().expect("what came in a datagram fits into one");
        let again: Vec<_> = packets(&written).expect("whole").collect();
        assert_eq!(again, [Ok(packet.clone())]);
    }
    let agreed = TalkBurst { queuing: settings & 1 != 0, ..TalkBurst::default() };
    let mut machine = Machine::new(Timers::default(), 7, agreed);
    let mut now = Instant::START;
    machine.begin(now, if settings & 2 == 0 { Start::Listening } else { Start::ImplicitRequest });
    if settings & 4 != 0 {
        machine.press(now, Priority::Normal, None);
    }
    for packet in &found {
        machine.handle_message(now, &packet.message);
        let is_played = machine.handle_speech(now, packet.ssrc) == Hear::Play;
        assert!(!(is_played && machine.may_talk()), "who speaks does not hear others");
        let said = std::iter::from_fn(|| machine.poll_output());
        let sent = said.filter(|output| matches!(output, Output::Send(_))).count();
        assert!(sent <= 2, "{sent} messages for one");
        if settings & 8 != 0 {
            now = machine.poll_timeout().unwrap_or(now).max(now);
            machine.handle_timeout(now);
        }
    }
    machine.let_go(now);
    // User-plane digest 5.3: it comes to rest, but for T12 and T13, which are bounded.
    let end = now + Duration::from_secs(70_000);
    while let Some(next) = machine.poll_timeout() {
        assert!(next >= now && next <= end, "it comes to rest");
        now = next;
        machine.handle_timeout(now);
        while machine.poll_output().is_some() {}
    }
    assert!(!machine.may_talk());
});
