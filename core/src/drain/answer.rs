//! What the API server answered to an eviction, and what follows from it.
//!
//! Told apart by code, cause and text: the eviction API says the same code for different things
//! (kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`), and KubeVirt's webhook answers 429 both when it
//! has begun to migrate a VM and when it never will.

use std::time::Duration;

use kube::core::Status;

use crate::answer::{has_cause, is_webhooks, lacks_right};

/// An answer, by what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The pod terminates. Watch it go.
    Accepted,
    /// The pod has gone, or another has its name. Done.
    Gone,
    /// A budget allows no disruption now. Wait for its status.
    BudgetRefused(String),
    /// A budget's status is not up to date. Wait for it, or so long.
    BudgetNotObserved(String, Duration),
    /// Kubernetes cannot work the budget out. Only a change helps.
    BudgetSyncFailed(String),
    /// More than one budget covers the pod. Only a change helps.
    SeveralBudgets(String),
    /// Too many evictions of the budget are unconfirmed. Wait two minutes.
    BudgetOverrun(String),
    /// The budget or the pod was changed meanwhile. Look again.
    Contended(String),
    /// KubeVirt has marked the VM: it will migrate it. Watch the VM.
    EvacuationStarted,
    /// KubeVirt had marked the VM before. Watch the VM.
    EvacuationUnderWay,
    /// KubeVirt cannot migrate the VM; passing while the VM starts.
    NotLiveMigratable(String),
    /// The pod is the target of a migration. Wait for its end.
    MigrationTarget,
    /// The pod holds a hotplugged disk. It leaves with its VM.
    HotplugPod(String),
    /// The launcher's VMI does not exist. Only a change helps.
    InstanceMissing(String),
    /// KubeVirt's webhook failed on the way. Try again.
    KubeVirtFailed(String),
    /// A webhook does not answer. Try again.
    WebhookUnavailable(String),
    /// Somebody's admission webhook refuses. Only a change helps.
    WebhookRefused(String),
    /// The namespace is being deleted, and the pod with it. Wait.
    NamespaceTerminating(String),
    /// A right is missing. Only a change helps.
    Forbidden(String),
    /// The API server does not take the request. Only a change helps.
    Rejected(String),
    /// The API server asks everybody to slow down. Ask nothing for so long.
    Overloaded(Duration),
    /// It is not known whether the request was carried out. Look before asking again.
    Lost(String),
}

/// KubeVirt's webhooks for evictions have names of this domain.
const KUBEVIRT_WEBHOOK: &str = ".kubevirt.io\"";

impl Answer {
    /// Classifies the outcome of an eviction (or of a deletion).
    pub fn of<T>(outcome: &Result<T, kube::Error>) -> Self {
        match outcome {
            Ok(_) => Self::Accepted,
            Err(kube::Error::Api(status)) => Self::of_status(status),
            Err(error) => Self::Lost(error.to_string()),
        }
    }

    /// Classifies a failure that the API server answered with.
    #[must_use]
    pub fn of_status(status: &Status) -> Self {
        let message = status.message.clone();
        match status.code {
            200..=299 => Self::Accepted,
            404 => Self::Gone,
            409 => conflict(status),
            429 if has_cause(status, "DisruptionBudget") => budget(status),
            429 if is_kubevirts(&message) => kubevirt(message),
            429 if is_webhooks(&message) => Self::WebhookRefused(message),
            429 => Self::Overloaded(retry_after(status).unwrap_or(Duration::from_secs(1))),
            403 if has_cause(status, "NamespaceTerminating") => Self::NamespaceTerminating(message),
            403 if message.contains("DisruptedPods map too big")
                || message.contains("pdb disruptions allowed is negative") =>
            {
                Self::BudgetOverrun(message)
            }
            // Some API servers give KubeVirt's refusal as 403; its own words decide.
            403 if is_kubevirts(&message) => kubevirt(message),
            403 if is_webhooks(&message) => Self::WebhookRefused(message),
            401 => Self::Forbidden(message),
            403 if lacks_right(status) => Self::Forbidden(message),
            408 => Self::Lost(message),
            400..=499 if is_webhooks(&message) => Self::WebhookRefused(message),
            400..=499 => Self::Rejected(message),
            _ if message.contains("failed calling webhook") => Self::WebhookUnavailable(message),
            _ if message.contains("more than one PodDisruptionBudget") => Self::SeveralBudgets(message),
            _ => Self::Lost(message),
        }
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Gone => "Gone",
            Self::BudgetRefused(_) => "BudgetRefused",
            Self::BudgetNotObserved(..) => "BudgetNotObserved",
            Self::BudgetSyncFailed(_) => "BudgetSyncFailed",
            Self::SeveralBudgets(_) => "SeveralBudgets",
            Self::BudgetOverrun(_) => "BudgetOverrun",
            Self::Contended(_) => "Contended",
            Self::EvacuationStarted => "EvacuationStarted",
            Self::EvacuationUnderWay => "EvacuationUnderWay",
            Self::NotLiveMigratable(_) => "NotLiveMigratable",
            Self::MigrationTarget => "MigrationTarget",
            Self::HotplugPod(_) => "HotplugPod",
            Self::InstanceMissing(_) => "InstanceMissing",
            Self::KubeVirtFailed(_) => "KubeVirtFailed",
            Self::WebhookUnavailable(_) => "WebhookUnavailable",
            Self::WebhookRefused(_) => "WebhookRefused",
            Self::NamespaceTerminating(_) => "NamespaceTerminating",
            Self::Forbidden(_) => "Forbidden",
            Self::Rejected(_) => "Rejected",
            Self::Overloaded(_) => "Overloaded",
            Self::Lost(_) => "Lost",
        }
    }
}

