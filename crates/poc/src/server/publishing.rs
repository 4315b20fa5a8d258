//! PUBLISH of poc-settings: RFC 3903 §6, RFC 4354, digest 6.

use bytes::Bytes;
use sip::message::{Name, Valued};
use sip::{Headers, Message, ReceivedId};

use super::Server;
use super::leg::unless_answered;
use super::policy::Inviter;
use crate::address;
use crate::body::settings;

impl Server {
    /// A request outside of any dialog.
    pub(super) fn be_requested(&mut self, request: ReceivedId, message: &Message) {
        let (status, headers) = self.publish(message).unwrap_or_else(|refusal| refusal);
        if status >= 300 {
            self.counters.refused += 1;
        }
        let done = self.command(sip::Command::Respond { request, status, headers, body: None });
        unless_answered(done);
    }

    /// The answer to a PUBLISH: 200, or why not. The order is that of RFC 3903 §6.
    fn publish(&mut self, message: &Message) -> Result<(u16, Headers), (u16, Headers)> {
        let only = |status: u16| (status, Vec::new());
        let user = address::canonical(message.uri_text()).ok_or(only(404))?;
        // Users publish for themselves.
        if Inviter::of(message).address.as_ref() != Some(&user) {
            return Err(only(403));
        }
        let now = self.now;
        let (least, usual) = (self.config.publication_min.as_secs(), self.config.publication.as_secs());
        let tag = self.tags + 1;
        let served = self.directory.get_mut(&user).ok_or(only(404))?;
        let event = message.valued(Name::Event).next().and_then(Result::ok);
        if event.is_none_or(|event| event.value != settings::EVENT.as_bytes()) {
            return Err((489, vec![(Name::AllowEvents, Bytes::from(settings::EVENT))]));
        }
        let asked = message.number(Name::Expires).map_err(|fault| only(fault.status()))?;
        let expires = asked.map_or(usual, u64::from).min(usual.max(least));
        if (1..least).contains(&expires) {
            return Err((423, vec![(Name::MinExpires, Bytes::from(least.to_string()))]));
        }
        let published = match message.body() {
            [] => None,
            body => {
                let kind = message.valued(Name::ContentType).next().and_then(Result::ok);
                let is_settings =
                    |kind: Valued<'_>| kind.value.eq_ignore_ascii_case(settings::CONTENT_TYPE.as_bytes());
                if !kind.is_some_and(is_settings) {
                    return Err((415, vec![(Name::Accept, Bytes::from(settings::CONTENT_TYPE))]));
                }
                Some(settings::read_publication(body).map_err(|_| only(400))?.settings)
            }
        };
        let former = match message.value(Name::SipIfMatch) {
            None => None,
            Some(matching) => {
                let former =
                    std::str::from_utf8(matching).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                Some(former.and_then(|former| served.publications.take(now, former)).ok_or(only(412))?)
            }
        };
        // §6 step 6: without a body it is a refresh, which needs something to refresh.
        let settings = published.or(former).ok_or(only(400))?;
        if expires > 0 {
            let until = now + sip::Duration::from_secs(expires);
            served.publications.put(now, tag, settings, until);
            self.tags = tag;
        }
        let headers = vec![
            (Name::SipEtag, Bytes::from(format!("{tag:x}"))),
            (Name::Expires, Bytes::from(expires.to_string())),
        ];
        Ok((200, headers))
    }
}
