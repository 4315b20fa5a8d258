//! Those who mean ill.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::Target;
use crate::honest;

/// Addresses and ports from which INVITEs and media come.
const SOURCES: u8 = 100;
const CONNECTIONS: usize = 500;
/// Users who know a password, and acknowledge nothing.
pub(crate) const MUTE: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    Nobody,
    Cancels,
    Invites,
    Connections,
    Slow,
    Unacknowledged,
    Media,
}

/// What was sent, and what came of it.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) answers: u64,
    /// The most octets by which an answer was longer than its request.
    pub(crate) longer: usize,
    /// Answers to what was answered before.
    pub(crate) again: u64,
    /// What came when nothing had been sent for a while.
    pub(crate) late: u64,
    /// The branches that were answered.
    answered: HashSet<u64>,
}

impl Attack {
    pub(crate) const ALL: [Self; 7] = [
        Self::Nobody,
        Self::Cancels,
        Self::Invites,
        Self::Connections,
        Self::Slow,
        Self::Unacknowledged,
        Self::Media,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Cancels => "forged CANCELs",
            Self::Invites => "INVITEs from 100 addresses",
            Self::Connections => "500 silent TCP connections",
            Self::Slow => "500 that send an octet at a time",
            Self::Unacknowledged => "20 who acknowledge no 200",
            Self::Media => "RTP from 100 strangers",
        }
    }

    pub(crate) fn proves_nothing(self) -> bool {
        match self {
            Self::Nobody | Self::Unacknowledged => false,
            Self::Cancels | Self::Invites | Self::Connections | Self::Slow | Self::Media => true,
        }
    }

    /// Until `end`, and then listens for as long as `silence`.
    pub(crate) fn carry_out(self, target: &Target, end: Instant, silence: Duration) -> Traffic {
        match self {
            Self::Nobody => Traffic { sent: 1, ..Traffic::default() },
            Self::Cancels => flood(&[socket(1)], target.sip, target.rate, end, silence, |number, from| {
                request("CANCEL", number, from).into_bytes()
            }),
            Self::Invites => {
                let sources: Vec<_> = (1..=SOURCES).map(socket).collect();
                flood(&sources, target.sip, target.rate / 10, end, silence, |number, from| {
                    request("INVITE", number, from).into_bytes()
                })
            }
            Self::Media => {
                let sources: Vec<_> = (1..=SOURCES).map(socket).collect();
                flood(&sources, target.media, target.rate, end, silence, |number, _| speech(number))
            }
            Self::Connections => connections(target.sip, end, |_, _| false),
            Self::Slow => connections(target.sip, end, |connection, number| {
                let octets = b"OPTIONS sip:poc.internal SIP/2.0\r\nSubject: x";
                connection.write(&octets[number % octets.len()..][..1]).is_ok_and(|written| written == 1)
            }),
            Self::Unacknowledged => honest::unacknowledged(target.sip, end),
        }
    }
}

/// Somebody of an address of its own.
fn socket(number: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 9, number), 0)).expect("a port");
    socket.set_nonblocking(true).expect("possible");
    socket
}

/// Begins nothing that is known here, as somebody who has proved nothing.
fn request(method: &str, number: u64, from: SocketAddr) -> String {
    format!(
        "{method} sip:ben@poc.internal SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:anna@poc.internal>;tag=f{number}\r\nTo: <sip:ben@poc.internal>\r\nCall-ID: hostile-{number}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:anna@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A packet of AMR.
fn speech(number: u64) -> Vec<u8> {
    let mut packet = vec![0x80, 97];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((160 * number as u32).to_be_bytes());
    packet.extend((number as u32).to_be_bytes());
    packet.extend([0xf0, 0x04]);
    packet.extend([0x55; 12]);
    packet
}

/// So many datagrams a second, the sources one after the other.
fn flood(
    sources: &[UdpSocket],
    to: SocketAddr,
    rate: u64,
    end: Instant,
    silence: Duration,
    make: impl Fn(u64, SocketAddr) -> Vec<u8>,
) -> Traffic {
    let locals: Vec<_> = sources.iter().map(|socket| socket.local_addr().expect("bound")).collect();
    let mut traffic = Traffic::default();
    let mut shortest = usize::MAX;
    let begun = Instant::now();
    while Instant::now() < end {
        let due = (begun.elapsed().as_micros() as u64 * rate / 1_000_000).min(traffic.sent + 1000);
        while traffic.sent < due {
            let at = traffic.sent as usize % sources.len();
            let octets = make(traffic.sent, locals[at]);
            shortest = shortest.min(octets.len());
            // A full buffer is as good as a loss on the way.
            let _ = sources[at].send_to(&octets, to);
            traffic.sent += 1;
        }
        for source in sources {
            traffic.answers +=
                hear(source, shortest, &mut traffic.answered, &mut traffic.longer, &mut traffic.again);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // What was under way is over soon, and then nothing may come.
    let listen = |traffic: &mut Traffic, span: Duration| {
        let (until, before) = (Instant::now() + span, traffic.answers);
        while Instant::now() < until {
            for source in sources {
                traffic.answers +=
                    hear(source, shortest, &mut traffic.answered, &mut traffic.longer, &mut traffic.again);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        traffic.answers - before
    };
    listen(&mut traffic, silence);
    traffic.late = listen(&mut traffic, silence);
    traffic
}

/// What has come: how many, and what is told of them.
fn hear(
    socket: &UdpSocket,
    shortest: usize,
    answered: &mut HashSet<u64>,
    longer: &mut usize,
    again: &mut u64,
) -> u64 {
    let mut buffer = [0; 65_536];
    let mut count = 0;
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                count += 1;
                *longer = (*longer).max(length.saturating_sub(shortest));
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let branch = text.split("branch=z9hG4bK").nth(1).and_then(|rest| {
                    rest.split(|end: char| !end.is_ascii_digit())
                        .next()
                        .and_then(|number| number.parse().ok())
                });
                if !branch.is_some_and(|branch| answered.insert(branch)) {
                    *again += 1;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            // An answer of the interface to what was sent.
            Err(_) => {}
        }
    }
}

/// As many connections as are let in, of which `act` does something every 10 ms; one that is closed is opened again.
fn connections(to: SocketAddr, end: Instant, act: impl Fn(&mut TcpStream, usize) -> bool) -> Traffic {
    let connect = || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    };
    let mut traffic = Traffic::default();
    let mut all: Vec<Option<TcpStream>> = (0..CONNECTIONS).map(|_| connect()).collect();
    traffic.sent = all.iter().flatten().count() as u64;
    let mut number = 0;
    while Instant::now() < end {
        for stream in &mut all {
            match stream {
                Some(open) => traffic.sent += u64::from(act(open, number)),
                None => *stream = connect(),
            }
        }
        number += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    traffic
}
