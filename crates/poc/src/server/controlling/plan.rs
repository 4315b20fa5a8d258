//! What an INVITE asks the Controlling PoC Function for, and whether it may (digest 10.3 steps 1 to 4).

use bytes::Bytes;
use sip::Message;
use sip::message::Uri;

use super::super::Server;
use super::super::group::{Group, GroupKind, GroupRole, ReleasePolicy};
use super::super::leg;
use super::super::policy::{self, Inviter, Refusal};
use super::super::record::SessionType;
use super::inviting::Invitee;
use super::{Controlling, ParticipantState};
use crate::address;
use crate::body::multipart;
use crate::body::resource_lists::{self, Copy, Entry};
use crate::sdp::{self, Codec, Media};

/// What comes of an INVITE that has passed the checks.
pub(super) enum Plan {
    Create(Creation),
    Join(Joining),
}

/// A session that is to be made.
pub(super) struct Creation {
    pub(super) session_type: SessionType,
    pub(super) group: Option<Box<Group>>,
    /// Nobody for a chat group.
    pub(super) invited: Vec<Invitee>,
    pub(super) codecs: Vec<Codec>,
    pub(super) offer: Bytes,
    /// As what the inviter takes part.
    pub(super) role: GroupRole,
    pub(super) participants_max: usize,
    pub(super) participants_min: usize,
    pub(super) policy: ReleasePolicy,
    /// Max-Forwards of the invitations.
    pub(super) hops: Option<u8>,
    /// Those of the list whom the others may see, as a list.
    pub(super) history: Option<Bytes>,
}

/// A session that is to be joined.
pub(super) struct Joining {
    pub(super) place: usize,
    pub(super) offer: Bytes,
    pub(super) media: Media,
    pub(super) role: GroupRole,
}

impl Server {
    pub(super) fn plan(&self, request: &Message, inviter: &Inviter) -> Result<Plan, Refusal> {
        let hops = leg::hops_behind(request)?;
        let unreadable = Refusal::status(400);
        let parts = multipart::parts_of(request).map_err(|_| unreadable)?;
        let offer = multipart::description(&parts);
        if let Some(identity) = self.identity_in(request.uri_text()) {
            let place = self.identities.get(&identity).ok_or(Refusal::status(404))?;
            // Who may come in is what the group says now; how long it lasts is what it said in the beginning.
            let began = self.controlling[*place].group.as_deref();
            let group = began.map(|began| self.directory.group(&began.address).unwrap_or(began));
            return self.plan_join(*place, group, inviter, offer);
        }
        let canonical = address::canonical(request.uri_text());
        if let Some(group) = canonical.as_ref().and_then(|address| self.directory.group(address)) {
            return self.plan_group(group, inviter, offer, hops);
        }
        policy::may_initiate(&self.directory, inviter)?;
        let entries = if self.is_factory(request) {
            let list = parts.iter().find(|part| part.is(resource_lists::CONTENT_TYPE));
            let list = list.ok_or(Refusal::saying(403, "function not allowed"))?;
            resource_lists::read(list.bytes).map_err(|_| unreadable)?
        } else {
            vec![Entry::new(Bytes::copy_from_slice(request.uri_text()))]
        };
        let invited = self.invited(&entries, inviter)?;
        let is_one = entries.len() == 1;
        Ok(Plan::Create(Creation {
            session_type: if is_one { SessionType::OneToOne } else { SessionType::AdHoc },
            group: None,
            invited,
            codecs: self.codecs_for(offer, inviter)?,
            offer: Bytes::copy_from_slice(offer),
            role: GroupRole::Ordinary,
            participants_max: self.config.invited_max + 1,
            participants_min: 2,
            policy: ReleasePolicy { fewer_than: 2, with_initiator: false, after: None },
            hops,
            history: history(&entries),
        }))
    }

