//! Live migrations: ask for one, follow it, cancel it.

use std::sync::Arc;

use careen_core::{
    clock::Clock,
    cluster::{Changes, Cluster as Watched},
    model::{ObjectKey, Uid},
    operation::{CancelMigration, MigrateInstance, Operations},
    view::{MigrationView, Views},
};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::{
    cluster::Connected,
    error::Error,
    runtime::{awaitable, block_on, within},
    virtual_machine_instance::node_of,
};

async fn see_all(connected: Arc<Connected>) -> Result<String, Error> {
    let snapshot = connected.whole().await?.snapshot();
    let found: Vec<_> = Views::of(snapshot, connected.clock.now()).migrations().collect();
    Ok(serde_json::to_string(&found)?)
}

pair! { migrations, migrations_async = see_all() }

/// A migration that was asked for.
#[pyclass(frozen, module = "careen._careen")]
struct Migration {
    connected: Arc<Connected>,
    key: ObjectKey,
    operations: Operations,
    progress: Arc<Mutex<Progress>>,
}

/// What is told of it. Its VM's namespace stays watched when the VM has gone to another node.
struct Progress {
    watched: Watched,
    changes: Changes,
    clock: Clock,
    key: ObjectKey,
    told: Option<MigrationView>,
}

impl Progress {
    /// The next, as JSON; nothing once it is gone.
    async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            let view = Views::of(self.watched.snapshot(), self.clock.now()).migration(&self.key);
            if view != self.told {
                let text = view.as_ref().map(serde_json::to_string).transpose()?;
                self.told = view;
                return Ok(text);
            }
            // Before it is in the caches there is nothing to tell.
            self.changes.next().await;
        }
    }
}

async fn next(progress: Arc<Mutex<Progress>>) -> Result<Option<String>, Error> {
    progress.lock().await.next().await
}

#[pymethods]
impl Migration {
    #[getter]
    fn name(&self) -> &str {
        &self.key.name
    }

    /// What it tells next, as JSON; nothing once it is gone.
    #[pyo3(signature = (timeout))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<String>> {
        block_on(py, within(timeout, "news of the migration", next(self.progress.clone())))
    }

    #[pyo3(signature = (timeout))]
    fn next_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, within(timeout, "news of the migration", next(self.progress.clone())))
    }

    /// Aborts it. Says whether KubeVirt makes another, because the VM is still to leave its node.
    fn cancel(&self, py: Python<'_>) -> PyResult<bool> {
        block_on(py, self.cancelled())
    }

    fn cancel_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.cancelled())
    }
}

impl Migration {
    fn cancelled(&self) -> impl Future<Output = Result<bool, Error>> + Send + 'static {
        let (connected, operations, progress) =
            (self.connected.clone(), self.operations.clone(), self.progress.clone());
        let key = self.key.clone();
        async move {
            let uid = match progress.try_lock() {
                Ok(progress) => progress.told.as_ref().and_then(|told| told.uid.clone()),
                Err(_) => None::<Uid>,
            };
            let request = CancelMigration { key, uid, dry_run: false };
            let call = async { Ok(operations.cancel_migration(&request).await?) };
            Ok(connected.call("cancel", call).await?.made_again)
        }
    }
}

async fn ask(connected: Arc<Connected>, namespace: String, name: String) -> Result<Migration, Error> {
    let key = ObjectKey::new(namespace, name);
    let node = node_of(&connected, &key).await?;
    let watched = connected.around(&node).await?;
    let changes = watched.changes();
    let operations = connected.operations(watched.clone());
    let asked = operations.migrate(&MigrateInstance { key, requested_by: None, dry_run: false }).await?;
    let key = asked.migration.ok_or_else(|| Error::Internal("a migration without a name".to_owned()))?;
    let progress = Progress { watched, changes, clock: connected.clock, key: key.clone(), told: None };
    Ok(Migration { connected, key, operations, progress: Arc::new(Mutex::new(progress)) })
}

/// Migrates a VM to another node; KubeVirt chooses which.
#[pyfunction]
fn migrate(py: Python<'_>, cluster: &crate::cluster::Cluster, namespace: String, name: String) -> PyResult<Migration> {
    let connected = cluster.connected()?;
    block_on(py, async move { connected.call("migrate", ask(connected.clone(), namespace, name)).await })
}

#[pyfunction]
fn migrate_async<'py>(
    py: Python<'py>,
    cluster: &crate::cluster::Cluster,
    namespace: String,
    name: String,
) -> PyResult<Bound<'py, PyAny>> {
    let connected = cluster.connected()?;
    awaitable(py, async move { connected.call("migrate", ask(connected.clone(), namespace, name)).await })
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Migration>()?;
    add_pairs!(module: migrations, migrations_async, migrate, migrate_async);
    Ok(())
}
