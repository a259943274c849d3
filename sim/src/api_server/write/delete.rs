//! `DELETE`, of one object or of many: preconditions, grace, finalizers.
//! <https://github.com/kubernetes/apiserver/blob/master/pkg/registry/rest/delete.go>

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{
        builtin, definitions,
        history::Key,
        list, namespaces,
        query::{self, Query},
        refusal::{Cause, Refusal},
        reply::{Answer, Reply},
        resource_type::ResourceType,
        schema::{decode, types::TYPES},
        store::{Store, seconds},
    },
    Write, body, effects,
};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// `DeleteOptions`, from body or query.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct DeleteOptions {
    pub(in super::super) is_dry_run: bool,
    pub(in super::super) uid: Option<String>,
    pub(in super::super) resource_version: Option<String>,
    pub(in super::super) grace_seconds: Option<i64>,
    pub(in super::super) propagation: Option<Propagation>,
}

/// Of a Job, if nothing is said of its pods.
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
                         remove them or set propagationPolicy=Orphan to suppress this warning";

impl DeleteOptions {
    /// With these, objects that the server itself deletes go: what they own, the garbage collector deletes.
    pub(in super::super) fn in_background() -> Self {
        Self { propagation: Some(Propagation::Background), ..Self::default() }
    }

    fn warnings(&self, resource: &ResourceType) -> Vec<String> {
        let is_said = self.propagation.is_some() || !is_job(resource);
        if is_said { Vec::new() } else { vec![PODS_STAY.to_owned()] }
    }

    /// From the object in a body.
    pub(in super::super) fn parse(options: &Value) -> Result<Self, Refusal> {
        if let Some(of) = TYPES.kind("meta.k8s.io", "v1", "DeleteOptions").filter(|_| !options.is_null()) {
            decode::decode(of, options).map_err(Refusal::bad_request)?;
        }
        let strings = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|value| value.as_str().map(ToOwned::to_owned)).collect()
        };
        let orphans = options["orphanDependents"]
            .as_bool()
            .map(|orphans| if orphans { Propagation::Orphan } else { Propagation::Background });
        let propagation = propagation(options["propagationPolicy"].as_str().unwrap_or_default())?;
        if orphans.is_some() && propagation.is_some() {
            let message = format!(
                "Invalid value: {}: orphanDependents and deletionPropagation cannot be both set",
                options["propagationPolicy"]
            );
            let cause = Cause { reason: "FieldValueInvalid", message, field: "propagationPolicy".into() };
            return Err(query::invalid_options("DeleteOptions", &[cause]));
        }
        Ok(Self {
            is_dry_run: query::dry_run(&strings(&options["dryRun"]), "DeleteOptions")?,
            uid: options["preconditions"]["uid"].as_str().map(ToOwned::to_owned),
            resource_version: options["preconditions"]["resourceVersion"].as_str().map(ToOwned::to_owned),
            grace_seconds: options["gracePeriodSeconds"].as_i64(),
            propagation: propagation.or(orphans),
        })
    }

    /// As a real one, from the query only if nothing was sent: they are not mixed.
    fn of(write: &Write) -> Result<Self, Refusal> {
        if write.request.body.is_empty() {
            return Self::parse(&from_query(&write.request.query)?);
        }
        let body = body::any(write.request)?.unwrap_or_default();
        match (body["kind"].as_str(), body["apiVersion"].as_str()) {
            (None | Some("DeleteOptions"), _) => {}
            (Some(kind), version) => {
                let version = version.unwrap_or_default();
                return Err(Refusal::bad_request(format!(
                    "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
                )));
            }
        }
        Self::parse(&body)
    }
}

/// The parameters of a query, as the body that says the same.
fn from_query(query: &Query) -> Result<Value, Refusal> {
    let mut options = json!({});
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if query.has("orphanDependents") {
        options["orphanDependents"] = query.is_true("orphanDependents").into();
    }
    if !query.get("propagationPolicy").is_empty() {
        options["propagationPolicy"] = query.get("propagationPolicy").into();
    }
    if !query.get("uid").is_empty() {
        options["preconditions"]["uid"] = query.get("uid").into();
    }
    if query.has("dryRun") {
        options["dryRun"] = query.all("dryRun").into();
    }
    Ok(options)
}

