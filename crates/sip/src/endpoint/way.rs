//! Ways out: which listener, which transport, which connection, and what Via and Contact say of it. RFC 3261 §18.1.

use std::net::SocketAddr;

use super::session::State;
use super::*;

/// A header value that seldom needs the heap.
pub(super) type Text = SmallVec<[u8; 128]>;

/// What is the same in every Via and every Contact of a listener.
#[derive(Clone, Debug)]
pub(super) struct Spelled {
    before_branch: Box<[u8]>,
    behind_user: Box<[u8]>,
}

impl Spelled {
    pub(super) fn of(config: &Config) -> Vec<Self> {
        config.listeners.iter().map(|each| Self::new(each.transport, each.advertised, config)).collect()
    }

    /// `advertised` is the address at which peers reach the listener.
    fn new(transport: Transport, advertised: SocketAddr, config: &Config) -> Self {
        let parameter = match transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws => ";transport=ws",
            Transport::Wss => ";transport=wss",
        };
        let before_branch = format!("SIP/2.0/{transport} {advertised};branch={}", Identifier::COOKIE);
        let address = format!("@{advertised}{parameter}>");
        Self {
            before_branch: before_branch.into_bytes().into(),
            behind_user: [address.as_bytes(), &config.contact_parameters].concat().into(),
        }
    }
}

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

    pub(super) fn path_to(&mut self, target: Target) -> Result<Path, Misuse> {
        let fits = |bind: &SocketAddr| bind.is_ipv4() == target.remote.is_ipv4();
        let mut listeners = self.config.listeners.iter();
        let listener = listeners
            .find(|listener| listener.transport == target.transport && fits(&listener.bind))
            .ok_or(Misuse::NoListener)?;
        let local = listener.bind;
        let connection = target
            .transport
            .is_reliable()
            .then(|| self.connections.to(&self.keyed, target.transport, target.remote));
        Ok(Path { transport: target.transport, local, remote: target.remote, connection })
    }

    /// What Via and Contact say of the listener of `path`.
    fn spelled<T>(&self, path: &Path, read: impl FnOnce(&Spelled) -> T) -> T {
        let mut listeners = self.config.listeners.iter();
        match listeners.position(|each| each.bind == path.local && each.transport == path.transport) {
            Some(place) => read(&self.spelled[place]),
            None => read(&Spelled::new(path.transport, path.local, &self.config)),
        }
    }

    /// A Via for a request of ours that goes along `path`.
    pub(super) fn via(&self, path: &Path, branch: &Identifier) -> Text {
        self.spelled(path, |spelled| {
            let mut via = Text::from_slice(&spelled.before_branch);
            via.extend_from_slice(branch.as_bytes());
            if !path.transport.is_reliable() {
                via.extend_from_slice(b";rport"); // RFC 3581 §3
            }
            via
        })
    }

    /// Our Contact in a session whose messages go along `path`.
    pub(super) fn contact(&self, path: &Path, user: &Identifier) -> Text {
        self.spelled(path, |spelled| {
            let mut contact = Text::from_slice(b"<sip:");
            contact.extend_from_slice(user.as_bytes());
            contact.extend_from_slice(&spelled.behind_user);
            contact
        })
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
