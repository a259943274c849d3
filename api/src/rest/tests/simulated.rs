//! The service on the API server in memory: with roles, and without controllers, so that nothing happens by itself.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, header},
};
use careen_core::{
    clock,
    cluster::{Cluster, client_on},
    maintenance::custom_resource_definition,
    metrics::{ApiRequestLabels, Metrics},
    names,
    operation::Operations,
};
use careen_sim::api_server::{ApiServer, Options, User, authorization::Authorization};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::app::Answer;
use crate::{
    auth::Auth,
    graphql::{self, GraphQl},
    rest::{Api, Frame, HttpMetrics, Limits, router},
    shutdown::Shutdown,
};

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// The service on node01 and node02. The token `admin` may do everything, `viewer` may read everything, `lister` may read
/// nodes, `cordoner` may patch them, and `nothing` may nothing.
pub(crate) struct Simulated {
    pub(crate) kubernetes: ApiServer,
    pub(crate) cluster: Cluster,
    service: Router,
}

impl Simulated {
    pub(crate) async fn start() -> Self {
        let tokens = [
            ("admin", User::new("ann", &["system:masters"])),
            ("viewer", User::new("vic", &["viewers"])),
            ("cordoner", User::new("cora", &["cordoners"])),
            ("lister", User::new("lina", &["listers"])),
            ("nothing", User::new("nemo", &[])),
        ];
        let tokens: BTreeMap<_, _> = tokens.into_iter().map(|(token, user)| (token.to_owned(), user)).collect();
        let options = Options {
            tokens,
            authorization: Authorization::Rbac,
            ..Options::new(careen_sim::clock::Clock::system(), 1)
        };
        let kubernetes = ApiServer::new(options);
        kubernetes.put(DEFINITIONS, serde_json::to_value(custom_resource_definition()).unwrap()).unwrap();
        kubernetes.put("namespaces", json!({ "metadata": { "name": "careen" } })).unwrap();
        grant(&kubernetes, "viewers", &json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"] }]));
        grant(&kubernetes, "cordoners", &json!([{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"] }]));
        let listed = json!([{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"] }]);
        grant(&kubernetes, "listers", &listed);
        for name in ["node01", "node02"] {
            let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
            let metadata = json!({ "name": name, "labels": { "rack": &name[4..] } });
            kubernetes.put("nodes", json!({ "metadata": metadata, "spec": {}, "status": status })).unwrap();
        }
        let metrics = Metrics::default();
        let client = client_on(kubernetes.as_user(User::administrator()), &metrics);
        let cluster = Cluster::with_orders(client.clone(), "careen", metrics);
        cluster.ready().await;
        let clock = clock::Clock::system();
        let auth = Auth::by_kubernetes(client, Vec::new(), clock);
        let frame = Frame::new(auth.clone(), HttpMetrics::default(), Limits::default());
        let operations = Operations::new(cluster.clone(), clock, "careen", names::DRAIN_TAINT_KEY);
        let api = Api::new(operations, auth, clock, None);
        let graphql =
            GraphQl::new(api.clone(), frame.clone(), graphql::Limits::default(), Shutdown::default()).unwrap();
        let service = frame.around(router(api, &frame).merge(graphql.router()));
        Self { kubernetes, cluster, service }
    }

    /// The answer to a request: `PUT /nodes/node02/maintenance`.
    pub(crate) async fn send(&self, token: &str, what: &str, body: Option<Value>) -> Answer {
        self.send_with(token, what, body, &[]).await
    }

    pub(crate) async fn send_with(
        &self,
        token: &str,
        what: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let path = if path.starts_with("/graphql") { path.to_owned() } else { format!("/api/v1{path}") };
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.service.clone().oneshot(request.unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body: to_bytes(body, usize::MAX).await.unwrap().to_vec() }
    }

    /// The operator's request, and its answer.
    pub(crate) async fn admin(&self, what: &str, body: Option<Value>) -> Answer {
        self.send("admin", what, body).await
    }

    /// The service, for whoever brings a connection.
    pub(crate) fn service(&self) -> Router {
        self.service.clone()
    }

    /// How many requests to Kubernetes were answered so far that create something: all reviews do.
    pub(crate) fn reviews(&self) -> u64 {
        self.cluster.metrics().api_requests.get_or_create(&ApiRequestLabels { verb: "POST", code: 201 }).get()
    }

    /// Waits until the caches show it.
    pub(crate) async fn until(&self, is_so: impl Fn(&careen_core::cluster::Snapshot) -> bool) {
        let mut changes = self.cluster.changes();
        while !is_so(&self.cluster.snapshot()) {
            changes.next().await;
        }
    }

    pub(crate) fn node(&self, name: &str) -> Value {
        (*self.kubernetes.get("nodes", "", name).unwrap()).clone()
    }
}

fn grant(kubernetes: &ApiServer, group: &str, rules: &Value) {
    kubernetes.put(CLUSTER_ROLES, json!({ "metadata": { "name": group }, "rules": rules })).unwrap();
    let binding = json!({
        "metadata": { "name": group },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": group },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
    });
    kubernetes.put(CLUSTER_ROLE_BINDINGS, binding).unwrap();
}
