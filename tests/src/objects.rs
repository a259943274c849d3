//! Kubernetes objects as JSON.

use std::collections::BTreeMap;

use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use crate::again::{again_while, no_answer, no_verdict, turned_away};

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    api_version: &'static str,
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
}

/// Namespace of objects of cluster-scoped kinds.
pub const CLUSTER: &str = "";

/// The kinds that the suite uses.
pub mod kinds {
    use super::Kind;

    const fn cluster_scoped(api_version: &'static str, name: &'static str, plural: &'static str) -> Kind {
        Kind { api_version, name, plural, namespaced: false }
    }

    const fn namespaced(api_version: &'static str, name: &'static str, plural: &'static str) -> Kind {
        Kind { api_version, name, plural, namespaced: true }
    }

    macro_rules! kinds {
        ($($scope:ident $name:ident = $api_version:literal $kind:literal $plural:literal;)*) => {
            $(#[doc = concat!("`", $kind, "`")] pub const $name: Kind = $scope($api_version, $kind, $plural);)*
            pub(super) const ALL: &[Kind] = &[$($name),*];
        };
    }

    kinds! {
        cluster_scoped NODE = "v1" "Node" "nodes";
        cluster_scoped NAMESPACE = "v1" "Namespace" "namespaces";
        namespaced POD = "v1" "Pod" "pods";
        namespaced SERVICE = "v1" "Service" "services";
        namespaced EVENT = "v1" "Event" "events";
        namespaced DEPLOYMENT = "apps/v1" "Deployment" "deployments";
        namespaced DAEMON_SET = "apps/v1" "DaemonSet" "daemonsets";
        namespaced BUDGET = "policy/v1" "PodDisruptionBudget" "poddisruptionbudgets";
        namespaced SERVICE_ACCOUNT = "v1" "ServiceAccount" "serviceaccounts";
        namespaced CONFIG_MAP = "v1" "ConfigMap" "configmaps";
        namespaced LEASE = "coordination.k8s.io/v1" "Lease" "leases";
        cluster_scoped CUSTOM_RESOURCE_DEFINITION =
            "apiextensions.k8s.io/v1" "CustomResourceDefinition" "customresourcedefinitions";
        cluster_scoped API_SERVICE = "apiregistration.k8s.io/v1" "APIService" "apiservices";
        cluster_scoped VALIDATING_WEBHOOK =
            "admissionregistration.k8s.io/v1" "ValidatingWebhookConfiguration" "validatingwebhookconfigurations";
        cluster_scoped CLUSTER_ROLE = "rbac.authorization.k8s.io/v1" "ClusterRole" "clusterroles";
        cluster_scoped CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "clusterrolebindings";
        namespaced ROLE = "rbac.authorization.k8s.io/v1" "Role" "roles";
        namespaced ROLE_BINDING = "rbac.authorization.k8s.io/v1" "RoleBinding" "rolebindings";
        cluster_scoped SUBJECT_ACCESS_REVIEW =
            "authorization.k8s.io/v1" "SubjectAccessReview" "subjectaccessreviews";
        cluster_scoped MAINTENANCE = "nodemaintenance.kubevirt.io/v1beta1" "NodeMaintenance" "nodemaintenances";
        namespaced VM = "kubevirt.io/v1" "VirtualMachine" "virtualmachines";
        namespaced VMI = "kubevirt.io/v1" "VirtualMachineInstance" "virtualmachineinstances";
        namespaced MIGRATION =
            "kubevirt.io/v1" "VirtualMachineInstanceMigration" "virtualmachineinstancemigrations";
        namespaced KUBEVIRT = "kubevirt.io/v1" "KubeVirt" "kubevirts";
    }
}

impl Kind {
    /// Its plural, as in URLs.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.plural
    }

    pub(crate) fn resource(self) -> ApiResource {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", self.api_version));
        ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: self.api_version.into(),
            kind: self.name.into(),
            plural: self.plural.into(),
        }
    }

    fn of(object: &Value) -> Self {
        let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        *kinds::ALL
            .iter()
            .find(|known| known.api_version == api_version && known.name == kind)
            .unwrap_or_else(|| panic!("kind {api_version} {kind} is missing in objects.rs"))
    }
}

/// A client with the rights of that kubeconfig.
pub async fn client(kubeconfig: &str) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig of the control plane");
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    // It would ask again for minutes when an eviction is refused.
    config.default_retry = false;
    // Not `careen…`: the audit log counts by it.
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("end-to-end-suite")));
    Client::try_from(config).unwrap()
}

