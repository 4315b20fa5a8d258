//! The sound devices of this machine: what the microphone hears is said, and what is heard comes from the loudspeaker.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, Device, FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedBufferSize, SupportedStreamConfig,
};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Samples that wait between a device and a session, at most: half a second at 48 kHz. Clocks that differ fill or empty it.
const WAITING: usize = 24_000;

/// Frames that are resampled at once: 10 ms at 48 kHz.
const CHUNK: usize = 480;

/// Packets that are there before the first is said or played, so that the next one is there in time.
const AHEAD: usize = 2;

/// Packets a second.
const PACKETS: u32 = 50;

/// The microphone, open.
pub(crate) struct Microphone {
    _stream: Stream,
    waiting: Receiver<f32>,
    rate: Rate,
    ready: VecDeque<f32>,
    /// There was enough, and there has been since.
    is_flowing: bool,
}

impl Microphone {
    /// Whether there is one.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check() -> Result<(), String> {
        microphone()?.default_input_config().map(drop).map_err(told)
    }

    /// Opens it for so many samples a second.
    ///
    /// # Errors
    /// It cannot be opened.
    #[expect(clippy::wildcard_enum_match_arm, reason = "cpal has more kinds than devices have")]
    pub(crate) fn open(clock: u32) -> Result<Self, String> {
        let device = microphone()?;
        let config = device.default_input_config().map_err(told)?;
        let (sender, waiting) = sync_channel(WAITING);
        let stream = match config.sample_format() {
            SampleFormat::F32 => listen::<f32>(&device, &config, sender),
            SampleFormat::I32 => listen::<i32>(&device, &config, sender),
            SampleFormat::I16 => listen::<i16>(&device, &config, sender),
            SampleFormat::U8 => listen::<u8>(&device, &config, sender),
            other => Err(format!("its samples are {other}")),
        }?;
        let rate = Rate::new(config.sample_rate(), clock)?;
        Ok(Self { _stream: stream, waiting, rate, ready: VecDeque::new(), is_flowing: false })
    }

    /// What it has heard so far is not said.
    pub(crate) fn begin(&mut self) {
        self.waiting.try_iter().for_each(drop);
        self.ready.clear();
        self.is_flowing = false;
    }

    /// The next samples; silence while there are too few.
    pub(crate) fn next(&mut self, samples: usize) -> Vec<i16> {
        self.rate.push(self.waiting.try_iter(), &mut self.ready);
        self.is_flowing = self.ready.len() >= if self.is_flowing { samples } else { AHEAD * samples };
        if !self.is_flowing {
            return vec![0; samples];
        }
        self.ready.drain(..samples).map(coarse).collect()
    }
}

/// The loudspeaker, open.
pub(crate) struct Loudspeaker {
    _stream: Stream,
    waiting: SyncSender<f32>,
    rate: Rate,
}

impl Loudspeaker {
    /// Whether there is one.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check() -> Result<(), String> {
        loudspeaker()?.default_output_config().map(drop).map_err(told)
    }

    /// Opens it for so many samples a second.
    ///
    /// # Errors
    /// It cannot be opened.
    #[expect(clippy::wildcard_enum_match_arm, reason = "cpal has more kinds than devices have")]
    pub(crate) fn open(clock: u32) -> Result<Self, String> {
        let device = loudspeaker()?;
        let config = device.default_output_config().map_err(told)?;
        let (waiting, receiver) = sync_channel(WAITING);
        let stream = match config.sample_format() {
            SampleFormat::F32 => speak::<f32>(&device, &config, receiver),
            SampleFormat::I32 => speak::<i32>(&device, &config, receiver),
            SampleFormat::I16 => speak::<i16>(&device, &config, receiver),
            SampleFormat::U8 => speak::<u8>(&device, &config, receiver),
            other => Err(format!("its samples are {other}")),
        }?;
        let rate = Rate::new(clock, config.sample_rate())?;
        Ok(Self { _stream: stream, waiting, rate })
    }

    /// Behind what it still has to play; what is more than it can keep is lost.
    pub(crate) fn play(&mut self, samples: &[i16]) {
        let mut ready = VecDeque::new();
        self.rate.push(samples.iter().map(|sample| f32::from(*sample) / -f32::from(i16::MIN)), &mut ready);
        for sample in ready {
            if self.waiting.try_send(sample).is_err() {
                return;
            }
        }
    }
}

