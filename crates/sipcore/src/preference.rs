//! Which contacts a caller wants: RFC 3841 §7.2, on the feature tags that RFC 3840 lets contacts have.
//!
//! Values are compared as text, as lists of tokens or strings with negation; a numeric value (`#>=4`) is its text too.

use sip::message::{Message, Method, Name, Parameters, Valued, scan};

/// Feature parameters without a leading plus: RFC 3840 §9.
const BASE: [&[u8]; 20] = [
    b"audio",
    b"automata",
    b"class",
    b"duplex",
    b"data",
    b"control",
    b"mobility",
    b"description",
    b"events",
    b"priority",
    b"methods",
    b"extensions",
    b"schemes",
    b"application",
    b"video",
    b"language",
    b"type",
    b"isfocus",
    b"actor",
    b"text",
];

fn is_feature(name: &[u8]) -> bool {
    name.starts_with(b"+") || BASE.iter().any(|base| base.eq_ignore_ascii_case(name))
}

/// A feature parameter and its value; none is TRUE.
type Term<'a> = (&'a [u8], Option<&'a [u8]>);

/// What one value of Accept-Contact or Reject-Contact asks for.
struct Predicate<'a> {
    terms: Vec<Term<'a>>,
    is_required: bool,
    is_explicit: bool,
}

impl<'a> Predicate<'a> {
    fn of(value: &Valued<'a>) -> Self {
        Self {
            terms: value.parameters.iter().filter(|(name, _)| is_feature(name)).collect(),
            is_required: value.parameters.has(b"require"),
            is_explicit: value.parameters.has(b"explicit"),
        }
    }

    /// RFC 2533: what a contact does not say of itself contradicts nothing.
    fn matches(&self, contact: &Parameters<'_>) -> bool {
        self.terms.iter().all(|(name, wanted)| !contact.has(name) || intersects(contact.value(name), *wanted))
    }

    /// How many of the terms the contact says something of, in thousandths.
    fn score(&self, contact: &Parameters<'_>) -> u32 {
        let known = self.terms.iter().filter(|(name, _)| contact.has(name)).count();
        (1000 * known).checked_div(self.terms.len()).map_or(1000, |score| score as u32)
    }
}

/// Whether two values of a feature have something in common.
fn intersects(one: Option<&[u8]>, other: Option<&[u8]>) -> bool {
    let values = |value: Option<&[u8]>| -> Vec<Vec<u8>> {
        let text = match value {
            None => b"TRUE",
            Some([b'"', inner @ .., b'"']) => inner,
            Some(text) => text,
        };
        // Between angle brackets case counts.
        let one =
            |item: &[u8]| if item.starts_with(b"<") { item.to_vec() } else { item.to_ascii_lowercase() };
        text.split(|byte| *byte == b',').map(|item| one(scan::trim(item))).collect()
    };
    let (one, other) = (values(one), values(other));
    let has = |all: &[Vec<u8>], item: &[u8]| match item.strip_prefix(b"!") {
        Some(denied) => all.iter().any(|each| each != denied && !each.starts_with(b"!")),
        None => all.iter().any(|each| match each.strip_prefix(b"!") {
            Some(denied) => denied != item,
            None => each == item,
        }),
    };
    one.iter().any(|item| has(&other, item))
}

/// The preferences of a request.
pub(crate) struct Preferences<'a> {
    accept: Vec<Predicate<'a>>,
    reject: Vec<Predicate<'a>>,
    /// Whether they were not written, but follow from the request: then they may not leave nobody (§7.2.4).
    pub(crate) is_implicit: bool,
}

impl<'a> Preferences<'a> {
    pub(crate) fn of(request: &'a Message) -> Self {
        let read = |name| -> Vec<_> {
            request.valued(name).filter_map(Result::ok).map(|value| Predicate::of(&value)).collect()
        };
        let (mut accept, reject) = (read(Name::AcceptContact), read(Name::RejectContact));
        let is_implicit = accept.is_empty() && reject.is_empty();
        if is_implicit {
            // §7.2.2.1, §7.2.2.2.
            let mut terms: Vec<Term<'_>> = vec![(b"methods", Some(request.method_text()))];
            if request.is(Method::Subscribe)
                && let Some(event) = request.value(Name::Event).and_then(Valued::parse)
            {
                terms.push((b"events", Some(event.value)));
            }
            accept.push(Predicate { terms, is_required: true, is_explicit: false });
        }
        Self { accept, reject, is_implicit }
    }

