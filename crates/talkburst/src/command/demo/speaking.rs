//! The scenes in which somebody speaks: who may, who must stop, and who hears what.

use std::ops::Range;

use bytes::Bytes;
use poc::client::{Invitees, Speech};
use poc::server::{Function, GroupKind};
use poc::talk_burst::client::Told;
use poc::talk_burst::{DenyReason, Priority, Revoke};
use poc::{Addressee, AnswerMode, AnswerRequest, Command, Event};
use sip::usage::{End, Party};
use sip::{Duration, Misuse, SessionId};

use super::cast::{Between, GROUP, Rules, address_of};
use super::scene::{MANUAL, Recorded, Scene, is_established};
use super::stage::{ANNA, BEN, CARA, DAN, Stage, Stuck};
use super::voices;

/// Packets of a talk burst.
const PACKETS: usize = 30;

/// One packet after the other.
const PACKET: Duration = Duration::from_millis(20);

/// What who joins and leaves a chat sends.
const JOINS: &[&str] = &["INVITE", "ACK", "INVITE", "ACK", "BYE"];

/// What the server records of a call of two.
const OF_TWO: &[Recorded] =
    &[(Function::Controlling, End::Released, Some(200)), (Function::Participating, End::Released, Some(200))];

/// Everybody answers at once.
const AUTOMATIC: Rules = Rules { answer_mode: AnswerMode::Automatic, ..MANUAL };

