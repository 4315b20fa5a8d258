//! The server: a SIP/IP core and a PoC Server in one process, a thread a shard, and a clerk with the store.
//!
//! ```text
//! network ── worker k: shard k ── events ──► clerk ── store, output
//!              │  ▲                            ▲
//!              ▼  │ handed                     │ orders
//!            worker j: shard j              control socket
//! ```
//!
//! Queues from a worker are bounded, and what does not fit is dropped and counted: a worker waits for the network only.

mod bells;
mod clerk;
mod datagrams;
#[cfg(test)]
pub(crate) mod fixture;
mod media;
mod outbox;
mod ports;
mod recording;
mod settings;
pub(crate) mod shard;
mod told;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::Ports as MediaPair;
use sip::transport::{Listener, Target, Transport};
use sip::{Duration, Owner};
use tokio::sync::mpsc;

use self::clerk::Clerk;
pub(crate) use self::clerk::Work;
use self::media::MediaPorts;
use self::ports::{Ports, Unusable};
use self::shard::Shard;
use self::told::{Told, Voice};
pub(crate) use self::worker::{Dropped, Order};
use self::worker::{HANDED_MAX, Heard, Neighbour, Worker};
use crate::clock::{Clock, wall};
use crate::command::Failure;
use crate::control::{self, Desk};
use crate::journal;
use crate::store::StoreError;
use crate::store::account::FACTORY;
use crate::watch::{self, Condition, Meter, Observed, Tap, Watch};

pub(crate) use self::datagrams::{Datagrams, Inbox};
pub(crate) use self::settings::{CoreAt, Listening, LogFormat, LogSettings, PORT, Secret, Settings};
pub(crate) use self::shard::{SERVER, SHARDS_MAX, server_address};
pub(crate) use self::told::Closed;

/// Events that may wait for the clerk. Beyond it they are dropped.
const EVENTS_MAX: usize = 4096;

/// Orders that may wait for the clerk; beyond it those who have them wait.
const ORDERS_MAX: usize = 16;

/// A server that runs.
pub(crate) struct Service {
    clerk: Clerk,
    threads: Vec<std::thread::JoinHandle<()>>,
    asked: mpsc::Receiver<control::Asked>,
    events: mpsc::Receiver<Heard>,
    /// A thread that has ended says why.
    ended: mpsc::Receiver<io::Result<()>>,
    listening: tokio::task::JoinHandle<()>,
    /// How long sessions may take to be released.
    release_within: Duration,
}

/// So much at most.
const CLOSING_MAX: Duration = Duration::from_millis(250);

/// What is told to whoever has started it.
pub(crate) struct Started {
    /// Those of the settings, with the ports that they have.
    #[cfg_attr(not(test), expect(dead_code, reason = "users are told the first"))]
    pub(crate) listeners: Vec<Listening>,
    /// Where clients find the SIP/IP core.
    pub(crate) core: SocketAddr,
    pub(crate) domain: String,
    /// The names of the first users.
    pub(crate) users: Vec<String>,
}

