//! From an endpoint to a connection, by way of the addresses that its route permits.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use pingora_core::protocols::{TcpKeepalive, l4::ext::set_tcp_keepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    error::BackendError,
    tls::{Anchors, secure},
    wire::Transport,
};
use crate::{
    credential::ClientCertificate,
    policy::{Endpoint, EndpointHost, HostName, Networks},
};

/// Static names, looked up before DNS.
pub(crate) type Resolver = Arc<dyn Fn(&HostName) -> Option<IpAddr> + Send + Sync>;

/// A connection on which nothing was said yet.
pub(super) struct Dialled {
    pub(super) transport: Box<dyn Transport>,
    /// The host's end-entity certificate, where there is TLS.
    pub(super) certificate: Option<Vec<u8>>,
    /// Whether the host asked for the gateway's certificate, and got it.
    pub(super) showed_certificate: bool,
}

/// Whom to dial.
pub(super) struct Dial<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) networks: &'a Networks,
    /// The trust anchors of an `https` endpoint.
    pub(super) anchors: Option<&'a Anchors>,
    /// The gateway's own certificate, for hosts that know it by one.
    pub(super) certificate: Option<&'a ClientCertificate>,
}

impl Dial<'_> {
    /// Connects, within `within` for names, TCP and TLS together.
    ///
    /// INVARIANT: the address that `networks` permits is the address that is dialled; names are resolved once.
    ///
    /// # Errors
    /// What is between here and an established connection: names, networks, TCP, TLS, time.
    pub(super) async fn connect(
        &self,
        resolver: &Resolver,
        within: Duration,
    ) -> Result<Dialled, BackendError> {
        let deadline = Instant::now() + within;
        let timed_out = || BackendError::ConnectTimedOut { endpoint: self.endpoint.clone() };
        let addresses = timeout_at(deadline, self.addresses(resolver)).await.map_err(|_| timed_out())??;
        let stream = self.first_to_answer(&addresses, deadline).await?;
        prepare(&stream)
            .map_err(|source| BackendError::Unreachable { endpoint: self.endpoint.clone(), source })?;
        let Some(anchors) = self.anchors else {
            return Ok(Dialled { transport: Box::new(stream), certificate: None, showed_certificate: false });
        };
        let secured = timeout_at(deadline, secure(stream, self.endpoint, (anchors, self.certificate))).await;
        let secured = secured.map_err(|_| timed_out())??;
        let (certificate, showed_certificate) =
            (Some(secured.certificate.as_ref().to_vec()), secured.showed_certificate);
        Ok(Dialled { transport: Box::new(secured.stream), certificate, showed_certificate })
    }

    /// The permitted addresses, in the resolver's order; never none.
    async fn addresses(&self, resolver: &Resolver) -> Result<Vec<SocketAddr>, BackendError> {
        let found = match &self.endpoint.host {
            EndpointHost::Address(address) => vec![*address],
            EndpointHost::Name(name) => match resolver(name) {
                Some(address) => vec![address],
                None => look_up(name).await?,
            },
        };
        // An IPv4-mapped address is dialled as the IPv4 address that it is checked as.
        let found: Vec<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
        let permitted: Vec<SocketAddr> = found
            .iter()
            .filter(|address| self.networks.permits(**address))
            .map(|address| SocketAddr::new(*address, self.endpoint.port))
            .take(MOST_ADDRESSES)
            .collect();
        match found.first() {
            Some(address) if permitted.is_empty() => {
                Err(BackendError::AddressNotPermitted { endpoint: self.endpoint.clone(), address: *address })
            }
            _ => Ok(permitted),
        }
    }

    /// Each address gets its share of the time that is left, so that a silent one does not cost the others theirs.
    async fn first_to_answer(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, BackendError> {
        let mut last = None;
        for (number, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - number).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
        }
        let endpoint = self.endpoint.clone();
        Err(match last {
            Some(source) => BackendError::Unreachable { endpoint, source },
            None => BackendError::ConnectTimedOut { endpoint },
        })
    }
}

async fn look_up(name: &HostName) -> Result<Vec<IpAddr>, BackendError> {
    let unknown = |source| BackendError::UnknownHost { host: name.clone(), source };
    let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|error| unknown(Some(error)))?;
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    if found.is_empty() { Err(unknown(None)) } else { Ok(found) }
}

/// Answers are small and waited for; a host that has gone silently is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(10),
        count: 3,
        user_timeout: Duration::ZERO,
    };
    set_tcp_keepalive(stream, &keepalive).map_err(io::Error::other)
}

/// A name with more addresses than this is a mistake or an attack.
const MOST_ADDRESSES: usize = 8;
