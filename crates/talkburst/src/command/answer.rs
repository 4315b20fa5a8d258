//! `talkburst answer`: waits for invitations.

use std::sync::Arc;

use clap::Args;
use poc::AnswerMode;
use sip::{Duration, Reliability};

use super::call::{INTERRUPTED, locate};
use super::session::arguments::{Shared, span};
use super::session::play::{Plan, Play};
use super::session::screen::Purpose;
use super::session::settings::Settings;
use super::session::wishes::has_keys;
use super::{DONE, Failure, block_on};
use crate::clock::Clock;
use crate::locate::Locator;

/// The port of SIP (RFC 3261 §19.1.2).
const PORT: u16 = 5060;

/// What was typed behind `answer`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// The user answers; the default in a terminal.
    #[arg(long, conflicts_with = "auto")]
    manual: bool,
    /// Each invitation is accepted at once; the default without a terminal.
    #[arg(long, conflicts_with_all = ["answer_after", "refuse_after"])]
    auto: bool,
    /// Accept this long after the invitation.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    answer_after: Option<Duration>,
    /// Refuse this long after the invitation.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    refuse_after: Option<Duration>,
    /// Say 480 if the invitation is not answered in this span.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "120s")]
    no_answer_after: Duration,
    /// Obey the answer mode that an invitation asks for (RFC 5373): use it where nobody but the server can reach us.
    #[arg(long, requires = "server")]
    trust_server: bool,
    /// Be invited by way of a session with the server that is set up before.
    #[arg(long, requires = "server")]
    pre_established: bool,
    /// End after the first session.
    #[arg(long)]
    once: bool,
    /// Alert reliably (RFC 3262) if the inviter can, not only if it requires it.
    #[arg(long)]
    reliable: bool,
}

/// Answers until stopped, or once.
pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let settings = Settings::read(&arguments.shared)?;
    if settings.proxy.is_some() {
        return Err(Failure::Usage("--proxy: answer sends no invitations; leave it out"));
    }
    block_on(answer(settings, &arguments))
}

async fn answer(mut settings: Settings, arguments: &Arguments) -> Result<u8, Failure> {
    let clock = Clock::start();
    let mode = arguments.mode(!settings.json && has_keys());
    let locator = Arc::new(Locator::new(&settings.nameservers)?);
    let (mut voice, mut wishes) = settings.face(clock, Purpose::Answer)?;
    let (listen, towards, registration) = match &settings.home {
        None => (settings.listen_or(PORT), None, None),
        Some(home) => {
            let Some(targets) = locate(&home.server, &locator, &settings, &mut wishes).await? else {
                return Ok(DONE);
            };
            let (listen, targets) = settings.reachable(targets)?;
            (listen, targets.first().map(|target| target.remote), Some(home.registration(targets)))
        }
    };
    let only = settings.transport;
    let factory = settings.factory(None)?.filter(|_| arguments.pre_established);
    let driver = settings
        .open(clock, listen, only, towards, |config| {
            config.registration = registration;
            config.accepts_alerts = true;
            config.conference_factory = factory;
            config.pre_establishes = arguments.pre_established;
            config.trusts_answer_mode = arguments.trust_server;
            config.settings.answer_mode = mode;
            config.no_answer_after = Some(arguments.no_answer_after);
            if arguments.reliable {
                config.sip.reliability = Reliability::WhenSupported;
            }
        })
        .await?;
    if wishes.has_keys() && !voice.has_screen() {
        voice.story("           space speak and stop, l leave, q or Ctrl-C hang up and end");
    }
    let plan = Plan {
        answer_after: arguments.answer_after,
        refuse_after: arguments.refuse_after,
        leave_after: settings.leave_after,
        talk: settings.talk,
        priority: Some(settings.priority),
        sound: settings.sound.clone(),
        ..Plan::default()
    };
    let mut play = Play::new(clock, driver, voice, wishes, plan, locator);
    play.listening();
    play.take_invitations();
    if settings.home.is_some()
        && let Err(failure) = play.register(true).await
    {
        play.finish().await?;
        return Err(failure);
    }
    while !(play.is_interrupted() || play.is_closing() && play.is_idle()) {
        play.step().await?;
        if play.take_finished().is_some() && arguments.once {
            break;
        }
    }
    let code = if play.is_interrupted() { INTERRUPTED } else { DONE };
    play.finish().await?;
    Ok(code)
}

impl Arguments {
    fn mode(&self, has_user: bool) -> AnswerMode {
        let is_planned = self.answer_after.is_some() || self.refuse_after.is_some();
        if self.manual || is_planned || (has_user && !self.auto) {
            AnswerMode::Manual
        } else {
            AnswerMode::Automatic
        }
    }
}
