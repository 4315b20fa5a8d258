//! T21, T26: a pre-established session used again and again, in random orders of REFER, invitations, answers, CANCEL and time.
//!
//! Whatever comes first: each INVITE has one final response, no CANCEL leaves before a 1xx, each 2xx has its ACK, nobody is left
//! connected, the client knows in the end that it is in no session, and the dialog stands.

use std::collections::BTreeSet;

use poc::server::{Command, Input};
use proptest::prelude::*;
use sip::{Duration, Message};

use crate::ready::{Ready, is_held, ready};
use crate::stage::{Call, SDP, word};

const BEN: &str = "sip:ben@home1.example";
const ERIK: &str = "sip:erik@home2.example";
const PATROL: &str = "sip:patrol@home2.example;session=prearranged";
const FOCUS: &str =
    "<sip:0001010000ps420000000000@home2.example;session=prearranged>;+g.poc.talkburst;isfocus";

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody invites Ben.
    Invite,
    /// And gives up: CANCEL, or BYE if it was answered.
    GiveUp,
    /// And sends a CANCEL whatever it was answered.
    Cancel,
    /// Ben calls the patrol.
    Refer,
    /// And gives up, or leaves.
    Leave,
    /// Ben's client answers a re-INVITE.
    Client(u16),
    /// The patrol's server answers.
    Beyond(u16),
    /// And leaves.
    Release,
    /// Time goes by.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = prop::sample::select(vec![100_u16, 180, 200, 200, 480, 486, 491]);
    let beyond = prop::sample::select(vec![100_u16, 180, 200, 200, 404, 480, 487]);
    prop_oneof![
        3 => Just(Step::Invite),
        2 => Just(Step::GiveUp),
        1 => Just(Step::Cancel),
        3 => Just(Step::Refer),
        2 => Just(Step::Leave),
        4 => client.prop_map(Step::Client),
        4 => beyond.prop_map(Step::Beyond),
        1 => Just(Step::Release),
        1 => prop::sample::select(vec![1_u64, 400, 3_000]).prop_map(Step::Pass),
    ]
}

/// An INVITE that the server has sent: in the dialog, or beyond.
struct Sent {
    invite: Message,
    has_progress: bool,
    answered: Option<u16>,
    is_acknowledged: bool,
    is_cancelled: bool,
    is_left: bool,
}

impl Sent {
    fn new(invite: Message) -> Self {
        Self {
            invite,
            has_progress: false,
            answered: None,
            is_acknowledged: false,
            is_cancelled: false,
            is_left: false,
        }
    }

    /// What the server says of it.
    fn note(&mut self, word: &str) {
        match word {
            "CANCEL" => {
                assert!(self.has_progress, "I2: no CANCEL before a 1xx");
                self.is_cancelled = true;
            }
            "ACK" => self.is_acknowledged = true,
            "BYE" => {
                assert!(self.is_acknowledged && self.answered == Some(200), "the ACK leaves before the BYE");
                self.is_left = true;
            }
            _ => {}
        }
    }

    fn answer(&mut self, status: u16) -> bool {
        let is_open = self.answered.is_none();
        if status < 200 {
            self.has_progress |= is_open;
        } else if is_open {
            self.answered = Some(status);
        }
        is_open
    }
}

struct Play {
    ready: Ready,
    /// The invitation of Ben that stands or is under way, its final response, and whether the inviter has gone.
    call: Option<(Call, Option<Message>, bool)>,
    calls: usize,
    finals: BTreeSet<Vec<u8>>,
    reinvites: Vec<Sent>,
    legs: Vec<Sent>,
    /// What the client believes.
    is_in_session: bool,
    /// Its REFER has been accepted and has no last NOTIFY yet.
    is_calling: bool,
}

