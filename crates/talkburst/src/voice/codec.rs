//! Samples to packets and back, in what a session has agreed on: G.711, AMR and AMR-WB.

use bytes::Bytes;
use codec_core::codecs::amr::AmrVariant;
use codec_core::codecs::amr::{
    AmrCodec, AmrFrameType, AmrMode, AmrPacket, AmrPayloadCodec, AmrPayloadConfig, AmrPayloadFrame, nb, wb,
};
use codec_core::codecs::g711::{alaw_compress, alaw_expand, ulaw_compress, ulaw_expand};
use codec_core::types::{CodecConfig, CodedFrame, FrameKind, VariableRateCodec};
use poc::amr::Format;
use poc::media::Encoding;
use poc::sdp::Codec;

use super::conceal::Conceal;
#[cfg(feature = "opus")]
use super::opus;

/// Packets a second.
const PACKETS: u32 = 50;

/// What is said, coded.
pub(crate) struct Coder {
    kind: CoderKind,
    clock: u32,
}

enum CoderKind {
    Law(fn(i16) -> u8),
    Amr(Amr),
    #[cfg(feature = "opus")]
    Opus(opus::Coder),
}

/// What is heard, decoded.
pub(crate) struct Decoder {
    kind: DecoderKind,
    clock: u32,
}

enum DecoderKind {
    Law {
        expand: fn(u8) -> i16,
        conceal: Conceal,
    },
    Amr(Amr),
    #[cfg(feature = "opus")]
    Opus(opus::Decoder),
}

/// One direction of AMR: the codec has a memory of what was before.
struct Amr {
    codec: Box<AmrCodec>,
    payload: AmrPayloadCodec,
    variant: AmrVariant,
    /// The mode that was told last.
    mode: u8,
}

/// What whoever is heard wants to hear: no higher mode than this, or any (RFC 4867 §4.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ModeRequest(Option<u8>);

/// Which AMR it is, and what packs and unpacks its payloads.
pub(crate) fn amr(format: Format) -> Option<(AmrVariant, AmrPayloadCodec)> {
    let variant = if format.is_wide { AmrVariant::WideBand } else { AmrVariant::NarrowBand };
    let config = match format.is_octet_aligned {
        true => AmrPayloadConfig::octet_aligned(variant),
        false => AmrPayloadConfig::bandwidth_efficient(variant),
    };
    Some((variant, AmrPayloadCodec::new(config).ok()?))
}

impl Amr {
    fn new(format: Format, modes: u16) -> Option<Self> {
        let (variant, payload) = amr(format)?;
        let config = match variant {
            AmrVariant::WideBand => CodecConfig::amr_wb(),
            AmrVariant::NarrowBand => CodecConfig::amr_nb(),
        };
        let modes: Vec<_> = (0..variant.speech_mode_count()).filter(|mode| modes >> mode & 1 == 1).collect();
        let config = config.with_amr_octet_align(format.is_octet_aligned).with_amr_mode_set(&modes);
        let codec = Box::new(AmrCodec::new(&config).ok()?);
        let mode = codec.current_mode();
        Some(Self { codec, payload, variant, mode })
    }

    /// What is said from now on is of the highest mode that was agreed and is not above the one that is asked for; where none is, of
    /// the lowest.
    fn obey(&mut self, asked: ModeRequest) {
        let modes = self.codec.allowed_modes();
        let lowest = modes.iter().min();
        let mode = modes.iter().filter(|mode| asked.0.is_none_or(|asked| **mode <= asked)).max().or(lowest);
        if let Some(mode) = mode.copied() {
            // It is one of those that the codec allows.
            let _ = self.codec.set_mode(mode);
        }
    }

    /// RFC 4867 §4.3.1 with erratum 4347: a speech mode, or 15, which has no preference; all else is ignored.
    fn mode_request(&self, payload: &[u8]) -> Option<ModeRequest> {
        match payload.first()? >> 4 {
            15 => Some(ModeRequest(None)),
            mode => (mode < self.variant.speech_mode_count()).then_some(ModeRequest(Some(mode))),
        }
    }

