//! Other words for the words of a journal, one for one: as long, of the same characters, drawn under a key that nobody keeps.
//!
//! A word is renamed alike in names, hosts, addresses and texts, in whatever case, so what was equal stays equal. What a machine has
//! made under its own keys (a nonce, the user of a Record-Route) it makes anew from what is renamed: such words are learned from what
//! it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;

use sip::Identifier;
use sip::hash::Keyed;
use sip::message::reason_phrase;

use super::places::{Kind, Place, unescaped, words};

/// Words of names that are no names: what everybody has.
const COMMON: &[&str] =
    &["anonymous", "anonymous.invalid", "poc-factory", "orig", "term", "talkburst", "localhost", "-"];

/// Words of the protocols where a name could stand too.
const OWN: &str = "udp tcp tls ws wss sctp sip phone ip true false yes no 1-1 adhoc prearranged chat uac uas \
    active pending terminated connected disconnected dialing-in dialing-out alerting on-hold muted-via-focus \
    disconnecting departed booted failed busy dialed-in dialed-out focus-owner full partial deleted none init \
    registered created refreshed shortened expired deactivated probation unregistered rejected giveup noresource \
    timeout invariant automatic manual auto to cc bcc distinguished ordinary dispatch pre-arranged broadcast \
    poc-settings conference release_cause poc-client oma1.0 oma2.0 poc-serv proxy registrar open closed sendrecv \
    sendonly recvonly inactive talkburst invite bye cancel refer subscribe notify message options";

/// How often another word is drawn before one that was drawn for another is as good as any; twice as often, and there is none.
const DRAWS: u32 = 3000;

/// Hexadecimal digits of the shortest hash that a machine writes into messages.
const HASH: usize = 32;

/// The words so far.
pub(super) struct Names {
    keyed: Keyed,
    /// By what a word must be told apart as before: the secret of each core, and how many shards it has.
    shards: Vec<(Keyed, usize)>,
    kept: BTreeSet<Vec<u8>>,
    others: BTreeMap<Vec<u8>, Vec<u8>>,
    taken: BTreeSet<Vec<u8>>,
    /// Those that were drawn, each between those of its neighbours while there is room: what is ordered by name keeps its order.
    ordered: BTreeMap<Vec<u8>, Vec<u8>>,
    addresses: BTreeMap<IpAddr, IpAddr>,
    /// For which there was no other.
    exhausted: Option<String>,
}

impl Names {
    pub(super) fn new(key: [u8; 16]) -> Self {
        let phrases = (100..700).map(reason_phrase).collect::<Vec<_>>().join(" ");
        let own = OWN.split_ascii_whitespace().chain(phrases.split_ascii_whitespace());
        Self {
            keyed: Keyed::new(key),
            shards: Vec::new(),
            kept: own.map(|word| word.to_ascii_lowercase().into_bytes()).collect(),
            others: BTreeMap::new(),
            taken: BTreeSet::new(),
            ordered: BTreeMap::new(),
            addresses: BTreeMap::new(),
            exhausted: None,
        }
    }

    /// Whoever is on a shard stays there.
    pub(super) fn keep_shards(&mut self, secret: [u8; 16], shards: usize) {
        self.shards.push((Keyed::new(secret), shards));
    }

    /// The word for which there is no other.
    pub(super) fn exhausted(&self) -> Option<&str> {
        self.exhausted.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.others.len() + self.addresses.len()
    }

    /// Octets that are drawn anew, for a secret.
    pub(super) fn secret(&self, of: &[u8]) -> [u8; 32] {
        self.keyed.key(&[b"secret", of]).digits()
    }

    /// The same octets with another word in each place.
    pub(super) fn renamed(&mut self, bytes: &[u8], places: &[Place]) -> Vec<u8> {
        let mut all = bytes.to_vec();
        for (range, kind) in places {
            match kind {
                Kind::Octets => all[range.clone()].fill(0),
                Kind::Word | Kind::Value => {
                    let word = self.word(&bytes[range.clone()], *kind);
                    all[range.clone()].copy_from_slice(&word);
                }
            }
        }
        all
    }

    /// Whether both are equal but for words that stand for each other. A word that was not heard before is learned.
    pub(super) fn are_equal(&mut self, then: &[u8], now: &[u8], places: &[Place]) -> bool {
        let mut at = 0;
        for (range, kind) in places {
            if now.get(at..range.start) != Some(&then[at..range.start]) {
                return false;
            }
            at = range.end;
            let Some(now) = now.get(range.clone()) else { return false };
            if *kind != Kind::Octets && !self.is_same(&then[range.clone()], now, *kind) {
                return false;
            }
        }
        now.len() == then.len() && now[at..] == then[at..]
    }

