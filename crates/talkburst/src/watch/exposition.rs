//! The page of metrics, in the text format of Prometheus. What each means is told in docs/observing.md.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use poc::server::{DENIALS, ENDINGS, MediaCounters, REVOKES, SessionState, SessionType};
use sip::{Cancels, Transactions};

use super::Watch;
use super::log;
use super::meter::{BOUNDS, CLASSES, Histogram, METHODS, Meter};
use super::tap::ShardCensus;

const TYPES: [SessionType; 4] =
    [SessionType::OneToOne, SessionType::AdHoc, SessionType::PreArranged, SessionType::Chat];
const STATES: [SessionState; 4] =
    [SessionState::Inviting, SessionState::Unconfirmed, SessionState::Established, SessionState::Releasing];

/// A page that is being written.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn counter(&mut self, name: &'static str, help: &str) {
        self.begin(name, "counter", help);
    }

    fn gauge(&mut self, name: &'static str, help: &str) {
        self.begin(name, "gauge", help);
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family that was begun.
    fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.line("", labels, value);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.family);
        for (place, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"{value}\"", if place == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn histogram(&mut self, labels: &[(&str, &dyn Display)], histogram: &Histogram) {
        let (buckets, micros) = histogram.read();
        let mut total = 0;
        for (place, count) in buckets.iter().enumerate() {
            total += count;
            let bound = BOUNDS.get(place).map_or("+Inf".to_owned(), |bound| seconds(*bound));
            let mut with_bound = labels.to_vec();
            with_bound.push(("le", &bound));
            self.line("_bucket", &with_bound, total);
        }
        self.line("_sum", labels, seconds(micros));
        self.line("_count", labels, total);
    }
}

fn seconds(micros: u64) -> String {
    format!("{}", micros as f64 / 1_000_000.0)
}

/// All metrics, as they are now. A shard that does not answer has its counters only.
pub(super) async fn page(watch: &Watch) -> String {
    let asked = watch.now();
    let answers = watch.census().await;
    let censuses: Vec<_> =
        (0u8..).zip(&answers).filter_map(|(shard, census)| Some((shard, census.as_ref()?))).collect();
    let meters: Vec<_> =
        (0u8..).zip(watch.shards.iter()).map(|(shard, shown)| (shard, &*shown.meter)).collect();
    let mut page = Page::default();
    process(&mut page, watch, answers.len());
    messages(&mut page, &meters, &censuses);
    sessions(&mut page, &meters, &censuses);
    cancels(&mut page, &meters, &censuses);
    bursts(&mut page, &meters, &censuses);
    speech(&mut page, &meters, &censuses);
    tables(&mut page, &censuses);
    refusals(&mut page, &meters, &censuses);
    queues(&mut page, watch, &meters, &censuses);
    page.gauge("talkburst_scrape_seconds", "How long it took to ask the shards and to write this page.");
    page.sample(&[], watch.now().saturating_since(asked).as_secs_f64());
    page.text
}

type Censuses<'a> = [(u8, &'a ShardCensus)];
type Meters<'a> = [(u8, &'a Meter)];

fn process(page: &mut Page, watch: &Watch, shards: usize) {
    page.gauge("talkburst_build_info", "1, with the version as label.");
    page.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("talkburst_uptime_seconds", "How long the server has run.");
    page.sample(&[], watch.now().since_start().as_secs_f64());
    page.gauge("talkburst_shards", "Threads that share the work.");
    page.sample(&[], shards);
    page.gauge("talkburst_draining", "1 while the server is being stopped and takes no new sessions.");
    page.sample(&[], u8::from(watch.condition.is_draining.load(Ordering::Relaxed)));
    page.gauge("talkburst_store_failing", "1 while records cannot be stored.");
    page.sample(&[], u8::from(watch.condition.is_store_failing.load(Ordering::Relaxed)));
    page.gauge("talkburst_recording_failing", "1 while talk bursts cannot be recorded.");
    page.sample(&[], u8::from(watch.condition.is_recording_failing.load(Ordering::Relaxed)));
    page.gauge("talkburst_resident_memory_bytes", "Memory of the process; absent where it is not known.");
    // The second number of statm counts pages of 4096 octets on the machines that we know.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(pages) = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()) {
        page.sample(&[], pages * 4096);
    }
}

