//! Live migrations: ask for one, follow it, cancel it.

use std::{
    sync::{Arc, OnceLock, PoisonError},
    time::Duration,
};

use careen_core::{
    cluster::Changes,
    model::{ObjectKey, Uid},
    operation::{CancelMigration, MigrateInstance, OperationError, Operations},
    view::{MigrationView, Views},
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use super::virtual_machine_instances::{check_names, node_of, unseen};
use crate::{
    cluster::Connected,
    error::Error,
    runtime::{awaitable, block_on, runtime, within},
};

/// So long the caches may take to show a migration that was made.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

async fn see_all(connected: Arc<Connected>) -> Result<String, Error> {
    let snapshot = connected.whole().await?.snapshot();
    let found: Vec<_> = Views::of(snapshot, connected.clock.now()).migrations().collect();
    Ok(serde_json::to_string(&found)?)
}

pair! { migrations, migrations_async = see_all() }

/// A migration that was asked for.
#[pyclass(frozen, module = "careen._careen")]
struct Migration(Arc<Asked>);

/// What it has. Its VM's namespace stays watched when the VM has gone to another node.
struct Asked {
    connected: Arc<Connected>,
    key: ObjectKey,
    /// Name of the VM.
    instance: String,
    operations: Operations,
    /// Its UID, as soon as the caches have shown it. Before that, that they do not show it says nothing.
    uid: OnceLock<Uid>,
    /// How it ended, as last seen: KubeVirt does not keep all of them.
    ended: std::sync::Mutex<Option<MigrationView>>,
}

impl Asked {
    /// Waits until the caches show it: what does not look for it there does not exist for them.
    async fn shown(&self) {
        if self.uid.get().is_none() {
            let shown = self.operations.until(|snapshot| snapshot.migration(&self.key).is_some());
            // Later is no error: whoever follows it waits on.
            tokio::time::timeout(SHOWN_WITHIN, shown).await.ok();
            self.view();
        }
    }

    fn view(&self) -> Option<MigrationView> {
        let snapshot = self.operations.cluster().snapshot();
        let mut is_over = false;
        if let Some(migration) = snapshot.migration(&self.key) {
            self.uid.get_or_init(|| migration.uid.clone());
            is_over = migration.is_finished();
        }
        let view = Views::of(snapshot, self.connected.clock.now()).migration(&self.key);
        if is_over {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&view);
        }
        view
    }
}

/// What a migration tells. Who reads slowly sees the latest.
#[pyclass(frozen, module = "careen._careen")]
struct MigrationEvents {
    asked: Arc<Asked>,
    progress: Arc<Mutex<Progress>>,
}

impl MigrationEvents {
    fn told(&self, timeout: Option<f64>) -> impl Future<Output = Result<Option<String>, Error>> + Send + 'static {
        let (asked, progress) = (self.asked.clone(), self.progress.clone());
        let told = async move { asked.connected.while_open(next(&asked, progress)).await };
        within(timeout, "news of the migration", told)
    }
}

struct Progress {
    changes: Changes,
    told: Option<MigrationView>,
}

async fn next(asked: &Asked, progress: Arc<Mutex<Progress>>) -> Result<Option<String>, Error> {
    let mut progress = progress.lock().await;
    loop {
        let view = asked.view();
        let is_gone = view.is_none() && asked.uid.get().is_some();
        if view != progress.told || is_gone {
            let text = view.as_ref().map(serde_json::to_string).transpose()?;
            progress.told = view;
            return Ok(text);
        }
        progress.changes.next().await;
    }
}

#[pymethods]
impl MigrationEvents {
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

#[pymethods]
impl Migration {
    #[getter]
    fn name(&self) -> &str {
        &self.0.key.name
    }

    /// Name of the VM.
    #[getter]
    fn instance(&self) -> &str {
        &self.0.instance
    }

