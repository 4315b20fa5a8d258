//! What SIPp plays, a step a line, and the scenario in XML that it is made into.
//!
//! ```text
//! > INVITE                     SIPp sends a request
//! > 180 | Require: 100rel      or a response, here with a line of header more
//! > 200 INVITE                 with the method of its request where the last one received is another
//! > CANCEL branch=other        a CANCEL that fits no INVITE
//! < 487                        SIPp waits for a response or a request; anything else fails the scenario
//! < 200 | Reason: SIP          the header field must have this in it
//! ? 180                        it may come
//! ~ 300                        a pause, in milliseconds
//! ```
//!
//! One who plays `INVITE` first is the inviter; responses have the To tag that is the name of who plays.

use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::sipping::PORT;

/// AMR, and talk burst control.
pub(crate) const SDP: &str = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 3456 RTP/AVP 97\n\
    a=rtpmap:97 AMR/8000\na=fmtp:97 octet-align=1\nm=application 2000 udp TBCP\na=fmtp:TBCP queuing=1; tb_priority=2\n";

/// Who plays, and what is known before.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    /// Whom an INVITE is for.
    pub(crate) invited: &'a str,
    /// Who stands in the list of an INVITE; nobody: there is none.
    pub(crate) list: &'a [String],
    /// The server, if it is the core: what begins has a Route to it.
    pub(crate) server: Option<Ipv4Addr>,
    /// The value of Authorization or Proxy-Authorization for a method and a Request-URI.
    pub(crate) credentials: &'a dyn Fn(&str, &str) -> String,
}

/// What has been written so far.
struct Writer<'a> {
    part: &'a Part<'a>,
    xml: String,
    variables: Vec<String>,
    /// The CSeq number of the last request of ours, and those of the last INVITE and its branch.
    number: u32,
    invite: (u32, u32),
    /// Whether our INVITE has made a dialog, and whether the last one was sent in it.
    is_within: bool,
    is_further: bool,
    /// The last response to our INVITE.
    answer: u16,
    branches: u32,
    /// INVITEs that were received.
    invited: u32,
    has_invited: bool,
    /// The method of the last request that was received.
    heard: String,
}

/// The scenario of `steps`.
pub(crate) fn scenario(part: &Part<'_>, steps: &str) -> String {
    let mut writer = Writer {
        part,
        xml: String::new(),
        variables: Vec::new(),
        number: 0,
        invite: (0, 0),
        is_within: false,
        is_further: false,
        answer: 0,
        branches: 0,
        invited: 0,
        has_invited: false,
        heard: String::new(),
    };
    let steps: Vec<_> = steps.lines().map(str::trim).filter(|step| !step.is_empty()).collect();
    for (place, step) in steps.iter().enumerate() {
        let (sign, rest) = step.split_at(1);
        let mut parts = rest.split('|').map(str::trim);
        let words: Vec<_> = parts.next().unwrap().split(' ').collect();
        let lines: Vec<_> = parts.collect();
        match sign {
            ">" if words[0].parse::<u16>().is_ok() => writer.respond(&words, &lines),
            ">" => {
                writer.request(&words, &lines);
                let next = steps.get(place + 1).copied().unwrap_or_default();
                if words[0] == "INVITE" && next != "< 100" {
                    writer.xml += "  <recv response=\"100\" optional=\"true\"/>\n";
                }
            }
            "<" | "?" => writer.hear(&words, &lines, sign == "?"),
            "~" => writeln!(writer.xml, "  <pause milliseconds=\"{}\"/>", words[0]).unwrap(),
            _ => panic!("no step: {step}"),
        }
    }
    let variables = writer.variables.join(",");
    let reference = if variables.is_empty() {
        String::new()
    } else {
        format!("  <Reference variables=\"{variables}\"/>\n")
    };
    format!(
        "<?xml version=\"1.0\"?>\n<scenario name=\"{}\">\n{}{reference}</scenario>\n",
        part.name, writer.xml
    )
}

/// A session description and a list, as a body of two parts (RFC 5366 §3).
pub(crate) fn with_list(sdp: &str, list: &str) -> String {
    format!(
        "--b\nContent-Type: application/sdp\n\n{sdp}--b\nContent-Type: application/resource-lists+xml\n\
         Content-Disposition: recipient-list\n\n{list}--b--\n"
    )
}

/// A list of these users, as they are spelled.
pub(crate) fn document(names: &[String]) -> String {
    let entry = |name: &String| format!("<entry uri=\"sip:{name}@poc.internal\"/>");
    let entries: String = names.iter().map(entry).collect();
    format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}</list>\
         </resource-lists>\n"
    )
}