fn is_job(resource: &ResourceType) -> bool {
    !resource.is_custom() && resource.group == "batch" && resource.kind == "Job"
}

/// What becomes of what the object owns, if nothing was said: a Job's pods stay, for the sake of old clients. Finalizers
/// that are there already say it as well.
fn usual_propagation(resource: &ResourceType, object: &Value) -> Option<Propagation> {
    let mut finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    let is_said = finalizers.any(|finalizer| finalizer == ORPHAN || finalizer == FOREGROUND);
    (is_job(resource) && !is_said).then_some(Propagation::Orphan)
}

fn propagation(text: &str) -> Result<Option<Propagation>, Refusal> {
    match text {
        "" => Ok(None),
        "Orphan" => Ok(Some(Propagation::Orphan)),
        "Background" => Ok(Some(Propagation::Background)),
        "Foreground" => Ok(Some(Propagation::Foreground)),
        other => Err(query::invalid_options(
            "DeleteOptions",
            &[Cause {
                reason: "FieldValueNotSupported",
                message: format!(
                    "Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                ),
                field: "propagationPolicy".into(),
            }],
        )),
    }
}

/// What came of it.
#[derive(Debug)]
pub(in super::super) enum Deleted {
    /// It is gone.
    Gone(Arc<Value>),
    /// It is marked, and goes later.
    Marked(Arc<Value>),
}

impl Deleted {
    fn object(&self) -> &Arc<Value> {
        match self {
            Self::Gone(object) | Self::Marked(object) => object,
        }
    }
}

/// Answers a `DELETE` of an object.
pub(in super::super) fn delete(store: &mut Store, write: &Write) -> Result<Answer, Refusal> {
    let options = DeleteOptions::of(write)?;
    let resource = write.resource;
    let deleted = delete_object(store, resource, &write.key(), &options)?;
    let object = deleted.object();
    let reply = match &deleted {
        Deleted::Gone(_) if !builtin::is_returned_when_deleted(resource) => {
            let mut details = json!({
                "name": object["metadata"]["name"], "kind": resource.plural, "uid": object["metadata"]["uid"],
            });
            if !resource.group.is_empty() {
                details["group"] = resource.group.as_ref().into();
            }
            Reply::Json {
                code: 200,
                body: json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                }),
            }
        }
        Deleted::Gone(_) | Deleted::Marked(_) => {
            Reply::Object { code: 200, resource: resource.clone(), object: object.clone() }
        }
    };
    Ok(Answer { reply, warnings: options.warnings(resource) })
}

/// Answers a `DELETE` of a collection.
pub(in super::super) fn delete_collection(store: &mut Store, write: &Write) -> Result<Answer, Refusal> {
    let options = DeleteOptions::of(write)?;
    let filter = list::filter(write.request, write.target, write.resource)?;
    let keys: Vec<Key> = store
        .all(&filter.storage, &filter.namespace)
        .filter(|(_, object)| filter.matches(object))
        .map(|(key, _)| key.clone())
        .collect();
    let mut objects = Vec::new();
    for key in keys {
        match delete_object(store, write.resource, &key, &options) {
            Ok(deleted) => objects.push(deleted.object().clone()),
            Err(refusal) if refusal.code == 404 => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let mut metadata = json!({ "resourceVersion": store.version().to_string() });
    if write.resource.is_custom() {
        metadata["continue"] = "".into();
    }
    let reply = Reply::List { resource: write.resource.clone(), objects, metadata };
    Ok(Answer { reply, warnings: options.warnings(write.resource) })
}

fn check_preconditions(resource: &ResourceType, object: &Value, options: &DeleteOptions) -> Result<(), Refusal> {
    let metadata = &object["metadata"];
    let there = |field: &str| metadata[field].as_str().unwrap_or_default();
    if let Some(uid) = options.uid.as_deref().filter(|uid| there("uid") != *uid) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            there("uid")
        );
        return Err(Refusal::precondition(resource, there("name"), &why));
    }
    if let Some(version) = options.resource_version.as_deref().filter(|version| there("resourceVersion") != *version) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            there("resourceVersion")
        );
        return Err(Refusal::precondition(resource, there("name"), &why));
    }
    Ok(())
}

