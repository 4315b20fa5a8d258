//! Reading header values: classes of octets, and a cursor that knows tokens, quoted strings and folding.

/// A set of octets: a bit of [`CLASS`].
pub(crate) type Class = u8;

/// `token`.
pub(crate) const TOKEN: Class = 1;
/// `word`, of which a Call-ID is made.
pub(crate) const WORD: Class = 1 << 1;
/// `userinfo` but the percent sign: unreserved, user-unreserved and the colon before a password.
pub(crate) const USER: Class = 1 << 2;
/// `headers` of a URI but the percent sign: reserved, unreserved, brackets.
pub(crate) const URI: Class = 1 << 3;
/// `uri-parameters` but the percent sign: the same without the question mark, which ends them.
pub(crate) const URI_PARAMETER: Class = 1 << 4;
/// Octets of a host name or an IPv4 address. An underscore is against the grammar and common in private networks.
pub(crate) const HOST: Class = 1 << 5;
/// The value of a generic parameter if it is no quoted string: `token`, and what an IPv6 reference has.
const VALUE: Class = 1 << 6;

/// RFC 3261 §25.1: which octet may stand where.
static CLASS: [Class; 256] = {
    let mut class = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(byte, b"-.!%*_+`'~") {
            class[octet] |= TOKEN | VALUE;
        }
        if alphanumeric || is_one_of(byte, b"-.!%*_+`'~()<>:\\\"/[]?{}") {
            class[octet] |= WORD;
        }
        if alphanumeric || is_one_of(byte, b"-_.!~*'()&=+$,;?/:") {
            class[octet] |= USER;
        }
        if alphanumeric || is_one_of(byte, b"-_.!~*'();/?:@&=+$,[]") {
            class[octet] |= URI;
            if byte != b'?' {
                class[octet] |= URI_PARAMETER;
            }
        }
        if alphanumeric || is_one_of(byte, b"-._") {
            class[octet] |= HOST;
        }
        if is_one_of(byte, b"[]:") {
            class[octet] |= VALUE;
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

#[inline(always)]
fn is_in(class: Class, byte: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

/// How many octets at the start of `text` are in `class`.
#[inline(always)]
fn run_length(text: &[u8], class: Class) -> usize {
    let mut length = 0;
    // Four at a time: one comparison of lengths for all of them.
    while let Some([first, second, third, fourth]) = text[length..].first_chunk() {
        if !is_in(class, *first) {
            return length;
        }
        if !is_in(class, *second) {
            return length + 1;
        }
        if !is_in(class, *third) {
            return length + 2;
        }
        if !is_in(class, *fourth) {
            return length + 3;
        }
        length += 4;
    }
    length + text[length..].iter().take_while(|byte| is_in(class, **byte)).count()
}

/// Whether `text` is a token: not empty, and nothing else than its octets.
#[inline]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && run_length(text, TOKEN) == text.len()
}

/// `callid = word [ "@" word ]`.
pub(crate) fn is_call_id(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    let first = cursor.run(WORD);
    let second = cursor.eat(b'@').then(|| cursor.run(WORD));
    !first.is_empty() && second.is_none_or(|word| !word.is_empty()) && cursor.is_at_end()
}

/// LWS: blank, tab and the octets of a fold.
#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without the white space around it.
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

#[inline(always)]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

#[inline(always)]
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// A decimal number without sign. `None` if it is none or exceeds `u32`.
#[inline]
pub fn number(text: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(text);
    cursor.number().filter(|_| cursor.is_at_end())
}

/// A place in a value. Each reader leaves the place unchanged when it does not find what it looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What was read since the cursor was `before`.
    #[inline(always)]
    pub(crate) fn since(&self, before: &Self) -> &'a [u8] {
        &before.rest[..before.rest.len() - self.rest.len()]
    }

    #[inline(always)]
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    pub(crate) fn skip_space(&mut self) {
        self.rest = trim_start(self.rest);
    }

    #[inline(always)]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    pub(crate) fn eat_all(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `separator` with optional white space on both sides: SEMI, EQUAL, COMMA, SLASH of §25.1.
    #[inline(always)]
    pub(crate) fn eat_separator(&mut self, separator: u8) -> bool {
        match trim_start(self.rest) {
            [first, rest @ ..] if *first == separator => {
                self.rest = trim_start(rest);
                true
            }
            _ => false,
        }
    }

    /// Octets as long as `keep` holds; may be empty.
    #[inline(always)]
    pub(crate) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().take_while(|byte| keep(**byte)).count();
        self.take(length)
    }

    /// Octets as long as they are in `class`; may be empty.
    #[inline(always)]
    pub(crate) fn run(&mut self, class: Class) -> &'a [u8] {
        self.take(run_length(self.rest, class))
    }

    /// Octets of `class` and escapes, `"%" HEXDIG HEXDIG`; may be empty.
    #[inline(always)]
    pub(crate) fn run_with_escapes(&mut self, class: Class) -> &'a [u8] {
        let before = *self;
        self.run(class);
        while let [b'%', high, low, rest @ ..] = self.rest
            && high.is_ascii_hexdigit()
            && low.is_ascii_hexdigit()
        {
            self.rest = rest;
            self.run(class);
        }
        self.since(&before)
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Digits as far as they go, as a number. `None` if there are none or they exceed `u32`.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Option<u32> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        // More digits than any u32 has may still be zeros in front, and must not wrap around a u64.
        let value = digits
            .iter()
            .fold(0u64, |value, digit| (value * 10 + u64::from(digit - b'0')).min(u64::from(u32::MAX) + 1));
        (!digits.is_empty()).then(|| u32::try_from(value).ok())?
    }

    #[inline(always)]
    pub(crate) fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.run(TOKEN);
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string, its quotes included.
    #[inline(always)]
    pub(crate) fn quoted(&mut self) -> Option<&'a [u8]> {
        let length = quoted_length(self.rest)?;
        Some(self.take(length))
    }

    /// A comment, its parentheses included; comments nest and have escapes (RFC 3261 §25.1).
    pub(crate) fn comment(&mut self) -> Option<&'a [u8]> {
        let (mut at, mut depth) = (0, 0usize);
        loop {
            match self.rest.get(at)? {
                b'(' => depth += 1,
                b')' if depth <= 1 => break,
                b')' => depth -= 1,
                b'\\' => at += 1,
                _ => {}
            }
            at += 1;
        }
        Some(self.take(at + 1))
    }

    /// The value of a generic parameter: token, host (an IPv6 reference has brackets and colons) or quoted string.
    #[inline(always)]
    pub(crate) fn parameter_value(&mut self) -> Option<&'a [u8]> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let value = self.run(VALUE);
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
#[inline]
pub fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        // Most lists have one element.
        if memchr::memchr(separator, text).is_none() {
            rest = None;
            return Some(trim(text));
        }
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
