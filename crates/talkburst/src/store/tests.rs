use poc::server::{GroupKind, GroupRole};

use super::account::AccessName;
use super::fixture::{Scratch, block_on};
use super::group::{Changed, Group, Policy};
use super::*;

fn account(name: &str) -> Account {
    let rules =
        Rules { access: [("sip:carl@poc.internal".to_owned(), AccessName::Bar)].into(), ..Rules::default() };
    Account { name: name.to_owned(), ha1: ha1("secret"), display_name: Some("Anna".to_owned()), rules }
}

fn ha1(password: &str) -> Ha1 {
    Ha1::of("anna", DOMAIN, password.as_bytes())
}

fn group(name: &str) -> Group {
    let mut policy = Policy::of(GroupKind::Dispatch);
    policy.longest_minutes = Some(90);
    let members = [("sip:ben@poc.internal", GroupRole::Distinguished), ("sip:carl@a", GroupRole::Ordinary)];
    let members = members.map(|(address, role)| (address.to_owned(), role)).into();
    Group { name: name.to_owned(), display_name: Some("Patrol".to_owned()), policy, members }
}

/// SQLite's WAL with `synchronous = FULL` (2): each commit is written through before it is said to be done.
#[test]
fn what_is_committed_is_on_the_disk() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&mut store.connection).await.unwrap();
        assert_eq!(mode.get::<String, _>(0), "wal");
        let level = sqlx::query("PRAGMA synchronous").fetch_one(&mut store.connection).await.unwrap();
        assert_eq!(level.get::<i64, _>(0), 2);
    });
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

/// A policy is stored as JSON.
#[test]
fn in_a_group_of_before_there_was_a_right_to_speak_everybody_has_it() {
    let policy = Policy::of(GroupKind::Chat);
    let mut stored = serde_json::to_value(&policy).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("speaks").is_some());
    assert_eq!(serde_json::from_value::<Policy>(stored).unwrap(), policy);
}

#[test]
fn a_restart_keeps_groups_and_their_members() {
    let scratch = Scratch::new();
    block_on(async {
        let mut store = scratch.store().await;
        for name in ["patrol", "all"] {
            assert!(store.add_group(&group(name)).await.unwrap());
            assert!(!store.add_group(&Group { display_name: None, ..group(name) }).await.unwrap());
        }
        let dora = ["sip:dora@a".to_owned()];
        assert_eq!(store.put_members("all", &dora, GroupRole::Distinguished).await.unwrap(), Changed::Done);
        assert_eq!(store.put_members("all", &dora, GroupRole::Ordinary).await.unwrap(), Changed::Done);
        let chat = Policy::of(GroupKind::Chat);
        assert!(store.set_policy("all", None, &chat).await.unwrap());
        assert!(!store.set_policy("none", None, &chat).await.unwrap());
        store.close().await.unwrap();

        let mut store = scratch.store().await;
        let mut all = Group { display_name: None, policy: chat, ..group("all") };
        all.members.insert("sip:dora@a".to_owned(), GroupRole::Ordinary);
        assert_eq!(store.groups().await.unwrap(), [all.clone(), group("patrol")]);
        assert_eq!(store.group("all").await.unwrap(), Some(all));
        assert_eq!(store.group("none").await.unwrap(), None);
        assert_eq!(store.remove_group("patrol", "sip:patrol@a").await.unwrap(), Some(Vec::new()));
        assert_eq!(store.remove_group("patrol", "sip:patrol@a").await.unwrap(), None);
        assert_eq!(store.groups().await.unwrap().len(), 1);
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
        let address = "sip:anna@poc.internal";
        assert_eq!(store.remove("anna", address).await.unwrap(), Some(Vec::new()));
        assert_eq!(store.remove("anna", address).await.unwrap(), None);
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
        store.remove("anna", "sip:anna@home1.example").await.unwrap();
        // A group holds it too.
        store.add_group(&group("patrol")).await.unwrap();
        assert!(store.settle_domain(Some(DOMAIN)).await.is_err());
        store.remove_group("patrol", "sip:patrol@home1.example").await.unwrap();
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
