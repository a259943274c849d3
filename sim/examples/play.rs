//! Plays parts of a cluster on the API server of the kubeconfig: `cargo run -p careen-sim --example play -- kubelet
//! kube-scheduler kube-controller-manager`. With `KUBELET_NODES` (a label selector) only those nodes are played.

use careen_sim::{
    actors::{
        disruption::Disruption,
        driver::Driver,
        garbage::GarbageCollector,
        kubelet::Kubelet,
        kubevirt::{self, timing::Timing},
        node_lifecycle::NodeLifecycle,
        rules::Rules,
        scheduler::Scheduler,
        workloads::{
            daemon_set::DaemonSets, deployment::Deployments, job::Jobs, replica_set::ReplicaSets,
            stateful_set::StatefulSets,
        },
    },
    clock::Clock,
    selector::LabelSelector,
};
use kube::{Client, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let nodes = LabelSelector::parse(&std::env::var("KUBELET_NODES").unwrap_or_default())?;
    let rules = Rules::new(1);
    let mut driver = Driver::new(client, Clock::system(), fastrand::Rng::with_seed(1)).recording(|done| {
        println!("{} {} {:?} {:?}", done.at, done.actor, done.code, done.write);
    });
    for actor in std::env::args().skip(1) {
        driver = match actor.as_str() {
            "kubelet" => {
                driver.with(Kubelet::of(nodes.clone(), rules.clone()).renewing_every(std::time::Duration::from_secs(2)))
            }
            "kube-scheduler" => driver.with(Scheduler::default()),
            "kube-controller-manager" => driver
                .with(Deployments::default())
                .with(ReplicaSets::default())
                .with(StatefulSets::default())
                .with(DaemonSets::default())
                .with(Jobs::default())
                .with(Disruption::new(rules.clone()))
                .with(NodeLifecycle::new(rules.clone()).with_grace(std::time::Duration::from_secs(8)))
                .with(GarbageCollector::new(rules.clone())),
            "kubevirt" => kubevirt::join(driver, Timing::new(rules.clone())),
            other => return Err(format!("there is no actor {other}").into()),
        };
    }
    driver.run().await;
    Ok(())
}
