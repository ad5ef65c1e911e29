//! Connects ureq through our resolver, its TCP and our TLS. No proxies.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Instant as UreqInstant;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::fetch_fault::FetchFault;
use super::resolve;
use super::url::Target;

/// The number of addresses that ureq keeps for a name.
const ADDRESS_LIMIT: usize = 16;

/// Resolves within ureq's timeout, with our error texts.
#[derive(Debug)]
pub(super) struct BoundedResolver(pub(super) resolve::Resolver);

impl Resolver for BoundedResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Target { host, port, .. } = target(uri)?;
        let deadline = Instant::now().checked_add(*timeout.after).unwrap_or_else(Instant::now);
        let addresses = resolve::lookup(&host, port, deadline, self.0).map_err(own)?;
        let mut kept = self.empty();
        addresses.into_iter().take(ADDRESS_LIMIT).for_each(|address| kept.push(address));
        Ok(kept)
    }
}

fn target(uri: &ureq::http::Uri) -> Result<Target, ureq::Error> {
    Target::parse(&uri.to_string()).map_err(own)
}

/// Wraps our fault so that it passes through ureq.
fn own(fault: impl Into<FetchFault>) -> ureq::Error {
    ureq::Error::Other(Box::new(fault.into()))
}

/// Starts TLS on a connection.
pub(super) struct TlsConnector(pub(super) Arc<ClientConfig>);

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = TlsTransport;

    fn connect(&self, details: &ConnectionDetails, tcp: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(tcp) = tcp else { return Ok(None) };
        let name = target(details.uri)?.server_name;
        let connection = ClientConnection::new(Arc::clone(&self.0), name)?;
        let socket = TransportAdapter::new(Box::new(tcp) as Box<dyn Transport>, details.current_time.clone());
        let mut stream = StreamOwned::new(connection, socket);
        stream.sock.set_timeout(left(details));
        stream.conn.complete_io(&mut stream.sock)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(TlsTransport { buffers, stream }))
    }
}

/// The rest of the connect timeout after TCP.
fn left(details: &ConnectionDetails) -> NextTimeout {
    let spent = match (details.now, (details.current_time)()) {
        (UreqInstant::Exact(start), UreqInstant::Exact(now)) => now.saturating_duration_since(start),
        _ => Duration::ZERO,
    };
    NextTimeout { after: details.timeout.after.saturating_sub(spent).into(), ..details.timeout }
}

pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = match self.stream.read(self.buffers.input_append_buf()) {
            Ok(amount) => amount,
            // ureq would accept this as the end of a body without Content-Length; anybody on the path could cause it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(own(FetchFault::Closed)),
            Err(error) => return Err(error.into()),
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
