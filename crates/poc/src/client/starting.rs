//! The INVITE of a PoC Session (digest 8.1, 9.1).

use bytes::Bytes;
use sip::message::{Body, Name};
use sip::transport::Target;
use sip::{Invite, Misuse, SessionId};

use super::outcome::Role;
use super::session::{Session, State};
use super::{ACCEPT_CONTACT, Addressee, AnswerRequest, Client};
use crate::body::multipart;
use crate::body::resource_lists::{self, Entry};
use crate::sdp;

impl Client {
    /// The INVITE of a PoC Session (digest 8.1).
    pub(super) fn start_with(
        &mut self,
        targets: Vec<Target>,
        routes: Vec<Bytes>,
        to: &Addressee,
        answer: AnswerRequest,
    ) -> Result<SessionId, Misuse> {
        if self.is_closed || self.is_busy() {
            return Err(Misuse::Busy);
        }
        // How it is to be answered can be said in an INVITE only (RFC 5373 §4).
        if targets.is_empty() && answer == AnswerRequest::Usual && self.can_carry(to) {
            return self.begin_carried(to);
        }
        let (uri, listed) = to.resolve(self.config.conference_factory.as_ref())?;
        let origin = self.next_origin();
        let offer = sdp::offer(&self.config.capabilities, origin);
        let mut headers = vec![
            (Name::AcceptContact, Bytes::from_static(ACCEPT_CONTACT)),
            (Name::PPreferredIdentity, self.config.address.clone()),
        ];
        headers.extend(answer.line());
        let body = if listed.is_empty() {
            sdp::body(offer.clone())
        } else {
            let tag = Bytes::from_static(resource_lists::OPTION_TAG.as_bytes());
            headers.push((Name::Require, tag)); // RFC 5366 §3
            with_list(&offer, listed)
        };
        let way = (targets.clone(), routes.clone());
        let (targets, routes) = self.way_to(targets, routes);
        let invite = Invite {
            targets,
            to: Bytes::from([b"<", &uri[..], b">"].concat()),
            uri,
            from: self.config.address.clone(),
            routes,
            headers,
            body: Some(body),
            expires: self.config.set_up_limit,
            expires_headers: self.release_cause(6, "Call-setup time-out"),
            contact: None,
            hops: None,
        };
        let input = sip::Input::Command(sip::Command::Invite(Box::new(invite)));
        let id = self.endpoint.handle_input(self.now, input)?.ok_or(Misuse::NoSession)?;
        let mut session = Session::new(Role::Inviter, self.now, State::Inviting, origin);
        (session.described, session.way) = (offer, way);
        self.sessions.insert(id, session);
        Ok(id)
    }

    /// The way that is given; if none is, that of the registered user (RFC 3608 §6.1).
    pub(super) fn way_to(&self, targets: Vec<Target>, routes: Vec<Bytes>) -> (Vec<Target>, Vec<Bytes>) {
        match (&self.config.registration, &self.enrolment) {
            (Some(registration), Some(enrolment)) if targets.is_empty() => {
                let home = [&registration.routes[..], &routes].concat();
                (registration.targets.clone(), enrolment.routes_behind(&home))
            }
            (Some(_) | None, _) => (targets, routes),
        }
    }
}

/// An offer, and those who are invited (RFC 5366 §4).
fn with_list(offer: &[u8], invited: &[Bytes]) -> Body {
    let entries: Vec<_> = invited.iter().cloned().map(Entry::new).collect();
    let list = resource_lists::write(&entries);
    multipart::with_list(offer, &list, resource_lists::RECIPIENTS)
}

impl AnswerRequest {
    fn line(self) -> Option<(Name, Bytes)> {
        match self {
            Self::Usual => None,
            Self::Manual => Some((Name::AnswerMode, Bytes::from_static(b"Manual"))),
            Self::Automatic => Some((Name::AnswerMode, Bytes::from_static(b"Auto"))),
            Self::Override => Some((Name::PrivAnswerMode, Bytes::from_static(b"Auto"))),
        }
    }
}
