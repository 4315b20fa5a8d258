//! `talkburst call`: invites users, or joins a group.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use poc::client::{Change, Invitees};
use poc::{Addressee, AnswerRequest};
use sip::Duration;
use sip::transport::Target;
use sip::usage::End;

use super::session::address;
use super::session::arguments::{Shared, span};
use super::session::play::{Finished, Plan, Play};
use super::session::screen::Purpose;
use super::session::settings::Settings;
use super::session::voice::{Ended, Told};
use super::session::wishes::{Wish, Wishes};
use super::{DONE, Failure, block_on};
use crate::clock::Clock;
use crate::locate::Locator;

/// Exit code: the network failed under the call.
const NETWORK: u8 = 4;

/// Exit code: the other side did not accept.
pub(super) const NOT_ACCEPTED: u8 = 5;

/// Exit code: nobody answered.
pub(super) const NOBODY: u8 = 6;

/// Exit code: the user did not wait for the end.
pub(super) const INTERRUPTED: u8 = 130;

/// What was typed behind `call`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Whom to invite: `sip:ben@example.com`; `ben` is at home where --user is. Several are an ad-hoc group.
    #[arg(value_name = "SIP-URI", required = true)]
    uris: Vec<String>,
    /// It is a pre-arranged group, whose members are invited.
    #[arg(long, requires = "server")]
    group: bool,
    /// It is a chat group, in which one takes part without inviting anybody.
    #[arg(long, requires = "server", conflicts_with = "group")]
    chat: bool,
    /// Invite by way of a session with the server that is set up before.
    #[arg(long, requires = "server")]
    pre_established: bool,
    /// Add this user once in session; may be repeated.
    #[arg(long, value_name = "SIP-URI", requires = "server")]
    add: Vec<String>,
    /// Send this user away once in session, or take the invitation back that rings; may be repeated.
    #[arg(long, value_name = "SIP-URI", requires = "server")]
    remove: Vec<String>,
    /// Add and remove this long after the session is established.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "0s")]
    change_after: Duration,
    #[command(flatten)]
    shared: Shared,
    /// Be answered without the invited user being asked, whatever that user has settled (manual answer override).
    #[arg(long = "override")]
    overrides: bool,
    /// Invite by way of this conference factory, with a list; for several users that of the server is known.
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
    let uris = complete("SIP-URI", &arguments.uris, &settings)?;
    let changes = [(Change::Add, "--add", &arguments.add), (Change::Remove, "--remove", &arguments.remove)];
    let mut members = Vec::new();
    for (change, what, typed) in changes {
        members.extend(complete(what, typed, &settings)?.into_iter().map(|user| (change, user)));
    }
    let to = arguments.addressee(&uris)?;
    block_on(call((&uris, to), members, settings, &arguments))
}

/// Users and groups as they are typed, as URIs.
fn complete(what: &'static str, typed: &[String], settings: &Settings) -> Result<Vec<String>, Failure> {
    let domain = settings.domain();
    let complete = |typed: &String| match &domain {
        Some(domain) => address::complete(typed, domain),
        None => typed.clone(),
    };
    typed.iter().map(|typed| address::uri(what, &complete(typed))).collect()
}

async fn call(
    (uris, to): (&[String], Addressee),
    members: Vec<(Change, String)>,
    mut settings: Settings,
    arguments: &Arguments,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let (mut voice, mut wishes) = settings.face(clock, Purpose::Call)?;
    if wishes.has_keys() && !voice.has_screen() {
        voice.story("           space speak and stop, c cancel, l leave, q or Ctrl-C hang up and end");
    }
    let locator = Arc::new(Locator::new(&settings.nameservers)?);
    let Some(targets) = locate(&uris[0], &locator, &settings, &mut wishes).await? else {
        // Nothing has been sent, and nothing will be.
        voice.tell(clock.now(), &Told::Ended(Ended::before_the_invite(1)));
        voice.leave_screen();
        return voice.failure().map_or(Ok(DONE), |error| Err(Failure::Output(error)));
    };
    let (listen, targets) = settings.reachable(targets)?;
    let towards = targets.first().map(|target| target.remote);
    let is_wanted = arguments.factory.is_some() || uris.len() > 1 || arguments.pre_established;
    let factory = settings.factory(arguments.factory.as_deref())?.filter(|_| is_wanted);
    if uris.len() > 1 && factory.is_none() {
        return Err(Failure::Usage("several users: their session needs a server; use --server"));
    }
    let registration = settings.home.as_ref().map(|home| home.registration(targets.clone()));
    let driver = settings
        .open(clock, listen, None, towards, |config| {
            config.set_up_limit = arguments.expires;
            config.conference_factory = factory;
            config.pre_establishes = arguments.pre_established;
            config.registration = registration;
        })
        .await?;
    let plan = Plan {
        hang_up_after: arguments.cancel_after,
        leave_after: settings.leave_after,
        talk: settings.talk,
        priority: Some(settings.priority),
        sound: settings.sound.clone(),
        reoffer_after: arguments.reoffer_after,
        reoffer_cancel_after: arguments.reoffer_cancel_after,
        ..Plan::default()
    };
    let routes = settings.proxy.iter().map(|proxy| Bytes::from(proxy.route.clone())).collect();
    let mut play = Play::new(clock, driver, voice, wishes, plan, locator);
    play.change_members(members, arguments.change_after);
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
    if arguments.pre_established {
        play.pre_establish().await?;
    }
    play.invite(&uris.join(", "), to, targets, routes, answer).await?;
    while !play.is_idle() && !play.is_interrupted() {
        play.step().await?;
    }
    let code =
        play.take_finished().map_or(INTERRUPTED, |finished| code_of(&finished, arguments.expires.is_some()));
    play.finish().await?;
    Ok(code)
}

impl Arguments {
    fn addressee(&self, uris: &[String]) -> Result<Addressee, Failure> {
        let bytes = |uri: &String| Bytes::from(uri.clone());
        match uris {
            [group] if self.group => Ok(Addressee::PreArranged(bytes(group))),
            [group] if self.chat => Ok(Addressee::Chat(bytes(group))),
            _ if self.group || self.chat => Err(Failure::Usage("--group, --chat: name one group")),
            [user] => Ok(Addressee::User(bytes(user))),
            users => {
                let users = Invitees::new(users.iter().map(bytes).collect());
                Ok(Addressee::Users(users.map_err(Failure::Invitees)?))
            }
        }
    }
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
                Wish::Cancel | Wish::HangUp | Wish::GiveUp | Wish::Quit | Wish::Interrupt => return Ok(None),
                Wish::Answer | Wish::Refuse | Wish::Leave | Wish::Reoffer | Wish::CancelReoffer | Wish::ChangeMembers | Wish::Press | Wish::LetGo | Wish::Toggle | Wish::View(_) => {}
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
