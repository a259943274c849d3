//! One watch: keeps one kind of object of one part of the cluster in the shared snapshot.

use std::{
    collections::BTreeSet,
    fmt::{Debug, Display},
    sync::Arc,
};

use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, ObjectMeta},
    core::{DeserializeGuard, DynamicObject, GroupVersionKind},
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    Kept,
    apply::{Key, Part},
    failures::{Failures, code, sentence},
    shared::{Shared, WatchState},
};
use crate::{metrics::KindLabels, model::Receipt};

/// A watch is renewed this often; a connection that was silently dropped is noticed five seconds later.
const WATCH_TIMEOUT_SECONDS: u32 = 120;

/// What is on the wire of a watch, and how it becomes what is kept.
pub(super) trait Wire: Resource + Clone + Debug + DeserializeOwned + Send + 'static {
    /// What is kept of it.
    type Kept: Kept;

    /// The object that is kept, or why there is none.
    fn keep(self) -> Result<Self::Kept, Undecodable>;
}

/// An object that cannot be read.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) metadata: Box<ObjectMeta>,
    pub(super) error: String,
}

/// What it means that the API server does not let objects be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing can be done without them.
    Always,
    /// Their kind need not be served.
    IfServed,
    /// Whoever looks at the snapshot can tell that they are missing.
    IfAllowed,
}

/// Follows the objects until the task is aborted.
pub(super) async fn follow<W: Wire>(
    api: Api<W>,
    config: watcher::Config,
    kind: &'static str,
    part: Part,
    need: Need,
    shared: Arc<Shared>,
) {
    let config = config.timeout(WATCH_TIMEOUT_SECONDS);
    let mut events = std::pin::pin!(watcher::watcher(api.clone(), config.clone()));
    let mut failures = Failures::default();
    let mut listed: Vec<W::Kept> = Vec::new();
    let mut unreadable = BTreeSet::new();
    loop {
        let event = match timeout(failures.over_after(), events.next()).await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(_) => {
                failures.are_over(kind);
                shared.set_old(kind, &part, None);
                continue;
            }
        };
        if matches!(event, Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_))) {
            failures.are_over(kind);
            shared.set_old(kind, &part, None);
        }
        match event {
            Ok(Event::Init) => {
                listed.clear();
                unreadable.clear();
            }
            Ok(Event::InitApply(object)) => match keep(object, kind, &shared) {
                Ok(object) => listed.push(object),
                Err(metadata) => unreadable.extend(<W::Kept as Kept>::Key::of(&metadata)),
            },
            Ok(Event::InitDone) => {
                let (objects, keep) = (std::mem::take(&mut listed), std::mem::take(&mut unreadable));
                shared.change(|snapshot| snapshot.replace::<W::Kept>(&part, objects, &keep));
                shared.set_state(kind, &part, WatchState::Synced);
            }
            Ok(Event::Apply(object)) => {
                // One that cannot be read stays as it was last seen: it has not gone.
                if let Ok(object) = keep(object, kind, &shared) {
                    shared.change(|snapshot| snapshot.put_seen(&part, object));
                }
            }
            Ok(Event::Delete(object)) => {
                shared.change(|snapshot| snapshot.take_seen::<W::Kept>(object.meta()));
            }
            Err(error) => {
                shared.metrics.watch_failures.get_or_create(&KindLabels { kind }).inc();
                let failure = sentence(&error);
                let state = match (need, code(&error)) {
                    (Need::IfServed, Some(404)) => {
                        shared.change(|snapshot| snapshot.replace::<W::Kept>(&part, Vec::new(), &BTreeSet::new()));
                        // If it is served again, nothing of what was known before counts.
                        events.set(watcher::watcher(api.clone(), config.clone()));
                        WatchState::NotServed
                    }
                    (Need::IfAllowed, Some(403)) => WatchState::NotAllowed { error: failure.clone() },
                    _ => WatchState::Failing { error: failure.clone() },
                };
                shared.set_state(kind, &part, state);
                if failures.last_long() {
                    shared.set_old(kind, &part, Some(&failure));
                }
                failures.pause(kind, &failure).await;
            }
        }
    }
}

