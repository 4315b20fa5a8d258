//! What `call` and `answer` have in common: options, the user, and the loop that drives a client.

pub(super) mod address;
pub(super) mod arguments;
mod bursts;
pub(super) mod play;
pub(super) mod screen;
pub(super) mod settings;
pub(crate) mod sound;
mod tone;
pub(super) mod voice;
pub(super) mod wishes;
