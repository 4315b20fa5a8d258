//! Keeping a session from being forgotten: what we say of session timers, and refreshes. RFC 4028.

use bytes::Bytes;

use super::referring::NO_SUBSCRIPTION;
use super::*;
use crate::usage::session_timer::{Action, Agreement, FLOOR, Refresher, SessionTimer, Terms};

impl Endpoint {
    /// The smallest interval that a peer may want.
    pub(super) fn min_se(&self) -> Duration {
        self.config.min_se.max(FLOOR)
    }

    /// The interval that a request of ours asks for, if no more than `least` is known to be needed.
    pub(super) fn wanted_interval(&self, least: Duration) -> Option<Duration> {
        self.config.session_expires.map(|wanted| wanted.max(self.min_se()).max(least))
    }

    /// The option tags that a peer may require.
    pub(super) fn option_tags(&self) -> impl Iterator<Item = &[u8]> {
        let reliable = (self.config.reliability != Reliability::Never).then_some(&b"100rel"[..]);
        let unobserved = self.is_for_user(Method::Refer).then_some(NO_SUBSCRIPTION);
        let own = reliable.into_iter().chain([&b"timer"[..]]).chain(unobserved);
        self.config.supported.iter().map(|tag| &tag[..]).chain(own)
    }

    /// The methods that are answered.
    pub(super) fn allow(&self) -> Headers {
        vec![(Name::Allow, self.allowed.clone())]
    }

    /// What we say of ourselves: Allow, Supported and Allow-Events.
    pub(super) fn introduction(&self) -> Headers {
        let tags: Vec<_> = self.option_tags().collect();
        let mut lines = self.allow();
        lines.push((Name::Supported, Bytes::from(tags.join(&b", "[..]))));
        lines.extend(self.allow_events());
        lines
    }

    /// The lines of a request that makes, changes or refreshes a session. `least` is the largest Min-SE that was heard
    /// of: §7.3, §7.4.
    pub(super) fn terms(
        &self,
        interval: Option<Duration>,
        refresher: Option<Refresher>,
        least: Duration,
    ) -> Headers {
        let mut lines = self.introduction();
        if let Some(interval) = interval {
            lines.push((Name::SessionExpires, session_expires(interval, refresher)));
        }
        let least = least.max(self.config.min_se);
        if least > FLOOR {
            lines.push((Name::MinSe, Bytes::from(least.as_secs().to_string())));
        }
        lines
    }

    /// The same for a request in a session, and the interval in it. §7.4: it says who refreshes, as seen from this
    /// request.
    pub(super) fn terms_in(&self, session: &Session) -> (Headers, Option<Duration>) {
        let (interval, refresher) = match &session.session_timer {
            Some(timer) => {
                let refresher = if timer.is_refresher() { Refresher::Uac } else { Refresher::Uas };
                (Some(timer.interval().max(session.min_se)), Some(refresher))
            }
            None => (self.wanted_interval(session.min_se), None),
        };
        (self.terms(interval, refresher, session.min_se), interval)
    }

    /// §9: settles the session timer with a 2xx to a request of the peer that says `terms`. Returns the lines of that 2xx.
    pub(super) fn agree(&mut self, id: SessionId, terms: &Terms) -> Headers {
        let mut lines = self.introduction();
        let agreement = terms.answered(self.wanted_interval(Duration::ZERO));
        if let Some(Agreement { interval, refresher }) = agreement {
            lines.push((Name::SessionExpires, session_expires(interval, Some(refresher))));
            if terms.is_supported {
                lines.push((Name::Require, Bytes::from_static(b"timer")));
            }
        }
        self.keep(id, terms, agreement, Refresher::Uas);
        lines
    }

    /// §7.2: the same with a 2xx to a request of ours that asked for `own`.
    pub(super) fn be_agreed(&mut self, id: SessionId, own: Option<Duration>, response: &Message) {
        let terms = Terms::of(response);
        self.keep(id, &terms, terms.agreed(own), Refresher::Uac);
    }

