use std::time::Duration;

use bytes::Bytes;
use codec_core::codecs::amr::storage;
use poc::amr::Format;
use poc::media::Encoding;
use poc::talk_burst::controlling::Ending;
use rtp_types::RtpPacketBuilder;

use super::*;
use crate::store::fixture::Scratch;

/// The parts of a WAV file, as far as it says that it goes.
fn chunks(file: &[u8]) -> Vec<(&str, &[u8])> {
    let length = |octets: &[u8]| u32::from_le_bytes(octets[..4].try_into().unwrap()) as usize;
    assert_eq!((&file[..4], &file[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
    let (mut rest, mut found) = (&file[12..8 + length(&file[4..])], Vec::new());
    while !rest.is_empty() {
        let (name, size) = (std::str::from_utf8(&rest[..4]).unwrap(), length(&rest[4..]));
        found.push((name, &rest[8..8 + size]));
        rest = rest.get(8 + size.next_multiple_of(2)..).unwrap_or_default();
    }
    found
}

fn chunk<'a>(file: &'a [u8], name: &str) -> &'a [u8] {
    chunks(file).into_iter().find(|(each, _)| *each == name).unwrap().1
}

/// 20 ms of a value.
fn packet(value: u8) -> Vec<u8> {
    vec![value; 160]
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A talk burst in G.711 µ-law, and its file.
fn take(scratch: &Scratch) -> (Take, PathBuf) {
    take_in(scratch, Encoding::Pcmu)
}

fn take_in(scratch: &Scratch, encoding: Encoding) -> (Take, PathBuf) {
    let mut container = Container::new(encoding).unwrap();
    let path = scratch.path().join("take");
    let about = About { talker: "sip:anna@a", session: "sip:1@a", begun: "2026-11-25T12:14:38.123Z" };
    let head = container.begin(&about);
    (Take::begin(container, File::create(&path).unwrap(), &head).unwrap(), path)
}

/// What is in the file.
fn samples(path: &Path) -> Vec<u8> {
    chunk(&fs::read(path).unwrap(), "data").to_vec()
}

#[test]
fn a_file_has_what_was_said_and_who_said_it() {
    let scratch = Scratch::new();
    let (mut take, path) = take(&scratch);
    for number in 0..4 {
        take.put(ms(u64::from(number) * 20), 7000 + number * 160, &packet(number as u8 + 1)).unwrap();
    }
    let counts = take.end().unwrap();
    assert_eq!((counts.packets, counts.samples, counts.filled, counts.late), (4, 640, 0, 0));
    let file = fs::read(&path).unwrap();
    assert_eq!(chunk(&file, "data"), [packet(1), packet(2), packet(3), packet(4)].concat());
    let format = chunk(&file, "fmt ");
    assert_eq!((format[0], format[2], format[14]), (7, 1, 8), "µ-law, one channel, 8 bits");
    assert_eq!(chunk(&file, "fact"), 640u32.to_le_bytes());
    let information = String::from_utf8_lossy(chunk(&file, "LIST")).into_owned();
    for told in ["sip:anna@a", "sip:1@a", "2026-11-25T12:14:38.123Z"] {
        assert!(information.contains(told), "{information:?}");
    }
}

#[test]
fn a_file_is_whole_after_every_flush_whatever_ends_the_program() {
    let scratch = Scratch::new();
    let (mut take, path) = take(&scratch);
    for number in 0..100u32 {
        take.put(ms(u64::from(number) * 20), number * 160, &packet(1)).unwrap();
        if number % 25 == 24 {
            take.flush(false).unwrap();
            let file = fs::read(&path).unwrap();
            assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize + 8, file.len());
            let missing = (number as usize + 1) * 160 - chunk(&file, "data").len();
            assert!(missing <= 11 * 160, "{missing} samples are not there");
        }
    }
}

#[test]
fn packets_are_put_in_order_and_none_is_there_twice() {
    let scratch = Scratch::new();
    let (mut take, path) = take(&scratch);
    for (at, number) in (0..).zip([2u8, 1, 3, 3, 5, 4]) {
        take.put(ms(at * 20), u32::from(number) * 160, &packet(number)).unwrap();
    }
    take.flush(true).unwrap();
    take.put(ms(120), 480, &packet(9)).unwrap();
    assert_eq!((take.counts.packets, take.counts.late), (5, 2));
    let expected: Vec<u8> = (1..6).flat_map(packet).collect();
    assert_eq!(samples(&path), expected);
}

#[test]
fn what_never_came_is_silence_of_the_same_length() {
    let scratch = Scratch::new();
    for (encoding, silence) in [(Encoding::Pcmu, 0xff), (Encoding::Pcma, 0xd5)] {
        let (mut take, path) = take_in(&scratch, encoding);
        take.put(ms(0), 0, &packet(1)).unwrap();
        take.put(ms(60), 480, &packet(4)).unwrap();
        assert_eq!(take.end().unwrap().filled, 320);
        assert_eq!(samples(&path), [packet(1), packet(silence), packet(silence), packet(4)].concat());
    }
}

#[test]
fn no_file_is_longer_than_the_time_that_has_passed_whatever_a_talker_claims() {
    let scratch = Scratch::new();
    let (mut take, path) = take(&scratch);
    let mut timestamp = 5u32;
    for number in 0..500 {
        timestamp = timestamp.wrapping_add([160, 80_000_000, 3_000_000_000, 160_000][number % 4]);
        take.put(ms(number as u64 * 20), timestamp, &packet(1)).unwrap();
    }
    let counts = take.end().unwrap();
    assert!(counts.samples <= (10_000 + 1_000) * 8, "{counts:?}");
    assert_eq!(samples(&path).iter().filter(|sample| **sample == 1).count() as u64, counts.packets * 160);
    assert!(counts.packets > 400, "{counts:?}");
}

#[test]
fn amr_is_stored_frame_by_frame_however_it_was_packed() {
    let scratch = Scratch::new();
    // The same frame of 4.75 kbit/s, with 95 bits set, octet-aligned and bandwidth-efficient.
    let aligned = [&[0xf0, 0x04][..], &[0xff; 11], &[0xfe]].concat();
    let efficient = [&[0xf0, 0x7f][..], &[0xff; 11], &[0xc0]].concat();
    let mut files = Vec::new();
    for (is_octet_aligned, payload) in [(true, aligned), (false, efficient)] {
        let (mut take, path) = take_in(&scratch, Encoding::Amr(Format { is_wide: false, is_octet_aligned }));
        take.put(ms(0), 0, &payload).unwrap();
        take.put(ms(60), 480, &payload).unwrap();
        let counts = take.end().unwrap();
        assert_eq!((counts.samples, counts.filled), (640, 320));
        files.push(fs::read(path).unwrap());
    }
    assert_eq!(files[0], files[1]);
    let (_, frames) = storage::read(&files[0]).unwrap();
    let lengths: Vec<_> = frames.iter().map(|frame| frame.data.len()).collect();
    assert_eq!(lengths, [12, 0, 0, 12], "what never came is NO_DATA (RFC 4867 §5.3)");
}

/// A recorder that is told all of this, and the names of its files with the lines of its index.
fn recorded(scratch: &Scratch, all: Vec<Recording>) -> (Vec<String>, Vec<serde_json::Value>) {
    let folder = scratch.path().join("recordings");
    let condition = Arc::<Condition>::default();
    let (sender, thread) = start(&folder, Clock::start(), Arc::clone(&condition)).unwrap();
    all.into_iter().for_each(|recording| sender.send((0, recording)).unwrap());
    drop(sender);
    thread.join().unwrap();
    assert!(!condition.is_recording_failing.load(Ordering::Relaxed));
    let days = fs::read_dir(&folder).unwrap().map(|day| day.unwrap().path());
    let files = days.flat_map(|day| fs::read_dir(day).unwrap().map(|file| file.unwrap().path()));
    let (index, files): (Vec<_>, Vec<_>) = files.partition(|path| path.ends_with(index::NAME));
    let lines = index.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
    });
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = files.iter().map(name).collect();
    names.sort();
    (names, lines.collect())
}

