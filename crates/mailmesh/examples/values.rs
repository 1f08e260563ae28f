//! Typed values of a server, the same on every node: `cargo run -p mailmesh --example values`

use mailmesh::{MemoryHub, NamedValue, Namespace, Node, ValueUpdate};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Flag {
    enabled: bool,
    percent: u8,
}

/// Feature flags.
struct Flags;

impl Namespace for Flags {
    const NAME: &'static str = "acme.flags";
    type Value = Flag;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two nodes in one process; a server sets `.coordinator(..)` instead.
    let hub = MemoryHub::new();
    let mx1 = Node::builder().name("mx1").memory(&hub).start().await?;
    let mx2 = Node::builder().name("mx2").memory(&hub).start().await?;
    mx1.wait_for_members(1).await;

    let mut watch = mx2.values::<Flags>().watch();
    let flags = mx1.values::<Flags>();
    flags.set("greylisting", &Flag { enabled: true, percent: 20 }).await?;
    while let Some(update) = watch.recv().await {
        match update {
            ValueUpdate::State(state) => println!("mx2 begins with {} flags", state.len()),
            ValueUpdate::Set(NamedValue { name, value: Ok(flag), .. }) => {
                println!("mx2: {name} is {} ({} %)", flag.enabled, flag.percent);
                break;
            }
            other => println!("mx2: {other:?}"),
        }
    }
    println!("mx2 has {:?}", mx2.values::<Flags>().list()?);
    mx1.shutdown().await;
    mx2.shutdown().await;
    Ok(())
}
