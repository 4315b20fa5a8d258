//! Waiting until something has happened, and what is said of a scene that does not go on.

use std::{fmt, io};

use poc::Event;
use sip::transport::Transmit;
use sip::{Duration, Instant, Misuse, SessionId};

use super::{BEN, PATIENCE, Stage, label_of};

/// A scene did not go on.
#[derive(Debug)]
pub(in super::super) enum Stuck {
    /// This did not happen in time.
    Waited(String),
    /// A client refused what its user asked for.
    Refused(Misuse),
    /// A socket failed.
    Network(io::Error),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waited(what) => write!(f, "waited in vain for {what}"),
            Self::Refused(misuse) => write!(f, "the client refused: {misuse}"),
            Self::Network(error) => write!(f, "the socket failed: {error}"),
        }
    }
}

impl From<Misuse> for Stuck {
    fn from(misuse: Misuse) -> Self {
        Self::Refused(misuse)
    }
}

impl From<io::Error> for Stuck {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

impl Stage {
    /// Waits until Ben is told that he is invited.
    pub(in super::super) async fn until_invited(&mut self) -> Result<SessionId, Stuck> {
        self.until_invited_at(BEN).await
    }

    /// Waits until somebody is told to be invited.
    pub(in super::super) async fn until_invited_at(&mut self, side: usize) -> Result<SessionId, Stuck> {
        let name = self.elements[side].name;
        self.until(&format!("{name} to be invited"), |stage| {
            stage.events.iter().filter(|(place, _)| *place == side).find_map(|(_, event)| {
                let Event::Invited { session, .. } = event else { return None };
                Some(*session)
            })
        })
        .await
    }

    /// Waits until `side` is told something that fits.
    pub(in super::super) async fn until_told(
        &mut self,
        side: usize,
        what: &str,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<(), Stuck> {
        let name = self.elements[side].name;
        self.until(&format!("{name} to be told: {what}"), |stage| {
            stage.events.iter().any(|(place, event)| *place == side && fits(event)).then_some(())
        })
        .await
    }

    /// Waits until a message with this label has left `side` for good.
    pub(in super::super) async fn until_sent(&mut self, side: usize, wanted: &str) -> Result<(), Stuck> {
        let (name, from) = (self.elements[side].name, self.address(side));
        self.until(&format!("{name} to send {wanted}"), |stage| {
            let left =
                |(_, each): &(Duration, Transmit)| each.path.local == from && label_of(&each.bytes) == wanted;
            stage.sent.iter().any(left).then_some(())
        })
        .await
    }

    /// Waits until the PoC Server has said this to the core.
    pub(in super::super) async fn until_said_inside(&mut self, wanted: &str) -> Result<(), Stuck> {
        let server = self.elements.len() - 1;
        let from = self.address(server);
        self.until(&format!("the server to say {wanted}"), |stage| {
            let is_it = |each: &Transmit| each.path.local == from && label_of(&each.bytes) == wanted;
            stage.said.iter().any(is_it).then_some(())
        })
        .await
    }

    /// Waits until a message is held back.
    pub(in super::super) async fn until_held(&mut self) -> Result<(), Stuck> {
        self.until_all_held(1).await
    }

    /// Waits until so many are.
    pub(in super::super) async fn until_all_held(&mut self, messages: usize) -> Result<(), Stuck> {
        self.until("messages to be held back", |stage| (stage.held.len() >= messages).then_some(())).await
    }

    /// Waits until somebody was told the end.
    pub(in super::super) async fn until_ended(&mut self, side: usize) -> Result<(), Stuck> {
        self.until_told(side, "ended", |event| matches!(event, Event::Ended { .. })).await
    }

    /// Waits until all clients were told the end.
    pub(in super::super) async fn until_all_ended(&mut self) -> Result<(), Stuck> {
        for side in 0..self.clients {
            self.until_ended(side).await?;
        }
        Ok(())
    }

    /// Waits until the PoC Server has closed so many records: nobody rings or is connected any more.
    pub(in super::super) async fn until_closed(&mut self, records: usize) -> Result<(), Stuck> {
        self.until("the server to close its records", |stage| (stage.records.len() >= records).then_some(()))
            .await
    }

    pub(in super::super) async fn until<T>(
        &mut self,
        what: &str,
        found: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, Stuck> {
        let give_up_at = self.now() + PATIENCE;
        loop {
            if let Some(value) = found(self) {
                return Ok(value);
            }
            if self.now() >= give_up_at {
                return Err(Stuck::Waited(what.to_owned()));
            }
            self.step(give_up_at).await?;
        }
    }

    /// Lets everything happen that happens until then.
    pub(in super::super) async fn pass_until(&mut self, until: Instant) -> Result<(), Stuck> {
        while self.now() < until {
            self.step(until).await?;
        }
        Ok(())
    }
}
