//! The clerk: the one task that has the store. Orders of the operator, events of the shards, and records to be kept
//! come to it by bounded queues; no shard ever waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sip::{Duration, Instant};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::shard::{Event, Input};
use super::told::{Closed, Told, Voice};
use super::worker::{Dropped, Heard, Neighbour, Order};
use crate::clock::{Clock, wall};
use crate::control::{Asked, Change, Reply, carry_out};
use crate::store::account::{ANYBODY, AccessName, Account};
use crate::store::group::Group;
use crate::store::{Store, StoreError, StoredSession};
use crate::watch::Condition;

/// How long a record waits for others at most.
const COMMIT_AFTER: Duration = Duration::from_millis(100);

/// How long it is before more is heard of the shards.
const HEAR_EVERY: Duration = Duration::from_millis(5);

/// Events that are heard at once at most.
const HEARD_MAX: usize = 1024;

/// Records that are kept at once at most.
const BATCH_MAX: usize = 1000;

/// How often it is told that more was dropped.
const DROPPED_EVERY: Duration = Duration::from_secs(10);

/// What the clerk has.
pub(crate) struct Clerk {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) domain: String,
    /// For how long sessions are remembered.
    remembered: Duration,
    pub(crate) voice: Voice,
    pub(crate) shards: Vec<Neighbour>,
    pub(crate) dropped: Arc<Dropped>,
    pub(crate) condition: Arc<Condition>,
    /// Records that are not kept yet, and until when they may wait.
    batch: Vec<Kept>,
    commit_at: Option<Instant>,
    /// Before this nothing is heard of the shards.
    hears_at: Option<Instant>,
    /// Which shards wait for nothing any more, once they are to end.
    settled: BTreeSet<u8>,
    /// Records of sessions that had not ended when nothing was waited for any more.
    open: usize,
    /// What was told to be dropped, and when it may be told again.
    told_dropped: (u64, Instant),
}

/// A record on its way into the store: it is told when it is there.
struct Kept {
    at: Instant,
    stored: StoredSession,
    closed: Box<Closed>,
}

/// Something to be done.
pub(crate) enum Work {
    /// The operator wants something.
    Asked(Asked),
    /// Shards have something to say.
    Heard(Vec<Heard>),
    /// Something is due.
    Due,
}

impl Clerk {
    pub(crate) fn new(
        clock: Clock,
        store: Store,
        domain: String,
        remembered: Duration,
        voice: Voice,
        shards: Vec<Neighbour>,
        dropped: Arc<Dropped>,
    ) -> Self {
        let told_dropped = (0, clock.now() + DROPPED_EVERY);
        let (batch, commit_at) = (Vec::new(), None);
        let (settled, open) = (BTreeSet::new(), 0);
        Self {
            clock,
            store,
            domain,
            remembered,
            voice,
            shards,
            dropped,
            condition: Arc::default(),
            batch,
            commit_at,
            hears_at: None,
            settled,
            open,
            told_dropped,
        }
    }

    /// Waits until something is to be done. It can be given up at any moment and loses nothing.
    pub(crate) async fn wait(&self, asked: &mut Receiver<Asked>, events: &mut Receiver<Heard>) -> Work {
        let due = self.commit_at.map_or(self.told_dropped.1, |at| at.min(self.told_dropped.1));
        tokio::select! {
            Some(asked) = asked.recv() => Work::Asked(asked),
            heard = self.hear(events) => Work::Heard(heard),
            () = self.clock.until(Some(due)) => Work::Due,
        }
    }

    /// What comes after a pause is heard at once, and what comes after that together: a shard seldom has to wake this up.
    async fn hear(&self, events: &mut Receiver<Heard>) -> Vec<Heard> {
        if self.hears_at.is_some() {
            self.clock.until(self.hears_at).await;
        }
        let mut heard = Vec::new();
        if events.recv_many(&mut heard, HEARD_MAX).await == 0 {
            std::future::pending::<()>().await; // all shards have stopped
        }
        heard
    }

