//! The tables, version by version.
//!
//! Statements are those that SQLite and PostgreSQL both have. Times are milliseconds since the Unix epoch.

use sqlx::{AnyConnection, Connection, Row};

use super::StoreError;

/// What leads from each version to the next one. A version that has been released is never changed.
const STEPS: [&[&str]; 2] = [
    &[
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE users (
        name TEXT PRIMARY KEY,
        ha1_md5 TEXT NOT NULL,
        ha1_sha256 TEXT NOT NULL,
        display_name TEXT,
        rules TEXT NOT NULL
    )",
        "CREATE TABLE sessions (ended BIGINT NOT NULL, record TEXT NOT NULL)",
        "CREATE INDEX sessions_by_end ON sessions (ended)",
    ],
    &[
        "CREATE TABLE poc_groups (name TEXT PRIMARY KEY, display_name TEXT, policy TEXT NOT NULL)",
        "CREATE TABLE poc_group_members (
        group_name TEXT NOT NULL REFERENCES poc_groups (name),
        address TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (group_name, address)
    )",
        "CREATE INDEX poc_group_members_by_address ON poc_group_members (address)",
    ],
];

/// Brings the tables up to date.
pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<(), StoreError> {
    migrate_by(connection, &STEPS).await
}

async fn migrate_by(connection: &mut AnyConnection, steps: &[&[&'static str]]) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        .fetch_one(&mut *transaction)
        .await?;
    let found: i64 = row.try_get(0)?;
    let known = i64::try_from(steps.len()).expect("few");
    let missing = usize::try_from(found).ok().and_then(|found| steps.get(found..));
    let Some(missing) = missing else { return Err(StoreError::OtherVersion { found, known }) };
    for statement in missing.iter().copied().flatten() {
        sqlx::query(*statement).execute(&mut *transaction).await?;
    }
    if !missing.is_empty() {
        sqlx::query("DELETE FROM schema_version").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(known)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Scratch, block_on};

    async fn version(connection: &mut AnyConnection) -> i64 {
        sqlx::query("SELECT version FROM schema_version").fetch_one(connection).await.unwrap().get(0)
    }

    #[test]
    fn each_step_is_taken_once() {
        let scratch = Scratch::new();
        block_on(async {
            let mut connection = scratch.connection().await;
            let first: &[&[&'static str]] = &[&["CREATE TABLE a (x BIGINT)"]];
            migrate_by(&mut connection, first).await.unwrap();
            // A second CREATE TABLE would fail.
            migrate_by(&mut connection, first).await.unwrap();
            assert_eq!(version(&mut connection).await, 1);
            sqlx::query("INSERT INTO a (x) VALUES (7)").execute(&mut connection).await.unwrap();
            let both: &[&[&'static str]] = &[first[0], &["ALTER TABLE a ADD COLUMN y BIGINT"]];
            migrate_by(&mut connection, both).await.unwrap();
            assert_eq!(version(&mut connection).await, 2);
            let row = sqlx::query("SELECT x, y FROM a").fetch_one(&mut connection).await.unwrap();
            assert_eq!((row.get::<i64, _>(0), row.get::<Option<i64>, _>(1)), (7, None));
        });
    }

    /// What the program before groups has left is as it was.
    #[test]
    fn users_of_the_first_version_stay_when_groups_come() {
        let scratch = Scratch::new();
        block_on(async {
            let mut connection = scratch.connection().await;
            migrate_by(&mut connection, &STEPS[..1]).await.unwrap();
            let rules = r#"{"access":{"anybody":"bar"}}"#;
            sqlx::query("INSERT INTO users (name, ha1_md5, ha1_sha256, display_name, rules) VALUES ('anna', 'a', 'b', NULL, $1)")
                .bind(rules)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
            let mut store = scratch.store().await;
            let accounts = store.accounts().await.unwrap();
            assert_eq!((accounts.len(), &*accounts[0].name, accounts[0].rules.access.len()), (1, "anna", 1));
            assert_eq!(store.groups().await.unwrap(), []);
        });
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let scratch = Scratch::new();
        block_on(async {
            let mut connection = scratch.connection().await;
            let steps: &[&[&'static str]] = &[&["CREATE TABLE a (x BIGINT)", "CREATE TABLE"]];
            assert!(migrate_by(&mut connection, steps).await.is_err());
            migrate_by(&mut connection, &[&["CREATE TABLE a (x BIGINT)"]]).await.unwrap();
            assert_eq!(version(&mut connection).await, 1);
        });
    }

    #[test]
    fn tables_of_a_newer_program_are_refused_and_left_as_they_are() {
        let scratch = Scratch::new();
        block_on(async {
            let mut connection = scratch.connection().await;
            migrate(&mut connection).await.unwrap();
            sqlx::query("UPDATE schema_version SET version = 99").execute(&mut connection).await.unwrap();
            let refused = migrate(&mut connection).await.unwrap_err().to_string();
            assert!(refused.contains("version 99") && refused.contains("newer"), "{refused}");
            assert_eq!(version(&mut connection).await, 99);
        });
    }
}
