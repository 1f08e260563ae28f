//! The `mailmesh` program: runs a node, queries and controls a running node, checks configurations,
//! runs the demo (feature `demo`).
//!
//! `node` serves a local control socket; other commands are its clients. The program only uses the
//! `mailmesh` crate and adds nothing to the protocol between nodes.

mod args;
mod cert;
mod check;
mod control;
#[cfg(feature = "demo")]
mod demo;
mod endpoints;
mod exit;
mod json;
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
    // Usage errors exit with 2, as in clap.
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report_usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("cannot start: {error}")).report(),
    };
    let code = match runtime.block_on(run(args)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    };
    // A pending read of standard input must not delay the exit.
    runtime.shutdown_background();
    code
}

/// Prints the help, or a usage error. clap prints arguments unescaped, scripts may pass text of
/// others, and an argument may be a key. So the arguments are escaped and redacted, and parsed
/// again to get the error.
fn report_usage(error: &clap::Error) -> ExitCode {
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
            "an argument is not UTF-8, contains control characters, or looks like a key",
        )
        .report(),
    }
}

async fn run(args: Args) -> Result<ExitCode, Failure> {
    let socket = args.socket;
    match args.command {
        Command::Node(options) => node::run(options, socket).await,
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(options).await,
        #[cfg(not(feature = "demo"))]
        Command::Demo { .. } => Err(Failure::usage(
            "this program was built without the demo; run `cargo demo` in a clone of the \
             repository",
        )),
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
