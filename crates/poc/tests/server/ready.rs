//! A client with a pre-established session that stands ready.

use poc::server::Config;
use sip::Message;
use sip::message::Name;

use crate::stage::{Call, FACTORY, Stage, text, word};

pub(crate) const BEN: &str = "sip:ben@home1.example";
pub(crate) const AUTOMATIC: &str = "<am-settings><answer-mode>automatic</answer-mode></am-settings>";
pub(crate) const CLIENT: &str = "Contact: <sip:ben@192.0.2.77>\r\n";

/// Ben's client, its dialog, and how many requests it has sent there.
pub(crate) struct Ready {
    pub(crate) stage: Stage,
    pub(crate) dialog: Call,
    pub(crate) ok: Message,
    number: u32,
}

pub(crate) fn ready() -> Ready {
    ready_with(|_| {})
}

pub(crate) fn ready_with(change: impl FnOnce(&mut Config)) -> Ready {
    ready_on(told_by_sip(change))
}

/// And Ben wants this.
pub(crate) fn ready_wanting(settings: &str, change: impl FnOnce(&mut Config)) -> Ready {
    let mut stage = told_by_sip(change);
    stage.publish_only_saying("ben", settings);
    ready_on(stage)
}

/// Nothing is told by Connect and Disconnect unless `change` says so.
fn told_by_sip(change: impl FnOnce(&mut Config)) -> Stage {
    Stage::with(|config| {
        config.connects = false;
        change(config);
    })
}

fn ready_on(mut stage: Stage) -> Ready {
    let dialog = Call::originating(BEN, FACTORY);
    stage.invite(&dialog);
    let ok = stage.established(&dialog);
    Ready { stage, dialog, ok, number: 7 }
}

impl Ready {
    pub(crate) fn within(&mut self, method: &str, lines: &str, body: &str) {
        self.number += 1;
        self.stage.within(&self.dialog, &self.ok, method, self.number, lines, body);
    }

    pub(crate) fn refer(&mut self, target: &str) {
        self.refer_saying(target, "", "");
    }

    pub(crate) fn refer_saying(&mut self, target: &str, lines: &str, body: &str) {
        self.within("REFER", &format!("{CLIENT}Refer-To: <{target}>\r\n{lines}"), body);
    }

    pub(crate) fn give_up(&mut self, target: &str) {
        self.refer_saying(&format!("{target};method=BYE"), "Refer-Sub: false\r\n", "");
    }

    /// What the client has heard: each NOTIFY, which it takes, as the status that it tells and what becomes of the subscription.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let messages = self.stage.told_whole(&self.dialog);
            if messages.is_empty() {
                return heard;
            }
            for message in messages {
                if word(&message) != "NOTIFY" {
                    heard.push(word(&message));
                    continue;
                }
                let body = String::from_utf8_lossy(message.body()).into_owned();
                let status = body.split(' ').nth(1).unwrap_or_default().to_owned();
                let is_last = text(&message, Name::SubscriptionState).starts_with("terminated");
                heard.push(format!("NOTIFY {status}{}", if is_last { ", the last" } else { "" }));
                self.stage.answer(&message, 200);
            }
        }
    }

    /// The re-INVITE that the client has got.
    pub(crate) fn reinvite(&mut self) -> Message {
        let mut messages = self.stage.told_whole(&self.dialog);
        assert_eq!(messages.iter().map(word).collect::<Vec<_>>(), ["INVITE"]);
        messages.remove(0)
    }

    /// The dialog can be used, and ends with nothing left.
    pub(crate) fn ends_with(mut self, records: usize) {
        let call = Call::terminating("sip:fritz@home2.example", BEN);
        self.stage.invite(&call);
        let reinvite = self.reinvite();
        self.stage.answer(&reinvite, 480);
        assert_eq!(self.stage.told(&call), ["480 INVITE"]);
        self.stage.told(&self.dialog);
        self.within("BYE", "", "");
        assert_eq!(self.heard(), ["200 BYE"]);
        self.stage.ends_with(records + 2);
    }
}

pub(crate) fn is_held(message: &Message) -> bool {
    String::from_utf8_lossy(message.body()).contains("a=inactive")
}

pub(crate) fn names_session(message: &Message) -> Option<String> {
    let contact = message.addresses(Name::Contact).next().expect("a Contact").expect("a good one");
    let identity = poc::session_identity(contact.uri).expect("an identity");
    contact.parameters.has(b"isfocus").then(|| String::from_utf8_lossy(&identity).into_owned())
}
