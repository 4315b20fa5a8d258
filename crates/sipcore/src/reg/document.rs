//! A registration information document: RFC 3680 §5.

use std::fmt::Write;

use quick_xml::escape::escape;
use sip::Instant;
use sip::hash::Keyed;

use super::{Departure, Ended};
use crate::binding::{Binding, Bindings, Cause};

/// All that is known of the registration of a user.
pub(super) struct Registration<'a> {
    pub(super) now: Instant,
    pub(super) keyed: &'a Keyed,
    pub(super) address: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) bindings: &'a Bindings,
    /// What has ended since the last document.
    pub(super) ended: &'a [Ended],
}

impl Registration<'_> {
    /// The document of this version.
    pub(super) fn written(&self, version: u32) -> String {
        let id = self.keyed.key(&[b"registration", self.user]);
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{version}\" state=\"full\">\
             <registration aor=\"{}\" id=\"{id}\" state=\"{}\">",
            safe(self.address),
            self.state()
        );
        for binding in self.bindings.iter() {
            let event = match binding.cause {
                Cause::Registered => "registered",
                Cause::Refreshed => "refreshed",
            };
            let expires = format!(" expires=\"{}\"", binding.seconds_left(self.now));
            self.write_contact(&mut out, binding, "active", event, &expires);
        }
        for Ended { binding, departure } in self.ended {
            let event = match departure {
                Departure::Expired => "expired",
                Departure::Unregistered => "unregistered",
                Departure::Deactivated => "deactivated",
                Departure::Rejected => "rejected",
            };
            self.write_contact(&mut out, binding, "terminated", event, "");
        }
        out.push_str("</registration></reginfo>");
        out
    }

    /// §4.7.1: with its last contact the registration is over, and then as one that never was.
    fn state(&self) -> &'static str {
        match (self.bindings.iter().next(), self.ended) {
            (Some(_), _) => "active",
            (None, []) => "init",
            (None, [_, ..]) => "terminated",
        }
    }

    fn write_contact(&self, out: &mut String, binding: &Binding, state: &str, event: &str, expires: &str) {
        // §5.1: of the URI as written, so that other URIs have other ids.
        let id = self.keyed.key(&[b"contact", self.user, binding.uri()]);
        let since = self.now.saturating_since(binding.since).as_secs();
        let (call_id, cseq) = (safe(binding.call_id()), binding.cseq);
        let uri = safe(binding.uri());
        let _ = write!(
            out,
            "<contact id=\"{id}\" state=\"{state}\" event=\"{event}\" duration-registered=\"{since}\"{expires}"
        );
        if let Some(q) = binding.parameters().value(b"q") {
            let _ = write!(out, " q=\"{}\"", safe(q));
        }
        let _ = write!(out, " callid=\"{call_id}\" cseq=\"{cseq}\"><uri>{uri}</uri>");
        for (name, value) in binding.parameters().iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"q"))
        {
            let (name, value) = (safe(name), safe(value.unwrap_or_default()));
            let _ = write!(out, "<unknown-param name=\"{name}\">{value}</unknown-param>");
        }
        out.push_str("</contact>");
    }
}

/// Text as it can stand in an attribute or in an element. What XML cannot say at all is left out.
fn safe(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let can_stand = |each: &char| !matches!(each, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    escape(text.chars().filter(can_stand).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_wrote_cannot_end_an_attribute_or_an_element() {
        assert_eq!(safe(b"a\"b'c<d>e&f\x01\tg\xff"), "a&quot;b&apos;c&lt;d&gt;e&amp;fg\u{fffd}");
    }
}
