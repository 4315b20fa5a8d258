//! MESSAGE: Instant Personal Alerts and group advertisements, whose bodies are passed on as they are (digest 9.8).
//!
//! ```text
//! sender ── core ── server of the sender ── core ── server of the user ── core ── the user's terminals
//!                                           core ── server of the group ── core ── server of each member ...
//! ```
//!
//! A MESSAGE that is relayed is answered with what comes back, one to a group at once: what becomes of its copies nobody asks.
//! None is ever cancelled (RFC 3261 §9.1), and none has to do with a session, not even with the one that it announces.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::message::{Method, Name};
use sip::{Headers, Message, ReceivedId, Request, RequestId};

use super::Server;
use super::directory::{Directory, NESTED_MAX};
use super::group::Group;
use super::leg::{self, unless_answered};
use super::policy::{self, Inviter, Refusal};
use crate::address;
use crate::body::group_advertisement;

/// Max-Forwards of a copy. What has no more left is no group's to copy: it is a copy itself, or has come a long way.
const COPY_HOPS: u8 = 20;

/// What is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Messaging {
    /// What was sent on and has no answer yet, and what waits for that answer; nothing does if it is a copy.
    open: BTreeMap<RequestId, Option<ReceivedId>>,
    /// Requests so far.
    sent: u64,
}

impl Messaging {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// What becomes of a MESSAGE.
enum Delivery {
    /// It goes on as it is.
    Relayed,
    /// Each of these gets a copy.
    Exploded(Vec<Bytes>),
}

impl Server {
    /// A MESSAGE of a user of this server, or for one, or for a group that is hosted here.
    pub(super) fn be_messaged(&mut self, request: ReceivedId, message: &Message) {
        let sender = Inviter::of(message);
        let delivery = leg::hops_behind(message).and_then(|hops| {
            let delivery = match leg::role_of(message) {
                Some(b"orig") => self.may_send(&sender),
                Some(_) | None => self.may_be_told(message, &sender),
            };
            Ok((delivery?, hops))
        });
        let sent = delivery.and_then(|(delivery, hops)| match delivery {
            Delivery::Relayed => {
                // The first is the way here; behind it stands how the core knows that the checks are done.
                let routes =
                    message.items(Name::Route).skip(1).map(|route| message.unfolded(route)).collect();
                self.has_room_for(1)?;
                let uri = message.share(message.uri_text());
                self.pass_message(message, &sender, uri, routes, (hops, Some(request)))
            }
            Delivery::Exploded(members) => {
                // A group that two servers hold a part of must not send its copies round for ever.
                if hops.is_some_and(|hops| hops <= COPY_HOPS) {
                    return Err(Refusal::status(483));
                }
                self.has_room_for(members.len())?;
                self.respond(request, 202, Vec::new());
                for member in members {
                    let done =
                        self.pass_message(message, &sender, member, Vec::new(), (Some(COPY_HOPS), None));
                    if done.is_err() {
                        tracing::warn!("a member's address cannot be written");
                    }
                }
                Ok(())
            }
        });
        if let Err(refusal) = sent {
            self.counters.refused += 1;
            let headers = self.explanation(refusal);
            self.respond(request, refusal.status, headers);
        }
    }

    /// Digest 10.1: who is served here may send.
    fn may_send(&self, sender: &Inviter) -> Result<Delivery, Refusal> {
        let is_served = sender.address.as_ref().is_some_and(|address| self.directory.get(address).is_some());
        is_served.then_some(Delivery::Relayed).ok_or(Refusal::saying(403, "function not allowed"))
    }

    /// Digest 9.8, 11: who may be told something, and by whom.
    fn may_be_told(&self, message: &Message, sender: &Inviter) -> Result<Delivery, Refusal> {
        let receiver = address::canonical(message.uri_text()).ok_or(Refusal::status(404))?;
        if let Some(group) = self.directory.group(&receiver) {
            return may_address(&self.directory, group, sender);
        }
        let reached = policy::may_reach(&self.config, &self.directory, self.now, &receiver, sender)?;
        let is_barred = reached.settings.incoming_personal_alert_barring == Some(true);
        if is_barred && !is_advertisement(message) {
            return Err(Refusal::status(480));
        }
        Ok(Delivery::Relayed)
    }

    /// However many copies a sender may cause, so many are under way at most.
    fn has_room_for(&self, count: usize) -> Result<(), Refusal> {
        let is_full = self.messaging.open.len() + count > self.config.messages_max;
        if is_full { Err(Refusal::status(503)) } else { Ok(()) }
    }

