//! The file: octets to settings, each option to its place. Everything that is wrong is collected, not only the first.

use std::collections::{BTreeMap, BTreeSet};

use sip::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin, Place};
use super::item::{Item, Kind};
use super::options::{OPTIONS, find, is_array};
use super::value::{self, name};
use crate::command::IpPort;
use crate::serve::Settings;

/// Settings on their way: what was said, by whom, and what was wrong with it.
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) listeners: Vec<Listener>,
    pub(super) peers: Vec<Peer>,
    pub(super) secret: Option<(String, Origin)>,
    /// Who has given an option its value; those of arrays of tables are in their parts.
    pub(super) origins: BTreeMap<String, Origin>,
    /// Options whose values could not be read: nothing follows from them.
    pub(super) unread: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
}

/// A `[[listener]]`, or what flags say of one.
pub(super) struct Listener {
    pub(super) origin: Origin,
    pub(super) bind: Option<(IpPort, Origin)>,
    pub(super) advertise: Option<(IpPort, Origin)>,
}

/// A `[[peer]]`, or what a flag says of one.
pub(super) struct Peer {
    pub(super) origin: Origin,
    pub(super) domain: Option<(String, Origin)>,
    pub(super) address: Option<(std::net::SocketAddr, Origin)>,
}

impl Draft {
    pub(super) fn new(settings: Settings) -> Self {
        let (listeners, peers, origins, faults) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        let (secret, unread) = (None, BTreeSet::new());
        Self { settings, listeners, peers, secret, origins, unread, faults }
    }

    /// Reads a whole file.
    pub(super) fn read(&mut self, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = error.span().map(|span| Place::of(text, span.start));
            let why = format!("not TOML: {}", error.message().trim_end().replace('\n', "; "));
            self.faults.push(Fault { place, option: None, why });
        }
        // What stands around is not what was meant.
        if !errors.is_empty() {
            return;
        }
        let mut reader = Reader { text, draft: self };
        for (key, value) in document.get_ref() {
            reader.top(key, value);
        }
    }

    pub(super) fn fault(&mut self, place: Option<Place>, option: impl Into<String>, why: impl Into<String>) {
        self.faults.push(Fault { place, option: Some(option.into()), why: why.into() });
    }

    /// A fault of an option that somebody has given its value.
    pub(super) fn blame(&mut self, option: &str, why: impl Into<String>) {
        let origin = self.origins.get(option).copied().unwrap_or(Origin::Default);
        self.blame_at(option, origin, why);
    }

    pub(super) fn blame_at(&mut self, option: &str, origin: Origin, why: impl Into<String>) {
        match origin {
            Origin::Default => self.fault(None, option, why),
            Origin::File(place) => self.fault(Some(place), option, why),
            Origin::Flag(flag) => self.fault(None, flag, why),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    draft: &'a mut Draft,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn place<T>(&self, of: &Spanned<T>) -> Place {
        Place::of(self.text, of.span().start)
    }

    /// Something before the first table, or a table.
    fn top(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let table = key.get_ref().as_ref();
        if !OPTIONS.iter().any(|item| item.table == table && !table.is_empty()) {
            return self.option("", key, value);
        }
        match (value.get_ref(), is_array(table)) {
            (DeValue::Table(parts), false) => {
                for (key, value) in parts {
                    self.option(table, key, value);
                }
            }
            (DeValue::Array(tables), true) => {
                for each in tables {
                    if let DeValue::Table(parts) = each.get_ref() {
                        self.part(table, each, parts);
                    } else {
                        let (place, wrong) = (self.place(each), name(each.get_ref()));
                        self.draft.fault(
                            Some(place),
                            table,
                            format!("{wrong} is no table; write [[{table}]]"),
                        );
                    }
                }
            }
            (_, true) => {
                let place = self.place(key);
                self.draft.fault(Some(place), table, format!("may be repeated; write [[{table}]]"));
            }
            (other, false) => {
                let (place, wrong) = (self.place(key), name(other));
                self.draft.fault(Some(place), table, format!("{wrong} is no table; write [{table}]"));
            }
        }
    }

    /// An option that stands there once.
    fn option(&mut self, table: &str, key: &Key<'_>, value: &Value<'_>) {
        let Some(item) = find(table, key.get_ref()) else { return self.unknown(table, key) };
        let (place, option) = (self.place(value), item.name());
        self.draft.origins.insert(option.clone(), Origin::File(place));
        if let Err(why) = self.set(item, value.get_ref(), place) {
            self.draft.unread.insert(option.clone());
            self.draft.fault(Some(place), option, why);
        }
    }

    fn set(&mut self, item: &'static Item, value: &DeValue<'_>, place: Place) -> Result<(), String> {
        let settings = &mut self.draft.settings;
        match &item.kind {
            Kind::Span { from, to, set, .. } => set(settings, value::read_span(value, *from, *to)?),
            Kind::Count { from, to, set, .. } => set(settings, value::read_count(value, *from, *to)?),
            Kind::Switch { set, .. } => set(settings, value::read_switch(value)?),
            Kind::Choice { words, set, .. } => {
                let among = item.bounds();
                let text = value::read_text(value, &format!("one of {among}"))?;
                let place = words.iter().position(|word| *word == text);
                set(
                    settings,
                    place.ok_or_else(|| format!("{text:?} is none of {among}; write one of them"))?,
                );
            }
            Kind::Text { what, set, .. } => set(settings, value::read_text(value, what)?)?,
            Kind::SecretFile => {
                let text = value::read_text(value, "a path")?;
                self.draft.secret = Some((text.to_owned(), Origin::File(place)));
            }
            Kind::Sources => {
                let DeValue::Array(all) = value else {
                    return Err(format!("{} is no array; write [\"192.0.2.7\"] or its like", name(value)));
                };
                for each in all {
                    let read = value::read_text(each.get_ref(), "an address").and_then(value::read_ip_port);
                    match read {
                        Ok(IpPort { ip, port }) => {
                            self.draft.settings.trusted.push(sipcore::Source { ip, port });
                        }
                        Err(why) => {
                            let place = self.place(each);
                            self.draft.fault(Some(place), item.name(), why);
                        }
                    }
                }
            }
            // Those stand in arrays of tables.
            Kind::Part { .. } => {}
        }
        Ok(())
    }

    /// One table of an array.
    fn part(&mut self, table: &str, whole: &Value<'_>, parts: &DeTable<'_>) {
        let origin = Origin::File(self.place(whole));
        let mut listener = Listener { origin, bind: None, advertise: None };
        let mut peer = Peer { origin, domain: None, address: None };
        for (key, value) in parts {
            let Some(item) = find(table, key.get_ref()) else {
                self.unknown(table, key);
                continue;
            };
            let place = self.place(value);
            let origin = Origin::File(place);
            let text = value::read_text(value.get_ref(), &item.type_name());
            let result = match (table, item.key) {
                ("listener", "bind") => {
                    text.and_then(value::read_ip_port).map(|read| listener.bind = Some((read, origin)))
                }
                ("listener", _) => {
                    text.and_then(value::read_ip_port).map(|read| listener.advertise = Some((read, origin)))
                }
                ("peer", "domain") => text.and_then(|text| match crate::control::domain_fault(text) {
                    Some(why) => Err(format!("{text:?} is no domain: {why}")),
                    None => {
                        peer.domain = Some((text.to_ascii_lowercase(), origin));
                        Ok(())
                    }
                }),
                _ => text.and_then(value::read_address).map(|read| peer.address = Some((read, origin))),
            };
            if let Err(why) = result {
                self.draft.unread.insert(item.name());
                self.draft.fault(Some(place), item.name(), why);
            }
        }
        if table == "listener" {
            self.draft.listeners.push(listener);
        } else {
            self.draft.peers.push(peer);
        }
    }

    /// A name that no option has: the nearest one is told, or where it belongs.
    fn unknown(&mut self, table: &str, key: &Key<'_>) {
        let (place, wrong) = (self.place(key), key.get_ref().as_ref());
        let home = match table {
            "" => "before the first table".to_owned(),
            _ if is_array(table) => format!("in [[{table}]]"),
            _ => format!("in [{table}]"),
        };
        let elsewhere = OPTIONS.iter().find(|item| item.key == wrong && item.table != table);
        let advice = if let Some(item) = elsewhere {
            match item.table {
                "" => "; it belongs before the first table".to_owned(),
                other if is_array(other) => format!("; it belongs into [[{other}]]"),
                other => format!("; it belongs into [{other}]"),
            }
        } else {
            nearest(table, wrong).map_or_else(String::new, |near| format!("; did you mean {near}?"))
        };
        self.draft.fault(Some(place), wrong, format!("there is no such option {home}{advice}"));
    }
}

