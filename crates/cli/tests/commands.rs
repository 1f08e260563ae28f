//! Commands that need no running node.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::process::{Command, Output};

fn mailmesh(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mailmesh"))
        .args(args)
        .env_remove("MAILMESH_SOCKET")
        .env("XDG_RUNTIME_DIR", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const EXAMPLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../transport/tests/fixtures/coordinator.json");

#[test]
fn check_explains_the_example_and_shows_the_corrected_line() {
    let output = mailmesh(&["check", "--offline", EXAMPLE]);
    assert_eq!(output.status.code(), Some(0));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    for words in [
        "peer: links directly",
        "UDP 224.0.0.224:7446",
        "a free TCP port",
        "certificates are not replicated",
        "\nopen        links without TLS (tcp/[::]:0): an attacker on the path",
    ] {
        assert!(out.contains(words), "`{words}` not in\n{out}");
    }
    assert!(err.contains("warning: `peer` must be in quotes"), "{err}");
    assert!(err.contains("corrected line: mode: \"peer\","), "{err}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "colours without a terminal");
}

#[test]
fn an_invalid_configuration_is_shown_with_a_caret_and_exits_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.json5");
    std::fs::write(&path, "{\n  mode: 'peer',\n  lisen: { endpoints: [] },\n}\n").unwrap();
    let path = path.to_str().unwrap();
    for args in [vec!["check", path], vec!["node", "--config", path]] {
        let output = mailmesh(&args);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(err.contains("did you mean `listen`?") && err.contains("^^^^^"), "{err}");
        assert!(err.contains("line 3, column 3"), "{err}");
    }
}

#[test]
fn every_failure_has_its_exit_code_and_says_what_to_do() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["members"], 4, "start one with `mailmesh node`"),
        (&["--socket", "/nonexistent/x.sock", "status"], 4, "is it running"),
        (&["check", "/nonexistent/file"], 3, "cannot read"),
        (&["node", "--name", "a b"], 1, "only letters, digits"),
        (&["node", "--key-file", "/nonexistent/key"], 3, "/nonexistent/key"),
        (&["publish", "cache", "domain"], 2, "--id ID, --negative or --all"),
        (&["publish", "cache", "nonsense", "--all"], 2, "unknown cache `nonsense`"),
        (
            &["publish", "state-change", "--account", "1", "--change", "2", "--type", "Emial"],
            2,
            "not a JMAP data type",
        ),
        (&["publish", "json", "{"], 2, "not an event"),
        (&["block", "add", "10.0.0.0/33"], 2, "not an IP address or prefix"),
        (&["block", "add", "10.0.0.0/8", "--ttl", "1y"], 2, "90s, 15m, 2h or 7d"),
        (&["watch", "--kind", "nonsense"], 2, "not a kind of event"),
        (&["cert", "add", "/nonexistent/a", "/nonexistent/b"], 4, "no node of this user runs"),
        (&["demo", "--mbox", "/nonexistent/mbox"], 1, "/nonexistent/mbox"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
    ];
    for (args, code, words) in cases {
        let output = mailmesh(args);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: `{words}` not in {err}");
    }
}

#[test]
fn key_generate_prints_the_same_fingerprint_as_check() {
    let dir = tempfile::tempdir().unwrap();
    let (key, config) = (dir.path().join("k"), dir.path().join("c"));
    for cluster in [None, Some("other")] {
        let _none = std::fs::remove_file(&key);
        let mut args = vec!["key", "generate", "--out", key.to_str().unwrap()];
        args.extend(cluster.iter().flat_map(|name| ["--cluster", name]));
        let stderr = text(&mailmesh(&args).stderr);
        let mesh = serde_json::json!({
            "cluster": cluster.unwrap_or("mail"), "key": { "@type": "File", "filePath": key },
        });
        let object = serde_json::json!({ "@type": "Zenoh", "config": "{}", "mesh": mesh });
        std::fs::write(&config, object.to_string()).unwrap();
        let checked = text(&mailmesh(&["check", config.to_str().unwrap()]).stdout);
        let name = checked.split("seals with ").nth(1).unwrap().split_whitespace().next().unwrap();
        assert!(stderr.contains(&format!("fingerprint {name}")), "{stderr}");
        assert!(stderr.contains(&format!("cluster `{}`", cluster.unwrap_or("mail"))), "{stderr}");
    }
}

