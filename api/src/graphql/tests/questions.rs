//! The questions of `docs/graphql.md`, asked on a cluster in memory with the controller at work; their answers stand
//! there.

use std::{fs, path::PathBuf};

use axum::Router;
use careen_core::{
    clock::Clock,
    cluster::{Cluster, Snapshot, client_on},
    controller::{Controller, Settings},
    maintenance::custom_resource_definition,
    metrics::Metrics,
    model::virtual_machine::{LiveMigratable, VmiPhase},
    names,
    operation::Operations,
};
use careen_sim::{
    api_server::User,
    cluster::{Builder, SimulatedCluster},
    objects,
};
use futures::future::pending;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::post;
use crate::{
    auth::{Auth, Caller},
    graphql::{GraphQl, Limits},
    rest::{Api, Frame, HttpMetrics, Limits as HttpLimits},
    shutdown::Shutdown,
};

/// Three nodes with pods and VMs; node03 goes into maintenance, and a VM that cannot move is in the way; a VM of node02
/// migrates and does not come to an end.
struct Operated {
    cluster: Cluster,
    service: Router,
    simulated: SimulatedCluster,
}

fn at(node: &str, object: Value) -> Value {
    let selector = json!({ "kubernetes.io/hostname": node });
    objects::with(object, json!({ "spec": { "template": { "spec": { "nodeSelector": selector } } } }))
}

fn workloads() -> Vec<Value> {
    let setting = |object, name: &str, value: &str| {
        objects::with_pods_annotated(object, &format!("sim.careen.dev/{name}"), value)
    };
    let vm = |name: &str, strategy| objects::virtual_machine("office", name, strategy);
    let halted = json!({ "spec": { "runStrategy": "Once" } });
    vec![
        at("node02", objects::stateful_set("shop", "web", 2)),
        objects::min_available("shop", "web", 2),
        objects::with(objects::pod("shop", "debug"), json!({ "spec": { "nodeName": "node02" } })),
        at("node02", objects::with(vm("batch", None), halted)),
        at("node02", setting(vm("mail", Some("LiveMigrate")), "migration-stays-in", "Scheduling")),
        at("node03", setting(vm("licences", Some("LiveMigrate")), "not-migratable", "DisksNotLiveMigratable")),
    ]
}

impl Operated {
    async fn start() -> Self {
        let definition = serde_json::to_value(custom_resource_definition()).unwrap();
        let builder = SimulatedCluster::builder().seed(2).kubevirt(None).nodes(3).object(definition);
        let namespaces = ["careen", names::NODE_LEASE_NAMESPACE].map(objects::namespace);
        let simulated = namespaces.into_iter().fold(builder, Builder::object).start().await.unwrap();
        let (metrics, clock) = (Metrics::default(), Clock::system());
        let client = client_on(simulated.api_server().as_user(User::administrator()), &metrics);
        let cluster = Cluster::with_orders(client, "careen", metrics);
        cluster.ready().await;
        let settings = Settings {
            identity: "test".to_owned(),
            namespace: "careen".to_owned(),
            drain_taint_key: names::DRAIN_TAINT_KEY.to_owned(),
            own_pod: None,
        };
        tokio::spawn(Controller::new(cluster.clone(), settings, clock).run(pending()));
        let auth = Auth::everybody_is(Caller::named("ann"));
        let (http_metrics, shutdown) = (HttpMetrics::default(), Shutdown::default());
        let frame = Frame::new(auth.clone(), http_metrics.clone(), HttpLimits::default());
        let operations = Operations::new(cluster.clone(), clock, "careen", names::DRAIN_TAINT_KEY);
        let api = Api::new(operations, auth, clock, None, http_metrics, &shutdown);
        let graphql = GraphQl::new(api, frame.clone(), Limits::default(), shutdown).unwrap();
        let service = frame.around(graphql.router());
        let operated = Self { cluster, service, simulated };
        operated.until(|snapshot| snapshot.nodes().filter(|node| node.is_ready()).count() == 3).await;
        for object in workloads() {
            operated.simulated.create(object).await.unwrap();
        }
        operated.until(is_there).await;
        operated.ask(START).await;
        operated.ask(MIGRATE).await;
        operated.until(|snapshot| is_stuck(snapshot) && migrates(snapshot)).await;
        operated
    }

    async fn ask(&self, query: &str) -> Value {
        let mut answer = post(&self.service, query).await;
        assert_eq!(answer.get("errors"), None, "{query}: {answer:#}");
        answer["data"].take()
    }

    async fn until(&self, is_so: impl Fn(&Snapshot) -> bool) {
        let mut changes = self.cluster.changes();
        while !is_so(&self.cluster.snapshot()) {
            changes.next().await;
        }
    }
}

const START: &str = "mutation { startMaintenance(input: { node: \"node03\", reason: \"Replacing the fan\", \
    ticket: { id: \"CHG0031\", url: \"https://tickets.example.com/CHG0031\" } }) { created } }";
const MIGRATE: &str =
    "mutation { migrateVirtualMachineInstance(input: { namespace: \"office\", name: \"mail\" }) { migrationName } }";

/// Everything runs, and its budget knows.
fn is_there(snapshot: &Snapshot) -> bool {
    let pods = snapshot.pods().filter(|pod| pod.ready).count();
    let vmis = snapshot
        .virtual_machine_instances()
        .filter(|vmi| vmi.phase == VmiPhase::Running && vmi.live_migratable != LiveMigratable::NotKnownYet);
    pods == 6
        && vmis.count() == 3
        && snapshot.budgets().any(|budget| budget.is_current() && budget.current_healthy == 2)
}

/// The drain of node03 has said what is in its way.
fn is_stuck(snapshot: &Snapshot) -> bool {
    let status = snapshot.maintenances().find_map(|object| object.status.as_ref());
    status.is_some_and(|status| !status.blocking.is_empty() && status.drain_progress.is_some())
}

/// The migration is in the phase in which it stays.
fn migrates(snapshot: &Snapshot) -> bool {
    snapshot.migrations().any(|migration| migration.phase.as_str() == "Scheduling")
}

/// With each point in time the same.
fn comparable(value: Value) -> Value {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "2026-11-28T15:00:00Z".into(),
        Value::Array(items) => items.into_iter().map(comparable).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, comparable(value))).collect(),
        other => other,
    }
}

/// The document, with the answer behind each question.
async fn with_answers(operated: &Operated, document: &str) -> (String, usize) {
    let (mut text, mut rest, mut questions) = (String::new(), document, 0);
    while let Some((before, after)) = rest.split_once("```graphql\n") {
        let (query, after) = after.split_once("```\n").unwrap();
        let answer = serde_json::to_string_pretty(&comparable(operated.ask(query).await)).unwrap();
        let parts = [before, "```graphql\n", query, "```\n\n```json\n", &answer, "\n```\n"];
        text.extend(parts);
        let old = after.strip_prefix("\n```json\n").and_then(|after| after.split_once("```\n"));
        (rest, questions) = (old.map_or(after, |(_, after)| after), questions + 1);
    }
    (text + rest, questions)
}

#[tokio::test(start_paused = true)]
async fn documents_have_the_answers_to_ten_questions() {
    let operated = Operated::start().await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/graphql.md");
    let (text, questions) = with_answers(&operated, &fs::read_to_string(&file).unwrap()).await;
    assert_eq!(questions, 10);
    crate::rest::tests::contract::held("docs/graphql.md", &text);
}
