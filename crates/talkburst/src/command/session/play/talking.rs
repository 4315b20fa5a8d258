//! The user speaks, and hears: the key, the packets of a talk burst, and what is told of it.

use poc::client::Speech;
use poc::playout::Counters;
use poc::sdp::Media;
use poc::talk_burst::NtpTimestamp;
use poc::talk_burst::client::Told as Happened;

use super::super::bursts::Burst;
use super::super::screen::Levels;
use super::super::sound::Sound;
use super::*;
use crate::clock::wall;

/// What a packet holds.
const PACKET: Duration = Duration::from_millis(20);

/// What is to be said by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TalkPlan {
    /// How long after the session is established the key is pressed.
    pub(crate) after: Duration,
    /// For how long; `None`: until all of it has been said.
    pub(crate) span: Option<Duration>,
}

/// The talk bursts of the session that there is.
pub(super) struct Talking {
    sound: Sound,
    /// The key is pressed.
    is_pressed: bool,
    /// When the next packet leaves, while the user speaks.
    pub(super) next_at: Option<Instant>,
    /// Packets of the talk burst that is heard.
    heard: u64,
    /// What has been told of the packets that came.
    told: Counters,
}

impl Talking {
    fn new(sound: Sound) -> Self {
        Self { sound, is_pressed: false, next_at: None, heard: 0, told: Counters::default() }
    }

    /// When the next packet leaves, or is heard.
    fn due(&self) -> Option<Instant> {
        self.next_at.into_iter().chain(self.sound.poll_timeout()).min()
    }
}

impl Play {
    /// When the next packet leaves, or is heard.
    pub(super) fn speech_due(&self) -> Option<Instant> {
        self.current.as_ref()?.talking.as_ref()?.due()
    }

    /// How loud what is said and heard is.
    fn levels(&self) -> Levels {
        let talking = self.current.as_ref().and_then(|current| current.talking.as_ref());
        talking.map(|talking| talking.sound.levels()).unwrap_or_default()
    }

    /// The session stands.
    pub(super) fn begin_talking(&mut self, media: &Media) {
        let Some(current) = self.current.as_mut().filter(|_| media.control.is_some()) else { return };
        let (sound, faults) = Sound::new(&self.plan.sound, media, current.number);
        let is_silent = sound.is_silent();
        current.talking = Some(Talking::new(sound));
        for fault in faults {
            self.voice.story(&format!("           {fault}"));
        }
        let Some(plan) = self.plan.talk else { return };
        if is_silent {
            return self.voice.story(&format!("           nothing can be said in {}", media.codec.name));
        }
        // The INVITE has asked already: who wants to speak at once has pressed.
        if plan.after.is_zero()
            && let Some(talking) = self.talking()
        {
            talking.is_pressed = true;
        }
        self.schedule(Some(plan.after), Wish::Press);
        self.schedule(plan.span.map(|span| plan.after + span), Wish::LetGo);
    }

    fn talking(&mut self) -> Option<&mut Talking> {
        self.current.as_mut()?.talking.as_mut()
    }

    /// The key is pressed or let go; `None`: the other of what it is.
    pub(super) async fn hold(&mut self, wanted: Option<bool>) {
        let Some((id, talking)) =
            self.current.as_mut().and_then(|current| Some((current.id, current.talking.as_mut()?)))
        else {
            return self.voice.story("           cannot speak: there is nobody to hear it");
        };
        let is_pressed = wanted.unwrap_or(!talking.is_pressed);
        talking.is_pressed = is_pressed;
        let (command, what) = if is_pressed {
            let priority = self.plan.priority.unwrap_or(Priority::Normal);
            let timestamp = Some(NtpTimestamp::of_unix(wall()));
            (poc::Command::Press { session: id, priority, timestamp }, "presses")
        } else {
            talking.next_at = None;
            (poc::Command::LetGo(id), "lets go")
        };
        let input = poc::Input::Command(command);
        let note = format!("{OURSELVES} {what}");
        let done = self.driver.press(Some(&note), |client, now| client.handle_input(now, input)).await;
        if let Err(misuse) = done {
            self.voice.story(&format!("           cannot speak: {misuse}"));
        }
    }

