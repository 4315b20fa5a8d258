//! A target that is called, made by hand: right but for one flaw.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sip::Message;
use sip::message::{Method, Name};

/// What a target gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// Nothing is answered.
    Mute,
    /// The CANCEL is answered, its INVITE is not.
    NoFinal,
    /// The INVITE ends with 486.
    Busy,
    /// 487 comes before the 200.
    Backwards,
    /// The 200 of the CANCEL has a tag of its own.
    AnotherTag,
    /// A copy of the CANCEL is not known.
    Forgets,
    /// Any CANCEL is that of the INVITE.
    MatchesAll,
    /// 486 follows the 487.
    TwoFinals,
    /// A copy of the INVITE is another call.
    SecondCall,
    /// A CANCEL that says Require is refused.
    Obeys,
    /// It answers, and ends the session when a CANCEL comes.
    EndsSession,
    /// It answers.
    Answers,
}

/// Is called at this address for as long as something comes.
pub(crate) fn start(flaw: Flaw) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut callee = Callee { socket, flaw, at, pending: None, cancels: 0, invites: 0 };
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = callee.socket.recv_from(&mut buffer) {
            if let Ok(message) = Message::parse(buffer[..length].to_vec().into()) {
                callee.hear(&message, from);
            }
        }
    });
    at
}

struct Callee {
    socket: UdpSocket,
    flaw: Flaw,
    at: SocketAddr,
    pending: Option<Message>,
    cancels: usize,
    invites: usize,
}

impl Callee {
    fn hear(&mut self, message: &Message, from: SocketAddr) {
        if self.flaw == Flaw::Mute {
            return;
        }
        if message.is(Method::Invite) {
            self.invited(message, from);
        } else if message.is(Method::Cancel) {
            self.cancelled(message, from);
        } else if message.is(Method::Bye) || message.is(Method::Options) {
            self.answer(message, from, 200, "right");
        }
    }

    fn invited(&mut self, invite: &Message, from: SocketAddr) {
        self.invites += 1;
        let is_second = self.flaw == Flaw::SecondCall && self.invites > 1;
        if matches!(self.flaw, Flaw::Answers | Flaw::EndsSession) {
            self.answer(invite, from, 200, "right");
        } else {
            self.answer(invite, from, 180, if is_second { "second" } else { "right" });
        }
        self.pending = Some(invite.clone());
        self.cancels = 0;
    }

    fn cancelled(&mut self, cancel: &Message, from: SocketAddr) {
        let branch = |message: &Message| message.via().unwrap().branch().map(<[u8]>::to_vec);
        let own =
            self.pending.clone().filter(|own| self.flaw == Flaw::MatchesAll || branch(own) == branch(cancel));
        let Some(invite) = own else { return self.answer(cancel, from, 481, "none") };
        self.cancels += 1;
        if self.flaw == Flaw::Obeys && cancel.value(Name::Require).is_some() {
            return self.answer(cancel, from, 420, "right");
        }
        if self.flaw == Flaw::Forgets && self.cancels > 1 {
            self.answer(cancel, from, 481, "none");
        } else if self.flaw != Flaw::Backwards {
            self.answer(cancel, from, 200, if self.flaw == Flaw::AnotherTag { "another" } else { "right" });
        }
        if self.cancels > 1 || matches!(self.flaw, Flaw::NoFinal | Flaw::Answers) {
            return;
        }
        self.answer(&invite, from, if self.flaw == Flaw::Busy { 486 } else { 487 }, "right");
        if self.flaw == Flaw::TwoFinals {
            self.answer(&invite, from, 486, "right");
        }
        if self.flaw == Flaw::Backwards {
            std::thread::sleep(Duration::from_millis(5));
            self.answer(cancel, from, 200, "right");
        }
    }

    fn answer(&self, request: &Message, to: SocketAddr, status: u16, tag: &str) {
        let contact = format!("Contact: <sip:callee@{}>\r\n", self.at);
        let _ = self.socket.send_to(response(request, status, tag, &contact).as_bytes(), to);
    }
}

/// A response without a body.
pub(crate) fn response(request: &Message, status: u16, tag: &str, lines: &str) -> String {
    let mut text = format!("SIP/2.0 {status} X\r\n");
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::To, Name::CallId, Name::CSeq] {
        for value in request.values(name) {
            text += &format!("{}: {}", name.as_str(), String::from_utf8_lossy(value));
            if name == Name::To && request.to().unwrap().tag().is_none() {
                text += &format!(";tag={tag}");
            }
            text += "\r\n";
        }
    }
    format!("{text}{lines}Content-Length: 0\r\n\r\n")
}
