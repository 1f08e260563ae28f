//! `cert add` with certificates in the layouts and encodings that operators and other programs
//! produce.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mailmesh::{Coordinator, UnixMillis};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::harness::{Node, Site, until};

/// A root, its intermediate, an unrelated authority, and a leaf of the intermediate.
struct Pems {
    root: String,
    middle: String,
    other: String,
    leaf: String,
    key: String,
    /// Certificates for the key of the leaf: one is expired, one has its name only in the CN.
    expired: String,
    common_name: String,
}

fn generate_pems() -> Pems {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params, KeyPair::generate().unwrap())
    };
    let (root, root_key) = authority("Example Root");
    let (middle, middle_key) = authority("Example Intermediate");
    let (other, other_key) = authority("Unrelated CA");
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&middle, &middle_key);
    let leaf = |params: CertificateParams| params.signed_by(&key, &issuer).unwrap().pem();
    let named =
        || CertificateParams::new(["mail.example.org".into(), "imap.example.org".into()]).unwrap();
    let mut expired = named();
    expired.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let mut common_name = CertificateParams::new(Vec::<String>::new()).unwrap();
    common_name.distinguished_name.push(DnType::CommonName, "mail.example.org");
    let of_root = Issuer::from_params(&root, &root_key);
    Pems {
        leaf: leaf(named()),
        expired: leaf(expired),
        common_name: leaf(common_name),
        middle: middle.signed_by(&middle_key, &of_root).unwrap().pem(),
        root: root.self_signed(&root_key).unwrap().pem(),
        other: other.self_signed(&other_key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[test]
fn certificates_in_common_layouts_are_accepted_or_refused_with_advice() {
    let (site, pems) = (Site::new(), generate_pems());
    let node = site.start("a");
    let write = |name: &str, text: &str| -> PathBuf {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let add = |chain: &str, key: &str, more: &[&str]| {
        let (chain, key) = (write("chain.pem", chain), write("leaf.key", key));
        let args = ["cert", "add", chain.to_str().unwrap(), key.to_str().unwrap()];
        let output = node.run(&[&args[..], more].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let Pems { root, middle, other, leaf, key, .. } = &pems;
    let full = format!("{leaf}{middle}");
    let comment = "issuer: M\u{fc}ller\n";
    for (what, chain, key, warnings) in [
        ("full", full.clone(), key.clone(), &[][..]),
        ("no newline between", format!("{}{middle}", leaf.trim_end()), key.clone(), &[]),
        (
            "wrong order",
            format!("{middle}{leaf}"),
            key.clone(),
            &["chain.pem: the certificates were not in order"],
        ),
        (
            "root first",
            format!("{root}{middle}{leaf}"),
            key.clone(),
            &["not in order", "the root (CN=Example Root) is left out"],
        ),
        (
            "unrelated",
            format!("{full}{other}"),
            key.clone(),
            &["CN=Unrelated CA is left out: it signs none"],
        ),
        ("BOM", format!("\u{feff}{full}"), key.clone(), &[]),
        ("CRLF", full.replace('\n', "\r\n"), key.clone(), &[]),
        ("comment", format!("{comment}{full}"), key.clone(), &[]),
        ("escaped", full.replace('\n', "\\n"), key.clone(), &["chain.pem: line 1: the newlines"]),
        (
            "escaped key",
            full.clone(),
            key.replace('\n', "\\n"),
            &["leaf.key: line 1: the newlines"],
        ),
        ("everything in one", format!("{full}{key}"), format!("{full}{key}"), &[]),
    ] {
        let (done, out, err) = add(&chain, &key, &[]);
        assert!(done, "{what}: {err}");
        assert!(out.starts_with("imap.example.org, mail.example.org  SHA-256 "), "{what}: {out}");
        assert!(
            out.contains("key ECDSA P-256, chain of 2, issuer CN=Example Inter"),
            "{what}: {out}"
        );
        assert_eq!(err.lines().count(), warnings.len(), "{what}: {err}");
        assert!(warnings.iter().all(|words| err.contains(words)), "{what}: {err}");
    }
    let listed = node.json(&["cert", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["issuer"], json!("CN=Example Intermediate"));
    assert_eq!(listed[0]["key_type"], json!("ECDSA P-256"));
    assert_eq!(listed[0]["chain_length"], json!(2));
    assert!(node.ok(&["cert", "list"]).contains("chain of 2, issuer CN=Example Intermediate"));

    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (what, chain, key, words) in [
        (
            "over",
            &pems.expired,
            key,
            "ended at 2021-02-03T00:00:00Z; renew it, or add it anyway with `--force`",
        ),
        (
            "CN alone",
            &pems.common_name,
            key,
            "common name (CN=mail.example.org), where no client looks; ask the authority",
        ),
        (
            "encrypted",
            &full,
            &encrypted,
            "leaf.key: the private key cannot be used: line 1: the key is encrypted, and",
        ),
        (
            "swapped",
            key,
            &full,
            "chain.pem: the certificate chain cannot be used: line 1: this is a private key",
        ),
    ] {
        let (done, out, err) = add(chain, key, &[]);
        assert!(!done && out.is_empty() && err.contains(words), "{what}: {out}{err}");
    }
    node.ok(&["cert", "remove", "mail.example.org", "imap.example.org"]);
    let (done, out, err) = add(&pems.expired, key, &["--force"]);
    assert!(done && out.contains("until 2021-02-03"), "{out}{err}");
    assert!(err.contains("the certificate expired at 2021-02-03T00:00:00Z"), "{err}");
}

#[test]
fn cert_add_does_not_shorten_a_chain_and_cert_remove_names_all_names() {
    let (site, made) = (Site::new(), generate_pems());
    let (node, other) = (site.start("a"), site.start("b"));
    node.wait_for_members(1);
    let write = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name).to_str().unwrap().to_owned()
    };
    let full = write("fullchain.pem", &format!("{}{}", made.leaf, made.middle));
    let (bare, key) = (write("cert.pem", &made.leaf), write("privkey.pem", &made.key));
    let run = |args: &[&str]| {
        let output = node.run(&[&["cert"], args].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["add", &full, &key]).0, Some(0));
    let (code, out, err) = run(&["add", &bare, &key]);
    assert_eq!((code, &*out), (Some(1), ""), "{err}");
    for words in ["chain of 2", "chain of 1", "CN=Example Intermediate", "fullchain.pem", "--force"]
    {
        assert!(err.contains(words), "{words}: {err}");
    }
    let chain_of = |node: &Node| node.json(&["cert", "list", "--json"])[0]["chain_length"].clone();
    assert_eq!(chain_of(&node), json!(2));
    assert_eq!(run(&["add", &bare, &key, "--force"]).0, Some(0));
    until("the other node has the shorter chain", || chain_of(&other) == json!(1));
    assert_eq!(run(&["add", &full, &key]).0, Some(0));

    // One of several names: the error shows the command that withdraws, and nothing is withdrawn.
    let (code, _, err) = run(&["remove", "MAIL.example.org"]);
    let command = "`mailmesh cert remove imap.example.org mail.example.org`";
    assert!(code == Some(1) && err.contains(command), "{err}");
    let (code, _, err) = run(&["remove", "www.example.org"]);
    assert!(code == Some(1) && err.contains("`mailmesh cert list`"), "{err}");
    let (code, _, err) = run(&["remove", ","]);
    assert!(code == Some(2) && err.contains("name"), "{err}");
    assert_eq!(node.json(&["cert", "list", "--json"]).as_array().unwrap().len(), 1);
    // Names separated by a comma, as `cert list` prints them or without the space.
    assert_eq!(run(&["remove", "mail.example.org,imap.example.org"]).0, Some(0));
    assert_eq!(run(&["add", &full, &key]).0, Some(0));
    let (code, out, err) = run(&["remove", "imap.example.org,", "mail.example.org"]);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("imap.example.org, mail.example.org"), "{out}");
    assert_eq!(node.json(&["cert", "list", "--json"]).as_array().unwrap().len(), 0);
}

/// The answer of the node's control socket to a request.
fn answer(node: &Node, request: &Value) -> Value {
    let mut stream = UnixStream::connect(&node.socket).unwrap();
    writeln!(stream, "{request}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Two nodes of the site whose clocks are this far behind: the majority of three nodes.
async fn start_with_slow_clocks(site: &Site, behind: Duration) -> [mailmesh::Node; 2] {
    let config = std::fs::read_to_string(site.path("coordinator.json")).unwrap();
    let start = async |name: &str| {
        let builder = mailmesh::Node::builder().coordinator(Coordinator::parse(&config).unwrap());
        let clock = move || UnixMillis::from(SystemTime::now() - behind);
        builder.name(name).wall_clock(clock).start().await.unwrap()
    };
    [start("b").await, start("c").await]
}

#[test]
fn certificate_expiry_is_judged_by_cluster_time() {
    let day = Duration::from_secs(86_400);
    let site = Site::new();
    let node = site.start("a");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let others = runtime.block_on(start_with_slow_clocks(&site, 3 * day));
    until("the node's correction is three days", || {
        let correction = node.json(&["status", "--json"])["clock_correction_ms"].as_i64();
        correction.is_some_and(|millis| millis < -2 * 86_400_000)
    });
    // The certificate is expired only by the clock of this host.
    let mut params = CertificateParams::new(["mail.example.org".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() - day).into();
    let key = KeyPair::generate().unwrap();
    let (chain, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let request = json!({ "command": "cert-add", "chain_pem": chain, "key_pem": key });
    let answered = answer(&node, &request);
    let warnings = answered["ok"]["warnings"].to_string();
    assert!(warnings.starts_with('[') && !warnings.contains("ended"), "{answered}");
    std::fs::write(site.path("both.pem"), chain + &key).unwrap();
    let both = site.path("both.pem");
    let output = node.run(&["cert", "add", both.to_str().unwrap(), both.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("ended"), "{stderr}");
    runtime.block_on(async {
        for other in others {
            other.shutdown().await;
        }
    });
}