    fn pass_message(
        &mut self,
        message: &Message,
        sender: &Inviter,
        uri: Bytes,
        routes: Vec<Bytes>,
        (hops, waits): (Option<u8>, Option<ReceivedId>),
    ) -> Result<(), Refusal> {
        self.messaging.sent += 1;
        let id = RequestId(self.messaging.sent);
        let mut headers = leg::passed_on(
            message,
            &[
                Name::AcceptContact,
                Name::Priority,
                Name::RequestDisposition,
                Name::ResourcePriority,
                Name::Subject,
            ],
        );
        headers.extend(leg::referrer_of(sender, message));
        headers.extend(leg::identity_of(sender));
        let passed = Request {
            id,
            method: Method::Message,
            to: Bytes::from([b"<", &uri[..], b">"].concat()),
            uri,
            from: leg::from_of(sender, message),
            targets: vec![self.config.core],
            routes,
            headers,
            body: leg::body_of(message),
            call_id: None,
            cseq: None,
            contact: None,
            hops,
        };
        match self.command(sip::Command::Request(Box::new(passed))) {
            Ok(_) => {
                self.messaging.open.insert(id, waits);
                Ok(())
            }
            Err(misuse) => {
                tracing::warn!(%misuse, "cannot be passed on");
                Err(Refusal::status(400))
            }
        }
    }

    /// The end of a MESSAGE of ours.
    pub(super) fn message_answered(&mut self, id: RequestId, response: Option<&Message>) {
        let Some(Some(request)) = self.messaging.open.remove(&id) else { return };
        let status = response.and_then(Message::status).map_or(480, status_for_sender);
        let headers = response
            .filter(|_| status >= 300)
            .map(|response| leg::passed_on(response, &[Name::RetryAfter, Name::Warning]))
            .unwrap_or_default();
        self.respond(request, status, headers);
    }

    fn respond(&mut self, request: ReceivedId, status: u16, headers: Headers) {
        let done = self.command(sip::Command::Respond { request, status, headers, body: None });
        unless_answered(done);
    }
}

/// Whoever may join the sessions of a group may tell its members something.
fn may_address(directory: &Directory, group: &Group, sender: &Inviter) -> Result<Delivery, Refusal> {
    let address = sender.address.as_deref();
    if !group.is_enabled || !directory.is_among(group.joins, group, address) {
        return Err(Refusal::saying(403, "function not allowed"));
    }
    if sender.is_anonymous && !group.admits_anonymous {
        return Err(Refusal::saying(403, "anonymity not allowed"));
    }
    let mut seen = BTreeSet::from([group.address.clone()]);
    seen.extend(sender.address.clone());
    let mut members = Vec::new();
    collect(directory, group, NESTED_MAX, &mut seen, &mut members);
    members.truncate(group.participants_max);
    Ok(Delivery::Exploded(members))
}

/// The members of `group` and of the groups in it that are hosted here, each once.
fn collect(
    directory: &Directory,
    group: &Group,
    depth: usize,
    seen: &mut BTreeSet<Bytes>,
    members: &mut Vec<Bytes>,
) {
    for member in &group.members {
        if !seen.insert(member.address.clone()) {
            continue;
        }
        match (directory.group(&member.address), depth.checked_sub(1)) {
            (Some(nested), Some(deeper)) => collect(directory, nested, deeper, seen, members),
            (Some(_), None) => {}
            (None, _) => members.push(member.address.clone()),
        }
    }
}

/// A group advertisement, by its feature tag or by its body; anything else is an alert.
fn is_advertisement(message: &Message) -> bool {
    let mut wanted = message.valued(Name::AcceptContact).filter_map(Result::ok);
    let mut kinds = message.valued(Name::ContentType).filter_map(Result::ok);
    wanted.any(|value| value.parameters.has(b"+g.poc.groupad"))
        || kinds.any(|kind| kind.value.eq_ignore_ascii_case(group_advertisement::CONTENT_TYPE.as_bytes()))
}

/// What the answer to the MESSAGE that was sent on is to its sender: never what concerns this hop alone (digest 12.3).
fn status_for_sender(status: u16) -> u16 {
    match status {
        503 => 500, // RFC 3261 §16.7 step 6: 503 is about the next hop
        300..=399 | 401 | 407 | 408 | 481 | 482 | 487 => 480,
        _ => status,
    }
}
