//! Who else is in a session: asking the PoC Server to add users or to send one away, and watching who takes part. Digest 9.4, 9.7.
//!
//! All of it is asked of the PoC Session Identity, outside of the dialog of the session, and the way that the session went.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::message::{Name, Uri};
use sip::usage::End;
use sip::{Duration, Message, Misuse, Refer, SessionId, Subscribe, SubscriptionId};

use super::session::State;
use super::{ACCEPT_CONTACT, Client, Event};
use crate::body::conference_info::{self, Merged, Roster};
use crate::body::sipfrag;

/// What may be asked for or watched at once.
const SUBSCRIPTIONS_MAX: usize = 64;

/// digest 9.7.
const WATCHED_FOR: Duration = Duration::from_secs(3600);

/// How often the whole is asked for anew because a part was missing.
const REFETCHES_MAX: u8 = 3;

/// What the PoC Server is asked to do with a user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Invite the user to the session.
    Add,
    /// Send the user away, or take an invitation back that still rings.
    Remove,
}

/// What a subscription of ours is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A REFER: what has become of it so far.
    Referral { session: SessionId, change: Change, user: Bytes, status: Option<u16> },
    /// Who takes part.
    Watch { session: SessionId, roster: Box<Roster>, refetches: u8 },
    /// A REFER in the dialog of the pre-established session, which invites: what its last NOTIFY said.
    Inviting { last: Option<u16> },
    /// One that ends what was invited to.
    Ending { last: Option<u16> },
    /// Nobody asks any more.
    Nothing,
}

impl Purpose {
    fn session(&self) -> Option<SessionId> {
        match self {
            Self::Referral { session, .. } | Self::Watch { session, .. } => Some(*session),
            Self::Inviting { .. } | Self::Ending { .. } | Self::Nothing => None,
        }
    }
}

impl Client {
    /// digest 9.4, RFC 4579 §5.5, §5.11.
    pub(super) fn refer_to(&mut self, id: SessionId, change: Change, user: Bytes) -> Result<(), Misuse> {
        let name = self.free_subscription()?;
        let uri = self.focus_of(id)?;
        let refer_to = refer_to(&user, change)?;
        let (targets, routes) = self.way_of(id)?;
        let refer = Refer {
            id: name,
            within: None,
            targets,
            to: Bytes::from([b"<", &uri[..], b">"].concat()),
            uri,
            from: self.config.address.clone(),
            routes,
            refer_to,
            headers: self.identified(),
            body: None,
            contact: None,
            wants_progress: true,
        };
        self.command(sip::Command::Refer(Box::new(refer)))?;
        let purpose = Purpose::Referral { session: id, change, user, status: None };
        self.subscriptions.insert(name, purpose);
        Ok(())
    }

    /// digest 9.7. Asking again changes nothing.
    pub(super) fn watch(&mut self, id: SessionId) -> Result<(), Misuse> {
        let is_watch =
            |purpose: &Purpose| matches!(purpose, Purpose::Watch { session, .. } if *session == id);
        if self.subscriptions.values().any(is_watch) {
            return Ok(());
        }
        self.subscribe_to(id, 0)
    }

    fn subscribe_to(&mut self, id: SessionId, refetches: u8) -> Result<(), Misuse> {
        let name = self.free_subscription()?;
        let uri = self.focus_of(id)?;
        let (targets, routes) = self.way_of(id)?;
        let mut headers = self.identified();
        headers.push((Name::Accept, Bytes::from_static(conference_info::CONTENT_TYPE.as_bytes())));
        let subscribe = Subscribe {
            id: name,
            targets,
            to: Bytes::from([b"<", &uri[..], b">"].concat()),
            uri,
            from: self.config.address.clone(),
            routes,
            event: Bytes::from_static(conference_info::EVENT.as_bytes()),
            expires: WATCHED_FOR,
            headers,
            body: None,
            contact: None,
        };
        self.command(sip::Command::Subscribe(Box::new(subscribe)))?;
        let purpose = Purpose::Watch { session: id, roster: Box::default(), refetches };
        self.subscriptions.insert(name, purpose);
        Ok(())
    }

    /// What the session is called; only who is in it can ask for anything.
    fn focus_of(&self, id: SessionId) -> Result<Bytes, Misuse> {
        let session = self.sessions.get(&id).ok_or(Misuse::NoSession)?;
        let focus = session.focus.as_ref().filter(|_| session.state == State::Established);
        focus.map(|focus| focus.identity.clone()).ok_or(Misuse::NotEstablished)
    }

    /// The way that the session went, or that of the registered user.
    fn way_of(&self, id: SessionId) -> Result<(Vec<sip::transport::Target>, Vec<Bytes>), Misuse> {
        let (targets, routes) = self.sessions.get(&id).ok_or(Misuse::NoSession)?.way.clone();
        Ok(self.way_to(targets, routes))
    }

