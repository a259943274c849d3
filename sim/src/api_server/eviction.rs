//! `/eviction` of pods: budgets first.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/storage/eviction.go>

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    query,
    refusal::Refusal,
    reply::{Answer, Reply},
    resource_type::ResourceType,
    server::ApiServer,
    store::{Store, seconds},
    webhook,
    write::{
        Write, admission, body,
        delete::{DeleteOptions, delete_object},
        effects,
    },
};
use crate::selector::LabelSelector;

/// As often as a conflict is tried again, and how long that waits in between (`EvictionsRetry`).
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// As many evictions as a budget waits for before it refuses more (`MaxDisruptedPodSize`).
const MOST_DISRUPTED: usize = 2000;

const BUDGETS: &str = "poddisruptionbudgets.policy";
const WOULD_VIOLATE: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const CAUSE: &str = "DisruptionBudget";

/// Answers a `POST` to a pod's `/eviction`.
pub(super) async fn evict(server: &ApiServer, write: &Write<'_>) -> Result<Answer, Refusal> {
    let eviction = parse(write)?;
    if eviction["metadata"]["name"].as_str().unwrap_or_default() != write.target.name {
        return Err(Refusal::bad_request("name in URL does not match name in Eviction object"));
    }
    admission::namespace_must_take_it(&server.store(), write.resource, &write.key())?;
    let is_dry_run = propagate_dry_run(&eviction, write)?;
    let options = DeleteOptions { is_dry_run, ..DeleteOptions::parse(&eviction["deleteOptions"])? };
    let review = webhook::Review {
        operation: "CREATE",
        subresource: "eviction",
        kind: json!({ "group": "policy", "version": "v1", "kind": "Eviction" }),
        object: &eviction,
        is_dry_run: options.is_dry_run,
    };
    let warnings = webhook::ask(server, write, &review).await?;
    let reply = delete_when_allowed(server, write, &options).await?;
    Ok(Answer { reply, warnings })
}

fn parse(write: &Write) -> Result<Value, Refusal> {
    let mut eviction = body::object_of(write.request, "Eviction")?;
    let kind = eviction["kind"].as_str().unwrap_or("Eviction");
    let version = eviction["apiVersion"].as_str().unwrap_or("policy/v1");
    if kind != "Eviction" || !matches!(version, "policy/v1" | "policy/v1beta1") {
        return Err(Refusal::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a Eviction: no kind {kind:?} is registered for version \
             {version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    // A real API server drops the unknown field, and with it preconditions, grace and dry run.
    if eviction.get("delete_options").is_some() {
        return Err(Refusal::bad_request(
            "the Eviction has \"delete_options\" where Kubernetes reads \"deleteOptions\": kube's Api::evict sends it, \
             and a real API server would drop it without a word; careen-sim refuses it",
        ));
    }
    eviction["kind"] = "Eviction".into();
    eviction["apiVersion"] = "policy/v1".into();
    match eviction["metadata"]["namespace"].as_str().unwrap_or_default() {
        "" => eviction["metadata"]["namespace"] = write.target.namespace.as_str().into(),
        namespace if namespace == write.target.namespace => {}
        _ => {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(why));
        }
    }
    Ok(eviction)
}

fn propagate_dry_run(eviction: &Value, write: &Write) -> Result<bool, Refusal> {
    let in_query = write.request.query.is_dry_run("CreateOptions")?;
    let in_body: Vec<&str> =
        eviction["deleteOptions"]["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if in_query && !in_body.is_empty() && in_body != ["All"] {
        let why = "Non-matching dry-run options in request and content: [All] and";
        return Err(Refusal::new(500, "", format!("{why} [{}]", in_body.join(" "))));
    }
    Ok(in_query || query::dry_run(&in_body, "DeleteOptions")?)
}

fn success() -> Reply {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Reply::Json { code: 201, body }
}

/// What one attempt came to.
enum Attempt {
    Deleted,
    /// Budgets have to be asked.
    Guarded(Arc<Value>),
}

async fn delete_when_allowed(server: &ApiServer, write: &Write<'_>, options: &DeleteOptions) -> Result<Reply, Refusal> {
    let is_tried_again = options.resource_version.is_none();
    let mut attempt = 1;
    let pod = loop {
        let outcome = attempt_unguarded(&mut server.store(), write, options);
        match outcome {
            Ok(Attempt::Deleted) => return Ok(success()),
            Ok(Attempt::Guarded(pod)) => break pod,
            // A real one tries conflicts again: an eviction with another pod's UID is refused after ten seconds.
            Err(refusal) if refusal.code == 409 && is_tried_again && attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            Err(refusal) => return Err(refusal),
        }
    };
    delete_guarded(&mut server.store(), write, &pod, options)
}

fn attempt_unguarded(store: &mut Store, write: &Write, options: &DeleteOptions) -> Result<Attempt, Refusal> {
    let key = write.key();
    let pod = store.get("pods", &key).cloned().ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    let is_ending = !pod["metadata"]["deletionTimestamp"].is_null();
    if !matches!(phase, "Succeeded" | "Failed" | "Pending") && !is_ending {
        return Ok(Attempt::Guarded(pod));
    }
    mark_and_delete(store, write, options)?;
    Ok(Attempt::Deleted)
}

fn delete_guarded(store: &mut Store, write: &Write, pod: &Value, options: &DeleteOptions) -> Result<Reply, Refusal> {
    let budgets = budgets_of(store, pod);
    let mut is_past_budget = None;
    match budgets.as_slice() {
        [] => {}
        [budget] if is_unready(pod) && may_go_unready(budget) => is_past_budget = Some(budget),
        [budget] => decrement(store, pod, budget, options.is_dry_run)?,
        _ => {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Refusal::new(500, "", message));
        }
    }
    mark_and_delete(store, write, options).map_err(|refusal| match is_past_budget {
        Some(budget) if refusal.code == 409 && options.resource_version.is_none() => still_processed(budget),
        _ => refusal,
    })?;
    Ok(success())
}

fn is_unready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    !conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

/// Whether a pod that is not ready may go without being counted.
fn may_go_unready(budget: &Value) -> bool {
    let status = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (status("currentHealthy") >= status("desiredHealthy") && status("desiredHealthy") > 0)
}

fn budgets_of(store: &Store, pod: &Value) -> Vec<Arc<Value>> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let matches = |budget: &Value| {
        let selector = &budget["spec"]["selector"];
        // A selector that cannot be read selects nothing, and so does none.
        !selector.is_null()
            && LabelSelector::from_json(selector).is_ok_and(|selector| selector.matches(&pod["metadata"]["labels"]))
    };
    store.all(BUDGETS, namespace).map(|(_, budget)| budget.clone()).filter(|budget| matches(budget)).collect()
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn still_processed(budget: &Value) -> Refusal {
    let cause = format!("The disruption budget {} is still being processed by the server.", name_of(budget));
    Refusal::new(429, "TooManyRequests", WOULD_VIOLATE).retry_after(10).because(CAUSE, &cause)
}

/// Takes one disruption from a budget, if it allows one (`checkAndDecrement`).
fn decrement(store: &mut Store, pod: &Value, budget: &Arc<Value>, is_dry_run: bool) -> Result<(), Refusal> {
    let name = name_of(budget);
    let status = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    if status("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Err(still_processed(budget));
    }
    let forbidden = |why: &str, cause: &str| {
        let cause = format!("The disruption budget {name} does not allow evicting pods currently: {cause}");
        Refusal::forbidden_resource("policy", "poddisruptionbudget", name, why).because(CAUSE, &cause)
    };
    let allowed = status("disruptionsAllowed");
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(forbidden(why, why));
    }
    if budget["status"]["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
            "too many pending evictions not confirmed by PDB controller",
        ));
    }
    if allowed == 0 {
        return Err(Refusal::new(429, "TooManyRequests", WOULD_VIOLATE).because(CAUSE, &why_none(budget)));
    }
    if is_dry_run {
        return Ok(());
    }
    let Some(resource) = store.kinds.known("PodDisruptionBudget") else { return Ok(()) };
    let now = seconds(store.now());
    let mut new = Value::clone(budget);
    new["status"]["disruptionsAllowed"] = json!(allowed - 1);
    if allowed == 1 {
        set_condition(
            &mut new["status"]["conditions"],
            json!({
                "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
                "observedGeneration": budget["status"]["observedGeneration"], "lastTransitionTime": now,
            }),
        );
    }
    if !new["status"]["disruptedPods"].is_object() {
        new["status"]["disruptedPods"] = json!({});
    }
    new["status"]["disruptedPods"][name_of(pod)] = now.into();
    effects::put(store, &resource, new);
    Ok(())
}

