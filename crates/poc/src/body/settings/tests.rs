use proptest::prelude::*;

use super::*;

/// digest 6.
const EXAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<poc-settings xmlns="urn:oma:params:xml:ns:poc:poc-settings">
  <entity id="k3j2-anna-phone">
    <isb-settings><incoming-session-barring active="false"/></isb-settings>
    <am-settings><answer-mode>automatic</answer-mode></am-settings>
    <ipab-settings><incoming-personal-alert-barring active="false"/></ipab-settings>
    <sss-settings><simultaneous-sessions-support active="true"/></sss-settings>
  </entity>
</poc-settings>
"#;

fn example() -> Entity {
    Entity {
        id: "k3j2-anna-phone".to_owned(),
        settings: Settings {
            incoming_session_barring: Some(false),
            answer_mode: Some(AnswerMode::Automatic),
            incoming_personal_alert_barring: Some(false),
            simultaneous_sessions: Some(true),
        },
    }
}

/// A document with this in its one entity.
fn with(inner: &str) -> String {
    format!("<poc-settings xmlns=\"{NAMESPACE}\"><entity id=\"a\">{inner}</entity></poc-settings>")
}

fn settings(inner: &str) -> Result<Settings, BodyError> {
    read_publication(with(inner).as_bytes()).map(|entity| entity.settings)
}

#[test]
fn the_example_is_written_and_read() {
    assert_eq!(write(&[example()]), EXAMPLE);
    assert_eq!(read_publication(EXAMPLE.as_bytes()), Ok(example()));
}

#[test]
fn a_prefix_is_as_good_as_a_default_namespace() {
    let text = EXAMPLE.replace("xmlns=", "xmlns:p=");
    let text = text.replace("</", "</p:").replace('<', "<p:").replace("<p:/p:", "</p:").replace("<p:?", "<?");
    assert_eq!(read_publication(text.as_bytes()), Ok(example()), "{text}");
}

/// RFC 4354 §6: elements and attributes from unknown namespaces MUST be ignored; digest 6: those without one too.
#[test]
fn what_is_not_ours_is_ignored() {
    let foreign =
        "<x:answer-mode xmlns:x=\"urn:x\">automatic</x:answer-mode><ext-app><a b=\"c\">d</a></ext-app>";
    let ours =
        "<am-settings x:y=\"1\" xmlns:x=\"urn:x\"><answer-mode>\n manual \n</answer-mode></am-settings>";
    let read = settings(&format!("{foreign}{ours}<!-- so --><?and so?>"));
    assert_eq!(read, Ok(Settings { answer_mode: Some(AnswerMode::Manual), ..Settings::default() }));
    assert_eq!(read_publication(with("").replace("urn:oma", "urn:other").as_bytes()), Err(BodyError::Root));
}

/// RFC 4354 §6.1: xs:boolean.
#[test]
fn a_boolean_has_four_spellings() {
    let read = |value: &str| {
        settings(&format!("<isb-settings><incoming-session-barring active=\"{value}\"/></isb-settings>"))
            .map(|settings| settings.incoming_session_barring)
    };
    for (text, value) in [("true", true), ("1", true), ("false", false), ("0", false), (" 1 ", true)] {
        assert_eq!(read(text), Ok(Some(value)), "{text}");
    }
    for wrong in ["TRUE", "yes", "", "2"] {
        assert_eq!(read(wrong), Err(BodyError::Value("incoming-session-barring")), "{wrong}");
    }
}

#[test]
fn what_is_missing_wrong_or_said_twice_is_named() {
    let am = "<am-settings><answer-mode>manual</answer-mode></am-settings>";
    assert_eq!(settings(&am.repeat(2)), Err(BodyError::Value("am-settings")));
    assert_eq!(settings("<am-settings/>"), Err(BodyError::Value("answer-mode")));
    assert_eq!(settings(&am.replace("manual", "loud")), Err(BodyError::Value("answer-mode")));
    assert_eq!(
        settings("<sss-settings><simultaneous-sessions-support/></sss-settings>"),
        Err(BodyError::Value("simultaneous-sessions-support"))
    );
    assert_eq!(read_publication(with("").replace(" id=\"a\"", "").as_bytes()), Err(BodyError::Value("id")));
}

#[test]
fn a_publication_speaks_of_one_terminal_and_a_notification_of_any_number() {
    let none = write(&[]);
    assert_eq!((read(&none), read_publication(&none)), (Ok(vec![]), Err(BodyError::Value("entity"))));
    let two = write(&[example(), Entity { id: "b".to_owned(), settings: Settings::default() }]);
    assert_eq!(read(&two).map(|all| all.len()), Ok(2));
    assert_eq!(read_publication(&two), Err(BodyError::Value("entity")));
    let many = vec![example(); ENTITIES_MAX + 1];
    assert_eq!(read(&write(&many)), Err(BodyError::TooLarge));
}

