//! A history is lived: the cluster in memory, what happens on it, and Careen, under virtual time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use careen_core::maintenance::custom_resource_definition;
use careen_sim::{
    actors::kubevirt::install::VIRT_API,
    api_server::{
        ApiServer, Options,
        fault::{Effect, FaultId},
        refusal::Refusal,
        request::Request,
    },
    clock::Clock,
    cluster::SimulatedCluster,
    objects,
};
use fastrand::Rng;
use http::{Method, header};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    careen::{self, Careen, Log},
    plan::{Happening, Plan},
    promises::{has_to_leave, is_drained},
    story::{CAREEN, INSTANCES, MAINTENANCES, Scribe, Story, World, key_of},
    workloads::NAMESPACE,
};

/// After the last that happens, everything comes to rest within this time. KubeVirt waits 15 min for a target pod.
const AT_REST_WITHIN: Duration = Duration::from_secs(40 * 60);
/// Maintenances that are ended are gone within this time: a cancel that is refused is repeated for 30 s.
const GONE_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How often is looked whether everything is at rest.
const LOOK: Duration = Duration::from_secs(5);

/// What a story tells of.
const RESOURCES: [&str; 12] = [
    "nodes",
    "pods",
    "poddisruptionbudgets.policy",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "leases.coordination.k8s.io",
    MAINTENANCES,
    "virtualmachines.kubevirt.io",
    INSTANCES,
    "virtualmachineinstancemigrations.kubevirt.io",
];

/// Lives the history of a plan.
pub fn live(plan: Plan) -> Story {
    // Nothing but the seed decides: kube's back-off takes its jitter from here.
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(Life::of(plan))
}

struct Life {
    simulated: SimulatedCluster,
    scribe: Arc<Scribe>,
    beginning: World,
    plan: Plan,
    random: Rng,
    careen: Option<Careen>,
    log: Log,
    started: Instant,
    /// What ends later: faults, absences, restarts.
    later: Vec<(Instant, Later)>,
    notes: Vec<(jiff::Timestamp, String)>,
    unsettled: Vec<String>,
    count: u32,
}

enum Later {
    Careen,
    VirtApi,
    Faults(Vec<FaultId>),
    Watches,
}

impl Life {
    async fn of(plan: Plan) -> Story {
        let mut life = Self::begin(plan).await;
        for (after, happening) in life.plan.happenings.clone() {
            life.pass_until(life.started + after).await;
            life.note(format!("{happening:?}"));
            life.happens(happening).await;
        }
        while let Some(next) = life.later.iter().map(|(at, _)| *at).min() {
            life.pass_until(next).await;
        }
        life.note("nothing more happens".to_owned());
        life.until(AT_REST_WITHIN, Self::not_at_rest).await;
        life.note("everything is at rest: the maintenances are ended".to_owned());
        for node in life.maintained() {
            life.happens(Happening::End { node }).await;
        }
        life.until(GONE_WITHIN, |life| {
            life.maintained().into_iter().map(|node| format!("{node} is not given back")).collect()
        })
        .await;
        // What is released last is released after the object has gone.
        sleep(LOOK).await;
        life.end().await
    }

    async fn begin(plan: Plan) -> Self {
        let clock = Clock::starting_at("2026-11-24T00:00:00Z".parse().expect("a time"));
        let scribe = Arc::new(Scribe::default());
        let options = Options { audit: Some(scribe.sink()), ..Options::new(clock, plan.seed) };
        let definition = serde_json::to_value(custom_resource_definition()).expect("JSON");
        let simulated = SimulatedCluster::builder()
            .seed(plan.seed)
            .jittered(0.0)
            .options(options)
            // Long before it counts as silent; every 10 s would be most of what happens.
            .renewing_every(Duration::from_secs(600))
            .kubevirt(plan.eviction_strategy)
            .nodes(plan.nodes)
            .object(definition)
            .object(objects::namespace(careen::NAMESPACE))
            .object(objects::namespace("medik8s-leases"))
            .object(objects::namespace(NAMESPACE))
            .start()
            .await
            .expect("a cluster");
        let server = simulated.api_server();
        let (in_cluster, per_node) = plan.parallel_migrations;
        let limits = json!({"parallelMigrationsPerCluster": in_cluster, "parallelOutboundMigrationsPerNode": per_node});
        let edited = server.edit("kubevirts.kubevirt.io", "kubevirt", "kubevirt", |kubevirt| {
            kubevirt["spec"]["configuration"]["migrations"] = limits;
        });
        edited.expect("KubeVirt is configured");
        let beginning = scribe.begin(server, &RESOURCES);
        let log = Log::default();
        let careen = Some(Careen::start(server, &log, clock.now()));
        let mut life = Self {
            random: Rng::with_seed(plan.seed ^ 0xfa17),
            simulated,
            scribe,
            beginning,
            plan,
            careen,
            log,
            started: Instant::now(),
            later: Vec::new(),
            notes: Vec::new(),
            unsettled: Vec::new(),
            count: 0,
        };
        // What comes before its node is ready goes elsewhere.
        sleep(Duration::from_secs(5)).await;
        for node in life.plan.empty_nodes.clone() {
            life.happens(Happening::Cordon { node, cordoned: true }).await;
        }
        for object in life.plan.objects.clone() {
            life.simulated.create(object).await.expect("an object of the plan");
        }
        life.note(format!("{} nodes", life.plan.nodes));
        life
    }

