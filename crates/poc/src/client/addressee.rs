//! Whom a PoC Session is with (digest 7.1).

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::Misuse;
use sip::message::Uri;

use crate::server::SessionType;
use crate::{address, focus};

/// Octets of the longest URI that is taken.
const URI_MAX: usize = 255;

/// Whom a PoC Session is with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Addressee {
    /// One user: a 1-1 session. The PoC Address as a URI.
    User(Bytes),
    /// These users: an ad-hoc group. Needs a [`Config::conference_factory`](super::Config::conference_factory).
    Users(Invitees),
    /// The members of a pre-arranged group, who are invited unless the session stands. The PoC Group Identity.
    PreArranged(Bytes),
    /// Whoever is in a chat group: nobody is invited. The PoC Group Identity.
    Chat(Bytes),
    /// Whoever is in a PoC Session that was left or lost, by its identity (digest 9.3). 404: it is over.
    Session(Bytes),
}

impl Addressee {
    /// The Request-URI, and who stands in the list (digest 7.1, 8.2).
    pub(super) fn resolve(&self, factory: Option<&Bytes>) -> Result<(Bytes, &[Bytes]), Misuse> {
        match (self, factory) {
            (Self::User(user), None) => {
                Uri::parse(user).map_err(|_| Misuse::Address)?;
                Ok((user.clone(), &[]))
            }
            (Self::User(user), Some(factory)) => {
                Uri::parse(user).map_err(|_| Misuse::Address)?;
                Ok((factory.clone(), std::slice::from_ref(user)))
            }
            (Self::Users(invitees), Some(factory)) => Ok((factory.clone(), &invitees.0)),
            (Self::Users(_), None) => Err(Misuse::NoTarget),
            (Self::PreArranged(group), _) => Ok((group_uri(group, SessionType::PreArranged)?, &[])),
            (Self::Chat(group), _) => Ok((group_uri(group, SessionType::Chat)?, &[])),
            (Self::Session(identity), _) => {
                let identity = focus::session_identity(identity).ok_or(Misuse::Address)?;
                Ok((identity, &[]))
            }
        }
    }
}

/// A PoC Group Identity with the parameter by which the own PoC Server knows that it is no user's; its host ignores it.
fn group_uri(group: &[u8], kind: SessionType) -> Result<Bytes, Misuse> {
    let uri = Uri::parse(group).ok().filter(|_| group.len() <= URI_MAX);
    let uri = uri.filter(|uri| uri.is_sip() && uri.user.is_some() && uri.headers.is_none());
    match uri.ok_or(Misuse::Address)?.parameters.value(b"session") {
        None => Ok(Bytes::from([group, kind.uri_parameter()].concat())),
        Some(said) if SessionType::of(said) == kind => Ok(Bytes::copy_from_slice(group)),
        Some(_) => Err(Misuse::Address),
    }
}

/// Users who are invited together: at least one, none of them twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Bytes>", into = "Vec<Bytes>")]
pub struct Invitees(Vec<Bytes>);

impl Invitees {
    /// Users of the longest list. What a PoC Server takes may be less.
    pub const MAX: usize = 200;

    /// These users, by their PoC Addresses as URIs.
    ///
    /// # Errors
    /// [`ListError`] if they cannot be invited together. Nothing has been sent to anybody.
    pub fn new(users: Vec<Bytes>) -> Result<Self, ListError> {
        if users.is_empty() {
            return Err(ListError::Empty);
        }
        if users.len() > Self::MAX {
            return Err(ListError::TooMany);
        }
        let mut known = BTreeSet::new();
        for user in &users {
            let is_short = user.len() <= URI_MAX && user.iter().all(u8::is_ascii_graphic);
            let address = address::canonical(user).filter(|_| is_short);
            let address = address.ok_or_else(|| ListError::NotAnAddress(user.clone()))?;
            if !known.insert(address) {
                return Err(ListError::Twice(user.clone()));
            }
        }
        Ok(Self(users))
    }

    /// The users in their order.
    pub fn as_slice(&self) -> &[Bytes] {
        &self.0
    }
}

impl TryFrom<Vec<Bytes>> for Invitees {
    type Error = ListError;

    fn try_from(users: Vec<Bytes>) -> Result<Self, ListError> {
        Self::new(users)
    }
}

