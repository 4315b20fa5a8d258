//! What several test targets share.

/// Whether `tool`, which a test has just failed to start, may be missing: it may on a machine of one's own, and not where
/// `TALKBURST_REQUIRE_TOOLS` is set, as in `.ci/run`.
pub(crate) fn leave_out(tool: &str) {
    assert!(std::env::var_os("TALKBURST_REQUIRE_TOOLS").is_none(), "{tool} is missing");
    println!("{tool} is not on this machine: left out");
}