/// A conflict is about the pod (another one has its name, or it changed) or about a budget (contention).
fn conflict(status: &Status) -> Answer {
    let of_budget = status.details.as_ref().is_some_and(|details| details.kind.contains("poddisruptionbudget"));
    if !of_budget && status.message.contains("UID in the precondition") {
        Answer::Gone
    } else {
        Answer::Contended(status.message.clone())
    }
}

fn budget(status: &Status) -> Answer {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let message = causes.map(|cause| cause.message.clone()).find(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| status.message.clone());
    match retry_after(status) {
        _ if message.contains("failed sync") => Answer::BudgetSyncFailed(message),
        Some(wait) => Answer::BudgetNotObserved(message, wait),
        None => Answer::BudgetRefused(message),
    }
}

fn kubevirt(message: String) -> Answer {
    if message.contains("Evacuation in progress") {
        Answer::EvacuationUnderWay
    } else if message.contains("Eviction triggered evacuation") {
        Answer::EvacuationStarted
    } else if message.contains("is not live-migratable") {
        Answer::NotLiveMigratable(message)
    } else if message.contains("Eviction request for target Pod") {
        Answer::MigrationTarget
    } else if message.contains("cannot evict hotplug pod") {
        Answer::HotplugPod(message)
    } else if message.contains("failed getting the vmi") && message.contains("not found") {
        Answer::InstanceMissing(message)
    } else {
        Answer::KubeVirtFailed(message)
    }
}

fn is_kubevirts(message: &str) -> bool {
    is_webhooks(message) && message.contains(KUBEVIRT_WEBHOOK)
}

