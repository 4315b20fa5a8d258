//! Who exists, and where each can be reached.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip::Instant;
use sip::hash::{Keyed, Table};
use sip::transport::ConnectionId;
use sip::wheel::TimerId;
use slab::Slab;

use crate::authentication::Ha1;
use crate::binding::Bindings;
use crate::face::{Event, User};
use crate::hub::{Core, Due, rearm};
use crate::reg::Departure;

/// A user and its bindings.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: Bytes,
    pub(crate) ha1: Ha1,
    pub(crate) bindings: Bindings,
    timer: Option<(TimerId, Instant)>,
}

/// All users, and the services that are no part of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    keyed: Keyed,
    accounts: Slab<Account>,
    by_name: Table<usize>,
    /// The users whose bindings have this connection as flow.
    by_connection: BTreeMap<ConnectionId, BTreeSet<usize>>,
    services: BTreeSet<Bytes>,
    /// Users that have bindings.
    registered: usize,
    /// Bindings of all users.
    bindings: usize,
}

impl Directory {
    pub(crate) fn new(keyed: Keyed) -> Self {
        let (accounts, by_name, by_connection) = (Slab::new(), Table::default(), BTreeMap::new());
        let services = BTreeSet::new();
        Self { keyed, accounts, by_name, by_connection, services, registered: 0, bindings: 0 }
    }

    pub(crate) fn put(&mut self, user: User) {
        let User { name, ha1 } = user;
        match self.find(&name) {
            Some(place) => self.accounts[place].ha1 = ha1,
            None => {
                let key = self.keyed.key(&[b"user", &name]);
                let account = Account { name, ha1, bindings: Bindings::default(), timer: None };
                self.by_name.insert(key, self.accounts.insert(account));
            }
        }
    }

    /// The place of the user of this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.by_name.get(&self.keyed.key(&[b"user", name])).copied()
    }

    pub(crate) fn account(&self, place: usize) -> &Account {
        &self.accounts[place]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().map(|(_, account)| account)
    }

    /// What the password of the user of this name is checked against.
    pub(crate) fn ha1(&self, name: &[u8]) -> Option<&Ha1> {
        self.find(name).map(|place| &self.accounts[place].ha1)
    }

    pub(crate) fn put_service(&mut self, name: Bytes) {
        self.services.insert(name);
    }

    pub(crate) fn remove_service(&mut self, name: &[u8]) {
        self.services.remove(name);
    }

    pub(crate) fn has_service(&self, name: &[u8]) -> bool {
        self.services.contains(name)
    }

    /// Users, those of them that have bindings, and bindings.
    pub(crate) fn count(&self) -> (usize, usize, usize) {
        (self.accounts.len(), self.registered, self.bindings)
    }

    /// Counts what takes the place of what.
    fn note_count(&mut self, before: usize, after: usize) {
        self.registered = self.registered + usize::from(after > 0) - usize::from(before > 0);
        self.bindings = self.bindings + after - before;
    }

    /// Lets the flows of the user's bindings find the user.
    fn note_flows(&mut self, place: usize) {
        let flows = self.accounts[place].bindings.iter().filter_map(|each| each.flow()?.connection);
        for connection in flows {
            self.by_connection.entry(connection).or_default().insert(place);
        }
    }
}

impl Core {
    /// The user's bindings are these from now on; `departure` is how those end that are not among them.
    pub(crate) fn set_bindings(&mut self, place: usize, bindings: Bindings, departure: Departure) {
        let account = &mut self.directory.accounts[place];
        let is_changed = !account.bindings.has_same_contacts(&bindings);
        let before = std::mem::replace(&mut account.bindings, bindings);
        let count = account.bindings.iter().count();
        self.directory.note_count(before.iter().count(), count);
        if is_changed {
            let address = self.address_of(place);
            self.events.push_back(Event::BindingsChanged { address });
            self.tell_change(place, &before, departure);
        }
        self.directory.note_flows(place);
        self.reschedule_account(place);
    }

    /// The address-of-record of a user.
    pub(crate) fn address_of(&self, place: usize) -> Bytes {
        let (name, domain) = (&self.directory.account(place).name, self.config.domains.first());
        let domain = domain.map(|domain| &domain[..]).unwrap_or_default();
        Bytes::from([b"sip:", &name[..], b"@", domain].concat())
    }

    fn reschedule_account(&mut self, place: usize) {
        let account = &mut self.directory.accounts[place];
        let deadline = account.bindings.deadline();
        rearm(&mut self.wheel, &mut account.timer, Due::Account(place), deadline);
    }

    pub(crate) fn expire_bindings(&mut self, place: usize) {
        let account = &mut self.directory.accounts[place];
        account.timer = None;
        let mut bindings = account.bindings.clone();
        bindings.expire(self.now);
        self.set_bindings(place, bindings, Departure::Expired);
    }

    /// The user's bindings go, whoever is told of them hears it, and what it sends is refused from now on.
    pub(crate) fn remove_user(&mut self, name: &[u8]) {
        let Some(place) = self.directory.find(name) else { return };
        self.dismiss_watchers(place);
        self.set_bindings(place, Bindings::default(), Departure::Rejected);
        self.directory.by_name.remove(&self.keyed.key(&[b"user", name]));
        self.directory.accounts.remove(place);
    }

    /// A connection is gone: whoever was to be reached over it cannot be any more (RFC 5626 §5.3).
    pub(crate) fn lose_flow(&mut self, connection: ConnectionId) {
        for place in self.directory.by_connection.remove(&connection).unwrap_or_default() {
            // Somebody who was noted once may have gone, or be reached otherwise by now.
            let Some(account) = self.directory.accounts.get(place) else { continue };
            let mut bindings = account.bindings.clone();
            let is_its = |flow: Option<sip::transport::Path>| {
                flow.is_some_and(|flow| flow.connection == Some(connection))
            };
            if bindings.forget(|each| is_its(each.flow())) {
                self.set_bindings(place, bindings, Departure::Deactivated);
            }
        }
    }
}
