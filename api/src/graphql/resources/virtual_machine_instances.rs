//! `virtualMachineInstances`, `virtualMachineInstance`, `migrateVirtualMachineInstance`, and what leads on from a VM.

use std::sync::Arc;

use careen_core::{
    model::{NodeName, ObjectKey, virtual_machine::VirtualMachineInstance},
    operation::MigrateInstance,
    view::{MigrationView, NodeView, Views, VirtualMachineInstanceView},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Root, Shown, Type, Types, rights};
use crate::{
    answers::RequestedMigration,
    graphql::{
        arguments::Nothing,
        connection::{Found, Paging},
    },
    rest::Problem,
};

/// Which VMs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filter {
    /// Only those that run on this node.
    node: Option<NodeName>,
    /// Only those of this namespace.
    namespace: Option<String>,
    /// Only those that can migrate live, or cannot. Those of which KubeVirt has not worked it out are neither.
    live_migratable: Option<bool>,
    /// Only those that start again by themselves when they are shut down, or do not.
    restarts: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

/// Which VMs of a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnNode {
    /// Only those that can migrate live, or cannot. Those of which KubeVirt has not worked it out are neither.
    live_migratable: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

/// A VM to be migrated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MigrateVirtualMachineInstanceInput {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

impl Filter {
    fn takes(&self, vmi: &VirtualMachineInstanceView) -> bool {
        self.node.as_ref().is_none_or(|node| vmi.node.as_ref() == Some(node))
            && self.namespace.as_ref().is_none_or(|namespace| vmi.namespace == *namespace)
            && self.live_migratable.is_none_or(|wanted| vmi.live_migratable == Some(wanted))
            && self.restarts.is_none_or(|wanted| vmi.restarts == wanted)
    }
}

impl OnNode {
    pub(super) fn find(self, views: &Views, node: &NodeName) -> Result<Found<VirtualMachineInstanceView>, Problem> {
        let on_node = views.snapshot().virtual_machine_instances_on(node);
        let Self { live_migratable, paging } = self;
        let takes =
            |vmi: &VirtualMachineInstanceView| live_migratable.is_none_or(|wanted| vmi.live_migratable == Some(wanted));
        paging.cut(LIST, on_node, |vmi| key(vmi), |vmi| views.virtual_machine_instance(&vmi.key).filter(takes))
    }
}

/// What cursors call the list.
const LIST: &str = "virtualmachineinstances";

fn key(vmi: &VirtualMachineInstance) -> Vec<String> {
    vec![vmi.key.namespace.clone(), vmi.key.name.clone()]
}

/// The types.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<VirtualMachineInstanceView>::of_view(types, &["migration"], &[("node", "nodeName")])
        .link::<Nothing, NodeView>("node", "The node that it runs on.", rights::list_nodes, |vmi, _| {
            Ok(vmi.view.node.as_ref().and_then(|node| vmi.scene.views.node(node)))
        })
        .link::<Nothing, MigrationView>(
            "migration",
            "Its migration: wanted, under way or failed.",
            rights::list_migrations,
            |vmi, _| Ok(vmi.view.migration.clone()),
        )
        .done();
    let renamed = [("virtualMachineInstance", "virtualMachineInstanceName"), ("migration", "migrationName")];
    Type::<RequestedMigration>::of_view(types, &[], &renamed)
        .link::<Nothing, VirtualMachineInstanceView>(
            "virtualMachineInstance",
            "The VM.",
            rights::list_instances,
            |requested: &Shown<RequestedMigration>, _| {
                let RequestedMigration { namespace, virtual_machine_instance: name, .. } = &requested.view;
                Ok(requested.scene.views.virtual_machine_instance(&ObjectKey::new(namespace, name)))
            },
        )
        .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query
        .connection::<Filter, VirtualMachineInstanceView>(
            "virtualMachineInstances",
            "VMs that run, by namespace and name.",
            rights::list_instances,
            |root, filter| {
                let views = &root.scene.views;
                let show = |vmi: &Arc<VirtualMachineInstance>| {
                    views.virtual_machine_instance(&vmi.key).filter(|vmi| filter.takes(vmi))
                };
                filter.paging.cut(LIST, views.snapshot().virtual_machine_instances(), |vmi| key(vmi), show)
            },
        )
        .link::<ObjectKey, VirtualMachineInstanceView>(
            "virtualMachineInstance",
            "The VM of that namespace and name.",
            rights::get_instance,
            |root, key| match root.scene.views.virtual_machine_instance(&key) {
                Some(vmi) => Ok(Some(vmi)),
                None => Err(Problem::no_instance(key)),
            },
        )
}

/// The change.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation.change::<MigrateVirtualMachineInstanceInput, RequestedMigration, _>(
        "migrateVirtualMachineInstance",
        "Moves a VM to another node, live; KubeVirt chooses which. Whoever repeats it is told `AlreadyMigrating`.",
        async |scene, MigrateVirtualMachineInstanceInput { namespace, name, dry_run }| {
            scene.demand_change("migrateVirtualMachineInstance", &[("namespace", &namespace)]).await?;
            let (key, requested_by) = (ObjectKey::new(&namespace, &name), scene.asker.account.user());
            let request = MigrateInstance { key, requested_by, dry_run };
            let requested = scene.api.operations()?.migrate(&request).await?;
            Ok(Shown::new(scene.after(|_| ()), RequestedMigration::from(requested)))
        },
    )
}
