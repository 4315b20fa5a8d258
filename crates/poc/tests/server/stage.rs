//! A PoC Server, the core that it hangs on, and the pens of those who are behind the core.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use poc::sdp::Capabilities;
use poc::server::{
    Command, Config, Counters, Event, Group, GroupKind, GroupMember, GroupRole, Input, MediaTransmit, Record,
    Server, User,
};
use sip::message::Name;
use sip::transport::{ConnectionId, Listener, Path, Target, Transport};
use sip::{Duration, Instant, Message};

pub(crate) const T1_64: Duration = Duration::from_secs(32);
pub(crate) const SET_UP_LIMIT: Duration = Duration::from_secs(30);
const SERVER: &str = "192.0.2.10:5060";
const CORE: &str = "192.0.2.1:5060";
pub(crate) const FACTORY: &str = "sip:poc-factory@home1.example";

/// What a terminal offers and answers.
pub(crate) const SDP: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n\
    m=application 40002 udp TBCP\r\na=fmtp:TBCP queuing=1; tb_priority=2\r\n";

pub(crate) fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn path(remote: &str) -> Path {
    Path { transport: Transport::Udp, local: address(SERVER), remote: address(remote), connection: None }
}

/// "INVITE", "487 INVITE": what a message is, in a word or two.
pub(crate) fn word(message: &Message) -> String {
    let method = String::from_utf8_lossy(message.cseq().expect("a CSeq").method).into_owned();
    message.status().map_or(method.clone(), |status| format!("{status} {method}"))
}

pub(crate) fn text(message: &Message, name: Name) -> &str {
    std::str::from_utf8(message.value(name).unwrap_or_default()).expect("text")
}

fn call_id(message: &Message) -> String {
    text(message, Name::CallId).to_owned()
}

/// A call that somebody behind the core makes to the server.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The INVITE but for its method, so that what follows has the same identity.
    uri: String,
    branch: String,
    from: String,
    pub(crate) call_id: String,
    number: u32,
    lines: String,
    body: String,
}

impl Call {
    /// A user of the server invites `to`: the core hands the INVITE over as originating.
    pub(crate) fn originating(inviter: &str, to: &str) -> Self {
        Self::new("orig", inviter, to, "Contact: <sip:anna@192.0.2.77>;+g.poc.talkburst\r\n")
    }

    /// A Controlling PoC Function invites `to`: the core hands the INVITE over as terminating.
    pub(crate) fn terminating(inviter: &str, to: &str) -> Self {
        let contact = "Contact: <sip:ps77@192.0.2.66;session=1-1>;+g.poc.talkburst;isfocus\r\n";
        Self::new("term", inviter, to, contact)
    }

    /// Somebody wants into a session of a group, or into one whose identity is known: the Participating PoC Function of the
    /// inviter has let the INVITE pass, and the core hands it over as terminating.
    pub(crate) fn to_group(inviter: &str, to: &str) -> Self {
        Self::new("term", inviter, to, "Contact: <sip:pf7@192.0.2.66>;+g.poc.talkburst\r\n")
    }

    fn new(role: &str, inviter: &str, to: &str, contact: &str) -> Self {
        let name = inviter.trim_start_matches("sip:").split('@').next().unwrap_or_default();
        let branch = format!("{role}{name}");
        Self {
            uri: to.to_owned(),
            from: format!("<{inviter}>"),
            call_id: format!("call-{branch}"),
            branch,
            number: 7,
            lines: format!(
                "Route: <sip:{role}@{SERVER};lr>, <sip:{CORE};lr;odi={role}>\r\n{contact}P-Asserted-Identity: <{inviter}>\r\n\
                 Accept-Contact: *;+g.poc.talkburst;require;explicit\r\nContent-Type: application/sdp\r\n"
            ),
            body: SDP.to_owned(),
        }
    }