impl Play {
    fn new() -> Self {
        Self {
            ready: ready(),
            call: None,
            calls: 0,
            finals: BTreeSet::new(),
            reinvites: Vec::new(),
            legs: Vec::new(),
            is_in_session: false,
            is_calling: false,
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Invite if self.call.is_none() => {
                let mut call = Call::terminating(ERIK, BEN);
                for _ in 0..self.calls {
                    call = call.again();
                }
                self.calls += 1;
                self.ready.stage.invite(&call);
                self.call = Some((call, None, false));
            }
            Step::GiveUp => {
                if let Some((call, ok, has_left @ false)) = &mut self.call {
                    *has_left = true;
                    match ok {
                        Some(ok) => self.ready.stage.bye(call, ok),
                        None => self.ready.stage.cancel(call),
                    }
                }
            }
            Step::Cancel => {
                if let Some((call, _, _)) = &self.call {
                    self.ready.stage.cancel(call);
                }
            }
            Step::Refer => self.ready.refer(PATROL),
            Step::Leave => {
                self.ready.give_up(PATROL);
            }
            Step::Client(status) => self.answer_in_the_dialog(status),
            Step::Beyond(status) => {
                if let Some(leg) = self.legs.iter_mut().rev().find(|leg| leg.answered.is_none()) {
                    leg.answer(status);
                    let invite = leg.invite.clone();
                    self.ready.stage.answer_as(&invite, status, FOCUS, "");
                }
            }
            Step::Release => {
                let stands =
                    |leg: &&mut Sent| leg.answered == Some(200) && leg.is_acknowledged && !leg.is_left;
                if let Some(leg) = self.legs.iter_mut().find(stands) {
                    leg.is_left = true;
                    let invite = leg.invite.clone();
                    self.ready.stage.leg_sends(&invite, "BYE", 9, "", "");
                }
            }
            Step::Pass(span) => self.ready.stage.pass(Duration::from_millis(span)),
            Step::Invite => {}
        }
        self.look();
    }

    fn answer_in_the_dialog(&mut self, status: u16) {
        let Some(sent) = self.reinvites.iter_mut().find(|sent| sent.answered.is_none()) else { return };
        // Who will not be told that there is no session loses the dialog, which is another story.
        let status = if is_held(&sent.invite) && matches!(status, 480 | 486) { 200 } else { status };
        sent.answer(status);
        let invite = sent.invite.clone();
        if status == 200 {
            self.is_in_session = !is_held(&invite);
        }
        let body = if status == 200 { SDP } else { "" };
        self.ready.stage.answer_saying(&invite, status, "", body);
    }

    /// Reads what the server has sent, and answers what must be answered at once.
    fn look(&mut self) {
        loop {
            let dialog = self.ready.stage.told_whole(&self.ready.dialog);
            let is_over = dialog.is_empty();
            for message in dialog {
                self.hear(&message);
            }
            if self.ready.stage.invites_to(PATROL) > 0 {
                let invite = self.ready.stage.leg_to(PATROL);
                if self.legs.iter().all(|leg| leg.invite.bytes() != invite.bytes()) {
                    self.legs.push(Sent::new(invite));
                }
            }
            for place in 0..self.legs.len() {
                let invite = self.legs[place].invite.clone();
                for message in self.ready.stage.seen_whole(&invite) {
                    self.legs[place].note(&word(&message));
                    match word(&message).as_str() {
                        "BYE" | "CANCEL" => self.ready.stage.answer(&message, 200),
                        _ => {}
                    }
                    if word(&message) == "CANCEL" && self.legs[place].answered.is_none() {
                        self.legs[place].answered = Some(487);
                        self.ready.stage.answer(&invite, 487);
                    }
                }
            }
            self.hear_inviter();
            if is_over {
                return;
            }
        }
    }

    /// Ben's client.
    fn hear(&mut self, message: &Message) {
        match word(message).as_str() {
            "INVITE" => {
                let is_copy =
                    self.reinvites.last().is_some_and(|last| last.invite.bytes() == message.bytes());
                if !is_copy {
                    assert!(
                        self.reinvites.iter().all(|sent| sent.answered.is_some()),
                        "RFC 3261 §14.1: one at a time"
                    );
                    self.reinvites.push(Sent::new(message.clone()));
                }
            }
            "CANCEL" => {
                let place = self.reinvites.len() - 1;
                self.reinvites[place].note("CANCEL");
                self.ready.stage.answer(message, 200);
                if self.reinvites[place].answered.is_none() {
                    self.answer_in_the_dialog(487);
                }
            }
            "ACK" => {
                if let Some(sent) = self.reinvites.last_mut() {
                    sent.note("ACK");
                }
            }
            "NOTIFY" => {
                let body = String::from_utf8_lossy(message.body()).into_owned();
                match body.split(' ').nth(1) {
                    Some("200") => (self.is_in_session, self.is_calling) = (self.is_calling, false),
                    Some(status) if status >= "300" => self.is_calling = false,
                    _ => self.is_calling = true,
                }
                self.ready.stage.answer(message, 200);
            }
            "200 REFER" => {
                // Which one it was says the NOTIFY that follows; the one that gives up has none.
                self.is_in_session = false;
            }
            "BYE" => panic!("the dialog stands whatever it is used for"),
            _ => {}
        }
    }

