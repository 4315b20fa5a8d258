//! Several bindings: who is tried when, and who is told that it is over.

use sip::message::Name;

use crate::wire::*;

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// ben at three places, with parameters behind each Contact.
fn registered(parameters: [&str; 3]) -> Wire {
    let mut wire = Wire::new();
    for (at, parameters) in [BEN, BEN_2, BEN_3].into_iter().zip(parameters) {
        wire.register("ben", at, parameters);
    }
    wire
}

fn targets(sent: &[Sent]) -> Vec<String> {
    sent.iter().filter(|sent| word(&sent.message) == "INVITE").map(Sent::to).collect()
}

/// T23, R10: one answers, the others are cancelled with the reason that keeps them from counting a missed call.
#[test]
fn whoever_answers_first_has_it_and_the_others_are_told() {
    let mut wire = registered(["", "", ""]);
    wire.send(&Request::invite());
    let forwarded = wire.sent();
    wire.answer(&forwarded[0], 180);
    wire.answer(&forwarded[1], 180);
    wire.sent();
    wire.answer(&forwarded[1], 200);
    let sent = wire.sent();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["200 INVITE", "CANCEL"]);
    assert_eq!((sent[1].to(), text(&sent[1].message, Name::Reason)), (BEN.into(), ELSEWHERE));
    // C28: whoever was silent is cancelled with its first word, and a second 2xx goes on.
    wire.answer(&forwarded[2], 100);
    let cancel = wire.one();
    assert_eq!((cancel.to(), text(&cancel.message, Name::Reason)), (BEN_3.into(), ELSEWHERE));
    wire.answer(&forwarded[2], 200);
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.answer(&forwarded[0], 487);
    assert_eq!(wire.words(), ["ACK"]);
    wire.finish();
}

/// R11: nobody else is to ring, and nobody else is tried.
#[test]
fn a_603_cancels_the_others_and_is_what_the_inviter_hears() {
    let mut wire = registered(["", "", ";q=0.5"]);
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.sent();
    assert_eq!(targets(&forwarded), [BEN, BEN_2]);
    wire.answer(&forwarded[0], 180);
    wire.sent();
    wire.answer(&forwarded[1], 603);
    let sent = wire.sent();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["ACK", "CANCEL"]);
    assert_eq!(text(&sent[1].message, Name::Reason), "SIP;cause=603;text=\"Declined\"");
    // The inviter's own CANCEL changes nothing more.
    wire.send(&invite.cancel());
    assert_eq!(wire.words(), ["200 CANCEL"]);
    wire.answer(&forwarded[0], 487);
    assert_eq!(wire.words(), ["ACK", "603 INVITE"]);
    wire.finish();
}

/// Case 16, RFC 3841 §9.1: losers stay; but a 6xx ends them.
#[test]
fn with_no_cancel_losers_stay() {
    let mut wire = registered(["", "", ""]);
    wire.send(&Request::invite().with("Request-Disposition: no-cancel\r\n"));
    let forwarded = wire.sent();
    for forwarded in &forwarded {
        wire.answer(forwarded, 180);
    }
    wire.sent();
    wire.answer(&forwarded[0], 200);
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.answer(&forwarded[1], 200);
    assert_eq!(wire.words(), ["200 INVITE"]);
    wire.answer(&forwarded[2], 486);
    assert_eq!(wire.words(), ["ACK"]);
    wire.finish();

    let mut wire = registered(["", "", ""]);
    wire.send(&Request::invite().with("Request-Disposition: no-cancel\r\n"));
    let forwarded = wire.sent();
    wire.answer(&forwarded[0], 180);
    wire.answer(&forwarded[1], 600);
    assert_eq!(wire.words(), ["180 INVITE", "ACK", "CANCEL"]);
    wire.finish();
}