/// In the order in which they are played.
pub(super) const ALL: &[Scene] = &[
    Scene {
        name: "talk-burst",
        title: "A talk burst: Anna calls three and speaks; each hears all that she says, and nobody else is heard",
        between: Between::Server(Rules { others: &["ben", "cara", "dan"], ..AUTOMATIC }),
        play: |stage| Box::pin(talk_burst(stage)),
        ends: &[
            Some((End::Left, Party::Local, None)),
            Some((End::Left, Party::Local, None)),
            Some((End::Left, Party::Local, None)),
            Some((End::Released, Party::Remote, None)),
        ],
        sends: &[
            &["INVITE", "ACK", "INVITE", "ACK", "BYE"],
            &["200 (INVITE)", "BYE"],
            &["200 (INVITE)", "BYE"],
            &["200 (INVITE)", "200 (BYE)"],
        ],
        hears: &[&[], &[ANNA], &[ANNA], &[ANNA]],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
        ],
    },
    Scene {
        name: "talk-burst-amr",
        title: "The same in AMR: what each hears is what the frames say, bit for bit",
        between: Between::Server(Rules { codec: Some("AMR"), ..AUTOMATIC }),
        play: |stage| Box::pin(in_amr(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK", "BYE"], &["200 (INVITE)", "200 (BYE)"]],
        hears: &[&[], &[ANNA]],
        records: OF_TWO,
    },
    Scene {
        name: "pre-emption",
        title: "Pre-emption in a chat: Ben speaks, Anna's request is more urgent; he is stopped, and she is heard",
        between: Between::Server(Rules {
            others: &["ben", "cara"],
            group: Some(GroupKind::Chat),
            ..AUTOMATIC
        }),
        play: |stage| Box::pin(pre_emption(stage)),
        ends: &[
            Some((End::Left, Party::Local, None)),
            Some((End::Left, Party::Local, None)),
            Some((End::Left, Party::Local, None)),
        ],
        sends: &[JOINS; 3],
        hears: &[&[BEN], &[ANNA], &[BEN, ANNA]],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Controlling, End::Released, Some(200)),
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
        ],
    },
    Scene {
        name: "too-long",
        title: "A talk burst that lasts too long is revoked, and its user has to wait before the next one",
        between: Between::Server(Rules { talk_limit: Some(Duration::from_millis(400)), ..AUTOMATIC }),
        play: |stage| Box::pin(too_long(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK", "BYE"], &["200 (INVITE)", "200 (BYE)"]],
        hears: &[&[], &[ANNA]],
        records: OF_TWO,
    },
    Scene {
        name: "buffered-cancel",
        title: "Anna speaks before Ben has answered, and gives up: what was kept for him is never heard",
        between: Between::Server(Rules { early_answer: true, ..AUTOMATIC }),
        play: |stage| Box::pin(buffered_cancel(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK", "BYE"], &["200 (INVITE)", "200 (BYE)"]],
        hears: &[],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Cancelled, Some(487)),
        ],
    },
];

impl Stage {
    /// Asks for the talk burst, and waits until it is granted.
    async fn ask(&mut self, side: usize, session: SessionId, priority: Priority) -> Result<(), Stuck> {
        let press = Command::Press { session, priority, timestamp: None };
        self.key(side, "presses", press).await?;
        self.until_told(side, "speak", is_granted).await
    }

    /// Says these packets of what `side` has to say, one each 20 ms, or as many as there are until it may not go on.
    async fn say(&mut self, side: usize, session: SessionId, packets: Range<usize>) -> Result<(), Stuck> {
        let voice = voices::voice(side, PACKETS * voices::SAMPLES);
        let mut coder = self.coder(side).ok_or(Stuck::Refused(Misuse::NotEstablished))?;
        let mut coded: Vec<_> =
            voice.chunks(voices::SAMPLES).filter_map(|samples| coder.encode(samples)).collect();
        let mut due = self.now();
        for payload in coded.drain(packets) {
            self.pass_until(due).await?;
            due = due + PACKET;
            let samples = voices::SAMPLES as u32;
            let speak = Command::Speak { session, payload: payload.clone(), samples };
            match self.command(side, speak).await {
                Ok(_) => self.spoken.push((side, payload)),
                Err(Stuck::Refused(_)) => return Ok(()),
                Err(stuck) => return Err(stuck),
            }
        }
        self.pass_until(due).await
    }

    /// Waits until these have heard what `talker` said: all of it, in its order, packet for packet and sample for sample.
    async fn until_heard(&mut self, talker: usize, listeners: &[usize]) -> Result<(), Stuck> {
        for listener in listeners {
            let what = format!("{} to hear what {} says", self.name(*listener), self.name(talker));
            self.until(&what, |stage| {
                stage.heard_by(*listener).ends_with(&stage.spoken_by(talker)).then_some(())
            })
            .await?;
        }
        self.finish_ears();
        Ok(())
    }

    /// What a side has said, packet by packet.
    pub(super) fn spoken_by(&self, side: usize) -> Vec<Bytes> {
        self.spoken.iter().filter(|(talker, _)| *talker == side).map(|(_, payload)| payload.clone()).collect()
    }

    /// What a side has heard, packet by packet.
    pub(super) fn heard_by(&self, side: usize) -> Vec<Bytes> {
        let heard = self.heard.iter().filter(|(listener, _)| *listener == side);
        heard.map(|(_, Speech { payload, .. })| payload.clone()).collect()
    }

    async fn joins_patrol(&mut self, side: usize, what: &str) -> Result<SessionId, Stuck> {
        let session =
            self.start(side, what, Addressee::Chat(address_of(GROUP)), AnswerRequest::Usual).await?;
        self.until_told(side, "in session", is_established).await?;
        Ok(session)
    }
}

async fn talk_burst(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let invitees = Invitees::new(["ben", "cara", "dan"].map(address_of).to_vec());
    let invitees = invitees.map_err(|error| Stuck::Waited(error.to_string()))?;
    let to = Addressee::Users(invitees);
    let anna = stage.start(ANNA, "anna calls three", to, AnswerRequest::Usual).await?;
    for side in [ANNA, BEN, CARA, DAN] {
        stage.until_told(side, "in session", is_established).await?;
    }
    // Her INVITE was the request.
    stage.until_told(ANNA, "speak", is_granted).await?;
    for side in [BEN, CARA, DAN] {
        stage.until_told(side, "anna speaks", is_taken).await?;
    }
    stage.say(ANNA, anna, 0..PACKETS).await?;
    stage.until_heard(ANNA, &[BEN, CARA, DAN]).await?;
    stage.key(ANNA, "lets go", Command::LetGo(anna)).await?;
    stage.until_told(DAN, "nobody speaks", is_idle).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    for side in [BEN, CARA] {
        let session = stage.session_of(side);
        stage.press(side, "leaves", |client, now| session.map_or(Ok(()), |id| client.leave(now, id))).await?;
    }
    stage.until_all_ended().await?;
    stage.until_closed(4).await
}

async fn in_amr(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "speak", is_granted).await?;
    stage.until_told(BEN, "anna speaks", is_taken).await?;
    stage.say(ANNA, anna, 0..PACKETS).await?;
    stage.until_heard(ANNA, &[BEN]).await?;
    stage.key(ANNA, "lets go", Command::LetGo(anna)).await?;
    stage.until_told(BEN, "nobody speaks", is_idle).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

async fn pre_emption(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let ben = stage.joins_patrol(BEN, "ben joins patrol").await?;
    let cara = stage.joins_patrol(CARA, "cara joins patrol").await?;
    let anna = stage.joins_patrol(ANNA, "anna joins patrol").await?;
    stage.ask(BEN, ben, Priority::Normal).await?;
    stage.until_told(ANNA, "ben speaks", is_taken).await?;
    stage.say(BEN, ben, 0..PACKETS / 2).await?;
    let press = Command::Press { session: anna, priority: Priority::PreEmptive, timestamp: None };
    stage.key(ANNA, "presses", press).await?;
    stage.say(BEN, ben, PACKETS / 2..PACKETS).await?;
    stage.until_heard(BEN, &[ANNA, CARA]).await?;
    stage.until_told(ANNA, "speak", is_granted).await?;
    stage.until_told(BEN, "stop", |event| is_revoked(event, Revoke::PreEmpted)).await?;
    stage.until_told(BEN, "anna speaks", is_taken).await?;
    stage.say(ANNA, anna, 0..PACKETS).await?;
    stage.until_heard(ANNA, &[BEN, CARA]).await?;
    stage.key(ANNA, "lets go", Command::LetGo(anna)).await?;
    stage.until_told(CARA, "nobody speaks", is_idle).await?;
    for (side, session) in [(ANNA, anna), (BEN, ben), (CARA, cara)] {
        stage.press(side, "leaves", |client, now| client.leave(now, session)).await?;
    }
    stage.until_all_ended().await?;
    stage.until_closed(6).await
}

async fn too_long(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "speak", is_granted).await?;
    stage.until_told(BEN, "anna speaks", is_taken).await?;
    stage.say(ANNA, anna, 0..PACKETS).await?;
    stage.until_heard(ANNA, &[BEN]).await?;
    let is_too_long =
        |event: &Event| matches!(event, Event::TalkBurst { told: Told::Revoked(Revoke::TooLong { .. }), .. });
    stage.until_told(ANNA, "stop: too long", is_too_long).await?;
    stage.until_told(BEN, "nobody speaks", is_idle).await?;
    let press = Command::Press { session: anna, priority: Priority::Normal, timestamp: None };
    stage.key(ANNA, "presses", press).await?;
    let is_refused = |event: &Event| {
        matches!(
            event,
            Event::TalkBurst {
                told: Told::RefusedLocally { .. } | Told::Denied { reason: DenyReason::RetryAfter, .. },
                ..
            }
        )
    };
    stage.until_told(ANNA, "not yet", is_refused).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

async fn buffered_cancel(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    stage.hold(BEN, "200 (INVITE)");
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "speak", is_granted).await?;
    stage.until_held().await?;
    stage.say(ANNA, anna, 0..PACKETS).await?;
    stage.press(ANNA, "gives up", |client, now| client.leave(now, anna)).await?;
    stage.until_ended(ANNA).await?;
    stage.let_go().await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

fn is_granted(event: &Event) -> bool {
    matches!(event, Event::TalkBurst { told: Told::Granted { .. }, .. })
}

fn is_taken(event: &Event) -> bool {
    matches!(event, Event::TalkBurst { told: Told::TakenBy(_), .. })
}

fn is_idle(event: &Event) -> bool {
    matches!(event, Event::TalkBurst { told: Told::Idle, .. })
}

fn is_revoked(event: &Event, why: Revoke) -> bool {
    matches!(event, Event::TalkBurst { told: Told::Revoked(revoke), .. } if *revoke == why)
}
