//! Pre-established sessions (digest 7.2, 14.5, 14.8): a dialog with a client that stands ready for PoC Sessions, one at a time.
//!
//! ```text
//!                a REFER     an invitation       answered             refused, failed     given up             the session ends
//! Idle           Calling     Asking, Connecting  -                    -                   404                  -
//! Calling        486         on demand           InUse                Idle                Idle                 -
//! Asking         491         on demand           InUse                Idle                Withdrawn +CANCEL    -
//! Withdrawn      491         on demand           Telling +re-INVITE   Idle                -                    -
//! InUse          486         on demand           -                    -                   Idle                 Telling, Disconnecting
//! Telling        491         on demand           Idle                 Untold, or +BYE     -                    -
//! Untold         491         on demand           -                    -                   -                    -
//! ```
//!
//! `Connecting` and `Disconnecting` stand in [`super::connected`]: there the client is told by talk burst control. To a REFER and to
//! an invitation they are as Asking.
//!
//! The session beyond is a [`Participating`](super::participating) with this dialog in the place of one of its legs. Whoever
//! gives up there has its answer at once, whatever the client still has to say to the re-INVITE (digest 14.5): it is cancelled
//! by the endpoint like any INVITE, its 487 leaves the dialog as it was (RFC 3261 §14.1), and a 2xx that crosses the CANCEL has
//! put the client into a session that is not there, so it is told. `Untold` waits for the dialog to be free for that.
//!
//! A client whose user is asked, or that has no talk burst control, hears of a session by re-INVITE, and the latter of its end too:
//! in a session our Contact is a focus that names it, else it is none and speech is inactive, on hold until the next use.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::message::Name;
use sip::usage::{End, Party};
use sip::{Contact, Duration, Headers, Instant, Message, SessionId, SubscriberId};
use slab::Slab;

use super::connected::Sending;
use super::leg::{self, Ended, unless_over};
use super::media::{Agreed, Owner};
use super::participating::{self, Leg, ServedAs};
use super::policy::{Inviter, Refusal};
use super::record::{Record, Side};
use super::releasing::{self, Duty};
use super::{Due, Place, Server};
use crate::address;
use crate::body::multipart;
use crate::client::AnswerMode;
use crate::sdp::{self, Capabilities, Described, Direction, Origin};

/// How long to wait when something else is under way in the dialog.
const PAUSE: Duration = Duration::from_secs(2);

/// One dialog.
#[derive(Clone, Debug)]
pub(super) struct PreEstablished {
    pub(super) state: State,
    /// The PoC Address of the user.
    pub(super) user: Bytes,
    dialog: SessionId,
    /// What the client, and the session beyond, are told of our media.
    pub(super) media: Capabilities,
    /// The media of the client.
    pub(super) near: usize,
    /// The media of the session beyond, while there is one.
    pub(super) far: Option<usize>,
    /// Our descriptions towards the client.
    described: Described,
    /// Our descriptions towards the session beyond.
    pub(super) beyond: Described,
    /// What the session beyond has offered.
    offer: Bytes,
    /// What the client may call the last use that has ended: it may give up what is over.
    pub(super) last: Vec<Bytes>,
    record: Record,
}

/// See the table at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Idle,
    Calling(Use),
    Asking(Use, Instant),
    /// Connect has been sent.
    Connecting(Use, Sending),
    Withdrawn,
    InUse(Use),
    /// Disconnect has been sent.
    Disconnecting(Sending),
    Telling,
    Untold(Instant),
}

/// What the dialog is used for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Use {
    /// The session beyond.
    pub(super) place: usize,
    /// What the client may call it when it gives up: whom it called, and the PoC Session Identity.
    pub(super) names: Vec<Bytes>,
    /// Who is told how it goes.
    pub(super) referral: Option<SubscriberId>,
}

impl State {
    /// When something is due.
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Asking(_, at) | Self::Untold(at) => Some(*at),
            Self::Connecting(_, sending) | Self::Disconnecting(sending) => Some(sending.again_at),
            Self::Idle | Self::Calling(_) | Self::Withdrawn | Self::InUse(_) | Self::Telling => None,
        }
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct PreEstablishments {
    pub(super) all: Slab<PreEstablished>,
    of_users: BTreeMap<Bytes, BTreeSet<usize>>,
}

impl PreEstablishments {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The record of a dialog.
    pub(super) fn record_of(&mut self, at: usize) -> Option<&mut Record> {
        self.all.get_mut(at).map(|each| &mut each.record)
    }

