//! What is said in the sessions that are controlled here, for whoever keeps it: each talk burst from its first packet.
//!
//! A talk burst is of use to whoever keeps it if somebody has heard it. Of one that waits for those who are still being asked that is
//! known when somebody comes, or nobody does: its end is told then.

use bytes::Bytes;
use sip::Instant;

use super::super::Server;
use crate::media::Encoding;
use crate::talk_burst::controlling::Ending;

/// Something of a talk burst that is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recording {
    /// Its first packet follows.
    Begins(Box<Beginning>),
    /// Somebody speaks.
    Speech {
        /// The number of the talk burst.
        burst: u64,
        /// An RTP packet, as it came from the talker.
        bytes: Bytes,
    },
    /// It is over.
    Ends {
        /// Its number.
        burst: u64,
        /// When it was over.
        at: Instant,
        /// How.
        ending: Ending,
        /// Whether any of it has been sent to anybody.
        is_heard: bool,
    },
}

/// What there is to know of a talk burst.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// Counts the talk bursts of one shard that were recorded.
    pub burst: u64,
    /// When its first packet came.
    pub at: Instant,
    /// The PoC Session Identity, a SIP URI.
    pub session: Bytes,
    /// The PoC Group Identity, empty if the session is of no group.
    pub group: Bytes,
    /// The talker's PoC Address, also of one whose name others are not told.
    pub talker: Bytes,
    /// What the speech is coded in.
    pub encoding: Encoding,
}

/// A talk burst that is not told to be over yet.
#[derive(Clone, Debug)]
pub(in super::super) struct Take {
    burst: u64,
    talker: usize,
    encoding: Encoding,
    is_heard: bool,
    over: Option<(Instant, Ending)>,
}

impl Server {
    /// What is to be recorded next, with [`Config::is_recording`](super::super::Config::is_recording); drain until `None`.
    pub fn poll_recording(&mut self) -> Option<Recording> {
        self.media.recordings.pop_front()
    }

    /// A packet that was let through.
    pub(super) fn record_speech(&mut self, place: usize, talker: usize, bytes: &Bytes) {
        if !self.config.is_recording {
            return;
        }
        let controlling = &self.controlling[place];
        let agreed = controlling.media_leg(talker).and_then(|leg| self.media.legs.get(leg)?.agreed.as_ref());
        let Some(encoding) = agreed.map(|agreed| agreed.encoding) else { return };
        let is_current =
            |take: &&Take| take.over.is_none() && (take.talker, take.encoding) == (talker, encoding);
        let burst = match controlling.takes.last().filter(is_current) {
            Some(take) => take.burst,
            None => self.begin_take(place, talker, encoding),
        };
        self.media.recordings.push_back(Recording::Speech { burst, bytes: bytes.clone() });
    }

    fn begin_take(&mut self, place: usize, talker: usize, encoding: Encoding) -> u64 {
        // One that goes on in another codec is two.
        self.end_take(place, Ending::Released);
        self.media.recorded += 1;
        let (burst, at, controlling) = (self.media.recorded, self.now, &mut self.controlling[place]);
        let beginning = Beginning {
            burst,
            at,
            session: controlling.entity(),
            group: controlling.group_address(),
            talker: controlling.address_of(talker),
            encoding,
        };
        controlling.takes.push(Take { burst, talker, encoding, is_heard: false, over: None });
        self.media.recordings.push_back(Recording::Begins(Box::new(beginning)));
        burst
    }

    /// The talk bursts of a session are heard.
    pub(super) fn note_heard(&mut self, place: usize) {
        self.controlling[place].takes.iter_mut().for_each(|take| take.is_heard = true);
    }

    /// The talk burst is over.
    pub(in super::super) fn end_take(&mut self, place: usize, ending: Ending) {
        let now = self.now;
        if let Some(take) = self.controlling[place].takes.last_mut() {
            take.over.get_or_insert((now, ending));
        }
        self.settle_takes(place);
    }

    /// Tells which are over, but for those that somebody may still hear.
    pub(super) fn settle_takes(&mut self, place: usize) {
        let controlling = &mut self.controlling[place];
        let may_be_heard = controlling.buffer.is_some();
        let told =
            controlling.takes.extract_if(.., |take| take.over.is_some() && (take.is_heard || !may_be_heard));
        let told = told.filter_map(|Take { burst, is_heard, over, .. }| {
            let (at, ending) = over?;
            Some(Recording::Ends { burst, at, ending, is_heard })
        });
        self.media.recordings.extend(told);
    }
}