    /// How well a contact with these parameters fits, in thousandths (Qa); `None` if it must not be tried.
    pub(crate) fn score(&self, contact: &Parameters<'_>) -> Option<u32> {
        if !contact.iter().any(|(name, _)| is_feature(name)) {
            return Some(1000); // §7.2.3: it says nothing of itself, so it is immune
        }
        let rejects = |predicate: &Predicate<'_>| {
            predicate.terms.iter().all(|(name, _)| contact.has(name)) && predicate.matches(contact)
        };
        if self.reject.iter().any(rejects) {
            return None;
        }
        let mut scores = Vec::new();
        for predicate in &self.accept {
            let (matches, score) = (predicate.matches(contact), predicate.score(contact));
            // §7.2.4, Figure 1.
            match (matches, predicate.is_required) {
                (false, true) => return None,
                (false, false) => {}
                (true, true) if score < 1000 && predicate.is_explicit => return None,
                (true, false) if score < 1000 && predicate.is_explicit => scores.push(0),
                (true, true | false) => scores.push(score),
            }
        }
        let count = u32::try_from(scores.len()).unwrap_or(u32::MAX);
        Some(scores.iter().sum::<u32>().checked_div(count).unwrap_or(0))
    }
}

/// What Request-Disposition asks a proxy to do: RFC 3841 §9.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Disposition {
    pub(crate) forks: bool,
    pub(crate) is_sequential: bool,
    /// Whether the branches that lose are cancelled.
    pub(crate) cancels: bool,
}

impl Disposition {
    pub(crate) fn of(request: &Message) -> Self {
        let asks = |directive: &[u8]| request.lists(Name::RequestDisposition, directive);
        Self { forks: !asks(b"no-fork"), is_sequential: asks(b"sequential"), cancels: !asks(b"no-cancel") }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn score(lines: &str, contact: &str) -> Option<u32> {
        let text = format!("INVITE sip:user@example.com SIP/2.0\r\n{lines}\r\n");
        let request = Message::parse(Bytes::from(text)).unwrap();
        Preferences::of(&request).score(&Parameters::new(contact.as_bytes()))
    }

    /// RFC 3841 §7.2.5.
    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let lines = "Reject-Contact: *;actor=\"msg-taker\";video\r\nAccept-Contact: *;audio;require\r\n\
                     Accept-Contact: *;video;explicit\r\nAccept-Contact: *;methods=\"BYE\";class=\"business\";q=1.0\r\n";
        let of = |contact: &str| score(lines, contact);
        assert_eq!(of("audio;video;methods=\"INVITE,BYE\";q=0.2"), Some(833), "u1");
        let u2 = "audio=\"FALSE\";methods=\"INVITE\";actor=\"msg-taker\";q=0.2";
        assert_eq!(of(u2), None, "u2");
        assert_eq!(of("audio;actor=\"msg-taker\";methods=\"INVITE\";video;q=0.3"), None, "u3");
        assert_eq!(of("audio;methods=\"INVITE,OPTIONS\";q=0.2"), Some(500), "u4");
        assert_eq!(of("q=0.5"), Some(1000), "u5");
    }

    #[test]
    fn a_poc_invitation_reaches_poc_clients_only() {
        let lines = "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n";
        assert_eq!(score(lines, "+g.poc.talkburst"), Some(1000));
        assert_eq!(score(lines, "audio"), None);
        assert_eq!(score("", "methods=\"MESSAGE\""), None);
        assert_eq!(score("", "methods=\"MESSAGE,INVITE\""), Some(1000));
    }

    #[test]
    fn values_are_lists_with_negation() {
        let meets =
            |one: &'static str, other: &'static str| intersects(Some(one.as_bytes()), Some(other.as_bytes()));
        assert!(meets("\"a,B\"", "b") && !meets("\"<B>\"", "\"<b>\"") && meets("\"!a\"", "b"));
        assert!(!meets("\"!a\"", "a") && !intersects(None, Some(b"FALSE")));
    }
}
