//! A session description as an offer and as an answer: what is agreed on can be said again, and never depends on anything else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poc::sdp::{self, Capabilities, Origin};

fuzz_target!(|octets: &[u8]| {
    let [settings, octets @ ..] = octets else { return };
    let address =
        if settings & 1 == 0 { [192, 0, 2, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
    let ours = match settings & 2 {
        0 => Capabilities::amr(address, 40_000, 40_002),
        _ => Capabilities::speech(address, 40_000, 40_002),
    };
    let origin = Origin { id: 7, version: 1 };
    let _codecs = sdp::codecs(octets);
    let _agreed = sdp::accept(&ours, octets);
    let Ok((answer, media)) = sdp::answer(&ours, origin, octets) else { return };
    assert_eq!(sdp::answer(&ours, origin, octets), Ok((answer.clone(), media.clone())));
    // A line that is refused is told in fewer octets than a line can have been offered in, but for its end.
    assert!(answer.len() <= octets.len() + 1024, "{} octets for {}", answer.len(), octets.len());
    assert_eq!(
        sdp::codecs(&answer).map(|codecs| codecs.len()),
        Ok(1),
        "{}",
        String::from_utf8_lossy(&answer)
    );
});
