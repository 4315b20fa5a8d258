//! REFER within a pre-established session: a PoC Session is begun, joined, given up or left (digest 7.2, 14.8).

use std::borrow::Cow;

use bytes::Bytes;
use sip::message::{Name, Uri};
use sip::usage::{End, Party};
use sip::{Invite, Message, SubscriberId};

use super::Server;
use super::leg::{self, Ended};
use super::media::Agreed;
use super::participating::{self, Leg, ServedAs};
use super::policy::{self, Inviter};
use super::preestablished::{State, Use, contact_uri_of};
use super::subscribers::{gone, list_in, target_in};
use crate::address;
use crate::answer_state::AnswerState;
use crate::body::sipfrag::{self, Progress};
use crate::body::{multipart, resource_lists};
use crate::sdp::{self, Described};

/// Whom a REFER is about.
enum Target {
    /// Users, by way of the conference factory.
    Users(Vec<resource_lists::Entry>),
    /// A group, or a session that stands: the Request-URI.
    Focus(Bytes),
}

impl Server {
    /// A REFER of the client. It is refused, or nothing is said of it any more but by NOTIFY.
    pub(super) fn refer_within(
        &mut self,
        at: usize,
        subscriber: SubscriberId,
        wants_progress: bool,
        request: &Message,
    ) {
        let referral = wants_progress.then_some(subscriber);
        let done = match method_in(request) {
            Ok(b"INVITE") => self.call_within(at, subscriber, referral, request),
            Ok(b"BYE") => self.give_up_within(at, subscriber, referral, request),
            Ok(_) => Err(400),
            Err(status) => Err(status),
        };
        if let Err(status) = done {
            self.counters.refused += 1;
            self.reject(subscriber, status);
        }
    }

    fn call_within(
        &mut self,
        at: usize,
        subscriber: SubscriberId,
        referral: Option<SubscriberId>,
        request: &Message,
    ) -> Result<(), u16> {
        let pre_established = &self.pre_established.all[at];
        let inviter = Inviter::of(request);
        let hops = leg::hops_behind(request).map_err(|refusal| refusal.status)?;
        if inviter.address.as_ref().is_some_and(|address| *address != pre_established.user) {
            return Err(403);
        }
        let inviter = Inviter { address: Some(pre_established.user.clone()), ..inviter };
        policy::may_initiate(&self.directory, &inviter).map_err(|refusal| refusal.status)?;
        match &pre_established.state {
            // Who asks for something new has nothing there any more.
            State::Idle | State::Disconnecting(_) => {}
            State::Calling(_) | State::InUse(_) => return Err(486), // one session at a time
            State::Asking(..)
            | State::Connecting(..)
            | State::Withdrawn
            | State::Telling
            | State::Untold(_) => return Err(491),
        }
        let target = self.target_of(request)?;
        if !self.open_beyond(at) {
            return Err(480);
        }
        if let Err(status) = self.admit_referral(subscriber) {
            self.close_beyond(at);
            return Err(status);
        }
        if let Some(referral) = referral {
            self.tell_progress(referral, 100, None);
        }
        let place = self.begin_use(at, &inviter, &target);
        let mut names = vec![self.config.factory.clone()]; // what a list goes by
        names.extend(match &target {
            Target::Users(entries) if entries.len() == 1 => address::canonical(&entries[0].uri),
            Target::Users(_) => None,
            Target::Focus(uri) => address::canonical(uri),
        });
        self.enter(at, State::Calling(Use { place, names, referral }));
        if matches!(target, Target::Focus(_)) {
            self.occupy_served(place); // of a session of users the Controlling PoC Function of the user does that
        }
        let invite = self.invite_of(at, request, &inviter, target, hops);
        self.invite_downstream(place, invite);
        Ok(())
    }

