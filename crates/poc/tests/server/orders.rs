//! T26: a session of three members in random orders of answers, CANCEL, BYE and time.
//!
//! Whatever comes first: no leg is left ringing or connected once the inviter has gone, each INVITE has one final response,
//! each 2xx its ACK, and there is one record.

use std::collections::{BTreeMap, BTreeSet};

use poc::server::{Command, Input};
use proptest::prelude::*;
use sip::message::Name;
use sip::{Duration, Message};

use crate::stage::{Call, Stage, T1_64, text, word};

const ANNA: &str = "sip:anna@home1.example";
const USERS: [&str; 3] = ["ben", "cara", "dan"];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A member answers its INVITE.
    Answer { member: usize, status: u16, unconfirmed: bool },
    /// A member leaves.
    Leave { member: usize },
    /// A member answers what it was asked since: CANCEL, BYE.
    Obey { member: usize },
    /// The inviter gives up: CANCEL, or BYE if it was answered.
    GiveUp,
    /// The inviter sends its CANCEL whatever it was answered.
    Cancel,
    /// The server is to end.
    Release,
    /// Time goes by.
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..USERS.len();
    let status = prop::sample::select(vec![100_u16, 180, 183, 200, 200, 480, 486, 487, 603]);
    prop_oneof![
        4 => (member.clone(), status, any::<bool>())
            .prop_map(|(member, status, unconfirmed)| Step::Answer { member, status, unconfirmed }),
        1 => member.clone().prop_map(|member| Step::Leave { member }),
        2 => member.prop_map(|member| Step::Obey { member }),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Cancel),
        1 => Just(Step::Release),
        1 => prop::sample::select(vec![1_u64, 400, 9_000, 31_000]).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// What a member knows of its leg.
#[derive(Default)]
struct Leg {
    /// The last provisional response it gave.
    rings: bool,
    answered: Option<u16>,
    acknowledged: bool,
    left: bool,
    cancels: BTreeSet<Vec<u8>>,
    byes: BTreeSet<Vec<u8>>,
}

struct Play {
    stage: Stage,
    call: Call,
    invites: Vec<Message>,
    legs: Vec<Leg>,
    /// Final responses to the inviter, by their octets.
    finals: BTreeMap<Vec<u8>, u16>,
    ok: Option<Message>,
    has_left: bool,
}

