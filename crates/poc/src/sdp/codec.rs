//! Codecs: how they are written, and when two of them are the same.

use sdp_types::Attribute;
use serde::{Deserialize, Serialize};

/// A codec and the RTP payload number that stands for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Codec {
    /// RTP payload number, 0 to 127.
    pub payload: u8,
    /// Encoding name, in any case.
    pub name: String,
    /// Clock rate in hertz.
    pub clock: u32,
    /// Channels of sound, usually 1.
    pub channels: u8,
    /// The text of `a=fmtp`, empty if there is none.
    pub parameters: String,
}

impl Codec {
    /// `a=rtpmap` and, if there is something to say, `a=fmtp`.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute> + use<> {
        let Self { payload, name, clock, channels, parameters } = self;
        let rtpmap = match channels {
            1 => format!("{payload} {name}/{clock}"),
            _ => format!("{payload} {name}/{clock}/{channels}"),
        };
        let fmtp = (!parameters.is_empty())
            .then(|| Attribute::with_value("fmtp", format_args!("{payload} {parameters}")));
        [Attribute::with_value("rtpmap", rtpmap)].into_iter().chain(fmtp)
    }

    /// Whether the peer's `format` is this codec, whatever its payload number.
    pub(super) fn is(&self, format: &Format<'_>) -> bool {
        // RFC 8866 §5.14: encoding names are case-insensitive.
        self.name.eq_ignore_ascii_case(format.name)
            && self.clock == format.clock
            && self.channels == format.channels
            && (!self.is_amr() || Amr::both(&self.parameters, format.parameters))
    }

    /// The parameters of our answer to those of the offer.
    ///
    /// RFC 4867 §8.3.1: the payload format and the offered mode set are returned, the answerer may add its own mode set
    /// where none was offered, and unknown parameters are dropped. Parameters of other codecs describe each side by
    /// itself, so the answer has ours.
    pub(super) fn answered(&self, offered: &str) -> String {
        if !self.is_amr() {
            return self.parameters.clone();
        }
        let is_format = |name: &str| AMR_FORMAT.iter().any(|known| name.eq_ignore_ascii_case(known));
        let is_mode_set = |name: &str| name.eq_ignore_ascii_case("mode-set");
        let has_mode_set = parameter(offered, "mode-set").is_some();
        let returned = parameters(offered).filter(|(name, _)| is_format(name) || is_mode_set(name));
        let own = parameters(&self.parameters)
            .filter(|(name, _)| !is_format(name))
            .filter(|(name, _)| !(has_mode_set && is_mode_set(name)));
        let written = returned.chain(own).map(|(name, value)| format!("{name}={value}"));
        written.collect::<Vec<_>>().join("; ")
    }

    /// Whether its RTP payload is octet-aligned AMR (RFC 4867 §8.1).
    pub fn is_octet_aligned(&self) -> bool {
        Amr::of(&self.parameters).is_some_and(|amr| amr.is_octet_aligned)
    }

    /// The modes of AMR that may be sent, a bit each; all if nothing is said of them.
    pub fn amr_modes(&self) -> u16 {
        Amr::of(&self.parameters).map_or(u16::MAX, |amr| amr.modes)
    }

    fn is_amr(&self) -> bool {
        self.name.eq_ignore_ascii_case("AMR") || self.name.eq_ignore_ascii_case("AMR-WB")
    }
}

/// A format of the peer's `m=` line with what `a=rtpmap` and `a=fmtp` say about it.
pub(super) struct Format<'a> {
    pub(super) payload: u8,
    pub(super) name: &'a str,
    pub(super) clock: u32,
    pub(super) channels: u8,
    pub(super) parameters: &'a str,
}

