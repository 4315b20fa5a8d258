//! Stories of groups: up to eight clients who call each other together, come and go.

use bytes::Bytes;
use poc::client::{Change, Invitees};
use poc::server::{Group, GroupKind, GroupMember, GroupRole, Who};
use poc::{Addressee, AnswerMode, AnswerRequest, Focus, PocSettings, Profile};
use sip::{Duration, Reliability, SessionId};

use super::super::{Setup, Terminal};
use super::{Planned, Teller};
use crate::chance::Chance;

/// Hops from one client to another by way of the server of the inviter, that of the group, and that of the invited user.
pub(crate) const HOPS: u32 = 11;

/// Whom a call is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    /// The user of a place.
    User(usize),
    /// Users, by a bit for each client.
    Users(u64),
    /// A group, by its place in the setup.
    Group(usize),
    /// Whoever is in a session that somebody has heard of, by its place among those.
    Session(usize),
}

impl Teller {
    pub(super) fn plan_calls(&mut self, places: &[usize]) {
        let count = self.chance.pick(&[1, 2, 3, 5]);
        // Those who call the same group soon meet in its session.
        let favourite = Whom::Group(self.chance.below(self.system.setup().groups.len() as u64) as usize);
        let longest = self.chance.pick(&[300, 2_000, 20_000]);
        for _ in 0..count {
            let place = self.chance.pick(places);
            let whom = match self.chance.below(10) {
                0 => Whom::User(self.chance.pick(places)),
                1..=3 => Whom::Users(self.chance.below(1 << places.len())),
                4..=5 => Whom::Group(self.chance.below(self.system.setup().groups.len() as u64) as usize),
                _ => favourite,
            };
            let answer = self.chance.pick(&[
                AnswerRequest::Usual,
                AnswerRequest::Usual,
                AnswerRequest::Usual,
                AnswerRequest::Override,
            ]);
            let at = self.begun + self.chance.span(Duration::from_millis(longest));
            self.plan(at, place, Planned::Call(whom, answer));
        }
        if self.chance.happens(300) {
            let (place, whom) = (self.chance.pick(places), self.chance.pick(places));
            let at = self.begun + self.chance.span(Duration::from_secs(5));
            self.plan(at, place, Planned::Alert(whom));
        }
    }

    /// The user of `place` has heard what a session is called, and may come back to it.
    pub(super) fn remember(&mut self, place: usize, focus: Option<&Focus>) {
        let Some(focus) = focus.filter(|_| self.plot.has_groups()) else { return };
        if self.identities.len() < 8 && self.chance.happens(300) {
            let whom = Whom::Session(self.identities.len());
            self.identities.push(focus.identity.clone());
            let at = self.system.now + self.chance.span(Duration::from_secs(20));
            self.plan(at, place, Planned::Call(whom, AnswerRequest::Usual));
        }
    }

    /// What the user of `place` does in a session that stands, besides talking and leaving.
    pub(super) fn plan_company(&mut self, place: usize, session: SessionId) {
        if !self.plot.has_groups() {
            return;
        }
        let places: Vec<_> = self.system.clients().collect();
        if self.chance.happens(300) {
            self.plan_soon(place, Planned::Watch(session));
        }
        for change in [Change::Add, Change::Remove] {
            if self.chance.happens(150) {
                let whom = self.chance.pick(&places);
                self.plan_soon(place, Planned::Refer(session, change, whom));
            }
        }
    }

    fn plan_soon(&mut self, place: usize, planned: Planned) {
        let at = self.system.now + self.chance.moment_to_give_up();
        self.plan(at, place, planned);
    }

