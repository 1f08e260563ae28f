//! Makes a TLS handshake with the settings that Zenoh has, bounded in time and bytes. No byte of an
//! application is sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::recorder::{RecordingResolver, RecordingVerifier};
use crate::coordinator::DialedTls;

/// Maximum time for the handshake and for the peer's verdict on this node's certificate.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of bytes that are read from the peer. A chain of certificates has some 4 KiB.
const MAX_RECEIVED: usize = 256 << 10;

/// The result of a handshake, and the parts that explain it.
#[derive(Debug)]
pub(super) struct HandshakeReport {
    pub(super) result: Result<(), HandshakeError>,
    /// The certificates that the peer showed, the leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Whether the peer asked for a certificate.
    pub(super) was_asked: bool,
}

#[derive(Debug)]
pub(super) enum HandshakeError {
    /// This node or the peer refused the handshake.
    Tls(rustls::Error),
    /// The peer closed the connection. `has_answered`: the peer sent TLS before.
    Closed { has_answered: bool },
    /// The peer sent nothing that completes the handshake within [`HANDSHAKE_TIMEOUT`].
    TimedOut { has_answered: bool },
    /// The peer sent more than [`MAX_RECEIVED`] bytes.
    TooLong,
}

/// Makes the handshake. Cancel-safe: dropping the future closes the connection.
pub(super) async fn handshake(stream: TcpStream, tls: &DialedTls) -> HandshakeReport {
    let refused = |error| HandshakeReport {
        result: Err(HandshakeError::Tls(error)),
        chain: Vec::new(),
        was_asked: false,
    };
    let verifier = Arc::new(RecordingVerifier::new(tls));
    let resolver = match RecordingResolver::new(tls.identity.as_ref()) {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => return refused(error),
    };
    match connection(tls, verifier.clone(), resolver.clone()) {
        Ok(connection) => {
            let result = Exchange { connection, stream, received: 0 }.run().await;
            HandshakeReport { result, chain: verifier.chain(), was_asked: resolver.was_asked() }
        }
        Err(error) => refused(error),
    }
}

/// Zenoh's settings of a dialer: TLS 1.3 alone if the dialer shows a certificate.
fn connection(
    tls: &DialedTls,
    verifier: Arc<RecordingVerifier>,
    resolver: Arc<RecordingResolver>,
) -> Result<ClientConnection, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = match tls.identity {
        Some(_) => builder.with_protocol_versions(&[&TLS13])?,
        None => builder.with_safe_default_protocol_versions()?,
    };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    let name = ServerName::try_from(tls.host.clone()).map_err(|_| {
        let why = "TLS accepts neither a host name with such characters nor a zone";
        rustls::Error::General(why.to_owned())
    })?;
    ClientConnection::new(Arc::new(config), name)
}

/// A handshake over a connection.
struct Exchange {
    connection: ClientConnection,
    stream: TcpStream,
    received: usize,
}

impl Exchange {
    async fn run(mut self) -> Result<(), HandshakeError> {
        match timeout(HANDSHAKE_TIMEOUT, self.complete()).await {
            Ok(result) => result,
            // The peer's verdict is optional: a server need not send tickets.
            Err(_) if !self.connection.is_handshaking() => Ok(()),
            Err(_) => Err(HandshakeError::TimedOut { has_answered: self.received > 0 }),
        }
    }

    async fn complete(&mut self) -> Result<(), HandshakeError> {
        let mut buffer = vec![0; 4096];
        loop {
            self.flush().await.map_err(|_| self.closed())?;
            if self.is_accepted() {
                return Ok(());
            }
            let len = self.stream.read(&mut buffer).await.map_err(|_| self.closed())?;
            if len == 0 {
                return Err(self.closed());
            }
            self.received += len;
            if self.received > MAX_RECEIVED {
                return Err(HandshakeError::TooLong);
            }
            let mut unread = &buffer[..len];
            while !unread.is_empty() && !self.is_accepted() {
                self.connection.read_tls(&mut unread).map_err(|_| HandshakeError::TooLong)?;
                if let Err(error) = self.connection.process_new_packets() {
                    // The alert to the peer is a courtesy.
                    let _alert = self.flush().await;
                    return Err(HandshakeError::Tls(error));
                }
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records)?;
        }
        self.stream.write_all(&records).await
    }

    /// Whether the peer has accepted the handshake. In TLS 1.3 (RFC 8446, section 4.4) the dialer
    /// completes the handshake before the peer has verified the dialer's certificate, so the
    /// peer's next record decides: a session ticket or an alert.
    fn is_accepted(&self) -> bool {
        !self.connection.is_handshaking()
            && (self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2)
                || self.connection.tls13_tickets_received() > 0)
    }

    fn closed(&self) -> HandshakeError {
        HandshakeError::Closed { has_answered: self.received > 0 }
    }
}
