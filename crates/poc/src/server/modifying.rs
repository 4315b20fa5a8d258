//! Other media in a session: the Controlling PoC Function answers for itself, the Participating one passes the offer on.
//!
//! Cancelling a modification ends nothing else (I10, C61): the CANCEL of one leg's re-INVITE is that of the other's.

use bytes::Bytes;
use sip::message::Name;
use sip::{Duration, Message, Misuse, SessionId};

use super::leg::{self, unless_over};
use super::participating::Leg;
use super::policy::Refusal;
use super::{Place, Server};

impl Server {
    /// A peer wants other media: a re-INVITE, UPDATE or PRACK with an offer.
    pub(super) fn modification_offered(&mut self, session: SessionId, request: &Message) {
        match self.places.get(&session) {
            Some(&Place::Participant { place, key }) => {
                let offer = Bytes::copy_from_slice(request.body());
                self.answer_participant(place, key, session, &offer);
            }
            Some(&(Place::Upstream(place) | Place::Downstream(place))) => {
                self.pass_on_offer(place, session, request);
            }
            Some(&Place::PreEstablished(at)) => self.answer_client(at, request),
            Some(Place::TurnedAway(_)) | None => {}
        }
    }

    fn pass_on_offer(&mut self, place: usize, session: SessionId, request: &Message) {
        if request.body().is_empty() {
            // The offer would stand in the 200, and the answer in an ACK, which is not passed on.
            return self.refuse(session, Refusal::saying(488, "no offer"));
        }
        let Some(participating) = self.participating.get_mut(place) else { return };
        let beside = match participating.beside(session).filter(|_| participating.modifying.is_none()) {
            Some(Leg::Dialog(beside)) => beside,
            // The media of a pre-established session are the server's own on either side.
            Some(Leg::Within(at)) => return self.answer_again(at, session, request),
            None => return self.refuse(session, Refusal::status(491)),
        };
        participating.modifying = Some(session);
        let modified = self.command(sip::Command::Modify {
            session: beside,
            headers: Vec::new(),
            body: leg::body_of(request),
        });
        let status = match modified {
            Ok(_) => return,
            Err(Misuse::Busy) => 491, // RFC 3261 §14.1: the two cross
            Err(_) => 488,
        };
        self.end_modification(place);
        self.refuse(session, Refusal::status(status));
    }

    /// The other side has accepted.
    pub(super) fn modified(&mut self, session: SessionId, response: &Message) {
        if let Some(&Place::PreEstablished(at)) = self.places.get(&session) {
            return self.client_accepted(at, response);
        }
        let Some(asker) = self.asker_of(session) else { return };
        if !self.pass_on_answer(asker, Vec::new(), leg::body_of(response)) {
            self.refuse(asker, Refusal::status(488));
        }
    }

    /// A modification came to nothing: one that was passed on, or the one that asked for it.
    pub(super) fn modification_ended(
        &mut self,
        session: SessionId,
        status: Option<u16>,
        retry_after: Option<Duration>,
    ) {
        if let Some(&Place::PreEstablished(at)) = self.places.get(&session) {
            return self.client_refused(at, status, retry_after);
        }
        if let Some(asker) = self.asker_of(session) {
            let status = status.filter(|status| *status >= 300 && *status != 487).unwrap_or(488);
            let retry_after =
                retry_after.map(|span| (Name::RetryAfter, Bytes::from(span.as_secs().to_string())));
            let headers = retry_after.into_iter().collect();
            let done = self.command(sip::Command::Refuse { session: asker, status, headers, body: None });
            return unless_over(asker, done);
        }
        let Some(&(Place::Upstream(place) | Place::Downstream(place))) = self.places.get(&session) else {
            return;
        };
        let Some(participating) = self.participating.get(place) else { return };
        if participating.modifying == Some(session)
            && let Some(Leg::Dialog(beside)) = participating.beside(session)
        {
            self.end_modification(place);
            let done = self.command(sip::Command::Cancel { session: beside, headers: Vec::new() });
            unless_over(beside, done);
        }
    }

    /// The leg that waits for the answer of `session`; it waits no longer.
    fn asker_of(&mut self, session: SessionId) -> Option<SessionId> {
        let Some(&(Place::Upstream(place) | Place::Downstream(place))) = self.places.get(&session) else {
            return None;
        };
        let participating = self.participating.get_mut(place)?;
        let Leg::Dialog(beside) = participating.beside(session)? else { return None };
        (participating.modifying == Some(beside)).then(|| participating.modifying.take())?
    }

    fn end_modification(&mut self, place: usize) {
        if let Some(participating) = self.participating.get_mut(place) {
            participating.modifying = None;
        }
    }
}
