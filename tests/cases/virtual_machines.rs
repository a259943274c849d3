//! VMs: each strategy takes its way, and none is lost.

use std::time::Duration;

use careen_tests::{
    case::{Case, RECORD, blocking, summary},
    kubevirt::{FAIL, GUEST_STARTS_AFTER, HOLD, NOT_MIGRATABLE, VirtApiIs, Vm},
    objects::{CLUSTER, condition, kinds, name_of, text, uid_of},
    wait::{check, soon, stays},
};
use serde_json::{Value, json};

use super::record::record_for;

/// The reason and message of what blocks that VM.
fn blocked<'a>(maintenance: &'a Value, vmi: &str) -> (&'a str, &'a str, &'a str) {
    let entry = blocking(maintenance, "VirtualMachineInstance", vmi)
        .unwrap_or_else(|| panic!("{vmi} should be blocked: {}", summary(maintenance)));
    (text(entry, "/class"), text(entry, "/reason"), text(entry, "/message"))
}

/// Whether that VM is blocked for that reason.
fn is_blocked(maintenance: &Value, vmi: &str, reason: &str) -> bool {
    blocking(maintenance, "VirtualMachineInstance", vmi).is_some_and(|entry| text(entry, "/reason") == reason)
}

/// The answers to Careen's evictions of that VM's pods.
fn evictions_of(case: &Case, vmi: &str) -> Vec<u16> {
    let pods = case.evictions().0;
    let mine = pods.iter().filter(|(pod, _)| pod.contains(&format!("/virt-launcher-{vmi}-")));
    mine.flat_map(|(_, answers)| answers.clone()).collect()
}

/// Careen's own writes to KubeVirt's objects: it never changes a VMI itself.
fn kubevirt_writes(case: &Case) -> Vec<String> {
    let groups = ["kubevirt.io", "subresources.kubevirt.io"];
    let writes = case.writes().that(|request| groups.contains(&request.object.api_group.as_str()));
    writes.0.iter().map(|request| format!("{} {}", request.verb, request.resource())).collect()
}

/// The same, where one that is repeated counts once: what was answered with a conflict, or is not seen to have worked
/// yet, is asked for again.
fn kubevirt_steps(case: &Case) -> Vec<String> {
    let mut writes = kubevirt_writes(case);
    writes.dedup();
    writes
}

pub async fn a_vm_that_can_migrate_migrates(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    let source = case.launcher(&vmi, &a).await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let moved = case.vmi_runs("db", Some(&b)).await;
    assert_eq!(uid_of(&moved), uid_of(&vmi), "it is the same VM, and it never stopped");
    assert_eq!(evictions_of(&case, "db"), [429], "KubeVirt is asked once");
    // The completed launcher stays behind and is no work left.
    assert_eq!(case.names_on(&a).await, [source]);
    assert_eq!(kubevirt_writes(&case), [] as [&str; 0]);
    let record: Value = careen_tests::case::record_of(&case.get_node(&a).await);
    assert_eq!(record["evacuations"], json!([uid_of(&vmi)]));
}

pub async fn a_vm_without_a_strategy_is_shut_down_and_starts_elsewhere(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("old", Vm::NO_STRATEGY).await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let started = case.vmi_runs("old", Some(&b)).await;
    assert_ne!(uid_of(&started), uid_of(&vmi));
    assert_eq!(evictions_of(&case, "old"), [201]);
}

pub async fn vms_that_would_not_start_again_block_and_say_so(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let manual = Vm { run_strategy: Some("Manual"), ..Vm::NO_STRATEGY };
    case.vm("manual", manual).await;
    case.vm("bare", Vm { run_strategy: None, ..Vm::NO_STRATEGY }).await;
    case.vm("on-failure", Vm { run_strategy: Some("RerunOnFailure"), ..Vm::NO_STRATEGY }).await;
    let uids: Vec<String> = async {
        let mut uids = Vec::new();
        for name in ["manual", "bare", "on-failure"] {
            uids.push(uid_of(&case.vmi(name).await).to_owned());
        }
        uids
    }
    .await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    let stuck = case.until_maintenance(&name, "all three block", |found| found["status"]["blocked"] == json!(3)).await;
    assert_eq!(condition(&stuck, "Stuck"), "True", "{}", summary(&stuck));
    assert_eq!(text(&stuck, "/status/phase"), "Running");
    for (vmi, why) in [("manual", "Manual"), ("bare", "VirtualMachine"), ("on-failure", "RerunOnFailure")] {
        let (class, reason, message) = blocked(&stuck, vmi);
        assert_eq!((class, reason), ("Stuck", "WillNotRestart"));
        assert!(message.contains(why), "{vmi}: {message}");
        assert_eq!(evictions_of(&case, vmi), [] as [u16; 0], "{vmi}");
    }
    for (vmi, uid) in ["manual", "bare", "on-failure"].iter().zip(&uids) {
        assert_eq!(uid_of(&case.vmi_runs(vmi, Some(&a)).await), uid);
    }
    // Whoever says so has them shut down.
    let patch = json!({"spec": {"drain": {"vmThatWillNotRestart": "ShutDown"}}});
    case.cluster().merge(kinds::MAINTENANCE, CLUSTER, &name, patch).await;
    case.drained(&name).await;
    for vmi in ["manual", "bare", "on-failure"] {
        assert_eq!(evictions_of(&case, vmi), [201], "{vmi}");
    }
}

