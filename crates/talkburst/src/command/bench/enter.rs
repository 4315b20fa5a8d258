//! Users who are called: registered, and with settings that let them be invited.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use poc::AnswerMode;
use poc::body::settings::{CONTENT_TYPE, EVENT, Entity, Settings, write};
use sip::Duration;
use sip::auth::digest::{Algorithm, Input, Quality, Secret};
use sip::auth::unquoted;
use sip::message::{Message, Name};

use super::port::Port;
use super::text::pair;
use crate::clock::Clock;
use crate::command::Failure;

/// Requests that are unanswered at once.
const WINDOW: usize = 64;

/// How long an answer is waited for before the request is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// How often one is sent.
const TRIES: u32 = 20;

/// What the server wants of a password: a nonce that it gave to our address. It takes it for every request, from everybody there.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) domain: String,
    nonce: Bytes,
}

impl Access {
    /// A header line for this request of `name`, whose password is the name.
    pub(super) fn line(&self, header: &str, name: &str, method: &str, uri: &str) -> String {
        let Some(algorithm) = Algorithm::parse(b"MD5") else { return String::new() };
        let response = Input {
            algorithm,
            username: name.as_bytes(),
            realm: self.domain.as_bytes(),
            secret: Secret::Password(name.as_bytes()),
            nonce: &self.nonce,
            cnonce: b"c",
            count: 1,
            quality: Some(Quality::Authentication),
            method: method.as_bytes(),
            uri: uri.as_bytes(),
            body: b"",
        }
        .response();
        let (domain, nonce) = (&self.domain, String::from_utf8_lossy(&self.nonce));
        format!(
            "{header}: Digest username=\"{name}\", realm=\"{domain}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, \
             qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n"
        )
    }
}

/// What is asked of the server for a user.
#[derive(Clone, Copy)]
enum Step {
    /// Nothing but a challenge.
    Knock,
    Register(usize),
    Publish(usize),
}

/// Registers so many users at `port`, with their settings.
pub(super) async fn enter(
    clock: Clock,
    port: &mut Port,
    server: SocketAddr,
    domain: &str,
    users: usize,
) -> Result<Access, Failure> {
    let access = Access { domain: domain.to_owned(), nonce: Bytes::new() };
    let mut entering =
        Entering { access, local: port.local, number: 0, open: BTreeMap::new(), refused: None };
    let challenge = entering.ask(clock, port, server, [Step::Knock].into_iter()).await?;
    entering.access.nonce = challenge.ok_or(Failure::NotRegistered(None))?;
    let steps = |step: fn(usize) -> Step| (0..users).map(step);
    entering.ask(clock, port, server, steps(Step::Register)).await?;
    entering.ask(clock, port, server, steps(Step::Publish)).await?;
    Ok(entering.access)
}

struct Entering {
    access: Access,
    local: SocketAddr,
    number: u32,
    /// What has no answer: when it was sent, how often, and what.
    open: BTreeMap<u32, (Duration, u32, Bytes)>,
    refused: Option<u16>,
}

impl Entering {
    /// Goes through `steps`; a nonce comes back if one was told.
    async fn ask(
        &mut self,
        clock: Clock,
        port: &mut Port,
        server: SocketAddr,
        mut steps: impl Iterator<Item = Step>,
    ) -> Result<Option<Bytes>, Failure> {
        let mut nonce = None;
        loop {
            let now = clock.now().since_start();
            let mut out = Vec::new();
            while self.open.len() < WINDOW {
                let Some(step) = steps.next() else { break };
                self.number += 1;
                let request = Bytes::from(self.request(step));
                self.open.insert(self.number, (now, 1, request.clone()));
                out.push(request);
            }
            for (sent, tries, request) in self.open.values_mut() {
                if now.saturating_sub(*sent) > RESEND_AFTER {
                    (*sent, *tries) = (now, *tries + 1);
                    out.push(request.clone());
                }
                if *tries > TRIES {
                    return Err(Failure::NotRegistered(None));
                }
            }
            if self.open.is_empty() {
                return self.refused.map_or(Ok(nonce), |status| Err(Failure::NotRegistered(Some(status))));
            }
            port.send(server, out.into_iter()).await;
            tokio::select! {
                readable = port.readable() => readable.and_then(|()| self.receive(port, &mut nonce)).map_err(Failure::Network)?,
                () = tokio::time::sleep(RESEND_AFTER) => {}
            }
        }
    }

    fn receive(&mut self, port: &mut Port, nonce: &mut Option<Bytes>) -> io::Result<()> {
        port.receive(|_, answer| {
            let (Some(status @ 200..), Ok(cseq)) = (answer.status(), answer.cseq()) else { return };
            if self.open.remove(&cseq.number).is_none() {
                return;
            }
            match status {
                401 | 407 if self.access.nonce.is_empty() => *nonce = nonce_of(answer),
                200..=299 => {}
                _ => self.refused = Some(status),
            }
        })
    }

    fn request(&self, step: Step) -> String {
        let (number, local, domain) = (self.number, self.local, &self.access.domain);
        let registrar = format!("sip:{domain}");
        let (method, user, uri, lines, body) = match step {
            Step::Knock => ("REGISTER", pair(0).1, registrar, String::new(), String::new()),
            Step::Register(user) => {
                let user = pair(user).1;
                let contact = format!("Contact: <sip:{user}@{local}>;+g.poc.talkburst\r\nExpires: 3600\r\n");
                let proof = self.access.line("Authorization", &user, "REGISTER", &registrar);
                ("REGISTER", user, registrar, proof + &contact, String::new())
            }
            Step::Publish(user) => {
                let user = pair(user).1;
                let uri = format!("sip:{user}@{domain}");
                let proof = self.access.line("Proxy-Authorization", &user, "PUBLISH", &uri);
                let lines = format!("Event: {EVENT}\r\nExpires: 3600\r\nContent-Type: {CONTENT_TYPE}\r\n");
                let settings = Settings {
                    answer_mode: Some(AnswerMode::Manual),
                    incoming_session_barring: Some(false),
                    simultaneous_sessions: Some(true),
                    ..Settings::default()
                };
                let body = write(&[Entity { id: "bench".to_owned(), settings }]);
                ("PUBLISH", user, uri, proof + &lines, String::from_utf8_lossy(&body).into_owned())
            }
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK-enter-{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{domain}>;tag=enter\r\nTo: <sip:{user}@{domain}>\r\nCall-ID: enter-{user}-{method}\r\n\
             CSeq: {number} {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

fn nonce_of(answer: &Message) -> Option<Bytes> {
    let name = if answer.status() == Some(401) { Name::WwwAuthenticate } else { Name::ProxyAuthenticate };
    let challenge = answer.credentials(name).next()?.ok()?;
    challenge.parameters.value(b"nonce").and_then(unquoted)
}
