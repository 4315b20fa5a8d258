//! Octets, parsed, printed and parsed again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip::Message;

fuzz_target!(|octets: &[u8]| {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(octets)) else { return };
    if message.validate().is_err() {
        return;
    }
    let mut printed = Vec::new();
    message.write(&mut printed);
    // Full names are longer than compact ones, so a message near the limit may not fit any more.
    let Ok(again) = Message::parse(Bytes::from(printed)) else { return };
    assert!(
        message
            .headers()
            .map(|line| (line.name, line.value))
            .eq(again.headers().map(|line| (line.name, line.value)))
    );
    assert_eq!(message.body(), again.body());
    assert_eq!(again.validate(), Ok(()));
});
