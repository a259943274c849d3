//! The writes of the `ConfigMap` that an order is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use serde_json::{Value, json};

use crate::{
    config_map::{ConfigMapError, ConfigMaps, Seen},
    model::{DrainOrder, DrainRequest, DrainStatus},
    names::DRAIN_ORDER_LABEL,
};

/// The orders in Careen's namespace.
#[derive(Clone)]
pub(crate) struct Orders {
    objects: ConfigMaps,
}

impl Orders {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self { objects: ConfigMaps::new(client, namespace) }
    }

    /// Reads the order of that name as it is now. One that cannot be read is an error: it may be alive.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<DrainOrder>, ConfigMapError> {
        match self.objects.get(name).await? {
            Some(object) => self.read(name, object).map(Some),
            None => Ok(None),
        }
    }

    /// Makes the first order of a node. `Changed` if there is one already.
    pub(crate) async fn create(&self, request: &DrainRequest) -> Result<DrainOrder, ConfigMapError> {
        let name = DrainOrder::name_for(&request.node);
        let data = BTreeMap::from([(DrainOrder::REQUEST.to_owned(), json!(request).to_string())]);
        self.read(&name, self.objects.create(&name, DRAIN_ORDER_LABEL, data).await?)
    }

    /// Puts another request in its place, or the same one changed (to be cancelled). What has become of an earlier
    /// order goes with it.
    pub(crate) async fn replace_request(
        &self,
        order: &DrainOrder,
        request: &DrainRequest,
    ) -> Result<DrainOrder, ConfigMapError> {
        let mut data = json!({ DrainOrder::REQUEST: json!(request).to_string() });
        if request.id != *order.id() {
            data[DrainOrder::STATUS] = Value::Null;
        }
        self.read(&order.name, self.objects.patch(seen(order), data).await?)
    }

    /// Says what has become of it.
    pub(crate) async fn write_status(
        &self,
        order: &DrainOrder,
        status: &DrainStatus,
    ) -> Result<DrainOrder, ConfigMapError> {
        let data = json!({ DrainOrder::STATUS: json!(status).to_string() });
        self.read(&order.name, self.objects.patch(seen(order), data).await?)
    }

    /// Deletes it if it is still exactly this one.
    pub(crate) async fn delete(&self, order: &DrainOrder) -> Result<(), ConfigMapError> {
        self.objects.delete(seen(order)).await
    }

    fn read(&self, name: &str, object: ConfigMap) -> Result<DrainOrder, ConfigMapError> {
        object.try_into().map_err(|error: crate::model::InvalidDrainOrder| self.objects.rejected(name, error))
    }
}

fn seen(order: &DrainOrder) -> Seen<'_> {
    Seen { name: &order.name, uid: &order.uid, resource_version: &order.resource_version }
}