impl Play {
    fn new(early_answer: bool) -> Self {
        let mut stage = Stage::with(|config| config.early_answer = early_answer);
        let call = Call::listing(
            ANNA,
            &USERS.map(|user| format!("sip:{user}@home1.example")).each_ref().map(String::as_str),
        );
        stage.invite(&call);
        let invites = USERS.map(|user| stage.leg(user)).to_vec();
        let legs = USERS.iter().map(|_| Leg::default()).collect();
        Self { stage, call, invites, legs, finals: BTreeMap::new(), ok: None, has_left: false }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Answer { member, status, unconfirmed } => {
                let leg = &mut self.legs[member];
                // Who was silent for so long is forgotten: nobody has waited for it since timer B.
                let is_forgotten = !leg.rings && self.stage.now >= 2 * T1_64;
                if leg.answered.is_some() || is_forgotten {
                    return;
                }
                match status {
                    ..200 => leg.rings = true,
                    _ => leg.answered = Some(status),
                }
                let lines = if status == 183 && unconfirmed { "P-Answer-State: Unconfirmed\r\n" } else { "" };
                let invite = self.invites[member].clone();
                let body = if status == 200 { crate::stage::SDP } else { "" };
                self.stage.answer_saying(&invite, status, lines, body);
            }
            Step::Leave { member } => {
                let leg = &mut self.legs[member];
                if leg.answered == Some(200) && leg.acknowledged && !leg.left {
                    leg.left = true;
                    let invite = self.invites[member].clone();
                    self.stage.leg_sends(&invite, "BYE", 9, "", "");
                }
            }
            Step::Obey { member } => self.obey(member),
            Step::GiveUp => match self.ok.clone() {
                Some(ok) if !self.has_left => {
                    self.has_left = true;
                    self.stage.bye(&self.call.clone(), &ok);
                }
                Some(_) => {}
                None => self.stage.cancel(&self.call.clone()),
            },
            Step::Cancel => self.stage.cancel(&self.call.clone()),
            Step::Release => self.stage.input(Input::Command(Command::Release)),
            Step::Pass { ms } => {
                // A CANCEL is answered within 64*T1; later nobody has to remember it (I9).
                for member in (0..USERS.len()).filter(|_| ms > 1_000) {
                    self.obey(member);
                }
                self.stage.pass(Duration::from_millis(ms));
            }
        }
        self.look();
    }

    /// A member answers the CANCEL and the BYE that it has seen.
    fn obey(&mut self, member: usize) {
        let invite = self.invites[member].clone();
        if !self.legs[member].cancels.is_empty() && self.legs[member].answered.is_none() {
            self.legs[member].answered = Some(487);
            self.stage.answer(&invite, 487);
        }
    }

    /// Reads what the server has sent, and answers what must be answered at once.
    fn look(&mut self) {
        for member in 0..USERS.len() {
            let invite = self.invites[member].clone();
            for message in self.stage.seen_whole(&invite) {
                let leg = &mut self.legs[member];
                match word(&message).as_str() {
                    "CANCEL" => {
                        assert!(leg.rings, "I2: no CANCEL before a 1xx");
                        leg.cancels.insert(message.bytes().to_vec());
                        assert_eq!(leg.cancels.len(), 1, "I2: one CANCEL an INVITE");
                    }
                    "ACK" => leg.acknowledged = true,
                    "BYE" => {
                        assert!(
                            leg.acknowledged && leg.answered == Some(200),
                            "the ACK leaves before the BYE"
                        );
                        leg.byes.insert(message.bytes().to_vec());
                        assert_eq!(leg.byes.len(), 1, "I5: a dialog is left once");
                        self.stage.answer(&message, 200);
                    }
                    _ => {}
                }
            }
        }
        let call = self.call.clone();
        for message in self.stage.told_whole(&call) {
            match (message.status(), word(&message).as_str()) {
                (Some(status @ 200..), word) if word.ends_with("INVITE") => {
                    self.finals.insert(message.bytes().to_vec(), status);
                    assert_eq!(self.finals.len(), 1, "I4: one final response an INVITE");
                    self.ok = (status == 200).then(|| message.clone());
                    self.stage.ack(&call, &message);
                }
                (None, "BYE") => {
                    self.has_left = true;
                    self.stage.answer(&message, 200);
                }
                _ => {}
            }
        }
    }

    /// Everybody does what is asked, the inviter goes if it has not, and all that waits runs out.
    fn end(mut self) {
        self.act(Step::GiveUp);
        for _ in 0..4 {
            for member in 0..USERS.len() {
                self.act(Step::Obey { member });
                if self.legs[member].answered == Some(200) && self.legs[member].byes.is_empty() {
                    // Two who are still connected talk on (Q4) until one of them goes.
                    self.act(Step::Leave { member });
                }
            }
            self.act(Step::Pass { ms: 40_000 });
        }
        for (leg, invite) in self.legs.iter().zip(&self.invites) {
            let to = text(invite, Name::To);
            match leg.answered {
                Some(200) => {
                    assert!(leg.acknowledged && (leg.left || !leg.byes.is_empty()), "{to} is still connected")
                }
                Some(_) => {
                    assert!(leg.acknowledged && leg.byes.is_empty(), "{to} was refused and not acknowledged")
                }
                None => assert!(!leg.rings, "{to} rings for ever"),
            }
        }
        assert_eq!(self.finals.len(), 1, "I4: a final response");
        assert!(self.stage.server.is_settled(), "somebody is waited for");
        self.stage.ends_with(1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn t26_nobody_is_left_ringing_or_connected_whatever_comes_first(
        early_answer in any::<bool>(),
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let mut play = Play::new(early_answer);
        play.look();
        for step in steps {
            play.act(step);
        }
        play.end();
    }
}
