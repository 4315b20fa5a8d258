//! What is about connections: which one a message takes, where a stream is cut, and what is left when one is lost.

use std::net::SocketAddr;

use sip::Message;
use sip::message::{Method, ip_address};
use sip::transport::Transport;

use super::called::{cancel, cancel_answered, must_be_487, ringing, terminated};
use super::calling::{Ring, cancelled, cancels};
use super::case::Case;
use super::ends::Way;
use super::stage::{Stage, Step, Stop, answers, branch, tag, word};
use super::through::Bridge;

/// RFC 3261 §18.1.1: a request longer than this takes another transport than UDP.
const DATAGRAM_MAX: usize = 1300;

/// What is tried on who is called.
pub(super) const CALLED: &[Case] = &[
    Case::called(
        ("C18", "responses come on the connection of their request"),
        ("180, 200 (CANCEL) and 487 come on the connection of INVITE and CANCEL", "RFC 3261 §18.2.2"),
        responses_on_its_connection,
    )
    .by_connections(),
    Case::called(
        ("I14", "a CANCEL in pieces"),
        ("line ends before it mean nothing, and its Content-Length ends it", "RFC 3261 §7.5, §18.3"),
        a_cancel_in_pieces,
    )
    .by_connections(),
    Case::called(
        ("R28", "a copy of the CANCEL on a stream"),
        ("timer J is zero: 200 or 481, and no second final response to the INVITE", "RFC 3261 §17.2.2, R28"),
        a_copy_on_a_stream,
    )
    .by_connections(),
    Case::called(
        ("R30", "the connection is lost while it rings"),
        (
            "a CANCEL on another one gets 481, or ends the INVITE: its 487 comes on one that is there or is opened",
            "RFC 3261 §22.1, §18.2.2, R30",
        ),
        lost_while_it_rings,
    )
    .by_connections(),
];

/// What is tried on who gives up.
pub(super) const CALLING: &[Case] = &[
    Case::calling(
        ("C13", "the INVITE is too long for a datagram"),
        ("it goes over TCP, and its CANCEL over the same connection", "RFC 3261 §18.1.1, §9.1"),
        too_long_for_a_datagram,
    )
    .by_datagrams(),
    Case::calling(
        ("C18", "the CANCEL goes over the connection of its INVITE"),
        ("INVITE, CANCEL and the ACK of the 487 share one connection", "RFC 3261 §9.1, §17.1.1.3"),
        the_connection_of_its_invite,
    )
    .by_connections(),
    Case::calling(
        ("R28", "the CANCEL is not answered on a stream"),
        ("timer E is for datagrams: one CANCEL, however long there is no answer", "RFC 3261 §17.1.2.2, R28"),
        one_cancel_on_a_stream,
    )
    .by_connections(),
    Case::calling(
        ("R30", "the connection is lost behind the CANCEL, then a 200"),
        (
            "responses are taken on a new connection to the sent-by: the 2xx is acknowledged and left",
            "RFC 3261 §18.1.1, §9.1, R30",
        ),
        lost_behind_the_cancel,
    )
    .by_connections(),
];

/// What is tried on who is between.
pub(super) const BETWEEN: &[Case] = &[
    Case::between(
        ("C18", "the CANCEL goes on over the connection of its INVITE"),
        ("INVITE and CANCEL share one connection on the second hop too", "RFC 3261 §9.1, §16.10"),
        the_connection_of_the_hop,
    )
    .by_connections(),
    Case::between(
        ("R30", "the inviter's connection is lost"),
        (
            "a CANCEL on another one gets 481, or goes on: the 487 comes on one that is there or is opened",
            "RFC 3261 §22.1, §16.10, §18.2.2",
        ),
        the_inviter_connects_anew,
    )
    .by_connections(),
];

fn responses_on_its_connection(stage: &mut Stage<'_>) -> Step {
    let (call, rings) = ringing(stage)?;
    cancel(stage, &call)?;
    let end = terminated(stage, &call)?;
    let okay = cancel_answered(stage)?;
    for (heard, what) in [(&rings, "the provisional response"), (&okay, "200 (CANCEL)"), (&end, "the 487")] {
        let is_same = heard.connection == rings.connection && heard.from == call.to;
        stage.must(is_same, format!("{what} comes on another connection"));
    }
    Ok(())
}

fn a_cancel_in_pieces(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    let text = format!("\r\n{}", call.cancel());
    // Behind the line end, within the request line, within a header's name, and before the last line end.
    let within = text.find("Call-ID").unwrap_or_default() + 4;
    stage.say_in_pieces(0, call.to, &text, &[2, 9, within, text.len() - 2])?;
    cancel_answered(stage)?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    Ok(())
}

fn a_copy_on_a_stream(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    cancel(stage, &call)?;
    cancel_answered(stage)?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    cancel(stage, &call)?;
    let answer = stage.expect(0, "a response to the copy", answers(Method::Cancel, 200..=699))?;
    let said = word(&answer.message);
    let is_right = matches!(answer.message.status(), Some(200 | 481));
    stage.must(is_right, format!("a copy of the CANCEL is answered with {said}"));
    stage.listen(stage.settings.t1)?;
    let finals = stage.all(0, call.answered(200..=699)).len();
    stage.must(finals == 1, format!("{finals} final responses to one INVITE"));
    Ok(())
}

