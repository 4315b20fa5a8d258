//! Being known to a PoC network: the registration, and the settings that are published while it stands. Digest 5 and 6.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sip::message::{Body, Method, Name, NameAddr, Uri};
use sip::transport::Target;
use sip::{Duration, Identifiers, Instant, Message, Misuse, Request, RequestId};

use super::registration::{self, RegistrationClient};
use super::settings::{self, PublicationClient};
use super::{Client, Config, Event};
use crate::body::settings::{self as document, Entity, Settings};

/// Service-Route or P-Associated-URI values that are kept.
const VALUES_MAX: usize = 16;

/// Octets of one of them.
const VALUE_MAX: usize = 512;

/// Requests that one REGISTER can become by challenges, each with the next number of CSeq.
const ATTEMPTS_MAX: u32 = 5;

/// Feature tag of every PoC Client (digest 5).
const TALKBURST: &[u8] = b";+g.poc.talkburst";

/// Where a client registers, and as what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The next hops towards the registrar, in the order in which they are tried; sessions that name none go there too.
    pub targets: Vec<Target>,
    /// Route values that lead to the home network: an outbound proxy, for instance. Service-Route follows them.
    pub routes: Vec<Bytes>,
    /// The Request-URI of REGISTER: the domain of the user, `sip:home1.example` (RFC 3261 §10.2).
    pub registrar: Bytes,
    /// For how long; a registrar may want longer (423) or grant less.
    pub expires: Duration,
    /// Feature tags besides `+g.poc.talkburst`, each with its semicolon: `;+g.poc.groupad`.
    pub tags: Bytes,
}

impl Registration {
    /// A registration for an hour at the registrar of `domain`.
    pub fn new(targets: Vec<Target>, domain: &str) -> Self {
        Self {
            targets,
            routes: Vec::new(),
            registrar: Bytes::from(format!("sip:{domain}")),
            expires: Duration::from_secs(3600),
            tags: Bytes::new(),
        }
    }
}

impl Registration {
    /// A feature tag with its semicolon, unless it is there.
    pub(super) fn add_tag(&mut self, tag: &'static [u8]) {
        if !self.tags.windows(tag.len()).any(|window| window == tag) {
            self.tags = Bytes::from([&self.tags[..], tag].concat());
        }
    }
}

/// The registration and the publication of a client.
#[derive(Clone, Debug)]
pub(super) struct Enrolment {
    registration: RegistrationClient,
    publication: PublicationClient,
    /// The REGISTER and the PUBLISH that are out; the answer to any other is late.
    registering: Option<RequestId>,
    publishing: Option<RequestId>,
    /// All requests that are out, those among them whose answer counts for nothing any more.
    out: BTreeSet<RequestId>,
    /// RFC 3261 §10.2: the same Call-ID for all registrations, and a CSeq that rises.
    call_id: Bytes,
    cseq: u32,
    /// What tells this terminal from others of the same user (RFC 4354 §6).
    entity: String,
    service_route: Vec<Bytes>,
    associated: Vec<Bytes>,
}

impl Enrolment {
    /// Nobody has asked yet.
    pub(super) fn new(config: &Config, chance: &mut Identifiers) -> Option<Box<Self>> {
        let expires = config.registration.as_ref()?.expires;
        let guard = config.sip.timers.t1_64();
        Some(Box::new(Self {
            registration: RegistrationClient::new(expires, guard),
            publication: PublicationClient::new(expires, guard),
            registering: None,
            publishing: None,
            out: BTreeSet::new(),
            call_id: Bytes::copy_from_slice(chance.draw().as_bytes()),
            cseq: 1,
            entity: chance.draw().to_string(),
            service_route: Vec::new(),
            associated: Vec::new(),
        }))
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.registration.deadline().into_iter().chain(self.publication.deadline()).min()
    }

    /// Whether nobody is registered or wants to be.
    pub(super) fn is_idle(&self) -> bool {
        self.registration.is_idle() && self.publication.is_idle()
    }

    /// What decides how it goes on.
    pub(super) fn state(&self) -> impl std::fmt::Debug {
        let out = (self.registering, self.publishing, &self.out);
        (&self.registration, &self.publication, out, &self.service_route)
    }

    /// The first name that no request has: equal states have equal names.
    fn free_name(&self) -> RequestId {
        let mut names = (1..).map(RequestId);
        names.find(|name| !self.out.contains(name)).expect("fewer requests than names")
    }

    /// RFC 3608 §6.1: what follows `routes` in a request of the registered user.
    pub(super) fn routes_behind(&self, routes: &[Bytes]) -> Vec<Bytes> {
        let is_double = routes.last().is_some() && routes.last() == self.service_route.first();
        routes.iter().chain(self.service_route.iter().skip(usize::from(is_double))).cloned().collect()
    }
}

