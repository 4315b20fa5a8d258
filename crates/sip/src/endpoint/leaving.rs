//! Leaving an established session: BYE. RFC 3261 §15, PoC CP 6.1.6.1.

use super::check::check_headers;
use super::session::State;
use super::*;

impl Endpoint {
    /// The user leaves (PoC CP 6.1.6.1).
    pub(super) fn leave(&mut self, id: SessionId, headers: &Headers) -> Result<(), Misuse> {
        check_headers(headers)?;
        let session = self.session(id).ok_or(Misuse::NoSession)?;
        match session.state {
            State::Over => return Err(Misuse::NoSession),
            State::Leaving => return Ok(()),
            State::Established | State::Inviting => {}
        }
        if let Some(incoming) = session.unacknowledged().filter(|_| !Guard::LeaveWaitsForAck.is_off()) {
            incoming.usage.leave(); // §15: after the ACK
            session.leave_headers.clone_from(headers);
            return Ok(());
        }
        if session.state != State::Established && !Guard::LeaveWaitsForAck.is_off() {
            return Err(Misuse::NotEstablished);
        }
        session.state = State::Leaving;
        self.end_referrals(id, End::Left, Party::Local);
        self.leave_dialog(id, headers);
        Ok(())
    }

    /// The user left while the ACK was missing, and now it has come, or never will.
    pub(super) fn leave_at_last(&mut self, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        session.state = State::Leaving;
        let headers = std::mem::take(&mut session.leave_headers);
        self.end_referrals(id, End::Left, Party::Local);
        self.leave_dialog(id, &headers);
    }

    /// Sends BYE in the session's dialog. What the peer asked in it gets its answer first.
    pub(super) fn leave_dialog(&mut self, id: SessionId, headers: &Headers) {
        self.terminate_incoming(id);
        self.drop_asked(id);
        let Some(session) = self.session(id) else { return };
        session.session_timer = None;
        let inherited = session.path;
        let Some(mut dialog) = session.dialog.take() else { return };
        self.send_bye(id, &mut dialog, inherited, headers, Owner::Leaving(id));
        if let Some(session) = self.session(id) {
            session.dialog = Some(dialog);
        }
    }

    /// Sends BYE in `dialog`; `inherited` is the way of the INVITE that made it.
    pub(super) fn send_bye(
        &mut self,
        id: SessionId,
        dialog: &mut Dialog,
        inherited: Path,
        headers: &Headers,
        owner: Owner,
    ) {
        let Some(session) = self.session(id) else { return };
        session.byes += 1;
        let path = self.path_in(dialog, inherited);
        let branch = self.identifiers.draw();
        let via = self.via(&path, &branch);
        let cseq = dialog.next_cseq();
        let mut compose = |headers: &Headers| {
            let mut writer = dialog.write_request(&mut self.scratch, Method::Bye, cseq, &via);
            for (name, value) in headers {
                writer.line(*name, value);
            }
            writer.finish(None);
            self.composed()
        };
        // Leaving must not fail for what the user adds.
        match compose(headers).or_else(|_| compose(&Vec::new())) {
            Ok(bye) => {
                self.send_request(bye, &branch, b"BYE", path, owner);
            }
            Err(_) => self.bye_is_over(id, owner),
        }
    }

    /// §15.1.1: whatever the answer to a BYE is, and also without one, the session is over.
    pub(super) fn bye_is_over(&mut self, id: SessionId, owner: Owner) {
        let Some(session) = self.session(id) else { return };
        session.byes = session.byes.saturating_sub(1);
        if session.state == State::Leaving && owner == Owner::Leaving(id) {
            self.end(id, End::Left, Party::Local, None, None);
        }
        self.reschedule_session(id);
    }
}
