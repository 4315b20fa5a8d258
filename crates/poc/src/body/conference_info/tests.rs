use proptest::prelude::*;

use super::*;

fn uri(user: &str) -> Bytes {
    Bytes::from(format!("sip:{user}@home1.example"))
}

fn session() -> Bytes {
    Bytes::from_static(b"sip:k3j2@home1.example;session=prearranged")
}

/// A document of this state, with these users.
fn document(version: u32, state: State, users: Vec<User>) -> ConferenceInfo {
    ConferenceInfo { users, ..ConferenceInfo::new(session(), version, state) }
}

fn connected(user: &str) -> User {
    User::new(uri(user), Status::Connected, None)
}

/// A document around these elements.
fn with(attributes: &str, inner: &str) -> String {
    format!(
        "<conference-info xmlns=\"{NAMESPACE}\" entity=\"sip:s@h\" {attributes}>{inner}</conference-info>"
    )
}

fn users_of(inner: &str) -> Result<Vec<User>, BodyError> {
    read(with("version=\"1\"", &format!("<users>{inner}</users>")).as_bytes()).map(|info| info.users)
}

fn roster_of(documents: Vec<ConferenceInfo>) -> (Roster, Vec<Merged>) {
    let mut roster = Roster::new();
    let merged = documents.into_iter().map(|each| roster.merge(each).unwrap()).collect();
    (roster, merged)
}

#[test]
fn the_document_of_a_patrol_is_written_and_read() {
    let mut info = document(0, State::Full, vec![connected("anna"), connected("ben")]);
    info.display_text = Some("Patrol <1>".to_owned());
    info.user_count = Some(2);
    info.is_active = Some(true);
    info.users[0].display_text = Some("Anna".to_owned());
    info.users[0].role = Some(Role::Distinguished);
    info.users[1].endpoints[0].status = Some(Status::Disconnected);
    info.users[1].endpoints[0].disconnection = Some(Disconnection::Failed);
    let written = write(&info);
    let text = std::str::from_utf8(&written.document).unwrap();
    assert_eq!(
        text,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:k3j2@home1.example;session=prearranged" version="0">
<conference-description><display-text>Patrol &lt;1&gt;</display-text></conference-description>
<conference-state><user-count>2</user-count><active>true</active></conference-state>
<users>
<user entity="sip:anna@home1.example"><display-text>Anna</display-text><roles><entry>distinguished</entry></roles><endpoint entity="sip:anna@home1.example"><status>connected</status></endpoint></user>
<user entity="sip:ben@home1.example"><endpoint entity="sip:ben@home1.example"><status>disconnected</status><disconnection-method>failed</disconnection-method></endpoint></user>
</users>
</conference-info>
"#
    );
    assert_eq!((read(&written.document), written.users), (Ok(info), 2));
}

/// RFC 4575 §5.2: a full document MUST have both, a partial one says what has changed, one of a conference that is over nothing.
#[test]
fn a_full_document_has_a_description_and_users_and_a_partial_one_what_has_changed() {
    let text = |state| {
        let written = write(&document(7, state, vec![])).document;
        String::from_utf8(written.to_vec()).unwrap()
    };
    let full = text(State::Full);
    assert!(full.contains("<conference-description>") && full.contains("<users>"), "{full}");
    for state in [State::Partial, State::Deleted] {
        let other = text(state);
        assert!(!other.contains("<conference-description>") && !other.contains("<users"), "{other}");
    }
    assert_eq!(read(text(State::Deleted).as_bytes()), Ok(document(7, State::Deleted, vec![])));
}

/// RFC 4575 §6: all names of both types, and no others.
#[test]
fn each_status_and_each_way_to_leave_has_its_name() {
    for status in Status::ALL {
        let user = User::new(uri("anna"), *status, None);
        let text = write(&document(1, State::Full, vec![user.clone()])).document;
        assert_eq!(read(&text).map(|info| info.users), Ok(vec![user]), "{status:?}");
    }
    for way in Disconnection::ALL {
        let user = User::new(uri("anna"), Status::Disconnected, Some(*way));
        let text = write(&document(1, State::Full, vec![user.clone()])).document;
        assert_eq!(read(&text).map(|info| info.users), Ok(vec![user]), "{way:?}");
    }
    assert_eq!((Status::ALL.len(), Disconnection::ALL.len()), (9, 4));
    let wrong = |name| {
        format!("<user entity='sip:a@h'><endpoint entity='sip:a@h'><{name}>x</{name}></endpoint></user>")
    };
    assert_eq!(users_of(&wrong("status")), Err(BodyError::Value("status")));
    assert_eq!(users_of(&wrong("disconnection-method")), Err(BodyError::Value("disconnection-method")));
}

