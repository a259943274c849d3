//! A cluster in memory, to test scripts on.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use careen_core::{cluster::client_on, maintenance::custom_resource_definition, metrics::Metrics, names};
use careen_sim::{
    api_server::{
        Options, User,
        authorization::Authorization,
        builtin, custom,
        fault::Effect,
        http,
        refusal::Refusal,
        request::{Request, Target},
        resource_type::{ResourceType, Subresource},
    },
    clock::Clock,
    cluster::SimulatedCluster as Simulated,
    objects,
};
use pyo3::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    cluster::{Cluster, call_timeout, careen_core_namespace},
    error::Error,
    runtime::{block_on, runtime},
};

/// Who the controllers, kubelets and KubeVirt of such a cluster log in as.
const ACTORS: &str = "system:actors";

/// What a request does, as rights name it.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// What KubeVirt serves below its objects by itself.
const OF_KUBEVIRT: [&str; 2] = ["virtualmachineinstances/evacuate/cancel", "virtualmachines/migrate"];

/// `nodes`, `nodes/status`: all that can be asked for of a kind.
fn names_of(kind: &ResourceType) -> Vec<String> {
    let below = kind.subresources.iter().map(|below| match below {
        Subresource::Status => "status",
        Subresource::Scale => "scale",
        Subresource::Eviction => "eviction",
        Subresource::Binding => "binding",
        Subresource::Token => "token",
    });
    std::iter::once(kind.plural.to_string()).chain(below.map(|below| format!("{}/{below}", kind.plural))).collect()
}

/// An argument that has to be one of a few words.
fn one_of(
    argument: &'static str,
    given: &str,
    allowed: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<(), Error> {
    let allowed: Vec<_> = allowed.into_iter().collect();
    if allowed.iter().any(|word| word.as_ref() == given) {
        return Ok(());
    }
    let words: Vec<&str> = allowed.iter().map(AsRef::as_ref).collect();
    let message = format!("{argument}: {given:?} is none of {}", words.join(", "));
    Err(Error::InvalidArgument { argument, message })
}

/// `nodes`, `pods/eviction`.
fn named(target: &Target) -> String {
    if target.subresource.is_empty() {
        target.plural.clone()
    } else {
        format!("{}/{}", target.plural, target.subresource)
    }
}

/// Somebody whose rights are what the roles of the cluster say; nobody in particular may do everything.
fn user(name: Option<String>) -> User {
    let Some(name) = name else { return User::administrator() };
    match name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => User::service_account(namespace, name),
        None => User::new(name, &[]),
    }
}

fn json(argument: &'static str, text: &str) -> Result<Value, Error> {
    let invalid =
        |error: serde_json::Error| Error::InvalidArgument { argument, message: format!("{argument}: {error}") };
    serde_json::from_str(text).map_err(invalid)
}

/// What every object has. That much is checked even where nothing is.
fn has_a_name(object: &Value) -> Result<(), Error> {
    let metadata = &object["metadata"];
    let is_text = |field: &str| metadata[field].is_null() || metadata[field].is_string();
    let named = metadata["name"].as_str().is_some_and(|name| !name.is_empty());
    if named && ["namespace", "uid", "resourceVersion"].into_iter().all(is_text) {
        return Ok(());
    }
    let message = "an object has a metadata.name, and namespace, uid and resourceVersion are texts".to_owned();
    Err(Error::InvalidArgument { argument: "found", message })
}

fn refused(refusal: &Refusal) -> Error {
    Error::InvalidArgument { argument: "resource", message: refusal.to_string() }
}

/// A cluster in memory. It ends when it is closed or collected.
#[pyclass(frozen, module = "careen._careen")]
struct SimulatedCluster {
    running: Mutex<Option<Arc<Running>>>,
}

struct Running {
    cluster: Simulated,
    audit: Arc<Mutex<Vec<Value>>>,
    /// The HTTP server's address, and what ends it.
    server: tokio::sync::Mutex<Option<(String, oneshot::Sender<()>)>>,
}

impl SimulatedCluster {
    fn running(&self) -> Result<Arc<Running>, Error> {
        runtime()?;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)
    }
}

