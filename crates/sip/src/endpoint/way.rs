//! Ways out: which listener, which transport, which connection, and what Via and Contact say of it. RFC 3261 §18.1.

use smallvec::SmallVec;

use super::*;
use crate::message::Writer;

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
        let fits = |bind: &std::net::SocketAddr| bind.is_ipv4() == target.remote.is_ipv4();
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

    /// The address at which peers reach the listener of `path`.
    pub(super) fn advertised(&self, path: &Path) -> std::net::SocketAddr {
        let mut listeners = self.config.listeners.iter();
        let listener = listeners.find(|each| each.bind == path.local && each.transport == path.transport);
        listener.map_or(path.local, |listener| listener.advertised)
    }

    /// A Via for a request of ours that goes along `path`.
    pub(super) fn via(&self, path: &Path, branch: &Identifier) -> String {
        let (transport, sent_by) = (path.transport, self.advertised(path));
        let rport = if transport.is_reliable() { "" } else { ";rport" }; // RFC 3581 §3
        format!("SIP/2.0/{transport} {sent_by};branch={}{branch}{rport}", Identifier::COOKIE)
    }

    /// Our Contact in a session whose messages go along `path`.
    pub(super) fn contact(&self, path: &Path, user: &Identifier) -> Vec<u8> {
        let transport = match path.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws => ";transport=ws",
            Transport::Wss => ";transport=wss",
        };
        let address = format!("<sip:{user}@{}{transport}>", self.advertised(path));
        [address.as_bytes(), &self.config.contact_parameters].concat()
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

    /// The same way, over a new connection if that of `path` was lost: nothing else would ever arrive (§18.1.1).
    pub(super) fn reopened(&mut self, path: Path) -> Path {
        if path.connection.is_none_or(|connection| self.connections.has(connection)) {
            return path;
        }
        self.path_to(Target { transport: path.transport, remote: path.remote }).unwrap_or(path)
    }

    /// §18.1.1: TCP was chosen for the length of the request, and refused: it leaves by UDP after all, unless its user
    /// gave up in the meantime (no new attempt after the wish).
    pub(super) fn fall_back(&mut self, transaction: usize) {
        let now = self.now;
        let entry = &mut self.transactions[transaction];
        let (Machine::InviteClient { machine, fallback }, Owner::Invite(id)) =
            (&mut entry.machine, entry.owner)
        else {
            return;
        };
        let target = fallback.take();
        let is_calling = matches!(machine.state(), invite_client::State::Calling { .. });
        let request = machine.request().clone();
        let wanted = self
            .session(id)
            .and_then(|session| session.pending_outgoing())
            .is_some_and(|outgoing| outgoing.transaction == transaction && !outgoing.usage.is_unwanted());
        let path = target.filter(|_| is_calling && wanted).and_then(|target| self.path_to(target).ok());
        let Some(path) = path else {
            if let Machine::InviteClient { machine, .. } = &mut self.transactions[transaction].machine {
                let output = machine.handle_transport_failure(now);
                self.handle_invite_output(transaction, output, None);
            }
            return;
        };
        let branch = self.identifiers.draw();
        let tag = self.session(id).map(|session| session.local_tag);
        let (via, contact) =
            (self.via(&path, &branch), tag.map(|tag| self.contact(&path, &tag)).unwrap_or_default());
        rewrite(&mut self.scratch, &request, via.as_bytes(), &contact);
        let Ok(request) = self.composed() else { return };
        tracing::debug!(session = id.serial, "falling back to UDP");
        // The refused attempt never left: it is replaced, keys and all, and no response to it can come.
        let timers = self.config.timers;
        let machine = InviteClient::start(now, request, path, timers, &mut self.outbox);
        let new_key = key::client(&self.keyed, &branch, b"INVITE");
        let entry = &mut self.transactions[transaction];
        entry.machine = Machine::InviteClient { machine, fallback: None };
        for old in std::mem::replace(&mut entry.keys, SmallVec::from_slice(&[new_key])) {
            self.by_key.remove(&old);
        }
        self.by_key.insert(new_key, transaction);
        if let Some(session) = self.session(id) {
            session.path = path;
        }
    }
}

/// Writes an INVITE again for another way: with this Via and this Contact.
fn rewrite(out: &mut Vec<u8>, request: &Message, via: &[u8], contact: &[u8]) {
    let mut writer = Writer::request(out, Method::Invite, request.uri_text());
    writer.line(Name::Via, via);
    for header in request.headers().filter(|header| header.name != Name::Via) {
        if header.name == Name::Contact {
            writer.line(Name::Contact, contact);
        } else {
            writer.copy(&header);
        }
    }
    writer.finish_copied(request.body());
}
