//! The invariants at every element of a system, and between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use poc::Event;
use poc::answer_state::AnswerState;
use poc::server::{Function, Group, Record};
use sip::message::Name;
use sip::transport::Transmit;
use sip::usage::{End, Party};
use sip::{Duration, Instant, Message, SessionId};

use super::functions::Functions;
use super::invited::Invited;
use super::relay::Relay;
use super::side::{Seen, Side};
use super::talking::Talking;
use super::{Checked, branch_of, read, written};

/// Reads what happens at every element and knows what must hold.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Shared by copies of the whole until something happens at that element.
    parts: Vec<Arc<Part>>,
    /// The set-up limit of the clients, if they have one.
    pub set_up_limit: Option<Duration>,
    /// What no message of the story takes longer than, if none is lost and everybody lives: then nobody rings or is in a
    /// session for longer after its end than the wire needs.
    pub longest_hop: Option<Duration>,
    /// Sessions may be carried by pre-established ones, which clients and servers are not watched for: only the cores are.
    pub is_carried: bool,
    /// Hops from one client to another at most.
    pub hops: u32,
    /// Nobody died or started anew: what every client did is known.
    everybody_lives: bool,
    /// The operator has ended something.
    was_removed: bool,
    /// Who speaks.
    pub(crate) talking: Talking,
    /// What was counted, so that a test can see that something was checked.
    pub checked: Checked,
    /// What chance met, by name.
    pub met: BTreeMap<String, u64>,
}

/// The kind of an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A PoC Client.
    Client,
    /// A SIP/IP core.
    Core,
    /// A PoC Server.
    Server,
}

#[derive(Clone, Debug)]
enum Part {
    Client { side: Side, is_gone: bool },
    Core(Relay),
    Server(Functions),
}

/// Hops from one client to another: to the core, its server, back, to the other core, its server, back, and to the client.
pub const HOPS: u32 = 7;

/// Before any limit of a server or a client.
const SOON: Duration = Duration::from_secs(8);

/// A 100 leaves after this, if nothing else does (RFC 3261 §17.2.1); with a tick of the timer wheel.
const TRYING: Duration = Duration::from_millis(210);

impl Watch {
    /// Of elements of these kinds, whose servers may answer before anybody has, or not, and host these groups.
    pub fn new(kinds: impl Iterator<Item = Kind>, answers_early: bool, groups: Vec<Group>) -> Self {
        let part = |kind| match kind {
            Kind::Client => Part::Client { side: Side::default(), is_gone: false },
            Kind::Core => Part::Core(Relay::default()),
            Kind::Server => Part::Server(Functions::new(answers_early, &groups)),
        };
        Self {
            parts: kinds.map(|kind| Arc::new(part(kind))).collect(),
            set_up_limit: None,
            longest_hop: None,
            is_carried: false,
            hops: HOPS,
            everybody_lives: true,
            was_removed: false,
            talking: Talking::new(answers_early),
            checked: Checked::default(),
            met: BTreeMap::new(),
        }
    }

    /// The servers let an invited user take so long to answer, and invite all users at once, or not.
    pub fn invites_until(&mut self, limit: Duration, at_once: bool) {
        for part in &mut self.parts {
            if let Part::Server(functions) = Arc::make_mut(part) {
                functions.set_up_limit = limit;
                functions.invites_at_once = at_once;
            }
        }
    }

    /// The user of `place` ended a session, in whatever state it was.
    pub fn hung_up(&mut self, now: Instant, place: usize, session: SessionId) {
        if let Part::Client { side, .. } = Arc::make_mut(&mut self.parts[place]) {
            side.hung_up(now, session);
            self.talking.is_over(place, session);
        }
    }

    /// The client of `place` began a session.
    pub fn began(&mut self, place: usize, session: SessionId) {
        if let Part::Client { side, .. } = Arc::make_mut(&mut self.parts[place]) {
            side.began(session);
        }
    }

    /// The client of `place` is no more.
    pub fn died(&mut self, place: usize) {
        if let Part::Client { is_gone, .. } = Arc::make_mut(&mut self.parts[place]) {
            *is_gone = true;
        }
        (self.longest_hop, self.everybody_lives) = (None, false);
    }

    /// The client of `place` is another, which knows nothing of what the last one did.
    pub fn restarted(&mut self, place: usize) {
        self.parts[place] = Arc::new(Part::Client { side: Side::default(), is_gone: false });
        self.talking.restarted(place);
        (self.longest_hop, self.everybody_lives) = (None, false);
    }

    /// A user is served no more.
    pub fn removed(&mut self) {
        self.was_removed = true;
        for part in &mut self.parts {
            if let Part::Server(functions) = Arc::make_mut(part) {
                functions.was_removed = true;
            }
        }
    }

