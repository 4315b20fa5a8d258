//! The filter rules: which requests the PoC Server sees, as an IMS core hands them to an application server (digest 13.1).
//!
//! Two Routes are put before a request: to the server, with the user `orig` or `term` that says whom it serves, and back to
//! the core, with `odi`. A request that comes back with that, from somebody that is trusted, is past the rule.

use bytes::Bytes;
use sip::message::{Essentials, Method, Name, Uri};
use sip::transport::Target;

use super::route::{Applied, Standing};
use crate::hub::Core;
use crate::identity::Origin;
use crate::uri::user_of;

/// The feature tag of PoC (digest 5).
const TALK_BURST: &[u8] = b"+g.poc.talkburst";

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
        let is_service = self.is_home(uri.host) && self.config.services.contains(&user_of(uri));
        let is_ours = self.is_home(uri.host) && self.directory.find(&user_of(uri)).is_some();
        let (case, returns) = match (origin, standing.applied) {
            // What a client says of rules counts for nothing.
            (Origin::Client, _) if is_service || is_poc(request) => ("orig", true),
            (Origin::Client, _) | (Origin::Trusted, Some(Applied::Terminating)) => return None,
            // A service has no bindings to come back for.
            (Origin::Trusted, _) if is_service => ("term", false),
            (Origin::Trusted, _) if is_ours && is_poc(request) => ("term", true),
            (Origin::Trusted, None | Some(Applied::Originating)) => return None,
        };
        let back = self.path_to(server)?;
        let remote = server.remote;
        let transport = server.transport.uri_parameter();
        let mut routes = vec![Bytes::from(format!("<sip:{case}@{remote}{transport};lr>"))];
        if returns {
            routes.push(self.own_route(&back, "", &format!(";odi={case}")));
        }
        routes.append(&mut standing.routes);
        standing.routes = routes;
        Some(server)
    }
}

/// Whether a request is one of PoC.
fn is_poc(request: &Essentials<'_>) -> bool {
    let mut accepted = request.valued(Name::AcceptContact).filter_map(Result::ok);
    let is_settings = request.is(Method::Publish)
        && request.value(Name::Event).is_some_and(|event| event.eq_ignore_ascii_case(b"poc-settings"));
    is_settings || accepted.any(|value| value.parameters.has(TALK_BURST))
}
