//! What a client hears, sample for sample.

use bytes::Bytes;
use poc::client::Speech;
use poc::sdp::{Codec, Media};
use sip::Instant;

use crate::voice::{Coder, Decoder, Listener};

/// One who listens, and all that it has heard.
pub(super) struct Ear {
    codec: Codec,
    listener: Listener,
    heard: Vec<i16>,
}

impl Ear {
    /// `None` if nothing can be heard in this codec.
    pub(super) fn new(media: &Media) -> Option<Self> {
        let codec = media.codec.clone();
        Some(Self { listener: Listener::new(&codec)?, codec, heard: Vec::new() })
    }

    pub(super) fn hear(&mut self, now: Instant, speech: &Speech) {
        self.listener.hear(now, speech);
    }

    /// Hears all that has come, however quickly this machine is: nothing is waited for any more.
    pub(super) fn finish(&mut self, now: Instant) {
        self.listener.end_burst();
        let mut at = now;
        while let Some(due) = self.listener.poll_timeout() {
            at = at.max(due);
            while self.listener.play(at, &mut self.heard) {}
        }
    }

    /// Samples a second.
    pub(super) const fn clock(&self) -> u32 {
        self.listener.clock()
    }

    /// All of it.
    pub(super) fn heard(&self) -> &[i16] {
        &self.heard
    }

    /// What these packets are, if none is missing.
    pub(super) fn decoded(&self, packets: &[Bytes]) -> Vec<i16> {
        let mut samples = Vec::new();
        if let Some(mut decoder) = Decoder::new(&self.codec) {
            packets.iter().for_each(|packet| decoder.speech(packet, &mut samples));
        }
        samples
    }

    pub(super) fn coder(&self) -> Option<Coder> {
        Coder::new(&self.codec)
    }
}
