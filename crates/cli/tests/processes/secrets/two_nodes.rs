//! Searches all that two nodes print and write for planted secrets.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::harness::{Node, Site, until};
use super::search::Searcher;

/// Every file below a directory, except for the files in which secrets were planted.
fn files(dir: &Path, planted: &[&Path]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, planted));
        } else if path.is_file() && !planted.contains(&path.as_path()) {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

#[test]
fn no_output_or_file_of_two_nodes_contains_a_secret() {
    let site = Site::new();
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    let (cert, key) = (site.path("cert.pem"), site.path("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let cluster_key = site.path("cluster.key");
    let text = std::fs::read_to_string(&cluster_key).unwrap();
    let bytes = text.parse::<mailmesh::ClusterKey>().unwrap().to_text();
    assert_eq!(bytes.trim(), text.trim());
    // The same key as a value, in a configuration with a mistake on the next line.
    let inline = site.path("inline.json");
    let config = format!(
        "{{\"@type\": \"Zenoh\", \"config\": \"{{}}\",\n \"mesh\": {{\"cluster\": \"mail\", \
         \"key\": {{\"@type\": \"Value\", \"secret\": \"{}\"}},\n \"nmae\": 1}}}}",
        text.trim()
    );
    std::fs::write(&inline, config).unwrap();
    let stored = site.path("stored.json");
    let config = std::fs::read_to_string(site.path("coordinator.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["mesh"]["store"] = site.path("store").to_str().unwrap().into();
    std::fs::write(&stored, config.to_string()).unwrap();

    let loud = ["env", "RUST_LOG=trace"];
    let (a, b) = (
        site.start_with("a", "a", "stored.json", &loud),
        site.start_with("b", "b", "coordinator.json", &loud),
    );
    a.wait_for_members(1);
    let mut outputs = Vec::new();
    let mut run = |node: &Node, args: &[&str]| {
        let output = node.run(args);
        outputs.push((format!("{args:?}"), [output.stdout, output.stderr].concat()));
    };
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    run(&a, &["cert", "add", cert, key]);
    run(&a, &["cert", "add", key, cert]);
    run(&b, &["cert", "list", "--json"]);
    // A second cluster key, which replaces the first on both nodes.
    let new_key = site.path("new.key");
    site.ok(&["key", "generate", "--out", new_key.to_str().unwrap()]);
    let new_text = std::fs::read_to_string(&new_key).unwrap();
    run(&a, &["key", "add", new_key.to_str().unwrap()]);
    run(&b, &["key", "list"]);
    let id = b.json(&["key", "list", "--json"])[0]["keys"][1].as_str().unwrap().to_owned();
    run(&b, &["key", "activate", &id]);
    run(&a, &["key", "add", cert]);
    let exported = site.path("exported.key");
    run(&a, &["key", "export", exported.to_str().unwrap()]);
    run(&a, &["key", "export", cert]);
    run(&a, &["key", "retire", "--force", &id]);
    for args in
        [&["status", "--json"][..], &["members", "--json"], &["check", inline.to_str().unwrap()]]
    {
        run(&a, args);
    }
    run(&b, &["check", stored.to_str().unwrap()]);
    until("the certificate is at b, and on the disk of a", || {
        b.ok(&["cert", "list"]).contains("mail.example.org")
            && a.json(&["status", "--json"])["store"]["waiting"] == 0
    });
    drop((a, b));

    let private = made.signing_key.serialize_der();
    let pem = made.signing_key.serialize_pem();
    let another = rcgen::KeyPair::generate().unwrap();
    let bytes = |text: &str| STANDARD.decode(text.trim()).unwrap();
    let (key_bytes, new_bytes) = (bytes(&text), bytes(&new_text));
    let mut secrets = vec![text.trim().as_bytes(), new_text.trim().as_bytes(), &private];
    secrets.extend([key_bytes.as_slice(), &new_bytes]);
    secrets.extend(pem.lines().filter(|line| !line.starts_with("---")).map(str::as_bytes));
    // Bytes that all keys share are no secret, nor are bytes of the certificate.
    let (other_der, other_pem) = (another.serialize_der(), another.serialize_pem());
    let mut public = vec![other_der.as_slice(), made.cert.der()];
    public.extend(other_pem.lines().map(str::as_bytes));
    let searcher = Searcher::new(&secrets, &public);
    let planted = [cluster_key.as_path(), &new_key, &exported, Path::new(key), &inline];
    outputs.extend(files(&site.path(""), &planted));
    assert!(outputs.iter().any(|(name, text)| name.ends_with(".log") && text.len() > 1_000));
    assert!(outputs.iter().any(|(name, text)| name.ends_with("mirror.redb") && text.len() > 1_000));
    for (place, text) in &outputs {
        assert_eq!(searcher.find(text), None, "{place}");
    }
    // The searcher finds the secrets where they were planted.
    assert!(searcher.find(&std::fs::read(&inline).unwrap()).is_some());
    assert!(searcher.find(&std::fs::read(&exported).unwrap()).is_some());
}