    /// How it ended, as JSON; nothing while it runs.
    #[getter]
    fn result(&self) -> PyResult<Option<String>> {
        runtime()?;
        self.0.view();
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ended.as_ref().map(serde_json::to_string).transpose().map_err(Error::from)?)
    }

    /// What it tells from now on, beginning with how it is doing now.
    fn events(&self) -> PyResult<MigrationEvents> {
        runtime()?;
        let changes = self.0.operations.cluster().changes();
        let progress = Arc::new(Mutex::new(Progress { changes, told: None }));
        Ok(MigrationEvents { asked: self.0.clone(), progress })
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
        let asked = self.0.clone();
        async move {
            let call = async {
                asked.shown().await;
                let request = CancelMigration { key: asked.key.clone(), uid: asked.uid.get().cloned(), dry_run: false };
                Ok(asked.operations.cancel_migration(&request).await?)
            };
            Ok(asked.connected.call("cancel", call).await?.made_again)
        }
    }
}

async fn ask(connected: Arc<Connected>, namespace: String, name: String) -> Result<Migration, Error> {
    let key = ObjectKey::new(namespace, name);
    let starting = || OperationError::NotRunning { key: key.clone(), state: "starting" };
    let node = node_of(&connected, &key).await?.ok_or_else(starting)?;
    let watched = connected.around(&node).await?;
    let operations = connected.operations(watched);
    let instance = key.name.clone();
    let asked = operations.migrate(&MigrateInstance { key, requested_by: None, dry_run: false }).await?;
    let key = asked.migration.ok_or_else(|| Error::Internal("a migration without a name".to_owned()))?;
    Ok(followed(connected, key, instance, operations).await)
}

async fn followed(connected: Arc<Connected>, key: ObjectKey, instance: String, operations: Operations) -> Migration {
    let ended = std::sync::Mutex::default();
    let asked = Asked { connected, key, instance, operations, uid: OnceLock::new(), ended };
    // So that its end is known as such however soon it comes.
    asked.shown().await;
    Migration(Arc::new(asked))
}

/// A migration that is there, whoever has asked for it.
async fn take_up(connected: Arc<Connected>, namespace: String, name: String) -> Result<Migration, Error> {
    let key = ObjectKey::new(namespace, name);
    check_names(&key, "migration")?;
    let kind = GroupVersionKind::gvk("kubevirt.io", "v1", "VirtualMachineInstanceMigration");
    let kind = ApiResource::from_gvk(&kind);
    let api = Api::<DynamicObject>::namespaced_with(connected.client.clone(), &key.namespace, &kind);
    let missing = || OperationError::MigrationNotFound { key: key.clone() };
    let found = api.get(&key.name).await;
    let found = found.map_err(|error| unseen(&error, "VirtualMachineInstanceMigration", missing))?;
    let instance = found.data["spec"]["vmiName"].as_str().unwrap_or_default().to_owned();
    let node = match node_of(&connected, &ObjectKey::new(&key.namespace, &instance)).await {
        Err(Error::Operation(OperationError::VirtualMachineInstanceNotFound { .. })) => None,
        node => node?,
    };
    let around = match &node {
        Some(node) => Some(connected.around(node).await?),
        None => None,
    };
    let watched = match around.filter(|around| around.snapshot().migration(&key).is_some()) {
        Some(around) => around,
        // Its VM has ended, or runs on no node: around no node it is seen.
        None => connected.whole_once().await?,
    };
    let operations = connected.operations(watched);
    Ok(followed(connected, key, instance, operations).await)
}

pair! {
    /// A migration that is there.
    migration, migration_async = take_up(namespace: String, name: String) -> Migration
}

pair! {
    /// Migrates a VM to another node; KubeVirt chooses which.
    migrate, migrate_async = ask(namespace: String, name: String) -> Migration
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Migration>()?;
    module.add_class::<MigrationEvents>()?;
    add_pairs!(module: migrations, migrations_async, migration, migration_async, migrate, migrate_async);
    Ok(())
}
