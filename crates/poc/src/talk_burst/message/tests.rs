//! The vectors are those of the project's test vectors for TBCP V1.0 that concern these three messages: composed by hand, and
//! decoded with the same result by TShark 4.0.17.

use proptest::prelude::*;

use super::*;
use crate::talk_burst::packets;

const CLIENT: u32 = 0x1122_3344;
const SERVER: u32 = 0xa1b2_c3d4;

fn octets(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn read_one(datagram: &[u8]) -> Result<Packet, Malformed> {
    let mut all = packets(datagram).unwrap();
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

/// `hex` stands for this message, either way.
fn assert_is(id: &str, hex: &str, ssrc: u32, message: Message) {
    let packet = Packet { ssrc, message };
    assert_eq!(packet.write().map(|bytes| bytes.to_vec()), Ok(octets(hex)), "{id}");
    assert_eq!(read_one(&octets(hex)), Ok(packet), "{id}");
}

fn some(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// Vectors `ack-*`.
#[test]
fn an_acknowledgement_names_what_it_acknowledges_and_the_answer() {
    for (id, hex, acknowledgement) in [
        ("ack-taken", "87cc000311223344506f433190000000", Acknowledgement::Taken),
        (
            "ack-connect-accepted",
            "87cc000311223344506f433178000000",
            Acknowledgement::Connect(Answer::Accepted),
        ),
        ("ack-connect-busy", "87cc000311223344506f433178010000", Acknowledgement::Connect(Answer::Busy)),
        (
            "ack-connect-notaccepted",
            "87cc000311223344506f433178020000",
            Acknowledgement::Connect(Answer::NotAccepted),
        ),
        ("ack-disconnect", "87cc000311223344506f433158000000", Acknowledgement::Disconnect),
    ] {
        assert_is(id, hex, CLIENT, Message::Acknowledgement(acknowledgement));
    }
}

/// Vector `disconnect`.
#[test]
fn a_disconnect_has_no_data() {
    assert_is("disconnect", "8bcc0002a1b2c3d4506f4331", SERVER, Message::Disconnect);
}

/// Vectors `connect-*`.
#[test]
fn a_connect_has_its_items_in_the_order_of_their_bits() {
    let alice = some("sip:alice@example.com");
    let session = some("sip:conf7@poc1.example.com");
    let one_to_one =
        Connect { inviter: alice.clone(), session_type: Some(SessionType::OneToOne), ..Connect::default() };
    let with_override =
        Connect { inviter_name: Some("Alice".to_owned()), is_override: true, ..one_to_one.clone() };
    let chat = Connect {
        session: session.clone(),
        group_name: Some("Team Blue".to_owned()),
        group: some("sip:team-blue@example.com"),
        session_type: Some(SessionType::Chat),
        ..Connect::default()
    };
    let full = Connect {
        inviter: alice.clone(),
        inviter_name: Some("Alice".to_owned()),
        session_type: Some(SessionType::PreArranged),
        ..chat.clone()
    };
    let ad_hoc =
        Connect { inviter: alice, session, session_type: Some(SessionType::AdHoc), ..Connect::default() };
    for (id, hex, connect) in [
        (
            "connect-1to1",
            "8fcc0009a1b2c3d4506f43318000010001157369703a616c696365406578616d706c652e636f6d00",
            one_to_one,
        ),
        (
            "connect-1to1-mao",
            "8fcc000ba1b2c3d4506f4331c000018001157369703a616c696365406578616d706c652e636f6d\
             0205416c6963650000",
            with_override,
        ),
        (
            "connect-prearr-full",
            "8fcc001ba1b2c3d4506f4331f800030001157369703a616c696365406578616d706c652e636f6d\
             0205416c696365011a7369703a636f6e663740706f63312e6578616d706c652e636f6d\
             02095465616d20426c756501197369703a7465616d2d626c7565406578616d706c652e636f6d",
            full,
        ),
        (
            "connect-adhoc",
            "8fcc0010a1b2c3d4506f4331a000020001157369703a616c696365406578616d706c652e636f6d\
             011a7369703a636f6e663740706f63312e6578616d706c652e636f6d00",
            ad_hoc,
        ),
        (
            "connect-chat",
            "8fcc0014a1b2c3d4506f433138000400011a7369703a636f6e663740706f63312e6578616d706c652e636f6d\
             02095465616d20426c756501197369703a7465616d2d626c7565406578616d706c652e636f6d0000",
            chat,
        ),
        ("connect-none", "8fcc0003a1b2c3d4506f433100000000", Connect::default()),
    ] {
        assert_is(id, hex, SERVER, Message::Connect(Box::new(connect)));
    }
}

/// Vectors `neg-ack-short`, `neg-connect-missing`.
#[test]
fn what_does_not_fit_is_malformed() {
    assert_eq!(read_one(&octets("87cc000211223344506f4331")), Err(Malformed::Short));
    assert_eq!(read_one(&octets("8fcc0002a1b2c3d4506f4331")), Err(Malformed::Short));
    let missing = "8fcc0009a1b2c3d4506f4331f800030001157369703a616c696365406578616d706c652e636f6d00";
    assert_eq!(read_one(&octets(missing)), Err(Malformed::Item));
    // The item runs past the packet; the text is no URI; nobody acknowledges a Release.
    assert_eq!(read_one(&octets("8fcc0004a1b2c3d4506f43318000010001157369")), Err(Malformed::Item));
    assert_eq!(read_one(&octets("8fcc0004a1b2c3d4506f43318000010001020a0a")), Err(Malformed::Uri));
    assert_eq!(read_one(&octets("87cc000311223344506f433120000000")), Err(Malformed::Acknowledged));
}

/// User-plane digest 3.3 step 8.
#[test]
fn items_that_nobody_knows_are_skipped_and_must_have_an_end() {
    let disconnect = Ok(Packet { ssrc: SERVER, message: Message::Disconnect });
    assert_eq!(read_one(&octets("8bcc0003a1b2c3d4506f433169020007")), disconnect);
    assert_eq!(read_one(&octets("8bcc0004a1b2c3d4506f4331000069020007007f")), disconnect);
    assert_eq!(read_one(&octets("8bcc0003a1b2c3d4506f433169030007")), Err(Malformed::Item));
}

/// User-plane digest 4.11: what is not known is not taken for something else.
#[test]
fn a_kind_of_session_and_an_answer_that_nobody_knows_say_nothing_good() {
    let connect = read_one(&octets("8fcc0003a1b2c3d4506f433100000900")).map(|packet| packet.message);
    assert_eq!(connect, Ok(Message::Connect(Box::default())));
    let answer = read_one(&octets("87cc000311223344506f43317fff0000")).map(|packet| packet.message);
    assert_eq!(answer, Ok(Message::Acknowledgement(Acknowledgement::Connect(Answer::NotAccepted))));
}

/// User-plane digest 4.13.
#[test]
fn a_long_name_is_cut_between_characters_and_too_many_of_them_are_refused() {
    let named = |group_name: &str| Packet {
        ssrc: SERVER,
        message: Message::Connect(Box::new(Connect {
            group_name: Some(group_name.to_owned()),
            ..Connect::default()
        })),
    };
    for (long, kept) in
        [("ä".repeat(200), 254), ("a".repeat(300), 255), (format!("{}€", "a".repeat(254)), 254)]
    {
        let written = named(&long).write().unwrap();
        assert_eq!(read_one(&written), Ok(named(&long[..kept])));
    }
    let uri = some(&"a".repeat(255));
    let full = Connect {
        inviter: uri.clone(),
        session: uri.clone(),
        group: uri,
        group_name: Some("a".repeat(228)),
        ..Connect::default()
    };
    let packet = |connect: Connect| Packet { ssrc: SERVER, message: Message::Connect(Box::new(connect)) };
    assert_eq!(packet(full.clone()).write().map(|bytes| bytes.len()), Ok(1020));
    let longer = Connect { group_name: Some("a".repeat(240)), ..full };
    assert_eq!(packet(longer).write(), Err(TooLong));
}

fn any_connect() -> impl Strategy<Value = Connect> {
    let uri = || prop::option::of("[!-~]{1,60}".prop_map(Bytes::from));
    let name = || prop::option::of("\\PC{0,20}");
    let kinds = [SessionType::OneToOne, SessionType::AdHoc, SessionType::PreArranged, SessionType::Chat];
    let kind = prop::option::of(prop::sample::select(kinds.to_vec()));
    (uri(), name(), uri(), name(), uri(), kind, any::<bool>()).prop_map(
        |(inviter, inviter_name, session, group_name, group, session_type, is_override)| Connect {
            inviter,
            inviter_name,
            session,
            group_name,
            group,
            session_type,
            is_override,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(ssrc: u32, connect in any_connect()) {
        let packet = Packet { ssrc, message: Message::Connect(Box::new(connect)) };
        let written = packet.write().unwrap();
        prop_assert_eq!(written.len() % 4, 0);
        prop_assert_eq!(read_one(&written), Ok(packet));
    }

    #[test]
    fn data_of_any_octets_is_read_or_malformed(subtype: u8, data: Vec<u8>) {
        let _ = Packet::read(subtype % 32, CLIENT, &data);
    }
}
