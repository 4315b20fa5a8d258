//! Values of options as they are written.

use std::net::{IpAddr, SocketAddr};

use sip::Duration;
use toml::de::DeValue;

use crate::command::IpPort;

/// The longest span: what is longer is a slip of the pen.
pub(super) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Reads a span that is within bounds.
pub(super) fn read_span(value: &DeValue<'_>, from: Duration, to: Duration) -> Result<Duration, String> {
    let example = "write a span of time, such as \"200ms\", \"2s\" or \"1m30s\"";
    if let DeValue::Integer(number) = value {
        return Err(format!("{number} has no unit; write \"{number}s\" if seconds are meant"));
    }
    let DeValue::String(text) = value else {
        return Err(format!("{} is no span of time; {example}", name(value)));
    };
    let span =
        humantime::parse_duration(text).map_err(|_| format!("{text:?} is no span of time; {example}"))?;
    bounds_fault(span, from, to).map_or(Ok(span), Err)
}

/// Whether a span is out of bounds.
pub(super) fn bounds_fault(span: Duration, from: Duration, to: Duration) -> Option<String> {
    let bounds = format!("write one of {} to {}", show_span(from), show_span(to));
    (span < from || span > to).then(|| format!("{} is out of bounds; {bounds}", show_span(span)))
}

/// Reads a whole number that is within bounds.
pub(super) fn read_count(value: &DeValue<'_>, from: u64, to: u64) -> Result<u64, String> {
    let expected = format!("write a whole number, {from} to {to}");
    let DeValue::Integer(number) = value else {
        return Err(format!("{} is no whole number; {expected}", name(value)));
    };
    let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let read = read.filter(|read| (from..=to).contains(read));
    read.ok_or_else(|| format!("{number} is out of bounds; {expected}"))
}

/// Reads yes or no.
pub(super) fn read_switch(value: &DeValue<'_>) -> Result<bool, String> {
    let DeValue::Boolean(is_on) = value else {
        return Err(format!("{} is no switch; write true or false", name(value)));
    };
    Ok(*is_on)
}

/// Reads a text; what it must be is said if it is none.
pub(super) fn read_text<'a>(value: &'a DeValue<'_>, what: &str) -> Result<&'a str, String> {
    let DeValue::String(text) = value else {
        return Err(format!("{} is no text; write {what} in quotes", name(value)));
    };
    Ok(text)
}

/// Reads `IP[:PORT]`.
pub(super) fn read_ip_port(text: &str) -> Result<IpPort, String> {
    let advice =
        "write an IP address with or without a port, such as \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\"";
    text.parse().map_err(|_| format!("{text:?} is no address; {advice}"))
}

/// Reads `IP:PORT`, where something can be sent.
pub(super) fn read_address(text: &str) -> Result<SocketAddr, String> {
    let advice = "write an IP address and a port, such as \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\"";
    let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is no address; {advice}"))?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!("{text:?} is nobody's address; {advice}"));
    }
    Ok(address)
}

/// A value as it is told to whoever wrote it.
pub(super) fn name(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A span with the largest unit in which it is a whole number.
pub(super) fn show_span(span: Duration) -> String {
    let nanos = span.as_nanos();
    let units = [
        (86_400_000_000_000, "days"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1000, "us"),
        (1, "ns"),
    ];
    // A day or two are hours for people.
    let fits =
        |(unit, name): &&(u128, &str)| nanos.is_multiple_of(*unit) && (*name != "days" || nanos > 2 * *unit);
    match units.iter().find(fits) {
        Some((unit, name)) if nanos > 0 => format!("{}{name}", nanos / unit),
        _ => "0s".to_owned(),
    }
}

/// An address as the file has it.
pub(super) fn show_ip_port(ip: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(|| ip.to_string(), |port| SocketAddr::new(ip, port).to_string())
}

/// A text in quotes, as TOML and JSON have it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_as_it_is_read() {
        for text in
            ["0s", "1001ns", "1us", "200ms", "2s", "90s", "1m", "30m", "1h", "24h", "48h", "3days", "90days"]
        {
            assert_eq!(show_span(humantime::parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn a_text_is_quoted_as_toml_reads_it() {
        for text in ["/var/lib", "a \"b\" \\c", "tab\t", "bell\u{7}", "é"] {
            let document = format!("a = {}", quote(text));
            let table = toml::de::DeTable::parse(&document).unwrap();
            let value = table.get_ref().values().next().unwrap();
            assert_eq!(read_text(value.get_ref(), "").unwrap(), text);
        }
    }
}