    fn of(&self, user: &[u8]) -> impl Iterator<Item = usize> {
        self.of_users.get(user).into_iter().flatten().copied()
    }

    fn insert(&mut self, pre_established: PreEstablished) -> usize {
        let user = pre_established.user.clone();
        let at = self.all.insert(pre_established);
        self.of_users.entry(user).or_default().insert(at);
        at
    }

    fn remove(&mut self, at: usize) -> Option<PreEstablished> {
        let removed = self.all.try_remove(at)?;
        if let Some(of_user) = self.of_users.get_mut(&removed.user) {
            of_user.remove(&at);
            if of_user.is_empty() {
                self.of_users.remove(&removed.user);
            }
        }
        Some(removed)
    }
}

impl Server {
    /// An INVITE of a user of this server that invites nobody. It takes no slot: that does a session.
    pub(super) fn pre_establish(&mut self, session: SessionId, request: &Message, inviter: Inviter) {
        let record = self.participating_record(&inviter, None);
        let offer = multipart::description_in(request);
        let agreed = match self.may_pre_establish(offer, &inviter) {
            Ok(agreed) => agreed,
            Err(refusal) => return self.turn_away(session, record, refusal),
        };
        let mut described = Described::new(self.next_origin());
        let near =
            self.media.legs.open(&record.inviter, Owner::Client(self.pre_established.all.vacant_key()));
        let media = Capabilities { codecs: vec![agreed.codec.clone()], ..self.config.media.clone() };
        let media = self.media.at_ports_of(Some(near), Cow::Owned(media)).into_owned();
        let answer = described.try_describe(|origin| sdp::answer(&media, origin, offer));
        let Ok((answer, _)) = answer else {
            self.media.legs.close(near);
            return self.turn_away(session, record, Refusal::status(488));
        };
        self.media.legs.connect(near, Agreed::new(&agreed, agreed.codec.payload));
        let record = Record { answered: Some(self.now), status: Some(200), ..record };
        let beyond = Described::new(self.next_origin());
        let at = self.pre_established.insert(PreEstablished {
            state: State::Idle,
            user: record.inviter.clone(),
            dialog: session,
            media,
            near,
            far: None,
            described,
            beyond,
            offer: Bytes::new(),
            last: Vec::new(),
            record,
        });
        self.places.insert(session, Place::PreEstablished(at));
        self.accept(session, Vec::new(), Some(sdp::body(answer)));
    }

    fn may_pre_establish(&self, offer: &[u8], inviter: &Inviter) -> Result<sdp::Media, Refusal> {
        let user = inviter.address.as_ref().filter(|user| self.directory.get(user).is_some());
        let user = user.ok_or(Refusal::saying(403, "function not allowed"))?;
        if self.pre_established.of(user).count() >= self.config.pre_established_max {
            return Err(Refusal::saying(486, "too many sessions"));
        }
        let agreed = sdp::answer(&self.config.media, Origin { id: 0, version: 0 }, offer);
        agreed.map(|(_, media)| media).map_err(|_| Refusal::status(488))
    }

    /// Goes over to another state; only that of now has a deadline.
    pub(super) fn enter(&mut self, at: usize, state: State) {
        let pre_established = &mut self.pre_established.all[at];
        let deadlines = [pre_established.state.deadline(), state.deadline()];
        match (&pre_established.state, &state) {
            (_, State::Calling(_) | State::Asking(..) | State::Connecting(..) | State::InUse(_)) => {}
            (
                State::Calling(using)
                | State::Asking(using, _)
                | State::Connecting(using, _)
                | State::InUse(using),
                _,
            ) => {
                pre_established.last.clone_from(&using.names);
                if let Some(far) = pre_established.far.take() {
                    self.media.legs.close(far);
                }
            }
            (
                State::Idle | State::Withdrawn | State::Disconnecting(_) | State::Telling | State::Untold(_),
                _,
            ) => {}
        }
        tracing::debug!(at, from = ?pre_established.state, to = ?state, "pre-established session");
        pre_established.state = state;
        let [before, behind] =
            deadlines.map(|deadline| deadline.map(|until| (until, Due::PreEstablished(at))));
        before.map(|due| self.due.remove(&due));
        behind.map(|due| self.due.insert(due));
    }