    /// Whether a word stands for another, or is what it was.
    fn is_same(&mut self, then: &[u8], now: &[u8], kind: Kind) -> bool {
        let (plain, plain_now) = (resolved(then), resolved(now));
        let key = plain.to_ascii_lowercase();
        let is_known = self.others.contains_key(&key) || self.kept_as(&plain, kind).is_some();
        if then == now || (is_known && self.word(then, kind) == now) {
            if !is_known {
                self.learn(key.clone(), key);
            }
            return true;
        }
        if !is_known && plain.len() == plain_now.len() {
            self.learn(key, plain_now.to_ascii_lowercase());
        }
        !is_known
    }

    /// From now on this word, in lower case, stands for that one.
    pub(super) fn learn(&mut self, then: Vec<u8>, now: Vec<u8>) {
        self.taken.insert(now.clone());
        self.others.insert(then, now);
    }

    /// Texts in which our own words and names stand side by side: whether each word is the same, or stands for the other.
    pub(super) fn are_equal_texts(&mut self, then: &str, now: &str) -> bool {
        let (then, now) = (self.with_addresses(then), &without_line_ends(now));
        let (then, now) = (then.as_bytes(), now.as_bytes());
        let places: Vec<_> = words(then).map(|range| (range, Kind::Word)).collect();
        self.are_equal(then, now, &places)
    }

    /// The same of texts in which what is ordered by names has another order: a word that stands in one of
    /// them only.
    pub(super) fn other_word(&mut self, then: &str, now: &str) -> Option<String> {
        let (then, now) = (self.with_addresses(then), &without_line_ends(now));
        // What a machine has hashed under its key and told nobody counts by its length.
        let count = |text: &str, is_told: &dyn Fn(&[u8]) -> bool| {
            let mut all = BTreeMap::<Vec<u8>, i64>::new();
            for range in words(text.as_bytes()) {
                let word = &text.as_bytes()[range];
                let is_hash = word.len() >= HASH && word.iter().all(u8::is_ascii_hexdigit) && !is_told(word);
                let word = if is_hash { vec![b'#'; word.len()] } else { word.to_vec() };
                *all.entry(word).or_default() += 1;
            }
            all
        };
        let then = count(&then, &|word| self.others.contains_key(word));
        let mut left = count(now, &|word| self.taken.contains(word));
        let mut renamed = Vec::new();
        for (word, count) in then {
            let same = left.get_mut(&word).map_or(0, |left| {
                let same = count.min(*left);
                *left -= same;
                same
            });
            renamed.push((self.known(&word), count - same));
        }
        for (word, count) in renamed {
            *left.entry(word).or_default() -= count;
        }
        let other = left.iter().find(|(_, left)| **left != 0);
        other.map(|(word, _)| String::from_utf8_lossy(word).into_owned())
    }

    /// The word for this one, if there is one by now.
    fn known(&mut self, word: &[u8]) -> Vec<u8> {
        let plain = resolved(word);
        if self.others.contains_key(&plain.to_ascii_lowercase()) || self.kept_as(&plain, Kind::Word).is_some()
        {
            self.word(word, Kind::Word)
        } else {
            word.to_vec()
        }
    }

    /// What is as it was, and the addresses whose colons would part them renamed.
    fn with_addresses(&self, text: &str) -> String {
        let sixes = self.addresses.iter().filter(|(then, _)| then.is_ipv6());
        sixes.fold(without_line_ends(text), |text, (then, now)| {
            text.replace(&then.to_string(), &now.to_string())
        })
    }

    /// The word for this one, as long and written alike.
    fn word(&mut self, written: &[u8], kind: Kind) -> Vec<u8> {
        let plain = resolved(written);
        let other = match self.kept_as(&plain, kind) {
            Some(kept) => kept,
            None => self.other(&plain),
        };
        let mut out = Vec::with_capacity(written.len());
        let (mut at, mut octets) = (0, other.into_iter());
        while at < written.len() {
            let (_, length) = unescaped(&written[at..]);
            let octet = octets.next().unwrap_or(b'x');
            if length == 1 {
                out.push(octet);
            } else if written[at..at + length].iter().any(u8::is_ascii_lowercase) {
                out.extend(format!("%{octet:02x}").into_bytes());
            } else {
                out.extend(format!("%{octet:02X}").into_bytes());
            }
            at += length;
        }
        out
    }