    /// These elements were told to stop.
    pub fn stopped(&mut self, places: [usize; 2]) {
        self.was_removed = true;
        for place in places {
            match Arc::make_mut(&mut self.parts[place]) {
                Part::Client { .. } => {}
                Part::Core(relay) => relay.is_stopped = true,
                Part::Server(functions) => functions.is_stopped = true,
            }
        }
    }

    /// `place` sent this.
    pub fn sent(&mut self, now: Instant, place: usize, transmit: &Transmit) {
        let message = written(transmit);
        let checked = &mut self.checked;
        match Arc::make_mut(&mut self.parts[place]) {
            Part::Client { .. } | Part::Server(_) if self.is_carried => {}
            Part::Client { side, .. } => side.sent(now, &message, transmit, checked),
            Part::Core(relay) => relay.sent(now, &message, transmit.path, checked),
            Part::Server(functions) => functions.sent(now, &message, transmit.path, checked),
        }
    }

    /// This arrived at `place`.
    pub fn received(&mut self, now: Instant, place: usize, datagram: &Transmit) {
        let message = read(datagram);
        match Arc::make_mut(&mut self.parts[place]) {
            Part::Client { .. } | Part::Server(_) if self.is_carried => {}
            Part::Client { side, .. } => side.received(now, &message, datagram),
            Part::Core(relay) => relay.received(now, &message, datagram),
            Part::Server(functions) => functions.received(now, &message, datagram),
        }
    }

    /// `place` sent this of speech or talk burst control.
    pub fn media_sent(&mut self, place: usize, transmit: &Transmit) {
        match &*self.parts[place] {
            Part::Client { .. } | Part::Server(_) if self.is_carried => {}
            Part::Client { .. } => self.talking.client_sent(place, transmit),
            Part::Server(_) => self.talking.server_sent(transmit),
            Part::Core(_) => panic!("media do not go through cores"),
        }
    }

    /// This of speech or talk burst control arrived at `place`.
    pub fn media_received(&mut self, place: usize, datagram: &Transmit) {
        match &*self.parts[place] {
            Part::Client { .. } | Part::Server(_) if self.is_carried => {}
            Part::Client { .. } => self.talking.client_received(datagram),
            Part::Server(_) => self.talking.server_received(datagram),
            Part::Core(_) => panic!("media do not go through cores"),
        }
    }

    /// `place` told its user this.
    pub fn told(&mut self, now: Instant, place: usize, event: &Event) {
        self.talking.told(place, event);
        if let Part::Client { side, .. } = Arc::make_mut(&mut self.parts[place])
            && !self.is_carried
        {
            side.told(now, event, &mut self.checked);
        }
    }

    /// The server of `place` closed this.
    pub fn closed(&mut self, place: usize, record: &Record) {
        if let Part::Server(functions) = Arc::make_mut(&mut self.parts[place])
            && !self.is_carried
        {
            functions.closed(record);
        }
    }

    /// `place` has nothing more to send or to tell in this instant. `slots`: how many of a user's are taken, if it is a server.
    pub fn settled(&mut self, place: usize, slots: impl Fn(&[u8]) -> Option<usize>) {
        self.talking.settled();
        match Arc::make_mut(&mut self.parts[place]) {
            Part::Client { .. } | Part::Server(_) if self.is_carried => {}
            Part::Client { side, .. } => side.settled(),
            Part::Core(relay) => relay.settled(),
            Part::Server(functions) => functions.settled(slots),
        }
    }

    /// What it remembers of the element of `place`, as a text that differs if that does.
    pub(crate) fn view(&self, place: usize) -> String {
        format!("{:#?}", self.parts[place])
    }

    /// The same, if nothing but speech and talk burst control was sent and received.
    pub fn media_settled(&mut self) {
        self.talking.settled();
    }

    /// Everything is over: what must be true then.
    pub fn finish(&mut self) {
        for part in &self.parts {
            match &**part {
                Part::Client { .. } | Part::Server(_) if self.is_carried => {}
                Part::Client { is_gone: true, .. } => {}
                Part::Client { side, .. } => side.finish(self.set_up_limit, &mut self.checked),
                Part::Core(relay) => relay.finish(&mut self.checked),
                Part::Server(functions) => functions.finish(&mut self.checked),
            }
        }
        self.talking.count(&mut self.met);
        if !self.is_carried {
            self.assert_truth();
            self.count();
        }
    }

