//! A whole cluster in memory: API server, kubelets, controllers, and KubeVirt if wanted.

mod manifests;

use std::{fmt, time::Duration};

use kube::Client;
use serde_json::Value;
use tokio::task::JoinHandle;

pub use self::manifests::{ManifestError, parse};
use crate::{
    actors::{
        disruption::Disruption,
        driver::{Done, Driver},
        garbage::GarbageCollector,
        kubelet::Kubelet,
        kubevirt::{self, names, timing::Timing},
        node_lifecycle::NodeLifecycle,
        rules::{Rule, Rules},
        scheduler::Scheduler,
        workloads::{
            daemon_set::DaemonSets, deployment::Deployments, job::Jobs, replica_set::ReplicaSets,
            stateful_set::StatefulSets,
        },
    },
    api_server::{ApiServer, Options, User},
    clock::Clock,
    objects,
    selector::LabelSelector,
};

/// A cluster that runs. It ends when it is dropped.
#[derive(Debug)]
pub struct SimulatedCluster {
    server: ApiServer,
    actors: Option<JoinHandle<()>>,
}

impl SimulatedCluster {
    /// What it is to be like.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its API server.
    #[must_use]
    pub fn api_server(&self) -> &ApiServer {
        &self.server
    }

    /// A client of somebody who may do everything.
    #[must_use]
    pub fn client(&self) -> Client {
        self.server.as_user(User::administrator()).client()
    }

    /// Its time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.server.clock()
    }

    /// Creates an object; its namespace as well, if it is missing.
    pub async fn create(&self, object: Value) -> Result<Value, ManifestError> {
        manifests::create(&self.client(), object).await
    }

    /// Creates all objects of YAML or JSON documents.
    pub async fn create_manifests(&self, text: &str) -> Result<(), ManifestError> {
        for object in parse(text)? {
            self.create(object).await?;
        }
        Ok(())
    }
}

impl Drop for SimulatedCluster {
    fn drop(&mut self) {
        if let Some(actors) = &self.actors {
            actors.abort();
        }
    }
}

type Record = Box<dyn FnMut(&Done<'_>) + Send>;

/// What a cluster is to be like.
pub struct Builder {
    options: Option<Options>,
    seed: u64,
    rules: Rules,
    renews_every: Duration,
    kubevirt: Option<KubeVirt>,
    objects: Vec<Value>,
    record: Option<Record>,
    is_still: bool,
}

struct KubeVirt {
    eviction_strategy: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            options: None,
            seed: 0,
            rules: Rules::new(0),
            renews_every: Duration::from_secs(10),
            kubevirt: None,
            objects: Vec::new(),
            record: None,
            is_still: false,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("seed", &self.seed).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Builder {
    /// Decides everything that is random: 0 unless said.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.rules = self.rules.seeded(seed);
        self
    }

    /// With what the API server has beyond its defaults: a clock, users, rights, an audit log.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = Some(options);
        self
    }

    /// Everything takes that many times as long: with 0.1 a termination of 30 s takes 3 s.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        self.rules = self.rules.scaled(scale);
        self
    }

    /// Durations vary, by a tenth unless said: with 0.5 they are up to half as long again.
    #[must_use]
    pub fn jittered(mut self, jitter: f64) -> Self {
        self.rules = self.rules.jittered(jitter);
        self
    }

    /// One more rule for how long things take and what goes wrong.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules = self.rules.with(rule);
        self
    }

    /// How often nodes renew their Leases: every 10 s unless said, and long before they count as silent.
    #[must_use]
    pub fn renewing_every(mut self, interval: Duration) -> Self {
        self.renews_every = interval;
        self
    }

    /// So many nodes: `node01`, `node02`, ….
    #[must_use]
    pub fn nodes(self, count: usize) -> Self {
        (1..=count).fold(self, |builder, number| builder.object(objects::node(&format!("node{number:02}"))))
    }

    /// One more object to begin with.
    #[must_use]
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// More objects, as YAML or JSON documents.
    pub fn manifests(mut self, text: &str) -> Result<Self, ManifestError> {
        self.objects.extend(parse(text)?);
        Ok(self)
    }

    /// With KubeVirt, and its cluster-wide eviction strategy.
    #[must_use]
    pub fn kubevirt(mut self, eviction_strategy: Option<&str>) -> Self {
        self.kubevirt = Some(KubeVirt { eviction_strategy: eviction_strategy.map(str::to_owned) });
        self
    }

    /// Every write of an actor is told, in the order in which they are carried out.
    #[must_use]
    pub fn recording(mut self, record: impl FnMut(&Done<'_>) + Send + 'static) -> Self {
        self.record = Some(Box::new(record));
        self
    }

    /// Nothing happens by itself: there is no scheduler, no kubelet and no controller, and objects stay as they were put.
    /// For what is so large that they would take long.
    #[must_use]
    pub fn still(mut self) -> Self {
        self.is_still = true;
        self
    }

    /// Starts it; it has the objects, and the actors begin.
    pub async fn start(self) -> Result<SimulatedCluster, ManifestError> {
        let options = self.options.unwrap_or_else(|| Options::new(Clock::system(), self.seed));
        let clock = options.clock;
        let server = ApiServer::new(options);
        let client = server.as_user(User::administrator()).client();
        let mut driver = controllers(&server, clock, self.seed, &self.rules, self.renews_every);
        let mut garbage = GarbageCollector::new(self.rules.clone());
        if let Some(KubeVirt { eviction_strategy }) = self.kubevirt {
            let refused = |source| ManifestError::Refused { what: "KubeVirt".to_owned(), source: Box::new(source) };
            kubevirt::install::install(&server, ACTORS, eviction_strategy.as_deref()).await.map_err(refused)?;
            driver = kubevirt::join(driver, Timing::new(self.rules.clone()));
            garbage = garbage.and(names::KINDS);
        }
        driver = driver.with(garbage);
        if let Some(record) = self.record {
            driver = driver.recording(record);
        }
        for object in self.objects {
            manifests::create(&client, object).await?;
        }
        let actors = (!self.is_still).then(|| tokio::spawn(driver.run()));
        Ok(SimulatedCluster { server, actors })
    }
}

/// The account of all actors.
const ACTORS: &str = "system:actors";

/// Who acts on a cluster, but for KubeVirt and the garbage collector. Controllers see what those before them did in the same round.
fn controllers(server: &ApiServer, clock: Clock, seed: u64, rules: &Rules, renews_every: Duration) -> Driver {
    let client = server.as_user(User::new(ACTORS, &["system:masters"])).client();
    let random = fastrand::Rng::with_seed(seed);
    // Four renewals may be late before a node counts as silent, and 50 s if that is more.
    let grace = (renews_every * 5).max(Duration::from_secs(50));
    let every_node = LabelSelector::default();
    Driver::new(client, clock, random)
        .with(Deployments::default())
        .with(ReplicaSets::default())
        .with(StatefulSets::default())
        .with(DaemonSets::default())
        .with(Jobs::default())
        .with(Scheduler::default())
        .with(Kubelet::of(every_node, rules.clone()).renewing_every(renews_every))
        .with(Disruption::new(rules.clone()))
        .with(NodeLifecycle::new(rules.clone()).with_grace(grace))
}

#[cfg(test)]
mod tests;
