//! Targets on connections, made by hand: right but for one flaw.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sip::Message;
use sip::message::{Method, Name};
use sip::transport::{ConnectionId, Frame, Framer};

use crate::callee::response;
use crate::caller;

/// What a target gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// Called: the response to the CANCEL comes on a connection of its own.
    AnotherConnection,
    /// Called: what one read brings is taken for one message.
    Segments,
    /// Called: a copy of the CANCEL ends the INVITE once more.
    TwoFinals,
    /// Called: what belongs on a connection that was lost is never sent.
    LostWithIt,
    /// Calling: the CANCEL goes by a new connection.
    NewConnection,
    /// Calling: the CANCEL is sent again.
    Repeats,
    /// Calling: nobody listens at its sent-by.
    Deaf,
}

struct Connection {
    stream: TcpStream,
    framer: Framer,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, framer: Framer::new(ConnectionId::Accepted(0)) }
    }

    /// What has come; `None` at its end.
    fn read(&mut self, flaw: Flaw) -> Option<Vec<Message>> {
        let mut octets = [0; 65_536];
        let length = match self.stream.read(&mut octets) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return None,
        };
        if flaw == Flaw::Segments {
            return Some(Message::parse(octets[..length].to_vec().into()).into_iter().collect());
        }
        self.framer.push(&octets[..length]);
        let frames = std::iter::from_fn(|| self.framer.next_frame());
        let message = |frame| match frame {
            Frame::Message(bytes) => Message::parse(bytes).ok(),
            Frame::Ping | Frame::Pong | Frame::Fault(_) => None,
        };
        Some(frames.filter_map(message).collect())
    }

    fn write(&mut self, text: &str) {
        // Who has gone away hears nothing.
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// The connections of a target, and a listener that takes more.
struct Connections {
    listener: Option<TcpListener>,
    all: Vec<Option<Connection>>,
    flaw: Flaw,
}

impl Connections {
    /// What comes next, and on which connection.
    fn next(&mut self) -> Vec<(usize, Message)> {
        if let Some((stream, _)) = self.listener.as_ref().and_then(|listener| listener.accept().ok()) {
            self.all.push(Some(Connection::new(stream)));
        }
        let mut heard = Vec::new();
        for (place, each) in self.all.iter_mut().enumerate() {
            let Some(connection) = each else { continue };
            match connection.read(self.flaw) {
                Some(messages) => heard.extend(messages.into_iter().map(|message| (place, message))),
                None => *each = None,
            }
        }
        std::thread::sleep(Duration::from_millis(2));
        heard
    }

    fn say(&mut self, place: usize, text: &str) {
        if let Some(connection) = &mut self.all[place] {
            connection.write(text);
        }
    }

    /// A new connection.
    fn open(&mut self, to: SocketAddr) -> usize {
        self.all.push(Some(Connection::new(TcpStream::connect(to).unwrap())));
        self.all.len() - 1
    }
}

/// Where the Via of a request says that its sender is.
fn sent_by(request: &Message) -> SocketAddr {
    let via = request.via().unwrap();
    let host: Ipv4Addr = std::str::from_utf8(via.host).unwrap().parse().unwrap();
    (host, via.port.unwrap()).into()
}

/// Is called at this address for ten seconds.
pub(crate) fn called(flaw: Flaw) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut connections = Connections { listener: Some(listener), all: Vec::new(), flaw };
        let (mut pending, mut cancels) = (None::<(usize, Message)>, 0);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            for (place, message) in connections.next() {
                if message.is(Method::Invite) {
                    connections.say(place, &response(&message, 180, "right", ""));
                    (pending, cancels) = (Some((place, message)), 0);
                } else if message.is(Method::Cancel) {
                    let Some((first, invite)) = pending.clone() else {
                        connections.say(place, &response(&message, 481, "none", ""));
                        continue;
                    };
                    cancels += 1;
                    let place = if flaw == Flaw::AnotherConnection {
                        connections.open(sent_by(&invite))
                    } else {
                        place
                    };
                    connections.say(place, &response(&message, 200, "right", ""));
                    if cancels == 1 || flaw == Flaw::TwoFinals {
                        let is_open = connections.all[first].is_some() || flaw == Flaw::LostWithIt;
                        let first = if is_open { first } else { connections.open(sent_by(&invite)) };
                        connections.say(first, &response(&invite, 487, "right", ""));
                    }
                }
            }
        }
    });
    at
}

/// Calls this address, gives up, and goes on for `span`.
pub(crate) fn calls(flaw: Flaw, to: SocketAddr, span: Duration) {
    let listener = TcpListener::bind((to.ip(), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    let listener = Some(listener).filter(|_| flaw != Flaw::Deaf);
    std::thread::spawn(move || {
        let text = |method: &str, cseq: u32, branch: &str, tag: &str| {
            format!(
                "{method} sip:probe@{to};transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP {at};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
                 From: <sip:caller@{at}>;tag=caller\r\nTo: <sip:probe@{to}>{tag}\r\nCall-ID: call-{at}\r\nCSeq: {cseq} {method}\r\n\
                 Contact: <sip:caller@{at};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let mut connections = Connections { listener, all: Vec::new(), flaw };
        let own = connections.open(to);
        connections.say(own, &text("INVITE", 1, "first", ""));
        let (begun, mut early, mut cancels) = (Instant::now(), false, 0);
        while begun.elapsed() < span {
            let heard = connections.next();
            let count = if flaw == Flaw::Repeats { 2 } else { 1 };
            if early && cancels < count && begun.elapsed() > caller::PATIENCE * (cancels + 1) {
                cancels += 1;
                let way = if flaw == Flaw::NewConnection { connections.open(to) } else { own };
                connections.say(way, &text("CANCEL", 1, "first", ""));
            }
            for (place, message) in heard {
                let is_of_invite = message.is_cseq_method(Method::Invite);
                let tag = String::from_utf8_lossy(message.value(Name::To).unwrap()).into_owned();
                let tag = tag.split_once(';').map(|(_, tag)| format!(";{tag}")).unwrap_or_default();
                match message.status().filter(|_| is_of_invite) {
                    Some(100..=199) => early = true,
                    Some(200..=299) => {
                        connections.say(place, &text("ACK", 1, "ack", &tag));
                        connections.say(place, &text("BYE", 2, "bye", &tag));
                    }
                    Some(300..) => connections.say(place, &text("ACK", 1, "first", &tag)),
                    Some(0..100) | None => {}
                }
            }
        }
    });
}
