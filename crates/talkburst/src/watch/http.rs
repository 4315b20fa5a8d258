//! `/metrics`, `/health` and `/ready`, on a thread of their own: one answer a connection, each within a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Watch, exposition};

/// Connections that are served at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// Octets of the longest request.
const REQUEST_MAX: usize = 8 * 1024;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long a page of metrics is told again: what it costs the shards is bounded, however often it is asked for.
const FRESH: Duration = Duration::from_millis(500);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves on a thread of its own, until the program ends.
pub(crate) fn serve(listener: std::net::TcpListener, watch: Watch) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    listener.set_nonblocking(true)?;
    let run = move || runtime.block_on(accept(listener, watch));
    std::thread::Builder::new().name("watch".to_owned()).spawn(run).map(|_| ())
}

/// The page of metrics, and when it was written.
type Page = tokio::sync::Mutex<Option<(tokio::time::Instant, Arc<String>)>>;

async fn accept(listener: std::net::TcpListener, watch: Watch) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let (places, page) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Page::default()));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // It fails if there are too many open files; who has connected waits.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (watch, page) = (watch.clone(), Arc::clone(&page));
        tokio::spawn(async move {
            // What fails is the other side's to know.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &watch, &page)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, watch: &Watch, page: &Page) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..length]);
        if length == 0 || request.len() > REQUEST_MAX {
            return Ok(());
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", METRICS, metrics(watch, page).await),
        ("GET" | "HEAD", "/health") => state(watch.fault().await),
        ("GET" | "HEAD", "/ready") => state(watch.hindrance().await),
        ("GET" | "HEAD", _) => ("404 Not Found", TEXT, text("there are /metrics, /health and /ready\n")),
        _ => ("405 Method Not Allowed", TEXT, text("only GET and HEAD\n")),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn state(fault: Option<String>) -> (&'static str, &'static str, Arc<String>) {
    match fault {
        None => ("200 OK", TEXT, text("ok\n")),
        Some(why) => ("503 Service Unavailable", TEXT, text(&format!("{why}\n"))),
    }
}

fn text(text: &str) -> Arc<String> {
    Arc::new(text.to_owned())
}

async fn metrics(watch: &Watch, page: &Page) -> Arc<String> {
    let mut page = page.lock().await;
    if let Some((at, text)) = &*page
        && at.elapsed() < FRESH
    {
        return Arc::clone(text);
    }
    let text = Arc::new(exposition::page(watch).await);
    *page = Some((tokio::time::Instant::now(), Arc::clone(&text)));
    text
}
