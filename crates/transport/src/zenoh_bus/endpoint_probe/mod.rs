//! Connects to an endpoint that Zenoh has no link to, to find the cause. Over TCP a probe sends
//! nothing. At a TLS endpoint it makes the handshake that Zenoh makes, and no more.
//!
//! - `handshake` makes the TLS handshake, bounded in time and bytes.
//! - `recorder` notes the certificates of the peer, and whether the peer asks for one.
//! - `cause` says in words why a handshake failed, and what the operator can do.

mod cause;
mod handshake;
mod recorder;

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::coordinator::{DialedLink, escaped};

/// Maximum time for resolving and connecting to an endpoint.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Causes that a node does not see by itself once the peer accepts its connections.
const REMAINING_CAUSES: &str = "check that the peer is a Zenoh node other than this one, that \
     `transport.auth` accepts this node there, and that the peer has fewer links than its \
     `transport.unicast.max_sessions`";

/// Why an endpoint has no link, as far as this node can see.
pub(super) async fn probe(link: &DialedLink) -> String {
    let (address, tls) = match link {
        DialedLink::Tcp { address } => (address, None),
        DialedLink::Tls { address, tls } => (address, Some(tls)),
        DialedLink::Other => return "Zenoh has no link and reports no reason".to_owned(),
    };
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "timed out".to_owned(),
    };
    match tls {
        None => format!("it accepts connections, but Zenoh has no link: {REMAINING_CAUSES}"),
        Some(Err(why)) => format!("the TLS settings of this node: {}", escaped(why)),
        Some(Ok(tls)) => {
            let report = handshake::handshake(stream, tls).await;
            cause::cause(tls, &report)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::coordinator::DialedTls;

    /// The cause for a TLS endpoint whose peer does this with the connection.
    async fn cause_of(peer: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = std::thread::spawn(move || peer(listener.accept().unwrap().0));
        let tls = DialedTls {
            host: "127.0.0.1".to_owned(),
            authorities: Vec::new(),
            authorities_file: None,
            identity: None,
            verifies_name: true,
            is_of_cluster_key: false,
        };
        let cause = probe(&DialedLink::Tls { address, tls: Ok(Box::new(tls)) }).await;
        served.join().unwrap();
        cause
    }

    #[tokio::test]
    async fn a_peer_that_answers_without_tls_is_named_so() {
        let banner = |mut stream: TcpStream| {
            stream.write_all(b"220 mx1.example.org ESMTP\r\n").unwrap();
            let _until_closed = std::io::copy(&mut stream, &mut std::io::sink());
        };
        let cause = cause_of(banner).await;
        assert!(cause.starts_with("the peer does not speak TLS: "), "{cause}");
        let cause = cause_of(drop).await;
        assert!(cause.contains("does not speak TLS"), "{cause}");
    }

    #[tokio::test]
    async fn a_probe_ends_although_the_peer_sends_without_end() {
        // Records of handshake fragments, whose message is announced with 16 MiB.
        let flood = |mut stream: TcpStream| {
            let mut record = vec![22, 3, 3, 0x40, 0];
            record.extend([2, 0xff, 0xff, 0xff]);
            record.resize(5 + 0x4000, 0);
            while stream.write_all(&record).is_ok() {}
        };
        let cause = cause_of(flood).await;
        assert!(cause.starts_with("TLS fails: "), "{cause}");
    }
}