    pub(super) fn identified(&self) -> sip::Headers {
        vec![
            (Name::AcceptContact, Bytes::from_static(ACCEPT_CONTACT)),
            (Name::PPreferredIdentity, self.config.address.clone()),
        ]
    }

    /// The first name that no subscription has: equal states have equal names.
    pub(super) fn free_subscription(&self) -> Result<SubscriptionId, Misuse> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Misuse::Busy);
        }
        let mut names = (1..).map(SubscriptionId);
        names.find(|name| !self.subscriptions.contains_key(name)).ok_or(Misuse::Busy)
    }

    pub(super) fn be_notified(&mut self, name: SubscriptionId, notify: &Message) {
        match self.subscriptions.get_mut(&name) {
            Some(Purpose::Referral { session, change, user, status }) => {
                let Ok(progress) = sipfrag::read(notify.body()) else { return };
                *status = Some(progress.status);
                if (101..200).contains(&progress.status) {
                    let (session, change, user) = (*session, *change, user.clone());
                    self.events.push_back(Event::MemberProgress {
                        session,
                        change,
                        user,
                        status: progress.status,
                    });
                }
            }
            Some(Purpose::Watch { .. }) if notify.body().is_empty() => {}
            Some(Purpose::Watch { session, roster, refetches }) => {
                let read = conference_info::read(notify.body()).and_then(|document| roster.merge(document));
                let (session, refetches) = (*session, *refetches);
                match read {
                    Ok(Merged::Updated) => {
                        let roster = roster.clone();
                        self.events.push_back(Event::Participants { session, roster });
                    }
                    // The end of the session is told by its dialog.
                    Ok(Merged::Stale | Merged::Deleted) => {}
                    Ok(Merged::Missed) => self.watch_anew(name, session, refetches),
                    Err(error) => tracing::warn!(%error, "unusable list of participants"),
                }
            }
            Some(Purpose::Inviting { last } | Purpose::Ending { last }) => {
                *last = sipfrag::read(notify.body()).ok().map(|progress| progress.status).or(*last);
                self.carried_progressed(name, notify.body());
            }
            Some(Purpose::Nothing) | None => {}
        }
    }

    /// RFC 4575 §4.6: the whole is asked for where a part is missing.
    fn watch_anew(&mut self, name: SubscriptionId, session: SessionId, refetches: u8) {
        self.ask_no_more(name);
        let again = if refetches < REFETCHES_MAX {
            self.subscribe_to(session, refetches + 1)
        } else {
            Err(Misuse::Busy)
        };
        if again.is_err() {
            self.events.push_back(Event::WatchEnded { session, status: None });
        }
    }

    pub(super) fn subscription_ended(&mut self, name: SubscriptionId, end: End, answer: Option<u16>) {
        match self.subscriptions.remove(&name) {
            Some(Purpose::Referral { session, change, user, status }) => {
                // What was told last is final, or nothing is; without a subscription the answer to the REFER is all.
                let told = status.filter(|status| *status >= 200);
                let status = told.or(answer.filter(|_| status.is_none()));
                tracing::debug!(%session, ?end, ?status, "a user was referred to");
                self.events.push_back(Event::MemberChanged { session, change, user, status });
            }
            Some(Purpose::Watch { session, .. }) => {
                self.events.push_back(Event::WatchEnded { session, status: answer });
            }
            Some(Purpose::Inviting { last } | Purpose::Ending { last }) => {
                self.carried_referral_ended(name, last, answer);
            }
            Some(Purpose::Nothing) | None => {}
        }
    }

    /// The session is over, and with it whatever its user wanted to know.
    pub(super) fn forget_members(&mut self, session: SessionId) {
        let is_of = |purpose: &Purpose| purpose.session() == Some(session);
        let names: Vec<_> =
            self.subscriptions.iter().filter(|(_, each)| is_of(each)).map(|(name, _)| *name).collect();
        for name in names {
            self.ask_no_more(name);
        }
    }

    fn ask_no_more(&mut self, name: SubscriptionId) {
        self.subscriptions.insert(name, Purpose::Nothing);
        if let Err(misuse) = self.command(sip::Command::Unsubscribe { subscription: name }) {
            tracing::debug!(%misuse, "over already");
            self.subscriptions.remove(&name);
        }
    }
}

/// The value of Refer-To.
pub(super) fn refer_to(user: &[u8], change: Change) -> Result<Bytes, Misuse> {
    let uri = Uri::parse(user).ok().filter(|uri| uri.is_sip() && uri.user.is_some());
    let uri = uri.filter(|uri| uri.headers.is_none() && !uri.parameters.has(b"method"));
    uri.ok_or(Misuse::Address)?;
    let method: &[u8] = match change {
        Change::Add => b"",
        Change::Remove => b";method=BYE",
    };
    Ok(Bytes::from([b"<", user, method, b">"].concat()))
}
