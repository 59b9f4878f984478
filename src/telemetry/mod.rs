//! How is the gateway doing?
//!
//! In: what the spine says of each request that has ended ([`Metrics`]), and the stages' own counters, read when somebody asks
//! ([`Sources`]). Out: an admin listener with `/metrics`, `/healthz` and `/readyz`, apart from the listeners that clients use.
//!
//! INVARIANT: the number of series depends on the configuration alone; nothing that a client sends becomes a label.
//!
//! INVARIANT: whoever asks, however often, nothing is asked of a KDC or a disk for it: readiness is found out in the background.
//!
//! Specification: the Prometheus text format 0.0.4, RFC 9112 for the little HTTP that there is.

mod admin;
mod bind;
mod families;
mod http;
mod metrics;
mod readiness;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use admin::service;
pub(crate) use bind::bind;
pub(crate) use metrics::{Metrics, Vocabulary};
pub(crate) use readiness::Ask;
pub(crate) use sources::Sources;

use std::{io, net::SocketAddr, path::PathBuf};

/// Why the gateway cannot say how it is doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The address of the admin listener cannot be had.
    #[error("cannot listen on {address} (`admin.address`); is it in use, or not this machine's?")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The admin socket cannot be made.
    #[error("cannot listen on `{}` (`admin.socket`); does its directory exist, and may the gateway write there?", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else is where the admin socket should be.
    #[error("`{}` (`admin.socket`) is no socket; remove it, or name another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process listens there.
    #[error("another process listens on `{}` (`admin.socket`)", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A metric is malformed, which none is.
    #[error("a metric cannot be made")]
    Metric(#[from] prometheus::Error),
}
