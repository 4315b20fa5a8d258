//! The user speaks, and hears: the key, the packets of a talk burst, and what is told of it.

use poc::sdp::Media;
use poc::talk_burst::NtpTimestamp;
use poc::talk_burst::client::Told as Happened;

use super::super::bursts::Burst;
use super::super::screen::Levels;
use super::super::tone::Tone;
use super::*;
use crate::clock::wall;

/// What a packet holds.
const PACKET: Duration = Duration::from_millis(20);

/// What is to be said by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TalkPlan {
    /// How long after the session is established the key is pressed.
    pub(crate) after: Duration,
    /// For how long.
    pub(crate) span: Duration,
}

/// The talk bursts of the session that there is.
#[derive(Debug)]
pub(super) struct Talking {
    tone: Option<Tone>,
    clock: u32,
    /// The key is pressed.
    is_pressed: bool,
    /// When the next packet leaves, while the user speaks.
    pub(super) next_at: Option<Instant>,
    /// Packets of the talk burst that is heard.
    heard: u64,
}

impl Talking {
    pub(super) fn new(media: &Media) -> Self {
        Self { tone: Tone::new(media), clock: media.codec.clock, is_pressed: false, next_at: None, heard: 0 }
    }
}

impl Play {
    /// When the next packet leaves.
    pub(super) fn speech_due(&self) -> Option<Instant> {
        self.current.as_ref()?.talking.as_ref()?.next_at
    }

    /// The session stands.
    pub(super) fn begin_talking(&mut self, media: &Media) {
        let Some(current) = &mut self.current else { return };
        let talking = Talking::new(media);
        let is_silent = talking.tone.is_none();
        current.talking = media.control.map(|_| talking);
        let Some(plan) = self.plan.talk.filter(|_| media.control.is_some()) else { return };
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
        self.schedule(Some(plan.after + plan.span), Wish::LetGo);
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
            Happened::Granted { .. } if talking.is_pressed => {
                talking.next_at.get_or_insert(now);
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
            Happened::GrantWaits { .. }
            | Happened::TimeIsShort { .. }
            | Happened::TakenBy(_)
            | Happened::Idle
            | Happened::Queued { .. }
            | Happened::NotQueued
            | Happened::EndOfSpeech
            | Happened::MayAskAgain => {}
        }
    }

    /// Brings the screen up to now.
    pub(super) async fn show(&mut self) {
        let is_pressed = self.talking().is_some_and(|talking| talking.is_pressed);
        self.voice.show(self.clock.now(), is_pressed, Levels::default());
        if self.voice.take_question()
            && let Some(current) = &self.current
        {
            let input = poc::Input::Command(poc::Command::AskPosition(current.id));
            // Without an answer the old place is shown.
            let _ = self.driver.press(None, |client, now| client.handle_input(now, input)).await;
        }
    }

    /// A packet of somebody who speaks: told once the talk burst is over.
    pub(super) fn hear(&mut self, session: SessionId) {
        if self.number_of(session).is_some()
            && let Some(talking) = self.talking()
        {
            talking.heard += 1;
        }
    }

    /// How much was heard of the talk burst that is over.
    pub(super) fn tell_heard(&mut self, now: Instant, session: u32) {
        let Some(packets) = self.talking().map(|talking| std::mem::take(&mut talking.heard)) else { return };
        if packets > 0 {
            self.voice.tell(now, &Told::Heard { session, packets });
        }
    }

    /// Sends the packets that are due: all of them, if the time for several has passed.
    pub(super) async fn speak(&mut self, now: Instant) {
        while let Some(current) = &mut self.current
            && let Some(talking) = &mut current.talking
            && let Some(at) = talking.next_at.filter(|at| *at <= now)
            && let Some(tone) = &mut talking.tone
        {
            let samples = talking.clock / 50;
            talking.next_at = Some(at + PACKET);
            let command = poc::Command::Speak { session: current.id, payload: tone.next(samples), samples };
            let input = poc::Input::Command(command);
            let spoken = self.driver.press(None, |client, now| client.handle_input(now, input)).await;
            if spoken.is_err()
                && let Some(talking) = self.talking()
            {
                talking.next_at = None;
            }
        }
    }
}
