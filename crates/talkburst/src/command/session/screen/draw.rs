//! The state as cells. Nothing here knows a terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use sip::Instant;

use super::state::{Meter, Own, Person, Place, SILENCE_DB, State, Tone};
use super::text::{columns, cut};
use super::words::{self, Headline};

/// Columns that are used of wider terminals: what belongs together is seen together.
const WIDTH_MAX: u16 = 120;

/// Columns from which what happened stands beside those who take part.
const BESIDE_MIN: u16 = 72;

/// The most columns that those who take part get beside it.
const PEOPLE_MAX: u16 = 44;

/// Rows from which the headline has a frame.
const FRAME_MIN: u16 = 16;

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    pub(super) has_colours: bool,
}

impl Look {
    /// A tone has a colour; without colours it is told by weight, and by the sign before it.
    fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Quiet => return Style::new(),
            Tone::Theirs => (Color::Cyan, Modifier::BOLD),
            Tone::Good => (Color::Green, Modifier::BOLD | Modifier::REVERSED),
            Tone::Asks => (Color::Yellow, Modifier::BOLD | Modifier::REVERSED),
            Tone::Bad => (Color::Red, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.has_colours { style.fg(colour) } else { style }
    }

    /// The same for lines and bars.
    fn line(self, tone: Tone) -> Style {
        let style = self.style(tone).remove_modifier(Modifier::REVERSED | Modifier::BOLD);
        if tone == Tone::Quiet { FAINT } else { style }
    }
}

/// From which level on speech is about to be clipped.
const LOUD_DB: i16 = -3;

const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws all of it.
pub(super) fn draw(state: &State, now: Instant, look: Look, buffer: &mut Buffer) {
    let whole = buffer.area;
    if whole.width < 4 || whole.height == 0 {
        return;
    }
    let width = whole.width.min(WIDTH_MAX);
    let area = Rect { x: whole.x + (whole.width - width) / 2, width, ..whole };
    let is_framed = area.height >= FRAME_MIN && area.width >= 24;
    let keys = wrapped(&words::keys(state), area.width - 2, if area.height >= 12 { 2 } else { 1 });
    let header = match area.height {
        0..=5 => 0,
        6..=11 => 1,
        12.. if is_framed => 1,
        12.. => 2, // a rule instead of the frame
    };
    let footer = match area.height {
        0..=2 => 0,
        3..=11 => 1,
        12.. => 1 + keys.len() as u16,
    };
    draw_header(state, look, rows(area, 0, header), buffer);
    let body = rows(area, header, area.height - header - footer);
    let headline = words::headline(state, now);
    let (rest, inner) = if is_framed {
        let frame = rows(body, 0, 5);
        draw_frame(frame, look.line(headline.tone), buffer);
        (6, Rect { x: frame.x + 2, y: frame.y + 1, width: frame.width - 4, height: 3 })
    } else {
        (3, Rect { x: body.x + 1, width: body.width - 2, ..rows(body, 0, 3) })
    };
    draw_headline(state, &headline, look, inner, buffer);
    draw_rest(state, look, rows(body, rest, body.height), buffer);
    draw_footer(&keys, rows(area, area.height - footer, footer), buffer);
}

/// So many rows of an area from there on, or as many as there are.
fn rows(area: Rect, from: u16, height: u16) -> Rect {
    let from = from.min(area.height);
    Rect { y: area.y + from, height: height.min(area.height - from), ..area }
}

/// Text in one row, cut to the width; the columns that it took.
fn put(buffer: &mut Buffer, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
    let text = cut(text, width.into());
    buffer.set_stringn(x, y, &text, width.into(), style).0 - x
}

/// The same at the right end, if there is room beside `used` columns.
fn put_right(buffer: &mut Buffer, row: Rect, used: u16, text: &str, style: Style) {
    let width = columns_of(text);
    if used + 2 + width <= row.width {
        put(buffer, row.right() - width, row.y, width, text, style);
    }
}

/// More columns than a terminal can have are as many as it can have.
fn columns_of(text: &str) -> u16 {
    u16::try_from(columns(text)).unwrap_or(u16::MAX / 2)
}

fn rule(row: Rect, title: &str, buffer: &mut Buffer) {
    put(buffer, row.x, row.y, row.width, &"─".repeat(row.width.into()), FAINT);
    if !title.is_empty() && row.width > 8 {
        put(buffer, row.x + 1, row.y, row.width - 2, &format!(" {title} "), STRONG);
    }
}

