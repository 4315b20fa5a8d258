//! A machine of a journal, driven again.

use poc::client::MediaTransmit as ClientMedia;
use poc::server::{MediaTransmit, Recording};
use poc::{Client, Event as ClientEvent};
use sip::transport::Transmit;
use sip::{Instant, Message};

use crate::journal::{Config, Input, Said};
use crate::serve::shard::{self, Event, Outgoing, Shard};

/// One machine.
pub(super) enum Machine {
    Client(Box<Client>),
    Shard(Box<Shard>),
}

/// What a machine says.
#[derive(Debug)]
pub(super) enum Output {
    Message(Transmit),
    Outgoing(Outgoing),
    Media(MediaTransmit),
    ClientMedia(ClientMedia),
    Recording(Recording),
    Event(Event),
    ClientEvent(ClientEvent),
}

impl Machine {
    pub(super) fn new(config: Config) -> Self {
        match config {
            Config::Client(config) => Self::Client(Box::new(Client::new(*config))),
            Config::Shard(config) => Self::Shard(Box::new(Shard::of_config(*config))),
        }
    }

    /// What it is, for those who read.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Shard(_) => "shard",
        }
    }

    /// Its state, in words.
    pub(super) fn view(&self) -> String {
        match self {
            Self::Client(client) => client.view(),
            Self::Shard(shard) => shard.view(),
        }
    }

    /// Hands in what went in. False if it is for another kind of machine.
    pub(super) fn handle(&mut self, now: Instant, input: Input) -> bool {
        match (self, input) {
            (Self::Client(client), Input::Client(input)) => {
                // What was refused is refused again.
                let _ = client.handle_input(now, input);
                true
            }
            (Self::Shard(shard), Input::Shard(input)) => {
                shard.replay(now, input);
                true
            }
            (Self::Client(_), Input::Shard(_)) | (Self::Shard(_), Input::Client(_)) => false,
        }
    }

    /// What it has to say: in the order in which whoever drove it has asked.
    pub(super) fn drain(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        match self {
            Self::Client(client) => loop {
                outputs.extend(std::iter::from_fn(|| client.poll_transmit()).map(Output::Message));
                outputs.extend(std::iter::from_fn(|| client.poll_media()).map(Output::ClientMedia));
                let Some(event) = client.poll_event() else { return outputs };
                outputs.push(Output::ClientEvent(event));
            },
            Self::Shard(shard) => loop {
                outputs.extend(std::iter::from_fn(|| shard.poll_transmit()).map(Output::Outgoing));
                outputs.extend(std::iter::from_fn(|| shard.poll_media()).map(Output::Media));
                outputs.extend(std::iter::from_fn(|| shard.poll_recording()).map(Output::Recording));
                let Some(event) = shard.poll_event() else { return outputs };
                outputs.push(Output::Event(event));
            },
        }
    }
}

impl Output {
    pub(super) fn said(&self) -> Said<'_> {
        match self {
            Self::Message(transmit) => Said::Message(transmit),
            Self::Outgoing(outgoing) => Said::Outgoing(outgoing),
            Self::Media(media) => Said::Media(media),
            Self::ClientMedia(media) => Said::ClientMedia(media),
            Self::Recording(recording) => Said::Recording(recording),
            Self::Event(event) => Said::Event(event),
            Self::ClientEvent(event) => Said::ClientEvent(event),
        }
    }

    /// It in a line.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Message(transmit) | Self::Outgoing(Outgoing::Network(transmit)) => {
                format!("{} to {}", message(&transmit.bytes), transmit.path.remote)
            }
            Self::Outgoing(Outgoing::Shard { to, hop }) => format!("{} to shard {to}", message(&hop.bytes)),
            Self::Media(MediaTransmit::Control { to, bytes, .. }) => {
                format!("{} octets of talk burst control to {to}", bytes.len())
            }
            Self::Media(MediaTransmit::Announcement { to, bytes, .. }) => {
                format!("{} octets of talk burst control to {}", bytes.len(), to.len())
            }
            Self::Media(MediaTransmit::Speech { to, tail, .. }) => {
                format!("{} octets of speech to {}", poc::server::SPEECH_HEAD + tail.len(), to.len())
            }
            Self::ClientMedia(media) => format!("{} octets of media to {}", media.bytes.len(), media.to),
            Self::Recording(recording) => format!("recording: {recording:?}"),
            Self::Event(event) => format!("event: {event:?}"),
            Self::ClientEvent(event) => format!("event: {event:?}"),
        }
    }
}

/// An input in a line.
pub(super) fn label(input: &Input) -> String {
    match input {
        Input::Client(poc::Input::Datagram { path, bytes } | poc::Input::Stream { path, bytes }) => {
            format!("{} from {}", message(bytes), path.remote)
        }
        Input::Client(poc::Input::Media { remote, bytes, .. }) => {
            format!("{} octets of media from {remote}", bytes.len())
        }
        Input::Client(other) => format!("{other:?}"),
        Input::Shard(shard::Input::Message { path, bytes }) => {
            format!("{} from {}", message(bytes), path.remote)
        }
        Input::Shard(shard::Input::Hop(hop)) => format!("{} from another shard", message(&hop.bytes)),
        Input::Shard(shard::Input::Media { remote, bytes, .. }) => {
            format!("{} octets of media from {remote}", bytes.len())
        }
        Input::Shard(other) => {
            let text = format!("{other:?}");
            text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
        }
    }
}

/// A message in the words of the specification.
fn message(bytes: &bytes::Bytes) -> String {
    match Message::parse(bytes.clone()) {
        Ok(message) => sim::ladder::label(&message),
        Err(_) => format!("{} octets", bytes.len()),
    }
}
