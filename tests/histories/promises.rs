//! What holds in every history. Each promise is a sentence, and a function that says where a story breaks it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::careen::MOST_REQUESTS;
use crate::story::{INSTANCES, Key, MAINTENANCES, Moment, Story, World};

/// What a promise is called, and what finds out where it was broken.
type Promise = (&'static str, fn(&Story) -> Vec<String>);

/// All of them.
pub const ALL: [Promise; 12] = [
    ("no pod is evicted twice", no_pod_is_evicted_twice),
    ("Careen never shortens a grace", careen_never_shortens_a_grace),
    ("Careen ends nothing without its UID", careen_ends_nothing_without_its_uid),
    ("only what is under maintenance is touched", only_what_is_under_maintenance_is_touched),
    ("no VM is lost that has to stay", no_vm_is_lost_that_has_to_stay),
    ("budgets are kept", budgets_are_kept),
    ("pods are deleted only where that was asked for", pods_are_deleted_only_where_that_was_asked_for),
    ("Drained is true", drained_is_true),
    ("what waits has a reason", what_waits_has_a_reason),
    ("a node is given back as it was", a_node_is_given_back_as_it_was),
    ("a drain comes to its end", a_drain_comes_to_its_end),
    ("requests are few", requests_are_few),
];

/// So often at most one pod is asked to leave, whatever goes wrong.
const MOST_EVICTIONS: usize = 60;

/// What is broken, with the promise's name.
pub fn broken(story: &Story) -> Vec<String> {
    let of_promise = |(name, finds): Promise| finds(story).into_iter().map(move |what| format!("{name}: {what}"));
    ALL.into_iter().flat_map(of_promise).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn is_true(object: &Value, condition: &str) -> bool {
    array(object, "/status/conditions").any(|found| found["type"] == condition && found["status"] == "True")
}

/// Whether a maintenance says that its node is empty.
pub fn is_drained(maintenance: &Value) -> bool {
    is_true(maintenance, "Drained")
}

/// Whether a pod is on the node of that maintenance, and has to leave it. (Careen's own classifier is not asked.)
pub fn has_to_leave(pod: &Value, maintenance: &Value) -> bool {
    let is_owned_by = |kind: &str| array(pod, "/metadata/ownerReferences").any(|owner| owner["kind"] == kind);
    let is_finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let is_deselected =
        maintenance["spec"]["drain"]["podSelector"] == "app!=cache" && pod["metadata"]["labels"]["app"] == "cache";
    let stays = is_owned_by("DaemonSet")
        || pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some()
        || (is_finished && is_owned_by("VirtualMachineInstance"))
        || is_deselected;
    pod["spec"]["nodeName"] == maintenance["spec"]["nodeName"] && !stays
}

/// The maintenances of a node.
fn maintenances_of<'a>(world: &'a World, node: &Value) -> impl Iterator<Item = &'a Value> {
    let all = world.iter().filter(|(key, _)| key.0 == MAINTENANCES).map(|(_, object)| object.as_ref());
    all.filter(move |object| object["spec"]["nodeName"] == *node)
}

fn of<'a>(world: &'a World, resource: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
    world.iter().filter(move |(key, _)| key.0 == resource).map(|(key, object)| (key, object.as_ref()))
}

/// Never are two evictions of one pod accepted, whoever of Careen's replicas asked for them.
fn no_pod_is_evicted_twice(story: &Story) -> Vec<String> {
    let mut accepted = BTreeSet::new();
    let mut broken = Vec::new();
    for moment in story.moments.iter().filter(|moment| moment.is_careens() && moment.is_accepted_eviction()) {
        let uid = moment.before.as_ref().map(|pod| text(pod, "/metadata/uid").to_owned());
        if !accepted.insert(uid) {
            broken.push(moment.to_string());
        }
    }
    broken
}

/// Whatever Careen ends has its own grace: none of its requests names one.
fn careen_never_shortens_a_grace(story: &Story) -> Vec<String> {
    let names_grace = |body: &Value, uri: &str| {
        !body["gracePeriodSeconds"].is_null()
            || !body["deleteOptions"]["gracePeriodSeconds"].is_null()
            || uri.contains("gracePeriodSeconds")
    };
    let broken = story.sent.iter().filter(|sent| names_grace(&sent.body, &sent.uri));
    broken.map(|sent| format!("{sent:?}")).collect()
}

