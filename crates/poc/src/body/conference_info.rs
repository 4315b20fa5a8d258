//! `application/conference-info+xml`: who takes part in a PoC Session. RFC 4575, as digest 9.7 uses it.

mod roster;

use std::collections::BTreeSet;
use std::fmt::Write;

use bytes::Bytes;

pub use self::roster::{Merged, Roster};
use super::BodyError;
use super::xml::{self, Element};

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/conference-info+xml";

/// The event package.
pub const EVENT: &str = "conference";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// Octets of the longest document that is written: with the header of a NOTIFY it stays within a SIP message.
pub const LENGTH_MAX: usize = 60 * 1024;

/// Users whom a document or a roster has.
pub const USERS_MAX: usize = 4096;

/// Endpoints of one user.
const ENDPOINTS_MAX: usize = 16;

/// Octets of the longest URI or name that is taken.
const TEXT_MAX: usize = 1024;

/// How much an element says (RFC 4575 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum State {
    /// All that there is: also what is meant by nothing.
    #[default]
    Full,
    /// What has changed.
    Partial,
    /// That it is no more.
    Deleted,
}

/// What one document says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConferenceInfo {
    /// The PoC Session Identity.
    pub entity: Bytes,
    /// The number of the document within its subscription, one more each time.
    pub version: u32,
    /// How much the document says.
    pub state: State,
    /// The name of the group.
    pub display_text: Option<String>,
    /// How many take part: more than `users` if not all of them are named (RFC 4575 §5.5.1).
    pub user_count: Option<u32>,
    /// Whether one who may can join.
    pub is_active: Option<bool>,
    /// How much `users` says of all users; [`State::Full`] if all the others are to be forgotten.
    pub users_state: State,
    /// The users.
    pub users: Vec<User>,
}

/// One user.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct User {
    /// The PoC Address, or an anonymous URI that no other user of the session has (RFC 4575 §5.6).
    pub entity: Bytes,
    /// How much is said about the user.
    pub state: State,
    /// The name.
    pub display_text: Option<String>,
    /// What the user is in the session.
    pub role: Option<Role>,
    /// The terminals.
    pub endpoints: Vec<Endpoint>,
}

/// What a user is in the session (digest 7.1, 1-many-1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// One of many.
    Ordinary,
    /// The one whom all ordinary ones hear.
    Distinguished,
}

/// One terminal of a user.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// What tells the terminals of a user apart.
    pub entity: Bytes,
    /// How much is said about the terminal.
    pub state: State,
    /// Where it stands.
    pub status: Option<Status>,
    /// How it left, once it is disconnected.
    pub disconnection: Option<Disconnection>,
}

/// A name that XML has for one of our values.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|each| each.as_str() == text)
            }
        }
    };
}

named! {
    /// Where an endpoint stands (RFC 4575 §5.7.3).
    Status {
        /// It takes part.
        Connected = "connected",
        /// It does not, and has no dialog.
        Disconnected = "disconnected",
        /// It has a dialog, but neither hears nor is heard.
        OnHold = "on-hold",
        /// It hears only.
        MutedViaFocus = "muted-via-focus",
        /// It is expected.
        Pending = "pending",
        /// It rings.
        Alerting = "alerting",
        /// It asks to be let in.
        DialingIn = "dialing-in",
        /// It has been invited and has not said anything.
        DialingOut = "dialing-out",
        /// It is being sent away.
        Disconnecting = "disconnecting",
    }
}

named! {
    /// How an endpoint left (RFC 4575 §5.7.6).
    Disconnection {
        /// It went.
        Departed = "departed",
        /// It was sent away, or not let in.
        Booted = "booted",
        /// It could not be had. digest 9.7: also an invitation that was cancelled, since its endpoint never joined.
        Failed = "failed",
        /// It was busy.
        Busy = "busy",
    }
}

impl ConferenceInfo {
    /// A document that says nothing yet.
    pub fn new(entity: Bytes, version: u32, state: State) -> Self {
        Self {
            entity,
            version,
            state,
            display_text: None,
            user_count: None,
            is_active: None,
            users_state: state,
            users: Vec::new(),
        }
    }
}

