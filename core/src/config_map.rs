//! The writes of the `ConfigMap`s in Careen's own namespace: drain orders, and receipts. Each write to one that exists
//! carries what it was decided on as a precondition.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, REQUEST_TIMEOUT, lacks_right, reason_of},
    model::Uid,
    names::FIELD_MANAGER,
};

/// Why a `ConfigMap` was not written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigMapError {
    /// It has gone, or changed, or is there already: look again.
    #[error("the ConfigMap {0} changed or went meanwhile")]
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
    /// The API server does not take it, or what it holds is not what it should be.
    #[error("the ConfigMap {name} cannot be used: {message}")]
    Rejected {
        /// Namespace and name.
        name: String,
        /// What is wrong.
        message: String,
        /// Kubernetes' own word for why, if it has said one: `Forbidden`, `Invalid`.
        reason: Option<String>,
    },
    /// The API server cannot be reached or cannot serve now: it may have been written. Trying again is harmless.
    #[error("the API server could not be asked about the ConfigMap {name}: {message}")]
    Unavailable {
        /// Namespace and name.
        name: String,
        /// What happened.
        message: String,
    },
}

/// The `ConfigMap`s of one namespace.
#[derive(Clone)]
pub(crate) struct ConfigMaps {
    api: Api<ConfigMap>,
    namespace: String,
}

/// Which state of which object a write was decided on.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: &'a Uid,
    pub(crate) resource_version: &'a str,
}

impl ConfigMaps {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), namespace: namespace.to_owned() }
    }

    /// Reads the one of that name as it is now.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<ConfigMap>, ConfigMapError> {
        match Answer::within(REQUEST_TIMEOUT, self.api.get(name)).await {
            Answer::Done(object) => Ok(Some(object)),
            Answer::Refused(status) if status.is_not_found() => Ok(None),
            failed => Err(self.failure("get", name, failed)),
        }
    }

    /// Makes one with that label. `Changed` if there is one of that name already.
    pub(crate) async fn create(
        &self,
        name: &str,
        label: &str,
        data: BTreeMap<String, String>,
    ) -> Result<ConfigMap, ConfigMapError> {
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(BTreeMap::from([(label.to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match Answer::within(REQUEST_TIMEOUT, self.api.create(&params, &object)).await {
            Answer::Done(object) => Ok(object),
            Answer::Refused(status) if status.is_already_exists() => Err(ConfigMapError::Changed(self.full(name))),
            failed => Err(self.failure("create", name, failed)),
        }
    }

    /// Merges entries into its data, if it is still exactly this one.
    pub(crate) async fn patch(&self, seen: Seen<'_>, data: Value) -> Result<ConfigMap, ConfigMapError> {
        let metadata = json!({ "uid": seen.uid, "resourceVersion": seen.resource_version });
        let patch = Patch::Merge(json!({ "metadata": metadata, "data": data }));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match Answer::within(REQUEST_TIMEOUT, self.api.patch(seen.name, &params, &patch)).await {
            Answer::Done(object) => Ok(object),
            Answer::Refused(status) if status.is_conflict() || status.is_not_found() => {
                Err(ConfigMapError::Changed(self.full(seen.name)))
            }
            failed => Err(self.failure("patch", seen.name, failed)),
        }
    }

    /// Deletes it if it is still exactly this one. That it has gone already is fine.
    pub(crate) async fn delete(&self, seen: Seen<'_>) -> Result<(), ConfigMapError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(seen.uid.0.clone()),
            resource_version: Some(seen.resource_version.to_owned()),
        });
        match Answer::within(REQUEST_TIMEOUT, self.api.delete(seen.name, &params)).await {
            Answer::Done(_) => Ok(()),
            Answer::Refused(status) if status.is_not_found() => Ok(()),
            Answer::Refused(status) if status.is_conflict() => Err(ConfigMapError::Changed(self.full(seen.name))),
            failed => Err(self.failure("delete", seen.name, failed)),
        }
    }

    /// What it holds is not what it should be.
    pub(crate) fn rejected(&self, name: &str, error: impl std::fmt::Display) -> ConfigMapError {
        ConfigMapError::Rejected { name: self.full(name), message: error.to_string(), reason: None }
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    fn failure<T>(&self, verb: &'static str, name: &str, answer: Answer<T>) -> ConfigMapError {
        let name = self.full(name);
        match answer {
            Answer::Refused(status) if lacks_right(&status) => {
                ConfigMapError::Forbidden { verb, name, message: status.message }
            }
            Answer::Refused(status) => {
                ConfigMapError::Rejected { name, reason: reason_of(&status), message: status.message }
            }
            Answer::Unavailable(error) => ConfigMapError::Unavailable { name, message: error.to_string() },
            Answer::TimedOut | Answer::Done(_) => {
                let message = format!("no answer in {} s", REQUEST_TIMEOUT.as_secs());
                ConfigMapError::Unavailable { name, message }
            }
        }
    }
}
