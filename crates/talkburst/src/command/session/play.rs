//! One client with its user: what happens, what is wished for, and what was scheduled, in one loop.

mod talking;
mod telling;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use poc::answer_state::AnswerState;
use poc::client::{Alert, AlertId, Change, Role};
use poc::talk_burst::Priority;
use poc::{Addressee, AnswerMode, AnswerRequest, Event, Focus, Outcome, SessionType};
use sip::transport::Target;
use sip::usage::End;
use sip::{Duration, Instant, Misuse, SessionId};
use tokio::task::JoinSet;

pub(crate) use self::talking::TalkPlan;
use self::talking::Talking;

use super::super::Failure;
use super::sound::SoundPlan;
use super::voice::{Agreed, Ended, Named, Participant, Told, Voice};
use super::wishes::{Wish, Wishes};
use crate::clock::Clock;
use crate::driver::Driver;
use crate::locate::{LocateError, Locator};

/// A client, its user, and what goes on between them.
pub(crate) struct Play {
    pub(crate) clock: Clock,
    driver: Driver,
    pub(crate) voice: Voice,
    wishes: Wishes,
    /// Whether an invitation is shown to the user; if not it is refused.
    is_open: bool,
    numbered: u32,
    current: Option<Current>,
    /// Wishes that come by themselves.
    scheduled: Vec<(Instant, Wish)>,
    /// What is scheduled when a session begins, is offered, or stands.
    plan: Plan,
    /// How the sessions ended that the command has not asked for yet.
    finished: VecDeque<Finished>,
    /// When the ladder of the last session is shown: its last messages come after its end.
    ladder_at: Option<Instant>,
    linger: Duration,
    /// Whether a peer may have heard of a session of ours.
    is_heard: bool,
    locator: Arc<Locator>,
    /// Look-ups of next hops within sessions.
    lookups: JoinSet<Lookup>,
    is_closing: bool,
    is_interrupted: bool,
    enrolment: Enrolment,
    /// Whom to add and to remove once in session.
    members: Vec<(Change, String)>,
    change_after: Duration,
    /// Whether the pre-established session stands; `None`: nobody has said.
    is_pre_established: Option<bool>,
    /// The answer to the alert, if it has come: its status, if it has one.
    alert_answer: Option<Option<u16>>,
}

/// How far the registration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Enrolment {
    /// Nobody wants one.
    Nothing,
    /// The registrar has not answered, or with a failure that may pass.
    Asked { failed: Option<Option<u16>> },
    /// It stands.
    Registered,
    /// The registrar refuses it.
    Refused(u16),
}

/// Wishes that come by themselves.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    pub(crate) hang_up_after: Option<Duration>,
    pub(crate) answer_after: Option<Duration>,
    pub(crate) refuse_after: Option<Duration>,
    pub(crate) leave_after: Option<Duration>,
    pub(crate) reoffer_after: Option<Duration>,
    pub(crate) reoffer_cancel_after: Option<Duration>,
    pub(crate) talk: Option<TalkPlan>,
    /// How urgent it is what the user says.
    pub(crate) priority: Option<Priority>,
    pub(crate) sound: SoundPlan,
}

/// What a look-up of the next hop of a session has given.
type Lookup = (SessionId, Result<Vec<Target>, LocateError>);

/// The session that there is.
struct Current {
    id: SessionId,
    number: u32,
    role: Role,
    is_established: bool,
    /// The user wanted it to end.
    is_unwanted: bool,
    /// Its talk bursts, once it stands.
    talking: Option<Talking>,
}

/// What a key does to the session.
type Key = fn(&mut poc::Client, Instant, SessionId) -> Result<(), Misuse>;

/// How long the end of a registration is waited for, in T1: the server is told three times in that span.
const DEREGISTERING_MAX: u32 = 16;

/// How long a peer that is silent is waited for, in T1 (RFC 3261 timers B, F and H).
const SILENCE_MAX: u32 = 64;

/// What a ladder calls the user who presses our keys.
const OURSELVES: &str = "user";

/// A session that has ended.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) was_unwanted: bool,
}