fn lost_while_it_rings(stage: &mut Stage<'_>) -> Step {
    let (call, _) = ringing(stage)?;
    stage.hang_up(0);
    stage.listen(stage.settings.t1)?;
    cancel(stage, &call)?;
    taken(stage)?;
    let end = terminated(stage, &call)?;
    must_be_487(stage, &end);
    Ok(())
}

/// The CANCEL on another connection is answered with 200. RFC 3261 §22.1 lets who is asked insist on the hop of the INVITE.
fn taken(stage: &mut Stage<'_>) -> Step {
    let answer = stage.expect(0, "a response to the CANCEL", answers(Method::Cancel, 200..=699))?;
    if answer.message.status() == Some(481) {
        return Err(Stop::Unclear(
            "the target takes a CANCEL on the connection of its INVITE only".to_owned(),
        ));
    }
    let said = word(&answer.message);
    stage.must(answer.message.status() == Some(200), format!("the CANCEL is answered with {said}"));
    Ok(())
}

fn too_long_for_a_datagram(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    let length = ring.invite.message.bytes().len();
    if !ring.invite.from.transport.has_connections() {
        let why = if length > DATAGRAM_MAX { "comes in a datagram all the same" } else { "is short" };
        return Err(Stop::Unclear(format!("the INVITE has {length} octets and {why}")));
    }
    ring.answer(stage, 180)?;
    one_connection(stage, &ring)
}

fn the_connection_of_its_invite(stage: &mut Stage<'_>) -> Step {
    let ring = Ring::wait(stage)?;
    if !ring.invite.from.transport.has_connections() {
        return Err(Stop::Unclear("the INVITE comes in a datagram".to_owned()));
    }
    ring.answer(stage, 180)?;
    one_connection(stage, &ring)
}

/// The CANCEL comes on the connection of the INVITE, and so does the ACK of its 487.
fn one_connection(stage: &mut Stage<'_>, ring: &Ring) -> Step {
    let cancel = ring.cancel(stage)?;
    ring.answer_to(stage, &cancel, 200)?;
    let ack = ring.terminate(stage)?;
    for (heard, what) in [(&cancel, "CANCEL"), (&ack, "ACK")] {
        let (way, before) = (heard.from, ring.invite.from);
        let is_same = heard.connection == ring.invite.connection && way == before;
        stage.must(is_same, format!("the {what} comes from {way}, the INVITE came from {before}"));
    }
    Ok(())
}

fn one_cancel_on_a_stream(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.listen(stage.settings.t1 * 4)?;
    let cancels = cancels(stage);
    stage.must(cancels == 1, format!("{cancels} CANCELs on a stream"));
    ring.answer_to(stage, &cancel, 200)?;
    ring.terminate(stage).map(|_| ())
}

fn lost_behind_the_cancel(stage: &mut Stage<'_>) -> Step {
    let (mut ring, _) = cancelled(stage)?;
    let Some(at) = sent_by(&ring.invite.message) else {
        return Err(Stop::Unclear("the sent-by of the INVITE is no address".to_owned()));
    };
    stage.hang_up(0);
    stage.listen(stage.settings.t1)?;
    ring.invite.from = Way::new(Transport::Tcp, at);
    match ring.answer(stage, 200) {
        Err(Stop::Unclear(why)) => return Err(Stop::Failed(format!("nobody listens at the sent-by: {why}"))),
        other => other?,
    }
    ring.left(stage, &ring.tag).map(|_| ())
}

/// Where the Via of a request says that responses go: RFC 3261 §18.2.2.
fn sent_by(request: &Message) -> Option<SocketAddr> {
    let via = request.via().ok()?;
    Some(SocketAddr::new(ip_address(via.host)?, via.port.unwrap_or(super::call::PORT)))
}

fn the_connection_of_the_hop(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    if !bridge.invite.from.transport.has_connections() {
        return Err(Stop::Unclear("the INVITE goes on in a datagram".to_owned()));
    }
    bridge.cancel(stage)?;
    let cancel = bridge.cancelled(stage)?;
    let is_same = cancel.connection == bridge.invite.connection;
    stage.must(is_same, "the CANCEL goes on over another connection than the INVITE");
    bridge.finish(stage, &cancel).map(|_| ())
}

fn the_inviter_connects_anew(stage: &mut Stage<'_>) -> Step {
    let bridge = Bridge::ringing(stage)?;
    stage.hang_up(0);
    stage.listen(stage.settings.t1)?;
    bridge.cancel(stage)?;
    taken(stage)?;
    let cancel = bridge.cancelled(stage)?;
    let is_same = branch(&cancel.message) == branch(&bridge.invite.message);
    stage.must(is_same, "the branch is not that of the INVITE that was passed on");
    stage.must(tag(&cancel.message).is_none(), "To has a tag");
    bridge.finish(stage, &cancel).map(|_| ())
}
