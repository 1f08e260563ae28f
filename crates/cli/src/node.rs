//! `node`: runs a node and serves its control socket until it stops.

use std::path::PathBuf;
use std::process::ExitCode;

use mailmesh::secrets::display_path;
use mailmesh::{
    BoundedLog, Coordinator, Keyring, Node, PrintableFields, Secret, StopReason, Stopped,
};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::prelude::*;

use crate::args::NodeArgs;
use crate::control::{self, server::Server};
use crate::endpoints;
use crate::exit::Failure;
use crate::process::check_descriptors;
use crate::say::{try_json, try_line};

/// The log filter without `RUST_LOG`. Zenoh logs an error when it refuses a duplicate link or a
/// stranger; the node itself logs the outcome, so these targets are off.
const DEFAULT_LOG_FILTER: &str = "warn,mailmesh=info,zenoh=error,zenoh::api::session=off,\
                   zenoh_transport::unicast::establishment=off";

pub(crate) async fn run(options: NodeArgs, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer().fmt_fields(PrintableFields);
    let lines = lines.with_writer(std::io::stderr).with_ansi(colours);
    let lines = lines.with_filter(filter.and(BoundedLog::new()));
    tracing_subscriber::registry().with(lines).init();

    if let Some(warning) = check_descriptors()? {
        tracing::warn!("{warning}");
    }
    // From here on, a signal stops the node gracefully and does not kill the process.
    let failed = |error: std::io::Error| Failure::failed(format!("cannot handle signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;

    let builder = builder(&options)?;
    let path = match socket {
        Some(path) => path,
        None => control::default_path(builder.node_name()?.as_str())?,
    };
    // Bound before the node joins: a node without a control socket must not become a member.
    let server = Server::bind(&path)?;
    let cluster = match builder.start().await {
        Ok(cluster) => cluster,
        Err(error) => {
            let _removed = std::fs::remove_file(&path);
            return Err(error.into());
        }
    };
    announce(&cluster, &path, options.json);
    let serving = tokio::spawn(server.serve(cluster.clone()));

    let stdin_ends = async {
        if options.stop_with_stdin {
            let mut sink = [0; 64];
            while matches!(tokio::io::stdin().read(&mut sink).await, Ok(n) if n > 0) {}
        } else {
            std::future::pending().await
        }
    };
    let reason = tokio::select! {
        _ = terminate.recv() => StopReason::ShutDown,
        _ = interrupt.recv() => StopReason::ShutDown,
        () = stdin_ends => StopReason::ShutDown,
        reason = cluster.stopped() => reason,
    };
    cluster.shutdown().await;
    serving.abort();
    let _removed = std::fs::remove_file(&path);
    match reason {
        StopReason::Failed => {
            Err(Failure::failed("the node stopped because of a bug; see the log"))
        }
        StopReason::DuplicateName { name } => {
            let name = name.to_string();
            Err(Failure::name_conflict(Stopped::SteppedBack { name }.to_string()))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn builder(options: &NodeArgs) -> Result<mailmesh::NodeBuilder, Failure> {
    let mut builder = Node::builder();
    if let Some(path) = &options.config {
        let coordinator = Coordinator::load(path);
        builder = builder.coordinator(coordinator?);
    }
    if let Some(name) = &options.name {
        builder = builder.name(name);
    }
    if let Some(cluster) = &options.cluster {
        builder = builder.cluster_name(cluster);
    }
    if let Some(path) = &options.key_file {
        let text = Secret::File(path.clone()).resolve()?;
        let keys = text.parse::<Keyring>();
        let keys = keys.map_err(|e| Failure::config(format!("{}: {e}", display_path(path))))?;
        builder = builder.keyring(keys, Some(path.clone()));
    }
    Ok(builder)
}

fn announce(cluster: &Node, socket: &std::path::Path, json: bool) {
    let status = cluster.status();
    if json {
        let ready = serde_json::json!({
            "ready": true, "name": status.name, "cluster": status.cluster,
            "incarnation": status.incarnation.to_string(), "socket": socket,
            "listens": status.listens,
        });
        try_json(&ready);
        return;
    }
    let key = match &status.key_id {
        Some(id) => format!("sealed with key {id}"),
        None => "open mesh without a cluster key".into(),
    };
    let (name, cluster) = (&status.name, &status.cluster);
    try_line(format_args!("ready: node {name} of cluster {cluster}, {key}"));
    try_line(format_args!("listens: {}", endpoints::listens_text(&json!(status.listens))));
    try_line(format_args!("control socket: {}", socket.display()));
}