impl Writer<'_> {
    fn variable(&mut self, name: &str) {
        if !self.variables.iter().any(|each| each == name) {
            self.variables.push(name.to_owned());
        }
    }

    fn send(&mut self, lines: &[String], body: &str) {
        self.xml += "  <send><![CDATA[\n";
        for line in lines {
            writeln!(self.xml, "    {line}").unwrap();
        }
        self.xml += &format!("    Content-Length: {}\n\n", if body.is_empty() { "0" } else { "[len]" });
        for line in body.lines() {
            writeln!(self.xml, "    {line}").unwrap();
        }
        self.xml += if body.is_empty() { "  ]]></send>\n" } else { "\n  ]]></send>\n" };
    }

    /// `> METHOD`
    fn request(&mut self, words: &[&str], extra: &[&str]) {
        let (method, name) = (words[0], self.part.name);
        let has = |option: &str| words.contains(&option);
        let is_of_invited = self.invited > 0;
        if method == "INVITE" {
            self.is_further = self.is_within;
        }
        // A CANCEL is as its INVITE was.
        let ends = is_of_invited || if method == "CANCEL" { self.is_further } else { self.is_within };
        let is_hop = method == "CANCEL" || method == "ACK" && self.answer >= 300;
        let number = match method {
            "CANCEL" | "ACK" => self.invite.0,
            _ => {
                self.number += 1;
                self.number
            }
        };
        if !is_hop {
            self.branches += 1;
        }
        let branch = if is_hop { self.invite.1 } else { self.branches };
        if method == "INVITE" {
            (self.invite, self.answer, self.has_invited) = ((number, branch), 0, true);
        }
        // The CANCEL of a further INVITE in the dialog, and the ACK of its refusal, are as that INVITE is.
        let invited = if has("nobody") { "nobody" } else { self.part.invited };
        let home = format!("sip:{invited}@poc.internal");
        let uri = match method {
            _ if ends => "[next_url]".to_owned(),
            "INVITE" | "CANCEL" | "ACK" | "MESSAGE" => home.clone(),
            "REGISTER" => "sip:poc.internal".to_owned(),
            "PUBLISH" => format!("sip:{name}@poc.internal"),
            _ if self.answer > 0 => "[next_url]".to_owned(),
            _ => home.clone(),
        };
        let branch = if has("branch=other") { format!("{branch}-other") } else { branch.to_string() };
        let mut lines = vec![
            format!("{method} {uri} SIP/2.0"),
            format!(
                "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=z9hG4bK-{name}-[pid]-[call_number]-{branch}"
            ),
            "Max-Forwards: 70".to_owned(),
        ];
        let own = format!("<sip:{name}@poc.internal>");
        if is_of_invited {
            lines.extend([format!("From:[$to];tag={name}"), "To:[$from]".to_owned()]);
        } else {
            lines.push(format!("From: {own};tag={name}"));
            let is_first = matches!(method, "INVITE" | "CANCEL" | "MESSAGE") && !ends;
            lines.push(match method {
                "REGISTER" | "PUBLISH" => format!("To: {own}"),
                _ if !ends && (is_first || self.answer == 0) => format!("To: <{home}>"),
                _ => "To:[$remote]".to_owned(),
            });
        }
        let is_acknowledging = method == "ACK" && (101..300).contains(&self.answer);
        let is_within = ends || is_acknowledging || method == "PRACK";
        if is_within {
            lines.push("[routes]".to_owned());
        } else if let Some(server) = self.part.server.filter(|_| method != "REGISTER") {
            lines.push(format!("Route: <sip:orig@{server}:{PORT};transport=[transport];lr>"));
        }
        lines.extend(["Call-ID: [call_id]".to_owned(), format!("CSeq: {number} {method}")]);
        let is_first = !ends && !matches!(method, "ACK" | "CANCEL" | "PRACK" | "BYE");
        if is_first && !has("anonymous") {
            let (line, credentials) = if method == "REGISTER" {
                ("Authorization", (self.part.credentials)(method, &uri))
            } else {
                ("Proxy-Authorization", (self.part.credentials)(method, &uri))
            };
            lines.push(format!("{line}: {credentials}"));
        }
        if matches!(method, "INVITE" | "REGISTER") {
            lines.push(format!(
                "Contact: <sip:{name}@[local_ip]:[local_port];transport=[transport]>;+g.poc.talkburst"
            ));
        }
        if is_first && method != "REGISTER" {
            lines.push("Accept-Contact: *;+g.poc.talkburst;require;explicit".to_owned());
        }
        if method == "PRACK" {
            lines.push(format!("RAck: [$rseq] {} INVITE", self.invite.0));
        }
        lines.extend(extra.iter().map(|line| (*line).to_owned()));
        let body = match method {
            "INVITE" => {
                let sdp = SDP.replace("o=- 1 1", &format!("o=- 1 {number}"));
                if ends || self.part.list.is_empty() {
                    lines.push("Content-Type: application/sdp".to_owned());
                    sdp
                } else {
                    lines.push("Content-Type: multipart/mixed;boundary=b".to_owned());
                    lines.push("Require: recipient-list-invite".to_owned());
                    with_list(&sdp, &document(self.part.list))
                }
            }
            "PUBLISH" => {
                lines.extend(["Event: poc-settings".to_owned(), "Expires: 3600".to_owned()]);
                lines.push("Content-Type: application/poc-settings+xml".to_owned());
                let settings = poc::body::settings::Settings {
                    answer_mode: Some(poc::client::AnswerMode::Manual),
                    ..poc::body::settings::Settings::default()
                };
                let entity = poc::body::settings::Entity { id: "sipp".to_owned(), settings };
                String::from_utf8(poc::body::settings::write(&[entity]).to_vec()).unwrap()
            }
            _ => String::new(),
        };
        self.send(&lines, &body);
    }

    /// `> 180`
    fn respond(&mut self, words: &[&str], extra: &[&str]) {
        let (status, name) = (words[0], self.part.name);
        let method = words.get(1).map_or(self.heard.clone(), |method| (*method).to_owned());
        let mut lines = vec![format!("SIP/2.0 {status} X")];
        let ends_dialog = method == "BYE";
        if method == "INVITE" {
            lines.extend(["Via:[$via1]", "Via:[$via2]", "From:[$from]"].map(str::to_owned));
            let tag = words.get(2).map_or(name.to_owned(), |tag| (*tag).to_owned());
            lines.push(if self.invited > 1 { "To:[$to]".to_owned() } else { format!("To:[$to];tag={tag}") });
            lines.extend(["Record-Route:[$route]", "[last_Call-ID:]", "CSeq:[$cseq]"].map(str::to_owned));
            let contact = format!(
                "Contact: <sip:{name}@[local_ip]:[local_port];transport=[transport]>;+g.poc.talkburst"
            );
            lines.push(contact);
        } else {
            lines.extend(["[last_Via:]", "[last_From:]"].map(str::to_owned));
            let has_tag = ends_dialog || method == "PRACK" || self.has_invited;
            lines.push(if has_tag { "[last_To:]".to_owned() } else { format!("[last_To:];tag={name}") });
            lines.extend(["[last_Call-ID:]", "[last_CSeq:]"].map(str::to_owned));
        }
        lines.extend(extra.iter().map(|line| (*line).to_owned()));
        let accepts = method == "INVITE" && status.starts_with('2');
        if accepts {
            lines.push("Content-Type: application/sdp".to_owned());
        }
        self.send(&lines, if accepts { SDP } else { "" });
    }

    /// `< 200`, `< INVITE`
    fn hear(&mut self, words: &[&str], wanted: &[&str], is_optional: bool) {
        let optional = if is_optional { " optional=\"true\"" } else { "" };
        let mut actions = String::new();
        let mut take = |writer: &mut Self, variable: &str, line: &str, more: &str| {
            writeln!(
                actions,
                "      <ereg regexp=\".*\" search_in=\"hdr\" header=\"{line}:\" assign_to=\"{variable}\"{more}/>"
            )
            .unwrap();
            writer.variable(variable);
        };
        let what = if let Ok(status) = words[0].parse::<u16>() {
            let is_of_invite = words.get(1).is_none_or(|method| *method == "INVITE");
            let rrs = if is_of_invite && (101..300).contains(&status) { " rrs=\"true\"" } else { "" };
            if is_of_invite && status > 100 && self.has_invited {
                take(self, "remote", "To", "");
                self.answer = status;
                // Within the dialog a refusal ends the modification only.
                self.is_within |= (200..300).contains(&status);
            }
            format!("response=\"{status}\"{rrs}")
        } else {
            if words[0] == "INVITE" {
                self.invited += 1;
                take(self, "via1", "Via", " occurrence=\"1\"");
                take(self, "via2", "Via", " occurrence=\"2\"");
                for (variable, line) in
                    [("from", "From"), ("to", "To"), ("cseq", "CSeq"), ("route", "Record-Route")]
                {
                    take(self, variable, line, "");
                }
            }
            words[0].clone_into(&mut self.heard);
            format!("request=\"{}\"{}", words[0], if words[0] == "INVITE" { " rrs=\"true\"" } else { "" })
        };
        for (count, wanted) in wanted.iter().enumerate() {
            let (line, value) = wanted.split_once(": ").unwrap();
            let variable =
                if line == "RSeq" { "rseq".to_owned() } else { format!("wanted{}{count}", self.xml.len()) };
            writeln!(
                actions,
                "      <ereg regexp=\"{value}\" search_in=\"hdr\" header=\"{line}:\" check_it=\"true\" \
                 assign_to=\"{variable}\"/>"
            )
            .unwrap();
            self.variable(&variable);
        }
        if actions.is_empty() {
            writeln!(self.xml, "  <recv {what}{optional}/>").unwrap();
        } else {
            writeln!(self.xml, "  <recv {what}{optional}>\n    <action>\n{actions}    </action>\n  </recv>")
                .unwrap();
        }
    }
}
