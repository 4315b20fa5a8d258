//! AMR beside opencore-amr, which is linked with a program of a few lines and run as a process: sample for sample, bit for bit.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use poc::sdp::Codec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::codec::{Coder, Decoder};

#[path = "../../tests/common/mod.rs"]
#[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
mod common;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/voice/reference/opencore.c");
const LIBRARY: &str = "libopencore-amrnb-dev";

/// Of the modes of speech, comfort noise, and a frame without anything.
const MODES: u8 = 8;
const COMFORT_NOISE: u8 = 8;
const NO_DATA: u8 = 15;

/// Octets of a frame of each type; there is none of the types between.
const OCTETS: [usize; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0];

/// Samples of a frame.
const FRAME: usize = 160;

/// opencore-amr as a process.
struct Reference(PathBuf);

impl Drop for Reference {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

impl Reference {
    /// `None` on a machine of one's own that does not have the library.
    fn new(name: &str) -> Option<Self> {
        let compile = |arguments: &[&str]| Command::new("cc").args(arguments).output();
        let header = "opencore-amrnb/interf_dec.h";
        let is_there = compile(&["-fsyntax-only", "-include", header, "-x", "c", "/dev/null"])
            .is_ok_and(|done| done.status.success());
        if !is_there {
            common::leave_out(LIBRARY);
            return None;
        }
        let path = std::env::temp_dir().join(format!("talkburst-opencore-{}-{name}", std::process::id()));
        let done = compile(&["-O2", "-o", path.to_str().unwrap(), SOURCE, "-lopencore-amrnb"]).unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(Self(path))
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(&self.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let done = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", done.status);
        done.stdout
    }

    fn encode(&self, mode: u8, is_dtx: bool, samples: &[i16]) -> Vec<Frame> {
        let input: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let coded = self.run(&["encode", &mode.to_string(), if is_dtx { "1" } else { "0" }], &input);
        let (mut rest, mut frames) = (&coded[..], Vec::new());
        while let Some((contents, after)) = rest.split_first() {
            let kind = contents >> 3 & 0xf;
            let (bits, after) = after.split_at(OCTETS[usize::from(kind)]);
            frames.push(Frame { kind, bits: bits.to_vec() });
            rest = after;
        }
        frames
    }

    fn decode(&self, frames: &[Frame]) -> Vec<i16> {
        let stored = |frame: &Frame| [&[frame.contents()], &frame.bits[..]].concat();
        let samples = self.run(&["decode"], &frames.iter().flat_map(stored).collect::<Vec<_>>());
        samples.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    }
}

/// 20 ms of AMR.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Frame {
    kind: u8,
    /// Filled up with zeros to whole octets.
    bits: Vec<u8>,
}

impl Frame {
    /// Its entry in a table of contents, of the last frame and undamaged (RFC 4867 §4.4.2).
    const fn contents(&self) -> u8 {
        self.kind << 3 | 4
    }

    /// A packet of nothing else, without a wish for a mode (RFC 4867 §4.4.1).
    fn packet(&self) -> Vec<u8> {
        [&[0xf0, self.contents()], &self.bits[..]].concat()
    }
}

fn amr(parameters: &str) -> Codec {
    let parameters = parameters.to_owned();
    Codec { payload: 97, name: "AMR".to_owned(), clock: 8000, channels: 1, parameters }
}

/// What we hear of these frames.
fn heard(frames: &[Frame]) -> Vec<i16> {
    let mut decoder = Decoder::new(&amr("octet-align=1")).unwrap();
    let mut heard = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        match frame.kind {
            // Where nothing is sent and where something is lost the same is heard: each of both in turn.
            NO_DATA if at % 2 == 1 => decoder.missing(FRAME as u32, &mut heard),
            _ => decoder.speech(&frame.packet(), &mut heard),
        }
    }
    heard
}

/// Where the first differ.
#[track_caller]
fn is_the_same<T: PartialEq + std::fmt::Debug>(ours: &[T], theirs: &[T], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    if let Some(at) = (0..ours.len()).find(|at| ours[*at] != theirs[*at]) {
        panic!("{what}: at {at} of {}: {:?}, and not {:?}", ours.len(), ours[at], theirs[at]);
    }
}