impl Play {
    /// Nothing has happened yet.
    pub(crate) fn new(
        clock: Clock,
        driver: Driver,
        mut voice: Voice,
        wishes: Wishes,
        plan: Plan,
        locator: Arc<Locator>,
    ) -> Self {
        let linger = 2 * driver.t1(); // one retransmission of the peer, and its way
        voice.introduce(&driver.user());
        Self {
            clock,
            driver,
            voice,
            wishes,
            is_open: false,
            numbered: 0,
            current: None,
            scheduled: Vec::new(),
            plan,
            finished: VecDeque::new(),
            ladder_at: None,
            linger,
            is_heard: false,
            locator,
            lookups: JoinSet::new(),
            is_closing: false,
            is_interrupted: false,
            enrolment: Enrolment::Nothing,
            members: Vec::new(),
            change_after: Duration::ZERO,
            is_pre_established: None,
            alert_answer: None,
        }
    }

    /// Tells where the client can be reached.
    pub(crate) fn listening(&mut self) {
        let (udp, tcp) = self.driver.addresses();
        let shown = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
        self.voice.tell(self.clock.now(), &Told::Listening { udp: shown(udp), tcp: shown(tcp) });
    }

    /// Tells what the command itself has to tell.
    pub(crate) fn tell_now(&mut self, told: &Told) {
        self.voice.tell(self.clock.now(), told);
    }

    /// Adds and removes these users so long after a session is established.
    pub(crate) fn change_members(&mut self, members: Vec<(Change, String)>, after: Duration) {
        (self.members, self.change_after) = (members, after);
    }

    /// Takes invitations from now on.
    pub(crate) fn take_invitations(&mut self) {
        self.is_open = true;
    }

    /// Takes no further invitation.
    pub(crate) fn take_no_more(&mut self) {
        self.is_open = false;
    }

    /// Registers, and waits until that has succeeded; `false` if its user did not want to wait.
    ///
    /// With `is_patient` only a refusal is a failure: one that may pass is tried again.
    pub(crate) async fn register(&mut self, is_patient: bool) -> Result<bool, Failure> {
        self.enrolment = Enrolment::Asked { failed: None };
        self.command(poc::Command::Register).await.map_err(Failure::Refused)?;
        self.tell_events().await;
        loop {
            match self.enrolment {
                Enrolment::Registered | Enrolment::Nothing => return Ok(true),
                Enrolment::Asked { .. } if self.is_closing => return Ok(false),
                Enrolment::Asked { failed: Some(status) } if !is_patient => {
                    return Err(Failure::NotRegistered(status));
                }
                Enrolment::Refused(status) => return Err(Failure::NotRegistered(Some(status))),
                Enrolment::Asked { .. } => self.step().await?,
            }
        }
    }

    /// Waits until the pre-established session stands, or cannot be set up: then sessions go without it.
    pub(crate) async fn pre_establish(&mut self) -> Result<(), Failure> {
        while self.is_pre_established.is_none() && !self.is_closing {
            self.step().await?;
        }
        Ok(())
    }

    /// Alerts `uri`, and waits for the answer: its status, if there is one. `None`: the user did not wait.
    pub(crate) async fn alert(
        &mut self,
        uri: &str,
        targets: Vec<Target>,
        routes: Vec<Bytes>,
        alert: Alert,
    ) -> Result<Option<Option<u16>>, Failure> {
        let target = self.target_of(&targets)?;
        let (id, to) = (AlertId(1), Bytes::copy_from_slice(uri.as_bytes()));
        let sent = self.command(poc::Command::Alert { id, targets, routes, to, alert }).await;
        sent.map_err(Failure::Refused)?;
        self.voice.tell(self.clock.now(), &Told::Alerting { uri: uri.to_owned(), target });
        self.tell_events().await;
        while self.alert_answer.is_none() && !self.is_closing {
            self.step().await?;
        }
        Ok(self.alert_answer)
    }

    /// The first next hop, as it is shown.
    fn target_of(&self, targets: &[Target]) -> Result<String, Failure> {
        let first = targets.first().copied().or_else(|| self.driver.home());
        let first = first.ok_or(Failure::Refused(Misuse::NoTarget))?;
        Ok(format!("{} {}", first.transport.as_str().to_ascii_lowercase(), first.remote))
    }

    /// Removes the registration, if there may be one, and waits a little for the answer.
    async fn deregister(&mut self) -> Result<(), Failure> {
        match self.enrolment {
            Enrolment::Nothing | Enrolment::Refused(_) => return Ok(()),
            Enrolment::Asked { .. } | Enrolment::Registered => {}
        }
        self.command(poc::Command::Deregister).await.map_err(Failure::Refused)?;
        self.tell_events().await;
        let until = self.clock.now() + DEREGISTERING_MAX * self.driver.t1();
        while self.enrolment != Enrolment::Nothing && !self.is_interrupted && self.clock.now() < until {
            self.step_until(Some(until)).await?;
        }
        if self.enrolment != Enrolment::Nothing {
            self.voice.tell(self.clock.now(), &Told::Deregistered { status: None });
        }
        Ok(())
    }

