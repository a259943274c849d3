//! Bodies that several operations give.

use std::borrow::Cow;

use careen_core::{
    model::NodeName,
    operation::NodeChanged,
    view::{DrainView, MaintenanceView, MigrationView, NodeView, PlanView, Views, VirtualMachineInstanceView},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::seen::{SeenWorkload, hide_of_nodes};
use crate::{
    answers::NodeChange,
    rest::{
        Api,
        frame::Account,
        problem::Problem,
        schema::{Given, packed_value},
    },
};

/// A node, with the maintenance and the drain that it has.
pub(super) type NodeBody = Given<NodeView>;
/// A node after a change, and what was changed.
pub(super) type NodeChangedBody = Given<Changed>;
/// A `NodeMaintenance`.
pub(super) type MaintenanceBody = Given<MaintenanceView>;
/// A drain.
pub(super) type DrainBody = Given<DrainView>;
/// A drain that was ordered, and whether it was by this request.
pub(super) type DrainOrderedBody = Given<DrainOrdered>;
/// A pod or a VM.
pub(super) type WorkloadBody = Given<SeenWorkload>;
/// What would happen.
pub(super) type PlanBody = Given<PlanView>;
/// A `VirtualMachineInstance`.
pub(super) type VirtualMachineInstanceBody = Given<VirtualMachineInstanceView>;
/// A live migration.
pub(super) type MigrationBody = Given<MigrationView>;

/// A maintenance; for a dry run a plan.
pub(super) struct MaintenanceOrPlanBody;

impl PartialSchema for MaintenanceOrPlanBody {
    fn schema() -> RefOr<Schema> {
        let one_of = [MaintenanceBody::name(), PlanBody::name()];
        let one_of = one_of.map(|name| json!({ "$ref": format!("#/components/schemas/{name}") }));
        packed_value(json!({ "oneOf": one_of }))
    }
}

impl ToSchema for MaintenanceOrPlanBody {
    fn name() -> Cow<'static, str> {
        "MaintenanceOrPlan".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((MaintenanceBody::name().into_owned(), MaintenanceBody::schema()));
        schemas.push((PlanBody::name().into_owned(), PlanBody::schema()));
        MaintenanceBody::schemas(schemas);
        PlanBody::schemas(schemas);
    }
}

/// A drain that was ordered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DrainOrdered {
    /// The drain.
    #[serde(flatten)]
    pub(super) drain: DrainView,
    /// Whether it was ordered by this request: false for a repeat while it runs.
    pub(super) changed: bool,
}

/// What became of a node.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NodeChanged")]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    /// The node as it is now; for a dry run as it was.
    node: Option<NodeView>,
    #[serde(flatten)]
    change: NodeChange,
}

impl Changed {
    /// As it looks with the node that the API server has answered with, to that caller.
    pub(super) async fn of(changed: NodeChanged, api: &Api, account: &Account) -> Result<Self, Problem> {
        let (change, node) = NodeChange::of(changed);
        let name: NodeName = node.name.clone();
        let mut snapshot = api.known();
        drop(snapshot.put(node));
        let mut node = Views::of(snapshot, api.now()).node(&name);
        if hide_of_nodes(api, account, node.as_mut_slice()).await.is_err() {
            // Kubernetes cannot be asked who may see it. The change is made all the same.
            node = node.map(|node| NodeView { maintenance: None, drain: None, ..node });
        }
        Ok(Self { node, change })
    }
}