#[test]
fn a_short_document_cannot_stand_for_a_long_one() {
    let bomb = format!(
        "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>{}",
        with("<am-settings><answer-mode>&b;</answer-mode></am-settings>")
    );
    assert_eq!(read(bomb.as_bytes()), Err(BodyError::DocumentType));
    assert_eq!(
        settings("<am-settings><answer-mode>&b;</answer-mode></am-settings>"),
        Err(BodyError::DocumentType)
    );
    assert_eq!(
        settings("<isb-settings><incoming-session-barring active=\"&b;\"/></isb-settings>"),
        Err(BodyError::DocumentType)
    );
    let outside = "<!DOCTYPE poc-settings SYSTEM \"file:///etc/passwd\">";
    assert_eq!(read(format!("{outside}{}", with("")).as_bytes()), Err(BodyError::DocumentType));
    // XML's own are no danger.
    let read = settings("<am-settings><answer-mode>m&#97;nu&#x61;l</answer-mode></am-settings>");
    assert_eq!(read.map(|settings| settings.answer_mode), Ok(Some(AnswerMode::Manual)));
}

#[test]
fn a_document_that_is_too_long_too_deep_or_too_wide_is_refused() {
    let padding = " ".repeat(super::super::xml::LENGTH_MAX);
    assert_eq!(settings(&padding), Err(BodyError::TooLarge));
    assert_eq!(settings(&format!("{}{}", "<a>".repeat(15), "</a>".repeat(15))), Err(BodyError::TooLarge));
    assert_eq!(settings(&"<a/>".repeat(5000)), Err(BodyError::TooLarge));
    let attributes: String = (0..40).map(|each| format!(" a{each}=\"\"")).collect();
    assert_eq!(settings(&format!("<a{attributes}/>")), Err(BodyError::TooLarge));
    assert_eq!(settings(&format!("{}{}", "<a>".repeat(14), "</a>".repeat(14))), Ok(Settings::default()));
}

#[test]
fn what_is_no_xml_in_utf_8_is_refused() {
    let cases: [(&[u8], BodyError); 13] = [
        (b"", BodyError::Syntax),
        (b"hello", BodyError::Syntax),
        (b"<poc-settings", BodyError::Syntax),
        (b"<a></b>", BodyError::Syntax),
        (b"<a/><b/>", BodyError::Syntax),
        (b"<a/>b", BodyError::Syntax),
        (b"<p:a/>", BodyError::Syntax),
        (b"<a b='1' b='2'/>", BodyError::Syntax),
        (b"<a b='\x01'/>", BodyError::Syntax),
        (b"<a b='&#1;'/>", BodyError::Syntax),
        (b"<a>&#x1f;</a>", BodyError::Syntax),
        (b"<a>\xff</a>", BodyError::Encoding),
        (b"<?xml version='1.0' encoding='UTF-16'?><a/>", BodyError::Encoding),
    ];
    for (text, error) in cases {
        assert_eq!(read(text), Err(error), "{:?}", String::from_utf8_lossy(text));
    }
    assert_eq!(read(b"<a/>"), Err(BodyError::Root));
}

fn any_entity() -> impl Strategy<Value = Entity> {
    let mode = prop::option::of(prop_oneof![Just(AnswerMode::Automatic), Just(AnswerMode::Manual)]);
    let switch = || any::<Option<bool>>();
    // What XML can say.
    let id = "[\\x20-\\u{d7ff}\\t\\n\\r]{0,40}";
    (id, switch(), mode, switch(), switch()).prop_map(|(id, isb, answer_mode, ipab, sss)| Entity {
        id,
        settings: Settings {
            incoming_session_barring: isb,
            answer_mode,
            incoming_personal_alert_barring: ipab,
            simultaneous_sessions: sss,
        },
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(entities in prop::collection::vec(any_entity(), 0..8)) {
        prop_assert_eq!(read(&write(&entities)), Ok(entities));
    }

    #[test]
    fn junk_is_refused_and_nothing_else_happens(junk: Vec<u8>) {
        let _ = read(&junk);
    }

    #[test]
    fn a_document_with_an_octet_changed_is_read_or_refused(at in 0..EXAMPLE.len(), to: u8) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        text[at] = to;
        let _ = read(&text);
    }
}