/// No header and no value does not mean "at once": it means that the server cannot say.
fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The bodies are verbatim: from a real kube-apiserver with the real virt-api, and from eviction.go.
    fn answer(body: Value) -> Answer {
        let mut body = body;
        body["kind"] = json!("Status");
        Answer::of_status(&serde_json::from_value(body).unwrap())
    }

    fn kubevirts(message: &str) -> Answer {
        let webhook = r#"admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: "#;
        answer(json!({"status": "Failure", "message": format!("{webhook}{message}"), "code": 429}))
    }

    fn budgets(cause: &str, retry_after: u32) -> Answer {
        answer(json!({
            "status": "Failure", "reason": "TooManyRequests", "code": 429,
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{"reason": "DisruptionBudget", "message": cause}], "retryAfterSeconds": retry_after},
        }))
    }

    #[test]
    fn the_eviction_apis_answers() {
        assert_eq!(answer(json!({"status": "Success", "code": 201})), Answer::Accepted);
        assert_eq!(answer(json!({"status": "Failure", "reason": "NotFound", "code": 404})), Answer::Gone);
        let name = json!({"status": "Failure", "reason": "BadRequest", "code": 400, "message": "name in URL does not match name in Eviction object"});
        assert_eq!(answer(name).name(), "Rejected");
        let needs = "The disruption budget web needs 2 healthy pods and has 2 currently";
        assert_eq!(budgets(needs, 0), Answer::BudgetRefused(needs.into()));
        let processed = "The disruption budget web is still being processed by the server.";
        assert_eq!(budgets(processed, 10), Answer::BudgetNotObserved(processed.into(), Duration::from_secs(10)));
        assert_eq!(budgets("failed sync: found no controllers", 0).name(), "BudgetSyncFailed");
        let several = json!({"status": "Failure", "code": 500, "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."});
        assert_eq!(answer(several).name(), "SeveralBudgets");
        let negative = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "pods \"a\" is forbidden: pdb disruptions allowed is negative"});
        assert_eq!(answer(negative).name(), "BudgetOverrun");
        let too_big = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "DisruptedPods map too big - too many evictions not confirmed by PDB controller"});
        assert_eq!(answer(too_big).name(), "BudgetOverrun");
        let terminating = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "unable to create new content in namespace x because it is being terminated", "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace x is being terminated"}]}});
        assert_eq!(answer(terminating).name(), "NamespaceTerminating");
        let right = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "pods \"a\" is forbidden: User \"alice\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"cases\"", "details": {"name": "a", "kind": "pods"}});
        assert_eq!(answer(right).name(), "Forbidden");
        assert_eq!(answer(json!({"status": "Failure", "reason": "Invalid", "code": 422})).name(), "Rejected");
        let overload =
            json!({"status": "Failure", "reason": "TooManyRequests", "code": 429, "details": {"retryAfterSeconds": 1}});
        assert_eq!(answer(overload), Answer::Overloaded(Duration::from_secs(1)));
        let gatekeeper = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "admission webhook \"validation.gatekeeper.sh\" denied the request: not on Fridays"});
        assert_eq!(answer(gatekeeper).name(), "WebhookRefused");
        assert_eq!(answer(json!({"status": "Failure", "code": 503, "message": "etcd leader changed"})).name(), "Lost");
        let timeout = json!({"status": "Failure", "reason": "Timeout", "code": 504, "message": "couldn't update PodDisruptionBudget \"web\" due to conflicts", "details": {"retryAfterSeconds": 10}});
        assert_eq!(answer(timeout).name(), "Lost");
    }

    #[test]
    fn a_conflict_means_another_pod_or_contention() {
        let pod = json!({"status": "Failure", "reason": "Conflict", "code": 409, "details": {"kind": "pods"}, "message": "Operation cannot be fulfilled on pods \"a\": the UID in the precondition (x) does not match the UID in record (y). The object might have been deleted and then recreated"});
        assert_eq!(answer(pod), Answer::Gone);
        let version = json!({"status": "Failure", "reason": "Conflict", "code": 409, "details": {"kind": "pods"}, "message": "Operation cannot be fulfilled on pods \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified"});
        assert_eq!(answer(version).name(), "Contended");
        let budget = json!({"status": "Failure", "reason": "Conflict", "code": 409, "details": {"group": "policy", "kind": "poddisruptionbudgets"}, "message": "Operation cannot be fulfilled on poddisruptionbudgets.policy \"x\": the object has been modified; please apply your changes to the latest version and try again"});
        assert_eq!(answer(budget).name(), "Contended");
    }

    #[test]
    fn kubevirts_answers() {
        assert_eq!(kubevirts(r#"Eviction triggered evacuation of VMI "cases/a""#), Answer::EvacuationStarted);
        let again = r#"Evacuation in progress: Eviction triggered evacuation of VMI "cases/a""#;
        assert_eq!(kubevirts(again), Answer::EvacuationUnderWay);
        assert_eq!(kubevirts("Eviction request for target Pod"), Answer::MigrationTarget);
        let stuck = "VMI a is configured with an eviction strategy but is not live-migratable";
        assert_eq!(kubevirts(stuck).name(), "NotLiveMigratable");
        let missing = r#"kubevirt failed getting the vmi: virtualmachineinstances.kubevirt.io "a" not found"#;
        assert_eq!(kubevirts(missing).name(), "InstanceMissing");
        assert_eq!(kubevirts("kubevirt failed getting the vmi: timeout").name(), "KubeVirtFailed");
        assert_eq!(kubevirts("kubevirt failed marking the vmi for eviction: conflict").name(), "KubeVirtFailed");
        let hotplug = json!({"status": "Failure", "code": 429, "message": "admission webhook \"hotplug-pod-eviction-interceptor.kubevirt.io\" denied the request: cannot evict hotplug pod: hp-volume-abcde associated with running vmi: a in namespace cases"});
        assert_eq!(answer(hotplug).name(), "HotplugPod");
        let away = json!({"status": "Failure", "reason": "InternalError", "code": 500, "message": "Internal error occurred: failed calling webhook \"virt-launcher-eviction-interceptor.kubevirt.io\": failed to call webhook: Post \"https://127.0.0.1:1/pod-eviction-validate?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused"});
        assert_eq!(answer(away).name(), "WebhookUnavailable");
    }
}
