//! A socket of a link that does not wake its task while the link is idle.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;
use tokio::time::sleep;

/// How soon a write to a full socket is retried if the system cannot report that it is writable.
const WRITE_RETRY_DELAY: Duration = Duration::from_millis(2);

/// A socket of the standard library.
pub(super) trait Stream: AsFd + AsRawFd {
    fn read(&self, into: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn shutdown_write(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($($of:ty),*) => {$(
        impl Stream for $of {
            fn read(&self, into: &mut [u8]) -> io::Result<usize> {
                let mut stream = self;
                Read::read(&mut stream, into)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                let mut stream = self;
                Write::write(&mut stream, bytes)
            }

            fn shutdown_write(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    )*};
}

stream!(TcpStream, UnixStream);

/// Registers `of` for readiness notifications.
#[expect(
    deprecated,
    reason = "the successor is unsafe, because the file descriptor must stay open and unchanged; \
              each `of` here owns its descriptor"
)]
fn watch<T: AsFd + AsRawFd>(of: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(of, interest)
}

/// A socket that one task reads and one task writes.
///
/// The system reports when the socket is readable, but reports that it is writable only while a
/// task waits for that. Tokio's streams ask for both. A Unix socket becomes writable each time the
/// peer reads, so each message would wake the task needlessly.
pub(super) struct Socket<S: Stream>(AsyncFd<S>);

impl<S: Stream> Socket<S> {
    /// Registers the socket for readability.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn new(stream: S) -> io::Result<Self> {
        Ok(Self(watch(stream, Interest::READABLE)?))
    }

    /// Reads the available bytes; 0 at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        // A socket that always has more to read must not keep this thread from the other links.
        consume_budget().await;
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| fd.get_ref().read(into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => return read,
                Err(_would_block) => {}
            }
        }
    }

    /// Writes all bytes. If the future is dropped, some bytes may have been written.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.0.get_ref().write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the socket is writable, with a duplicate file descriptor. If the process has
    /// none left, waits for [`WRITE_RETRY_DELAY`].
    async fn writable(&self) -> io::Result<()> {
        let other = self.0.get_ref().as_fd().try_clone_to_owned();
        match other.and_then(|other| watch(other, Interest::WRITABLE)) {
            Ok(waiting) => drop(waiting.writable().await?),
            Err(_none_left) => sleep(WRITE_RETRY_DELAY).await,
        }
        Ok(())
    }

    /// Ends the direction of writing.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        self.0.get_ref().shutdown_write()
    }
}
