//! Who may invite whom, and who answers: the checks of digest 10.1 and 10.2, in their order.
//!
//! Pure questions to the directory: a check never waits, so nothing can be cancelled in the middle of one.

use bytes::Bytes;
use sip::message::{Name, Uri, Valued};
use sip::{Instant, Message};

use super::Config;
use super::directory::{Access, Directory, Served};
use crate::body::settings::Settings;
use crate::client::AnswerMode;
use crate::user_agent;
use crate::{address, display};

/// Why an INVITE goes no further here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// For a human (digest 12.2, Q6: a text without a number).
    pub(super) warning: Option<&'static str>,
}

impl Refusal {
    pub(super) const fn status(status: u16) -> Self {
        Self { status, warning: None }
    }

    pub(super) const fn saying(status: u16, warning: &'static str) -> Self {
        Self { status, warning: Some(warning) }
    }
}

/// What an INVITE says of its inviter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Inviter {
    /// The PoC Address that the core asserts (RFC 3325 §9.1).
    pub(super) address: Option<Bytes>,
    /// What it calls itself: as the core asserts it, or in From, if that is of the same user.
    pub(super) name: Option<Box<str>>,
    /// The invited users must not learn it (RFC 3323, RFC 3325 §7).
    pub(super) is_anonymous: bool,
    /// It knows the response code 433 (RFC 5079): an inviter of 1.0 does not (Q3).
    pub(super) knows_433: bool,
    /// How it wants the invited client to answer (RFC 5373).
    pub(super) wish: Wish,
}

/// How an inviter wants an invitation to be answered (RFC 5373 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wish {
    /// Manual answer override: as a privilege, the client answers by itself.
    pub(super) overrides: bool,
    /// Answer-Mode.
    pub(super) mode: Option<AnswerMode>,
    /// Whether one of them must be followed or the INVITE be refused.
    pub(super) is_required: bool,
}

impl Inviter {
    pub(super) fn of(request: &Message) -> Self {
        let asserted = request.addresses(Name::PAssertedIdentity).filter_map(Result::ok);
        let address = asserted.filter_map(|each| address::canonical(each.uri)).next();
        let asserted = request.addresses(Name::PAssertedIdentity).filter_map(Result::ok);
        let of_from = request.from().ok().map(|from| (from.uri, from.display));
        let named = asserted.map(|each| (each.uri, each.display)).chain(of_from);
        let name = named
            .filter(|(uri, display)| !display.is_empty() && address::canonical(uri) == address)
            .find_map(|(_, display)| display::read(&request.unfolded(display)));
        let name = name.map(String::into_boxed_str);
        let is_hidden = |token: &[u8]| request.lists(Name::Privacy, token);
        // RFC 3323 §4.1.1.3: who calls itself so wants no name, whatever Privacy says.
        let calls_itself_nobody = request.from().is_ok_and(|from| {
            Uri::parse(from.uri).is_ok_and(|uri| uri.host.eq_ignore_ascii_case(b"anonymous.invalid"))
        });
        let is_anonymous = calls_itself_nobody || [&b"id"[..], b"user", b"header"].into_iter().any(is_hidden);
        let knows_433 = user_agent::version(request).is_some_and(|version| version.major >= 2);
        Self { address, name, is_anonymous, knows_433, wish: Wish::of(request) }
    }
}

impl Wish {
    fn of(request: &Message) -> Self {
        let read = |name| request.valued(name).next().and_then(Result::ok);
        let is_auto = |valued: &Valued<'_>| valued.value.eq_ignore_ascii_case(b"Auto");
        let (privileged, ordinary) = (read(Name::PrivAnswerMode), read(Name::AnswerMode));
        let mode = ordinary.and_then(|each| match () {
            () if is_auto(&each) => Some(AnswerMode::Automatic),
            () if each.value.eq_ignore_ascii_case(b"Manual") => Some(AnswerMode::Manual),
            () => None, // RFC 5373 §4.2: what is unknown is ignored
        });
        let is_required =
            [privileged, ordinary].into_iter().flatten().any(|each| each.parameters.has(b"require"));
        Self { overrides: privileged.is_some_and(|each| is_auto(&each)), mode, is_required }
    }
}

