//! What a message is known by, each field read once: for its transaction, its dialog and its answer.

use std::ops::Deref;

use super::validate::{BITS, COUNTED, ESSENTIAL, SINGLE, check};
use super::{CSeq, Fault, Message, Name, NameAddr, Start, Via};

/// A message with its Via, From, To and CSeq, read once. In all else it is the message.
#[derive(Debug)]
pub struct Essentials<'a> {
    message: &'a Message,
    via_text: &'a [u8],
    via: Result<Via<'a>, Fault>,
    branch: Option<&'a [u8]>,
    from: Result<NameAddr<'a>, Fault>,
    from_tag: Option<&'a [u8]>,
    to: Result<NameAddr<'a>, Fault>,
    to_tag: Option<&'a [u8]>,
    call_id: &'a [u8],
    cseq: Result<CSeq<'a>, Fault>,
}

impl Deref for Essentials<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.message
    }
}

impl<'a> Essentials<'a> {
    /// Reads them.
    pub fn of(message: &'a Message) -> Self {
        let via_text = message.items(Name::Via).next();
        let via = via_text.ok_or(Fault::Missing(Name::Via));
        let via = via.and_then(|text| Via::parse(text).ok_or(Fault::Header(Name::Via)));
        let (from, to) = (message.from(), message.to());
        let tag = |address: &Result<NameAddr<'a>, Fault>| address.ok().and_then(|address| address.tag());
        Self {
            message,
            via_text: via_text.unwrap_or_default(),
            via,
            branch: via.ok().and_then(|via| via.branch()),
            from,
            from_tag: tag(&from),
            to,
            to_tag: tag(&to),
            call_id: message.call_id(),
            cseq: message.cseq(),
        }
    }

    /// The message.
    pub fn message(&self) -> &'a Message {
        self.message
    }

    /// The topmost Via value.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn via(&self) -> Result<Via<'a>, Fault> {
        self.via
    }

    /// The topmost Via value as written; empty if there is none.
    pub fn via_text(&self) -> &'a [u8] {
        self.via_text
    }

    /// The branch of the topmost Via value.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.branch
    }

    /// The From header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn from(&self) -> Result<NameAddr<'a>, Fault> {
        self.from
    }

    /// Its tag.
    ///
    /// # Errors
    /// As [`Self::from`].
    pub fn from_tag(&self) -> Result<Option<&'a [u8]>, Fault> {
        self.from.map(|_| self.from_tag)
    }

    /// The To header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn to(&self) -> Result<NameAddr<'a>, Fault> {
        self.to
    }

    /// Its tag.
    ///
    /// # Errors
    /// As [`Self::to`].
    pub fn to_tag(&self) -> Result<Option<&'a [u8]>, Fault> {
        self.to.map(|_| self.to_tag)
    }

    /// The Call-ID; empty if there is none.
    pub fn call_id(&self) -> &'a [u8] {
        self.call_id
    }

    /// The CSeq header field.
    ///
    /// # Errors
    /// [`Fault::Missing`] or [`Fault::Header`].
    pub fn cseq(&self) -> Result<CSeq<'a>, Fault> {
        self.cseq
    }

    /// See [`Message::validate_essentials`].
    ///
    /// # Errors
    /// As it says.
    pub fn validate_essentials(&self) -> Result<(), Fault> {
        let message = self.message;
        if let Some(fault) = message.fault {
            return Err(fault);
        }
        if let Start::Request { .. } = message.start {
            message.uri()?;
        }
        let mut seen = 0;
        for line in &message.lines {
            let bit = BITS[line.id as usize];
            if seen & bit & SINGLE != 0 {
                return Err(Fault::Repeated(line.id));
            }
            seen |= bit;
        }
        if seen & ESSENTIAL != ESSENTIAL {
            return Err(Fault::Missing(COUNTED[seen.trailing_ones() as usize]));
        }
        let cseq = self.cseq?;
        if matches!(message.start, Start::Request { .. }) && cseq.method != message.method_text() {
            return Err(Fault::CSeqMethod);
        }
        self.validate_lines()
    }

    /// In the order of the message, so that the first fault is told.
    fn validate_lines(&self) -> Result<(), Fault> {
        let mut is_top = true;
        for line in &self.message.lines {
            let value = self.message.slice(line.value);
            #[expect(clippy::wildcard_enum_match_arm, reason = "the others can wait")]
            match line.id {
                Name::Via if std::mem::take(&mut is_top) => {
                    self.via?;
                    if value.len() != self.via_text.len() {
                        check(Name::Via, value)?;
                    }
                }
                Name::From => drop(self.from?),
                Name::To => drop(self.to?),
                Name::Via | Name::CallId => check(line.id, value)?,
                _ => {}
            }
        }
        Ok(())
    }
}
