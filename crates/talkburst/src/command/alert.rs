//! `talkburst alert`: an Instant Personal Alert, or a group advertisement.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use poc::body::group_advertisement::Advertisement;
use poc::client::Alert;

use super::call::{INTERRUPTED, NOBODY, NOT_ACCEPTED, locate};
use super::session::address;
use super::session::arguments::Shared;
use super::session::play::{Plan, Play};
use super::session::settings::Settings;
use super::session::voice::Voice;
use super::session::wishes::{Keys, Wishes};
use super::{DONE, Failure, block_on};
use crate::clock::Clock;
use crate::locate::Locator;

/// What was typed behind `alert`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Whom: a user, or a group with all its members. `ben` is at home where --user is.
    #[arg(value_name = "SIP-URI")]
    uri: String,
    #[command(flatten)]
    shared: Shared,
    /// A word with it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// Tell of this group instead of asking to be called back.
    #[arg(long, value_name = "SIP-URI")]
    about: Option<String>,
    /// The name of that group.
    #[arg(long, value_name = "NAME", requires = "about")]
    name: Option<String>,
}

/// Alerts, and tells in the exit code what came of it.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let settings = Settings::read(&arguments.shared)?;
    let complete = |what, typed: &String| {
        let domain = settings.domain();
        address::uri(what, &domain.map_or_else(|| typed.clone(), |domain| address::complete(typed, &domain)))
    };
    let uri = complete("SIP-URI", &arguments.uri)?;
    let group = arguments.about.as_ref().map(|typed| complete("--about", typed)).transpose()?;
    let alert = match group {
        None => Alert::Personal { text: arguments.text },
        Some(group) => Alert::Group(Box::new(Advertisement {
            group: Bytes::from(group),
            display_name: arguments.name,
            kind: None,
            note: Some(arguments.text).filter(|text| !text.is_empty()),
        })),
    };
    block_on(send(&uri, alert, settings))
}

async fn send(uri: &str, alert: Alert, mut settings: Settings) -> Result<u8, Failure> {
    let clock = Clock::start();
    let mut voice = Voice::new(settings.json);
    let keys = if settings.json { Keys::None } else { Keys::Lines };
    let mut wishes = Wishes::listen(keys).map_err(Failure::Network)?;
    voice.set_raw(wishes.has_keys());
    let locator = Arc::new(Locator::new(&settings.nameservers)?);
    let Some(targets) = locate(uri, &locator, &settings, &mut wishes).await? else {
        return Ok(INTERRUPTED);
    };
    let (listen, targets) = settings.reachable(targets)?;
    let towards = targets.first().map(|target| target.remote);
    let registration = settings.home.as_ref().map(|home| home.registration(targets.clone()));
    let driver =
        settings.open(clock, listen, None, towards, |config| config.registration = registration).await?;
    let routes = settings.proxy.iter().map(|proxy| Bytes::from(proxy.route.clone())).collect();
    let mut play = Play::new(clock, driver, voice, wishes, Plan::default(), locator);
    play.listening();
    let targets = if settings.home.is_none() {
        targets
    } else {
        match play.register(false).await {
            Ok(true) => Vec::new(),
            Ok(false) => {
                play.finish().await?;
                return Ok(INTERRUPTED);
            }
            Err(failure) => {
                play.finish().await?;
                return Err(failure);
            }
        }
    };
    let answer = play.alert(uri, targets, routes, alert).await;
    play.finish().await?;
    Ok(match answer? {
        None => INTERRUPTED,
        Some(Some(200..=299)) => DONE,
        Some(Some(_)) => NOT_ACCEPTED,
        Some(None) => NOBODY,
    })
}
