//! Reading header values: classes of octets, and a cursor that knows tokens, quoted strings and folding.

const TOKEN: u8 = 1;
const WORD: u8 = 2;
const USER: u8 = 4;
const URI: u8 = 8;

/// RFC 3261 §25.1: which octet may stand where.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(byte, b"-.!%*_+`'~") {
            class[octet] |= TOKEN;
        }
        if alphanumeric || is_one_of(byte, b"-.!%*_+`'~()<>:\\\"/[]?{}") {
            class[octet] |= WORD;
        }
        // unreserved, user-unreserved, the escape and the colon before a password
        if alphanumeric || is_one_of(byte, b"-_.!~*'()&=+$,;?/%:") {
            class[octet] |= USER;
        }
        if alphanumeric || is_one_of(byte, b"-_.!~*'();/?:@&=+$,%[]") {
            class[octet] |= URI;
        }
        octet += 1;
    }
    class
};

const fn is_one_of(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| CLASS[usize::from(*byte)] & TOKEN != 0)
}

/// `callid = word [ "@" word ]`.
pub(crate) fn is_call_id(text: &[u8]) -> bool {
    let is_word = |part: &[u8]| !part.is_empty() && part.iter().all(|b| CLASS[usize::from(*b)] & WORD != 0);
    match memchr::memchr(b'@', text) {
        Some(at) => is_word(&text[..at]) && is_word(&text[at + 1..]),
        None => is_word(text),
    }
}

pub(crate) fn is_user(text: &[u8]) -> bool {
    text.iter().all(|byte| CLASS[usize::from(*byte)] & USER != 0)
}

pub(crate) fn is_uri_text(text: &[u8]) -> bool {
    text.iter().all(|byte| CLASS[usize::from(*byte)] & URI != 0)
}

/// Whether every `%` begins an escape: `"%" HEXDIG HEXDIG`.
pub(crate) fn has_whole_escapes(text: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', text).all(|at| text.get(at + 1..at + 3).is_some_and(is_hex))
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

#[inline]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

#[inline]
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// A decimal number without sign. `None` if it is none or exceeds `u32`.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A place in a value. Each reader leaves the place unchanged when it does not find what it looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(crate) fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `separator` with optional white space on both sides: SEMI, EQUAL, COMMA, SLASH of §25.1.
    pub(crate) fn eat_separator(&mut self, separator: u8) -> bool {
        let before = *self;
        self.skip_space();
        if self.eat(separator) {
            self.skip_space();
            return true;
        }
        *self = before;
        false
    }

    /// Octets as long as `keep` holds; may be empty.
    pub(crate) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let from = self.at;
        while self.peek().is_some_and(&keep) {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    pub(crate) fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.take_while(|byte| CLASS[usize::from(byte)] & TOKEN != 0);
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string, its quotes included.
    pub(crate) fn quoted(&mut self) -> Option<&'a [u8]> {
        let length = quoted_length(self.rest())?;
        let text = &self.rest()[..length];
        self.at += length;
        Some(text)
    }

    /// A comment, its parentheses included; comments nest and have escapes (RFC 3261 §25.1).
    pub(crate) fn comment(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        let (mut at, mut depth) = (from, 0usize);
        loop {
            match self.text.get(at)? {
                b'(' => depth += 1,
                b')' if depth <= 1 => break,
                b')' => depth -= 1,
                b'\\' => at += 1,
                _ => {}
            }
            at += 1;
        }
        self.at = at + 1;
        Some(&self.text[from..self.at])
    }

    /// The value of a generic parameter: token, host (an IPv6 reference has brackets and colons) or quoted string.
    pub(crate) fn parameter_value(&mut self) -> Option<&'a [u8]> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let value = self
            .take_while(|byte| CLASS[usize::from(byte)] & TOKEN != 0 || matches!(byte, b'[' | b']' | b':'));
        (!value.is_empty()).then_some(value)
    }
}

/// Octets of the quoted string at the start of `text`, quotes included. `None` if it is not closed.
pub(crate) fn quoted_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Splits at `separator` where it stands outside quotes and angle brackets.
pub(crate) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        let mut in_angle = false;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' if !in_angle => {
                    // An unclosed quote swallows the rest; the reader of the part finds the fault.
                    at += quoted_length(&text[at..]).unwrap_or(text.len() - at);
                    continue;
                }
                b'<' => in_angle = true,
                b'>' => in_angle = false,
                byte if *byte == separator && !in_angle => {
                    rest = Some(&text[at + 1..]);
                    return Some(trim(&text[..at]));
                }
                _ => {}
            }
            at += 1;
        }
        rest = None;
        Some(trim(text))
    })
}
