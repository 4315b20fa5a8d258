//! Configurations and commands: walked as what they are written as, so a field that is added is renamed unless it is named here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::names::Names;
use super::places::{of_address, of_text};

/// What tells nothing of anybody: words of the protocols, and what chance is drawn from.
const KEPT: &[&str] = &[
    "seed",
    "product",
    "contact_parameters",
    "supported",
    "methods",
    "events",
    "body_types",
    "tags",
    "codecs",
    "timers",
    "talk_bursts",
    "talk_burst",
    "owner",
    "ports",
];

/// Fields that are written for users.
const FOR_USERS: &[&str] = &["display_name", "text", "note", "name", "id", "phrase"];

/// The same with other names, addresses and secrets. `None` if it is not written as it is read.
pub(super) fn renamed<T: Serialize + DeserializeOwned>(value: &T, names: &mut Names) -> Option<T> {
    let mut value = serde_json::to_value(value).ok()?;
    rename(&mut value, "", "", names);
    serde_json::from_value(value).ok()
}

/// `key` is what the value is called, `above` that in which it stands.
fn rename(value: &mut Value, key: &str, above: &str, names: &mut Names) {
    if KEPT.contains(&key) {
        return;
    }
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| rename(value, name, key, names)),
        Value::Array(items) => match octets(items) {
            Some(octets) => {
                let other = other_octets(&octets, key, above, names);
                *items = other.into_iter().map(Value::from).collect();
            }
            None => items.iter_mut().for_each(|item| rename(item, key, above, names)),
        },
        Value::String(text) => rename_text(text, key, names),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The items, if they can be octets.
fn octets(items: &[Value]) -> Option<Vec<u8>> {
    items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect()
}

fn other_octets(octets: &[u8], key: &str, above: &str, names: &mut Names) -> Vec<u8> {
    match (above, key) {
        // Another at each start, and what tells users of one shard from those of another.
        ("core", "secret") => octets.to_vec(),
        (_, "secret" | "sha_256" | "md5") => {
            let drawn = [names.secret(octets), names.secret(&[octets, b"2"].concat())].concat();
            octets.iter().zip(drawn.into_iter().cycle()).map(|(_, drawn)| drawn).collect()
        }
        (_, "payload") => vec![0; octets.len()],
        _ => names.renamed(octets, &of_address(octets)),
    }
}

/// A text is an address, written for users, or a word of ours.
fn rename_text(text: &mut String, key: &str, names: &mut Names) {
    if let Ok(ip) = text.parse() {
        *text = names.address(ip).to_string();
    } else if let Ok(mut socket) = text.parse::<std::net::SocketAddr>() {
        socket.set_ip(names.address(socket.ip()));
        *text = socket.to_string();
    } else if FOR_USERS.contains(&key) {
        let other = names.renamed(text.as_bytes(), &of_text(text.as_bytes()));
        *text = String::from_utf8(other).unwrap_or_default();
    }
}
