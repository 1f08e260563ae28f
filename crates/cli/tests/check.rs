//! `mailmesh check` finds the problems that a start would have.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ALONE: &str = "scouting: { multicast: { enabled: false } }";

/// A directory with a configuration and a directory for sockets.
struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        mailmesh(&self.path("run"), args)
    }

    /// The exit code and output of `check` for a configuration.
    fn check(&self, text: &str) -> (i32, String) {
        let file = self.path("config.json5");
        std::fs::write(&file, text).unwrap();
        code_and_text(&self.run(&["check", file.to_str().unwrap()]))
    }
}

fn mailmesh(run: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailmesh"));
    command.args(args).env_remove("MAILMESH_SOCKET").env("XDG_RUNTIME_DIR", run);
    command.output().unwrap()
}

fn code_and_text(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stderr) + &text(&output.stdout))
}

#[test]
fn check_finds_ports_that_are_in_use() {
    let sandbox = Sandbox::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, text) = sandbox.check(&format!(
        "{{ listen: {{ endpoints: ['tcp/{}'] }}, {ALONE} }}",
        tcp.local_addr().unwrap()
    ));
    assert!(code == 3 && text.contains("another process listens there"), "{text}");
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let zenoh = format!(
        "{{ scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    );
    let (code, text) = sandbox.check(&zenoh);
    assert!(code == 3 && text.contains(&format!("UDP port {port}")), "{text}");
}

#[test]
fn check_finds_a_store_that_another_process_uses() {
    let sandbox = Sandbox::new();
    let store = sandbox.path("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!(
        r#"{{ "@type": "Zenoh", "config": {{ {ALONE} }}, "mesh": {{ "store": "{}" }} }}"#,
        store.display()
    );
    let (code, text) = sandbox.check(&config);
    assert_eq!(code, 0, "{text}");
    assert!(std::fs::read_dir(&store).unwrap().next().is_none(), "check created a file");
    let file = std::fs::File::create(store.join("mirror.redb")).unwrap();
    file.lock().unwrap();
    let (code, text) = sandbox.check(&config);
    assert!(code == 3 && text.contains("another process uses this store"), "{text}");
    assert!(text.contains("`--offline`"), "{text}");
}

#[test]
fn check_finds_a_missing_socket_directory_and_does_not_create_it() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.path("nowhere");
    let file = sandbox.path("config.json5");
    std::fs::write(&file, format!("{{ {ALONE} }}")).unwrap();
    let config = file.to_str().unwrap();
    let (code, text) = code_and_text(&mailmesh(&nowhere, &["check", config]));
    assert!(code == 0 && text.contains("warning: ") && text.contains("XDG_RUNTIME_DIR"), "{text}");
    let (code, text) =
        code_and_text(&mailmesh(&nowhere, &["node", "--name", "a", "--config", config]));
    assert!(code == 1 && text.contains("does not exist") && text.contains("--socket"), "{text}");
    assert!(!nowhere.exists(), "the directory was created");
}

#[test]
fn a_socket_path_that_is_too_long_is_reported_in_plain_words() {
    let sandbox = Sandbox::new();
    let long = sandbox.path(&"d".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let file = sandbox.path("config.json5");
    std::fs::write(&file, format!("{{ {ALONE} }}")).unwrap();
    let config = file.to_str().unwrap();
    let socket = long.join("mx1.sock");
    let socket = socket.to_str().unwrap();
    for args in [
        &["node", "--config", config, "--socket", socket][..],
        &["node", "--config", config, "--name", "mx1"],
        &["status", "--socket", socket],
        &["check", config],
    ] {
        let (_, text) = code_and_text(&mailmesh(&long, args));
        assert!(text.contains("too long") && !text.contains("SUN_LEN"), "{args:?}: {text}");
        assert!(text.contains("--socket"), "{args:?}: {text}");
    }
}

#[test]
fn check_warns_about_a_low_limit_of_descriptors() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("config.json5");
    std::fs::write(&file, format!("{{ {ALONE} }}")).unwrap();
    for (limit, words) in [(100, "this process may open 100 files"), (1000, "may open few files")] {
        let script = format!("ulimit -n {limit}; exec \"$0\" check \"$1\"");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_mailmesh")])
            .arg(&file)
            .env_remove("MAILMESH_SOCKET")
            .env("XDG_RUNTIME_DIR", sandbox.path("run"))
            .output();
        let (code, text) = code_and_text(&output.unwrap());
        assert!(code == 0 && text.contains(words), "{limit}: {text}");
    }
}

#[test]
fn check_finds_links_without_a_key_and_groups_without_an_interface() {
    let sandbox = Sandbox::new();
    let sealed = format!(
        r#"{{ "@type": "Zenoh", "config": {{ {ALONE} }}, "mesh": {{ "links": "sealed" }} }}"#
    );
    let (code, text) = sandbox.check(&sealed);
    assert!(code == 0 && text.contains("warning: `mesh.links`: links are not"), "{text}");
    let group = "{ scouting: { multicast: { address: '[ff02::224]:7446', interface: 'lo' } } }";
    let file = sandbox.path("group.json5");
    std::fs::write(&file, group).unwrap();
    let file = file.to_str().unwrap();
    for args in [&["check", file][..], &["check", "--offline", file], &["node", "--config", file]] {
        let (code, text) = code_and_text(&sandbox.run(args));
        assert!(code == 3 && text.contains("ff02::224 is of one link"), "{args:?}: {text}");
    }
}