impl Client {
    /// P-Associated-URI of the registration: the addresses that the network knows the user by (RFC 7315 §4.1).
    pub fn associated(&self) -> &[Bytes] {
        self.enrolment.as_ref().map_or(&[], |enrolment| &enrolment.associated)
    }

    pub(super) fn register(&mut self) -> Result<(), Misuse> {
        let enrolment = self.enrolment.as_mut().ok_or(Misuse::NoTarget)?;
        if enrolment.publication.is_ending() {
            return Err(Misuse::Busy);
        }
        let before = enrolment.registration.clone();
        let step = enrolment.registration.register()?;
        self.take_registration(step).inspect_err(|_| {
            if let Some(enrolment) = &mut self.enrolment {
                enrolment.registration = before;
            }
        })
    }

    /// digest 6: the settings are removed first, for without the registration nobody could.
    pub(super) fn deregister(&mut self) -> Result<(), Misuse> {
        let now = self.now;
        let step = self.enrolment.as_mut().ok_or(Misuse::NoTarget)?.publication.remove(now);
        self.tear_down();
        self.follow_publication(step);
        Ok(())
    }

    pub(super) fn change_network(&mut self) -> Result<(), Misuse> {
        let step = self.enrolment.as_mut().ok_or(Misuse::NoTarget)?.registration.handle_network_change();
        self.follow_registration(step);
        Ok(())
    }

    /// Published at once while registered, else with the next registration.
    pub(super) fn set_settings(&mut self, settings: &super::PocSettings) {
        self.config.settings = *settings;
        if let Some(enrolment) =
            self.enrolment.as_mut().filter(|enrolment| enrolment.registration.is_registered())
        {
            let step = enrolment.publication.publish();
            self.follow_publication(step);
        }
    }

    pub(super) fn handle_enrolment_timeout(&mut self) {
        let now = self.now;
        let Some(enrolment) = &mut self.enrolment else { return };
        let step = enrolment.registration.handle_timeout(now);
        self.follow_registration(step);
        let Some(enrolment) = &mut self.enrolment else { return };
        let step = enrolment.publication.handle_timeout(now);
        self.follow_publication(step);
    }

    /// The answer to a request of ours outside of any session.
    pub(super) fn be_told(&mut self, request: RequestId, response: Option<&Message>) {
        let Some(enrolment) = &mut self.enrolment else { return };
        enrolment.out.remove(&request);
        if enrolment.registering == Some(request) {
            enrolment.registering = None;
            self.handle_registration(response);
        } else if enrolment.publishing == Some(request) {
            enrolment.publishing = None;
            self.handle_publication(response);
        }
    }

    fn handle_registration(&mut self, response: Option<&Message>) {
        let (now, chance) = (self.now, &mut self.chance);
        let Some(enrolment) = &mut self.enrolment else { return };
        if let Some(number) = response.and_then(|response| response.cseq().ok()).map(|cseq| cseq.number) {
            enrolment.cseq = number + 1; // RFC 3261 §10.2
        }
        let registration = &mut enrolment.registration;
        let step = match (response, response.map(verdict)) {
            (Some(response), Some(Verdict::Success)) => {
                let granted = granted(response, &self.config).unwrap_or(registration.expires());
                enrolment.service_route = kept(response, Name::ServiceRoute);
                enrolment.associated = kept(response, Name::PAssociatedUri);
                registration.handle_success(now, granted, chance)
            }
            (Some(response), Some(Verdict::TooBrief)) => {
                registration.handle_too_brief(now, seconds(response, Name::MinExpires))
            }
            (_, Some(Verdict::Refusal(status))) => registration.handle_refusal(now, status),
            (Some(response), Some(Verdict::Failure(status))) => {
                registration.handle_failure(now, Some(status), retry_after(response), chance)
            }
            (None, _) | (_, None) => registration.handle_failure(now, None, None, chance),
        };
        self.follow_registration(step);
    }

    fn handle_publication(&mut self, response: Option<&Message>) {
        let (now, chance) = (self.now, &mut self.chance);
        let Some(enrolment) = &mut self.enrolment else { return };
        let publication = &mut enrolment.publication;
        let step = match (response, response.map(verdict)) {
            (Some(response), Some(Verdict::Success)) => {
                let tag = response.value(Name::SipEtag).filter(|tag| tag.len() <= VALUE_MAX);
                let tag = tag.map(Bytes::copy_from_slice);
                publication.handle_success(now, tag, seconds(response, Name::Expires))
            }
            (Some(response), Some(Verdict::TooBrief)) => {
                publication.handle_too_brief(seconds(response, Name::MinExpires))
            }
            (_, Some(Verdict::Refusal(412))) => publication.handle_stale(),
            (_, Some(Verdict::Refusal(status))) => publication.handle_refusal(status),
            (Some(response), Some(Verdict::Failure(status))) => {
                publication.handle_failure(now, Some(status), retry_after(response), chance)
            }
            (None, _) | (_, None) => publication.handle_failure(now, None, None, chance),
        };
        self.follow_publication(step);
    }