pub async fn a_vm_that_cannot_migrate_blocks_until_it_may_be_shut_down(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm { not_migratable: Some("DisksNotLiveMigratable"), ..Vm::LIVE_MIGRATE }).await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    let stuck = case.until_condition(&name, "Stuck", "True").await;
    let (class, reason, message) = blocked(&stuck, "db");
    assert_eq!((class, reason), ("Stuck", "NotLiveMigratable"));
    assert!(message.contains("DisksNotLiveMigratable"), "KubeVirt's own reason is in it: {message}");
    assert_eq!(uid_of(&case.vmi_runs("db", Some(&a)).await), uid_of(&vmi));
    let patch = json!({"spec": {"drain": {"vmThatCannotMigrate": "ShutDown"}}});
    case.cluster().merge(kinds::MAINTENANCE, CLUSTER, &name, patch).await;
    case.drained(&name).await;
    let started = case.vmi_runs("db", Some(&b)).await;
    assert_ne!(uid_of(&started), uid_of(&vmi));
    assert_eq!(kubevirt_writes(&case), ["delete virtualmachineinstances"]);
    assert_eq!(evictions_of(&case, "db"), [] as [u16; 0], "eviction would be refused for ever");
}

pub async fn a_vm_that_can_migrate_if_possible_is_shut_down_where_it_cannot(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let if_possible = Vm { strategy: "LiveMigrateIfPossible", ..Vm::LIVE_MIGRATE };
    let able = case.vm("able", if_possible).await;
    let unable = case.vm("unable", Vm { not_migratable: Some("HostDeviceNotLiveMigratable"), ..if_possible }).await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    assert_eq!(uid_of(&case.vmi_runs("able", Some(&b)).await), uid_of(&able));
    assert_ne!(uid_of(&case.vmi_runs("unable", Some(&b)).await), uid_of(&unable));
    assert_eq!((evictions_of(&case, "able"), evictions_of(&case, "unable")), (vec![429], vec![201]));
}

pub async fn an_absent_virt_api_is_waited_for(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 3).await;
    let b = case.node("b").await;
    case.virt_api(VirtApiIs::Down).await;
    let name = case.maintain(&a).await;
    let waits = case
        .until_maintenance(&name, "it waits for virt-api", |found| is_blocked(found, "db", "WebhookUnavailable"))
        .await;
    assert_eq!(blocked(&waits, "db").0, "Waits");
    assert_ne!(condition(&waits, "Stuck"), "True", "{}", summary(&waits));
    case.available("web", 2).await;
    case.virt_api(VirtApiIs::Up).await;
    case.drained(&name).await;
    assert_eq!(uid_of(&case.vmi_runs("db", Some(&b)).await), uid_of(&vmi));
    let answers = evictions_of(&case, "db");
    assert_eq!(answers.iter().filter(|code| **code == 429).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|code| matches!(code, 429 | 500)), "{answers:?}");
}

pub async fn a_failed_migration_is_tried_again_by_kubevirt_alone(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.tell("db", FAIL, Some("1")).await;
    let b = case.node("b").await;
    let history = case.history(&format!("{a}-maintenance"));
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    assert_eq!(uid_of(&case.vmi_runs("db", Some(&b)).await), uid_of(&vmi));
    assert_eq!(evictions_of(&case, "db"), [429], "it is still marked: KubeVirt tries again by itself");
    assert_eq!(kubevirt_writes(&case), [] as [&str; 0]);
    assert!(history.blocked_for("MigrationBackoff"), "{:#?}", history.statuses());
}

pub async fn a_vm_that_starts_is_waited_for(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vm = Vm { strategy: "LiveMigrateIfPossible", ..Vm::LIVE_MIGRATE };
    case.vm_that_starts("db", vm, json!({GUEST_STARTS_AFTER: "1h"})).await;
    // KubeVirt has not worked out yet whether it can be migrated: an eviction would kill it.
    let vmi = case.vmi_is("db", "Scheduled").await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    let waits = case
        .until_maintenance(&name, "the VM is waited for", |found| is_blocked(found, "db", "VirtualMachineStarting"))
        .await;
    assert_eq!(blocked(&waits, "db").0, "Waits");
    assert_eq!(evictions_of(&case, "db"), [] as [u16; 0]);
    case.tell("db", GUEST_STARTS_AFTER, Some("0s")).await;
    case.drained(&name).await;
    assert_eq!(uid_of(&case.vmi_runs("db", Some(&b)).await), uid_of(&vmi));
}