impl Service {
    /// Takes the data folder, opens the sockets, and begins to serve.
    pub(crate) async fn start(settings: Settings) -> Result<(Self, Started), Failure> {
        let clock = Clock::start();
        let metrics = settings.metrics.map(|address| {
            let occupied = |error| Failure::Listen(Transport::Tcp, address, error);
            std::net::TcpListener::bind(address).map_err(occupied)
        });
        let metrics = metrics.transpose()?;
        // 1. The folder first: whoever has it has the users. A command that has it is waited for.
        let mut store = match Desk::open(&settings.folder).await? {
            Desk::Ours(store) => *store,
            Desk::Server(_) => return Err(StoreError::InUse(settings.folder).into()),
        };
        let domain = store.serve_domain(settings.domain.as_deref()).await?;
        let (accounts, groups) = (store.accounts().await?, store.groups().await?);

        // 2. The sockets.
        let unusable =
            |Unusable { address, occupied }| Failure::Listen(occupied.transport, address, occupied.error);
        let (ports, listeners) = ports::open(&settings.listeners, settings.shards).await.map_err(unusable)?;

        // 3. The shards, with everybody in them before anything comes in.
        let begun = wall().saturating_sub(clock.now().since_start());
        let plan =
            Plan { settings: &settings, domain: &domain, listeners: &listeners, secret: random()?, begun };
        let mut shards = Vec::new();
        let (mut media, mut configs) = (Vec::new(), Vec::new());
        for number in 0..settings.shards {
            let sockets = MediaPorts::open(&settings.media, listeners[0].bind, number).map_err(unusable)?;
            let config = plan.shard(number, &sockets.ports)?;
            media.push(sockets);
            configs.push(config);
        }
        let (mut keepers, journal) = match &settings.journal {
            None => (Vec::new(), None),
            Some(path) => {
                let unusable = |error: io::Error| Failure::File(path.clone(), error.to_string());
                let (keepers, thread) = journal::write(
                    path,
                    configs.iter().cloned().map(Box::new).map(journal::Config::Shard).collect(),
                )
                .map_err(unusable)?;
                (keepers, Some(thread))
            }
        };
        for (number, config) in configs.into_iter().enumerate() {
            let mut shard = Shard::of_config(config);
            let accounts = accounts.iter().map(|account| clerk::put(account, &domain));
            let groups = groups.iter().map(|group| clerk::put_group(group, &domain));
            for input in accounts.chain(groups) {
                let now = clock.now();
                if let Some(keeper) = keepers.get_mut(number) {
                    worker::keep(Some(keeper), now, &input);
                    keeper.begun();
                }
                shard.handle_input(now, input);
            }
            shards.push(shard);
        }

        // 4. Their threads.
        let dropped = Arc::new(Dropped::default());
        let condition = Arc::<Condition>::default();
        let record = |folder: &PathBuf| {
            let unusable = |error| StoreError::Folder(folder.clone(), error);
            recording::start(folder, clock, Arc::clone(&condition)).map_err(unusable)
        };
        let (recorder, recording) = settings.recordings.as_ref().map(record).transpose()?.unzip();
        let (events_to, events) = mpsc::channel(EVENTS_MAX);
        let (ended_to, ended) = mpsc::channel(usize::from(settings.shards));
        let mut neighbours = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..settings.shards {
            let (handed_to, handed) = mpsc::channel(HANDED_MAX);
            let (orders_to, orders) = mpsc::unbounded_channel();
            neighbours.push(Neighbour { handed: handed_to, orders: orders_to });
            receivers.push((handed, orders));
        }
        let meters: Vec<_> = neighbours.iter().map(|_| Arc::<Meter>::default()).collect();
        let mut threads = Vec::new();
        let mut keepers = keepers.into_iter();
        for ((((shard, ports), media), (handed, orders)), number) in
            shards.into_iter().zip(ports).zip(media).zip(receivers).zip(0..)
        {
            let worker = Worker {
                number,
                clock,
                shard,
                neighbours: neighbours.clone(),
                handed,
                orders,
                events: events_to.clone(),
                recorder: recorder.clone(),
                dropped: Arc::clone(&dropped),
                tap: Tap::new(clock, Arc::clone(&meters[usize::from(number)]), listeners[0].advertised),
                journal: keepers.next(),
            };
            threads.push(spawn(worker, (ports, media), ended_to.clone())?);
        }
        // It ends once no shard has anything to record.
        threads.extend(recording);
        threads.extend(journal);

        // 5. The clerk, and the socket at which it takes orders.
        let shown = meters.into_iter().zip(&neighbours);
        let shown = shown.map(|(meter, neighbour)| Observed { meter, orders: neighbour.orders.clone() });
        let shards = shown.collect();
        let voice = Voice::new(settings.json);
        let mut clerk =
            Clerk::new(clock, store, domain.clone(), settings.records_kept, voice, neighbours, dropped);
        clerk.condition = Arc::clone(&condition);
        let dropped = Arc::clone(&clerk.dropped);
        let watch = Watch { clock, shards, dropped, condition };
        if settings.ring > 0 {
            watch.keep(settings.ring);
        }
        let metrics_at = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = metrics {
            watch::serve(listener, watch.clone()).map_err(Failure::Network)?;
        }
        let (asked_to, asked) = mpsc::channel(ORDERS_MAX);
        let folder = clerk.store.folder().to_owned();
        let listening = control::listen(&folder, asked_to, watch)
            .map_err(|error| StoreError::Folder(folder.clone(), error))?;
        clerk.voice.tell(
            clock.now(),
            &Told::Listening {
                udp: listeners[0].bind.to_string(),
                tcp: listeners[0].bind.to_string(),
                others: listeners[1..].iter().map(|each| each.bind.to_string()).collect(),
                metrics: metrics_at.map(|address| address.to_string()),
                domain: domain.clone(),
                data: folder.display().to_string(),
                shards: settings.shards,
                users: accounts.len(),
                groups: groups.len(),
            },
        );
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            %domain,
            shards = settings.shards,
            users = accounts.len(),
            groups = groups.len(),
            "serving"
        );
        for Listening { bind, advertised } in &listeners {
            tracing::info!(udp = %bind, tcp = %bind, %advertised, "listening");
        }
        let users = accounts.into_iter().take(2).map(|account| account.name).collect();
        let release_within = settings.release_within;
        let service = Self { clerk, threads, asked, events, ended, listening, release_within };
        // Whoever faces the users.
        let core = match settings.core {
            CoreAt::Embedded => listeners[0].advertised,
            CoreAt::Outside(address) => address,
        };
        Ok((service, Started { listeners, core, domain, users }))
    }

    /// A line for whoever is at the terminal.
    pub(crate) fn hint(&mut self, line: &str) {
        self.clerk.voice.hint(line);
    }

    /// Waits until something is to be done; fails if the network of this machine does. It can be given up at any moment and
    /// loses nothing.
    pub(crate) async fn wait(&mut self) -> Result<Work, Failure> {
        tokio::select! {
            Some(ended) = self.ended.recv() => Err(Failure::Network(ended.err().unwrap_or_else(stopped))),
            work = self.clerk.wait(&mut self.asked, &mut self.events) => Ok(work),
        }
    }

    /// Does it, to its end.
    pub(crate) async fn handle(&mut self, work: Work) {
        self.clerk.handle(work).await;
    }

    /// Takes nothing new, releases all sessions, and stops: as soon as nothing is waited for, when the time for it is over, or
    /// when it is asked for `again`. How many sessions had not ended then.
    pub(crate) async fn release(mut self, again: impl Future) -> Result<usize, Failure> {
        self.clerk.condition.is_draining.store(true, Ordering::Relaxed);
        tracing::info!(within = ?self.release_within, "releasing");
        let until = self.clerk.clock.now() + self.release_within.saturating_sub(closing(self.release_within));
        self.clerk.release(self.release_within).await;
        let mut again = std::pin::pin!(again);
        while !self.clerk.is_settled() {
            let clock = self.clerk.clock;
            tokio::select! {
                _ = &mut again => break,
                () = clock.until(Some(until)) => break,
                work = self.wait() => match work {
                    Ok(work) => self.handle(work).await,
                    // A shard that has ended never settles.
                    Err(_) => break,
                },
            }
        }
        self.stop().await
    }

    /// Stops the shards, keeps what is not kept yet, and closes everything. How many sessions had not ended.
    pub(crate) async fn stop(mut self) -> Result<usize, Failure> {
        self.clerk.condition.is_draining.store(true, Ordering::Relaxed);
        tracing::info!("stopping");
        self.listening.abort();
        for shard in &self.clerk.shards {
            // A shard that has ended has stopped.
            let _ = shard.orders.send(Order::Stop);
        }
        let (open, closed) = self.clerk.close(&mut self.events).await;
        for thread in self.threads {
            // What made it panic has been told by the panic.
            let _ = thread.join();
        }
        closed?;
        Ok(open)
    }
}