    /// The entries of a list, once each and without the inviter (step 4; RFC 5364 §4).
    fn invited(&self, entries: &[Entry], inviter: &Inviter) -> Result<Vec<Invitee>, Refusal> {
        let mut invited: Vec<Invitee> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for entry in entries {
            let address = address::canonical(&entry.uri).ok_or(Refusal::status(400))?;
            if Some(&address) != inviter.address.as_ref() && seen.insert(address.clone()) {
                invited.push(Invitee::new(address));
            }
        }
        match invited.len() {
            0 => Err(Refusal::saying(404, "nobody to invite")),
            count if count > self.config.invited_max => Err(Refusal::saying(486, "too many participants")),
            _ => Ok(invited),
        }
    }

    /// An INVITE for a group that is hosted here: a join if there is a session of it.
    fn plan_group(
        &self,
        group: &Group,
        inviter: &Inviter,
        offer: &[u8],
        hops: Option<u8>,
    ) -> Result<Plan, Refusal> {
        let forbidden = Refusal::saying(403, "function not allowed");
        if !group.is_enabled {
            return Err(forbidden);
        }
        if let Some(place) = self.sessions_of_groups.get(&group.address) {
            return self.plan_join(*place, Some(group), inviter, offer);
        }
        policy::may_hide(group.admits_anonymous, inviter)?;
        let address = inviter.address.as_deref();
        let (who, is_chat) = match group.kind {
            GroupKind::Chat => (group.joins, true),
            GroupKind::PreArranged | GroupKind::Dispatch => (group.initiates, false),
        };
        if !self.directory.is_among(who, group, address) {
            return Err(forbidden);
        }
        let invited: Vec<_> = group
            .members
            .iter()
            .filter(|member| !is_chat && Some(&member.address[..]) != address)
            .map(|member| Invitee { role: member.role, ..Invitee::new(member.address.clone()) })
            .take(group.participants_max.saturating_sub(1))
            .collect();
        if invited.is_empty() && !is_chat {
            return Err(Refusal::saying(404, "nobody to invite"));
        }
        Ok(Plan::Create(Creation {
            session_type: group.kind.session_type(),
            invited,
            codecs: self.codecs_for(offer, inviter)?,
            offer: Bytes::copy_from_slice(offer),
            role: address.and_then(|address| self.directory.role_in(group, address)).unwrap_or_default(),
            participants_max: group.participants_max,
            participants_min: if is_chat { 1 } else { group.participants_min.max(2) },
            policy: group.release,
            hops,
            history: None,
            group: Some(Box::new(group.clone())),
        }))
    }

    /// Digest 9.3, 10.3: whether `inviter` may come into the session at `place`.
    fn plan_join(
        &self,
        place: usize,
        group: Option<&Group>,
        inviter: &Inviter,
        offer: &[u8],
    ) -> Result<Plan, Refusal> {
        let forbidden = Refusal::saying(403, "function not allowed");
        let controlling = &self.controlling[place];
        let address = inviter.address.as_ref().ok_or(forbidden)?;
        policy::may_hide(group.is_none_or(|group| group.admits_anonymous), inviter)?;
        let was = controlling.by_address.get(address).map(|key| &controlling.participants[*key]);
        let is_awaited = was.is_some_and(|was| !was.was_removed());
        let may_join = group.is_some_and(|group| self.directory.is_among(group.joins, group, Some(address)));
        if !may_join && !is_awaited {
            return Err(forbidden);
        }
        let inside = controlling.participant_of(address).map(|(_, inside)| inside.state);
        if inside == Some(ParticipantState::Waiting) {
            return Err(Refusal::saying(486, "being set up"));
        }
        // Who is asked, or will be, has a place already.
        let has_place =
            inside.is_some() || controlling.queue.iter().any(|invitee| invitee.address == *address);
        if !has_place && controlling.taken() >= controlling.participants_max {
            return Err(Refusal::saying(486, "too many participants"));
        }
        let origin = sdp::Origin { id: 0, version: 0 };
        let media = self.directory.media_for(address, &controlling.media);
        let (_, media) = sdp::answer(&media, origin, offer).map_err(|_| Refusal::status(488))?;
        let listed = group.and_then(|group| self.directory.role_in(group, address));
        let role = listed.or(was.map(|was| was.role)).unwrap_or_default();
        Ok(Plan::Join(Joining { place, offer: Bytes::copy_from_slice(offer), media, role }))
    }

