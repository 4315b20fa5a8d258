//! Names of header fields and methods, with their compact forms.

use std::fmt;

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $(| $compact:literal)?,)*) => {
        /// The header fields that this system knows by name; every other one is [`Name::Other`] and survives untouched.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the variants are the header fields' own names")]
        pub enum Name { $($variant,)* Other }

        impl Name {
            /// The name as the specifications spell it; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other => "" }
            }

            const ALL: &'static [(&'static str, Self)] =
                &[$(($text, Self::$variant), $(($compact, Self::$variant),)?)*];
        }
    };
}

names! {
    Accept = "Accept",
    AcceptContact = "Accept-Contact" | "a",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AllowEvents = "Allow-Events" | "u",
    AnswerMode = "Answer-Mode",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CallId = "Call-ID" | "i",
    CallInfo = "Call-Info",
    Contact = "Contact" | "m",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding" | "e",
    ContentId = "Content-ID",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length" | "l",
    ContentType = "Content-Type" | "c",
    CSeq = "CSeq",
    Date = "Date",
    ErrorInfo = "Error-Info",
    Event = "Event" | "o",
    Expires = "Expires",
    From = "From" | "f",
    InReplyTo = "In-Reply-To",
    InfoPackage = "Info-Package",
    MaxForwards = "Max-Forwards",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    MinSe = "Min-SE",
    Organization = "Organization",
    PAccessNetworkInfo = "P-Access-Network-Info",
    PAlertingMode = "P-Alerting-Mode",
    PAnswerState = "P-Answer-State",
    PAssertedIdentity = "P-Asserted-Identity",
    PAssertedService = "P-Asserted-Service",
    PAssociatedUri = "P-Associated-URI",
    PChargingFunctionAddresses = "P-Charging-Function-Addresses",
    PChargingVector = "P-Charging-Vector",
    PPreferredIdentity = "P-Preferred-Identity",
    PPreferredService = "P-Preferred-Service",
    PRefusedUriList = "P-Refused-URI-List",
    PVisitedNetworkId = "P-Visited-Network-ID",
    Path = "Path",
    Priority = "Priority",
    Privacy = "Privacy",
    PrivAnswerMode = "Priv-Answer-Mode",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RAck = "RAck",
    Reason = "Reason",
    RecordRoute = "Record-Route",
    RecvInfo = "Recv-Info",
    ReferSub = "Refer-Sub",
    ReferTo = "Refer-To" | "r",
    ReferredBy = "Referred-By" | "b",
    RejectContact = "Reject-Contact" | "j",
    ReplyTo = "Reply-To",
    RequestDisposition = "Request-Disposition" | "d",
    Require = "Require",
    ResourcePriority = "Resource-Priority",
    RetryAfter = "Retry-After",
    Route = "Route",
    RSeq = "RSeq",
    SecurityClient = "Security-Client",
    SecurityServer = "Security-Server",
    SecurityVerify = "Security-Verify",
    Server = "Server",
    ServiceRoute = "Service-Route",
    SessionExpires = "Session-Expires" | "x",
    SipEtag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match",
    Subject = "Subject" | "s",
    SubscriptionState = "Subscription-State",
    Supported = "Supported" | "k",
    TargetDialog = "Target-Dialog",
    Timestamp = "Timestamp",
    To = "To" | "t",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Via = "Via" | "v",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

/// A spelling, and its beginning and end as [`ends_of`] reads them.
#[derive(Clone, Copy)]
struct Spelling {
    name: Name,
    text: &'static [u8],
    ends: [u64; 2],
    /// The bits of `ends` in which another spelling may not differ: all but the ones that are the case of a letter.
    fixed: [u64; 2],
}

const EACH: u64 = 0x0101_0101_0101_0101;

/// The bit in which a letter differs from the same letter in the other case.
const CASE: u64 = 0x20 * EACH;

/// The first and the last octets of `text`: together with the length, all of it up to 16 octets.
#[inline]
const fn ends_of(text: &[u8]) -> [u64; 2] {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        [u64::from_le_bytes(*first), u64::from_le_bytes(*last)]
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        [u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64]
    } else {
        match text {
            [] => [0, 0],
            [only] => [*only as u64, 0],
            [first, .., last] => [*first as u64 | (text[1] as u64) << 8, *last as u64],
        }
    }
}

