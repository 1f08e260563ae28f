//! Verdicts of columns, keys, headings and sections in other words than the reader knows, and
//! lists to let in: none becomes a block, or an exemption, that its source does not mean.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};

/// 203.0.113.0/24 without 203.0.113.7.
const WITHOUT_7: [&str; 8] = [
    "203.0.113.0/30",
    "203.0.113.128/25",
    "203.0.113.16/28",
    "203.0.113.32/27",
    "203.0.113.4/31",
    "203.0.113.6",
    "203.0.113.64/26",
    "203.0.113.8/29",
];

#[test]
fn keys_beside_a_list_in_json_decide_for_its_entries() {
    for around in [
        "\"action\":\"allow\"",
        "\"name\":\"allowlist\"",
        "\"list_name\":\"Office whitelist\"",
        "\"type\":\"allow\"",
        "\"kind\":\"trusted\"",
        "\"action\":\"captcha\"",
        "\"status\":\"disabled\"",
        "\"enabled\":false",
        "\"blocked\":false",
        "\"whitelisted\":true",
        "\"action\":\"allow\",\"expires\":\"2026-12-31\"",
    ] {
        for list in ["\"ips\":[\"198.51.100.1\"]", "\"items\":[{\"ip\":\"198.51.100.1\"}]"] {
            check(&[(&format!("{{{around},{list}}}"), &[], &["1 not a ban"])]);
            check(&[(&format!("{{{list},{around}}}"), &[], &["1 not a ban"])]);
            let nested = format!("{{{around},\"result\":{{{list}}}}}");
            check(&[(&nested, &[], &["1 not a ban"])]);
        }
    }
    check(&[
        ("{\"simulated\":true,\"ips\":[\"203.0.113.1\"]}", &[], &["1 simulated"]),
        ("{\"status\":\"pending\",\"ips\":[\"203.0.113.1\"]}", &[], &["1 bad", "`status`"]),
        ("{\"description\":\"our whitelist\",\"ips\":[\"203.0.113.1\"]}", &[], &["1 bad"]),
        ("{\"ips\":[\"203.0.113.1\"],\"meta\":{\"action\":\"allow\"}}", &[], &["1 bad", "meta"]),
        ("{\"ips\":[\"203.0.113.1\"],\"meta\":{\"rc\":\"ok\"}}", &["203.0.113.1"], &[]),
        ("[{\"action\":\"allow\",\"decisions\":[{\"value\":\"203.0.113.1\"}]}]", &[], &["1 not"]),
        ("{\"type\":\"allow\",\"decisions\":[{\"value\":\"203.0.113.1\"}]}\n{}\n", &[], &["1 not"]),
        (
            "[{\"remediation\":true,\"decisions\":[{\"value\":\"203.0.113.1\"}]}]",
            &["203.0.113.1"],
            &[],
        ),
        ("{\"status\":\"ok\",\"ips\":[\"203.0.113.1\"]}", &["203.0.113.1"], &[]),
        ("{\"success\":true,\"result\":{\"ips\":[\"203.0.113.1\"]}}", &["203.0.113.1"], &[]),
        ("{\"action\":\"block\",\"name\":\"x\",\"ips\":[\"203.0.113.1\"]}", &["203.0.113.1"], &[]),
    ]);
}

#[test]
fn an_end_beside_a_list_in_json_applies_to_its_entries() {
    check(&[
        ("{\"expires\":\"2020-12-31\",\"ips\":[\"203.0.113.1\"]}", &[], &["1 ended"]),
        ("{\"ips\":[\"203.0.113.1\"],\"expires\":\"2020-12-31\"}", &[], &["1 ended"]),
        ("{\"ttl\":0,\"data\":[{\"ip\":\"203.0.113.1\"}]}", &[], &["1 ended"]),
        (
            "{\"ttl\":0,\"data\":[{\"ip\":\"203.0.113.1\",\"ttl\":60},{\"ip\":\"203.0.113.2\"}]}",
            &["203.0.113.1"],
            &["1 ended"],
        ),
        ("{\"expires\":\"soon\",\"ips\":[\"203.0.113.1\"]}", &[], &["1 bad", "`expires`"]),
        ("{\"ips\":[\"203.0.113.1\"],\"meta\":{\"expires\":\"2027-01-01\"}}", &[], &["1 bad"]),
        ("{\"ban_timeout_x\":\"4h\",\"ips\":[\"203.0.113.1\"]}", &[], &["1 bad"]),
    ]);
}

