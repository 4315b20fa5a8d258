//! What is said, as ffmpeg hears it: a listener of another make at the end of a leg of the server.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
mod program;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use codec_core::codecs::amr::AmrCodec;
use codec_core::codecs::g711::{ulaw_compress, ulaw_expand};
use codec_core::types::{CodecConfig, VariableRateCodec};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use program::{Bound, Folder, PATIENCE, Peer, Program, user};
use sip::Message;
use sip::message::Name;

const CLOCK: u32 = 8000;

/// Seconds that ffmpeg hears; a little more is said.
const HEARD: &str = "2";

/// As much noise as ffmpeg's AMR may have beside ours, in decibels below the speech. In silence, noise and other speech it is near 0.
const NOISE_MAX: f64 = -15.0;

/// Packets may be missing at the beginning, while ffmpeg looks what it hears.
const LATE_MAX: usize = CLOCK as usize / 2;

/// Where a codec stands in a session description.
struct Codec {
    payload: u8,
    lines: &'static str,
}

const PCMU: Codec = Codec { payload: 0, lines: "a=rtpmap:0 PCMU/8000\r\n" };
const AMR: Codec = Codec { payload: 97, lines: "a=rtpmap:97 AMR/8000/1\r\na=fmtp:97 octet-align=1\r\n" };

/// Whether ffmpeg is there.
fn has_ffmpeg() -> bool {
    let start = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = start.is_ok();
    if !found {
        common::leave_out("ffmpeg");
    }
    found
}

/// ffmpeg, which writes what comes to a port.
struct Listener {
    child: Bound,
    port: u16,
}

