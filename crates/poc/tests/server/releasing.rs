//! The server is to end: nothing new, and nobody is left ringing or connected (digest 10.5, 14.6 step 3).

use poc::server::{Command, Function, GroupKind, Input, Side};
use sip::Message;
use sip::message::Name;
use sip::usage::End;

use crate::ready::{Ready, is_held, ready};
use crate::stage::{Call, Stage, group_of, identity_of, ms, text, word, words};

const ANNA: &str = "sip:anna@home1.example";
const BEN: &str = "sip:ben@home1.example";
const CARA: &str = "sip:cara@home1.example";
const DAN: &str = "sip:dan@home1.example";
const ERIN: &str = "sip:erin@home2.example";
const PATROL: &str = "sip:patrol@home1.example";
const REASON: &str = "SIP;cause=503;text=\"Service Unavailable\"";

impl Stage {
    fn release(&mut self) {
        self.input(Input::Command(Command::Release));
    }

    fn abandon(&mut self) {
        self.input(Input::Command(Command::Abandon));
    }

    /// The one request on that leg since it was last asked.
    fn only(&mut self, leg: &Message, wanted: &str) -> Message {
        let seen = self.seen_whole(leg);
        assert_eq!(words(&seen), [wanted]);
        seen[0].clone()
    }
}

/// The final response to `call`, which is acknowledged: 503, with what RFC 3261 §21.5.4 and §20.43 have for it.
fn refused(stage: &mut Stage, call: &Call) {
    let told = stage.told_whole(call);
    let refusal = told.last().expect("a response");
    assert_eq!(word(refusal), "503 INVITE", "{:?}", words(&told));
    assert_eq!(text(refusal, Name::RetryAfter), "5");
    assert!(text(refusal, Name::Warning).ends_with("\"the server is being stopped\""), "{refusal:?}");
    stage.ack(call, refusal);
}

#[test]
fn an_invite_behind_the_release_is_refused_and_leaves_a_record() {
    for call in [
        Call::originating(ANNA, BEN),
        Call::terminating(ERIN, BEN),
        Call::to_group(ANNA, PATROL),
        Call::originating(ANNA, crate::stage::FACTORY),
    ] {
        let mut stage = Stage::new();
        stage.put_group(group_of(PATROL, GroupKind::Chat, &[ANNA, BEN]));
        stage.release();
        assert!(stage.server.is_settled());
        stage.invite(&call);
        assert_eq!(stage.invites_of("ben"), 0);
        assert!(!stage.server.is_settled(), "the ACK is missing");
        refused(&mut stage, &call);
        assert!(stage.server.is_settled());
        stage.ends_with(1);
        let record = &stage.records[0];
        assert_eq!((record.end, record.by, record.status), (End::Rejected, Side::Server, Some(503)));
    }
}

#[test]
fn who_rings_is_cancelled_and_the_inviter_has_its_answer() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.release();
    refused(&mut stage, &call);
    let cancel = stage.only(&ben, "CANCEL");
    assert_eq!(text(&cancel, Name::Reason), REASON);
    stage.answer(&cancel, 200);
    assert!(!stage.server.is_settled(), "somebody rings");
    stage.answer(&ben, 487);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.end, record.by, record.status), (End::Released, Side::Server, Some(503)));
    assert_eq!((record.reason.as_deref(), record.open), (Some(REASON.as_bytes()), 0));
    assert_eq!(record.invitations[0].end, End::Cancelled);
}

/// RFC 3261 §9.1: the wish waits for a 1xx, here too.
#[test]
fn who_has_said_nothing_yet_is_cancelled_when_something_is_said() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.seen(&ben);
    stage.release();
    refused(&mut stage, &call);
    assert!(stage.seen(&ben).is_empty());
    assert!(!stage.server.is_settled());
    stage.answer(&ben, 180);
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 487);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_left() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.release();
    assert_eq!(stage.seen(&ben), ["CANCEL"]);
    stage.answer(&ben, 200);
    let sent = stage.seen_whole(&ben);
    assert_eq!(words(&sent), ["ACK", "BYE"]);
    refused(&mut stage, &call);
    assert!(!stage.server.is_settled(), "somebody is connected");
    stage.answer(&sent[1], 200);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
}

#[test]
fn a_session_is_left_on_both_sides() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&call);
    stage.seen(&ben);
    stage.pass(ms(3000));
    stage.release();
    stage.release(); // once
    let byes = [stage.told_whole(&call), stage.seen_whole(&ben)];
    for bye in &byes {
        assert_eq!(words(bye), ["BYE"]);
        assert_eq!(text(&bye[0], Name::Reason), REASON);
        assert!(!stage.server.is_settled());
        stage.answer(&bye[0], 200);
    }
    assert!(stage.server.is_settled());
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!((record.end, record.by, record.status), (End::Released, Side::Server, Some(200)));
    assert_eq!(record.ended - record.begun, ms(3000));
}