    /// What a word is by a rule: an address, what a machine has drawn from its seed, a word of the protocols.
    fn kept_as(&mut self, plain: &[u8], kind: Kind) -> Option<Vec<u8>> {
        if let Some(ip) = std::str::from_utf8(plain).ok().and_then(|text| text.parse::<IpAddr>().ok()) {
            let other = self.address(ip).to_string().into_bytes();
            return Some(if other.len() == plain.len() { other } else { written_alike(plain, &other) });
        }
        if let Some(rest) = plain.strip_prefix(Identifier::COOKIE.as_bytes()) {
            let rest = if is_drawn(rest) { rest.to_vec() } else { self.other(rest) };
            return Some([Identifier::COOKIE.as_bytes(), &rest].concat());
        }
        let lower = plain.to_ascii_lowercase();
        let is_common = || COMMON.iter().any(|word| word.as_bytes() == lower);
        let is_own = || {
            kind == Kind::Value
                && (self.kept.contains(&lower)
                    || plain.iter().all(|octet| octet.is_ascii_digit() || *octet == b'.'))
        };
        let is_plain = || !plain.iter().any(|octet| octet.is_ascii_alphanumeric() || *octet >= 0x80);
        (is_drawn(plain) || is_plain() || is_common() || is_own()).then(|| plain.to_vec())
    }

    /// The word that is drawn for another, in the same case.
    fn other(&mut self, plain: &[u8]) -> Vec<u8> {
        let lower = plain.to_ascii_lowercase();
        if !self.others.contains_key(&lower) {
            let drawn = self.draw(&lower, plain);
            self.ordered.insert(lower.clone(), drawn.clone());
            self.learn(lower.clone(), drawn);
        }
        let other = self.others.get(&lower).cloned().unwrap_or_default();
        in_case(plain, &other)
    }