#[test]
fn media_sidebars_and_what_is_foreign_are_ignored() {
    let user = "<user entity=' sip:anna@home1.example ' x:a='1' xmlns:x='urn:x'>\
        <x:roles/><associated-aors><entry><uri>sip:b@h</uri></entry></associated-aors>\
        <endpoint entity='sip:anna@home1.example'><status> connected </status>\
        <media id='1'><type>audio</type><status>sendrecv</status></media></endpoint></user>";
    assert_eq!(users_of(user), Ok(vec![connected("anna")]));
    let sidebar = "<sidebars-by-val><entry entity='sip:x@h'><users><user entity='sip:y@h'/></users></entry></sidebars-by-val>";
    let info = read(with("version='3'", sidebar).as_bytes());
    // It has no users: nothing is said about them.
    assert_eq!(info.map(|info| (info.users.len(), info.users_state)), Ok((0, State::Partial)));
}

#[test]
fn what_is_missing_wrong_or_said_twice_is_named() {
    let refused = |text: String| read(text.as_bytes()).err();
    assert_eq!(refused(with("", "")), Some(BodyError::Value("version")));
    for version in ["", "-1", "+1", "4294967296", "one"] {
        assert_eq!(refused(with(&format!("version='{version}'"), "")), Some(BodyError::Value("version")));
    }
    assert_eq!(refused(with("version='1' state='some'", "")), Some(BodyError::Value("state")));
    assert_eq!(refused(with("version='1'", "<users/><users/>")), Some(BodyError::Value("users")));
    let active = "<conference-state><active>maybe</active></conference-state>";
    assert_eq!(refused(with("version='1'", active)), Some(BodyError::Value("active")));
    assert_eq!(refused(format!("<users xmlns='{NAMESPACE}'/>")), Some(BodyError::Root));
    assert_eq!(users_of("<user/>"), Err(BodyError::Value("entity")));
    assert_eq!(users_of("<user entity='sip:a b@h'/>"), Err(BodyError::Value("entity")));
    assert_eq!(users_of("<user entity='sip:a&#10;@h'/>"), Err(BodyError::Value("entity")));
    assert_eq!(users_of(&"<user entity='sip:a@h'/>".repeat(2)), Err(BodyError::Value("user")));
    let endpoints = "<endpoint entity='sip:a@h'/>".repeat(2);
    assert_eq!(
        users_of(&format!("<user entity='sip:a@h'>{endpoints}</user>")),
        Err(BodyError::Value("endpoint"))
    );
}

#[test]
fn a_document_with_too_much_of_anything_is_refused() {
    let endpoints: String =
        (0..=ENDPOINTS_MAX).map(|each| format!("<endpoint entity='sip:{each}@h'/>")).collect();
    assert_eq!(users_of(&format!("<user entity='sip:a@h'>{endpoints}</user>")), Err(BodyError::TooLarge));
    let many: String = (0..5000).map(|each| format!("<user entity='{each}'/>")).collect();
    assert_eq!(users_of(&many), Err(BodyError::TooLarge));
    let long = "a".repeat(TEXT_MAX + 1);
    assert_eq!(users_of(&format!("<user entity='{long}'/>")), Err(BodyError::Value("entity")));
    let named = format!("<user entity='sip:a@h'><display-text>{long}</display-text></user>");
    assert_eq!(users_of(&named), Err(BodyError::Value("display-text")));
}

/// RFC 4575 §5.5.1: not every participant need be in the document, and the count still says how many there are.
#[test]
fn a_thousand_users_fit_into_documents_that_fit_into_messages() {
    let users: Vec<_> = (0..1000).map(|each| connected(&format!("user{each:04}"))).collect();
    let mut info = document(0, State::Full, users.clone());
    info.user_count = Some(1000);
    let (mut roster, mut documents) = (Roster::new(), 0);
    loop {
        let written = write(&info);
        assert!(written.document.len() <= LENGTH_MAX && written.users > 0);
        assert_eq!(roster.merge(read(&written.document).unwrap()), Ok(Merged::Updated));
        assert_eq!(roster.user_count(), Some(1000));
        documents += 1;
        info = document(info.version + 1, State::Partial, info.users.split_off(written.users));
        if info.users.is_empty() {
            break;
        }
    }
    assert_eq!(documents, 3);
    assert!(roster.users().eq(&users));
}

