//! One thread: a shard with its sockets and connections. The only thing that it waits for is the network.

mod connections;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};

use sip::connection::shard_of;
use sip::transport::{ConnectionId, Transmit};
use sip::{Duration, Instant};
use sipcore::Load;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use self::connections::Open;
use super::bells::{BELLS_MAX, Bells};
use super::datagrams::Inbox;
use super::media::MediaNetwork;
use super::ports::{Accepted, Network, Socket};
use super::recording::Recorded;
use super::shard::{Event, Hop, Input, Outgoing, Shard};
use crate::clock::{Clock, Timer};
use crate::driver::connection::{self, Reported};
use crate::journal::{self, Keeper, Said};
use crate::watch::{Depths, Question, Tap};

/// Messages that may wait for another shard. Beyond it they are dropped and counted. Who sent one by UDP sends it again; a hop
/// inside is not repeated, so what it ended ends by its timer.
pub(crate) const HANDED_MAX: usize = 4096;

/// Datagrams and handed messages that are taken before something else gets its turn.
const BATCH: usize = 64;

/// Turns in a row in which as much came as can be taken at once, after which there is too much to do: a third of a second in
/// which the queue was never emptied. A burst is none of it.
const FULL_TURNS: u32 = 1000;

/// How long no connection is accepted after that has failed: it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long peers that do not read are waited for at the end.
const FLUSH_MAX: Duration = Duration::from_millis(100);

/// What one shard hands to another.
pub(crate) enum Handed {
    /// A message for one of its elements; since when it is under way, if it belongs to a CANCEL.
    Hop(Hop, Option<Instant>),
    /// Octets for one of its connections.
    Transmit(Transmit),
}

/// What the others want of a shard. Few, and none may be lost.
pub(crate) enum Order {
    /// The directory changes; the way back says that it has.
    Change(Input, oneshot::Sender<()>),
    /// Somebody looks.
    Watch(Box<Question>),
    /// A connection of another shard was closed.
    Lost(ConnectionId),
    /// Everything that there is is to end.
    Release,
    /// It is over, whatever there still is.
    Stop,
}

/// What a shard has said.
pub(crate) struct Heard {
    pub(crate) shard: u8,
    pub(crate) at: Instant,
    pub(crate) event: Event,
}

/// What one shard has to reach another one.
#[derive(Clone)]
pub(crate) struct Neighbour {
    pub(crate) handed: Sender<Handed>,
    pub(crate) orders: UnboundedSender<Order>,
}

/// What was dropped, by all shards.
#[derive(Default)]
pub(crate) struct Dropped {
    /// Messages for another shard that had too many waiting.
    pub(crate) handed: AtomicU64,
    /// Octets for a connection that is not there any more.
    pub(crate) unsent: AtomicU64,
    /// Events that nobody has heard, sessions among them.
    pub(crate) untold: AtomicU64,
    /// Lines about events that nobody was quick enough to read.
    pub(crate) unread: AtomicU64,
    /// Packets of speech, and beginnings and ends of talk bursts, that were to be recorded.
    pub(crate) unrecorded: AtomicU64,
}

impl Dropped {
    /// Everything together.
    pub(crate) fn total(&self) -> u64 {
        self.parts().iter().map(|(_, count)| count).sum()
    }

    /// Each for itself.
    pub(crate) fn parts(&self) -> [(&'static str, u64); 5] {
        [
            ("handed", &self.handed),
            ("unsent", &self.unsent),
            ("untold", &self.untold),
            ("unread", &self.unread),
            ("unrecorded", &self.unrecorded),
        ]
        .map(|(what, count)| (what, count.load(Ordering::Relaxed)))
    }
}

/// A shard, and all that it talks to.
pub(crate) struct Worker {
    pub(crate) number: u8,
    pub(crate) clock: Clock,
    pub(crate) shard: Shard,
    /// All shards, this one too.
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) handed: Receiver<Handed>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) events: Sender<Heard>,
    /// Where talk bursts are recorded.
    pub(crate) recorder: Option<SyncSender<Recorded>>,
    pub(crate) dropped: Arc<Dropped>,
    pub(crate) tap: Tap,
    /// What goes in and comes out is kept.
    pub(crate) journal: Option<Keeper>,
}

