//! A writing process is killed at random moments. Every commit that returned must be on the disk,
//! and no commit in part.
//!
//! `MAILMESH_KILLS` sets the number of kills.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use mailmesh_store::{Record, Store};

/// Environment variable of the writing process: the directory of its store.
const CHILD: &str = "MAILMESH_STORE_CHILD";
/// Number of records that a commit sets.
const BATCH: u64 = 20;

/// Commit `number` sets its own records, and removes those of commit `number - 2`.
fn records(number: u64) -> impl Iterator<Item = Record> {
    let key = |number: u64, n: u64| [number.to_be_bytes(), n.to_be_bytes()].concat();
    let set = (0..BATCH).map(move |n| Record::set(key(number, n), number.to_le_bytes().repeat(40)));
    let old =
        (0..BATCH).filter(move |_| number >= 2).map(move |n| Record::remove(key(number - 2, n)));
    set.chain(old)
}

/// The number of the last commit in a store; checks that no commit is partial.
fn last(store: &Store) -> Option<u64> {
    let noted = store.note("last").unwrap()?;
    let last = u64::from_be_bytes(noted.try_into().unwrap());
    let mut count = 0;
    store
        .read(|key, value| {
            let number = u64::from_be_bytes(key[..8].try_into().unwrap());
            assert!(number == last || number + 1 == last, "{number} after {last}");
            assert_eq!(value, number.to_le_bytes().repeat(40));
            count += 1;
        })
        .unwrap();
    assert_eq!(count, BATCH * 2.min(last + 1));
    Some(last)
}

/// Commits until it is killed, and prints the number of each commit that returned.
fn write_forever(dir: &Path) {
    let mut store = Store::open(dir).unwrap();
    let mut out = std::io::stdout();
    for number in last(&store).map_or(0, |last| last + 1).. {
        store.commit(records(number), &[("last", &number.to_be_bytes())]).unwrap();
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn commits_that_returned_survive_a_kill() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_forever(Path::new(&dir));
    }
    let kills = std::env::var("MAILMESH_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut random = fastrand::Rng::with_seed(now.as_nanos() as u64);
    let (mut reported, mut commits) = (None, 0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "commits_that_returned_survive_a_kill", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let mut next =
            || lines.find_map(|line| line.trim().rsplit_once("done ")?.1.parse::<u64>().ok());
        // After some commits, at a random moment of the next.
        for _ in 0..=random.u32(0..4) {
            reported = Some(next().expect("the process commits"));
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..3_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(done) = next() {
            reported = Some(done);
        }
        let store = Store::open(dir.path()).unwrap();
        let found = last(&store);
        assert!(found >= reported, "kill {kill}: reported {reported:?}, found {found:?}");
        commits = found.map_or(0, |found| found + 1);
    }
    println!("{kills} kills, {commits} commits, none lost");
}