    /// To several users, by a list.
    pub(crate) fn listing(inviter: &str, members: &[&str]) -> Self {
        let entries: String = members.iter().map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
        let list = format!(
            "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list></resource-lists>"
        );
        let body = format!(
            "--b1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b1\r\nContent-Type: application/resource-lists+xml\r\n\
             Content-Disposition: recipient-list\r\n\r\n{list}\r\n--b1--\r\n"
        );
        let call = Self::originating(inviter, FACTORY);
        let lines = call.lines.replace("application/sdp", "multipart/mixed;boundary=b1");
        Self { lines, body, ..call }.with("Require: recipient-list-invite\r\n")
    }

    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.lines += lines;
        self
    }

    pub(crate) fn without(mut self, line: &str) -> Self {
        self.lines = self.lines.split_inclusive("\r\n").filter(|each| !each.starts_with(line)).collect();
        self
    }

    pub(crate) fn replacing(mut self, what: &str, with: &str) -> Self {
        self.lines = self.lines.replace(what, with);
        self
    }

    /// From as a whole, without a tag.
    pub(crate) fn named_from(self, from: &str) -> Self {
        Self { from: from.to_owned(), ..self }
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    pub(crate) fn with_body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// The same call under another name.
    pub(crate) fn again(&self) -> Self {
        let again = |text: &str| format!("{text}x");
        Self { branch: again(&self.branch), call_id: again(&self.call_id), ..self.clone() }
    }

    /// A MESSAGE of `sender`, or for a user of the server, with this body.
    pub(crate) fn messaging(role: &str, sender: &str, to: &str, kind: &str, body: &str) -> Self {
        let call = Self::new(role, sender, to, "").replacing("application/sdp", kind).with_body(body);
        Self { call_id: format!("message{}", call.call_id), ..call }
    }

    /// The MESSAGE.
    pub(crate) fn message(&self) -> String {
        self.request("MESSAGE", self.number, &self.branch, "", &self.lines, &self.body)
    }

    /// The INVITE.
    pub(crate) fn invite(&self) -> String {
        self.request("INVITE", self.number, &self.branch, "", &self.lines, &self.body)
    }

    /// Its CANCEL.
    pub(crate) fn cancel(&self) -> String {
        self.request("CANCEL", self.number, &self.branch, "", "", "")
    }

    fn request(
        &self,
        method: &str,
        number: u32,
        branch: &str,
        to_tag: &str,
        lines: &str,
        body: &str,
    ) -> String {
        let Self { uri, from, call_id, .. } = self;
        let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bK{branch}\r\n\
             Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKclient{branch}\r\nMax-Forwards: 69\r\nFrom: {from};tag=f1\r\n\
             To: <{uri}>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\nRecord-Route: <sip:{CORE};lr>\r\n{lines}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The tag of To.
fn to_tag(message: &Message) -> String {
    String::from_utf8_lossy(message.to().expect("a To").tag().unwrap_or_default()).into_owned()
}

pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) now: Duration,
    /// What the server sent and nobody has looked at, by Call-ID.
    sent: BTreeMap<String, VecDeque<Message>>,
    /// The INVITEs of the server, by Request-URI.
    invites: BTreeMap<String, Vec<Message>>,
    pub(crate) records: Vec<Record>,
    /// Datagrams of speech and talk burst control.
    pub(crate) media: Vec<MediaTransmit>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Anna, Ben, Cara and Dan are served; Ben, Cara and Dan have published manual answer.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener =
            Listener { transport: Transport::Udp, bind: address(SERVER), advertised: address(SERVER) };
        let mut sip = sip::Config::new(vec![listener], [7; 32]);
        sip.datagram_max = 10_000;
        let core = Target { transport: Transport::Udp, remote: address(CORE) };
        let media = Capabilities::amr(address(SERVER).ip(), 45_200, 25_463);
        let mut config = Config::new(sip, core, Bytes::from_static(FACTORY.as_bytes()), media);
        config.trusted = vec![address(CORE).ip()];
        change(&mut config);
        let mut stage = Self {
            server: Server::new(config),
            now: Duration::ZERO,
            sent: BTreeMap::new(),
            invites: BTreeMap::new(),
            records: Vec::new(),
            media: Vec::new(),
        };
        for user in ["anna", "ben", "cara", "dan"] {
            stage.put(User::new(Bytes::from(format!("sip:{user}@home1.example"))));
            if user != "anna" {
                stage.publish(user, "manual");
            }
        }
        stage
    }

    pub(crate) fn put(&mut self, user: User) {
        self.input(Input::Command(Command::PutUser(Box::new(user))));
    }

    pub(crate) fn put_group(&mut self, group: Group) {
        self.input(Input::Command(Command::PutGroup(Box::new(group))));
    }

    pub(crate) fn change(&mut self, user: &str, change: impl FnOnce(&mut User)) {
        let mut user = User::new(Bytes::from(format!("sip:{user}@home1.example")));
        change(&mut user);
        self.put(user);
    }

    /// A group of this network is hosted here.
    pub(crate) fn host(&mut self, name: &str, members: &[&str], change: impl FnOnce(&mut Group)) {
        let mut group = Group::new(Bytes::from(format!("sip:{name}@home1.example")), GroupKind::PreArranged);
        let member = |address: &&str| GroupMember {
            address: Bytes::copy_from_slice(address.as_bytes()),
            role: GroupRole::Ordinary,
        };
        group.members = members.iter().map(member).collect();
        change(&mut group);
        self.put_group(group);
    }

    pub(crate) fn remove(&mut self, user: &str) {
        let address = Bytes::from(format!("sip:{user}@home1.example"));
        self.input(Input::Command(Command::RemoveUser { address }));
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.server.handle_input(Instant::at(self.now), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            let message = Message::parse(transmit.bytes).expect("a message");
            assert_eq!(message.validate(), Ok(()), "{message:?}");
            assert_eq!(transmit.path.remote, address(CORE), "everything goes to the core: {message:?}");
            if word(&message) == "INVITE" {
                let uri = String::from_utf8_lossy(message.uri_text()).into_owned();
                self.invites.entry(uri).or_default().push(message.clone());
            }
            self.sent.entry(call_id(&message)).or_default().push_back(message);
        }
        self.media.extend(std::iter::from_fn(|| self.server.poll_media()));
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Closed(record) => self.records.push(*record),
                Event::Disconnect { .. } => panic!("no streams here"),
            }
        }
    }

    pub(crate) fn census(&self) -> poc::server::Census {
        self.server.census(Instant::at(self.now))
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(due) = self.server.poll_timeout().map(Instant::since_start).filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.server.handle_timeout(Instant::at(self.now));
            self.drain();
        }
        self.now = until;
    }

    /// A datagram from the core.
    pub(crate) fn receive(&mut self, text: &str) {
        self.receive_from(CORE, text);
    }

    pub(crate) fn receive_from(&mut self, remote: &str, text: &str) {
        let (path, bytes) = (path(remote), Bytes::copy_from_slice(text.as_bytes()));
        // As the core hands it over, which has read it.
        self.input(match Message::parse(bytes.clone()) {
            Ok(message) => Input::Message { path, message },
            Err(_) => Input::Datagram { path, bytes },
        });
    }

    /// Several messages from the core, in one piece of a stream.
    pub(crate) fn receive_together(&mut self, texts: &[String]) {
        let connection = Some(ConnectionId::Accepted(1));
        let path = Path { transport: Transport::Tcp, connection, ..path(CORE) };
        self.input(Input::Stream { path, bytes: Bytes::from(texts.concat()) });
    }

    // Those who call.

    pub(crate) fn invite(&mut self, call: &Call) {
        self.receive(&call.invite());
    }

    pub(crate) fn cancel(&mut self, call: &Call) {
        self.cancel_saying(call, "");
    }

    pub(crate) fn cancel_saying(&mut self, call: &Call, lines: &str) {
        self.receive(&call.request("CANCEL", call.number, &call.branch, "", lines, ""));
    }

    pub(crate) fn cancel_on_branch(&mut self, call: &Call, branch: &str, from: &str) {
        self.receive_from(from, &call.request("CANCEL", call.number, branch, "", "", ""));
    }

    /// The CANCEL of a re-INVITE.
    pub(crate) fn cancel_within(&mut self, call: &Call, response: &Message, branch: &str, number: u32) {
        self.receive(&call.request("CANCEL", number, branch, &to_tag(response), "", ""));
    }

    /// The ACK of `response`: of its transaction or of its dialog.
    pub(crate) fn ack(&mut self, call: &Call, response: &Message) {
        let is_success = response.status().is_some_and(|status| status < 300);
        let branch = if is_success { format!("{}ack", call.branch) } else { call.branch.clone() };
        self.receive(&call.request("ACK", call.number, &branch, &to_tag(response), "", ""));
    }

    /// A request within the dialog of `response`.
    pub(crate) fn within(
        &mut self,
        call: &Call,
        response: &Message,
        method: &str,
        number: u32,
        lines: &str,
        body: &str,
    ) {
        let branch = format!("{}{method}{number}", call.branch);
        self.receive(&call.request(method, number, &branch, &to_tag(response), lines, body));
    }

    pub(crate) fn bye(&mut self, call: &Call, response: &Message) {
        self.within(call, response, "BYE", call.number + 1, "", "");
    }

    /// Each MESSAGE of the server that nobody has looked at, by Request-URI.
    pub(crate) fn messages(&mut self) -> Vec<Message> {
        let is_message = |message: &Message| word(message) == "MESSAGE";
        let call_ids: Vec<_> = self
            .sent
            .iter()
            .filter(|(_, all)| all.iter().any(is_message))
            .map(|(id, _)| id.clone())
            .collect();
        let mut messages: Vec<_> = call_ids.iter().flat_map(|id| self.take(id)).filter(is_message).collect();
        messages.sort_by(|one, other| one.uri_text().cmp(other.uri_text()));
        messages
    }

    /// What the server has sent in this call since it was last asked.
    pub(crate) fn told(&mut self, call: &Call) -> Vec<String> {
        self.take(&call.call_id).iter().map(word).collect()
    }

    pub(crate) fn told_whole(&mut self, call: &Call) -> Vec<Message> {
        self.take(&call.call_id)
    }

    /// The last message of this call with that word, among those that nobody has looked at.
    pub(crate) fn response(&mut self, call: &Call, wanted: &str) -> Message {
        let messages = self.take(&call.call_id);
        let found = messages.iter().rev().find(|message| word(message) == wanted);
        found
            .unwrap_or_else(|| panic!("no {wanted} in {:?}", messages.iter().map(word).collect::<Vec<_>>()))
            .clone()
    }

    /// The session of `call` stands: 200, ACK.
    pub(crate) fn established(&mut self, call: &Call) -> Message {
        let response = self.response(call, "200 INVITE");
        self.ack(call, &response);
        response
    }

    fn take(&mut self, call_id: &str) -> Vec<Message> {
        self.sent.remove(call_id).unwrap_or_default().into()
    }

    // Those who are called.

    /// The last INVITE for `user`.
    pub(crate) fn leg(&self, user: &str) -> Message {
        self.leg_to(&format!("sip:{user}@home1.example"))
    }

    pub(crate) fn invites_of(&self, user: &str) -> usize {
        self.invites_to(&format!("sip:{user}@home1.example"))
    }

    /// The last INVITE to this Request-URI.
    pub(crate) fn leg_to(&self, uri: &str) -> Message {
        let invites = self.invites.get(uri).and_then(|all| all.last());
        invites.unwrap_or_else(|| panic!("nobody invited {uri}")).clone()
    }

    pub(crate) fn invites_to(&self, uri: &str) -> usize {
        self.invites.get(uri).map_or(0, Vec::len)
    }

    /// What the server has sent on that leg since it was last asked.
    pub(crate) fn seen(&mut self, leg: &Message) -> Vec<String> {
        self.take(&call_id(leg)).iter().map(word).collect()
    }

    pub(crate) fn seen_whole(&mut self, leg: &Message) -> Vec<Message> {
        self.take(&call_id(leg))
    }

    /// The called side answers `request`.
    pub(crate) fn answer(&mut self, request: &Message, status: u16) {
        let body = if status == 200 && word(request) == "INVITE" { SDP } else { "" };
        self.answer_saying(request, status, "", body);
    }

    pub(crate) fn answer_saying(&mut self, request: &Message, status: u16, lines: &str, body: &str) {
        self.receive(&answer(request, status, lines, body));
    }

    /// A focus answers `request`: with this Contact.
    pub(crate) fn answer_as(&mut self, request: &Message, status: u16, contact: &str, lines: &str) {
        let body = if status == 200 { SDP } else { "" };
        let response = answer(request, status, lines, body);
        let contact = if contact.is_empty() { String::new() } else { format!("Contact: {contact}\r\n") };
        self.receive(&response.replace("Contact: <sip:ben@192.0.2.88>\r\n", &contact));
    }

    /// A refusal with a body of this type.
    pub(crate) fn refuse_typed(
        &mut self,
        request: &Message,
        status: u16,
        lines: &str,
        kind: &str,
        body: &str,
    ) {
        self.receive(&answer(request, status, lines, body).replace("application/sdp", kind));
    }

    /// 200 with a body of this type.
    pub(crate) fn answer_typed(&mut self, request: &Message, kind: &str, body: &str) {
        self.receive(&answer(request, 200, "", body).replace("application/sdp", kind));
    }

    /// The called side answers each request that it has not answered, of those with that word.
    pub(crate) fn answer_all(&mut self, leg: &Message, wanted: &str, status: u16) {
        for request in self.take(&call_id(leg)).iter().filter(|message| word(message) == wanted) {
            self.answer(request, status);
        }
    }

    /// A request of the called side within the dialog that its 200 made.
    pub(crate) fn leg_sends(&mut self, leg: &Message, method: &str, number: u32, lines: &str, body: &str) {
        let contact = leg.addresses(Name::Contact).next().expect("a Contact").expect("a good one");
        let uri = String::from_utf8_lossy(contact.uri).into_owned();
        let branch = format!("{}{method}{number}", call_id(leg));
        self.receive(&format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bK{branch}\r\nMax-Forwards: 69\r\nFrom: {};tag=b1\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            text(leg, Name::To),
            text(leg, Name::From),
            call_id(leg),
            body.len()
        ));
    }

    // Those who want to know, and who want others to come or go.

    /// A request of `who` outside of any dialog, and what comes back at once: the response first.
    pub(crate) fn request(
        &mut self,
        who: &str,
        method: &str,
        to: &str,
        lines: &str,
        body: &str,
    ) -> (String, Vec<Message>) {
        self.now += ms(1);
        let call = Call::to_group(who, to);
        let branch = format!("{method}{}", self.now.as_millis());
        let lines = format!("P-Asserted-Identity: <{who}>\r\nContact: <sip:client@192.0.2.77>\r\n{lines}");
        let call = Call { call_id: branch.clone(), ..call };
        self.receive(&call.request(method, 1, &branch, "", &lines, body));
        let came = self.take(&branch);
        (branch, came)
    }

    pub(crate) fn subscribe(&mut self, who: &str, identity: &str) -> (String, Vec<Message>) {
        let lines = "Event: conference\r\nAccept: application/conference-info+xml\r\nExpires: 3600\r\n";
        self.request(who, "SUBSCRIBE", identity, lines, "")
    }

    pub(crate) fn refer(&mut self, who: &str, identity: &str, target: &str) -> (String, Vec<Message>) {
        self.request(who, "REFER", identity, &format!("Refer-To: <{target}>\r\n"), "")
    }

    /// The NOTIFYs of a dialog since it was last asked; each is answered.
    pub(crate) fn notified(&mut self, dialog: &str) -> Vec<Message> {
        let notified = self.take(dialog);
        for request in &notified {
            self.answer(request, 200);
        }
        notified
    }

    // Settings.

    pub(crate) fn publish(&mut self, user: &str, answer_mode: &str) {
        let settings = format!("<am-settings><answer-mode>{answer_mode}</answer-mode></am-settings>");
        let response = self.publish_saying(user, "", &settings);
        assert_eq!(response.status(), Some(200), "{response:?}");
    }

    /// The same in the place of what was published before.
    pub(crate) fn publish_only(&mut self, user: &str, answer_mode: &str) {
        self.publish_only_saying(
            user,
            &format!("<am-settings><answer-mode>{answer_mode}</answer-mode></am-settings>"),
        );
    }

    pub(crate) fn publish_only_saying(&mut self, user: &str, settings: &str) {
        self.remove(user);
        self.change(user, |_| {});
        let response = self.publish_saying(user, "", settings);
        assert_eq!(response.status(), Some(200), "{response:?}");
    }

    /// PUBLISH of an entity with these settings; without settings it has no body.
    pub(crate) fn publish_saying(&mut self, user: &str, lines: &str, settings: &str) -> Message {
        self.publish_as(user, user, lines, settings)
    }

    /// The same, by somebody else.
    pub(crate) fn publish_as(&mut self, publisher: &str, user: &str, lines: &str, settings: &str) -> Message {
        let body = match settings {
            "" => String::new(),
            _ => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><poc-settings xmlns=\"urn:oma:params:xml:ns:poc:poc-settings\">\
                 <entity id=\"e1\">{settings}</entity></poc-settings>"
            ),
        };
        let call =
            Call::originating(&format!("sip:{user}@home1.example"), &format!("sip:{user}@home1.example"));
        let lines = format!(
            "P-Asserted-Identity: <sip:{publisher}@home1.example>\r\nEvent: poc-settings\r\n{}{lines}",
            if body.is_empty() { "" } else { "Content-Type: application/poc-settings+xml\r\n" }
        );
        self.now += ms(1);
        let branch = format!("publish{user}{}", self.now.as_millis());
        let call = Call { call_id: branch.clone(), ..call };
        self.receive(&call.request("PUBLISH", 1, &branch, "", &lines, &body));
        self.take(&branch).pop().expect("an answer")
    }

    // What is true.

    pub(crate) fn counters(&self) -> Counters {
        self.server.counters()
    }

    pub(crate) fn sessions_of(&self, user: &str) -> usize {
        self.server.sessions_of(format!("sip:{user}@home1.example").as_bytes()).expect("served")
    }

    /// When everything has had its time nothing remains, and there is this many records.
    pub(crate) fn ends_with(&mut self, records: usize) {
        self.pass(8 * T1_64);
        assert!(self.server.is_empty(), "something remains");
        assert_eq!(self.server.poll_timeout(), None);
        assert_eq!(self.records.len(), records, "{:?}", self.records);
        for user in ["anna", "ben", "cara", "dan"] {
            if let Some(sessions) = self.server.sessions_of(format!("sip:{user}@home1.example").as_bytes()) {
                assert_eq!(sessions, 0, "a slot of {user} is still taken");
            }
        }
    }
}