#[test]
fn yes_and_no_are_known_in_other_languages() {
    for yes in ["ja", "vrai", "on", "si", "Sí", "oui", "enabled", "VERO", "sim", "tak"] {
        check(&[
            (&format!("ip,whitelisted\n203.0.113.5,{yes}\n"), &[], &["1 not a ban"]),
            (&format!("ip,blocked\n203.0.113.5,{yes}\n"), &["203.0.113.5"], &[]),
            (&format!("ip,deleted\n203.0.113.5,{yes}\n"), &[], &[""]),
        ]);
    }
    for no in ["nein", "FALSCH", "FAUX", "non", "não", "nie"] {
        check(&[
            (&format!("ip,enabled\n203.0.113.5,{no}\n"), &[], &["1 not a ban"]),
            (&format!("ip;gesperrt\n203.0.113.5;{no}\n"), &[], &["1 not a ban"]),
            (&format!("ip;bloqué\n203.0.113.5;{no}\n"), &[], &["1 not a ban"]),
            (&format!("ip,whitelisted\n203.0.113.5,{no}\n"), &["203.0.113.5"], &[]),
        ]);
    }
}

/// The value of a column that says that its row counts; blank where a blank says so.
fn in_force(name: &str) -> &'static str {
    match name {
        "blocked" | "enabled" | "aktiv" | "Sperre aktiv" | "to_ids" => "1",
        "allowed" | "whitelisted" | "trusted" => "1",
        _ => "",
    }
}

#[test]
fn unknown_values_of_verdicts_are_bad() {
    for (name, value) in [
        ("permitted", "X"),
        ("exempt", "2026-11-01"),
        ("blocked", "24h"),
        ("deleted", "x"),
        ("enabled", "perhaps"),
        ("status", "pending"),
        ("status", "appealed"),
        ("status", "200"),
        ("access", "limited"),
        ("action", "sperrn"),
        ("permit", "X"),
    ] {
        let text = format!("ip,{name}\n203.0.113.5,{value}\n203.0.113.6,{}\n", in_force(name));
        check(&[(&text, &["203.0.113.6"], &["1 bad", name, value])]);
        let text = format!("[{{\"ip\":\"203.0.113.5\",\"{name}\":\"{value}\"}}]");
        check(&[(&text, &[], &["1 bad", name, value])]);
    }
    for (name, value) in [
        ("status", "delisted"),
        ("status", "unlisted"),
        ("delisted", "true"),
        ("disposition", "none"),
        ("aktiv", "nein"),
        ("Sperre aktiv", "nein"),
        ("to_ids", "0"),
        ("listname", "GRAY"),
        ("erlaubt", "ja"),
    ] {
        let text = format!("ip,{name}\n203.0.113.5,{value}\n203.0.113.6,{}\n", in_force(name));
        check(&[(&text, &["203.0.113.6"], &["1 not a ban"])]);
    }
    check(&[
        ("ip,simulated\n203.0.113.5,perhaps\n", &[], &["1 bad"]),
        ("ip,country,state\n203.0.113.5,DE,Bayern\n", &["203.0.113.5"], &[]),
        ("ip,country,state\n203.0.113.5,DE,expired\n", &[], &["1 not a ban"]),
        ("[{\"ip\":\"203.0.113.5\",\"status\":null}]", &["203.0.113.5"], &[]),
        ("[{\"ip\":\"203.0.113.5\",\"tags\":[\"x\",\"whitelist\"]}]", &[], &["1 not a ban"]),
        ("[{\"ip\":\"203.0.113.5\",\"status\":\"active\"}]", &["203.0.113.5"], &[]),
    ]);
}

