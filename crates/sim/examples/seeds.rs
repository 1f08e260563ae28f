//! Runs seeds and says which fail.
//!
//! `cargo run --release -p mailmesh-sim --example seeds -- FIRST COUNT NODES`

use mailmesh_sim::{Faults, Simulation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (first, count, nodes) = (next(1)?, next(100)?, next(5)?);
    let mut failed = 0;
    for seed in first..first + count {
        if let Err(violation) = Simulation::run(seed, usize::try_from(nodes)?, Faults::drawn(seed))
        {
            println!("{violation}, {:?}", Faults::drawn(seed));
            failed += 1;
        }
    }
    println!("{} passed, {failed} failed", count - failed);
    Ok(())
}
