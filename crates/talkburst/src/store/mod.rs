//! What outlasts a restart: users, groups, and records of sessions.
//!
//! One connection, one owner: whoever has the [`Folder`] has the store, and nobody on a signalling path waits for it. Queries
//! go through the driver of sqlx that is chosen by URL, so that PostgreSQL takes the same statements.

pub(crate) mod account;
mod folder;
pub(crate) mod group;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{fmt, io};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use self::account::{Account, Ha1, Rules};
pub(crate) use self::folder::{Folder, close_to_others, control_socket, default_path};

/// The domain of a data folder that nobody named another one for.
pub(crate) const DOMAIN: &str = "poc.internal";

/// The store in a data folder.
pub(crate) struct Store {
    connection: AnyConnection,
    /// The domain of its users; their passwords are bound to it. `None` until one is settled.
    domain: Option<String>,
    /// Whether somebody is served in that domain: then it stays, users or not.
    is_served: bool,
    folder: Folder,
}

/// A session that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredSession {
    /// When it ended, in milliseconds since the Unix epoch.
    pub(crate) ended: i64,
    /// What there is to say, as one JSON object.
    pub(crate) record: String,
}

/// Why the store cannot be used.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The environment names no place for it.
    NoFolder,
    /// Something in this place cannot be used.
    Folder(PathBuf, io::Error),
    /// Others may look into this folder.
    FolderIsOpen(PathBuf),
    /// Another process has this folder.
    InUse(PathBuf),
    /// The folder is of this domain, and not of the one that was asked for.
    OtherDomain { of: String, asked: String },
    /// The tables are of a version that this program does not know.
    OtherVersion { found: i64, known: i64 },
    /// What stands in the tables cannot be read.
    Content(&'static str),
    /// The database failed.
    Database(sqlx::Error),
}

