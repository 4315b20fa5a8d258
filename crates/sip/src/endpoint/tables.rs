//! The tables: what is entered in them, how it is found, and when it is gone.

use super::*;

impl Endpoint {
    pub(super) fn open(&mut self, machine: Machine, keys: SmallVec<[Key; 3]>, owner: Owner) -> usize {
        let path = machine.client_path();
        self.serial = self.serial.wrapping_add(1);
        let entry = Transaction { machine, keys, owner, serial: self.serial, attempt: 1, timer: None };
        let transaction = self.transactions.insert(entry);
        let entry = &self.transactions[transaction];
        for key in &entry.keys {
            self.by_key.insert(*key, transaction);
        }
        if let Some(path) = path {
            self.connections.carries(&path, transaction);
        }
        self.reschedule(transaction);
        transaction
    }

    /// Arms the timer for the transaction's next deadline, or removes the transaction if it has ended.
    pub(super) fn reschedule(&mut self, transaction: usize) {
        let Some(entry) = self.transactions.get_mut(transaction) else { return };
        if entry.machine.is_terminated() {
            let entry = self.transactions.remove(transaction);
            if let Some((timer, _)) = entry.timer {
                self.wheel.disarm(timer);
            }
            for key in &entry.keys {
                self.by_key.remove(key);
            }
            if let Some(path) = entry.machine.client_path() {
                self.connections.forget(&path, transaction);
            }
            if let Owner::Invite(id) = entry.owner {
                self.invite_is_gone(id, transaction);
            }
            return;
        }
        let deadline = entry.machine.deadline();
        rearm(&mut self.wheel, &mut entry.timer, Due::Transaction(transaction), deadline);
    }

    /// The same for a session.
    pub(super) fn reschedule_session(&mut self, id: SessionId) {
        let Some(session) = session_of(&mut self.sessions, id) else { return };
        if session.is_gone() {
            let session = self.sessions.remove(id.index as usize);
            if let Some((timer, _)) = session.timer {
                self.wheel.disarm(timer);
            }
            for key in &session.keys {
                self.dialogs.remove(key);
            }
            return;
        }
        let deadline = session.deadline();
        rearm(&mut self.wheel, &mut session.timer, Due::Session(id.index as usize), deadline);
    }

    pub(super) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        session_of(&mut self.sessions, id)
    }

    pub(super) fn outgoing(&mut self, id: SessionId, transaction: usize) -> Option<&mut Outgoing> {
        self.session(id)?.outgoing_of(transaction)
    }

    pub(super) fn new_session(&mut self, local_tag: Identifier, path: Path, is_inviter: bool) -> SessionId {
        self.serial = self.serial.wrapping_add(1);
        let entry = self.sessions.vacant_entry();
        let id = SessionId {
            index: u32::try_from(entry.key()).expect("fewer than 2^32 sessions"),
            serial: self.serial,
        };
        entry.insert(Session {
            id,
            state: State::Inviting,
            local_tag,
            contact: None,
            is_inviter,
            path,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            dialog: None,
            keys: SmallVec::new(),
            leave_headers: Vec::new(),
            byes: 0,
            asked: None,
            session_timer: None,
            min_se: Duration::ZERO,
            allows_update: false,
            described: None,
            referrals: None,
            authentication: Authentication::default(),
            timer: None,
        });
        id
    }

    /// Lets in-dialog requests of `dialog` find the session.
    pub(super) fn enter_dialog(&mut self, id: SessionId, key: Key) {
        self.dialogs.insert(key, Place::Session(id));
        if let Some(session) = self.session(id) {
            session.keys.push(key);
        }
    }

    /// A transaction of an INVITE is gone, and with it what was kept for late responses.
    pub(super) fn invite_is_gone(&mut self, id: SessionId, transaction: usize) {
        if let Some(session) = self.session(id) {
            session.outgoing.retain(|outgoing| outgoing.transaction != transaction);
            session.incoming.retain(|incoming| incoming.transaction != transaction);
            // Most sessions have none from then on, for as long as they stand.
            session.outgoing.shrink_to_fit();
            session.incoming.shrink_to_fit();
            self.reschedule_session(id);
        }
    }
}

/// The session, while the rest of the endpoint is at hand too.
pub(super) fn session_of(sessions: &mut Slab<Session>, id: SessionId) -> Option<&mut Session> {
    sessions.get_mut(id.index as usize).filter(|session| session.id == id)
}

pub(super) fn rearm(
    wheel: &mut Wheel<Due>,
    timer: &mut Option<(TimerId, Instant)>,
    due: Due,
    deadline: Option<Instant>,
) {
    if timer.map(|(_, at)| at) == deadline {
        return;
    }
    if let Some((timer, _)) = timer.take() {
        wheel.disarm(timer);
    }
    *timer = deadline.map(|at| (wheel.arm(due, at), at));
}
