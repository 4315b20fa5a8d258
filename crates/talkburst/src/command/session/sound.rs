//! What a user says and hears in one session, as samples.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use poc::client::Speech;
use poc::playout::Counters;
use poc::sdp::Media;
use sip::Instant;

use super::screen::Levels;
use super::tone::Tone;
use crate::voice::devices::{Loudspeaker, Microphone};
use crate::voice::wav::{Recording, Wav};
use crate::voice::{Coder, Listener, level};

/// The silence between two talk bursts in a recording, of a second.
const PAUSE: u32 = 2;

/// What was typed about it.
#[derive(Clone, Default)]
pub(crate) struct SoundPlan {
    /// What is said; a tone without it.
    pub(crate) says: Option<Arc<Wav>>,
    /// Where what is heard is written. A further session has a number in its file.
    pub(crate) record: Option<PathBuf>,
    /// What the microphone hears is said.
    pub(crate) has_microphone: bool,
    /// What is heard comes from the loudspeaker.
    pub(crate) has_loudspeaker: bool,
}

/// The sound of one session.
pub(crate) struct Sound {
    says: Says,
    coder: Option<Coder>,
    listener: Option<Listener>,
    recording: Option<Recording>,
    loudspeaker: Option<Loudspeaker>,
    levels: Levels,
}

/// What is said.
enum Says {
    Tone(Tone),
    /// These samples, and how many of them have been said.
    Samples(Vec<i16>, usize),
    Microphone(Box<Microphone>),
}

impl Sound {
    /// That of a session with these media, the `number`th, and what is wrong with its devices and its recording.
    pub(crate) fn new(plan: &SoundPlan, media: &Media, number: u32) -> (Self, Vec<String>) {
        let clock = media.codec.clock;
        let mut faults = Vec::new();
        let microphone = plan.has_microphone.then(|| Microphone::open(clock)).transpose();
        let says = match (&plan.says, microphone) {
            (Some(wav), _) => Says::Samples(wav.at(clock), 0),
            (None, Ok(Some(microphone))) => Says::Microphone(Box::new(microphone)),
            (None, Ok(None)) => Says::Tone(Tone::new(clock)),
            // Whoever wants to be heard is not to send a tone instead.
            (None, Err(why)) => {
                faults.push(format!("cannot hear the microphone: {why}"));
                Says::Samples(Vec::new(), 0)
            }
        };
        let loudspeaker = plan.has_loudspeaker.then(|| Loudspeaker::open(clock)).transpose();
        let loudspeaker = loudspeaker.unwrap_or_else(|why| {
            faults.push(format!("cannot use the loudspeaker: {why}"));
            None
        });
        let listener = Listener::new(&media.codec);
        let record = plan.record.as_deref().zip(listener.as_ref());
        let made = record.map(|(path, listener)| {
            let path = numbered(path, number);
            Recording::create(&path, listener.clock()).map_err(|why| told(&path, &why))
        });
        let recording = made.transpose().unwrap_or_else(|why| {
            faults.push(why);
            None
        });
        let coder = Coder::new(&media.codec);
        let sound = Self { says, coder, listener, recording, loudspeaker, levels: Levels::default() };
        (sound, faults)
    }

    /// Whether nothing can be said.
    pub(crate) const fn is_silent(&self) -> bool {
        self.coder.is_none()
    }

    /// A talk burst begins: a file is said from its beginning, and nothing that was heard before it.
    pub(crate) fn begin(&mut self) {
        match &mut self.says {
            Says::Tone(_) => {}
            Says::Samples(_, at) => *at = 0,
            Says::Microphone(microphone) => microphone.begin(),
        }
    }

    /// The next packet, and how many samples it has; `None`: there is nothing more to say.
    pub(crate) fn next(&mut self) -> Option<(Bytes, u32)> {
        let coder = self.coder.as_mut()?;
        let packet = coder.packet();
        let samples = match &mut self.says {
            Says::Tone(tone) => tone.next(packet),
            Says::Microphone(microphone) => microphone.next(packet as usize),
            Says::Samples(all, at) => {
                let end = (*at + packet as usize).min(all.len());
                let samples = all[*at..end].to_vec();
                *at = end;
                samples
            }
        };
        if samples.is_empty() {
            return None;
        }
        self.levels.spoken = level(&samples);
        Some((coder.encode(&samples)?, packet))
    }

