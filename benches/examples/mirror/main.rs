//! Costs of the mirror beside alternatives, measured in one run: `cargo xtask compare --only
//! mirror`.

mod join;
mod live;
mod lookup;
mod memory;
mod reconcile;
mod row;
mod spread;

use std::path::PathBuf;

use row::Row;

/// One group of measurements.
type Part = fn() -> Result<Vec<Row>, Box<dyn std::error::Error>>;

/// Memory is measured first, while the process has allocated nothing else.
const PARTS: [(&str, Part); 6] = [
    ("memory", memory::measure),
    ("lookup", lookup::measure),
    ("reconcile", reconcile::measure),
    ("join", join::measure),
    ("live", live::measure),
    ("spread", spread::measure),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut json: Option<PathBuf> = None;
    let mut only: Option<String> = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--json", Some(path)) => json = Some(path.into()),
            ("--part", Some(part)) if PARTS.iter().any(|(name, _)| *name == part) => {
                only = Some(part);
            }
            _ => {
                return Err(
                    "usage: mirror [--json FILE] [--part memory|lookup|reconcile|join|live|spread]"
                        .into(),
                );
            }
        }
    }
    let mut rows = Vec::new();
    row::print_head();
    for (name, measure) in PARTS {
        if only.as_ref().is_none_or(|only| only == name) {
            let new = measure()?;
            new.iter().for_each(Row::print);
            rows.extend(new);
        }
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}