impl Running {
    /// The names of all that can be asked for.
    fn resources(&self) -> BTreeSet<String> {
        let mut kinds = builtin::resource_types();
        for definition in self.cluster.api_server().all("customresourcedefinitions.apiextensions.k8s.io") {
            // One that is not served has none.
            kinds.extend(custom::resource_types(&definition).unwrap_or_default());
        }
        let has_kubevirt = kinds.iter().any(|kind| kind.group == "kubevirt.io");
        let of_kubevirt = OF_KUBEVIRT.iter().filter(|_| has_kubevirt).map(|name| (*name).to_owned());
        kinds.iter().flat_map(names_of).chain(of_kubevirt).collect()
    }
}

async fn start(
    kubevirt: bool,
    eviction_strategy: Option<String>,
    scale: f64,
    seed: u64,
    still: bool,
) -> Result<Running, Error> {
    let audit = Arc::new(Mutex::new(Vec::new()));
    let told = audit.clone();
    let mut options = Options { authorization: Authorization::Rbac, ..Options::new(Clock::system(), seed) };
    options.audit = Some(Arc::new(move |event: &Value| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }));
    let definition = serde_json::to_value(custom_resource_definition())?;
    let mut builder = Simulated::builder().seed(seed).options(options).scaled(scale).object(definition);
    for namespace in [careen_core_namespace(), names::NODE_LEASE_NAMESPACE] {
        builder = builder.object(objects::namespace(namespace));
    }
    if kubevirt {
        builder = builder.kubevirt(eviction_strategy.as_deref());
    }
    if still {
        builder = builder.still();
    }
    Ok(Running { cluster: builder.start().await?, audit, server: tokio::sync::Mutex::default() })
}

#[pymethods]
impl SimulatedCluster {
    #[new]
    fn new(
        py: Python<'_>,
        kubevirt: bool,
        eviction_strategy: Option<String>,
        scale: f64,
        seed: u64,
        still: bool,
    ) -> PyResult<Self> {
        if !(scale.is_finite() && scale > 0.0) {
            let message = format!("scale is {scale}: it has to be a positive number");
            return Err(Error::InvalidArgument { argument: "scale", message }.into());
        }
        let running = block_on(py, start(kubevirt, eviction_strategy, scale, seed, still))?;
        Ok(Self { running: Mutex::new(Some(Arc::new(running))) })
    }

    /// A connection to it, without a socket.
    fn connect(&self, timeout: f64, whole: bool, user_name: Option<String>) -> PyResult<Cluster> {
        let running = self.running()?;
        let _context = runtime()?.enter();
        let metrics = Metrics::default();
        let service = running.cluster.api_server().as_user(user(user_name));
        Ok(Cluster::on(client_on(service, &metrics), metrics, call_timeout(timeout)?, whole))
    }

    /// Creates the objects of YAML or JSON documents.
    fn create(&self, py: Python<'_>, manifests: String) -> PyResult<()> {
        let running = self.running()?;
        block_on(py, async move { Ok(running.cluster.create_manifests(&manifests).await?) })
    }

    /// An object as JSON, read past the API.
    fn get(&self, resource: &str, namespace: &str, name: &str) -> PyResult<Option<String>> {
        Ok(self.running()?.cluster.api_server().get(resource, namespace, name).map(|object| object.to_string()))
    }

    /// All objects of a resource as JSON, read past the API.
    fn all(&self, resource: &str) -> PyResult<String> {
        let objects = self.running()?.cluster.api_server().all(resource);
        Ok(serde_json::to_string(&objects.iter().map(AsRef::as_ref).collect::<Vec<&Value>>()).map_err(Error::from)?)
    }

    /// Changes an object past all checks: a JSON merge patch.
    fn patch(&self, resource: &str, namespace: &str, name: &str, patch: &str) -> PyResult<()> {
        let patch = json("patch", patch)?;
        let server = self.running()?.cluster.api_server().clone();
        let mut checked = Ok(());
        let edited = server.edit(resource, namespace, name, |object| {
            let changed = objects::with(object.clone(), patch);
            checked = has_a_name(&changed);
            if checked.is_ok() {
                *object = changed;
            }
        });
        edited.map_err(|refusal| refused(&refusal))?;
        Ok(checked?)
    }

    /// Writes an object past all checks, as it is.
    fn put(&self, resource: &str, object: &str) -> PyResult<()> {
        let object = json("found", object)?;
        has_a_name(&object)?;
        let written = self.running()?.cluster.api_server().put(resource, object);
        Ok(written.map(drop).map_err(|refusal| refused(&refusal))?)
    }

    /// Removes an object past all checks. Says whether it was there.
    fn remove(&self, resource: &str, namespace: &str, name: &str) -> PyResult<bool> {
        Ok(self.running()?.cluster.api_server().remove(resource, namespace, name).is_some())
    }

