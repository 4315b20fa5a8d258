//! The scenes: what users do, what the network holds back, and how it must end. The first are between two clients, the
//! others go through a SIP/IP core and a PoC Server.

use std::future::Future;
use std::pin::Pin;

use poc::client::Invitees;
use poc::server::{Function, GroupKind};
use poc::{Addressee, AnswerMode, AnswerRequest, Client, Event};
use sip::usage::{End, Party};

use super::cast::{Between, GROUP, Rules, address_of};
use super::stage::{ANNA, BEN, CARA, DAN, ERIN, Stage, Stuck};

/// One scene.
pub(super) struct Scene {
    /// A name for scripts.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) title: &'static str,
    pub(super) between: Between,
    pub(super) play: Play,
    /// How it must end for each client; `None` if it goes on.
    pub(super) ends: &'static [Option<Expected>],
    /// What each must send, in order, copies left out.
    pub(super) sends: &'static [&'static [&'static str]],
    /// Of whom each must hear all that was said, and nothing else; of nobody where nobody is named.
    pub(super) hears: &'static [&'static [usize]],
    /// What the PoC Server must record, in whatever order: which function, how it ended, and the final response to the inviter.
    pub(super) records: &'static [Recorded],
}

/// How a session must end: how, by whom, and with which final response to the INVITE.
pub(super) type Expected = (End, Party, Option<u16>);

/// What the server must record of an INVITE: which function, how it ended, and the final response to the inviter.
pub(super) type Recorded = (Function, End, Option<u16>);

type Play = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = Result<(), Stuck>> + 'a>>;