    /// 20 ms as the payload of a packet.
    fn encode(&mut self, samples: &[i16]) -> Option<Bytes> {
        let CodedFrame { mode, data, quality_ok, .. } = self.codec.encode_frame(samples).ok()?;
        let mode = AmrMode::new(self.variant, mode).ok()?;
        let frame = AmrPayloadFrame::new(AmrFrameType::Speech(mode), quality_ok, data).ok()?;
        self.payload.pack(&AmrPacket::single(frame)).ok().map(Bytes::from)
    }

    fn decode(&mut self, payload: &[u8], heard: &mut Vec<i16>) {
        let frames = self.payload.unpack(payload).map(|packet| packet.frames).unwrap_or_default();
        for AmrPayloadFrame { frame_type, quality_ok, data } in frames {
            let kind = match frame_type {
                AmrFrameType::Speech(mode) => {
                    self.mode = mode.index();
                    FrameKind::Speech
                }
                AmrFrameType::Sid(_) => {
                    self.mode = self.said_mode(&data).unwrap_or(self.mode);
                    FrameKind::ComfortNoise
                }
                AmrFrameType::NoData => FrameKind::NoData,
                AmrFrameType::SpeechLost => FrameKind::Lost,
            };
            self.frame(&CodedFrame { kind, mode: self.mode, quality_ok, data }, heard);
        }
    }

    /// The mode that a frame of comfort noise tells: it is that of the frames after it which have none.
    fn said_mode(&self, data: &[u8]) -> Option<u8> {
        match self.variant {
            AmrVariant::NarrowBand => nb::bitstream::parse_sid_header(data).map(|header| header.mode_index),
            AmrVariant::WideBand => (data.len() == 5).then(|| wb::bitstream::sid_mode_indication(data))?,
        }
    }

    /// Frames of which nothing came.
    fn fill(&mut self, kind: FrameKind, samples: u32, heard: &mut Vec<i16>) {
        let frame = CodedFrame { kind, mode: self.mode, quality_ok: false, data: Vec::new() };
        for _ in 0..samples.div_ceil(self.step()) {
            self.frame(&frame, heard);
        }
    }

    fn frame(&mut self, frame: &CodedFrame, heard: &mut Vec<i16>) {
        match self.codec.decode_frame(frame) {
            Ok(samples) => heard.extend(samples),
            // As long as a frame, whatever was in it.
            Err(_) => heard.extend(std::iter::repeat_n(0, self.variant.frame_samples())),
        }
    }

    /// Samples of a frame.
    fn step(&self) -> u32 {
        u32::try_from(self.variant.frame_samples()).unwrap_or(u32::MAX)
    }
}

impl Coder {
    /// `None` if nothing can be said in this codec.
    pub(crate) fn new(codec: &Codec) -> Option<Self> {
        let kind = match Encoding::of(codec) {
            Encoding::Pcmu => CoderKind::Law(ulaw_compress),
            Encoding::Pcma => CoderKind::Law(alaw_compress),
            Encoding::Amr(format) => CoderKind::Amr(Amr::new(format, codec.amr_modes())?),
            #[cfg(feature = "opus")]
            Encoding::Opus => CoderKind::Opus(opus::Coder::new()?),
            #[cfg(not(feature = "opus"))]
            Encoding::Opus => return None,
            Encoding::Other => return None,
        };
        Some(Self { kind, clock: codec.clock })
    }

    /// Samples of a packet: 20 ms.
    pub(crate) const fn packet(&self) -> u32 {
        self.clock / PACKETS
    }

    /// What is said from now on is as its listener wants it, until another one is heard.
    pub(crate) fn obey(&mut self, asked: ModeRequest) {
        match &mut self.kind {
            CoderKind::Amr(amr) => amr.obey(asked),
            CoderKind::Law(_) => {}
            #[cfg(feature = "opus")]
            CoderKind::Opus(_) => {}
        }
    }