    pub(super) fn pre_established_due(&mut self, at: usize) {
        let Some(pre_established) = self.pre_established.all.get(at) else { return };
        match &pre_established.state {
            // Nobody has answered or given up for as long as a client may ring.
            State::Asking(using, _) => {
                let place = using.place;
                self.ask_no_more(at, &leg::no_answer());
                self.downstream_ended(place, Ended::here(End::Expired, 480));
            }
            State::Connecting(..) | State::Disconnecting(_) => self.is_not_acknowledged(at),
            State::Untold(_) => self.tell_over(at),
            State::Idle | State::Calling(_) | State::Withdrawn | State::InUse(_) | State::Telling => {}
        }
    }

    // An invitation of the user.

    /// Asks the user in a dialog that is free and can take what is offered. False if there is none.
    pub(super) fn ask_within(
        &mut self,
        place: usize,
        request: &Message,
        inviter: &Inviter,
        mode: AnswerMode,
    ) -> bool {
        let offer = multipart::description_in(request);
        let origin = Origin { id: 0, version: 0 };
        let is_free = |at: &usize| {
            let PreEstablished { state, media, .. } = &self.pre_established.all[*at];
            *state == State::Idle && sdp::answer(media, origin, offer).is_ok()
        };
        let Some(at) = self.pre_established.of(&self.participating[place].served).find(is_free) else {
            return false;
        };
        if !self.open_beyond(at) {
            return false;
        }
        let beyond = Described::new(self.next_origin());
        let pre_established = &mut self.pre_established.all[at];
        (pre_established.beyond, pre_established.offer) = (beyond, Bytes::copy_from_slice(offer));
        let identity = contact_uri_of(request).and_then(address::session_identity);
        let names = identity.as_deref().and_then(address::canonical).into_iter().collect();
        let using = Use { place, names, referral: None };
        // Digest 10.2: without asking the client by SIP.
        let connects = mode == AnswerMode::Automatic && self.can_connect(at);
        if connects && self.connect(at, &using, request, inviter) {
            self.participating[place].downstream = Some(Leg::Within(at));
            return true;
        }
        if !self.ask(at, request, inviter, mode) {
            self.close_beyond(at);
            return false;
        }
        self.participating[place].downstream = Some(Leg::Within(at));
        self.enter(at, State::Asking(using, self.now + self.config.ring_limit));
        true
    }

    /// The re-INVITE that asks the client. False if something else is under way in the dialog.
    fn ask(&mut self, at: usize, request: &Message, inviter: &Inviter, mode: AnswerMode) -> bool {
        let mut headers = leg::identity_of(inviter);
        headers.extend(leg::referrer_of(inviter, request));
        headers.extend(leg::passed_on(request, &[Name::ResourcePriority]));
        headers.extend(participating::answer_mode(mode, inviter.wish.overrides));
        self.offer_client(at, participating::contact_of(request), headers, Direction::SendRecv)
    }

    fn offer_client(&mut self, at: usize, contact: Contact, headers: Headers, direction: Direction) -> bool {
        let PreEstablished { dialog, media, described, .. } = &mut self.pre_established.all[at];
        let (dialog, media) = (*dialog, media.clone());
        let mut next = described.clone();
        let offer = next.describe(|origin| sdp::offer_for(&media, origin, direction));
        self.identify(dialog, contact);
        let body = Some(sdp::body(offer));
        match self.command(sip::Command::Modify { session: dialog, headers, body }) {
            Ok(_) => {
                self.pre_established.all[at].described = next;
                true
            }
            Err(misuse) => {
                tracing::debug!(%misuse, "cannot be offered now");
                self.identify(dialog, plain());
                false
            }
        }
    }

    /// The client's 1xx to our re-INVITE.
    pub(super) fn client_progressed(&mut self, at: usize, response: &Message) {
        if let Some(State::Asking(using, _)) = self.pre_established.all.get(at).map(|each| &each.state) {
            self.downstream_progressed(using.place, response);
        }
    }

    /// The client's 2xx to a re-INVITE of ours, which has been acknowledged; or to a refresh.
    pub(super) fn client_accepted(&mut self, at: usize, response: &Message) {
        match &self.pre_established.all[at].state {
            State::Asking(using, _) => self.downstream_accepted(using.place, response),
            State::Withdrawn => self.tell_over(at),
            State::Telling => self.enter(at, State::Idle),
            State::Idle
            | State::Calling(_)
            | State::Connecting(..)
            | State::InUse(_)
            | State::Disconnecting(_)
            | State::Untold(_) => {}
        }
    }