impl From<Invitees> for Vec<Bytes> {
    fn from(invitees: Invitees) -> Self {
        invitees.0
    }
}

/// Why users cannot be invited together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListError {
    /// There is nobody.
    Empty,
    /// They are more than [`Invitees::MAX`].
    TooMany,
    /// This is no SIP URI with a user.
    NotAnAddress(Bytes),
    /// This user is there twice, be it in two spellings.
    Twice(Bytes),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |user: &Bytes| String::from_utf8_lossy(user).into_owned();
        match self {
            Self::Empty => f.write_str("nobody to invite"),
            Self::TooMany => write!(f, "more than {} users", Invitees::MAX),
            Self::NotAnAddress(user) => write!(f, "no SIP address of a user: {:?}", text(user)),
            Self::Twice(user) => write!(f, "invited twice: {:?}", text(user)),
        }
    }
}

impl std::error::Error for ListError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(users: &[&'static str]) -> Result<Invitees, ListError> {
        Invitees::new(users.iter().map(|user| Bytes::from_static(user.as_bytes())).collect())
    }

    #[test]
    fn a_list_has_somebody_and_nobody_twice() {
        let twice = Bytes::from_static(b"sip:b%65n@HOME1.example:5060");
        assert_eq!(list(&[]), Err(ListError::Empty));
        assert_eq!(
            list(&["sip:ben@home1.example", "sip:b%65n@HOME1.example:5060"]),
            Err(ListError::Twice(twice))
        );
        assert!(list(&["sip:ben@home1.example", "sip:ben@home2.example"]).is_ok());
    }

    #[test]
    fn a_list_has_sip_addresses_of_users_only() {
        for wrong in ["", "tel:+491", "sip:home1.example", "ben", "sip:b\u{e9}n@h", "sip:ben@h>"] {
            let error = Err(ListError::NotAnAddress(Bytes::from_static(wrong.as_bytes())));
            assert_eq!(list(&["sip:cara@h", wrong]), error, "{wrong}");
        }
    }

    #[test]
    fn a_list_has_a_bound_which_a_journal_cannot_pass_either() {
        let users =
            |count| (0..count).map(|number| Bytes::from(format!("sip:u{number}@h"))).collect::<Vec<_>>();
        assert!(Invitees::new(users(Invitees::MAX)).is_ok());
        assert_eq!(Invitees::new(users(Invitees::MAX + 1)), Err(ListError::TooMany));
        assert_eq!(Invitees::try_from(Vec::new()), Err(ListError::Empty));
    }

    #[test]
    fn a_group_is_told_from_a_user_by_a_parameter_of_its_uri() {
        let uri = |to: Addressee| to.resolve(None).map(|(uri, _)| String::from_utf8(uri.to_vec()).unwrap());
        let group = |text: &'static str| Bytes::from_static(text.as_bytes());
        let patrol = "sip:patrol@home2.example";
        assert_eq!(uri(Addressee::PreArranged(group(patrol))), Ok(format!("{patrol};session=prearranged")));
        assert_eq!(uri(Addressee::Chat(group(patrol))), Ok(format!("{patrol};session=chat")));
        let said = "sip:patrol@home2.example;session=chat";
        assert_eq!(uri(Addressee::Chat(group(said))).as_deref(), Ok(said));
        assert_eq!(uri(Addressee::PreArranged(group(said))), Err(Misuse::Address));
        assert_eq!(uri(Addressee::Session(group(said))).as_deref(), Ok(said));
        for wrong in ["sip:home2.example", "tel:+491", "patrol", "sip:patrol@h?x=y"] {
            assert_eq!(uri(Addressee::Chat(group(wrong))), Err(Misuse::Address), "{wrong}");
            assert_eq!(uri(Addressee::Session(group(wrong))), Err(Misuse::Address), "{wrong}");
        }
    }

    #[test]
    fn an_ad_hoc_group_needs_a_conference_factory() {
        let users = Addressee::Users(list(&["sip:ben@h", "sip:cara@h"]).unwrap());
        assert_eq!(users.resolve(None), Err(Misuse::NoTarget));
        let factory = Bytes::from_static(b"sip:poc-factory@home1.example");
        let (uri, listed) = users.resolve(Some(&factory)).unwrap();
        assert_eq!((uri, listed.len()), (factory, 2));
    }
}