    /// A packet came.
    pub(crate) fn hear(&mut self, now: Instant, speech: &Speech) {
        let asked = self.listener.as_mut().and_then(|listener| listener.hear(now, speech));
        if let (Some(coder), Some(asked)) = (&mut self.coder, asked) {
            coder.obey(asked);
        }
    }

    /// Nobody speaks any more.
    pub(crate) fn end_burst(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.end_burst();
        }
        self.levels = Levels::default();
    }

    /// When there is more to be heard.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.listener.as_ref().and_then(Listener::poll_timeout)
    }

    /// Plays and writes what is heard by now.
    ///
    /// # Errors
    /// It cannot be written; nothing more is.
    pub(crate) fn play(&mut self, now: Instant) -> Result<(), String> {
        let mut heard = Vec::new();
        while let Some(listener) = &mut self.listener {
            heard.clear();
            let before = listener.counters().begun;
            if !listener.play(now, &mut heard) {
                break;
            }
            let is_further = before > 0 && listener.counters().begun > before;
            let pause = if is_further { listener.clock() / PAUSE } else { 0 };
            self.levels.heard = level(&heard);
            if let Some(loudspeaker) = &mut self.loudspeaker {
                loudspeaker.play(&heard);
            }
            if let Some(recording) = &mut self.recording {
                heard.splice(..0, std::iter::repeat_n(0, pause as usize));
                if let Err(why) = recording.write(&heard) {
                    let fault = told(recording.path(), &why);
                    self.recording = None;
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// The session is over: all that has come is played and written.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn finish(mut self, now: Instant) -> Result<(), String> {
        self.end_burst();
        let mut at = now;
        while let Some(due) = self.poll_timeout() {
            at = at.max(due);
            self.play(at)?;
        }
        match self.recording {
            Some(recording) => {
                let path = recording.path().to_owned();
                recording.finish().map_err(|why| told(&path, &why))
            }
            None => Ok(()),
        }
    }

    /// How loud it is.
    pub(crate) const fn levels(&self) -> Levels {
        self.levels
    }

    /// What became of the packets that came.
    pub(crate) fn counters(&self) -> Counters {
        self.listener.as_ref().map(Listener::counters).unwrap_or_default()
    }
}

fn told(path: &Path, why: &str) -> String {
    format!("cannot record to {}: {why}", path.display())
}

/// The file of the first session is as it was typed; that of the second is `out-2.wav`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number <= 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{number}{}", extension.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_a_file_of_its_own() {
        let name = |number| numbered(Path::new("/tmp/out.wav"), number).display().to_string();
        assert_eq!([1, 2, 10].map(name), ["/tmp/out.wav", "/tmp/out-2.wav", "/tmp/out-10.wav"]);
        assert_eq!(numbered(Path::new("out"), 2), Path::new("out-2"));
    }

    #[test]
    fn the_mode_that_a_speaker_asks_for_is_said_in_the_next_talk_burst() {
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let codec = poc::sdp::Codec {
            payload: 97,
            name: "AMR".to_owned(),
            clock: 8000,
            channels: 1,
            parameters: "octet-align=1".to_owned(),
        };
        let media = Media {
            audio: nowhere,
            rtcp: nowhere,
            codec,
            ptime: None,
            direction: poc::sdp::Direction::SendRecv,
            control: None,
            talk_burst: poc::sdp::TalkBurst::default(),
        };
        let (mut sound, faults) = Sound::new(&SoundPlan::default(), &media, 1);
        assert!(faults.is_empty());
        let (said, _) = sound.next().unwrap();
        assert_eq!(said.len(), 33, "12.2 kbit/s");
        let payload = [&[0x20 | said[0] & 0x0f][..], &said[1..]].concat().into();
        let speech = Speech { ssrc: 1, sequence: 1, timestamp: 0, is_first: true, payload };
        sound.hear(Instant::START, &speech);
        sound.end_burst();
        sound.begin();
        assert_eq!(sound.next().unwrap().0.len(), 17, "5.9 kbit/s");
    }
}
