//! Digest access authentication: RFC 3261 §22, RFC 7616, RFC 8760.

mod challenge;
pub mod digest;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::challenge::{CHALLENGES_MAX, unquoted};
use self::challenge::{Challenge, challenges};
use self::digest::{Input, Secret};
use crate::identifier::{Identifier, Identifiers};
use crate::message::{Message, Method, Name, has_line_end};

/// Who a user is for a realm.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The realm that may ask for them; `None` for any.
    pub realm: Option<Bytes>,
    /// The user name.
    pub username: Bytes,
    /// The password. Octets: that of an AKA challenge is not text.
    pub secret: Bytes,
}

/// The secret is not shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The challenges of one Call-ID that are answered: RFC 3261 §22.3 lets every further request of it carry the answers,
/// and none of another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Authentication {
    answers: Vec<Answer>,
}

/// How one realm is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    challenge: Challenge,
    credentials: Credentials,
    /// One for each nonce, so that A1 of the `-sess` forms stays what it is.
    cnonce: Identifier,
    /// Requests that carried this nonce.
    count: u32,
    /// Whether a request that carried it was not challenged again.
    is_proven: bool,
}

impl Authentication {
    /// Takes what a 401 or 407 to `request` asks for. Whether another attempt makes sense: if not, nothing has changed.
    ///
    /// It does not if a realm refuses what `request` carried for it and does not say that only the nonce was stale
    /// (RFC 3261 §22.2: credentials that were just rejected are not tried again), or if there is nothing new to say.
    pub fn accept(
        &mut self,
        request: &Message,
        response: &Message,
        credentials: &[Credentials],
        identifiers: &mut Identifiers,
    ) -> bool {
        let challenges = challenges(response);
        if challenges.iter().any(|challenge| self.was_refused(request, challenge)) {
            return false;
        }
        let mut is_new = false;
        for challenge in challenges {
            let place = self.place_of(&challenge);
            let is_answered =
                place.is_some_and(|place| self.answers[place].challenge.nonce == challenge.nonce);
            if is_answered && !challenge.is_stale {
                is_new = true; // another request was asked the same in the meantime: the count goes on
                continue;
            }
            let Some(credentials) = credentials.iter().find(|each| each.fit(&challenge.realm)) else {
                continue;
            };
            if place.is_none() && self.answers.len() == CHALLENGES_MAX {
                continue;
            }
            let answer = Answer {
                challenge,
                credentials: credentials.clone(),
                cnonce: identifiers.draw(),
                count: 0,
                is_proven: false,
            };
            match place {
                Some(place) => self.answers[place] = answer,
                None => self.answers.push(answer),
            }
            is_new = true;
        }
        is_new
    }

    /// A request that carried the answers was not challenged.
    pub fn prove(&mut self) {
        for answer in &mut self.answers {
            answer.is_proven |= answer.count > 0;
        }
    }

    /// The header lines for a request. Each call counts as one use of every nonce.
    pub fn lines(&mut self, method: Method, uri: &[u8], body: &[u8]) -> Vec<(Name, Bytes)> {
        self.answers
            .iter_mut()
            .map(|answer| {
                answer.count = answer.count.saturating_add(1);
                (answer.challenge.answer, answer.write(method, uri, body))
            })
            .collect()
    }

    fn place_of(&self, challenge: &Challenge) -> Option<usize> {
        self.answers.iter().position(|answer| {
            answer.challenge.answer == challenge.answer && answer.challenge.realm == challenge.realm
        })
    }

    /// Whether `challenge` says that what `request` carried for its realm is wrong: it says nothing of an answer that
    /// another request brought about in the meantime. Credentials that were good for an earlier request may meet a server
    /// that forgot the nonce and does not say so: those are computed once more.
    fn was_refused(&self, request: &Message, challenge: &Challenge) -> bool {
        self.place_of(challenge).map(|place| &self.answers[place]).is_some_and(|answer| {
            let is_same = answer.challenge.nonce == challenge.nonce;
            !challenge.is_stale && answer.stands_in(request) && (is_same || !answer.is_proven)
        })
    }
}

impl Credentials {
    /// Whether they may be shown to `realm`.
    fn fit(&self, realm: &[u8]) -> bool {
        !has_line_end(&self.username) && self.realm.as_ref().is_none_or(|own| own == realm)
    }
}

impl Answer {
    /// Whether `request` carries this nonce.
    fn stands_in(&self, request: &Message) -> bool {
        let mut nonce = b"nonce=".to_vec();
        quote(&mut nonce, &self.challenge.nonce);
        let has = |line: &[u8]| line.windows(nonce.len()).any(|part| part == nonce);
        request.values(self.challenge.answer).any(has)
    }

    /// The value of Authorization or Proxy-Authorization (RFC 7616 §3.4).
    fn write(&self, method: Method, uri: &[u8], body: &[u8]) -> Bytes {
        let Self { challenge, credentials, cnonce, count, .. } = self;
        let (username, realm) = (&credentials.username, &challenge.realm);
        let response = Input {
            algorithm: challenge.algorithm,
            username,
            realm,
            secret: Secret::Password(&credentials.secret),
            nonce: &challenge.nonce,
            cnonce: cnonce.as_bytes(),
            count: *count,
            quality: challenge.quality,
            method: method.as_str().as_bytes(),
            uri,
            body,
        }
        .response();
        let shown = if challenge.userhash {
            Bytes::from(challenge.algorithm.userhash(username, realm)) // §3.4.4
        } else {
            username.clone()
        };
        let mut out = b"Digest username=".to_vec();
        quote(&mut out, &shown);
        for (name, value) in [
            ("realm", &realm[..]),
            ("nonce", &challenge.nonce),
            ("uri", uri),
            ("response", response.as_bytes()),
        ] {
            out.extend_from_slice(format!(", {name}=").as_bytes());
            quote(&mut out, value);
        }
        if challenge.is_named {
            out.extend_from_slice(format!(", algorithm={}", challenge.algorithm.as_str()).as_bytes());
        }
        if let Some(opaque) = &challenge.opaque {
            out.extend_from_slice(b", opaque=");
            quote(&mut out, opaque);
        }
        if let Some(quality) = challenge.quality {
            // RFC 7616 §3.4: algorithm, qop and nc have no quotes.
            let text = format!(", qop={}, nc={count:08x}, cnonce=\"{cnonce}\"", quality.as_str());
            out.extend_from_slice(text.as_bytes());
        }
        if challenge.userhash {
            out.extend_from_slice(b", userhash=true");
        }
        Bytes::from(out)
    }
}

/// Writes a quoted string.
fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}
