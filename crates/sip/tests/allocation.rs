//! Reading a message allocates nothing: counted by the allocator.

use bytes::Bytes;
use sip::Message;
use sip::message::Name;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn reading_an_invite_and_its_header_fields_allocates_nothing() {
    let bytes = Bytes::from_static(include_bytes!("data/invite900.sip"));
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    let message = Message::parse(bytes).expect("well-formed");
    assert_eq!(message.validate(), Ok(()));
    let tags = (message.from().map(|from| from.tag()), message.to().map(|to| to.tag()));
    let vias = message.vias().filter(Result::is_ok).count();
    let contacts = message.addresses(Name::Contact).filter(Result::is_ok).count();
    let after = dhat::HeapStats::get().total_blocks;
    drop(profiler);
    assert_eq!(after - before, 0);
    assert!(tags.0.is_ok() && tags.1.is_ok() && vias > 0 && contacts > 0);
}
