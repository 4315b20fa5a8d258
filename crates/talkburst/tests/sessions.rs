//! The binary, from outside: ad-hoc groups, chat groups, alerts and pre-established sessions by way of a server.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use std::net::SocketAddr;

use program::{Folder, PATIENCE, Program, end, group, kinds, run, user};
use serde_json::Value;

/// A server with anna, ben and cara, whose passwords are their names.
struct House {
    _server: Program,
    address: SocketAddr,
    folder: Folder,
}

impl House {
    fn open(name: &str) -> Self {
        let folder = Folder::new(name);
        let place = folder.to_str().unwrap().to_owned();
        let mut server = Program::start(&["serve", "--listen", "127.0.0.1:0", "--data", &place]);
        let listening = server.until("listening");
        let address = listening["udp"].as_str().unwrap().parse().unwrap();
        for name in ["anna", "ben", "cara"] {
            let (code, _, said) = user(&folder, &["add", name, "--password-stdin"], name);
            assert_eq!(code, Some(0), "{said}");
        }
        Self { _server: server, address, folder }
    }

    fn client(&self, name: &str, arguments: &[&str]) -> Program {
        let file = self.folder.join(format!("password-of-{name}"));
        std::fs::write(&file, name).unwrap();
        let address = self.address.to_string();
        let ours = ["--server", &address, "--user", name, "--password-file", file.to_str().unwrap()];
        Program::start(&[arguments, &ours].concat())
    }

    fn answer(&self, name: &str, arguments: &[&str]) -> Program {
        let listening = ["answer", "--listen", "127.0.0.1:0", "--once"];
        let mut client = self.client(name, &[&listening, arguments].concat());
        client.until("published");
        client
    }

    fn group(&self, arguments: &[&str]) {
        let (code, _, said) = group(&self.folder, arguments);
        assert_eq!(code, Some(0), "{said}");
    }
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn several_users_are_an_ad_hoc_group_that_is_cancelled_while_it_rings() {
    let house = House::open("ad-hoc-cancelled");
    let others = ["ben", "cara"].map(|name| house.answer(name, &["--manual"]));
    let mut anna = house.client("anna", &["call", "ben", "cara"]);
    let [mut ben, mut cara] = others;
    for other in [&mut ben, &mut cara] {
        let invited = other.until("invited");
        assert_eq!(
            (&invited["session_type"], &invited["from"]),
            (&"adhoc".into(), &"<sip:anna@poc.internal>".into())
        );
        assert!(invited["identity"].as_str().unwrap().ends_with(";session=adhoc"), "{invited}");
    }
    anna.until("progress");
    anna.signal("INT");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))));
    for other in [ben, cara] {
        let (code, events, _) = other.exit();
        assert_eq!((code, end(&events).0), (Some(0), "cancelled"));
        assert_eq!(of(&events, "ended")[0]["missed"], true);
    }
}

#[test]
fn who_takes_part_is_shown_as_it_changes() {
    let house = House::open("participants");
    let ben = house.answer("ben", &["--auto"]);
    let cara = house.answer("cara", &["--auto", "--leave-after", "300ms"]);
    let mut anna = house.client("anna", &["call", "ben", "cara"]);
    anna.until("established");
    let stands = |event: &Value, name: &str| {
        let address = format!("sip:{name}@poc.internal");
        let all = event["participants"].as_array().unwrap();
        all.iter().find(|each| each["address"] == address.as_str()).map(|each| each["status"].clone())
    };
    let is = |status: &str| Some(Value::from(status));
    let until = std::time::Instant::now() + PATIENCE;
    let mut has_been_there = false;
    loop {
        let event = anna.until("participants");
        has_been_there |= stands(&event, "cara") == is("connected");
        if has_been_there && stands(&event, "cara") != is("connected") {
            assert_eq!(stands(&event, "ben"), is("connected"), "{event}");
            break;
        }
        assert!(std::time::Instant::now() < until, "cara stays");
    }
    anna.signal("INT");
    let (code, events, _) = anna.exit();
    assert_eq!((code, end(&events).0), (Some(0), "left"));
    assert_eq!(cara.exit().0, Some(0));
    assert_eq!(end(&ben.exit().1).0, "released");
}

#[test]
fn a_user_is_added_to_a_session_and_an_invitation_that_rings_is_taken_back() {
    let house = House::open("added");
    let mut ben = house.answer("ben", &["--auto"]);
    let mut cara = house.answer("cara", &["--manual"]);
    let list = ["call", "ben", "cara", "--remove", "cara", "--change-after", "200ms"];
    let mut anna = house.client("anna", &list);
    ben.until("established");
    cara.until("invited");
    let changed = anna.until("member-changed");
    assert_eq!((&changed["change"], &changed["user"]), (&"remove".into(), &"sip:cara@poc.internal".into()));
    assert_eq!(changed["status"].as_u64().map(|status| status / 100), Some(2), "{changed}");
    let (code, events, _) = cara.exit();
    assert_eq!((code, end(&events).0), (Some(0), "cancelled"));
    anna.signal("INT");
    assert_eq!(anna.exit().0, Some(0));
    assert_eq!(ben.exit().0, Some(0));
}

