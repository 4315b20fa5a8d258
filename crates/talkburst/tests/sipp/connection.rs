//! What SIPp cannot play: a connection that is lost (R30), and how many connections there were (T10). Both need the sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sip::Message;
use sip::message::Name;
use sip::transport::{ConnectionId, Frame, Framer};

use crate::harness::{PORT, Play, T1, own_address, side_by_side, word};

/// Passes on what it receives, and counts connections.
pub(crate) struct Relay {
    pub(crate) address: Ipv4Addr,
    connections: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay towards SIPp, which starts to listen before our client calls.
    pub(crate) fn start(sipp: Ipv4Addr) -> Self {
        let address = own_address();
        let listener = TcpListener::bind((address, PORT)).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (near, far) = (near.unwrap(), TcpStream::connect((sipp, PORT)).unwrap());
                pass_on(near.try_clone().unwrap(), far.try_clone().unwrap());
                pass_on(far, near);
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may close whenever it likes.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Ben on a socket of his own.
struct Ben {
    contact: SocketAddr,
    stream: TcpStream,
    framer: Framer,
}

impl Ben {
    fn on(stream: TcpStream, listener: &TcpListener) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let contact = listener.local_addr().unwrap();
        Self { contact, stream, framer: Framer::new(ConnectionId::Accepted(0)) }
    }

    fn expect(&mut self, expected: &str) -> Message {
        loop {
            if let Some(frame) = self.framer.next_frame() {
                let Frame::Message(bytes) = frame else { panic!("{frame:?}") };
                let message = Message::parse(bytes).unwrap();
                assert_eq!(word(&message), expected);
                return message;
            }
            let mut octets = [0; 4096];
            let read = match self.stream.read(&mut octets) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no {expected}"),
                read => read.unwrap(),
            };
            assert!(read > 0, "closed before {expected}");
            self.framer.push(&octets[..read]);
        }
    }

    fn answer(&mut self, request: &Message, status: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            let tag = if name == Name::To && request.to().unwrap().tag().is_none() { ";tag=ben" } else { "" };
            let value = String::from_utf8_lossy(request.value(name).unwrap());
            text += &format!("{name}: {value}{tag}\r\n");
        }
        text += &format!("Contact: <sip:ben@{};transport=tcp>\r\n", self.contact);
        text += if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(text.as_bytes()).unwrap();
    }
}

/// The next connection of our client.
fn accept(listener: &TcpListener) -> Ben {
    let until = Instant::now() + Duration::from_secs(5);
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return Ben::on(stream, listener);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(Instant::now() < until, "no connection");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Rings until the CANCEL comes, and loses the connection.
fn ring_and_lose(listener: &TcpListener) -> Message {
    let mut ben = accept(listener);
    let invite = ben.expect("INVITE");
    ben.answer(&invite, "180 Ringing", "");
    ben.expect("CANCEL");
    invite
}

/// A connection to where the responses to `invite` are to go.
fn connect_back(listener: &TcpListener, invite: &Message) -> Ben {
    std::thread::sleep(Duration::from_millis(200));
    let via = invite.via().unwrap();
    let host: Ipv4Addr = std::str::from_utf8(via.host).unwrap().parse().unwrap();
    Ben::on(TcpStream::connect((host, via.port.unwrap())).unwrap(), listener)
}

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 3456 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n\
    m=application 2000 udp TBCP\r\na=fmtp:TBCP queuing=1; tb_priority=2\r\n";

/// R30: the CANCEL counts as unanswered, and the guard runs for a final response on another connection.
#[test]
fn a_connection_that_is_lost_behind_the_cancel_leaves_the_wait_for_a_final_response() {
    let cancelling = || Play::new("a socket").with(&["--cancel-after", "100ms"]);
    let none = || {
        let played = cancelling().run_with(|listener| {
            ring_and_lose(listener);
        });
        assert_eq!(played.story(), ["calling", "progress", "cancelling", "ended"]);
        assert_eq!(played.end(), ("cancelled", "local", None));
        let waited = played.seconds("cancelling", "ended");
        assert!((64.0 * T1.as_secs_f64() - 0.01..2.0).contains(&waited), "{waited}");
    };
    let refusal = || {
        let played = cancelling().run_with(|listener| {
            let invite = ring_and_lose(listener);
            connect_back(listener, &invite).answer(&invite, "487 Request Terminated", "");
            accept(listener).expect("ACK");
        });
        assert_eq!(played.end(), ("cancelled", "local", Some(487)));
        assert!(played.seconds("cancelling", "ended") < 1.0);
    };
    let acceptance = || {
        let played = cancelling().run_with(|listener| {
            let invite = ring_and_lose(listener);
            connect_back(listener, &invite).answer(&invite, "200 OK", ANSWER);
            let mut ben = accept(listener);
            ben.expect("ACK");
            let bye = ben.expect("BYE");
            ben.answer(&bye, "200 OK", "");
        });
        assert_eq!(played.end(), ("cancelled", "local", Some(200)));
    };
    side_by_side(&[&none, &refusal, &acceptance]);
}