    fn draw(&mut self, lower: &[u8], plain: &[u8]) -> Vec<u8> {
        let before = self.ordered.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(lower))).next_back();
        let behind = self.ordered.range::<[u8], _>((Bound::Excluded(lower), Bound::Unbounded)).next();
        let between = (before.map_or(&[][..], |(_, drawn)| drawn), behind.map(|(_, drawn)| &drawn[..]));
        for draw in 0..2 * DRAWS {
            let is_between = draw < DRAWS / 2;
            let drawn = self.candidate(lower, draw, if is_between { between } else { (b"", None) });
            if is_between && (&drawn[..] < between.0 || between.1.is_some_and(|behind| &drawn[..] > behind)) {
                continue;
            }
            let is_new = drawn != lower && !self.others.contains_key(&drawn) && !self.kept.contains(&drawn);
            let is_free = !self.taken.contains(&drawn) && (is_new || draw > DRAWS);
            let stays = |then: &[u8], now: &[u8]| {
                let place = |keyed: &Keyed, word, shards| keyed.key(&[b"shard", word]).place(shards);
                self.shards
                    .iter()
                    .all(|(keyed, shards)| place(keyed, then, *shards) == place(keyed, now, *shards))
            };
            if is_free && stays(lower, &drawn) && stays(plain, &in_case(plain, &drawn)) {
                return drawn;
            }
        }
        self.exhausted = Some(String::from_utf8_lossy(plain).into_owned());
        lower.to_vec()
    }

    /// Digits for digits, letters for letters, and for others some that are as long; where both have the like, between these two.
    fn candidate(&self, lower: &[u8], draw: u32, (before, behind): (&[u8], Option<&[u8]>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(lower.len());
        let (mut is_least, mut is_most) = (true, behind.is_some());
        let below = |at: usize, bound: u32| {
            let parts: [&[u8]; 4] = [b"word", lower, &draw.to_be_bytes(), &at.to_be_bytes()];
            self.keyed.key(&parts).place(bound as usize) as u32
        };
        for chunk in lower.utf8_chunks() {
            for each in chunk.valid().chars() {
                let at = out.len();
                let of_class = |first: u8, last: u8| {
                    let bound = |is_bound: bool, word: &[u8]| {
                        word.get(at).copied().filter(|octet| is_bound && (first..=last).contains(octet))
                    };
                    let first = bound(is_least, before).unwrap_or(first);
                    let last = bound(is_most, behind.unwrap_or_default()).unwrap_or(last).max(first);
                    char::from_u32(u32::from(first) + below(at, u32::from(last - first) + 1))
                };
                let other = match each {
                    '0'..='9' => of_class(b'0', b'9'),
                    'a'..='z' => of_class(b'a', b'z'),
                    _ if each.is_ascii() => Some(each),
                    _ => char::from_u32(match each.len_utf8() {
                        2 => 0x100 + below(at, 0x80),
                        3 => 0x4E00 + below(at, 0x5000),
                        _ => 0x20000 + below(at, 0xA000),
                    }),
                };
                let mut octets = [0; 4];
                out.extend_from_slice(other.unwrap_or(each).encode_utf8(&mut octets).as_bytes());
                is_least = is_least && before.starts_with(&out);
                is_most = is_most && behind.is_some_and(|behind| behind.starts_with(&out));
            }
            // It stays what it was: nothing that can be read.
            out.extend(std::iter::repeat_n(0xFF, chunk.invalid().len()));
        }
        out
    }

    /// The address for this one: with as many digits in each part, and with the part by which it is seen of what kind it is.
    pub(super) fn address(&mut self, ip: IpAddr) -> IpAddr {
        if ip.is_unspecified()
            || ip.is_multicast()
            || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
            || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
        {
            return ip;
        }
        if let Some(other) = self.addresses.get(&ip) {
            return *other;
        }
        for draw in 0..2 * DRAWS {
            let other = match ip {
                IpAddr::V4(ip) => IpAddr::V4(self.four(ip, draw)),
                IpAddr::V6(ip) => IpAddr::V6(self.six(ip, draw)),
            };
            let is_taken = self.addresses.values().any(|taken| *taken == other);
            if !is_taken && (draw > DRAWS || (other != ip && !self.addresses.contains_key(&other))) {
                self.addresses.insert(ip, other);
                return other;
            }
        }
        self.exhausted = Some(ip.to_string());
        ip
    }

    fn below(&self, of: &[u8], at: usize, draw: u32, bound: u16) -> u16 {
        let parts: [&[u8]; 4] = [b"address", of, &draw.to_be_bytes(), &at.to_be_bytes()];
        self.keyed.key(&parts).place(bound.into()) as u16
    }

    fn four(&self, ip: Ipv4Addr, draw: u32) -> Ipv4Addr {
        let octets = ip.octets();
        let kept = match octets {
            [10 | 127, ..] => 1,
            [192, 168, ..] | [169, 254, ..] | [172, 16..=31, ..] => 2,
            _ => 0,
        };
        let mut other = octets;
        for (at, octet) in other.iter_mut().enumerate().skip(kept) {
            // The first one stays below multicast, and above what is of another kind.
            let (least, most) = match (*octet, at) {
                (0..=9, 0) => (1, 9),
                (10..=99, 0) => (11, 99),
                (_, 0) => (128, 168),
                (0..=9, _) => (0, 9),
                (10..=99, _) => (10, 99),
                (_, _) => (100, 255),
            };
            *octet = (least + self.below(&octets, at, draw, most - least + 1)) as u8;
        }
        Ipv4Addr::from(other)
    }

    fn six(&self, ip: Ipv6Addr, draw: u32) -> Ipv6Addr {
        let mut other = ip.segments();
        let octets = ip.octets();
        for (at, segment) in other.iter_mut().enumerate().filter(|(_, segment)| **segment != 0) {
            if at == 0 && *segment >= 0xFC00 {
                continue;
            }
            let (least, most) = match *segment {
                0..=0xF => (1, 0xF),
                0x10..=0xFF => (0x10, 0xFF),
                0x100..=0xFFF => (0x100, 0xFFF),
                0x1000.. => (0x1000, if at == 0 { 0xEFFF } else { 0xFFFE }),
            };
            *segment = least + self.below(&octets, at, draw, most - least + 1);
        }
        Ipv6Addr::from(other)
    }
}

/// Whether it is an identifier of a machine: chance, which tells nothing.
fn is_drawn(word: &[u8]) -> bool {
    Identifier::parse(word).is_some_and(|identifier| identifier.owner().is_some())
}

/// `Debug` writes the end of a line with a letter, which would belong to the next word.
fn without_line_ends(text: &str) -> String {
    text.replace("\\r", " ").replace("\\n", " ").replace("\\t", " ")
}

/// In capitals where the other is.
fn in_case(plain: &[u8], other: &[u8]) -> Vec<u8> {
    let pairs = plain.iter().zip(other);
    pairs.map(|(then, now)| if then.is_ascii_uppercase() { now.to_ascii_uppercase() } else { *now }).collect()
}

/// With every escape resolved.
fn resolved(written: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(written.len());
    let mut at = 0;
    while at < written.len() {
        let (octet, length) = unescaped(&written[at..]);
        out.push(octet);
        at += length;
    }
    out
}

