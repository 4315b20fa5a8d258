//! A worker of the server on the thread of a test.

use super::*;
use crate::store::Store;

/// One shard with its sockets, not in a thread of its own: what it allocates, the thread of the test allocates.
pub(crate) struct Here {
    worker: Worker,
    sockets: Vec<ports::Socket>,
    media: media::MediaNetwork,
    /// Nobody reads them.
    _events: mpsc::Receiver<Heard>,
}

impl Here {
    /// A server as `settings` want it, with the users and groups of `store`; where it listens.
    pub(crate) async fn open(settings: &Settings, domain: &str, store: &mut Store) -> (Self, SocketAddr) {
        let clock = Clock::start();
        let (mut all, listeners) = ports::open(&settings.listeners, 1).await.ok().unwrap();
        let (secret, begun) = (random().unwrap(), Duration::ZERO);
        let plan = Plan { settings, domain, listeners: &listeners, secret, begun };
        let media = MediaPorts::open(&settings.media, listeners[0].bind, 0).ok().unwrap();
        let mut shard = Shard::of_config(plan.shard(0, &media.ports).unwrap());
        for account in store.accounts().await.unwrap() {
            shard.handle_input(clock.now(), clerk::put(&account, domain));
        }
        for group in store.groups().await.unwrap() {
            shard.handle_input(clock.now(), clerk::put_group(&group, domain));
        }
        let (handed_to, handed) = mpsc::channel(HANDED_MAX);
        let (orders_to, orders) = mpsc::unbounded_channel();
        let (events, heard) = mpsc::channel(EVENTS_MAX);
        let worker = Worker {
            number: 0,
            clock,
            shard,
            neighbours: vec![Neighbour { handed: handed_to, orders: orders_to }],
            handed,
            orders,
            events,
            dropped: Arc::default(),
            recorder: None,
            journal: None,
            tap: Tap::new(clock, Arc::default(), listeners[0].advertised),
        };
        let sockets = all.remove(0).into_iter().map(|ports| ports.into_tokio().unwrap()).collect();
        let media = media.into_tokio().unwrap();
        (Self { worker, sockets, media, _events: heard }, listeners[0].bind)
    }

    /// Serves for ever.
    pub(crate) async fn run(self) {
        self.worker.run(self.sockets, self.media).await.unwrap();
    }
}
