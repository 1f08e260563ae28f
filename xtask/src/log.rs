//! What a process logs to its standard error: lines are counted, not kept, for a flood of them
//! would fill the disk.

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes kept since the last mark, to show.
const MAX_EXCERPT_BYTES: usize = 4096;

/// Read by a thread of its own, until the process ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    lines: u64,
    first: Vec<u8>,
}

impl Log {
    pub(crate) fn read(mut from: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let counts = log.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(len) = from.read(&mut buffer)
                && len > 0
            {
                counts.add(&buffer[..len]);
            }
        });
        log
    }

    fn counts(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        let mut counts = self.counts();
        counts.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let room = MAX_EXCERPT_BYTES - counts.first.len();
        counts.first.extend(&bytes[..room.min(bytes.len())]);
    }

    /// Counts from here.
    pub(crate) fn mark(&self) {
        *self.counts() = Counted::default();
    }

    /// Lines since the last mark.
    pub(crate) fn lines(&self) -> u64 {
        self.counts().lines
    }

    /// The first of them.
    pub(crate) fn first(&self) -> String {
        String::from_utf8_lossy(&self.counts().first).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_since_the_mark_and_the_first_of_them_kept() {
        let log = Log::default();
        log.add(b"before\n");
        log.mark();
        log.add(b"one\ntw");
        log.add(b"o\n");
        assert_eq!((log.lines(), log.first().as_str()), (2, "one\ntwo\n"));
        log.add(&b"a flood\n".repeat(10_000));
        log.add(b"more\n");
        assert_eq!((log.lines(), log.first().len()), (10_003, MAX_EXCERPT_BYTES));
    }
}