fn draw_header(state: &State, look: Look, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let row = Rect { x: area.x + 1, width: area.width - 2, ..rows(area, 0, 1) };
    let (full, (tone, link)) = (words::title(state, false), words::link(state));
    let fits = columns(full.0) + columns(&full.1) <= row.width.into();
    let (us, with) = if fits { full } else { words::title(state, true) };
    let used = put(buffer, row.x, row.y, row.width, us, STRONG);
    let used = used + put(buffer, row.x + used, row.y, row.width - used, &with, Style::new());
    let style = if tone == Tone::Quiet { FAINT } else { look.style(tone) };
    put_right(buffer, row, used, &link, style);
    if area.height > 1 {
        rule(rows(area, 1, 1), "", buffer);
    }
}

fn draw_frame(area: Rect, style: Style, buffer: &mut Buffer) {
    let across = "─".repeat(usize::from(area.width).saturating_sub(2));
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    put(buffer, area.x, area.y, area.width, &format!("╭{across}╮"), style);
    put(buffer, area.x, bottom, area.width, &format!("╰{across}╯"), style);
    for y in area.y + 1..bottom {
        put(buffer, area.x, y, 1, "│", style);
        put(buffer, right, y, 1, "│", style);
    }
}

fn draw_headline(state: &State, headline: &Headline, look: Look, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let room = usize::from(area.width).saturating_sub(4 + headline.does.len());
    let text = format!(" {} {}{} ", headline.sign, cut(&headline.text, room), headline.does);
    let style = look.style(headline.tone).patch(STRONG);
    let used = put(buffer, area.x, area.y, area.width, &text, style);
    // What does not fit beside it goes beneath, and all of it as long as there are rows.
    let fits = columns_of(&text) + 2 + columns_of(&headline.aside) <= area.width;
    if fits {
        put_right(buffer, rows(area, 0, 1), used, &headline.aside, STRONG);
    }
    let mut left = rows(area, 1, area.height);
    let mut next = |is_wanted: bool| {
        let row = Rect { x: left.x + 1, width: left.width - 1, ..rows(left, 0, 1) };
        let is_there = is_wanted && row.height > 0;
        left = rows(left, is_there.into(), left.height);
        is_there.then_some(row)
    };
    if let Some(row) = next(!fits && !headline.aside.is_empty()) {
        put(buffer, row.x, row.y, row.width, &headline.aside, STRONG);
    }
    let (tone, detail) = words::detail(state);
    if let Some(row) = next(!detail.is_empty()) {
        let style = if tone == Tone::Quiet { FAINT } else { look.style(tone) };
        put(buffer, row.x, row.y, row.width, &detail, style.remove_modifier(Modifier::REVERSED));
    }
    if let Some(share) = headline.left
        && let Some(row) = next(true)
    {
        bar(row, share, ("━", look.line(headline.tone)), "─", buffer);
    }
    if let Some(meter) = state.meter
        && let Some(row) = next(true)
    {
        draw_meter(meter, look, row, buffer);
    }
}

/// A row of which the share that there is, of 1, is drawn in one way and the rest in another.
fn bar(row: Rect, share: f64, (full, style): (&str, Style), rest: &str, buffer: &mut Buffer) {
    let width = usize::from(row.width);
    let filled = ((share * width as f64).round() as usize).min(width);
    let used = put(buffer, row.x, row.y, row.width, &full.repeat(filled), style);
    put(buffer, row.x + used, row.y, row.width - used, &rest.repeat(width - filled), FAINT);
}

fn draw_meter(meter: Meter, look: Look, row: Rect, buffer: &mut Buffer) {
    let (label, number) = (if meter.is_own { "said  " } else { "heard " }, format!("{:>5} dBFS", meter.db()));
    let (before, after) = (columns_of(label), columns_of(&number));
    if row.width < before + after + 4 {
        return;
    }
    put(buffer, row.x, row.y, before, label, FAINT);
    put_right(buffer, row, before, &number, FAINT);
    let share = f64::from(meter.db() - SILENCE_DB) / f64::from(-SILENCE_DB);
    let tone = match (meter.db() >= LOUD_DB, meter.is_own) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Good,
        (false, false) => Tone::Theirs,
    };
    let middle = Rect { x: row.x + before, width: row.width - before - after - 1, ..row };
    bar(middle, share, ("■", look.line(tone)), "·", buffer);
}

/// Who takes part, and what happened, as far as there is room.
fn draw_rest(state: &State, look: Look, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    if state.people.is_empty() {
        return draw_lines(state, area, buffer);
    }
    if area.width < BESIDE_MIN {
        return draw_people(state, look, area, buffer);
    }
    let width = (area.width * 2 / 5).min(PEOPLE_MAX);
    draw_people(state, look, Rect { width, ..area }, buffer);
    let beside = Rect { x: area.x + width + 2, width: area.width - width - 2, ..area };
    draw_lines(state, beside, buffer);
}

