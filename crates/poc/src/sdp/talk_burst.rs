//! The parameters of talk burst control: `a=fmtp:TBCP`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Talk burst control parameters: supported by one side, or agreed by both. A parameter that is not written is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct TalkBurst {
    /// Requests for the talk burst can be queued.
    pub queuing: bool,
    /// The highest priority of a request: 1 normal, 2 high, 3 pre-emptive; 0: none is told apart.
    pub tb_priority: u8,
    /// Requests carry a timestamp, so that they can be ordered fairly.
    pub timestamp: bool,
    /// In an answer: the talk burst is granted by this answer. In an offer: it may be.
    pub tb_granted: bool,
    /// Primary and secondary sessions are told apart.
    pub poc_sess_priority: bool,
    /// A session can be locked into.
    pub poc_lock: bool,
}

impl TalkBurst {
    /// Reads the parameters; cannot fail, since what is unknown or unreadable counts as not written.
    pub fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in text.split(';').filter_map(|parameter| parameter.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            let flag = value == "1";
            // RFC 8866 §5.14: parameter names are case-insensitive.
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("queuing") {
                read.queuing = flag;
            } else if is("tb_priority") || is("priority") {
                // `priority` is the early spelling: read, never written.
                read.tb_priority = value.parse().unwrap_or(0);
            } else if is("timestamp") {
                read.timestamp = flag;
            } else if is("tb_granted") {
                read.tb_granted = flag;
            } else if is("poc_sess_priority") {
                read.poc_sess_priority = flag;
            } else if is("poc_lock") {
                read.poc_lock = flag;
            }
        }
        read
    }

    /// What both sides have.
    pub(super) fn agreed_with(self, peer: Self) -> Self {
        Self {
            queuing: self.queuing && peer.queuing,
            tb_priority: self.tb_priority.min(peer.tb_priority),
            timestamp: self.timestamp && peer.timestamp,
            tb_granted: self.tb_granted && peer.tb_granted,
            poc_sess_priority: self.poc_sess_priority && peer.poc_sess_priority,
            poc_lock: self.poc_lock && peer.poc_lock,
        }
    }
}

/// The value of `a=fmtp:TBCP`, all six in the order in which handsets write them.
impl fmt::Display for TalkBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "queuing={}; tb_priority={}; timestamp={}; tb_granted={}; poc_sess_priority={}; poc_lock={}",
            u8::from(self.queuing),
            self.tb_priority,
            u8::from(self.timestamp),
            u8::from(self.tb_granted),
            u8::from(self.poc_sess_priority),
            u8::from(self.poc_lock),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: TalkBurst = TalkBurst {
        queuing: true,
        tb_priority: 3,
        timestamp: true,
        tb_granted: true,
        poc_sess_priority: true,
        poc_lock: true,
    };

    #[test]
    fn the_parameters_are_written_in_the_attested_spelling_and_order() {
        let attested = TalkBurst { tb_priority: 1, ..TalkBurst::default() };
        assert_eq!(
            attested.to_string(),
            "queuing=0; tb_priority=1; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(TalkBurst::parse(&ALL.to_string()), ALL);
        assert_eq!(TalkBurst::parse(&TalkBurst::default().to_string()), TalkBurst::default());
    }

    #[test]
    fn spaces_are_optional_and_names_come_in_any_case() {
        let expected = TalkBurst { queuing: true, tb_priority: 1, timestamp: true, ..TalkBurst::default() };
        assert_eq!(TalkBurst::parse("queuing=1;tb_priority=1;timestamp=1"), expected);
        assert_eq!(TalkBurst::parse(" Queuing = 1 ;TB_PRIORITY=1 ;  timestamp= 1;"), expected);
    }

    #[test]
    fn the_early_spelling_of_the_priority_is_read() {
        assert_eq!(TalkBurst::parse("queuing=0; priority=2").tb_priority, 2);
    }

    #[test]
    fn an_absent_parameter_is_0() {
        assert_eq!(TalkBurst::parse(""), TalkBurst::default());
        assert_eq!(TalkBurst::parse("poc_lock=1"), TalkBurst { poc_lock: true, ..TalkBurst::default() });
    }

    #[test]
    fn unknown_and_unreadable_parameters_are_ignored() {
        let text =
            "x=1; queuing; tb_priority=many; timestamp=2; tb_granted=yes; poc_lock=1=1; ;;=; tb_priority=999";
        assert_eq!(TalkBurst::parse(text), TalkBurst::default());
    }

    #[test]
    fn flags_are_agreed_by_and_and_the_priority_by_the_minimum() {
        let some = TalkBurst { queuing: true, tb_priority: 1, poc_lock: true, ..TalkBurst::default() };
        assert_eq!(ALL.agreed_with(ALL), ALL);
        assert_eq!(ALL.agreed_with(some), some);
        assert_eq!(some.agreed_with(ALL), some);
        assert_eq!(ALL.agreed_with(TalkBurst::default()), TalkBurst::default());
    }
}
