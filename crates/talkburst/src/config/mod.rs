//! The configuration of a server: a file of options, and flags that win over it.
//!
//! The file is read by a table of all options ([`options`]), not by derived structures: so every fault is told at once and with
//! its place, the nearest name can be looked for, and the document is compared with what there is.

mod check;
mod fault;
mod file;
mod item;
mod options;
mod value;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sip::Duration;

use self::fault::Fault;
pub(crate) use self::fault::{Faults, Origin};
use self::file::{Draft, Listener, Peer};
use self::item::Kind;
use self::options::OPTIONS;
use self::value::{quote, show_ip_port};
use crate::command::{Failure, IpPort};
use crate::serve::{CoreAt, Listening, Settings};
use crate::store::StoreError;

/// The longest file.
const FILE_MAX: u64 = 1024 * 1024;

/// What flags say, over what the file says.
#[derive(Clone, Default, Debug)]
pub(crate) struct Flags {
    pub(crate) data: Option<PathBuf>,
    /// Replaces all listeners of the file.
    pub(crate) listen: Option<IpPort>,
    /// Is of the only listener.
    pub(crate) advertise: Option<IpPort>,
    pub(crate) domain: Option<String>,
    pub(crate) shards: Option<u8>,
    pub(crate) early_answer: bool,
    pub(crate) setup_timer: Option<Duration>,
    pub(crate) t1: Option<Duration>,
    pub(crate) core: Option<SocketAddr>,
    pub(crate) md5_only: bool,
    /// Replace all peers of the file.
    pub(crate) peers: Vec<(String, SocketAddr)>,
    /// Replace all of the file.
    pub(crate) trusted: Vec<IpPort>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Settings, and who has said them.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    origins: BTreeMap<String, Origin>,
    listeners: Vec<[Origin; 2]>,
    peers: Vec<Origin>,
}

/// Reads the file, if there is one, and the flags. `folder` knows the data folder if nobody names one.
pub(crate) fn read(
    file: Option<&Path>,
    flags: &Flags,
    folder: impl FnOnce() -> Result<PathBuf, StoreError>,
) -> Result<Configuration, Failure> {
    let faults = |all| Faults { file: file.map(Path::to_owned), all };
    let mut draft = Draft::new(Settings::new(PathBuf::new()));
    if let Some(path) = file {
        let text = read_text(path).map_err(|why| faults(vec![Fault { place: None, option: None, why }]))?;
        draft.read(&text);
    }
    flags.say(&mut draft);
    file::follow_t1(&mut draft);
    let beside = file.and_then(Path::parent).unwrap_or(Path::new(""));
    check::settle(&mut draft, beside);
    if !draft.faults.is_empty() {
        // What has no place comes last.
        draft.faults.sort_by_key(|fault| (fault.place.is_none(), fault.place));
        draft.faults.dedup();
        return Err(faults(draft.faults).into());
    }
    if !draft.origins.contains_key("data") {
        draft.settings.folder = folder()?;
    }
    let origin = |said: Option<Origin>| said.unwrap_or(Origin::Default);
    let listeners = draft.listeners.iter();
    let listeners = listeners.map(|each| {
        [each.bind.map(|(_, origin)| origin), each.advertise.map(|(_, origin)| origin)].map(origin)
    });
    Ok(Configuration {
        settings: draft.settings,
        listeners: listeners.collect(),
        peers: draft.peers.iter().map(|peer| peer.origin).collect(),
        origins: draft.origins,
    })
}

fn read_text(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let failed = |error: std::io::Error| format!("{error}; name a file that can be read");
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > FILE_MAX {
        return Err("is longer than 1 MiB; name a file of options".to_owned());
    }
    String::from_utf8(octets).map_err(|_| "is not text in UTF-8; name a file of options".to_owned())
}

impl Flags {
    fn say(&self, draft: &mut Draft) {
        let settings = &mut draft.settings;
        let mut said = Vec::new();
        let mut say = |is_said: bool, option: &str, flag| {
            if is_said {
                said.push((option.to_owned(), Origin::Flag(flag)));
            }
            is_said
        };
        if let Some(data) = &self.data {
            say(true, "data", "--data");
            settings.folder.clone_from(data);
        }
        if say(self.domain.is_some(), "domain", "--domain") {
            settings.domain.clone_from(&self.domain);
        }
        if let Some(shards) = self.shards {
            say(true, "shards", "--shards");
            settings.shards = shards;
        }
        if say(self.early_answer, "sessions.early-answer", "--early-answer") {
            settings.sessions.early_answer = true;
        }
        if let Some(span) = self.setup_timer {
            say(true, "sessions.setup-timer", "--setup-timer");
            settings.sessions.set_up_limit = span;
        }
        if let Some(t1) = self.t1 {
            say(true, "timers.t1", "--t1");
            settings.timers.t1 = t1;
        }
        if let Some(address) = self.core {
            say(true, "core", "--core");
            settings.core = CoreAt::Outside(address);
        }
        if say(self.md5_only, "registrations.md5-only", "--md5-only") {
            settings.registrations.algorithms = sipcore::Algorithms::Md5;
        }
        if say(!self.trusted.is_empty(), "trusted", "--trusted") {
            let source = |typed: &IpPort| sipcore::Source { ip: typed.ip, port: typed.port };
            settings.trusted = self.trusted.iter().map(source).collect();
        }
        settings.json = self.json;
        if let Some(file) = &self.secret_file {
            say(true, "secret-file", "--secret-file");
            draft.secret = Some((file.display().to_string(), Origin::Flag("--secret-file")));
        }
        draft.origins.extend(said);
        if !self.peers.is_empty() {
            let origin = Origin::Flag("--peer");
            let peer = |(domain, address): &(String, SocketAddr)| Peer {
                origin,
                domain: Some((domain.clone(), origin)),
                address: Some((*address, origin)),
            };
            draft.peers = self.peers.iter().map(peer).collect();
        }
        self.say_listeners(draft);
    }

