//! One connection: a task that reads and one that writes, so that a peer that does neither stops nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sip::Duration;
use sip::transport::ConnectionId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// Octets that may wait for a peer that does not read. Beyond it the connection is dropped.
pub(crate) const QUEUED_MAX: usize = 256 * 1024;

/// How long a peer may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Octets that are read at once.
const CHUNK: usize = 16 * 1024;

/// Reports that may wait for the driver; beyond it the readers wait, and with them TCP.
const REPORTS_MAX: usize = 64;

/// What a connection has to say.
pub(crate) enum Report {
    /// It is open, and this is our end of it.
    Connected { local: SocketAddr },
    /// It could not be opened.
    Refused,
    /// This arrived.
    Received(Bytes),
    /// It is closed.
    Lost,
}

/// A report, with its connection.
pub(crate) type Reported = (ConnectionId, Report);

/// The way of all reports to the driver.
pub(crate) fn reports() -> (Sender<Reported>, Receiver<Reported>) {
    mpsc::channel(REPORTS_MAX)
}

/// What the driver holds of a connection.
pub(crate) struct Connection {
    /// Our end; `None` until it is open.
    pub(crate) local: Option<SocketAddr>,
    /// The peer.
    pub(crate) remote: SocketAddr,
    queue: UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// More waits for the peer than [`QUEUED_MAX`].
pub(crate) struct Congested;

impl Connection {
    /// Opens a connection to `remote`, from `local` if that is an address and not any.
    pub(crate) fn open(
        id: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        reports: Sender<Reported>,
    ) -> Self {
        Self::start(None, remote, |queue, queued| async move {
            let opened = tokio::time::timeout(CONNECT_PATIENCE, connect(local, remote)).await;
            match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok((stream, local)) => {
                    if reports.send((id, Report::Connected { local })).await.is_ok() {
                        carry(id, stream, queue, queued, reports).await;
                    }
                }
                // The driver alone receives; if it is gone, so is everybody who could want to know.
                Err(_) => drop(reports.send((id, Report::Refused)).await),
            }
        })
    }

    /// Serves a connection that was accepted.
    pub(crate) fn accept(
        id: ConnectionId,
        stream: TcpStream,
        remote: SocketAddr,
        reports: Sender<Reported>,
    ) -> Self {
        let local = stream.local_addr().ok();
        Self::start(local, remote, |queue, queued| carry(id, stream, queue, queued, reports))
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        local: Option<SocketAddr>,
        remote: SocketAddr,
        run: impl FnOnce(UnboundedReceiver<Bytes>, Arc<AtomicUsize>) -> F,
    ) -> Self {
        // Not bounded by messages: what counts are octets, and `send` counts them.
        let (queue, waiting) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(run(waiting, Arc::clone(&queued)));
        Self { local, remote, queue, queued, task }
    }

    /// Queues the next octets of the stream.
    pub(crate) fn send(&self, bytes: Bytes) -> Result<(), Congested> {
        let length = bytes.len();
        if self.queued.fetch_add(length, Ordering::Relaxed) + length > QUEUED_MAX {
            return Err(Congested);
        }
        // A task that has ended has reported so.
        drop(self.queue.send(bytes));
        Ok(())
    }

    /// Sends what is queued, and then closes.
    pub(crate) fn finish(self) -> JoinHandle<()> {
        self.task
    }

    /// Closes at once, whatever is queued.
    pub(crate) fn abort(self) {
        self.task.abort();
    }
}

async fn connect(local: SocketAddr, remote: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if !local.ip().is_unspecified() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    let local = stream.local_addr()?;
    // Where nobody listens, on our own host, a port of ours may be the very one: then TCP connects it with itself.
    if local == remote { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok((stream, local)) }
}

/// Reads and writes until either ends.
async fn carry(
    id: ConnectionId,
    stream: TcpStream,
    mut queue: UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
    reports: Sender<Reported>,
) {
    // A message is written whole: waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let (mut from, mut to) = stream.into_split();
    let reading = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let received = Report::Received(Bytes::copy_from_slice(&buffer[..length]));
            if reports.send((id, received)).await.is_err() {
                // The driver is closing: what is queued still leaves.
                return std::future::pending().await;
            }
        }
    };
    let writing = async {
        while let Some(bytes) = queue.recv().await {
            let written = to.write_all(&bytes).await;
            queued.fetch_sub(bytes.len(), Ordering::Relaxed);
            if written.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    drop(reports.send((id, Report::Lost)).await);
}
