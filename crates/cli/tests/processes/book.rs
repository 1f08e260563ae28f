//! The shell blocks of the book in `docs/`. The blocks of one page run in one shell, in order, as a
//! reader types them. Between two blocks the shell waits until the nodes know each other.
//!
//! `cargo xtask docs` checks that each other block says in its info string why it is not run.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::{PROGRAM, Site};

const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Definitions for the shell before the first block. `settled` waits until all running nodes know
/// each other and have equal mirrors.
const PRELUDE: &str = r#"
set -eu -o pipefail
trap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT
look() {
    local socket status nodes=0 states=""
    for socket in *.sock; do
        status=$(mailmesh --socket "$socket" status 2>/dev/null) || continue
        nodes=$((nodes + 1))
        states+=$(awk '/^(members|mirror fingerprint) / { print $NF }' <<<"$status" | xargs)$'\n'
    done
    [ "$nodes" -gt 0 ] && [ "$(sort -u <<<"${states%$'\n'}" | wc -l)" = 1 ] &&
        [ "${states%% *}" = $((nodes - 1)) ]
}
settled() {
    local end=$((SECONDS + 30))
    until look; do
        [ "$SECONDS" -lt "$end" ] || { echo "the nodes do not settle" >&2; exit 99; }
        sleep 0.05
    done
}
"#;

/// Two nodes, for the pages of the guide for operators. `mx1` answers where no socket is named.
const TWO_NODES: &str = r#"
for name in mx1 mx2; do
    cp cluster.key $name.key
    sed "s|cluster.key|$name.key|" coordinator.json > $name.json
    mailmesh node --config $name.json --name $name --socket $name.sock &
done
export MAILMESH_SOCKET=$PWD/mx1.sock
while [ "$(ls ./*.sock 2>/dev/null | wc -l)" -lt 2 ]; do sleep 0.05; done
settled
"#;

#[test]
fn the_shell_blocks_of_each_page_run() {
    let mut pages = Vec::new();
    markdown_below(Path::new(BOOK), &mut pages);
    let mut run = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let blocks = shell_blocks(&text);
        if !blocks.is_empty() {
            run_page(&page, &blocks);
            run += 1;
        }
    }
    assert!(run > 0, "no page has a block of `sh`");
}

fn markdown_below(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown_below(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The blocks whose info string is `sh` and nothing else.
fn shell_blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("\n```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block).collect()
}

fn run_page(page: &Path, blocks: &[&str]) {
    let site = Site::new();
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    std::fs::write(site.path("fullchain.pem"), made.cert.pem()).unwrap();
    std::fs::write(site.path("privkey.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(site.path("list.txt"), "192.0.2.7\n198.51.100.0/24 ; spam\n").unwrap();
    std::fs::create_dir(site.path("bin")).unwrap();
    symlink(PROGRAM, site.path("bin/mailmesh")).unwrap();

    let for_operators = page.parent().is_some_and(|folder| folder.ends_with("operators"));
    let start = if for_operators {
        TWO_NODES
    } else {
        std::fs::remove_file(site.path("cluster.key")).unwrap();
        ""
    };
    let script =
        format!("{PRELUDE}{start}set -x\n{}\n", blocks.join("\nset +x; settled; set -x\n"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = vec![site.path("bin")];
    paths.extend(std::env::split_paths(&path));
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(site.path(""))
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env_remove("MAILMESH_SOCKET")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}\n{err}", page.display(), output.status);
}
