//! What of a state makes it the same as another: the views of all that is in it, and what is left of the bounds.

use std::sync::Arc;

use sip::hash::Key;

use super::super::canon::{Canon, View};
use super::{Bounds, State};

impl State {
    /// The fingerprint: see [`Canon`].
    pub(in super::super) fn fingerprint(&mut self, canon: &mut Canon) -> Key {
        let now = self.now;
        for place in 0..self.elements.len() {
            self.element_view(canon, place);
            self.judged_view(canon, place);
        }
        let talking = canon.view(self.judge.view_of_talking().as_bytes());
        let known = canon.view(format!("{:#?}", self.known).as_bytes());
        let mut flying: Vec<_> = self.flying.iter().collect();
        flying.sort_by_key(|flight| (flight.way(), flight.step, flight.view.literal()));
        canon.begin();
        for view in self.views.iter().chain(&self.judged).flatten() {
            canon.put(now, view);
        }
        canon.put(now, &talking);
        canon.put(now, &known);
        let mut last = None;
        let mut rank = 0;
        for flight in flying {
            // Only the order of what goes the same way counts.
            let (way, step) = (flight.way(), flight.step);
            rank = match last {
                Some((before, at)) if before == way => rank + u32::from(at != step),
                Some(_) | None => 0,
            };
            last = Some((way, step));
            canon.put_number(rank);
            canon.put_number(self.place_of(way.1) as u32);
            canon.put_number(u32::from(way.1.port()));
            canon.put_number(self.place_of(way.0) as u32);
            canon.put(now, &flight.view);
        }
        let Bounds { losses, copies, overtakings, delays, in_all, patience: _ } = self.left;
        // More of one kind than of all together is as good as that.
        let [losses, copies, overtakings, delays] =
            [losses, copies, overtakings, delays].map(|left| left.min(in_all));
        for number in [
            losses,
            copies,
            overtakings,
            delays,
            in_all,
            u32::from(self.is_patient()),
            u32::from(self.closes.is_some()),
        ] {
            canon.put_number(number);
        }
        if self.is_patient() && !self.known.is_empty() {
            // How long users still wait decides how it goes on.
            canon.put_number((self.now - self.begun).as_millis() as u32);
        }
        canon.fingerprint()
    }

    pub(super) fn element_view(&mut self, canon: &mut Canon, place: usize) -> Arc<View> {
        let element = &self.elements[place];
        self.views[place]
            .get_or_insert_with(|| Arc::new(canon.view(element.machine.view().as_bytes())))
            .clone()
    }

    fn judged_view(&mut self, canon: &mut Canon, place: usize) {
        let judge = &self.judge;
        self.judged[place].get_or_insert_with(|| Arc::new(canon.view(judge.view(place).as_bytes())));
    }
}
