//! A target that calls and gives up, made by hand: right but for one flaw.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sip::Message;
use sip::message::{Method, Name};

/// What a target gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// It never gives up.
    Waits,
    /// Its CANCEL has a branch of its own.
    AnotherBranch,
    /// Its CANCEL has the tag of the 180.
    ToTag,
    /// Its CANCEL does not wait for a response.
    Early,
    /// It does not leave what was accepted.
    Stays,
    /// It leaves with a CSeq number that was used.
    OldCSeq,
    /// It answers a challenge though it has given up.
    Retries,
    /// It acknowledges no failure.
    NoAck,
    /// It leaves for each copy of the 200.
    LeavesTwice,
}

/// How long after its INVITE it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Calls this address, gives up, and goes on for `span`.
pub(crate) fn start(flaw: Flaw, to: SocketAddr, span: Duration) {
    let socket = UdpSocket::bind((to.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    std::thread::spawn(move || {
        let begun = Instant::now();
        let mut caller = Caller {
            at: socket.local_addr().unwrap(),
            socket,
            flaw,
            to,
            cseq: 1,
            wish: Wish::None,
            early: None,
        };
        caller.send("INVITE", 1, "first", "");
        let mut buffer = vec![0; 65_536];
        while begun.elapsed() < span {
            if caller.wish == Wish::None && begun.elapsed() > PATIENCE && flaw != Flaw::Waits {
                caller.wish = Wish::Wanted;
                caller.cancel();
            }
            let Ok((length, _)) = caller.socket.recv_from(&mut buffer) else { continue };
            caller.hear(&Message::parse(buffer[..length].to_vec().into()).unwrap());
        }
    });
}

#[derive(PartialEq, Eq)]
enum Wish {
    None,
    Wanted,
    Sent,
}

struct Caller {
    socket: UdpSocket,
    at: SocketAddr,
    flaw: Flaw,
    to: SocketAddr,
    cseq: u32,
    wish: Wish,
    /// The tag of a provisional response, once there is one.
    early: Option<String>,
}

impl Caller {
    fn cancel(&mut self) {
        if self.wish != Wish::Wanted || self.early.is_none() && self.flaw != Flaw::Early {
            return;
        }
        self.wish = Wish::Sent;
        let branch = if self.flaw == Flaw::AnotherBranch { "other" } else { "first" };
        let tag = self.early.clone().filter(|_| self.flaw == Flaw::ToTag).unwrap_or_default();
        self.send("CANCEL", 1, branch, &tag);
    }

    fn hear(&mut self, message: &Message) {
        let Some(status) = message.status() else { return };
        if !message.is_cseq_method(Method::Invite) {
            return;
        }
        let tag = message
            .to()
            .unwrap()
            .tag()
            .map(|tag| String::from_utf8_lossy(tag).into_owned())
            .unwrap_or_default();
        match status {
            100..=199 => {
                self.early = Some(tag);
                self.cancel();
            }
            200..=299 => {
                self.send("ACK", 1, "ack", &tag);
                let is_first = self.cseq == 1;
                self.cseq += 1;
                if self.flaw != Flaw::Stays && (is_first || self.flaw == Flaw::LeavesTwice) {
                    let cseq = if self.flaw == Flaw::OldCSeq { 1 } else { self.cseq };
                    self.send("BYE", cseq, &format!("bye{cseq}"), &tag);
                }
            }
            _ => {
                if self.flaw != Flaw::NoAck {
                    self.send("ACK", 1, "first", &tag);
                }
                if self.flaw == Flaw::Retries && message.value(Name::WwwAuthenticate).is_some() {
                    self.send("INVITE", 2, "second", "");
                }
            }
        }
    }

    fn send(&self, method: &str, cseq: u32, branch: &str, tag: &str) {
        let Self { at, to, .. } = self;
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let text = format!(
            "{method} sip:probe@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:caller@{at}>;tag=caller\r\nTo: <sip:probe@{to}>{tag}\r\nCall-ID: call-{at}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:caller@{at}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }
}