#[test]
fn check_finds_conflicting_listeners_and_missing_interfaces() {
    let sandbox = Sandbox::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (listen, words) in [
        (
            format!("'tcp/127.0.0.1:{port}', 'tcp/localhost:{port}'"),
            "of the same list is there already: take one out",
        ),
        (
            format!("'tcp/127.0.0.1:{port}', 'tcp/0.0.0.0:{port}'"),
            "of the same list is there already: take one out",
        ),
        ("'tcp/127.0.0.1:0#iface=nope'".to_owned(), "no interface `nope` here; there are"),
    ] {
        let (code, text) =
            sandbox.check(&format!("{{ listen: {{ endpoints: [{listen}] }}, {ALONE} }}"));
        assert!(code == 3 && text.contains(words), "{listen}: {text}");
    }
    let low = format!("{{ transport: {{ unicast: {{ lowlatency: true }} }}, {ALONE} }}");
    let (code, text) = sandbox.check(&low);
    assert!(code == 3 && text.contains("excludes `transport.unicast.qos.enabled`"), "{text}");
}

#[test]
fn check_does_not_call_an_expired_certificate_valid() {
    let sandbox = Sandbox::new();
    for (year, in_order) in [(2021, false), (2096, true)] {
        let mut params = rcgen::CertificateParams::new(["mx1.example.org".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let (chain, key_file) = (sandbox.path("chain.pem"), sandbox.path("link.key"));
        std::fs::write(&chain, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let config = format!(
            "{{ listen: {{ endpoints: ['tls/127.0.0.1:0'] }}, {ALONE}, transport: {{ link: {{ tls: \
             {{ listen_certificate: '{}', listen_private_key: '{}' }} }} }} }}",
            chain.display(),
            key_file.display()
        );
        let (code, text) = sandbox.check(&config);
        assert_eq!(code, 0, "{text}");
        assert_eq!(text.contains("certificates and keys are valid"), in_order, "{text}");
        assert_eq!(text.contains("the certificate expired at 2021-02-03"), !in_order, "{text}");
        assert_eq!(
            text.contains("for certificates and keys see the warnings"),
            !in_order,
            "{text}"
        );
    }
}

#[test]
fn check_and_node_report_an_invalid_key_alike() {
    let sandbox = Sandbox::new();
    let (rubbish, file) = (sandbox.path("cluster.key"), sandbox.path("config.json"));
    std::fs::write(&rubbish, "this is no key\n").unwrap();
    std::fs::set_permissions(&rubbish, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = rubbish.to_str().unwrap();
    for (key, words) in [
        (format!("\"{path}\""), ["`mesh.key`", "looks like a path"]),
        (
            format!("{{ \"@type\": \"File\", \"filePath\": \"{path}\" }}"),
            ["`mesh.key`", "cluster.key: not a cluster key"],
        ),
        ("\"rubbish\"".to_owned(), ["`mesh.key`", "not a cluster key"]),
    ] {
        let config = format!(
            r#"{{ "@type": "Zenoh", "config": {{ {ALONE} }}, "mesh": {{ "key": {key} }} }}"#
        );
        std::fs::write(&file, config).unwrap();
        let config = file.to_str().unwrap();
        for args in [
            &["check", config][..],
            &["check", "--offline", config],
            &["node", "--name", "a", "--config", config],
        ] {
            // `--offline` reads no files and variables.
            if args.contains(&"--offline") && key.starts_with('{') {
                continue;
            }
            let (code, text) = code_and_text(&sandbox.run(args));
            assert_eq!(code, 3, "{args:?}: {text}");
            assert!(words.iter().all(|words| text.contains(words)), "{args:?}: {text}");
            assert!(!text.contains("this is no key"), "{text}");
        }
    }
}

#[test]
fn key_generate_names_a_missing_directory() {
    let sandbox = Sandbox::new();
    let key = sandbox.path("nodir").join("x.key");
    let (code, text) =
        code_and_text(&sandbox.run(&["key", "generate", "-o", key.to_str().unwrap()]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the directory") && text.contains("does not exist"), "{text}");
    assert!(text.contains("nodir") && !text.contains("overwritten"), "{text}");
    let key = sandbox.path("x.key");
    assert_eq!(code_and_text(&sandbox.run(&["key", "generate", "-o", key.to_str().unwrap()])).0, 0);
    let (code, text) =
        code_and_text(&sandbox.run(&["key", "generate", "-o", key.to_str().unwrap()]));
    assert!(code == 1 && text.contains("no file is overwritten"), "{text}");
    let (code, text) = code_and_text(&sandbox.run(&[
        "key",
        "generate",
        "-o",
        key.join("y.key").to_str().unwrap(),
    ]));
    assert!(code == 1 && text.contains("is not a directory"), "{text}");
}
