//! REFER: ours, and those of peers. RFC 3515, RFC 4488, RFC 7647.
//!
//! The subscription that it makes is one like others: see `subscribing` and `notifying`; within a session see `sharing` too.

use bytes::Bytes;

use super::check::{check_address, check_body, check_refer, check_routes, check_uri};
use super::face::{Refer, Request, RequestId};
use super::subscribing::Beginning;
use super::subscription::{EXPIRES, Origin};
use super::*;

/// The event package that no SUBSCRIBE begins a subscription to.
pub(super) const REFER: &[u8] = b"refer";

/// The option tag of who can accept a REFER without a subscription.
pub(super) const NO_SUBSCRIPTION: &[u8] = b"norefersub";

/// The user of a peer decides how long its subscription stands, not the REFER (RFC 3515 §2.4.4).
pub(super) const SPAN_MAX: Duration = Duration::from_secs(u32::MAX as u64);

impl Endpoint {
    /// Sends a REFER.
    pub(super) fn refer(&mut self, refer: Refer) -> Result<(), Misuse> {
        let Refer {
            id,
            within,
            targets,
            uri,
            from,
            to,
            routes,
            refer_to,
            headers,
            body,
            contact,
            wants_progress,
        } = refer;
        check_refer(&refer_to, &headers)?;
        let mut lines = vec![(Name::ReferTo, refer_to)];
        if !wants_progress {
            lines.push((Name::ReferSub, Bytes::from_static(b"false"))); // RFC 4488 §4
            lines.push((Name::Supported, Bytes::from_static(NO_SUBSCRIPTION)));
        }
        lines.extend(headers);
        if let Some(session) = within {
            // The dialog says all of it.
            let is_bare = [&uri, &from, &to].into_iter().all(Bytes::is_empty)
                && targets.is_empty()
                && routes.is_empty()
                && contact.is_none();
            return if is_bare {
                self.refer_within(id, session, &lines, body.as_ref())
            } else {
                Err(Misuse::Address)
            };
        }
        check_uri(&uri)?;
        check_address(&from)?;
        check_address(&to)?;
        check_routes(&routes)?;
        check_body(body.as_ref())?;
        let request = Request {
            id: RequestId(0),
            method: Method::Refer,
            uri,
            from,
            to,
            targets,
            routes,
            headers: lines,
            body,
            call_id: None,
            cseq: None,
            contact: None,
            hops: None,
        };
        let event = Bytes::from_static(REFER);
        self.begin_subscription(
            id,
            request,
            Beginning { asked: EXPIRES, event, headers: Vec::new(), contact },
        )
    }

    /// A REFER outside of any dialog.
    pub(super) fn handle_refer(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        let origin = origin_of(request)?;
        let opened = self.open_subscriber(key, path, request, origin, REFER, SPAN_MAX)?;
        if let Some(subscriber) = opened {
            let wants_progress = origin == Origin::Refer;
            let request = request.message().clone();
            self.events.push_back(Event::Referred { subscriber, session: None, wants_progress, request });
        }
        Ok(())
    }
}

/// What becomes of a REFER that is accepted. RFC 3515 §2.4.2: it has one value of Refer-To, else 400. Two lines do not come so
/// far.
pub(super) fn origin_of(request: &Message) -> Result<Origin, Fault> {
    if request.items(Name::ReferTo).count() != 1 {
        request.address(Name::ReferTo)?;
        return Err(Fault::Repeated(Name::ReferTo));
    }
    Ok(if is_unobserved(request) { Origin::Unobserved } else { Origin::Refer })
}

/// RFC 4488 §4: whether a REFER asks for no subscription, or the 2xx to one says that there is none.
pub(super) fn is_unobserved(message: &Message) -> bool {
    let value = message.valued(Name::ReferSub).next().and_then(Result::ok);
    value.is_some_and(|value| value.value.eq_ignore_ascii_case(b"false"))
}

/// RFC 3515 §2.4.6: the other name of the subscription that a REFER makes, which its NOTIFYs may have. `None` for that of a
/// SUBSCRIBE.
pub(super) fn identified(first: &Message) -> Option<Bytes> {
    let number = first.cseq().ok().filter(|_| first.is(Method::Refer))?.number;
    Some(Bytes::from(format!("refer;id={number}")))
}

/// RFC 3515 §2.4.5: what a NOTIFY says whose user has not told an outcome.
pub(super) fn trying() -> Body {
    Body {
        content_type: Bytes::from_static(b"message/sipfrag;version=2.0"),
        bytes: Bytes::from_static(b"SIP/2.0 100 Trying\r\n"),
    }
}