/// The originating side: whether `inviter` may begin a session (digest 10.1, 10.3 step 1).
pub(super) fn may_initiate<'a>(directory: &'a Directory, inviter: &Inviter) -> Result<&'a Served, Refusal> {
    let served = inviter.address.as_ref().and_then(|address| directory.get(address));
    let served = served.ok_or(Refusal::saying(403, "function not allowed"))?;
    if served.sessions >= served.user.sessions_max {
        return Err(Refusal::saying(486, "too many sessions"));
    }
    Ok(served)
}

/// Whether `inviter` may be anonymous, if it is (RFC 5079, digest 10.2 row 4).
pub(super) fn may_hide(is_admitted: bool, inviter: &Inviter) -> Result<(), Refusal> {
    if is_admitted || !inviter.is_anonymous {
        return Ok(());
    }
    Err(Refusal::saying(if inviter.knows_433 { 433 } else { 403 }, "anonymity not allowed"))
}

/// A user who may be reached.
pub(super) struct Reached<'a> {
    pub(super) served: &'a Served,
    pub(super) settings: Settings,
    pub(super) access: Access,
}

/// The terminating side: whether anything of `inviter` reaches `invited`. Rows 1 to 5 of digest 10.2; row 3 is about groups.
pub(super) fn may_reach<'a>(
    config: &Config,
    directory: &'a Directory,
    now: Instant,
    invited: &[u8],
    inviter: &Inviter,
) -> Result<Reached<'a>, Refusal> {
    let served = directory.get(invited).ok_or(Refusal::status(404))?; // 1
    let user = &served.user;
    let published = served.publications.settings(now).or(config.unpublished);
    let unasked = user.plain_phone.then(Settings::default); // it cannot publish any
    let settings = published.or(unasked).ok_or(Refusal::status(480))?; // 2
    may_hide(!user.refuses_anonymous, inviter)?; // 4
    let access = user.access_of(inviter.address.as_deref().unwrap_or_default());
    if access == Access::Reject {
        return Err(Refusal::status(403)); // 5
    }
    Ok(Reached { served, settings, access })
}

/// The terminating side: whether `invited` may be invited, and who answers. The first row of digest 10.2 that matches
/// decides.
pub(super) fn may_be_invited(
    config: &Config,
    directory: &Directory,
    now: Instant,
    request: &Message,
    invited: &[u8],
    inviter: &Inviter,
) -> Result<AnswerMode, Refusal> {
    let Reached { served, settings, access } = may_reach(config, directory, now, invited, inviter)?;
    let user = &served.user;
    if settings.incoming_session_barring == Some(true) {
        return Err(Refusal::status(480)); // 6
    }
    let slots = match settings.simultaneous_sessions {
        Some(true) => user.sessions_max,
        Some(false) | None => user.sessions_max.min(1),
    };
    if served.sessions >= slots {
        return Err(Refusal::status(486)); // 7
    }
    let wish = inviter.wish;
    let is_overriding =
        wish.overrides && user.override_by.allows(inviter.address.as_deref().unwrap_or_default());
    let mode = match access {
        _ if is_overriding => AnswerMode::Automatic,         // 8
        Access::Pass | Access::Reject => AnswerMode::Manual, // 9
        Access::Accept if wish.mode == Some(AnswerMode::Manual) => AnswerMode::Manual,
        Access::Accept => settings.answer_mode.unwrap_or(AnswerMode::Manual), // 9, 10
    };
    let is_auto_wanted = wish.overrides || wish.mode == Some(AnswerMode::Automatic);
    if wish.is_required && is_auto_wanted && mode == AnswerMode::Manual {
        return Err(Refusal::saying(403, "automatic answer forbidden")); // RFC 5373 §4.3
    }
    if request.body().is_empty() {
        // The user's offer would stand in the 200, and the answer in an ACK, which is not passed on.
        return Err(Refusal::saying(488, "no offer"));
    }
    Ok(mode)
}
