//! Which shard of the core a message belongs to: everything about one user is on one.

use sip::hash::Keyed;
use sip::message::{Message, Uri};
use sip::{Identifier, Owner};

use crate::face::Config;
use crate::reg::AGENT_SHARDS;
use crate::uri::user_of;

/// The shard for `message`, below [`Config::shards`]. A response goes to the shard that made its topmost branch; a request
/// to that of the user in its Request-URI, or of the one in its From if it names nobody, as a REGISTER, or a service. A CANCEL
/// and an ACK of a transaction thus go where their INVITE went; a SUBSCRIBE in the dialog of a subscription to a registration
/// goes to the shard that made it.
pub fn shard_of(config: &Config, message: &Message) -> u8 {
    if message.status().is_some() {
        let via = message.via().ok();
        let branch = via.and_then(|via| Identifier::from_branch(via.branch()?));
        return branch.and_then(|branch| branch.owner()).map_or(0, |owner| owner.shard);
    }
    let user = message.uri().map(|uri| user_of(&uri)).unwrap_or_default();
    if let Some(shard) = Identifier::parse(&user).and_then(|user| agent_of(config, user.owner()?)) {
        return shard;
    }
    let user = match user.is_empty() || config.services.contains(&user) {
        false => user,
        true => {
            message.from().and_then(|from| Uri::parse(from.uri)).map(|uri| user_of(&uri)).unwrap_or_default()
        }
    };
    let keyed = Keyed::new(config.secret);
    keyed.key(&[b"shard", &user]).place(usize::from(config.shards.max(1))) as u8
}

/// The shard whose agent has made an identifier of this owner.
fn agent_of(config: &Config, owner: Owner) -> Option<u8> {
    let shard = owner.shard.checked_sub(AGENT_SHARDS)?;
    (owner.node == config.owner.node && shard < config.shards.max(1)).then_some(shard)
}
