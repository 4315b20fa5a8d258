//! TBCP Connect and Disconnect on a pre-established session: user-plane digest 7, and the second table of digest 14.5.

use poc::media::Stream;
use poc::server::{MediaTransmit, SessionType};
use poc::talk_burst::{self, Acknowledgement, Answer, Connect, Message, Packet};
use sip::Duration;
use sip::message::Name;
use sip::usage::End;

use crate::ready::{AUTOMATIC, BEN, Ready, is_held, names_session, ready_wanting};
use crate::stage::{Call, ms, text};
use crate::talking::{Talking, control_of, request, words};

const ERIK: &str = "sip:erik@home2.example";
/// Where Ben's client is.
const CLIENT: u8 = 77;
const T15: Duration = Duration::from_secs(2);

/// What the client is told by talk burst control.
fn told(ready: &mut Ready) -> Vec<String> {
    ready.stage.heard().into_iter().map(|(_, message)| message).collect()
}

fn says(ready: &mut Ready, acknowledgement: Acknowledgement) {
    ready.stage.say(CLIENT, Message::Acknowledgement(acknowledgement));
}

/// Erik invites Ben, whose client answers by itself.
fn invited_by(call: Call) -> (Ready, Call, Connect) {
    let mut ready = ready_wanting(AUTOMATIC, |config| config.connects = true);
    ready.stage.invite(&call);
    let progress = ready.stage.response(&call, "183 INVITE");
    assert_eq!(text(&progress, Name::PAnswerState), "Unconfirmed");
    assert!(ready.heard().is_empty(), "nothing by SIP");
    let media = std::mem::take(&mut ready.stage.media);
    let [MediaTransmit::Control { to, bytes, .. }] = &media[..] else { panic!("{media:?}") };
    assert_eq!(*to, control_of(CLIENT));
    let packet = talk_burst::packets(bytes).expect("RTCP").next().expect("a packet").expect("TBCP");
    let Message::Connect(connect) = packet.message else { panic!("{packet:?}") };
    (ready, call, *connect)
}

fn invited() -> (Ready, Call) {
    let (ready, call, _) = invited_by(Call::terminating(ERIK, BEN));
    (ready, call)
}

/// And the client has taken it.
fn connected() -> (Ready, Call, sip::Message) {
    let (mut ready, call) = invited();
    says(&mut ready, Acknowledgement::Connect(Answer::Accepted));
    let ok = ready.stage.response(&call, "200 INVITE");
    ready.stage.ack(&call, &ok);
    (ready, call, ok)
}

/// The dialog can be used, and ends with nothing left.
fn ends_with(mut ready: Ready, records: usize) {
    told(&mut ready);
    let call = Call::terminating("sip:fritz@home2.example", BEN);
    ready.stage.invite(&call);
    assert_eq!(told(&mut ready), ["Connect"]);
    says(&mut ready, Acknowledgement::Connect(Answer::NotAccepted));
    assert_eq!(ready.stage.told(&call), ["183 INVITE", "480 INVITE"]);
    ready.within("BYE", "", "");
    assert_eq!(ready.heard(), ["200 BYE"]);
    ready.stage.ends_with(records + 2);
}

/// R0, R1.
#[test]
fn a_connect_names_who_invites_and_the_session_and_its_acknowledgement_is_the_answer() {
    let (mut ready, call, connect) = invited_by(Call::terminating(ERIK, BEN));
    let expected = Connect {
        inviter: Some(ERIK.into()),
        session: Some("sip:ps77@192.0.2.66;session=1-1".into()),
        session_type: Some(SessionType::OneToOne),
        ..Connect::default()
    };
    assert_eq!(connect, expected);
    assert!(ready.stage.told(&call).is_empty(), "not before it is acknowledged");
    assert_eq!(ready.stage.sessions_of("ben"), 1);
    says(&mut ready, Acknowledgement::Connect(Answer::Accepted));
    let ok = ready.stage.response(&call, "200 INVITE");
    assert_eq!(text(&ok, Name::PAnswerState), "Confirmed");
    assert!(String::from_utf8_lossy(ok.body()).contains("m=audio 45200 RTP/AVP 97"), "our media");
    assert!(told(&mut ready).is_empty());
}

#[test]
fn a_connect_of_a_group_names_it_and_who_invites() {
    let call = Call::terminating(ERIK, BEN)
        .replacing("session=1-1", "session=prearranged")
        .named_from("\"Field \\\"7\\\"\" <sip:field@home2.example>");
    let (_, _, connect) = invited_by(call);
    assert_eq!(connect.inviter.as_deref(), Some(ERIK.as_bytes()));
    assert_eq!(connect.inviter_name, None);
    assert_eq!(connect.group.as_deref(), Some(&b"sip:field@home2.example"[..]));
    assert_eq!(connect.group_name.as_deref(), Some("Field \"7\""));
    assert_eq!(connect.session_type, Some(SessionType::PreArranged));
}