/// Every eviction and every deletion names the UID that it means, so that a namesake is safe.
fn careen_ends_nothing_without_its_uid(story: &Story) -> Vec<String> {
    let ends = |method: &str, uri: &str| method == "DELETE" || uri.contains("/eviction");
    let has_uid = |body: &Value| {
        !text(body, "/preconditions/uid").is_empty() || !text(body, "/deleteOptions/preconditions/uid").is_empty()
    };
    let broken = story.sent.iter().filter(|sent| ends(&sent.method, &sent.uri) && !has_uid(&sent.body));
    broken.map(|sent| format!("{sent:?}")).collect()
}

/// Careen changes and ends nothing on nodes that have no maintenance.
fn only_what_is_under_maintenance_is_touched(story: &Story) -> Vec<String> {
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        let Some(before) = moment.before.as_deref().filter(|_| moment.is_careens() && moment.is_done()) else { return };
        let node = match moment.key.0.as_str() {
            "nodes" if moment.before != moment.after => &before["metadata"]["name"],
            "pods" if moment.ends() => &before["spec"]["nodeName"],
            INSTANCES if moment.ends() => &before["status"]["nodeName"],
            _ => return,
        };
        if maintenances_of(world, node).next().is_none() {
            broken.push(moment.to_string());
        }
    });
    broken
}

/// A VM that can migrate and is to migrate, and one that must not be shut down, keeps running: the same instance,
/// always on one node and in a pod there that runs.
fn no_vm_is_lost_that_has_to_stay(story: &Story) -> Vec<String> {
    let default = story.plan.eviction_strategy.unwrap_or("None");
    let mut running: BTreeMap<Key, String> = BTreeMap::new();
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        if moment.key.0 == INSTANCES && moment.is_done() {
            let (before, after) = (moment.before.as_deref(), moment.after.as_deref());
            let Some(vmi) = after.or(before) else { return };
            let runs = after
                .is_some_and(|vmi| vmi["status"]["phase"] == "Running" && !text(vmi, "/status/nodeName").is_empty());
            let is_ending = after.is_none_or(|vmi| !vmi["metadata"]["deletionTimestamp"].is_null());
            if runs && !is_ending {
                running.insert(moment.key.clone(), text(vmi, "/metadata/uid").to_owned());
            } else if running.remove(&moment.key).is_some() && has_to_stay(before.unwrap_or(vmi), default, world) {
                broken.push(format!("{moment}: {}", vmi["status"]));
            }
        } else if moment.key.0 == "pods" && !moment.subresource.is_empty() {
            // Its pod must not end under it.
            let Some((before, after)) = moment.before.as_deref().zip(moment.after.as_deref()) else { return };
            let owner =
                array(before, "/metadata/ownerReferences").find(|owner| owner["kind"] == "VirtualMachineInstance");
            let Some(owner) = owner else { return };
            let key = (INSTANCES.to_owned(), moment.key.1.clone(), text(owner, "/name").to_owned());
            let Some(vmi) = world.get(&key) else { return };
            let ended = matches!(text(after, "/status/phase"), "Succeeded" | "Failed")
                && before["status"]["phase"] == "Running";
            let is_home =
                vmi["status"]["nodeName"] == before["spec"]["nodeName"] && vmi["metadata"]["uid"] == owner["uid"];
            if ended && is_home && running.contains_key(&key) && has_to_stay(vmi, default, world) {
                broken.push(format!("{moment}: the pod of a VM that runs"));
            }
        }
    });
    broken
}

/// Whether nothing may end that instance, as its node's maintenance is.
fn has_to_stay(vmi: &Value, default: &str, world: &World) -> bool {
    let strategy = vmi["spec"]["evictionStrategy"].as_str().unwrap_or(default);
    let can_migrate = is_true(vmi, "LiveMigratable");
    let may_be_shut_down = |option: &str| {
        maintenances_of(world, &vmi["status"]["nodeName"])
            .any(|maintenance| maintenance["spec"]["drain"][option] == "ShutDown")
    };
    match strategy {
        "External" => true,
        "LiveMigrate" => can_migrate || !may_be_shut_down("vmThatCannotMigrate"),
        "LiveMigrateIfPossible" => can_migrate,
        _ => false,
    }
}

