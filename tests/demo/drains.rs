//! kubectl's own drain.

use careen_tests::{
    demo::Demo,
    objects::{name_of, text, uid_of},
};
use serde_json::json;

/// The names of the pods on a node that are not gone.
async fn pods_on(demo: &Demo, node: &str) -> Vec<String> {
    let pods = demo.objects(&format!("pods -A --field-selector=spec.nodeName={node}")).await;
    pods.iter().map(|pod| name_of(pod).to_owned()).collect()
}

pub async fn a_drain_that_may_not_go_on_evicts_nothing(demo: &Demo) {
    let before = pods_on(demo, "node03").await;
    let said = demo.refuses("drain node03").await;
    for reason in
        ["cannot delete DaemonSet-managed Pods", "virt-launcher-licences", "(use --delete-emptydir-data to override)"]
    {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert_eq!(demo.object("node node03").await["spec"]["unschedulable"], true, "it is cordoned all the same");
    assert_eq!(pods_on(demo, "node03").await, before);
    demo.says("uncordon node03").await;
    // One of the server would not end: KubeVirt refuses it as it refuses the eviction itself.
    let dry = "drain node03 --ignore-daemonsets --delete-emptydir-data --dry-run=client";
    assert!(demo.says(dry).await.contains("node/node03 drained (dry run)"));
    assert_eq!(pods_on(demo, "node03").await, before);
}

pub async fn a_vm_that_cannot_migrate_is_waited_for(demo: &Demo) {
    let before = demo.object("vmi licences -n office").await;
    // Without a limit it would go on for ever, as on any cluster.
    let output = demo.kubectl("drain node03 --ignore-daemonsets --delete-emptydir-data --timeout=30s", "").await;
    let said = output.stdout.clone() + &output.refused();
    for line in [
        "node/node03 cordoned",
        "ignoring DaemonSet-managed Pods: kube-system/node-agent-",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        "admission webhook \"virt-launcher-eviction-interceptor.kubevirt.io\" denied the request: VMI licences is \
         configured with an eviction strategy but is not live-migratable",
        "global timeout reached: 30s",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let left = pods_on(demo, "node03").await;
    assert!(
        left.iter().all(|pod| pod.starts_with("node-agent-") || pod.starts_with("virt-launcher-licences-")),
        "{left:?}"
    );
    let after = demo.object("vmi licences -n office").await;
    assert_eq!((text(&after, "/status/phase"), text(&after, "/status/nodeName")), ("Running", "node03"));
    assert_eq!(uid_of(&after), uid_of(&before));
    assert_eq!(demo.object("node node03").await["spec"]["taints"][0]["key"], json!("node.kubernetes.io/unschedulable"));
    demo.says("uncordon node03").await;
}

pub async fn a_vm_that_can_migrate_leaves_alive(demo: &Demo) {
    let before = demo.object("vmi mail -n office").await;
    assert_eq!(text(&before, "/status/nodeName"), "node05");
    let output = demo.kubectl("drain node05 --ignore-daemonsets --delete-emptydir-data --timeout=120s", "").await.ok();
    assert!(output.stdout.ends_with("node/node05 drained\n"), "{}", output.stdout);
    for answer in ["Eviction triggered evacuation of VMI \"office/mail\"", "Evacuation in progress: "] {
        assert!(output.stderr.contains(answer), "{answer}: {}", output.stderr);
    }
    let after = demo.object("vmi mail -n office").await;
    assert_eq!((text(&after, "/status/phase"), uid_of(&after)), ("Running", uid_of(&before)));
    assert_ne!(text(&after, "/status/nodeName"), "node05");
    let left = pods_on(demo, "node05").await;
    assert!(left.len() == 1 && left[0].starts_with("node-agent-"), "{left:?}");
    demo.says("uncordon node05").await;
}
