//! TBCP Connect and Disconnect: a client is told of a PoC Session on its pre-established session, and of its end, by the way of the
//! talk bursts (user-plane digest 7).
//!
//! ```text
//!                Ack(15,0)         Ack(15,1)    Ack(15,2)    Ack(11)  T15, T16   the last of them        given up           ends
//! Connecting     InUse +200        Idle +486    Idle +480    -        +C         Disconnecting +480 +D   Disconnecting +D   -
//! InUse          -                 -            -            -        -          -                       -                  Disconnecting +D
//! Disconnecting  +D                -            -            Idle     +D         Telling +re-INVITE      -                  -
//! Idle           Disconnecting +D  -            -            -        -          -                       -                  -
//! ```
//!
//! C: Connect; D: Disconnect. The 200, 486 and 480 go to the Controlling PoC Function: it has no session with a client that has not
//! acknowledged. An Acknowledgement does not say which Connect it is of, so each that comes when there is nothing on the dialog is
//! taken back: a Connect that was overtaken by its Disconnect connects nobody. Who acknowledges no Disconnect is told by SIP.

use bytes::Bytes;
use sip::usage::{End, Party};
use sip::{Instant, Message};

use super::Server;
use super::leg::{self, Ended};
use super::media::Owner;
use super::policy::Inviter;
use super::preestablished::{State, Use, contact_uri_of};
use super::releasing::Duty;
use crate::talk_burst::{self, Acknowledgement, Answer, Connect};
use crate::{address, display};

/// What is sent until it is acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sending {
    bytes: Bytes,
    pub(super) again_at: Instant,
    /// How often it may still be sent.
    left: u8,
}

impl Server {
    /// Whether a client hears talk burst control on its dialog.
    pub(super) fn can_connect(&self, at: usize) -> bool {
        let near = self.media.legs.get(self.pre_established.all[at].near);
        let agreed = near.and_then(|near| near.agreed.as_ref());
        self.config.connects && agreed.is_some_and(|agreed| agreed.control.is_some())
    }

    /// Tells the client of an invitation that it is to answer by itself. False if it cannot be said.
    pub(super) fn connect(&mut self, at: usize, using: &Use, request: &Message, inviter: &Inviter) -> bool {
        let session_type = self.participating[using.place].record.session_type;
        let connect = Connect { session_type, ..connect_of(request, inviter) };
        let Some(sending) = self.begin_sending(talk_burst::Message::Connect(Box::new(connect))) else {
            return false;
        };
        self.send_to_client(at, &sending);
        self.enter(at, State::Connecting(using.clone(), sending));
        true
    }

    /// There is nothing on the dialog any more, or nothing that the client may believe in.
    pub(super) fn disconnect(&mut self, at: usize) {
        let sending = match self.duty {
            // The BYE of the dialog says it.
            Duty::Releasing => None,
            Duty::Serving => self.begin_sending(talk_burst::Message::Disconnect),
        };
        match sending {
            Some(sending) => {
                self.send_to_client(at, &sending);
                self.be_plain(at);
                self.enter(at, State::Disconnecting(sending));
            }
            None => self.be_idle(at),
        }
    }

    fn begin_sending(&mut self, message: talk_burst::Message) -> Option<Sending> {
        // Of its own: what was written with it need not stay.
        let bytes = Bytes::copy_from_slice(&self.media.write(message)?);
        let left = self.config.connect_sends.saturating_sub(1);
        Some(Sending { bytes, again_at: self.now + self.config.connect_wait, left })
    }

    fn send_to_client(&mut self, at: usize, sending: &Sending) {
        self.media.tell(self.pre_established.all[at].near, &sending.bytes);
    }

