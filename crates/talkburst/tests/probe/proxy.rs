//! A target between two ends, made by hand: right but for one flaw, as far as one call goes.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sip::Message;
use sip::message::{Method, Name};

use crate::callee::response;

/// What a target gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// Nothing goes through.
    Mute,
    /// The CANCEL that goes on has a branch of its own.
    AnotherBranch,
    /// The CANCEL goes on though nothing has come back.
    Early,
    /// A 200 that comes after the CANCEL is swallowed.
    Swallows,
    /// The CANCEL is not answered before the invited side has.
    Waits,
    /// Each copy of a CANCEL goes on as another one.
    GoesOnAgain,
    /// The reason is lost.
    NoReason,
    /// The 481 of the invited side goes up as the end of the call.
    Believes,
}

/// Is between at this address for as long as something comes.
pub(crate) fn start(flaw: Flaw) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut proxy = Proxy { socket, at, flaw, legs: None, wish: None, is_proceeding: false, cancels: 0 };
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = proxy.socket.recv_from(&mut buffer) {
            if let Ok(message) = Message::parse(buffer[..length].to_vec().into()) {
                proxy.hear(&message, from);
            }
        }
    });
    at
}

struct Proxy {
    socket: UdpSocket,
    at: SocketAddr,
    flaw: Flaw,
    /// The INVITE, where it came from, and where it went.
    legs: Option<(Message, SocketAddr, SocketAddr)>,
    /// The CANCEL that must go on.
    wish: Option<Message>,
    is_proceeding: bool,
    cancels: usize,
}

impl Proxy {
    fn hear(&mut self, message: &Message, from: SocketAddr) {
        if self.flaw == Flaw::Mute {
            return;
        }
        if message.status().is_some() {
            self.answered(message);
        } else if message.is(Method::Invite) && message.to().unwrap().tag().is_none() {
            let to = message.uri().unwrap().socket_address().unwrap();
            let is_copy =
                self.legs.as_ref().is_some_and(|(invite, ..)| invite.call_id() == message.call_id());
            if !is_copy {
                (self.legs, self.is_proceeding, self.wish, self.cancels) =
                    (Some((message.clone(), from, to)), false, None, 0);
                self.say(from, &response(message, 100, "", ""));
                self.pass(message, to, "invite");
            }
        } else if message.is(Method::Cancel) {
            self.cancelled(message, from);
        } else if let Some((invite, ..)) = &self.legs {
            let is_own = message.via().unwrap().branch() == invite.via().unwrap().branch();
            if !is_own && let Some(to) = message.uri().unwrap().socket_address() {
                self.pass(message, to, "dialog");
            }
        }
    }

    fn cancelled(&mut self, cancel: &Message, from: SocketAddr) {
        let branch = cancel.via().unwrap().branch();
        if self.legs.as_ref().is_none_or(|(invite, ..)| invite.via().unwrap().branch() != branch) {
            return self.say(from, &response(cancel, 481, "proxy", ""));
        }
        if self.flaw != Flaw::Waits {
            self.say(from, &response(cancel, 200, "proxy", ""));
        }
        self.cancels += 1;
        if self.cancels > 1 && self.flaw != Flaw::GoesOnAgain {
            return;
        }
        self.wish = Some(cancel.clone());
        if self.is_proceeding || self.flaw == Flaw::Early {
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        let (Some(cancel), Some((_, _, to))) = (self.wish.take(), &self.legs) else { return };
        let branch = if self.flaw == Flaw::AnotherBranch {
            "another".to_owned()
        } else if self.flaw == Flaw::GoesOnAgain && self.cancels > 1 {
            format!("again{}", self.cancels)
        } else {
            "invite".to_owned()
        };
        let to = *to;
        // One Via: RFC 3261 §9.1.
        let text = self.with_via(&cancel, &branch);
        let own = cancel.value(Name::Via).unwrap();
        let text = text.replace(&format!("Via: {}\r\n", String::from_utf8_lossy(own)), "");
        let text = if self.flaw == Flaw::NoReason {
            text.split_inclusive("\r\n").filter(|line| !line.starts_with("Reason")).collect()
        } else {
            text
        };
        self.say(to, &text);
    }

    fn answered(&mut self, message: &Message) {
        let Some((invite, inviter, invited)) = self.legs.clone() else { return };
        let status = message.status().unwrap();
        if message.is_cseq_method(Method::Cancel) {
            if self.flaw == Flaw::Believes && status == 481 {
                self.say(inviter, &response(&invite, 481, "proxy", ""));
            }
            return;
        }
        if message.is_cseq_method(Method::Invite) {
            self.is_proceeding = true;
            if status < 200 {
                self.go_on();
            }
            if status >= 300 {
                self.say(invited, &self.ack(&invite, message));
            }
            if status == 100 || self.flaw == Flaw::Swallows && self.cancels > 0 && status < 300 {
                return;
            }
        }
        // Without the topmost Via: RFC 3261 §16.7 step 3.
        let text = String::from_utf8_lossy(message.bytes()).into_owned();
        let top = String::from_utf8_lossy(message.value(Name::Via).unwrap()).into_owned();
        self.say(inviter, &text.replacen(&format!("Via: {top}\r\n"), "", 1));
    }

    fn ack(&self, invite: &Message, response: &Message) -> String {
        let text =
            |message: &Message, name| String::from_utf8_lossy(message.value(name).unwrap()).into_owned();
        format!(
            "ACK {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKinvite{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
            String::from_utf8_lossy(invite.uri_text()),
            self.at,
            text(invite, Name::CallId),
            text(invite, Name::From),
            text(response, Name::To),
            text(invite, Name::CallId),
            invite.cseq().unwrap().number,
        )
    }

    fn pass(&self, request: &Message, to: SocketAddr, branch: &str) {
        self.say(to, &self.with_via(request, branch));
    }

    fn with_via(&self, request: &Message, branch: &str) -> String {
        let text = String::from_utf8_lossy(request.bytes()).into_owned();
        let call = String::from_utf8_lossy(request.call_id()).into_owned();
        text.replacen(
            "Via: ",
            &format!("Via: SIP/2.0/UDP {};branch=z9hG4bK{branch}{call}\r\nVia: ", self.at),
            1,
        )
    }

    fn say(&self, to: SocketAddr, text: &str) {
        let _ = self.socket.send_to(text.as_bytes(), to);
    }
}
