use super::account::AccessName;
use super::fixture::{Scratch, block_on};
use super::*;

fn account(name: &str) -> Account {
    let rules =
        Rules { access: [("sip:carl@poc.internal".to_owned(), AccessName::Bar)].into(), ..Rules::default() };
    Account { name: name.to_owned(), ha1: ha1("secret"), display_name: Some("Anna".to_owned()), rules }
}

fn ha1(password: &str) -> Ha1 {
    Ha1::of("anna", DOMAIN, password.as_bytes())
}

#[test]
fn a_restart_keeps_everything() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        assert_eq!(store.settle_domain(Some("Home1.example")).await.unwrap(), "home1.example");
        assert!(store.add(&account("ben")).await.unwrap());
        assert!(store.add(&account("anna")).await.unwrap());
        assert!(store.set_ha1("ben", &ha1("other")).await.unwrap());
        store.close().await.unwrap();

        let mut store = scratch.store().await;
        assert_eq!(store.settle_domain(None).await.unwrap(), "home1.example");
        let ben = Account { ha1: ha1("other"), ..account("ben") };
        assert_eq!(store.accounts().await.unwrap(), [account("anna"), ben.clone()]);
        assert_eq!(store.account("ben").await.unwrap(), Some(ben));
        assert_eq!(store.account("carl").await.unwrap(), None);
    });
}

#[test]
fn a_name_is_taken_once_and_what_is_not_there_is_not_changed() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        assert!(store.add(&account("anna")).await.unwrap());
        let other = Account { display_name: None, ..account("anna") };
        assert!(!store.add(&other).await.unwrap());
        assert_eq!(store.accounts().await.unwrap(), [account("anna")]);
        assert!(store.remove("anna").await.unwrap());
        assert!(!store.remove("anna").await.unwrap());
        assert!(!store.set_ha1("anna", &ha1("x")).await.unwrap());
        assert!(!store.set_rules("anna", &Rules::default()).await.unwrap());
        assert!(store.accounts().await.unwrap().is_empty());
    });
}

#[test]
fn a_folder_has_one_domain_as_long_as_there_are_users() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        assert_eq!(store.settle_domain(None).await.unwrap(), DOMAIN);
        assert_eq!(store.settle_domain(Some("Home1.example")).await.unwrap(), "home1.example");
        store.add(&account("anna")).await.unwrap();
        assert_eq!(store.settle_domain(Some("HOME1.example")).await.unwrap(), "home1.example");
        let refused = store.settle_domain(Some(DOMAIN)).await.unwrap_err().to_string();
        assert!(refused.contains("home1.example") && refused.contains("--data"), "{refused}");
        store.remove("anna").await.unwrap();
        assert_eq!(store.serve_domain(Some(DOMAIN)).await.unwrap(), DOMAIN);
        assert!(store.settle_domain(Some("home1.example")).await.is_err(), "it is served");
    });
}

#[test]
fn a_domain_that_is_only_asked_for_is_not_settled() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        assert_eq!(store.domain(None).await.unwrap(), DOMAIN);
        assert_eq!(store.domain(Some("home1.example")).await.unwrap(), "home1.example");
        store.add(&account("anna")).await.unwrap();
        assert_eq!(store.settle_domain(Some("home1.example")).await.unwrap(), "home1.example");
    });
}

#[test]
fn records_are_kept_together_and_forgotten_when_they_are_old() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        let session = |ended| StoredSession { ended, record: "{}".to_owned() };
        store.keep(&[session(1), session(2), session(3)], 0).await.unwrap();
        store.keep(&[session(4)], 3).await.unwrap();
        let rows = sqlx::query("SELECT ended FROM sessions ORDER BY ended")
            .fetch_all(&mut store.connection)
            .await
            .unwrap();
        let kept: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(kept, [3, 4]);
    });
}

#[test]
fn the_store_writes_ahead_and_its_files_are_closed_to_others() {
    use std::os::unix::fs::MetadataExt;

    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        store.add(&account("anna")).await.unwrap();
        let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut store.connection).await.unwrap();
        assert_eq!(row.get::<String, _>(0), "wal");
        let mut files = 0;
        for entry in std::fs::read_dir(scratch.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
            files += 1;
        }
        assert!(files >= 3, "{files}");
    });
}

#[test]
fn no_password_is_in_the_folder() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        let anna = Account { ha1: ha1("correct horse battery"), ..account("anna") };
        store.add(&anna).await.unwrap();
        store.close().await.unwrap();
    });
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!octets.windows(13).any(|part| part == b"correct horse"));
    }
}
