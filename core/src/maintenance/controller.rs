//! A stand-in, so that the service compiles before the controller is merged.
#![allow(missing_docs, missing_debug_implementations, clippy::must_use_candidate, clippy::needless_pass_by_value)]
use crate::{clock::Clock, cluster::Cluster, model::ObjectKey};
pub struct Settings {
    pub identity: String,
    pub namespace: String,
    pub drain_taint_key: String,
    pub own_pod: Option<ObjectKey>,
}
pub struct Controller;
#[rustfmt::skip]
impl Controller {
    pub fn new(_: Cluster, _: Settings, _: Clock) -> Self { Self }
    pub async fn run(self, shutdown: impl Future<Output = ()>) { shutdown.await; }
}
