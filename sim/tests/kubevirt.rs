//! KubeVirt on the API server in memory, with scheduler and kubelets: all but the guests is real there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{sync::Arc, time::Duration};

use careen_sim::{
    actors::{
        driver::Driver,
        garbage::GarbageCollector,
        kubelet::Kubelet,
        kubevirt::{self, timing::Timing},
        node_lifecycle::NodeLifecycle,
        rules::Rules,
        scheduler::Scheduler,
    },
    api_server::{ApiServer, Options, User},
    clock::Clock,
    selector::LabelSelector,
};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const VMIS: &str = "virtualmachineinstances.kubevirt.io";
const MIGRATIONS: &str = "virtualmachineinstancemigrations.kubevirt.io";

/// Who plays KubeVirt, and everything else.
const ACTORS: &str = "system:actors";
const CASES: &str = "/apis/kubevirt.io/v1/namespaces/cases";

struct Cluster {
    server: ApiServer,
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn cluster(seed: u64) -> Cluster {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let server = ApiServer::new(Options::new(clock, seed));
    kubevirt::install::install(&server, ACTORS, None).await.unwrap();
    let client = server.as_user(User::administrator()).client();
    let rules = Rules::new(seed);
    let every_node = LabelSelector::from_json(&json!({})).unwrap();
    let actors = server.as_user(User::new(ACTORS, &["system:masters"])).client();
    let driver = Driver::new(actors, clock, fastrand::Rng::with_seed(seed))
        .with(Scheduler::default())
        .with(Kubelet::of(every_node, rules.clone()))
        .with(NodeLifecycle::new(rules.clone()))
        .with(GarbageCollector::new(rules.clone()).and(kubevirt::names::KINDS));
    let driver = tokio::spawn(kubevirt::join(driver, Timing::new(rules)).run());
    let cluster = Cluster { server, client, driver };
    for name in ["node-0", "node-1", "node-2"] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        assert_eq!(cluster.send("POST", "/api/v1/nodes", &node).await.0, 201);
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cases"}});
    assert_eq!(cluster.send("POST", "/api/v1/namespaces", &namespace).await.0, 201);
    cluster
}

impl Cluster {
    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let type_ = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", type_);
        let response = self.client.send(request.body(bytes.into()).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
    }

    fn vmi(&self, name: &str) -> Value {
        self.server.get(VMIS, "cases", name).map(|found| Value::clone(&found)).unwrap_or_default()
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..6_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not after ten minutes: {what}; {:#?}", ["pods", VMIS, MIGRATIONS].map(|kind| self.server.all(kind)));
    }

    /// A VM that runs: its VMI.
    async fn runs(&self, name: &str, strategy: &str) -> Value {
        let vm = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
            "spec": {"runStrategy": "Always", "template": {"spec": {"evictionStrategy": strategy, "domain": {}}}},
        });
        let (code, answer) = self.send("POST", "/apis/kubevirt.io/v1/namespaces/cases/virtualmachines", &vm).await;
        assert_eq!(code, 201, "{answer}");
        let is_ready = || {
            let vmi = self.vmi(name);
            let conditions = vmi["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let is_true =
                |kind: &str| conditions.iter().any(|found| found["type"] == kind && found["status"] == "True");
            vmi["status"]["phase"] == "Running" && is_true("Ready") && is_true("LiveMigratable")
        };
        self.until("it runs", is_ready).await;
        self.vmi(name)
    }

    /// Evicts the launcher pod that a VMI runs in.
    async fn evict(&self, vmi: &Value) -> (u16, Value) {
        let pods = self.server.all("pods");
        let is_launcher = |pod: &&Arc<Value>| {
            pod["metadata"]["labels"]["kubevirt.io/created-by"] == vmi["metadata"]["uid"]
                && pod["spec"]["nodeName"] == vmi["status"]["nodeName"]
        };
        let pod = pods.iter().find(is_launcher).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "cases"},
        });
        self.send("POST", &format!("/api/v1/namespaces/cases/pods/{pod}/eviction"), &eviction).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_evicted_vm_runs_on_another_node_and_is_still_the_same() {
    let cluster = cluster(1).await;
    let before = cluster.runs("web", "LiveMigrate").await;
    let (code, answer) = cluster.evict(&before).await;
    let message = "admission webhook \"virt-launcher-eviction-interceptor.kubevirt.io\" denied the request: Eviction \
                   triggered evacuation of VMI \"cases/web\"";
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 429,
    });
    assert_eq!((code, answer), (429, expected));
    assert_eq!(
        cluster.vmi("web")["status"]["evacuationNodeName"],
        before["status"]["nodeName"],
        "it is marked by then"
    );
    let has_moved = || cluster.vmi("web")["status"]["migrationState"]["completed"] == true;
    cluster.until("it has moved", has_moved).await;
    let after = cluster.vmi("web");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_ne!(after["status"]["nodeName"], before["status"]["nodeName"]);
    assert_eq!(after["status"]["phase"], "Running");
    let is_over = || cluster.server.all(MIGRATIONS).iter().all(|found| found["status"]["phase"] == "Succeeded");
    cluster.until("its migration is over", is_over).await;
}

