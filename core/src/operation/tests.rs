//! What the API server says of each write is told by what helps.

use kube::core::Status;
use serde_json::json;

use super::{
    CancelDrain, CancelMigration, IfExists, MigrateInstance, OperationError, Operations, OrderDrain, StartMaintenance,
    StopMaintenance, StopTarget,
};
use crate::{
    clock::Clock,
    cluster::{Cluster, client_on},
    metrics::Metrics,
    model::{DrainSpec, NodeName, ObjectKey, testing::at},
    names::DRAIN_TAINT_KEY,
    testing::FakeServer,
};

const MAINTENANCES: &str = "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances";
const INSTANCES: &str = "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances";
const MIGRATIONS: &str = "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstancemigrations";

/// Two nodes, a maintenance of one, a drain of the other, two VMs, and a migration of one.
struct World {
    server: FakeServer,
    operations: Operations,
}

impl World {
    async fn start() -> Self {
        let server = FakeServer::default();
        for namespace in ["careen", "shop"] {
            server.put(&format!("/api/v1/namespaces/{namespace}"), json!({ "metadata": { "name": namespace } }));
        }
        for definition in [
            "nodemaintenances.nodemaintenance.kubevirt.io",
            "virtualmachineinstances.kubevirt.io",
            "virtualmachineinstancemigrations.kubevirt.io",
        ] {
            server.install(definition);
        }
        for node in ["node01", "node02", "node03"] {
            let object = json!({ "kind": "Node", "metadata": { "name": node, "uid": format!("uid-{node}") } });
            server.put(&format!("/api/v1/nodes/{node}"), object);
        }
        let maintenance = json!({ "metadata": { "name": "m", "uid": "uid-m" }, "spec": { "nodeName": "node03" } });
        server.put(&format!("{MAINTENANCES}/m"), maintenance);
        for name in ["db", "web"] {
            let status = json!({
                "phase": "Running", "nodeName": "node01",
                "conditions": [{ "type": "LiveMigratable", "status": "True" }],
            });
            let metadata = json!({ "name": name, "namespace": "shop", "uid": format!("uid-{name}") });
            server.put(&format!("{INSTANCES}/{name}"), json!({ "metadata": metadata, "status": status }));
        }
        let metadata = json!({ "name": "moving", "namespace": "shop", "uid": "uid-moving" });
        let migration = json!({ "metadata": metadata, "spec": { "vmiName": "web" }, "status": { "phase": "Pending" } });
        server.put(&format!("{MIGRATIONS}/moving"), migration);
        let metrics = Metrics::default();
        let cluster = Cluster::with_orders(client_on(server.service(), &metrics), "careen", metrics);
        cluster.ready().await;
        let operations = Operations::new(cluster, Clock::starting_at(at(0)), "careen", DRAIN_TAINT_KEY);
        let order = operations.order_drain(&order("node02", "d1")).await.unwrap().order;
        let mut changes = operations.cluster().changes();
        while operations.cluster().snapshot().drain_order(order.node()).is_none() {
            changes.next().await;
        }
        Self { server, operations }
    }

    /// What each kind of write comes to while it is refused so.
    async fn each(&self, status: &Status) -> Vec<(&'static str, OperationError)> {
        let operations = &self.operations;
        let refuse = |verb: &str| {
            self.server.refuse_nothing();
            self.server.refuse_with(verb, status.code, &status.reason, &status.message);
        };
        let key = |name: &str| ObjectKey::new("shop", name);
        refuse("PATCH");
        let cordon = operations.cordon(&node("node01"), false).await.unwrap_err();
        let cancel = CancelDrain { node: node("node02"), id: None, requested_by: None, dry_run: false };
        let cancel = operations.cancel_drain(&cancel).await.unwrap_err();
        refuse("POST");
        let start = operations.start_maintenance(&start("node01")).await.unwrap_err();
        let drain = operations.order_drain(&order("node01", "d2")).await.unwrap_err();
        let migrate = MigrateInstance { key: key("db"), requested_by: None, dry_run: false };
        let migrate = operations.migrate(&migrate).await.unwrap_err();
        refuse("DELETE");
        let stop = StopMaintenance {
            target: StopTarget::Named("m".to_owned()),
            ticket: None,
            resource_version: None,
            force: false,
            dry_run: false,
        };
        let stop = operations.stop_maintenance(&stop).await.unwrap_err();
        let abort = CancelMigration { key: key("moving"), uid: None, dry_run: false };
        let abort = operations.cancel_migration(&abort).await.unwrap_err();
        vec![
            ("cordon", cordon),
            ("cancel a drain", cancel),
            ("start a maintenance", start),
            ("order a drain", drain),
            ("migrate", migrate),
            ("stop a maintenance", stop),
            ("cancel a migration", abort),
        ]
    }
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn order(name: &str, id: &str) -> OrderDrain {
    OrderDrain { id: id.into(), node: node(name), options: DrainSpec::default(), requested_by: None, dry_run: false }
}

fn start(name: &str) -> StartMaintenance {
    StartMaintenance {
        node: node(name),
        name: None,
        reason: None,
        ticket: None,
        drain: None,
        requested_by: None,
        if_exists: IfExists::Update,
        dry_run: false,
    }
}

fn status(code: u16, reason: &str, message: &str) -> Status {
    serde_json::from_value(json!({ "code": code, "reason": reason, "message": message })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_by_what_helps_whatever_was_to_be_written() {
    let world = World::start().await;
    let webhook = r#"admission webhook "validation.gatekeeper.sh" denied the request: not on Fridays"#;
    let quota = r#"things "a" is forbidden: exceeded quota: few, requested: 1, used: 5, limited: 5"#;
    let right = r#"things "a" is forbidden: User "careen" cannot do that at the cluster scope"#;
    for (code, reason, message, expected) in [
        (403, "Forbidden", webhook, "Rejected"),
        (403, "Forbidden", quota, "Rejected"),
        (403, "Forbidden", right, "Forbidden"),
        (422, "Invalid", "spec: not so", "Rejected"),
        (401, "Unauthorized", "Unauthorized", "ApiServerUnavailable"),
        (408, "Timeout", "it took too long", "ApiServerUnavailable"),
    ] {
        for (what, error) in world.each(&status(code, reason, message)).await {
            assert_eq!(error.reason(), expected, "{what}, {code} {message}: {error}");
            assert!(error.to_string().contains(message), "{what}: {error}");
            if let OperationError::Rejected { kubernetes_reason, .. } = error {
                assert_eq!(kubernetes_reason.as_deref(), Some(reason), "{what}");
            }
        }
    }
}
