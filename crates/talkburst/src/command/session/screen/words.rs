//! What the screen says: the state in words.

use sip::Instant;

use super::state::{Link, Own, Place, Purpose, Reports, Span, State, Tone, seconds_until};
use super::text::Name;

/// What is said first.
#[derive(Debug)]
pub(super) struct Headline {
    pub(super) tone: Tone,
    /// One cell, so that the tone can be told without colour.
    pub(super) sign: &'static str,
    pub(super) text: String,
    /// What that does, if it is a name: it is seen however long the name is.
    pub(super) does: &'static str,
    /// What stands at the right of it.
    pub(super) aside: String,
    /// How much is left of a span that passes, of 1.
    pub(super) left: Option<f64>,
}

impl Headline {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        let sign = match tone {
            Tone::Quiet => "○",
            Tone::Theirs => "▶",
            Tone::Good => "●",
            Tone::Asks => "◆",
            Tone::Bad => "×",
        };
        Self { tone, sign, text: text.into(), does: "", aside: String::new(), left: None }
    }

    fn of(tone: Tone, name: &str, does: &'static str) -> Self {
        Self { does, ..Self::new(tone, name) }
    }

    fn aside(self, aside: String) -> Self {
        Self { aside, ..self }
    }

    fn passing(self, span: Option<Span>, now: Instant) -> Self {
        Self { left: span.map(|span| span.share(now)), ..self }
    }
}

/// What matters most.
pub(super) fn headline(state: &State, now: Instant) -> Headline {
    let quiet = |text: String| Headline::new(Tone::Quiet, text);
    match (state.place, state.purpose, state.link) {
        (Place::Nowhere, _, Link::Failed(_)) => Headline::new(Tone::Bad, "not registered"),
        (Place::Nowhere, Purpose::Answer, _) => quiet("waiting for calls".to_owned()),
        (Place::Nowhere, Purpose::Call, Link::Registered) => quiet("registered".to_owned()),
        (Place::Nowhere, Purpose::Call, Link::Direct) => quiet("looking for the way".to_owned()),
        (Place::Calling { rings: false }, ..) => quiet(format!("calling {}", with(state))),
        (Place::Calling { rings: true }, ..) => quiet(format!("it rings: {}", with(state))),
        (Place::Cancelling, ..) => quiet(format!("cancelling: {}", with(state))),
        (Place::Invited { asks: true }, ..) => Headline::of(Tone::Asks, inviter(state), " calls"),
        (Place::Invited { asks: false }, ..) => {
            Headline::of(Tone::Quiet, inviter(state), " calls, and is answered")
        }
        (Place::Session, ..) => burst(state, now),
    }
}

fn burst(state: &State, now: Instant) -> Headline {
    let left = |span: Span| format!("{} s left", span.seconds(now));
    let who = state.speaker.as_ref();
    let hearing = || match who {
        Some(who) => Headline::of(Tone::Theirs, &who.name, " speaks"),
        None if state.has_bursts => Headline::new(Tone::Quiet, "nobody speaks"),
        None => Headline::new(Tone::Quiet, "connected, without talk bursts"),
    };
    match state.own {
        Own::Silent => hearing(),
        Own::Asking => hearing().aside("asked for".to_owned()),
        Own::Queued { place: Some(place) } => {
            hearing().aside(format!("you are in the queue at place {place}"))
        }
        Own::Queued { place: None } => hearing().aside("you are in the queue".to_owned()),
        Own::Turn { until } => {
            let seconds = seconds_until(until, now);
            Headline::new(Tone::Asks, "your turn: press").aside(format!("within {seconds} s"))
        }
        Own::Speaks { limit } => {
            let aside = limit.map(left).unwrap_or_default();
            Headline::new(Tone::Good, "you speak").aside(aside).passing(limit, now)
        }
        Own::Barred { limit } => {
            let aside = format!("you may ask in {} s", limit.seconds(now));
            let headline = if who.is_some() { hearing() } else { Headline::new(Tone::Bad, "wait") };
            headline.aside(aside).passing(Some(limit), now)
        }
    }
}

