//! What the user wants: keys in a terminal, and signals.

mod space;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use tokio::sync::mpsc::{self, Receiver, Sender};

use self::space::Space;
use super::screen::{Reports, View};

/// Something that the user wants, or that an option wants in the user's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// Accept the invitation.
    Answer,
    /// Refuse the invitation.
    Refuse,
    /// Give up our invitation.
    Cancel,
    /// Leave the session.
    Leave,
    /// Offer the media of the session again.
    Reoffer,
    /// Give up that offer.
    CancelReoffer,
    /// Add users, and send users away, as was planned.
    ChangeMembers,
    /// Speak.
    Press,
    /// Speak no more.
    LetGo,
    /// Speak, or speak no more: the other of what it is.
    Toggle,
    /// End the session, whatever its state.
    HangUp,
    /// The same; the program, if it has been started for a session that there is not yet.
    GiveUp,
    /// See something else on the screen.
    View(View),
    /// End the session and the program.
    Quit,
    /// The same; asked for a second time, the program ends at once.
    Interrupt,
}

/// Wishes that may wait. Who holds a key down waits with it.
const WAITING_MAX: usize = 16;

/// Which keys there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keys {
    None,
    /// Those of a program that tells in lines.
    Lines,
    /// Those of the screen, too.
    Screen,
}

/// How long an answer of the terminal is waited for at the end: the shell is not to get it.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// The user.
pub(crate) struct Wishes {
    receiver: Receiver<Wish>,
    /// Closed once the terminal has answered what it was asked, if anything.
    answered: std::sync::mpsc::Receiver<()>,
    raw_mode: Option<RawMode>,
}

impl Wishes {
    /// Listens to signals; and to keys, if there are `keys` and standard input is a terminal.
    pub(crate) fn listen(keys: Keys) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        listen_to_signals(&sender)?;
        let (answers, answered) = std::sync::mpsc::channel();
        let raw_mode = if keys != Keys::None && has_keys() {
            let raw_mode = RawMode::enter()?;
            // Reading a terminal cannot be given up: the thread ends with the program.
            std::thread::spawn(move || match keys {
                Keys::None | Keys::Lines => {
                    drop(answers); // nothing is asked
                    read_keys(&sender);
                }
                Keys::Screen => read_keys_of_screen(&sender, answers),
            });
            Some(raw_mode)
        } else {
            // One sender stays with the signals.
            None
        };
        Ok(Self { receiver, answered, raw_mode })
    }

    /// Whether keys are read.
    pub(crate) fn has_keys(&self) -> bool {
        self.raw_mode.is_some()
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Wish {
        match self.receiver.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Wishes {
    fn drop(&mut self) {
        // In raw mode still: the answer is not echoed either.
        let _ = self.answered.recv_timeout(ANSWER_MAX);
    }
}

/// Whether there is a user with keys.
pub(crate) fn has_keys() -> bool {
    io::stdin().is_terminal()
}

/// The terminal gives each key at once and echoes none, until this is dropped or the program panics.
struct RawMode;

impl RawMode {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = terminal::disable_raw_mode();
            report(panic);
        }));
        Ok(Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = terminal::disable_raw_mode();
    }
}

fn read_keys(sender: &Sender<Wish>) {
    // A terminal that is gone says no more; a hang-up comes as a signal.
    while let Ok(event) = crossterm::event::read() {
        let wish = match event {
            Event::Key(key) if key.kind == KeyEventKind::Press => wish_of(key),
            Event::Key(_)
            | Event::FocusGained
            | Event::FocusLost
            | Event::Mouse(_)
            | Event::Paste(_)
            | Event::Resize(..) => None,
        };
        if let Some(wish) = wish
            && sender.blocking_send(wish).is_err()
        {
            return;
        }
    }
}

