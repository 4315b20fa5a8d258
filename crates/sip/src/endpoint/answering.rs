//! Requests of peers outside of any dialog that the user answers: MESSAGE, PUBLISH and their like. RFC 3261 §8.2.

use super::check::{check_body, check_headers};
use super::face::ReceivedId;
use super::*;
use crate::reply::{Received, ReplyHead};
use crate::usage::request_server::{Action, RequestServer};

/// A request that waits for its user.
#[derive(Clone, Debug)]
pub(super) struct Requested {
    pub(super) id: ReceivedId,
    pub(super) transaction: usize,
    pub(super) head: ReplyHead,
    pub(super) usage: RequestServer,
    pub(super) timer: Option<(TimerId, Instant)>,
}

/// The value of Allow for an endpoint whose user answers more.
pub(super) fn allowed(config: &Config) -> Bytes {
    let of_events = [Method::Subscribe, Method::Notify];
    let has_events = !config.events.is_empty() || config.methods.contains(&Method::Refer);
    let of_events = of_events.iter().filter(|_| has_events);
    let known = |value: &[u8], method: &Method| {
        value.split(|byte| *byte == b',').any(|each| each.trim_ascii() == method.as_str().as_bytes())
    };
    let mut value = ALLOWED.to_vec();
    for method in of_events.chain(&config.methods) {
        if is_answerable(*method) && !known(&value, method) {
            value.extend_from_slice(b", ");
            value.extend_from_slice(method.as_str().as_bytes());
        }
    }
    // Shared with every message, and mostly without anything of its own.
    if value.len() == ALLOWED.len() { Bytes::from_static(ALLOWED) } else { Bytes::from(value) }
}

/// Whether a request of this method may be the user's: it makes, changes and ends no session.
fn is_answerable(method: Method) -> bool {
    match method {
        Method::Message
        | Method::Notify
        | Method::Options
        | Method::Publish
        | Method::Refer
        | Method::Register
        | Method::Subscribe => true,
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Info
        | Method::Invite
        | Method::Prack
        | Method::Update
        | Method::Other => false,
    }
}

impl Endpoint {
    /// Whether the user answers requests of this method.
    pub(super) fn is_for_user(&self, method: Method) -> bool {
        is_answerable(method) && self.config.methods.contains(&method)
    }

    /// A request for the user, who judges its body too.
    pub(super) fn handle_requested(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let merged = key::merged(&self.keyed, request)?;
        if self.by_key.contains_key(&merged) {
            return self.answer(key, path, request, 482, &Vec::new()); // §8.2.2.2
        }
        if self.received.len() >= self.config.received_max {
            let headers = vec![(Name::RetryAfter, Bytes::from_static(b"5"))];
            self.reply_once(path, request, 503, &headers);
            return Ok(());
        }
        let Received { head, path, .. } = Received::new(&mut self.scratch, request, path)?;
        let tag = self.identifiers.draw();
        let machine = Machine::Server { machine: Server::start(path, self.timers.clone()), tag };
        let transaction = self.open(machine, SmallVec::from_slice(&[key, merged]), Owner::Nobody);
        self.serial = self.serial.wrapping_add(1);
        let usage = RequestServer::new(self.now, &self.timers);
        let entry = self.received.vacant_entry();
        let index = u32::try_from(entry.key()).expect("fewer than 2^32 requests");
        let id = ReceivedId { index, serial: self.serial };
        entry.insert(Requested { id, transaction, head, usage, timer: None });
        self.reschedule_received(index as usize);
        self.events.push_back(Event::Requested { request: id, message: request.message().clone() });
        Ok(())
    }

    /// The user's answer.
    pub(super) fn respond_to(
        &mut self,
        id: ReceivedId,
        status: u16,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Misuse> {
        check_headers(headers)?;
        check_body(body)?;
        let index = id.index as usize;
        self.received.get(index).filter(|requested| requested.id == id).ok_or(Misuse::NothingToAnswer)?;
        // RFC 4320 §4.1, §4.2: no provisional response but a 100, which is not the user's, and no 408.
        if !(200..700).contains(&status) || status == 408 {
            return Err(Misuse::Status);
        }
        self.finish_received(index, status, &Extra { contact: None, headers, body });
        Ok(())
    }

    pub(super) fn handle_received_timeout(&mut self, index: usize) {
        let requested = &mut self.received[index];
        requested.timer = None;
        match requested.usage.handle_timeout(self.now) {
            Action::Nothing => {}
            Action::Try => self.respond_received(index, 100, &Extra::default()),
            Action::GiveUp => return self.finish_received(index, 500, &Extra::default()),
        }
        self.reschedule_received(index);
    }

    fn finish_received(&mut self, index: usize, status: u16, extra: &Extra<'_>) {
        self.respond_received(index, status, extra);
        let requested = self.received.remove(index);
        if let Some((timer, _)) = requested.timer {
            self.wheel.disarm(timer);
        }
    }

    fn respond_received(&mut self, index: usize, status: u16, extra: &Extra<'_>) {
        let Requested { transaction, head, .. } = &self.received[index];
        let transaction = *transaction;
        if let Machine::Server { machine, tag } = &mut self.transactions[transaction].machine {
            let product = &self.config.product;
            let response = head.response(&mut self.scratch, status, tag.as_bytes(), product, extra);
            machine.respond(self.now, status, response, &mut self.outbox);
        }
        self.reschedule(transaction);
    }

    fn reschedule_received(&mut self, index: usize) {
        let requested = &mut self.received[index];
        let deadline = Some(requested.usage.deadline());
        tables::rearm(&mut self.wheel, &mut requested.timer, Due::Received(index), deadline);
    }
}
