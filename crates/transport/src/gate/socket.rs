//! A socket of a link, without the wake-ups that a link at rest does not need.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;
use tokio::time::sleep;

/// When a socket that takes no more is tried again, if the system cannot say when it does.
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

/// Has the system say when `of` is ready.
#[expect(
    deprecated,
    reason = "its successor is unsafe: the descriptor must stay as it is. \
                               What is given here owns one for as long as it lives"
)]
fn watch<T: AsFd + AsRawFd>(of: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(of, interest)
}

/// A socket that one task reads and one writes.
///
/// The system reports when the socket can be read, and reports that it can be written only while a
/// task waits for that. Tokio's streams ask for both, and a Unix socket becomes writable each time
/// the peer reads, so that each message would wake the task for nothing.
pub(super) struct Socket<S: Stream>(AsyncFd<S>);

impl<S: Stream> Socket<S> {
    /// # Errors
    /// The system's.
    pub(super) fn new(stream: S) -> io::Result<Self> {
        Ok(Self(watch(stream, Interest::READABLE)?))
    }

    /// Reads what there is; 0 at the end. Cancel-safe.
    ///
    /// # Errors
    /// The system's.
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

    /// Writes all of it. Where this is dropped some of it is written.
    ///
    /// # Errors
    /// The system's.
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

    /// Waits until some can be written, by a descriptor of its own for that time; where the
    /// process has none left, by looking again soon.
    async fn writable(&self) -> io::Result<()> {
        let other = self.0.get_ref().as_fd().try_clone_to_owned();
        match other.and_then(|other| watch(other, Interest::WRITABLE)) {
            Ok(waiting) => drop(waiting.writable().await?),
            Err(_none_left) => sleep(WRITE_RETRY_DELAY).await,
        }
        Ok(())
    }

    /// No more will be written.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        self.0.get_ref().shutdown_write()
    }
}
