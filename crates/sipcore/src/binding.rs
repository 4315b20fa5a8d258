//! Where a user can be reached, and what a REGISTER makes of it: RFC 3261 §10.3 steps 6 and 7, RFC 3327.
//!
//! [`Bindings::updated`] gives new bindings or a refusal, and changes nothing: a REGISTER is carried out whole or not at all.

use bytes::Bytes;
use sip::message::{Essentials, Fault, Message, Name, NameAddr, Parameters, Uri, scan};
use sip::transport::Path;
use sip::{Duration, Headers, Instant};

use crate::face::Expires;
use crate::identity::Origin;
use crate::uri::is_same;

/// One way to reach a user. There may be millions, so its texts share a block, and what few have stands apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    /// The Contact URI as written, the parameters, and the Call-ID of the REGISTER that last changed it.
    text: Box<[u8]>,
    uri_end: u16,
    parameters_end: u16,
    detour: Option<Box<Detour>>,
    /// Of the same REGISTER.
    pub(crate) cseq: u32,
    pub(crate) cause: Cause,
    /// When it was made.
    pub(crate) since: Instant,
    expires_at: Instant,
}

/// How a contact is reached, if not by its URI alone.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Detour {
    /// Route values on the way there: RFC 3327.
    path: Box<[Bytes]>,
    /// The flow on which the REGISTER came, if that is the only way to the contact.
    flow: Option<Path>,
}

/// What a binding stands by (RFC 3680 §4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// The REGISTER that made it.
    Registered,
    /// Another one.
    Refreshed,
}

/// Octets of the longest Contact that is kept, URI and parameters.
const CONTACT_MAX: usize = 1024;

impl Binding {
    /// The Contact URI as written.
    pub(crate) fn uri(&self) -> &[u8] {
        &self.text[..self.uri_end.into()]
    }

    /// The parameters of the Contact but `expires`, each with its semicolon: the feature tags among them (RFC 3840).
    fn parameters_text(&self) -> &[u8] {
        &self.text[self.uri_end.into()..self.parameters_end.into()]
    }

    /// The Call-ID of the REGISTER that last changed it.
    pub(crate) fn call_id(&self) -> &[u8] {
        &self.text[self.parameters_end.into()..]
    }

    /// Route values on the way there: RFC 3327.
    pub(crate) fn path(&self) -> &[Bytes] {
        self.detour.as_ref().map_or(&[], |detour| &detour.path)
    }

    /// The flow on which the REGISTER came, if that is the only way to the contact.
    pub(crate) fn flow(&self) -> Option<Path> {
        self.detour.as_ref()?.flow
    }

    /// The parameters, read.
    pub(crate) fn parameters(&self) -> Parameters<'_> {
        let text = self.parameters_text();
        Parameters::new(text.strip_prefix(b";").unwrap_or(text))
    }

    /// Its preference in thousandths (RFC 3261 §20.10); 1 if it names none.
    pub(crate) fn q(&self) -> u16 {
        self.parameters().value(b"q").and_then(thousandths).unwrap_or(1000)
    }

    /// The value of Contact in a 200 to REGISTER.
    fn contact(&self, now: Instant) -> Vec<u8> {
        let seconds = self.seconds_left(now);
        let expires = format!(";expires={seconds}");
        [b"<", self.uri(), b">", self.parameters_text(), expires.as_bytes()].concat()
    }

    /// Seconds until it ends.
    pub(crate) fn seconds_left(&self, now: Instant) -> u128 {
        self.expires_at.saturating_since(now).as_millis().div_ceil(1000)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.expires_at <= now
    }

    fn is_at(&self, uri: &Uri<'_>) -> bool {
        Uri::parse(self.uri()).is_ok_and(|own| is_same(&own, uri))
    }
}

/// `0.7` as 700.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, rest) = text.split_at(text.iter().position(|byte| *byte == b'.').unwrap_or(text.len()));
    let digits = rest.strip_prefix(b".").unwrap_or_default();
    let padded = [digits, &b"000"[..]].concat();
    let value = 1000 * scan::number(whole)?.min(2) + scan::number(padded.get(..3)?)?;
    (digits.len() <= 3 && value <= 1000).then_some(value as u16)
}

/// Why a REGISTER was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

impl From<u16> for Refusal {
    fn from(status: u16) -> Self {
        Self { status, headers: Headers::new() }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::from(fault.status())
    }
}

/// What limits the bindings of a user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bindings_max: usize,
    pub(crate) expires: Expires,
}

/// All bindings of a user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bindings(Vec<Binding>);

