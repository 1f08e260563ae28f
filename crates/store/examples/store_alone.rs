//! A record that outlives its process: `cargo run -p mailmesh-store --example store_alone`

use mailmesh_store::{Record, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("mailmesh-store-alone-{}", std::process::id()));
    let mut store = Store::open(&dir)?;
    store.commit([Record::set("192.0.2.0/24", "spam")], &[("clock", b"42")])?;
    drop(store);

    let store = Store::open(&dir)?;
    let count = store.read(|key, value| {
        println!("{}: {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    })?;
    println!("{count} record in {}", store.path().display());
    drop(store);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
