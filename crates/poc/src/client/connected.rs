//! Connect and Disconnect of the PoC Server on a pre-established session (user-plane digest 5.4).
//!
//! ```text
//!                 Connect                                    the same Connect   Disconnect
//! nothing on it   +accepted, or +busy, or +not accepted      -                  +acknowledged
//! in a session    +busy, or +accepted if it is of our own    +accepted          +acknowledged, over
//! ```
//!
//! +: an Acknowledgement is sent.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::SessionId;
use sip::message::NameAddr;

use super::outcome::Role;
use super::session::{Session, State};
use super::talking::MediaTransmit;
use super::{AnswerMode, Client, Event};
use crate::focus::{self, Focus};
use crate::media::Stream;
use crate::server::SessionType;
use crate::talk_burst::{self, Acknowledgement, Answer, Connect, Message, Packet};
use crate::{address, display};

impl Client {
    /// What the server says at the control port of the pre-established session itself.
    pub(super) fn hear_connections(&mut self, remote: SocketAddr, bytes: &Bytes) {
        if self.pre_established.as_ref().and_then(|carrier| carrier.control()) != Some(remote) {
            return;
        }
        let Ok(packets) = talk_burst::packets(bytes) else { return };
        for packet in packets.filter_map(Result::ok) {
            let acknowledgement = match packet.message {
                Message::Connect(connect) => Acknowledgement::Connect(self.be_connected(&connect)),
                Message::Disconnect => {
                    self.be_disconnected();
                    Acknowledgement::Disconnect
                }
                Message::Request { .. }
                | Message::Granted { .. }
                | Message::Taken(_)
                | Message::Deny { .. }
                | Message::Release { .. }
                | Message::Idle
                | Message::Revoke(_)
                | Message::Acknowledgement(_)
                | Message::QueueStatusRequest
                | Message::QueueStatus { .. } => continue,
            };
            self.acknowledge(remote, acknowledgement);
        }
    }

    fn acknowledge(&mut self, to: SocketAddr, acknowledgement: Acknowledgement) {
        let talking = self.sessions.values().find_map(|session| session.talk.as_deref());
        let ssrc = talking.map_or(0, |talk| talk.ssrc());
        let message = Message::Acknowledgement(acknowledgement);
        if let Ok(bytes) = (Packet { ssrc, message }).write() {
            self.outgoing_media.push_back(MediaTransmit { from: Stream::Control, to, bytes });
        }
    }

    fn be_connected(&mut self, connect: &Connect) -> Answer {
        let own = NameAddr::parse(&self.config.address).ok().and_then(|own| address::canonical(own.uri));
        let (is_own, busy) = (own.is_some() && connect.inviter == own, self.is_busy());
        let settings = &self.config.settings;
        let is_refused = self.is_closed
            || settings.incoming_session_barring
            || (settings.answer_mode == AnswerMode::Manual && !connect.is_override);
        let Some(carrier) = &mut self.pre_established else { return Answer::NotAccepted };
        let is_repeated = carrier.connected.as_deref() == Some(connect);
        match carrier.session() {
            // A session that the user began, and what has been accepted already.
            Some(_) if is_repeated || is_own => return Answer::Accepted,
            Some(_) => return Answer::Busy,
            None if is_refused || !carrier.is_free() => return Answer::NotAccepted,
            None if busy => return Answer::Busy,
            None => {}
        }
        carrier.connected = Some(Box::new(connect.clone()));
        let focus = focus_of(connect);
        let state = State::Alerting { offer: Bytes::new(), no_answer_at: None };
        let (id, origin, described) = carrier.connect(focus.clone());
        let mut session = Session::new(Role::Invited, self.now, state, origin);
        (session.focus, session.described) = (focus.clone(), described);
        self.sessions.insert(id, session);
        self.tell_connected(id, connect, focus);
        Answer::Accepted
    }

    /// As of an invitation that is accepted at once.
    fn tell_connected(&mut self, id: SessionId, connect: &Connect, focus: Option<Focus>) {
        let inviter = match &connect.inviter {
            Some(inviter) => named(inviter, connect.inviter_name.as_deref()),
            None => Bytes::from_static(address::ANONYMOUS),
        };
        self.events.push_back(Event::Invited {
            session: id,
            inviter,
            group: connect.group.as_ref().map(|group| named(group, connect.group_name.as_deref())),
            others: Vec::new(),
            focus,
            answer_mode: AnswerMode::Automatic,
        });
        self.carried_established(id);
    }

    fn be_disconnected(&mut self) {
        if let Some(carrier) = &mut self.pre_established {
            carrier.connected = None;
        }
        self.be_released();
    }
}

fn named(uri: &[u8], name: Option<&str>) -> Bytes {
    match name {
        Some(name) => display::write(name, uri),
        None => Bytes::from([b"<", uri, b">"].concat()),
    }
}

fn focus_of(connect: &Connect) -> Option<Focus> {
    let identity = focus::session_identity(connect.session.as_ref()?)?;
    Some(Focus { identity, session_type: connect.session_type.unwrap_or(SessionType::AdHoc) })
}
