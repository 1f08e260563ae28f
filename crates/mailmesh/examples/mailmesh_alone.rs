//! Two nodes in one process; what one blocks, the other blocks:
//! `cargo run -p mailmesh --example mailmesh_alone`

use mailmesh::{MemoryHub, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server sets `.coordinator(..)` instead of `.memory(..)`.
    let hub = MemoryHub::new();
    let mx1 = Node::builder().name("mx1").memory(&hub).start().await?;
    let mx2 = Node::builder().name("mx2").memory(&hub).start().await?;
    mx1.wait_for_members(1).await;

    let mut changes = mx2.blocks().watch();
    mx1.blocks().add("192.0.2.0/24".parse()?).reason("spam").await?;
    let address = "192.0.2.7".parse()?;
    while !mx2.blocks().is_blocked(address) {
        changes.recv().await.ok_or("mx2 has stopped")?;
    }
    println!("mx2: {address}: {:?}", mx2.blocks().lookup(address));
    mx1.shutdown().await;
    mx2.shutdown().await;
    Ok(())
}
