//! Who a client is: Digest challenges and their answers, without keeping state. RFC 3261 §22, RFC 7616, RFC 8760.
//!
//! A nonce is the second in which it was made and a keyed hash of that second, the realm and the address it was made for:
//! nothing is kept of it. Within its validity a captured answer could be sent again, from the same address and for the same
//! method and Request-URI only; the nonce count is not looked at.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::auth::digest::{Algorithm, Function, Input, Quality, Secret};
use sip::auth::unquoted;
use sip::hash::Keyed;
use sip::message::{Message, Name, Parameters};
use sip::{Duration, Instant};
use subtle::ConstantTimeEq;

use crate::face::Nonces;

const SHA_256: Algorithm = Algorithm { function: Function::Sha256, is_session: false };
const MD5: Algorithm = Algorithm { function: Function::Md5, is_session: false };

/// Octets of the hexadecimal digits of a second in a nonce.
const SECOND: usize = 8;

/// What is kept of a password: H(A1) for each algorithm that we offer, in hexadecimal digits (RFC 7616 §3.4.2). Whoever
/// has it can answer challenges of the realm, so it is as secret as a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ha1 {
    sha_256: Bytes,
    md5: Bytes,
}

/// It is not shown.
impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1")
    }
}

impl Ha1 {
    /// That of a password.
    pub fn of(user: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let [sha_256, md5] =
            [SHA_256, MD5].map(|algorithm| Bytes::from(algorithm.ha1(user, realm, password)));
        Self { sha_256, md5 }
    }

    /// What [`Self::digits`] gave; `None` if these are no hexadecimal digits of the right number.
    pub fn parse(sha_256: &[u8], md5: &[u8]) -> Option<Self> {
        let is_hex = |digits: &[u8], count| digits.len() == count && digits.iter().all(u8::is_ascii_hexdigit);
        let copy = |digits: &[u8]| Bytes::from(digits.to_ascii_lowercase());
        (is_hex(sha_256, 64) && is_hex(md5, 32)).then(|| Self { sha_256: copy(sha_256), md5: copy(md5) })
    }

    /// The hexadecimal digits for SHA-256 and for MD5.
    pub fn digits(&self) -> [&[u8]; 2] {
        [&self.sha_256, &self.md5]
    }
}

/// The algorithms of the challenges (RFC 8760 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Algorithms {
    /// Both, SHA-256 first: each client takes the first that it knows.
    Sha256AndMd5,
    /// MD5 only: for clients that give up where anything else is offered.
    Md5,
}

/// What the credentials of a request prove.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// That it comes from this user.
    User(Bytes),
    /// Nothing: there are none for our realm.
    Absent,
    /// The user knows the password, but the nonce is too old, or not one of ours.
    Stale,
    /// Nothing: the user is unknown, or does not know the password.
    Wrong,
}

/// The realm that a core protects.
#[derive(Clone, Debug)]
pub(crate) struct Realm {
    name: Bytes,
    keyed: Keyed,
    /// When this core began.
    begun: Duration,
    validity: Duration,
    algorithms: Algorithms,
    /// What the password of an unknown user is compared with, so that it takes as long.
    nobody: Ha1,
}

impl Realm {
    pub(crate) fn new(name: Bytes, nonces: &Nonces, algorithms: Algorithms) -> Self {
        let Nonces { secret, begun, validity } = *nonces;
        let keyed = Keyed::new(secret);
        let nobody = Ha1::of(b"", &name, keyed.key(&[b"nobody"]).to_string().as_bytes());
        Self { name, keyed, begun, validity, algorithms, nobody }
    }

