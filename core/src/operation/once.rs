//! Start a maintenance once, however often that is asked for under the same key: across answers that were lost,
//! restarts, replicas, and beyond its end.
//!
//! | receipt of the key | maintenance of its name | what is done |
//! |---|---|---|
//! | none | – | the receipt is made, then the maintenance; a refusal takes the receipt away again |
//! | open: nobody has noted what came of it | made for it | that is noted and told |
//! | open | none, or made for another | the maintenance is made; a refusal leaves the receipt to whoever made it |
//! | known | its own, or ended as the receipt says | what became of it is told |
//! | known | none in the cache | the API server is asked: it has just ended, or the cache is behind |
//!
//! That a receipt is open, or that there is no maintenance, counts only as the API server says it: a cache that is
//! behind would start again what has ended.

use std::sync::Arc;

use super::{
    IfExists, OperationError, OperationErrorKind, Operations, StartMaintenance, maintenance::refusal_of_start,
};
use crate::{
    clock::to_the_second,
    cluster::Snapshot,
    config_map::ConfigMapError,
    model::{NodeMaintenance, Receipt, ReceiptRequest, ReceiptResult},
    receipt::{MOST, Receipts},
};

/// What tells a request from others, so that it is carried out once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceKey {
    /// A hash of the key, in letters and digits.
    pub key: String,
    /// A hash of all that is asked for.
    pub request: String,
    /// Who asks.
    pub caller: String,
}

/// The maintenance that was started under a key, now or at an earlier time.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedOnce {
    /// It; as it was last seen, if it has ended.
    pub object: Arc<NodeMaintenance>,
    /// What the request came to.
    pub outcome: OnceOutcome,
}

/// What a request under a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnceOutcome {
    /// It started the maintenance.
    Started,
    /// An earlier one had started it.
    Replayed,
    /// An earlier one had started it, and it has ended since.
    Ended,
}

/// Why a request under a key was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnceError {
    /// It would not have been without a key either.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The key is that of another request.
    #[error("another request was sent under this key: a key is used again only to send the same once more")]
    KeyReused,
    /// No more keys can be remembered.
    #[error("{MOST} keys are remembered, and there may be no more: each is until 24 hours after its maintenance")]
    TooManyKeys,
}

impl From<ConfigMapError> for OnceError {
    fn from(error: ConfigMapError) -> Self {
        Self::Operation(error.into())
    }
}

/// What a receipt says to who asks under its key.
#[derive(Debug, PartialEq)]
enum Reply {
    /// What became of the request.
    Known(StartedOnce),
    /// That it was started, and the cache does not show it: not yet, or not any more.
    Unseen(Arc<NodeMaintenance>),
    /// That it is not known: whoever took it did not get so far, or is about to.
    Open,
}

impl Operations {
    /// Starts a maintenance unless one was started under that key; refused if the node has one already.
    pub async fn start_maintenance_once(
        &self,
        request: &StartMaintenance,
        key: &OnceKey,
    ) -> Result<StartedOnce, OnceError> {
        let request = &StartMaintenance { if_exists: IfExists::Refuse, dry_run: false, ..request.clone() };
        let receipts = Receipts::new(self.cluster.client(), &self.namespace);
        let snapshot = self.cluster.snapshot();
        let name = format!("receipt-{}", key.key);
        let found = match snapshot.receipt(&name) {
            Some(known) if known.result.is_some() => Some(Receipt::clone(known)),
            // By now it may be known what came of it, and even that it has ended.
            Some(_) => receipts.get(&name).await?,
            None => None,
        };
        let taken = match found {
            Some(receipt) => Taken { receipt, made_here: false },
            None => self.take(&receipts, &name, request, key, &snapshot).await?,
        };
        match reply(&taken.receipt, key, &snapshot)? {
            Reply::Known(started) => return Ok(started),
            Reply::Unseen(started) => {
                let now = self.made_for(&taken.receipt).await?;
                let outcome = if now.is_some() { OnceOutcome::Replayed } else { OnceOutcome::Ended };
                return Ok(StartedOnce { object: now.unwrap_or(started), outcome });
            }
            Reply::Open => {}
        }
        if !taken.made_here
            && let Some(object) = self.made_for(&taken.receipt).await?
        {
            note(&receipts, &taken.receipt, &object).await;
            return Ok(StartedOnce { object, outcome: OnceOutcome::Replayed });
        }
        self.start_for(request, &receipts, &taken).await
    }

