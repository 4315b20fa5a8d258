//! The push-to-talk screen: another way to tell, for users at a terminal.
//!
//! `state` is what there is to show, `words` says it, `draw` puts it into cells: these are pure. Here is the terminal.

mod draw;
mod state;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
    KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::style::Print;
use crossterm::terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use sip::{Duration, Instant};

use self::draw::{Look, draw};
use self::state::State;
pub(crate) use self::state::{Levels, Purpose, Reports};
use super::voice::Told;
use crate::clock::Clock;
use crate::command::is_terminal_dumb;

/// The level meter moves no more often than this.
const METER_INTERVAL: Duration = Duration::from_millis(100);

/// Octets of a frame that leave in one write, so that no half of it is seen.
const FRAME_SIZE: usize = 64 * 1024;

/// Rows that a page is further.
const PAGE: isize = 10;

/// What the user wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    /// The terminal has another size.
    Again,
    /// Somebody else has written there.
    Anew,
    Up,
    Down,
    PageUp,
    PageDown,
    /// The bell on, or off.
    Bell,
    /// What the terminal tells of keys has been found out.
    Keys(Reports),
}

/// The screen of a terminal.
pub(crate) struct Screen {
    clock: Clock,
    state: State,
    look: Look,
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    change: Change,
    /// When what is shown changes by itself.
    due: Option<Instant>,
    drawn_at: Instant,
    /// The last to be dropped.
    _entered: Entered,
}

/// What of the state is not shown yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Change {
    Nothing,
    /// The level, which may wait a moment.
    Meter,
    Anything,
}

/// Whether there is a terminal that can show a screen: to read from, to write to, and of some size.
pub(crate) fn is_possible() -> bool {
    let has_size = || terminal::size().is_ok_and(|(columns, rows)| columns > 0 && rows > 0);
    !is_terminal_dumb() && io::stdin().is_terminal() && io::stdout().is_terminal() && has_size()
}

impl Screen {
    pub(crate) fn open(clock: Clock, purpose: Purpose, has_bell: bool) -> io::Result<Self> {
        let entered = Entered::enter()?;
        let out = BufWriter::with_capacity(FRAME_SIZE, io::stdout());
        let has_colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let mut screen = Self {
            clock,
            state: State::new(purpose, has_bell),
            look: Look { has_colours },
            terminal: Terminal::new(CrosstermBackend::new(out))?,
            change: Change::Anything,
            due: None,
            drawn_at: Instant::START,
            _entered: entered,
        };
        screen.show(clock.now(), false, Levels::default())?;
        Ok(screen)
    }

    /// Who the user is.
    pub(crate) fn introduce(&mut self, address: &str) {
        self.state.introduce(address);
        self.change = Change::Anything;
    }

    /// What happened at `at`.
    pub(crate) fn tell(&mut self, at: Instant, told: &Told) {
        self.state.tell(at, told);
        self.change = Change::Anything;
    }

    /// A hint, or a refusal of our own.
    pub(crate) fn story(&mut self, text: &str) {
        self.state.story(self.clock.now(), text);
        self.change = Change::Anything;
    }

    /// Whether the place in the queue is to be asked for; asked once.
    pub(crate) fn take_question(&mut self) -> bool {
        self.state.take_question()
    }

    pub(crate) fn turn_to(&mut self, view: View) -> io::Result<()> {
        match view {
            View::Again => {}
            View::Anew => {
                let size = self.terminal.size()?;
                self.terminal.resize(size.into())?;
            }
            View::Up => self.state.scroll_by(-1),
            View::Down => self.state.scroll_by(1),
            View::PageUp => self.state.scroll_by(-PAGE),
            View::PageDown => self.state.scroll_by(PAGE),
            View::Bell => self.state.switch_bell(),
            View::Keys(reports) => {
                self.state.find_out(reports);
                if reports == Reports::Releases && !cfg!(windows) {
                    // Flags belong to the screen that there is now: they are gone with it.
                    let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
                        | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
                    execute!(self.terminal.backend_mut(), PushKeyboardEnhancementFlags(flags))?;
                }
            }
        }
        self.change = Change::Anything;
        Ok(())
    }

    /// When to call [`Self::show`], though nothing has happened.
    pub(crate) fn due(&self) -> Option<Instant> {
        let meter = (self.change == Change::Meter).then(|| self.drawn_at + METER_INTERVAL);
        self.due.into_iter().chain(meter).min()
    }

    /// Shows what has changed, if anything has.
    pub(crate) fn show(&mut self, now: Instant, is_pressed: bool, levels: Levels) -> io::Result<()> {
        if self.state.press(is_pressed) || self.due.is_some_and(|due| due <= now) {
            self.change = Change::Anything;
        }
        if self.state.measure(now, levels) {
            self.change = self.change.max(Change::Meter);
        }
        match self.change {
            Change::Nothing => return Ok(()),
            Change::Meter if now < self.drawn_at + METER_INTERVAL => return Ok(()),
            Change::Meter | Change::Anything => {}
        }
        self.state.handle_timeout(now);
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let (state, look) = (&self.state, self.look);
        self.terminal.draw(|frame| draw(state, now, look, frame.buffer_mut()))?;
        let bell = if self.state.take_ring() { "\u{7}" } else { "" };
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate, Print(bell))?;
        (self.change, self.drawn_at, self.due) = (Change::Nothing, now, self.state.poll_timeout(now));
        Ok(())
    }
}

/// The terminal shows our screen and not its own, until this is dropped or the program panics.
struct Entered;

/// Whether there is one.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

impl Entered {
    fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                report(panic);
            }));
        });
        IS_ENTERED.store(true, Ordering::SeqCst);
        let entered = Self;
        execute!(io::stdout(), EnterAlternateScreen)?;
        // What is pasted is no key, and a key is not held in a window that nobody looks at. A terminal need not know either.
        let _ = execute!(io::stdout(), EnableBracketedPaste, EnableFocusChange);
        Ok(entered)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        // What a terminal does not know is not there to be taken back, and one that is gone is not there to be given back.
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, PopKeyboardEnhancementFlags);
        let _ = execute!(io::stdout(), DisableFocusChange, DisableBracketedPaste);
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    }
}