/// The grace with which a pod goes.
fn grace_of_pod(pod: &Value, wanted: Option<i64>) -> i64 {
    let is_bound = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let is_finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !is_bound || is_finished {
        return 0;
    }
    let grace = wanted.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    // A negative grace is one second, as the kubelet sees it.
    if grace < 0 { 1 } else { grace }
}

fn set_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let mut finalizers: Vec<Value> = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match propagation {
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Background => {}
    }
    if finalizers.is_empty() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
    } else {
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn mark(store: &Store, object: &mut Value, grace: i64) {
    if object["metadata"]["deletionTimestamp"].is_null()
        && let Some(generation) = object["metadata"]["generation"].as_i64().filter(|generation| *generation > 0)
    {
        object["metadata"]["generation"] = json!(generation + 1);
    }
    let wait = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
    let at = store.now().checked_add(wait).unwrap_or_else(|_| store.now());
    object["metadata"]["deletionTimestamp"] = seconds(at).into();
    object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
}

/// Deletes an object, as far as grace and finalizers let it go.
pub(in super::super) fn delete_object(
    store: &mut Store,
    resource: &Arc<ResourceType>,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, Refusal> {
    let current = store.get(&resource.storage(), key).cloned();
    let current = current.ok_or_else(|| Refusal::not_found(resource, &key.1))?;
    check_preconditions(resource, &current, options)?;
    if !resource.is_custom() && resource.kind == "Namespace" {
        return namespaces::delete(store, resource, &current, options.is_dry_run);
    }
    if definitions::is_definition(resource) {
        return Ok(definitions::delete(store, resource, &current, options.is_dry_run));
    }
    let is_pod = !resource.is_custom() && resource.kind == "Pod";
    let mut object = Value::clone(&current);
    let is_marked = !object["metadata"]["deletionTimestamp"].is_null();
    let marked_grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let mut grace = 0;
    if is_pod {
        grace = match (is_marked, marked_grace) {
            // Only a shorter grace counts now, and none is not shorter than none.
            (true, Some(marked)) => match options.grace_seconds {
                Some(wanted) if wanted < marked => wanted.max(0),
                _ if marked > 0 || is_held(&object) => return Ok(Deleted::Marked(current)),
                _ => 0,
            },
            _ => grace_of_pod(&object, options.grace_seconds),
        };
    }
    let propagation = options.propagation.or_else(|| usual_propagation(resource, &object));
    set_finalizers(&mut object, propagation);
    let waits = grace > 0 || is_held(&object);
    if is_pod {
        if is_marked && let Some(marked) = marked_grace {
            move_deletion(&mut object, marked, grace);
        } else {
            mark(store, &mut object, grace);
        }
    } else if waits && !is_marked {
        mark(store, &mut object, 0);
    }
    if options.is_dry_run {
        let object = Arc::new(object);
        return Ok(if waits { Deleted::Marked(object) } else { Deleted::Gone(object) });
    }
    let stored_as = effects::stored_as(store, resource);
    // Watches see a pod marked before they see it gone.
    if is_pod || waits {
        let object = if object == *current { current.clone() } else { effects::put(store, &stored_as, object) };
        if waits {
            return Ok(Deleted::Marked(object));
        }
    }
    let gone = effects::remove(store, &resource.storage(), key);
    Ok(Deleted::Gone(gone.unwrap_or(current)))
}

/// A shorter grace: the time of deletion moves nearer by as much.
fn move_deletion(object: &mut Value, marked: i64, grace: i64) {
    let at = object["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let shorter = Duration::from_secs(u64::try_from(marked - grace).unwrap_or_default());
    if let Some(at) = at.and_then(|at| at.checked_sub(shorter).ok()) {
        object["metadata"]["deletionTimestamp"] = seconds(at).into();
    }
    object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
}