/// RFC 4575 §4.6.
#[test]
fn a_document_that_is_not_newer_is_discarded_and_a_gap_wants_all_anew() {
    let full = |version| document(version, State::Full, vec![connected("anna")]);
    let partial = |version| document(version, State::Partial, vec![connected("ben")]);
    let (roster, merged) = roster_of(vec![partial(1), full(4), full(4), full(3), partial(4), partial(6)]);
    let stale = Merged::Stale;
    assert_eq!(merged, [Merged::Missed, Merged::Updated, stale, stale, stale, Merged::Missed]);
    assert_eq!(roster.users().len(), 1);
    // All anew, with any higher number; then one more.
    let (roster, merged) = roster_of(vec![full(4), partial(6), full(6), partial(7)]);
    assert_eq!(merged, [Merged::Updated, Merged::Missed, Merged::Updated, Merged::Updated]);
    assert_eq!(roster.users().len(), 2);
}

#[test]
fn a_full_document_replaces_and_a_conference_that_is_over_has_nobody() {
    let first = ConferenceInfo { is_active: Some(true), ..document(1, State::Full, vec![connected("anna")]) };
    let second = document(2, State::Full, vec![connected("ben")]);
    let (roster, _) = roster_of(vec![first.clone(), second]);
    assert_eq!((roster.is_active(), roster.user(&uri("anna"))), (None, None));
    assert_eq!(roster.user(&uri("ben")), Some(&connected("ben")));
    let (roster, merged) = roster_of(vec![first, document(5, State::Deleted, vec![])]);
    assert_eq!((merged[1], roster.users().len()), (Merged::Deleted, 0));
}

/// RFC 4575 §4.6, steps 1 to 3.
#[test]
fn a_partial_document_changes_what_it_names() {
    let named = User { display_text: Some("Anna".to_owned()), ..connected("anna") };
    let first = ConferenceInfo {
        display_text: Some("Patrol".to_owned()),
        user_count: Some(3),
        ..document(1, State::Full, vec![named, connected("ben"), connected("carl")])
    };
    let mut part = User::new(uri("anna"), Status::OnHold, None);
    (part.state, part.role) = (State::Partial, Some(Role::Ordinary));
    part.endpoints[0].state = State::Partial;
    let mut new = User { state: State::Partial, ..connected("dora") };
    new.endpoints[0].state = State::Partial;
    let changes = vec![part, User::deleted(uri("ben")), new, User::deleted(uri("nobody"))];
    let second = ConferenceInfo { user_count: Some(2), ..document(2, State::Partial, changes) };
    let (roster, _) = roster_of(vec![first, second]);
    assert_eq!((roster.display_text(), roster.user_count()), (Some("Patrol"), Some(2)));
    let anna = roster.user(&uri("anna")).unwrap();
    assert_eq!((anna.display_text.as_deref(), anna.role), (Some("Anna"), Some(Role::Ordinary)));
    assert_eq!(anna.endpoints, User::new(uri("anna"), Status::OnHold, None).endpoints);
    assert_eq!(roster.user(&uri("ben")), None);
    assert_eq!(roster.user(&uri("carl")), Some(&connected("carl")));
    assert_eq!(roster.user(&uri("dora")), Some(&connected("dora")));
}

#[test]
fn an_endpoint_goes_alone_and_users_are_replaced_where_all_of_them_are_named() {
    let gone = Endpoint { entity: uri("anna"), state: State::Deleted, status: None, disconnection: None };
    let part = User { state: State::Partial, endpoints: vec![gone], ..connected("anna") };
    let first = document(1, State::Full, vec![connected("anna"), connected("ben")]);
    let (mut roster, _) = roster_of(vec![first, document(2, State::Partial, vec![part])]);
    assert_eq!(roster.user(&uri("anna")).map(|user| user.endpoints.len()), Some(0));
    // The default of `state` is "full" (RFC 4575 §4.4): the whole element is replaced.
    let text = with("version='3' state='partial'", "<users><user entity='sip:dora@home1.example'/></users>");
    assert_eq!(roster.merge(read(text.as_bytes()).unwrap()), Ok(Merged::Updated));
    assert_eq!(roster.users().map(|user| user.entity.clone()).collect::<Vec<_>>(), [uri("dora")]);
}

