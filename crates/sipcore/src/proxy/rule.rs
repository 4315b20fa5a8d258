//! The filter rules: which requests the PoC Server sees, as an IMS core hands them to an application server (digest 13.1).
//!
//! Two Routes are put before a request: to the server, with the user `orig` or `term` that says whom it serves, and back to
//! the core, with `odi`. A request that comes back with that, from somebody that is trusted, is past the rule. What the server
//! hosts itself, services and PoC Sessions, has no bindings to come back for.

use bytes::Bytes;
use sip::message::{Essentials, Method, Name, Uri};
use sip::transport::Target;

use super::route::{Applied, Standing};
use crate::hub::Core;
use crate::identity::Origin;
use crate::uri::user_of;

/// The feature tag of PoC (digest 5).
const TALK_BURST: &[u8] = b"+g.poc.talkburst";

/// The feature tag of group advertisements (digest 9.8).
const GROUP_ADVERTISEMENT: &[u8] = b"+g.poc.groupad";

impl Core {
    /// Applies the rule that fits: then the Routes are written, and the server is the next hop.
    pub(crate) fn apply_rule(
        &mut self,
        request: &Essentials<'_>,
        origin: Origin,
        uri: &Uri<'_>,
        standing: &mut Standing,
    ) -> Option<Target> {
        let server = self.config.server?;
        let (is_home, user) = (self.is_home(uri.host), user_of(uri));
        let is_hosted = (is_home && self.is_service(&user)) || self.names_session(uri);
        let is_ours = is_home && self.directory.find(&user).is_some();
        let is_about_session = request.is(Method::Subscribe) || request.is(Method::Refer);
        let (case, returns) = match (origin, standing.applied) {
            // The host of a PoC Session decides who may know of it and who may change it (digest 9.4, 9.7): no other server has a
            // part in that.
            (_, _) if is_about_session && !is_hosted => return None,
            (Origin::Client, _) if is_about_session => ("term", false),
            // What a client says of rules counts for nothing.
            (Origin::Client, _) if is_hosted || is_poc(request) => ("orig", true),
            (Origin::Client, _) | (Origin::Trusted, Some(Applied::Terminating)) => return None,
            (Origin::Trusted, _) if is_hosted => ("term", false),
            (Origin::Trusted, _) if is_ours && is_poc(request) => ("term", true),
            (Origin::Trusted, None | Some(Applied::Originating)) => return None,
        };
        let back = self.path_to(server)?;
        let remote = server.remote;
        let transport = server.transport.uri_parameter();
        let mut routes = vec![Bytes::from(format!("<sip:{case}@{remote}{transport};lr>"))];
        if returns {
            let parameter = [b";odi=", case.as_bytes()].concat();
            routes.push(Bytes::copy_from_slice(&self.own_route(&back, b"", &parameter)));
        }
        routes.append(&mut standing.routes);
        standing.routes = routes;
        Some(server)
    }

    /// Whether `user` is a service of the home domain: the conference factory, or a group.
    fn is_service(&self, user: &Bytes) -> bool {
        self.config.services.contains(user) || self.directory.has_service(user)
    }
}

/// Whether a request is one of PoC.
fn is_poc(request: &Essentials<'_>) -> bool {
    let is_settings = request.is(Method::Publish)
        && request.value(Name::Event).is_some_and(|event| event.eq_ignore_ascii_case(b"poc-settings"));
    let is_advertisement = request.is(Method::Message) && accepts(request, GROUP_ADVERTISEMENT);
    is_settings || is_advertisement || accepts(request, TALK_BURST)
}

fn accepts(request: &Essentials<'_>, tag: &[u8]) -> bool {
    request.valued(Name::AcceptContact).filter_map(Result::ok).any(|value| value.parameters.has(tag))
}

/// Whether a client shows that it is one of PoC: by what it asks for, or by what it says of itself.
pub(crate) fn is_of_poc_client(request: &Essentials<'_>) -> bool {
    let mut contacts = request.addresses(Name::Contact).filter_map(Result::ok);
    is_poc(request) || contacts.any(|contact| contact.parameters.has(TALK_BURST))
}
