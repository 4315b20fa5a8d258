//! What tshark says.

/// A number is written in decimal: versions differ in how they write a flag.
pub(crate) fn plain(value: &str) -> String {
    match (value, value.strip_prefix("0x")) {
        ("True", _) => "1".to_owned(),
        ("False", _) => "0".to_owned(),
        (_, Some(hex)) => u32::from_str_radix(hex, 16).unwrap().to_string(),
        (_, None) => value.to_owned(),
    }
}
