//! Who says whether a step breaks a rule: the monitors of the simulation.

use poc::Event;
use poc::server::Record;
use sip::transport::Transmit;
use sip::{Instant, SessionId};

use crate::monitor::Monitor;
use crate::monitor::system::Watch;
use crate::system::Machine;

/// The monitor of a scene.
#[derive(Clone, Debug)]
pub(super) enum Judge {
    /// Clients that reach each other without anybody between.
    Direct(Monitor),
    /// Clients, cores and servers.
    Whole(Box<Watch>),
}

impl Judge {
    pub(super) fn began(&mut self, place: usize, session: SessionId) {
        match self {
            Self::Direct(monitor) => monitor.began(place, session),
            Self::Whole(watch) => watch.began(place, session),
        }
    }

    pub(super) fn hung_up(&mut self, now: Instant, place: usize, session: SessionId) {
        match self {
            Self::Direct(monitor) => monitor.hung_up(now, place, session),
            Self::Whole(watch) => watch.hung_up(now, place, session),
        }
    }

    pub(super) fn acts(&mut self, session: SessionId) {
        match self {
            Self::Direct(_) => {}
            Self::Whole(watch) => watch.talking.acts(session),
        }
    }

    pub(super) fn sent(&mut self, now: Instant, place: usize, transmit: &Transmit) {
        match self {
            Self::Direct(monitor) => monitor.sent(now, place, transmit),
            Self::Whole(watch) => watch.sent(now, place, transmit),
        }
    }

    pub(super) fn received(&mut self, now: Instant, place: usize, datagram: &Transmit) {
        match self {
            Self::Direct(monitor) => monitor.received(now, place, datagram),
            Self::Whole(watch) => watch.received(now, place, datagram),
        }
    }

    pub(super) fn media_sent(&mut self, place: usize, transmit: &Transmit) {
        match self {
            Self::Direct(_) => {}
            Self::Whole(watch) => watch.media_sent(place, transmit),
        }
    }

    pub(super) fn media_received(&mut self, place: usize, datagram: &Transmit) {
        match self {
            Self::Direct(_) => {}
            Self::Whole(watch) => watch.media_received(place, datagram),
        }
    }

    pub(super) fn told(&mut self, now: Instant, place: usize, event: &Event) {
        match self {
            Self::Direct(monitor) => monitor.told(now, place, event),
            Self::Whole(watch) => watch.told(now, place, event),
        }
    }

    pub(super) fn closed(&mut self, place: usize, record: &Record) {
        match self {
            Self::Direct(_) => {}
            Self::Whole(watch) => watch.closed(place, record),
        }
    }

    pub(super) fn settled(&mut self, now: Instant, place: usize, machine: &Machine) {
        match self {
            Self::Direct(monitor) => {
                monitor.settled(place);
                if machine.is_empty() {
                    monitor.emptied(now, place);
                }
            }
            Self::Whole(watch) => watch.settled(place, |user: &[u8]| match machine {
                Machine::Server(server) => server.sessions_of(user),
                Machine::Client(_) | Machine::Core(_) | Machine::Gone => None,
            }),
        }
    }

    pub(super) fn finish(&mut self) {
        match self {
            Self::Direct(monitor) => monitor.finish(),
            Self::Whole(watch) => watch.finish(),
        }
    }

    /// What it remembers of an element.
    pub(super) fn view(&self, place: usize) -> String {
        match self {
            Self::Direct(monitor) => monitor.view(place),
            Self::Whole(watch) => watch.view(place),
        }
    }

    /// What it remembers of talk bursts.
    pub(super) fn view_of_talking(&self) -> String {
        match self {
            Self::Direct(_) => String::new(),
            Self::Whole(watch) => watch.talking.view(),
        }
    }
}