    /// T15 or T16.
    pub(super) fn is_not_acknowledged(&mut self, at: usize) {
        let again_at = self.now + self.config.connect_wait;
        let again = |sending: &Sending| {
            sending.left.checked_sub(1).map(|left| Sending { left, again_at, ..sending.clone() })
        };
        let (sending, next) = match &self.pre_established.all[at].state {
            State::Connecting(using, sending) => match again(sending) {
                Some(again) => (again.clone(), State::Connecting(using.clone(), again)),
                None => return self.has_not_connected(at, using.place),
            },
            State::Disconnecting(sending) => match again(sending) {
                Some(again) => (again.clone(), State::Disconnecting(again)),
                None => return self.tell_over(at),
            },
            State::Idle
            | State::Calling(_)
            | State::Asking(..)
            | State::Withdrawn
            | State::InUse(_)
            | State::Telling
            | State::Untold(_) => return,
        };
        self.send_to_client(at, &sending);
        self.enter(at, next);
    }

    /// The client may have taken the Connect all the same.
    fn has_not_connected(&mut self, at: usize, place: usize) {
        self.disconnect(at);
        self.downstream_ended(place, Ended::here(End::TimedOut, 480));
    }

    /// What comes from a leg acknowledges a Connect or a Disconnect, which is for nobody beyond. False if it says nothing of them.
    pub(super) fn be_acknowledged(&mut self, leg: usize, bytes: &Bytes) -> bool {
        let Some(Owner::Client(at)) = self.media.legs.get(leg).map(|leg| leg.of) else { return false };
        let Ok(packets) = talk_burst::packets(bytes) else { return false };
        let mut is_for_us = false;
        for packet in packets.filter_map(Result::ok) {
            let talk_burst::Message::Acknowledgement(acknowledgement) = packet.message else { continue };
            match acknowledgement {
                Acknowledgement::Connect(answer) => self.connect_acknowledged(at, answer),
                Acknowledgement::Disconnect => self.disconnect_acknowledged(at),
                Acknowledgement::Taken => continue,
            }
            is_for_us = true;
        }
        is_for_us
    }

    fn connect_acknowledged(&mut self, at: usize, answer: Answer) {
        match (&self.pre_established.all[at].state, answer) {
            (State::Connecting(using, _), Answer::Accepted) => {
                let place = using.place;
                self.downstream_connected(place, at);
            }
            (State::Connecting(using, _), Answer::Busy | Answer::NotAccepted) => {
                let place = using.place;
                let status = if answer == Answer::Busy { 486 } else { 480 };
                self.be_idle(at);
                self.downstream_ended(
                    place,
                    Ended { by: Party::Remote, ..Ended::here(End::Rejected, status) },
                );
            }
            (State::Idle, Answer::Accepted) if self.config.connects => self.disconnect(at),
            (State::Disconnecting(sending), Answer::Accepted) => {
                let sending = sending.clone();
                self.send_to_client(at, &sending);
            }
            (
                State::Idle | State::Disconnecting(_),
                Answer::Accepted | Answer::Busy | Answer::NotAccepted,
            )
            | (
                State::Calling(_)
                | State::Asking(..)
                | State::Withdrawn
                | State::InUse(_)
                | State::Telling
                | State::Untold(_),
                _,
            ) => {}
        }
    }

    fn disconnect_acknowledged(&mut self, at: usize) {
        match &self.pre_established.all[at].state {
            State::Disconnecting(_) => self.enter(at, State::Idle),
            State::Idle
            | State::Calling(_)
            | State::Connecting(..)
            | State::Asking(..)
            | State::Withdrawn
            | State::InUse(_)
            | State::Telling
            | State::Untold(_) => {}
        }
    }
}

/// What the client is told of an invitation: the same as by SIP.
fn connect_of(request: &Message, inviter: &Inviter) -> Connect {
    let shown = inviter.address.clone().filter(|_| !inviter.is_anonymous);
    let session = contact_uri_of(request).and_then(address::session_identity);
    let from = request.from().ok();
    let named = from.and_then(|from| display::read(&request.unfolded(from.display)));
    let group = from.filter(|_| leg::is_of_a_group(request)).map(|from| request.share(from.uri));
    let (group_name, inviter_name) = match group {
        Some(_) => (named, None),
        None => (None, named.filter(|_| shown.is_some())),
    };
    let is_override = inviter.wish.overrides;
    Connect { inviter: shown, inviter_name, session, group_name, group, is_override, session_type: None }
}
