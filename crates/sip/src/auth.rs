//! Digest access authentication: RFC 3261 §22, RFC 7616, RFC 8760.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
