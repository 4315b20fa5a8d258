//! `talkburst probe`: its verdicts on targets that are right and wrong by design, on peers that are not ours, and on ours.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod callee;
mod caller;
mod proxy;
mod stream;

mod options;
mod ours;
mod peers;
mod wrong;

#[path = "../common/mod.rs"]
mod common;
#[path = "../program/mod.rs"]
mod program;
#[path = "../sipping/mod.rs"]
mod sipping;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::program::Program;

/// What came of a run of the probe.
pub(crate) struct Verdicts {
    pub(crate) code: Option<i32>,
    /// By case: the verdict, and why.
    pub(crate) of: BTreeMap<String, (String, String)>,
    ladders: String,
}

impl Verdicts {
    /// The probe to its end.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::after(Program::start(&[&["probe"], arguments].concat()))
    }

    /// The same of one that has begun.
    pub(crate) fn after(program: Program) -> Self {
        let (code, events, said) = program.exit();
        let (mut of, mut ladders) = (BTreeMap::new(), said);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for event in events.iter().filter(|event| event["case"].is_string()) {
            let why: Vec<_> = event["why"].as_array().unwrap().iter().map(text).collect();
            let (case, verdict, why) = (text(&event["case"]), text(&event["verdict"]), why.join("; "));
            if verdict != "pass" {
                let _ = writeln!(ladders, "{case} {verdict}: {why}\n{}", text(&event["ladder"]));
            }
            of.insert(case, (verdict, why));
        }
        Self { code, of, ladders }
    }

    /// The cases that did not pass are these.
    pub(crate) fn check(&self, exceptions: &[(&str, &str)]) {
        let others: Vec<_> = self
            .of
            .iter()
            .filter(|(_, (verdict, _))| verdict != "pass")
            .map(|(case, (verdict, _))| (case.as_str(), verdict.as_str()))
            .collect();
        let mut expected = exceptions.to_vec();
        expected.sort_unstable();
        assert_eq!(others, expected, "{}", self.ladders);
    }
}
