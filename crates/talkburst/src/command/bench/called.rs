//! Who is called: rings or accepts, as the flow wants it. No sockets, no clock.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use sip::message::{Message, Method, Name};

use super::caller::Flow;
use super::text::{Writer, with_sdp};

/// All who are called.
pub(super) struct Called {
    flow: Flow,
    writer: Writer,
    /// The lines of a response to each INVITE that rings, by its Call-ID.
    ringing: HashMap<Bytes, Bytes>,
    contact: Vec<u8>,
    answer: Vec<u8>,
    out: Vec<Bytes>,
    /// INVITEs that came again.
    pub(super) repeated: u64,
    /// The topmost Via of the last one.
    pub(super) via: Bytes,
}

impl Called {
    pub(super) fn new(flow: Flow, local: SocketAddr) -> Self {
        let contact = format!("Contact: <sip:bob@{local}>;+g.poc.talkburst\r\n");
        Self {
            flow,
            writer: Writer::default(),
            ringing: HashMap::new(),
            answer: with_sdp(&contact),
            contact: format!("{contact}Content-Length: 0\r\n\r\n").into_bytes(),
            out: Vec::new(),
            repeated: 0,
            via: Bytes::new(),
        }
    }

    /// What leaves.
    pub(super) fn take(&mut self) -> std::vec::Drain<'_, Bytes> {
        self.out.drain(..)
    }

    /// A request arrives.
    pub(super) fn handle(&mut self, request: &Message) {
        match request.method() {
            Some(Method::Invite) => self.handle_invite(request),
            Some(Method::Cancel) => {
                let head = self.head(request);
                self.respond(b"SIP/2.0 200 OK\r\n", &head, END);
                if let Some(head) = self.ringing.remove(request.call_id()) {
                    self.respond(b"SIP/2.0 487 Request Terminated\r\n", &head, END);
                }
            }
            Some(Method::Ack) | None => {}
            Some(_) => {
                let head = self.head(request);
                self.respond(b"SIP/2.0 200 OK\r\n", &head, END);
            }
        }
    }

    fn handle_invite(&mut self, request: &Message) {
        let head = self.head(request);
        self.via = request.value(Name::Via).map(|via| request.share(via)).unwrap_or_default();
        if self.flow == Flow::Completed {
            let answer = std::mem::take(&mut self.answer);
            self.respond(b"SIP/2.0 200 OK\r\n", &head, &answer);
            self.answer = answer;
            return;
        }
        let contact = std::mem::take(&mut self.contact);
        self.respond(b"SIP/2.0 180 Ringing\r\n", &head, &contact);
        self.contact = contact;
        let call_id = Bytes::copy_from_slice(request.call_id());
        self.repeated += u64::from(self.ringing.insert(call_id, Bytes::copy_from_slice(&head)).is_some());
    }

    fn respond(&mut self, line: &[u8], head: &[u8], rest: &[u8]) {
        let bytes = self.writer.begin(line).put(head).put(rest).finish();
        self.out.push(bytes);
    }

    /// The lines of a request that its response has as well (RFC 3261 §8.2.6.2).
    fn head(&mut self, request: &Message) -> Bytes {
        self.writer.begin(b"");
        for (name, line) in [
            (Name::Via, &b"Via: "[..]),
            (Name::RecordRoute, b"Record-Route: "),
            (Name::From, b"From: "),
            (Name::To, b"To: "),
            (Name::CallId, b"Call-ID: "),
            (Name::CSeq, b"CSeq: "),
        ] {
            for value in request.values(name) {
                self.writer.put(line).put(value);
                if name == Name::To && request.to().is_ok_and(|to| to.tag().is_none()) {
                    self.writer.put(b";tag=5a5a5a5a");
                }
                self.writer.put(b"\r\n");
            }
        }
        self.writer.finish()
    }
}

/// The end of a response without a body.
const END: &[u8] = b"Content-Length: 0\r\n\r\n";
