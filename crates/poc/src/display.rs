//! Display names: what stands before an address for its reader (RFC 3261 §25.1).

use bytes::Bytes;

/// Octets of a name that is kept (user-plane digest 4.13).
const NAME_MAX: usize = 255;

/// A display name as it is shown: without quotes and escapes. `None` if it says nothing.
pub(crate) fn read(written: &[u8]) -> Option<String> {
    let text = match written {
        [b'"', ..] => sip::auth::unquoted(written)?,
        _ => Bytes::copy_from_slice(written),
    };
    let mut name = String::new();
    for letter in String::from_utf8_lossy(&text).trim().chars().filter(|letter| !letter.is_control()) {
        if name.len() + letter.len_utf8() > NAME_MAX {
            break;
        }
        name.push(letter);
    }
    (!name.is_empty()).then_some(name)
}

/// An address with its display name.
pub(crate) fn write(name: &str, uri: &[u8]) -> Bytes {
    let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    Bytes::from([format!("\"{quoted}\" <").as_bytes(), uri, b">"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_without_quotes_and_escapes() {
        for (written, shown) in [
            (&b"\"Anna \\\"A\\\" Lee\""[..], Some("Anna \"A\" Lee")),
            (b"Anna Lee", Some("Anna Lee")),
            (b" Anna\t", Some("Anna")),
            ("\"Zoë\"".as_bytes(), Some("Zoë")),
            (b"\xff", Some("\u{fffd}")),
            (b"", None),
            (b"\"\"", None),
            (b"\"Anna", None),
            (b"\"An\x07na\"", None),
        ] {
            assert_eq!(read(written).as_deref(), shown, "{written:?}");
        }
    }

    #[test]
    fn what_is_shown_is_written_as_it_was() {
        let name = "Anna \"A\\B\" Lee";
        let written = write(name, b"sip:anna@home1.example");
        let address = sip::message::NameAddr::parse(&written).unwrap();
        assert_eq!(
            (read(address.display).as_deref(), address.uri),
            (Some(name), &b"sip:anna@home1.example"[..])
        );
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        assert_eq!(read("ë".repeat(200).as_bytes()).map(|name| name.len()), Some(254));
    }
}