/// The 2xx to the inviter has no ACK yet: the BYE waits for it (RFC 3261 §15).
#[test]
fn whoever_has_not_acknowledged_is_left_behind_the_ack() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    let ok = stage.response(&call, "200 INVITE");
    stage.release();
    assert!(stage.told(&call).is_empty());
    stage.answer_all(&ben, "BYE", 200);
    assert!(!stage.server.is_settled());
    stage.ack(&call, &ok);
    let bye = stage.told_whole(&call);
    assert_eq!(words(&bye), ["BYE"]);
    stage.answer(&bye[0], 200);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
}

#[test]
fn a_group_with_members_in_four_states_is_released() {
    let mut stage = Stage::with(|config| config.invites_at_once = 3);
    let mut group = group_of(PATROL, GroupKind::PreArranged, &[ANNA, BEN, CARA, DAN, ERIN]);
    group.participants_min = 3;
    stage.put_group(group);
    let call = Call::to_group(ANNA, PATROL);
    stage.invite(&call);
    let [ben, cara, dan] = ["ben", "cara", "dan"].map(|user| stage.leg(user));
    stage.answer(&ben, 200);
    stage.answer(&cara, 180);
    for leg in [&ben, &cara, &dan] {
        stage.seen(leg);
    }
    stage.release();
    refused(&mut stage, &call);
    let bye = stage.only(&ben, "BYE");
    let cancel = stage.only(&cara, "CANCEL");
    assert!(stage.seen(&dan).is_empty(), "nothing was heard of Dan");
    for request in [&bye, &cancel] {
        assert_eq!(text(request, Name::Reason), REASON);
        stage.answer(request, 200);
    }
    stage.answer(&cara, 487);
    stage.answer(&dan, 486);
    assert!(stage.server.is_settled());
    stage.pass(ms(1000));
    assert_eq!(stage.invites_to(ERIN), 0, "who was still in the queue is never invited");
    stage.ends_with(1);
}

#[test]
fn everybody_in_a_chat_is_left_and_who_watches_is_told() {
    let mut stage = Stage::new();
    stage.put_group(group_of(PATROL, GroupKind::Chat, &[ANNA, BEN, CARA]));
    let calls = [ANNA, BEN].map(|who| Call::to_group(who, PATROL));
    let mut identity = String::new();
    for call in &calls {
        stage.invite(call);
        identity = identity_of(&stage.established(call));
    }
    let (watching, came) = stage.subscribe(ANNA, &identity);
    stage.answer(&came[1], 200);
    stage.release();
    for call in &calls {
        let bye = stage.told_whole(call);
        assert_eq!(words(&bye), ["BYE"]);
        assert_eq!(text(&bye[0], Name::Reason), REASON);
        stage.answer(&bye[0], 200);
    }
    assert!(!stage.server.is_settled(), "the last NOTIFY has no answer");
    let notified = stage.notified(&watching);
    assert_eq!(
        text(notified.last().expect("a NOTIFY"), Name::SubscriptionState),
        "terminated;reason=noresource"
    );
    assert!(stage.server.is_settled());
    let (_, came) = stage.refer(ANNA, &identity, DAN);
    assert_eq!(words(&came), ["404 REFER"], "nobody is added any more");
    stage.ends_with(2);
}

