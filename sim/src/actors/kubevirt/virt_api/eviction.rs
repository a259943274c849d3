//! The webhook for evictions. Nearly every answer is a refusal: a guest moves, and its old launcher goes by itself.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go>

use serde_json::{Value, json};

use super::{allowed, denied};
use crate::actors::{
    actor::Write,
    kubevirt::{
        configuration::Configuration,
        names::{APP, DOMAIN, EVICTION_SOURCE, HOTPLUG, INSTANCE, LAUNCHER, POD},
        object::{annotation, has_condition, is_final, label, list, name_of, namespace_of, text},
    },
    view::{View, key_of},
};

/// What is answered, and what is written before.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// `response` of the `AdmissionReview`.
    pub response: Value,
    /// The mark on the VMI.
    pub writes: Vec<Write>,
}

/// Judges the eviction in an `AdmissionReview`. `live` holds the pod, its VMI (for a pod with hot-plugged volumes the owner
/// and that one's VMI) and the `KubeVirt` object, as far as they exist.
#[must_use]
pub fn review_eviction(live: &View, review: &Value) -> Review {
    let (refusal, writes) = judge(live, &review["request"]);
    let response = match refusal {
        None => allowed(review),
        Some(message) => refused(review, &message),
    };
    Review { response, writes }
}

/// Too many requests, without a reason: so one knows it from a budget's refusal.
#[must_use]
pub fn refused(review: &Value, message: &str) -> Value {
    denied(review, json!({"message": message, "code": 429}))
}

fn judge(live: &View, request: &Value) -> (Option<String>, Vec<Write>) {
    let pod = live.get(POD, text(request, "/namespace"), text(request, "/name"));
    match pod {
        Some(pod) if is_hotplug(pod) => (judge_hotplug(live, pod), Vec::new()),
        Some(pod) if label(pod, APP) == Some(LAUNCHER) && !is_final(pod) => judge_launcher(live, request, pod),
        // What does not exist, the API server says itself.
        _ => (None, Vec::new()),
    }
}

/// Whether a pod holds hot-plugged volumes.
#[must_use]
pub fn is_hotplug(pod: &Value) -> bool {
    label(pod, APP) == Some(HOTPLUG) && list(pod, "/metadata/ownerReferences").len() == 1
}

/// The launcher that a pod with hot-plugged volumes belongs to.
#[must_use]
pub fn hotplug_owner(pod: &Value) -> &str {
    text(pod, "/metadata/ownerReferences/0/name")
}

fn judge_hotplug(live: &View, pod: &Value) -> Option<String> {
    let owner = live.get(POD, namespace_of(pod), hotplug_owner(pod))?;
    if label(owner, APP) != Some(LAUNCHER) || is_final(owner) {
        return None;
    }
    let vmi = annotation(owner, DOMAIN)?;
    live.get(INSTANCE, namespace_of(pod), vmi)?;
    let (pod, namespace) = (name_of(pod), namespace_of(pod));
    Some(format!("cannot evict hotplug pod: {pod} associated with running vmi: {vmi} in namespace {namespace}"))
}

fn judge_launcher(live: &View, request: &Value, pod: &Value) -> (Option<String>, Vec<Write>) {
    let refuse = |message: String| (Some(message), Vec::new());
    let Some(domain) = annotation(pod, DOMAIN) else { return (None, Vec::new()) };
    let Some(vmi) = live.get(INSTANCE, namespace_of(pod), domain) else {
        let missing = format!("virtualmachineinstances.kubevirt.io \"{domain}\" not found");
        return refuse(format!("kubevirt failed getting the vmi: {missing}"));
    };
    let is_migratable = has_condition(vmi, "LiveMigratable", "True");
    match Configuration::of(live).strategy_of(vmi) {
        "LiveMigrate" if !is_migratable => {
            return refuse(format!("VMI {domain} is configured with an eviction strategy but is not live-migratable"));
        }
        "LiveMigrate" | "External" => {}
        "LiveMigrateIfPossible" if is_migratable => {}
        _ => return (None, Vec::new()),
    }
    let triggered = format!("Eviction triggered evacuation of VMI \"{}/{domain}\"", namespace_of(vmi));
    if !text(vmi, "/status/evacuationNodeName").is_empty() {
        return refuse(format!("Evacuation in progress: {triggered}"));
    }
    if vmi["status"]["nodeName"] != pod["spec"]["nodeName"] {
        return refuse("Eviction request for target Pod".to_owned());
    }
    let writes = if is_dry_run(request) { Vec::new() } else { vec![mark(vmi, pod, request)] };
    (Some(triggered), writes)
}

fn is_dry_run(request: &Value) -> bool {
    request["dryRun"] == true || text(request, "/object/deleteOptions/dryRun/0") == "All"
}

/// The mark bears no precondition, as the real one.
fn mark(vmi: &Value, pod: &Value, request: &Value) -> Write {
    let mut patch = json!({"status": {"evacuationNodeName": pod["spec"]["nodeName"]}});
    let requester = request["object"]["metadata"]["annotations"]["requested-by"].as_str();
    if requester == Some("sigs.k8s.io/descheduler") {
        patch["metadata"]["annotations"][EVICTION_SOURCE] = "descheduler".into();
    }
    Write::Patch { kind: INSTANCE, key: key_of(vmi), subresource: None, patch }
}