/// The known name that is nearest to `wrong`: in its table first, then anywhere. `None` if nothing is near.
fn nearest(table: &str, wrong: &str) -> Option<String> {
    let here = OPTIONS.iter().filter(|item| item.table == table).map(|item| (item.key, item.key.to_owned()));
    let tables = OPTIONS.iter().filter(|item| table.is_empty() && !item.table.is_empty());
    let tables = tables.map(|item| (item.table, format!("[{}]", item.table)));
    let there = OPTIONS.iter().filter(|item| item.table != table);
    let there = there.map(|item| (item.key, format!("{} in [{}]", item.key, item.table)));
    let near = |known: &str| {
        let wrong = wrong.to_ascii_lowercase().replace('_', "-");
        let distance = strsim::damerau_levenshtein(known, &wrong);
        (distance <= 2.max(known.len() / 4)
            && distance < known.len().max(wrong.len()) / 2 + 1
            && distance < known.len())
        .then_some(distance)
    };
    let best = |names: &mut dyn Iterator<Item = (&'static str, String)>| {
        names.filter_map(|(known, shown)| Some((near(known)?, shown))).min().map(|(_, shown)| shown)
    };
    best(&mut here.chain(tables)).or_else(|| best(&mut there.into_iter()))
}

/// T2 and T4 follow T1 unless they are said.
pub(super) fn follow_t1(draft: &mut Draft) {
    let t1 = draft.settings.timers.t1;
    let mut follow = |option: &str, at: fn(&mut Settings) -> &mut Duration, times: u32| {
        if !draft.origins.contains_key(option) {
            *at(&mut draft.settings) = times * t1;
        }
    };
    follow("timers.t2", |settings| &mut settings.timers.t2, 8);
    follow("timers.t4", |settings| &mut settings.timers.t4, 10);
}
