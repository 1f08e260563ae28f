//! The `mailmesh` program: runs a node, looks into a running one, checks a
//! configuration, shows the demo.
//!
//! `node` serves a local control socket; the other commands are its clients. The
//! program adds nothing to the protocol: it is a user of the `mailmesh` crate.

mod args;
mod cert;
mod check;
mod control;
mod demo;
mod endpoints;
mod exit;
mod key;
mod lists;
mod node;
mod process;
mod query;
mod say;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use exit::Failure;

fn main() -> ExitCode {
    process::prepare();
    // A usage error exits with 2, as clap does.
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("cannot start: {error}")).report(),
    };
    let code = match runtime.block_on(run(args)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    };
    // A read of standard input may be under way; it must not hold the exit up.
    runtime.shutdown_background();
    code
}

/// Shows a usage error, or the help that was asked for. The error is that of the arguments as
/// they may be shown: a script may have them from elsewhere, one may be a key, and clap shows them
/// as they are.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let args = std::env::args_os().map(|arg| {
        let shown = mailmesh::secrets::redact(&arg.to_string_lossy());
        mailmesh::Printable(shown).to_string()
    });
    match Args::try_parse_from(args) {
        Err(error) => error.exit(),
        Ok(_) => Failure::usage(
            "an argument is not UTF-8, holds control characters, or looks like a key",
        )
        .report(),
    }
}

async fn run(args: Args) -> Result<ExitCode, Failure> {
    let socket = args.socket;
    match args.command {
        Command::Node(options) => node::run(options, socket).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Check(options) => check::run(&options, socket.as_deref()),
        Command::Key(options) => key::run(options, socket).await,
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "mailmesh",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Publish(options) => query::publish(options, socket).await,
        Command::Watch(options) => query::watch(options, socket).await,
        Command::Block(options) => query::block(options, socket).await,
        Command::Cert(options) => cert::run(options, socket).await,
        Command::Members { json } => query::members(json, socket).await,
        Command::Status { json } => query::status(json, socket).await,
    }
}
