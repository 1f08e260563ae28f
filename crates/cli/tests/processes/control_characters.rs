//! Control characters from other nodes and from lists never reach the terminal or the log.

use std::io::Read;
use std::process::{Command, Output, Stdio};

use mailmesh::{Coordinator, Namespace, RuleDetails, UnixMillis};

use super::harness::{Node, PROGRAM, Site, until};

/// Sets a title, clears the screen (with both forms of CSI), overrides the direction of text, and
/// forges a line of output.
const EVIL: &str = "a\u{1b}]0;x\u{7}b\u{1b}[2Jc\u{9b}2Jd\u{202e}e\u{2028}f\r\nFORGED\u{2066}\u{8}g";

struct Flags;

impl Namespace for Flags {
    const NAME: &'static str = "acme.flags";
    type Value = u32;
}

/// The program as on a terminal with colours, so that it does not strip escape sequences itself.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env("CLICOLOR_FORCE", "1").env_remove("RUST_LOG");
    command
}

fn run(node: &Node, args: &[&str]) -> Output {
    command(&["--socket", node.socket.to_str().unwrap()]).args(args).output().unwrap()
}

/// Removes the colour sequences of the program itself.
fn without_colours(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let tail = &rest[at + 2..];
        let len = tail.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(tail.len());
        let (is_colour, end) = (tail[len..].starts_with('m'), at + 2 + len);
        out.push_str(&rest[..if is_colour { at } else { end }]);
        rest = &rest[end + usize::from(is_colour)..];
    }
    out + rest
}

fn assert_printable(what: &str, bytes: &[u8]) {
    let text = without_colours(std::str::from_utf8(bytes).unwrap());
    let is_bad = |c: char| c != '\n' && mailmesh::is_unprintable(c);
    let bad: Vec<char> = text.chars().filter(|c| is_bad(*c)).collect();
    assert!(bad.is_empty(), "{what} shows {bad:?}: {text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with("FORGED")),
        "{what} has a forged line: {text}"
    );
}

fn assert_shown(what: &str, output: &Output, words: &str) {
    let output_bytes = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&output_bytes);
    assert!(text.contains(words), "{what}: `{words}` not in {text:?}");
    assert_printable(what, &output.stdout);
    assert_printable(what, &output.stderr);
}

