//! Events, blocks and certificates between processes.

use serde_json::{Value, json};

use super::harness::{Site, until};

/// Events of each publishable kind, as JSON.
fn events() -> Vec<Value> {
    vec![
        json!({"kind": "state-change", "event": {
            "account": 70_000, "change": 1_u64 << 40, "types": ["Email", "Mailbox", "Thread"],
        }}),
        json!({"kind": "email-push", "event": {
            "account": 7, "email": 5, "change": 43, "received": 1_795_000_000_000_u64,
            "size": 2_048, "mailboxes": [1, 300],
        }}),
        json!({"kind": "calendar-alert", "event": {
            "account": 7, "event": 77, "alert": 1, "due": 1_800_000_000_000_u64,
        }}),
        json!({"kind": "push-subscription", "event": {
            "account": 7, "subscription": 4, "change": "removed",
        }}),
        json!({"kind": "cache", "event": {"cache": "domain", "scope": {"ids": [8, 9]}}}),
        json!({"kind": "cache", "event": {"cache": "dns", "scope": "negative"}}),
        json!({"kind": "cache", "event": {"cache": {"other": 9}, "scope": "all"}}),
        json!({"kind": "registry", "event": {"insert": {"object_type": 3, "id": 12}}}),
        json!({"kind": "registry", "event": {"delete": {"object_type": 3, "id": 12}}}),
        json!({"kind": "registry", "event": {"reload": null}}),
        json!({"kind": "queue", "event": "refresh"}),
        json!({"kind": "queue", "event": "paused"}),
        json!({"kind": "queue", "event": "resumed"}),
        json!({"kind": "custom", "event": {"kind": "acme.greylist", "payload": [0, 255, 7]}}),
    ]
}

#[test]
fn every_kind_of_event_arrives_unchanged_in_another_process() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    b.wait_for_members(1);
    let watch = b.watch();
    for event in events() {
        a.ok(&["publish", "json", &event.to_string()]);
        let heard = watch.next_where(|entry| entry["type"] == "event");
        let data = &heard["data"];
        assert_eq!((&data["kind"], &data["event"]), (&event["kind"], &event["event"]));
        assert_eq!(data["from"]["name"], "a");
        let urgent = ["cache", "registry"].contains(&event["kind"].as_str().unwrap());
        assert_eq!(data["lane"], if urgent { "urgent" } else { "events" });
    }

    a.ok(&["block", "add", "2001:db8::/32", "--reason", "spam", "--ttl", "1h"]);
    let heard = watch.next_where(|entry| entry["data"]["kind"] == "network");
    assert_eq!(heard["type"], "changed");
    let change = &heard["data"]["event"];
    assert_eq!((&change["rule"], &change["network"]), (&json!("block"), &json!("2001:db8::/32")));
    let block = &change["block"];
    assert_eq!((&block["reason"], &block["origin"]), (&json!("spam"), &json!("a")));
    let lifetime = block["expires"].as_u64().unwrap() - block["added"].as_u64().unwrap();
    assert!((3_600_000..3_601_000).contains(&lifetime), "{lifetime}");
    assert_eq!(b.json(&["block", "list", "--json"])[0]["block"], *block);

    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    std::fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (site.path("cert.pem"), site.path("key.pem"));
    a.ok(&["cert", "add", cert.to_str().unwrap(), key.to_str().unwrap()]);
    let heard = watch.next_where(|entry| entry["data"]["kind"] == "certificate");
    let certificate = &heard["data"]["event"]["certificate"];
    assert_eq!(certificate["names"], json!(["mail.example.org"]));
    assert_eq!(certificate["fingerprint"].as_str().unwrap().len(), 64);
    assert!(certificate.get("key").is_none(), "a private key is never shown");
    let listed = b.json(&["cert", "list", "--json"]);
    assert_eq!(listed[0]["fingerprint"], certificate["fingerprint"]);
    assert_eq!(listed, a.json(&["cert", "list", "--json"]));
    let hosts = &listed[0]["hosts"];
    assert_eq!(
        (&hosts[0]["name"], &hosts[0]["presented"]),
        (&json!("mail.example.org"), &json!(true))
    );
    assert_eq!(hosts[0]["why"], json!("valid, exact name"));
}

