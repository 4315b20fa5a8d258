//! What a subscriber knows of a conference, put together from documents. RFC 4575 §4.6.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::BodyError;
use super::{ConferenceInfo, ENDPOINTS_MAX, Endpoint, State, USERS_MAX, User};

/// What a document did to a [`Roster`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Merged {
    /// It is known now.
    Updated,
    /// Nothing: it is as old as what is known, or older.
    Stale,
    /// Nothing: one before it is missing. The subscriber MUST refresh the subscription, and is told all.
    Missed,
    /// The conference is over.
    Deleted,
}

/// The conference as its subscriber knows it. Each part of it is [`State::Full`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    version: Option<u32>,
    display_text: Option<String>,
    user_count: Option<u32>,
    is_active: Option<bool>,
    users: BTreeMap<Bytes, User>,
}

impl Roster {
    /// Before the first document.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the group.
    pub fn display_text(&self) -> Option<&str> {
        self.display_text.as_deref()
    }

    /// How many take part.
    pub fn user_count(&self) -> Option<u32> {
        self.user_count
    }

    /// Whether one who may can join.
    pub fn is_active(&self) -> Option<bool> {
        self.is_active
    }

    /// The users, by their URI.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &User> {
        self.users.values()
    }

    /// The user of this URI.
    pub fn user(&self, entity: &[u8]) -> Option<&User> {
        self.users.get(entity)
    }

    /// Takes what the next document says.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] if there would be too many users, or endpoints of one; nothing has changed then.
    pub fn merge(&mut self, document: ConferenceInfo) -> Result<Merged, BodyError> {
        match (self.version, document.state) {
            // RFC 4575 §4.6: equal to or less than the local version: discarded.
            (Some(version), _) if document.version <= version => return Ok(Merged::Stale),
            (Some(_) | None, State::Full | State::Deleted) => *self = Self::default(),
            (Some(version), State::Partial) if document.version - version == 1 => self.check(&document)?,
            (Some(_) | None, State::Partial) => return Ok(Merged::Missed),
        }
        self.version = Some(document.version);
        if document.state == State::Deleted {
            return Ok(Merged::Deleted);
        }
        // RFC 4575 §4.6 step 3.2: what is not in the document stays as it is.
        self.display_text = document.display_text.or(self.display_text.take());
        self.user_count = document.user_count.or(self.user_count);
        self.is_active = document.is_active.or(self.is_active);
        if document.users_state != State::Partial {
            self.users.clear();
        }
        for user in document.users {
            self.merge_user(user);
        }
        Ok(Merged::Updated)
    }

    /// Whether there is room for what a partial document adds.
    fn check(&self, document: &ConferenceInfo) -> Result<(), BodyError> {
        let mut count = self.users.len();
        for user in document.users.iter().filter(|user| user.state != State::Deleted) {
            match self.users.get(&user.entity) {
                None => count += 1,
                Some(known) if known.endpoints.len() + user.endpoints.len() > 2 * ENDPOINTS_MAX => {
                    return Err(BodyError::TooLarge);
                }
                Some(_) => {}
            }
        }
        if count > USERS_MAX { Err(BodyError::TooLarge) } else { Ok(()) }
    }

    fn merge_user(&mut self, user: User) {
        match (user.state, self.users.get_mut(&user.entity)) {
            (State::Deleted, _) => {
                self.users.remove(&user.entity);
            }
            (State::Partial, Some(known)) => {
                known.display_text = user.display_text.or(known.display_text.take());
                known.role = user.role.or(known.role);
                for endpoint in user.endpoints {
                    merge_endpoint(&mut known.endpoints, endpoint);
                }
            }
            // RFC 4575 §4.6 step 3.1.1: of one who is not known, a part is all.
            (State::Full | State::Partial, _) => {
                let mut endpoints = Vec::new();
                for endpoint in user.endpoints {
                    merge_endpoint(&mut endpoints, endpoint);
                }
                let user = User { state: State::Full, endpoints, ..user };
                self.users.insert(user.entity.clone(), user);
            }
        }
    }
}

fn merge_endpoint(known: &mut Vec<Endpoint>, endpoint: Endpoint) {
    let place = known.iter().position(|each| each.entity == endpoint.entity);
    match (endpoint.state, place) {
        (State::Deleted, Some(place)) => {
            known.remove(place);
        }
        (State::Deleted, None) => {}
        (State::Partial, Some(place)) => {
            let known = &mut known[place];
            known.status = endpoint.status.or(known.status);
            known.disconnection = endpoint.disconnection.or(known.disconnection);
        }
        (State::Full, Some(place)) => known[place] = endpoint,
        (State::Full | State::Partial, None) => known.push(Endpoint { state: State::Full, ..endpoint }),
    }
}