    async fn end(mut self) -> Story {
        if let Some(careen) = self.careen.take() {
            careen.stop().await;
        }
        let mut sent = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Story {
            plan: self.plan,
            beginning: self.beginning,
            moments: self.scribe.moments(),
            sent: std::mem::take(&mut *sent),
            notes: self.notes,
            unsettled: self.unsettled,
        }
    }

    fn server(&self) -> &ApiServer {
        self.simulated.api_server()
    }

    fn note(&mut self, what: String) {
        self.notes.push((self.simulated.clock().now(), what));
    }

    /// Time passes; what was to end in the meantime ends.
    async fn pass_until(&mut self, time: Instant) {
        loop {
            let next = (0..self.later.len()).min_by_key(|index| self.later[*index].0);
            let Some(next) = next.filter(|next| self.later[*next].0 <= time) else { break };
            let (at, what) = self.later.remove(next);
            sleep_until(at).await;
            self.is_over(what);
        }
        sleep_until(time).await;
    }

    fn is_over(&mut self, what: Later) {
        match what {
            Later::Careen => {
                self.note("Careen starts".to_owned());
                self.careen = Some(Careen::start(self.server(), &self.log, self.simulated.clock().now()));
            }
            Later::VirtApi => {
                self.note("virt-api is back".to_owned());
                self.server().set_webhook_up(VIRT_API);
            }
            Later::Faults(ids) => {
                self.note("no more faults".to_owned());
                for id in ids {
                    self.server().faults().remove(id);
                }
            }
            Later::Watches => {
                self.note("the watches go on".to_owned());
                self.server().release_watches();
            }
        }
    }

    fn later(&mut self, after: Duration, what: Later) {
        self.later.push((Instant::now() + after, what));
    }