fn microphone() -> Result<Device, String> {
    cpal::default_host().default_input_device().ok_or_else(|| "there is no microphone".to_owned())
}

fn loudspeaker() -> Result<Device, String> {
    cpal::default_host().default_output_device().ok_or_else(|| "there is no loudspeaker".to_owned())
}

fn told(error: cpal::Error) -> String {
    error.to_string()
}

fn complain(error: cpal::Error) {
    tracing::warn!(%error, "a sound device");
}

/// What a device takes or gives at once is a packet, as far as it can be told.
fn by_packet(supported: &SupportedStreamConfig) -> StreamConfig {
    let mut config = supported.config();
    if let SupportedBufferSize::Range { min, max } = *supported.buffer_size() {
        config.buffer_size = BufferSize::Fixed((config.sample_rate / PACKETS).max(min).min(max));
    }
    config
}

/// Opens a microphone whose samples are of this kind.
fn listen<T: SizedSample>(
    device: &Device,
    config: &SupportedStreamConfig,
    to: SyncSender<f32>,
) -> Result<Stream, String>
where
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels().max(1));
    let take = move |samples: &[T], _: &_| hear(samples, channels, &to);
    let stream = device.build_input_stream(by_packet(config), take, complain, None).map_err(told)?;
    stream.play().map_err(told)?;
    Ok(stream)
}

/// Opens a loudspeaker whose samples are of this kind.
fn speak<T: SizedSample + FromSample<f32>>(
    device: &Device,
    config: &SupportedStreamConfig,
    from: Receiver<f32>,
) -> Result<Stream, String> {
    let channels = usize::from(config.channels().max(1));
    let ahead = AHEAD * (config.sample_rate() / PACKETS) as usize;
    let mut played = Played::new(from, ahead);
    let give = move |samples: &mut [T], _: &_| played.fill(samples, channels);
    let stream = device.build_output_stream(by_packet(config), give, complain, None).map_err(told)?;
    stream.play().map_err(told)?;
    Ok(stream)
}

/// The mean of all channels, as far as there is room for it.
fn hear<T: Sample>(samples: &[T], channels: usize, to: &SyncSender<f32>)
where
    f32: FromSample<T>,
{
    for frame in samples.chunks(channels) {
        let sum: f32 = frame.iter().map(|sample| sample.to_sample::<f32>()).sum();
        if to.try_send(sum / channels as f32).is_err() {
            return;
        }
    }
}

/// What a loudspeaker is given.
struct Played {
    from: Receiver<f32>,
    ready: VecDeque<f32>,
    /// Samples that are there before the first is played.
    ahead: usize,
    /// There were enough, and there have been some since.
    is_flowing: bool,
}

impl Played {
    fn new(from: Receiver<f32>, ahead: usize) -> Self {
        // The thread of a device is to allocate nothing.
        Self { from, ready: VecDeque::with_capacity(WAITING), ahead, is_flowing: false }
    }

    /// The same in each channel; silence where nothing is there.
    fn fill<T: Sample + FromSample<f32>>(&mut self, samples: &mut [T], channels: usize) {
        let room = WAITING - self.ready.len();
        self.ready.extend(self.from.try_iter().take(room));
        let wanted = samples.len() / channels;
        self.is_flowing |= self.ready.len() >= self.ahead.max(wanted.min(WAITING));
        for frame in samples.chunks_mut(channels) {
            let sample = if self.is_flowing { self.ready.pop_front() } else { None };
            self.is_flowing = sample.is_some();
            frame.fill(T::from_sample(sample.unwrap_or(0.0)));
        }
    }
}

fn coarse(sample: f32) -> i16 {
    (sample * -f32::from(i16::MIN)).round() as i16
}

