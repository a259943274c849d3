//! `migrations`, `migration`, `cancelMigration`, and what leads on from a migration.

use std::sync::Arc;

use careen_core::{
    model::{NodeName, ObjectKey, Uid, virtual_machine::Migration},
    operation::CancelMigration,
    view::{MigrationView, NodeView, VirtualMachineInstanceView},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Root, Shown, Type, Types, rights};
use crate::{
    answers::CancelledMigration,
    graphql::{arguments::Nothing, connection::Paging, scene::Scene},
    rest::Problem,
};

/// Which migrations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filter {
    /// Only those of this namespace.
    namespace: Option<String>,
    /// Only those that are over, or are not.
    is_over: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

/// A migration to be cancelled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CancelMigrationInput {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Only if it has this UID.
    uid: Option<Uid>,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

fn node_named(scene: &Scene, name: Option<&String>) -> Option<NodeView> {
    let name = name?.parse::<NodeName>().ok()?;
    scene.views.node(&name)
}

/// The types.
pub(in crate::graphql) fn register(types: &mut Types) {
    let renamed =
        [("virtualMachineInstance", "virtualMachineInstanceName"), ("source", "sourceName"), ("target", "targetName")];
    Type::<MigrationView>::of_view(types, &[], &renamed)
        .link::<Nothing, VirtualMachineInstanceView>(
            "virtualMachineInstance",
            "The VM.",
            rights::list_instances,
            |migration, _| {
                let MigrationView { namespace, virtual_machine_instance, .. } = &migration.view;
                let key = ObjectKey::new(namespace, virtual_machine_instance);
                Ok(migration.scene.views.virtual_machine_instance(&key))
            },
        )
        .link::<Nothing, NodeView>("source", "The node that the VM leaves.", rights::list_nodes, |migration, _| {
            Ok(node_named(&migration.scene, migration.view.source.as_ref()))
        })
        .link::<Nothing, NodeView>(
            "target",
            "The node that it goes to, once known.",
            rights::list_nodes,
            |migration, _| Ok(node_named(&migration.scene, migration.view.target.as_ref())),
        )
        .done();
    Type::<CancelledMigration>::of_view(types, &[], &[])
        .link::<Nothing, MigrationView>(
            "migration",
            "The migration, as long as there is one.",
            rights::list_migrations,
            |cancelled, _| {
                let key = ObjectKey::new(&cancelled.view.namespace, &cancelled.view.name);
                Ok(cancelled.scene.views.migration(&key))
            },
        )
        .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query
        .connection::<Filter, MigrationView>(
            "migrations",
            "Live migrations, by namespace and name; those that are over too, as long as KubeVirt keeps them.",
            rights::list_migrations,
            |root, filter| {
                let Filter { namespace, is_over, paging } = filter;
                let snapshot = root.scene.views.snapshot();
                let wanted = snapshot.migrations().filter(|migration| {
                    namespace.as_ref().is_none_or(|namespace| migration.key.namespace == *namespace)
                        && is_over.is_none_or(|is_over| migration.is_finished() == is_over)
                });
                let key = |found: &&Arc<Migration>| vec![found.key.namespace.clone(), found.key.name.clone()];
                paging.cut("migrations", wanted, key, |found| root.scene.views.migration(&found.key))
            },
        )
        .link::<ObjectKey, MigrationView>(
            "migration",
            "The migration of that namespace and name.",
            rights::get_migration,
            |root, key| match root.scene.views.migration(&key) {
                Some(migration) => Ok(Some(migration)),
                None => Err(Problem::no_migration(key)),
            },
        )
}

/// The change.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation.change::<CancelMigrationInput, CancelledMigration, _>(
        "cancelMigration",
        "Ends a migration before it is done; not in mode `PostCopy`, because the VM would be lost. Can be repeated while it \
         is being cancelled.",
        async |scene, CancelMigrationInput { namespace, name, uid, dry_run }| {
            scene.demand_change("cancelMigration", &[("namespace", &namespace), ("name", &name)]).await?;
            let request = CancelMigration { key: ObjectKey::new(&namespace, &name), uid, dry_run };
            let cancelled = scene.api.operations()?.cancel_migration(&request).await?;
            Ok(Shown::new(scene.after(|_| ()), CancelledMigration::from(cancelled)))
        },
    )
}