    /// I13 from end to end: what an inviter was told, and what those were told who rang because of it.
    fn assert_truth(&mut self) {
        let whereabouts = self.whereabouts();
        let mut agreed = 0;
        for part in &self.parts {
            let Part::Client { side, is_gone: false } = &**part else { continue };
            for inviter in side.sessions.values() {
                let Some(invited) = side.agent.last_attempt(&inviter.call_id) else { continue };
                let mut found = Found::default();
                self.leaves(&whereabouts, &branch_of(&invited.invite), &mut found);
                self.assert_invitation(inviter, invited, &found);
                let leaves = found.leaves;
                agreed += leaves.len() as u64;
            }
        }
        self.checked.agreed += agreed;
    }

    fn assert_invitation(&self, inviter: &Seen, invited: &Invited, found: &Found<'_>) {
        let Some(outcome) = &inviter.outcome else { return };
        let Found { leaves, is_of_two, is_decided } = found;
        let (is_of_two, is_decided) = (*is_of_two, *is_decided);
        let accepted = |leaf: &Leaf<'_>| leaf.decided.is_none_or(|status| status < 300);
        // Who comes into a session that stands invites nobody.
        if inviter.answer_state == Some(AnswerState::Confirmed) && self.everybody_lives && is_of_two {
            assert!(leaves.iter().any(accepted), "I13: it was confirmed, and nobody had accepted");
        }
        for leaf in leaves {
            let Some(end) = leaf.seen.and_then(|seen| seen.outcome.as_ref()) else { continue };
            if end.is_completed_elsewhere() && self.everybody_lives && is_of_two {
                let others = leaves.iter().filter(|other| other.branch != leaf.branch);
                let somebody = others.filter(|other| accepted(other)).count() > 0;
                assert!(somebody, "I13: answered elsewhere, and nowhere was it answered");
            }
        }
        let Some(hop) = self.longest_hop else { return };
        // Digest 14.6 step 5: others go on without the one who began, if the server has accepted before the CANCEL came.
        if !is_of_two && (outcome.timing.answered.is_some() || is_decided) {
            return;
        }
        // Nobody rings and nobody is connected when it is over, but for what the way takes: there and back.
        let longest = (hop + TRYING) * (2 * self.hops);
        let here = outcome.timing.ended;
        let ends = || leaves.iter().filter_map(|leaf| leaf.seen?.outcome.as_ref());
        for end in ends() {
            let there = end.timing.ended;
            assert!(
                there.saturating_since(here) <= longest,
                "{there:?}: it was over at {here:?}: {outcome:?}"
            );
        }
        let sessions = || ends().filter(|end| matches!(end.end, End::Left | End::Released));
        let is_counted = sessions().count() == leaves.len();
        if let Some(last) = sessions().map(|end| end.timing.ended).max().filter(|_| is_counted) {
            assert!(here.saturating_since(last) <= longest, "{here:?}: it was over at {last:?}");
        }
        // C88: who rings until the inviter gives up hears why, unless a limit of some hop was earlier.
        let is_soon = here.saturating_since(outcome.timing.begun) < SOON;
        let reason = invited.cancel.as_ref().and_then(|(_, cancel)| {
            let cancel = Message::parse(cancel.clone()).ok()?;
            cancel.value(Name::Reason).map(|reason| cancel.share(reason))
        });
        // What a server has decided before the CANCEL comes is a reason of its own.
        if let Some(reason) = reason.filter(|_| is_soon && !is_decided && !self.was_removed) {
            for end in ends().filter(|end| end.end == End::Cancelled) {
                let is_other = end.reason.as_ref().is_some_and(|other| other.starts_with(b"SIP"));
                assert!(
                    is_other || end.reason.as_ref() == Some(&reason),
                    "C88: {:?}, not {reason:?}",
                    end.reason
                );
            }
        }
    }

    /// Which element an INVITE came to, by branch.
    fn whereabouts(&self) -> BTreeMap<Bytes, usize> {
        let mut places = BTreeMap::new();
        for (place, part) in self.parts.iter().enumerate() {
            match &**part {
                Part::Client { side, .. } => {
                    places.extend(side.agent.received.keys().map(|branch| (branch.clone(), place)));
                }
                Part::Core(relay) => {
                    places.extend(relay.incoming.keys().map(|branch| (branch.clone(), place)));
                }
                Part::Server(functions) => {
                    places.extend(functions.agent.received.keys().map(|branch| (branch.clone(), place)));
                }
            }
        }
        places
    }

