//! A hostile peer: joins the Zenoh network of some nodes and attacks them until its standard input
//! ends. Started by `cargo xtask hostile`.

mod attacks;
mod batch;
mod discovery;
mod gate;
mod insider;
mod intruder;
mod link;
mod replay;
mod target;
mod wire;

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use zenoh::Wait;

use crate::attacks::Attack;
use crate::target::Target;
use crate::wire::Wire;

/// A hostile peer.
#[derive(Debug, Parser)]
struct Args {
    /// The attack.
    #[arg(long)]
    attack: Attack,
    /// The Zenoh configuration, JSON5.
    #[arg(long)]
    config: String,
    /// Loopback ports on which the nodes listen.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// Multicast group and port of the nodes' discovery.
    #[arg(long, default_value = "224.0.0.224:7447")]
    group: std::net::SocketAddr,
    /// The nodes are bare Zenoh.
    #[arg(long)]
    bare: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(sent) => {
            println!("{}", serde_json::json!({ "sent": sent }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<u64, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let stop_flag = stop.clone();
    std::thread::spawn(move || {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        stop_flag.store(true, Ordering::Release);
    });
    if args.attack.is_at_links() {
        let (ports, group, is_bare) = (args.ports.clone(), args.group, args.bare);
        return link::run(args.attack, &Target { ports, group, is_bare }, &stop);
    }
    if args.attack == Attack::Twin {
        return attacks::run_name_conflict(&args.config, &stop);
    }
    let config = zenoh::Config::from_json5(&args.config).map_err(|error| error.to_string())?;
    let session = zenoh::open(config).wait().map_err(|error| error.to_string())?;
    let wire = Wire::new(session)?;
    let sent = attacks::run(args.attack, &wire, &stop)?;
    // Closing the session flushes its pending frames.
    wire.close()?;
    Ok(sent)
}
