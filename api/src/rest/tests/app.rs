//! The service on a Kubernetes of its own, and the answers it gives.

use std::io::Read;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use careen_core::{clock::Clock, cluster::Cluster, metrics::Metrics, names, operation::Operations};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use super::kubernetes::Kubernetes;
use crate::{
    auth::Auth,
    graphql::{self, GraphQl},
    guard::{Guard, Hosts},
    health,
    rest::{Api, Frame, HttpMetrics, Limits, router},
    shutdown::Shutdown,
};

/// The service, with an operator's token `admin`, who may do everything.
pub(crate) struct TestApp {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) http_metrics: HttpMetrics,
    pub(crate) frame: Frame,
    service: Router,
}

impl TestApp {
    /// On a cluster with node01, node02 (cordoned) and node03 (not ready).
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), Vec::new(), Router::new()).await
    }

    /// As it listens on a loopback address: nothing comes in that a foreign web page could have sent.
    pub(crate) async fn guarded() -> Self {
        let guard = Guard::new(Hosts::of("127.0.0.1:8080".parse().unwrap(), []));
        let around = move |routes| Router::new().fallback_service(guard.layer(routes));
        Self::built(Limits::default(), Vec::new(), Router::new(), around).await
    }

    /// With other limits, audiences, and routes beside the service's within its frame.
    pub(crate) async fn with(limits: Limits, audiences: Vec<String>, beside: Router) -> Self {
        Self::built(limits, audiences, beside, |routes| routes).await
    }

    async fn built(
        limits: Limits,
        audiences: Vec<String>,
        beside: Router,
        around: impl FnOnce(Router) -> Router,
    ) -> Self {
        let kubernetes = Kubernetes::default();
        kubernetes.user("admin", "ann", &["*"]);
        kubernetes.node("node01", &json!({}), true);
        kubernetes.node("node02", &json!({ "unschedulable": true }), true);
        kubernetes.node("node03", &json!({}), false);
        let cluster = Cluster::with_orders(kubernetes.client(), "careen", Metrics::default());
        cluster.ready().await;
        let auth = Auth::by_kubernetes(kubernetes.client(), audiences, Clock::system());
        let http_metrics = HttpMetrics::default();
        let frame = Frame::new(auth.clone(), http_metrics.clone(), limits);
        let health = health::router(cluster.clone(), &http_metrics);
        let operations = Operations::new(cluster, Clock::system(), "careen", names::DRAIN_TAINT_KEY);
        let shutdown = Shutdown::default();
        let api = Api::new(operations, auth, Clock::system(), None, http_metrics.clone(), &shutdown);
        let graphql = GraphQl::new(api.clone(), frame.clone(), graphql::Limits::default(), shutdown).unwrap();
        let service = frame.around(around(router(api, &frame).merge(graphql.router()).merge(health).merge(beside)));
        Self { kubernetes, http_metrics, frame, service }
    }

    /// The service, for whoever brings a connection.
    pub(crate) fn service(&self) -> Router {
        self.service.clone()
    }

    /// The answer to a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// The answer to a GET of the operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as("admin", path).await
    }

    /// The answer to a GET with that token.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The same, as a client shows it that has said it takes gzip.
    #[track_caller]
    pub(crate) fn unpacked(mut self) -> Self {
        assert_eq!(self.header("content-encoding"), "gzip");
        let mut body = Vec::new();
        GzDecoder::new(self.body.as_slice()).read_to_end(&mut body).unwrap();
        self.body = body;
        self
    }

    /// The body, from JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("there is no {name}")).to_str().unwrap()
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }

    /// Checks that this is a problem with that reason, and gives its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, reason: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["reason"], reason, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("https://careen.dev/problems/{reason}"));
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        problem["detail"].as_str().unwrap().to_owned()
    }
}