    /// The clients that an INVITE came to in the end.
    fn leaves<'a>(&'a self, places: &BTreeMap<Bytes, usize>, branch: &Bytes, found: &mut Found<'a>) {
        let Some(place) = places.get(branch) else { return };
        match &*self.parts[*place] {
            Part::Client { side, is_gone } => {
                let decided = side.agent.received[branch].decided.as_ref();
                let mut sessions = side.sessions.values();
                found.leaves.push(Leaf {
                    branch: branch.clone(),
                    decided: decided.map(|decided| decided.status),
                    seen: sessions.find(|seen| seen.branch.as_ref() == Some(branch)).filter(|_| !is_gone),
                });
            }
            Part::Core(relay) => {
                for branch in &relay.incoming[branch].branches {
                    self.leaves(places, branch, found);
                }
            }
            Part::Server(functions) => {
                found.is_of_two &= functions.is_of_two(branch);
                let decided = functions.agent.received[branch].decided.as_ref();
                found.is_decided |= decided.is_some_and(|decided| decided.status != 487);
                let arrivals = functions.arrivals.iter().filter(|arrival| arrival.branch == *branch);
                for call_id in arrivals.flat_map(|arrival| &arrival.legs) {
                    let attempts = functions.agent.invited.iter().filter(|(_, each)| each.is_of(call_id));
                    for (branch, _) in attempts.filter(|(_, each)| !each.is_change) {
                        self.leaves(places, branch, found);
                    }
                }
            }
        }
    }

    /// Counts what chance met.
    fn count(&mut self) {
        let mut met = std::mem::take(&mut self.met);
        let mut note = |what: String| *met.entry(what).or_default() += 1;
        for part in &self.parts {
            match &**part {
                Part::Client { side, .. } => {
                    for seen in side.sessions.values() {
                        let Some(outcome) = &seen.outcome else { continue };
                        let is_ours = side.agent.last_attempt(&seen.call_id).is_some();
                        let role = if is_ours { "inviter" } else { "invited" };
                        note(format!("{role}: {outcome}"));
                        let unconfirmed = seen.answer_state == Some(AnswerState::Unconfirmed);
                        if unconfirmed && outcome.by == Party::Local {
                            note("inviter: unconfirmed, and left".to_owned());
                        }
                    }
                    for invited in side.agent.invited.values() {
                        if invited.answers.values().any(|answer| answer.unwanted) {
                            note("crossing at a client".to_owned());
                        }
                        let is_unwanted = side.agent.unwanted.contains(&invited.call_id);
                        if is_unwanted && invited.cancel.is_none() && invited.finals.is_empty() {
                            note("cancelled before any 1xx".to_owned());
                        }
                    }
                    for received in side.agent.received.values() {
                        if received.cancel.is_some() {
                            note("cancelled while ringing".to_owned());
                        }
                    }
                }
                Part::Core(relay) => {
                    for outgoing in relay.outgoing.values() {
                        let crosses = outgoing.invited.finals.iter().any(|status| *status < 300);
                        if crosses && outgoing.invited.cancel.is_some() {
                            note("crossing at a core".to_owned());
                        }
                    }
                    for incoming in relay.incoming.values().filter(|incoming| incoming.branches.len() > 1) {
                        note(
                            if incoming.received.is_accepted { "fork, accepted" } else { "fork" }.to_owned(),
                        );
                    }
                }
                Part::Server(functions) => {
                    for arrival in &functions.arrivals {
                        for call_id in &arrival.legs {
                            let last = functions.agent.last_attempt(call_id);
                            let mut answers = last.into_iter().flat_map(|invited| invited.answers.values());
                            if answers.any(|answer| answer.unwanted) {
                                note(format!("crossing at {:?}", arrival.function));
                            }
                        }
                    }
                    for session in functions.sessions.values() {
                        if session.arrivals.len() > 1 {
                            note("session that somebody came into".to_owned());
                        }
                        if !session.removed.is_empty() {
                            note("somebody is sent away".to_owned());
                        }
                        if session.was_extended {
                            note("somebody is added".to_owned());
                        }
                    }
                    for record in functions.records() {
                        let function = match record.function {
                            Function::Controlling => "controlling",
                            Function::Participating => "participating",
                        };
                        note(format!("record: {function}, {:?} by {:?}", record.end, record.by));
                    }
                }
            }
        }
        if self.checked.notified > 0 {
            met.insert("who takes part is told again".to_owned(), self.checked.notified);
        }
        self.met = met;
    }
}

/// Who rang because of an INVITE.
struct Found<'a> {
    leaves: Vec<Leaf<'a>>,
    /// Nobody else takes part, so one ends with the other.
    is_of_two: bool,
    /// A server has said something else to it than that it was cancelled.
    is_decided: bool,
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self { leaves: Vec::new(), is_of_two: true, is_decided: false }
    }
}

/// A client that an INVITE came to.
struct Leaf<'a> {
    branch: Bytes,
    /// The final response that it sent.
    decided: Option<u16>,
    /// What it knows of the session; `None` if it is no more, or knows another branch of it.
    seen: Option<&'a Seen>,
}
