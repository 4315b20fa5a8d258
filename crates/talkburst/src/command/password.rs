//! Passwords: from standard input, or typed without echo.
//!
//! The terminal is read with crossterm, which reads the keys of `call` and `answer` already.

use std::io;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;

use super::Failure;
#[cfg(unix)]
use super::session::settings::first_line;

/// Characters of the longest password that is typed.
const TYPED_MAX: usize = 1024;

/// Reads a new password: the first line of standard input if `from_stdin`, else what is typed, twice the same.
#[cfg(unix)]
pub(super) fn read_new(from_stdin: bool) -> Result<Vec<u8>, Failure> {
    if from_stdin {
        let line = first_line(io::stdin());
        return line.map(Vec::from).map_err(|error| Failure::Password("standard input".to_owned(), error));
    }
    if !io::IsTerminal::is_terminal(&io::stdin()) {
        return Err(Failure::Usage("there is no terminal to type the password at; use --password-stdin"));
    }
    let typed = ask("Password: ")?;
    if typed.is_empty() {
        return Err(Failure::Usage("a user needs a password; type one"));
    }
    if ask("Again: ")? != typed {
        return Err(Failure::Usage("the passwords are not the same; type the same one twice"));
    }
    Ok(typed.into_bytes())
}

/// Asks for a password at the terminal.
pub(super) fn ask(text: &str) -> Result<String, Failure> {
    prompt(text).map_err(|error| Failure::Password("the terminal".to_owned(), error))
}

fn prompt(text: &str) -> io::Result<String> {
    terminal::enable_raw_mode()?;
    anstream::eprint!("{text}");
    let typed = type_in();
    terminal::disable_raw_mode()?;
    anstream::eprintln!();
    typed
}

fn type_in() -> io::Result<String> {
    let mut typed = String::new();
    loop {
        match crossterm::event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => match press(&mut typed, key) {
                Some(Typed::Whole) => return Ok(typed),
                Some(Typed::GivenUp) => return Err(io::ErrorKind::Interrupted.into()),
                None => {}
            },
            Event::Key(_)
            | Event::FocusGained
            | Event::FocusLost
            | Event::Mouse(_)
            | Event::Paste(_)
            | Event::Resize(..) => {}
        }
    }
}

/// How a line ends.
#[derive(PartialEq, Eq, Debug)]
enum Typed {
    Whole,
    GivenUp,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the keyboard is not ours: other keys mean nothing")]
fn press(typed: &mut String, key: KeyEvent) -> Option<Typed> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => return Some(Typed::Whole),
        // The end of a line that was typed before the terminal gave each key at once.
        KeyCode::Char('j') if is_control => return Some(Typed::Whole),
        KeyCode::Char('c' | 'd') if is_control => return Some(Typed::GivenUp),
        KeyCode::Char('u') if is_control => typed.clear(),
        KeyCode::Backspace => drop(typed.pop()),
        KeyCode::Char(character) if !is_control && typed.chars().count() < TYPED_MAX => typed.push(character),
        _ => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_typed_mended_and_given_up() {
        let mut typed = String::new();
        let mut press = |code, modifiers| press(&mut typed, KeyEvent::new(code, modifiers));
        for character in ['a', '\u{e4}', 'C'] {
            assert_eq!(press(KeyCode::Char(character), KeyModifiers::NONE), None);
        }
        assert_eq!(press(KeyCode::Backspace, KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Left, KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Typed::GivenUp));
        assert_eq!(press(KeyCode::Enter, KeyModifiers::NONE), Some(Typed::Whole));
        assert_eq!(press(KeyCode::Char('j'), KeyModifiers::CONTROL), Some(Typed::Whole));
        assert_eq!(typed, "a\u{e4}");
    }
}