    /// What the machine asks for by itself; what cannot be sent has failed.
    fn follow_registration(&mut self, step: registration::Step) {
        let Err(misuse) = self.take_registration(step) else { return };
        tracing::warn!(%misuse, "cannot register");
        let (now, chance) = (self.now, &mut self.chance);
        let Some(enrolment) = &mut self.enrolment else { return };
        let step = enrolment.registration.handle_failure(now, None, None, chance);
        self.tell_registration(step.told);
    }

    fn follow_publication(&mut self, step: settings::Step) {
        let sent = match step.action {
            settings::Action::Nothing => Ok(()),
            settings::Action::Publish { tag, has_body, expires } => self.send_publish(tag, has_body, expires),
        };
        self.tell_publication(step.told);
        let Err(misuse) = sent else { return };
        tracing::warn!(%misuse, "cannot publish the settings");
        let (now, chance) = (self.now, &mut self.chance);
        let Some(enrolment) = &mut self.enrolment else { return };
        let step = enrolment.publication.handle_failure(now, None, None, chance);
        self.tell_publication(step.told);
    }

    fn take_registration(&mut self, step: registration::Step) -> Result<(), Misuse> {
        match step.action {
            registration::Action::Nothing => {}
            registration::Action::Register { expires } => self.send_register(expires)?,
        }
        self.tell_registration(step.told);
        Ok(())
    }

    fn tell_registration(&mut self, told: Option<registration::Told>) {
        let Some(enrolment) = &mut self.enrolment else { return };
        match told {
            None => {}
            Some(registration::Told::Registered { expires }) => {
                let service_route = enrolment.service_route.clone();
                // digest Q9: at once. What is published stays so while the registration is refreshed.
                let publishes = enrolment.publication.is_idle();
                self.events.push_back(Event::Registered { expires, service_route });
                if publishes {
                    let step = enrolment.publication.publish();
                    self.follow_publication(step);
                }
                self.pre_establish();
            }
            Some(registration::Told::Failed { status, retry_in }) => {
                if retry_in.is_none() {
                    enrolment.service_route.clear(); // RFC 3608 §6.1
                    enrolment.publication.forget();
                }
                self.events.push_back(Event::RegistrationFailed { status, retry_in });
            }
            Some(registration::Told::Deregistered { status }) => {
                enrolment.service_route.clear();
                enrolment.associated.clear();
                self.events.push_back(Event::Deregistered { status });
            }
        }
    }

    fn tell_publication(&mut self, told: Option<settings::Told>) {
        match told {
            None => {}
            Some(settings::Told::Published) => self.events.push_back(Event::SettingsPublished),
            Some(settings::Told::Failed { status, retry_in }) => {
                self.events.push_back(Event::SettingsFailed { status, retry_in });
            }
            Some(settings::Told::Removed) => {
                let now = self.now;
                let Some(enrolment) = &mut self.enrolment else { return };
                let step = enrolment.registration.deregister(now);
                self.follow_registration(step);
            }
        }
    }

    /// digest 5.
    fn send_register(&mut self, expires: u32) -> Result<(), Misuse> {
        let (Some(enrolment), Some(config)) = (&mut self.enrolment, &self.config.registration) else {
            return Err(Misuse::NoTarget);
        };
        let id = enrolment.free_name();
        let tags = [TALKBURST, &config.tags, b";expires=", expires.to_string().as_bytes()].concat();
        let request = Request {
            id,
            method: Method::Register,
            uri: config.registrar.clone(),
            from: self.config.address.clone(),
            to: self.config.address.clone(),
            targets: config.targets.clone(),
            routes: config.routes.clone(),
            headers: vec![(Name::Supported, Bytes::from_static(b"path"))], // RFC 3327 §5.1
            body: None,
            call_id: Some(enrolment.call_id.clone()),
            cseq: Some(enrolment.cseq),
            contact: Some(Bytes::from(tags)),
            hops: None,
        };
        self.endpoint.handle_input(self.now, command(request))?;
        enrolment.cseq += ATTEMPTS_MAX;
        enrolment.out.insert(id);
        enrolment.registering = Some(id);
        Ok(())
    }

