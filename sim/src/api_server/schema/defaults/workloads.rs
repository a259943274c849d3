//! Defaults of what makes pods.

use serde_json::{Value, json};

use super::{default, pods};

fn template(object: &mut Value) {
    pods::spec(&mut object["spec"]["template"]["spec"]);
}

fn rolling(strategy: &mut Value, unavailable: Value, surge: Value) {
    default(&mut strategy["type"], "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(&mut strategy["rollingUpdate"], json!({}));
        default(&mut strategy["rollingUpdate"]["maxUnavailable"], unavailable);
        default(&mut strategy["rollingUpdate"]["maxSurge"], surge);
    }
}

pub(super) fn deployment(object: &mut Value) {
    template(object);
    let spec = &mut object["spec"];
    default(&mut spec["replicas"], 1);
    rolling(&mut spec["strategy"], "25%".into(), "25%".into());
    default(&mut spec["revisionHistoryLimit"], 10);
    default(&mut spec["progressDeadlineSeconds"], 600);
}

pub(super) fn replica_set(object: &mut Value) {
    template(object);
    default(&mut object["spec"]["replicas"], 1);
}

pub(super) fn replication_controller(object: &mut Value) {
    if object["spec"]["template"].is_object() {
        template(object);
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        default(&mut object["spec"]["selector"], labels.clone());
        default(&mut object["metadata"]["labels"], labels);
    }
    default(&mut object["spec"]["replicas"], 1);
}

pub(super) fn daemon_set(object: &mut Value) {
    template(object);
    default(&mut object["metadata"]["annotations"]["deprecated.daemonset.template.generation"], "1");
    let spec = &mut object["spec"];
    rolling(&mut spec["updateStrategy"], 1.into(), 0.into());
    default(&mut spec["revisionHistoryLimit"], 10);
}

pub(super) fn stateful_set(object: &mut Value) {
    template(object);
    let spec = &mut object["spec"];
    default(&mut spec["podManagementPolicy"], "OrderedReady");
    if spec["updateStrategy"]["type"].is_null() {
        spec["updateStrategy"]["type"] = "RollingUpdate".into();
        default(&mut spec["updateStrategy"]["rollingUpdate"], json!({}));
    }
    if spec["updateStrategy"]["type"] == "RollingUpdate" && spec["updateStrategy"]["rollingUpdate"].is_object() {
        default(&mut spec["updateStrategy"]["rollingUpdate"]["partition"], 0);
        default(&mut spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"], 1);
    }
    default(&mut spec["persistentVolumeClaimRetentionPolicy"], json!({}));
    default(&mut spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain");
    default(&mut spec["persistentVolumeClaimRetentionPolicy"]["whenScaled"], "Retain");
    default(&mut spec["replicas"], 1);
    default(&mut spec["revisionHistoryLimit"], 10);
    for claim in super::items(spec, "volumeClaimTemplates") {
        claim["apiVersion"] = "v1".into();
        claim["kind"] = "PersistentVolumeClaim".into();
        default(&mut claim["spec"]["volumeMode"], "Filesystem");
        default(&mut claim["status"]["phase"], "Pending");
    }
}

/// Its selector is made from its uid, in what is new.
pub(super) fn job(object: &mut Value, new: bool) {
    job_spec(&mut object["spec"]);
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        default(&mut object["metadata"]["labels"], labels);
    }
    if new && object["spec"]["manualSelector"] != true {
        let uid = object["metadata"]["uid"].clone();
        let name = object["metadata"]["name"].clone();
        let labels = &mut object["spec"]["template"]["metadata"]["labels"];
        for prefix in ["", "batch.kubernetes.io/"] {
            labels[format!("{prefix}controller-uid")] = uid.clone();
            labels[format!("{prefix}job-name")] = name.clone();
        }
        object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
}

fn job_spec(spec: &mut Value) {
    pods::spec(&mut spec["template"]["spec"]);
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        spec["completions"] = 1.into();
    }
    default(&mut spec["parallelism"], 1);
    let per_index = !spec["backoffLimitPerIndex"].is_null();
    default(&mut spec["backoffLimit"], if per_index { i32::MAX } else { 6 });
    default(&mut spec["completionMode"], "NonIndexed");
    default(&mut spec["suspend"], false);
    let policy = if spec["podFailurePolicy"].is_object() { "Failed" } else { "TerminatingOrFailed" };
    default(&mut spec["podReplacementPolicy"], policy);
    default(&mut spec["manualSelector"], false);
}

pub(super) fn cron_job(object: &mut Value) {
    let spec = &mut object["spec"];
    default(&mut spec["concurrencyPolicy"], "Allow");
    default(&mut spec["suspend"], false);
    default(&mut spec["successfulJobsHistoryLimit"], 3);
    default(&mut spec["failedJobsHistoryLimit"], 1);
    // Its jobs get their own defaults when they are made; their pods have theirs already.
    pods::spec(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
}
