//! Maintenances: start, stop, see, follow. Whoever runs the controller carries them out.

use std::{pin::Pin, sync::Arc};

use careen_core::{
    cluster::Cluster as Watched,
    model::{DrainSpec, NodeMaintenance, NodeName, Ticket, Uid},
    operation::{IfExists, OperationError, StartMaintenance, StopMaintenance, StopTarget},
    view::{MaintenancePhaseView, MaintenanceView},
};
use futures::{Stream, StreamExt};
use kube::{
    Api,
    api::ListParams,
    runtime::{WatchStreamExt, watcher},
};
use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    cluster::{Connected, node_name},
    error::Error,
    runtime::{awaitable, block_on, within},
};

/// A maintenance that was started, or had been.
#[derive(Serialize)]
struct StartedView {
    maintenance: MaintenanceView,
    created: bool,
    changed: bool,
}

/// What it says. What was said about an earlier spec does not count: nobody has decided about this one yet.
fn said(object: &NodeMaintenance) -> MaintenanceView {
    let view = MaintenanceView::from(object);
    let observed = object.status.as_ref().and_then(|status| status.observed_generation);
    if observed >= object.metadata.generation || view.phase == MaintenancePhaseView::Stopping {
        return view;
    }
    MaintenanceView {
        phase: MaintenancePhaseView::Undecided,
        accepted: None,
        conditions: Vec::new(),
        blocked: None,
        blocking: Vec::new(),
        last_error: None,
        ..view
    }
}

async fn known(connected: &Connected, node: Option<NodeName>) -> Result<Watched, Error> {
    if connected.looks_at_everything() {
        return connected.whole().await;
    }
    let (client, metrics) = (connected.client.clone(), connected.metrics.clone());
    connected.filled(Watched::nodes_and_maintenances(client, node, metrics)).await
}

async fn start(
    connected: Arc<Connected>,
    node: String,
    reason: Option<String>,
    ticket: Option<String>,
    options: Option<String>,
    dry_run: bool,
) -> Result<String, Error> {
    let node = node_name(&node)?;
    let ticket: Option<Ticket> = ticket.map(|ticket| serde_json::from_str(&ticket)).transpose()?;
    let drain: Option<DrainSpec> = options.map(|options| serde_json::from_str(&options)).transpose()?;
    let operations = connected.operations(known(&connected, Some(node.clone())).await?);
    let request = StartMaintenance {
        node,
        name: None,
        reason,
        ticket,
        drain,
        requested_by: None,
        if_exists: IfExists::Update,
        dry_run,
    };
    let started = operations.start_maintenance(&request).await?;
    let (created, changed) = (started.change.is_creation(), started.change.is_any());
    let maintenance = said(&started.object);
    Ok(serde_json::to_string(&StartedView { maintenance, created, changed })?)
}

async fn stop(
    connected: Arc<Connected>,
    node: String,
    ticket: Option<String>,
    force: bool,
    dry_run: bool,
) -> Result<String, Error> {
    stop_one(&connected, StopTarget::OfNode(node_name(&node)?), ticket, force, dry_run).await
}

/// Stops the maintenance of a handle: not one that has its name or its node by now.
async fn stop_exactly(
    connected: Arc<Connected>,
    name: String,
    uid: String,
    ticket: Option<String>,
) -> Result<String, Error> {
    stop_one(&connected, StopTarget::Exactly { name, uid: Uid(uid) }, ticket, false, false).await
}

async fn stop_one(
    connected: &Connected,
    target: StopTarget,
    ticket: Option<String>,
    force: bool,
    dry_run: bool,
) -> Result<String, Error> {
    let operations = connected.operations(known(connected, None).await?);
    let request = StopMaintenance { target, ticket, resource_version: None, force, dry_run };
    let stopped = operations.stop_maintenance(&request).await?;
    Ok(serde_json::to_string(&said(&stopped.object))?)
}

async fn see_all(connected: Arc<Connected>) -> Result<String, Error> {
    let listed = Api::<NodeMaintenance>::all(connected.client.clone()).list(&ListParams::default()).await;
    let found: Vec<_> = match listed {
        Ok(listed) => listed.iter().map(said).collect(),
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(Error::of_request("list nodemaintenances", &error)),
    };
    Ok(serde_json::to_string(&found)?)
}

