//! Gives every command and a node secrets in malformed notations.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::harness::{PROGRAM, Site};
use super::Outcome;
use super::forms::forms;
use super::inputs::{Files, Planted};

/// Runs a program to its end and checks its output.
fn run(outcome: &mut Outcome<'_>, input: &'static str, form: &str, args: &[&str], stdin: &[u8]) {
    run_with(outcome, input, form, args, stdin, &[]);
}

fn run_with(
    outcome: &mut Outcome<'_>,
    input: &'static str,
    form: &str,
    args: &[&str],
    stdin: &[u8],
    variables: &[(&str, &std::ffi::OsStr)],
) {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .env("RUST_LOG", "trace")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin_pipe = child.stdin.take().unwrap();
    // A program that has exited does not read its input.
    let _not_read = stdin_pipe.write_all(stdin);
    drop(stdin_pipe);
    let output = child.wait_with_output().unwrap();
    outcome.check(input, form, "standard output", &output.stdout);
    outcome.check(input, form, "standard error", &output.stderr);
}

/// Configurations for `check` and `node` with a secret in each notation: input, form and text.
fn configs(planted: &Planted, files: &mut Files<'_>) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    let certificate = files.write(planted.certificate.as_bytes());
    for (form, bytes) in forms(&planted.private_key) {
        let file = files.write(&bytes);
        let base64 = STANDARD.encode(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let listen = |tls: serde_json::Value| {
            let config = json!({
                "listen": { "endpoints": ["tls/127.0.0.1:0"] },
                "connect": { "endpoints": ["tls/127.0.0.1:9"] },
                "scouting": { "multicast": { "enabled": false } },
                "transport": { "link": { "tls": tls } },
            });
            json!({"@type": "Zenoh", "config": config.to_string()}).to_string()
        };
        for (input, tls) in [
            (
                "listen_private_key",
                json!({"listen_certificate": certificate, "listen_private_key": file}),
            ),
            (
                "listen_private_key_base64",
                json!({"listen_certificate": certificate, "listen_private_key_base64": base64}),
            ),
            (
                "connect_private_key_base64",
                json!({
                    "listen_certificate": certificate,
                    "listen_private_key_base64": STANDARD.encode(&planted.private_key),
                    "root_ca_certificate": certificate, "enable_mtls": true,
                    "connect_certificate": certificate, "connect_private_key_base64": base64,
                }),
            ),
            ("a key for a path", json!({"listen_certificate": text, "listen_private_key": text})),
        ] {
            all.push((input, form.to_owned(), listen(tls)));
        }
    }
    for (form, bytes) in forms(&planted.cluster_key) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let config = "{ listen: { endpoints: ['tcp/127.0.0.1:0'] }, \
                      scouting: { multicast: { enabled: false } } }";
        let key = json!({"@type": "File", "filePath": files.write(&bytes)});
        for (input, key) in [("mesh.key, File", key), ("mesh.key", json!(text))] {
            let object = json!({"@type": "Zenoh", "config": config, "mesh": {"key": key}});
            all.push((input, form.to_owned(), object.to_string()));
        }
    }
    let unreadable = [
        ("no colon", "mx1 xK9#vQ2!mZ7wP4$tR8&nB6".to_owned()),
        ("no user", format!(":{}", planted.password)),
        ("as it is", format!("mx1:{}", planted.password)),
    ];
    for (form, dictionary) in unreadable {
        let config = json!({
            "listen": { "endpoints": ["tcp/127.0.0.1:0"] },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "auth": { "usrpwd": {
                "user": "mx1", "password": planted.password,
                "dictionary_file": files.write(dictionary.as_bytes()),
            } } },
        });
        all.push(("dictionary_file", form.to_owned(), config.to_string()));
    }
    let login = format!("tcp/mx1:{}@127.0.0.1:9", planted.password);
    let config = json!({
        "mode": "client", "connect": { "endpoints": [login], "timeout_ms": 100 },
        "scouting": { "multicast": { "enabled": false } },
    });
    all.push(("a URL", "as it is".to_owned(), config.to_string()));
    all
}

#[test]
fn check_and_node_show_no_secret() {
    let planted = Planted::new();
    let dir = tempfile::tempdir().unwrap();
    let mut outcome = Outcome::new(&planted);
    let mut files = Files { dir: dir.path(), count: 0 };
    let socket = dir.path().join("node.sock");
    let configs = configs(&planted, &mut files);
    for (index, (input, form, text)) in configs.iter().enumerate() {
        let file = files.write(text.as_bytes());
        let file = file.to_str().unwrap();
        // The library's tests cover most: a process for each case in each way would take long.
        match index % 3 {
            0 => run(&mut outcome, input, form, &["check", file], b""),
            1 => run(&mut outcome, input, form, &["check", "-"], text.as_bytes()),
            _ => run(&mut outcome, input, form, &["check", "--offline", file], b""),
        }
        let socket = socket.to_str().unwrap();
        let node =
            ["--socket", socket, "node", "--stop-with-stdin", "--name", "a", "--config", file];
        run(&mut outcome, input, form, &node, b"");
    }
    environment(&planted, &mut outcome, dir.path());
    outcome.assert_no_leaks("check and node");
}