#[test]
fn a_connect_names_an_inviter_only_who_may_be_seen() {
    let call = || Call::terminating(ERIK, BEN).named_from("Erik <sip:erik@home2.example>");
    let (_, _, connect) = invited_by(call());
    assert_eq!(connect.inviter_name.as_deref(), Some("Erik"));
    let (_, _, connect) = invited_by(call().with("Privacy: id\r\n"));
    assert_eq!((connect.inviter, connect.inviter_name), (None, None));
}

/// R1 and Ack(15,1), Ack(15,2).
#[test]
fn a_client_that_is_busy_is_486_and_one_that_does_not_accept_480() {
    for (answer, status) in [(Answer::Busy, 486), (Answer::NotAccepted, 480)] {
        let (mut ready, call) = invited();
        says(&mut ready, Acknowledgement::Connect(answer));
        assert_eq!(ready.stage.told(&call), [format!("{status} INVITE")]);
        assert_eq!(ready.stage.sessions_of("ben"), 0);
        assert!(told(&mut ready).is_empty());
        assert_eq!(ready.stage.records[0].status, Some(status));
        ends_with(ready, 1);
    }
}

/// T15.
#[test]
fn a_connect_that_nobody_acknowledges_is_sent_three_times_and_then_it_is_480_and_taken_back() {
    let (mut ready, call) = invited();
    for _ in 1..3 {
        ready.stage.pass(T15 - ms(1));
        assert!(told(&mut ready).is_empty());
        ready.stage.pass(ms(1));
        assert_eq!(told(&mut ready), ["Connect"]);
    }
    ready.stage.pass(T15 - ms(1));
    assert!(ready.stage.told(&call).is_empty());
    ready.stage.pass(ms(1));
    assert_eq!(ready.stage.told(&call), ["480 INVITE"]);
    assert_eq!(told(&mut ready), ["Disconnect"]);
    says(&mut ready, Acknowledgement::Disconnect);
    ready.stage.pass(T15);
    ends_with(ready, 1);
}

/// R2, R3.
#[test]
fn the_end_of_a_session_disconnects_the_client_and_the_dialog_stays() {
    let (mut ready, call, ok) = connected();
    ready.stage.bye(&call, &ok);
    assert_eq!(ready.stage.told(&call), ["200 BYE"]);
    assert_eq!(told(&mut ready), ["Disconnect"]);
    assert_eq!(ready.stage.sessions_of("ben"), 0);
    assert!(ready.heard().is_empty(), "nothing by SIP");
    ready.stage.pass(T15);
    assert_eq!(told(&mut ready), ["Disconnect"], "T16");
    says(&mut ready, Acknowledgement::Disconnect);
    ready.stage.pass(T15);
    ends_with(ready, 1);
}

/// R3 and the last T16: the client would go on to believe in a session.
#[test]
fn a_client_that_acknowledges_no_disconnect_is_told_by_a_re_invite() {
    let (mut ready, call, ok) = connected();
    ready.stage.bye(&call, &ok);
    ready.stage.pass(T15 + T15);
    assert_eq!(told(&mut ready), ["Disconnect"; 3]);
    assert!(ready.heard().is_empty());
    ready.stage.pass(T15);
    let reinvite = ready.reinvite();
    assert!(is_held(&reinvite) && names_session(&reinvite).is_none());
    ready.stage.answer(&reinvite, 200);
    ready.heard();
    ends_with(ready, 1);
}

