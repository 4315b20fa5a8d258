//! The key to speak, as terminals report it.
//!
//! | terminal | pressed | held | let go |
//! |---|---|---|---|
//! | with the kitty keyboard protocol, Windows | press | repeat | release |
//! | any other | press | press, some 30 times a second | nothing |

use std::time::{Duration, Instant};

use crossterm::event::KeyEventKind;

use super::super::screen::Reports;
use super::Wish;

/// A press so soon after another one is the same finger.
const REPEAT_MAX: Duration = Duration::from_millis(100);

/// What is known of the key.
#[derive(Debug)]
pub(super) struct Space {
    reports: Reports,
    /// Whether it has been seen let go. Until then it may be that the terminal reports nothing of the kind yet.
    is_let_go_seen: bool,
    pressed_at: Option<Instant>,
}

impl Space {
    pub(super) fn new(reports: Reports) -> Self {
        Self { reports, is_let_go_seen: false, pressed_at: None }
    }

    pub(super) fn handle_key(&mut self, now: Instant, kind: KeyEventKind) -> Option<Wish> {
        match kind {
            KeyEventKind::Press => {
                let last = self.pressed_at.replace(now);
                let is_repeated = last.is_some_and(|last| now.saturating_duration_since(last) < REPEAT_MAX);
                match (self.is_let_go_seen, is_repeated) {
                    (true, _) => Some(Wish::Press),
                    (false, false) => Some(Wish::Toggle),
                    (false, true) => None,
                }
            }
            KeyEventKind::Repeat => None,
            KeyEventKind::Release => {
                self.is_let_go_seen = true;
                self.pressed_at = None;
                Some(Wish::LetGo)
            }
        }
    }

    /// The terminal is not looked at any more: a key that is held is let go somewhere else.
    pub(super) fn handle_loss(&mut self) -> Option<Wish> {
        let is_held = self.reports == Reports::Releases && self.pressed_at.take().is_some();
        is_held.then_some(Wish::LetGo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begun: Instant, milliseconds: u64) -> Instant {
        begun + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_key_whose_release_is_reported_is_held() {
        let (mut space, begun) = (Space::new(Reports::Releases), Instant::now());
        for round in 0..3 {
            let pressed = space.handle_key(at(begun, round * 50), KeyEventKind::Press);
            assert!(matches!(pressed, Some(Wish::Press | Wish::Toggle)), "{pressed:?}");
            assert_eq!(space.handle_key(at(begun, round * 50 + 10), KeyEventKind::Repeat), None);
            assert_eq!(
                space.handle_key(at(begun, round * 50 + 20), KeyEventKind::Release),
                Some(Wish::LetGo)
            );
        }
        assert_eq!(
            space.handle_key(at(begun, 300), KeyEventKind::Press),
            Some(Wish::Press),
            "never the other of it"
        );
    }

    #[test]
    fn a_key_that_is_held_is_let_go_when_nobody_looks() {
        let (mut space, begun) = (Space::new(Reports::Releases), Instant::now());
        assert_eq!(space.handle_loss(), None, "it is not held");
        space.handle_key(begun, KeyEventKind::Press);
        assert_eq!(space.handle_loss(), Some(Wish::LetGo));
        let mut space = Space::new(Reports::Presses);
        space.handle_key(begun, KeyEventKind::Press);
        assert_eq!(space.handle_loss(), None, "it was pressed to be heard elsewhere too");
    }

    #[test]
    fn without_reports_of_releases_each_press_is_the_other_of_the_last_and_a_finger_that_stays_is_one() {
        let (mut space, begun) = (Space::new(Reports::Presses), Instant::now());
        assert_eq!(space.handle_key(begun, KeyEventKind::Press), Some(Wish::Toggle));
        assert_eq!(space.handle_key(at(begun, 500), KeyEventKind::Press), Some(Wish::Toggle));
        for repeat in 1..30 {
            assert_eq!(space.handle_key(at(begun, 500 + repeat * 33), KeyEventKind::Press), None);
        }
        assert_eq!(space.handle_key(at(begun, 2000), KeyEventKind::Press), Some(Wish::Toggle));
    }
}