fn draw_people(state: &State, look: Look, area: Rect, buffer: &mut Buffer) {
    let title = match state.place {
        Place::Invited { .. } => "who calls",
        Place::Nowhere | Place::Calling { .. } | Place::Cancelling | Place::Session => "who takes part",
    };
    rule(rows(area, 0, 1), &format!("{title}: {}", state.people.len()), buffer);
    let (all, room) = (state.people.len(), usize::from(area.height) - 1);
    let shown = if all > room { room - 1 } else { all };
    let first = state.scroll.min(all - shown);
    let mut left = rows(area, 1, area.height);
    for person in &state.people[first..first + shown] {
        draw_person(state, person, look, rows(left, 0, 1), buffer);
        left = rows(left, 1, left.height);
    }
    if all > room {
        let (before, after) = (first, all - first - shown);
        let text = match (before, after) {
            (0, after) => format!("and {after} more ↓"),
            (before, 0) => format!("and {before} more ↑"),
            (before, after) => format!("and {before} more ↑, {after} more ↓"),
        };
        put(buffer, left.x + 3, left.y, left.width.saturating_sub(3), &text, FAINT);
    }
}

fn draw_person(state: &State, person: &Person, look: Look, row: Rect, buffer: &mut Buffer) {
    let is_us = person.who.uri == state.us.uri;
    let speaks = state.speaker.as_ref().is_some_and(|speaker| speaker.uri == person.who.uri);
    let is_speaking = is_us && matches!(state.own, Own::Speaks { .. });
    let (sign, style) = match person.status {
        _ if is_speaking => ("●", look.style(Tone::Good).remove_modifier(Modifier::REVERSED)),
        _ if speaks => ("▶", look.style(Tone::Theirs)),
        Some(_) => (" ", FAINT),
        None => (" ", Style::new()),
    };
    let row = Rect { x: row.x + 1, width: row.width - 1, ..row };
    put(buffer, row.x, row.y, 1, sign, style);
    let note = if is_us { Some("you") } else { person.status };
    // What a name is worth is seen beside it, if there is room.
    let is_named = !person.who.address.starts_with(&person.who.name);
    let note = match (note, is_named) {
        (Some(note), _) => note,
        (None, true) => &person.who.address,
        (None, false) => "",
    };
    let room = row.width - 2;
    let name = room.saturating_sub(columns_of(note).min(12) + 2);
    let used = put(buffer, row.x + 2, row.y, name, &person.who.name, style) + 2;
    if room > used {
        put(buffer, row.x + 2 + used, row.y, room - used, note, FAINT);
    }
}

fn draw_lines(state: &State, area: Rect, buffer: &mut Buffer) {
    rule(rows(area, 0, 1), "what happened", buffer);
    let room = usize::from(area.height) - 1;
    let first = state.lines.len().saturating_sub(room);
    for ((at, text), y) in state.lines.iter().skip(first).zip(area.y + 1..) {
        let seconds = at.since_start().as_secs();
        let time = format!("{:>3}:{:02}", seconds / 60, seconds % 60);
        let used = put(buffer, area.x + 1, y, area.width - 1, &time, FAINT) + 3;
        if area.width > used {
            put(buffer, area.x + used, y, area.width - used, text, Style::new());
        }
    }
}

/// KeyRow that stand in one row.
type KeyRow = Vec<(&'static str, &'static str)>;

/// KeyRow in so many rows at most; those for which there is no room are left out.
fn wrapped(keys: &KeyRow, width: u16, rows_max: usize) -> Vec<KeyRow> {
    let mut rows: Vec<KeyRow> = vec![Vec::new()];
    let mut used = 0;
    for &(key, what) in keys {
        let columns = columns_of(key) + 1 + columns_of(what);
        if used > 0 && used + 3 + columns > width {
            if rows.len() == rows_max {
                break;
            }
            rows.push(Vec::new());
            used = 0;
        }
        used += columns + if used > 0 { 3 } else { 0 };
        rows.last_mut().into_iter().for_each(|row| row.push((key, what)));
    }
    rows
}

fn draw_footer(keys: &[KeyRow], area: Rect, buffer: &mut Buffer) {
    let mut area = area;
    if area.height as usize > keys.len() {
        rule(rows(area, 0, 1), "", buffer);
        area = rows(area, 1, area.height);
    }
    for (keys, y) in keys.iter().zip(area.y..area.bottom()) {
        let mut x = area.x + 1;
        for (key, what) in keys {
            let room = area.right().saturating_sub(x);
            x += put(buffer, x, y, room, key, STRONG) + 1;
            let room = area.right().saturating_sub(x);
            x += put(buffer, x, y, room, what, Style::new()) + 3;
        }
    }
}
