//! The settings that a user's terminals have published, and what they amount to together (RFC 3903, RFC 4354).

use sip::Instant;

use crate::body::settings::Settings;
use crate::client::AnswerMode;

/// Terminals of one user whose settings are kept; a further one takes the place of the oldest.
const PUBLICATIONS_MAX: usize = 8;

/// What the terminals of one user have published.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Publications {
    all: Vec<Publication>,
}

/// What one terminal has published.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Publication {
    /// The entity tag.
    tag: u64,
    settings: Settings,
    until: Instant,
}

impl Publications {
    /// Keeps `settings` under `tag`; what has run out is forgotten.
    pub(super) fn put(&mut self, now: Instant, tag: u64, settings: Settings, until: Instant) {
        self.all.retain(|each| each.until > now);
        if self.all.len() >= PUBLICATIONS_MAX {
            self.all.remove(0);
        }
        self.all.push(Publication { tag, settings, until });
    }

    /// Forgets and returns what is kept under `tag`. `None` if nothing is, or not any more.
    pub(super) fn take(&mut self, now: Instant, tag: u64) -> Option<Settings> {
        self.all.retain(|each| each.until > now);
        let place = self.all.iter().position(|each| each.tag == tag)?;
        Some(self.all.remove(place).settings)
    }

    /// What the terminals want together; `None` if none has published anything that still counts. Of different wishes the
    /// cautious one counts (digest 6): manual unless all are automatic, barred if one is, one session unless all take more.
    pub(super) fn settings(&self, now: Instant) -> Option<Settings> {
        self.all.iter().filter(|each| each.until > now).map(|each| each.settings).reduce(|one, other| {
            let is_automatic =
                [one, other].iter().all(|each| each.answer_mode == Some(AnswerMode::Automatic));
            let either = |read: fn(&Settings) -> Option<bool>| {
                Some([one, other].iter().any(|each| read(each) == Some(true)))
            };
            Settings {
                answer_mode: Some(if is_automatic { AnswerMode::Automatic } else { AnswerMode::Manual }),
                incoming_session_barring: either(|each| each.incoming_session_barring),
                incoming_personal_alert_barring: either(|each| each.incoming_personal_alert_barring),
                simultaneous_sessions: Some(
                    [one, other].iter().all(|each| each.simultaneous_sessions == Some(true)),
                ),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use sip::Duration;

    use super::*;

    const NOW: Instant = Instant::START;

    fn at(seconds: u64) -> Instant {
        NOW + Duration::from_secs(seconds)
    }

    fn settings(answer_mode: AnswerMode, barring: bool, simultaneous: bool) -> Settings {
        Settings {
            answer_mode: Some(answer_mode),
            incoming_session_barring: Some(barring),
            simultaneous_sessions: Some(simultaneous),
            ..Settings::default()
        }
    }

    #[test]
    fn of_several_terminals_the_cautious_wish_counts() {
        let (one, other) =
            (settings(AnswerMode::Automatic, false, true), settings(AnswerMode::Manual, true, false));
        let mut publications = Publications::default();
        assert_eq!(publications.settings(NOW), None);
        publications.put(NOW, 1, one, at(60));
        assert_eq!(publications.settings(NOW), Some(one));
        publications.put(NOW, 2, one, at(60));
        let both = publications.settings(NOW).unwrap();
        assert_eq!((both.answer_mode, both.simultaneous_sessions), (one.answer_mode, Some(true)));
        publications.put(NOW, 3, other, at(60));
        let all = publications.settings(NOW).unwrap();
        assert_eq!(all.answer_mode, Some(AnswerMode::Manual));
        assert_eq!((all.incoming_session_barring, all.simultaneous_sessions), (Some(true), Some(false)));
    }

    #[test]
    fn what_has_run_out_does_not_count_and_cannot_be_taken() {
        let mut publications = Publications::default();
        publications.put(NOW, 1, settings(AnswerMode::Manual, false, false), at(60));
        assert_eq!(publications.settings(at(60)), None);
        assert_eq!(publications.take(at(60), 1), None);
        assert_eq!(publications, Publications::default());
    }

    #[test]
    fn the_oldest_of_too_many_makes_room() {
        let mut publications = Publications::default();
        for tag in 0..=PUBLICATIONS_MAX as u64 {
            publications.put(NOW, tag, Settings::default(), at(60));
        }
        assert_eq!(publications.all.len(), PUBLICATIONS_MAX);
        assert!(publications.take(NOW, 0).is_none() && publications.take(NOW, 1).is_some());
    }
}