/// How much of the time for releasing sessions is left for closing records and connections.
fn closing(within: Duration) -> Duration {
    (within / 4).min(CLOSING_MAX)
}

/// A thread that has stopped although nobody wanted it to.
fn stopped() -> io::Error {
    io::Error::other("a thread has stopped")
}

/// Starts the thread of a shard.
fn spawn(
    worker: Worker,
    (ports, media): (Vec<Ports>, MediaPorts),
    ended: mpsc::Sender<io::Result<()>>,
) -> Result<std::thread::JoinHandle<()>, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Network)?;
    let name = format!("shard {}", worker.number);
    let run = move || {
        let result = runtime.block_on(async {
            let sockets = ports.into_iter().map(Ports::into_tokio).collect::<Result<_, _>>()?;
            worker.run(sockets, media.into_tokio()?).await
        });
        // Whoever waits for it may have gone.
        let _ = ended.try_send(result);
    };
    std::thread::Builder::new().name(name).spawn(run).map_err(Failure::Network)
}

/// What all shards have in common.
struct Plan<'a> {
    settings: &'a Settings,
    domain: &'a str,
    /// Those of the settings, with the ports that they have; the first is the one that the PoC Server is beside.
    listeners: &'a [Listening],
    secret: [u8; 16],
    /// When the clock began, since the Unix epoch.
    begun: Duration,
}