    fn begin_use(&mut self, at: usize, inviter: &Inviter, target: &Target) -> usize {
        let user = self.pre_established.all[at].user.clone();
        let uri = match target {
            Target::Users(_) => &self.config.factory,
            Target::Focus(uri) => uri,
        };
        let (invited, record) = self.originating_record(uri, inviter);
        self.open_participation(Leg::Within(at), ServedAs::Inviter, [user, invited], record)
    }

    /// The INVITE to the Controlling PoC Function (digest 10.1).
    fn invite_of(
        &mut self,
        at: usize,
        request: &Message,
        inviter: &Inviter,
        target: Target,
        hops: Option<u8>,
    ) -> Invite {
        let beyond = Described::new(self.next_origin());
        let pre_established = &mut self.pre_established.all[at];
        pre_established.beyond = beyond;
        let media = self.media.at_ports_of(pre_established.far, Cow::Borrowed(&pre_established.media));
        let offer = pre_established.beyond.describe(|origin| sdp::offer(&media, origin));
        let mut headers = leg::passed_on(
            request,
            &[Name::AnswerMode, Name::PrivAnswerMode, Name::RequestDisposition, Name::ResourcePriority],
        );
        headers.extend(leg::referrer_of(inviter, request));
        headers.push(leg::accept_contact());
        headers.extend(leg::identity_of(inviter));
        let (uri, body) = match target {
            Target::Focus(uri) => (uri, sdp::body(offer)),
            Target::Users(entries) => {
                headers.push((Name::Require, Bytes::from_static(b"recipient-list-invite")));
                let list = resource_lists::write(&entries);
                let body = multipart::with_list(&offer, &list, resource_lists::RECIPIENTS);
                (self.config.factory.clone(), body)
            }
        };
        Invite {
            targets: vec![self.config.core],
            from: leg::from_of(inviter, request),
            to: Bytes::from([b"<", &uri[..], b">"].concat()),
            uri,
            routes: Vec::new(),
            headers,
            body: Some(body),
            expires: Some(self.config.ring_limit),
            expires_headers: leg::no_answer(),
            contact: None,
            hops,
        }
    }

    /// Whom a REFER is about: 400 if that cannot be read, 404 if it is nobody, 486 if it is too many.
    fn target_of(&self, request: &Message) -> Result<Target, u16> {
        let target = target_in(request)?;
        let Some(entries) = list_in(request, target.uri) else {
            Uri::parse(target.uri).map_err(|_| 400_u16)?;
            let address = address::canonical(target.uri).ok_or(404_u16)?;
            return Ok(match self.names_focus(target.uri) {
                true => Target::Focus(request_uri(target.uri)),
                false => Target::Users(vec![resource_lists::Entry::new(address)]),
            });
        };
        let entries = entries?;
        match entries.len() {
            0 => Err(404),
            count if count > self.config.invited_max => Err(486),
            _ => Ok(Target::Users(entries)),
        }
    }

    /// Digest 14.8: what has not been answered is taken back, what was is left; the dialog stays.
    fn give_up_within(
        &mut self,
        at: usize,
        subscriber: SubscriberId,
        referral: Option<SubscriberId>,
        request: &Message,
    ) -> Result<(), u16> {
        let pre_established = &self.pre_established.all[at];
        let (names, ends) = match &pre_established.state {
            State::Calling(using) => (&using.names, Some((using, End::Cancelled, Some(487)))),
            // It has taken the Connect, which its Acknowledgement would have said.
            State::Connecting(using, _) => (&using.names, Some((using, End::Rejected, Some(480)))),
            State::InUse(using) => (&using.names, Some((using, End::Released, None))),
            // What has ended in the meantime is what the client wants it to be.
            State::Idle | State::Disconnecting(_) | State::Telling | State::Untold(_) => {
                (&pre_established.last, None)
            }
            State::Asking(..) | State::Withdrawn => return Err(404),
        };
        let target = target_in(request)?;
        let is_meant = |uri: Option<Bytes>| uri.is_some_and(|uri| names.contains(&uri));
        let session = address::session_identity(target.uri).and_then(|uri| address::canonical(&uri));
        if !is_meant(address::canonical(target.uri)) && !is_meant(session) {
            return Err(404);
        }
        let ends = ends.map(|(using, end, status)| (using.clone(), end, status));
        self.admit_referral(subscriber)?;
        if let Some(referral) = referral {
            self.tell_last(referral, 200, None);
        }
        let Some((using, end, status)) = ends else { return Ok(()) };
        if let Some(referral) = using.referral {
            self.tell_last(referral, 487, None);
        }
        self.enter(at, State::Idle);
        let ended = Ended { by: Party::Remote, status, ..Ended::here(end, 487) };
        self.leave_use(using.place, ended);
        Ok(())
    }

