//! Instant Personal Alerts and group advertisements: MESSAGE, sent and received. Digest 9.8.
//!
//! Neither is an INVITE, so neither can be given up (RFC 3261 §9.1).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::message::{Body, Method, Name, Uri};
use sip::transport::Target;
use sip::{Message, Misuse, ReceivedId, Request, RequestId};

use super::invited::inviter_of;
use super::{ACCEPT_CONTACT, Client, Event};
use crate::body::group_advertisement::{self, Advertisement};

/// Octets of the longest text.
const TEXT_MAX: usize = 1024;

/// Alerts that may be out at once.
const ALERTS_MAX: usize = 64;

/// The names of alerts stand apart from those of other requests.
const NAMES: u64 = 1 << 32;

/// An alert of ours, as its user calls it: free again once it was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AlertId(pub u32);

impl AlertId {
    fn request(self) -> RequestId {
        RequestId(NAMES + u64::from(self.0))
    }

    fn of(request: RequestId) -> Option<Self> {
        u32::try_from(request.0.checked_sub(NAMES)?).ok().map(Self)
    }
}

/// What somebody is to know without a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Alert {
    /// Instant Personal Alert: call me back.
    Personal {
        /// A word with it; may be empty.
        text: String,
    },
    /// A group that the user may want to know of.
    Group(Box<Advertisement>),
}

impl Alert {
    /// digest 9.8: whom a core may hand it to.
    const fn accept_contact(&self) -> &'static [u8] {
        match self {
            Self::Personal { .. } => ACCEPT_CONTACT,
            Self::Group(_) => b"*;+g.poc.groupad;require;explicit",
        }
    }

    fn body(&self) -> Option<Body> {
        let (content_type, bytes) = match self {
            Self::Personal { text } => ("text/plain;charset=UTF-8", Bytes::copy_from_slice(text.as_bytes())),
            Self::Group(advertisement) => (
                group_advertisement::CONTENT_TYPE,
                group_advertisement::write(advertisement, group_advertisement::NAMESPACE),
            ),
        };
        let content_type = Bytes::from_static(content_type.as_bytes());
        (!bytes.is_empty()).then_some(Body { content_type, bytes })
    }

    /// What a MESSAGE is to its user, or the status that refuses it.
    fn of(message: &Message) -> Result<Self, u16> {
        let asks_for = |tag: &[u8]| {
            let mut accepted = message.valued(Name::AcceptContact).filter_map(Result::ok);
            accepted.any(|accepted| accepted.parameters.has(tag))
        };
        let is = |content_type: &str| {
            let value = message.value(Name::ContentType).unwrap_or_default();
            let value = value.split(|octet| *octet == b';').next().unwrap_or_default();
            value.trim_ascii().eq_ignore_ascii_case(content_type.as_bytes())
        };
        if asks_for(b"+g.poc.groupad") {
            if !is(group_advertisement::CONTENT_TYPE) {
                return Err(415);
            }
            let read = group_advertisement::read(message.body()).map_err(|_| 400_u16)?;
            return Ok(Self::Group(Box::new(read)));
        }
        // A message that asks for nobody who can do PoC is no alert, and there is nobody else to show it.
        if !asks_for(b"+g.poc.talkburst") || (!message.body().is_empty() && !is("text/plain")) {
            return Err(415);
        }
        let text = std::str::from_utf8(message.body()).map_err(|_| 400_u16)?;
        if text.len() > TEXT_MAX { Err(513) } else { Ok(Self::Personal { text: text.to_owned() }) }
    }
}

impl Client {
    pub(super) fn send_alert(
        &mut self,
        id: AlertId,
        (targets, routes): (Vec<Target>, Vec<Bytes>),
        to: Bytes,
        alert: &Alert,
    ) -> Result<(), Misuse> {
        if self.alerts.contains(&id) || self.alerts.len() >= ALERTS_MAX {
            return Err(Misuse::Busy);
        }
        let body = alert.body();
        if body.as_ref().is_some_and(|body| body.bytes.len() > TEXT_MAX * 8) {
            return Err(Misuse::TooLong);
        }
        if matches!(alert, Alert::Personal { text } if text.len() > TEXT_MAX) {
            return Err(Misuse::TooLong);
        }
        let uri = Uri::parse(&to).ok().filter(|uri| uri.is_sip() && uri.headers.is_none());
        uri.ok_or(Misuse::Address)?;
        let (targets, routes) = self.way_to(targets, routes);
        let request = Request {
            id: id.request(),
            method: Method::Message,
            from: self.config.address.clone(),
            to: Bytes::from([b"<", &to[..], b">"].concat()),
            uri: to,
            targets,
            routes,
            headers: vec![
                (Name::AcceptContact, Bytes::from_static(alert.accept_contact())),
                (Name::PPreferredIdentity, self.config.address.clone()),
            ],
            body,
            call_id: None,
            cseq: None,
            contact: None, // RFC 3428 §4: a MESSAGE has none
            hops: None,
        };
        self.command(sip::Command::Request(Box::new(request)))?;
        self.alerts.insert(id);
        Ok(())
    }

    /// The answer to a request of ours, if it was an alert.
    pub(super) fn alert_answered(&mut self, request: RequestId, response: Option<&Message>) -> bool {
        let Some(alert) = AlertId::of(request).filter(|id| self.alerts.remove(id)) else { return false };
        let status = response.and_then(Message::status);
        self.events.push_back(Event::AlertAnswered { alert, status });
        true
    }

    /// A MESSAGE.
    pub(super) fn be_alerted(&mut self, id: ReceivedId, message: &Message) {
        let is_barred = self.is_closed || self.config.settings.incoming_personal_alert_barring;
        let status = match Alert::of(message) {
            Ok(Alert::Personal { .. }) if is_barred => 480, // digest 6
            Ok(alert) => {
                let from = inviter_of(message);
                self.events.push_back(Event::Alerted { from, alert });
                200
            }
            Err(status) => status,
        };
        let respond = sip::Command::Respond { request: id, status, headers: Vec::new(), body: None };
        if let Err(misuse) = self.command(respond) {
            tracing::debug!(%misuse, "answered already");
        }
    }
}