/// An address that is written otherwise than the shortest way, as long as it was.
fn written_alike(written: &[u8], other: &[u8]) -> Vec<u8> {
    let (written, other) = (String::from_utf8_lossy(written), String::from_utf8_lossy(other));
    let Ok(ip) = other.parse::<Ipv6Addr>() else { return other.into_owned().into_bytes() };
    let groups = written.split(':').filter(|group| !group.is_empty());
    let mut rest = ip.segments().into_iter();
    let mut out = String::new();
    let mut at = 0;
    for group in groups {
        let begin = written[at..].find(group).map_or(at, |found| at + found);
        out.push_str(&written[at..begin]);
        at = begin + group.len();
        let wanted = u16::from_str_radix(group, 16).unwrap_or_default();
        let segment =
            if wanted == 0 { 0 } else { rest.by_ref().find(|segment| *segment != 0).unwrap_or_default() };
        let _ = write!(out, "{segment:0width$x}", width = group.len());
    }
    out.push_str(&written[at..]);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &mut Names, text: &str) -> String {
        let places: Vec<_> = words(text.as_bytes()).map(|range| (range, Kind::Word)).collect();
        String::from_utf8(names.renamed(text.as_bytes(), &places)).unwrap()
    }

    #[test]
    fn a_word_is_renamed_alike_in_whatever_case_and_however_it_is_escaped_and_is_as_long() {
        let mut names = Names::new([1; 16]);
        let other = renamed(&mut names, "anna7.b");
        assert_ne!(other, "anna7.b");
        assert!(other.len() == 7 && other.as_bytes()[4].is_ascii_digit() && other.as_bytes()[5] == b'.');
        assert_eq!(
            renamed(&mut names, "ANNA7.b"),
            format!("{}{}", other[..4].to_ascii_uppercase(), &other[4..])
        );
        let escaped = format!("%{:02X}{}", other.as_bytes()[0], &other[1..]);
        assert_eq!(renamed(&mut names, "%61nna7.b"), escaped);
        assert_eq!(renamed(&mut names, "J\u{fc}rgen").chars().count(), 6);
        assert_ne!(renamed(&mut Names::new([2; 16]), "anna7.b"), other);
    }

    #[test]
    fn names_keep_their_order_and_their_shard() {
        let mut names = Names::new([3; 16]);
        names.keep_shards([4; 16], 8);
        let all = ["mia", "anna", "zoe", "ben", "bennet", "cara", "noa", "ann"];
        let mut others = all.map(|name| (name, renamed(&mut names, name)));
        others.sort();
        assert!(others.is_sorted_by_key(|(_, other)| other.clone()), "{others:?}");
        let shard = |name: &str| Keyed::new([4; 16]).key(&[b"shard", name.as_bytes()]).place(8);
        assert!(others.iter().all(|(name, other)| shard(name) == shard(other)), "{others:?}");
        assert_eq!(names.exhausted(), None);
    }

    #[test]
    fn an_address_is_renamed_to_one_of_its_kind_and_what_a_machine_has_drawn_stays() {
        let mut names = Names::new([5; 16]);
        for text in ["127.0.0.1", "192.168.17.4", "203.0.113.77"] {
            let other = renamed(&mut names, text);
            let (then, now): (Ipv4Addr, Ipv4Addr) = (text.parse().unwrap(), other.parse().unwrap());
            assert!(other != text && other.len() == text.len(), "{text} {other}");
            assert_eq!((then.is_private(), then.is_loopback()), (now.is_private(), now.is_loopback()));
        }
        let six = b"2001:db8::17";
        let other = names.renamed(six, &[(0..six.len(), Kind::Word)]);
        assert!(other != six && String::from_utf8(other).unwrap().parse::<Ipv6Addr>().is_ok());
        assert_eq!(
            renamed(&mut names, "0.0.0.0 0000801x7p2hn6yz8mtmweg7"),
            "0.0.0.0 0000801x7p2hn6yz8mtmweg7"
        );
    }

    #[test]
    fn a_word_that_only_the_other_machine_knows_is_learned_and_one_that_means_another_is_noticed() {
        let mut names = Names::new([6; 16]);
        let place = [(0..4, Kind::Word)];
        assert!(names.are_equal(b"a1b2;", b"c3d4;", &place));
        assert_eq!(names.renamed(b"a1b2", &place), b"c3d4");
        assert!(!names.are_equal(b"a1b2;", b"e5f6;", &place));
        assert!(!names.are_equal(b"a1b2;", b"c3d4,", &place));
    }
}
