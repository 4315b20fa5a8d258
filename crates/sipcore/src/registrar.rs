//! The registrar: RFC 3261 §10.3, with Path (RFC 3327), Service-Route (RFC 3608) and P-Associated-URI.

use bytes::Bytes;
use sip::Headers;
use sip::hash::Key;
use sip::message::{Essentials, Fault, Name, NameAddr, Uri};
use sip::transport::Path;

use crate::authentication::Verdict;
use crate::binding::{Limits, Refusal, Sender, path_of};
use crate::hub::Core;
use crate::reg::Departure;
use crate::uri::user_of;

/// Option tags that a REGISTER may require.
const SUPPORTED: [&[u8]; 2] = [b"path", b"pref"];

impl Core {
    /// A REGISTER for a domain of ours. The numbers are the steps of §10.3.
    pub(crate) fn handle_register(
        &mut self,
        key: Key,
        path: Path,
        request: &Essentials<'_>,
    ) -> Result<(), Fault> {
        request.validate()?;
        // 2.
        let is_known = |tag: &&[u8]| SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(tag));
        let unsupported: Vec<_> = request.items(Name::Require).filter(|tag| !is_known(tag)).collect();
        if !unsupported.is_empty() {
            let unsupported = Bytes::from(unsupported.join(&b", "[..]));
            self.reply_once(path, request, 420, &vec![(Name::Unsupported, unsupported)]);
            return Ok(());
        }
        // 3.
        let Some(user) = self.authenticated(path, request, Name::Authorization) else { return Ok(()) };
        // 4., 5.
        let address = request.to().and_then(|to| Uri::parse(to.uri))?;
        if !self.is_home(address.host) {
            return self.answer(key, path, request, 404, &Headers::new());
        }
        let Some(place) = self.directory.find(&user).filter(|_| user_of(&address) == user) else {
            self.counters.wrong_identity += 1;
            return self.answer(key, path, request, 403, &Headers::new());
        };
        // 6., 7.
        let limits = Limits { bindings_max: self.config.bindings_max, expires: self.config.expires };
        let bindings = &self.directory.account(place).bindings;
        let from = Sender { path: &path, origin: self.origin(&path) };
        match bindings.updated(self.now, request, from, &limits) {
            Ok(bindings) => self.set_bindings(place, bindings, Departure::Unregistered),
            Err(Refusal { status, headers }) => return self.answer(key, path, request, status, &headers),
        }
        // 8.
        let headers = self.registered(place, from, request);
        self.answer(key, path, request, 200, &headers)
    }

    /// The header fields of a 200. There is no Date: the core knows no time of day.
    fn registered(&self, place: usize, from: Sender<'_>, request: &Essentials<'_>) -> Headers {
        let bindings = &self.directory.account(place).bindings;
        let mut headers: Headers =
            bindings.contacts(self.now).map(|contact| (Name::Contact, contact)).collect();
        // RFC 3327 §5.3: whoever registers sees which way it is reached.
        headers.extend(path_of(request, from).map(|value| (Name::Path, Bytes::copy_from_slice(value))));
        headers.push((Name::ServiceRoute, Bytes::copy_from_slice(&self.own_route(from.path, b"orig", b""))));
        let address = Bytes::from([b"<", &self.address_of(place)[..], b">"].concat());
        headers.push((Name::PAssociatedUri, address));
        headers
    }

    /// The user whose credentials `request` carries in `name`; `None` if there are none that are good: then it has been
    /// challenged.
    pub(crate) fn authenticated(
        &mut self,
        path: Path,
        request: &Essentials<'_>,
        name: Name,
    ) -> Option<Bytes> {
        let source = path.remote.ip();
        let verdict = self.realm.check(self.now, source, request, name, |user| self.directory.ha1(user));
        let is_stale = match verdict {
            Verdict::User(user) => return Some(user),
            Verdict::Stale => true,
            Verdict::Absent => false,
            Verdict::Wrong => {
                self.counters.wrong_credentials += 1;
                false
            }
        };
        self.counters.challenged += 1;
        let (status, challenge) = if name == Name::Authorization {
            (401, Name::WwwAuthenticate)
        } else {
            (407, Name::ProxyAuthenticate)
        };
        let challenges = self.realm.challenges(self.now, source, is_stale);
        let headers = challenges.map(|value| (challenge, value)).collect();
        self.reply_once(path, request, status, &headers);
        None
    }
}

/// Whether a REGISTER is for a domain of ours.
pub(crate) fn is_for_us(core: &Core, request: &Essentials<'_>) -> bool {
    request.uri().is_ok_and(|uri| uri.user.is_none() && (core.is_home(uri.host) || core.is_own(&uri)))
}

/// The URI inside a Route value.
pub(crate) fn uri_of(value: &[u8]) -> Option<Uri<'_>> {
    NameAddr::parse(value).ok().and_then(|address| Uri::parse(address.uri).ok())
}