/// A user of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// As the user of that kubeconfig.
    pub async fn connect(kubeconfig: &str) -> Self {
        Self { client: client(kubeconfig).await }
    }

    pub(crate) fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        if kind.namespaced && !namespace.is_empty() {
            Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
        } else {
            Api::all_with(self.client.clone(), &kind.resource())
        }
    }

    /// The object, if it is there.
    pub async fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        let answer = again_while(no_verdict, async || self.api(kind, namespace).get_opt(name).await).await;
        answer.unwrap_or_else(|error| panic!("get {kind:?} {namespace}/{name}: {error}")).map(json_of)
    }

    /// The object; it has to be there.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Value {
        self.find(kind, namespace, name)
            .await
            .unwrap_or_else(|| panic!("{} {namespace}/{name} does not exist", kind.name))
    }

    /// All objects of the kind in that namespace (in [`CLUSTER`]: in all).
    pub async fn list(&self, kind: Kind, namespace: &str) -> Vec<Value> {
        self.select(kind, namespace, ListParams::default()).await
    }

    /// Those that the parameters choose.
    pub async fn select(&self, kind: Kind, namespace: &str, parameters: ListParams) -> Vec<Value> {
        let list = again_while(no_verdict, async || self.api(kind, namespace).list(&parameters).await).await;
        list.unwrap_or_else(|error| panic!("list {kind:?}: {error}")).items.into_iter().map(json_of).collect()
    }

    /// Waits until the kind is served: a definition is `Established` a little before its objects can be listed.
    pub async fn until_served(&self, kind: Kind) {
        crate::wait::soon(&format!("{} is served", kind.name), async || {
            let listed = self.api(kind, CLUSTER).list(&ListParams::default().limit(1)).await;
            listed.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Creates an object; its kind is in it.
    pub async fn create(&self, object: Value) -> Value {
        self.try_create(object.clone()).await.unwrap_or_else(|error| panic!("create {object}: {error}"))
    }

    /// Creates an object unless the API server refuses.
    pub async fn try_create(&self, object: Value) -> Result<Value, kube::Error> {
        let kind = Kind::of(&object);
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        // Made already, it would be refused the second time.
        let create = async || self.api(kind, &namespace).create(&PostParams::default(), &object).await;
        again_while(turned_away, create).await.map(json_of)
    }

    /// Creates the object, or changes it to be so.
    pub async fn apply(&self, object: Value) -> Value {
        match self.try_create(object.clone()).await {
            Ok(created) => created,
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let kind = Kind::of(&object);
                let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
                self.merge(kind, namespace, name, object.clone()).await
            }
            Err(error) => panic!("apply {object}: {error}"),
        }
    }

    /// A JSON merge patch.
    pub async fn merge(&self, kind: Kind, namespace: &str, name: &str, patch: Value) -> Value {
        let answer = self.try_merge(kind, namespace, name, &patch).await;
        answer.unwrap_or_else(|error| panic!("patch {} {namespace}/{name} with {patch}: {error}", kind.name))
    }

    /// A JSON merge patch that may be refused.
    pub async fn try_merge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, kube::Error> {
        let parameters = PatchParams::default();
        // It says how something is to be: twice is once.
        let merge = async || self.api(kind, namespace).patch(name, &parameters, &Patch::Merge(patch)).await;
        again_while(no_verdict, merge).await.map(json_of)
    }

    /// A JSON merge patch of the status.
    pub async fn merge_status(&self, kind: Kind, namespace: &str, name: &str, patch: &Value) -> Value {
        let answer = self.try_merge_status(kind, namespace, name, patch).await;
        answer.unwrap_or_else(|error| panic!("patch status of {} {namespace}/{name}: {error}", kind.name))
    }

    /// A JSON merge patch of the status that may be refused.
    pub async fn try_merge_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, kube::Error> {
        let parameters = PatchParams::default();
        let merge = async || self.api(kind, namespace).patch_status(name, &parameters, &Patch::Merge(patch)).await;
        again_while(no_verdict, merge).await.map(json_of)
    }

    /// Deletes an object; it may be gone already.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        self.delete_with(kind, namespace, name, &DeleteParams::default()).await;
    }

    /// Deletes a pod at once, without its grace.
    pub async fn delete_now(&self, kind: Kind, namespace: &str, name: &str, uid: Option<&str>) {
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let parameters = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
        self.delete_with(kind, namespace, name, &parameters).await;
    }

    async fn delete_with(&self, kind: Kind, namespace: &str, name: &str, parameters: &DeleteParams) {
        // What is gone the second time was deleted the first.
        match again_while(no_verdict, async || self.api(kind, namespace).delete(name, parameters).await).await {
            Ok(_) => {}
            // Gone, or somebody else under its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => panic!("delete {} {namespace}/{name}: {error}", kind.name),
        }
    }

    /// Evicts a pod, as kubectl would; the API server's answer.
    pub async fn evict(&self, namespace: &str, pod: &str, dry_run: bool) -> (u16, String) {
        let body = serde_json::json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "namespace": namespace, "name": pod },
        });
        let query = if dry_run { "?dryRun=All" } else { "" };
        let url = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction{query}");
        let request = http::Request::post(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body).unwrap())
            .unwrap();
        let evict = async || self.client.request::<Value>(request.clone()).await;
        // One that evicts nobody may be repeated.
        match again_while(|error| dry_run && no_answer(error), evict).await {
            Ok(_) => (201, String::new()),
            Err(kube::Error::Api(status)) => (status.code, status.message),
            Err(error) => panic!("evict {namespace}/{pod}: {error}"),
        }
    }

    /// A request as it is written: the answer's code and text.
    pub async fn raw(&self, request: http::Request<Vec<u8>>) -> (u16, String) {
        match self.client.request_text(request).await {
            Ok(text) => (200, text),
            Err(kube::Error::Api(status)) => (status.code, status.message),
            Err(error) => panic!("{error}"),
        }
    }
}

fn json_of(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}

/// The text at a JSON pointer; empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty where there is none.
#[must_use]
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `metadata.name`.
#[must_use]
pub fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.uid`.
#[must_use]
pub fn uid_of(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// One annotation or label: `annotation(object, "annotations", key)`.
fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.pointer("/metadata")?.get(map)?.get(key)?.as_str()
}

/// An annotation.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    entry(object, "annotations", key)
}

/// A label.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    entry(object, "labels", key)
}

/// `status.conditions`, by type.
#[must_use]
pub fn conditions(object: &Value) -> BTreeMap<&str, &Value> {
    list(object, "/status/conditions").iter().map(|condition| (text(condition, "/type"), condition)).collect()
}

/// The status of one condition: `True`, `False`, `Unknown`; empty where there is none.
#[must_use]
pub fn condition<'a>(object: &'a Value, type_: &str) -> &'a str {
    conditions(object).get(type_).map_or("", |condition| text(condition, "/status"))
}
