//! A drain in somebody's own process (a script, a command line): no order, no leader; it ends with the process.

use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

use super::{
    acting::{Acting, SHORTEST_WAIT, lease_changed, next_outcome},
    context::{Context, Settings},
    draining::Over,
    gauges::BlockedGauges,
    news::Publisher,
};
use crate::{
    clock::{Clock, to_the_second},
    cluster::Cluster,
    drain::{DrainPhase, Progress},
    lease::{NodeLeaseError, ensure_namespace},
    maintenance::{Unconfirmed, maintenance_is_gone},
    model::{
        Actor, ActorKind, DrainEnd, DrainOptions, DrainOutcome, DrainSpec, Node, NodeName, ObjectKey, Record,
        RecordReading, Trouble, Uid,
    },
    names::{DRAIN_TAINT_KEY, FIELD_MANAGER},
    operation::OperationError,
    plan::{Refusal, may_go},
};

/// A node is to be drained by this process.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainHere {
    /// Tells it from others ([`crate::operation::new_drain_id`]).
    pub id: Uid,
    /// The node.
    pub node: NodeName,
    /// What the drain may do.
    pub options: DrainSpec,
    /// The pod that this process runs in, if it runs in one.
    pub own_pod: Option<ObjectKey>,
}

/// How a drain is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrainReport {
    /// Where it is; `None` before it has begun.
    pub phase: Option<DrainPhase>,
    /// How far it has got.
    pub progress: Progress,
    /// What is wrong with the drain itself; it is tried again.
    pub trouble: Option<Trouble>,
}

/// A drain that runs in this process. Dropped, it starts nothing more, and leaves its record and its node Lease behind:
/// the Lease lapses, and who uncordons the node restores from the record. To end it well, [`ProcessDrain::cancel`] it.
#[derive(Debug)]
pub struct ProcessDrain {
    reports: watch::Receiver<DrainReport>,
    cancel: watch::Sender<bool>,
    task: JoinHandle<Result<DrainOutcome, OperationError>>,
    result: Option<Result<DrainOutcome, OperationError>>,
}

impl ProcessDrain {
    /// Begins to drain. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, clock: Clock, request: DrainHere) -> Self {
        let (reporter, reports) = watch::channel(DrainReport::default());
        let (cancel, cancelled) = watch::channel(false);
        let task = tokio::spawn(run(cluster, clock, request, reporter, cancelled));
        Self { reports, cancel, task, result: None }
    }

    /// How it is doing, now and from now on. Who reads slowly sees the latest.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<DrainReport> {
        self.reports.clone()
    }

    /// Ends it before it is done: nothing new starts, the node stays cordoned, record and Lease go. [`Self::wait`] says
    /// when.
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Waits for its end. May be called again.
    pub async fn wait(&mut self) -> Result<DrainOutcome, OperationError> {
        if let Some(result) = &self.result {
            return result.clone();
        }
        let result = (&mut self.task).await.unwrap_or_else(|error: JoinError| {
            Err(OperationError::Rejected {
                message: format!("the drain ended without a result: {error}"),
                kubernetes_reason: None,
            })
        });
        self.result = Some(result.clone());
        result
    }
}

impl Drop for ProcessDrain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    cluster: Cluster,
    clock: Clock,
    request: DrainHere,
    reporter: watch::Sender<DrainReport>,
    mut cancelled: watch::Receiver<bool>,
) -> Result<DrainOutcome, OperationError> {
    let options = request.options.for_drain()?;
    let mut changes = cluster.changes();
    cluster.ready().await;
    let node = admitted(&cluster, &request, &options).await?;
    let actor = Actor { kind: ActorKind::Process, name: request.id.0.clone(), uid: request.id.clone() };
    let mut acting = Acting::new(context(cluster, clock, request.own_pod), request.node, actor);
    hold(&mut acting, &node).await?;
    let (end, message) = loop {
        let wake_at = if *cancelled.borrow_and_update() {
            break (DrainEnd::Cancelled, "it was cancelled: the node stays cordoned");
        } else {
            match round(&mut acting, &node.uid, &options).await {
                Ok(Some(end)) => break end,
                Ok(None) => acting.retry.at,
                Err(trouble) => match acting.over_or_again(trouble, &options) {
                    Ok(over) => break over,
                    Err(again) => Some(again),
                },
            }
        };
        report(&reporter, &acting);
        let next = wake_at.into_iter().chain(acting.wake_at).min().unwrap_or(Timestamp::MAX);
        let next = next.max(acting.now() + SHORTEST_WAIT);
        loop {
            tokio::select! {
                biased;
                outcome = next_outcome(&mut acting.drain) => {
                    acting.take_up(outcome);
                    break;
                }
                () = lease_changed(acting.lease.as_mut()) => break,
                () = clock.sleep_until(next), if next < Timestamp::MAX => break,
                // Much goes on elsewhere.
                concerned = changes.next() => if concerned.concerns(&acting.node) { break },
                _ = cancelled.changed() => break,
            }
        }
    };
    acting.settle().await;
    acting.drain = None;
    acting.begin_anew();
    let left_behind = let_go(&mut acting, &node.uid, end, &options).await;
    if let Err(trouble) = acting.release_node().await {
        // Whoever called waits for the end.
        tracing::warn!(message = trouble.message, "the node Lease was not released; it lapses by itself");
    }
    report(&reporter, &acting);
    let (left, at) = (acting.left_at(end), to_the_second(clock.now()));
    Ok(DrainOutcome { end, reason: None, message: message.to_owned(), at, left, left_behind })
}

