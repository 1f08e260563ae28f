//! The log of a process on its standard error. Lines are counted, not stored, because a flood of
//! lines would fill the disk.

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes kept since the last mark, for display.
const MAX_EXCERPT_BYTES: usize = 4096;

/// The counted log; a thread reads it until the process ends.
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

    /// Sets the counts to zero.
    pub(crate) fn mark(&self) {
        *self.counts() = Counted::default();
    }

    /// The number of lines since the last mark.
    pub(crate) fn lines(&self) -> u64 {
        self.counts().lines
    }

    /// The first lines since the last mark, at most [`MAX_EXCERPT_BYTES`].
    pub(crate) fn first(&self) -> String {
        String::from_utf8_lossy(&self.counts().first).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_since_the_mark_are_counted_and_the_first_ones_kept() {
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