#[test]
fn a_chat_group_is_joined_and_a_pre_arranged_one_is_invited() {
    let house = House::open("groups");
    for (name, kind, flag) in [("corner", "chat", "--chat"), ("patrol", "prearranged", "--group")] {
        house.group(&["add", name, "--kind", kind]);
        for member in ["anna", "ben"] {
            house.group(&["member", "add", name, member]);
        }
        let ben = (kind == "prearranged").then(|| house.answer("ben", &["--auto"]));
        let mut anna = house.client("anna", &["call", name, flag]);
        let established = anna.until("established");
        assert_eq!(established["session_type"], kind, "{established}");
        anna.signal("INT");
        let (code, events, _) = anna.exit();
        assert_eq!((code, end(&events).0), (Some(0), "left"), "{name}");
        if let Some(ben) = ben {
            let (code, events, _) = ben.exit();
            assert_eq!(code, Some(0));
            assert_eq!(of(&events, "invited")[0]["session_type"], "prearranged");
        }
    }
}

#[test]
fn an_alert_is_shown_and_answered_without_a_session() {
    let house = House::open("alerts");
    let mut ben = house.client("ben", &["answer", "--listen", "127.0.0.1:0"]);
    ben.until("published");
    let (code, events, _) = house.client("anna", &["alert", "ben", "--text", "call me"]).exit();
    assert_eq!(code, Some(0), "{events:?}");
    let alerted = ben.until("alerted");
    assert_eq!((&alerted["text"], &alerted["from"]), (&"call me".into(), &"<sip:anna@poc.internal>".into()));
    let group = ["alert", "ben", "--about", "patrol", "--name", "Patrol", "--text", "join us"];
    assert_eq!(house.client("anna", &group).exit().0, Some(0));
    let advertised = ben.until("advertised");
    assert_eq!(
        (&advertised["group"], &advertised["note"]),
        (&"sip:patrol@poc.internal".into(), &"join us".into())
    );
    let (code, events, _) = house.client("anna", &["alert", "nobody"]).exit();
    assert_eq!(code, Some(5), "{events:?}");
    ben.signal("INT");
    assert_eq!(ben.exit().0, Some(0));
}

#[test]
fn over_a_pre_established_session_a_call_is_answered_left_and_cancelled_as_on_demand() {
    let house = House::open("pre-established");
    for (inviter, invited) in [(true, false), (false, true), (true, true)] {
        let over = |is_so: bool| if is_so { &["--pre-established"][..] } else { &[] };
        let what = format!("{inviter} {invited}");
        let mut ben = house.answer("ben", &[&["--manual"], over(invited)].concat());
        if invited {
            ben.until("pre-established");
        }
        let mut anna = house.client("anna", &[&["call", "ben"], over(inviter)].concat());
        ben.until("invited");
        anna.until("progress");
        anna.signal("INT");
        let (code, events, _) = anna.exit();
        assert_eq!((code, end(&events)), (Some(0), ("cancelled", "local", Some(487))), "{what}");
        let (code, events, _) = ben.exit();
        assert_eq!((code, end(&events)), (Some(0), ("cancelled", "remote", Some(487))), "{what}");

        let ben = house.answer("ben", &[&["--auto"], over(invited)].concat());
        let (code, events, _) =
            house.client("anna", &[&["call", "ben", "--leave-after", "50ms"], over(inviter)].concat()).exit();
        assert_eq!((code, end(&events)), (Some(0), ("left", "local", None)), "{what}");
        let (code, events, _) = ben.exit();
        assert_eq!(
            (code, end(&events)),
            (Some(0), ("released", "remote", None)),
            "{what}: {:?}",
            kinds(&events)
        );
    }
}

#[test]
fn what_cannot_be_invited_together_is_a_wrong_command_line() {
    let folder = Folder::new("wrong-lists");
    std::fs::create_dir_all(&*folder).unwrap();
    let file = folder.join("password");
    std::fs::write(&file, "anna").unwrap();
    let home = ["--server", "127.0.0.1:9", "--user", "anna", "--password-file", file.to_str().unwrap()];
    for (arguments, why) in [
        (&["call", "ben", "ben"][..], "invited twice"),
        (&["call", "ben", "sip:poc.internal"], "no SIP address of a user"),
        (&["call", "ben", "cara", "--chat"], "name one group"),
        (&["call", "ben", "--add", "tel:+491"], "only sip: addresses"),
    ] {
        let (code, _, said) = run(&[arguments, &home].concat());
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    let (code, _, said) = run(&["call", "sip:ben@127.0.0.1", "sip:cara@127.0.0.1"]);
    assert_eq!((code, said.contains("use --server")), (Some(2), true), "{said}");
}
