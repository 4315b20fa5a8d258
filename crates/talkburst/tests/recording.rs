//! A server that records: what is in its files is what was heard, and others can play it, whatever ends the server.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod common;
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use etherparse::{NetHeaders, PacketHeaders, PayloadSlice};
use pcap_file::pcap::PcapReader;
use program::{Folder, PATIENCE, Program, client, user};
use rtp_types::RtpPacket;
use serde_json::Value;

/// Samples a second of G.711.
const CLOCK: usize = 8000;

/// A server that records into the second folder, with Anna and Ben.
fn network(name: &str) -> (Folder, PathBuf, Program, String) {
    let folder = Folder::new(name);
    let (data, recordings) = (folder.to_str().unwrap(), folder.join("recordings"));
    let mut server = Program::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data,
        "--record",
        recordings.to_str().unwrap(),
    ]);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    for name in ["anna", "ben"] {
        assert_eq!(user(&folder, &["add", name, "--password-stdin"], name).0, Some(0));
        std::fs::write(folder.join(name), name).unwrap();
    }
    (folder, recordings, server, address)
}

/// All files that were recorded, and all lines about them.
fn recorded(folder: &Path) -> (Vec<PathBuf>, Vec<Value>) {
    let of =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = of(folder).flat_map(|day| of(&day).collect::<Vec<_>>());
    let (index, files): (Vec<_>, Vec<_>) = files.partition(|file| file.extension().unwrap() == "jsonl");
    let lines = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
    };
    (files, index.iter().flat_map(lines).collect())
}

/// What a WAV file says that its samples are; `None` if it is not there or not begun.
fn samples(path: &Path) -> Option<Vec<u8>> {
    let file = std::fs::read(path).ok()?;
    let length = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let mut at = 12;
    while &file.get(at..at + 4)? != b"data" {
        at += 8 + length(at + 4)?.next_multiple_of(2);
    }
    Some(file.get(at + 8..at + 8 + length(at + 4)?)?.to_vec())
}

/// The payload of each packet of speech that came, in order.
fn heard(capture: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(std::fs::File::open(capture).unwrap()).unwrap();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let Ok(PacketHeaders { net: Some(NetHeaders::Ipv4(..)), payload: PayloadSlice::Udp(udp), .. }) =
            PacketHeaders::from_ip_slice(&packet.data)
        else {
            continue;
        };
        if let Ok(speech) = RtpPacket::parse(udp)
            && speech.payload_type() == 0
            && speech.payload().len() == 160
            && seen.insert(speech.sequence_number())
        {
            found.push(speech.payload().to_vec());
        }
    }
    found
}

/// What a player makes of a file: 16 bits a sample, 8000 a second.
fn played(file: &Path) -> Option<Vec<i16>> {
    let arguments =
        ["-v", "error", "-xerror", "-i", file.to_str().unwrap(), "-f", "s16le", "-ar", "8000", "-"];
    let Ok(output) = Command::new("ffmpeg").args(arguments).output() else {
        common::leave_out("ffmpeg");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout.chunks_exact(2).map(|octets| i16::from_le_bytes([octets[0], octets[1]])).collect())
}

#[test]
fn a_talk_burst_is_recorded_octet_for_octet_as_it_was_heard() {
    let (folder, recordings, server, address) = network("record-one");
    let capture = folder.join("ben.pcap");
    let mut ben = client(
        &folder,
        &address,
        "ben",
        &["answer", "--auto", "--once", "--pcap", capture.to_str().unwrap()],
    );
    ben.until("published");
    let anna =
        client(&folder, &address, "anna", &["call", "ben", "--talk-for", "600ms", "--leave-after", "900ms"]);
    assert_eq!(anna.exit().0, Some(0));
    assert_eq!(ben.exit().0, Some(0));
    server.signal("TERM");
    assert_eq!(server.exit().0, Some(0));
    let (files, lines) = recorded(&recordings);
    assert_eq!(files.len(), 1, "{files:?}");
    let heard = heard(&capture).concat();
    assert!(heard.len() >= CLOCK / 2, "{} samples", heard.len());
    assert_eq!(samples(&files[0]).unwrap(), heard);
    assert_eq!(lines[0]["talker"], "sip:anna@poc.internal");
    assert_eq!((&lines[1]["ending"], &lines[1]["late_packets"]), (&"released".into(), &0.into()));
    assert_eq!(lines[1]["seconds"].as_f64().unwrap(), heard.len() as f64 / CLOCK as f64);
    let Some(played) = played(&files[0]) else { return };
    assert_eq!(played.len(), heard.len());
    let crossings = played.windows(2).filter(|two| (two[0] < 0) != (two[1] < 0)).count();
    let hertz = crossings as f64 / 2.0 / (played.len() as f64 / CLOCK as f64);
    assert!((430.0..450.0).contains(&hertz), "a tone of 440 Hz was said: {hertz}");
}

#[test]
fn what_a_killed_server_leaves_can_be_played_up_to_the_last_second() {
    let (folder, recordings, server, address) = network("record-killed");
    let mut ben = client(&folder, &address, "ben", &["answer", "--auto", "--once"]);
    ben.until("published");
    let mut anna = client(&folder, &address, "anna", &["call", "ben", "--talk-for", "20s"]);
    while anna.until("talk-burst")["talk_burst"] != "granted" {}
    let (begun, wanted) = (Instant::now(), 2 * CLOCK);
    let file = loop {
        assert!(begun.elapsed() < PATIENCE, "nothing is recorded");
        std::thread::sleep(Duration::from_millis(5));
        let file = recorded(&recordings).0.pop();
        if let Some(file) = file.filter(|file| samples(file).is_some_and(|samples| samples.len() >= wanted)) {
            break file;
        }
    };
    let said = begun.elapsed();
    server.signal("KILL");
    server.exit();
    let left = samples(&file).unwrap();
    let missing = said.as_secs_f64() - left.len() as f64 / CLOCK as f64;
    assert!(missing < 1.0, "{missing} s are missing");
    if let Some(played) = played(&file) {
        assert_eq!(played.len(), left.len());
    }
}

#[test]
fn nothing_is_recorded_where_nobody_wants_it() {
    let (folder, recordings, server, _) = network("record-none");
    drop(server);
    let data = folder.to_str().unwrap();
    let mut server = Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    let mut ben = client(&folder, &address, "ben", &["answer", "--auto", "--once"]);
    ben.until("published");
    let anna =
        client(&folder, &address, "anna", &["call", "ben", "--talk-for", "200ms", "--leave-after", "400ms"]);
    assert_eq!(anna.exit().0, Some(0));
    assert_eq!(ben.exit().0, Some(0));
    assert!(recorded(&recordings).0.is_empty());
}

#[test]
fn a_folder_that_cannot_be_used_is_told_before_anything_is_served() {
    let folder = Folder::new("record-where");
    let data = folder.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--record", "/dev/null/recordings"];
    let (code, _, said) = Program::start(&arguments).exit();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("/dev/null/recordings"), "{said}");
}
