//! Voice: samples, and what they are coded in.
//!
//! ```text
//! WAV ──► resampled ──► Coder ──► packets ──► network ──► playout ──► Decoder ──► WAV
//! ```

pub(crate) mod codec;
mod conceal;
#[cfg_attr(not(any(feature = "devices", target_os = "macos", windows)), path = "no_devices.rs")]
pub(crate) mod devices;
mod level;
pub(crate) mod listener;
#[cfg(feature = "opus")]
pub(crate) mod opus;
#[cfg(test)]
mod reference;
pub(crate) mod wav;

pub(crate) use self::codec::{Coder, Decoder};
pub(crate) use self::level::level;
pub(crate) use self::listener::Listener;