#[test]
fn sockets_in_a_directory_that_others_can_write_to_are_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let sockets = dir.path().join("mailmesh");
    std::fs::create_dir(&sockets).unwrap();
    std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o777)).unwrap();
    let _trap = std::os::unix::net::UnixListener::bind(sockets.join("mx1.sock")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mailmesh"))
        .args(["members"])
        .env_remove("MAILMESH_SOCKET")
        .env("XDG_RUNTIME_DIR", dir.path())
        .output()
        .unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("must belong to this user and be closed to others"), "{err}");
}

#[test]
fn node_refuses_a_key_file_that_other_users_can_access() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("open.key");
    assert!(mailmesh(&["key", "generate", "--out", path.to_str().unwrap()]).status.success());
    for (mode, what) in [
        (0o644, "may be read by everybody"),
        (0o660, "may be written by its group"),
        (0o620, "may be written by its group"),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = mailmesh(&["node", "--key-file", path.to_str().unwrap()]);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(err.contains(what), "{mode:o}: {err}");
    }
}

#[test]
fn a_generated_key_is_for_its_owner_only_and_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.key");
    let path = path.to_str().unwrap();
    let output = mailmesh(&["key", "generate", "--out", path]);
    assert_eq!(output.status.code(), Some(0));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(path).unwrap();
    assert!(!text(&output.stderr).contains(key.trim()));
    assert_eq!(mailmesh(&["key", "generate", "--out", path]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(path).unwrap(), key);
    let printed = text(&mailmesh(&["key", "generate"]).stdout);
    assert_ne!(printed, key);
    printed.parse::<mailmesh::ClusterKey>().unwrap();
}

#[test]
fn help_and_completions_list_every_command() {
    let help = text(&mailmesh(&["--help"]).stdout);
    let script = text(&mailmesh(&["completions", "bash"]).stdout);
    for command in
        ["demo", "node", "check", "publish", "watch", "block", "cert", "members", "status", "key"]
    {
        assert!(help.contains(command), "{command} not in\n{help}");
        assert!(script.contains(command), "{command} is missing in the completions");
    }
    assert!(help.contains("Exit codes:"));
}

#[test]
fn a_closed_standard_output_ends_the_program_silently() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailmesh"))
        .args(["check", "--offline", EXAMPLE])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

#[test]
fn check_finds_an_invalid_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.json");
    let config = r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "key": "short" } }"#;
    std::fs::write(&path, config).unwrap();
    let output = mailmesh(&["check", "--offline", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("mailmesh key generate"), "{}", text(&output.stderr));
}

