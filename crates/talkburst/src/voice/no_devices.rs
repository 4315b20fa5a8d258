//! Sound devices, where the program was built without them.

/// The microphone that there is not.
pub(crate) enum Microphone {}

/// The loudspeaker that there is not.
pub(crate) enum Loudspeaker {}

const WITHOUT: &str = "this program was built without sound devices (feature devices)";

impl Microphone {
    /// Whether there is one.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check() -> Result<(), String> {
        Self::open(0).map(drop)
    }

    /// Opens it for so many samples a second.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn open(_clock: u32) -> Result<Self, String> {
        Err(WITHOUT.to_owned())
    }

    pub(crate) const fn begin(&mut self) {
        match *self {}
    }

    pub(crate) const fn next(&mut self, _samples: usize) -> Vec<i16> {
        match *self {}
    }
}

impl Loudspeaker {
    /// Whether there is one.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check() -> Result<(), String> {
        Self::open(0).map(drop)
    }

    /// Opens it for so many samples a second.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn open(_clock: u32) -> Result<Self, String> {
        Err(WITHOUT.to_owned())
    }

    pub(crate) const fn play(&mut self, _samples: &[i16]) {
        match *self {}
    }
}