/// All bits of eight octets but the case of those that are letters.
const fn fixed_bits(word: u64) -> u64 {
    let octets = word.to_le_bytes();
    let mut fixed = u64::MAX;
    let mut at = 0;
    while at < octets.len() {
        if octets[at].is_ascii_alphabetic() {
            fixed &= !(0x20 << (8 * at));
        }
        at += 1;
    }
    fixed
}

/// Slots of the table by hash, several times as many as spellings so that a multiplier without collisions is found soon.
const SLOTS: usize = 2048;

#[inline]
const fn slot(ends: [u64; 2], length: usize, multiplier: u64) -> usize {
    let [first, last] = [ends[0] | CASE, ends[1] | CASE];
    let mixed = (first ^ last.rotate_left(23)).wrapping_add(length as u64).wrapping_mul(multiplier);
    (mixed >> (64 - SLOTS.ilog2())) as usize
}

const COUNT: usize = Name::ALL.len();

static SPELLINGS: [Spelling; COUNT] = {
    let nothing = Spelling { name: Name::Other, text: b"", ends: [0; 2], fixed: [0; 2] };
    let mut spellings = [nothing; COUNT];
    let mut each = 0;
    while each < COUNT {
        let (text, name) = Name::ALL[each];
        let ends = ends_of(text.as_bytes());
        let fixed = [fixed_bits(ends[0]), fixed_bits(ends[1])];
        spellings[each] = Spelling { name, text: text.as_bytes(), ends, fixed };
        each += 1;
    }
    spellings
};

/// A perfect hash, found when this is compiled: the multiplier, and for each slot the index of the one spelling that may
/// be there (0 where there is none, which comparing shows).
const PERFECT: (u64, [u8; SLOTS]) = {
    assert!(COUNT < 256, "an index is an octet");
    let mut multiplier = 0x9e37_79b9_7f4a_7c15_u64;
    'search: loop {
        multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(2);
        let mut table = [0; SLOTS];
        let mut taken = [false; SLOTS];
        let mut each = 0;
        while each < COUNT {
            let text = Name::ALL[each].0.as_bytes();
            let slot = slot(ends_of(text), text.len(), multiplier);
            if taken[slot] {
                continue 'search;
            }
            taken[slot] = true;
            table[slot] = each as u8;
            each += 1;
        }
        break (multiplier, table);
    }
};

static INDICES: [u8; SLOTS] = PERFECT.1;

impl Name {
    /// The header field that `text` names, in any case and in its compact form too.
    #[inline]
    pub fn parse(text: &[u8]) -> Self {
        let ends = ends_of(text);
        let spelling = &SPELLINGS[usize::from(INDICES[slot(ends, text.len(), PERFECT.0)])];
        let [first, last] = [0, 1].map(|end| (ends[end] ^ spelling.ends[end]) & spelling.fixed[end]);
        let is_it = first | last == 0
            && spelling.text.len() == text.len()
            && (text.len() <= 16 || spelling.text.eq_ignore_ascii_case(text));
        if is_it { spelling.name } else { Self::Other }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A method that this system knows. Methods are case-sensitive (RFC 3261 §7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the variants are the methods' own names")]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
    /// Any other token.
    Other,
}

impl Method {
    /// The method as it stands in a request line; empty for [`Method::Other`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Other => "",
        }
    }

    /// The method that `text` spells.
    pub fn parse(text: &[u8]) -> Self {
        match text {
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"INFO" => Self::Info,
            b"INVITE" => Self::Invite,
            b"MESSAGE" => Self::Message,
            b"NOTIFY" => Self::Notify,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            b"REFER" => Self::Refer,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UPDATE" => Self::Update,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_compact_form_is_found_in_any_case() {
        for (text, name) in Name::ALL {
            assert_eq!(Name::parse(text.as_bytes()), *name);
            assert_eq!(Name::parse(text.to_ascii_uppercase().as_bytes()), *name);
        }
        assert_eq!(Name::parse(b"X-Unknown"), Name::Other);
        assert_eq!(Name::parse(b""), Name::Other);
        assert_eq!(Name::parse(&[b'v'; 300]), Name::Other);
        // Ends and length of a known name are not yet that name.
        assert_eq!(Name::parse(b"P-AssertXX-Identity"), Name::Other);
    }

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::parse(b"INVITE"), Method::Invite);
        assert_eq!(Method::parse(b"Invite"), Method::Other);
    }
}
