//! Voice: samples, and what they are coded in.
//!
//! ```text
//! WAV ──► resampled ──► Coder ──► packets ──► network ──► playout ──► Decoder ──► WAV
//! ```

pub(crate) mod codec;
mod conceal;
mod level;
pub(crate) mod listener;
#[cfg(test)]
mod reference;
pub(crate) mod wav;

pub(crate) use self::codec::{Coder, Decoder};
pub(crate) use self::level::level;
pub(crate) use self::listener::Listener;
