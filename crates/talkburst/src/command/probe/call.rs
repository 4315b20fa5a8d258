//! Requests and responses of the probe, as text: nothing stands in the way of a wrong one.

use std::net::SocketAddr;

use poc::AnswerMode;
use poc::body::settings::{self, Entity, Settings};
use sip::Message;
use sip::auth::{Authentication, Credentials};
use sip::identifier::Identifiers;
use sip::message::{Method, Name};

use super::ends::Way;
use super::stage::{Stage, Step, Stop, answers, tag, text};

/// The port of SIP in a URI that names none (RFC 3261 §19.1.2).
pub(super) const PORT: u16 = 5060;

/// What nobody else has drawn.
pub(super) fn fresh() -> String {
    getrandom::u64().map_or_else(|_| "probe".to_owned(), |number| format!("{number:016x}"))
}

/// An INVITE of ours, and what can be made of it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) end: usize,
    /// Where everything goes.
    pub(super) to: Way,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    at: SocketAddr,
    uri: String,
    from: String,
    /// The value of To: with the tag within a dialog.
    addressee: String,
    branch: String,
    routes: String,
    /// Header lines of INVITEs and CANCELs as they were sent.
    extra: String,
    body: String,
}

impl Call {
    /// A call from an end of ours to `uri`; nothing is sent.
    pub(super) fn new(stage: &Stage<'_>, end: usize, uri: &str, to: Way) -> Self {
        let at = stage.at(end);
        let from = stage.settings.name(end).map_or_else(|| format!("sip:inviter@{at}"), str::to_owned);
        Self {
            end,
            to,
            call_id: fresh(),
            cseq: 1,
            at,
            uri: uri.to_owned(),
            from: format!("<{from}>;tag={}", fresh()),
            addressee: format!("<{uri}>"),
            branch: format!("z9hG4bK{}", fresh()),
            routes: String::new(),
            extra: String::new(),
            body: stage.description(end, None),
        }
    }

    /// With these header lines in its INVITE.
    pub(super) fn with(mut self, extra: &str) -> Self {
        self.extra += extra;
        self
    }

    /// The INVITE.
    pub(super) fn invite(&self) -> String {
        let feature =
            "Accept-Contact: *;+g.poc.talkburst;require;explicit\r\nUser-Agent: PoC-client/OMA1.0\r\n";
        let is_poc = self.body.contains("udp TBCP");
        let contact = if is_poc { ";+g.poc.talkburst" } else { "" };
        let Self { extra, body, .. } = self;
        format!(
            "{}Contact: <sip:inviter@{}{}>{contact}\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK\r\n{}{extra}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            self.head("INVITE"),
            self.at,
            self.to.transport.uri_parameter(),
            if is_poc { feature } else { "" },
            body.len(),
        )
    }

    /// The CANCEL of that INVITE: RFC 3261 §9.1.
    pub(super) fn cancel(&self) -> String {
        self.cancel_with("")
    }

    /// The same with these header lines.
    pub(super) fn cancel_with(&self, extra: &str) -> String {
        format!("{}{extra}Content-Length: 0\r\n\r\n", self.head("CANCEL"))
    }

    /// The ACK of a final response: RFC 3261 §17.1.1.3, §13.2.2.4.
    pub(super) fn ack(&self, response: &Message) -> String {
        let to = text(response, Name::To);
        if response.status() < Some(300) {
            let dialog = self.dialog(response);
            return format!("{}Content-Length: 0\r\n\r\n", Self { cseq: self.cseq, ..dialog }.head("ACK"));
        }
        let ack = Self { addressee: to, ..self.clone() };
        format!("{}Content-Length: 0\r\n\r\n", ack.head("ACK"))
    }

    /// The BYE behind a response that made a dialog.
    pub(super) fn bye(&self, response: &Message) -> String {
        format!("{}Content-Length: 0\r\n\r\n", self.dialog(response).head("BYE"))
    }

    /// The PRACK of a reliable 1xx: RFC 3262 §4.
    pub(super) fn prack(&self, response: &Message) -> String {
        let rseq = text(response, Name::RSeq);
        let rack = format!("RAck: {rseq} {} INVITE\r\n", self.cseq);
        format!("{}{rack}Content-Length: 0\r\n\r\n", self.dialog(response).head("PRACK"))
    }