    fn hear_inviter(&mut self) {
        let Some((call, ok, has_left)) = &mut self.call else { return };
        let mut is_over = false;
        for message in self.ready.stage.told_whole(call) {
            match (message.status(), word(&message).as_str()) {
                (Some(status @ 200..), word) if word.ends_with("INVITE") => {
                    if !self.finals.insert(message.bytes().to_vec()) {
                        continue;
                    }
                    assert!(ok.is_none(), "I4: one final response an INVITE");
                    self.ready.stage.ack(call, &message);
                    is_over |= status >= 300;
                    if status == 200 {
                        *ok = Some(message.clone());
                        // A CANCEL that came too late: the BYE follows.
                        if *has_left {
                            self.ready.stage.bye(call, &message);
                        }
                    }
                }
                (None, "BYE") => {
                    self.ready.stage.answer(&message, 200);
                    is_over = true;
                }
                (Some(200), "200 BYE") => is_over = true,
                _ => {}
            }
        }
        if is_over {
            self.call = None;
        }
    }

    fn settle(&mut self) {
        for _ in 0..8 {
            self.act(Step::GiveUp);
            self.act(Step::Leave);
            self.act(Step::Beyond(480));
            self.act(Step::Release);
            self.act(Step::Client(480));
            self.act(Step::Pass(2_500));
        }
    }

    /// The server is to end in the midst of it: the dialog is left, and nobody waits for anything.
    fn be_released(mut self) {
        self.ready.stage.input(Input::Command(Command::Release));
        for _ in 0..8 {
            let dialog = self.ready.stage.told_whole(&self.ready.dialog);
            for message in dialog {
                match word(&message).as_str() {
                    "BYE" => {
                        self.ready.stage.answer(&message, 200);
                        self.is_in_session = false;
                    }
                    _ => self.hear(&message),
                }
            }
            self.look();
            self.act(Step::Client(480));
            self.act(Step::Beyond(480));
            self.act(Step::Pass(500));
        }
        assert!(self.call.is_none(), "the inviter has its answer");
        assert!(!self.is_in_session, "the client knows that there is no session");
        for sent in self.legs.iter().chain(&self.reinvites) {
            assert!(sent.is_acknowledged, "each INVITE has its ACK");
        }
        for leg in &self.legs {
            assert!(leg.answered != Some(200) || leg.is_left, "nobody is left connected");
        }
        // Who was invited on demand and has never said anything is given up with timer B, and remembered as long again.
        self.act(Step::Pass(80_000));
        assert!(self.ready.stage.server.is_settled(), "somebody is waited for");
        self.ready.stage.ends_with(self.calls + self.legs.len() + 1);
    }

    fn end(mut self) {
        self.settle();
        assert!(self.call.is_none(), "the inviter has its answer");
        assert_eq!(self.ready.stage.sessions_of("ben"), 0, "no slot is taken");
        assert!(!self.is_in_session, "the client knows that there is no session");
        assert!(self.reinvites.iter().all(|sent| sent.is_acknowledged), "each re-INVITE has its ACK");
        for leg in &self.legs {
            assert!(leg.is_acknowledged, "each INVITE has its ACK");
            assert!(leg.answered != Some(200) || leg.is_left, "nobody is left connected");
        }
        // The dialog stands, and is free.
        let before = self.reinvites.len();
        self.act(Step::Invite);
        assert_eq!(self.reinvites.len(), before + 1);
        self.act(Step::Client(480));
        assert!(self.call.is_none());
        self.ready.within("BYE", "", "");
        let records = self.calls + self.legs.len() + 1;
        self.ready.stage.ends_with(records);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn t21_t26_whatever_comes_first_the_dialog_stands_and_both_sides_agree(
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let mut play = Play::new();
        for step in steps {
            play.act(step);
        }
        play.end();
    }

    #[test]
    fn whatever_the_server_is_in_the_midst_of_its_end_leaves_nobody_behind(
        steps in prop::collection::vec(step(), 0..12),
    ) {
        let mut play = Play::new();
        for step in steps {
            play.act(step);
        }
        play.be_released();
    }
}