/// Whoever Careen evicts, as many pods stay healthy as the budget wants, and the budget had allowed it.
fn budgets_are_kept(story: &Story) -> Vec<String> {
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        if !(moment.is_careens() && moment.is_accepted_eviction() && moment.ends()) {
            return;
        }
        let Some(pod) = moment.before.as_deref().filter(|pod| is_healthy(pod)) else { return };
        for (key, budget) in of(world, "poddisruptionbudgets.policy") {
            if key.1 != moment.key.1 || !covers(budget, pod) {
                continue;
            }
            let healthy = of(world, "pods")
                .filter(|(other, pod)| other.1 == key.1 && covers(budget, pod) && is_healthy(pod))
                .count() as u64;
            let wanted = budget["status"]["desiredHealthy"].as_u64().unwrap_or_default();
            if healthy - 1 < wanted {
                broken.push(format!("{moment}: budget {} wants {wanted}, {} are left", key.2, healthy - 1));
            }
        }
    });
    broken
}

fn is_healthy(pod: &Value) -> bool {
    is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null()
}

fn covers(budget: &Value, pod: &Value) -> bool {
    budget["spec"]["selector"]["matchLabels"]["app"] == pod["metadata"]["labels"]["app"]
}

/// Careen deletes a pod only when it has ended, or when its maintenance says that pods that are refused be deleted, and
/// then no launcher pod.
fn pods_are_deleted_only_where_that_was_asked_for(story: &Story) -> Vec<String> {
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        let Some(pod) = moment.before.as_deref() else { return };
        if !(moment.is_careens() && moment.verb == "delete" && moment.key.0 == "pods" && moment.ends()) {
            return;
        }
        let is_launcher =
            array(pod, "/metadata/ownerReferences").any(|owner| owner["kind"] == "VirtualMachineInstance");
        let is_finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let asked_for = maintenances_of(world, &pod["spec"]["nodeName"])
            .any(|maintenance| !maintenance["spec"]["drain"]["deleteAfter"].is_null());
        if is_launcher || !(is_finished || asked_for) {
            broken.push(moment.to_string());
        }
    });
    broken
}

/// `Drained` is said only when the API server was asked last, and had nothing on the node that has to leave.
fn drained_is_true(story: &Story) -> Vec<String> {
    let mut listed: BTreeMap<String, BTreeSet<Key>> = BTreeMap::new();
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        if !moment.is_careens() {
            return;
        }
        let asked_node = moment.uri.split("spec.nodeName%3D").nth(1).and_then(|rest| rest.split('&').next());
        if let Some(node) = asked_node.filter(|_| moment.key.0 == "pods" && moment.verb == "list") {
            let on_node = of(world, "pods").filter(|(_, pod)| pod["spec"]["nodeName"] == node);
            listed.insert(node.to_owned(), on_node.map(|(key, _)| key.clone()).collect());
        }
        let Some((before, after)) = moment.before.as_deref().zip(moment.after.as_deref()) else { return };
        if moment.key.0 == MAINTENANCES && is_drained(after) && !is_drained(before) {
            let node = text(after, "/spec/nodeName");
            let Some(seen) = listed.get(node) else {
                broken.push(format!("{moment}: nobody has looked"));
                return;
            };
            for (key, pod) in of(world, "pods").filter(|(key, pod)| seen.contains(*key) && has_to_leave(pod, after)) {
                broken.push(format!("{moment}: {} is there, {}", key.2, pod["status"]["phase"]));
            }
        }
    });
    broken
}

/// Whatever stays behind and does not move when everything is at rest is in the status, with a reason and a sentence.
fn what_waits_has_a_reason(story: &Story) -> Vec<String> {
    let mut broken = Vec::new();
    story.replay(|_, moment| {
        let Some(status) = moment.after.as_deref().filter(|_| moment.key.0 == MAINTENANCES && moment.is_careens())
        else {
            return;
        };
        let without = array(status, "/status/blocking")
            .filter(|entry| text(entry, "/reason").is_empty() || text(entry, "/message").is_empty());
        broken.extend(without.map(|entry| format!("{moment}: {entry}")));
    });
    broken
}