pub async fn careen_migrates_what_has_no_strategy_when_asked_to(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let able = case.vm("able", Vm::NO_STRATEGY).await;
    let unable = case.vm("unable", Vm { not_migratable: Some("DisksNotLiveMigratable"), ..Vm::NO_STRATEGY }).await;
    let b = case.node("b").await;
    let name = case.maintain_with(&a, json!({"drain": {"vmWithoutStrategy": "Migrate"}})).await;
    case.drained(&name).await;
    assert_eq!(uid_of(&case.vmi_runs("able", Some(&b)).await), uid_of(&able));
    assert_ne!(uid_of(&case.vmi_runs("unable", Some(&b)).await), uid_of(&unable));
    assert_eq!(kubevirt_writes(&case), ["create virtualmachineinstancemigrations"]);
    assert_eq!(evictions_of(&case, "able"), [] as [u16; 0], "its eviction would shut it down");
}

pub async fn stopping_takes_marks_back_and_leaves_running_migrations(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.tell("db", HOLD, Some("Running")).await;
    let before = case.look_of(&a).await;
    let b = case.node("b").await;
    let name = case.maintain(&a).await;
    let migration = case.migration_is("db", "Running").await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
    assert_eq!(text(&case.vmi("db").await, "/status/evacuationNodeName"), "", "the mark is taken back");
    assert_eq!(kubevirt_steps(&case), ["update virtualmachineinstances/evacuate"]);
    // It runs to its end.
    case.tell("db", HOLD, None).await;
    assert_eq!(uid_of(&case.vmi_runs("db", Some(&b)).await), uid_of(&vmi));
    assert_eq!(uid_of(&case.migration_is("db", "Succeeded").await), uid_of(&migration));
}

pub async fn stopping_ends_migrations_that_have_not_begun(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.tell("db", HOLD, Some("Pending")).await;
    let before = case.look_of(&a).await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    case.migration_is("db", "Pending").await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
    assert_eq!(
        kubevirt_steps(&case),
        ["update virtualmachineinstances/evacuate", "delete virtualmachineinstancemigrations"],
        "the mark first, so that KubeVirt does not start another"
    );
    // virt-controller makes another where it has not seen yet that the mark is gone.
    soon("no migration is left", async || {
        let left = case.cluster().list(kinds::MIGRATION, &case.namespace).await;
        for migration in &left {
            case.cluster().delete(kinds::MIGRATION, &case.namespace, name_of(migration)).await;
        }
        check(left.is_empty(), || left.iter().map(name_of).collect::<Vec<_>>().join(" "))
    })
    .await;
    stays(Duration::from_secs(1), "the VM stays", async || {
        let now = case.vmi("db").await;
        let migrations = case.cluster().list(kinds::MIGRATION, &case.namespace).await;
        let stays = uid_of(&now) == uid_of(&vmi) && text(&now, "/status/nodeName") == a && migrations.is_empty();
        check(stays, || now["status"].to_string())
    })
    .await;
}

/// Somebody writes a VMI of another node into the record of a maintenance that is gone: its mark is not Careen's.
pub async fn a_forged_evacuation_is_not_taken_back(case: Case) {
    case.with_kubevirt().await;
    let b = case.node("b").await;
    let vmi =
        case.vm("db", Vm { not_migratable: Some(NOT_MIGRATABLE), strategy: "External", ..Vm::LIVE_MIGRATE }).await;
    // KubeVirt alone writes marks.
    let pod = case.launcher(&vmi, &b).await;
    assert_eq!(case.cluster().evict(&case.namespace, &pod, false).await.0, 429);
    assert_eq!(text(&case.vmi("db").await, "/status/evacuationNodeName"), b);
    let a = case.node("a").await;
    let mut record = record_for(&case.get_node(&a).await, "Maintenance");
    record["evacuations"] = json!([uid_of(&vmi)]);
    let forged = json!({
        "metadata": {"annotations": {RECORD: record.to_string()}}, "spec": {"unschedulable": true},
    });
    case.cluster().merge(kinds::NODE, CLUSTER, &a, forged).await;
    // Whether it restores that node or only reports the record, it is done with it.
    soon("Careen has dealt with the record", async || {
        let restored = !case.writes().that(|request| request.object.resource == "nodes").is_empty();
        check(restored || !case.warnings_about_node(&a).await.is_empty(), || "not yet".to_owned())
    })
    .await;
    stays(Duration::from_secs(1), "the mark of the other node stays", async || {
        let marked = case.vmi("db").await["status"]["evacuationNodeName"] == json!(b);
        check(marked && kubevirt_writes(&case).is_empty(), || format!("{:?}", kubevirt_writes(&case)))
    })
    .await;
}