fn context(cluster: Cluster, clock: Clock, own_pod: Option<ObjectKey>) -> Context {
    let settings = Settings {
        identity: FIELD_MANAGER.to_owned(),
        namespace: String::new(),
        drain_taint_key: DRAIN_TAINT_KEY.to_owned(),
        own_pod,
    };
    Context {
        publisher: Publisher::new(cluster.client().clone(), settings.identity.clone()),
        cluster,
        clock,
        settings,
        blocked: std::sync::Arc::new(BlockedGauges::default()),
        hand_over: std::sync::Arc::new(|| false),
        delivery: None,
    }
}

/// Whether the node may go; a maintenance that the caches do not show is asked for.
async fn admitted(
    cluster: &Cluster,
    request: &DrainHere,
    options: &DrainOptions,
) -> Result<std::sync::Arc<Node>, OperationError> {
    let snapshot = cluster.snapshot();
    let missing = || OperationError::NodeNotFound { node: request.node.clone() };
    let node = snapshot.node(&request.node).cloned().ok_or_else(missing)?;
    match may_go(&request.node, Some(&request.id), &snapshot, options) {
        Ok(()) => {}
        Err(Refusal::AlreadyUnderMaintenance { node: name, by }) if snapshot.maintenance(&by).is_none() => {
            let RecordReading::Present(record) = Record::read(&node) else { return Ok(node) };
            match maintenance_is_gone(cluster.client(), &record.actor).await {
                // It is left to whoever restores the node from it.
                Ok(_) | Err(Unconfirmed::NotServed | Unconfirmed::Refused(_)) => {
                    return Err(OperationError::UnderMaintenance { node: name, by });
                }
                Err(error @ Unconfirmed::Unavailable(_)) => return Err(error.into()),
            }
        }
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(node)
}

/// There is no drain without the node Lease: whoever holds it is named at once.
async fn hold(acting: &mut Acting, node: &Node) -> Result<(), OperationError> {
    let mut held = acting.take_lease(node).await;
    if matches!(held, Err(NodeLeaseError::NamespaceMissing { .. })) {
        let made = ensure_namespace(acting.context.cluster.client().clone()).await;
        made.map_err(|error| OperationError::Forbidden { message: error.to_string() })?;
        held = acting.take_lease(node).await;
    }
    Ok(held?)
}

/// Takes the steps in their order, up to the first that has to wait; `Some`: it is over.
async fn round(acting: &mut Acting, node_uid: &Uid, options: &DrainOptions) -> Result<Option<Over>, Trouble> {
    let gone = Ok(Some((DrainEnd::NodeGone, "the node has left the cluster")));
    let found = acting.snapshot().node(&acting.node).filter(|node| node.uid == *node_uid).cloned();
    let Some(node) = found else { return gone };
    if acting.retry.at.is_some_and(|at| at > acting.now()) {
        return Ok(None);
    }
    acting.begin_drain(&node).await?;
    acting.drain_on(options, &[], |record, _| record.since).await
}

/// A process has no time to try for ever: what cannot be undone in a few tries is said.
async fn let_go(acting: &mut Acting, node_uid: &Uid, end: DrainEnd, options: &DrainOptions) -> Vec<String> {
    const TRIES: u32 = 3;
    let mut left_behind = None;
    for _ in 0..TRIES {
        let found = acting.snapshot().node(&acting.node).filter(|node| node.uid == *node_uid).cloned();
        let Some(node) = found else { break };
        match acting.let_go(&node, end == DrainEnd::Drained, options, &mut left_behind).await {
            Ok(()) => return left_behind.unwrap_or_default(),
            Err(trouble) => {
                let at = acting.failed(trouble);
                acting.context.clock.sleep_until(at).await;
            }
        }
    }
    let mut left = left_behind.unwrap_or_default();
    left.extend(acting.trouble.as_ref().map(|trouble| trouble.message.clone()));
    left
}

fn report(reporter: &watch::Sender<DrainReport>, acting: &Acting) {
    let (phase, progress) =
        acting.last.clone().map_or((None, Progress::default()), |(phase, progress)| (Some(phase), progress));
    let report = DrainReport { phase, progress, trouble: acting.trouble.clone() };
    reporter.send_if_modified(|shown| {
        let is_news = *shown != report;
        *shown = report;
        is_news
    });
}