    /// The challenges, one a line, in the order of our preference (RFC 8760 §2.4).
    pub(crate) fn challenges(
        &self,
        now: Instant,
        source: IpAddr,
        is_stale: bool,
    ) -> impl Iterator<Item = Bytes> {
        let nonce = self.nonce(self.second(now), source);
        let stale = if is_stale { ", stale=true" } else { "" };
        let realm = String::from_utf8_lossy(&self.name);
        let offered: &[Algorithm] = match self.algorithms {
            Algorithms::Sha256AndMd5 => &[SHA_256, MD5],
            Algorithms::Md5 => &[MD5],
        };
        offered.iter().map(move |algorithm| {
            let name = algorithm.as_str();
            let text =
                format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}");
            Bytes::from(text)
        })
    }

    /// The second of a nonce that is made now: it never comes again, in this run or in another.
    fn second(&self, now: Instant) -> u32 {
        (self.begun + now.since_start()).as_secs() as u32
    }

    fn nonce(&self, second: u32, source: IpAddr) -> String {
        let source = source.to_string();
        let key = self.keyed.key(&[b"nonce", &second.to_be_bytes(), &self.name, source.as_bytes()]);
        format!("{second:08x}{key}")
    }

    /// Whether `nonce` was made here for `source`, and not too long ago.
    fn is_good(&self, nonce: &[u8], now: Instant, source: IpAddr) -> bool {
        let second = nonce.get(..SECOND).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(second) = second.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return false;
        };
        let is_ours = self.nonce(second, source).as_bytes().ct_eq(nonce).into();
        let age = self.second(now).wrapping_sub(second);
        is_ours && Duration::from_secs(age.into()) < self.validity
    }

    /// What the credentials in the lines of `name` prove. `ha1` knows the users.
    pub(crate) fn check<'a>(
        &'a self,
        now: Instant,
        source: IpAddr,
        request: &Message,
        name: Name,
        ha1: impl Fn(&[u8]) -> Option<&'a Ha1>,
    ) -> Verdict {
        let mut all = request.credentials(name).filter_map(Result::ok);
        let credentials =
            all.find(|each| each.scheme.eq_ignore_ascii_case(b"Digest") && self.is_ours(&each.parameters));
        let Some(credentials) = credentials else { return Verdict::Absent };
        let Some(answer) = Answer::read(&credentials.parameters) else { return Verdict::Wrong };
        let known = ha1(&answer.username);
        let is_known = known.is_some();
        let expected = known.unwrap_or(&self.nobody);
        let digits = match answer.algorithm.function {
            Function::Md5 => &expected.md5,
            Function::Sha256 | Function::Sha512_256 => &expected.sha_256,
        };
        let expected = Input {
            algorithm: answer.algorithm,
            username: &answer.username,
            realm: &self.name,
            secret: Secret::Ha1(digits),
            nonce: &answer.nonce,
            cnonce: &answer.cnonce,
            count: answer.count,
            quality: Some(Quality::Authentication),
            method: request.method_text(),
            uri: &answer.uri,
            body: b"",
        }
        .response();
        // RFC 7616 §3.4.6: the URI that the digest covers is the one of the request.
        let is_right: bool = expected.as_bytes().ct_eq(&answer.response).into();
        match is_right && is_known && answer.uri == request.uri_text() {
            false => Verdict::Wrong,
            true if self.is_good(&answer.nonce, now, source) => Verdict::User(answer.username),
            true => Verdict::Stale,
        }
    }

    /// Whether these are credentials for our realm.
    pub(crate) fn is_ours(&self, parameters: &Parameters<'_>) -> bool {
        parameters.value(b"realm").and_then(unquoted).is_some_and(|realm| realm == self.name)
    }
}

/// What credentials say: RFC 7616 §3.4. All that we offered `qop` for must be there.
struct Answer {
    username: Bytes,
    nonce: Bytes,
    uri: Bytes,
    response: Bytes,
    cnonce: Bytes,
    count: u32,
    algorithm: Algorithm,
}

impl Answer {
    fn read(parameters: &Parameters<'_>) -> Option<Self> {
        let text = |name: &[u8]| parameters.value(name).and_then(unquoted);
        let algorithm = match text(b"algorithm") {
            None => MD5,
            Some(name) => Algorithm::parse(&name).filter(|named| [SHA_256, MD5].contains(named))?,
        };
        text(b"qop").filter(|quality| quality.eq_ignore_ascii_case(b"auth"))?;
        let count = text(b"nc").filter(|count| count.len() == 8)?;
        Some(Self {
            username: text(b"username")?,
            nonce: text(b"nonce")?,
            uri: text(b"uri")?,
            response: text(b"response")?,
            cnonce: text(b"cnonce")?,
            count: u32::from_str_radix(std::str::from_utf8(&count).ok()?, 16).ok()?,
            algorithm,
        })
    }
}
