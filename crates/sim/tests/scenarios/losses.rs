//! Every lost message, every pair of lost messages, and a network that dies, around each moment of giving up.

use poc::AnswerMode;
use sim::{Deed, Which};
use sip::Duration;

use crate::moments::{MODES, MOMENTS, Moment, tell};
use crate::stage::{ANNA, BEN, Ended, Stage};

/// Tells the story without the messages of these numbers.
fn tell_without(mode: AnswerMode, moment: Moment, lost: &[u64]) -> Ended {
    let script = |stage: &mut Stage| {
        for number in lost {
            stage.world.network.on(Which::Number(*number), Deed::Lose);
        }
    };
    let ended = tell(mode, moment, script, |_| {});
    assert_eq!(ended.told(ANNA), "cancelled", "{mode:?} {moment:?} without {lost:?}");
    let ben = ended.told(BEN);
    if ben == "nothing" {
        // The next hop had said 100 and then lost the INVITE: the CANCEL found nothing to cancel.
        assert_eq!((mode, moment, lost[0]), (AnswerMode::Automatic, Moment::OnProgress, 1));
        return ended;
    }
    assert!(
        ["missed invitation", "ended", "the inviter did not confirm"].contains(&ben.as_str()),
        "{mode:?} {moment:?} without {lost:?}: Ben was told {ben}",
    );
    ended
}

/// Tells the story once for each message, and once for each pair of messages, the second of which may be one that is
/// sent only since the first was lost. Returns how often it was told.
fn tell_all(mode: AnswerMode, moment: Moment) -> u64 {
    let mut told = 1;
    let whole = tell_without(mode, moment, &[]).world.network.sent();
    for first in 1..=whole {
        let with_one = tell_without(mode, moment, &[first]).world.network.sent();
        told += 1;
        for second in first + 1..=with_one {
            tell_without(mode, moment, &[first, second]);
            told += 1;
        }
    }
    told
}

#[test]
fn whatever_two_messages_are_lost_when_anna_gives_up_at_once() {
    assert!(MODES.map(|mode| tell_all(mode, Moment::AtOnce)).iter().sum::<u64>() > 50);
}

#[test]
fn whatever_two_messages_are_lost_when_anna_gives_up_on_progress() {
    assert!(MODES.map(|mode| tell_all(mode, Moment::OnProgress)).iter().sum::<u64>() > 50);
}

#[test]
fn whatever_two_messages_are_lost_when_anna_gives_up_just_after_the_answer() {
    assert!(MODES.map(|mode| tell_all(mode, Moment::AfterTheAnswer)).iter().sum::<u64>() > 50);
}

/// From the wish on the link is dead: for these senders, for `span`.
fn dies(senders: &[usize], span: Duration) {
    for mode in MODES {
        for moment in MOMENTS {
            let ended = tell(
                mode,
                moment,
                |_| {},
                |stage| {
                    for place in senders {
                        stage.cuts(*place, span);
                    }
                },
            );
            assert_eq!(ended.told(ANNA), "cancelled", "{mode:?} {moment:?}");
        }
    }
}

#[test]
fn the_network_is_dead_from_the_wish_on() {
    dies(&[ANNA, BEN], Duration::from_secs(1000));
}

#[test]
fn nothing_from_anna_arrives_from_the_wish_on() {
    dies(&[ANNA], Duration::from_secs(1000));
}

#[test]
fn nothing_from_ben_arrives_from_the_wish_on() {
    dies(&[BEN], Duration::from_secs(1000));
}

#[test]
fn the_network_comes_back_after_any_while() {
    for seconds in [1, 5, 20, 31, 33, 40, 63, 65] {
        dies(&[ANNA, BEN], Duration::from_secs(seconds));
        dies(&[ANNA], Duration::from_secs(seconds));
        dies(&[BEN], Duration::from_secs(seconds));
    }
}
