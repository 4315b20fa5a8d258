//! What a server has at a moment, for an operator: walks over its tables, so nothing for every event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::participating::{Participating, ServedAs, State};
use super::preestablished::State as PreEstablishedState;
use super::*;

/// How many of what there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// The endpoint below.
    pub below: sip::Census,
    /// PoC Sessions that are controlled here.
    pub controlling: BTreeMap<(SessionType, SessionState), usize>,
    /// Invitations of users, or by users, who are served here, and the sessions that come of them.
    pub participating: BTreeMap<SessionState, usize>,
    /// Those who take part in PoC Sessions that are controlled here.
    pub connected: usize,
    /// Those whose invitations to them are under way.
    pub pending: usize,
    /// Pre-established sessions.
    pub pre_established: usize,
    /// Those of them that are in use.
    pub in_use: usize,
    /// Packets of speech that are kept for those who are still being asked, or have come late.
    pub buffered: usize,
    /// MESSAGEs that were sent on and have no answer.
    pub messages: usize,
    /// Users who are served here or on another shard.
    pub users: usize,
    /// PoC Sessions, participations and refusals that should be over: see [`Server::census`].
    pub stuck: usize,
}

/// How far a PoC Session, or a participation in one, has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Nobody has accepted.
    Inviting,
    /// The inviter was told that somebody will.
    Unconfirmed,
    /// Enough take part.
    Established,
    /// It is over, and its legs are ending.
    Releasing,
}

impl SessionState {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inviting => "inviting",
            Self::Unconfirmed => "unconfirmed",
            Self::Established => "established",
            Self::Releasing => "releasing",
        }
    }
}

/// A PoC Session, or a participation in one, as an operator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which function has it.
    pub function: Function,
    /// The PoC Session Identity; empty if another function has it.
    pub identity: Bytes,
    /// What kind of session it is, if that is known.
    pub session_type: Option<SessionType>,
    /// The group, or empty.
    pub group: Bytes,
    /// How far it has come.
    pub state: SessionState,
    /// When it began.
    pub begun: Instant,
    /// All who take part, are to, or did.
    pub total: usize,
    /// The first of them.
    pub participants: Vec<Attending>,
}

/// Somebody in a [`Standing`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attending {
    /// The PoC Address.
    pub address: Bytes,
    /// Whether it was this one's INVITE that made the session.
    pub is_inviter: bool,
    /// How far this one has come.
    pub attendance: Attendance,
}

/// How far somebody has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attendance {
    /// Waits for the answer to its own INVITE.
    Waiting,
    /// Is being invited.
    Invited,
    /// Is being invited, and its client alerts.
    Alerting,
    /// Takes part.
    Connected,
    /// The leg is ending.
    Leaving,
    /// The leg has ended.
    Over,
}

impl Server {
    /// What there is. Looks at every session once.
    ///
    /// Stuck is what is being set up for longer than the longest ringing and I9, or is released for longer than I9
    /// (docs/cancel.md), or waits for something that is not there.
    pub fn census(&self, now: Instant) -> Census {
        let mut census = Census {
            below: self.endpoint.census(now),
            messages: self.messaging.len(),
            users: self.directory.len(),
            ..Census::default()
        };
        let limits = Limits::of(&self.config);
        for (_, session) in &self.controlling {
            let (state, since) = session.state_since();
            *census.controlling.entry((session.session_type(), state)).or_default() += 1;
            census.connected += session.connected();
            census.pending += session.pending();
            census.buffered += session.buffer.as_ref().map_or(0, |buffer| buffer.len());
            census.stuck += usize::from(session.has_no_legs() || limits.is_over(now, state, since));
        }
        for (_, participating) in &self.participating {
            let (state, since) = participating.state_since();
            *census.participating.entry(state).or_default() += 1;
            let has_no_legs = participating.upstream.is_none() && participating.downstream.is_none();
            census.stuck += usize::from(has_no_legs || limits.is_over(now, state, since));
        }
        for (_, record) in &self.turned_away {
            census.stuck += usize::from(limits.is_over(now, SessionState::Releasing, record.begun));
        }
        for (_, pre_established) in &self.pre_established.all {
            census.pre_established += 1;
            let (PreEstablishedState::Calling(using)
            | PreEstablishedState::Asking(using, _)
            | PreEstablishedState::Connecting(using, _)
            | PreEstablishedState::InUse(using)) = &pre_established.state
            else {
                continue;
            };
            census.in_use += 1;
            census.stuck += usize::from(!self.participating.contains(using.place));
        }
        // An answer, or timer F, ends each.
        census.stuck += census.messages.saturating_sub(census.below.requests);
        census
    }

    /// PoC Sessions, and participations with `with_participations`: the first `limit`, each with so many who take part.
    pub fn standing(&self, limit: usize, attending: usize, with_participations: bool) -> Vec<Standing> {
        let controlling = self.controlling.iter().map(|(_, session)| session.standing(attending));
        let participating = self.participating.iter().map(|(_, each)| each.standing());
        controlling.chain(participating.filter(|_| with_participations)).take(limit).collect()
    }

    /// How many of them there are in all.
    pub fn standing_count(&self, with_participations: bool) -> usize {
        self.controlling.len() + if with_participations { self.participating.len() } else { 0 }
    }
}

/// How long what may take.
struct Limits {
    set_up: Duration,
    release: Duration,
}

impl Limits {
    fn of(config: &Config) -> Self {
        let timers = &config.sip.timers;
        let release = timers.t1 * 256 + timers.t4 * 2; // I9
        Self { set_up: config.ring_limit.max(config.set_up_limit) + release, release }
    }

    fn is_over(&self, now: Instant, state: SessionState, since: Instant) -> bool {
        match state {
            SessionState::Inviting | SessionState::Unconfirmed => since + self.set_up < now,
            SessionState::Established => false,
            SessionState::Releasing => since + self.release < now,
        }
    }
}

impl Participating {
    fn state_since(&self) -> (SessionState, Instant) {
        match self.state {
            State::Inviting => (SessionState::Inviting, self.record.begun),
            State::Established => (SessionState::Established, self.record.begun),
            State::Releasing => (SessionState::Releasing, self.record.ended),
        }
    }

    fn standing(&self) -> Standing {
        let (state, _) = self.state_since();
        let attendance = |leg: Option<participating::Leg>, waiting| match (state, leg) {
            (_, None) => Attendance::Over,
            (SessionState::Inviting | SessionState::Unconfirmed, Some(_)) => waiting,
            (SessionState::Established, Some(_)) => Attendance::Connected,
            (SessionState::Releasing, Some(_)) => Attendance::Leaving,
        };
        let inviter = match self.served_as {
            ServedAs::Inviter => self.served.clone(),
            ServedAs::Invited => self.record.inviter.clone(),
        };
        let participants = vec![
            Attending {
                address: inviter,
                is_inviter: true,
                attendance: attendance(self.upstream, Attendance::Waiting),
            },
            Attending {
                address: self.invited().clone(),
                is_inviter: false,
                attendance: attendance(self.downstream, Attendance::Invited),
            },
        ];
        Standing {
            function: Function::Participating,
            identity: Bytes::new(),
            session_type: self.record.session_type,
            group: self.record.group.clone(),
            state,
            begun: self.record.begun,
            total: participants.len(),
            participants,
        }
    }
}
