//! What runs on a random cluster.

use careen_sim::objects;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::plan::{choice, seldom};

/// All in one namespace, so that budgets can cover what they do not name.
pub const NAMESPACE: &str = "shop";

/// A random lot, in the order in which it is created.
pub fn random(random: &mut Rng) -> Vec<Value> {
    let mut all = Vec::new();
    for index in 0..random.usize(2..=6) {
        let name = if index == 0 { "cache".to_owned() } else { format!("app{index}") };
        let (workload, replicas) = pods(random, &name);
        all.extend(budgets(random, &name, replicas));
        all.push(workload);
    }
    for index in 0..random.usize(0..=2) {
        let name = format!("bare{index}");
        all.push(timed(random, objects::pod(NAMESPACE, &name)));
        if seldom(random, 20) {
            all.push(objects::min_available(NAMESPACE, &name, random.u32(0..=1)));
        }
    }
    all.push(objects::daemon_set("kube-system", "log"));
    for index in 0..random.usize(0..=6) {
        all.push(machine(random, &format!("vm{index}")));
    }
    all
}

/// A workload of pods, and how many it has.
fn pods(random: &mut Rng, name: &str) -> (Value, u32) {
    let replicas = random.u32(1..=6);
    let workload = match random.u8(..10) {
        0..=5 => objects::deployment(NAMESPACE, name, replicas),
        6 | 7 => objects::stateful_set(NAMESPACE, name, replicas),
        8 => objects::daemon_set(NAMESPACE, name),
        _ => {
            let ends = format!("{}s", random.u32(5..400));
            return (objects::job(NAMESPACE, name, &ends), 1);
        }
    };
    let grace = random.u32(0..=60);
    let mut spec = json!({"terminationGracePeriodSeconds": grace});
    if seldom(random, 15) {
        spec["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    }
    if seldom(random, 5) {
        spec["priorityClassName"] = "system-cluster-critical".into();
        spec["priority"] = 2_000_000_000.into();
    }
    let workload = objects::with(workload, json!({"spec": {"template": {"spec": spec}}}));
    // Whole seconds, so that many start at once: each moment at which something happens costs all actors a look.
    let settings = [
        ("starts-after", format!("{}s", random.u32(1..=10))),
        ("ready-after", format!("{}s", random.u32(1..=20))),
        ("ends-after", format!("{}ms", random.u32(100..40_000))),
    ];
    (settings.iter().fold(workload, |workload, (setting, time)| annotated(workload, setting, time)), replicas)
}

/// With a setting of the simulation for its pods.
fn annotated(workload: Value, setting: &str, value: &str) -> Value {
    objects::with_pods_annotated(workload, &format!("sim.careen.dev/{setting}"), value)
}

fn timed(random: &mut Rng, pod: Value) -> Value {
    objects::annotated(pod, "sim.careen.dev/ends-after", &format!("{}ms", random.u32(100..20_000)))
}

/// Most workloads have one budget that allows something; some none, an impossible one, or two.
fn budgets(random: &mut Rng, name: &str, replicas: u32) -> Vec<Value> {
    let count = match random.u8(..100) {
        0..=29 => 0,
        30..=94 => 1,
        _ => 2,
    };
    let named = |mut budget: Value, number: u8| {
        budget["metadata"]["name"] = format!("{name}-{number}").into();
        budget
    };
    (0..count)
        .map(|number| {
            let budget = match random.u8(..12) {
                0..=4 => objects::max_unavailable(NAMESPACE, name, random.u32(1..=2)),
                5 | 6 => objects::min_available(NAMESPACE, name, replicas.saturating_sub(1)),
                7 => objects::min_available(NAMESPACE, name, format!("{}%", random.u8(1..=90))),
                8 | 9 => objects::max_unavailable(NAMESPACE, name, format!("{}%", random.u8(1..=60))),
                10 => objects::max_unavailable(NAMESPACE, name, 0),
                _ => objects::min_available(NAMESPACE, name, "100%"),
            };
            named(budget, number)
        })
        .collect()
}

/// A VM, or one that nobody would start again.
fn machine(random: &mut Rng, name: &str) -> Value {
    let strategies = [
        Some("LiveMigrate"),
        Some("LiveMigrate"),
        Some("LiveMigrate"),
        Some("LiveMigrateIfPossible"),
        Some("None"),
        Some("External"),
        None,
        None,
    ];
    let mut machine = objects::virtual_machine(NAMESPACE, name, *choice(random, &strategies));
    let run = ["Always", "Always", "Always", "RerunOnFailure", "Once"];
    machine["spec"]["runStrategy"] = (*choice(random, &run)).into();
    let mut settings = vec![
        ("migrates-for", format!("{}ms", random.u32(500..40_000))),
        ("prepares-for", format!("{}ms", random.u32(100..5_000))),
        ("guest-starts-after", format!("{}s", random.u32(1..=20))),
        ("shuts-down-after", format!("{}ms", random.u32(100..20_000))),
    ];
    if seldom(random, 25) {
        settings.push(("not-migratable", "DisksNotLiveMigratable".to_owned()));
    }
    if seldom(random, 25) {
        settings.push(("migration-fails", random.u8(1..=2).to_string()));
    }
    if seldom(random, 10) {
        settings.push(("migration-mode", "PostCopy".to_owned()));
    }
    let machine = settings.iter().fold(machine, |machine, (setting, value)| annotated(machine, setting, value));
    if !seldom(random, 10) {
        return machine;
    }
    // The VMI alone.
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {
            "namespace": NAMESPACE, "name": name, "labels": {"app": name},
            "annotations": machine["spec"]["template"]["metadata"]["annotations"],
        },
        "spec": machine["spec"]["template"]["spec"],
    })
}
