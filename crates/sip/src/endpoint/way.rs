//! Ways out: which listener, which transport, which connection, and what Via and Contact say of it. RFC 3261 §18.1.

use super::session::State;
use super::*;

impl Endpoint {
    /// Composes a request for `path`; or, if it is too long for a datagram, for TCP to the same peer (§18.1.1), with the
    /// target to fall back to if that is refused.
    pub(super) fn fit(
        &mut self,
        path: Path,
        compose: impl Fn(&mut Self, &Path) -> Result<Message, Misuse>,
    ) -> Result<(Message, Path, Option<Target>), Misuse> {
        let request = compose(self, &path)?;
        let target = Target { transport: path.transport, remote: path.remote };
        if path.transport == Transport::Udp
            && request.bytes().len() > self.config.datagram_max
            && let Ok(longer) = self.path_to(Target { transport: Transport::Tcp, ..target })
        {
            return Ok((compose(self, &longer)?, longer, Some(target)));
        }
        Ok((request, path, None))
    }

    /// The way to `target`: inside, if the endpoint listens there.
    pub(super) fn path_to(&mut self, target: Target) -> Result<Path, Misuse> {
        let remote = target.remote;
        let inside = Target { transport: Transport::Inside, remote };
        let listening = |target: &Target| listener_to(&self.config.listeners, target);
        let listener = listening(&inside).or_else(|| listening(&target)).ok_or(Misuse::NoListener)?;
        let (transport, local) = (listener.transport, listener.bind);
        let connection =
            transport.has_connections().then(|| self.connections.to(&self.keyed, transport, remote));
        Ok(Path { transport, local, remote, connection })
    }

    /// What Via and Contact say of the listener of `path`.
    fn spelled<T>(&self, path: &Path, read: impl FnOnce(&Spelled) -> T) -> T {
        let mut listeners = self.config.listeners.iter();
        match listeners.position(|each| each.bind == path.local && each.transport == path.transport) {
            Some(place) => read(&self.spelled[place]),
            None => read(&Spelled::new(path.transport, path.local, &self.config.contact_parameters)),
        }
    }

    /// A Via for a request of ours that goes along `path`.
    pub(super) fn via(&self, path: &Path, branch: &Identifier) -> Text {
        self.spelled(path, |spelled| spelled.via(branch))
    }

    /// Our Contact in messages that go along `path`.
    pub(super) fn contact(&self, path: &Path, user: &Identifier, contact: Option<&Contact>) -> Text {
        self.spelled(path, |spelled| match contact {
            Some(contact) => spelled.contact_with(user, contact),
            None => spelled.contact(user),
        })
    }

    /// The same in a session.
    pub(super) fn contact_in(&self, session: &Session, path: &Path) -> Text {
        self.contact(path, &session.local_tag, session.contact.as_deref())
    }

    /// Where a request within `dialog` goes: to the address that the dialog names, else the way of the INVITE.
    pub(super) fn path_in(&mut self, dialog: &Dialog, inherited: Path) -> Path {
        let inherited = self.reopened(inherited);
        // Over the connection of the INVITE as long as the dialog names that peer.
        let reuse =
            |target: &Target| target.transport == inherited.transport && target.remote == inherited.remote;
        match dialog.next_hop() {
            Some(target) if !reuse(&target) => self.path_to(target).unwrap_or(inherited),
            Some(_) | None => inherited,
        }
    }

    /// Asks where the next hop of the user's dialog is, if that is a name.
    pub(super) fn locate(&mut self, id: SessionId) {
        let uri = self
            .session(id)
            .and_then(|session| session.dialog.as_ref()?.next_name().map(Bytes::copy_from_slice));
        if let Some(uri) = uri {
            self.events.push_back(Event::Locate { session: id, uri });
        }
    }

    /// The name was looked up.
    pub(super) fn located(&mut self, id: SessionId, targets: &[Target]) -> Result<(), Misuse> {
        let session = self.session(id).filter(|session| session.state != State::Over);
        let session = session.ok_or(Misuse::NoSession)?;
        let target = targets.first().ok_or(Misuse::NoTarget)?;
        session.dialog.as_mut().ok_or(Misuse::NotEstablished)?.locate(*target);
        Ok(())
    }

    /// The same way, over a new connection if that of `path` was lost: nothing else would ever arrive (§18.1.1).
    pub(super) fn reopened(&mut self, path: Path) -> Path {
        if path.connection.is_none_or(|connection| self.connections.has(connection)) {
            return path;
        }
        self.path_to(Target { transport: path.transport, remote: path.remote }).unwrap_or(path)
    }
}