/// From the clock of a device to that of a session, or back.
struct Rate {
    /// `None`: they are the same.
    resampler: Option<Fft<f32>>,
    /// Less than is resampled at once.
    waiting: Vec<f32>,
}

impl Rate {
    fn new(from: u32, to: u32) -> Result<Self, String> {
        let fft = || Fft::new(from as usize, to as usize, CHUNK, 1, FixedSync::Input);
        let resampler = (from != to).then(fft).transpose().map_err(|error| error.to_string())?;
        Ok(Self { resampler, waiting: Vec::new() })
    }

    fn push(&mut self, samples: impl Iterator<Item = f32>, ready: &mut VecDeque<f32>) {
        let Some(resampler) = &mut self.resampler else { return ready.extend(samples) };
        self.waiting.extend(samples);
        loop {
            let needed = resampler.input_frames_next();
            let Some(chunk) = self.waiting.get(..needed) else { return };
            let resampled =
                SequentialSlice::new(chunk, 1, needed).map(|chunk| resampler.process(&chunk, None));
            if let Ok(Ok(resampled)) = resampled {
                ready.extend(resampled.take_data());
            }
            self.waiting.drain(..needed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_channels_the_mean_is_heard_and_both_play_the_same() {
        let (sender, receiver) = sync_channel(2);
        hear(&[i16::MIN, 0, 0, 16_384, 1, 1], 2, &sender);
        let mut played = [9_i16; 4];
        Played::new(receiver, 2).fill(&mut played, 2);
        assert_eq!(played, [-16_384, -16_384, 8192, 8192], "there was no room for the third");
    }

    #[test]
    fn a_loudspeaker_waits_until_there_is_enough_and_then_plays_all() {
        let (sender, receiver) = sync_channel(WAITING);
        let mut played = Played::new(receiver, 4);
        let mut next = |new: &[f32]| {
            new.iter().for_each(|sample| sender.send(*sample).unwrap());
            let mut samples = [9.0_f32; 2];
            played.fill(&mut samples, 1);
            samples
        };
        assert_eq!(next(&[0.1, 0.2, 0.3]), [0.0, 0.0]);
        assert_eq!(next(&[0.4]), [0.1, 0.2]);
        assert_eq!(next(&[]), [0.3, 0.4], "once it plays");
        assert_eq!(next(&[]), [0.0, 0.0]);
        assert_eq!(next(&[0.5, 0.6, 0.7]), [0.0, 0.0], "and begins anew");
        assert_eq!(next(&[0.8, 0.9]), [0.5, 0.6]);
    }

    #[test]
    fn a_stream_that_comes_in_pieces_is_resampled_as_one() {
        let tone = |at: u32, rate: u32| {
            (f64::from(at) / f64::from(rate) * std::f64::consts::TAU * 400.0).sin() as f32
        };
        for (from, to) in [(48_000, 8000), (44_100, 16_000), (8000, 48_000), (16_000, 16_000)] {
            let (mut rate, mut ready) = (Rate::new(from, to).unwrap(), VecDeque::new());
            let samples: Vec<_> = (0..from).map(|at| tone(at, from)).collect();
            samples.chunks(441).for_each(|piece| rate.push(piece.iter().copied(), &mut ready));
            let ready: Vec<_> = ready.into_iter().skip(to as usize / 10).collect();
            assert!(ready.len() > to as usize * 8 / 10, "{from} to {to}: {} samples", ready.len());
            // A tone is known by its two samples before: what is left over is noise.
            let twice = 2.0 * (std::f32::consts::TAU * 400.0 / to as f32).cos();
            let noise = ready
                .windows(3)
                .map(|three| (three[2] - twice * three[1] + three[0]).abs())
                .fold(0.0, f32::max);
            assert!(noise < 0.01, "{from} to {to}: {noise}");
            let loudest = ready.iter().copied().fold(0.0, f32::max);
            assert!((0.98..1.02).contains(&loudest), "{from} to {to}: {loudest}");
        }
    }
}
