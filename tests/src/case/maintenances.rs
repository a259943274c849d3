//! A case's maintenances, and what they say.

use serde_json::{Value, json};

use super::{Case, merge};
use crate::{
    kubectl::Output,
    objects::{CLUSTER, condition, conditions, kinds, list, text},
    wait::{self, DRAIN},
};

impl Case {
    /// The well-known manifest, with its name and node.
    #[must_use]
    pub fn manifest(&self, name: &str, node: &str) -> Value {
        json!({
            "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance",
            "metadata": {"name": name}, "spec": {"nodeName": node, "reason": "Replacing it"},
        })
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, manifest: &Value) -> Output {
        self.kubectl(&["apply", "-f", "-"], &manifest.to_string()).await
    }

    /// Applies the well-known manifest for that node: the maintenance's name.
    pub async fn maintain(&self, node: &str) -> String {
        self.maintain_with(node, json!({})).await
    }

    /// With further fields of the spec.
    pub async fn maintain_with(&self, node: &str, spec: Value) -> String {
        let name = format!("{node}-maintenance");
        let mut manifest = self.manifest(&name, node);
        merge(&mut manifest["spec"], spec);
        let _ = self.apply(&manifest).await.ok();
        name
    }

    /// The maintenance as it is.
    pub async fn maintenance(&self, name: &str) -> Value {
        self.cluster().get(kinds::MAINTENANCE, CLUSTER, name).await
    }

    /// Waits until a condition of the maintenance has that status: the maintenance.
    pub async fn until_condition(&self, name: &str, type_: &str, status: &str) -> Value {
        self.until_maintenance(name, &format!("{type_} is {status}"), |found| condition(found, type_) == status).await
    }

    /// Waits until it is so: the maintenance.
    pub async fn until_maintenance(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait::until(DRAIN, &format!("maintenance {name}: {what}"), async || {
            let found = self.maintenance(name).await;
            if is_so(&found) { Ok(found) } else { Err(summary(&found)) }
        })
        .await
    }

    /// Waits until the node is drained: the maintenance.
    pub async fn drained(&self, name: &str) -> Value {
        let found = self.until_condition(name, "Drained", "True").await;
        assert_eq!(text(&found, "/status/phase"), "Succeeded", "{}", summary(&found));
        found
    }

    /// Waits until the maintenance is refused: reason and sentence. Nothing of Careen's is on the object.
    pub async fn refused(&self, name: &str) -> Refusal {
        let found = self.until_condition(name, "Accepted", "False").await;
        assert_eq!(text(&found, "/status/phase"), "Failed", "{}", summary(&found));
        assert_eq!(list(&found, "/metadata/finalizers"), [] as [Value; 0], "a refused maintenance needs no finalizer");
        let accepted = conditions(&found)["Accepted"];
        Refusal { reason: text(accepted, "/reason").to_owned(), message: text(accepted, "/message").to_owned() }
    }

    /// `kubectl delete nm`, which waits until it is gone.
    pub async fn delete_maintenance(&self, name: &str) {
        let _ = self.kubectl(&["delete", "nm", name, "--timeout=90s"], "").await.ok();
    }
}

/// Why a maintenance was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What a maintenance says, in a few lines.
#[must_use]
pub fn summary(maintenance: &Value) -> String {
    use std::fmt::Write;
    let status = &maintenance["status"];
    let mut said = format!(
        "phase {}, progress {}, blocked {}, lastError {}",
        status["phase"], status["drainProgress"], status["blocked"], status["lastError"]
    );
    for (type_, condition) in conditions(maintenance) {
        let (reason, message) = (text(condition, "/reason"), text(condition, "/message"));
        write!(said, "\n  {type_}={} {reason}: {message}", text(condition, "/status")).unwrap();
    }
    for blocking in list(status, "/blocking") {
        write!(said, "\n  blocked: {blocking}").unwrap();
    }
    said
}

/// The entry of `status.blocking` about that workload.
#[must_use]
pub fn blocking<'a>(maintenance: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    list(maintenance, "/status/blocking")
        .iter()
        .find(|entry| text(entry, "/kind") == kind && text(entry, "/name") == name)
}
