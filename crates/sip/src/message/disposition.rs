//! Request-Disposition: how the caller wants servers to treat its request. RFC 3841 §9.1.

use super::{Fault, Message, Name};

/// The directives of a request, one of each type at most; `None` where the caller leaves it to the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Disposition {
    /// Whether servers should proxy or redirect.
    pub handling: Option<Handling>,
    /// Whether a proxy should cancel its other branches after a 2xx: `cancel`, `no-cancel`.
    pub cancel: Option<bool>,
    /// Whether a proxy should fork: `fork`, `no-fork`.
    pub fork: Option<bool>,
    /// Whether a proxy should follow a 3xx itself: `recurse`, `no-recurse`.
    pub recurse: Option<bool>,
    /// Whether a proxy that forks should try all at once: `parallel`, `sequential`.
    pub parallel: Option<bool>,
    /// Whether the request may wait for a busy user: `queue`, `no-queue`.
    pub queue: Option<bool>,
}

/// What a server should do with a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Handling {
    /// Pass it on.
    Proxy,
    /// Answer it with a 3xx.
    Redirect,
}

impl Message {
    /// The directives of Request-Disposition; none if it is absent.
    ///
    /// # Errors
    /// [`Fault::Header`] for what is no directive (the set is not extensible), and for two of one type.
    pub fn disposition(&self) -> Result<Disposition, Fault> {
        let mut disposition = Disposition::default();
        let mut directives = self.items(Name::RequestDisposition);
        match directives.try_for_each(|directive| disposition.take(directive)) {
            Some(()) => Ok(disposition),
            None => Err(Fault::Header(Name::RequestDisposition)),
        }
    }
}

impl Disposition {
    /// `None` if it cannot be taken.
    fn take(&mut self, directive: &[u8]) -> Option<()> {
        // RFC 3261 §7.3.1: tokens are compared without case.
        match directive.to_ascii_lowercase().as_slice() {
            b"proxy" => once(&mut self.handling, Handling::Proxy),
            b"redirect" => once(&mut self.handling, Handling::Redirect),
            b"cancel" => once(&mut self.cancel, true),
            b"no-cancel" => once(&mut self.cancel, false),
            b"fork" => once(&mut self.fork, true),
            b"no-fork" => once(&mut self.fork, false),
            b"recurse" => once(&mut self.recurse, true),
            b"no-recurse" => once(&mut self.recurse, false),
            b"parallel" => once(&mut self.parallel, true),
            b"sequential" => once(&mut self.parallel, false),
            b"queue" => once(&mut self.queue, true),
            b"no-queue" => once(&mut self.queue, false),
            _ => None,
        }
    }
}

/// RFC 3841 §9.1: only one directive of each type.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(lines: &str) -> Result<Disposition, Fault> {
        let text = format!("INVITE sip:a@b SIP/2.0\r\n{lines}\r\n");
        Message::parse(Bytes::from(text)).unwrap().disposition()
    }

    #[test]
    fn each_directive_sets_its_own_type() {
        assert_eq!(read(""), Ok(Disposition::default()));
        assert_eq!(
            read("Request-Disposition: proxy, recurse, parallel\r\n"),
            Ok(Disposition {
                handling: Some(Handling::Proxy),
                recurse: Some(true),
                parallel: Some(true),
                ..Disposition::default()
            })
        );
        assert_eq!(
            read(
                "d: REDIRECT , no-cancel,no-fork\r\nRequest-Disposition: no-recurse, sequential, no-queue\r\n"
            ),
            Ok(Disposition {
                handling: Some(Handling::Redirect),
                cancel: Some(false),
                fork: Some(false),
                recurse: Some(false),
                parallel: Some(false),
                queue: Some(false),
            })
        );
        let willing = read("d: cancel, fork, queue\r\n").unwrap();
        assert_eq!((willing.cancel, willing.fork, willing.queue), (Some(true), Some(true), Some(true)));
    }

    #[test]
    fn two_of_one_type_and_strangers_are_malformed() {
        for value in ["proxy, redirect", "fork, fork", "teleport", "", "proxy;now"] {
            let fault = Fault::Header(Name::RequestDisposition);
            assert_eq!(read(&format!("d: {value}\r\n")), Err(fault), "{value}");
        }
    }
}