impl User {
    /// A user of whom all is said: one terminal, and where it stands.
    pub fn new(entity: Bytes, status: Status, disconnection: Option<Disconnection>) -> Self {
        let endpoint =
            Endpoint { entity: entity.clone(), state: State::Full, status: Some(status), disconnection };
        Self { entity, state: State::Full, display_text: None, role: None, endpoints: vec![endpoint] }
    }

    /// One who is no longer there.
    pub fn deleted(entity: Bytes) -> Self {
        Self { entity, state: State::Deleted, display_text: None, role: None, endpoints: Vec::new() }
    }
}

/// A document, and how many of the users are in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The octets.
    pub document: Bytes,
    /// The users that fit, from the first one on: the others belong into the next document, a partial one.
    pub users: usize,
}

/// Writes a document of at most [`LENGTH_MAX`] octets.
pub fn write(info: &ConferenceInfo) -> Written {
    let mut out =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<conference-info xmlns=\"{NAMESPACE}\"");
    attribute(&mut out, "entity", &info.entity);
    state(&mut out, info.state);
    let _ = writeln!(out, " version=\"{}\">", info.version);
    // RFC 4575 §5.2: a full document has a description and users, whatever they say.
    let is_full = info.state == State::Full;
    if is_full || info.display_text.is_some() {
        out.push_str("<conference-description>");
        element(&mut out, "display-text", info.display_text.as_deref());
        out.push_str("</conference-description>\n");
    }
    if info.user_count.is_some() || info.is_active.is_some() {
        out.push_str("<conference-state>");
        element(&mut out, "user-count", info.user_count.map(|count| count.to_string()).as_deref());
        element(&mut out, "active", info.is_active.map(|active| if active { "true" } else { "false" }));
        out.push_str("</conference-state>\n");
    }
    let mut users = 0;
    if is_full || !info.users.is_empty() {
        out.push_str("<users");
        state(&mut out, info.users_state);
        out.push_str(">\n");
        for each in &info.users {
            let before = out.len();
            user(&mut out, each);
            if out.len() + END.len() > LENGTH_MAX {
                out.truncate(before);
                break;
            }
            users += 1;
        }
        out.push_str("</users>\n");
    }
    out.push_str("</conference-info>\n");
    Written { document: Bytes::from(out), users }
}

/// What is written behind the last user.
const END: &str = "</users>\n</conference-info>\n";

fn user(out: &mut String, user: &User) {
    out.push_str("<user");
    attribute(out, "entity", &user.entity);
    state(out, user.state);
    // RFC 4575 §4.4: one who is deleted has nothing in it.
    if user.state == State::Deleted {
        out.push_str("/>\n");
        return;
    }
    out.push('>');
    element(out, "display-text", user.display_text.as_deref());
    if let Some(role) = user.role {
        let _ = write!(out, "<roles><entry>{}</entry></roles>", role.as_str());
    }
    for endpoint in &user.endpoints {
        out.push_str("<endpoint");
        attribute(out, "entity", &endpoint.entity);
        state(out, endpoint.state);
        if endpoint.state == State::Deleted {
            out.push_str("/>");
            continue;
        }
        out.push('>');
        element(out, "status", endpoint.status.map(Status::as_str));
        element(out, "disconnection-method", endpoint.disconnection.map(Disconnection::as_str));
        out.push_str("</endpoint>");
    }
    out.push_str("</user>\n");
}

impl Role {
    /// As it is written.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Distinguished => "distinguished",
        }
    }
}

fn attribute(out: &mut String, name: &str, value: &[u8]) {
    let _ = write!(out, " {name}=\"");
    xml::escape(out, &String::from_utf8_lossy(value));
    out.push('"');
}

/// RFC 4575 §4.4: the default is not written.
fn state(out: &mut String, state: State) {
    out.push_str(match state {
        State::Full => "",
        State::Partial => " state=\"partial\"",
        State::Deleted => " state=\"deleted\"",
    });
}

fn element(out: &mut String, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        let _ = write!(out, "<{name}>");
        xml::escape(out, text);
        let _ = write!(out, "</{name}>");
    }
}

