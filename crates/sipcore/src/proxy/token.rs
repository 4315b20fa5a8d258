//! The user of our Record-Route: which flow a request within the dialog leaves by, and that we wrote it for this Call-ID.
//!
//! Nothing is kept of a dialog. Whoever sends a request with such a Route has seen the dialog, so it is not challenged; and
//! nobody else can use it to send something to an address of their choice.

use std::net::{IpAddr, SocketAddr};

use sip::hash::{Keyed, hexadecimal};
use sip::transport::{ConnectionId, Listener, Path};
use sip::way::Text;
use smallvec::SmallVec;

/// Octets of the keyed hash at the end.
const MARK: usize = 8;

/// Octets of a token: those of the longest flow, and the mark.
type Octets = SmallVec<[u8; 32]>;

/// Writes the token, in hexadecimal digits.
pub(crate) fn write(keyed: &Keyed, listeners: &[Listener], call_id: &[u8], flow: Option<&Path>) -> Text {
    let mut octets = flow.map(|flow| octets_of(listeners, flow)).unwrap_or_default();
    let mark = mark(keyed, call_id, &octets);
    octets.extend_from_slice(&mark);
    octets.into_iter().flat_map(hexadecimal).collect()
}

/// Reads a token of ours for this Call-ID: the flow, if it has one. `None` if it is none.
#[expect(clippy::option_option, reason = "not ours, no flow, a flow")]
pub(crate) fn read(
    keyed: &Keyed,
    listeners: &[Listener],
    call_id: &[u8],
    text: &[u8],
) -> Option<Option<Path>> {
    let octets = text
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect::<Option<Vec<_>>>()?;
    let (octets, found) = octets.split_at_checked(octets.len().checked_sub(MARK)?)?;
    if mark(keyed, call_id, octets) != found {
        return None;
    }
    if octets.is_empty() { Some(None) } else { flow_of(listeners, octets).map(Some) }
}

fn mark(keyed: &Keyed, call_id: &[u8], octets: &[u8]) -> [u8; MARK] {
    keyed.key(&[b"route", call_id, octets]).leading().to_be_bytes()
}

/// Listener, connection, port and address.
fn octets_of(listeners: &[Listener], flow: &Path) -> Octets {
    let is_its = |each: &Listener| each.transport == flow.transport && each.bind == flow.local;
    let place = listeners.iter().position(is_its).unwrap_or_default();
    let (kind, number) = match flow.connection {
        None => (0, 0),
        Some(ConnectionId::Opened(number)) => (1, number),
        Some(ConnectionId::Accepted(number)) => (2, number),
    };
    let mut octets = Octets::from_slice(&[place as u8, kind]);
    if kind > 0 {
        octets.extend_from_slice(&number.to_be_bytes());
    }
    octets.extend_from_slice(&flow.remote.port().to_be_bytes());
    match flow.remote.ip() {
        IpAddr::V4(ip) => octets.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets.extend_from_slice(&ip.octets()),
    }
    octets
}

fn flow_of(listeners: &[Listener], octets: &[u8]) -> Option<Path> {
    let (&[place, kind], mut rest) = octets.split_first_chunk()?;
    let mut connection = None;
    if kind > 0 {
        let (number, behind) = rest.split_first_chunk()?;
        let number = u32::from_be_bytes(*number);
        connection =
            Some(if kind == 1 { ConnectionId::Opened(number) } else { ConnectionId::Accepted(number) });
        rest = behind;
    }
    let (port, ip) = rest.split_first_chunk()?;
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
    };
    let listener = listeners.get(usize::from(place))?;
    let remote = SocketAddr::new(ip, u16::from_be_bytes(*port));
    Some(Path { transport: listener.transport, local: listener.bind, remote, connection })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::transport::Transport;

    #[test]
    fn a_token_is_read_for_its_call_and_under_its_secret_only() {
        let keyed = Keyed::new([1; 16]);
        let bind = SocketAddr::from(([192, 0, 2, 1], 5060));
        let listeners =
            [Transport::Udp, Transport::Tcp].map(|transport| Listener { transport, bind, advertised: bind });
        let udp = Path {
            transport: Transport::Udp,
            local: bind,
            remote: SocketAddr::from(([192, 0, 2, 9], 40_000)),
            connection: None,
        };
        let remote = "[2001:db8::9]:5062".parse().unwrap();
        let tcp =
            Path { transport: Transport::Tcp, remote, connection: Some(ConnectionId::Accepted(7)), ..udp };
        for flow in [None, Some(udp), Some(tcp)] {
            let token = write(&keyed, &listeners, b"c1", flow.as_ref());
            let read = |keyed: &Keyed, call: &[u8], token: &[u8]| read(keyed, &listeners, call, token);
            assert_eq!(read(&keyed, b"c1", &token), Some(flow));
            assert_eq!(read(&keyed, b"c2", &token), None);
            assert_eq!(read(&Keyed::new([2; 16]), b"c1", &token), None);
            assert_eq!(read(&keyed, b"c1", &token[2..]), None);
            assert_eq!(read(&keyed, b"c1", b""), None);
        }
    }
}
