//! Whoever does not come by way of Kamailio.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::network::Network;
use crate::sipping::{PORT, Transport, own_address};

/// A PoC Server believes what P-Asserted-Identity says, so it must be nobody's but the core's (RFC 3325 §8).
#[test]
fn a_stranger_who_goes_round_kamailio_is_not_heard() {
    let Some(network) = Network::start(Transport::Udp) else { return };
    let mut ben = network.client("ben", &["answer", "--manual"]);
    ben.until("published");
    let (server, stranger) = (network.server_at, own_address());
    let invite = |transport: &str| {
        format!(
            "INVITE sip:ben@poc.internal SIP/2.0\r\nVia: SIP/2.0/{transport} {stranger}:5060;branch=z9hG4bKs{transport}\r\n\
             Max-Forwards: 70\r\nRoute: <sip:orig@{server}:5060;lr>, <sip:{stranger};lr;odi=orig>\r\n\
             From: <sip:anna@poc.internal>;tag=1\r\nTo: <sip:ben@poc.internal>\r\nCall-ID: s{transport}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:anna@{stranger}>;+g.poc.talkburst\r\nAccept-Contact: *;+g.poc.talkburst;require;explicit\r\n\
             P-Asserted-Identity: <sip:anna@poc.internal>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    // By UDP from another address, and from another port of Kamailio's: silence.
    for address in [stranger, network.core_at] {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.send_to(invite("UDP").as_bytes(), (server, PORT)).unwrap();
        assert!(socket.recv(&mut [0; 2048]).is_err(), "{address}");
    }
    // By TCP: the connection is closed at once.
    let mut stream = TcpStream::connect((server, PORT)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(invite("TCP").as_bytes());
    assert!(matches!(stream.read(&mut [0; 2048]), Ok(0) | Err(_)));
    ben.signal("INT");
    let (_, events, _) = ben.exit();
    assert!(events.iter().all(|event| event["event"] != "invited"), "{events:#?}");
}

#[test]
fn a_wrong_password_is_refused_by_kamailio() {
    let Some(network) = Network::start(Transport::Udp) else { return };
    let ben = network.client_with_password_of("ben", "carl", &["call", "anna"]);
    let (code, events, _) = ben.exit();
    assert_ne!(code, Some(0));
    assert!(events.iter().all(|event| event["event"] != "registered"), "{events:#?}");
}