/// The PoC Session Identity in the Contact of `message`.
pub(crate) fn identity_of(message: &Message) -> String {
    let contact = message.addresses(Name::Contact).next().expect("a Contact").expect("a good one");
    String::from_utf8_lossy(contact.uri).into_owned()
}

pub(crate) fn words(messages: &[Message]) -> Vec<String> {
    messages.iter().map(word).collect()
}

/// A group of ordinary members.
pub(crate) fn group_of(address: &'static str, kind: GroupKind, members: &[&str]) -> Group {
    let member = |address: &&str| GroupMember {
        address: Bytes::copy_from_slice(address.as_bytes()),
        role: GroupRole::Ordinary,
    };
    let members = members.iter().map(member).collect();
    Group { members, ..Group::new(Bytes::from_static(address.as_bytes()), kind) }
}

/// A response as the called side writes it.
pub(crate) fn answer(request: &Message, status: u16, lines: &str, body: &str) -> String {
    let mut out = format!("SIP/2.0 {status} x\r\n");
    for name in [Name::Via, Name::RecordRoute] {
        for value in request.items(name) {
            out += &format!("{}: {}\r\n", name.as_str(), String::from_utf8_lossy(value));
        }
    }
    let to = text(request, Name::To);
    let tag = if status == 100 || to.contains(";tag=") { "" } else { ";tag=b1" };
    let contact = if word(request) == "INVITE" {
        "Record-Route: <sip:192.0.2.1:5060;lr>\r\nContact: <sip:ben@192.0.2.88>\r\n"
    } else {
        ""
    };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    out + &format!(
        "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{contact}{kind}{lines}Content-Length: {}\r\n\r\n{body}",
        text(request, Name::From),
        call_id(request),
        text(request, Name::CSeq),
        body.len()
    )
}
