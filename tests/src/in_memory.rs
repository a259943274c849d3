//! The same for the cases as `controlplane/`, in this process: `careen-sim`'s API server over HTTP on loopback, and its
//! scheduler and controllers. Kubelets and KubeVirt are played as on the real one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use careen_sim::{
    actors::{
        disruption::Disruption,
        driver::Driver,
        garbage::GarbageCollector,
        kubevirt::names::KINDS,
        node_lifecycle::NodeLifecycle,
        rules::Rules,
        scheduler::Scheduler,
        workloads::{daemon_set::DaemonSets, deployment::Deployments, job::Jobs, replica_set::ReplicaSets},
    },
    api_server::{ApiServer, Options, User, audit::Sink, authorization::Authorization, http},
    clock::Clock,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{kubectl::Kubectl, nodes::NODES};

/// After so long without a word from it a node is not ready, as `controlplane/` has it.
const NODE_GRACE: Duration = Duration::from_secs(20);

/// Whose requests are not in the audit log: who plays the cluster.
const UNHEARD: [&str; 2] = ["careen-test:controllers", NODES];

/// Who logs in: the name of the kubeconfig, and the user. Each has an address of its own, and needs no token there:
/// clients of Kubernetes send none where there is no TLS.
fn users() -> [(&'static str, User); 4] {
    [
        ("admin", User::new("admin", &["system:masters"])),
        ("careen", User::service_account("careen", "careen")),
        ("nobody", User::new("nobody-special", &[])),
        ("nodes", User::new(NODES, &["system:masters"])),
    ]
}

/// Starts it; its files are in that folder. Returns it, and the variables that `controlplane/` has in its `env`.
pub async fn start(folder: &Path) -> Result<(ApiServer, BTreeMap<String, String>), String> {
    let audit_log = folder.join("audit.log");
    std::fs::create_dir_all(folder.join("logs")).map_err(|error| error.to_string())?;
    let server = ApiServer::new(Options {
        without_token: User::anonymous(),
        authorization: Authorization::Rbac,
        audit: Some(written_to(&audit_log)?),
        ..Options::new(Clock::system(), 0)
    });
    tokio::spawn(controllers(&server).run());

    let path = |name: &str| folder.join(name).display().to_string();
    for (name, user) in users() {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| error.to_string())?);
        tokio::spawn(http::serve(listener, server.as_user(user), std::future::pending()));
        let kubeconfig = kubeconfig(&url, name).to_string();
        std::fs::write(path(&format!("{name}.kubeconfig")), kubeconfig).map_err(|error| error.to_string())?;
    }
    let env = [
        ("KUBECONFIG", path("admin.kubeconfig")),
        ("CAREEN_KUBECONFIG", path("careen.kubeconfig")),
        ("NOBODY_KUBECONFIG", path("nobody.kubeconfig")),
        ("NODES_KUBECONFIG", path("nodes.kubeconfig")),
        ("AUDIT_LOG", audit_log.display().to_string()),
        ("KUBECTL", Kubectl::built().display().to_string()),
        ("KUBECACHEDIR", path("kube-cache")),
    ];
    Ok((server, env.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn controllers(server: &ApiServer) -> Driver {
    let client = server.as_user(User::new(UNHEARD[0], &["system:masters"])).client();
    let rules = Rules::new(0).jittered(0.0);
    Driver::new(client, Clock::system(), fastrand::Rng::with_seed(0))
        .with(Deployments::default())
        .with(ReplicaSets::default())
        .with(DaemonSets::default())
        .with(Jobs::default())
        .with(Scheduler::default())
        .with(Disruption::new(rules.clone()))
        .with(NodeLifecycle::new(rules.clone()).with_grace(NODE_GRACE))
        .with(GarbageCollector::new(rules).and(KINDS))
}

/// A line for each request, as `kube-apiserver` writes it; it is there before the request is answered.
fn written_to(path: &Path) -> Result<Sink, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = Mutex::new(file);
    Ok(Arc::new(move |event: &Value| {
        let user = event.pointer("/user/username").and_then(Value::as_str);
        if !user.is_some_and(|user| UNHEARD.contains(&user)) {
            let mut file = file.lock().expect("nobody panics while it writes a line");
            file.write_all(format!("{event}\n").as_bytes()).expect("the audit log can be written");
        }
    }))
}

fn kubeconfig(url: &str, user: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "careen-test",
        "contexts": [{"name": "careen-test", "context": {"cluster": "careen-test", "user": user}}],
        "clusters": [{"name": "careen-test", "cluster": {"server": url}}],
        "users": [{"name": user, "user": {}}],
    })
}
