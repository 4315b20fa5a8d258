//! What is said in a WAV file, and what is heard in another: by way of a server, over real sockets.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![cfg_attr(feature = "opus", expect(clippy::print_stdout, reason = "a test says what it leaves out"))]

#[cfg(all(feature = "devices", target_os = "linux"))]
mod devices;
#[cfg(feature = "opus")]
mod opus;

#[cfg(feature = "opus")]
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/likeness.rs"]
mod likeness;
#[path = "../program/mod.rs"]
mod program;

use std::path::{Path, PathBuf};

use codec_core::codecs::amr::{AmrCodec, AmrVariant};
use codec_core::codecs::g711::{alaw_compress, alaw_expand, ulaw_compress, ulaw_expand};
use codec_core::types::{CodecConfig, VariableRateCodec};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use likeness::voice;
use program::{Folder, Program, client, user};
use serde_json::Value;

/// A server with Anna and Ben.
struct Network {
    folder: Folder,
    #[cfg_attr(not(feature = "opus"), expect(dead_code, reason = "it has to live"))]
    server: Program,
    address: String,
}

impl Network {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let (data, recordings) = (folder.to_str().unwrap(), folder.join("recordings"));
        let recordings = recordings.to_str().unwrap();
        let mut server =
            Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--record", recordings]);
        let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
        for name in ["anna", "ben"] {
            assert_eq!(user(&folder, &["add", name, "--password-stdin"], name).0, Some(0));
            std::fs::write(folder.join(name), name).unwrap();
        }
        Self { folder, server, address }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn client(&self, name: &str, arguments: &[&str]) -> Program {
        client(&self.folder, &self.address, name, arguments)
    }

    /// Anna calls Ben and says this file; what Ben has heard, and what he was told.
    fn says(&self, said: &str, anna: &[&str], ben: &[&str]) -> (Vec<i16>, Vec<Value>) {
        let heard = self.path("heard.wav");
        let mut ben =
            self.client("ben", &[&["answer", "--auto", "--once", "--record", &heard], ben].concat());
        ben.until("published");
        let mut anna = self.client("anna", &[&["call", "ben", "--talk", said], anna].concat());
        while anna.until("talk-burst")["talk_burst"] != "idle" {}
        anna.signal("TERM");
        anna.exit();
        let (code, events, said) = ben.exit();
        assert_eq!(code, Some(0), "{said}");
        (read(Path::new(&heard)), events)
    }
}

fn read(path: &Path) -> Vec<i16> {
    WavReader::open(path).unwrap().samples().map(Result::unwrap).collect()
}

/// Writes what is to be said.
fn write(path: &str, clock: u32, samples: &[i16]) -> PathBuf {
    let spec =
        WavSpec { channels: 1, sample_rate: clock, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    PathBuf::from(path)
}

fn is_the_same(heard: &[i16], said: &[i16], name: &str) {
    let first = heard.iter().zip(said).position(|(heard, said)| heard != said);
    assert_eq!((heard.len(), first), (said.len(), None), "{name}: samples, and the first that differs");
}

#[test]
fn g711_is_heard_sample_for_sample_as_it_was_said() {
    for (name, code, expand) in [
        ("pcmu", ulaw_compress as fn(i16) -> u8, ulaw_expand as fn(u8) -> i16),
        ("pcma", alaw_compress, alaw_expand),
    ] {
        let network = Network::new(&format!("voice-{name}"));
        let said = voice(130.0, 8000, 8000);
        let file = network.path("said.wav");
        write(&file, 8000, &said);
        let (heard, events) = network.says(&file, &["--codec", name], &[]);
        let expected: Vec<_> = said.iter().map(|sample| expand(code(*sample))).collect();
        is_the_same(&heard, &expected, name);
        let told = events.iter().find(|event| event["event"] == "heard").unwrap();
        assert_eq!((&told["packets"], &told["missing"]), (&50.into(), &0.into()));
    }
}

#[test]
fn amr_is_heard_bit_for_bit_as_its_frames_say() {
    for (name, variant) in [("amr", AmrVariant::NarrowBand), ("amr-wb", AmrVariant::WideBand)] {
        let network = Network::new(&format!("voice-{name}"));
        let clock = variant.sample_rate();
        let said = voice(130.0, clock, clock);
        let file = network.path("said.wav");
        write(&file, clock, &said);
        let (heard, events) = network.says(&file, &["--codec", name], &[]);
        let config = match variant {
            AmrVariant::NarrowBand => CodecConfig::amr_nb(),
            AmrVariant::WideBand => CodecConfig::amr_wb(),
        };
        let (mut coder, mut decoder) = (AmrCodec::new(&config).unwrap(), AmrCodec::new(&config).unwrap());
        let expected: Vec<_> = said
            .chunks(variant.frame_samples())
            .flat_map(|samples| decoder.decode_frame(&coder.encode_frame(samples).unwrap()).unwrap())
            .collect();
        is_the_same(&heard, &expected, name);
        let established = events.iter().find(|event| event["event"] == "established").unwrap();
        assert_eq!(established["media"]["codec"], name.to_uppercase());
    }
}

#[test]
fn a_file_of_another_rate_is_said_at_that_of_the_codec() {
    let network = Network::new("voice-rate");
    let file = network.path("said.wav");
    write(&file, 48_000, &voice(130.0, 48_000, 48_000));
    let (heard, _) = network.says(&file, &["--codec", "pcmu"], &[]);
    assert_eq!(heard.len(), 8000);
    assert!(heard.iter().any(|sample| sample.unsigned_abs() > 5000));
}

#[test]
fn what_cannot_be_said_or_recorded_is_told_before_anything_happens() {
    let folder = Folder::new("voice-wrong");
    let text = folder.join("text.wav");
    std::fs::create_dir_all(text.parent().unwrap()).unwrap();
    std::fs::write(&text, "no sound").unwrap();
    for (arguments, told) in [
        (&["--talk", text.to_str().unwrap()][..], "text.wav"),
        (&["--talk", "/nowhere/hello.wav"], "/nowhere/hello.wav"),
        (&["--record", "/nowhere/out.wav"], "/nowhere/out.wav"),
        (&["--talk-after", "1s"], "--talk-after"),
        (&["--codec", "evrc"], "evrc"),
        #[cfg(not(feature = "opus"))]
        (&["--codec", "opus"], "feature opus"),
        #[cfg(not(any(feature = "devices", target_os = "macos")))]
        (&["--microphone"], "--microphone: this program was built without sound devices"),
        #[cfg(not(any(feature = "devices", target_os = "macos")))]
        (&["--loudspeaker"], "--loudspeaker: this program was built without sound devices"),
    ] {
        let call = [&["call", "sip:ben@127.0.0.1:9"], arguments].concat();
        let (code, events, said) = Program::start(&call).exit();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(told) && events.is_empty(), "{said}");
    }
}
