//! Opus, where the program is built with it.

use opus::{Application, Channels, Decoder, Encoder};

use crate::likeness::{noise, voice};
use crate::{Network, is_the_same, write};

/// Samples a second, and of a packet.
const CLOCK: u32 = 48_000;
const PACKET: usize = 960;

/// As much noise as Opus may make, in decibels below the speech.
const NOISE_MAX: f64 = -10.0;

#[test]
fn opus_is_heard_sample_for_sample_as_libopus_decodes_it_and_like_what_was_said() {
    let network = Network::new("voice-opus");
    // A high voice: libopus takes away what is below speech, and turns what is near it.
    let said = voice(300.0, CLOCK, CLOCK);
    let file = network.path("said.wav");
    write(&file, CLOCK, &said);
    let (heard, events) = network.says(&file, &["--codec", "opus"], &[]);
    let established = events.iter().find(|event| event["event"] == "established").unwrap();
    assert_eq!(established["media"]["codec"], "opus");
    let mut coder = Encoder::new(CLOCK, Channels::Mono, Application::Voip).unwrap();
    let mut decoder = Decoder::new(CLOCK, Channels::Mono).unwrap();
    let mut expected = vec![0; said.len()];
    for (said, expected) in said.chunks(PACKET).zip(expected.chunks_mut(PACKET)) {
        decoder.decode(&coder.encode_vec(said, 1275).unwrap(), expected, false).unwrap();
    }
    is_the_same(&heard, &expected, "opus");
    let noise = noise(&said[24_000..36_000], &heard[23_000..38_000]);
    assert!(noise < NOISE_MAX, "{noise} dB");
}

#[test]
fn who_has_opus_still_speaks_with_who_has_not() {
    let network = Network::new("voice-no-opus");
    let file = network.path("said.wav");
    write(&file, CLOCK, &voice(130.0, CLOCK, CLOCK / 2));
    let (heard, events) = network.says(&file, &["--codec", "opus,amr"], &["--codec", "amr,pcmu"]);
    let established = events.iter().find(|event| event["event"] == "established").unwrap();
    assert_eq!(established["media"]["codec"], "AMR");
    assert_eq!(heard.len(), 4000);
}
