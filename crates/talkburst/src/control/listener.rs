//! The side of the server.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::{LINE_MAX, Order, Refusal, Reply};
use crate::store::{close_to_others, control_socket};
use crate::watch::{self, Watch};

/// Connections that are served at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// An order, and the way of its reply.
pub(crate) type Asked = (Order, oneshot::Sender<Reply>);

/// Listens in `folder`, which the caller has: a socket that is there is what a crash has left. Orders about the
/// server itself are answered by `watch`, and all others go to `clerk`.
pub(crate) fn listen(folder: &Path, clerk: Sender<Asked>, watch: Watch) -> io::Result<JoinHandle<()>> {
    let path = control_socket(folder);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    close_to_others(&path)?;
    Ok(tokio::spawn(accept(listener, clerk, watch)))
}

async fn accept(listener: UnixListener, clerk: Sender<Asked>, watch: Watch) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // It fails if there are too many open files; who has connected waits.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (clerk, watch) = (clerk.clone(), watch.clone());
        tokio::spawn(async move {
            // What fails is the other side's to know.
            let _ = serve(stream, clerk, watch).await;
            drop(place);
        });
    }
}

async fn serve(stream: UnixStream, clerk: Sender<Asked>, watch: Watch) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut stream).take(LINE_MAX as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        let reply = match Order::from_line(&line) {
            _ if !is_whole => too_long(),
            Ok(order) => match watch::answer(&watch, order, &mut stream).await? {
                Some(order) => answer(order, &clerk).await,
                None => continue,
            },
            Err(refusal) => Reply::Refused(refusal),
        };
        stream.get_mut().write_all(&reply.to_line()).await?;
        if !is_whole {
            return Ok(()); // where the next line begins is not known
        }
    }
}

async fn answer(order: Order, clerk: &Sender<Asked>) -> Reply {
    let (sender, reply) = oneshot::channel();
    let ends = || Reply::Failed { why: "the server is being stopped".to_owned() };
    if clerk.send((order, sender)).await.is_err() {
        return ends();
    }
    reply.await.unwrap_or_else(|_| ends())
}

fn too_long() -> Reply {
    Reply::Refused(Refusal::Line { why: format!("it does not end within {LINE_MAX} octets") })
}