    async fn command(&mut self, command: poc::Command) -> Result<Option<SessionId>, Misuse> {
        let input = poc::Input::Command(command);
        self.driver.press(None, |client, now| client.handle_input(now, input)).await
    }

    /// Begins a session with `to`, which is shown as `uri`: by way of `targets`, or of the server if there are none.
    pub(crate) async fn invite(
        &mut self,
        uri: &str,
        to: Addressee,
        targets: Vec<Target>,
        routes: Vec<Bytes>,
        answer: AnswerRequest,
    ) -> Result<(), Failure> {
        let target = self.target_of(&targets)?;
        let started = self.command(poc::Command::StartSession { targets, routes, to, answer }).await;
        let id = started.map_err(Failure::Refused)?.ok_or(Failure::Refused(Misuse::NoSession))?;
        self.numbered += 1;
        let number = self.numbered;
        self.voice.tell(self.clock.now(), &Told::Calling { session: number, uri: uri.to_owned(), target });
        self.begin_ladder(&format!("<{uri}>"));
        self.begin(id, number, Role::Inviter);
        self.schedule(self.plan.hang_up_after, Wish::HangUp);
        self.tell_events().await;
        Ok(())
    }

    /// Lets one thing happen.
    pub(crate) async fn step(&mut self) -> Result<(), Failure> {
        self.step_until(None).await
    }

    /// Whether there is no session.
    pub(crate) fn is_idle(&self) -> bool {
        self.current.is_none()
    }