/// Why a budget allows nothing.
fn why_none(budget: &Value) -> String {
    let name = name_of(budget);
    let (current, desired) = (
        budget["status"]["currentHealthy"].as_i64().unwrap_or(0),
        budget["status"]["desiredHealthy"].as_i64().unwrap_or(0),
    );
    let conditions = budget["status"]["conditions"].as_array().into_iter().flatten();
    let told = conditions.into_iter().find(|condition| {
        condition["type"] == "DisruptionAllowed"
            && condition["status"] == "False"
            && condition["message"].as_str().is_some_and(|message| !message.is_empty())
    });
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    match told {
        Some(condition) if condition["reason"] == "SyncFailed" => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            text(condition, "message")
        ),
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some(condition) => format!(
            "The disruption budget {name} does not allow evicting pods currently ({}): {}",
            text(condition, "reason"),
            text(condition, "message")
        ),
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Sets a condition; the time of the last transition stays if its status does.
fn set_condition(conditions: &mut Value, mut condition: Value) {
    let mut list = conditions.as_array().cloned().unwrap_or_default();
    match list.iter_mut().find(|other| other["type"] == condition["type"]) {
        Some(other) => {
            if other["status"] == condition["status"] {
                condition["lastTransitionTime"] = other["lastTransitionTime"].clone();
            }
            *other = condition;
        }
        None => list.push(condition),
    }
    *conditions = list.into();
}

/// Says on the pod why it goes, and deletes it.
fn mark_and_delete(store: &mut Store, write: &Write, options: &DeleteOptions) -> Result<(), Refusal> {
    let key = write.key();
    let resource: &Arc<ResourceType> = write.resource;
    // Looks at the preconditions first; nothing is changed by it.
    delete_object(store, resource, &key, &DeleteOptions { is_dry_run: true, ..options.clone() })?;
    if options.is_dry_run {
        return Ok(());
    }
    let pod = store.get("pods", &key).cloned().ok_or_else(|| Refusal::not_found(resource, &key.1))?;
    let mut marked = Value::clone(&pod);
    let now = seconds(store.now());
    set_condition(
        &mut marked["status"]["conditions"],
        json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now,
        }),
    );
    if marked != *pod {
        effects::put(store, resource, marked);
    }
    let options = DeleteOptions { resource_version: None, ..options.clone() };
    delete_object(store, resource, &key, &options)?;
    Ok(())
}
