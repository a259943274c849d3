//! VMs that run.

use std::sync::Arc;

use careen_core::{
    cluster::Cluster as Watched,
    model::{NodeName, ObjectKey},
    operation::OperationError,
    view::Views,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use pyo3::prelude::*;

use crate::{cluster::Connected, error::Error};

async fn see_all(connected: Arc<Connected>) -> Result<String, Error> {
    let snapshot = connected.whole().await?.snapshot();
    let found: Vec<_> = Views::of(snapshot, connected.clock.now()).virtual_machine_instances().collect();
    Ok(serde_json::to_string(&found)?)
}

async fn see(connected: Arc<Connected>, namespace: String, name: String) -> Result<String, Error> {
    let key = ObjectKey::new(namespace, name);
    let view = |watched: Watched| Views::of(watched.snapshot(), connected.clock.now()).virtual_machine_instance(&key);
    let mut found = match node_of(&connected, &key).await? {
        Some(node) => view(connected.around(&node).await?),
        None => None,
    };
    if found.is_none() {
        // It has no node yet, or its pod has gone: around no node it is seen.
        found = view(connected.whole_once().await?);
    }
    Ok(serde_json::to_string(&found.ok_or(OperationError::VirtualMachineInstanceNotFound { key })?)?)
}

/// Refuses what cannot stand in a path of the API; `argument` is that of the name.
pub(crate) fn check_names(key: &ObjectKey, argument: &'static str) -> Result<(), Error> {
    for (argument, text) in [("namespace", &key.namespace), (argument, &key.name)] {
        // What else is no name, the API server says.
        if text.is_empty() || text.contains(['/', '\0']) || text == "." || text == ".." {
            let message = format!("{argument} {text:?} is not a name that Kubernetes takes");
            return Err(Error::InvalidArgument { argument, message });
        }
    }
    Ok(())
}

/// Where a VM runs: the node around which everything about it is to be seen. `None`: it is starting.
pub(crate) async fn node_of(connected: &Connected, key: &ObjectKey) -> Result<Option<NodeName>, Error> {
    check_names(key, "instance")?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("kubevirt.io", "v1", "VirtualMachineInstance"));
    let api = Api::<DynamicObject>::namespaced_with(connected.client.clone(), &key.namespace, &kind);
    let missing = || OperationError::VirtualMachineInstanceNotFound { key: key.clone() };
    let found = api.get(&key.name).await.map_err(|error| unseen(&error, "VirtualMachineInstance", missing))?;
    Ok(found.data["status"]["nodeName"].as_str().and_then(|name| name.parse().ok()))
}

/// Why an object of KubeVirt's could not be read.
pub(crate) fn unseen(error: &kube::Error, kind: &str, missing: impl FnOnce() -> OperationError) -> Error {
    match error {
        // What nobody serves names no object, and often comes as bare text.
        kube::Error::Api(status) if status.code == 404 => {
            let names_it = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
            let message = format!("the cluster has no {kind}s: KubeVirt is not installed");
            Error::from(if names_it { missing() } else { OperationError::NotServed { message } })
        }
        error => Error::of_request(&format!("get the {kind}"), error),
    }
}

pair! { virtual_machine_instances, virtual_machine_instances_async = see_all() }
pair! { virtual_machine_instance, virtual_machine_instance_async = see(namespace: String, name: String) }

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: virtual_machine_instances, virtual_machine_instances_async);
    add_pairs!(module: virtual_machine_instance, virtual_machine_instance_async);
    Ok(())
}