// The bells of what a worker waits for.
const MESSAGES: usize = 0;
const HANDED: usize = 1;
const REPORTS: usize = 2;
const CONNECTIONS: usize = 3;
const ORDERS: usize = 4;
const TIMER: usize = 5;
/// Those of media are this one and all that follow.
const MEDIA: usize = 6;

/// What a turn begins with.
enum Turn {
    /// Datagrams have come, here, or have been received before.
    Messages(Option<usize>),
    /// Speech or talk burst control has.
    Media(usize),
    Handed(Handed),
    Report(Reported),
    Accepted(io::Result<Accepted>),
    Order(Option<Order>),
    Due,
}

/// What the thread runs.
struct Run {
    worker: Worker,
    bells: Bells,
    timer: Timer,
    network: Network,
    accept_after: Option<Instant>,
    /// Datagrams that have been received and not handed in yet.
    inbox: Inbox,
    media: MediaNetwork,
    /// The same of media; all of them are handed in at once.
    media_inbox: Inbox,
    /// How often in a row as much came as can be taken at once: beyond [`FULL_TURNS`] the shard knows that there is too much to do.
    full_turns: u32,
    connections: BTreeMap<ConnectionId, Open>,
    /// How many of them we opened.
    opened: usize,
    numbered: u32,
    /// When the connections on which nothing whole has come are closed.
    silent: BTreeSet<(Instant, ConnectionId)>,
    reports: Receiver<Reported>,
    reporter: Sender<Reported>,
}

impl Worker {
    /// Runs until it is stopped.
    pub(crate) async fn run(self, sockets: Vec<Socket>, media: MediaNetwork) -> io::Result<()> {
        let (reporter, reports) = connection::reports();
        let run = Run {
            bells: Bells::new(),
            timer: self.clock.timer(),
            worker: self,
            network: Network::new(sockets),
            accept_after: None,
            inbox: Inbox::new(),
            media,
            media_inbox: Inbox::of_media(),
            full_turns: 0,
            connections: BTreeMap::new(),
            opened: 0,
            numbered: 0,
            silent: BTreeSet::new(),
            reports,
            reporter,
        };
        run.until_stopped().await
    }
}

impl Run {
    async fn until_stopped(mut self) -> io::Result<()> {
        loop {
            self.expect();
            match poll_fn(|context| self.poll_turn(context)).await? {
                Turn::Messages(place) => {
                    if let Some(place) = place {
                        self.network.receive(place, &mut self.inbox)?;
                        self.note_load();
                    }
                    self.hand_in_batch();
                }
                Turn::Media(place) => {
                    self.hear(place)?;
                    if self.is_settled() {
                        continue;
                    }
                }
                Turn::Handed(handed) => self.take_batch(handed),
                Turn::Report((id, report)) => self.handle_report(id, report),
                Turn::Accepted(Ok(accepted)) => self.accept(accepted),
                Turn::Accepted(Err(_)) => self.accept_after = Some(self.worker.clock.now() + ACCEPT_PAUSE),
                Turn::Order(Some(Order::Change(input, done))) => {
                    self.hand_in(input);
                    // Who has asked may have gone.
                    let _ = done.send(());
                }
                Turn::Order(Some(Order::Watch(question))) => self.answer(*question),
                Turn::Order(Some(Order::Lost(connection))) => {
                    self.hand_in(Input::ConnectionLost { connection })
                }
                Turn::Order(Some(Order::Release)) => self.hand_in(Input::Release),
                Turn::Order(Some(Order::Stop) | None) => {
                    self.finish().await;
                    return Ok(());
                }
                Turn::Due => {
                    self.end_pause();
                    self.close_silent();
                    self.hand_in(Input::Timeout);
                }
            }
            self.settle().await;
            self.worker.tap.settled();
        }
    }

    /// Sets the timer to what comes first.
    fn expect(&mut self) {
        let silent = self.silent.first().map(|(at, _)| *at);
        let due = self.worker.shard.poll_timeout().into_iter().chain(silent).chain(self.accept_after).min();
        if self.timer.set(due) {
            self.bells.ring(TIMER);
        }
    }