/// Reads a document. What digest 9.7 does not use, media and sidebars for instance, is ignored.
///
/// # Errors
/// [`BodyError`] if it is none, has no version, names a user twice, or has too much of anything.
pub fn read(document: &[u8]) -> Result<ConferenceInfo, BodyError> {
    let root = xml::read(document, &[NAMESPACE])?;
    if !root.is(NAMESPACE, "conference-info") {
        return Err(BodyError::Root);
    }
    // RFC 4575 §5.2: the version MUST be there.
    let version = root.attribute("version").and_then(number).ok_or(BodyError::Value("version"))?;
    let mut info = ConferenceInfo::new(entity(&root)?, version, state_of(&root)?);
    // RFC 4575 §4.4: what stands in a deleted element is ignored.
    if info.state == State::Deleted {
        return Ok(info);
    }
    if let Some(description) = root.one(NAMESPACE, "conference-description")? {
        info.display_text = text(description, "display-text")?;
    }
    if let Some(state) = root.one(NAMESPACE, "conference-state")? {
        info.user_count = value(state, "user-count", number)?;
        info.is_active = value(state, "active", boolean)?;
    }
    // Where there are no users nothing is said about them.
    info.users_state = State::Partial;
    if let Some(users) = root.one(NAMESPACE, "users")? {
        info.users_state = state_of(users)?;
        if info.users_state != State::Deleted {
            info.users = all(users, "user", USERS_MAX, user_of, |user| &user.entity)?;
        }
    }
    Ok(info)
}

fn user_of(element: &Element) -> Result<User, BodyError> {
    let mut user = User { state: state_of(element)?, ..User::deleted(entity(element)?) };
    if user.state != State::Deleted {
        user.display_text = text(element, "display-text")?;
        user.role = element.one(NAMESPACE, "roles")?.map(|roles| {
            let mut entries = roles.all(NAMESPACE, "entry");
            let is_distinguished = entries.any(|entry| entry.text() == Role::Distinguished.as_str());
            if is_distinguished { Role::Distinguished } else { Role::Ordinary }
        });
        user.endpoints = all(element, "endpoint", ENDPOINTS_MAX, endpoint_of, |endpoint| &endpoint.entity)?;
    }
    Ok(user)
}

fn endpoint_of(element: &Element) -> Result<Endpoint, BodyError> {
    let (entity, state) = (entity(element)?, state_of(element)?);
    let mut endpoint = Endpoint { entity, state, status: None, disconnection: None };
    if state != State::Deleted {
        endpoint.status = value(element, "status", Status::parse)?;
        endpoint.disconnection = value(element, "disconnection-method", Disconnection::parse)?;
    }
    Ok(endpoint)
}

/// The elements of this name, each key once (RFC 4575 §4.5).
fn all<T>(
    element: &Element,
    name: &'static str,
    count_max: usize,
    read: fn(&Element) -> Result<T, BodyError>,
    key: fn(&T) -> &Bytes,
) -> Result<Vec<T>, BodyError> {
    let mut found = Vec::new();
    for each in element.all(NAMESPACE, name) {
        if found.len() == count_max {
            return Err(BodyError::TooLarge);
        }
        found.push(read(each)?);
    }
    let keys: BTreeSet<_> = found.iter().map(key).collect();
    if keys.len() == found.len() { Ok(found) } else { Err(BodyError::Value(name)) }
}

/// RFC 4575 §4.5: the key of an element, a URI.
fn entity(element: &Element) -> Result<Bytes, BodyError> {
    let is_uri = |uri: &&str| {
        !uri.is_empty() && uri.len() <= TEXT_MAX && uri.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let uri = element.attribute("entity").map(str::trim).filter(is_uri).ok_or(BodyError::Value("entity"))?;
    Ok(Bytes::copy_from_slice(uri.as_bytes()))
}

fn state_of(element: &Element) -> Result<State, BodyError> {
    match element.attribute("state").map(str::trim) {
        Some("full") | None => Ok(State::Full),
        Some("partial") => Ok(State::Partial),
        Some("deleted") => Ok(State::Deleted),
        Some(_) => Err(BodyError::Value("state")),
    }
}

fn text(of: &Element, name: &'static str) -> Result<Option<String>, BodyError> {
    value(of, name, |text| (text.len() <= TEXT_MAX).then(|| text.to_owned()))
}

fn value<T>(of: &Element, name: &'static str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, BodyError> {
    let Some(element) = of.one(NAMESPACE, name)? else { return Ok(None) };
    parse(element.text()).map(Some).ok_or(BodyError::Value(name))
}

/// `xs:unsignedInt`.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `xs:boolean`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
