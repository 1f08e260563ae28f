//! A coordinator configuration, checked and explained:
//! `cargo run -p mailmesh-transport --example transport_alone`

use mailmesh_transport::{ConfigError, Coordinator};

fn main() -> Result<(), ConfigError> {
    let coordinator = Coordinator::parse(
        r#"{
            "@type": "Zenoh",
            "config": "{ mode: peer, connect: { endpoints: ['tcp/192.0.2.1:7447'] } }",
            "mesh": { "name": "mx1" }
        }"#,
    )?;
    print!("{}", coordinator.explain());
    for warning in coordinator.warnings() {
        println!("warning: {warning}");
    }
    if let Err(error) = Coordinator::parse(r#"{ "@type": "Zenoh", "config": "{ mdoe: 'peer' }" }"#)
    {
        println!("refused: {error}");
    }
    Ok(())
}
