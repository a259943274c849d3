//! `/migrations`

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use careen_core::{model::Uid, operation::CancelMigration, view::MigrationView};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bodies::MigrationBody, paths::ObjectPath};
use crate::{
    answers::CancelledMigration,
    rest::{
        Api,
        extract::{Path, Query},
        page::{Limit, List, Page},
        problem::Problem,
        reply::{Json, Reply},
        schema::{ListOf, Of},
    },
};

type MigrationList = ListOf<MigrationBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_migrations)).routes(routes!(get_migration, cancel_migration))
}

/// Which migrations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// Only those of this namespace.
    namespace: Option<String>,
    /// How many objects a page has; 500 if nothing is said.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

/// Which one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CancelQuery {
    /// Only if it has this UID.
    #[param(value_type = Option<String>)]
    uid: Option<Uid>,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

type CancelledBody = Of<CancelledMigration>;

/// List the migrations
///
/// In the order of namespace and name; those that are over too, as long as KubeVirt keeps them.
#[utoipa::path(
    get, path = "/migrations", tag = "virtual machines", operation_id = "listMigrations", params(Filter),
    responses((status = 200, description = "A page of migrations", body = MigrationList,
               content_type = "application/json")),
)]
async fn list_migrations(State(api): State<Api>, Query(filter): Query<Filter>) -> Reply<Json<List<MigrationView>>> {
    let page = Page::of("migrations", filter.limit, filter.r#continue.as_deref())?;
    let views = api.views()?;
    let is_wanted =
        |migration: &MigrationView| filter.namespace.as_ref().is_none_or(|namespace| migration.namespace == *namespace);
    let key = |migration: &MigrationView| vec![migration.namespace.clone(), migration.name.clone().unwrap_or_default()];
    Ok(Json(page.cut(views.migrations().filter(is_wanted), key)))
}

/// Get a migration
#[utoipa::path(
    get, path = "/migrations/{namespace}/{name}", tag = "virtual machines", operation_id = "getMigration",
    params(ObjectPath),
    responses((status = 200, description = "The migration", body = MigrationBody, content_type = "application/json")),
)]
async fn get_migration(State(api): State<Api>, Path(path): Path<ObjectPath>) -> Reply<Json<MigrationView>> {
    let key = path.key();
    api.views()?.migration(&key).map(Json).ok_or_else(|| Problem::no_migration(key))
}

/// Cancel a migration
///
/// Not in mode `PostCopy`: the VM would be lost. Can be repeated while it is being cancelled.
#[utoipa::path(
    delete, path = "/migrations/{namespace}/{name}", tag = "virtual machines", operation_id = "cancelMigration",
    params(ObjectPath, CancelQuery),
    responses(
        (status = 202, description = "It is being cancelled", body = CancelledBody, content_type = "application/json"),
        (status = 200, description = "With dryRun: it could be", body = CancelledBody, content_type = "application/json"),
    ),
)]
async fn cancel_migration(
    State(api): State<Api>,
    Path(path): Path<ObjectPath>,
    Query(CancelQuery { uid, dry_run }): Query<CancelQuery>,
) -> Reply<Response> {
    let request = CancelMigration { key: path.key(), uid, dry_run };
    let cancelled = api.operations()?.cancel_migration(&request).await?;
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(CancelledMigration::from(cancelled))).into_response())
}
