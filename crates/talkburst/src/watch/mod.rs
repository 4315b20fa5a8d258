//! Seeing a server that runs: what its shards count, what they have, and what goes through them.
//!
//! ```text
//! worker k: Tap ── Meter k ───────────────► /metrics
//!            │ ◄── Question ── Watch ◄───── /metrics, /health, control socket
//!            └── Lens (only while somebody looks): trace, ring
//! ```
//!
//! A [`Meter`] is written by its worker alone and read by anybody: no lock, no allocation and no atomic operation that another
//! processor waits for. What a shard has is asked for, and answered between two turns.

mod desk;
mod exposition;
mod http;
mod lens;
pub(crate) mod log;
mod meter;
mod tap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use poc::server::Standing;
use sip::{Duration, Instant};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use self::desk::Participant;
pub(crate) use self::desk::{End, Session, Shown, answer};
pub(crate) use self::http::serve;
pub(crate) use self::lens::{Party, Seen};
pub(crate) use self::meter::Meter;
pub(crate) use self::tap::{Depths, Question, ShardCensus, Tap};
use crate::clock::Clock;
use crate::serve::{Dropped, Order};

/// How long a shard may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Messages that may wait for somebody who traces. Beyond it they are dropped and counted.
const SEEN_MAX: usize = 4096;

/// What is known beside the shards.
#[derive(Default)]
pub(crate) struct Condition {
    /// No new sessions are taken: the server is being stopped.
    pub(crate) is_draining: AtomicBool,
    /// The last records could not be stored.
    pub(crate) is_store_failing: AtomicBool,
    /// The last that was to be recorded could not be written.
    pub(crate) is_recording_failing: AtomicBool,
}

/// Whoever looks at a server has one.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) clock: Clock,
    pub(crate) shards: Arc<[Observed]>,
    pub(crate) dropped: Arc<Dropped>,
    pub(crate) condition: Arc<Condition>,
}

/// What of a shard is shown.
pub(crate) struct Observed {
    pub(crate) meter: Arc<Meter>,
    pub(crate) orders: UnboundedSender<Order>,
}

impl Watch {
    /// A server without shards.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        let (dropped, condition) = (Arc::default(), Arc::default());
        Self { clock: Clock::start(), shards: Arc::new([]), dropped, condition }
    }

    /// Asks all shards at once, each for itself.
    async fn ask_all<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Question) -> Vec<Option<T>> {
        let mut waiting = Vec::new();
        for shard in self.shards.iter() {
            let (sender, answer) = oneshot::channel();
            let sent = shard.orders.send(Order::Watch(Box::new(question(sender)))).is_ok();
            waiting.push((sent, answer));
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut answers = Vec::new();
        for (sent, answer) in waiting {
            let answer = tokio::time::timeout_at(until, answer).await.ok().and_then(Result::ok);
            answers.push(answer.filter(|_| sent));
        }
        answers
    }

    /// What every shard has.
    pub(crate) async fn census(&self) -> Vec<Option<ShardCensus>> {
        self.ask_all(Question::Census).await
    }

    /// What stands, with the shard of each, and how many there are in all: `limit` at most.
    pub(crate) async fn sessions(
        &self,
        limit: usize,
        with_participations: bool,
    ) -> (Vec<(u8, Standing)>, usize) {
        let asked = |reply| Question::Sessions { limit, with_participations, reply };
        let (mut found, mut total) = (Vec::new(), 0);
        for (shard, answer) in (0..).zip(self.ask_all(asked).await) {
            let Some((standing, count)) = answer else { continue };
            found.extend(standing.into_iter().map(|each| (shard, each)));
            total += count;
        }
        found.truncate(limit);
        (found, total)
    }

    /// The messages that concern `user` from now on, as long as they are received: from all shards, of each in order.
    pub(crate) fn trace(&self, user: &str) -> mpsc::Receiver<Seen> {
        let (sender, seen) = mpsc::channel(SEEN_MAX);
        for shard in self.shards.iter() {
            let question = Question::Trace { user: user.as_bytes().to_vec(), to: sender.clone() };
            // A shard that has stopped shows nothing.
            let _ = shard.orders.send(Order::Watch(Box::new(question)));
        }
        seen
    }

    /// Lets every shard keep the last messages, so many octets each; none if it is zero.
    pub(crate) fn keep(&self, octets: usize) {
        for shard in self.shards.iter() {
            let _ = shard.orders.send(Order::Watch(Box::new(Question::Keep(octets))));
        }
    }

    /// The messages that are kept, in order of time, and whether any shard keeps some.
    pub(crate) async fn kept(&self) -> (Vec<Seen>, bool) {
        let answers = self.ask_all(Question::Kept).await;
        let is_kept = answers.iter().flatten().any(Option::is_some);
        let mut kept: Vec<_> = answers.into_iter().flatten().flatten().flatten().collect();
        kept.sort_by_key(|seen: &Seen| seen.at);
        (kept, is_kept)
    }

    /// Why the server is not healthy.
    async fn fault(&self) -> Option<String> {
        let answers = self.ask_all(Question::Alive).await;
        let dead: Vec<_> = (0..)
            .zip(answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(shard, _): (u8, _)| shard)
            .collect();
        (!dead.is_empty()).then(|| format!("shards that do not answer: {dead:?}"))
    }

    /// Why the server should get no new work.
    async fn hindrance(&self) -> Option<String> {
        if self.condition.is_draining.load(Ordering::Relaxed) {
            return Some("being stopped".to_owned());
        }
        if self.condition.is_store_failing.load(Ordering::Relaxed) {
            return Some("records cannot be stored".to_owned());
        }
        self.fault().await
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}
