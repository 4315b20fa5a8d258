//! What one side has said of its media, from one description to the next.

use bytes::Bytes;

use super::{Capabilities, Media, Origin, SdpError};

/// The descriptions of one side of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Described {
    origin: Origin,
    /// The last one; empty before the first.
    last: Bytes,
}

impl Described {
    /// Nothing has been said yet; the first description will have this origin.
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, last: Bytes::new() }
    }

    /// The next description, and what it amounts to. RFC 3264 §8, RFC 4028 §7.4: the version rises by one if it differs from the
    /// last one, and says that nothing changed if it does not.
    ///
    /// # Errors
    /// That of `describe`; then nothing has been said.
    pub(crate) fn try_describe<T, E>(
        &mut self,
        describe: impl Fn(Origin) -> Result<(Bytes, T), E>,
    ) -> Result<(Bytes, T), E> {
        let (same, of_same) = describe(self.origin)?;
        if self.last.is_empty() || same == self.last {
            self.last.clone_from(&same);
            return Ok((same, of_same));
        }
        let origin = Origin { version: self.origin.version + 1, ..self.origin };
        let (next, of_next) = describe(origin)?;
        (self.origin, self.last) = (origin, next.clone());
        Ok((next, of_next))
    }

    /// The same for what cannot fail.
    pub(crate) fn describe(&mut self, describe: impl Fn(Origin) -> Bytes) -> Bytes {
        let described: Result<_, std::convert::Infallible> =
            self.try_describe(|origin| Ok((describe(origin), ())));
        described.unwrap_or_else(|never| match never {}).0
    }

    /// What `media` say to a peer that wants the media agreed on anew: an answer to its offer and what the two agree on, or an offer
    /// if it has none.
    ///
    /// # Errors
    /// [`SdpError`] if they have nothing in common; then nothing has been said.
    pub(crate) fn respond(
        &mut self,
        media: &Capabilities,
        offer: &[u8],
    ) -> Result<(Bytes, Option<Media>), SdpError> {
        if offer.is_empty() {
            return Ok((self.describe(|origin| super::offer(media, origin)), None));
        }
        let (answer, agreed) = self.try_describe(|origin| super::answer(media, origin, offer))?;
        Ok((answer, Some(agreed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_rises_with_a_change_only() {
        let mut described = Described::new(Origin { id: 7, version: 1 });
        let mut say =
            |text: &str| described.describe(|origin| Bytes::from(format!("{text} {}", origin.version)));
        assert_eq!(["a", "a", "b", "b", "a"].map(&mut say), ["a 1", "a 1", "b 2", "b 2", "a 3"]);
    }

    #[test]
    fn what_fails_was_not_said() {
        let mut described = Described::new(Origin { id: 7, version: 1 });
        assert_eq!(described.try_describe(|_| Err::<(Bytes, ()), _>("no")), Err("no"));
        assert_eq!(described, Described::new(Origin { id: 7, version: 1 }));
    }
}
