//! What the CANCEL says, and which way it takes.

use sip::Message;
use sip::message::{Method, Name};

use super::super::case::Case;
use super::super::stage::{Stage, Step, tag, text};
use super::{cancelled, end};

/// What is tried on the CANCEL itself.
pub(in super::super) const CASES: &[Case] = &[
    Case::calling(
        ("I1", "the CANCEL is that of its INVITE"),
        ("Request-URI, Call-ID, From, To, CSeq number and Route are identical", "RFC 3261 §9.1, I1"),
        the_cancel_is_that_of_its_invite,
    ),
    Case::calling(
        ("C01", "To as in the INVITE"),
        ("To is that of the INVITE, octet for octet: no tag, though the 180 had one", "RFC 3261 §9.1"),
        to_has_no_tag,
    ),
    Case::calling(
        ("C04", "one Via, with the branch of the INVITE"),
        ("a single Via, identical to the topmost of the INVITE", "RFC 3261 §9.1"),
        one_via,
    ),
    Case::calling(
        ("C20", "what else is in the CANCEL"),
        (
            "Max-Forwards is there, Require and Proxy-Require are not, and there is no body",
            "RFC 3261 §8.1.1, §9.1",
        ),
        what_else_is_in_it,
    ),
    Case::calling(
        ("C12", "the CANCEL takes the way of its INVITE"),
        ("same source and destination, same transport", "RFC 3261 §9.1"),
        the_way_of_its_invite,
    ),
];

fn the_cancel_is_that_of_its_invite(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let invite = &ring.invite.message;
    stage.must(cancel.message.uri_text() == invite.uri_text(), "another Request-URI");
    for name in [Name::CallId, Name::From, Name::To, Name::Route] {
        let is_same = cancel.message.values(name).eq(invite.values(name));
        stage.must(is_same, format!("another {}", name.as_str()));
    }
    let number = |message: &Message| message.cseq().map(|cseq| cseq.number).ok();
    stage.must(number(&cancel.message) == number(invite), "another CSeq number");
    stage.must(cancel.message.is_cseq_method(Method::Cancel), "CSeq does not name CANCEL");
    end(stage, &ring, &cancel)
}

fn to_has_no_tag(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let is_same = cancel.message.value(Name::To) == ring.invite.message.value(Name::To);
    stage.must(is_same, format!("To is {}", text(&cancel.message, Name::To)));
    stage.must(tag(&cancel.message).is_none(), "To has a tag");
    end(stage, &ring, &cancel)
}

fn one_via(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.must(cancel.message.vias().count() == 1, "more than one Via");
    let is_same = cancel.message.items(Name::Via).next() == ring.invite.message.items(Name::Via).next();
    stage.must(is_same, format!("Via is {}", text(&cancel.message, Name::Via)));
    end(stage, &ring, &cancel)
}

fn what_else_is_in_it(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    stage.must(cancel.message.value(Name::MaxForwards).is_some(), "no Max-Forwards");
    stage.must(cancel.message.value(Name::Require).is_none(), "Require in a CANCEL");
    stage.must(cancel.message.value(Name::ProxyRequire).is_none(), "Proxy-Require in a CANCEL");
    stage.must(cancel.message.body().is_empty(), "a body in a CANCEL");
    end(stage, &ring, &cancel)
}

fn the_way_of_its_invite(stage: &mut Stage<'_>) -> Step {
    let (ring, cancel) = cancelled(stage)?;
    let (from, before) = (cancel.from, ring.invite.from);
    stage.must(from == before, format!("the CANCEL comes from {from}, the INVITE came from {before}"));
    end(stage, &ring, &cancel)
}