fn messages(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    let ways = |meter: &Meter| [("in", meter.received()), ("out", meter.sent())];
    page.counter("talkburst_requests_total", "Requests from and to the network.");
    for (shard, meter) in meters {
        for (way, (methods, _)) in ways(meter) {
            for (method, count) in METHODS.iter().zip(methods) {
                page.sample(&[("shard", shard), ("direction", &way), ("method", method)], count);
            }
        }
    }
    page.counter("talkburst_responses_total", "Responses from and to the network.");
    for (shard, meter) in meters {
        for (way, (_, classes)) in ways(meter) {
            for (class, count) in CLASSES.iter().zip(classes) {
                page.sample(&[("shard", shard), ("direction", &way), ("class", class)], count);
            }
        }
    }
    page.counter("talkburst_repeated_requests_total", "Requests that had been here before.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard), ("element", &"core")], census.core_counters.repeated);
        page.sample(&[("shard", shard), ("element", &"server")], census.below.repeated);
    }
    page.begin(
        "talkburst_handling_seconds",
        "histogram",
        "From taking a message off the network to the last message that leaves in the same turn.",
    );
    for (shard, meter) in meters {
        for (method, histogram) in meter.handled() {
            page.histogram(&[("shard", shard), ("method", &method)], histogram);
        }
    }
}

fn sessions(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    page.gauge("talkburst_sessions", "PoC Sessions that are controlled here.");
    for (shard, census) in censuses {
        for (kind, state) in TYPES.iter().flat_map(|kind| STATES.iter().map(move |state| (*kind, *state))) {
            let count = census.server.controlling.get(&(kind, state)).copied().unwrap_or_default();
            page.sample(&[("shard", shard), ("type", &kind.as_str()), ("state", &state.as_str())], count);
        }
    }
    page.gauge(
        "talkburst_participations",
        "Invitations by and of users who are served here, and what came of them.",
    );
    for (shard, census) in censuses {
        for state in STATES {
            let count = census.server.participating.get(&state).copied().unwrap_or_default();
            page.sample(&[("shard", shard), ("state", &state.as_str())], count);
        }
    }
    page.gauge("talkburst_participants", "Those who take part in PoC Sessions, or are being invited.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard), ("state", &"connected")], census.server.connected);
        page.sample(&[("shard", shard), ("state", &"pending")], census.server.pending);
    }
    page.gauge("talkburst_buffered_packets", "Packets of speech that are kept for those who come late.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard)], census.server.buffered);
    }
    page.gauge("talkburst_pre_established_sessions", "Pre-established sessions.");
    for (shard, census) in censuses {
        let idle = census.server.pre_established.saturating_sub(census.server.in_use);
        page.sample(&[("shard", shard), ("state", &"idle")], idle);
        page.sample(&[("shard", shard), ("state", &"in-use")], census.server.in_use);
    }
    page.counter("talkburst_invites_total", "INVITEs that are over, by how and by whom.");
    for (shard, meter) in meters {
        for ([function, end, side], count) in meter.invites() {
            page.sample(&[("shard", shard), ("function", &function), ("end", &end), ("by", &side)], count);
        }
    }
    page.counter(
        "talkburst_members_total",
        "Users invited by the Controlling PoC Function, by how their legs ended.",
    );
    for (shard, meter) in meters {
        for (end, count) in meter.members() {
            page.sample(&[("shard", shard), ("end", &end)], count);
        }
    }
    page.gauge("talkburst_users", "Users that there are.");
    page.sample(&[], censuses.iter().map(|(_, census)| census.core.users).max().unwrap_or_default());
    page.gauge("talkburst_registered_users", "Users that can be reached.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard)], census.core.registered);
    }
    page.gauge("talkburst_bindings", "Addresses at which users can be reached.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard)], census.core.bindings);
    }
}

