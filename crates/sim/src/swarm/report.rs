//! What is told of a run.

use std::collections::BTreeMap;

use sip::{Duration, Instant};

use crate::lane::Counted;

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The simulated moment.
    pub now: Instant,
    /// When the last story begins.
    pub span: Duration,
    /// Stories that are over.
    pub stories: u64,
    /// Stories that are being told.
    pub running: usize,
    /// Messages that were sent.
    pub messages: u64,
    /// Datagrams of speech and talk burst control that were sent.
    pub media: u64,
}

/// What happened in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Clients.
    pub clients: usize,
    /// Districts.
    pub districts: usize,
    /// Stories, all of which came to an end.
    pub stories: u64,
    /// What users did, by name.
    pub deeds: BTreeMap<&'static str, u64>,
    /// What chance met, by name.
    pub met: BTreeMap<String, u64>,
    /// How often each rule was checked, by name.
    pub checked: BTreeMap<&'static str, u64>,
    /// Messages of stories.
    pub messages: Counted,
    /// Speech and talk burst control.
    pub media: Counted,
    /// Messages between stories.
    pub registering: Counted,
    /// Moments at which something happened.
    pub moments: u64,
    /// When nothing was left to happen.
    pub ended: Instant,
    /// Of all that happened.
    pub digest: String,
    /// The story of each district and number as a ladder, if that was kept.
    pub ladders: Vec<(usize, u32, String)>,
}

impl Report {
    pub(super) fn new(clients: usize, districts: usize) -> Self {
        Self {
            clients,
            districts,
            stories: 0,
            deeds: BTreeMap::new(),
            met: BTreeMap::new(),
            checked: BTreeMap::new(),
            messages: Counted::default(),
            media: Counted::default(),
            registering: Counted::default(),
            moments: 0,
            ended: Instant::START,
            digest: String::new(),
            ladders: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, met: BTreeMap<String, u64>) {
        for (what, times) in met {
            *self.met.entry(what).or_default() += times;
        }
    }

    pub(super) fn did(&mut self, what: &'static str) {
        *self.deeds.entry(what).or_default() += 1;
    }
}
