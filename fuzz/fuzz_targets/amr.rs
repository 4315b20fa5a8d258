//! A payload of AMR: of the four formats, whatever is taken has the length that its frames have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poc::amr::{Format, frames};

fuzz_target!(|payload: &[u8]| {
    for is_wide in [false, true] {
        for is_octet_aligned in [false, true] {
            let format = Format { is_wide, is_octet_aligned };
            let Ok(count) = frames(format, payload) else { continue };
            assert!((1..=20).contains(&count) && payload.len() <= 1 + count * (1 + 60), "{format:?}");
            let longer = [payload, &[0]].concat();
            assert!(frames(format, &longer).is_err(), "one octet more is not of the same frames: {format:?}");
            assert!(frames(format, &payload[..payload.len() - 1]).is_err(), "nor one less: {format:?}");
        }
    }
});