/// Eight seconds of something like a voice: words of a pitch that glides, with a noise in front of them, and pauses of a second in
/// which little is heard.
fn voice() -> Vec<i16> {
    let (mut phase, mut noise) = (0.0, 1_u32);
    let sample = |at: usize| {
        let seconds = at as f64 / 8000.0;
        let (word, within) = ((seconds / 2.0).floor(), seconds % 2.0);
        phase += (110.0 + 40.0 * word + 30.0 * (within * 3.0).sin()) / 8000.0;
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = f64::from(noise.cast_signed()) / 2_147_483_648.0;
        let formant = |number: u32| {
            let pitch = (std::f64::consts::TAU * phase * f64::from(number)).sin();
            pitch * (1.0 + (f64::from(number) * 0.9 + within * 4.0).cos()) / f64::from(number)
        };
        let loud = match within {
            _ if within < 0.1 => hiss * 2500.0,
            _ if within < 1.0 => (1..20).map(formant).sum::<f64>() * 5000.0 * (within * 20.0).sin().abs(),
            _ => 0.0,
        };
        (loud + hiss * 12.0) as i16
    };
    (0..64_000).map(sample).collect()
}

#[test]
fn all_modes_are_decoded_sample_for_sample_as_opencore_decodes_them() {
    let Some(reference) = Reference::new("decode") else { return };
    for mode in 0..MODES {
        let frames = reference.encode(mode, false, &voice());
        assert_eq!(frames.len(), voice().len() / FRAME);
        assert!(frames.iter().all(|frame| frame.kind == mode));
        is_the_same(&heard(&frames), &reference.decode(&frames), &format!("mode {mode}"));
    }
}

#[test]
fn pauses_and_comfort_noise_are_decoded_as_opencore_decodes_them() {
    let Some(reference) = Reference::new("noise") else { return };
    for mode in 0..MODES {
        let frames = reference.encode(mode, true, &voice());
        let of = |kind| frames.iter().filter(|frame| frame.kind == kind).count();
        let (speech, noise, nothing) = (of(mode), of(COMFORT_NOISE), of(NO_DATA));
        assert!(speech > 100 && noise > 10 && nothing > 50, "{speech}, {noise} and {nothing} frames");
        is_the_same(&heard(&frames), &reference.decode(&frames), &format!("mode {mode} with pauses"));
    }
}

#[test]
fn changes_of_the_mode_with_pauses_and_losses_are_decoded_as_opencore_decodes_them() {
    let Some(reference) = Reference::new("changes") else { return };
    for is_dtx in [false, true] {
        let streams: Vec<_> = (0..MODES).map(|mode| reference.encode(mode, is_dtx, &voice())).collect();
        // Of each frame the mode in which it is coded, and whether it is lost; nothing is lost before the first.
        let frame = (0..streams.len(), prop::bool::weighted(0.1));
        let frames = prop::collection::vec(frame, voice().len() / FRAME);
        let (one, held) = (frames.clone(), (frames, 1..40_usize));
        let held = held.prop_map(|(frames, span)| {
            let mode = |at: usize| frames[at / span * span].0;
            frames.iter().enumerate().map(|(at, (_, is_lost))| (mode(at), *is_lost)).collect::<Vec<_>>()
        });
        TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() })
            .run(&prop_oneof![one, held], |frames| {
                let frame = |(at, (mode, is_lost)): (usize, &(usize, bool))| match *is_lost && at > 0 {
                    true => Frame { kind: NO_DATA, bits: Vec::new() },
                    false => streams[*mode][at].clone(),
                };
                let frames: Vec<_> = frames.iter().enumerate().map(frame).collect();
                is_the_same(&heard(&frames), &reference.decode(&frames), "of all modes");
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn all_modes_are_encoded_bit_for_bit_as_opencore_encodes_them() {
    let Some(reference) = Reference::new("encode") else { return };
    for mode in 0..MODES {
        let mut coder = Coder::new(&amr(&format!("octet-align=1; mode-set={mode}"))).unwrap();
        let samples = voice();
        let ours: Vec<_> =
            samples.chunks(FRAME).map(|samples| coder.encode(samples).unwrap().to_vec()).collect();
        let theirs: Vec<_> = reference.encode(mode, false, &samples).iter().map(Frame::packet).collect();
        is_the_same(&ours, &theirs, &format!("mode {mode}"));
    }
}
