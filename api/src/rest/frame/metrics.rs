//! What is counted of HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::Account;

/// What is counted of HTTP. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<Answered, Counter>,
    duration: Family<Route, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    streams: Gauge,
    sockets: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

/// Counts something down again at its end.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn durations() -> Histogram {
    // A millisecond to about half a minute, doubled each time.
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            sockets: Gauge::default(),
        }
    }
}

impl HttpMetrics {
    /// Adds the metrics to a registry, under the prefix `careen_http`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("careen_http");
        registry.register("requests", "Requests answered, by route and status", self.requests.clone());
        let duration = self.duration.clone();
        registry.register_with_unit("request_duration", "Time until the head of the answer", Unit::Seconds, duration);
        registry.register("requests_in_flight", "Requests that are being answered", self.in_flight.clone());
        registry.register("event_streams", "Streams of events that are open", self.streams.clone());
        registry.register("websockets", "WebSockets that are open", self.sockets.clone());
    }

    pub(super) fn in_flight(&self) -> Counted {
        Counted::one(&self.in_flight)
    }

    /// Counts a stream of events until it is dropped.
    pub(crate) fn stream(&self) -> Counted {
        Counted::one(&self.streams)
    }

    pub(super) fn socket(&self) -> Counted {
        Counted::one(&self.sockets)
    }

    pub(super) fn count(&self, account: &Account, status: StatusCode, took: Duration) {
        // A method and a route that nobody has are one each, or a stranger could make up as many as they like.
        let method = match account.method().as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => "other",
        };
        let route = account.route().unwrap_or("other").to_owned();
        self.requests.get_or_create(&Answered { method, route: route.clone(), code: status.as_u16() }).inc();
        self.duration.get_or_create(&Route { method, route }).observe(took.as_secs_f64());
    }
}
