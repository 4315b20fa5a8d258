//! What a CANCEL looks like: T9, T10.

use crate::connection::Relay;
use crate::harness::{Play, Transport, side_by_side};

/// T9, I1: also with all that our client can be asked to add to the INVITE.
#[test]
fn a_cancel_has_the_identity_of_its_invite_and_nothing_that_must_not_appear() {
    let plain = || {
        let play = Play::new("ben_rings_until_cancelled").with(&["--cancel-after", "50ms"]);
        let Some(played) = play.run() else { return };
        played.check_cancel();
        let cancel = played.first("CANCEL");
        assert_eq!(cancel.text(sip::message::Name::Reason), "", "14.9: none on a plain core");
    };
    let rich = || {
        let play = Play::new("ben_rings_until_cancelled");
        let proxy = format!("{}:{}", play.sipp_address, crate::harness::PORT);
        let more = ["--profile", "ims", "--session-expires", "30m", "--proxy", &proxy];
        let Some(played) = play.with(&more).with(&["--cancel-after", "50ms"]).run() else { return };
        played.check_cancel();
        let cancel = played.first("CANCEL");
        assert!(cancel.text(sip::message::Name::Route).contains(&format!("<sip:{proxy};lr>")));
        assert!(cancel.text(sip::message::Name::Reason).starts_with("RELEASE_CAUSE;cause=1;"));
        assert_ne!(played.first("INVITE").text(sip::message::Name::SessionExpires), "");
    };
    side_by_side(&[&plain, &rich]);
}

/// T10, C13, C18, RFC 3261 §18.1.1: an INVITE too long for UDP goes by TCP, and so does its CANCEL: one connection.
#[test]
fn an_invite_that_is_too_long_for_udp_and_its_cancel_share_one_tcp_connection() {
    let play = Play::new("ben_rings_until_cancelled").over(Transport::Tcp).asked_for(Transport::Udp);
    let relay = Relay::start(play.sipp_address);
    let name = format!("\"{}\" <sip:anna@example.com>", "Anna ".repeat(200).trim());
    let play = play.by_way_of(relay.address).of_user(&name).with(&["--cancel-after", "100ms"]);
    let Some(played) = play.run() else { return };
    assert_eq!(played.end(), ("cancelled", "local", Some(487)));
    assert_eq!(played.sent(), ["INVITE", "CANCEL", "ACK"]);
    assert!(played.first("INVITE").message.bytes().len() > 1300);
    played.check_cancel();
    assert_eq!(relay.connections(), 1);
}