#[test]
fn an_allow_list_leaves_out_blocked_and_ended_networks() {
    check_allow(&[
        ("{\"blocked\":[\"203.0.113.5\"]}", &[], &["1 not let in"]),
        (
            "{\"blacklist\":[\"203.0.113.5\"],\"allowed\":[\"203.0.113.6\"]}",
            &["203.0.113.6"],
            &["1 not let in"],
        ),
        ("{\"action\":\"block\",\"ips\":[\"203.0.113.5\"]}", &[], &["1 not let in"]),
        ("{\"action\":\"allow\",\"ips\":[\"203.0.113.5\"]}", &["203.0.113.5"], &[]),
        ("203.0.113.5,spam\n203.0.113.7,deny\n", &["203.0.113.5"], &["1 not let in"]),
        ("203.0.113.5,banned by admin\n", &[], &["1 bad"]),
        ("203.0.113.9 0\n", &[], &["1 bad"]),
        ("203.0.113.9,0\n", &[], &["1 bad"]),
        ("203.0.113.9\tno\n", &[], &["1 bad"]),
        ("203.0.113.5 deny\n203.0.113.6\n", &["203.0.113.6"], &["1 not let in"]),
        ("add f2b-sshd 203.0.113.6\n", &[], &["1 not let in"]),
        ("add office 203.0.113.6\n", &["203.0.113.6"], &[]),
        ("# Blocklist\n203.0.113.5\n", &[], &["Blocklist"]),
        ("Blacklist\n203.0.113.5\n", &[], &["Blacklist"]),
        (
            "Status for the jail: sshd\n`- Actions\n   `- Banned IP list: 203.0.113.5\n",
            &[],
            &["fail2ban"],
        ),
        (
            "[{\"duration\":\"4h\",\"scope\":\"Ip\",\"type\":\"captcha\",\"value\":\
             \"203.0.113.6\"}]",
            &[],
            &["1 not let in"],
        ),
    ]);
    for (key, value) in [
        ("status", "inactive"),
        ("status", "expired"),
        ("status", "removed"),
        ("status", "disabled"),
        ("status", "not allowed"),
        ("allowed", "false"),
        ("deleted", "true"),
        ("whitelisted", "no"),
        ("trusted", "no"),
        ("type", "ban"),
        ("list", "blacklist"),
        ("classification", "malicious"),
        ("action", "captcha"),
        ("action", "unban"),
        ("action", "log"),
        ("action", "deny"),
        ("effect", "deny"),
    ] {
        let text = format!("ip,{key}\n203.0.113.5,{value}\n203.0.113.6,{}\n", in_force(key));
        check_allow(&[(&text, &["203.0.113.6"], &["1 "])]);
        let text = format!("{{\"ip\":\"203.0.113.5\",\"{key}\":\"{value}\"}}\n");
        check_allow(&[(&text, &[], &["1 "])]);
    }
    for (key, value) in
        [("action", "allow"), ("status", "active"), ("trusted", "yes"), ("blocked", "false")]
    {
        check_allow(&[(&format!("ip,{key}\n203.0.113.5,{value}\n"), &["203.0.113.5"], &[])]);
    }
}

