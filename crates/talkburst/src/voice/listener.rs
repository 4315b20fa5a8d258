//! What a user hears of a session: packets as they come, samples as they were spoken.

use poc::client::Speech;
use poc::playout::{Counters, Playing, Playout, Settings};
use poc::sdp::Codec;
use sip::Instant;

use super::codec::{Decoder, ModeRequest};

/// One who listens.
pub(crate) struct Listener {
    playout: Playout,
    decoder: Decoder,
}

impl Listener {
    /// `None` if nothing can be heard in this codec.
    pub(crate) fn new(codec: &Codec) -> Option<Self> {
        let decoder = Decoder::new(codec)?;
        Some(Self { playout: Playout::new(Settings::default(), decoder.clock()), decoder })
    }

    /// Samples a second.
    pub(crate) const fn clock(&self) -> u32 {
        self.decoder.clock()
    }

    /// A packet came; what it asks of us.
    pub(crate) fn hear(&mut self, now: Instant, speech: &Speech) -> Option<ModeRequest> {
        let samples = self.decoder.samples(&speech.payload);
        self.playout.put(now, speech, samples);
        self.decoder.mode_request(&speech.payload)
    }

    /// Nobody speaks any more: what has come is heard, and then nothing.
    pub(crate) fn end_burst(&mut self) {
        self.playout.end();
    }

    /// What is heard next, behind `heard`; false if nothing is by now.
    pub(crate) fn play(&mut self, now: Instant, heard: &mut Vec<i16>) -> bool {
        let playing = self.playout.take(now);
        match &playing {
            Some(Playing::Speech(payload)) => self.decoder.speech(payload, heard),
            Some(Playing::Missing { samples }) => self.decoder.missing(*samples, heard),
            Some(Playing::Silence { samples }) => self.decoder.silence(*samples, heard),
            None => {}
        }
        playing.is_some()
    }

    /// When there is more to be heard.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.playout.poll_timeout()
    }

    /// What became of the packets so far.
    pub(crate) const fn counters(&self) -> Counters {
        self.playout.counters()
    }
}
