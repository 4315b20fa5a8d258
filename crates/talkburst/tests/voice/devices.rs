//! Microphone and loudspeaker, as pipes that ALSA takes for devices: no sound card, but the way that sound goes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::likeness::{CLOCK, noise, voice};
use crate::program::Program;
use crate::{Network, read};

/// Samples a second of both devices.
const RATE: u32 = 48_000;

/// Of so many samples one is compared.
const THINNED: usize = (RATE / CLOCK) as usize;

/// What such a device takes or gives at once.
const PERIOD: Duration = Duration::from_millis(20);

/// Octets of it.
const OCTETS: usize = 2 * RATE as usize / 50;

/// As much noise as there may be, in decibels below the speech: G.711 alone makes -37.
const NOISE_MAX: f64 = -20.0;

/// A device at this pipe, as ALSA is told of it.
fn device(folder: &Path, name: &str, file: &str) -> (File, String) {
    let pipe = folder.join(format!("{name}.pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (pipe, settings) = (pipe.to_str().unwrap(), folder.join(format!("{name}.conf")));
    let slave = format!("type file slave.pcm {{ type null }} format raw {}", file.replace("PIPE", pipe));
    let text = format!(
        "pcm.!default {{ type plug slave {{ pcm {{ {slave} }} format S16_LE rate {RATE} channels 1 }} }}\n"
    );
    std::fs::write(&settings, text).unwrap();
    // Whoever opens both ends waits for nobody.
    let pipe = OpenOptions::new().read(true).write(true).open(pipe).unwrap();
    (pipe, settings.to_str().unwrap().to_owned())
}

/// A client with this device.
fn client(network: &Network, name: &str, device: &str, arguments: &[&str]) -> Program {
    let password = network.path(name);
    let own = ["--server", &network.address, "--user", name, "--password-file", &password, "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
    Program::start_command(command.args(arguments).args(own).env("ALSA_CONFIG_PATH", device))
}

/// Does this once a period, for as long as it wants.
fn each_period(mut does: impl FnMut() -> bool + Send + 'static) {
    std::thread::spawn(move || {
        let mut at = Instant::now();
        while does() {
            at += PERIOD;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
    });
}

/// Speaks these samples into a microphone, again and again.
fn speak(mut microphone: File, samples: Vec<i16>) {
    let octets: Vec<_> = samples.into_iter().flat_map(i16::to_le_bytes).collect();
    let mut at = 0;
    each_period(move || {
        let done = microphone.write_all(&octets[at..at + OCTETS]).is_ok();
        at = (at + OCTETS) % octets.len();
        done
    });
}

/// What comes out of a loudspeaker.
fn listen(mut loudspeaker: File) -> Receiver<i16> {
    let (sender, heard) = channel();
    let mut octets = [0; OCTETS];
    each_period(move || {
        loudspeaker.read_exact(&mut octets).is_ok()
            && octets.chunks(2).all(|two| sender.send(i16::from_le_bytes([two[0], two[1]])).is_ok())
    });
    heard
}

/// One sample in six, where there is speech.
fn thinned(heard: &[i16]) -> Vec<i16> {
    let is_loud = |sample: &i16| sample.unsigned_abs() > 200;
    let (first, last) = (heard.iter().position(is_loud), heard.iter().rposition(is_loud));
    let spoken = &heard[first.unwrap_or(0)..last.unwrap_or(0)];
    spoken.iter().copied().step_by(THINNED).collect()
}

/// Parts of 100 ms that are heard as they were said, of all: a machine that is slow for a moment spoils no more than one.
fn alike(heard: &[i16], said: &[Vec<i16>]) -> f64 {
    let parts: Vec<_> = heard.chunks_exact(CLOCK as usize / 10).collect();
    let least = |part: &&[i16]| said.iter().map(|said| noise(part, said)).fold(0.0, f64::min);
    let good = parts.iter().filter(|part| least(part) < NOISE_MAX).count();
    good as f64 / parts.len().max(1) as f64
}

#[test]
fn what_the_microphone_hears_comes_from_the_loudspeaker() {
    let network = Network::new("voice-devices");
    let (microphone, anna) = device(&network.folder, "microphone", "file /dev/null infile \"PIPE\"");
    let (loudspeaker, ben) = device(&network.folder, "loudspeaker", "file \"PIPE\"");
    let played = listen(loudspeaker);
    let record = network.path("heard.wav");
    let mut ben =
        client(&network, "ben", &ben, &["answer", "--auto", "--once", "--loudspeaker", "--record", &record]);
    ben.until("published");
    let said = voice(130.0, RATE, 2 * RATE);
    speak(microphone, said.clone());
    let says = ["call", "ben", "--microphone", "--talk-for", "2s", "--codec", "pcma"];
    let mut anna = client(&network, "anna", &anna, &says);
    while anna.until("talk-burst")["talk_burst"] != "idle" {}
    ben.until("heard");
    // What has come is still to be played.
    std::thread::sleep(Duration::from_secs(1));
    anna.signal("TERM");
    assert_eq!(anna.exit().0, Some(0));
    assert_eq!(ben.exit().0, Some(0));
    // Between its samples and those that are heard there is a part of one.
    let said = [0, 2, 4].map(|phase| said.iter().copied().skip(phase).step_by(THINNED).collect());
    let recorded = read(Path::new(&record));
    let played = thinned(&played.try_iter().collect::<Vec<_>>());
    let likeness = [&recorded, &played].map(|heard| alike(heard, &said));
    assert!(recorded.len() > CLOCK as usize * 3 / 2 && played.len() > CLOCK as usize * 3 / 2);
    assert!(likeness.into_iter().all(|likeness| likeness > 0.75), "{likeness:?}");
}

#[test]
fn a_device_that_is_not_there_is_told_before_anything_happens() {
    for option in ["--microphone", "--loudspeaker"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkburst"));
        command.args(["call", "sip:ben@127.0.0.1:9", "--json", option]).env("ALSA_CONFIG_PATH", "/nowhere");
        let (code, events, said) = Program::start_command(&mut command).exit();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(option) && events.is_empty(), "{said}");
    }
}
