//! What is said, as ffmpeg hears it: a listener of another make at the end of a leg of the server.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
#[path = "common/likeness.rs"]
mod likeness;
mod program;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use codec_core::codecs::amr::AmrCodec;
use codec_core::codecs::g711::{ulaw_compress, ulaw_expand};
use codec_core::types::{CodecConfig, VariableRateCodec};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use likeness::{CLOCK, noise, voice};
use program::{Bound, Folder, PATIENCE, Peer, Program, user};
use sip::Message;
use sip::message::Name;

/// Seconds that ffmpeg hears; a little more is said.
const HEARD: &str = "2";

/// As much noise as ffmpeg's AMR may have beside ours, in decibels below the speech. In silence, noise and other speech it is near 0.
const NOISE_MAX: f64 = -15.0;

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

/// A second of it that ffmpeg has heard, although it may miss packets while it looks what they are.
fn second(said: &[i16]) -> &[i16] {
    &said[CLOCK as usize / 2..CLOCK as usize * 3 / 2]
}

#[test]
fn ffmpeg_hears_g711_sample_for_sample_as_it_was_said() {
    let said = voice(130.0, CLOCK, 2 * CLOCK + CLOCK / 5);
    let Some(heard) = says("pcmu", &PCMU, &said) else { return };
    let expected: Vec<_> = said.iter().map(|sample| ulaw_expand(ulaw_compress(*sample))).collect();
    let first = expected.windows(heard.len().max(1)).position(|window| window == heard);
    let noise = noise(second(&said), &heard);
    assert!(heard.len() == 2 * CLOCK as usize && first.is_some(), "{} samples, {noise} dB", heard.len());
}

#[test]
fn ffmpeg_hears_in_amr_what_was_said() {
    let said = voice(130.0, CLOCK, 2 * CLOCK + CLOCK / 5);
    let Some(heard) = says("amr", &AMR, &said) else { return };
    // What AMR has made of it, for a listener of ours: ffmpeg counts with fractions where we do not.
    let config = CodecConfig::amr_nb();
    let (mut coder, mut decoder) = (AmrCodec::new(&config).unwrap(), AmrCodec::new(&config).unwrap());
    let expected: Vec<_> = said
        .chunks(160)
        .flat_map(|samples| decoder.decode_frame(&coder.encode_frame(samples).unwrap()).unwrap())
        .collect();
    let noise = noise(second(&expected), &heard);
    assert!(noise < NOISE_MAX, "{noise} dB");
}