    fn keep(&mut self, id: SessionId, terms: &Terms, agreement: Option<Agreement>, us: Refresher) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        session.min_se = session.min_se.max(terms.min_se.unwrap_or_default());
        session.session_timer =
            agreement.map(|agreed| Box::new(SessionTimer::new(now, agreed.interval, agreed.refresher == us)));
    }

    pub(super) fn handle_session_timer(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let Some(timer) = &mut session.session_timer else { return };
        match (timer.handle_timeout(now), session.unacknowledged()) {
            (Action::Nothing, _) => {}
            (Action::Refresh, _) => self.refresh(id),
            (Action::Leave, None) => self.lose(id, None), // §10
            (Action::Leave, Some(incoming)) => {
                incoming.usage.leave(); // RFC 3261 §15: after the ACK
                session.session_timer = None;
            }
        }
    }

    /// Sends a refresh: UPDATE, which needs no offer, if the peer has it (§7.4).
    fn refresh(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.session(id) else { return };
        let is_busy = session.pending_outgoing().is_some()
            || session.alerting().is_some()
            || session.unacknowledged().is_some()
            || session.asked.is_some();
        if is_busy {
            if let Some(timer) = &mut session.session_timer {
                timer.postpone(now);
            }
            return;
        }
        let described = session.described.clone().filter(|_| !session.allows_update);
        let sent = match described {
            Some(body) => self.offer_again(id, &Vec::new(), Some(&body), true),
            None => self.send_update(id),
        };
        if sent.is_err() {
            self.refresh_is_refused(id);
        }
    }

    fn send_update(&mut self, id: SessionId) -> Result<(), Misuse> {
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        let inherited = session.path;
        let dialog = session.dialog.as_mut().ok_or(Misuse::NotEstablished)?;
        let cseq = dialog.next_cseq();
        let dialog = dialog.clone();
        let path = self.path_in(&dialog, inherited);
        let session = &self.sessions[id.index as usize];
        let mut lines = vec![(Name::Contact, Bytes::copy_from_slice(&self.contact_in(session, &path)))];
        lines.extend(self.terms_in(session).0);
        self.send_in_dialog(&dialog, cseq, Method::Update, &lines, path, Owner::Refreshing(id))
    }

    /// The answer to a refresh, or its lack. A transport failure counts as 503 (RFC 3261 §8.1.3.1).
    pub(super) fn refresh_is_over(&mut self, id: SessionId, status: Option<u16>, response: Option<&Message>) {
        let Some(session) = self.session(id) else { return };
        if session.state != State::Established {
            return;
        }
        let own = session.session_timer.as_ref().map(|timer| timer.interval().max(session.min_se));
        match (status, response) {
            (Some(200..=299), Some(response)) => {
                if let Some(dialog) = &mut session.dialog {
                    dialog.refresh_target(response); // RFC 3261 §12.2.1.2
                }
                session.note_allowed(response);
                self.be_agreed(id, own, response);
            }
            (None | Some(408 | 481), _) => self.lose(id, status), // §10
            (Some(status), _) => {
                if matches!(status, 405 | 501) {
                    session.allows_update = false;
                }
                self.refresh_is_refused(id);
            }
        }
        self.reschedule_session(id);
    }

    fn refresh_is_refused(&mut self, id: SessionId) {
        let now = self.now;
        if let Some(timer) = self.session(id).and_then(|session| session.session_timer.as_mut()) {
            timer.handle_refusal(now);
        }
    }

    /// The peer does not know the session any more, or is not there (RFC 3261 §12.2.1.2).
    pub(super) fn lose(&mut self, id: SessionId, status: Option<u16>) {
        if let Some(incoming) = self.session(id).and_then(Session::unacknowledged) {
            incoming.usage.finish();
        }
        self.leave_dialog(id, &Vec::new());
        self.end(id, End::Lost, Party::Remote, status, None);
    }
}

fn session_expires(interval: Duration, refresher: Option<Refresher>) -> Bytes {
    let refresher = refresher.map(|side| format!(";refresher={}", side.as_str())).unwrap_or_default();
    Bytes::from(format!("{}{refresher}", interval.as_secs()))
}