    /// The next request of the dialog that this response made.
    pub(super) fn dialog(&self, response: &Message) -> Self {
        let mut routes: Vec<_> = response
            .items(Name::RecordRoute)
            .map(|route| String::from_utf8_lossy(route).into_owned())
            .collect();
        routes.reverse();
        let contact = response.address(Name::Contact).ok();
        let uri = contact
            .map_or_else(|| self.uri.clone(), |contact| String::from_utf8_lossy(contact.uri).into_owned());
        Self {
            uri,
            cseq: self.cseq + 1,
            branch: format!("z9hG4bK{}", fresh()),
            addressee: text(response, Name::To),
            routes: routes.iter().map(|route| format!("Route: {}\r\n", route.trim())).collect(),
            ..self.clone()
        }
    }

    /// The INVITE once more, as another transaction of the same call.
    pub(super) fn again(&self) -> Self {
        Self { cseq: self.cseq + 1, branch: format!("z9hG4bK{}", fresh()), ..self.clone() }
    }

    /// A request of another method with the branch and everything else of this call.
    pub(super) fn request(&self, method: &str) -> String {
        format!("{}Content-Length: 0\r\n\r\n", self.head(method))
    }

    /// A response to this INVITE with a status in `range`.
    pub(super) fn answered(&self, range: std::ops::RangeInclusive<u16>) -> impl Fn(&Message) -> bool + use<> {
        let (call_id, cseq) = (self.call_id.clone(), self.cseq);
        move |message| {
            answers(Method::Invite, range.clone())(message)
                && message.call_id() == call_id.as_bytes()
                && message.cseq().is_ok_and(|heard| heard.number == cseq)
        }
    }

    /// What the probe has drawn for its Via.
    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    /// Transport and address in its Via.
    pub(super) fn sent_by(&self) -> String {
        format!("{} {}", self.to.transport, self.at)
    }

    fn head(&self, method: &str) -> String {
        let Self { uri, to, at, branch, routes, from, addressee, call_id, cseq, .. } = self;
        let transport = to.transport;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {at};branch={branch};rport\r\nMax-Forwards: 70\r\n{routes}\
             From: {from}\r\nTo: {addressee}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
        )
    }
}

/// Sends the INVITE; it will not be left behind. A challenge is answered.
pub(super) fn send(stage: &mut Stage<'_>, call: &mut Call) -> Step {
    prepare(stage, call)?;
    stage.began(call);
    stage.say(call.end, call.to, &call.invite())
}

/// Asks for the challenge that an INVITE of this end will get, so that the next one has the answer.
pub(super) fn prepare(stage: &mut Stage<'_>, call: &mut Call) -> Step {
    if stage.settings.credentials(call.end).is_none() {
        return Ok(());
    }
    stage.began(call);
    stage.say(call.end, call.to, &call.invite())?;
    let is_first = |message: &Message| message.status() > Some(100) && message.is_cseq_method(Method::Invite);
    let asked = stage.hear(call.end, stage.settings.patience, is_first)?;
    let Some(asked) = asked.filter(|asked| matches!(asked.message.status(), Some(401 | 407))) else {
        return Err(Stop::Unclear("the target does not ask for credentials".to_owned()));
    };
    stage.say(call.end, call.to, &call.ack(&asked.message))?;
    let lines = credentials_for(stage, call.end, &call.invite(), &asked.message, Method::Invite, &call.uri)?;
    *call = call.again().with(&lines);
    Ok(())
}

