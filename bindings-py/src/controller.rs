//! A controller in this process, for those who have no Careen service.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use careen_core::{
    cluster::Cluster as Watched,
    controller::{Controller as Engine, Settings},
    lease::{Leadership, LeaseError},
    names::DRAIN_TAINT_KEY,
    operation::new_drain_id,
};
use pyo3::prelude::*;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    cluster::Connected,
    error::Error,
    runtime::{awaitable, block_on},
};

/// Whether it can stand for election at all is known within this share of the time for a call, or told by the log only.
/// Filling the caches leaves a tenth of that time.
const STANDS_WITHIN: f64 = 0.08;

/// A controller that runs.
#[pyclass(frozen, module = "careen._careen")]
struct Controller {
    stop: watch::Sender<bool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[pymethods]
impl Controller {
    /// Finishes the requests that are on their way, and lets another one lead.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        block_on(py, self.stopped())
    }

    fn stop_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.stopped())
    }
}

impl Controller {
    fn stopped(&self) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        self.stop.send_replace(true);
        let task = self.task.clone();
        async move {
            let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
            match task {
                Some(task) => task.await.map_err(|error| Error::Internal(error.to_string())),
                None => Ok(()),
            }
        }
    }
}

async fn start(connected: Arc<Connected>, namespace: String) -> Result<Controller, Error> {
    let watched = Watched::with_orders(connected.client.clone(), &namespace, connected.metrics.clone());
    let watched = connected.filled(watched).await?;
    let identity = format!("careen-python-{}-{}", std::process::id(), new_drain_id());
    let settings = Settings { identity, namespace, drain_taint_key: DRAIN_TAINT_KEY.to_owned(), own_pod: None };
    let engine = Engine::new(watched, settings, connected.clock);
    let mut standing = engine.standing();
    let (stop, mut stopping) = watch::channel(false);
    let mut closed = connected.closed();
    let task = tokio::spawn(engine.run(async move {
        tokio::select! {
            // Dropped, it has to stop as well.
            _ = stopping.wait_for(|stop| *stop) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }));
    let controller = Controller { stop, task: Arc::new(Mutex::new(Some(task))) };
    if let Some(refused) = refusal(&mut standing, connected.timeout.mul_f64(STANDS_WITHIN)).await {
        controller.stopped().await?;
        return Err(Error::NoElection(refused));
    }
    Ok(controller)
}

/// Why it can never lead, unless somebody changes something.
async fn refusal(standing: &mut watch::Receiver<Leadership>, within: Duration) -> Option<Arc<LeaseError>> {
    let is_known = |standing: &Leadership| !matches!(standing, Leadership::Standby { holder: None });
    match tokio::time::timeout(within, standing.wait_for(is_known)).await.ok()?.ok()?.clone() {
        Leadership::Unavailable { error } if error.is_refusal() => Some(error),
        _ => None,
    }
}

/// Starts a controller; there when it knows the cluster.
#[pyfunction]
fn start_controller(py: Python<'_>, cluster: &crate::cluster::Cluster, namespace: String) -> PyResult<Controller> {
    let connected = cluster.connected()?;
    block_on(py, async move { connected.call("Controller", start(connected.clone(), namespace)).await })
}

#[pyfunction]
fn start_controller_async<'py>(
    py: Python<'py>,
    cluster: &crate::cluster::Cluster,
    namespace: String,
) -> PyResult<Bound<'py, PyAny>> {
    let connected = cluster.connected()?;
    awaitable(py, async move { connected.call("Controller", start(connected.clone(), namespace)).await })
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Controller>()?;
    add_pairs!(module: start_controller, start_controller_async);
    Ok(())
}
