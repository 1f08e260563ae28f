//! A list of one program as a set of another: `cargo run -p mailmesh-lists --example lists_alone`

use mailmesh_lists::events::{Rule, RuleDetails, UnixMillis};
use mailmesh_lists::{Format, Listed, OutputFormat, read, write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let list = read("192.0.2.0/24 ; SBL1\n198.51.100.7\nnot an address\n", Format::Plain)?;
    for bad in &list.bad {
        println!("line {} is left out", bad.line);
    }
    let now = UnixMillis(1_000);
    let mut blocks = Vec::new();
    for entry in &list.entries {
        blocks.push((entry.network, RuleDetails::new(&*entry.reason, now)?));
    }
    let listed: Vec<_> = blocks
        .iter()
        .map(|(network, block)| Listed { rule: Rule::Block, network: *network, details: block })
        .collect();
    let mut text = String::new();
    write(OutputFormat::Postfix, &listed, now, &mut text)?;
    print!("{text}");
    Ok(())
}