/// The Participating PoC Function alone: the session is controlled elsewhere.
#[test]
fn an_invitation_from_elsewhere_is_released_on_both_sides() {
    let mut stage = Stage::new();
    let call = Call::terminating(ERIN, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.seen(&ben);
    stage.release();
    refused(&mut stage, &call);
    let cancel = stage.only(&ben, "CANCEL");
    assert_eq!(text(&cancel, Name::Reason), REASON);
    stage.answer(&ben, 487);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
    let record = &stage.records[0];
    assert_eq!(record.function, Function::Participating);
    assert_eq!((record.end, record.by, record.status), (End::Released, Side::Server, Some(503)));
}

#[test]
fn a_session_with_elsewhere_is_left_on_both_sides() {
    let mut stage = Stage::new();
    let call = Call::terminating(ERIN, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&call);
    stage.seen(&ben);
    stage.release();
    for bye in [stage.told_whole(&call), stage.seen_whole(&ben)] {
        assert_eq!(words(&bye), ["BYE"]);
        assert_eq!(text(&bye[0], Name::Reason), REASON);
        stage.answer(&bye[0], 200);
    }
    assert!(stage.server.is_settled());
    stage.ends_with(1);
}

#[test]
fn a_pre_established_session_is_left() {
    let Ready { mut stage, dialog, .. } = ready();
    stage.release();
    let bye = stage.told_whole(&dialog);
    assert_eq!(words(&bye), ["BYE"]);
    assert_eq!(text(&bye[0], Name::Reason), REASON);
    stage.answer(&bye[0], 200);
    assert!(stage.server.is_settled());
    stage.ends_with(1);
}

#[test]
fn a_pre_established_session_in_use_is_left_without_being_told_of_the_end_of_its_use_first() {
    let Ready { mut stage, dialog, .. } = ready();
    let call = Call::terminating(ERIN, BEN);
    stage.invite(&call);
    let reinvite = stage.told_whole(&dialog).remove(0);
    stage.answer(&reinvite, 200);
    stage.established(&call);
    stage.told(&dialog);
    stage.release();
    for bye in [stage.told_whole(&dialog), stage.told_whole(&call)] {
        assert_eq!(words(&bye), ["BYE"]);
        stage.answer(&bye[0], 200);
    }
    assert!(stage.server.is_settled());
    stage.ends_with(2);
}

#[test]
fn a_client_that_is_asked_in_its_pre_established_session_rings_no_longer() {
    let Ready { mut stage, dialog, .. } = ready();
    let call = Call::terminating(ERIN, BEN);
    stage.invite(&call);
    let reinvite = stage.told_whole(&dialog).remove(0);
    assert!(!is_held(&reinvite));
    stage.answer(&reinvite, 180);
    stage.told(&dialog);
    stage.release();
    refused(&mut stage, &call);
    let told = stage.told_whole(&dialog);
    assert_eq!(words(&told), ["CANCEL", "BYE"]);
    told.iter().for_each(|request| stage.answer(request, 200));
    assert!(!stage.server.is_settled());
    stage.answer(&reinvite, 487);
    assert!(stage.server.is_settled());
    stage.ends_with(2);
}

#[test]
fn whoever_calls_by_a_pre_established_session_hears_what_becomes_of_it() {
    let mut ready = ready();
    ready.refer(ERIN);
    assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 100"]);
    ready.stage.release();
    let told = ready.heard();
    assert_eq!(told, ["NOTIFY 503, the last", "BYE"]);
}

/// What is no session goes on, and who gives up has its 200.
#[test]
fn what_begins_nothing_goes_on() {
    let mut stage = Stage::new();
    let call = Call::originating(ANNA, BEN);
    stage.invite(&call);
    let ben = stage.leg("ben");
    stage.answer(&ben, 180);
    stage.release();
    stage.publish("ben", "automatic");
    let message = Call::messaging("term", ERIN, BEN, "text/plain", "here");
    stage.receive(&message.message());
    let passed = stage.messages().pop().expect("a MESSAGE");
    assert!(!stage.server.is_settled());
    stage.answer(&passed, 200);
    assert_eq!(stage.told(&message), ["200 MESSAGE"]);
    stage.told(&call);
    stage.cancel(&call);
    assert_eq!(stage.told(&call), ["200 CANCEL"], "too late, and without effect");
}

/// A peer that never answers: what is left at the limit is closed as it stands.
#[test]
fn what_is_open_at_the_limit_is_recorded_as_that() {
    let mut stage = Stage::new();
    let established = Call::originating(ANNA, BEN);
    stage.invite(&established);
    let ben = stage.leg("ben");
    stage.answer(&ben, 200);
    stage.established(&established);
    let ringing = Call::terminating(ERIN, CARA);
    stage.invite(&ringing);
    let cara = stage.leg("cara");
    stage.answer(&cara, 180);
    stage.release();
    let bye = stage.response(&established, "BYE");
    stage.answer(&bye, 200);
    refused(&mut stage, &ringing);
    // Ben says nothing to the BYE, Cara nothing to the CANCEL.
    stage.pass(ms(4900));
    assert!(stage.records.is_empty() && !stage.server.is_settled());
    stage.abandon();
    let mut told: Vec<_> = stage.records.iter().map(|record| (record.function, record.open)).collect();
    told.sort();
    assert_eq!(told, [(Function::Controlling, 1), (Function::Participating, 1)]);
    for record in &stage.records {
        assert_eq!((record.end, record.by), (End::Released, Side::Server));
        assert_eq!((record.invitations[0].end, record.invitations[0].status), (End::TimedOut, None));
    }
    // What the endpoint still hears closes nothing again.
    stage.answer_all(&ben, "BYE", 200);
    stage.ends_with(2);
}

/// Whoever wants it to end at once has every session told, once, and every record closed.
#[test]
fn what_is_abandoned_at_once_is_released_first() {
    let mut stage = Stage::new();
    stage.put_group(group_of(PATROL, GroupKind::Chat, &[ANNA, BEN]));
    let joined = Call::to_group(ANNA, PATROL);
    stage.invite(&joined);
    stage.established(&joined);
    let call = Call::originating(BEN, DAN);
    stage.invite(&call);
    let dan = stage.leg("dan");
    stage.answer(&dan, 180);
    stage.abandon();
    assert_eq!(stage.told(&joined), ["BYE"]);
    assert_eq!(stage.seen(&dan).last().map(String::as_str), Some("CANCEL"));
    refused(&mut stage, &call);
    assert_eq!(stage.records.iter().map(|record| record.open).collect::<Vec<_>>(), [1, 1]);
}
