//! The INVITE of a PoC Session (digest 8.1, 9.1).

use bytes::Bytes;
use sip::message::{Body, Name, Uri};
use sip::transport::Target;
use sip::{Invite, Misuse, SessionId};

use super::outcome::Role;
use super::session::{Session, State};
use super::{ACCEPT_CONTACT, AnswerRequest, Client};
use crate::body::multipart::{self, Part};
use crate::body::resource_lists::{self, Entry};
use crate::sdp;

impl Client {
    /// The INVITE of a PoC Session (digest 8.1).
    pub(super) fn start(
        &mut self,
        targets: Vec<Target>,
        routes: Vec<Bytes>,
        invited: &[u8],
        answer: AnswerRequest,
    ) -> Result<SessionId, Misuse> {
        if self.is_busy() {
            return Err(Misuse::Busy);
        }
        Uri::parse(invited).map_err(|_| Misuse::Address)?;
        let origin = self.next_origin();
        let offer = sdp::offer(&self.config.capabilities, origin);
        let mut headers = vec![
            (Name::AcceptContact, Bytes::from_static(ACCEPT_CONTACT)),
            (Name::PPreferredIdentity, self.config.address.clone()),
        ];
        headers.extend(answer.line());
        // digest 7.1: at the user's own address, or by way of the conference factory with a list of one.
        let (uri, body) = match &self.config.conference_factory {
            None => (Bytes::copy_from_slice(invited), sdp::body(offer.clone())),
            Some(factory) => {
                let tag = Bytes::from_static(resource_lists::OPTION_TAG.as_bytes());
                headers.push((Name::Require, tag)); // RFC 5366 §3
                (factory.clone(), with_list(&offer, invited))
            }
        };
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
        };
        let input = sip::Input::Command(sip::Command::Invite(Box::new(invite)));
        let id = self.endpoint.handle_input(self.now, input)?.ok_or(Misuse::NoSession)?;
        let session = Session::new(Role::Inviter, self.now, State::Inviting, origin);
        self.sessions.insert(id, session.with_description(offer));
        Ok(id)
    }

    /// The way that is given; if none is, that of the registered user (RFC 3608 §6.1).
    fn way_to(&self, targets: Vec<Target>, routes: Vec<Bytes>) -> (Vec<Target>, Vec<Bytes>) {
        match (&self.config.registration, &self.enrolment) {
            (Some(registration), Some(enrolment)) if targets.is_empty() => {
                let home = [&registration.routes[..], &routes].concat();
                (registration.targets.clone(), enrolment.routes_behind(&home))
            }
            (Some(_) | None, _) => (targets, routes),
        }
    }
}

/// An offer, and the one who is invited (RFC 5366 §4).
fn with_list(offer: &[u8], invited: &[u8]) -> Body {
    let list = resource_lists::write(&[Entry::new(Bytes::copy_from_slice(invited))]);
    multipart::write(&[
        Part { content_type: sdp::CONTENT_TYPE, bytes: offer, ..Part::default() },
        Part {
            content_type: resource_lists::CONTENT_TYPE.as_bytes(),
            disposition: resource_lists::RECIPIENTS.as_bytes(),
            bytes: &list,
            ..Part::default()
        },
    ])
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
