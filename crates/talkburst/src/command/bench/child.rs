//! The server that is measured: a child with a data folder of its own, and what the kernel says of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::text::{group, pair};
use poc::server::{GroupKind, Who};

use crate::command::Failure;
use crate::control::Desk;
use crate::store::StoreError;
use crate::store::account::{Account, Ha1, Rules};
use crate::store::group::{Group, Policy};

/// Ticks a second in which `/proc` counts (proc(5)): the same for every process of Linux.
const TICKS: u64 = 100;

/// A server that goes with its folder.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
}

/// How the server is to be.
pub(super) struct Wanted<'a> {
    pub(super) listen: SocketAddr,
    pub(super) domain: &'a str,
    pub(super) pairs: usize,
    /// Chat groups that everybody may join.
    pub(super) groups: usize,
    /// Whom it trusts; nobody: everybody has to prove who they are.
    pub(super) trusted: Option<SocketAddr>,
    pub(super) shards: u8,
    /// The program; `None`: this one.
    pub(super) program: Option<&'a Path>,
    pub(super) more: &'a [String],
}

impl Server {
    /// Enters the users and starts it. Whoever has to do with it waits until it answers.
    pub(super) async fn start(wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("talkburst-bench-{}", std::process::id()));
        let made = fill(&folder, wanted).await;
        let own = std::env::current_exe().map_err(Failure::Network)?;
        let mut command = Command::new(wanted.program.unwrap_or(&own));
        command.args(["serve", "--json", "--listen", &wanted.listen.to_string(), "--domain", wanted.domain]);
        command.args(["--shards", &wanted.shards.to_string()]).arg("--data").arg(&folder);
        if let Some(trusted) = wanted.trusted {
            command.args(["--trusted", &trusted.to_string()]);
        }
        command.args(wanted.more).stdin(Stdio::null()).stdout(Stdio::null());
        match made.and_then(|()| command.spawn().map_err(Failure::Network)) {
            Ok(child) => Ok(Self { child, folder }),
            Err(failure) => {
                let _ = std::fs::remove_dir_all(&folder);
                Err(failure)
            }
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What it has kept goes anyway.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Makes a data folder with the users.
pub(super) async fn fill(folder: &Path, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let Desk::Ours(mut store) = Desk::open(folder).await? else {
        return Err(StoreError::InUse(folder.to_owned()).into());
    };
    let domain = store.settle_domain(Some(wanted.domain)).await?;
    let account = |name: String| {
        let ha1 = Ha1::of(&name, &domain, name.as_bytes());
        Account { name, ha1, display_name: None, rules: Rules::default() }
    };
    let accounts: Vec<_> =
        (0..wanted.pairs).map(pair).flat_map(|(caller, called)| [account(caller), account(called)]).collect();
    store.add_all(&accounts).await?;
    let (kind, participants_max) = (GroupKind::Chat, 10_000);
    for name in (0..wanted.groups).map(group) {
        let policy =
            Policy { joins: Who::Anybody, initiates: Who::Anybody, participants_max, ..Policy::of(kind) };
        let members = BTreeMap::new();
        store.add_group(&Group { name, display_name: None, policy, members }).await?;
    }
    Ok(())
}

/// What processes have used.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Used {
    /// Nanoseconds on a processor, of all threads.
    pub(super) total: u64,
    /// Of these in user mode, as far as ticks tell.
    pub(super) user: u64,
}

impl Used {
    /// By these processes so far.
    pub(super) fn by(processes: &[u32]) -> Self {
        let mut used = Self::default();
        for process in processes {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
            for task in tasks.filter_map(Result::ok) {
                let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
                let total = read("schedstat").split(' ').next().and_then(|field| field.parse::<u64>().ok());
                used.total += total.unwrap_or(0);
                // The name may have spaces and ends with the last parenthesis; utime is the 12th field behind it.
                let user = read("stat").rsplit_once(')').and_then(|(_, rest)| {
                    rest.split_ascii_whitespace().nth(11).and_then(|field| field.parse::<u64>().ok())
                });
                used.user += user.unwrap_or(0) * 1_000_000_000 / TICKS;
            }
        }
        used
    }

    /// Since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        let Self { total, user } = earlier;
        Self { total: self.total.saturating_sub(total), user: self.user.saturating_sub(user) }
    }
}

/// Octets of memory that these processes have for themselves.
pub(super) fn memory(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap_or_default();
        line.split_ascii_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    processes.iter().map(of).sum()
}

/// KiB of memory that a process has, what it shares too.
pub(super) fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