    /// digest 6.
    fn send_publish(&mut self, tag: Option<Bytes>, has_body: bool, expires: u32) -> Result<(), Misuse> {
        let (Some(enrolment), Some(config)) = (&mut self.enrolment, &self.config.registration) else {
            return Err(Misuse::NoTarget);
        };
        let id = enrolment.free_name();
        let address = &self.config.address;
        let uri = NameAddr::parse(address).map_err(|_| Misuse::Address)?.uri;
        let mut headers = vec![
            (Name::Event, Bytes::from_static(document::EVENT.as_bytes())),
            (Name::Expires, Bytes::from(expires.to_string())),
            (Name::AcceptContact, Bytes::from_static(super::ACCEPT_CONTACT)),
            (Name::PPreferredIdentity, address.clone()),
        ];
        headers.extend(tag.map(|tag| (Name::SipIfMatch, tag)));
        let body = has_body.then(|| {
            let entity = Entity { id: enrolment.entity.clone(), settings: self.config.settings.into() };
            Body {
                content_type: Bytes::from_static(document::CONTENT_TYPE.as_bytes()),
                bytes: document::write(&[entity]),
            }
        });
        let request = Request {
            id,
            method: Method::Publish,
            uri: address.slice_ref(uri),
            from: address.clone(),
            to: Bytes::from([b"<", uri, b">"].concat()),
            targets: config.targets.clone(),
            routes: enrolment.routes_behind(&config.routes),
            headers,
            body,
            call_id: None,
            cseq: None,
            contact: None,
            hops: None,
        };
        self.endpoint.handle_input(self.now, command(request))?;
        enrolment.out.insert(id);
        enrolment.publishing = Some(id);
        Ok(())
    }
}

impl From<super::PocSettings> for Settings {
    fn from(settings: super::PocSettings) -> Self {
        Self {
            incoming_session_barring: Some(settings.incoming_session_barring),
            answer_mode: Some(settings.answer_mode),
            incoming_personal_alert_barring: Some(settings.incoming_personal_alert_barring),
            simultaneous_sessions: Some(settings.simultaneous_sessions),
        }
    }
}

fn command(request: Request) -> sip::Input {
    sip::Input::Command(sip::Command::Request(Box::new(request)))
}

/// What a final response to REGISTER or PUBLISH means.
enum Verdict {
    Success,
    TooBrief,
    /// Asking again would only meet it again: credentials, rights, a user who does not exist.
    Refusal(u16),
    /// Another time it may be otherwise.
    Failure(u16),
}

fn verdict(response: &Message) -> Verdict {
    match response.status().unwrap_or(500) {
        200..=299 => Verdict::Success,
        423 => Verdict::TooBrief,
        status @ (501 | 505 | 513) => Verdict::Refusal(status),
        status @ (408 | 480 | 500..=599) => Verdict::Failure(status),
        status => Verdict::Refusal(status),
    }
}

fn seconds(response: &Message, name: Name) -> Option<u32> {
    response.number(name).ok()?
}

fn retry_after(response: &Message) -> Option<Duration> {
    let seconds = response.valued(Name::RetryAfter).next()?.ok()?.number()?;
    Some(Duration::from_secs(seconds.into()))
}

/// For how many seconds our binding stands: RFC 3261 §10.2.4. Other terminals of the user have theirs beside it.
fn granted(response: &Message, config: &Config) -> Option<u32> {
    let is_ours = |contact: &NameAddr<'_>| {
        let address = Uri::parse(contact.uri).ok().and_then(|uri| uri.socket_address());
        config.sip.listeners.iter().any(|listener| Some(listener.advertised) == address)
    };
    let contacts: Vec<_> = response.addresses(Name::Contact).filter_map(Result::ok).collect();
    let ours = contacts.iter().filter(|contact| is_ours(contact) || contacts.len() == 1);
    let expires = ours.filter_map(|contact| number(contact.parameters.value(b"expires")?)).max();
    expires.or_else(|| seconds(response, Name::Expires))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Addresses of the network, as they are written. None if they are more than anybody needs, or one cannot be read.
fn kept(response: &Message, name: Name) -> Vec<Bytes> {
    let values: Vec<_> = response.items(name).take(VALUES_MAX + 1).map(Bytes::copy_from_slice).collect();
    let is_fine =
        |value: &Bytes| value.len() <= VALUE_MAX && value.contains(&b'<') && NameAddr::parse(value).is_ok();
    if values.len() > VALUES_MAX || !values.iter().all(is_fine) {
        tracing::warn!(%name, "unusable addresses from the registrar");
        return Vec::new();
    }
    values
}