    /// The other ends of a re-INVITE of ours. The dialog is as it was before, unless the status is a 2xx that crossed the CANCEL
    /// (RFC 3261 §14.1).
    pub(super) fn client_refused(&mut self, at: usize, status: Option<u16>, retry_after: Option<Duration>) {
        let has_accepted = status.is_some_and(|status| status < 300);
        match &self.pre_established.all[at].state {
            State::Asking(using, _) => {
                let place = using.place;
                self.be_idle(at);
                let ended = Ended { by: Party::Remote, status, ..Ended::here(End::Rejected, 480) };
                self.downstream_ended(place, ended);
            }
            State::Withdrawn if has_accepted => self.tell_over(at),
            State::Withdrawn => self.be_idle(at),
            State::Telling => match retry_after {
                Some(span) => self.enter(at, State::Untold(self.now + span)),
                // Who will not hear of it goes on to believe in it: a client that sets up another dialog knows better.
                None => {
                    let dialog = self.pre_established.all[at].dialog;
                    self.leave(dialog, leg::reason(Some(&leg::reason_of_status(status.unwrap_or(500)))));
                }
            },
            State::Idle
            | State::Calling(_)
            | State::Connecting(..)
            | State::InUse(_)
            | State::Disconnecting(_)
            | State::Untold(_) => {}
        }
    }

    pub(super) fn be_idle(&mut self, at: usize) {
        self.be_plain(at);
        self.enter(at, State::Idle);
    }

    /// Our Contact is no focus any more.
    pub(super) fn be_plain(&mut self, at: usize) {
        let dialog = self.pre_established.all[at].dialog;
        self.identify(dialog, plain());
    }

    /// Whoever invited has given up.
    pub(super) fn ask_no_more(&mut self, at: usize, headers: &Headers) {
        let PreEstablished { dialog, state, .. } = &self.pre_established.all[at];
        let dialog = *dialog;
        if matches!(state, State::Connecting(..)) {
            return self.disconnect(at);
        }
        self.enter(at, State::Withdrawn);
        // An answer that is here already is told next.
        let done = self.command_saying(headers, |headers| sip::Command::Cancel { session: dialog, headers });
        unless_over(dialog, done);
    }

    /// 200 to the Controlling PoC Function, with our media. False if the client has accepted with what is of no use.
    pub(super) fn answer_beyond(
        &mut self,
        at: usize,
        upstream: SessionId,
        headers: Headers,
        response: Option<&Message>,
    ) -> bool {
        let PreEstablished { state, media, beyond, offer, near, far, .. } = &mut self.pre_established.all[at];
        if let Some(response) = response {
            let Ok(agreed) = sdp::accept(media, multipart::description_in(response)) else { return false };
            self.media.legs.connect(*near, Agreed::new(&agreed, media.payload_of(&agreed.codec)));
        }
        let own = self.media.at_ports_of(*far, Cow::Borrowed(media));
        let answer = beyond.try_describe(|origin| sdp::answer(&own, origin, offer));
        let Ok((answer, agreed)) = answer else { return false };
        if let Some(far) = *far {
            self.media.legs.connect(far, Agreed::new(&agreed, agreed.codec.payload));
        }
        if let State::Asking(using, _) | State::Connecting(using, _) = state {
            let using = using.clone();
            self.enter(at, State::InUse(using));
        }
        self.accept(upstream, headers, Some(sdp::body(answer)));
        true
    }

    /// Ports for the session beyond; false if there are none.
    pub(super) fn open_beyond(&mut self, at: usize) -> bool {
        let far = self.media.legs.open_beyond(Owner::Beyond(at));
        if far.is_none() {
            tracing::warn!("no ports for the session beyond a pre-established session");
        }
        self.pre_established.all[at].far = far;
        far.is_some()
    }

    pub(super) fn close_beyond(&mut self, at: usize) {
        if let Some(far) = self.pre_established.all.get_mut(at).and_then(|each| each.far.take()) {
            self.media.legs.close(far);
        }
    }

    // Other media.