/// What is said beneath it.
pub(super) fn detail(state: &State) -> (Tone, String) {
    if let Some(notice) = &state.notice {
        return (notice.tone, notice.text.clone());
    }
    let text = match state.place {
        Place::Nowhere | Place::Calling { .. } | Place::Cancelling | Place::Session => String::new(),
        Place::Invited { .. } => {
            let group = state.with.first().filter(|with| state.people.iter().all(|each| each.who != **with));
            let group = group.map(|group| format!("to {}", group.address));
            let others = state.people.len().saturating_sub(1);
            let others = (others > 0).then(|| format!("with {others} more"));
            group.into_iter().chain(others).collect::<Vec<_>>().join(", ")
        }
    };
    (Tone::Quiet, text)
}

fn inviter(state: &State) -> &str {
    state.people.first().map_or("somebody", |person| &person.who.name)
}

/// Whom the session is with.
fn with(state: &State) -> String {
    state.with.iter().map(|with| with.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Who we are, and with whom; in narrow places without domains.
pub(super) fn title(state: &State, is_short: bool) -> (&str, String) {
    let shown = |name: &'_ Name| if is_short { name.name.clone() } else { name.address.clone() };
    let with: Vec<_> = state.with.iter().map(shown).collect();
    let kind = state.kind.map(|kind| format!("  {kind}")).unwrap_or_default();
    let with = if with.is_empty() { String::new() } else { format!(" → {}{kind}", with.join(", ")) };
    (if is_short { &state.us.name } else { &state.us.address }, with)
}

/// What the server thinks of us.
pub(super) fn link(state: &State) -> (Tone, String) {
    match state.link {
        Link::Direct => (Tone::Quiet, String::new()),
        Link::Registered => (Tone::Quiet, "registered".to_owned()),
        Link::Failed(None) => (Tone::Bad, "not registered".to_owned()),
        Link::Failed(Some(status)) => (Tone::Bad, format!("not registered ({status})")),
    }
}

/// Keys, and what each does now; the most important first.
pub(super) fn keys(state: &State) -> Vec<(&'static str, &'static str)> {
    let mut keys = Vec::new();
    match state.place {
        Place::Nowhere if state.purpose == Purpose::Call => keys.push(("Esc", "give up")),
        Place::Nowhere | Place::Cancelling => {}
        Place::Calling { .. } => keys.push(("Esc", "cancel")),
        Place::Invited { asks: true } => keys.extend([("Enter", "answer"), ("Esc", "refuse")]),
        Place::Invited { asks: false } => keys.push(("Esc", "leave")),
        Place::Session => {
            if state.has_bursts {
                keys.push(("space", key(state)));
            }
            keys.push(("Esc", "leave"));
        }
    }
    keys.push(("q", "end"));
    keys.push(("b", if state.has_bell { "mute bell" } else { "unmute bell" }));
    keys
}

/// What the key to speak does: how it is used depends on what the terminal tells of it.
fn key(state: &State) -> &'static str {
    let is_held = state.reports == Reports::Releases;
    match (state.own, state.is_pressed) {
        (Own::Silent | Own::Barred { .. }, _) | (Own::Queued { .. } | Own::Turn { .. }, false) => {
            match state.reports {
                Reports::Unknown => "talk",
                Reports::Releases => "hold to talk",
                Reports::Presses => "talk, again to stop",
            }
        }
        (Own::Asking | Own::Queued { .. } | Own::Turn { .. }, _) if is_held => "let go to ask no more",
        (Own::Asking | Own::Queued { .. } | Own::Turn { .. }, _) => "ask no more",
        (Own::Speaks { .. }, _) if is_held => "let go to stop",
        (Own::Speaks { .. }, _) => "stop",
    }
}
