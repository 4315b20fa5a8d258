//! Districts: users who call each other and nobody else. Each is watched for itself, and has lanes of its own in the networks, so
//! that what happens in one does not depend on what happens in the others, though all of them have the same cores and servers.
//!
//! A message belongs to the district of the client that sends or receives it, or else of the user whom it names: the names of users
//! and groups of a district begin with its number.

use poc::server::{Group, Record};
use sip::Instant;
use sip::transport::Transmit;

use super::System;
use super::build::{AT_ONCE, CORES, SERVERS};
use crate::chance::Chance;
use crate::lane::Lane;
use crate::monitor::system::{Kind, Watch};
use crate::network::Faults;
use crate::system::story::HOPS;

/// A district.
#[derive(Clone, Debug)]
pub(crate) struct District {
    /// What must hold in it.
    pub(crate) watch: Watch,
    /// The places of its clients.
    pub(crate) clients: Vec<usize>,
    /// Its lanes in the network and in that of media.
    pub(crate) lanes: (usize, usize),
    /// When the last message arrives that has to do with a session.
    pub(crate) last_word: Instant,
}

/// Who looks at something, and as what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Seat {
    /// `None`: whoever looks at the whole.
    pub(super) district: Option<usize>,
    /// The place of the element there.
    pub(super) place: usize,
}

/// Elements that all districts have: they come first in each.
const SHARED: usize = 4;

/// The name of a user or of a group in a district.
pub(crate) fn name(district: usize, what: &str) -> String {
    format!("u{district:04}{what}")
}

/// The district that a message names, or an address.
fn named(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].windows(5).position(|window| window == b"sip:u") {
        let name = &text[from + at + 5..];
        let number = name.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let length = name.iter().take_while(|octet| octet.is_ascii_alphanumeric()).count();
        // Identifiers are longer, and other names are not followed by a domain.
        if let Some(digits) = number.filter(|_| length < 20 && name.get(length) == Some(&b'@')) {
            return Some(digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')));
        }
        from += at + 5;
    }
    None
}

/// Whether a message has to do with a registration or with published settings, by its CSeq. Both are refreshed as long as a client lives.
fn is_of_enrolment(message: &[u8]) -> bool {
    let cseq = message.windows(6).position(|window| window == b"CSeq: ");
    let line = cseq.and_then(|at| message[at..].split(|octet| *octet == b'\r').next());
    line.is_some_and(|line| line.ends_with(b"REGISTER") || line.ends_with(b"PUBLISH"))
}

impl System {
    /// Divides the system into districts: by the numbers in the names of users, which begin with `first`.
    pub(crate) fn divide(&mut self, count: usize, first: usize) {
        self.seats = vec![None; self.elements.len()];
        for (place, name) in [CORES[0], SERVERS[0], SERVERS[1], CORES[1]].into_iter().enumerate() {
            let at = self.place(name);
            self.seats[at] = Some(Seat { district: None, place });
        }
        self.districts = Vec::new();
        for _ in 0..count {
            let lane = || Lane::new(Faults::NONE, Chance::new(0));
            let lanes = (self.network.add_lane(lane()), self.media.add_lane(lane()));
            let watch = Watch::new(std::iter::empty(), false, Vec::new());
            self.districts.push(District { watch, clients: Vec::new(), lanes, last_word: Instant::START });
        }
        for place in self.clients().collect::<Vec<_>>() {
            let address = self.address_of(place);
            let district = named(&address).and_then(|number| number.checked_sub(first));
            let district = district.filter(|district| *district < count).expect("a user of a district");
            let clients = &mut self.districts[district].clients;
            self.seats[place] = Some(Seat { district: Some(district), place: SHARED + clients.len() });
            clients.push(place);
        }
        self.first_district = first;
        (0..count).for_each(|district| self.watch_anew(district, Faults::NONE));
    }

    /// From now on the district is looked at as if nothing had happened there before, and its lanes are as bad as this.
    pub(crate) fn watch_anew(&mut self, district: usize, faults: Faults) {
        let prefix = name(self.first_district + district, "");
        let is_its =
            |group: &&(usize, Group)| group.1.address.windows(5).any(|part| part == prefix.as_bytes());
        let groups = self.setup.groups.iter().filter(is_its).map(|(_, group)| group.clone()).collect();
        let shared = [Kind::Core, Kind::Server, Kind::Server, Kind::Core].into_iter();
        let clients = self.districts[district].clients.iter().map(|_| Kind::Client);
        let mut watch = Watch::new(shared.chain(clients), self.setup.early_answer, groups);
        watch.hops = HOPS;
        watch.set_up_limit = self.setup.own_limit;
        watch.invites_until(self.setup.set_up_limit, self.setup.invites_at_once == AT_ONCE);
        watch.longest_hop = Some(faults.delay + faults.jitter).filter(|_| faults.loss == 0);
        self.districts[district].watch = watch;
    }

    /// The watch for a client, and its place there.
    pub(super) fn watch_at(&mut self, place: usize) -> (&mut Watch, usize) {
        let seat = self.own_seat(place).expect("a client has a seat");
        (self.look(seat), seat.place)
    }

    /// The seat of an element that has one: all but cores and servers of a system with districts.
    pub(super) fn own_seat(&self, place: usize) -> Option<Seat> {
        if self.districts.is_empty() {
            return Some(Seat { district: None, place });
        }
        self.seats[place].filter(|seat| seat.district.is_some())
    }

    /// Who looks at what `place` sends or receives.
    pub(super) fn seat_of(&self, place: usize, transmit: &Transmit) -> Seat {
        if let Some(seat) = self.own_seat(place) {
            return seat;
        }
        let ends = [transmit.path.local, transmit.path.remote];
        let mut clients = ends.into_iter().filter_map(|end| self.own_seat(self.place_at(end.ip())?));
        let district = clients.find_map(|seat| seat.district).or_else(|| self.named(&transmit.bytes));
        self.shared_seat(place, district)
    }

    /// Who looks at a record that the server of `place` has closed.
    pub(super) fn seat_of_record(&self, place: usize, record: &Record) -> Seat {
        if let Some(seat) = self.own_seat(place) {
            return seat;
        }
        let mut invited = record.invitations.iter().filter_map(|each| self.named(&each.invited));
        let district = self.named(&record.inviter).or_else(|| invited.next());
        self.shared_seat(place, district)
    }

    fn named(&self, text: &[u8]) -> Option<usize> {
        named(text).and_then(|number| number.checked_sub(self.first_district))
    }

    fn shared_seat(&self, place: usize, district: Option<usize>) -> Seat {
        let seat = self.seats[place].expect("cores and servers have a seat in each district");
        let district = district.expect("whatever is sent names a user of a district");
        Seat { district: Some(district), ..seat }
    }

    /// The watch of a seat.
    pub(super) fn look(&mut self, seat: Seat) -> &mut Watch {
        match seat.district {
            None => &mut self.watch,
            Some(district) => {
                self.acting = Some(district);
                &mut self.districts[district].watch
            }
        }
    }

    /// A message was sent by the lane of this seat.
    pub(super) fn note_word(&mut self, seat: Seat, transmit: &Transmit) {
        if let Some(district) = seat.district
            && !is_of_enrolment(&transmit.bytes)
        {
            let last = self.network.lane(self.districts[district].lanes.0).last();
            self.districts[district].last_word = last;
        }
    }

    /// The lanes of a seat.
    pub(super) fn lanes_of(&self, seat: Seat) -> Option<(usize, usize)> {
        seat.district.map(|district| self.districts[district].lanes)
    }
}