    /// Whether the user wants the program to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether the user does not even want to wait for it.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// How the next session ended.
    pub(crate) fn take_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// Waits until nobody rings or holds a session because of us, and a little for last messages; closes everything, and
    /// tells what could not be told or written.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.take_no_more();
        self.voice.leave_screen();
        let begun = self.clock.now();
        let is_enrolled = self.enrolment != Enrolment::Nothing;
        self.deregister().await?;
        // A server that does not answer is waited for no longer than a peer.
        let last = is_enrolled.then(|| begun + SILENCE_MAX * self.driver.t1());
        // digest I5: a 2xx that comes after the guard is left, and a BYE is sent until it is answered.
        let is_waiting = |play: &Self| {
            play.is_heard
                && !play.is_interrupted
                && !play.driver.is_settled()
                && last.is_none_or(|last| play.clock.now() < last)
        };
        while is_waiting(&self) {
            self.step_until(last).await?;
        }
        let until = self.clock.now() + self.linger;
        while !self.is_interrupted && !self.driver.is_empty() && self.clock.now() < until {
            self.step_until(Some(until)).await?;
        }
        self.show_ladder();
        let patience = if self.is_interrupted { Duration::ZERO } else { self.linger };
        let mut recorder = self.driver.close(patience).await;
        if let Some((path, error)) = recorder.failure() {
            return Err(Failure::File(path, error));
        }
        self.voice.failure().map_or(Ok(()), |error| Err(Failure::Output(error)))
    }

    async fn step_until(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        self.show().await;
        let scheduled = self.scheduled.iter().map(|(at, _)| *at).chain(self.ladder_at).chain(until);
        let due = scheduled.chain(self.speech_due()).chain(self.voice.show_due()).min();
        tokio::select! {
            happening = self.driver.wait() => {
                let happening = happening.map_err(Failure::Network)?;
                self.driver.handle(happening).await;
            }
            wish = self.wishes.next() => self.wish(wish).await,
            Some(Ok((session, located))) = self.lookups.join_next() => self.be_located(session, located).await,
            () = self.clock.until(due) => self.handle_due().await,
        }
        self.tell_events().await;
        if (self.voice.has_failed() || self.driver.recorder.has_failed()) && !self.is_closing {
            // Nobody would see how it goes on, and nobody is to be left connected.
            self.wish(Wish::Quit).await;
            self.tell_events().await;
        }
        Ok(())
    }

    async fn handle_due(&mut self) {
        let now = self.clock.now();
        let due = self.scheduled.extract_if(.., |(at, _)| *at <= now).map(|(_, wish)| wish);
        for wish in due.collect::<Vec<_>>() {
            self.wish(wish).await;
        }
        self.speak(now).await;
        if self.ladder_at.is_some_and(|at| at <= now) {
            self.show_ladder();
        }
    }

    // What the user wants.

    async fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Answer => {
                self.press("answer", "answers", poc::Client::accept).await;
            }
            Wish::Refuse => {
                self.press("refuse", "refuses", poc::Client::refuse).await;
            }
            Wish::Cancel => self.end("cancel", "cancels", poc::Client::cancel).await,
            Wish::Leave => self.end("leave", "leaves", poc::Client::leave).await,
            Wish::Reoffer => {
                self.press("offer again", "offers again", poc::Client::modify).await;
            }
            Wish::CancelReoffer => {
                self.press("cancel the offer", "cancels the offer", poc::Client::cancel).await;
            }
            Wish::ChangeMembers => self.change_members_now().await,
            Wish::Press => self.hold(Some(true)).await,
            Wish::LetGo => self.hold(Some(false)).await,
            Wish::Toggle => self.hold(None).await,
            Wish::HangUp => self.hang_up().await,
            Wish::GiveUp if self.current.is_some() => self.hang_up().await,
            // Whoever waits for calls has nothing to give up.
            Wish::GiveUp if self.is_open => {}
            Wish::View(view) => self.voice.turn_to(view),
            Wish::Interrupt if self.is_closing => self.is_interrupted = true,
            Wish::GiveUp | Wish::Quit | Wish::Interrupt => {
                let is_first = !std::mem::replace(&mut self.is_closing, true);
                self.take_no_more();
                if is_first && self.current.is_some() {
                    self.hang_up().await;
                }
            }
        }
    }

    async fn change_members_now(&mut self) {
        for (change, user) in self.members.clone() {
            let (what, does) = match change {
                Change::Add => ("add", "adds"),
                Change::Remove => ("remove", "removes"),
            };
            let Some(session) = self.current.as_ref().map(|current| current.id) else { return };
            let note = format!("{OURSELVES} {does} {user}");
            let user = Bytes::from(user);
            let input = poc::Input::Command(poc::Command::Refer { session, change, user });
            let asked = self.driver.press(Some(&note), |client, now| client.handle_input(now, input)).await;
            if let Err(misuse) = asked {
                self.voice.story(&format!("           cannot {what}: {misuse}"));
            }
        }
    }

    async fn hang_up(&mut self) {
        self.end("hang up", "hangs up", poc::Client::hang_up).await;
    }

    /// A wish after which the session is over, sooner or later.
    async fn end(&mut self, what: &str, does: &str, key: Key) {
        let now = self.clock.now();
        if !self.press(what, does, key).await {
            return;
        }
        let Some(current) = &mut self.current else { return };
        let is_first = !std::mem::replace(&mut current.is_unwanted, true);
        if is_first && current.role == Role::Inviter && !current.is_established {
            self.voice.tell(now, &Told::Cancelling { session: current.number });
        }
    }

    /// Hands a key to the client; `false` if it has nothing to do with it.
    async fn press(&mut self, what: &str, does: &str, key: Key) -> bool {
        let pressed = match self.current.as_ref().map(|current| current.id) {
            Some(id) => {
                let what = format!("{OURSELVES} {does}");
                self.driver.press(Some(&what), |client, now| key(client, now, id)).await
            }
            None => Err(Misuse::NoSession),
        };
        if let Err(misuse) = pressed {
            self.voice.story(&format!("           cannot {what}: {misuse}"));
        }
        pressed.is_ok()
    }

    /// The ladder that begins shows the peer under the user name of its address.
    fn begin_ladder(&mut self, address: &str) {
        let name = super::address::user_of(address).unwrap_or_else(|| "peer".to_owned());
        self.driver.recorder.begin(&name);
    }

    fn begin(&mut self, id: SessionId, number: u32, role: Role) {
        self.current =
            Some(Current { id, number, role, is_established: false, is_unwanted: false, talking: None });
    }

    fn number_of(&self, session: SessionId) -> Option<u32> {
        self.current.as_ref().filter(|current| current.id == session).map(|current| current.number)
    }

    fn schedule(&mut self, after: Option<Duration>, wish: Wish) {
        self.scheduled.extend(after.map(|after| (self.clock.now() + after, wish)));
    }

    fn show_ladder(&mut self) {
        self.ladder_at = None;
        if let Some(ladder) = self.driver.recorder.take_ladder() {
            self.voice.ladder(&ladder);
        }
    }
}
