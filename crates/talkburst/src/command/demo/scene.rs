//! The scenes: what users do, what the network holds back, and how it must end.

use std::future::Future;
use std::pin::Pin;

use poc::{Client, Event};
use sip::usage::{End, Party};

use super::stage::{ANNA, BEN, Stage, Stuck};

/// One scene.
pub(super) struct Scene {
    /// A name for scripts.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) title: &'static str,
    pub(super) play: Play,
    /// How it must end for Anna, and for Ben.
    pub(super) ends: [Expected; 2],
    /// What each must send, in order, copies left out.
    pub(super) sends: [&'static [&'static str]; 2],
}

/// How a session must end: how, by whom, and with which final response to the INVITE.
pub(super) type Expected = (End, Party, Option<u16>);

type Play = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = Result<(), Stuck>> + 'a>>;

/// Every scene, in the order in which they are played.
pub(super) const ALL: &[Scene] = &[
    Scene {
        name: "answered",
        title: "Answered, then left: there is nothing to cancel any more, so BYE ends it",
        play: |stage| Box::pin(answered(stage)),
        ends: [(End::Left, Party::Local, None), (End::Released, Party::Remote, None)],
        sends: [&["INVITE", "ACK", "BYE"], &["180 (INVITE)", "200 (INVITE)", "200 (BYE)"]],
    },
    Scene {
        name: "ringing",
        title: "Cancelled while it rings: 487 says that it worked",
        play: |stage| Box::pin(ringing(stage)),
        ends: [(End::Cancelled, Party::Local, Some(487)), (End::Cancelled, Party::Remote, Some(487))],
        sends: [&["INVITE", "CANCEL", "ACK"], &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]],
    },
    Scene {
        name: "crossing",
        title: "The CANCEL crosses the 200: acknowledged, and left at once",
        play: |stage| Box::pin(crossing(stage)),
        ends: [(End::Cancelled, Party::Local, Some(200)), (End::Released, Party::Remote, None)],
        sends: [
            &["INVITE", "CANCEL", "ACK", "BYE"],
            &["180 (INVITE)", "200 (INVITE)", "200 (BYE)", "200 (CANCEL)"],
        ],
    },
    Scene {
        name: "before-any-response",
        title: "Cancelled before any response: the wish waits, the CANCEL leaves with the first 1xx",
        play: |stage| Box::pin(before_any_response(stage)),
        ends: [(End::Cancelled, Party::Local, Some(487)), (End::Cancelled, Party::Remote, Some(487))],
        sends: [&["INVITE", "CANCEL", "ACK"], &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]],
    },
    Scene {
        name: "just-accepted",
        title: "The cancelled client has just accepted: its CANCEL changes nothing, a BYE ends it",
        play: |stage| Box::pin(just_accepted(stage)),
        ends: [(End::Cancelled, Party::Local, Some(200)), (End::Released, Party::Remote, None)],
        sends: [
            &["INVITE", "CANCEL", "ACK", "BYE"],
            &["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"],
        ],
    },
];

async fn answered(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.until_told(ANNA, "in session", is_established).await?;
    stage.until_told(BEN, "in session", is_established).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    stage.until_both_ended().await
}

async fn ringing(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_both_ended().await
}

async fn crossing(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.hold(ANNA, "CANCEL");
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.until_both_ended().await?;
    stage.let_go().await?;
    stage.until_sent(BEN, "200 (CANCEL)").await
}

async fn before_any_response(stage: &mut Stage) -> Result<(), Stuck> {
    stage.hold(BEN, "180 (INVITE)");
    let anna = stage.invite().await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_held().await?;
    stage.let_go().await?;
    stage.until_both_ended().await
}

async fn just_accepted(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.hold(BEN, "200 (INVITE)");
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.press(ANNA, "cancels", |client: &mut Client, now| client.cancel(now, anna)).await?;
    stage.until_sent(BEN, "200 (CANCEL)").await?;
    stage.let_go().await?;
    stage.until_both_ended().await
}

fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Progress { .. })
}

fn is_established(event: &Event) -> bool {
    matches!(event, Event::Established { .. })
}