/// Tests keys in the environment and in key files.
fn environment(planted: &Planted, outcome: &mut Outcome<'_>, dir: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let config = json!({"@type": "Disabled", "mesh": {
        "key": {"@type": "EnvironmentVariable", "variableName": "PLANTED"},
    }});
    let config = config.to_string();
    let mut files = Files { dir, count: 10_000 };
    for (form, bytes) in forms(&planted.cluster_key) {
        let file = files.write(&bytes);
        let file = file.to_str().unwrap();
        let node = ["node", "--stop-with-stdin", "--config", "/dev/null", "--key-file", file];
        run(outcome, "--key-file", form, &node, b"");
        if !bytes.contains(&0) {
            let variable = [("PLANTED", std::ffi::OsStr::from_bytes(&bytes))];
            let args = ["check", "-"];
            run_with(outcome, "a variable", form, &args, config.as_bytes(), &variable);
        }
    }
}

#[test]
fn no_command_and_no_answer_of_a_node_shows_a_secret() {
    let planted = Planted::new();
    let site = Site::new();
    let mut outcome = Outcome::new(&planted);
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files { dir: dir.path(), count: 0 };
    let certificate = files.write(planted.certificate.as_bytes());
    let certificate = certificate.to_str().unwrap();
    let loud = ["env", "RUST_LOG=mailmesh=trace,mailmesh_transport=trace,zenoh=debug"];
    let node = site.start_with("a", "a", "coordinator.json", &loud);
    let socket = node.socket.to_str().unwrap();
    for (form, bytes) in forms(&planted.private_key) {
        let key = files.write(&bytes);
        let key = key.to_str().unwrap();
        let with = |args: &[&'static str]| [&["--socket", socket][..], args].concat();
        for args in [[certificate, key], [key, certificate], [key, key]] {
            let args = [with(&["cert", "add"]), args.to_vec()].concat();
            run(&mut outcome, "cert add", form, &args, b"");
        }
        run(&mut outcome, "key add", form, &[with(&["key", "add"]), vec![key]].concat(), b"");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let chain = serde_json::Value::from(planted.certificate.as_str());
        let text = serde_json::Value::from(text);
        for line in [
            json!({"command": "cert-add", "chain_pem": chain, "key_pem": text}),
            json!({"command": "cert-add", "chain_pem": text, "key_pem": text}),
            json!({"command": "cert-add", "chain_pem": text, "key_pem": {}}),
            json!({"command": "key-add", "key": text, "here": text}),
            json!({"command": "key-add", "key": text, "here": true}),
            json!({"command": text}),
        ] {
            let answer = ask(socket, &line.to_string());
            outcome.check("control socket", form, "answer", answer.as_bytes());
        }
    }
    for (form, bytes) in forms(&planted.cluster_key) {
        let key = files.write(&bytes);
        let key = key.to_str().unwrap();
        // A form that is a valid key becomes the next key; further valid keys would be too many.
        run(&mut outcome, "key add", form, &["--socket", socket, "key", "add", "--here", key], b"");
        let add = ["--socket", socket, "key", "add", "--here", "-"];
        run(&mut outcome, "key add -", form, &add, &bytes);
        if let (false, Ok(text)) = (bytes.contains(&0), std::str::from_utf8(&bytes)) {
            for command in ["activate", "retire", "add"] {
                let args = ["--socket", socket, "key", command, text];
                run(&mut outcome, "a key for its name", form, &args, b"");
            }
        }
    }
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["members", "--json"],
        &["cert", "list", "--json"],
        &["cert", "list"],
        &["key", "list", "--json"],
        &["key", "list"],
    ] {
        run(&mut outcome, "all before", "all", &[&["--socket", socket], args].concat(), b"");
    }
    let log = node.log();
    assert!(log.len() > 1_000, "{log}");
    outcome.check("all before", "all", "log", log.as_bytes());
    outcome.assert_no_leaks("commands and the control socket");
}

/// The key is given as a list, as a certificate, or on the command line for another argument.
#[test]
fn a_key_that_is_given_as_another_input_is_not_shown() {
    let planted = Planted::new();
    let site = Site::new();
    let mut outcome = Outcome::new(&planted);
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files { dir: dir.path(), count: 0 };
    let node = site.start("a");
    let socket = node.socket.to_str().unwrap();
    let hex: String =
        planted_bytes(&planted).iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let keys = [&planted.private_key, &planted.cluster_key, &hex];
    for (form, bytes) in keys.iter().flat_map(|key| forms(key)) {
        let key = files.write(&bytes);
        let key = key.to_str().unwrap();
        for args in [
            &["block", "import", key][..],
            &["block", "import", "-", "--strict"],
            &["block", "import", "--format", "csv", key],
            &["block", "import", "--format", "jsonl", key],
            &["block", "remove", "--file", key],
            &["cert", "add", key, key],
            &["publish", key],
        ] {
            let args = [&["--socket", socket], args].concat();
            run(&mut outcome, "a file of another kind", form, &args, &bytes);
        }
        // A short part of a key may look like names by chance.
        let is_part = form.starts_with("cut");
        if let (false, Ok(text)) = (is_part || bytes.contains(&0), std::str::from_utf8(&bytes)) {
            for args in [
                &["block", "add", text][..],
                &["block", "remove", text],
                &["block", "check", text],
                &["cert", "remove", text],
                &["block", "import", text],
                &["block", "import", "--ttl", text, "-"],
                &["block", "import", "--format", text, "-"],
                &["block", "import", "--time-zone", text, "-"],
                &["block", "export", text],
                &["check", text],
            ] {
                let args = [&["--socket", socket], args].concat();
                run(&mut outcome, "an argument", form, &args, b"");
            }
        }
    }
    outcome.assert_no_leaks("a key in the place of something else");
}

fn planted_bytes(planted: &Planted) -> [u8; 32] {
    *planted.cluster_key.parse::<mailmesh::ClusterKey>().unwrap().as_bytes()
}

/// Sends one line to a control socket; returns the reply.
fn ask(socket: &str, line: &str) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}
