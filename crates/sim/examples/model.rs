//! Explores every run of a small cluster, and says how many states that took.
//!
//! `cargo run --release -p mailmesh-sim --example model [-- --deep]`

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use mailmesh_sim::{Scope, explore};

/// Every order, loss, repetition and crash of a few messages.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask model", bin_name = "cargo xtask model")]
struct Args {
    /// Also larger scopes: some minutes.
    #[arg(long)]
    deep: bool,
}

fn main() -> ExitCode {
    let mut scopes = vec![Scope::SMALL, Scope::THREE];
    if Args::parse().deep {
        scopes.extend([Scope::DEEP, Scope::DEEP_THREE]);
    }
    for scope in scopes {
        let begin = Instant::now();
        match explore(scope) {
            Ok(explored) => {
                println!("{scope:?}\n{explored:?} in {:.1} s", begin.elapsed().as_secs_f64());
            }
            Err(what) => {
                println!("{scope:?}\nFAILED\n{what}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("all passed");
    ExitCode::SUCCESS
}
