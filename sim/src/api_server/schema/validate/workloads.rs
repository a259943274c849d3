//! What the kinds that make pods refuse, and budgets. `pkg/apis/apps/validation`, `pkg/apis/batch/validation`,
//! `pkg/apis/policy/validation`

use serde_json::Value;

use super::{field::Errors, list, metadata, names, pods, text};
use crate::selector::LabelSelector;

fn template(template: &Value, path: &str, errors: &mut Errors) {
    metadata::labels(&template["metadata"]["labels"], &format!("{path}.metadata.labels"), errors);
    metadata::annotations(&template["metadata"]["annotations"], &format!("{path}.metadata.annotations"), errors);
    pods::spec(&template["spec"], &format!("{path}.spec"), errors);
}

/// Of Deployment, ReplicaSet, DaemonSet and StatefulSet.
pub(super) fn workload(kind: &str, old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    errors.non_negative("spec.replicas", &spec["replicas"]);
    errors.non_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    errors.non_negative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
    let labels = &spec["template"]["metadata"]["labels"];
    let before = errors.count();
    selector(kind, &spec["selector"], errors);
    let readable = LabelSelector::from_json(&spec["selector"]);
    let fits = readable.as_ref().is_ok_and(|selector| !selector.is_empty() && selector.matches(labels));
    let missing = spec["selector"].is_null();
    let empty = readable.as_ref().is_ok_and(LabelSelector::is_empty);
    if errors.count() == before && !empty && !fits || missing {
        errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
    }
    template(&spec["template"], "spec.template", errors);
    let pod = &spec["template"]["spec"];
    if !list(&pod["containers"]).is_empty() && pod["restartPolicy"] != "Always" {
        errors.not_supported("spec.template.spec.restartPolicy", &pod["restartPolicy"], &["Always"]);
    }
    match kind {
        "Deployment" => deployment(spec, errors),
        "StatefulSet" => {
            let policies = ["OrderedReady", "Parallel"];
            errors.one_of("spec.podManagementPolicy", &spec["podManagementPolicy"], &policies);
        }
        _ => {}
    }
    if let Some(old) = old {
        errors.immutable("spec.selector", &old["spec"]["selector"], &spec["selector"]);
        if kind == "StatefulSet" {
            errors.immutable("spec.serviceName", &old["spec"]["serviceName"], &spec["serviceName"]);
            errors.immutable(
                "spec.podManagementPolicy",
                &old["spec"]["podManagementPolicy"],
                &spec["podManagementPolicy"],
            );
            let field = "spec.volumeClaimTemplates";
            errors.immutable(field, &old["spec"]["volumeClaimTemplates"], &spec["volumeClaimTemplates"]);
        }
    }
}

fn selector(kind: &str, selector: &Value, errors: &mut Errors) {
    if selector.is_null() {
        if kind != "DaemonSet" {
            errors.required("spec.selector", "");
        }
        return;
    }
    let before = errors.count();
    metadata::label_selector(selector, "spec.selector", errors);
    if errors.count() > before {
        errors.invalid("spec.selector", selector, "invalid label selector");
    } else if LabelSelector::from_json(selector).is_ok_and(|selector| selector.is_empty()) {
        errors.invalid("spec.selector", selector, &format!("empty selector is invalid for {}", kind.to_lowercase()));
    }
}

fn deployment(spec: &Value, errors: &mut Errors) {
    let strategy = &spec["strategy"];
    match text(&strategy["type"]) {
        "RollingUpdate" => {
            let rolling = &strategy["rollingUpdate"];
            for field in ["maxUnavailable", "maxSurge"] {
                count_or_percent(&rolling[field], &format!("spec.strategy.rollingUpdate.{field}"), errors);
            }
            let none = |value: &Value| *value == 0 || *value == "0%";
            if none(&rolling["maxUnavailable"]) && none(&rolling["maxSurge"]) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.invalid("spec.strategy.rollingUpdate.maxUnavailable", &rolling["maxUnavailable"], detail);
            }
        }
        "Recreate" if strategy["rollingUpdate"].is_object() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.forbidden("spec.strategy.rollingUpdate", detail);
        }
        "Recreate" => {}
        _ => errors.not_supported("spec.strategy", strategy, &["Recreate", "RollingUpdate"]),
    }
    let deadline = &spec["progressDeadlineSeconds"];
    errors.non_negative("spec.progressDeadlineSeconds", deadline);
    if deadline.as_i64().is_some_and(|deadline| deadline <= spec["minReadySeconds"].as_i64().unwrap_or_default()) {
        errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
    }
}

/// A number of pods, or a percentage up to 100%.
fn count_or_percent(value: &Value, path: &str, errors: &mut Errors) {
    match value {
        Value::String(percent) => {
            let wrong = names::percent(percent);
            if wrong.is_empty() && percent.trim_end_matches('%').parse::<u32>().is_ok_and(|percent| percent > 100) {
                errors.invalid(path, value, "must not be greater than 100%");
            }
            errors.malformed(path, percent, wrong);
        }
        other => errors.non_negative(path, other),
    }
}

/// Of a PodDisruptionBudget.
pub(super) fn budget(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        errors.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set");
    }
    count_or_percent(&spec["minAvailable"], "spec.minAvailable", errors);
    count_or_percent(&spec["maxUnavailable"], "spec.maxUnavailable", errors);
    metadata::label_selector(&spec["selector"], "spec.selector", errors);
    if let policy @ Value::String(_) = &spec["unhealthyPodEvictionPolicy"] {
        errors.one_of("spec.unhealthyPodEvictionPolicy", policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
    let status = &object["status"];
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        errors.non_negative(format!("status.{field}"), &status[field]);
    }
}

/// Of a Job.
pub(super) fn job(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    job_spec(&object["spec"], "spec", errors);
    if let Some(old) = old {
        let (old, new) = (&old["spec"], &object["spec"]);
        if new["completionMode"] != "Indexed" {
            errors.immutable("spec.completions", &old["completions"], &new["completions"]);
        }
        errors.immutable("spec.selector", &old["selector"], &new["selector"]);
        // Where its pods may run can be said as long as it is suspended.
        if old["suspend"] != true {
            errors.immutable("spec.template", &old["template"], &new["template"]);
        }
        errors.immutable("spec.completionMode", &old["completionMode"], &new["completionMode"]);
        errors.immutable("spec.podFailurePolicy", &old["podFailurePolicy"], &new["podFailurePolicy"]);
    }
}

fn job_spec(spec: &Value, path: &str, errors: &mut Errors) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        errors.non_negative(format!("{path}.{field}"), &spec[field]);
    }
    template(&spec["template"], &format!("{path}.template"), errors);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    let at = format!("{path}.template.spec.restartPolicy");
    match text(policy) {
        "Always" | "" => errors.required(at, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" | "Never" => {}
        _ => errors.not_supported(at, policy, &["OnFailure", "Never"]),
    }
}

/// Of a `CronJob`.
pub(super) fn cron_job(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", errors);
    match text(&spec["schedule"]) {
        "" => errors.required("spec.schedule", ""),
        schedule if !schedule.starts_with('@') => {
            let fields: Vec<_> = schedule.split_whitespace().collect();
            if fields.len() != 5 {
                let detail = format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
                errors.invalid("spec.schedule", &schedule.into(), &detail);
            }
        }
        _ => {}
    }
    errors.one_of("spec.concurrencyPolicy", &spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"]);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"] {
        errors.non_negative(format!("spec.{field}"), &spec[field]);
    }
}
