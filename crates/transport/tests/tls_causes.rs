//! Why a TLS endpoint has no link, as the node reports it: the dialing node and its peers are real,
//! and each peer is at fault in another way.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailmesh_delivery::Incarnation;
use mailmesh_transport::{Backend, Coordinator, IngressQueue, KeySpace, LinkKeys, ZenohBus};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

/// The alarm is raised after 10 s; a probe takes at most 7 s.
const TIMEOUT: Duration = Duration::from_secs(40);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as base64 of PEM.
struct Credentials {
    certificate: String,
    key: String,
}

impl Credentials {
    fn new(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Self {
        Self::ending(authority, name, 2090)
    }

    fn ending(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, year: i32) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self {
            certificate: STANDARD.encode(certificate.pem()),
            key: STANDARD.encode(key.serialize_pem()),
        }
    }

    fn as_listener(&self) -> Value {
        json!({ "listen_certificate_base64": self.certificate,
                "listen_private_key_base64": self.key })
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Zenoh node that listens on a port of its own.
struct Peer {
    address: String,
    _session: zenoh::Session,
}

impl Peer {
    async fn listen(protocol: &str, tls: &Value, auth: &Value) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = json!({
            "listen": { "endpoints": [format!("{protocol}/{address}")] },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "link": { "tls": tls }, "auth": auth },
        });
        let config = zenoh::Config::from_json5(&config.to_string()).unwrap();
        Self { address, _session: zenoh::open(config).await.unwrap() }
    }

    async fn tls(credentials: &Credentials) -> Self {
        Self::listen("tls", &credentials.as_listener(), &json!({})).await
    }
}

async fn open(n: u8, config: &Value, links: Option<watch::Receiver<LinkKeys>>) -> ZenohBus {
    let coordinator = Coordinator::parse(&config.to_string()).unwrap();
    let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
    let (sender, _ingress) = IngressQueue::new();
    let space = KeySpace::new(&format!("tls-causes-{}", std::process::id())).unwrap();
    ZenohBus::open(settings, space, Incarnation([n; 16]), sender, links).await.unwrap()
}