fn begins(burst: u64, talker: &'static str) -> Recording {
    Recording::Begins(Box::new(Beginning {
        burst,
        at: Instant::at(Duration::ZERO),
        session: Bytes::from_static(b"sip:1@poc.internal"),
        group: Bytes::new(),
        talker: Bytes::from_static(talker.as_bytes()),
        encoding: Encoding::Pcmu,
    }))
}

fn speech(burst: u64, sequence: u16) -> Recording {
    let payload = packet(1);
    let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(0)
        .sequence_number(sequence)
        .timestamp(u32::from(sequence) * 160)
        .payload(&payload);
    Recording::Speech { burst, bytes: packet.write_vec().unwrap().into() }
}

fn ends(burst: u64, is_heard: bool) -> Recording {
    Recording::Ends { burst, at: Instant::at(Duration::ZERO), ending: Ending::Released, is_heard }
}

#[test]
fn a_talk_burst_is_a_file_and_two_lines_of_the_index() {
    let scratch = Scratch::new();
    let all = vec![begins(1, "sip:anna@poc.internal"), speech(1, 1), speech(1, 3), ends(1, true)];
    let (names, lines) = recorded(&scratch, all);
    assert_eq!(names.len(), 1);
    assert!(names[0].ends_with("-anna-0.1.wav"), "{names:?}");
    assert_eq!(
        (&lines[0]["event"], &lines[0]["talker"]),
        (&"begins".into(), &"sip:anna@poc.internal".into())
    );
    assert_eq!((&lines[0]["session"], &lines[0]["codec"]), (&"sip:1@poc.internal".into(), &"PCMU".into()));
    assert_eq!((&lines[1]["event"], &lines[1]["ending"]), (&"ends".into(), &"released".into()));
    assert_eq!((&lines[1]["seconds"], &lines[1]["seconds_filled"]), (&0.06.into(), &0.02.into()));
    assert!(lines.iter().all(|line| line["file"] == names[0][..]), "{lines:?}");
}

