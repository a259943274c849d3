//! What plays the kubelets of the cases' nodes: `careen-sim`'s actor, on whatever API server the cases run on.
//!
//! Nodes and pods are told what to do by annotations (`sim.careen.dev/…`: the table is in `careen_sim::actors::rules`).

use std::time::Duration;

use careen_sim::{
    actors::{
        driver::Driver,
        kinds::POD,
        kubelet::Kubelet,
        rules::{Rule, Rules},
    },
    clock::Clock,
    selector::LabelSelector,
};
use kube::Client;
use serde_json::json;

/// The account of those who play kubelets and KubeVirt.
pub const NODES: &str = "careen-test:nodes";

/// Label on nodes: their kubelet is played. Other nodes are nobody's.
pub const PLAYED: &str = "careen-test/kubelet";

/// Annotation on pods: somebody else than the kubelet writes their status, and ends them.
pub const LEFT_ALONE: &str = "sim.careen.dev/left-alone";

/// Annotation on nodes: nothing is heard of them, and nothing on them moves.
pub const UNREACHABLE: &str = "sim.careen.dev/unreachable";

/// A tenth of the 20 s after which `controlplane/` takes a node for lost: where the machine does other things too,
/// several in a row may come late.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Plays them from now on.
pub fn play(client: Client) {
    tokio::spawn(Driver::new(client, Clock::system(), fastrand::Rng::with_seed(0)).with(kubelet()).run());
}

/// Pods are ready at once, those that are to end well do so at once, and each takes its whole grace period to end, as a
/// process that ignores SIGTERM does.
#[must_use]
pub fn kubelet() -> Kubelet {
    let settings = [("starts-after", "0s"), ("ready-after", "0s"), ("ignores-termination", "true")];
    let rule = Rule {
        kind: POD,
        namespace: String::new(),
        selector: LabelSelector::from_json(&json!({})).expect("an empty selector means everything"),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let nodes = LabelSelector::from_json(&json!({"matchLabels": {PLAYED: "sim"}})).expect("a label selector");
    Kubelet::of(nodes, Rules::new(0).jittered(0.0).with(rule)).renewing_every(RENEW_EVERY)
}
