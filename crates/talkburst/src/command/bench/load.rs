//! The load: both sides with their sockets, and when calls begin.

use std::net::SocketAddr;

use sip::Duration;

use super::called::Called;
use super::caller::{Caller, Counts, Flow};
use super::enter::Access;
use super::port::Port;
use super::text::{Lines, invite_lines, pair};
use crate::clock::Clock;
use crate::command::Failure;

/// How often it is looked for what has no answer.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// When calls begin.
pub(super) enum Pace {
    /// So many are open, as many as are left.
    Window { open: u64, left: u64 },
    /// One after the other, each at its time, as many as are left.
    Rate { next: Duration, every: Duration, left: u64 },
    /// None.
    None,
}

impl Pace {
    /// So many at once, without end.
    pub(super) fn window(open: u64) -> Self {
        Self::Window { open, left: u64::MAX }
    }

    /// So many a second, from `next` on.
    pub(super) fn rate(rate: f64, next: Duration, left: u64) -> Self {
        Self::Rate { next, every: Duration::from_secs_f64(1.0 / rate), left }
    }
}

/// Both sides, and their sockets.
pub(super) struct Load {
    clock: Clock,
    server: SocketAddr,
    /// Where the last request for those who are called came from.
    pub(super) core: SocketAddr,
    pub(super) caller: Caller,
    pub(super) called: Called,
    caller_port: Port,
    called_port: Port,
    swept: Duration,
    told: Duration,
}

impl Load {
    /// Callers who speak to `server`, and those who are called, who answer whoever speaks to them.
    pub(super) fn new(
        clock: Clock,
        server: SocketAddr,
        (caller, caller_port): (Caller, Port),
        (called, called_port): (Called, Port),
    ) -> Self {
        let now = clock.now().since_start();
        Self { clock, server, core: server, caller, called, caller_port, called_port, swept: now, told: now }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.clock.now().since_start()
    }

    /// Turns until this moment.
    pub(super) async fn until(&mut self, end: Duration, pace: &mut Pace) -> Result<(), Failure> {
        while self.now() < end {
            self.turn(pace).await?;
        }
        Ok(())
    }

    /// Begins what is to begin, sends, waits for a moment, and takes what has come.
    pub(super) async fn turn(&mut self, pace: &mut Pace) -> Result<(), Failure> {
        let now = self.now();
        let wait = self.begin(now, pace);
        if now.saturating_sub(self.swept) > SWEEP_EVERY {
            self.swept = now;
            self.caller.sweep(now);
        }
        self.tell(now);
        self.caller_port.send(self.server, self.caller.take()).await;
        self.called_port.send(self.core, self.called.take()).await;
        tokio::select! {
            biased;
            readable = self.caller_port.readable() => readable.map_err(Failure::Network)?,
            readable = self.called_port.readable() => readable.map_err(Failure::Network)?,
            () = tokio::time::sleep(wait) => {}
        }
        let now = self.now();
        let (caller, called, core) = (&mut self.caller, &mut self.called, &mut self.core);
        let heard = self.caller_port.receive(|_, message| caller.handle(now, message));
        heard.map_err(Failure::Network)?;
        let heard = self.called_port.receive(|from, message| {
            *core = from;
            called.handle(message);
        });
        heard.map_err(Failure::Network)
    }

    /// Begins calls; how long to wait if nothing comes.
    fn begin(&mut self, now: Duration, pace: &mut Pace) -> Duration {
        match pace {
            Pace::Window { open, left } => {
                while self.caller.open() < *open && *left > 0 && self.caller.begin(now) {
                    *left -= 1;
                }
            }
            Pace::Rate { next, every, left } => {
                while *next <= now && *left > 0 && self.caller.begin(*next) {
                    *next += *every;
                    *left -= 1;
                }
                return if *left > 0 { next.saturating_sub(now) } else { SWEEP_EVERY }.min(SWEEP_EVERY);
            }
            Pace::None => {}
        }
        SWEEP_EVERY
    }

    /// A line a second for whoever is at the terminal.
    fn tell(&mut self, now: Duration) {
        if now.saturating_sub(self.told) >= Duration::from_secs(1) {
            self.told = now;
            let Counts { done, failed, held, .. } = self.caller.counts;
            let repeated = self.caller.counts.repeated + self.called.repeated;
            let open = self.caller.open();
            anstream::eprintln!(
                "{done:>10} done {open:>6} open {held:>8} held {failed:>4} failed {repeated:>4} sent again"
            );
        }
    }
}

/// What callers say.
pub(super) struct Plan<'a> {
    pub(super) flow: Flow,
    pub(super) domain: &'a str,
    pub(super) server: SocketAddr,
    pub(super) local: SocketAddr,
    /// What the server wants; `None` if it is not ours.
    pub(super) access: Option<&'a Access>,
    /// Whether the server takes our word for who calls.
    pub(super) is_trusted: bool,
}

impl Plan<'_> {
    /// Of this pair.
    pub(super) fn lines(&self, number: usize) -> Lines {
        let (domain, local, server) = (self.domain, self.local, self.server);
        let (caller, called) = pair(number);
        let registrar = format!("sip:{domain}");
        let (uri, from, to, rest) = match self.flow {
            Flow::Cancelled | Flow::Completed => {
                let uri = format!("sip:{called}@{domain}");
                let own = format!("<sip:{caller}@{domain}>\r\n");
                let route = format!("Route: <sip:orig@{server};lr>\r\n");
                let rest = match self.access {
                    Some(access) if !self.is_trusted => {
                        let proof = access.line("Proxy-Authorization", &caller, "INVITE", &uri);
                        invite_lines(&format!("{proof}P-Preferred-Identity: {own}"), &route, local)
                    }
                    Some(_) => invite_lines(&format!("P-Asserted-Identity: {own}"), &route, local),
                    // What is not ours has its own way of routing.
                    None => invite_lines(&format!("P-Preferred-Identity: {own}"), "", local),
                };
                (uri, caller, called, rest)
            }
            Flow::Register => {
                let proof =
                    self.access.map(|access| access.line("Authorization", &called, "REGISTER", &registrar));
                let rest = format!(
                    "{}Contact: <sip:{called}@{local}>;+g.poc.talkburst\r\nUser-Agent: PoC-client/OMA2.0 PoCrs/0.1\r\n\
                     Expires: 3600\r\nContent-Length: 0\r\n\r\n",
                    proof.unwrap_or_default()
                );
                (registrar, called.clone(), called, rest.into_bytes())
            }
            Flow::Options => (format!("sip:{server}"), caller, called, b"Content-Length: 0\r\n\r\n".to_vec()),
        };
        Lines {
            uri: uri.into_bytes(),
            from: format!("From: <sip:{from}@{domain}>;tag=").into_bytes(),
            to: format!("To: <sip:{to}@{domain}>").into_bytes(),
            rest,
        }
    }
}
