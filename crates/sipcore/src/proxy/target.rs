//! Where a request goes: RFC 3261 §16.5, with the preferences of its sender (RFC 3841).

use std::collections::VecDeque;

use bytes::Bytes;
use sip::message::{Essentials, Method, Uri};
use sip::transport::{Path, Target};

use super::route::Standing;
use super::rule::is_of_poc_client;
use crate::binding::{Binding, Bindings};
use crate::hub::Core;
use crate::identity::Origin;
use crate::preference::{Disposition, Preferences};
use crate::registrar::uri_of;
use crate::uri::user_of;

/// One target of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Destination {
    /// Its Request-URI.
    pub(crate) uri: Bytes,
    /// Route values before those of the request: the path of a binding.
    pub(crate) routes: Vec<Bytes>,
    pub(crate) way: Way,
}

/// How it gets there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Along(Path),
    To(Target),
    /// To the notifier of the core.
    Agent,
    /// Nobody knows: a Contact that is a name.
    Nowhere,
}

/// All targets of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Targets {
    /// Groups, to be tried one after the other; those of one group at once.
    Groups(VecDeque<Vec<Destination>>),
    /// There are none: how the request is answered.
    None(u16),
}

impl Targets {
    fn one(destination: Destination) -> Self {
        Self::Groups(VecDeque::from([vec![destination]]))
    }
}

impl Core {
    pub(crate) fn targets(
        &mut self,
        request: &Essentials<'_>,
        origin: Origin,
        standing: &mut Standing,
    ) -> Targets {
        let text = standing.uri.clone();
        let Ok(uri) = Uri::parse(&text) else { return Targets::None(400) };
        if standing.dialog.is_some() {
            return self.within_dialog(standing).map_or(Targets::None(404), Targets::one);
        }
        let to = |target| {
            Targets::one(Destination { uri: text.clone(), routes: Vec::new(), way: Way::To(target) })
        };
        let agent = || Targets::one(Destination { uri: text.clone(), routes: Vec::new(), way: Way::Agent });
        if self.watched(request, standing).is_some() {
            return agent();
        }
        // For whatever is not of PoC there is nobody of that name.
        if origin == Origin::Client && self.names_session(&uri) && !is_of_poc_client(request) {
            return Targets::None(404);
        }
        if let Some(server) = self.apply_rule(request, origin, &uri, standing) {
            return to(server);
        }
        if let Some(route) = standing.routes.first() {
            // Nobody is relayed to a place of their choice.
            let target = uri_of(route).and_then(|route| self.target_of(&route));
            return match (origin, target) {
                (Origin::Trusted, Some(target)) => to(target),
                (Origin::Trusted, None) => Targets::None(404),
                (Origin::Client, _) => Targets::None(403),
            };
        }
        if request.is(Method::Subscribe) && self.leads_to_agent(&uri) {
            return agent();
        }
        if self.leads_to_server(&uri) {
            return self.config.server.map_or(Targets::None(404), to);
        }
        if self.is_home(uri.host) || self.is_own(&uri) {
            let place = self.directory.find(&user_of(&uri));
            return place.map_or(Targets::None(404), |place| {
                targets_among(request, &self.directory.account(place).bindings, |uri| self.target_of(uri))
            });
        }
        // Other domains are those of the table. An address is nobody's domain, whoever asks: the PoC Server invites whomever
        // a client names.
        let is_name = uri.socket_address().is_none();
        match self.target_of(&uri).filter(|_| is_name) {
            Some(target) => to(target),
            None => Targets::None(404),
        }
    }
}

/// The bindings that the sender may want to reach, in the order of preference: first what the user says (q), among equals
/// what the sender says (Qa). Those of equal q are tried together.
fn targets_among(
    request: &Essentials<'_>,
    bindings: &Bindings,
    target_of: impl Fn(&Uri<'_>) -> Option<Target>,
) -> Targets {
    let (preferences, disposition) = (Preferences::of(request), Disposition::of(request));
    let scored = |binding| Some((binding, preferences.score(&Binding::parameters(binding))?));
    let mut wanted: Vec<_> = bindings.iter().filter_map(scored).collect();
    if wanted.is_empty() && preferences.is_implicit {
        wanted = bindings.iter().map(|binding| (binding, 1000)).collect(); // RFC 3841 §7.2.4, at its end
    }
    wanted.sort_by_key(|(binding, score)| std::cmp::Reverse((binding.q(), *score)));
    if !disposition.forks {
        wanted.truncate(1);
    }
    let mut groups: VecDeque<Vec<Destination>> = VecDeque::new();
    let mut last = None;
    for (binding, _) in wanted {
        let destination = destination_of(binding, &target_of);
        let is_together = last == Some(binding.q()) && !disposition.is_sequential;
        match groups.back_mut().filter(|_| is_together) {
            Some(group) => group.push(destination),
            None => groups.push_back(vec![destination]),
        }
        last = Some(binding.q());
    }
    if groups.is_empty() { Targets::None(480) } else { Targets::Groups(groups) }
}

fn destination_of(binding: &Binding, target_of: impl Fn(&Uri<'_>) -> Option<Target>) -> Destination {
    // §16.6 step 2: what may not stand in a Request-URI goes.
    let uri = binding.uri();
    let end = uri.iter().position(|byte| *byte == b'?').unwrap_or(uri.len());
    let uri = Bytes::copy_from_slice(&uri[..end]);
    let next = binding.path().first().map_or_else(|| Uri::parse(&uri).ok(), |route| uri_of(route));
    let way = match (binding.flow(), next.and_then(|next| target_of(&next))) {
        (Some(flow), _) => Way::Along(flow),
        (None, Some(target)) => Way::To(target),
        (None, None) => Way::Nowhere,
    };
    Destination { uri: uri.clone(), routes: binding.path().to_vec(), way }
}