#[test]
fn cert_list_shows_which_certificate_each_name_presents_and_why() {
    let site = Site::new();
    let a = site.start("a");
    let add = |names: &[&str], from: i32| {
        let mut params = rcgen::CertificateParams::new(
            names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
        )
        .unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let (cert, file) = (site.path("cert.pem"), site.path("key.pem"));
        std::fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&file, key.serialize_pem()).unwrap();
        a.ok(&["cert", "add", cert.to_str().unwrap(), file.to_str().unwrap()]);
    };
    add(&["mail.xn--bcher-kva.example", "*.xn--bcher-kva.example"], 2020);
    add(&["*.xn--bcher-kva.example"], 2021);
    let shown = a.ok(&["cert", "list"]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[2].ends_with("*.xn--bcher-kva.example: this certificate (valid, wildcard)"),
        "{shown}"
    );
    assert!(lines[5].contains(" instead (valid, wildcard)"), "{shown}");
    assert!(lines[6].ends_with("this certificate (valid, exact name)"), "{shown}");
    a.ok(&["cert", "remove", "*.bücher.example"]);
    assert_eq!(a.json(&["cert", "list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn addresses_are_checked_and_removed_on_any_node() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    a.ok(&["block", "add", "198.51.100.0/24", "--reason", "x"]);
    let blocked = || b.run(&["block", "check", "198.51.100.9"]).status.code();
    until("blocked on b", || blocked() == Some(10));
    b.ok(&["block", "add", "198.51.100.9", "--allow"]);
    assert_eq!(blocked(), Some(0));
    b.ok(&["block", "remove", "198.51.100.9", "--allow"]);
    assert_eq!(blocked(), Some(10));
    b.ok(&["block", "remove", "198.51.100.0/24"]);
    until("free on a", || a.run(&["block", "check", "198.51.100.9"]).status.code() == Some(0));
    let refused = a.run(&["block", "remove", "198.51.100.0/24"]);
    assert_eq!(refused.status.code(), Some(1));
    for network in ["127.0.0.1", "0.0.0.0/0"] {
        assert_eq!(a.run(&["block", "add", network]).status.code(), Some(1), "{network}");
    }
    let wide = a.run(&["block", "add", "--allow", "0.0.0.0/0"]);
    assert_eq!(wide.status.code(), Some(1));
    a.ok(&["block", "add", "--allow", "0.0.0.0/0", "--force"]);
}

#[test]
fn clusters_of_different_names_on_one_network_never_hear_each_other() {
    let site = Site::new();
    site.write_config("other.json", "other");
    let (a, c) = (site.start("a"), site.start("c"));
    let b = site.start_with("b", "b", "other.json", &[]);
    a.wait_for_members(1);
    let watch = b.watch();
    a.ok(&["publish", "queue", "refresh"]);
    a.ok(&["block", "add", "192.0.2.7"]);
    // When c has the block, b could have received it too.
    until("blocked on c", || c.run(&["block", "check", "192.0.2.7"]).status.code() == Some(10));
    assert_eq!(b.run(&["block", "check", "192.0.2.7"]).status.code(), Some(0));
    assert!(watch.is_silent());
    let status = b.json(&["status", "--json"]);
    assert_eq!((&status["members"], &status["refused"]["not_authentic"]), (&json!(0), &json!(0)));
}

#[test]
fn a_burst_arrives_in_order_and_gaps_are_reported() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    b.wait_for_members(1);
    let watch = b.watch();
    let count = 5_000;
    let args = ["publish", "--count", "5000", "state-change", "--account", "1", "--change", "1"];
    a.ok(&args);
    let mut next = 1;
    while next <= count {
        let entry = watch.next();
        let data = &entry["data"];
        match entry["type"].as_str().unwrap() {
            "event" => {
                assert_eq!(data["event"]["change"], next);
                next += 1;
            }
            "gap" => next += data["missed"].as_u64().unwrap(),
            _ => {}
        }
    }
}

#[test]
fn a_watched_line_can_be_published_and_a_certificate_removed() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    b.wait_for_members(1);
    let (watch_a, watch_b) = (a.watch(), b.watch());
    a.ok(&["publish", "cache", "77", "--id", "5"]);
    let heard = watch_b.next_where(|entry| entry["type"] == "event");
    b.ok(&["publish", "json", &heard.to_string()]);
    let again = watch_a.next_where(|entry| entry["type"] == "event");
    assert_eq!(again["data"]["event"], heard["data"]["event"]);

    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    std::fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (site.path("cert.pem"), site.path("key.pem"));
    a.ok(&["cert", "add", cert.to_str().unwrap(), key.to_str().unwrap()]);
    let certificates = || b.json(&["cert", "list", "--json"]).as_array().unwrap().len();
    until("b has the certificate", || certificates() == 1);
    b.ok(&["cert", "remove", "mail.example.org"]);
    until("the certificate is removed on a", || a.json(&["cert", "list", "--json"]) == json!([]));
}
