//! Users as the store and the control socket have them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Octets of the longest name of a user.
const NAME_MAX: usize = 64;

/// Octets of the longest display name.
const DISPLAY_NAME_MAX: usize = 128;

/// Rules that a user may have.
const RULES_MAX: usize = 1000;

/// Octets of the longest address in a rule, or of a member.
pub(super) const ADDRESS_MAX: usize = 256;

/// The user part of the conference factory (digest 3). Nobody else has it.
pub(crate) const FACTORY: &str = "poc-factory";

/// Stands for everybody where a rule names an address.
pub(crate) const ANYBODY: &str = "anybody";

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// The user part of the PoC Address.
    pub(crate) name: String,
    /// What stands for the password.
    pub(crate) ha1: Ha1,
    /// What others see.
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    /// Who may do what to this user.
    #[serde(default)]
    pub(crate) rules: Rules,
}

/// H(A1) of a user in a domain, in hexadecimal digits (RFC 7616 §3.4.2): a password is never kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ha1 {
    pub(crate) md5: String,
    pub(crate) sha256: String,
}

/// Who may do what to a user. Everybody may invite, and nobody may override, unless a rule says otherwise.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rules {
    /// What happens to an invitation, by the inviter's address or [`ANYBODY`].
    pub(crate) access: BTreeMap<String, AccessName>,
    /// Who may have the client answer by itself, by address or [`ANYBODY`].
    pub(crate) allow_override: BTreeSet<String>,
    /// The terminal may be a SIP phone that knows nothing of PoC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) plain_phone: bool,
}

/// What happens to an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessName {
    /// It is refused.
    Bar,
    /// The user is asked, whatever the answer mode.
    Pass,
    /// The answer mode decides.
    Accept,
}

impl Account {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        name_fault(&self.name)
            .or_else(|| self.ha1.fault())
            .or_else(|| self.rules.fault())
            .or_else(|| self.display_name.as_deref().and_then(display_name_fault))
    }
}

/// What is wrong with a display name.
pub(crate) fn display_name_fault(name: &str) -> Option<&'static str> {
    if name.len() > DISPLAY_NAME_MAX {
        Some("the display name is longer than 128 octets")
    } else if name.contains(char::is_control) {
        Some("the display name has a control character; leave it out")
    } else {
        None
    }
}

/// What is wrong with the name of a user or a group: RFC 3261 §25.1 `user`, without what would have to be escaped or quoted.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte);
    if name.is_empty() {
        Some("a name is missing, such as anna")
    } else if name.len() > NAME_MAX {
        Some("a name has at most 64 characters")
    } else if !name.bytes().all(is_fine) {
        Some("a name has letters, digits and -_.!~*'()&=+$, only, such as anna")
    } else if name == FACTORY {
        Some("this is the name of the conference factory; choose another one")
    } else if sip::identifier::Identifier::parse(name.as_bytes()).is_some() {
        Some("this looks like one of the server's own identifiers; choose another name")
    } else {
        None
    }
}

impl Ha1 {
    /// Of this user in this domain.
    pub(crate) fn of(name: &str, domain: &str, password: &[u8]) -> Self {
        let ha1 = sipcore::Ha1::of(name.as_bytes(), domain.as_bytes(), password);
        let [sha256, md5] = ha1.digits().map(|digits| String::from_utf8_lossy(digits).into_owned());
        Self { md5, sha256 }
    }

    /// As the core wants it; `None` if these are not 32 and 64 hexadecimal digits.
    pub(crate) fn to_core(&self) -> Option<sipcore::Ha1> {
        sipcore::Ha1::parse(self.sha256.as_bytes(), self.md5.as_bytes())
    }

    pub(crate) fn fault(&self) -> Option<&'static str> {
        let is_fine = self.to_core().is_some();
        (!is_fine).then_some("the hashes of the password are not 32 and 64 hexadecimal digits")
    }
}

/// It is as good as the password.
impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ha1(..)")
    }
}

impl Rules {
    /// As the store keeps them.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text and names of text")
    }

    /// As the store kept them.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn fault(&self) -> Option<&'static str> {
        let addresses = || self.access.keys().chain(&self.allow_override);
        let is_fine = |address: &String| {
            address == ANYBODY
                || address.len() <= ADDRESS_MAX && poc::address::canonical(address.as_bytes()).is_some()
        };
        if addresses().count() > RULES_MAX {
            Some("a user has at most 1000 rules")
        } else if !addresses().all(is_fine) {
            Some("a rule names a SIP URI, such as sip:ben@example.com, or anybody")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_user_part_of_a_sip_uri() {
        for fine in ["anna", "Anna-2", "+49123", "o'hara", "a"] {
            assert_eq!(name_fault(fine), None, "{fine}");
        }
        let long = "a".repeat(65);
        for wrong in
            ["", "anna@home", "an na", "ann\u{e4}", "a:b", "a%20", "a/b", "\"a\"", FACTORY, long.as_str()]
        {
            assert!(name_fault(wrong).is_some(), "{wrong}");
        }
        assert!(name_fault("0000800123456789abcdefgh").is_some(), "an identifier of ours");
    }

    #[test]
    fn the_hash_is_that_of_the_rfc() {
        // RFC 7616 §3.9.1, with the digest of RFC 8760: user, realm and password of the example.
        let ha1 = Ha1::of("Mufasa", "http-auth@example.org", b"Circle of Life");
        assert_eq!(ha1.md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(ha1.sha256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }

    #[test]
    fn the_hash_is_not_printed() {
        assert_eq!(format!("{:?}", Ha1::of("anna", "b", b"c")), "Ha1(..)");
    }
}