impl<'a> Format<'a> {
    /// `None` if nobody can tell which codec that is.
    pub(super) fn new(payload: u8, rtpmap: Option<&'a str>, parameters: &'a str) -> Option<Self> {
        let Some(rtpmap) = rtpmap else {
            // RFC 3551 §6: static payload types need no rtpmap.
            let name = match payload {
                0 => "PCMU",
                8 => "PCMA",
                _ => return None,
            };
            return Some(Self { payload, name, clock: 8000, channels: 1, parameters });
        };
        let mut fields = rtpmap.split('/').map(str::trim);
        let (name, clock) = (fields.next()?, fields.next()?.parse().ok()?);
        // RFC 8866 §6.6: the number of channels may be left out if it is one.
        let channels = fields.next().map_or(Some(1), |channels| channels.parse().ok())?;
        Some(Self { payload, name, clock, channels, parameters })
    }

    /// The codec that it is.
    pub(super) fn codec(&self) -> Codec {
        let Self { payload, name, clock, channels, parameters } = *self;
        Codec { payload, name: name.to_owned(), clock, channels, parameters: parameters.to_owned() }
    }
}

/// RFC 4867 §8.3.1: each combination of these has bits of its own, and understands no other.
const AMR_FORMAT: [&str; 4] = ["octet-align", "crc", "robust-sorting", "interleaving"];

/// The AMR parameters on which two sides must be of one mind.
struct Amr<'a> {
    is_octet_aligned: bool,
    has_crc: bool,
    has_robust_sorting: bool,
    interleaving: Option<&'a str>,
    /// One bit per mode.
    modes: u16,
}

impl<'a> Amr<'a> {
    /// Whether the payload formats are the same, and the modes that the peer keeps to are among ours.
    fn both(ours: &str, peer: &str) -> bool {
        let (Some(ours), Some(peer)) = (Amr::of(ours), Amr::of(peer)) else {
            return false;
        };
        ours.is_octet_aligned == peer.is_octet_aligned
            && ours.has_crc == peer.has_crc
            && ours.has_robust_sorting == peer.has_robust_sorting
            && ours.interleaving == peer.interleaving
            // Only a peer that wants all modes leaves ours to us.
            && (peer.modes == u16::MAX || peer.modes & !ours.modes == 0)
    }

    /// RFC 4867 §8.1: absent is 0, and the last three of the format imply octet-alignment. `None`: unreadable mode set.
    fn of(text: &'a str) -> Option<Self> {
        let [octet_align, crc, robust_sorting, interleaving] = AMR_FORMAT.map(|name| parameter(text, name));
        let (has_crc, has_robust_sorting) = (crc == Some("1"), robust_sorting == Some("1"));
        let is_octet_aligned =
            octet_align == Some("1") || has_crc || has_robust_sorting || interleaving.is_some();
        let modes = match parameter(text, "mode-set") {
            None => u16::MAX,
            Some(set) => set.split(',').try_fold(0, |modes, mode| {
                let mode = mode.trim().parse::<u32>().ok().filter(|&mode| mode <= 8)?;
                Some(modes | 1 << mode)
            })?,
        };
        Some(Self { is_octet_aligned, has_crc, has_robust_sorting, interleaving, modes })
    }
}

fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    parameters(text).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(name: &str, parameters: &str) -> Codec {
        Codec {
            payload: 97,
            name: name.to_owned(),
            clock: 8000,
            channels: 1,
            parameters: parameters.to_owned(),
        }
    }

    fn is(codec: &Codec, rtpmap: &str, parameters: &str) -> bool {
        Format::new(106, Some(rtpmap), parameters).is_some_and(|format| codec.is(&format))
    }

    #[test]
    fn a_codec_is_known_by_its_name_in_any_case() {
        let evrc = codec("EVRC", "");
        assert!(is(&evrc, "EVRC/8000", ""));
        assert!(is(&evrc, "evrc/8000", ""));
        assert!(!is(&evrc, "EVRC0/8000", ""));
    }

    #[test]
    fn another_clock_is_another_codec() {
        assert!(!is(&codec("EVRC", ""), "EVRC/16000", ""));
    }

    #[test]
    fn channels_default_to_one_and_must_match() {
        let evrc = codec("EVRC", "");
        assert!(is(&evrc, "EVRC/8000/1", ""));
        assert!(!is(&evrc, "EVRC/8000/2", ""));
        assert!(is(&Codec { channels: 2, ..evrc }, "EVRC/8000/2", ""));
    }

    #[test]
    fn an_unreadable_rtpmap_is_no_codec() {
        for rtpmap in
            ["", "AMR", "AMR/", "AMR/fast", "AMR/8000/", "AMR/8000/x", "AMR/8000/256", "AMR/99999999999"]
        {
            assert!(Format::new(97, Some(rtpmap), "").is_none(), "{rtpmap}");
        }
    }

    #[test]
    fn only_static_payload_types_need_no_rtpmap() {
        assert_eq!(Format::new(0, None, "").map(|format| (format.name, format.clock)), Some(("PCMU", 8000)));
        assert_eq!(Format::new(8, None, "").map(|format| (format.name, format.clock)), Some(("PCMA", 8000)));
        assert!(Format::new(97, None, "").is_none());
    }

    #[test]
    fn amr_octet_alignment_must_match_and_absent_is_0() {
        let (aligned, efficient) = (codec("AMR", "octet-align=1"), codec("AMR", ""));
        assert!(is(&aligned, "AMR/8000", "octet-align=1"));
        assert!(!is(&aligned, "AMR/8000", "octet-align=0"));
        assert!(!is(&aligned, "AMR/8000", ""));
        assert!(is(&efficient, "AMR/8000", "octet-align=0"));
        assert!(is(&efficient, "AMR/8000", "max-red=0"));
        assert!(!is(&efficient, "AMR/8000", "octet-align=1"));
    }

    #[test]
    fn amr_with_checksums_or_sorting_or_interleaving_is_another_format() {
        let amr = codec("AMR", "octet-align=1");
        assert!(is(&amr, "AMR/8000", "octet-align=1; crc=0; robust-sorting=0"));
        for other in ["crc=1", "robust-sorting=1", "interleaving=4"] {
            assert!(!is(&amr, "AMR/8000", &format!("octet-align=1; {other}")), "{other}");
        }
        assert!(is(&codec("AMR", "octet-align=1; crc=1"), "AMR/8000", "crc=1"));
    }

    #[test]
    fn an_amr_mode_set_must_be_within_ours() {
        let (all, some) = (codec("AMR", ""), codec("AMR", "mode-set=0,1,2"));
        assert!(is(&all, "AMR/8000", "mode-set=7"));
        assert!(is(&some, "AMR/8000", "mode-set=0, 2"));
        assert!(is(&some, "AMR/8000", ""));
        assert!(!is(&some, "AMR/8000", "mode-set=2,3"));
        for unreadable in ["", "x", "9", "-1", "0,,1", "99999999999"] {
            assert!(!is(&all, "AMR/8000", &format!("mode-set={unreadable}")), "{unreadable}");
        }
    }

    #[test]
    fn the_answer_returns_the_amr_format_and_mode_set_and_drops_the_unknown() {
        let amr = codec("AMR", "octet-align=1");
        assert_eq!(amr.answered("mode-set=1;octet-align=1;crc=0;x=y"), "mode-set=1; octet-align=1; crc=0");
        assert_eq!(codec("AMR", "octet-align=0").answered(""), "");
    }

    #[test]
    fn the_answer_has_our_amr_mode_set_only_where_none_was_offered() {
        let amr = codec("AMR-WB", "octet-align=1; mode-set=0,1; max-red=0");
        assert_eq!(amr.answered("octet-align=1"), "octet-align=1; mode-set=0,1; max-red=0");
        assert_eq!(amr.answered("octet-align=1; mode-set=0"), "octet-align=1; mode-set=0; max-red=0");
    }

    #[test]
    fn the_answer_for_another_codec_has_our_own_parameters() {
        assert_eq!(codec("EVRC", "dtxmax=32").answered("dtxmax=8; x=1"), "dtxmax=32");
    }
}