/// §16.6: from the highest q to the lowest, and those of one q together.
#[test]
fn contacts_are_tried_by_their_preference() {
    let mut wire = registered([";q=0.5", "", ";q=0.5"]);
    wire.send(&Request::invite());
    let first = wire.one();
    assert_eq!(first.to(), BEN_2);
    wire.answer(&first, 480);
    let then = wire.sent();
    assert_eq!(targets(&then), [BEN, BEN_3]);
    let [_, one, other] = &then[..] else { panic!("{then:?}") };
    wire.answer(one, 486);
    wire.answer(other, 480);
    assert_eq!(wire.words(), ["ACK", "ACK", "480 INVITE"], "the first of what is equally good");
    wire.finish();
}

/// RFC 3841 §9.1 and §7.2.4.
#[test]
fn the_inviter_may_want_one_after_the_other_or_one_only_or_some_only() {
    let poc = ";+g.poc.talkburst";
    for (lines, expected) in [
        ("Request-Disposition: sequential\r\n", vec![BEN]),
        ("Request-Disposition: no-fork\r\n", vec![BEN]),
        ("Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n", vec![BEN, BEN_2]),
        ("Accept-Contact: *;audio;require;explicit\r\n", vec![BEN_3]),
        ("Reject-Contact: *;+g.poc.talkburst\r\n", vec![BEN_3]),
        ("Accept-Contact: *;video;require;explicit\r\n", vec![]),
    ] {
        let mut wire = registered([poc, poc, ";audio"]);
        wire.send(&Request::invite().with(lines));
        let sent = wire.sent();
        assert_eq!(targets(&sent), expected, "{lines}");
        if expected.is_empty() {
            assert_eq!(word(&sent[0].message), "480 INVITE");
        } else if lines.contains("Disposition") {
            wire.answer(&sent[0], 486);
            let next = targets(&wire.sent());
            assert_eq!(next.len(), usize::from(lines.contains("sequential")));
        }
        wire.finish();
    }
}

/// §16.7 step 7: the inviter can answer all of them at once.
#[test]
fn challenges_of_all_branches_come_back_together() {
    let mut wire = registered(["", "", ""]);
    wire.send(&Request::invite());
    let forwarded = wire.sent();
    for (sent, line) in forwarded.iter().zip([
        "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\r\n",
        "WWW-Authenticate: Digest realm=\"b\", nonce=\"2\"\r\n",
    ]) {
        wire.receive(sent.path, &response(&sent.message, 401, "t", line));
    }
    let line = "Proxy-Authenticate: Digest realm=\"c\", nonce=\"3\"\r\n";
    wire.receive(forwarded[2].path, &response(&forwarded[2].message, 407, "t", line));
    let answer = wire.sent().pop().unwrap().message;
    assert_eq!(word(&answer), "401 INVITE");
    assert_eq!(answer.values(Name::WwwAuthenticate).count(), 2);
    assert_eq!(answer.values(Name::ProxyAuthenticate).count(), 1);
    wire.finish();
}

/// C73: who is over is not cancelled, and who was never reached neither.
#[test]
fn a_branch_that_is_over_is_not_cancelled() {
    let mut wire = registered(["", "", ""]);
    let invite = Request::invite();
    wire.send(&invite);
    let forwarded = wire.sent();
    wire.answer(&forwarded[0], 503);
    wire.answer(&forwarded[1], 180);
    wire.sent();
    wire.send(&invite.cancel());
    let sent = wire.sent();
    assert_eq!(sent.iter().map(|sent| word(&sent.message)).collect::<Vec<_>>(), ["200 CANCEL", "CANCEL"]);
    assert_eq!(sent[1].to(), BEN_2);
    wire.finish();
}

/// RFC 5393 §5.3.3: what may be forked is shared out, and no more.
#[test]
fn branches_share_the_breadth_of_their_request() {
    let mut wire = registered(["", "", ""]);
    wire.send(&Request::invite().with("Max-Breadth: 7\r\n"));
    for sent in wire.sent() {
        let mut headers = sent.message.headers();
        let breadth = headers.find(|header| header.text == b"Max-Breadth").unwrap().value;
        assert_eq!(breadth, b"2");
    }
    wire.send(&Request { branch: "narrow".into(), ..Request::invite() }.with("Max-Breadth: 2\r\n"));
    assert_eq!(wire.words(), ["440 INVITE"]);
    wire.finish();
}