    fn say_listeners(&self, draft: &mut Draft) {
        let listen = |bind: IpPort, origin| Listener { origin, bind: Some((bind, origin)), advertise: None };
        if let Some(bind) = self.listen {
            draft.listeners = vec![listen(bind, Origin::Flag("--listen"))];
        }
        let Some(advertise) = self.advertise else { return };
        if draft.listeners.is_empty() {
            let Listening { bind, .. } = draft.settings.first();
            let bind = IpPort { ip: bind.ip(), port: Some(bind.port()) };
            draft.listeners = vec![listen(bind, Origin::Default)];
        }
        let origin = Origin::Flag("--advertise");
        match &mut draft.listeners[..] {
            [only] => only.advertise = Some((advertise, origin)),
            _ => draft.blame_at("listener.advertise", origin, "which of the listeners? say it in the file"),
        }
    }
}

/// Every option as rows of a table in Markdown, a table of the file each.
pub(crate) fn document() -> String {
    let defaults = Settings::new(PathBuf::new());
    let (mut out, mut table) = (String::new(), None);
    for item in OPTIONS {
        if table != Some(item.table) {
            table = Some(item.table);
            let title = match item.table {
                "" => "Before the first table".to_owned(),
                name if options::is_array(name) => format!("`[[{name}]]`, may be repeated"),
                name => format!("`[{name}]`"),
            };
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = write!(
                out,
                "{gap}### {title}\n\n| option | type | default | bounds | meaning |\n|---|---|---|---|---|\n"
            );
        }
        let (key, type_name, bounds) = (item.key, item.type_name(), item.bounds());
        let default = item.default(&defaults);
        let _ = writeln!(out, "| `{key}` | {type_name} | {default} | {bounds} | {} |", item.meaning);
    }
    out
}

/// Whether a span is out of the bounds of this option.
pub(crate) fn span_fault(option: &str, span: Duration) -> Option<String> {
    OPTIONS.iter().filter(|item| item.name() == option).find_map(|item| match &item.kind {
        Kind::Span { from, to, .. } => value::bounds_fault(span, *from, *to),
        Kind::Count { .. }
        | Kind::Switch { .. }
        | Kind::Choice { .. }
        | Kind::Text { .. }
        | Kind::SecretFile
        | Kind::Sources
        | Kind::Part { .. } => None,
    })
}

/// An option with its value, as it is told.
#[derive(Serialize)]
pub(crate) struct Effective {
    option: String,
    #[serde(serialize_with = "as_json")]
    value: Option<String>,
    from: String,
    #[serde(skip)]
    key: &'static str,
    #[serde(skip)]
    table: &'static str,
}

/// What TOML has here JSON has too.
fn as_json<S: serde::Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let value =
        value.as_deref().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default());
    value.serialize(serializer)
}

impl Configuration {
    /// Every option with its value, and where that is from.
    pub(crate) fn effective(&self) -> Vec<Effective> {
        let settings = &self.settings;
        let mut all = Vec::new();
        let mut tell = |table: &'static str, key: &'static str, value: Option<String>, origin: Origin| {
            let option = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            all.push(Effective { option, value, from: origin.to_string(), key, table });
        };
        for item in OPTIONS {
            match (item.table, item.key) {
                ("listener", "bind") => {
                    for (place, Listening { bind, advertised }) in settings.listeners.iter().enumerate() {
                        let origins = self.listeners.get(place).copied().unwrap_or([Origin::Default; 2]);
                        let port = (advertised.port() != 0).then_some(advertised.port());
                        tell("listener", "bind", Some(quote(&bind.to_string())), origins[0]);
                        let told = quote(&show_ip_port(advertised.ip(), port));
                        tell("listener", "advertise", Some(told), origins[1]);
                    }
                }
                ("peer", "domain") => {
                    for ((domain, address), origin) in settings.peers.iter().zip(&self.peers) {
                        tell("peer", "domain", Some(quote(domain)), *origin);
                        tell("peer", "address", Some(quote(&address.to_string())), *origin);
                    }
                }
                ("listener" | "peer", _) => {}
                (table, key) => {
                    let origin = self.origins.get(&item.name()).copied();
                    tell(table, key, item.show(settings), origin.unwrap_or(Origin::Default));
                }
            }
        }
        all
    }

    /// The same as a file that says everything.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut table = "";
        for Effective { value, from, key, table: of, .. } in self.effective() {
            let is_array = options::is_array(of);
            let begins = OPTIONS.iter().find(|item| item.table == of).is_some_and(|first| first.key == key);
            if of != table || is_array && begins {
                table = of;
                let _ = match is_array {
                    true => writeln!(out, "\n[[{of}]]"),
                    false => writeln!(out, "\n[{of}]"),
                };
            }
            let line = match value {
                Some(value) => format!("{key} = {value}"),
                None => format!("# {key} ="),
            };
            let _ = writeln!(out, "{line:<50} # {from}");
        }
        out
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "line {}", place.line),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

#[cfg(test)]
mod tests;