/// Digest 14.5, the second table.
#[test]
fn a_cancel_before_the_acknowledgement_is_487_and_the_client_disconnected() {
    let (mut ready, call) = invited();
    ready.stage.cancel(&call);
    assert_eq!(ready.stage.told(&call), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(told(&mut ready), ["Disconnect"]);
    assert_eq!(ready.stage.sessions_of("ben"), 0);
    let record = &ready.stage.records[0];
    assert_eq!((record.end, record.status), (End::Cancelled, Some(487)));
    // What crosses it is taken back.
    says(&mut ready, Acknowledgement::Connect(Answer::Accepted));
    assert_eq!(told(&mut ready), ["Disconnect"]);
    assert!(ready.stage.told(&call).is_empty());
    says(&mut ready, Acknowledgement::Disconnect);
    ready.stage.pass(T15);
    ends_with(ready, 1);
}

/// Digest 14.5, the second table.
#[test]
fn a_cancel_behind_the_200_has_no_effect_and_the_bye_disconnects() {
    let (mut ready, call, ok) = connected();
    ready.stage.cancel(&call);
    assert_eq!(ready.stage.told(&call), ["200 CANCEL"]);
    assert!(told(&mut ready).is_empty());
    ready.stage.bye(&call, &ok);
    assert_eq!(told(&mut ready), ["Disconnect"]);
    ready.within("BYE", "", "");
    ready.stage.ends_with(2);
}

/// The Disconnect has overtaken it, or the client has answered a copy.
#[test]
fn a_connect_that_is_acknowledged_when_nothing_is_there_is_taken_back() {
    let (mut ready, call) = invited();
    ready.stage.cancel(&call);
    says(&mut ready, Acknowledgement::Disconnect);
    told(&mut ready);
    says(&mut ready, Acknowledgement::Connect(Answer::Busy));
    assert!(told(&mut ready).is_empty());
    says(&mut ready, Acknowledgement::Connect(Answer::Accepted));
    assert_eq!(told(&mut ready), ["Disconnect"]);
    says(&mut ready, Acknowledgement::Disconnect);
    ready.stage.pass(T15);
    ends_with(ready, 1);
}

/// User-plane digest 7: the session beyond knows nothing of Connect.
#[test]
fn acknowledgements_of_connect_go_no_further_and_all_else_does() {
    let (mut ready, _, _) = connected();
    says(&mut ready, Acknowledgement::Connect(Answer::Accepted));
    says(&mut ready, Acknowledgement::Disconnect);
    assert!(ready.stage.heard().is_empty());
    ready.stage.say(CLIENT, request());
    says(&mut ready, Acknowledgement::Taken);
    let heard = ready.stage.heard();
    assert_eq!(words(&heard), [(77, "Talk Burst Request"), (77, "Talk Burst Acknowledgement")]);
}

#[test]
fn nothing_of_the_client_is_passed_on_before_it_has_acknowledged() {
    let (mut ready, call) = invited();
    ready.stage.say(CLIENT, request());
    assert!(ready.stage.heard().is_empty());
    assert!(ready.stage.told(&call).is_empty());
}

#[test]
fn a_refer_that_leaves_before_the_acknowledgement_refuses() {
    let (mut ready, call) = invited();
    ready.give_up("sip:ps77@192.0.2.66");
    assert_eq!(ready.heard(), ["200 REFER"]);
    assert_eq!(ready.stage.told(&call), ["480 INVITE"]);
    ends_with(ready, 1);
}

#[test]
fn a_refer_that_leaves_a_connected_session_says_it_and_no_disconnect_does() {
    let (mut ready, call, _) = connected();
    ready.give_up("sip:ps77@192.0.2.66");
    assert_eq!(ready.heard(), ["200 REFER"]);
    assert_eq!(ready.stage.told(&call), ["BYE"]);
    assert!(told(&mut ready).is_empty());
    ends_with(ready, 1);
}

#[test]
fn a_client_asks_for_something_new_although_its_last_word_was_lost() {
    let (mut ready, call) = invited();
    ready.refer("sip:cara@home1.example");
    assert_eq!(ready.heard(), ["491 REFER"], "it has something to answer first");
    ready.stage.cancel(&call);
    ready.refer("sip:cara@home1.example");
    assert_eq!(ready.heard(), ["200 REFER", "NOTIFY 100"]);
    told(&mut ready);
    ready.stage.pass(T15);
    assert!(told(&mut ready).is_empty(), "it knows");
}

#[test]
fn the_bye_of_a_client_that_is_being_connected_is_480_and_ends_the_dialog() {
    let (mut ready, call) = invited();
    ready.within("BYE", "", "");
    assert_eq!(ready.stage.told(&call), ["480 INVITE"]);
    ready.stage.ends_with(2);
}

#[test]
fn a_user_who_is_removed_while_being_connected_is_404() {
    let (mut ready, call) = invited();
    ready.stage.remove("ben");
    assert_eq!(ready.stage.told(&call), ["404 INVITE"]);
    assert_eq!(ready.heard(), ["BYE"]);
    ready.stage.ends_with(2);
}

/// What comes from elsewhere, or in a dialog of somebody else, connects nobody.
#[test]
fn nobody_else_acknowledges() {
    let (mut ready, call) = invited();
    let message = Message::Acknowledgement(Acknowledgement::Connect(Answer::Accepted));
    let bytes = Packet { ssrc: 9, message }.write().expect("a message");
    ready.stage.media(0, Stream::Control, control_of(78), bytes);
    assert!(ready.stage.told(&call).is_empty());
}