/// The maintenance of that name; with a UID only that one.
async fn see(connected: Arc<Connected>, name: String, uid: Option<String>) -> Result<String, Error> {
    let found = Api::<NodeMaintenance>::all(connected.client.clone()).get_opt(&name).await;
    let found = found.map_err(|error| Error::of_request("get the NodeMaintenance", &error))?;
    let found = found.filter(|found| uid.as_ref().is_none_or(|uid| found.uid().as_str() == uid));
    let with_uid = uid.map(|uid| format!(" with UID {uid}")).unwrap_or_default();
    let missing = || OperationError::MaintenanceNotFound { what: format!("NodeMaintenance {name}{with_uid}") };
    Ok(serde_json::to_string(&said(&found.ok_or_else(missing)?))?)
}

pair! {
    start_maintenance, start_maintenance_async = start(
        node: String, reason: Option<String>, ticket: Option<String>, options: Option<String>, dry_run: bool,
    )
}
pair! {
    stop_maintenance, stop_maintenance_async = stop(node: String, ticket: Option<String>, force: bool, dry_run: bool)
}
pair! {
    stop_maintenance_exactly, stop_maintenance_exactly_async = stop_exactly(
        name: String, uid: String, ticket: Option<String>,
    )
}
pair! { maintenances, maintenances_async = see_all() }
pair! { maintenance, maintenance_async = see(name: String, uid: Option<String>) }

type Watch = Pin<Box<dyn Stream<Item = watcher::Result<Option<NodeMaintenance>>> + Send>>;

/// What a maintenance tells: one watch of one object.
#[pyclass(frozen, module = "careen._careen")]
struct MaintenanceEvents {
    connected: Arc<Connected>,
    watch: Arc<Mutex<Watch>>,
    /// That one, not a later one of its name.
    uid: String,
}

impl MaintenanceEvents {
    fn told(&self, timeout: Option<f64>) -> impl Future<Output = Result<Option<String>, Error>> + Send + 'static {
        let (connected, watch, uid) = (self.connected.clone(), self.watch.clone(), self.uid.clone());
        let told = async move { connected.while_open(next(watch, uid)).await };
        within(timeout, "news of the maintenance", told)
    }
}

#[pymethods]
impl MaintenanceEvents {
    /// The next, as JSON; nothing once it is gone.
    #[pyo3(signature = (timeout))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<String>> {
        block_on(py, self.told(timeout))
    }

    #[pyo3(signature = (timeout))]
    fn next_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.told(timeout))
    }
}

async fn next(watch: Arc<Mutex<Watch>>, uid: String) -> Result<Option<String>, Error> {
    let mut watch = watch.lock().await;
    loop {
        match watch.next().await {
            Some(Ok(Some(object))) if object.metadata.uid.as_deref() == Some(uid.as_str()) => {
                return Ok(Some(serde_json::to_string(&said(&object))?));
            }
            None | Some(Ok(_)) => return Ok(None),
            Some(Err(error)) => {
                if let watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) = &error
                    && matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
                {
                    return Err(Error::of_request("watch the NodeMaintenance", error));
                }
                tracing::debug!(%error, "the watch of a maintenance is tried again");
            }
        }
    }
}

/// Follows the maintenance of that name and UID.
#[pyfunction]
fn maintenance_events(cluster: &crate::cluster::Cluster, name: &str, uid: String) -> PyResult<MaintenanceEvents> {
    let connected = cluster.connected()?;
    let api = Api::<NodeMaintenance>::all(connected.client.clone());
    let watch: Watch = Box::pin(watcher::watch_object(api, name).default_backoff());
    Ok(MaintenanceEvents { connected, watch: Arc::new(Mutex::new(watch)), uid })
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MaintenanceEvents>()?;
    add_pairs!(module: start_maintenance, start_maintenance_async, stop_maintenance, stop_maintenance_async);
    add_pairs!(module: stop_maintenance_exactly, stop_maintenance_exactly_async);
    add_pairs!(module: maintenances, maintenances_async, maintenance, maintenance_async, maintenance_events);
    Ok(())
}
