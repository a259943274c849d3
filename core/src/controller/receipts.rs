//! The receipts of requests that are sent once only: notes what became of them, and forgets them in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::context::Context;
use crate::{
    clock::later,
    cluster::{Concerned, Snapshot},
    config_map::ConfigMapError,
    maintenance::maintenance_is_gone,
    model::{NodeMaintenance, Receipt, ReceiptResult},
    names::RECEIPT_ANNOTATION,
    receipt::{Duty, Receipts, duty},
};

/// What could not be written is tried again after so long.
const RETRY: Duration = Duration::from_secs(10);

/// Looks after the receipts, as long as this replica leads.
pub(super) async fn look_after(context: Context, mut stopping: watch::Receiver<bool>) {
    let mut changes = context.cluster.changes();
    let mut keeper = Keeper::new(context);
    let mut concerned = Concerned::everything();
    while !*stopping.borrow() {
        let is_due = keeper.look_again_at.is_some_and(|at| at <= keeper.context.clock.now());
        if is_due || concerned.everything || !concerned.maintenances.is_empty() {
            keeper.look().await;
        }
        let (clock, at) = (keeper.context.clock, keeper.look_again_at);
        concerned = tokio::select! {
            biased;
            _ = stopping.changed() => Concerned::default(),
            concerned = changes.next() => concerned,
            () = clock.sleep_until(at.unwrap_or(Timestamp::MAX)), if at.is_some() => Concerned::default(),
        };
    }
}

struct Keeper {
    context: Context,
    /// The maintenances that were made for a receipt, by its name, as they were last seen.
    last_seen: BTreeMap<String, Arc<NodeMaintenance>>,
    /// What was written, by name and version: the cache may not show it yet.
    done: BTreeSet<(String, String)>,
    look_again_at: Option<Timestamp>,
}

impl Keeper {
    fn new(context: Context) -> Self {
        Self { context, last_seen: BTreeMap::new(), done: BTreeSet::new(), look_again_at: None }
    }

    /// Does what is to be done about each receipt, one after the other: there are few at a time.
    async fn look(&mut self) {
        let snapshot = self.context.cluster.snapshot();
        let now = self.context.clock.now();
        self.remember(&snapshot);
        self.look_again_at = None;
        let mut next: Vec<Timestamp> = Vec::new();
        for receipt in snapshot.receipts().cloned().collect::<Vec<_>>() {
            let version = (receipt.name.clone(), receipt.resource_version.clone());
            if self.done.contains(&version) {
                continue;
            }
            let last_seen = self.last_seen.get(&receipt.name).map(AsRef::as_ref);
            let duty = duty(&receipt, last_seen, &snapshot, now);
            match self.act(&receipt, duty).await {
                Ok(Acted::Wrote) => drop(self.done.insert(version)),
                Ok(Acted::Nothing(at)) => next.extend(at),
                Err(error) => {
                    tracing::warn!(receipt = receipt.name, error, "a receipt could not be looked after");
                    next.push(later(now, RETRY));
                }
            }
        }
        self.look_again_at = next.into_iter().min();
    }

    fn remember(&mut self, snapshot: &Snapshot) {
        let named = |object: &NodeMaintenance| object.metadata.annotations.as_ref()?.get(RECEIPT_ANNOTATION).cloned();
        let seen = snapshot.maintenances().filter_map(|object| Some((named(object)?, object.clone())));
        self.last_seen.extend(seen);
        self.last_seen.retain(|name, _| snapshot.receipt(name).is_some());
        self.done
            .retain(|(name, version)| snapshot.receipt(name).is_some_and(|found| found.resource_version == *version));
    }

    async fn act(&self, receipt: &Receipt, duty: Duty) -> Result<Acted, String> {
        let client = self.context.cluster.client();
        let receipts = Receipts::new(client, &self.context.settings.namespace);
        let written = match duty {
            Duty::Keep(at) => return Ok(Acted::Nothing(at)),
            Duty::Note(result) => receipts.note(receipt, &result).await.map(drop),
            Duty::End(result) => {
                let ReceiptResult { maintenance, .. } = &*result;
                // The cache of receipts may be ahead of that of maintenances.
                if !maintenance_is_gone(client, &maintenance.actor()).await.map_err(|error| error.to_string())? {
                    return Ok(Acted::Nothing(Some(later(self.context.clock.now(), RETRY))));
                }
                receipts.note(receipt, &result).await.map(drop)
            }
            Duty::Forget => receipts.delete(receipt).await,
        };
        match written {
            // Somebody else was faster: what the watch brings next decides.
            Ok(()) | Err(ConfigMapError::Changed(_)) => Ok(Acted::Wrote),
            Err(error) => Err(error.to_string()),
        }
    }
}

enum Acted {
    Wrote,
    Nothing(Option<Timestamp>),
}