fn read_keys_of_screen(sender: &Sender<Wish>, answers: std::sync::mpsc::Sender<()>) {
    // Answered at once, or after two seconds by a terminal that does not even say what it is. Keys wait so long.
    let reports = match terminal::supports_keyboard_enhancement() {
        Ok(true) => Reports::Releases,
        _ if cfg!(windows) => Reports::Releases,
        Ok(false) | Err(_) => Reports::Presses,
    };
    drop(answers);
    let mut space = Space::new(reports);
    let mut wish = Some(Wish::View(View::Keys(reports)));
    loop {
        if let Some(wish) = wish
            && sender.blocking_send(wish).is_err()
        {
            return;
        }
        let Ok(event) = crossterm::event::read() else { return };
        wish = match event {
            Event::Key(key) if key.code == KeyCode::Char(' ') => space.handle_key(Instant::now(), key.kind),
            Event::Key(key) if key.kind == KeyEventKind::Release => None,
            Event::Key(key) => view_of(key).or_else(|| wish_of(key)),
            Event::FocusLost => space.handle_loss(),
            Event::Resize(..) => Some(Wish::View(View::Again)),
            Event::FocusGained | Event::Mouse(_) | Event::Paste(_) => None,
        };
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the keyboard is not ours: other keys mean nothing")]
fn wish_of(key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Wish::Interrupt);
    }
    match key.code {
        KeyCode::Char('a') | KeyCode::Enter => Some(Wish::Answer),
        KeyCode::Char('r') => Some(Wish::Refuse),
        KeyCode::Char('c') => Some(Wish::Cancel),
        KeyCode::Char('l') => Some(Wish::Leave),
        KeyCode::Char(' ') => Some(Wish::Toggle),
        KeyCode::Char('q') => Some(Wish::Quit),
        _ => None,
    }
}

/// What only the screen has. A key that is held repeats what moves.
#[expect(clippy::wildcard_enum_match_arm, reason = "the keyboard is not ours: other keys mean nothing")]
fn view_of(key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('l')).then_some(Wish::View(View::Anew));
    }
    match key.code {
        KeyCode::Esc => Some(Wish::GiveUp),
        KeyCode::Char('b') => Some(Wish::View(View::Bell)),
        KeyCode::Up => Some(Wish::View(View::Up)),
        KeyCode::Down => Some(Wish::View(View::Down)),
        KeyCode::PageUp => Some(Wish::View(View::PageUp)),
        KeyCode::PageDown => Some(Wish::View(View::PageDown)),
        _ => None,
    }
}

#[cfg(unix)]
fn listen_to_signals(sender: &Sender<Wish>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(Wish::Interrupt).await.is_ok() {}
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn listen_to_signals(sender: &Sender<Wish>) -> io::Result<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && sender.send(Wish::Interrupt).await.is_ok() {}
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_wish_and_control_c_is_not_c() {
        let plain = |code| wish_of(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('a')), Some(Wish::Answer));
        assert_eq!(plain(KeyCode::Enter), Some(Wish::Answer));
        assert_eq!(plain(KeyCode::Char('c')), Some(Wish::Cancel));
        assert_eq!(plain(KeyCode::Char('x')), None);
        let control = |code| wish_of(KeyEvent::new(code, KeyModifiers::CONTROL));
        assert_eq!(control(KeyCode::Char('c')), Some(Wish::Interrupt));
        assert_eq!(control(KeyCode::Char('a')), None);
    }

    #[test]
    fn the_screen_has_keys_of_its_own() {
        let plain = |code| view_of(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Esc), Some(Wish::GiveUp));
        assert_eq!(plain(KeyCode::Down), Some(Wish::View(View::Down)));
        assert_eq!(plain(KeyCode::Char('l')), None, "leaves");
        let control = |code| view_of(KeyEvent::new(code, KeyModifiers::CONTROL));
        assert_eq!(control(KeyCode::Char('l')), Some(Wish::View(View::Anew)));
        assert_eq!(control(KeyCode::Char('b')), None);
    }
}
