//! Raw TCP between two processes: the floor. Events are written in blocks of 64 KiB. Pings and
//! echoes are written at once, with `TCP_NODELAY`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailmesh_contender::{EVENT_BYTES, Numbered, Purpose};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{assign_incarnation, handle, presence_event};
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// Size of a write and of a read, in bytes.
const BLOCK: usize = 64 * 1024;
/// Time for which the first process waits for the second.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);

/// One end of the connection.
pub(crate) struct Outlet {
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    stream: TcpStream,
    block: Vec<u8>,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let address = args.config.clone();
    let stream = connect_pair(&address).await.and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok((stream.try_clone()?, stream))
    });
    let (reader, stream) = stream.map_err(|source| ContenderError::Tcp { address, source })?;
    let writer = Writer { stream, block: Vec::with_capacity(BLOCK) };
    let outlet = Outlet { writer: Arc::new(Mutex::new(writer)) };
    assign_incarnation(ledger);
    outlet.publish(&presence_event(Purpose::Hello, ledger))?;
    let (ledger, writer) = (ledger.clone(), Outlet { writer: outlet.writer.clone() });
    std::thread::spawn(move || {
        if let Err(error) = read(reader, &writer, &ledger) {
            eprintln!("reading ended: {error}");
        }
        ledger.remove_all_members();
    });
    Ok(outlet)
}

/// The first process listens, the second one connects.
async fn connect_pair(address: &str) -> std::io::Result<TcpStream> {
    let stream = match TcpListener::bind(address).await {
        Ok(listener) => timeout(ACCEPT_TIMEOUT, listener.accept()).await??.0,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            tokio::net::TcpStream::connect(address).await?
        }
        Err(error) => return Err(error),
    };
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn read(mut stream: TcpStream, outlet: &Outlet, ledger: &Ledger) -> Result<(), ContenderError> {
    let mut block = vec![0; BLOCK];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut block[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let complete = filled - filled % EVENT_BYTES;
        let events = || block[..complete].chunks_exact(EVENT_BYTES).filter_map(Numbered::decode);
        ledger.count_events(events().filter(|event| event.purpose == Purpose::Count));
        for event in events().filter(|event| event.purpose != Purpose::Count) {
            if let Some(answer) = handle(event, ledger) {
                outlet.publish(&answer)?;
            }
        }
        block.copy_within(complete..filled, 0);
        filled -= complete;
    }
}

impl Outlet {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        let mut writer = self.writer();
        writer.block.extend_from_slice(&event.encode());
        if writer.block.len() >= BLOCK || event.purpose != Purpose::Count {
            writer.write()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<(), ContenderError> {
        Ok(self.writer().write()?)
    }

    pub(crate) fn close(&self) {
        let ended = self.writer().stream.shutdown(Shutdown::Both);
        if let Err(error) = ended {
            eprintln!("the connection did not close: {error}");
        }
    }
}

impl Writer {
    fn write(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}
