//! The Participating PoC Function of an inviter: the checks, and the INVITE towards the Controlling PoC Function of a group or
//! of a session that stands (digest 10.1). `participating.rs` has the machine.

use bytes::Bytes;
use sip::message::{Name, Uri};
use sip::{Identifier, Invite, Message, SessionId};

use super::Server;
use super::leg;
use super::participating::{self, Leg, ServedAs};
use super::policy::{self, Inviter, Refusal};
use super::record::{Record, SessionType};
use crate::address;

impl Server {
    /// An INVITE of a user of this server for what another function controls.
    pub(super) fn originate(&mut self, session: SessionId, request: &Message, inviter: Inviter) {
        let admitted = self.may_originate(request, &inviter);
        let uri = request.uri_text();
        let served = inviter.address.clone().unwrap_or_default();
        let (invited, record) = self.originating_record(uri, &inviter);
        let upstream = Leg::Dialog(session);
        let place = self.open_participation(upstream, ServedAs::Inviter, [served, invited], record);
        if let Err(refusal) = admitted {
            return self.refuse_participation(place, refusal);
        }
        self.occupy_served(place);
        let mut headers = leg::passed_on(
            request,
            &[
                Name::AcceptContact,
                Name::AnswerMode,
                Name::PrivAnswerMode,
                Name::RequestDisposition,
                Name::ResourcePriority,
            ],
        );
        headers.extend(leg::referrer_of(&inviter, request));
        headers.extend(leg::identity_of(&inviter));
        let invite = Invite {
            targets: vec![self.config.core],
            uri: request.share(uri),
            from: leg::from_of(&inviter, request),
            to: Bytes::from([b"<", uri, b">"].concat()),
            // The first is the way here; behind it stands how the core knows that the checks are done.
            routes: request.items(Name::Route).skip(1).map(|route| request.unfolded(route)).collect(),
            headers,
            body: leg::body_of(request),
            expires: Some(self.config.ring_limit),
            expires_headers: leg::no_answer(),
            contact: None,
            hops: leg::hops_behind(request).ok().flatten(),
        };
        self.invite_downstream(place, invite);
    }

    /// Whom an INVITE of `inviter` for `uri` is for, and its record.
    pub(super) fn originating_record(&self, uri: &[u8], inviter: &Inviter) -> (Bytes, Record) {
        let invited = address::canonical(uri).unwrap_or_else(|| Bytes::copy_from_slice(uri));
        let hosted = self.directory.group(&invited).map(|group| group.kind.session_type());
        let session_type = participating::kind_of_session(uri).or(hosted);
        let group = if names_group(uri, session_type) { invited.clone() } else { Bytes::new() };
        let record = Record { group, ..self.participating_record(inviter, session_type) };
        (invited, record)
    }

    /// Digest 10.1.
    fn may_originate(&self, request: &Message, inviter: &Inviter) -> Result<(), Refusal> {
        leg::hops_behind(request)?;
        policy::may_initiate(&self.directory, inviter)?;
        if request.body().is_empty() {
            // The offer would stand in the 200, and the answer in an ACK, which is not passed on.
            return Err(Refusal::saying(488, "no offer"));
        }
        Ok(())
    }
}

/// Whether a Request-URI of this kind names a group, and not a session (digest 3).
fn names_group(uri: &[u8], session_type: Option<SessionType>) -> bool {
    let is_session =
        Uri::parse(uri).is_ok_and(|uri| uri.user.is_some_and(|user| Identifier::parse(user).is_some()));
    match session_type {
        Some(SessionType::PreArranged | SessionType::Chat) => !is_session,
        Some(SessionType::OneToOne | SessionType::AdHoc) | None => false,
    }
}
