//! Reading and judging a message allocates nothing: counted by the allocator.

mod corpus;

use bytes::Bytes;
use sip::Message;
use sip::message::Name;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many blocks `action` allocates. The allocator counts for the whole process: this file has one test.
fn blocks(action: impl FnOnce()) -> u64 {
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    action();
    let after = dhat::HeapStats::get().total_blocks;
    drop(profiler);
    after - before
}

#[test]
fn reading_and_judging_a_message_allocates_nothing() {
    read_an_invite_and_its_header_fields();
    judge_every_message_of_the_corpus();
}

fn read_an_invite_and_its_header_fields() {
    let bytes = Bytes::from_static(include_bytes!("data/invite900.sip"));
    let mut message = None;
    assert_eq!(blocks(|| message = Some(Message::parse(bytes))), 0);
    let message = message.expect("parsed").expect("well-formed");
    assert_eq!(blocks(|| assert_eq!(message.validate(), Ok(()))), 0);
    let read = || {
        let tags = (message.from().map(|from| from.tag()), message.to().map(|to| to.tag()));
        let vias = message.vias().filter(Result::is_ok).count();
        let contacts = message.addresses(Name::Contact).filter(Result::is_ok).count();
        assert!(tags.0.is_ok() && tags.1.is_ok() && vias > 0 && contacts > 0);
    };
    assert_eq!(blocks(read), 0);
}

/// Well-formed or not.
fn judge_every_message_of_the_corpus() {
    let messages: Vec<_> = corpus::messages()
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, Message::parse(bytes).ok()?)))
        .collect();
    assert!(messages.len() > 50);
    for (name, message) in messages {
        assert_eq!(blocks(|| _ = message.validate()), 0, "{name}");
    }
}