/// Waits until the node has probed its endpoints, and returns the error of each.
async fn errors(bus: &ZenohBus) -> Vec<String> {
    let probed = timeout(TIMEOUT, async {
        loop {
            let now = bus.endpoints().now();
            let errors: Option<Vec<String>> = now.into_iter().map(|one| one.last_error).collect();
            match errors {
                Some(errors) => return errors,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    });
    probed.await.expect("the endpoints were not probed in time")
}

fn assert_says(error: &str, words: &[&str]) {
    for words in words {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!error.contains("BEGIN") && !error.contains("_base64"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cause_of_a_missing_tls_link_is_reported() {
    let (own, other) = (authority("Ours"), authority("Theirs"));
    let right = Credentials::new(&own, "127.0.0.1");
    let unknown = Peer::tls(&Credentials::new(&other, "127.0.0.1")).await;
    let misnamed = Peer::tls(&Credentials::new(&own, "mx1.example.org")).await;
    let expired = Peer::tls(&Credentials::ending(&own, "127.0.0.1", 2021)).await;
    let plain = Peer::listen("tcp", &json!({}), &json!({})).await;
    let mut mutual = right.as_listener();
    mutual["enable_mtls"] = json!(true);
    mutual["root_ca_certificate_base64"] = json!(STANDARD.encode(own.pem()));
    let mutual = Peer::listen("tls", &mutual, &json!({})).await;
    let logins = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(logins.path(), "mx1:password-of-mx1\n").unwrap();
    let auth = json!({ "usrpwd": { "user": "mx2", "password": "password-of-mx2",
                                   "dictionary_file": logins.path() } });
    let barred = Peer::listen("tls", &right.as_listener(), &auth).await;

    let stranger = Credentials::new(&other, "127.0.0.1");
    let shown = format!(
        "#enable_mtls=true;connect_certificate_base64={};connect_private_key_base64={}",
        stranger.certificate, stranger.key
    );
    let endpoints = [
        format!("tls/{}", unknown.address),
        format!("tls/{}", misnamed.address),
        format!("tls/{}", expired.address),
        format!("tls/{}", plain.address),
        format!("tls/{}", mutual.address),
        format!("tls/{}{shown}", mutual.address.replace("127.0.0.1", "localhost")),
        format!("tls/{}", barred.address),
    ];
    let root = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(root.path(), own.pem()).unwrap();
    let config = json!({
        "listen": { "endpoints": [] },
        "connect": { "endpoints": endpoints },
        "scouting": { "multicast": { "enabled": false } },
        "transport": { "link": { "tls": {
            "root_ca_certificate": root.path(), "verify_name_on_connect": true,
        } } },
    });
    let bus = open(1, &config, None).await;
    let errors = errors(&bus).await;
    let root = root.path().to_str().unwrap();
    assert_says(&errors[0], &["127.0.0.1", "CN=Theirs", "root_ca_certificate", root]);
    assert_says(&errors[1], &["is for mx1.example.org, not for 127.0.0.1", "verify_name"]);
    assert_says(&errors[2], &["127.0.0.1", "expired at 2021-01-01T00:00:00Z"]);
    assert_says(&errors[3], &["does not speak TLS", "`tcp/`"]);
    assert_says(&errors[4], &["asks for a client certificate", "`connect_certificate`"]);
    // The peer's certificate is for 127.0.0.1 alone.
    assert_says(&errors[5], &["is for 127.0.0.1, not for localhost"]);
    assert_says(&errors[6], &["TLS is fine", "`transport.auth`"]);
}

/// The endpoint sets its own certificate, and that its name is not verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_the_peer_refuses_is_reported() {
    let (own, other) = (authority("Ours"), authority("Theirs"));
    let mut tls = Credentials::new(&own, "mx1.example.org").as_listener();
    tls["enable_mtls"] = json!(true);
    tls["root_ca_certificate_base64"] = json!(STANDARD.encode(own.pem()));
    let peer = Peer::listen("tls", &tls, &json!({})).await;
    let shown = Credentials::new(&other, "mx2.example.org");
    let endpoint = format!(
        "tls/{}#enable_mtls=true;verify_name_on_connect=false;root_ca_certificate_base64={};\
         connect_certificate_base64={};connect_private_key_base64={}",
        peer.address,
        STANDARD.encode(own.pem()),
        shown.certificate,
        shown.key
    );
    let config = json!({
        "listen": { "endpoints": [] },
        "connect": { "endpoints": [endpoint] },
        "scouting": { "multicast": { "enabled": false } },
    });
    let bus = open(2, &config, None).await;
    let errors = errors(&bus).await;
    assert_says(&errors[0], &["refuses the certificate of this node", "`connect_certificate`"]);
}

/// With `"links": "tls"` the certificates are derived from the cluster key, so the texts name keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_key_is_reported_as_the_cause() {
    let port = free_port();
    let config = |listen: u16, connect: &[String]| {
        let config = json!({
            "listen": { "endpoints": [format!("tcp/127.0.0.1:{listen}")] },
            "connect": { "endpoints": connect },
            "scouting": { "multicast": { "enabled": false } },
        });
        json!({ "@type": "Zenoh", "config": config.to_string(), "mesh": { "links": "tls" } })
    };
    let keys = |n: u8| watch::Sender::new(LinkKeys::new(Zeroizing::new([n; 32]), []));
    let (theirs, ours) = (keys(1), keys(2));
    let _peer = open(3, &config(port, &[]), Some(theirs.subscribe())).await;
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let bus = open(4, &config(0, &[endpoint]), Some(ours.subscribe())).await;
    let errors = errors(&bus).await;
    assert_says(&errors[0], &["127.0.0.1", "another cluster key"]);
}
