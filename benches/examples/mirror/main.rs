//! What the mirror costs, beside what else one could use, in one run:
//! `cargo xtask compare --only mirror`.

mod join;
mod lookup;
mod memory;
mod reconcile;
mod row;

use std::path::PathBuf;

use row::Row;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut json: Option<PathBuf> = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--json", Some(path)) => json = Some(path.into()),
            _ => return Err("usage: mirror [--json FILE]".into()),
        }
    }
    let mut rows = Vec::new();
    row::print_head();
    let mut done = |new: Vec<Row>| {
        new.iter().for_each(Row::print);
        rows.extend(new);
    };
    // First, while the process holds nothing else.
    done(memory::measure()?);
    done(lookup::measure()?);
    done(reconcile::measure()?);
    done(join::measure()?);
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}
