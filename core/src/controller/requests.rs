//! The writes to a `NodeMaintenance`.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, REQUEST_TIMEOUT, lacks_right},
    model::{NodeMaintenance, Trouble, TroubleReason},
    names::{FIELD_MANAGER, FINALIZER},
};

/// Why a `NodeMaintenance` was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// It has gone, or was replaced, or changed meanwhile: what the watch brings next decides.
    #[error("the NodeMaintenance {0} changed or went meanwhile")]
    Changed(String),
    /// The right is missing.
    #[error("not allowed to patch the NodeMaintenance {name}: grant that right ({message})")]
    Forbidden { name: String, message: String },
    /// The API server does not take it, or cannot be reached.
    #[error("cannot write the NodeMaintenance {name}: {message}")]
    Failed { name: String, message: String },
}

impl From<WriteError> for Trouble {
    fn from(error: WriteError) -> Self {
        let reason = match error {
            WriteError::Changed(_) => TroubleReason::Contended,
            WriteError::Forbidden { .. } => TroubleReason::Forbidden,
            WriteError::Failed { .. } => TroubleReason::ApiServerUnavailable,
        };
        Self::new(reason, error.to_string())
    }
}

/// Adds Careen's finalizer; the object as it is then, or `None` if it has it.
pub(super) async fn add_finalizer(
    client: &Client,
    object: &NodeMaintenance,
) -> Result<Option<NodeMaintenance>, WriteError> {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    if has_finalizer(object) {
        return Ok(None);
    }
    finalizers.push(FINALIZER.to_owned());
    write_finalizers(client, object, finalizers).await.map(Some)
}

/// Removes Careen's finalizer; the object goes if it was the last.
pub(super) async fn remove_finalizer(client: &Client, object: &NodeMaintenance) -> Result<(), WriteError> {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    write_finalizers(client, object, finalizers).await.map(drop)
}

/// Whether it carries Careen's finalizer.
pub(super) fn has_finalizer(object: &NodeMaintenance) -> bool {
    object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

async fn write_finalizers(
    client: &Client,
    object: &NodeMaintenance,
    finalizers: Vec<String>,
) -> Result<NodeMaintenance, WriteError> {
    // Finalizers are one list: guarded by the version it was read at.
    let patch = json!({"metadata": {
        "uid": object.metadata.uid,
        "resourceVersion": object.metadata.resource_version,
        "finalizers": finalizers,
    }});
    write(client, object, patch, Part::Metadata).await
}

/// Marks up to which notice others were told. Guarded by the version it was read at: a leader that woke up too late
/// must not take back what another has marked.
pub(super) async fn mark_delivered(client: &Client, object: &NodeMaintenance, number: i64) -> Result<(), WriteError> {
    let patch = json!({"metadata": version_of(object), "status": {"notices": {"delivered": number}}});
    write(client, object, patch, Part::Status).await.map(drop)
}

/// Merges a patch into the status; the object as it is then.
pub(super) async fn write_status(
    client: &Client,
    object: &NodeMaintenance,
    status: Value,
) -> Result<NodeMaintenance, WriteError> {
    // A list is replaced whole: what is noted there must be what was read.
    let guard = if status.get("notices").is_some() { version_of(object) } else { json!({"uid": object.metadata.uid}) };
    let patch = json!({"metadata": guard, "status": status});
    write(client, object, patch, Part::Status).await
}

fn version_of(object: &NodeMaintenance) -> Value {
    json!({"uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version})
}

enum Part {
    Metadata,
    Status,
}

async fn write(
    client: &Client,
    object: &NodeMaintenance,
    patch: Value,
    part: Part,
) -> Result<NodeMaintenance, WriteError> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let api = Api::<NodeMaintenance>::all(client.clone());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(patch);
    let request = async {
        match part {
            Part::Metadata => api.patch(&name, &params, &patch).await,
            Part::Status => api.patch_status(&name, &params, &patch).await,
        }
    };
    match Answer::within(REQUEST_TIMEOUT, request).await {
        Answer::Done(object) => Ok(object),
        Answer::Refused(status) if status.is_not_found() || status.is_conflict() => Err(WriteError::Changed(name)),
        Answer::Refused(status) if lacks_right(&status) => Err(WriteError::Forbidden { name, message: status.message }),
        Answer::Refused(status) => Err(WriteError::Failed { name, message: status.message }),
        Answer::Unavailable(error) => Err(WriteError::Failed { name, message: error.to_string() }),
        Answer::TimedOut => {
            let message = format!("no answer in {} s", REQUEST_TIMEOUT.as_secs());
            Err(WriteError::Failed { name, message })
        }
    }
}