impl Store {
    /// Opens the store in `folder`, creates it if it is not there, and brings its tables up to date.
    pub(crate) async fn open(folder: Folder) -> Result<Self, StoreError> {
        let mut connection = connect(&folder.database()?).await?;
        schema::migrate(&mut connection).await?;
        let row = sqlx::query("SELECT value FROM settings WHERE name = 'domain'")
            .fetch_optional(&mut connection)
            .await?;
        let domain = row.map(|row| row.try_get(0)).transpose()?;
        Ok(Self { connection, domain, is_served: false, folder })
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The domain that users have, or would have if `asked` for it. Another one than `asked` is an error.
    pub(crate) async fn domain(&mut self, asked: Option<&str>) -> Result<String, StoreError> {
        let asked = asked.map(str::to_ascii_lowercase);
        match (&self.domain, asked) {
            (Some(of), Some(asked)) if *of != asked => {
                let of = of.clone();
                // Nobody's password is bound to it.
                let is_free = !self.is_served && self.is_empty().await?;
                if is_free { Ok(asked) } else { Err(StoreError::OtherDomain { of, asked }) }
            }
            (Some(of), _) => Ok(of.clone()),
            (None, asked) => Ok(asked.unwrap_or_else(|| DOMAIN.to_owned())),
        }
    }

    /// The same, and it stays as long as there are users or groups.
    pub(crate) async fn settle_domain(&mut self, asked: Option<&str>) -> Result<String, StoreError> {
        let domain = self.domain(asked).await?;
        if self.domain.as_ref() != Some(&domain) {
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ('domain', $1)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(domain.as_str())
            .execute(&mut self.connection)
            .await?;
            self.domain = Some(domain.clone());
        }
        Ok(domain)
    }

    /// The same, and it stays as long as the store is open.
    pub(crate) async fn serve_domain(&mut self, asked: Option<&str>) -> Result<String, StoreError> {
        let domain = self.settle_domain(asked).await?;
        self.is_served = true;
        Ok(domain)
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM poc_groups)")
            .fetch_one(&mut self.connection)
            .await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    /// All users, by name.
    pub(crate) async fn accounts(&mut self) -> Result<Vec<Account>, StoreError> {
        let rows =
            sqlx::query("SELECT name, ha1_md5, ha1_sha256, display_name, rules FROM users ORDER BY name")
                .fetch_all(&mut self.connection)
                .await?;
        rows.iter().map(account_of).collect()
    }

    /// The user of this name.
    pub(crate) async fn account(&mut self, name: &str) -> Result<Option<Account>, StoreError> {
        let row =
            sqlx::query("SELECT name, ha1_md5, ha1_sha256, display_name, rules FROM users WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut self.connection)
                .await?;
        row.as_ref().map(account_of).transpose()
    }

    /// Enters a user; whether the name was free.
    pub(crate) async fn add(&mut self, account: &Account) -> Result<bool, StoreError> {
        insert(&mut self.connection, account).await
    }

    /// Enters users whose names are free, all or none.
    pub(crate) async fn add_all(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await?;
        for account in accounts {
            insert(&mut transaction, account).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Removes a user, who is a member of no group any more; `None` if there was none, else the groups that have changed.
    pub(crate) async fn remove(
        &mut self,
        name: &str,
        address: &str,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let mut transaction = self.connection.begin().await?;
        let done =
            sqlx::query("DELETE FROM users WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        let groups = group::leave_all(&mut transaction, address).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(groups))
    }

    /// Changes a user's password; whether there is such a user.
    pub(crate) async fn set_ha1(&mut self, name: &str, ha1: &Ha1) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE users SET ha1_md5 = $2, ha1_sha256 = $3 WHERE name = $1")
            .bind(name)
            .bind(ha1.md5.as_str())
            .bind(ha1.sha256.as_str())
            .execute(&mut self.connection)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Changes a user's rules; whether there is such a user.
    pub(crate) async fn set_rules(&mut self, name: &str, rules: &Rules) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE users SET rules = $2 WHERE name = $1")
            .bind(name)
            .bind(rules.to_text())
            .execute(&mut self.connection)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps records of sessions, all or none, and forgets those of sessions that ended before `before`.
    pub(crate) async fn keep(&mut self, sessions: &[StoredSession], before: i64) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await?;
        for session in sessions {
            sqlx::query("INSERT INTO sessions (ended, record) VALUES ($1, $2)")
                .bind(session.ended)
                .bind(session.record.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("DELETE FROM sessions WHERE ended < $1").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Closes it; everything is on the disk.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await?;
        Ok(())
    }
}

async fn connect(path: &Path) -> Result<AnyConnection, StoreError> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let mut connection = AnyConnection::connect(&url(path)).await?;
    for statement in [
        // Readers and the writer do not wait for each other.
        "PRAGMA journal_mode = WAL",
        // What was said to be done is still there when the power has failed.
        "PRAGMA synchronous = FULL",
    ] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// The URL of a database file that is there.
fn url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => url.push(char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url + "?mode=rw"
}

fn account_of(row: &AnyRow) -> Result<Account, StoreError> {
    let rules: String = row.try_get(4)?;
    Ok(Account {
        name: row.try_get(0)?,
        ha1: Ha1 { md5: row.try_get(1)?, sha256: row.try_get(2)? },
        display_name: row.try_get(3)?,
        rules: Rules::from_text(&rules).ok_or(StoreError::Content("the rules of a user"))?,
    })
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder => f.write_str("failed to find the data folder: HOME is not set; use --data DIR"),
            Self::Folder(path, error) => {
                write!(f, "failed to use {}: {error}; choose another folder with --data", path.display())
            }
            Self::FolderIsOpen(path) => {
                let path = path.display();
                write!(f, "failed to use {path}: others may look into it; chmod 700 {path}")
            }
            Self::InUse(path) => {
                let path = path.display();
                write!(f, "failed to use {path}: another server has it; stop that one, or use another --data")
            }
            Self::OtherDomain { of, asked } => {
                write!(
                    f,
                    "failed to serve {asked}: the users of this data folder are of {of}, and so are their \
                     passwords; use {of}, or another --data"
                )
            }
            Self::OtherVersion { found, known } => {
                write!(
                    f,
                    "failed to use the store: its tables have version {found}, and this program knows \
                     {known}; use the newer program that wrote them"
                )
            }
            Self::Content(what) => {
                write!(f, "failed to read the store: {what} make no sense; restore it from a copy")
            }
            Self::Database(error) => write!(f, "failed to use the store: {error}"),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Enters a user; whether the name was free.
async fn insert(connection: &mut AnyConnection, account: &Account) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO users (name, ha1_md5, ha1_sha256, display_name, rules) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO NOTHING",
    )
    .bind(account.name.as_str())
    .bind(account.ha1.md5.as_str())
    .bind(account.ha1.sha256.as_str())
    .bind(account.display_name.as_deref())
    .bind(account.rules.to_text())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
