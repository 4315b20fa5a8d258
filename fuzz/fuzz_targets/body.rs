//! Bodies, read, written and read again; and documents of a conference one after the other.
//!
//! The first octet says of which type.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use poc::body::conference_info::{self, Roster};
use poc::body::{group_advertisement, multipart, refused_list, resource_lists, settings, sipfrag};
use sip::Message;

fuzz_target!(|octets: &[u8]| {
    let [kind, body @ ..] = octets else { return };
    match kind % 7 {
        0 => {
            let Ok(read) = settings::read(body) else { return };
            let _publication = settings::read_publication(body);
            assert_eq!(settings::read(&settings::write(&read)), Ok(read));
        }
        1 => {
            let Ok(read) = resource_lists::read(body) else { return };
            assert_eq!(resource_lists::read(&resource_lists::write(&read)), Ok(read));
        }
        2 => {
            let Ok(read) = group_advertisement::read(body) else { return };
            let written = group_advertisement::write(&read, "urn:example:advertisement");
            assert_eq!(group_advertisement::read(&written), Ok(read));
        }
        3 => {
            let _progress = sipfrag::read(body);
        }
        4 => {
            let Some(end) = body.iter().position(|octet| *octet == 0xff) else { return };
            let Ok(parts) = multipart::read(&body[..end], &body[end + 1..]) else { return };
            let written = multipart::write(&parts);
            let again =
                multipart::read(&written.content_type, &written.bytes).expect("what is written is read");
            assert!(parts.iter().map(|part| part.bytes).eq(again.iter().map(|part| part.bytes)));
        }
        5 => {
            if let Ok(message) = Message::parse(Bytes::copy_from_slice(body)) {
                let _refused = refused_list::read(&message);
                let _parts = multipart::parts_of(&message);
            }
        }
        _ => {
            let mut roster = Roster::new();
            for document in body.split(|octet| *octet == 0xff) {
                let Ok(read) = conference_info::read(document) else { continue };
                let _written = conference_info::write(&read);
                let _merged = roster.merge(read);
                assert!(roster.users().len() <= 10_000);
            }
        }
    }
});