    /// The payload of a packet: 20 ms, filled with silence where there is less. `None`: it cannot be coded.
    pub(crate) fn encode(&mut self, samples: &[i16]) -> Option<Bytes> {
        let mut whole = samples.to_vec();
        whole.resize(self.packet() as usize, 0);
        match &mut self.kind {
            CoderKind::Law(compress) => Some(whole.into_iter().map(*compress).collect()),
            CoderKind::Amr(amr) => amr.encode(&whole),
            #[cfg(feature = "opus")]
            CoderKind::Opus(opus) => opus.encode(&whole),
        }
    }
}

impl Decoder {
    /// `None` if nothing can be heard in this codec.
    pub(crate) fn new(codec: &Codec) -> Option<Self> {
        let law = |expand| DecoderKind::Law { expand, conceal: Conceal::new(codec.clock) };
        let kind = match Encoding::of(codec) {
            Encoding::Pcmu => law(ulaw_expand as fn(u8) -> i16),
            Encoding::Pcma => law(alaw_expand),
            Encoding::Amr(format) => DecoderKind::Amr(Amr::new(format, u16::MAX)?),
            #[cfg(feature = "opus")]
            Encoding::Opus => DecoderKind::Opus(opus::Decoder::new()?),
            #[cfg(not(feature = "opus"))]
            Encoding::Opus => return None,
            Encoding::Other => return None,
        };
        Some(Self { kind, clock: codec.clock })
    }

    /// Samples a second.
    pub(crate) const fn clock(&self) -> u32 {
        self.clock
    }

    /// Samples in the payload of a packet; 0 if it cannot be read.
    pub(crate) fn samples(&self, payload: &[u8]) -> u32 {
        let samples = match &self.kind {
            DecoderKind::Law { .. } => payload.len(),
            DecoderKind::Amr(amr) => amr
                .payload
                .unpack(payload)
                .map_or(0, |packet| packet.frames.len() * amr.variant.frame_samples()),
            #[cfg(feature = "opus")]
            DecoderKind::Opus(_) => opus::Decoder::samples(payload),
        };
        u32::try_from(samples).unwrap_or(0)
    }

    /// What the speaker asks of us in this payload.
    pub(crate) fn mode_request(&self, payload: &[u8]) -> Option<ModeRequest> {
        match &self.kind {
            DecoderKind::Amr(amr) if self.samples(payload) > 0 => amr.mode_request(payload),
            DecoderKind::Amr(_) | DecoderKind::Law { .. } => None,
            #[cfg(feature = "opus")]
            DecoderKind::Opus(_) => None,
        }
    }

    /// A packet, behind what was heard before.
    pub(crate) fn speech(&mut self, payload: &[u8], heard: &mut Vec<i16>) {
        match &mut self.kind {
            DecoderKind::Law { expand, conceal } => {
                let begin = heard.len();
                heard.extend(payload.iter().map(|octet| expand(*octet)));
                conceal.heard(&heard[begin..]);
            }
            DecoderKind::Amr(amr) => amr.decode(payload, heard),
            #[cfg(feature = "opus")]
            DecoderKind::Opus(opus) => opus.speech(payload, heard),
        }
    }

    /// Samples that never came: something that sounds like what was before.
    pub(crate) fn missing(&mut self, samples: u32, heard: &mut Vec<i16>) {
        match &mut self.kind {
            DecoderKind::Law { conceal, .. } => conceal.fill(samples as usize, heard),
            DecoderKind::Amr(amr) => amr.fill(FrameKind::Lost, samples, heard),
            #[cfg(feature = "opus")]
            DecoderKind::Opus(opus) => opus.fill(samples as usize, heard),
        }
    }