    /// Does it, to its end.
    pub(crate) async fn handle(&mut self, work: Work) {
        match work {
            Work::Asked((order, reply)) => {
                let answer = self.carry_out(order).await;
                // Who has asked may have gone.
                let _ = reply.send(answer);
            }
            Work::Heard(all) => {
                self.hears_at = Some(self.clock.now() + HEAR_EVERY);
                for heard in all {
                    self.take(heard).await;
                }
            }
            Work::Due => {}
        }
        self.handle_due().await;
    }

    /// Has all shards take nothing new and release what there is.
    pub(crate) async fn release(&mut self, within: Duration) {
        self.voice.tell(self.clock.now(), &Told::Releasing { within: within.as_secs_f64() });
        // What a PoC Server says may leave by the core of another shard.
        self.change(&Input::Refuse).await;
        // Who controls a session ends it, before anybody else of this server leaves it.
        self.change(&Input::ReleaseControlled).await;
        for shard in &self.shards {
            // A shard that has ended has nothing left.
            let _ = shard.orders.send(Order::Release);
        }
    }

    /// Whether no shard waits for anything any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.len() == self.shards.len()
    }

    /// Keeps what is left, and closes everything. How many sessions had not ended.
    pub(crate) async fn close(mut self, events: &mut Receiver<Heard>) -> (usize, Result<(), StoreError>) {
        while let Some(heard) = events.recv().await {
            self.take(heard).await;
        }
        self.commit().await;
        let closed = self.store.close().await;
        tracing::info!(open = self.open, "stopped");
        self.voice.tell(self.clock.now(), &Told::Stopped { open: self.open });
        self.voice.close();
        (self.open, closed)
    }

    async fn carry_out(&mut self, order: crate::control::Order) -> Reply {
        let (what, about) = order.label();
        tracing::info!(what, about, "order");
        match carry_out(&mut self.store, order).await {
            Ok((reply, changes)) => {
                // Effective before it is told.
                for change in changes {
                    self.be_changed(change).await;
                }
                reply
            }
            Err(error) => {
                tracing::error!(%error, "an order failed in the store");
                Reply::Failed { why: error.to_string() }
            }
        }
    }

    async fn be_changed(&mut self, change: Change) {
        let (input, told) = match change {
            Change::Put(account) => {
                let address = address(&account.name, &self.domain);
                (put(&account, &self.domain), Told::UserChanged { address })
            }
            Change::Remove(name) => {
                let address = address(&name, &self.domain);
                let input = Input::Remove { name: name.into(), address: address.clone().into() };
                (input, Told::UserRemoved { address })
            }
            Change::PutGroup(group) => {
                let address = address(&group.name, &self.domain);
                let told = Told::GroupChanged { address, members: group.members.len() };
                (put_group(&group, &self.domain), told)
            }
            Change::RemoveGroup(name) => {
                let address = address(&name, &self.domain);
                let input = Input::RemoveGroup { name: name.into(), address: address.clone().into() };
                (input, Told::GroupRemoved { address })
            }
        };
        self.change(&input).await;
        self.voice.tell(self.clock.now(), &told);
    }

    /// Has all shards change their directories; they have, when this returns.
    async fn change(&self, input: &Input) {
        let mut waiting = Vec::new();
        for shard in &self.shards {
            let (sender, done) = oneshot::channel();
            if shard.orders.send(Order::Change(input.clone(), sender)).is_ok() {
                waiting.push(done);
            }
        }
        for done in waiting {
            // A shard that has stopped serves nobody.
            let _ = done.await;
        }
    }

    async fn take(&mut self, Heard { shard, at, event }: Heard) {
        match event {
            Event::BindingsChanged { address } => {
                let address = String::from_utf8_lossy(&address).into_owned();
                self.voice.tell(at, &Told::BindingsChanged { address });
            }
            Event::Closed(record) => {
                let closed = Box::new(Closed::new(shard, &record));
                let ended = i64::try_from(wall().as_millis()).unwrap_or(i64::MAX);
                let stored = StoredSession { ended, record: closed.to_text() };
                self.open += usize::from(record.open > 0);
                self.batch.push(Kept { at, stored, closed });
                self.commit_at.get_or_insert(self.clock.now() + COMMIT_AFTER);
                if self.batch.len() >= BATCH_MAX {
                    self.commit().await;
                }
            }
            Event::Settled(true) => drop(self.settled.insert(shard)),
            Event::Settled(false) => drop(self.settled.remove(&shard)),
        }
    }

    async fn handle_due(&mut self) {
        let now = self.clock.now();
        if self.commit_at.is_some_and(|at| at <= now) {
            self.commit().await;
        }
        let (told, at) = self.told_dropped;
        if at <= now {
            self.dropped.unread.store(self.voice.dropped(), Ordering::Relaxed);
            let count = self.dropped.total();
            if count > told {
                tracing::warn!(count, parts = ?self.dropped.parts(), "dropped");
                self.voice.tell(now, &Told::Dropped { count });
            }
            self.told_dropped = (count, now + DROPPED_EVERY);
        }
    }

    /// Keeps the records that wait, in one transaction; then they are told. A record counts as closed once it is committed.
    async fn commit(&mut self) {
        self.commit_at = None;
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let (stored, told): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|Kept { at, stored, closed }| (stored, (at, closed))).unzip();
        let before = wall().saturating_sub(self.remembered).as_millis();
        let kept = self.store.keep(&stored, i64::try_from(before).unwrap_or(0)).await;
        self.condition.is_store_failing.store(kept.is_err(), Ordering::Relaxed);
        if let Err(error) = kept {
            tracing::error!(sessions = told.len(), %error, "records could not be stored");
            // To try again with them would be to keep all: they are told, by another name.
            self.dropped.untold.fetch_add(told.len() as u64, Ordering::Relaxed);
            let failed = Told::NotStored { sessions: told.len(), why: error.to_string() };
            self.voice.tell(self.clock.now(), &failed);
            told.into_iter().for_each(|(at, closed)| self.voice.tell(at, &Told::Unstored(closed)));
        } else {
            told.into_iter().for_each(|(at, closed)| self.voice.tell(at, &Told::Closed(closed)));
        }
    }
}