impl Plan<'_> {
    fn advertised(&self) -> SocketAddr {
        self.listeners[0].advertised
    }

    fn shard(&self, number: u8, media: &[MediaPair]) -> Result<shard::Config, Failure> {
        let core = self.core(number)?;
        let mut server = match self.settings.core {
            CoreAt::Embedded => self.server(number)?,
            CoreAt::Outside(address) => self.server_behind(address, number)?,
        };
        server.set_ports(media.to_vec());
        let is_behind = matches!(self.settings.core, CoreAt::Outside(_));
        Ok(shard::Config { core, server, is_behind })
    }

    /// Where the network is.
    fn listeners(&self) -> Vec<Listener> {
        let network = |&Listening { bind, advertised }: &Listening| {
            [Transport::Udp, Transport::Tcp].map(|transport| Listener { transport, bind, advertised })
        };
        self.listeners.iter().flat_map(network).collect()
    }

    fn core(&self, number: u8) -> Result<sipcore::Config, Failure> {
        let advertised = self.advertised();
        let inside = Listener { transport: Transport::Inside, bind: advertised, advertised };
        let listeners = [self.listeners(), vec![inside]].concat();
        let domain = Bytes::copy_from_slice(self.domain.as_bytes());
        let mut core = sipcore::Config::new(domain, listeners, random()?);
        core.owner = Owner { node: 0, shard: number };
        core.shards = self.settings.shards;
        core.secret = self.secret;
        core.nonces.secret = self.settings.secret.as_ref().map_or(self.secret, |secret| secret.octets);
        core.nonces.begun = self.begun;
        core.services = vec![Bytes::from_static(FACTORY.as_bytes())];
        core.server = Some(Target { transport: Transport::Inside, remote: server_address(advertised) });
        core.server_shards = SERVER..SERVER + self.settings.shards;
        self.settings.tell_core(&mut core);
        Ok(core)
    }

    fn server(&self, number: u8) -> Result<poc::server::Config, Failure> {
        let advertised = self.advertised();
        let address = server_address(advertised);
        let inside = Listener { transport: Transport::Inside, bind: address, advertised: address };
        let core = Target { transport: Transport::Inside, remote: advertised };
        self.server_with(vec![inside], SERVER + number, core)
    }

    /// One that faces the network, with its core at `address`.
    fn server_behind(&self, address: SocketAddr, number: u8) -> Result<poc::server::Config, Failure> {
        let core = Target { transport: Transport::Udp, remote: address };
        self.server_with(self.listeners(), number, core)
    }

    fn server_with(
        &self,
        listeners: Vec<Listener>,
        owner: u8,
        core: Target,
    ) -> Result<poc::server::Config, Failure> {
        let advertised = self.advertised();
        let mut sip = sip::Config::new(listeners, random()?);
        sip.owner = Owner { node: 0, shard: owner };
        let factory = Bytes::from(format!("sip:{FACTORY}@{}", self.domain));
        let media = Capabilities::speech(advertised.ip(), 0, 0);
        let mut server = poc::server::Config::new(sip, core, factory, media);
        self.settings.tell_server(&mut server);
        Ok(server)
    }
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut octets = [0; LENGTH];
    getrandom::fill(&mut octets).map_err(|error| Failure::Network(io::Error::other(error)))?;
    Ok(octets)
}

#[cfg(test)]
mod tests;