/// When a maintenance has gone, its node is as it was when Careen first changed it: cordon, taints, annotations,
/// conditions, and nobody holds its Lease. Whoever uncordons it meanwhile has his way if it ends before Careen sees it.
fn a_node_is_given_back_as_it_was(story: &Story) -> Vec<String> {
    let mut taken: BTreeMap<String, Value> = BTreeMap::new();
    let mut uncordoned = BTreeSet::new();
    let mut broken = Vec::new();
    story.replay(|world, moment| {
        let changes = moment.key.0 == "nodes" && moment.is_careens() && moment.before != moment.after;
        if let Some(before) = moment.before.as_ref().filter(|_| changes) {
            taken.entry(moment.key.2.clone()).or_insert_with(|| Value::clone(before));
        }
        match (moment.before.as_deref().map(is_cordoned), moment.after.as_deref().map(is_cordoned)) {
            (Some(true), Some(false)) if !moment.is_careens() => drop(uncordoned.insert(moment.key.2.clone())),
            (_, Some(true)) => drop(uncordoned.remove(&moment.key.2)),
            _ => {}
        }
        if moment.key.0 != MAINTENANCES || moment.after.is_some() {
            return;
        }
        let Some(maintenance) = &moment.before else { return };
        let name = text(maintenance, "/spec/nodeName").to_owned();
        let Some(node) = world.get(&("nodes".to_owned(), String::new(), name.clone())) else { return };
        if maintenances_of(world, &maintenance["spec"]["nodeName"]).count() > 1 {
            return;
        }
        let Some(mut before) = taken.remove(&name) else { return };
        if uncordoned.contains(&name) {
            before["spec"]["unschedulable"] = Value::Bool(false);
        }
        if look(&before) != look(node) {
            broken.push(format!("{moment}: was {}, is {}", look(&before), look(node)));
        }
        let lease = ("leases.coordination.k8s.io".to_owned(), "medik8s-leases".to_owned(), format!("node-{name}"));
        let holder = world.get(&lease).map(|lease| text(lease, "/spec/holderIdentity").to_owned());
        if holder.as_deref().is_some_and(|holder| holder.contains(text(maintenance, "/metadata/uid"))) {
            broken.push(format!("{moment}: its Lease is still held"));
        }
    });
    broken
}

fn is_cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

/// What Careen changes of a node.
fn look(node: &Value) -> Value {
    let is_own = |taint: &&Value| text(taint, "/key") != "node.kubernetes.io/unschedulable";
    let taints: Vec<&Value> = array(node, "/spec/taints").filter(is_own).collect();
    let in_progress = ["MaintenanceInProgress", "DrainInProgress"].map(|condition| is_true(node, condition));
    serde_json::json!({
        "unschedulable": is_cordoned(node),
        "taints": taints,
        "record": node["metadata"]["annotations"]["careen.dev/record"],
        "inProgress": in_progress,
    })
}

/// Whoever is not held by something that only a person can change is drained, and whoever is ended goes.
fn a_drain_comes_to_its_end(story: &Story) -> Vec<String> {
    story.unsettled.clone()
}

/// A drain asks for what it needs and not more, however long it lasts.
fn requests_are_few(story: &Story) -> Vec<String> {
    let mut evictions: BTreeMap<String, usize> = BTreeMap::new();
    let is_eviction = |moment: &&Moment| moment.is_careens() && moment.subresource == "eviction";
    for moment in story.moments.iter().filter(is_eviction) {
        let uid = moment.before.as_ref().map_or("", |pod| text(pod, "/metadata/uid"));
        *evictions.entry(format!("{} {uid}", moment.key.2)).or_default() += 1;
    }
    let many = evictions.into_iter().filter(|(_, count)| *count > MOST_EVICTIONS);
    let many = many.map(|(pod, count)| format!("{pod} was asked {count} times to leave"));
    let endless = (story.sent.len() > MOST_REQUESTS).then(|| format!("{} requests were sent", story.sent.len()));
    many.chain(endless).collect()
}