    async fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Maintain { node, drain } => {
                self.count += 1;
                let object = json!({
                    "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance",
                    "metadata": {"name": format!("{node}-{}", self.count)},
                    "spec": {"nodeName": node, "reason": "a history", "drain": drain},
                });
                self.simulated.create(object).await.expect("a maintenance");
            }
            Happening::End { node } => {
                for name in self.maintenances_of(&node) {
                    self.send(Method::DELETE, &maintenance(&name), &json!({})).await;
                }
            }
            Happening::Change { node, drain } => {
                for name in self.maintenances_of(&node) {
                    self.send(Method::PATCH, &maintenance(&name), &json!({"spec": {"drain": null}})).await;
                    self.send(Method::PATCH, &maintenance(&name), &json!({"spec": {"drain": drain}})).await;
                }
            }
            Happening::Restart(away) => {
                if let Some(careen) = self.careen.take() {
                    careen.stop().await;
                    self.later(away, Later::Careen);
                }
            }
            Happening::Crash(away) => {
                if let Some(careen) = self.careen.take() {
                    careen.crash().await;
                    self.later(away, Later::Careen);
                }
            }
            Happening::Cordon { node, cordoned } => {
                let patch = json!({"spec": {"unschedulable": cordoned}});
                self.send(Method::PATCH, &format!("/api/v1/nodes/{node}"), &patch).await;
            }
            Happening::PodArrives { node } => {
                self.count += 1;
                let pod = objects::pod(NAMESPACE, &format!("late{}", self.count));
                let pod = objects::with(pod, json!({"spec": {"nodeName": node}}));
                self.simulated.create(pod).await.expect("a pod");
            }
            Happening::VirtApiDown(lasts) => {
                self.server().set_webhook_down(VIRT_API);
                self.later(lasts, Later::VirtApi);
            }
            Happening::Faults { percent, lasts } => {
                let ids = self.faults(percent);
                self.later(lasts, Later::Faults(ids));
            }
            Happening::WatchesHeld { of_pods, lasts } => {
                self.server().hold_watches(move |request| {
                    let is_of_pods = request.target.as_ref().is_some_and(|target| target.plural == "pods");
                    request.user.name == CAREEN && (is_of_pods || !of_pods)
                });
                self.later(lasts, Later::Watches);
            }
            Happening::WatchesClosed { expired } => {
                if expired {
                    self.server().forget_history();
                }
                self.server().close_all_watches();
            }
        }
    }

    /// Of a hundred requests so many go wrong, each kind of fault as often as the others.
    fn faults(&mut self, percent: u8) -> Vec<FaultId> {
        let refused = |code, reason, message: &str| Effect::Refuse(Refusal::new(code, reason, message));
        let effects = [
            Effect::LoseAnswer,
            Effect::DropConnection,
            Effect::Hang,
            Effect::HangAfterwards,
            Effect::Delay(Duration::from_secs(3)),
            refused(429, "TooManyRequests", "the server has received too many requests"),
            refused(500, "InternalError", "etcdserver: request timed out"),
            refused(503, "ServiceUnavailable", "apiserver is shutting down"),
        ];
        let one_in = effects.len() as u64 * 100 / u64::from(percent);
        let mut ids = Vec::new();
        for effect in effects {
            let random = Mutex::new(self.random.fork());
            let strikes = move |request: &Request| {
                let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
                request.user.name == CAREEN && request.verb != "watch" && random.u64(..one_in) == 0
            };
            ids.push(self.server().faults().add(strikes, effect));
        }
        ids
    }

    /// As somebody who may.
    async fn send(&self, method: Method, path: &str, body: &Value) {
        let type_ = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, type_);
        let request = request.body(body.to_string().into_bytes()).expect("a request");
        match self.simulated.client().request::<Value>(request).await {
            Ok(_) => {}
            // It has gone in the meantime.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }

    fn maintenances(&self) -> Vec<Arc<Value>> {
        self.server().all(MAINTENANCES)
    }

    fn maintenances_of(&self, node: &str) -> Vec<String> {
        let of_node =
            |object: &Arc<Value>| (object["spec"]["nodeName"] == node).then(|| key_of(MAINTENANCES, object).2);
        self.maintenances().iter().filter_map(of_node).collect()
    }

    /// The nodes that have a maintenance.
    fn maintained(&self) -> Vec<String> {
        let node = |object: &Arc<Value>| object["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        let mut nodes: Vec<String> = self.maintenances().iter().map(node).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// Waits until nothing is in the way any more; what still is after that time is wrong.
    async fn until(&mut self, within: Duration, obstacles: impl Fn(&Self) -> Vec<String>) {
        let started = Instant::now();
        loop {
            sleep(LOOK).await;
            let obstacles = obstacles(self);
            if obstacles.is_empty() {
                return;
            }
            if started.elapsed() > within || !self.careen.as_ref().is_some_and(Careen::is_running) {
                self.unsettled.extend(obstacles);
                return;
            }
        }
    }

    /// Whose maintenance has neither come to its end nor waits for somebody's help alone.
    fn not_at_rest(&self) -> Vec<String> {
        let pods = self.server().all("pods");
        self.maintenances().iter().filter_map(|object| under_way(object, &pods)).collect()
    }
}

/// What is under way, for a maintenance that has neither come to its end nor waits for somebody's help alone.
fn under_way(object: &Value, pods: &[Arc<Value>]) -> Option<String> {
    let (name, status) = (&object["metadata"]["name"], &object["status"]);
    if status["phase"] == "Failed" {
        return None;
    }
    let left: Vec<&str> = pods
        .iter()
        .filter(|pod| has_to_leave(pod, object))
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    if is_drained(object) && left.is_empty() {
        return None;
    }
    let blocking = status["blocking"].as_array().cloned().unwrap_or_default();
    let is_stuck = blocking.iter().any(|entry| entry["class"] == "Stuck");
    let waits_for_time =
        blocking.iter().any(|entry| entry["class"] != "Stuck" && entry["reason"] != "OrderedAfterOthers");
    if is_stuck && !waits_for_time && blocking.len() == left.len() {
        return None;
    }
    Some(format!("{name} is not drained, and not only stuck: left are {left:?}; its status is {status:#}"))
}

fn maintenance(name: &str) -> String {
    format!("/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/{name}")
}