/// Every scene, in the order in which they are played.
pub(super) const ALL: &[Scene] = &[
    Scene {
        name: "answered",
        title: "Answered, then left: there is nothing to cancel any more, so BYE ends it",
        between: Between::Nobody,
        play: |stage| Box::pin(answered(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "BYE"], &["180 (INVITE)", "200 (INVITE)", "200 (BYE)"]],
        hears: &[],
        records: &[],
    },
    Scene {
        name: "ringing",
        title: "Cancelled while it rings: 487 says that it worked",
        between: Between::Nobody,
        play: |stage| Box::pin(ringing(stage)),
        ends: &[
            Some((End::Cancelled, Party::Local, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
        ],
        sends: &[&["INVITE", "CANCEL", "ACK"], &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]],
        hears: &[],
        records: &[],
    },
    Scene {
        name: "crossing",
        title: "The CANCEL crosses the 200: acknowledged, and left at once",
        between: Between::Nobody,
        play: |stage| Box::pin(crossing(stage)),
        ends: &[Some((End::Cancelled, Party::Local, Some(200))), Some((End::Released, Party::Remote, None))],
        sends: &[
            &["INVITE", "CANCEL", "ACK", "BYE"],
            &["180 (INVITE)", "200 (INVITE)", "200 (BYE)", "200 (CANCEL)"],
        ],
        hears: &[],
        records: &[],
    },
    Scene {
        name: "before-any-response",
        title: "Cancelled before any response: the wish waits, the CANCEL leaves with the first 1xx",
        between: Between::Nobody,
        play: |stage| Box::pin(before_any_response(stage)),
        ends: &[
            Some((End::Cancelled, Party::Local, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
        ],
        sends: &[&["INVITE", "CANCEL", "ACK"], &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"]],
        hears: &[],
        records: &[],
    },
    Scene {
        name: "just-accepted",
        title: "The cancelled client has just accepted: its CANCEL changes nothing, a BYE ends it",
        between: Between::Nobody,
        play: |stage| Box::pin(just_accepted(stage)),
        ends: &[Some((End::Cancelled, Party::Local, Some(200))), Some((End::Released, Party::Remote, None))],
        sends: &[
            &["INVITE", "CANCEL", "ACK", "BYE"],
            &["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"],
        ],
        hears: &[],
        records: &[],
    },
    Scene {
        name: "server-ringing",
        title: "Through the PoC Server, cancelled while it rings: each hop cancels its own INVITE",
        between: Between::Server(MANUAL),
        play: |stage| Box::pin(server_ringing(stage)),
        ends: &[
            Some((End::Cancelled, Party::Local, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
        ],
        sends: &[
            &["INVITE", "ACK", "INVITE", "CANCEL", "ACK"],
            &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"],
        ],
        hears: &[],
        records: &[
            (Function::Controlling, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
        ],
    },
    Scene {
        name: "server-crossing",
        title: "The CANCEL crosses the 200 at the server: Anna is told 487, Ben is acknowledged and left",
        between: Between::Server(MANUAL),
        play: |stage| Box::pin(server_crossing(stage)),
        ends: &[Some((End::Cancelled, Party::Local, Some(487))), Some((End::Released, Party::Remote, None))],
        sends: &[
            &["INVITE", "ACK", "INVITE", "CANCEL", "ACK"],
            &["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"],
        ],
        hears: &[],
        records: &[
            (Function::Controlling, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
        ],
    },
    Scene {
        name: "server-unconfirmed",
        title: "Answered early (Unconfirmed), then given up: Ben's own answer comes too late, and is left",
        between: Between::Server(Rules { early_answer: true, answer_mode: AnswerMode::Automatic, ..MANUAL }),
        play: |stage| Box::pin(server_unconfirmed(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK", "BYE"], &["200 (INVITE)", "200 (BYE)"]],
        hears: &[],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Cancelled, Some(487)),
        ],
    },
    Scene {
        name: "server-refused",
        title: "Refused: one 480 from hop to hop, and nothing to cancel",
        between: Between::Server(MANUAL),
        play: |stage| Box::pin(server_refused(stage)),
        ends: &[
            Some((End::Rejected, Party::Remote, Some(480))),
            Some((End::Rejected, Party::Local, Some(480))),
        ],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK"], &["180 (INVITE)", "480 (INVITE)"]],
        hears: &[],
        records: &[
            (Function::Participating, End::Rejected, Some(480)),
            (Function::Controlling, End::Rejected, Some(480)),
        ],
    },
    Scene {
        name: "server-override",
        title: "Manual answer override: Ben would be asked, and is not, because Anna may; then she leaves",
        between: Between::Server(Rules { may_override: true, ..MANUAL }),
        play: |stage| Box::pin(server_override(stage)),
        ends: &[Some((End::Left, Party::Local, None)), Some((End::Released, Party::Remote, None))],
        sends: &[&["INVITE", "ACK", "INVITE", "ACK", "BYE"], &["200 (INVITE)", "200 (BYE)"]],
        hears: &[],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
        ],
    },
    Scene {
        name: "group-four-states",
        title: "An ad-hoc group: Ben rings, Cara was not reached yet, Dan's 200 is on its way, Erin has refused",
        between: Between::Server(Rules { others: &["ben", "cara", "dan", "erin"], ..MANUAL }),
        play: |stage| Box::pin(group_four_states(stage)),
        ends: &[
            Some((End::Cancelled, Party::Local, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
            Some((End::Released, Party::Remote, None)),
            Some((End::Rejected, Party::Local, Some(480))),
        ],
        sends: &[
            &["INVITE", "ACK", "INVITE", "CANCEL", "ACK"],
            &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"],
            &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)"],
            &["180 (INVITE)", "200 (INVITE)", "200 (CANCEL)", "200 (BYE)"],
            &["180 (INVITE)", "480 (INVITE)"],
        ],
        hears: &[],
        records: &[
            (Function::Controlling, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
            (Function::Participating, End::Rejected, Some(480)),
        ],
    },
    Scene {
        name: "chat-join",
        title: "A chat: Ben and Cara are in it, Anna joins and gives up; the others hear nothing of it",
        between: Between::Server(Rules { others: &["ben", "cara"], group: Some(GroupKind::Chat), ..MANUAL }),
        play: |stage| Box::pin(chat_join(stage)),
        ends: &[Some((End::Cancelled, Party::Local, Some(487))), None, None],
        sends: &[
            &["INVITE", "ACK", "INVITE", "CANCEL", "ACK"],
            &["INVITE", "ACK", "INVITE", "ACK"],
            &["INVITE", "ACK", "INVITE", "ACK"],
        ],
        hears: &[],
        records: &[
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Cancelled, Some(487)),
        ],
    },
    Scene {
        name: "pre-established",
        title: "Ben has a pre-established session: the re-INVITE that rings is cancelled, and the next one is accepted",
        between: Between::Server(Rules { pre_establishes: true, ..MANUAL }),
        play: |stage| Box::pin(pre_established(stage)),
        ends: &[
            Some((End::Cancelled, Party::Local, Some(487))),
            Some((End::Cancelled, Party::Remote, Some(487))),
        ],
        sends: &[
            &["INVITE", "ACK", "INVITE", "CANCEL", "ACK", "INVITE", "ACK", "INVITE", "ACK", "BYE"],
            // What ends the session is a TBCP Disconnect.
            &["180 (INVITE)", "200 (CANCEL)", "487 (INVITE)", "180 (INVITE)", "200 (INVITE)"],
        ],
        hears: &[],
        records: &[
            (Function::Controlling, End::Cancelled, Some(487)),
            (Function::Participating, End::Cancelled, Some(487)),
            (Function::Controlling, End::Released, Some(200)),
            (Function::Participating, End::Released, Some(200)),
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
    stage.until_all_ended().await
}

async fn ringing(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_all_ended().await
}

async fn crossing(stage: &mut Stage) -> Result<(), Stuck> {
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.hold(ANNA, "CANCEL");
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.until_all_ended().await?;
    stage.let_go().await?;
    stage.until_sent(BEN, "200 (CANCEL)").await
}

async fn before_any_response(stage: &mut Stage) -> Result<(), Stuck> {
    stage.hold(BEN, "180 (INVITE)");
    let anna = stage.invite().await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_held().await?;
    stage.let_go().await?;
    stage.until_all_ended().await
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
    stage.until_all_ended().await
}

/// Ben is asked, and the server waits for him.
pub(super) const MANUAL: Rules = Rules {
    early_answer: false,
    others: &["ben"],
    answer_mode: AnswerMode::Manual,
    may_override: false,
    group: None,
    pre_establishes: false,
    talk_limit: None,
    codec: None,
};

async fn server_ringing(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    ringing(stage).await?;
    stage.until_closed(2).await
}

async fn server_crossing(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.hold(BEN, "200 (INVITE)");
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_sent(BEN, "200 (CANCEL)").await?;
    stage.let_go().await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

async fn server_unconfirmed(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    stage.hold(BEN, "200 (INVITE)");
    let anna = stage.invite().await?;
    stage.until_told(ANNA, "in session", is_established).await?;
    stage.until_held().await?;
    stage.press(ANNA, "gives up", |client, now| client.leave(now, anna)).await?;
    stage.until_told(ANNA, "ended", |event| matches!(event, Event::Ended { .. })).await?;
    stage.let_go().await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

async fn server_refused(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.press(BEN, "refuses", |client, now| client.refuse(now, ben)).await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

async fn server_override(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let anna = stage.invite_asking(AnswerRequest::Override).await?;
    stage.until_told(ANNA, "in session", is_established).await?;
    stage.until_told(BEN, "in session", is_established).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    stage.until_all_ended().await?;
    stage.until_closed(2).await
}

/// Digest 14.12: each leg by what it has come to.
async fn group_four_states(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    stage.hold_inside("INVITE", Some("cara"));
    stage.hold(DAN, "200 (INVITE)");
    let invitees = ["ben", "cara", "dan", "erin"].map(address_of);
    let invitees = Invitees::new(invitees.to_vec()).map_err(|error| Stuck::Waited(error.to_string()))?;
    let invitees = Addressee::Users(invitees);
    let anna = stage.start(ANNA, "anna invites four", invitees, AnswerRequest::Usual).await?;
    let (dan, erin) = (stage.until_invited_at(DAN).await?, stage.until_invited_at(ERIN).await?);
    stage.until_invited_at(BEN).await?;
    stage.press(ERIN, "refuses", |client, now| client.refuse(now, erin)).await?;
    stage.until_closed(1).await?;
    stage.until_told(ANNA, "180", is_progress).await?;
    stage.press(DAN, "accepts", |client, now| client.accept(now, dan)).await?;
    stage.until_all_held(2).await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_ended(ANNA).await?;
    stage.until_sent(DAN, "200 (CANCEL)").await?;
    stage.let_go().await?;
    stage.until_all_ended().await?;
    stage.until_closed(5).await
}

/// T18: the 200 of the chat crosses the CANCEL of the one who joins.
async fn chat_join(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    let patrol = || Addressee::Chat(address_of(GROUP));
    for (side, what) in [(BEN, "ben joins patrol"), (CARA, "cara joins patrol")] {
        stage.start(side, what, patrol(), AnswerRequest::Usual).await?;
        stage.until_told(side, "in session", is_established).await?;
    }
    stage.hold_inside("200 (INVITE)", None);
    let anna = stage.start(ANNA, "anna joins patrol", patrol(), AnswerRequest::Usual).await?;
    stage.until_held().await?;
    // Every hop has been heard of, so the CANCEL passes each at once and the 200 comes behind it.
    stage.until_said_inside("100 (INVITE)").await?;
    stage.press(ANNA, "cancels", |client, now| client.cancel(now, anna)).await?;
    stage.until_ended(ANNA).await?;
    stage.let_go().await?;
    stage.until_closed(2).await
}

/// T21, twice on one dialog.
async fn pre_established(stage: &mut Stage) -> Result<(), Stuck> {
    stage.register().await?;
    ringing(stage).await?;
    stage.until_closed(2).await?;
    stage.begin_again();
    let anna = stage.invite().await?;
    let ben = stage.until_invited().await?;
    stage.press(BEN, "accepts", |client, now| client.accept(now, ben)).await?;
    stage.until_told(ANNA, "in session", is_established).await?;
    stage.until_told(BEN, "in session", is_established).await?;
    stage.press(ANNA, "leaves", |client, now| client.leave(now, anna)).await?;
    stage.until_all_ended().await?;
    stage.until_closed(4).await
}

fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Progress { .. })
}

pub(super) fn is_established(event: &Event) -> bool {
    matches!(event, Event::Established { .. })
}