#[test]
fn exceptions_are_not_blocked_by_a_wider_entry() {
    for exception in [
        "! 203.0.113.7",
        "!203.0.113.7 ; x",
        "except 203.0.113.7",
        "not 203.0.113.7",
        "~203.0.113.7",
        "-203.0.113.7",
        "203.0.113.7/32 except;",
        "203.0.113.0/24 except 203.0.113.7",
        "203.0.113.0/25, !203.0.113.7",
        "203.0.113.0/25 # except 203.0.113.7",
        "203.0.113.0/25 ; all but 203.0.113.7",
        "203.0.113.7,whitelisted since 2020",
        "203.0.113.7,erlaubt",
        "203.0.113.7 # whitelist",
    ] {
        let text = format!("203.0.113.0/24\n{exception}\n");
        check(&[(&text, &WITHOUT_7, &["1 "])]);
        let text = format!("{exception}\n203.0.113.0/24\n");
        check(&[(&text, &WITHOUT_7, &["1 "])]);
    }
    for text in [
        "network,reason\n203.0.113.0/24,x\n! 203.0.113.7,y\n",
        "network,except\n203.0.113.0/24,\n203.0.113.0/25,203.0.113.7\n",
        "203.0.113.0/24\npermit 203.0.113.7\n",
        "[\"203.0.113.0/24\",\"!203.0.113.7\"]",
        "{\"networks\":[\"203.0.113.0/24\"],\"exceptions\":[\"203.0.113.7\"]}",
        "{\"networks\":[\"203.0.113.0/24\"],\"exclude\":[{\"ip\":\"203.0.113.7\"}]}",
        "{\"whitelist\":[\"203.0.113.7\"],\"networks\":[\"203.0.113.0/24\"]}",
        "[\"203.0.113.0/24\",{\"ip\":\"203.0.113.0/25\",\"exclude\":[\"203.0.113.7\"]}]",
        "ALL: 203.0.113.5 EXCEPT 203.0.113.7\nALL: 203.0.113.0/24\n",
        "sshd: 203.0.113.7 : allow\nALL: 203.0.113.0/24\n",
    ] {
        check(&[(text, &WITHOUT_7, &["1 "])]);
    }
    check(&[
        ("[\"203.0.113.0 - 203.0.113.1\"]", &["203.0.113.0/31"], &[]),
        ("ip,reason\n203.0.113.5,seen - 203.0.113.7\n", &["203.0.113.5"], &[]),
        (
            "{\"ips\":[\"203.0.113.0/24\"],\"removed\":[\"203.0.113.7\"]}",
            &["203.0.113.0/24"],
            &["1 not a ban"],
        ),
    ]);
    let text = "ip,action\n203.0.113.0/24,ban\n203.0.113.7,allow\n";
    check(&[
        (text, &WITHOUT_7, &["1 not a ban"]),
        ("ip,status\n203.0.113.0/24,active\n203.0.113.7,expired\n", &["203.0.113.0/24"], &[]),
    ]);
}

#[test]
fn keys_and_values_of_other_programs_are_not_hosts_deny() {
    for text in [
        "Rule Name: Block\nEnabled: Yes\nLocalIP: 198.51.100.25\nRemoteIP: 203.0.113.5/32\n",
        "Server: 198.51.100.53\nAddress: 198.51.100.54\n",
        "LocalIP: 198.51.100.25\nRemoteIP: 203.0.113.5\n",
        "inetnum:        203.0.113.0 - 203.0.113.255\nnetname: EX\n",
        "Default Gateway : 198.51.100.1\n",
        "created: 198.51.100.1\n",
    ] {
        check(&[(text, &[], &[""])]);
    }
    check(&[
        ("ALL: 203.0.113.5\nServer: 198.51.100.1\n", &["203.0.113.5"], &["1 bad", "`Server`"]),
        ("in.ftpd, sshd@198.51.100.1 : 203.0.113.5\n", &["203.0.113.5"], &[]),
    ]);
}

#[test]
fn blocks_and_headings_of_other_lists_refuse_the_list() {
    for text in [
        "prefix-list whitelist {\n 198.51.100.7/32;\n}\n",
        "acl trusted {\n 198.51.100.0/24;\n localhost;\n};\n",
        "198.51.100.7\n}\n",
        "Whitelist\n198.51.100.7\n",
        "203.0.113.5\n=== WHITELIST ===\n198.51.100.7\n",
        "203.0.113.5\n# --- Whitelist ---\n198.51.100.7\n",
        "# Whitelisted IPs (3)\n198.51.100.7\n",
        "* Trusted networks *\n198.51.100.7\n",
        "# Removed\n198.51.100.7\n",
        "# Exceptions\n198.51.100.7\n",
        "# never block these:\n198.51.100.7\n",
        "203.0.113.5;x;4h\nWhitelist;\n198.51.100.7;x;4h\n",
        "sshd: 203.0.113.5\n# --- Whitelist ---\nsshd: 198.51.100.7\n",
        "203.0.113.5,x\n# --- Whitelist ---\n198.51.100.7,x\n",
        "203.0.113.5,x\nWhitelist\n198.51.100.7,x\n",
        "Allowed:\n198.51.100.7,x\n",
    ] {
        check(&[(text, &[], &["line "])]);
    }
    for text in [
        "# whitelist of example.org is applied\n203.0.113.5\n",
        "# === BLACKLIST ===\n203.0.113.5\n",
        "# ok\n203.0.113.5\n",
        "# Networks\n203.0.113.5\n",
    ] {
        check(&[(text, &["203.0.113.5"], &[])]);
    }
}