#[test]
fn control_characters_of_other_nodes_and_lists_are_always_escaped() {
    let site = Site::new();
    let loud = ["env", "CLICOLOR_FORCE=1", "RUST_LOG=mailmesh=trace"];
    let node = site.start_with("b", "b", "coordinator.json", &loud);
    let socket = node.socket.to_str().unwrap();
    let mut watch = command(&["--socket", socket, "watch", "--count", "5"])
        .args(["--kind", "network", "--kind", "custom", "--kind", "value"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("the watcher is subscribed", || node.json(&["status", "--json"])["inboxes"] == 1);

    // A hostile node, which sends everything that the library accepts.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let other = runtime.block_on(async {
        let coordinator = Coordinator::load(site.path("coordinator.json")).unwrap();
        let other =
            mailmesh::Node::builder().name("evil").coordinator(coordinator).start().await.unwrap();
        other.wait_for_members(1).await;
        let mut block = RuleDetails::new(EVIL, UnixMillis(1)).unwrap().with_origin(EVIL).unwrap();
        block.expires = None;
        other.blocks().add_block("192.0.2.7".parse().unwrap(), block).await.unwrap();
        other.blocks().allow("192.0.2.9".parse().unwrap(), EVIL, None).await.unwrap();
        other.values::<Flags>().set(EVIL, &1, None).await.unwrap();
        other.publish(mailmesh::Custom::new(EVIL, EVIL).unwrap()).await.unwrap();
        other
    });
    let mut watched = Vec::new();
    watch.stdout.take().unwrap().read_to_end(&mut watched).unwrap();
    assert!(watch.wait().unwrap().success());
    let text = String::from_utf8_lossy(&watched);
    assert_eq!(text.lines().count(), 5, "{text:?}");
    assert_eq!(text.matches("\\u{202e}e").count(), 5, "{text:?}");
    assert_printable("watch", &watched);

    let list = run(&node, &["block", "list"]);
    assert_shown("block list", &list, "192.0.2.7");
    assert_shown(
        "block list",
        &list,
        "a\\u{1b}]0;x\\u{7}b\\u{1b}[2Jc\\u{9b}2Jd\\u{202e}e\\u{2028}f\\r\\nFORGED",
    );
    assert_eq!(String::from_utf8_lossy(&list.stdout).lines().count(), 1);
    for (args, words) in [
        (&["block", "list", "--allow"][..], "192.0.2.9"),
        (&["block", "check", "192.0.2.7"], "blocked by 192.0.2.7: a\\u{1b}]"),
        (&["members"], "evil"),
        (&["status"], "mirror entries"),
        (&["cert", "list"], ""),
        (&["key", "list"], "seals"),
        (&["cert", "remove", EVIL], "is not a DNS name"),
        (&["block", "export", "--format", "plain"], "192.0.2.7"),
        (&["block", "export", "--format", "nftables"], "192.0.2.7"),
        (&["block", "export", "--format", "postfix"], "REJECT a ]0;x"),
    ] {
        assert_shown(&format!("{args:?}"), &run(&node, args), words);
    }

    for args in [&["block", "list", "--json"][..], &["block", "check", "192.0.2.7", "--json"]] {
        let output = run(&node, args).stdout;
        assert_printable(&format!("{args:?}"), &output);
        let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
        assert!(read.to_string().contains('\u{202e}'), "{read}");
        assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), 1, "{args:?}");
    }

    // Exports contain no control characters, one record per line, and can be read back.
    let csv = run(&node, &["block", "export", "--format", "csv"]).stdout;
    let csv = String::from_utf8(csv).unwrap();
    assert!(!csv.chars().any(|c| c.is_control() && c != '\n'), "{csv:?}");
    assert_eq!(csv.lines().count(), 2, "{csv:?}");
    let of = |text: &str, format| mailmesh::lists::read(text, format).unwrap().entries;
    let jsonl = run(&node, &["block", "export", "--format", "jsonl"]).stdout;
    assert_printable("jsonl", &jsonl);
    let jsonl = String::from_utf8(jsonl).unwrap();
    let (from_csv, from_json) =
        (of(&csv, mailmesh::lists::Format::Csv), of(&jsonl, mailmesh::lists::Format::JsonLines));
    assert_eq!(from_csv[0].reason, from_json[0].reason);
    assert!(from_csv[0].reason.contains("d\u{202e}e\u{2028}f"), "{from_csv:?}");

    // Lists, file names and node names from others.
    let path = site.path("list \u{1b}[2J\nFORGED\u{202e}");
    let path = path.to_str().unwrap();
    let bad = format!("{EVIL}\n198.51.100.7 ; {EVIL}\n\u{1b}[2J-\u{9b}2J\n");
    std::fs::write(path, bad).unwrap();
    for (args, words) in [
        (vec!["block", "import", path], "is not an IP address"),
        (vec!["block", "import", path, "--format", "csv"], "is not an IP address"),
        (vec!["block", "import", path, "--format", "jsonl"], "not an object of JSON"),
        (vec!["block", "import", path, "--format", "crowdsec"], "this is no "),
        (vec!["block", "import", path, "--format", "fail2ban"], "is not an IP address"),
        (vec!["block", "remove", "--file", path], "is not an IP address"),
        (vec!["cert", "add", path, path], "cannot be used"),
        (vec!["cert", "add", "/nonexistent/\u{1b}[2J", path], "No such file"),
        (vec!["key", "add", path], "list "),
        (vec!["check", path], "list "),
        (vec!["check", "/nonexistent/\u{1b}[2J\nFORGED"], "cannot read"),
        (vec!["--socket", path, "status"], "no node answers"),
        (vec!["node", "--name", EVIL], "is not a node name"),
        (vec!["node", "--config", path], "list "),
        (vec!["node", "--cluster", EVIL], "cluster name"),
        (
            vec!["publish", "state-change", "--account", "1", "--change", "2", "--type", EVIL],
            "JMAP",
        ),
        (vec!["publish", "cache", EVIL, "--all"], "unknown cache"),
        (vec!["block", "add", EVIL], "is not an IP address"),
        (vec!["block", "import", "x", "--format", EVIL], "there is no format"),
        (vec!["demo", "--mbox", path], "contains no message"),
    ] {
        let mut command = command(&[]);
        if args[0] != "--socket" && args[0] != "node" {
            command.args(["--socket", socket]);
        }
        let output = command.args(&args).output().unwrap();
        assert_shown(&format!("{args:?}"), &output, words);
    }
    let config = site.path("evil.json");
    std::fs::write(&config, format!("{{ '\u{9b}2J\u{202e}{EVIL}': 1, mode: 'peer' }}")).unwrap();
    assert_shown("check", &run(&node, &["check", config.to_str().unwrap()]), "-->");

    // A directory with group write permission, and an argument that is not UTF-8.
    let store = site.path("store \u{1b}[2J\nFORGED\u{202e}");
    std::fs::create_dir(&store).unwrap();
    std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
    let text = serde_json::json!({ "@type": "Disabled", "mesh": { "store": store } });
    std::fs::write(&config, text.to_string()).unwrap();
    assert_shown("check", &run(&node, &["check", config.to_str().unwrap()]), "may write to it");
    let not_text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\x1b[2J");
    let output = command(&["cert", "remove"]).arg(not_text).output().unwrap();
    assert_shown("an argument", &output, "is not UTF-8");

    runtime.block_on(other.shutdown());
    until("the node left", || node.log().contains("node left"));
    assert_printable("the log", node.log().as_bytes());
}