    /// Samples for which nothing was said.
    pub(crate) fn silence(&mut self, samples: u32, heard: &mut Vec<i16>) {
        match &mut self.kind {
            DecoderKind::Law { .. } => heard.extend(std::iter::repeat_n(0, samples as usize)),
            DecoderKind::Amr(amr) => amr.fill(FrameKind::NoData, samples, heard),
            #[cfg(feature = "opus")]
            DecoderKind::Opus(_) => heard.extend(std::iter::repeat_n(0, samples as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::level;

    fn codec(name: &str, parameters: &str) -> Codec {
        let clock = if name == "AMR-WB" { 16_000 } else { 8000 };
        Codec { payload: 97, name: name.to_owned(), clock, channels: 1, parameters: parameters.to_owned() }
    }

    /// A voice of a kind: a pitch of 125 Hz with its harmonics.
    fn voice(clock: u32, samples: usize) -> Vec<i16> {
        let sample = |at: usize| {
            let seconds = at as f64 / f64::from(clock);
            let harmonic = |number: u32| {
                (std::f64::consts::TAU * 125.0 * f64::from(number) * seconds).sin() / f64::from(number)
            };
            ((1..12).map(harmonic).sum::<f64>() * 6000.0) as i16
        };
        (0..samples).map(sample).collect()
    }

    fn coded(codec: &Codec, samples: &[i16]) -> Vec<Bytes> {
        let mut coder = Coder::new(codec).unwrap();
        let packet = coder.packet() as usize;
        samples.chunks(packet).map(|samples| coder.encode(samples).unwrap()).collect()
    }

    fn decoded(codec: &Codec, packets: &[Bytes]) -> Vec<i16> {
        let (mut decoder, mut heard) = (Decoder::new(codec).unwrap(), Vec::new());
        packets.iter().for_each(|packet| decoder.speech(packet, &mut heard));
        heard
    }

    #[test]
    fn g711_is_heard_sample_for_sample_as_it_is_coded() {
        for (name, code, expand) in [
            ("PCMU", ulaw_compress as fn(i16) -> u8, ulaw_expand as fn(u8) -> i16),
            ("pcma", alaw_compress, alaw_expand),
        ] {
            let codec = codec(name, "");
            let said = voice(8000, 1600);
            let packets = coded(&codec, &said);
            assert_eq!(packets.len(), 10);
            let expected: Vec<_> = said.iter().map(|sample| expand(code(*sample))).collect();
            assert_eq!(decoded(&codec, &packets), expected);
        }
    }

    /// Of speech that was coded with a loss, what is heard is as loud, and of the same pitch.
    fn is_the_same_voice(said: &[i16], heard: &[i16], clock: u32) {
        let louder = level(&heard[heard.len() / 4..]).unwrap() - level(&said[said.len() / 4..]).unwrap();
        assert!(louder.abs() < 2.0, "{louder} dB");
        let period = (clock / 125) as usize;
        let product = |lag: usize| -> f64 {
            heard[lag..].iter().zip(heard).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
        };
        let (at_period, between) = (product(period), product(period * 3 / 2));
        assert!(at_period > 0.8 * product(0) && at_period > 2.0 * between, "it repeats itself each 8 ms");
    }

    #[test]
    fn amr_and_amr_wb_are_heard_in_both_alignments() {
        for name in ["AMR", "AMR-WB"] {
            let [aligned, efficient] = ["octet-align=1", ""].map(|parameters| codec(name, parameters));
            let said = voice(aligned.clock, aligned.clock as usize);
            let heard = [&aligned, &efficient].map(|codec| decoded(codec, &coded(codec, &said)));
            assert_eq!(heard[0], heard[1], "the same frames, packed in two ways");
            assert_eq!(heard[0].len(), said.len());
            is_the_same_voice(&said, &heard[0], aligned.clock);
        }
    }

    #[test]
    fn only_modes_that_were_agreed_are_said() {
        let length = |parameters: &str| coded(&codec("AMR", parameters), &voice(8000, 160))[0].len();
        assert_eq!(length("octet-align=1"), 33, "12.2 kbit/s");
        assert_eq!(length("octet-align=1; mode-set=0,2"), 17, "5.9 kbit/s");
        assert_eq!(length("mode-set=0"), 14, "4.75 kbit/s");
    }

    /// Octets of what is said after each of these requests in a packet of the listener.
    fn lengths(parameters: &str, requests: &[u8]) -> Vec<usize> {
        let codec = codec("AMR", parameters);
        let (mut coder, decoder) = (Coder::new(&codec).unwrap(), Decoder::new(&codec).unwrap());
        let heard = &coded(&codec, &voice(8000, 160))[0];
        let after = |request: &u8| {
            let payload = [&[heard[0] & 0x0f | request << 4][..], &heard[1..]].concat();
            decoder.mode_request(&payload).into_iter().for_each(|asked| coder.obey(asked));
            coder.encode(&voice(8000, 160)).unwrap().len()
        };
        requests.iter().map(after).collect()
    }

    #[test]
    fn the_mode_that_is_asked_for_is_said_until_another_one_is() {
        let all = lengths("octet-align=1", &[15, 2, 0, 7, 4, 15]);
        assert_eq!(all, [33, 17, 14, 33, 21, 33], "12.2, 5.9, 4.75, 12.2, 7.4, and no preference");
        assert_eq!(lengths("", &[2])[0], 16, "bandwidth-efficient");
        assert_eq!(lengths("octet-align=1", &[2, 8, 9, 14]), [17; 4], "what is no mode of speech is ignored");
    }

    #[test]
    fn no_mode_is_said_that_was_not_agreed_whoever_asks_for_it() {
        let some = lengths("octet-align=1; mode-set=2,4,7", &[15, 5, 3, 0, 6]);
        assert_eq!(some, [33, 21, 17, 17, 21], "the next below, or the lowest");
    }

    #[test]
    fn a_payload_that_cannot_be_read_asks_for_nothing() {
        let decoder = Decoder::new(&codec("AMR", "octet-align=1")).unwrap();
        assert_eq!(decoder.mode_request(&[0x20, 0x04, 1]), None);
        assert_eq!(decoder.mode_request(&[]), None);
        assert_eq!(Decoder::new(&codec("PCMU", "")).unwrap().mode_request(&[0x20; 160]), None);
    }

    #[test]
    fn what_never_came_is_as_long_as_it_would_have_been_and_not_silent_at_once() {
        for codec in [codec("PCMU", ""), codec("AMR", "octet-align=1"), codec("AMR-WB", "")] {
            let mut decoder = Decoder::new(&codec).unwrap();
            let mut heard = Vec::new();
            let packets = coded(&codec, &voice(codec.clock, codec.clock as usize / 5));
            packets.iter().for_each(|packet| decoder.speech(packet, &mut heard));
            let before = heard.len();
            decoder.missing(codec.clock / 50, &mut heard);
            assert_eq!(heard.len(), before + codec.clock as usize / 50);
            assert!(level(&heard[before..]).unwrap() > -30.0, "{}", codec.name);
            decoder.silence(codec.clock / 50, &mut heard);
            assert_eq!(heard.len(), before + codec.clock as usize / 25);
        }
    }

    #[test]
    fn a_payload_that_cannot_be_read_is_of_no_length_and_harms_nobody() {
        let codec = codec("AMR", "octet-align=1");
        let mut decoder = Decoder::new(&codec).unwrap();
        let mut heard = Vec::new();
        for payload in [&[][..], &[0xf0], &[0xf0, 0x04, 1, 2], &[0xff; 300]] {
            assert_eq!(decoder.samples(payload), 0);
            decoder.speech(payload, &mut heard);
        }
        assert_eq!(heard, [0i16; 0]);
        assert!(Decoder::new(&Codec { name: "EVRC".to_owned(), ..codec }).is_none());
    }

    #[cfg(feature = "opus")]
    #[test]
    fn opus_is_the_same_voice_and_fills_what_is_missing() {
        let codec = opus::offered();
        let said = voice(48_000, 48_000);
        let packets = coded(&codec, &said);
        let heard = decoded(&codec, &packets);
        assert_eq!(heard.len(), said.len());
        is_the_same_voice(&said, &heard, 48_000);
        let mut decoder = Decoder::new(&codec).unwrap();
        assert!(packets.iter().all(|packet| decoder.samples(packet) == 960 && packet.len() < 400));
        let mut heard = Vec::new();
        packets.iter().take(10).for_each(|packet| decoder.speech(packet, &mut heard));
        heard.clear();
        decoder.missing(1000, &mut heard);
        assert_eq!(heard.len(), 1000);
        assert!(level(&heard[..960]).unwrap() > -30.0);
        assert_eq!((decoder.samples(&[]), decoder.samples(&[0xff; 3])), (0, 0));
        decoder.speech(&[0xff; 3], &mut heard);
    }
}
