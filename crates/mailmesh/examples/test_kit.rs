//! Shows every fault of the test kit and its effect, in virtual time: about a minute of cluster
//! time in less than a second.
//!
//! `cargo run -p mailmesh --example test_kit`

use std::time::Duration;

use mailmesh::testing::{Skew, TestCluster, eventually};
use mailmesh::*;
use tokio::time::{Instant, sleep};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Outcome {
    let (real, virtually) = (std::time::Instant::now(), Instant::now());
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await?;
    let watched = cluster.node("mx2");
    let inbox = watched.inbox(Filter::all());
    let watcher = tokio::spawn(watch(inbox, virtually));

    cut_and_heal(&cluster).await?;
    freeze_and_thaw(&cluster).await?;
    kill_and_restart(&cluster).await?;
    lose(&cluster).await?;
    skew(&cluster).await?;

    watched.shutdown().await;
    watcher.await?;
    println!("{:.1?} of the cluster's time in {:.1?}", virtually.elapsed(), real.elapsed());
    Ok(())
}

/// Prints the membership changes and the gaps that mx2 sees.
async fn watch(mut inbox: Inbox, start: Instant) {
    while let Some(incoming) = inbox.recv().await {
        if !matches!(incoming, Incoming::Event(_)) {
            println!("{:>6.1} s, mx2: {incoming}", start.elapsed().as_secs_f64());
        }
    }
}

async fn publish(node: &Node, count: u64) -> Result<(), Error> {
    for i in 0..count {
        node.publish(StateChange::new(AccountId(7), ChangeId(i))).await?;
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn cut_and_heal(cluster: &TestCluster) -> Outcome {
    println!("-- the link between mx1 and mx2 is cut for 10 s");
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let before = mx2.status().counters.delivery.delivered;
    cluster.cut("mx1", "mx2");
    publish(&mx1, 1_000).await?;
    cluster.heal("mx1", "mx2");
    let has_all = || mx2.status().counters.delivery.delivered == before + 1_000;
    eventually("every event was repaired", has_all).await?;
    Ok(cluster.converged().await?)
}

async fn freeze_and_thaw(cluster: &TestCluster) -> Outcome {
    println!("-- mx3 is frozen for 10 s");
    cluster.freeze("mx3");
    publish(&cluster.node("mx1"), 1_000).await?;
    cluster.thaw("mx3");
    Ok(cluster.converged().await?)
}

async fn kill_and_restart(cluster: &TestCluster) -> Outcome {
    println!("-- mx1 is killed, and restarted when the others have noticed");
    cluster.kill("mx1");
    cluster.converged().await?;
    cluster.restart("mx1").await?;
    Ok(cluster.converged().await?)
}

async fn lose(cluster: &TestCluster) -> Outcome {
    println!("-- a tenth of all frames is lost");
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let (before, dropped) = (mx2.status(), cluster.dropped_frames());
    cluster.lose(10, 1);
    publish(&mx1, 1_000).await?;
    let accounted = |status: Status| {
        let delivery = status.counters.delivery;
        delivery.delivered + delivery.missed
    };
    let settled = || accounted(mx2.status()) == accounted(before.clone()) + 1_000;
    eventually("every event arrived, or was reported missed", settled).await?;
    cluster.heal_all();
    println!("   {} frames were lost", cluster.dropped_frames() - dropped);
    Ok(cluster.converged().await?)
}

async fn skew(cluster: &TestCluster) -> Outcome {
    println!("-- the clock of mx3 is 5 min ahead");
    let address = "192.0.2.7".parse()?;
    cluster.skew("mx3", Skew::Ahead(Duration::from_secs(300)));
    let mx3 = cluster.node("mx3");
    eventually("mx3 corrects its clock", || mx3.status().clock_correction_ms < -299_000).await?;
    let ttl = Duration::from_secs(60);
    cluster.node("mx1").blocks().add(Network::single(address)).reason("spam").ttl(ttl).await?;
    eventually("mx2 has it", || cluster.node("mx2").blocks().is_blocked(address)).await?;
    let on_mx3 = mx3.blocks().is_blocked(address);
    println!("   a block of a minute is in force on mx2; on mx3: {on_mx3}");
    cluster.skew("mx3", Skew::None);
    Ok(cluster.converged().await?)
}