#[tokio::test(start_paused = true)]
async fn a_vm_without_a_strategy_is_shut_down_and_started_again() {
    let cluster = cluster(2).await;
    let before = cluster.runs("web", "None").await;
    let (code, answer) = cluster.evict(&before).await;
    assert_eq!((code, &answer["status"]), (201, &json!("Success")));
    let runs_again = || {
        let now = cluster.vmi("web");
        now["metadata"]["uid"] != before["metadata"]["uid"] && now["status"]["phase"] == "Running"
    };
    cluster.until("it runs again", runs_again).await;
}

#[tokio::test(start_paused = true)]
async fn an_evacuation_is_cancelled_by_its_mark_and_its_migration() {
    let cluster = cluster(3).await;
    let before = cluster.runs("web", "LiveMigrate").await;
    cluster.evict(&before).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let path = "/apis/subresources.kubevirt.io/v1/namespaces/cases/virtualmachineinstances/web/evacuate/cancel";
    let (code, answer) = cluster.send("PUT", path, &json!({})).await;
    assert_eq!((code, &answer["reason"]), (500, &json!("InternalError")), "without the node's name");
    let body = json!({"evacuationNodeName": before["status"]["nodeName"]});
    assert_eq!(cluster.send("PUT", path, &body).await, (200, json!("")));
    assert!(cluster.vmi("web")["status"]["evacuationNodeName"].is_null());
    let migrations = cluster.server.all(MIGRATIONS);
    let name = migrations[0]["metadata"]["name"].as_str().unwrap();
    let path = format!("/apis/kubevirt.io/v1/namespaces/cases/virtualmachineinstancemigrations/{name}");
    assert_eq!(cluster.send("DELETE", &path, &Value::Null).await.0, 200);
    let is_gone = || cluster.server.all(MIGRATIONS).is_empty();
    cluster.until("the migration is gone", is_gone).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = cluster.vmi("web");
    assert!(is_gone());
    assert_eq!(after["status"]["nodeName"], before["status"]["nodeName"]);
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn while_virt_api_is_away_no_launcher_is_evicted() {
    let cluster = cluster(4).await;
    let vmi = cluster.runs("web", "None").await;
    cluster.server.set_webhook_down(kubevirt::install::VIRT_API);
    let (code, answer) = cluster.evict(&vmi).await;
    assert_eq!((code, &answer["reason"]), (500, &json!("InternalError")));
    assert!(answer["message"].as_str().unwrap().contains("failed calling webhook"));
    let path = "/apis/subresources.kubevirt.io/v1/namespaces/cases/virtualmachineinstances/web/evacuate/cancel";
    let unavailable = (503, json!("service unavailable\n"));
    assert_eq!(cluster.send("PUT", path, &json!({})).await, unavailable, "its own API is away as well");
    cluster.server.set_webhook_up(kubevirt::install::VIRT_API);
    assert_eq!(cluster.send("PUT", path, &json!({})).await.0, 200);
    assert_eq!(cluster.evict(&vmi).await.0, 201);
}

/// A user's migration.
fn migration_of(vmi: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration", "metadata": {"name": "mine"},
        "spec": {"vmiName": vmi},
    })
}

