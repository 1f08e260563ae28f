//! The certificates and keys of links in the forms that operators have: the files that mailmesh
//! reads, Zenoh uses.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::time::{Instant, sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A root, an intermediate, a leaf for localhost with its key, and an unrelated certificate.
struct TestPki {
    root: String,
    middle: String,
    leaf: String,
    key: String,
    other: String,
}

impl TestPki {
    fn new() -> Self {
        Self::ending(2036, 2036)
    }

    fn ending(leaf_year: i32, middle_year: i32) -> Self {
        let authority = |name: &str, year| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            (params, KeyPair::generate().unwrap())
        };
        let (root, root_key) = authority("Root", 2036);
        let (middle, middle_key) = authority("Intermediate", middle_year);
        let (other, other_key) = authority("Other", 2036);
        let names = ["localhost".to_owned(), "::1".to_owned()];
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.not_after = rcgen::date_time_ymd(leaf_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let of_middle = Issuer::from_params(&middle, &middle_key);
        let of_root = Issuer::from_params(&root, &root_key);
        Self {
            leaf: leaf.signed_by(&key, &of_middle).unwrap().pem(),
            middle: middle.signed_by(&middle_key, &of_root).unwrap().pem(),
            root: root.self_signed(&root_key).unwrap().pem(),
            key: key.serialize_pem(),
            other: other.self_signed(&other_key).unwrap().pem(),
        }
    }