#[test]
fn what_nobody_has_heard_remains_nowhere() {
    let scratch = Scratch::new();
    let (names, lines) = recorded(&scratch, vec![begins(1, "sip:anna@a"), speech(1, 1), ends(1, false)]);
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(lines[1]["event"], "unheard");
}

#[test]
fn what_is_not_over_when_the_server_stops_is_ended() {
    let scratch = Scratch::new();
    let (names, lines) = recorded(&scratch, vec![begins(1, "sip:anna@a"), speech(1, 1)]);
    assert_eq!((names.len(), &lines[1]["ending"], &lines[1]["packets"]), (1, &"stopped".into(), &1.into()));
}

#[test]
fn the_name_of_a_file_stays_in_its_folder() {
    for (talker, name) in [
        ("sip:anna@poc.internal", "anna"),
        ("tel:+4930123", "+4930123"),
        ("sip:../../etc/x@a", "______etc_x"),
        ("sip:%2e%2e@a", "_2e_2e"),
        ("sip:\u{202e}\n\0@a", "___"),
        ("", ""),
    ] {
        assert_eq!(name_of(talker), name);
    }
    assert_eq!(name_of(&format!("sip:{}@a", "x".repeat(300))).len(), NAME_MAX);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_once() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(start(&file.join("recordings"), Clock::start(), Arc::default()).is_err());
}

#[test]
fn opus_is_stored_packet_by_packet_and_what_never_came_is_a_packet_without_a_frame() {
    let scratch = Scratch::new();
    let (mut take, path) = take_in(&scratch, Encoding::Opus);
    // 20, 40 and 20 ms; 40 ms are missing between the second and the third.
    take.put(ms(0), 5000, &[0x08, 1]).unwrap();
    take.put(ms(20), 5960, &[0x10, 2, 2]).unwrap();
    take.flush(true).unwrap();
    let unfinished = packets(&path);
    take.put(ms(100), 9800, &[0x08, 3]).unwrap();
    let counts = take.end().unwrap();
    assert_eq!((counts.packets, counts.samples, counts.filled), (3, 5760, 1920));
    let found = packets(&path);
    assert_eq!(unfinished, found[..4], "it is whole before it ends");
    assert_eq!(&found[0].0[..10], b"OpusHead\x01\x02");
    for told in ["sip:anna@a", "sip:1@a", "2026-11-25T12:14:38.123Z"] {
        assert!(String::from_utf8_lossy(&found[1].0).contains(told));
    }
    let expected: [(&[u8], u64); 5] =
        [(&[0x08, 1], 960), (&[0x10, 2, 2], 2880), (&[0x48], 3840), (&[0x48], 4800), (&[0x08, 3], 5760)];
    assert_eq!(found[2..], expected.map(|(packet, at)| (packet.to_vec(), at)));
}

/// The packets of an Ogg file, and the samples up to their end.
fn packets(path: &Path) -> Vec<(Vec<u8>, u64)> {
    let mut reader = ::ogg::PacketReader::new(File::open(path).unwrap());
    std::iter::from_fn(|| reader.read_packet().unwrap())
        .map(|packet| (packet.data.clone(), packet.absgp_page()))
        .collect()
}
