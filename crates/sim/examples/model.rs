//! Explores every run of a small cluster and prints the number of states.
//!
//! `cargo run --release -p mailmesh-sim --example model [-- --deep]`

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use mailmesh_sim::{Scope, explore, planted};

/// Explores every order, loss, duplication and crash of a few messages.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask model", bin_name = "cargo xtask model")]
struct Args {
    /// Explore larger scopes too; this takes minutes.
    #[arg(long)]
    deep: bool,
    /// Plant this fault in the cores. Only in builds with `--cfg planted`.
    #[arg(long, value_name = "NAME", hide = !cfg!(planted))]
    planted: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Err(error)) = args.planted.as_deref().map(planted::plant) {
        eprintln!("error: {error}");
        // Exit code 2 means wrong arguments; no run failed.
        return ExitCode::from(2);
    }
    let mut scopes = vec![Scope::SMALL, Scope::THREE];
    if args.deep {
        scopes.extend([Scope::DEEP, Scope::DEEP_THREE]);
    }
    for scope in scopes {
        let begin = Instant::now();
        match explore(scope) {
            Ok(explored) => {
                println!("{scope:?}\n{explored:?} in {:.1} s", begin.elapsed().as_secs_f64());
            }
            Err(error) => {
                println!("{scope:?}\nFAILED\n{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("all passed");
    ExitCode::SUCCESS
}
