//! The service on the API server in memory: with roles, and without controllers, so that nothing happens by itself.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::{Body, BodyDataStream, to_bytes},
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
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::{task::AbortHandle, time::timeout};
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

/// The service on node01 and node02. The tokens `admin` and `second` may do everything, `viewer` may read everything,
/// `lister` may read nodes, `cordoner` may patch them, `canceller` may also cancel evacuations, `planner` may read
/// nodes and pods, `vm-planner` also VMs, and `nothing` may nothing.
pub(crate) struct Simulated {
    pub(crate) kubernetes: ApiServer,
    pub(crate) shutdown: Shutdown,
    pub(crate) cluster: Cluster,
    service: Router,
    follower: AbortHandle,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Simulated {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With what is put there before the service sees it.
    pub(crate) async fn start_with(fill: impl FnOnce(&ApiServer)) -> Self {
        let tokens = [
            ("admin", User::new("ann", &["system:masters"])),
            ("second", User::new("bob", &["system:masters"])),
            ("viewer", User::new("vic", &["viewers"])),
            ("cordoner", User::new("cora", &["cordoners"])),
            ("canceller", User::new("carl", &["cancellers"])),
            ("lister", User::new("lina", &["listers"])),
            ("planner", User::new("paul", &["listers", "planners"])),
            ("vm-planner", User::new("vera", &["listers", "planners", "vm-planners"])),
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
        let cancelled = json!([
            { "apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"] },
            { "apiGroups": ["subresources.kubevirt.io"], "resources": ["virtualmachineinstances/evacuate/cancel"],
              "verbs": ["update"] },
        ]);
        grant(&kubernetes, "cancellers", &cancelled);
        let listed = json!([{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"] }]);
        grant(&kubernetes, "listers", &listed);
        let pods = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }]);
        grant(&kubernetes, "planners", &pods);
        let vms =
            json!([{ "apiGroups": ["kubevirt.io"], "resources": ["virtualmachineinstances"], "verbs": ["list"] }]);
        grant(&kubernetes, "vm-planners", &vms);
        for name in ["node01", "node02"] {
            let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
            let metadata = json!({ "name": name, "labels": { "rack": &name[4..] } });
            kubernetes.put("nodes", json!({ "metadata": metadata, "spec": {}, "status": status })).unwrap();
        }
        fill(&kubernetes);
        let metrics = Metrics::default();
        let client = client_on(kubernetes.as_user(User::administrator()), &metrics);
        let cluster = Cluster::with_orders(client.clone(), "careen", metrics);
        cluster.ready().await;
        let clock = clock::Clock::system();
        let auth = Auth::by_kubernetes(client, Vec::new(), clock);
        let (http_metrics, shutdown) = (HttpMetrics::default(), Shutdown::default());
        let frame = Frame::new(auth.clone(), http_metrics.clone(), Limits::default());
        let operations = Operations::new(cluster.clone(), clock, "careen", names::DRAIN_TAINT_KEY);
        let api = Api::new(operations, auth, clock, None, http_metrics, &shutdown);
        let follower = tokio::spawn(api.tell_what_happens()).abort_handle();
        let graphql = GraphQl::new(api.clone(), frame.clone(), graphql::Limits::default(), shutdown.clone()).unwrap();
        let service = frame.around(router(api, &frame).merge(graphql.router()));
        Self { kubernetes, shutdown, cluster, service, follower }
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
        // A stream of events has no end.
        let is_stream = head.headers.get("content-type").is_some_and(|type_| type_ == "text/event-stream");
        let body = if is_stream { Vec::new() } else { to_bytes(body, usize::MAX).await.unwrap().to_vec() };
        Answer { status: head.status, headers: head.headers, body }
    }

    /// The operator's stream of events.
    pub(crate) async fn stream(&self, path: &str, last_event_id: Option<&str>) -> Events {
        let mut request = Request::get(format!("/api/v1{path}")).header(header::AUTHORIZATION, "Bearer admin");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = self.service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body().into_data_stream() }
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

/// A stream of events, as a client reads it.
pub(crate) struct Events {
    body: BodyDataStream,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    /// The next event that is no heartbeat; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let next = timeout(Duration::from_secs(30), self.body.next()).await.expect("an event within 30 s");
            let text = String::from_utf8(next?.unwrap().to_vec()).unwrap();
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(name) = field("event:") {
                let data = serde_json::from_str(field("data:").unwrap()).unwrap();
                return Some(Event { name: name.to_owned(), id: field("id:").unwrap().to_owned(), data });
            }
        }
    }

    /// The next event, which has that name.
    pub(crate) async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
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
