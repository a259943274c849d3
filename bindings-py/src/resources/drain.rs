//! A drain in this process.
//!
//! It belongs to its `Cluster`, not to the handle that Python has: once somebody has had the handle, dropping it ends
//! no drain.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use careen_core::{
    controller::{DrainHere, DrainReport, ProcessDrain},
    model::{DrainOutcome, DrainSpec, Trouble, TroubleReason},
    operation::{OperationError, new_drain_id},
};
use pyo3::prelude::*;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    cluster::{self, Connected, node_name},
    drain_event::DrainEventView,
    error::Error,
    runtime::{awaitable, block_on, is_forked, runtime, within},
};

/// A drain that cannot begin is given so long to take away what it has written, before its error is told.
const FAREWELL: Duration = Duration::from_secs(2);

/// The drains of this process that may still run, whoever has their connection: at its end they are cancelled.
static RUNNING: Mutex<Vec<Parting>> = Mutex::new(Vec::new());

type Ended = Option<Result<DrainOutcome, OperationError>>;

/// A drain that runs, or has run.
pub(crate) struct Running {
    id: String,
    reports: watch::Receiver<DrainReport>,
    cancel: watch::Sender<bool>,
    result: watch::Receiver<Ended>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(drain: ProcessDrain, id: String) -> Self {
        let reports = drain.reports();
        let (cancel, cancelled) = watch::channel(false);
        let (finished, result) = watch::channel(None);
        let task = tokio::spawn(carry_out(drain, cancelled, finished));
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|parting| !parting.is_over());
        running.push(Parting { cancel: cancel.clone(), result: result.clone() });
        Self { id, reports, cancel, result, task }
    }

    pub(crate) fn cancel(&self) {
        // In a fork a thread that is not there may have the lock; and the drain is not this process's.
        if !is_forked() {
            self.cancel.send_replace(true);
        }
    }

    /// It takes too long to end: nothing more is sent, and its node Lease lapses.
    pub(crate) fn abandon(&self) {
        self.task.abort();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Result<DrainOutcome, Error> {
        let mut result = self.result.clone();
        let ended = result.wait_for(Option::is_some).await.map(|ended| ended.clone());
        match ended {
            Ok(Some(ended)) => Ok(ended?),
            Ok(None) | Err(_) => Err(Error::Closed),
        }
    }

    /// Waits until the node is held and cordoned, or it has ended. What time alone does not mend is told at once,
    /// anything else that is in the way when the time is over.
    async fn begun(&self, until: Instant, late: Error) -> Result<(), Error> {
        let mut reports = self.reports.clone();
        let decided =
            reports.wait_for(|report| report.phase.is_some() || report.trouble.as_ref().is_some_and(is_for_somebody));
        let decided = timeout_at(until, decided).await.map(|heard| heard.map(|report| report.phase.is_none()));
        let is_open = match decided {
            Ok(Ok(is_open)) => is_open,
            // It has ended.
            Ok(Err(_)) => return self.ended().await.map(drop),
            Err(_) => true,
        };
        let trouble = self.reports.borrow().trouble.clone();
        match trouble {
            Some(trouble) if is_open => {
                self.cancel();
                timeout_at(until.min(Instant::now() + FAREWELL), self.ended()).await.ok();
                Err(error_of(trouble).into())
            }
            None if is_open => Err(late),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.result.borrow().is_some()
    }
}

/// Whether somebody has to change something before it can go on.
fn is_for_somebody(trouble: &Trouble) -> bool {
    matches!(trouble.reason, TroubleReason::Forbidden | TroubleReason::NodeNotChanged)
}

fn error_of(trouble: Trouble) -> OperationError {
    let message = trouble.message;
    match trouble.reason {
        TroubleReason::Forbidden => OperationError::Forbidden { message },
        TroubleReason::NodeNotChanged => OperationError::Rejected { message, kubernetes_reason: None },
        TroubleReason::RecordOfAnother | TroubleReason::Contended => OperationError::Contended { message },
        _ => OperationError::ApiServerUnavailable { message },
    }
}

/// Nobody knows of it any more, nor of its connection: it ends, and takes its record away.
impl Drop for Running {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// What it takes to end a drain.
struct Parting {
    cancel: watch::Sender<bool>,
    result: watch::Receiver<Ended>,
}

impl Parting {
    /// Ended, or abandoned.
    fn is_over(&self) -> bool {
        self.result.borrow().is_some() || self.result.has_changed().is_err()
    }
}

/// Cancels all drains of this process at its end, and gives them a moment to take their records and Leases away.
#[pyfunction]
fn end_drains(py: Python<'_>) -> PyResult<()> {
    // A fork has none of its own.
    if is_forked() {
        return Ok(());
    }
    let mut running = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    running.retain(|parting| !parting.is_over());
    if running.is_empty() {
        return Ok(());
    }
    for parting in &running {
        parting.cancel.send_replace(true);
    }
    block_on(py, async move {
        let ended = async {
            for parting in &mut running {
                parting.result.wait_for(Option::is_some).await.ok();
            }
        };
        tokio::time::timeout(cluster::FAREWELL, ended).await.ok();
        Ok(())
    })
}

async fn carry_out(mut drain: ProcessDrain, mut cancelled: watch::Receiver<bool>, finished: watch::Sender<Ended>) {
    let asked = async { cancelled.wait_for(|cancelled| *cancelled).await.is_ok() };
    let result = tokio::select! {
        result = drain.wait() => result,
        // Otherwise nobody can cancel it any more: that is no reason to end it.
        true = asked => {
            drain.cancel();
            drain.wait().await
        }
    };
    finished.send_replace(Some(result));
}

/// A handle of a drain. Before somebody has taken it, who drops it cancels the drain: Ctrl-C or a cancelled task has
/// come between its beginning and whoever was to get it.
#[pyclass(frozen, module = "careen._careen")]
pub(crate) struct Drain {
    running: Arc<Running>,
    is_taken: AtomicBool,
}

impl Drop for Drain {
    fn drop(&mut self) {
        if !*self.is_taken.get_mut() {
            self.running.cancel();
        }
    }
}

#[pymethods]
impl Drain {
    /// Somebody has the handle: from now on the drain goes on without it.
    fn take(&self) {
        self.is_taken.store(true, Ordering::Relaxed);
    }

    #[getter]
    fn id(&self) -> &str {
        &self.running.id
    }

    /// How it ended, as JSON; nothing while it runs.
    #[getter]
    fn outcome(&self) -> PyResult<Option<String>> {
        runtime()?;
        match &*self.running.result.borrow() {
            None => Ok(None),
            Some(Ok(outcome)) => Ok(Some(json(outcome)?)),
            Some(Err(error)) => Err(Error::from(error.clone()).into()),
        }
    }

    /// How it is doing, as JSON; nothing before it has begun.
    #[getter]
    fn event(&self) -> PyResult<Option<String>> {
        runtime()?;
        Ok(DrainEventView::of(&self.running.reports.borrow()).map(|event| json(&event)).transpose()?)
    }

    /// Nothing new starts; does not wait.
    fn cancel(&self) -> PyResult<()> {
        runtime()?;
        self.running.cancel();
        Ok(())
    }

    /// What it tells from now on, beginning with how it is doing now.
    fn events(&self) -> PyResult<DrainEvents> {
        runtime()?;
        let mut reports = self.running.reports.clone();
        reports.mark_changed();
        Ok(DrainEvents { reports: Arc::new(tokio::sync::Mutex::new(reports)), drain: self.running.clone() })
    }

    /// Waits for its end, for so many seconds.
    #[pyo3(signature = (timeout))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<String> {
        block_on(py, within(timeout, "the end of the drain", end_of(self.running.clone())))
    }

    #[pyo3(signature = (timeout))]
    fn wait_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, within(timeout, "the end of the drain", end_of(self.running.clone())))
    }
}

