//! A client of others follows a maintenance while `careen serve` is stopped and started again.
//!
//! Needs node, and `npm ci --prefix tests/graphql-ws`: `cargo test -p careen --test graphql_ws -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use careen_core::{maintenance::custom_resource_definition, model::NodeMaintenance, names};
use careen_sim::{
    api_server::{ApiServer, Options, User, authorization::Authorization, http},
    clock::Clock,
    objects,
};
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const MAINTENANCES: &str = "nodemaintenances.nodemaintenance.kubevirt.io";
const WITHIN: Duration = Duration::from_secs(60);

/// A Kubernetes with one node, and the kubeconfig of its administrator.
async fn kubernetes() -> (ApiServer, PathBuf) {
    let tokens = [("admin", User::administrator()), ("viewer", User::new("vic", &["viewers"]))];
    let tokens: BTreeMap<_, _> = tokens.into_iter().map(|(token, user)| (token.to_owned(), user)).collect();
    let options = Options { tokens, authorization: Authorization::Rbac, ..Options::new(Clock::system(), 1) };
    let kubernetes = ApiServer::new(options);
    kubernetes.put(DEFINITIONS, serde_json::to_value(custom_resource_definition()).unwrap()).unwrap();
    for namespace in ["careen", names::NODE_LEASE_NAMESPACE] {
        kubernetes.put("namespaces", objects::namespace(namespace)).unwrap();
    }
    let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"] }]);
    let metadata = json!({ "name": "viewers" });
    kubernetes.put("clusterroles.rbac.authorization.k8s.io", json!({ "metadata": metadata, "rules": rules })).unwrap();
    let binding = json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "viewers" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "viewers" }],
    });
    kubernetes.put("clusterrolebindings.rbac.authorization.k8s.io", binding).unwrap();
    let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
    let node = json!({ "metadata": { "name": "node02" }, "spec": {}, "status": status });
    kubernetes.put("nodes", node).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(http::serve(listener, kubernetes.by_token(), std::future::pending()));
    let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("graphql-ws-{}.yaml", server.port()));
    let text = format!(
        "{{current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], \
         clusters: [{{name: a, cluster: {{server: 'http://{server}'}}}}], users: [{{name: a, user: {{token: admin}}}}]}}"
    );
    fs::write(&kubeconfig, text).unwrap();
    (kubernetes, kubeconfig)
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `careen serve` on that port, or on a free one: and the address.
fn careen(kubeconfig: &PathBuf, address: &str) -> (Process, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_careen"))
        .args(["serve", "--log-format=text", "--listen", address, "--kubeconfig"])
        .arg(kubeconfig)
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let found = log.find_map(|line| {
        let line = line.unwrap();
        let (_, behind) = line.split_once("listening on http://")?;
        behind.split_whitespace().next().map(str::to_owned)
    });
    // Somebody has to read the rest.
    std::thread::spawn(move || log.for_each(drop));
    (Process(process), found.unwrap())
}

/// What the client says.
struct Follower {
    _process: Process,
    lines: Option<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(address: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/graphql-ws");
        let mut process = Command::new("node")
            .args(["follow.mjs", &format!("ws://{address}/graphql"), "viewer", "node02"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Some(BufReader::new(process.stdout.take().unwrap()));
        Self { _process: Process(process), lines }
    }

    /// The first line from now on that is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let mut lines = self.lines.take().unwrap();
                let (lines, line) = spawn_blocking(move || {
                    let mut line = String::new();
                    lines.read_line(&mut line).unwrap();
                    (lines, line)
                })
                .await
                .unwrap();
                self.lines = Some(lines);
                let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{what}: {line:?}"));
                println!("{said}");
                assert_eq!(said.get("errors").or(said.get("error")), None);
                if is_so(&said) {
                    return said;
                }
            }
        };
        timeout(WITHIN, search).await.unwrap_or_else(|_| panic!("{what}: not within {WITHIN:?}"))
    }

    async fn phase(&mut self, phase: &str) -> Value {
        self.until(phase, |said| said["seen"]["phase"] == phase).await["seen"].take()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, and npm ci"]
async fn graphql_ws_follows_a_maintenance_through_restarts_and_causes_nothing() {
    let (kubernetes, kubeconfig) = kubernetes().await;
    let (first, address) = careen(&kubeconfig, "127.0.0.1:0");
    let mut follower = Follower::start(&address);
    let is_none = |said: &Value| said.get("seen").is_some_and(Value::is_null);
    follower.until("there is none", is_none).await;

    let object = json!({ "metadata": { "name": "m" }, "spec": { "nodeName": "node02" } });
    kubernetes.put(MAINTENANCES, object).unwrap();
    let done = follower.phase("Succeeded").await;
    assert_eq!(done["node"]["schedulable"], false);

    drop(first);
    follower.until("the connection is lost", |said| said.get("closed").is_some()).await;
    let (_second, _) = careen(&kubeconfig, &address);
    follower.until("it is connected again", |said| said.get("connected").is_some()).await;
    let again = follower.phase("Succeeded").await;
    assert_eq!(again, done, "another maintenance was started, or the node was changed");
    assert_eq!(kubernetes.all(MAINTENANCES).len(), 1);

    let administered = Api::<NodeMaintenance>::all(kubernetes.as_user(User::administrator()).client());
    administered.delete("m", &DeleteParams::default()).await.unwrap();
    follower.until("it is gone", is_none).await;
    let node = kubernetes.get("nodes", "", "node02").unwrap();
    assert_eq!(node["spec"].get("unschedulable"), None);
}
