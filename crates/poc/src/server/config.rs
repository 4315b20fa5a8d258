//! What a PoC Server is told once.

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::Duration;
use sip::message::Method;
use sip::transport::Target;

use super::media::Ports;
use crate::body::conference_info;
use crate::body::settings::Settings;
use crate::sdp::Capabilities;
use crate::{talk_burst, user_agent};

/// What a PoC Server is told once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The endpoint below.
    pub sip: sip::Config,
    /// The SIP/IP core: the next hop of all that the server sends.
    pub core: Target,
    /// Where else the core sends from. What comes from elsewhere is dropped.
    pub trusted: Vec<IpAddr>,
    /// The conference factory: the Request-URI of an INVITE with a list (digest 3).
    pub factory: Bytes,
    /// Where the server receives speech and talk burst control, and what it can do itself: the same for every session, but for the
    /// ports.
    pub media: Capabilities,
    /// The ports; those of `media` are the first. Two terminals of one user, or one in two sessions, are told apart by them.
    pub ports: Vec<Ports>,
    /// The talk bursts of the sessions that are controlled here.
    pub talk_bursts: talk_burst::controlling::Settings,
    /// Whether a session in which nobody has spoken for the time of T4 is released (g17).
    pub release_inactive: bool,
    /// Whether what is said in the sessions that are controlled here is told, to be recorded.
    pub is_recording: bool,
    /// Whether the inviter may be told 200 (Unconfirmed) before anybody has accepted (digest Q10, 7.5).
    pub early_answer: bool,
    /// How long an invited user may take to answer (digest 10.4).
    pub set_up_limit: Duration,
    /// How long a client may ring for an inviter that never gives up.
    pub ring_limit: Duration,
    /// Users whom one INVITE may invite, but for a group's.
    pub invited_max: usize,
    /// Of those, how many at once; the others have their turn when so much time has passed, again and again.
    pub invites_at_once: usize,
    /// So much.
    pub invites_pause: Duration,
    /// How long a change in a session waits for others before subscribers are told (RFC 4575).
    pub notify_after: Duration,
    /// How long a subscriber is left alone then.
    pub notify_every: Duration,
    /// Each MESSAGE that was sent on and has no answer yet, copies to the members of groups among them.
    pub messages_max: usize,
    /// Pre-established sessions that a user may have at once, each for one PoC Session at a time.
    pub pre_established_max: usize,
    /// Whether a client with a pre-established session hears of PoC Sessions that are answered automatically, and of the end of all,
    /// by TBCP Connect and Disconnect (user-plane digest 7), and not by re-INVITE.
    pub connects: bool,
    /// T15, T16: after so long a Connect or a Disconnect that is not acknowledged is sent again.
    pub connect_wait: Duration,
    /// How often it is sent.
    pub connect_sends: u8,
    /// The settings of a user who has published none. `None`: not registered for PoC, 480 (digest Q9).
    pub unpublished: Option<Settings>,
    /// For how long settings are kept that come without a span.
    pub publication: Duration,
    /// The shortest span for which settings are kept, but for none at all.
    pub publication_min: Duration,
}

impl Config {
    /// The defaults: early answer off, 30 s to answer, settings for an hour.
    pub fn new(mut sip: sip::Config, core: Target, factory: Bytes, media: Capabilities) -> Self {
        sip.product = Bytes::from_static(user_agent::SERVER.as_bytes());
        sip.contact_parameters = Bytes::from_static(b";+g.poc.talkburst");
        sip.supported = ["recipient-list-invite", "multiple-refer"]
            .map(|tag| Bytes::from_static(tag.as_bytes()))
            .to_vec();
        sip.body_types = ["application/sdp", "multipart/mixed", "application/resource-lists+xml"]
            .map(|kind| Bytes::from_static(kind.as_bytes()))
            .to_vec();
        sip.methods = vec![Method::Publish, Method::Message, Method::Refer];
        sip.events = vec![Bytes::from_static(conference_info::EVENT.as_bytes())];
        sip.session_expires = Some(Duration::from_secs(30 * 60));
        let ports = vec![Ports { speech: media.audio_port, control: media.control_port }];
        Self {
            sip,
            core,
            trusted: Vec::new(),
            factory,
            media,
            ports,
            talk_bursts: talk_burst::controlling::Settings::default(),
            release_inactive: false,
            is_recording: false,
            early_answer: false,
            set_up_limit: Duration::from_secs(30),
            ring_limit: Duration::from_secs(170),
            invited_max: 32,
            invites_at_once: 64,
            invites_pause: Duration::from_millis(10),
            notify_after: Duration::from_millis(500),
            notify_every: Duration::from_secs(5),
            messages_max: 10_000,
            pre_established_max: 4,
            connects: true,
            connect_wait: Duration::from_secs(2),
            connect_sends: 3,
            unpublished: None,
            publication: Duration::from_secs(3600),
            publication_min: Duration::from_secs(60),
        }
    }

    /// Receives media at these ports; at least one pair.
    pub fn set_ports(&mut self, ports: Vec<Ports>) {
        if let Some(first) = ports.first() {
            (self.media.audio_port, self.media.control_port) = (first.speech, first.control);
        }
        self.ports = ports;
    }
}