#[tokio::test(start_paused = true)]
async fn only_kubevirt_writes_the_status_of_a_vmi() {
    let cluster = cluster(6).await;
    let before = cluster.runs("web", "LiveMigrate").await;
    let path = format!("{CASES}/virtualmachineinstances/web");
    let mark = json!({
        "metadata": {"labels": {"mine": "yes"}}, "status": {"evacuationNodeName": before["status"]["nodeName"]},
    });
    let (code, answer) = cluster.send("PATCH", &path, &mark).await;
    assert_eq!((code, &answer["status"]), (200, &before["status"]), "the mark is dropped without a word");
    assert_eq!(answer["metadata"]["labels"]["mine"], "yes");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.server.all(MIGRATIONS).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_spec_of_a_vmi_or_of_a_migration_cannot_be_changed() {
    let cluster = cluster(7).await;
    let vmi = cluster.runs("web", "LiveMigrate").await;
    let denied = |webhook: &str, message: &str| {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("admission webhook \"{webhook}\" denied the request: {message}"), "reason": "Invalid",
            "details": {"causes": [{"reason": "FieldValueNotSupported", "message": message}]}, "code": 422,
        })
    };
    let uri = format!("{CASES}/virtualmachineinstances/web");
    let patch = json!({"spec": {"evictionStrategy": "None"}});
    let webhook = "virtualmachineinstances-update-validator.kubevirt.io";
    let expected = denied(webhook, "update of VMI object is restricted");
    assert_eq!(cluster.send("PATCH", &uri, &patch).await, (422, expected));
    assert_eq!(cluster.vmi("web")["spec"], vmi["spec"]);
    let migration = migration_of("web");
    let uri = format!("{CASES}/virtualmachineinstancemigrations");
    assert_eq!(cluster.send("POST", &uri, &migration).await.0, 201);
    let patch = json!({"spec": {"vmiName": "another"}});
    let expected = denied("migration-update-validator.kubevirt.io", "update of Migration object's spec is restricted");
    assert_eq!(cluster.send("PATCH", &format!("{uri}/mine"), &patch).await, (422, expected));
}

#[tokio::test(start_paused = true)]
async fn a_users_migration_is_made_with_label_and_finalizer_and_without_priority() {
    let cluster = cluster(8).await;
    cluster.runs("web", "LiveMigrate").await;
    let path = format!("{CASES}/virtualmachineinstancemigrations");
    let mut migration = migration_of("web");
    migration["spec"]["priority"] = "system-critical".into();
    let (code, answer) = cluster.send("POST", &path, &migration).await;
    assert_eq!((code, &answer["reason"]), (422, &json!("Invalid")), "{answer}");
    assert!(answer["message"].as_str().unwrap().ends_with("only virt-controller is allowed to set priority field"));
    migration["spec"] = json!({"vmiName": "web"});
    let (code, made) = cluster.send("POST", &path, &migration).await;
    assert_eq!((code, &made["metadata"]["labels"]), (201, &json!({"kubevirt.io/vmi-name": "web"})));
    assert_eq!(made["metadata"]["finalizers"], json!(["kubevirt.io/migrationJobFinalize"]));
}

#[tokio::test(start_paused = true)]
async fn the_version_before_v1_is_still_served() {
    let cluster = cluster(9).await;
    let before = cluster.runs("web", "LiveMigrate").await;
    let path = "/apis/kubevirt.io/v1alpha3/namespaces/cases/virtualmachineinstances/web";
    let request = http::Request::get(path).body(Vec::new().into()).unwrap();
    let response = cluster.client.send(request).await.unwrap();
    let warning = response.headers()["warning"].to_str().unwrap().to_owned();
    assert!(warning.contains("kubevirt.io/v1alpha3 is now deprecated"), "{warning}");
    let (_, seen) = cluster.send("GET", path, &Value::Null).await;
    assert_eq!((&seen["apiVersion"], &seen["spec"]), (&json!("kubevirt.io/v1alpha3"), &before["spec"]));
    let (_, group) = cluster.send("GET", "/apis/kubevirt.io", &Value::Null).await;
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let path = "/apis/subresources.kubevirt.io/v1alpha3/namespaces/cases/virtualmachines/web/migrate";
    assert_eq!(cluster.send("PUT", path, &json!({})).await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let mut histories = Vec::new();
    for _ in 0..2 {
        let cluster = cluster(5).await;
        let vmi = cluster.runs("web", "LiveMigrate").await;
        cluster.evict(&vmi).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let all = ["pods", VMIS, MIGRATIONS, "events"].map(|kind| cluster.server.all(kind));
        histories.push((cluster.server.version(), all));
    }
    assert_eq!(histories[0], histories[1]);
}
