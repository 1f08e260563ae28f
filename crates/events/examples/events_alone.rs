//! Events, built and checked: `cargo run -p mailmesh-events --example events_alone`

use mailmesh_events::{AccountId, ChangeId, DataTypes, Event, Network, QueueSignal, StateChange};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let types = DataTypes::EMAIL | DataTypes::MAILBOX;
    let events: [Event; 2] = [
        StateChange::new(AccountId(7), ChangeId(4_211)).with(types).into(),
        QueueSignal::Refresh.into(),
    ];
    for event in &events {
        println!("{:?} on lane {:?}: {event}", event.kind(), event.lane());
    }

    let network: Network = "192.0.2.0/24".parse()?;
    println!("{network} contains 192.0.2.7: {}", network.contains("192.0.2.7".parse()?));
    match "192.0.2.0/33".parse::<Network>() {
        Ok(network) => println!("{network}"),
        Err(error) => println!("refused: {error}"),
    }
    Ok(())
}