    /// Something about who speaks.
    pub(super) async fn tell_burst(&mut self, now: Instant, session: SessionId, told: &Happened) {
        let Some(number) = self.number_of(session) else { return };
        self.tell_heard(now, number);
        self.voice.tell(now, &Told::TalkBurst { session: number, burst: Burst::from(told) });
        let Some(talking) = self.talking() else { return };
        match told {
            // What the answer has granted is granted again by a message, which has the time: the user speaks already.
            Happened::Granted { .. } if talking.is_pressed && talking.next_at.is_some() => {}
            Happened::Granted { .. } if talking.is_pressed => {
                talking.sound.begin();
                talking.next_at = Some(now);
            }
            // The INVITE has asked for a user who says nothing.
            Happened::Granted { .. } => self.hold(Some(false)).await,
            Happened::Revoked(_) | Happened::TimeIsOver => {
                talking.next_at = None;
                talking.is_pressed = false;
            }
            Happened::Denied { .. } | Happened::RequestTimedOut | Happened::RefusedLocally { .. } => {
                talking.is_pressed = false;
            }
            Happened::Idle | Happened::EndOfSpeech => talking.sound.end_burst(),
            Happened::GrantWaits { .. }
            | Happened::TimeIsShort { .. }
            | Happened::TakenBy(_)
            | Happened::Queued { .. }
            | Happened::NotQueued
            | Happened::MayAskAgain => {}
        }
    }

    /// Brings the screen up to now.
    pub(super) async fn show(&mut self) {
        let is_pressed = self.talking().is_some_and(|talking| talking.is_pressed);
        self.voice.show(self.clock.now(), is_pressed, self.levels());
        if self.voice.take_question()
            && let Some(current) = &self.current
        {
            let input = poc::Input::Command(poc::Command::AskPosition(current.id));
            // Without an answer the old place is shown.
            let _ = self.driver.press(None, |client, now| client.handle_input(now, input)).await;
        }
    }

    /// A packet of somebody who speaks: told once the talk burst is over.
    pub(super) fn hear(&mut self, now: Instant, session: SessionId, speech: &Speech) {
        if self.number_of(session).is_some()
            && let Some(talking) = self.talking()
        {
            talking.heard += 1;
            talking.sound.hear(now, speech);
        }
    }

    /// How much was heard of the talk burst that is over.
    pub(super) fn tell_heard(&mut self, now: Instant, session: u32) {
        let Some(talking) = self.talking() else { return };
        let packets = std::mem::take(&mut talking.heard);
        let counters = talking.sound.counters();
        let (missing, late) = (counters.missing - talking.told.missing, counters.late - talking.told.late);
        talking.told = counters;
        if packets > 0 {
            self.voice.tell(now, &Told::Heard { session, packets, missing, late });
        }
    }

    /// Sends the packets that are due, all of them if the time for several has passed, and plays what is heard by now.
    pub(super) async fn speak(&mut self, now: Instant) {
        while let Some(current) = &mut self.current
            && let Some(talking) = &mut current.talking
            && let Some(at) = talking.next_at.filter(|at| *at <= now)
        {
            let Some((payload, samples)) = talking.sound.next() else {
                // All has been said.
                self.hold(Some(false)).await;
                break;
            };
            talking.next_at = Some(at + PACKET);
            let command = poc::Command::Speak { session: current.id, payload, samples };
            let input = poc::Input::Command(command);
            let spoken = self.driver.press(None, |client, now| client.handle_input(now, input)).await;
            if spoken.is_err()
                && let Some(talking) = self.talking()
            {
                talking.next_at = None;
            }
        }
        let played = self.talking().map_or(Ok(()), |talking| talking.sound.play(now));
        self.tell_fault(played);
    }

    /// The session is over: what has come is played and written.
    pub(super) fn end_talking(&mut self, now: Instant, talking: Option<Talking>) {
        let finished = talking.map_or(Ok(()), |talking| talking.sound.finish(now));
        self.tell_fault(finished);
    }

    fn tell_fault(&mut self, result: Result<(), String>) {
        if let Err(fault) = result {
            self.voice.story(&format!("           {fault}"));
        }
    }
}
