//! WAV files: what is said, and what is heard.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler};

/// The longest that is read, in seconds: more than anybody may say at once.
const SECONDS_MAX: u32 = 3600;

/// Frames that are resampled at once.
const CHUNK: usize = 1024;

/// What is said: one channel.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Wav {
    /// Of -1.0 to 1.0.
    samples: Vec<f32>,
    /// Samples a second.
    rate: u32,
}

impl Wav {
    /// Reads a file: 8 to 32 bits, or floating-point numbers; of several channels the mean.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut reader = WavReader::open(path).map_err(|error| error.to_string())?;
        let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
        if channels == 0 || sample_rate == 0 {
            return Err("it has no channel, or no samples a second".to_owned());
        }
        if reader.duration() / sample_rate >= SECONDS_MAX {
            return Err("it is longer than an hour".to_owned());
        }
        let scale = 1.0 / (1_i64 << (bits_per_sample.clamp(1, 32) - 1)) as f32;
        let all: Result<Vec<f32>, _> = match sample_format {
            SampleFormat::Int => reader.samples::<i32>().map(|sample| Ok(sample? as f32 * scale)).collect(),
            SampleFormat::Float => reader.samples::<f32>().collect(),
        };
        let all = all.map_err(|error: hound::Error| error.to_string())?;
        let mean = |frame: &[f32]| frame.iter().sum::<f32>() / f32::from(channels);
        let samples = all.chunks(usize::from(channels)).map(mean).collect();
        Ok(Self { samples, rate: sample_rate })
    }

    /// The same at so many samples a second, 16 bits each; as they are in the file if it has as many.
    pub(crate) fn at(&self, clock: u32) -> Vec<i16> {
        let coarse = |sample: f32| (sample * -f32::from(i16::MIN)).round() as i16;
        self.resampled(clock).unwrap_or_default().into_iter().map(coarse).collect()
    }

    fn resampled(&self, clock: u32) -> Option<Vec<f32>> {
        if clock == self.rate {
            return Some(self.samples.clone());
        }
        let length = self.samples.len();
        let mut resampler =
            Fft::<f32>::new(self.rate as usize, clock as usize, CHUNK, 1, FixedSync::Input).ok()?;
        let input = SequentialSlice::new(&self.samples, 1, length).ok()?;
        let output = resampler.process_all(&input, length, None).ok()?;
        Some(output.take_data())
    }
}

/// What is heard, in a file: 16 bits, one channel.
pub(crate) struct Recording {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    /// Samples a second.
    clock: u32,
    /// Samples since the file was whole.
    unflushed: u32,
}

impl Recording {
    /// Makes the file; what was in it is gone.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn create(path: &Path, clock: u32) -> Result<Self, String> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: clock,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let writer = WavWriter::create(path, spec).map_err(|error| error.to_string())?;
        Ok(Self { path: path.to_owned(), writer, clock, unflushed: 0 })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes behind what is there. Each second the file is made whole: whatever ends the program leaves one that can be played.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&mut self, samples: &[i16]) -> Result<(), String> {
        let written = samples.iter().try_for_each(|sample| self.writer.write_sample(*sample));
        self.unflushed += u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let flushed = if self.unflushed >= self.clock {
            self.unflushed = 0;
            self.writer.flush()
        } else {
            Ok(())
        };
        written.and(flushed).map_err(|error| error.to_string())
    }

    /// Makes the file whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn finish(self) -> Result<(), String> {
        self.writer.finalize().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("talkburst-wav-{}-{name}", std::process::id()))
    }

    fn write(name: &str, spec: WavSpec, samples: impl Iterator<Item = i32>) -> PathBuf {
        let path = file(name);
        let mut writer = WavWriter::create(&path, spec).unwrap();
        samples.for_each(|sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
        path
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample, sample_format: SampleFormat::Int }
    }

    #[test]
    fn samples_of_the_same_rate_are_as_they_were_written() {
        let path = file("same");
        let samples: Vec<i16> =
            (0..1000).map(|at| (at * 65 - 32_500) as i16).chain([i16::MIN, i16::MAX]).collect();
        let mut recording = Recording::create(&path, 8000).unwrap();
        recording.write(&samples).unwrap();
        recording.finish().unwrap();
        assert_eq!(Wav::read(&path).unwrap().at(8000), samples);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn another_rate_another_depth_and_two_channels_are_the_same_tone() {
        let tone = |at: f64| (at * std::f64::consts::TAU * 440.0).sin() * 0.5;
        for (name, rate, bits) in [("cd", 44_100, 16), ("studio", 48_000, 24), ("wide", 16_000, 8)] {
            let full = f64::from(1 << (bits - 1));
            let frames = (0..rate).flat_map(|at| [(tone(f64::from(at) / f64::from(rate)) * full) as i32; 2]);
            let path = write(name, spec(2, rate, bits as u16), frames);
            let samples = Wav::read(&path).unwrap().at(8000);
            std::fs::remove_file(path).unwrap();
            assert!((7990..=8010).contains(&samples.len()), "{name}: {}", samples.len());
            // A part of a sample sooner or later is no noise.
            let turned = |at: usize, by: f64| (at as f64 / 8000.0 * std::f64::consts::TAU * 440.0 + by).sin();
            let sample = |at: usize| f64::from(samples[at]) / 32_768.0;
            let part = |by| (1000..7000).map(|at| sample(at) * turned(at, by)).sum::<f64>() / 3000.0;
            let (sine, cosine) = (part(0.0), part(std::f64::consts::FRAC_PI_2));
            let error =
                |at| sample(at) - sine * turned(at, 0.0) - cosine * turned(at, std::f64::consts::FRAC_PI_2);
            let noise = (1000..7000).map(|at| error(at).powi(2)).sum::<f64>() / 6000.0;
            let signal_to_noise = 10.0 * (0.125 / noise).log10();
            assert!((0.49..0.51).contains(&sine.hypot(cosine)), "{name}: as loud as before");
            assert!(signal_to_noise > 40.0, "{name}: {signal_to_noise} dB");
        }
    }

    #[test]
    fn what_is_no_wav_file_is_told() {
        let path = file("none");
        std::fs::write(&path, b"RIFFfoo").unwrap();
        assert!(Wav::read(&path).is_err());
        std::fs::remove_file(path).unwrap();
        assert!(Wav::read(Path::new("/nowhere/at/all.wav")).is_err());
    }

    #[test]
    fn a_file_can_be_read_each_second_before_it_is_finished() {
        let path = file("unfinished");
        let mut recording = Recording::create(&path, 8000).unwrap();
        for _ in 0..120 {
            recording.write(&[5; 160]).unwrap();
        }
        assert_eq!(Wav::read(&path).unwrap().at(8000).len(), 16_000, "2.4 s were written");
        std::fs::remove_file(path).unwrap();
    }
}