async fn end_of(drain: Arc<Running>) -> Result<String, Error> {
    json(&drain.ended().await?)
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string(value)?)
}

/// What a drain tells. Who reads slowly sees the latest.
#[pyclass(frozen, module = "careen._careen")]
pub(crate) struct DrainEvents {
    reports: Arc<tokio::sync::Mutex<watch::Receiver<DrainReport>>>,
    drain: Arc<Running>,
}

#[pymethods]
impl DrainEvents {
    /// The next, as JSON; nothing after the last. A drain that failed raises why.
    #[pyo3(signature = (timeout))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<String>> {
        block_on(py, within(timeout, "news of the drain", next_event(self.reports.clone(), self.drain.clone())))
    }

    #[pyo3(signature = (timeout))]
    fn next_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, within(timeout, "news of the drain", next_event(self.reports.clone(), self.drain.clone())))
    }
}

async fn next_event(
    reports: Arc<tokio::sync::Mutex<watch::Receiver<DrainReport>>>,
    drain: Arc<Running>,
) -> Result<Option<String>, Error> {
    let mut reports = reports.lock().await;
    // An error says that it has ended and that the last one was seen.
    while reports.changed().await.is_ok() {
        let event = DrainEventView::of(&reports.borrow_and_update());
        if let Some(event) = event {
            return Ok(Some(json(&event)?));
        }
    }
    drain.ended().await?;
    Ok(None)
}

async fn begin(connected: Arc<Connected>, node: String, options: String) -> Result<Drain, Error> {
    let until = Instant::now() + connected.timeout.mul_f64(0.95);
    let node = node_name(&node)?;
    let options: DrainSpec = serde_json::from_str(&options)?;
    options.for_drain().map_err(OperationError::from)?;
    let cluster = connected.around(&node).await?;
    let id = new_drain_id();
    let late = Error::NotBegun { node: node.clone(), limit: connected.timeout };
    let request = DrainHere { id: id.clone(), node, options, own_pod: None };
    let running = Arc::new(Running::start(ProcessDrain::start(cluster, connected.clock, request), id.0));
    connected.keep(&running);
    let drain = Drain { running, is_taken: AtomicBool::new(false) };
    drain.running.begun(until, late).await?;
    Ok(drain)
}

pair! {
    /// Begins to drain a node; there when the node is cordoned.
    drain, drain_async = begin(node: String, options: String) -> Drain
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Drain>()?;
    module.add_class::<DrainEvents>()?;
    add_pairs!(module: drain, drain_async, end_drains);
    Ok(())
}
