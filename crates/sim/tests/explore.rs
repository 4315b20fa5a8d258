//! Every scene within its short bounds: see `sim::explore`.

use sim::explore::{Extent, Scene, explore, page};

fn assert_holds(name: &str) {
    let scenes = Scene::all(Extent::Short);
    let scene = scenes.iter().find(|scene| scene.name == name).expect("a scene");
    let seen = explore(scene, |_| true).unwrap_or_else(|violation| {
        panic!("{name}\n{}\n{}\n{:?}", violation.ladder, violation.what, violation.moves)
    });
    assert!(seen.ends > 0, "{seen:?}");
}

macro_rules! scenes {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { assert_holds($name) })*

        #[test]
        fn every_scene_is_explored() {
            let names: Vec<_> = Scene::all(Extent::Short).iter().map(|scene| scene.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

scenes! {
    two_clients_keep_every_rule "direct"
    an_automatic_answer_keeps_every_rule "automatic"
    a_limit_keeps_every_rule "limited"
    reliable_provisional_responses_keep_every_rule "reliable"
    a_change_of_media_keeps_every_rule "changing"
    a_core_keeps_every_rule "core"
    a_fork_keeps_every_rule "fork"
    servers_keep_every_rule "served"
    an_early_answer_keeps_every_rule "unconfirmed"
    two_networks_keep_every_rule "apart"
    a_pre_established_session_keeps_the_rules_of_cores_and_ends "pre-established"
    a_group_keeps_every_rule "ad-hoc"
    talk_bursts_keep_every_rule "talking"
}

#[test]
fn the_table_of_the_proof_names_every_scene() {
    let page = std::fs::read_to_string(page::path()).expect("docs/proof.md");
    for scene in Scene::all(Extent::Short) {
        assert!(page.contains(&format!("| `{}` | Short |", scene.name)), "{}", scene.name);
    }
}
