//! `/virtualmachineinstances`

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use careen_core::{model::NodeName, operation::MigrateInstance, view::VirtualMachineInstanceView};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::VirtualMachineInstanceBody,
    paths::{DryRun, ObjectPath},
    seen::hide_of_instances,
};
use crate::{
    answers::RequestedMigration,
    rest::{
        Api,
        extract::{Path, Query},
        frame::Account,
        page::{Limit, List, Page},
        reply::{Json, Reply, put},
        schema::{ListOf, Of},
    },
};

type VirtualMachineInstanceList = ListOf<VirtualMachineInstanceBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_virtual_machine_instances)).routes(routes!(migrate_instance))
}

/// Which VMs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// Only those that run on this node.
    #[param(value_type = Option<String>, min_length = 1, max_length = 253)]
    node: Option<NodeName>,
    /// Only those of this namespace.
    namespace: Option<String>,
    /// How many objects a page has; 500 if nothing is said.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

type MigrationRequested = Of<RequestedMigration>;

/// List the virtual machine instances
///
/// In the order of namespace and name.
#[utoipa::path(
    get, path = "/virtualmachineinstances", tag = "virtual machines", operation_id = "listVirtualMachineInstances",
    params(Filter),
    responses((status = 200, description = "A page of VMIs", body = VirtualMachineInstanceList,
               content_type = "application/json")),
)]
async fn list_virtual_machine_instances(
    State(api): State<Api>,
    account: Account,
    Query(filter): Query<Filter>,
) -> Reply<Json<List<VirtualMachineInstanceView>>> {
    let page = Page::of("virtualmachineinstances", filter.limit, filter.r#continue.as_deref())?;
    let views = api.views()?;
    let is_wanted = |vmi: &VirtualMachineInstanceView| {
        filter.node.as_ref().is_none_or(|node| vmi.node.as_ref() == Some(node))
            && filter.namespace.as_ref().is_none_or(|namespace| vmi.namespace == *namespace)
    };
    let key = |vmi: &VirtualMachineInstanceView| vec![vmi.namespace.clone(), vmi.name.clone()];
    let mut page = page.cut(views.virtual_machine_instances().filter(is_wanted), key);
    hide_of_instances(&api, &account, page.items_mut()).await?;
    Ok(Json(page))
}

/// Migrate a virtual machine instance
///
/// To another node, live; KubeVirt chooses which. Whoever repeats it is told `AlreadyMigrating`.
#[utoipa::path(
    post, path = "/virtualmachineinstances/{namespace}/{name}/migrate", tag = "virtual machines",
    operation_id = "migrateVirtualMachineInstance", params(ObjectPath, DryRun),
    responses(
        (status = 202, description = "It was asked for", body = MigrationRequested, content_type = "application/json",
         headers(("Location" = String, description = "The migration"))),
        (status = 200, description = "With dryRun: it could be", body = MigrationRequested,
         content_type = "application/json"),
    ),
)]
async fn migrate_instance(
    State(api): State<Api>,
    account: Account,
    Path(path): Path<ObjectPath>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Reply<Response> {
    let request = MigrateInstance { key: path.key(), requested_by: account.user(), dry_run };
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    let requested = RequestedMigration::from(api.operations()?.migrate(&request).await?);
    let path = requested.migration.as_ref().map(|name| format!("/api/v1/migrations/{}/{name}", requested.namespace));
    let mut response = (status, Json(requested)).into_response();
    if let Some(path) = path {
        put(&mut response, header::LOCATION, &path);
    }
    Ok(response)
}