impl Bindings {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.0.iter()
    }

    /// Whether the contact of `binding` is one of them.
    pub(crate) fn has(&self, binding: &Binding) -> bool {
        Uri::parse(binding.uri()).is_ok_and(|uri| self.0.iter().any(|each| each.is_at(&uri)))
    }

    /// Whether the same contacts stand in both.
    pub(crate) fn has_same_contacts(&self, other: &Self) -> bool {
        let contact = |each: &'_ Binding| (each.uri_end, each.text[..each.parameters_end.into()].to_vec());
        self.iter().map(contact).eq(other.iter().map(contact))
    }

    /// The values of Contact in a 200.
    pub(crate) fn contacts(&self, now: Instant) -> impl Iterator<Item = Bytes> {
        self.0.iter().map(move |each| Bytes::from(each.contact(now)))
    }

    /// When the first binding ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|each| each.expires_at).min()
    }

    /// Forgets what has ended. Whether that was something.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.forget(|each| each.is_over(now))
    }

    /// Forgets what is `over`. Whether that was something.
    pub(crate) fn forget(&mut self, over: impl Fn(&Binding) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|each| !over(each));
        self.0.len() != before
    }

    /// What a REGISTER that came along `source` makes of them.
    pub(crate) fn updated(
        &self,
        now: Instant,
        register: &Essentials<'_>,
        from: Sender<'_>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let mut bindings = self.clone();
        bindings.expire(now);
        let (call_id, cseq) = (register.call_id(), register.cseq()?.number);
        // A malformed Expires counts as the default (§20.19), as does a malformed parameter (§20.10).
        let expires = register.number(Name::Expires).ok().flatten();
        if register.items(Name::Contact).any(|item| item == b"*") {
            // Step 6.
            if register.items(Name::Contact).nth(1).is_some() || expires != Some(0) {
                return Err(400.into());
            }
            if bindings.iter().any(|each| each.call_id() == call_id && each.cseq >= cseq) {
                return Err(500.into());
            }
            return Ok(Self::default());
        }
        for contact in register.addresses(Name::Contact) {
            let contact = contact?;
            let uri = Uri::parse(contact.uri)?;
            if !uri.is_sip() || contact.uri.len() + contact.parameters.as_bytes().len() > CONTACT_MAX {
                return Err(400.into());
            }
            let span = span_of(&contact, expires, &limits.expires)?;
            let place = bindings.0.iter().position(|each| each.is_at(&uri));
            if let Some(known) = place.map(|place| &bindings.0[place])
                && known.call_id() == call_id
                && known.cseq >= cseq
            {
                return Err(500.into()); // step 7: the update fails
            }
            let known = place.map(|place| bindings.0[place].since);
            let parameters = kept(&contact);
            let path: Box<[_]> = path_of(register, from).map(Bytes::copy_from_slice).collect();
            let flow = flow_to(&uri, register, from);
            let is_direct = path.is_empty() && flow.is_none();
            let binding = span.map(|span| Binding {
                text: [contact.uri, &parameters, call_id].concat().into_boxed_slice(),
                uri_end: contact.uri.len() as u16, // within CONTACT_MAX
                parameters_end: (contact.uri.len() + parameters.len()) as u16,
                detour: (!is_direct).then(|| Box::new(Detour { path, flow })),
                cseq,
                cause: if known.is_some() { Cause::Refreshed } else { Cause::Registered },
                since: known.unwrap_or(now),
                expires_at: now + span,
            });
            match (place, binding) {
                (Some(place), Some(binding)) => bindings.0[place] = binding,
                (Some(place), None) => drop(bindings.0.remove(place)),
                (None, Some(_)) if bindings.0.len() >= limits.bindings_max => return Err(403.into()),
                (None, Some(binding)) => {
                    bindings.0.reserve_exact(1); // most users have one
                    bindings.0.push(binding);
                }
                (None, None) => {}
            }
        }
        Ok(bindings)
    }
}

/// Step 7: how long a binding lasts; `None` if it ends.
fn span_of(
    contact: &NameAddr<'_>,
    expires: Option<u32>,
    limits: &Expires,
) -> Result<Option<Duration>, Refusal> {
    let wanted = contact.parameters.value(b"expires").and_then(scan::number).or(expires);
    let wanted = wanted.map_or(limits.default, |seconds| Duration::from_secs(seconds.into()));
    let hour = Duration::from_secs(3600);
    if wanted.is_zero() {
        return Ok(None);
    }
    if wanted < limits.least && wanted < hour {
        let least = Bytes::from(limits.least.as_secs().to_string());
        return Err(Refusal { status: 423, headers: vec![(Name::MinExpires, least)] });
    }
    Ok(Some(wanted.min(limits.most)))
}

/// The parameters that are kept of a Contact, each with its semicolon.
fn kept(contact: &NameAddr<'_>) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (name, value) in contact.parameters.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"expires"))
    {
        parameters.extend_from_slice(&[b";", name].concat());
        if let Some(value) = value {
            parameters.extend_from_slice(&[b"=", value].concat());
        }
    }
    parameters
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) path: &'a Path,
    pub(crate) origin: Origin,
}

/// The way that proxies have written. A client must not send the requests of others to places of its choice, the PoC Server
/// among them (RFC 3327 §7).
pub(crate) fn path_of<'a>(
    register: &'a Essentials<'_>,
    from: Sender<'_>,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let is_trusted = from.origin == Origin::Trusted;
    register.items(Name::Path).filter(move |_| is_trusted)
}

/// The flow to a contact, if it can only be reached there: its requests came over a connection, or from another address than
/// the one that it names (RFC 5626 §5.3 for what that is good for). Behind a proxy that is trusted it is that proxy's flow.
pub(crate) fn flow_to(uri: &Uri<'_>, request: &Message, from: Sender<'_>) -> Option<Path> {
    let Sender { path: source, origin } = from;
    if origin == Origin::Trusted && request.items(Name::Via).nth(1).is_some() {
        return None;
    }
    let is_there = uri.socket_address().is_some_and(|named| named.ip() == source.remote.ip());
    (source.connection.is_some() || !is_there).then_some(*source)
}
