//! Why a URI leads nowhere.

use std::fmt;

use sip::transport::Transport;

/// Why a URI leads nowhere, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LocateError {
    /// No SIP URI.
    Uri,
    /// The scheme asks for TLS.
    Sips,
    /// The URI or the user asks for a transport that is not carried.
    Transport,
    /// The host is no domain name.
    Name { host: String },
    /// Its NAPTR records name TLS and nothing else.
    TlsOnly { host: String },
    /// RFC 2782: the service is decidedly not available at this domain.
    NotOffered { host: String, transport: Transport },
    /// There are no addresses of this name.
    NotFound { host: String },
    /// There are addresses, all of a kind that this machine has no route to.
    NoRoute { host: String },
    /// The machine has no name server.
    NoNameServer,
    /// No answer in time.
    Silent,
    /// The name server refused, failed, or answered what cannot be used.
    Failed { host: String },
}

impl std::error::Error for LocateError {}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri => write!(f, "this is no SIP URI; write sip:USER@HOST"),
            Self::Sips => write!(f, "sips: needs TLS, which is not there yet; use sip:"),
            Self::Transport => {
                write!(f, "this transport is not there yet; use transport=udp or transport=tcp")
            }
            Self::Name { host } => write!(f, "{host} is no host name; check its spelling"),
            Self::TlsOnly { host } => {
                write!(f, "{host} asks for TLS, which is not there yet; try --transport udp or tcp")
            }
            Self::NotOffered { host, transport } => {
                write!(f, "{host} does not offer SIP over {transport}; try another --transport")
            }
            Self::NotFound { host } => write!(f, "name does not resolve: {host}; check its spelling"),
            Self::NoRoute { host } => write!(f, "no route to any address of {host}; check the network"),
            Self::NoNameServer => write!(f, "no name server is configured; give one with --nameserver"),
            Self::Silent => {
                write!(f, "name server did not answer; check the network or give another with --nameserver")
            }
            Self::Failed { host } => {
                write!(f, "name server failed for {host}; give another with --nameserver")
            }
        }
    }
}