pub(crate) fn address(name: &str, domain: &str) -> String {
    format!("sip:{name}@{domain}")
}

/// What the shards are told of a user.
pub(super) fn put(account: &Account, domain: &str) -> Input {
    use poc::server::{Access, AccessRule, OverrideBy, User};

    let canonical = |uri: &String| poc::address::canonical(uri.as_bytes());
    let access = |access: &AccessName| match access {
        AccessName::Bar => Access::Reject,
        AccessName::Pass => Access::Pass,
        AccessName::Accept => Access::Accept,
    };
    let mut user = User::new(Bytes::from(address(&account.name, domain)));
    for (uri, name) in &account.rules.access {
        match canonical(uri) {
            _ if uri == ANYBODY => user.access = access(name),
            Some(inviter) => user.rules.push(AccessRule { inviter, access: access(name) }),
            None => {} // no such rule is stored
        }
    }
    let overriders = &account.rules.allow_override;
    user.override_by = if overriders.contains(ANYBODY) {
        OverrideBy::Anybody
    } else {
        OverrideBy::These(overriders.iter().filter_map(canonical).collect())
    };
    user.plain_phone = account.rules.plain_phone;
    let name = Bytes::from(account.name.clone());
    let core = account.ha1.to_core().map(|ha1| sipcore::User { name, ha1 });
    Input::Put { core, server: Box::new(user) }
}

/// What the shards are told of a group.
pub(super) fn put_group(group: &Group, domain: &str) -> Input {
    Input::PutGroup { name: Bytes::from(group.name.clone()), group: Box::new(group.to_server(domain)) }
}