    /// What the participants are offered: all that the initiator offered, for the server relays what two ends agree on; but
    /// only what the server itself would answer if it has to answer first: early (digest 7.5), or because nobody is invited.
    fn codecs_for(&self, offer: &[u8], inviter: &Inviter) -> Result<Vec<Codec>, Refusal> {
        let unusable = |_| Refusal::status(488); // step 3
        let offered = sdp::codecs(offer).map_err(unusable)?;
        let origin = sdp::Origin { id: 0, version: 0 };
        let address = inviter.address.as_deref().unwrap_or_default();
        let own = self.directory.media_for(address, &self.config.media);
        let (_, media) = if self.config.early_answer {
            sdp::answer(&own, origin, offer).map_err(unusable)?
        } else {
            let media = sdp::Capabilities { codecs: offered.clone(), ..own.into_owned() };
            sdp::answer(&media, origin, offer).map_err(unusable)?
        };
        Ok(if self.config.early_answer { vec![media.codec] } else { offered })
    }

    /// The PoC Session Identity that a URI is, whether there is such a session or not: user and host.
    pub(in super::super) fn identity_in(&self, uri: &[u8]) -> Option<Bytes> {
        let uri = Uri::parse(uri).ok()?;
        let user = uri.user.filter(|user| sip::Identifier::parse(user).is_some())?;
        uri.host.eq_ignore_ascii_case(&self.domain).then(|| self.identity_of(user))
    }

    /// The PoC Session Identity of a user part.
    pub(super) fn identity_of(&self, user: &[u8]) -> Bytes {
        Bytes::from([user, b"@", &self.domain].concat())
    }

    /// RFC 5318 §3: a Controlling PoC Function has invited a group that is hosted here. It learns the members if the inviter
    /// may begin a session of them.
    pub(in super::super) fn members_for(
        &self,
        group: &Group,
        inviter: &Inviter,
    ) -> Result<Vec<Bytes>, Refusal> {
        let address = inviter.address.as_deref();
        if !group.is_enabled || !self.directory.is_among(group.initiates, group, address) {
            return Err(Refusal::saying(403, "function not allowed"));
        }
        policy::may_hide(group.admits_anonymous, inviter)?;
        Ok(group.members.iter().map(|member| member.address.clone()).collect())
    }
}

/// RFC 5366 §4, RFC 5364 §4: what the others see of a list; nothing of those who are meant to be seen by nobody.
fn history(entries: &[Entry]) -> Option<Bytes> {
    let shown = entries.iter().filter(|entry| entry.copy != Copy::Bcc);
    let anonymous = || Bytes::from_static(address::ANONYMOUS_URI);
    let (hidden, named): (Vec<Entry>, Vec<Entry>) = shown.cloned().partition(|entry| entry.is_anonymous);
    // However many hide their names, nobody is told apart.
    let nobody = hidden.into_iter().take(1).map(|entry| Entry { uri: anonymous(), ..entry });
    let seen: Vec<Entry> = named.into_iter().chain(nobody).collect();
    (!seen.is_empty()).then(|| resource_lists::write(&seen))
}

impl Controlling {
    /// Whether so many more may be invited. Those who were and have gone stay on record, so they count besides, and so do groups
    /// whose members took their place.
    pub(super) fn has_room_for(&self, count: usize) -> bool {
        let on_record = self.participants.len() + self.resolved.len();
        self.taken() + count <= self.participants_max && on_record + count <= 4 * self.participants_max
    }
}
