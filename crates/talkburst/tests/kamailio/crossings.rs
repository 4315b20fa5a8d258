//! Users whom SIPp plays: who cancels, who answers too late, and who is one of a group.
//!
//! Kamailio has several processes, so what follows another message closely may overtake it: such a one may come (`?`) before the
//! next, or in the pause behind it, in which SIPp looks at nothing.

use sip::message::Name;

use crate::network::{Network, check_way};
use crate::program::end;
use crate::sipp::Sipp;
use crate::sipping::{Logged, Transport};

const CANCELS: &str = "> INVITE\n < 180\n > CANCEL | Reason: SIP;cause=487;text=\"I gave up\"\n ? 200 CANCEL\n < 487\n > ACK\n ~ 200";
const IS_CANCELLED: &str = "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";

/// How the two functions say that a session of theirs ended.
fn assert_cancelled(network: &mut Network) {
    for _ in 0..2 {
        let record = network.server.until("closed");
        assert_eq!((record["end"].as_str(), record["by"].as_str()), (Some("cancelled"), Some("inviter")));
    }
}

fn moment(messages: &[Logged], word: &str) -> f64 {
    messages.iter().find(|logged| logged.word() == word).unwrap_or_else(|| panic!("no {word}")).at
}

/// T1, C04, C49: hop by hop, and Kamailio is two of the hops between.
#[test]
fn a_cancel_of_another_client_reaches_the_invited_user() {
    let Some(mut network) = Network::start(Transport::Udp) else { return };
    let mut ben = network.client("ben", &["answer", "--once", "--manual"]);
    ben.until("published");
    let Some(anna) = Sipp::anna(&network, "ben", CANCELS) else { return };
    let messages = anna.messages();
    assert!(messages.iter().any(|logged| logged.word() == "200 CANCEL"));
    assert_eq!(end(&ben.exit().1), ("cancelled", "remote", Some(487)));
    assert_cancelled(&mut network);
    let core = network.core_at;
    let seen = network.seen();
    check_way(&seen, core);
    assert_eq!(seen.iter().filter(|each| each.is_sent && each.is("CANCEL")).count(), 3);
}

/// R3, C36, C37: what Ben says after his 200 to the CANCEL is acknowledged and left, along the Record-Route of Kamailio.
#[test]
fn a_200_behind_the_200_to_the_cancel_is_acknowledged_and_left() {
    let Some(mut network) = Network::start(Transport::Udp) else { return };
    let steps =
        "< INVITE\n > 180\n < CANCEL\n > 200 CANCEL\n ~ 100\n > 200 INVITE\n ? ACK\n < BYE\n > 200\n ~ 200";
    let Some(ben) = Sipp::invited(&network, "ben", steps) else { return };
    let mut anna = network.client("anna", &["call", "ben", "--cancel-after", "300ms"]);
    anna.until("progress");
    assert_eq!(end(&anna.exit().1), ("cancelled", "local", Some(487)));
    let messages = ben.messages();
    let bye = messages.iter().find(|logged| logged.word() == "BYE").unwrap();
    assert!(messages.iter().any(|logged| logged.word() == "ACK"));
    assert!(bye.text(Name::Via).contains(&network.core_at.to_string()), "by way of Kamailio");
    assert_cancelled(&mut network);
}

/// R1, T2: Kamailio says 100 for Ben, so the CANCEL of the server leaves, and waits at Kamailio for what Ben says.
#[test]
fn a_user_who_says_nothing_until_the_inviter_gave_up_is_cancelled_with_the_late_180() {
    let Some(mut network) = Network::start(Transport::Udp) else { return };
    let steps = "< INVITE\n ~ 900\n > 180\n < CANCEL\n > 200 CANCEL\n > 487 INVITE\n < ACK";
    let Some(ben) = Sipp::invited(&network, "ben", steps) else { return };
    let Some(anna) = Sipp::anna(
        &network,
        "ben",
        "> INVITE\n < 100\n ~ 200\n > CANCEL\n ? 200 CANCEL\n < 487\n > ACK\n ~ 200",
    ) else {
        return;
    };
    let (anna, ben) = (anna.messages(), ben.messages());
    assert!(moment(&anna, "487 INVITE") < moment(&ben, "180 INVITE"), "nobody is waited for");
    assert!(moment(&ben, "180 INVITE") < moment(&ben, "CANCEL"), "RFC 3261 §9.1");
    assert_cancelled(&mut network);
}

/// T17: two members ring, one of them at a client that is not ours, and the inviter gives up.
#[test]
fn a_member_of_a_group_is_cancelled_with_the_others() {
    let Some(mut network) = Network::start(Transport::Udp) else { return };
    let Some(carl) = Sipp::invited(&network, "carl", IS_CANCELLED) else { return };
    let mut ben = network.client("ben", &["answer", "--once", "--manual"]);
    ben.until("published");
    let mut anna = network.client("anna", &["call", "patrol", "--cancel-after", "500ms"]);
    anna.until("progress");
    assert_eq!(end(&anna.exit().1), ("cancelled", "local", Some(487)));
    assert_eq!(end(&ben.exit().1), ("cancelled", "remote", Some(487)));
    let messages = carl.messages();
    let contact = messages.iter().find(|logged| logged.word() == "INVITE").unwrap().text(Name::Contact);
    assert!(contact.contains(";session=prearranged"), "{contact}");
    let core = network.core_at;
    for _ in 0..3 {
        assert_eq!(network.server.until("closed")["end"], "cancelled");
    }
    check_way(&network.seen(), core);
}

/// The same for who accepts: she is left, and the one who rings yet is cancelled.
#[test]
fn a_member_who_has_accepted_is_released_and_one_who_rings_is_cancelled() {
    let Some(network) = Network::start(Transport::Udp) else { return };
    let accepts = "< INVITE\n > 180\n > 200 INVITE\n < ACK\n < BYE\n > 200";
    let Some(carl) = Sipp::invited(&network, "carl", accepts) else { return };
    let mut ben = network.client("ben", &["answer", "--once", "--manual"]);
    ben.until("published");
    let mut anna = network.client("anna", &["call", "patrol"]);
    anna.until("established");
    ben.until("invited");
    anna.signal("INT");
    assert_eq!(anna.exit().0, Some(0));
    assert_eq!(end(&ben.exit().1), ("cancelled", "remote", Some(487)));
    carl.messages();
}
