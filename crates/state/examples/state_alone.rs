//! Two mirrors that merge a change: `cargo run -p mailmesh-state --example state_alone`

use mailmesh_state::events::{NodeId, RuleDetails, UnixMillis};
use mailmesh_state::{Mirror, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = UnixMillis(1_000);
    let (mx1, mx2) = (Mirror::new(NodeId(1), [0; 16]), Mirror::new(NodeId(2), [0; 16]));
    let change = mx1.block("192.0.2.0/24".parse()?, RuleDetails::new("spam", now)?, now)?;
    println!("before the merge the mirrors are equal: {}", mx1.digest() == mx2.digest());
    mx2.apply(&change, now);
    println!("after it:                               {}", mx1.digest() == mx2.digest());
    if let Verdict::Blocked(entry) = mx2.lookup("192.0.2.7".parse()?, now) {
        println!("192.0.2.7 is in {}: {}", entry.network, entry.details.reason());
    }
    Ok(())
}
