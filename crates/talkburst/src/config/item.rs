//! An option of the file: what it takes, and how that is shown.

use sip::Duration;

use super::value::{quote, show_ip_port, show_span};
use crate::serve::Settings;

/// One option.
pub(super) struct Item {
    /// The table that it stands in; empty for those before the first table.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) meaning: &'static str,
}

/// What an option takes, and what it changes.
pub(super) enum Kind {
    /// A span of time.
    Span { from: Duration, to: Duration, set: fn(&mut Settings, Duration), get: fn(&Settings) -> Duration },
    /// A whole number.
    Count { from: u64, to: u64, set: fn(&mut Settings, u64), get: fn(&Settings) -> u64 },
    /// Yes or no.
    Switch { set: fn(&mut Settings, bool), get: fn(&Settings) -> bool },
    /// One of these words; the place of one is what is set and got.
    Choice { words: &'static [&'static str], set: fn(&mut Settings, usize), get: fn(&Settings) -> usize },
    /// Anything that is written as text; `None`: nobody has said it.
    Text {
        what: &'static str,
        bounds: &'static str,
        set: fn(&mut Settings, &str) -> Result<(), String>,
        get: fn(&Settings) -> Option<String>,
        /// What it is if nobody has said it.
        else_: &'static str,
    },
    /// A file whose name and contents are settled when all is read.
    SecretFile,
    /// An array of `IP[:PORT]`.
    Sources,
    /// A part of an array of tables, settled when all is read.
    Part { what: &'static str, default: &'static str },
}

impl Item {
    /// The option as it is called everywhere: `sessions.setup-timer`.
    pub(super) fn name(&self) -> String {
        if self.table.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.table, self.key) }
    }

    /// What it takes, in words.
    pub(super) fn type_name(&self) -> String {
        match &self.kind {
            Kind::Span { .. } => "span".to_owned(),
            Kind::Count { .. } => "number".to_owned(),
            Kind::Switch { .. } => "switch".to_owned(),
            Kind::Choice { .. } => "word".to_owned(),
            Kind::Text { what, .. } | Kind::Part { what, .. } => (*what).to_owned(),
            Kind::SecretFile => "path".to_owned(),
            Kind::Sources => "array of IP[:PORT]".to_owned(),
        }
    }

    /// What it can be, in words; empty if its type says all.
    pub(super) fn bounds(&self) -> String {
        match &self.kind {
            Kind::Span { from, to, .. } => format!("{} to {}", show_span(*from), show_span(*to)),
            Kind::Count { from, to, .. } => format!("{from} to {to}"),
            Kind::Switch { .. } => "true, false".to_owned(),
            Kind::Choice { words, .. } => {
                words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
            }
            Kind::Text { bounds, .. } => (*bounds).to_owned(),
            Kind::SecretFile | Kind::Sources | Kind::Part { .. } => String::new(),
        }
    }

    /// Its value as the file has it; `None` if it has none, or many.
    pub(super) fn show(&self, settings: &Settings) -> Option<String> {
        match &self.kind {
            Kind::Span { get, .. } => Some(format!("\"{}\"", show_span(get(settings)))),
            Kind::Count { get, .. } => Some(get(settings).to_string()),
            Kind::Switch { get, .. } => Some(get(settings).to_string()),
            Kind::Choice { words, get, .. } => Some(format!("\"{}\"", words[get(settings)])),
            Kind::Text { get, .. } => get(settings).map(|text| quote(&text)),
            Kind::SecretFile => {
                let file = settings.secret.as_ref()?.file.display().to_string();
                Some(quote(&file))
            }
            Kind::Sources => {
                let show = |source: &sipcore::Source| format!("\"{}\"", show_ip_port(source.ip, source.port));
                Some(format!("[{}]", settings.trusted.iter().map(show).collect::<Vec<_>>().join(", ")))
            }
            Kind::Part { .. } => None,
        }
    }

    /// What it is if nobody has said it.
    pub(super) fn default(&self, defaults: &Settings) -> String {
        match &self.kind {
            Kind::Part { default, .. } => (*default).to_owned(),
            Kind::Text { else_, .. } if !else_.is_empty() => (*else_).to_owned(),
            Kind::SecretFile => "another one at each start".to_owned(),
            Kind::Count { .. } if self.key == "shards" => "one a processor core".to_owned(),
            Kind::Text { .. }
            | Kind::Span { .. }
            | Kind::Count { .. }
            | Kind::Switch { .. }
            | Kind::Choice { .. }
            | Kind::Sources => self.show(defaults).unwrap_or_default(),
        }
    }
}

/// A span whose value is a field of the settings.
macro_rules! span {
    ($table:literal, $key:literal, $from:expr, $to:expr, $($field:ident).+, $meaning:literal) => {
        Item {
            table: $table,
            key: $key,
            kind: Kind::Span {
                from: $from,
                to: $to,
                set: |settings, value| settings.$($field).+ = value,
                get: |settings| settings.$($field).+,
            },
            meaning: $meaning,
        }
    };
}

/// A number whose value is a field of the settings.
macro_rules! count {
    ($table:literal, $key:literal, $from:expr, $to:expr, $type:ty, $($field:ident).+, $meaning:literal) => {
        Item {
            table: $table,
            key: $key,
            kind: Kind::Count {
                from: $from,
                to: $to,
                // What is read is within the bounds, and those are within the type.
                set: |settings, value| settings.$($field).+ = <$type>::try_from(value).unwrap_or(<$type>::MAX),
                get: |settings| settings.$($field).+ as u64,
            },
            meaning: $meaning,
        }
    };
}

/// A file or folder that a field of the settings names, if it is said.
macro_rules! named {
    ($table:literal, $key:literal, $($field:ident).+, $empty:literal, $else_:literal, $meaning:literal) => {
        Item {
            table: $table,
            key: $key,
            kind: Kind::Text {
                what: "path",
                bounds: "",
                set: |settings, text| {
                    settings.$($field).+ = Some(PathBuf::from(text));
                    if text.is_empty() { Err($empty.to_owned()) } else { Ok(()) }
                },
                get: |settings| settings.$($field).+.as_ref().map(|path| path.display().to_string()),
                else_: $else_,
            },
            meaning: $meaning,
        }
    };
}

pub(super) use {count, named, span};