    /// Waits for something to do.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let Self { bells, worker, timer, network, accept_after, inbox, media, reports, .. } = self;
        bells.poll(context, |number, context| match number {
            MESSAGES if !inbox.is_empty() => Poll::Ready(Ok(Turn::Messages(None))),
            MESSAGES => network.poll_readable(context).map_ok(|place| Turn::Messages(Some(place))),
            // Never closed, as the reports are not: the thread has a sender itself.
            HANDED => some(worker.handed.poll_recv(context)).map(|handed| Ok(Turn::Handed(handed))),
            REPORTS => some(reports.poll_recv(context)).map(|report| Ok(Turn::Report(report))),
            CONNECTIONS if accept_after.is_some() => Poll::Pending,
            CONNECTIONS => network.poll_accept(context).map(|accepted| Ok(Turn::Accepted(accepted))),
            ORDERS => worker.orders.poll_recv(context).map(|order| Ok(Turn::Order(order))),
            TIMER => timer.poll(context).map(|()| Ok(Turn::Due)),
            bell => media.poll_readable(bell - MEDIA, BELLS_MAX - MEDIA, context).map_ok(Turn::Media),
        })
    }

    /// Has every record closed, and what is still to be sent leave. Nothing comes in any more, so there is time to wait for the
    /// clerk.
    async fn finish(mut self) {
        self.hand_in(Input::Abandon);
        self.send_all().await;
        while let Some(event) = self.worker.shard.poll_event() {
            self.said(&Said::Event(&event));
            let heard = Heard { shard: self.worker.number, at: self.worker.clock.now(), event };
            // Without a clerk nobody is told.
            let _ = self.worker.events.send(heard).await;
        }
        if let Some(journal) = &mut self.worker.journal {
            journal.settled();
        }
        let Self { worker, connections, reports, .. } = self;
        drop((worker, reports));
        let writing = async {
            for (_, Open { connection, .. }) in connections {
                // What made it fail is the peer's to know.
                let _ = connection.finish().await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_MAX, writing).await;
    }

    fn hand_in(&mut self, input: Input) {
        self.hand_in_at(self.worker.clock.now(), input);
    }

    fn hand_in_at(&mut self, now: Instant, input: Input) {
        let Worker { shard, tap, journal, .. } = &mut self.worker;
        tap.received(now, &input);
        keep(journal.as_mut(), now, &input);
        shard.handle_input(now, input);
        tap.inside(now, shard);
    }

    fn answer(&mut self, question: Question) {
        let Worker { shard, tap, handed, events, .. } = &mut self.worker;
        let depths = Depths {
            handed: handed.len(),
            events: events.max_capacity() - events.capacity(),
            connections: self.connections.len(),
        };
        tap.answer(question, shard, &depths);
    }

    // What comes.

    /// Hands in datagrams, up to a batch: the rest waits until others have had their turn.
    fn hand_in_batch(&mut self) {
        let now = self.worker.clock.now();
        for _ in 0..BATCH {
            let Some((path, bytes)) = self.inbox.next() else { return };
            self.hand_in_at(now, Input::Message { path, bytes });
        }
    }

    /// Hands in what has come of speech and talk burst control at a socket.
    fn hear(&mut self, place: usize) -> io::Result<()> {
        let at = self.media.receive(place, &mut self.media_inbox)?;
        let now = self.worker.clock.now();
        while let Some((remote, bytes)) = self.media.next(&mut self.media_inbox) {
            let input = Input::Media { at, remote, bytes };
            keep(self.worker.journal.as_mut(), now, &input);
            self.worker.shard.handle_input(now, input);
            // Neither a grant nor speech waits for what else has come.
            self.send_media(Some(now));
        }
        Ok(())
    }

    /// Tells the shard how much there is to do: as much as can be taken at once came, and so often in a row.
    fn note_load(&mut self) {
        let load = |full_turns| if full_turns > FULL_TURNS { Load::Full } else { Load::Usual };
        let before = load(self.full_turns);
        self.full_turns = if self.inbox.is_full() { self.full_turns.saturating_add(1) } else { 0 };
        let now = load(self.full_turns);
        if now != before {
            self.hand_in(Input::Load(now));
        }
    }

    fn take_batch(&mut self, first: Handed) {
        self.take(first);
        for _ in 1..BATCH {
            let Ok(handed) = self.worker.handed.try_recv() else { return };
            self.take(handed);
        }
    }

    fn take(&mut self, handed: Handed) {
        match handed {
            Handed::Hop(hop, since) => {
                self.worker.tap.handed(since);
                self.hand_in(Input::Hop(hop));
            }
            Handed::Transmit(transmit) => self.send_on_connection(transmit),
        }
    }

    /// Connections are accepted again after that has failed.
    fn end_pause(&mut self) {
        if self.accept_after.is_some_and(|at| at <= self.worker.clock.now()) {
            self.accept_after = None;
            self.bells.ring(CONNECTIONS);
        }
    }

    // What leaves.

    /// Drains the shard: what leaves first, then events.
    async fn settle(&mut self) {
        loop {
            self.send_all().await;
            let Some(event) = self.worker.shard.poll_event() else { break };
            self.said(&Said::Event(&event));
            self.worker.tap.told(&event);
            let heard = Heard { shard: self.worker.number, at: self.worker.clock.now(), event };
            if self.worker.events.try_send(heard).is_err() {
                self.worker.dropped.untold.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(journal) = &mut self.worker.journal {
            journal.settled();
        }
    }

    /// Whether [`Self::settle`] would find nothing: speech was passed on, and that was all.
    fn is_settled(&self) -> bool {
        self.worker.journal.is_none() && self.media.is_flushed() && !self.worker.shard.has_output()
    }

    /// The shard has said this.
    fn said(&mut self, said: &Said<'_>) {
        if let Some(journal) = &mut self.worker.journal {
            journal.said(said);
        }
    }

    async fn send_all(&mut self) {
        while let Some(outgoing) = self.worker.shard.poll_transmit() {
            self.said(&Said::Outgoing(&outgoing));
            match outgoing {
                Outgoing::Network(transmit) => {
                    self.worker.tap.sent(&transmit);
                    self.send(transmit).await;
                }
                Outgoing::Shard { to, hop } => {
                    let since = self.worker.tap.passed(&hop);
                    self.pass(to, Handed::Hop(hop, since));
                }
            }
        }
        // All datagrams of this turn together.
        self.network.flush().await;
        self.send_media(None);
        self.media.flush();
        self.worker.tap.lost(self.media.take_lost());
        while let Some(recording) = self.worker.shard.poll_recording() {
            self.said(&Said::Recording(&recording));
            let Worker { number, recorder, dropped, .. } = &self.worker;
            let is_taken = recorder.as_ref().is_some_and(|to| to.try_send((*number, recording)).is_ok());
            if !is_taken {
                dropped.unrecorded.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends speech and talk burst control, the latter in part with what else is said in this turn; `since`: when that came which is
    /// answered by it.
    fn send_media(&mut self, since: Option<Instant>) {
        while let Some(transmit) = self.worker.shard.poll_media() {
            self.said(&Said::Media(&transmit));
            if let (true, Some(since)) = (self.media.send(transmit), since) {
                self.worker.tap.granted(since);
            }
        }
    }

    async fn send(&mut self, transmit: Transmit) {
        match transmit.path.connection {
            None => self.network.send(transmit.path.local, transmit.path.remote, transmit.bytes).await,
            Some(id) if shard_of(id) != self.worker.number => {
                self.pass(shard_of(id), Handed::Transmit(transmit));
            }
            Some(id) => {
                if self.connections.contains_key(&id) || self.open(id, transmit.path) {
                    self.send_on_connection(transmit);
                }
            }
        }
    }

    fn pass(&mut self, to: u8, handed: Handed) {
        let neighbour = self.worker.neighbours.get(usize::from(to));
        if neighbour.is_none_or(|neighbour| neighbour.handed.try_send(handed).is_err()) {
            self.worker.dropped.handed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// This is about to go into the shard.
pub(super) fn keep(journal: Option<&mut Keeper>, now: Instant, input: &Input) {
    if let Some(journal) = journal {
        journal.input(now, || journal::Input::Shard(input.clone()));
    }
}

/// What a queue has that is never closed.
fn some<T>(poll: Poll<Option<T>>) -> Poll<T> {
    match poll {
        Poll::Ready(Some(ready)) => Poll::Ready(ready),
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}
