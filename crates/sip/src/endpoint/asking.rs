//! Requests of ours outside of any dialog, other than INVITE: OPTIONS, MESSAGE and their like. RFC 3261 §8.1.

use super::check::{check_address, check_body, check_contact, check_headers, check_routes, check_uri};
use super::face::{Contact, Request, RequestId};
use super::inviting::{first_hop, hops};
use super::*;
use crate::auth::Authentication;
use crate::message::Writer;

/// What another attempt of a request is made of that is none of a session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Waiting {
    pub(super) authentication: Authentication,
    /// The targets that have not been tried.
    pub(super) targets: VecDeque<Target>,
    /// Where to go if the connection is refused that was chosen for the length of the request.
    pub(super) fallback: Option<Target>,
    /// The parameters of our Contact, if it has some of its own.
    pub(super) contact: Option<Contact>,
}

impl Endpoint {
    /// Sends a request.
    pub(super) fn request(&mut self, request: Request) -> Result<(), Misuse> {
        check_method(request.method)?;
        check_uri(&request.uri)?;
        check_address(&request.from)?;
        check_address(&request.to)?;
        check_headers(&request.headers)?;
        check_routes(&request.routes)?;
        check_body(request.body.as_ref())?;
        let contact = request.contact.clone().map(Contact::behind);
        contact.as_ref().map_or(Ok(()), check_contact)?;
        if request.call_id.as_ref().is_some_and(|id| !crate::message::scan::is_call_id(id))
            || request.cseq.is_some_and(|number| number > i32::MAX as u32 - 16)
        {
            return Err(Misuse::HeaderLine);
        }
        if self.requests.contains_key(&request.id) {
            return Err(Misuse::Busy);
        }
        let mut targets = VecDeque::from(request.targets.clone());
        let path = self.path_to(targets.pop_front().ok_or(Misuse::NoTarget)?)?;
        if contact.is_some() && self.contact_user.is_none() {
            self.contact_user = Some(self.identifiers.draw());
        }
        let (tag, call_id, branch) =
            (self.identifiers.draw(), self.identifiers.draw(), self.identifiers.draw());
        let call_id = request.call_id.clone().unwrap_or_else(|| Bytes::copy_from_slice(call_id.as_bytes()));
        let (message, path, fallback) = self.fit(path, |endpoint, path| {
            let own = contact.as_ref().and_then(|contact| endpoint.contact_outside(path, contact));
            endpoint.compose_request(&request, path, [&tag, &branch], &call_id, own.as_deref())
        })?;
        let waiting = Waiting { authentication: Authentication::default(), targets, fallback, contact };
        self.requests.insert(request.id, waiting);
        let owner = Owner::Request(request.id);
        self.start_request(message, &branch, request.method.as_str().as_bytes(), path, owner);
        Ok(())
    }

    pub(super) fn compose_request(
        &mut self,
        request: &Request,
        path: &Path,
        [tag, branch]: [&Identifier; 2],
        call_id: &[u8],
        contact: Option<&[u8]>,
    ) -> Result<Message, Misuse> {
        let via = self.via(path, branch);
        let (uri, routes) = first_hop(&request.uri, &request.routes);
        let mut writer = Writer::request(&mut self.scratch, request.method, &uri);
        writer.line(Name::Via, &via).line(Name::MaxForwards, hops(request.hops).as_bytes());
        for route in &routes {
            writer.line(Name::Route, route);
        }
        let number = request.cseq.unwrap_or(1).to_string();
        writer
            .parts(Name::From, &[&request.from, b";tag=", tag.as_bytes()])
            .line(Name::To, &request.to)
            .line(Name::CallId, call_id)
            .parts(Name::CSeq, &[number.as_bytes(), b" ", request.method.as_str().as_bytes()]);
        if let Some(contact) = contact {
            writer.line(Name::Contact, contact);
        }
        for (name, value) in &request.headers {
            writer.line(*name, value);
        }
        if !self.config.product.is_empty() {
            writer.line(Name::UserAgent, &self.config.product);
        }
        writer.finish(request.body.as_ref());
        self.composed()
    }

    /// A Contact outside of sessions, once a user for it was drawn.
    pub(super) fn contact_outside(&self, path: &Path, contact: &Contact) -> Option<Text> {
        Some(self.contact(path, self.contact_user.as_ref()?, Some(contact)))
    }

    /// No further attempt follows: told once.
    pub(super) fn tell_answer(&mut self, id: RequestId, response: Option<&Message>, end: Option<End>) {
        if self.requests.remove(&id).is_some() {
            self.events.push_back(Event::Answered { request: id, response: response.cloned(), end });
        }
    }
}

/// What makes, changes or ends a session has a command of its own.
fn check_method(method: Method) -> Result<(), Misuse> {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Cancel
        | Method::Bye
        | Method::Prack
        | Method::Update
        | Method::Other => Err(Misuse::Method),
        Method::Info
        | Method::Message
        | Method::Notify
        | Method::Options
        | Method::Publish
        | Method::Refer
        | Method::Register
        | Method::Subscribe => Ok(()),
    }
}
