//! Takes back what a maintenance or a drain has asked of KubeVirt: marks first, then migrations.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    CancelStep, Left, Outcome, RequestError, cancel_evacuation, delete_migration, get_instance, next_cancel_steps,
};
use crate::{
    cluster::{Cluster, Snapshot},
    model::{DrainOptions, NodeName, Record},
};

/// It is tried for so long; then the rest is reported, and the node restored all the same.
const CANCEL_FOR: Duration = Duration::from_secs(30);
/// KubeVirt shows the effect of a cancel in milliseconds.
const CANCEL_PAUSE: Duration = Duration::from_millis(500);

/// Works until nothing is left to take back, or for half a minute; returns what is left, in sentences.
pub async fn take_back(cluster: &Cluster, node: &NodeName, record: &Record, options: &DrainOptions) -> Vec<String> {
    let deadline = Instant::now() + CANCEL_FOR;
    let mut refused = Vec::new();
    let mut given_up: Vec<CancelStep> = Vec::new();
    let mut snapshot = look(cluster, node, record, deadline).await;
    loop {
        let mut cancellation = next_cancel_steps(node, &record.evacuations, &record.actor.uid, &snapshot, options);
        cancellation.next.retain(|step| !given_up.contains(step));
        if cancellation.next.is_empty() {
            refused.extend(cancellation.left.iter().map(goes_on));
            return refused;
        }
        // One after the other would keep the node cordoned for as long as each VM's request takes.
        let steps = join_all(cancellation.next.iter().map(|step| perform(cluster, node, step)));
        let Ok(outcomes) = timeout_at(deadline, steps).await else {
            refused.push(format!("KubeVirt did not take everything back within {} s", CANCEL_FOR.as_secs()));
            return refused;
        };
        for (step, outcome) in cancellation.next.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                Err(error) if error.is_worth_repeating() && Instant::now() + CANCEL_PAUSE < deadline => {
                    tracing::warn!(%error, "cancelling is tried again");
                }
                Err(error) => {
                    refused.push(error.to_string());
                    given_up.push(step);
                }
            }
        }
        sleep(CANCEL_PAUSE).await;
        snapshot = cluster.snapshot();
    }
}

fn goes_on(left: &Left) -> String {
    format!("migration {} of VirtualMachineInstance {} goes on ({:?})", left.migration, left.vmi, left.reason)
}

/// The cluster, with the VMIs that were asked to leave as the API server has them now: the mark of an eviction that was
/// answered just before may not be in the cache yet.
async fn look(cluster: &Cluster, node: &NodeName, record: &Record, deadline: Instant) -> Snapshot {
    let mut snapshot = cluster.snapshot();
    let asked = snapshot.virtual_machine_instances_on(node).filter(|vmi| record.evacuations.contains(&vmi.uid));
    let asked: Vec<_> = asked.map(|vmi| vmi.key.clone()).collect();
    let reads = join_all(asked.iter().map(|key| get_instance(cluster.client(), key)));
    for found in timeout_at(deadline, reads).await.unwrap_or_default() {
        match found {
            Ok(Some(vmi)) => {
                snapshot.put(vmi);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%node, %error, "a VMI cannot be read; what the cache shows counts"),
        }
    }
    snapshot
}

async fn perform(cluster: &Cluster, node: &NodeName, step: &CancelStep) -> Result<Outcome, RequestError> {
    let client = cluster.client();
    let outcome = match step {
        CancelStep::CancelEvacuation { vmi } => cancel_evacuation(client, vmi, node).await,
        CancelStep::DeleteMigration { key, uid } => delete_migration(client, key, uid).await,
    };
    tracing::info!(%node, ?step, ?outcome, "took back");
    outcome
}