    /// The audit log as JSON: one Event for each finished request of anybody.
    fn audit(&self) -> PyResult<String> {
        let running = self.running()?;
        let audit = running.audit.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(serde_json::to_string(&*audit).map_err(Error::from)?)
    }

    /// Lets requests of scripts go wrong, so many times or until `heal`. `resource` is `nodes` or `pods/eviction`.
    #[pyo3(signature = (verb, resource, how, times))]
    fn fail(&self, verb: String, resource: String, how: &str, times: Option<u32>) -> PyResult<()> {
        let effect = match how {
            "Forbidden" => {
                let who = User::administrator().name;
                let message = format!(
                    "{resource} is forbidden: User \"{who}\" cannot {verb} resource \"{resource}\" in API group \"\" at \
                     the cluster scope"
                );
                Effect::Refuse(Refusal::new(403, "Forbidden", message))
            }
            "Unauthorized" => Effect::Refuse(Refusal::new(401, "Unauthorized", "Unauthorized")),
            "Unavailable" => Effect::Refuse(Refusal::new(503, "ServiceUnavailable", "the server is away on request")),
            "Hang" => Effect::Hang,
            "DropConnection" => Effect::DropConnection,
            "LoseAnswer" => Effect::LoseAnswer,
            _ => {
                let allowed = ["Forbidden", "Unauthorized", "Unavailable", "Hang", "DropConnection", "LoseAnswer"];
                return Ok(one_of("how", how, allowed)?);
            }
        };
        let running = self.running()?;
        one_of("verb", &verb, VERBS)?;
        one_of("resource", &resource, running.resources())?;
        let is_meant = move |request: &Request| {
            // The cluster's own actors go on.
            request.user.name != ACTORS
                && request.verb == verb
                && request.target.as_ref().is_some_and(|target| named(target) == resource)
        };
        let mut faults = running.cluster.api_server().faults();
        match times {
            Some(times) => faults.add_times(times, is_meant, effect),
            None => faults.add(is_meant, effect),
        };
        Ok(())
    }

    /// Nothing goes wrong any more.
    fn heal(&self) -> PyResult<()> {
        self.running()?.cluster.api_server().faults().clear();
        Ok(())
    }

    /// Serves its API over HTTP on loopback, from the first call on. Gives the address.
    fn serve(&self, py: Python<'_>) -> PyResult<String> {
        let running = self.running()?;
        block_on(py, async move {
            let mut server = running.server.lock().await;
            if let Some((address, _)) = &*server {
                return Ok(address.clone());
            }
            let failed = |error: std::io::Error| Error::Internal(format!("cannot listen on loopback: {error}"));
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?.to_string();
            let (stop, stopped) = oneshot::channel();
            let service = running.cluster.api_server().by_token();
            tokio::spawn(http::serve(listener, service, async move {
                // Sent or dropped: it is over.
                stopped.await.ok();
            }));
            *server = Some((address.clone(), stop));
            Ok(address)
        })
    }

    /// Ends it. Connections to it find nobody.
    fn close(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// An object in short, as JSON, changed by a JSON merge patch. `number` and `text` are what the kind has beside its name.
#[pyfunction]
fn simulated_object(
    kind: &str,
    namespace: &str,
    name: &str,
    number: u32,
    text: Option<&str>,
    patch: &str,
) -> PyResult<String> {
    let patch = json("settings", patch)?;
    let amount = || text.map_or_else(|| Value::from(number), Value::from);
    let object = match kind {
        "Node" => objects::node(name),
        "ControlPlaneNode" => objects::control_plane_node(name),
        "Pod" => objects::pod(namespace, name),
        "Deployment" => objects::deployment(namespace, name, number),
        "StatefulSet" => objects::stateful_set(namespace, name, number),
        "DaemonSet" => objects::daemon_set(namespace, name),
        "MinAvailable" => objects::min_available(namespace, name, amount()),
        "MaxUnavailable" => objects::max_unavailable(namespace, name, amount()),
        "VirtualMachine" => objects::virtual_machine(namespace, name, text),
        _ => return Err(Error::Internal(format!("there is no short form of a {kind}")).into()),
    };
    Ok(objects::with(object, patch).to_string())
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SimulatedCluster>()?;
    module.add_function(wrap_pyfunction!(simulated_object, module)?)?;
    Ok(())
}
