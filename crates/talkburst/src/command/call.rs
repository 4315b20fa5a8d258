//! `talkburst call`: invites one user.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use poc::AnswerRequest;
use sip::Duration;
use sip::transport::Target;
use sip::usage::End;

use super::session::address;
use super::session::arguments::{Shared, span};
use super::session::play::{Finished, Plan, Play};
use super::session::settings::Settings;
use super::session::voice::{Ended, Told, Voice};
use super::session::wishes::{Wish, Wishes};
use super::{DONE, Failure};
use crate::clock::Clock;
use crate::locate::Locator;

/// Exit code: the network failed under the call.
const NETWORK: u8 = 4;

/// Exit code: the other side did not accept.
const NOT_ACCEPTED: u8 = 5;

/// Exit code: nobody answered.
const NOBODY: u8 = 6;

/// Exit code: the user did not wait for the end.
pub(super) const INTERRUPTED: u8 = 130;

/// What was typed behind `call`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Whom to invite: `sip:ben@example.com`; `ben` is at home where --user is.
    #[arg(value_name = "SIP-URI")]
    uri: String,
    #[command(flatten)]
    shared: Shared,
    /// Be answered without the invited user being asked, whatever that user has settled (manual answer override).
    #[arg(long = "override")]
    overrides: bool,
    /// Invite by way of this conference factory, with a list of one.
    #[arg(long, value_name = "SIP-URI", requires = "server")]
    factory: Option<String>,
    /// Give up this long after the INVITE; leave, if it was answered by then.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    cancel_after: Option<Duration>,
    /// Let the invitation expire after this span.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<Duration>,
    /// Offer the media again this long after the session is established (re-INVITE).
    #[arg(long, value_name = "SPAN", value_parser = span)]
    reoffer_after: Option<Duration>,
    /// Give up that offer after this span.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "reoffer_after")]
    reoffer_cancel_after: Option<Duration>,
}

/// Calls, and tells in the exit code what came of it.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let settings = Settings::read(&arguments.shared)?;
    let typed =
        settings.domain().map_or_else(|| arguments.uri.clone(), |of| address::complete(&arguments.uri, &of));
    let uri = address::uri("SIP-URI", &typed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Network)?;
    runtime.block_on(call(&uri, settings, &arguments))
}

async fn call(uri: &str, mut settings: Settings, arguments: &Arguments) -> Result<u8, Failure> {
    let clock = Clock::start();
    let mut voice = Voice::new(settings.json);
    let mut wishes = Wishes::listen(!settings.json).map_err(Failure::Network)?;
    voice.set_raw(wishes.has_keys());
    if wishes.has_keys() {
        voice.story("           c cancel, l leave, q or Ctrl-C hang up and end");
    }
    let locator = Arc::new(Locator::new(&settings.nameservers)?);
    let Some(targets) = locate(uri, &locator, &settings, &mut wishes).await? else {
        // Nothing has been sent, and nothing will be.
        voice.tell(clock.now(), &Told::Ended(Ended::before_the_invite(1)));
        return voice.failure().map_or(Ok(DONE), |error| Err(Failure::Output(error)));
    };
    let (listen, targets) = settings.reachable(targets)?;
    let towards = targets.first().map(|target| target.remote);
    let factory = arguments.factory.as_deref().map(|typed| address::uri("--factory", typed)).transpose()?;
    let registration = settings.home.as_ref().map(|home| home.registration(targets.clone()));
    let driver = settings
        .open(clock, listen, None, towards, |config| {
            config.set_up_limit = arguments.expires;
            config.conference_factory = factory.map(Bytes::from);
            config.registration = registration;
        })
        .await?;
    let plan = Plan {
        hang_up_after: arguments.cancel_after,
        leave_after: settings.leave_after,
        reoffer_after: arguments.reoffer_after,
        reoffer_cancel_after: arguments.reoffer_cancel_after,
        ..Plan::default()
    };
    let routes = settings.proxy.iter().map(|proxy| Bytes::from(proxy.route.clone())).collect();
    let mut play = Play::new(clock, driver, voice, wishes, plan, locator);
    play.listening();
    let targets = if settings.home.is_some() {
        match play.register(false).await {
            Ok(true) => Vec::new(),
            Ok(false) => {
                play.tell_now(&Told::Ended(Ended::before_the_invite(1)));
                return play.finish().await.map(|()| DONE);
            }
            Err(failure) => {
                play.finish().await?;
                return Err(failure);
            }
        }
    } else {
        targets
    };
    let answer = if arguments.overrides { AnswerRequest::Override } else { AnswerRequest::Usual };
    play.invite(uri, targets, routes, answer).await?;
    while !play.is_idle() && !play.is_interrupted() {
        play.step().await?;
    }
    let code =
        play.take_finished().map_or(INTERRUPTED, |finished| code_of(&finished, arguments.expires.is_some()));
    play.finish().await?;
    Ok(code)
}

/// Where the first request goes; `None` if its user gave up during the look-up.
pub(super) async fn locate(
    uri: &str,
    locator: &Locator,
    settings: &Settings,
    wishes: &mut Wishes,
) -> Result<Option<Vec<Target>>, Failure> {
    let next_hop = match (&settings.home, &settings.proxy) {
        (Some(home), _) => &home.server,
        (None, Some(proxy)) => &proxy.uri,
        (None, None) => uri,
    };
    let located = locator.locate(next_hop, settings.transport);
    tokio::pin!(located);
    loop {
        tokio::select! {
            targets = &mut located => return Ok(Some(targets?)),
            wish = wishes.next() => match wish {
                Wish::Cancel | Wish::HangUp | Wish::Quit | Wish::Interrupt => return Ok(None),
                Wish::Answer | Wish::Refuse | Wish::Leave | Wish::Reoffer | Wish::CancelReoffer => {}
            },
        }
    }
}

/// `can_expire`: the invitation said for how long it stands.
fn code_of(finished: &Finished, can_expire: bool) -> u8 {
    match finished.outcome.end {
        End::Left | End::Released => DONE,
        End::Cancelled if finished.was_unwanted => DONE,
        // RFC 3261 §13.3.1: it may expire at the invited side first.
        End::Rejected if can_expire && finished.outcome.status == Some(487) => NOBODY,
        End::Rejected => NOT_ACCEPTED,
        End::TransportFailed => NETWORK,
        // Without the user's wish it was --expires that cancelled.
        End::Cancelled | End::Expired | End::TimedOut | End::NotAcknowledged | End::Lost => NOBODY,
    }
}