#[test]
fn actions_are_known_under_other_names_and_in_other_languages() {
    for (name, allow, block) in [
        ("Aktion", "erlauben", "sperren"),
        ("azione", "consenti", "blocca"),
        ("akcja", "zezwól", "blokuj"),
        ("acción", "permitir", "bloquear"),
        ("action", "autoriser", "bloquer"),
        ("Type", "Autorisé", "Bloqué"),
        ("List Type", "White", "Black"),
    ] {
        let text = format!("ip;{name}\n198.51.100.7;{allow}\n203.0.113.5;{block}\n");
        check(&[(&text, &["203.0.113.5"], &["1 not a ban"])]);
    }
    for (name, allow, block) in [
        ("rule", "allow", "deny"),
        ("effect", "Allow", "Deny"),
        ("permission", "allow", "deny"),
        ("purpose", "captcha", "drop"),
        ("purpose", "white", "black"),
        ("was", "erlaubt", "gesperrt"),
    ] {
        let text = format!("ip,{name}\n198.51.100.7,{allow}\n203.0.113.5,{block}\n");
        check(&[(&text, &["203.0.113.5"], &["1 bad", name])]);
        let text = format!("{{\"ip\":\"198.51.100.7\",\"{name}\":\"{allow}\"}}\n");
        check(&[(&text, &[], &["1 bad", name])]);
    }
    check(&[
        ("ip,tlp,spf\n203.0.113.5,WHITE,pass\n", &["203.0.113.5"], &[]),
        ("198.51.100.7,erlaubt\n203.0.113.5,gesperrt\n", &["203.0.113.5"], &["1 not a ban"]),
        ("198.51.100.7,exempt\n", &[], &["1 not a ban"]),
        ("198.51.100.7 # allow - office\n198.51.100.8 ; trusted\n", &[], &["1 bad"]),
        ("198.51.100.7 # unbanned 2026-11-01\n198.51.100.8 # removed\n", &[], &["2 "]),
        (
            "AddressCIDR,Comments,Expires,Rule\n203.0.113.5,x,2026-12-31,Allow\n",
            &[],
            &["2 bad", "AddressCIDR"],
        ),
        ("Whitelist office:198.51.100.0-198.51.100.7\n", &[], &["1 bad"]),
    ]);
}

#[test]
fn the_end_of_a_ban_blocks_nothing_in_any_word_or_place() {
    for word in [
        "unban",
        "unbanned",
        "unblock",
        "unblocked",
        "entsperrt",
        "debloquer",
        "desbloquear",
        "sblocca",
        "odblokuj",
        "deblokkeren",
    ] {
        let reason = format!("ip,reason\n203.0.113.5,{word}\n203.0.113.6,spam\n");
        let unnamed = format!("203.0.113.5,{word}\n203.0.113.6,spam\n");
        let comment = format!("203.0.113.5 # {word}\n203.0.113.6 # spam\n");
        for text in [reason, unnamed, comment] {
            check(&[(&text, &["203.0.113.6"], &["1 not a ban"])]);
        }
        let unknown_column = format!("ip,purpose\n203.0.113.5,{word}\n203.0.113.6,spam\n");
        check(&[(&unknown_column, &["203.0.113.6"], &["1 bad", word])]);
    }
}
