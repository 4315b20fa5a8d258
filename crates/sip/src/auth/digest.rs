//! What a digest is computed from: RFC 7616 §3.4, with the algorithms of RFC 8760 §2.

use std::fmt::Write;

/// A hash function of the registry, and whether A1 is bound to the nonce (`-sess`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Algorithm {
    /// The function.
    pub function: Function,
    /// Whether it is the `-sess` form (RFC 7616 §3.4.2).
    pub is_session: bool,
}

/// A hash function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the variants are the functions' own names")]
pub enum Function {
    Md5,
    Sha256,
    Sha512_256,
}

/// What the digest protects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quality {
    /// `auth`: the method and the URI.
    Authentication,
    /// `auth-int`: the body besides.
    Integrity,
}

/// What only the user and the server know.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// The password.
    Password(&'a [u8]),
    /// [`Algorithm::ha1`] of it, in hexadecimal digits: what a server keeps.
    Ha1(&'a [u8]),
}

/// It is not shown.
impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Everything that goes into a digest, without quotes and escapes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are named as in RFC 7616 §3.4")]
pub struct Input<'a> {
    pub algorithm: Algorithm,
    pub username: &'a [u8],
    pub realm: &'a [u8],
    pub secret: Secret<'a>,
    pub nonce: &'a [u8],
    pub cnonce: &'a [u8],
    /// How many requests have been sent with this nonce, this one included.
    pub count: u32,
    /// `None` if the challenge named none, as in RFC 2069.
    pub quality: Option<Quality>,
    pub method: &'a [u8],
    pub uri: &'a [u8],
    pub body: &'a [u8],
}

impl Algorithm {
    /// The algorithm of this name, in any case (RFC 8760 §2.1).
    pub fn parse(name: &[u8]) -> Option<Self> {
        let all = [Function::Md5, Function::Sha256, Function::Sha512_256];
        let mut all = all
            .into_iter()
            .flat_map(|function| [false, true].map(|is_session| Self { function, is_session }));
        all.find(|each| each.as_str().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match (self.function, self.is_session) {
            (Function::Md5, false) => "MD5",
            (Function::Md5, true) => "MD5-sess",
            (Function::Sha256, false) => "SHA-256",
            (Function::Sha256, true) => "SHA-256-sess",
            (Function::Sha512_256, false) => "SHA-512-256",
            (Function::Sha512_256, true) => "SHA-512-256-sess",
        }
    }

    /// H(A), in hexadecimal digits, of `parts` joined by colons.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self.function {
            Function::Md5 => joined::<md5::Md5>(parts),
            Function::Sha256 => joined::<sha2::Sha256>(parts),
            Function::Sha512_256 => joined::<sha2::Sha512_256>(parts),
        }
    }

    /// H(A1) of the form without `-sess`, in hexadecimal digits: it depends on the user alone, so a server can keep it in
    /// the place of a password (RFC 7616 §3.4.2).
    pub fn ha1(self, username: &[u8], realm: &[u8], password: &[u8]) -> String {
        self.hash(&[username, realm, password])
    }

    /// The user name as it is written if the server wants it hashed (RFC 7616 §3.4.4).
    pub fn userhash(self, username: &[u8], realm: &[u8]) -> String {
        self.hash(&[username, realm])
    }
}

impl Quality {
    /// The value of `qop`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "auth",
            Self::Integrity => "auth-int",
        }
    }
}

impl Input<'_> {
    /// The value of `response` (RFC 7616 §3.4.1).
    pub fn response(&self) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let mut a1 = match self.secret {
            Secret::Password(password) => self.algorithm.ha1(self.username, self.realm, password),
            Secret::Ha1(digits) => String::from_utf8_lossy(digits).into_owned(),
        };
        if self.algorithm.is_session {
            a1 = hash(&[a1.as_bytes(), self.nonce, self.cnonce]); // §3.4.2
        }
        let a2 = match self.quality {
            None | Some(Quality::Authentication) => hash(&[self.method, self.uri]),
            Some(Quality::Integrity) => hash(&[self.method, self.uri, hash(&[self.body]).as_bytes()]), // §3.4.3
        };
        let Some(quality) = self.quality else {
            return hash(&[a1.as_bytes(), self.nonce, a2.as_bytes()]); // RFC 2617 §3.2.2.1
        };
        let (count, quality) = (format!("{:08x}", self.count), quality.as_str().as_bytes());
        hash(&[a1.as_bytes(), self.nonce, count.as_bytes(), self.cnonce, quality, a2.as_bytes()])
    }
}

fn joined<H: sha2::Digest>(parts: &[&[u8]]) -> String {
    let mut hash = H::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
