//! The side that wants something: a server that runs, or the store itself if none does.

use std::io;
use std::path::Path;

use sip::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{Order, Reply, carry_out};
use crate::store::{Folder, Store, StoreError, control_socket};

/// How long one who has the folder and does not answer is waited for: it begins, ends, or carries out another order.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long until the next try.
const PAUSE: Duration = Duration::from_millis(20);

/// Octets of the longest reply: a list of many users.
const REPLY_MAX: u64 = 1 << 30;

/// Who carries out orders.
pub(crate) enum Desk {
    /// Nobody has the folder but us.
    Ours(Box<Store>),
    /// A server has it.
    Server(BufReader<UnixStream>),
}

/// Why there is no reply.
pub(crate) enum AskError {
    Store(StoreError),
    Server(io::Error),
}

impl Desk {
    /// Finds out who has the data folder `path`; it is created if it is not there.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(folder) = Folder::take(path)? {
                return Ok(Self::Ours(Box::new(Store::open(folder).await?)));
            }
            if let Ok(stream) = UnixStream::connect(control_socket(path)).await {
                return Ok(Self::Server(BufReader::new(stream)));
            }
            if tokio::time::Instant::now() > until {
                return Err(StoreError::InUse(path.to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Has an order carried out.
    pub(crate) async fn ask(&mut self, order: Order) -> Result<Reply, AskError> {
        match self {
            Self::Ours(store) => {
                carry_out(store, order).await.map(|(reply, _)| reply).map_err(AskError::Store)
            }
            Self::Server(stream) => {
                let reply = tokio::time::timeout(PATIENCE, exchange(stream, &order)).await;
                reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(AskError::Server)
            }
        }
    }

    /// Ends it; what was done is on the disk.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Ours(store) => store.close().await,
            Self::Server(_) => Ok(()),
        }
    }
}

/// A connection to a server that runs, for orders about that.
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    /// Connects to the server that has the data folder.
    pub(crate) async fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(control_socket(folder)).await?)))
    }

    /// Has an order carried out: its first reply.
    pub(crate) async fn ask(&mut self, order: &Order) -> io::Result<Reply> {
        let reply = tokio::time::timeout(PATIENCE, exchange(&mut self.0, order)).await;
        reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The next reply to the same order; `None` once the server has closed.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Reply>> {
        let mut line = Vec::new();
        (&mut self.0).take(REPLY_MAX).read_until(b'\n', &mut line).await?;
        Ok((!line.is_empty()).then(|| Reply::from_line(&line).unwrap_or_else(Reply::Refused)))
    }
}

async fn exchange(stream: &mut BufReader<UnixStream>, order: &Order) -> io::Result<Reply> {
    stream.get_mut().write_all(&order.to_line()).await?;
    let mut line = Vec::new();
    stream.take(REPLY_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Reply::from_line(&line).unwrap_or_else(Reply::Refused))
}
