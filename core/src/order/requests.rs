//! The writes of the `ConfigMap` that an order is. Each carries what it was decided on as a precondition.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    model::{DrainOrder, DrainRequest, DrainStatus},
    names::{DRAIN_ORDER_LABEL, FIELD_MANAGER},
};

/// Why an order was not written.
#[derive(Debug, thiserror::Error)]
pub enum OrderWriteError {
    /// It has gone, or changed, or is there already: look again.
    #[error("the drain order {0} changed or went meanwhile")]
    Changed(String),
    /// The right is missing.
    #[error("not allowed to {verb} the ConfigMap {name}: grant that right in Careen's namespace ({message})")]
    Forbidden {
        /// `get`, `create`, `patch` or `delete`.
        verb: &'static str,
        /// Namespace and name.
        name: String,
        /// What the API server says.
        message: String,
    },
    /// The API server does not take it, or what it holds is no order.
    #[error("the ConfigMap {name} cannot be used as a drain order: {message}")]
    Rejected {
        /// Namespace and name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The API server cannot be reached or cannot serve now: it may have been written. Trying again is harmless.
    #[error("the API server could not be asked about the drain order {name}: {message}")]
    Unavailable {
        /// Namespace and name.
        name: String,
        /// What happened.
        message: String,
    },
}

/// The orders in Careen's namespace.
#[derive(Clone)]
pub(crate) struct Orders {
    api: Api<ConfigMap>,
    namespace: String,
}

impl Orders {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), namespace: namespace.to_owned() }
    }

    /// Reads the order of that name as it is now. One that cannot be read is an error: it may be alive.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<DrainOrder>, OrderWriteError> {
        match Answer::within(REQUEST_TIMEOUT, self.api.get(name)).await {
            Answer::Done(object) => self.read(name, object).map(Some),
            Answer::Refused(status) if status.is_not_found() => Ok(None),
            failed => Err(self.failure("get", name, failed)),
        }
    }

    /// Makes the first order of a node. `Changed` if there is one already.
    pub(crate) async fn create(&self, request: &DrainRequest) -> Result<DrainOrder, OrderWriteError> {
        let name = DrainOrder::name_for(&request.node);
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(BTreeMap::from([(DRAIN_ORDER_LABEL.to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(DrainOrder::REQUEST.to_owned(), json!(request).to_string())])),
            ..ConfigMap::default()
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match Answer::within(REQUEST_TIMEOUT, self.api.create(&params, &object)).await {
            Answer::Done(object) => self.read(&name, object),
            Answer::Refused(status) if status.is_already_exists() => Err(OrderWriteError::Changed(self.full(&name))),
            failed => Err(self.failure("create", &name, failed)),
        }
    }

    /// Puts another request in its place, or the same one changed (to be cancelled). What has become of an earlier order
    /// goes with it.
    pub(crate) async fn replace_request(
        &self,
        order: &DrainOrder,
        request: &DrainRequest,
    ) -> Result<DrainOrder, OrderWriteError> {
        let mut data = json!({ DrainOrder::REQUEST: json!(request).to_string() });
        if request.id != *order.id() {
            data[DrainOrder::STATUS] = Value::Null;
        }
        self.patch(order, data).await
    }

    /// Says what has become of it.
    pub(crate) async fn write_status(
        &self,
        order: &DrainOrder,
        status: &DrainStatus,
    ) -> Result<DrainOrder, OrderWriteError> {
        self.patch(order, json!({ DrainOrder::STATUS: json!(status).to_string() })).await
    }

    /// Deletes it if it is still exactly this one.
    pub(crate) async fn delete(&self, order: &DrainOrder) -> Result<(), OrderWriteError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(order.uid.0.clone()),
            resource_version: Some(order.resource_version.clone()),
        });
        match Answer::within(REQUEST_TIMEOUT, self.api.delete(&order.name, &params)).await {
            Answer::Done(_) => Ok(()),
            Answer::Refused(status) if status.is_not_found() => Ok(()),
            Answer::Refused(status) if status.is_conflict() => Err(OrderWriteError::Changed(self.full(&order.name))),
            failed => Err(self.failure("delete", &order.name, failed)),
        }
    }

    async fn patch(&self, order: &DrainOrder, data: Value) -> Result<DrainOrder, OrderWriteError> {
        let metadata = json!({ "uid": order.uid, "resourceVersion": order.resource_version });
        let patch = Patch::Merge(json!({ "metadata": metadata, "data": data }));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match Answer::within(REQUEST_TIMEOUT, self.api.patch(&order.name, &params, &patch)).await {
            Answer::Done(object) => self.read(&order.name, object),
            Answer::Refused(status) if status.is_conflict() || status.is_not_found() => {
                Err(OrderWriteError::Changed(self.full(&order.name)))
            }
            failed => Err(self.failure("patch", &order.name, failed)),
        }
    }

    fn read(&self, name: &str, object: ConfigMap) -> Result<DrainOrder, OrderWriteError> {
        let rejected = |error: crate::model::InvalidDrainOrder| OrderWriteError::Rejected {
            name: self.full(name),
            message: error.to_string(),
        };
        object.try_into().map_err(rejected)
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    fn failure<T>(&self, verb: &'static str, name: &str, answer: Answer<T>) -> OrderWriteError {
        let name = self.full(name);
        match answer {
            Answer::Refused(status) if status.is_forbidden() => {
                OrderWriteError::Forbidden { verb, name, message: status.message }
            }
            Answer::Refused(status) => OrderWriteError::Rejected { name, message: status.message },
            Answer::Unavailable(error) => OrderWriteError::Unavailable { name, message: error.to_string() },
            Answer::TimedOut | Answer::Done(_) => {
                let message = format!("no answer in {} s", REQUEST_TIMEOUT.as_secs());
                OrderWriteError::Unavailable { name, message }
            }
        }
    }
}