    fn full(&self) -> String {
        format!("{}{}", self.leaf, self.middle)
    }
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn check(chain: &Path, key: &Path) -> Result<String, String> {
    let tls = serde_json::json!({ "listen_certificate": chain, "listen_private_key": key });
    let config = serde_json::json!({
        "listen": { "endpoints": ["tls/localhost:0"] },
        "scouting": { "multicast": { "enabled": false } },
        "transport": { "link": { "tls": tls } },
    });
    let checked = Coordinator::parse(&config.to_string()).unwrap().preflight();
    let warnings = checked.map_err(|error| error.to_string())?;
    Ok(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn problems_and_repairs_of_link_files_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::new();
    let (old, old_middle) = (TestPki::ending(2021, 2036), TestPki::ending(2036, 2021));
    let key = pki.key.clone();
    let full = pki.full();
    let none: &[&str] = &[];
    let mended = "Zenoh is given a mended copy";
    for (case, chain, key, words) in [
        ("right", full.clone(), key.clone(), none),
        ("leaf alone", pki.leaf.clone(), key.clone(), none),
        ("root behind", format!("{full}{}", pki.root), key.clone(), none),
        ("all in one", format!("{full}{key}"), format!("{full}{key}"), none),
        (
            "wrong order",
            format!("{}{}", pki.middle, pki.leaf),
            key.clone(),
            &["not in order", mended],
        ),
        ("root first", format!("{}{full}", pki.root), key.clone(), &["the root", mended]),
        ("BOM", format!("\u{feff}{full}"), key.clone(), &[mended]),
        ("escaped key", full.clone(), key.replace('\n', "\\n"), &["newlines", mended]),
        ("glued", format!("{}{}", pki.leaf.trim_end(), pki.middle), key.clone(), &[mended]),
        ("unrelated", format!("{full}{}", pki.other), key.clone(), &["CN=Other is left out"]),
        ("over", old.full(), old.key.clone(), &["the certificate expired at 2021-01-01"]),
        (
            "intermediate over",
            old_middle.full(),
            old_middle.key.clone(),
            &["CN=Intermediate in the chain expired at 2021-01-01"],
        ),
    ] {
        let (chain, key) = (write(dir.path(), "chain", chain), write(dir.path(), "key", key));
        let warnings = check(&chain, &key).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(words.iter().all(|words| warnings.contains(words)), "{case}: {warnings}");
        assert_eq!(warnings.contains(mended), words.contains(&mended), "{case}: {warnings}");
        assert_eq!(warnings.is_empty(), words.is_empty(), "{case}: {warnings}");
    }
    for (chain, key, words) in [
        (&full, &old.key, "key: the private key does not belong to the certificate"),
        (&full, &full, "key: line 1: this is a certificate, and a private key is expected here"),
        (&key, &key, "chain: line 1: this is a private key, and a certificate is expected here"),
        (&full, &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "decrypt it with `openssl pkey"),
        (&full, &String::new(), "key: it is empty"),
    ] {
        let (chain, key) = (write(dir.path(), "chain", chain), write(dir.path(), "key", key));
        let error = check(&chain, &key).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

fn warnings(config: &serde_json::Value) -> Result<String, String> {
    let checked = Coordinator::parse(&config.to_string()).unwrap().preflight();
    let warnings = checked.map_err(|error| error.to_string())?;
    Ok(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// A node of the same configuration would refuse these, and say nothing.
#[test]
fn certificates_that_prevent_every_link_give_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let made = TestPki::new();
    let file = |name: &str, text: &str| write(dir.path(), name, text);
    let (full, leaf) = (file("full.pem", &made.full()), file("leaf.pem", &made.leaf));
    let (root, other) = (file("root.pem", &made.root), file("other.pem", &made.other));
    let key = file("key.pem", &made.key);
    for (what, chain, root, is_mutual, words) in [
        ("right", &full, Some(&root), true, &[][..]),
        ("another root", &full, Some(&other), false, &["full.pem", "no authority there signed it"]),
        ("another root, both ends", &full, Some(&other), true, &["`transport.link.tls.connect_"]),
        ("leaf as root", &full, Some(&leaf), false, &["is given as the authority"]),
        ("no intermediate", &leaf, Some(&root), false, &["leaf.pem", "fullchain.pem"]),
        ("no root", &full, None, false, &["`transport.link.tls.root_ca_certificate` is not set"]),
    ] {
        let mut tls = serde_json::json!({
            "listen_certificate": chain, "listen_private_key": key,
            "connect_certificate": chain, "connect_private_key": key, "enable_mtls": is_mutual,
        });
        if let Some(root) = root {
            tls["root_ca_certificate"] = serde_json::json!(root);
        }
        let said = warnings(&serde_json::json!({
            "listen": { "endpoints": ["tls/localhost:0"] },
            "connect": { "endpoints": ["tls/localhost:7447"] },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "link": { "tls": tls } },
        }))
        .unwrap();
        assert!(words.iter().all(|words| said.contains(words)), "{what}: {said}");
        assert_eq!(said.is_empty(), words.is_empty(), "{what}: {said}");
    }
}

/// The flag of an endpoint overrides the shared one. Found nodes are dialed by the shared flag.
#[test]
fn a_dialer_certificate_that_no_link_shows_gives_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    let made = TestPki::new();
    let (chain, key) =
        (write(dir.path(), "chain", made.full()), write(dir.path(), "key", &made.key));
    let other = write(dir.path(), "other", &made.other);
    for (shared, own, gossips, is_shown) in [
        (true, "#enable_mtls=false", false, false),
        (true, "#enable_mtls=false", true, true),
        (true, "", false, true),
        (false, "#enable_mtls=true", false, true),
    ] {
        let found = warnings(&serde_json::json!({
            "listen": { "endpoints": ["tcp/localhost:0"] },
            "connect": { "endpoints": [format!("tls/localhost:7447{own}")] },
            "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": gossips } },
            "transport": { "link": { "tls": {
                "root_ca_certificate": other, "enable_mtls": shared,
                "connect_certificate": chain, "connect_private_key": key,
            } } },
        }))
        .unwrap();
        let warns = found.contains("no authority there signed it");
        assert_eq!(warns, is_shown, "{shared} {own} {gossips}: {found}");
    }
}

#[test]
fn the_error_names_a_critical_extension_that_prevents_listening() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let mut policies =
        rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 32], vec![0x30, 2, 0x30, 0]);
    policies.set_criticality(true);
    params.custom_extensions.push(policies);
    let key = KeyPair::generate().unwrap();
    let chain = write(dir.path(), "chain", params.self_signed(&key).unwrap().pem());
    let key = write(dir.path(), "key", key.serialize_pem());
    let error = check(&chain, &key).unwrap_err();
    assert!(error.contains("`transport.link.tls.listen_certificate`"), "{error}");
    assert!(error.contains("certificatePolicies (2.5.29.32) is critical"), "{error}");
}

struct Ignore;

impl Sink for Ignore {
    fn take(&mut self, _output: Output) {}
}

