//! Opus, where the program is built with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use opus::{Application, Channels, Decoder, Encoder};

use crate::likeness::{noise, voice};
use crate::program::PATIENCE;
use crate::{Network, common, is_the_same, write};

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

/// The recordings in Opus.
fn recorded(network: &Network) -> Vec<PathBuf> {
    let of =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = of(&network.folder.join("recordings")).flat_map(|day| of(&day).collect::<Vec<_>>());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "opus")).collect()
}

/// What ffmpeg makes of a file: 16 bits a sample, one channel.
fn played(file: &Path) -> Option<Vec<i16>> {
    let file = file.to_str().unwrap();
    // libopus, as a player has it: the decoder that ffmpeg has itself conceals nothing.
    let arguments =
        ["-v", "error", "-c:a", "libopus", "-i", file, "-f", "s16le", "-ac", "1", "-ar", "48000", "-"];
    let Ok(output) = Command::new("ffmpeg").args(arguments).output() else {
        common::leave_out("ffmpeg");
        return None;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Some(output.stdout.chunks_exact(2).map(|octets| i16::from_le_bytes([octets[0], octets[1]])).collect())
}

#[test]
fn a_talk_burst_in_opus_is_recorded_as_it_was_heard() {
    let network = Network::new("voice-opus-record");
    let file = network.path("said.wav");
    write(&file, CLOCK, &voice(300.0, CLOCK, CLOCK));
    let (heard, _) = network.says(&file, &["--codec", "opus"], &[]);
    network.server.signal("TERM");
    let files = recorded(&network);
    assert_eq!(files.len(), 1, "{files:?}");
    let Some(played) = played(&files[0]) else { return };
    assert_eq!(played.len(), heard.len());
    let noise = noise(&heard[24_000..36_000], &played[23_000..38_000]);
    assert!(noise < -40.0, "{noise} dB");
}

#[test]
fn what_a_killed_server_leaves_in_opus_can_be_played_up_to_the_last_second() {
    let network = Network::new("voice-opus-killed");
    let mut ben = network.client("ben", &["answer", "--auto", "--once"]);
    ben.until("published");
    let mut anna = network.client("anna", &["call", "ben", "--codec", "opus", "--talk-for", "20s"]);
    while anna.until("talk-burst")["talk_burst"] != "granted" {}
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) || recorded(&network).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing is recorded");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = begun.elapsed();
    network.server.signal("KILL");
    let Some(played) = played(&recorded(&network)[0]) else { return };
    let missing = said.as_secs_f64() - played.len() as f64 / f64::from(CLOCK);
    assert!(missing < 1.0, "{missing} s are missing");
}