    /// Makes the receipt of a request, unless another replica has.
    async fn take(
        &self,
        receipts: &Receipts,
        name: &str,
        request: &StartMaintenance,
        key: &OnceKey,
        snapshot: &Snapshot,
    ) -> Result<Taken, OnceError> {
        // What is refused leaves no receipt, so that it can be asked for again when the obstacle is gone. But a repeat
        // may be asking about what is in its own way, and the cache may be behind.
        if let Some(refused) = refusal_of_start(request, snapshot) {
            return match receipts.get(name).await? {
                Some(receipt) => Ok(Taken { receipt, made_here: false }),
                None => Err(refused.into()),
            };
        }
        if snapshot.receipts().count() >= MOST {
            return Err(OnceError::TooManyKeys);
        }
        let wanted = ReceiptRequest {
            hash: key.request.clone(),
            caller: key.caller.clone(),
            maintenance: request.name_of_new(),
            created_at: to_the_second(self.clock.now()),
        };
        match receipts.create(name, &wanted, None).await {
            Ok(receipt) => Ok(Taken { receipt, made_here: true }),
            Err(ConfigMapError::Changed(error)) => match receipts.get(name).await? {
                Some(receipt) => Ok(Taken { receipt, made_here: false }),
                None => Err(ConfigMapError::Changed(error).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Starts it in the name of that receipt.
    async fn start_for(
        &self,
        request: &StartMaintenance,
        receipts: &Receipts,
        taken: &Taken,
    ) -> Result<StartedOnce, OnceError> {
        let Taken { receipt, made_here } = taken;
        let error = match self.start_in_name_of(request, Some(&receipt.name)).await {
            Ok(started) => {
                note(receipts, receipt, &started.object).await;
                return Ok(StartedOnce { object: started.object, outcome: OnceOutcome::Started });
            }
            Err(error) => error,
        };
        // Another replica was asked the same at the same time, or the answer to our own write was lost.
        if let Some(object) = self.made_for(receipt).await? {
            note(receipts, receipt, &object).await;
            return Ok(StartedOnce { object, outcome: OnceOutcome::Replayed });
        }
        let may_have_been_written = error.kind() == OperationErrorKind::Unavailable;
        // Whoever made it may be about to start what is refused here: caches are not of one moment.
        if *made_here
            && !may_have_been_written
            && let Err(error) = receipts.delete(receipt).await
        {
            tracing::warn!(%error, "a receipt of a request that was refused stays for a day");
        }
        Err(error.into())
    }

    /// The maintenance that was made for a receipt, as the API server has it now.
    async fn made_for(&self, receipt: &Receipt) -> Result<Option<Arc<NodeMaintenance>>, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        self.refresh(&mut snapshot, &receipt.request.maintenance).await?;
        let found = snapshot.maintenance(&receipt.request.maintenance);
        Ok(found.filter(|object| receipt.is_for(object)).cloned())
    }
}

/// The receipt in whose name a request is carried out.
struct Taken {
    receipt: Receipt,
    /// Made for this very call, and not by an earlier one or another replica.
    made_here: bool,
}

/// Notes what came of a request. If that fails, the leader does it.
async fn note(receipts: &Receipts, receipt: &Receipt, object: &NodeMaintenance) {
    let result = ReceiptResult::of(object);
    let noted = match receipts.note(receipt, &result).await {
        // Another replica that was refused may have taken its receipt away, in whose name this was made.
        Err(ConfigMapError::Changed(_)) => receipts.create(&receipt.name, &receipt.request, Some(&result)).await,
        noted => noted,
    };
    match noted {
        // It is there: another has noted it, or the leader will.
        Ok(_) | Err(ConfigMapError::Changed(_)) => {}
        Err(error) => tracing::warn!(%error, "what came of a request could not be noted; the leader will"),
    }
}

fn reply(receipt: &Receipt, key: &OnceKey, snapshot: &Snapshot) -> Result<Reply, OnceError> {
    if receipt.request.hash != key.request || receipt.request.caller != key.caller {
        return Err(OnceError::KeyReused);
    }
    let Some(result) = &receipt.result else { return Ok(Reply::Open) };
    let is_it = |found: &&Arc<NodeMaintenance>| found.metadata.uid == result.maintenance.metadata.uid;
    let known = |object, outcome| Ok(Reply::Known(StartedOnce { object, outcome }));
    match snapshot.maintenance(result.maintenance.name()).filter(is_it) {
        Some(object) => known(object.clone(), OnceOutcome::Replayed),
        None if result.ended_at.is_some() => known(Arc::new(result.maintenance.clone()), OnceOutcome::Ended),
        None => Ok(Reply::Unseen(Arc::new(result.maintenance.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Uid,
        testing::{at, maintenance},
    };

    fn key() -> OnceKey {
        OnceKey { key: "k".to_owned(), request: "h".to_owned(), caller: "ann".to_owned() }
    }

    fn receipt(result: Option<ReceiptResult>) -> Receipt {
        let request = ReceiptRequest {
            hash: "h".to_owned(),
            caller: "ann".to_owned(),
            maintenance: "m".to_owned(),
            created_at: at(0),
        };
        Receipt { name: "receipt-k".to_owned(), uid: Uid::default(), resource_version: String::new(), request, result }
    }

    #[test]
    fn who_asks_again_is_told_what_became_of_it() {
        let made = maintenance("m", "node02");
        let noted = receipt(Some(ReceiptResult::of(&made)));
        let running = made.clone().decided(true);
        let told = |receipt: &Receipt, snapshot: &Snapshot| match reply(receipt, &key(), snapshot).unwrap() {
            Reply::Known(started) => Some((NodeMaintenance::clone(&started.object), started.outcome)),
            Reply::Unseen(_) | Reply::Open => None,
        };
        let now = Snapshot::default().with(running.clone());
        assert_eq!(told(&noted, &now), Some((running, OnceOutcome::Replayed)), "as it is now");
        let unseen = reply(&noted, &key(), &Snapshot::default());
        assert_eq!(unseen, Ok(Reply::Unseen(Arc::new(made.clone()))), "the cache is behind, or it has just ended");
        let ended = ReceiptResult { ended_at: Some(at(5)), ..ReceiptResult::of(&made) };
        assert_eq!(told(&receipt(Some(ended)), &Snapshot::default()), Some((made, OnceOutcome::Ended)));
        assert_eq!(told(&receipt(None), &now), None, "it is not known yet");
    }

    #[test]
    fn another_request_or_another_caller_under_the_key_is_refused() {
        for other in [OnceKey { request: "x".to_owned(), ..key() }, OnceKey { caller: "bob".to_owned(), ..key() }] {
            assert_eq!(reply(&receipt(None), &other, &Snapshot::default()), Err(OnceError::KeyReused));
        }
    }
}