    /// The client offers other media, or the same again: the server answers for itself.
    pub(super) fn answer_client(&mut self, at: usize, request: &Message) {
        let PreEstablished { dialog, media, described, near, .. } = &mut self.pre_established.all[at];
        let (dialog, offer) = (*dialog, multipart::description_in(request));
        match described.respond(media, offer) {
            Ok((answer, agreed)) => {
                if let Some(agreed) = agreed {
                    self.media.legs.connect(*near, Agreed::new(&agreed, agreed.codec.payload));
                }
                self.accept(dialog, Vec::new(), Some(sdp::body(answer)));
            }
            Err(_) => self.refuse(dialog, Refusal::status(488)),
        }
    }

    /// The session beyond does.
    pub(super) fn answer_again(&mut self, at: usize, session: SessionId, request: &Message) {
        let PreEstablished { media, beyond, far, .. } = &mut self.pre_established.all[at];
        let offer = multipart::description_in(request);
        let own = self.media.at_ports_of(*far, Cow::Borrowed(media));
        match beyond.try_describe(|origin| sdp::answer(&own, origin, offer)) {
            Ok((answer, agreed)) => {
                if let Some(far) = *far {
                    self.media.legs.connect(far, Agreed::new(&agreed, agreed.codec.payload));
                }
                self.accept(session, Vec::new(), Some(sdp::body(answer)));
            }
            Err(_) => self.refuse(session, Refusal::status(488)),
        }
    }

    // The end.

    /// The session beyond has ended: the client is told, and the dialog stays.
    pub(super) fn use_is_over(&mut self, at: usize) {
        match self.duty {
            Duty::Serving if self.can_connect(at) => self.disconnect(at),
            Duty::Serving => self.tell_over(at),
            // The BYE of the dialog says it.
            Duty::Releasing => self.be_idle(at),
        }
    }

    pub(super) fn tell_over(&mut self, at: usize) {
        let is_under_way = self.offer_client(at, plain(), Vec::new(), Direction::Inactive);
        let state = if is_under_way { State::Telling } else { State::Untold(self.now + PAUSE) };
        self.enter(at, state);
    }

    /// The dialog has ended, and with it whatever it was used for.
    pub(super) fn pre_established_ended(&mut self, at: usize, ended: Ended) {
        self.enter_over(at);
        self.close_beyond(at);
        let Some(PreEstablished { state, record, near, .. }) = self.pre_established.remove(at) else {
            return;
        };
        self.media.legs.close(near);
        let by = if ended.by == Party::Local { Side::Server } else { Side::Inviter };
        let reason = ended.reason.clone();
        let record = Record { end: ended.end, by, ended: self.now, reason, ..record };
        match state {
            State::Calling(using)
            | State::Asking(using, _)
            | State::Connecting(using, _)
            | State::InUse(using) => self.leave_use(using.place, ended),
            State::Idle | State::Withdrawn | State::Disconnecting(_) | State::Telling | State::Untold(_) => {}
        }
        self.close(record);
    }

    fn enter_over(&mut self, at: usize) {
        let deadline = self.pre_established.all.get(at).and_then(|each| each.state.deadline());
        deadline.map(|until| self.due.remove(&(until, Due::PreEstablished(at))));
    }

    /// The client takes no part any more in the session at `place`.
    pub(super) fn leave_use(&mut self, place: usize, ended: Ended) {
        match self.participating.get(place).map(|each| each.served_as) {
            Some(ServedAs::Inviter) => self.upstream_ended(place, ended),
            Some(ServedAs::Invited) => self.downstream_ended(place, ended),
            None => {}
        }
    }

    /// A user is not served any more; what the dialogs were used for has ended already.
    pub(super) fn release_pre_established_of(&mut self, user: &[u8]) {
        let dialogs: Vec<_> =
            self.pre_established.of(user).map(|at| self.pre_established.all[at].dialog).collect();
        for dialog in dialogs {
            self.leave(dialog, Vec::new());
        }
    }

    /// The server is to end; what the dialogs were used for has ended already.
    pub(super) fn release_all_pre_established(&mut self) {
        let dialogs: Vec<_> = self.pre_established.all.iter().map(|(_, each)| each.dialog).collect();
        for dialog in dialogs {
            self.leave(dialog, leg::reason(Some(&releasing::reason())));
        }
    }
}

/// Our Contact while there is no session: no focus.
fn plain() -> Contact {
    Contact { parameters: Bytes::from_static(b";+g.poc.talkburst"), ..Contact::default() }
}

/// The URI of the first Contact.
pub(super) fn contact_uri_of(message: &Message) -> Option<&[u8]> {
    message.addresses(Name::Contact).next()?.ok().map(|contact| contact.uri)
}