fn cancels(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    type Part = fn(&Cancels) -> u64;
    let mut family = |name, help: &str, label: &str, parts: &[(&'static str, Part)]| {
        page.counter(name, help);
        for (shard, census) in censuses {
            for (element, counts) in
                [("core", &census.core_counters.cancels), ("server", &census.below.cancels)]
            {
                for (value, part) in parts {
                    page.sample(&[("shard", shard), ("element", &element), (label, value)], part(counts));
                }
            }
        }
    };
    family(
        "talkburst_cancels_received_total",
        "CANCELs of peers, by what they met.",
        "met",
        &[
            ("undecided", |counts| counts.met_undecided),
            ("accepted", |counts| counts.met_accepted),
            ("refused", |counts| counts.met_refused),
            ("other", |counts| counts.met_other),
            ("nothing", |counts| counts.met_nothing),
        ],
    );
    family(
        "talkburst_cancel_wishes_total",
        "INVITEs of ours that somebody gave up, by the moment.",
        "moment",
        &[
            ("before-any-response", |counts| counts.wished_unanswered),
            ("while-ringing", |counts| counts.wished_ringing),
            ("too-late", |counts| counts.wished_late),
        ],
    );
    family(
        "talkburst_cancel_outcomes_total",
        "INVITEs of ours that somebody gave up, by what came back.",
        "outcome",
        &[
            ("terminated", |counts| counts.terminated),
            ("crossed-2xx", |counts| counts.crossed_success),
            ("crossed-refusal", |counts| counts.crossed_failure),
            ("no-final", |counts| counts.unsettled),
            ("no-response", |counts| counts.unheard),
        ],
    );
    family(
        "talkburst_cancel_answers_total",
        "CANCELs of ours, by their answers.",
        "answer",
        &[
            ("2xx", |counts| counts.answered),
            ("481", |counts| counts.unknown),
            ("other", |counts| counts.refused),
            ("none", |counts| counts.unanswered),
        ],
    );
    page.begin(
        "talkburst_cancel_answered_seconds",
        "histogram",
        "From taking a CANCEL off the network to its 200.",
    );
    for (shard, meter) in meters {
        page.histogram(&[("shard", shard)], &meter.cancel_answered);
    }
    page.begin(
        "talkburst_cancel_forwarded_seconds",
        "histogram",
        "From taking a CANCEL off the network to each CANCEL that leaves because of it at once.",
    );
    for (shard, meter) in meters {
        page.histogram(&[("shard", shard)], &meter.cancel_forwarded);
    }
}

/// What became of talk bursts.
fn bursts(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    page.counter("talkburst_bursts_granted_total", "Talk bursts that were granted.");
    page.samples(censuses, |census| census.media.granted);
    page.counter("talkburst_bursts_queued_total", "Requests that had to wait.");
    page.samples(censuses, |census| census.media.queued);
    let mut family =
        |name, help: &str, label: &str, parts: &[&'static str], counts: fn(&MediaCounters) -> &[u64]| {
            page.counter(name, help);
            for (shard, census) in censuses {
                for (part, count) in parts.iter().zip(counts(&census.media)) {
                    page.sample(&[("shard", shard), (label, part)], count);
                }
            }
        };
    family("talkburst_bursts_denied_total", "Requests that were denied.", "reason", &DENIALS, |media| {
        &media.denied
    });
    family("talkburst_bursts_revoked_total", "Talk bursts that were revoked.", "reason", &REVOKES, |media| {
        &media.revoked
    });
    family("talkburst_bursts_ended_total", "Talk bursts that are over.", "how", &ENDINGS, |media| {
        &media.ended
    });
    page.begin(
        "talkburst_grant_seconds",
        "histogram",
        "From taking talk burst control off the network to the Talk Burst Granted that leaves because of it.",
    );
    for (shard, meter) in meters {
        page.histogram(&[("shard", shard)], &meter.granted);
    }
}

/// What became of datagrams of media.
fn speech(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    type Part = fn(&MediaCounters) -> u64;
    let families: [(&'static str, &str, Part); 10] = [
        ("talkburst_speech_received_total", "Packets of speech of who may speak.", |media| media.speech),
        ("talkburst_speech_copies_total", "Copies of those that were sent.", |media| media.copies),
        ("talkburst_speech_gated_total", "Packets of speech of who may not speak.", |media| media.gated),
        (
            "talkburst_speech_jumped_total",
            "Packets of speech of who may speak whose timestamps jump.",
            |media| media.jumped,
        ),
        (
            "talkburst_media_relayed_total",
            "Datagrams of pre-established sessions that were passed on.",
            |media| media.relayed,
        ),
        ("talkburst_media_strangers_total", "Datagrams of media of nobody who takes part.", |media| {
            media.strangers
        }),
        ("talkburst_media_malformed_total", "Datagrams of media that are not what was agreed.", |media| {
            media.malformed
        }),
        ("talkburst_media_latched_total", "Participants found elsewhere than they had announced.", |media| {
            media.latched
        }),
        ("talkburst_tbcp_received_total", "Messages of talk burst control that came.", |media| media.heard),
        ("talkburst_tbcp_sent_total", "Messages of talk burst control that were sent.", |media| media.told),
    ];
    for (name, help, part) in families {
        page.counter(name, help);
        page.samples(censuses, |census| part(&census.media));
    }
    page.counter(
        "talkburst_unproven_legs_total",
        "Participants who never said that they had heard who speaks.",
    );
    page.samples(censuses, |census| census.media.unproven);
    page.counter(
        "talkburst_unlatched_legs_total",
        "Participants who are gone, and of whom nothing has come by way of media.",
    );
    page.samples(censuses, |census| census.media.unlatched);
    page.counter("talkburst_media_lost_total", "Datagrams of media for which the kernel had no room.");
    for (shard, meter) in meters {
        page.sample(&[("shard", shard)], meter.lost());
    }
}

fn tables(page: &mut Page, censuses: &Censuses<'_>) {
    page.gauge("talkburst_transactions", "Open transactions.");
    for (shard, census) in censuses {
        let elements = [
            ("core", &census.core.transactions),
            ("notifier", &census.core.notifier.transactions),
            ("server", &census.server.below.transactions),
        ];
        for (element, Transactions { invite_client, invite_server, client, server }) in elements {
            let kinds = [
                ("invite-client", invite_client),
                ("invite-server", invite_server),
                ("client", client),
                ("server", server),
            ];
            for (kind, count) in kinds {
                page.sample(&[("shard", shard), ("element", &element), ("kind", &kind)], count);
            }
        }
    }
    page.gauge("talkburst_contexts", "Requests that the core has passed on.");
    for (shard, census) in censuses {
        let core = &census.core;
        for (state, count) in [("open", core.open), ("ending", core.ending), ("answered", core.answered)] {
            page.sample(&[("shard", shard), ("state", &state)], count);
        }
    }
    page.gauge("talkburst_legs", "Legs of the PoC Server: INVITEs and what came of them.");
    for (shard, census) in censuses {
        let below = &census.server.below;
        let states = [
            ("inviting", below.inviting),
            ("established", below.established),
            ("leaving", below.leaving),
            ("over", below.over),
        ];
        for (state, count) in states {
            page.sample(&[("shard", shard), ("state", &state)], count);
        }
    }
    page.gauge("talkburst_dialogs", "Dialogs, early ones and those of subscriptions among them.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard), ("element", &"notifier")], census.core.notifier.dialogs);
        page.sample(&[("shard", shard), ("element", &"server")], census.server.below.dialogs);
    }
    page.gauge("talkburst_subscribers", "Subscriptions of peers.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard), ("element", &"notifier")], census.core.notifier.subscribers);
        page.sample(&[("shard", shard), ("element", &"server")], census.server.below.subscribers);
    }
    page.gauge("talkburst_messages_pending", "MESSAGEs that were sent on and have no answer.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard)], census.server.messages);
    }
    page.gauge("talkburst_stuck", "Objects past the time at which they must be gone. Not zero: a defect.");
    for (shard, census) in censuses {
        let (core, server) = (&census.core, &census.server);
        let stuck = [
            ("core", "transaction", core.stuck_transactions),
            ("core", "context", core.stuck_contexts),
            ("notifier", "transaction", core.notifier.stuck_transactions),
            ("server", "transaction", server.below.stuck_transactions),
            ("server", "leg", server.below.stuck_sessions),
            ("server", "session", server.stuck),
        ];
        for (element, kind, count) in stuck {
            page.sample(&[("shard", shard), ("element", &element), ("kind", &kind)], count);
        }
    }
    page.gauge("talkburst_timer_lag_seconds", "How late the earliest deadline of a shard is.");
    for (shard, census) in censuses {
        page.sample(&[("shard", shard)], census.lag.as_secs_f64());
    }
}

fn refusals(page: &mut Page, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    page.counter(
        "talkburst_rejected_total",
        "INVITEs that were refused, by the status that the inviter was told.",
    );
    for (shard, meter) in meters {
        for (status, count) in meter.refused() {
            page.sample(&[("shard", shard), ("status", &status)], count);
        }
    }
    page.counter("talkburst_bad_input_total", "Messages that were dropped or refused for what they are.");
    for (shard, census) in censuses {
        let (core, server, below) = (&census.core_counters, &census.server_counters, &census.below);
        let reasons = [
            ("core", "malformed", core.malformed),
            ("core", "looped", core.looped),
            ("core", "stray", core.stray),
            ("core", "unroutable", core.unroutable),
            ("core", "wrong-credentials", core.wrong_credentials),
            ("core", "wrong-identity", core.wrong_identity),
            ("core", "unmatched-cancel", core.unmatched_cancels),
            ("server", "malformed", below.malformed),
            ("server", "faulty", below.faulty),
            ("server", "stray", below.stray),
            ("server", "untrusted", server.untrusted),
        ];
        for (element, reason, count) in reasons {
            page.sample(&[("shard", shard), ("element", &element), ("reason", &reason)], count);
        }
    }
    page.counter("talkburst_challenged_total", "Requests that were asked for credentials.");
    page.samples(censuses, |census| census.core_counters.challenged);
    page.counter("talkburst_overloaded_total", "Requests that were answered 503 for want of room.");
    page.samples(censuses, |census| census.core_counters.overloaded);
    page.counter(
        "talkburst_unanswered_refusals_total",
        "Refusals that were not sent, for too many went to one source.",
    );
    page.samples(censuses, |census| census.core_counters.limited);
    page.counter("talkburst_checks_failed_total", "INVITEs that a check of the PoC Server refused.");
    page.samples(censuses, |census| census.server_counters.refused);
    page.counter("talkburst_forwarded_total", "Requests that the core has passed on, each counted once.");
    page.samples(censuses, |census| census.core_counters.forwarded);
}

impl Page {
    /// One sample a shard.
    fn samples(&mut self, censuses: &Censuses<'_>, count: impl Fn(&ShardCensus) -> u64) {
        for (shard, census) in censuses {
            self.sample(&[("shard", shard)], count(census));
        }
    }
}

fn queues(page: &mut Page, watch: &Watch, meters: &Meters<'_>, censuses: &Censuses<'_>) {
    page.gauge("talkburst_connections", "Open connections.");
    page.samples(censuses, |census| census.connections as u64);
    page.gauge("talkburst_handed_queue", "Messages of other shards that wait.");
    page.samples(censuses, |census| census.handed as u64);
    page.gauge("talkburst_event_queue", "Events of all shards that wait to be told and stored.");
    page.sample(&[], censuses.iter().map(|(_, census)| census.events).max().unwrap_or_default());
    page.gauge("talkburst_ring_bytes", "Messages that are kept for a capture.");
    page.samples(censuses, |census| census.kept as u64);
    page.counter("talkburst_dropped_total", "What was dropped, since nobody took it in time.");
    for (what, count) in watch.dropped.parts() {
        page.sample(&[("what", &what)], count);
    }
    page.sample(&[("what", &"traced")], meters.iter().map(|(_, meter)| meter.unseen()).sum::<u64>());
    page.sample(&[("what", &"log-line")], log::dropped());
    page.sample(&[("what", &"log-repeated")], log::limited());
}