#[test]
fn a_roster_that_is_full_takes_no_more() {
    let users = |from: usize, to: usize| (from..to).map(|each| connected(&each.to_string())).collect();
    let mut roster = Roster::new();
    assert_eq!(roster.merge(document(1, State::Full, users(0, USERS_MAX))), Ok(Merged::Updated));
    let one_more = document(2, State::Partial, users(USERS_MAX, USERS_MAX + 1));
    assert_eq!(roster.merge(one_more), Err(BodyError::TooLarge));
    assert_eq!(roster.users().len(), USERS_MAX);
    let endpoint = |each: usize| Endpoint {
        entity: Bytes::from(each.to_string()),
        ..connected("a").endpoints[0].clone()
    };
    let mut user = User { state: State::Partial, ..connected("0") };
    for version in 2.. {
        user.endpoints = (0..ENDPOINTS_MAX).map(|each| endpoint(each + 100 * version as usize)).collect();
        if roster.merge(document(version, State::Partial, vec![user.clone()])).is_err() {
            break;
        }
        assert!(version < 4);
    }
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Full), Just(State::Partial), Just(State::Deleted)]
}

fn any_user() -> impl Strategy<Value = User> {
    // What XML can say, and a reader does not cut.
    let name = prop::option::of("([!-\\u{d7ff}]{1,20})?");
    let role = prop::option::of(prop_oneof![Just(Role::Ordinary), Just(Role::Distinguished)]);
    let status = prop::option::of(prop::sample::select(Status::ALL));
    let way = prop::option::of(prop::sample::select(Disconnection::ALL));
    ("[a-f]", any_state(), name, role, any_state(), status, way).prop_map(
        |(user, state, display_text, role, endpoint_state, status, disconnection)| {
            let entity = uri(&user);
            if state == State::Deleted {
                return User::deleted(entity);
            }
            let (status, disconnection) = match endpoint_state {
                State::Full | State::Partial => (status, disconnection),
                State::Deleted => (None, None),
            };
            let endpoint = Endpoint { entity: entity.clone(), state: endpoint_state, status, disconnection };
            User { entity, state, display_text, role, endpoints: vec![endpoint] }
        },
    )
}

fn any_document() -> impl Strategy<Value = ConferenceInfo> {
    let users = prop::collection::vec(any_user(), 0..6).prop_map(|mut users| {
        users.sort_by(|a, b| a.entity.cmp(&b.entity));
        users.dedup_by(|a, b| a.entity == b.entity);
        users
    });
    (0..12_u32, any_state(), prop::option::of(any::<u32>()), any::<Option<bool>>(), users).prop_map(
        |(version, state, user_count, is_active, users)| {
            if state == State::Deleted {
                return ConferenceInfo::new(session(), version, state);
            }
            ConferenceInfo { user_count, is_active, users, ..ConferenceInfo::new(session(), version, state) }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(info in any_document()) {
        let written = write(&info);
        prop_assert_eq!(written.users, info.users.len());
        prop_assert_eq!(read(&written.document), Ok(info));
    }

    /// Against the rules in prose: the versions rise, and a roster holds no two of a kind and no leftovers.
    #[test]
    fn a_roster_of_any_documents_is_coherent(documents in prop::collection::vec(any_document(), 0..24)) {
        let mut roster = Roster::new();
        let mut version = None;
        for document in documents {
            let (number, state) = (document.version, document.state);
            let before = roster.clone();
            match roster.merge(document).unwrap() {
                Merged::Stale => prop_assert!(version >= Some(number) && roster == before),
                Merged::Missed => prop_assert!(state == State::Partial && roster == before),
                Merged::Updated | Merged::Deleted => {
                    prop_assert!(version < Some(number));
                    prop_assert!(state != State::Partial || version == Some(number - 1));
                    version = Some(number);
                }
            }
            let parts = roster.users().flat_map(|user| &user.endpoints);
            prop_assert!(parts.into_iter().all(|endpoint| endpoint.state == State::Full));
            prop_assert!(roster.users().all(|user| user.state == State::Full));
        }
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk: Vec<u8>) {
        let _ = read(&junk);
    }

    #[test]
    fn a_document_with_an_octet_changed_is_read_or_refused(at in 0..300_usize, to: u8) {
        let mut text = write(&document(1, State::Full, vec![connected("anna")])).document.to_vec();
        let place = at % text.len();
        text[place] = to;
        let _ = read(&text);
    }
}