#[test]
fn check_warns_about_a_mesh_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let check = |mesh: &str| {
        let config = format!(r#"{{ "@type": "Zenoh", "config": "{{}}"{mesh} }}"#);
        std::fs::write(&path, config).unwrap();
        let output = mailmesh(&["check", "--offline", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(check("").contains("open: there is no cluster key"), "{}", check(""));
    let file = r#", "mesh": { "key": { "@type": "File", "filePath": "/nonexistent" } }"#;
    assert!(!check(file).contains("open:"), "{}", check(file));
}

#[test]
fn check_prints_fingerprints_and_finds_an_unusable_store() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("config.json"), dir.path().join("key"));
    let generated = mailmesh(&["key", "generate", "--out", key.to_str().unwrap()]);
    assert_eq!(generated.status.code(), Some(0), "{}", text(&generated.stderr));
    let check = |store: &str| {
        let zenoh = r#"{ scouting: { multicast: { enabled: false } } }"#;
        let config = format!(
            r#"{{ "@type": "Zenoh", "config": "{zenoh}", "mesh": {{
                "key": {{ "@type": "File", "filePath": {key:?} }}, "store": {store:?} }} }}"#
        );
        std::fs::write(&path, config).unwrap();
        let output = mailmesh(&["check", path.to_str().unwrap()]);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, stdout, stderr) = check(dir.path().join("new/store").to_str().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let names =
        stdout.lines().find_map(|line| line.strip_prefix("keys        seals with ")).unwrap();
    assert!(names.len() >= 8 && names.chars().all(|c| c.is_ascii_hexdigit()), "{stdout}");
    let (code, _, stderr) = check(key.join("store").to_str().unwrap());
    assert_eq!(code, Some(3));
    assert!(stderr.contains("`mesh.store`") && stderr.contains("is not a directory"), "{stderr}");
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    for (mode, expected, words) in [
        (0o777, Some(3), "every user may write to it"),
        (0o2775, Some(0), "warning: the group of"),
        (0o755, Some(0), ""),
    ] {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&open, permissions).unwrap();
        let (code, _, stderr) = check(open.to_str().unwrap());
        assert_eq!(code, expected, "{stderr}");
        assert!(
            stderr.contains(words) && stderr.contains("the group of") == (mode == 0o2775),
            "{stderr}"
        );
    }
}

/// A configuration whose links use TLS, with these TLS settings.
fn with_tls(tls: &str) -> String {
    format!(
        "{{ listen: {{ endpoints: ['tls/127.0.0.1:0'] }}, scouting: {{ multicast: {{ enabled: \
         false }} }}, transport: {{ link: {{ tls: {{ {tls} }} }} }} }}"
    )
}

#[test]
fn check_and_node_report_what_is_wrong_with_a_tls_key_and_where() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let make = || rcgen::generate_simple_self_signed(["mx1.example.org".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let key = one.signing_key.serialize_pem();
    let cert = write("cert.pem", &one.cert.pem());
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let escaped = key.replace('\n', "\\n");
    let newlines = "line 1: the newlines of this PEM were missing; they are restored";
    let files = [
        (escaped, newlines),
        (other.signing_key.serialize_pem(), "the private key does not belong to the certificate"),
        (one.cert.pem(), "line 1: this is a certificate, and a private key is expected here"),
        (key[..key.len() / 2].to_owned(), "the text is truncated"),
        (key.clone(), ""),
    ];
    for (index, (pem, words)) in files.into_iter().enumerate() {
        let path = write(&format!("key{index}.pem"), &pem);
        let settings = [
            format!("listen_certificate: '{cert}', listen_private_key: '{path}'"),
            format!("listen_certificate: '{cert}', listen_private_key_base64: '{}'", encoded(&pem)),
            format!(
                "listen_certificate: '{cert}', listen_private_key_base64: '{}', \
                 connect_certificate_base64: '{}', connect_private_key_base64: '{}'",
                encoded(&key),
                encoded(&one.cert.pem()),
                encoded(&pem)
            ),
        ];
        for (setting, tls) in settings.iter().enumerate() {
            let config = write("config.json5", &with_tls(tls));
            let node = ["node", "--stop-with-stdin", "--config", &config, "--socket"];
            let socket = dir.path().join("node.sock");
            let node = [&node[..], &[socket.to_str().unwrap()]].concat();
            let mut commands = vec![vec!["check", &config]];
            let is_taken = words.is_empty() || words == newlines;
            if !is_taken {
                commands.push(node);
            }
            // `--offline` checks keys that are not in files, too.
            if setting == 2 {
                commands.push(vec!["check", "--offline", &config]);
            }
            for args in commands {
                let output = mailmesh(&args);
                let err = text(&output.stderr);
                let code = if is_taken { 0 } else { 3 };
                assert_eq!(output.status.code(), Some(code), "{args:?} {tls}: {err}");
                assert!(err.contains(words), "{args:?}: `{words}` not in: {err}");
                let names = ["private_key", "line 1, column"];
                assert!(words.is_empty() || names.iter().all(|name| err.contains(name)), "{err}");
            }
        }
    }
}
