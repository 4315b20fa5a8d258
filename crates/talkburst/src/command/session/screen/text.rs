//! What others wrote, made fit for cells: nothing that commands the terminal, turns its direction, or hides.

use ratatui::text::Span;
use sip::message::NameAddr;

use super::super::address;
use super::super::voice::is_command;

/// Marks that one letter may carry; what is stacked higher runs into other lines.
const MARKS_MAX: usize = 2;

/// What stands for an empty name.
const NAMELESS: &str = "?";

/// `text` as it is shown.
pub(super) fn shown(text: &str) -> String {
    let (mut shown, mut marks) = (String::new(), MARKS_MAX);
    for each in text.chars() {
        if is_command(each) {
            shown.push(char::REPLACEMENT_CHARACTER);
        } else if each.is_whitespace() {
            shown.push(' ');
        } else if is_invisible(each) {
            continue;
        } else if columns(each.encode_utf8(&mut [0; 4])) > 0 {
            shown.push(each);
        } else if marks < MARKS_MAX {
            marks += 1;
            shown.push(each);
            continue;
        } else {
            continue;
        }
        marks = 0;
    }
    shown
}

/// Characters of no width of which terminals disagree what they do to the width of others.
fn is_invisible(each: char) -> bool {
    matches!(each, '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Cells that `text` takes.
pub(super) fn columns(text: &str) -> usize {
    Span::raw(text).width()
}

/// As much of `text` as `width` cells hold; an ellipsis says that there is more.
pub(super) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (span, mut cut, mut left) = (Span::raw(text), String::new(), width.saturating_sub(1));
    for cluster in span.styled_graphemes(ratatui::style::Style::new()) {
        let Some(rest) = left.checked_sub(columns(cluster.symbol)) else { break };
        (left, cut) = (rest, cut + cluster.symbol);
    }
    if width > 0 { cut + "…" } else { cut }
}

/// A user or a group: its address to compare, and the name and the address to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    pub(super) uri: String,
    pub(super) name: String,
    pub(super) address: String,
}

impl Name {
    /// `address` may have a display name; `name` is a better one.
    pub(super) fn new(address: &str, name: Option<&str>) -> Self {
        let read = NameAddr::parse(address.as_bytes()).ok();
        let uri = read.map_or(address.as_bytes(), |read| read.uri);
        let uri = String::from_utf8_lossy(uri).into_owned();
        let display = read.map(|read| String::from_utf8_lossy(read.display).into_owned());
        let display = display.map(|display| unquoted(&display));
        let name = name.map(str::to_owned).or(display).map(|name| shown(name.trim()));
        let user = || address::user_of(address).map(|user| shown(&user));
        let full = |name: &String| !name.trim().is_empty();
        let address = shown(uri.strip_prefix("sip:").unwrap_or(&uri));
        let name =
            name.filter(full).or_else(user).filter(full).or_else(|| Some(address.clone()).filter(full));
        Self { uri, name: name.unwrap_or_else(|| NAMELESS.to_owned()), address }
    }
}

/// RFC 3261 §25.1: a quoted-string, or what is none as it is.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else { return text.to_owned() };
    let (mut unquoted, mut characters) = (String::new(), inner.chars());
    while let Some(each) = characters.next() {
        unquoted.extend(if each == '\\' { characters.next() } else { Some(each) });
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_the_terminal_or_turns_its_direction_is_replaced() {
        assert_eq!(shown("a\u{1b}[2Jb\u{9b}1m\r\n"), "a\u{fffd}[2Jb\u{fffd}1m\u{fffd}\u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{200f}d\u{2028}e"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e");
        assert_eq!(
            shown("\u{5d0}\u{5d1} \u{e4}"),
            "\u{5d0}\u{5d1} \u{e4}",
            "letters of any direction are letters"
        );
    }

    #[test]
    fn what_is_invisible_is_left_out_and_marks_do_not_pile_up() {
        assert_eq!(shown("b\u{200b}e\u{feff}n\u{200d}\u{fe0f}\u{3000}x"), "ben x");
        let piled = format!("e{}n", "\u{301}".repeat(50));
        assert_eq!(shown(&piled), "e\u{301}\u{301}n");
        assert_eq!(shown("\u{301}\u{301}a"), "a", "a mark needs a letter");
    }

    #[test]
    fn wide_letters_are_cut_where_they_fit() {
        assert_eq!(cut("anna", 4), "anna");
        assert_eq!(cut("annabel", 4), "ann…");
        assert_eq!(cut("漢字漢字", 8), "漢字漢字");
        assert_eq!(cut("漢字漢字", 7), "漢字漢…");
        assert_eq!(cut("漢字漢字", 6), "漢字…", "half a letter is none");
        assert_eq!((cut("anna", 1).as_str(), cut("anna", 0).as_str()), ("…", ""));
    }

    #[test]
    fn a_name_is_the_best_there_is() {
        let name = |address, name| Name::new(address, name).name;
        assert_eq!(name("sip:ben@example.com", Some("Ben B.")), "Ben B.");
        assert_eq!(name("\"Ben \\\"B\\\"\" <sip:ben@example.com>", None), "Ben \"B\"");
        assert_eq!(name("sip:ben@example.com", Some(" \u{200b} ")), "ben");
        assert_eq!(name("<sip:example.com>", None), "example.com");
        assert_eq!(name("", None), NAMELESS);
        let name = Name::new("\"Ben\" <sip:ben@example.com>;tag=1", None);
        assert_eq!((name.uri.as_str(), name.address.as_str()), ("sip:ben@example.com", "ben@example.com"));
    }
}