    // What becomes of a use that a REFER has begun.

    /// A 1xx of the Controlling PoC Function.
    pub(super) fn use_progressed(&mut self, at: usize, response: &Message) {
        let State::Calling(using) = &self.pre_established.all[at].state else { return };
        let (Some(referral), Some(status)) = (using.referral, response.status()) else { return };
        self.tell_progress(referral, status, AnswerState::of(response));
    }

    /// Its 2xx. False if its media are of no use.
    pub(super) fn use_begins(&mut self, at: usize, response: &Message) -> bool {
        let pre_established = &self.pre_established.all[at];
        let State::Calling(using) = &pre_established.state else { return false };
        let own = &pre_established.media;
        let Ok(agreed) = sdp::accept(own, multipart::description_in(response)) else { return false };
        if let Some(far) = pre_established.far {
            self.media.legs.connect(far, Agreed::new(&agreed, own.payload_of(&agreed.codec)));
        }
        let mut using = using.clone();
        let place = using.place;
        let contact = contact_uri_of(response);
        let identity = contact.and_then(address::session_identity);
        if let Some(kind) = contact.and_then(participating::kind_of_session) {
            self.participating[place].record.session_type = Some(kind);
        }
        using.names.extend(identity.as_deref().and_then(address::canonical));
        if let Some(referral) = using.referral.take() {
            let status = response.status().unwrap_or(200);
            let stated = response.value(Name::PAnswerState).is_some();
            let answer_state = AnswerState::of(response).filter(|_| stated);
            let contact =
                identity.as_deref().map(|identity| [b"<", identity, b">;+g.poc.talkburst;isfocus"].concat());
            let body = sipfrag::write_naming(Progress { status, answer_state }, contact.as_deref());
            self.say(referral, gone(), Some(body));
        }
        self.enter(at, State::InUse(using));
        true
    }

    /// It comes to nothing.
    pub(super) fn use_failed(&mut self, at: usize, status: u16) {
        let State::Calling(using) = &self.pre_established.all[at].state else { return };
        let referral = using.referral;
        self.enter(at, State::Idle);
        if let Some(referral) = referral {
            self.tell_last(referral, status, None);
        }
    }
}

/// What the Refer-To asks for (RFC 3515 §2.1, RFC 4579 §5.11).
fn method_in(request: &Message) -> Result<&[u8], u16> {
    let target = target_in(request)?;
    let uri = Uri::parse(target.uri).map_err(|_| 400_u16)?;
    Ok(uri.parameters.value(b"method").unwrap_or(b"INVITE"))
}

/// What stands in a Refer-To as a Request-URI: without header fields, and without the method (RFC 3261 §19.1.1, table 1).
fn request_uri(uri: &[u8]) -> Bytes {
    let uri = uri.split(|octet| *octet == b'?').next().unwrap_or(uri);
    let mut parts = uri.split(|octet| *octet == b';');
    let mut written = parts.next().unwrap_or_default().to_vec();
    for part in parts.filter(|part| !part.to_ascii_lowercase().starts_with(b"method=")) {
        written.push(b';');
        written.extend_from_slice(part);
    }
    Bytes::from(written)
}