impl DirectSink for Ignore {
    fn take_direct(&mut self, _from: Incarnation, _body: Bytes) {}
}

async fn node(n: u8, config: serde_json::Value) -> Driver {
    let coordinator = Coordinator::parse(&config.to_string()).unwrap();
    let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
    let (sender, ingress) = IngressQueue::new();
    let space = KeySpace::new(&format!("tls-files-{}", std::process::id())).unwrap();
    let incarnation = Incarnation([n; 16]);
    let bus = ZenohBus::open(settings, space, incarnation, sender, None).await.unwrap();
    let (settings, start) = (Settings::default(), Instant::now());
    let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, n.into());
    let node = Endpoint::new(identity, settings.clone(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let (bus, sinks) = (Arc::new(bus), |_| (Ignore, Ignore));
    Driver::start(node, settings, start, bus, ingress, codec, sinks).unwrap()
}

/// Each end presents a certificate that Zenoh alone could not read, or whose order would make Zenoh
/// present another leaf. Each end reads its authority from such a file too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_link_with_files_that_zenoh_alone_misreads() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::new();
    let chain = write(dir.path(), "chain", format!("{}{}{}", pki.root, pki.middle, pki.leaf));
    let key = write(dir.path(), "key", pki.key.replace('\n', "\\n"));
    let root = write(dir.path(), "root", format!("\u{feff}{}", pki.root));
    let port = TcpListener::bind("localhost:0").unwrap().local_addr().unwrap().port();
    let tls = serde_json::json!({
        "root_ca_certificate": root, "enable_mtls": true,
        "listen_certificate": chain, "listen_private_key": key,
        "connect_certificate": chain, "connect_private_key": key,
    });
    let config = |listen: String, connect: Vec<String>| {
        serde_json::json!({
            "listen": { "endpoints": [listen] },
            "connect": { "endpoints": connect },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "link": { "tls": tls } },
        })
    };
    let a = node(1, config(format!("tls/localhost:{port}"), Vec::new())).await;
    // The other node's endpoint has its own certificate and key.
    let encoded = STANDARD.encode(format!("\u{feff}{}{}", pki.leaf, pki.middle));
    let encoded_key = STANDARD.encode(&pki.key);
    let dialed = format!(
        "tls/localhost:{port}#connect_certificate_base64={encoded};\
         connect_private_key_base64={encoded_key}"
    );
    let b = node(2, config("tls/localhost:0".into(), vec![dialed])).await;
    link(&a, &b).await;
}

async fn link(a: &Driver, b: &Driver) {
    let linked = timeout(TIMEOUT, async {
        while a.peers().len() != 1 || b.peers().len() != 1 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(linked.await.is_ok(), "{} {}", a.peers().len(), b.peers().len());
}

/// Zenoh alone silently fails to link to any IPv6 address by TLS, whether configured or announced
/// by a node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_link_by_tls_to_ipv6_addresses() {
    let Ok(free) = TcpListener::bind("[::1]:0") else {
        eprintln!("\n==== SKIPPED: this host has no IPv6 ====\n");
        return;
    };
    let port = free.local_addr().unwrap().port();
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::new();
    let chain = write(dir.path(), "chain", pki.full());
    let key = write(dir.path(), "key", &pki.key);
    let root = write(dir.path(), "root", &pki.root);
    let config = |port: u16, connect: Vec<String>| {
        serde_json::json!({
            "listen": { "endpoints": [format!("tls/[::1]:{port}")] },
            "connect": { "endpoints": connect },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "link": { "protocols": ["tls"], "tls": {
                "root_ca_certificate": root, "enable_mtls": true,
                "listen_certificate": chain, "listen_private_key": key,
                "connect_certificate": chain, "connect_private_key": key,
            } } },
        })
    };
    let a = node(1, config(port, Vec::new())).await;
    let dialed = || vec![format!("tls/[::1]:{port}")];
    let b = node(2, config(0, dialed())).await;
    link(&a, &b).await;
    // The third node learns of the second from the first.
    let c = node(3, config(0, dialed())).await;
    let linked = timeout(TIMEOUT, async {
        while [&a, &b, &c].iter().any(|node| node.peers().len() != 2) {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(linked.await.is_ok(), "{} {} {}", a.peers().len(), b.peers().len(), c.peers().len());
}