/// What a challenge wants, as header lines.
fn credentials_for(
    stage: &Stage<'_>,
    end: usize,
    request: &str,
    challenge: &Message,
    method: Method,
    uri: &str,
) -> Step<String> {
    let (username, secret) = stage.settings.credentials(end).unwrap_or_default();
    let credentials =
        Credentials { realm: None, username: username.to_owned().into(), secret: secret.to_owned().into() };
    let Ok(request) = Message::parse(request.to_owned().into()) else {
        return Err(Stop::Unclear("the challenge cannot be answered".to_owned()));
    };
    let mut identifiers =
        Identifiers::new(sip::Owner::default(), std::array::from_fn(|_| getrandom::u64().unwrap_or(1) as u8));
    let mut authentication = Authentication::default();
    if !authentication.accept(&request, challenge, &[credentials], &mut identifiers) {
        return Err(Stop::Unclear("the challenge cannot be answered".to_owned()));
    }
    let lines = authentication.lines(method, uri.as_bytes(), request.body());
    Ok(lines
        .into_iter()
        .map(|(name, value)| format!("{}: {}\r\n", name.as_str(), String::from_utf8_lossy(&value)))
        .collect())
}

/// Registers an end of ours with the target, as the only place of its user; or, for no time at all, takes that back. A PoC Client
/// has published its settings then: it answers manually.
pub(super) fn register(stage: &mut Stage<'_>, end: usize, registrar: Way, seconds: u32) -> Step {
    let Some(name) = stage.settings.name(end).map(str::to_owned) else { return Ok(()) };
    stage.registered(registrar);
    let is_poc = stage.settings.is_poc;
    let domain = name.rsplit('@').next().unwrap_or_default().to_owned();
    let mut call = Call::new(stage, end, &format!("sip:{domain}"), registrar);
    call.addressee = format!("<{name}>");
    let (own, feature) =
        (stage.uri(end, "probe", registrar.transport), if is_poc { ";+g.poc.talkburst" } else { "" });
    let contact = format!("Contact: <{own}>{feature}\r\nExpires: {seconds}\r\n");
    if !is_granted(stage, call, Method::Register, &contact, "")? {
        return Err(Stop::Unclear(format!("{name} could not be registered")));
    }
    if !is_poc || seconds == 0 {
        return Ok(());
    }
    let call = Call::new(stage, end, &name, registrar);
    let settings = Settings { answer_mode: Some(AnswerMode::Manual), ..Settings::default() };
    let body = settings::write(&[Entity { id: "probe".to_owned(), settings }]);
    let lines = format!(
        "Event: poc-settings\r\nExpires: {seconds}\r\nContent-Type: application/poc-settings+xml\r\n\
         Accept-Contact: *;+g.poc.talkburst;require;explicit\r\n"
    );
    if !is_granted(stage, call, Method::Publish, &lines, &String::from_utf8_lossy(&body))? {
        return Err(Stop::Unclear(format!("the settings of {name} could not be published")));
    }
    Ok(())
}

/// Whether a request outside of a dialog is answered with 2xx, once a challenge has had its answer.
fn is_granted(stage: &mut Stage<'_>, mut call: Call, method: Method, lines: &str, body: &str) -> Step<bool> {
    let mut credentials = String::new();
    for _ in 0..2 {
        let length = body.len();
        let head = call.head(method.as_str());
        let request = format!("{head}{lines}{credentials}Content-Length: {length}\r\n\r\n{body}");
        stage.say(call.end, call.to, &request)?;
        let answer = stage.hear(call.end, stage.settings.patience, answers(method, 200..=699))?;
        let Some(answer) = answer else { break };
        match answer.message.status() {
            Some(200..=299) => return Ok(true),
            Some(401 | 407) => {
                credentials = credentials_for(stage, call.end, &request, &answer.message, method, &call.uri)?;
                call = call.again();
            }
            Some(_) | None => break,
        }
    }
    Ok(false)
}

/// A response to `request`: with this tag in To unless it has one, and these further lines and body.
pub(super) fn answer(request: &Message, status: u16, to_tag: &str, rest: &str) -> String {
    let mut lines = format!("SIP/2.0 {status} {}\r\n", sip::message::reason_phrase(status));
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::To, Name::CallId, Name::CSeq] {
        for value in request.values(name) {
            lines += &format!("{}: {}", name.as_str(), String::from_utf8_lossy(value));
            if name == Name::To && tag(request).is_none() && status > 100 {
                lines += &format!(";tag={to_tag}");
            }
            lines += "\r\n";
        }
    }
    if rest.is_empty() { lines + "Content-Length: 0\r\n\r\n" } else { lines + rest }
}
