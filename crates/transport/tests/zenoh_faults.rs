//! Faults of Zenoh against which the gate protects (`docs/proof/hostile.md`, Faults of Zenoh). Each
//! test passes as long as Zenoh has the fault. A test that fails shows which protection may go.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The Zenoh version on which each fault of the table in `docs/proof/hostile.md` was last tried.
const TRIED_ON: &str = "1.10.2";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_faults_were_tried_on_the_zenoh_that_is_built() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let built = lock.split("[[package]]").find(|package| package.contains("name = \"zenoh\"\n"));
    let built = built.unwrap().split("version = \"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(
        built, TRIED_ON,
        "Zenoh {built} is built. Try each fault of docs/proof/hostile.md, Faults of Zenoh, on it, \
         strike out those that are fixed, and reconsider decision 25."
    );
}

/// Decision 25: Zenoh does not limit the pending links of one address.
#[tokio::test(flavor = "multi_thread")]
async fn zenoh_bounds_no_pending_links_of_one_address() {
    let port = free_port();
    let config = format!(
        "{{ listen: {{ endpoints: ['tcp/127.0.0.1:{port}'] }}, \
         scouting: {{ multicast: {{ enabled: false }} }} }}"
    );
    let node = zenoh::open(zenoh::Config::from_json5(&config).unwrap()).await.unwrap();
    let silent: Vec<_> =
        (0..64).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // A client that connects later gets a link, so Zenoh has accepted all earlier connections.
    let config = format!(
        "{{ mode: 'client', connect: {{ endpoints: ['tcp/127.0.0.1:{port}'], timeout_ms: 20000 }}, \
         scouting: {{ multicast: {{ enabled: false }} }} }}"
    );
    let client = zenoh::open(zenoh::Config::from_json5(&config).unwrap()).await.unwrap();
    let is_open = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    let kept = silent.iter().filter(|stream| is_open(stream)).count();
    assert_eq!(kept, 64, "Zenoh limits the links of an address now");
    client.close().await.unwrap();
    node.close().await.unwrap();
}

/// Zenoh gets TLS endpoints without brackets (`coordinator/tls_endpoints.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn zenoh_dials_no_bracketed_ipv6_address_by_tls() {
    let Ok(free) = TcpListener::bind("[::1]:0") else {
        eprintln!("\n==== SKIPPED: this host has no IPv6 ====\n");
        return;
    };
    let port = free.local_addr().unwrap().port();
    drop(free);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(["::1".to_owned()]).unwrap();
    let own = STANDARD.encode(own.self_signed(&key).unwrap().pem());
    let key = STANDARD.encode(key.serialize_pem());
    let config = |listen: &str, connect: &str| {
        let config = serde_json::json!({
            "listen": { "endpoints": if listen.is_empty() { vec![] } else { vec![listen] } },
            "connect": {
                "endpoints": if connect.is_empty() { vec![] } else { vec![connect] },
                "timeout_ms": 2_000, "exit_on_failure": true,
            },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "link": { "tls": {
                "root_ca_certificate_base64": own,
                "listen_certificate_base64": own, "listen_private_key_base64": key,
            } } },
        });
        zenoh::Config::from_json5(&config.to_string()).unwrap()
    };
    let (bracketed, bare) = (format!("tls/[::1]:{port}"), format!("tls/::1:{port}"));
    let node = zenoh::open(config(&bracketed, "")).await.unwrap();
    let dialed = zenoh::open(config("", &bare)).await.expect("a link without brackets");
    dialed.close().await.unwrap();
    let dialed = zenoh::open(config("", &bracketed)).await;
    assert!(dialed.is_err(), "Zenoh dials [::1] by TLS now: `coordinator/tls_endpoints.rs` may go");
    node.close().await.unwrap();
}