impl Listener {
    fn start(codec: &Codec, folder: &Path) -> Self {
        let port = free_pair();
        let sdp = folder.join("leg.sdp");
        std::fs::write(&sdp, description(codec, port)).unwrap();
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
        command.args(["-protocol_whitelist", "file,udp,rtp", "-i"]).arg(&sdp);
        command
            .args(["-ar", "8000", "-ac", "1", "-t", HEARD, "-c:a", "pcm_s16le"])
            .arg(folder.join("heard.wav"));
        let child = Bound(command.stdin(Stdio::null()).spawn().unwrap());
        let (until, shown) = (Instant::now() + PATIENCE, format!(":{port:04X} "));
        while !std::fs::read_to_string("/proc/net/udp").unwrap().contains(&shown) {
            assert!(Instant::now() < until, "never: ffmpeg listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, port }
    }

    /// What it has written once it has heard as much as was asked for, or nothing for ten seconds.
    fn heard(mut self, folder: &Path) -> Vec<i16> {
        let until = Instant::now() + PATIENCE;
        while self.child.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "ffmpeg does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        WavReader::open(folder.join("heard.wav")).unwrap().samples().map(Result::unwrap).collect()
    }
}

/// A free port for speech whose neighbour is free for reports.
fn free_pair() -> u16 {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port.is_multiple_of(2) && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn description(codec: &Codec, port: u16) -> String {
    let Codec { payload, lines } = codec;
    format!(
        "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload}\r\n{lines}"
    )
}

/// Anna calls Ben, who is of another domain, and says this; what ffmpeg hears in his place.
fn says(name: &str, codec: &Codec, said: &[i16]) -> Option<Vec<i16>> {
    if !has_ffmpeg() {
        return None;
    }
    let folder = Folder::new(&format!("ffmpeg-{name}"));
    let (peer, core) = Peer::open();
    let other = format!("other.example={core}");
    let data = folder.to_str().unwrap();
    let mut server = Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--peer", &other]);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    assert_eq!(user(&folder, &["add", "anna", "--password-stdin"], "anna").0, Some(0));
    let [password, file] = ["anna", "said.wav"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    std::fs::write(&password, "anna").unwrap();
    write(&file, said);
    let listener = Listener::start(codec, &folder);
    let control = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut anna = Program::start(&[
        "call",
        "sip:ben@other.example",
        "--server",
        &address,
        "--user",
        "anna",
        "--password-file",
        &password,
        "--codec",
        name,
        "--talk",
        &file,
    ]);
    let (invite, from) = peer.request();
    let body = description(codec, listener.port)
        + &format!(
            "m=application {} udp TBCP\r\na=fmtp:TBCP queuing=1\r\n",
            control.local_addr().unwrap().port()
        );
    accept(&peer, &invite, from, &body);
    anna.until("established");
    while anna.until("talk-burst")["talk_burst"] != "idle" {}
    anna.signal("TERM");
    anna.exit();
    Some(listener.heard(&folder))
}

/// The answer of one who takes the call. What is asked of him later he does not answer.
fn accept(peer: &Peer, invite: &Message, to: SocketAddr, body: &str) {
    let mut text = "SIP/2.0 200 OK\r\n".to_owned();
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::To, Name::CallId, Name::CSeq] {
        for value in invite.values(name) {
            let tag = if name == Name::To { ";tag=ben" } else { "" };
            text += &format!("{}: {}{tag}\r\n", name.as_str(), std::str::from_utf8(value).unwrap());
        }
    }
    text += &format!(
        "Contact: <sip:ben@{}>;+g.poc.talkburst\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        peer.socket.local_addr().unwrap(),
        body.len()
    );
    peer.socket.send_to(text.as_bytes(), to).unwrap();
}

fn write(path: &str, samples: &[i16]) {
    let spec =
        WavSpec { channels: 1, sample_rate: CLOCK, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
}

/// A pitch with its harmonics that goes up and down, so that no two packets are alike.
fn voice(pitch: f64) -> Vec<i16> {
    let sample = |at: u32| {
        let seconds = f64::from(at) / f64::from(CLOCK);
        let angle = std::f64::consts::TAU * (pitch * seconds + 4.0 * (3.0 * seconds).sin());
        ((1..10).map(|number| (angle * f64::from(number)).sin() / f64::from(number)).sum::<f64>() * 6000.0)
            as i16
    };
    (0..2 * CLOCK + CLOCK / 5).map(sample).collect()
}

/// The least noise in `heard` that any delay of it makes, in decibels below `said`: 0 if they have nothing in common.
fn noise(said: &[i16], heard: &[i16]) -> f64 {
    let power = |samples: &[i16]| samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    // A second of both.
    let said = &said[LATE_MAX..LATE_MAX + CLOCK as usize];
    let at = |lag: usize| {
        let Some(heard) = heard.get(lag..lag + said.len()) else { return 1.0 };
        let product: f64 =
            said.iter().zip(heard).map(|(said, heard)| f64::from(*said) * f64::from(*heard)).sum();
        // What is left of one after as much of the other as fits best has been taken away.
        1.0 - product.max(0.0).powi(2) / (power(said) * power(heard)).max(1.0)
    };
    let least = (0..2 * LATE_MAX).map(at).min_by(f64::total_cmp).unwrap_or(1.0);
    10.0 * least.max(1e-12).log10()
}

#[test]
fn ffmpeg_hears_g711_sample_for_sample_as_it_was_said() {
    let said = voice(130.0);
    let Some(heard) = says("pcmu", &PCMU, &said) else { return };
    let expected: Vec<_> = said.iter().map(|sample| ulaw_expand(ulaw_compress(*sample))).collect();
    let first = expected.windows(heard.len().max(1)).position(|window| window == heard);
    let noise = noise(&said, &heard);
    assert!(heard.len() == 2 * CLOCK as usize && first.is_some(), "{} samples, {noise} dB", heard.len());
}

#[test]
fn ffmpeg_hears_in_amr_what_was_said() {
    let said = voice(130.0);
    let Some(heard) = says("amr", &AMR, &said) else { return };
    // What AMR has made of it, for a listener of ours: ffmpeg counts with fractions where we do not.
    let config = CodecConfig::amr_nb();
    let (mut coder, mut decoder) = (AmrCodec::new(&config).unwrap(), AmrCodec::new(&config).unwrap());
    let expected: Vec<_> = said
        .chunks(160)
        .flat_map(|samples| decoder.decode_frame(&coder.encode_frame(samples).unwrap()).unwrap())
        .collect();
    let noise = noise(&expected, &heard);
    assert!(noise < NOISE_MAX, "{noise} dB");
}

#[test]
fn silence_noise_and_other_speech_are_not_what_was_said() {
    let said = voice(130.0);
    let mut chance = 1_u32;
    let hiss = (0..said.len()).map(|_| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance.cast_signed() >> 18) as i16
    });
    for (what, heard) in [
        ("silence", vec![0; said.len()]),
        ("noise", hiss.collect()),
        ("another", voice(190.0)),
        ("nothing", vec![]),
    ] {
        let noise = noise(&said, &heard);
        assert!(noise > -3.0, "{what}: {noise} dB");
    }
    assert!(noise(&said, &said) < -100.0);
}