    pub(super) fn addressee(&self, place: usize, whom: Whom) -> Option<Addressee> {
        let setup = self.system.setup();
        let own = self.system.address_of(place);
        match whom {
            Whom::User(place) => {
                Some(self.system.address_of(place)).filter(|user| *user != own).map(Addressee::User)
            }
            Whom::Users(bits) => {
                let chosen = self.system.clients().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                let mut users: Vec<Bytes> = chosen
                    .map(|(_, place)| self.system.address_of(place))
                    .filter(|user| *user != own)
                    .collect();
                users.sort();
                users.dedup();
                Invitees::new(users).ok().map(Addressee::Users)
            }
            Whom::Group(group) => {
                let (_, group) = setup.groups.get(group)?;
                Some(match group.kind {
                    GroupKind::Chat => Addressee::Chat(group.address.clone()),
                    GroupKind::PreArranged | GroupKind::Dispatch => {
                        Addressee::PreArranged(group.address.clone())
                    }
                })
            }
            Whom::Session(number) => self.identities.get(number).cloned().map(Addressee::Session),
        }
    }
}

const USERS: [[&str; 4]; 2] = [["anna", "ben", "cora", "dirk"], ["eva", "finn", "gina", "hugo"]];

pub(super) fn setup(chance: &mut Chance) -> Setup {
    let seconds = Duration::from_secs;
    let (here, there) = (1 + chance.below(4) as usize, 1 + chance.below(4) as usize);
    let mut terminals = Vec::new();
    for (home, count) in [here, there].into_iter().enumerate() {
        terminals.extend(USERS[home][..count].iter().map(|user| terminal(chance, user, home)));
    }
    Setup {
        early_answer: chance.happens(300),
        set_up_limit: seconds(chance.pick(&[10, 30])),
        invites_at_once: chance.pick(&[64, 64, 1, 2]),
        ring_limit: seconds(chance.pick(&[15, 60])),
        own_limit: chance.happens(100).then_some(seconds(8)),
        no_answer_after: seconds(chance.pick(&[12, 50])),
        profile: chance.pick(&[Profile::Plain, Profile::Ims]),
        reliability: chance.pick(&[Reliability::WhenRequired, Reliability::WhenSupported]),
        groups: groups(chance, &terminals),
        ..Setup::new(terminals)
    }
}

fn terminal(chance: &mut Chance, user: &'static str, home: usize) -> Terminal {
    let answer_mode = chance.pick(&[AnswerMode::Manual, AnswerMode::Automatic]);
    let settings =
        PocSettings { answer_mode, simultaneous_sessions: chance.happens(300), ..PocSettings::default() };
    Terminal { settings, has_factory: true, ..Terminal::new(user, home) }
}

/// A group of each kind, and one that has another in it, of the other network.
fn groups(chance: &mut Chance, terminals: &[Terminal]) -> Vec<(usize, Group)> {
    let group = |chance: &mut Chance, name: &str, kind: GroupKind| {
        let home = chance.below(2) as usize;
        let mut group = Group::new(Setup::group_address(name, home), kind);
        let chosen = terminals.iter().filter(|_| chance.happens(800));
        group.members = chosen.map(|terminal| member(terminal.address())).collect();
        (home, group)
    };
    let (home, mut patrol) = group(chance, "patrol", GroupKind::PreArranged);
    patrol.participants_min = chance.pick(&[2, 2, 3, 4]);
    patrol.release.with_initiator = chance.happens(300);
    let lobby = group(chance, "lobby", GroupKind::Chat);
    let lobby = (lobby.0, Group { joins: Who::Anybody, ..lobby.1 });
    let club = group(chance, "club", GroupKind::Chat);
    let mut fleet = group(chance, "fleet", GroupKind::Dispatch);
    if let Some(first) = fleet.1.members.first_mut() {
        first.role = GroupRole::Distinguished;
    }
    let mut joint = Group::new(Setup::group_address("joint", 1 - home), GroupKind::PreArranged);
    joint.members = terminals.iter().take(1).map(|terminal| member(terminal.address())).collect();
    joint.members.push(member(patrol.address.clone()));
    vec![(home, patrol), lobby, club, fleet, (1 - home, joint)]
}

fn member(address: Bytes) -> GroupMember {
    GroupMember { address, role: GroupRole::Ordinary }
}