fn keep<W: Wire>(object: W, kind: &'static str, shared: &Shared) -> Result<W::Kept, Box<ObjectMeta>> {
    object.keep().map_err(|Undecodable { metadata, error }| {
        shared.metrics.undecodable_objects.get_or_create(&KindLabels { kind }).inc();
        tracing::warn!(kind, namespace = ?metadata.namespace, name = ?metadata.name, error, "an object cannot be read");
        metadata
    })
}

/// Typed kinds are decoded behind a guard, so that one bad object does not stall the others.
impl<K> Wire for DeserializeGuard<K>
where
    K: FromWire + Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    type Kept = K::Kept;

    fn keep(self) -> Result<K::Kept, Undecodable> {
        match self.0 {
            Ok(object) => {
                let metadata = object.meta().clone();
                object.convert().map_err(|error| Undecodable { metadata: Box::new(metadata), error })
            }
            Err(invalid) => Err(Undecodable { metadata: Box::new(invalid.metadata), error: invalid.error }),
        }
    }
}

/// A typed kind, and what is kept of it.
pub(super) trait FromWire {
    type Kept: Kept;

    fn convert(self) -> Result<Self::Kept, String>;
}

impl FromWire for k8s_openapi::api::core::v1::Node {
    type Kept = crate::model::Node;

    fn convert(self) -> Result<Self::Kept, String> {
        self.try_into().map_err(|error: crate::model::InvalidNodeName| error.to_string())
    }
}

impl FromWire for k8s_openapi::api::core::v1::Pod {
    type Kept = crate::model::Pod;

    fn convert(self) -> Result<Self::Kept, String> {
        Ok(self.into())
    }
}

impl FromWire for k8s_openapi::api::policy::v1::PodDisruptionBudget {
    type Kept = crate::model::Budget;

    fn convert(self) -> Result<Self::Kept, String> {
        Ok(self.into())
    }
}

impl FromWire for k8s_openapi::api::coordination::v1::Lease {
    type Kept = crate::model::NodeClaim;

    fn convert(self) -> Result<Self::Kept, String> {
        Ok(self.into())
    }
}

impl FromWire for k8s_openapi::api::core::v1::ConfigMap {
    type Kept = crate::model::DrainOrder;

    fn convert(self) -> Result<Self::Kept, String> {
        self.try_into().map_err(|error: crate::model::InvalidDrainOrder| error.to_string())
    }
}

impl FromWire for crate::model::NodeMaintenance {
    type Kept = Self;

    fn convert(mut self) -> Result<Self, String> {
        self.metadata.managed_fields = None;
        Ok(self)
    }
}

/// An object as it is on the wire: any JSON decodes.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Untyped<K> {
    object: DynamicObject,
    #[serde(skip)]
    kept: std::marker::PhantomData<fn() -> K>,
}

/// The API of a KubeVirt kind, in one namespace or in all.
pub(super) fn kubevirt_api<K>(client: &Client, kind: &str, namespace: Option<&str>) -> Api<Untyped<K>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kubevirt.io", "v1", kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// The API of receipts, which are `ConfigMap`s, in Careen's namespace.
pub(super) fn receipts_api(client: &Client, namespace: &str) -> Api<Untyped<Receipt>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

impl<K> Resource for Untyped<K> {
    type DynamicType = <DynamicObject as Resource>::DynamicType;
    type Scope = <DynamicObject as Resource>::Scope;

    fn kind(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        DynamicObject::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        DynamicObject::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        DynamicObject::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        DynamicObject::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.object.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.object.metadata
    }
}

impl<K> Wire for Untyped<K>
where
    K: Kept + TryFrom<DynamicObject, Error: Display> + Debug,
{
    type Kept = K;

    fn keep(self) -> Result<K, Undecodable> {
        let ObjectMeta { name, namespace, uid, .. } = &self.object.metadata;
        let (name, namespace, uid) = (name.clone(), namespace.clone(), uid.clone());
        let metadata = Box::new(ObjectMeta { name, namespace, uid, ..ObjectMeta::default() });
        self.object.try_into().map_err(|error: K::Error| Undecodable { metadata, error: error.to_string() })
    }
}
