//! What is named in paths, and the parameters that many operations take.

use careen_core::model::{NodeName, ObjectKey};
use serde::Deserialize;
use serde_json::json;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use crate::rest::{schema::packed_value, wait::Wait};

/// A node by its name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NodePath {
    /// The name of the node.
    #[param(value_type = ObjectName, inline, example = "node02")]
    pub(super) node: NodeName,
}

/// A maintenance by its name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct MaintenancePath {
    /// The name of the `NodeMaintenance`.
    #[param(inline, example = "node02-maintenance")]
    pub(super) name: ObjectName,
}

/// An object in a namespace.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ObjectPath {
    /// The namespace.
    #[param(inline, example = "web")]
    pub(super) namespace: Namespace,
    /// The name.
    #[param(inline, example = "vm1")]
    pub(super) name: ObjectName,
}

impl ObjectPath {
    /// Its key.
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace.0, &self.name.0)
    }
}

/// The name of an object, which is written as that of a node is.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ObjectName(pub(super) String);

impl TryFrom<String> for ObjectName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<NodeName>() {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!("{text:?} is no name: allowed are 1 to 253 characters of a-z, 0-9, '-' and '.'")),
        }
    }
}

impl PartialSchema for ObjectName {
    fn schema() -> RefOr<Schema> {
        let pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
        packed_value(json!({ "type": "string", "minLength": 1, "maxLength": 253, "pattern": pattern }))
    }
}

impl ToSchema for ObjectName {}

/// A namespace: one label.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Namespace(String);

impl TryFrom<String> for Namespace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<NodeName>() {
            Ok(_) if text.len() <= 63 && !text.contains('.') => Ok(Self(text)),
            _ => Err(format!("{text:?} is no namespace: allowed are 1 to 63 characters of a-z, 0-9 and '-'")),
        }
    }
}

impl PartialSchema for Namespace {
    fn schema() -> RefOr<Schema> {
        let pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
        packed_value(json!({ "type": "string", "minLength": 1, "maxLength": 63, "pattern": pattern }))
    }
}

impl ToSchema for Namespace {}

/// Whether to do it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DryRun {
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    pub(super) dry_run: bool,
}

/// Whether to start it, and whether to hold the answer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HowToStart {
    /// Only answer with the plan; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    pub(super) dry_run: bool,
    /// Hold the answer until it is done or stuck, but not for longer than this (up to `60s`).
    #[param(inline, example = "60s")]
    pub(super) wait: Option<Wait>,
}
