//! `maintenances`, `maintenance`, `startMaintenance`, `stopMaintenance`, `maintenanceProgress`, and what leads on from
//! a maintenance.

use std::sync::Arc;

use careen_core::{
    model::{BlockClass, DrainSpec, NodeMaintenance, NodeName, Ticket},
    operation::{
        IfExists, MaintenanceChange, StartMaintenance, Started, StopMaintenance, StopTarget, Stopped,
        maintenance_shown, stop_is_shown,
    },
    view::{MaintenancePhaseView, MaintenanceView, NodeView},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Root, Shown, Type, Types, rights};
use crate::{
    auth::besides::rights_of_dry_run,
    graphql::{
        arguments::{Nothing, OfNode},
        connection::Paging,
        scene::Scene,
        stream::Streams,
    },
    rest::{Note, Problem, Reason},
};

/// Which maintenances.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filter {
    /// Only those of this node.
    node: Option<NodeName>,
    /// Only those of the ticket with this id.
    ticket: Option<String>,
    /// Only those with a workload in whose way is something that only a change can help, or those without.
    is_stuck: Option<bool>,
    /// Only those whose node is drained, or is not.
    is_drained: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

/// A maintenance.
#[derive(Debug, Deserialize, JsonSchema)]
struct MaintenanceNamed {
    /// The name of the `NodeMaintenance`.
    name: String,
}

/// A maintenance to be started, or changed where the node has one. What is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StartMaintenanceInput {
    /// The name of the node.
    node: NodeName,
    /// The name of the `NodeMaintenance` if one has to be made. Default: the node's, with `-maintenance`.
    name: Option<String>,
    /// Why, for people.
    reason: Option<String>,
    /// The ticket that it belongs to: another ticket can neither change nor stop it.
    ticket: Option<Ticket>,
    /// How the node is drained.
    drain: Option<DrainSpec>,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// A maintenance to be stopped: that of a node, or the one of a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StopMaintenanceInput {
    /// The name of the node.
    node: Option<NodeName>,
    /// The name of the `NodeMaintenance`.
    name: Option<String>,
    /// Only if it belongs to this ticket.
    ticket: Option<String>,
    /// Only if it is at this resourceVersion.
    resource_version: Option<String>,
    /// Whatever ticket it belongs to, and whatever its version. It is noted in the audit log. Default: false.
    #[serde(default)]
    force: bool,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a maintenance.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MaintenanceChanged")]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are the fields of the answer")]
struct Changed {
    /// The name of the `NodeMaintenance`.
    name: String,
    /// Whether it was (for a dry run: would be) made by this request.
    created: bool,
    /// Whether something was (for a dry run: would be) changed: false for a repeat.
    changed: bool,
    #[serde(skip)]
    object: Option<MaintenanceView>,
}

impl Filter {
    fn takes(&self, maintenance: &MaintenanceView) -> bool {
        let ticket = maintenance.ticket.as_ref().map(|ticket| ticket.id.as_str());
        let is_stuck = maintenance.blocking.iter().any(|blocking| blocking.class == BlockClass::Stuck);
        let is_drained = maintenance.phase == MaintenancePhaseView::Succeeded;
        self.node.as_ref().is_none_or(|node| maintenance.node == node.as_str())
            && self.ticket.as_deref().is_none_or(|wanted| ticket == Some(wanted))
            && self.is_stuck.is_none_or(|wanted| is_stuck == wanted)
            && self.is_drained.is_none_or(|wanted| is_drained == wanted)
    }
}

impl Changed {
    /// The maintenance that was started or changed, as the caches show it or else as it was written just now; for a dry
    /// run as it was or would be, and its node as it is.
    async fn started(scene: &Scene, started: &Started, dry_run: bool) -> Arc<Shown<Self>> {
        let Started { object, change } = started;
        if !dry_run {
            scene.api.until_shown(|snapshot| maintenance_shown(object, snapshot).is_some()).await;
        }
        let after = scene.after(|snapshot| {
            if !dry_run && maintenance_shown(object, snapshot).is_none() {
                drop(snapshot.put(NodeMaintenance::clone(object)));
            }
        });
        Self::seen(after, object, *change)
    }

    /// The maintenance that is to go, as the caches show it or else as it was last known.
    async fn stopped(scene: &Scene, stopped: &Stopped, dry_run: bool) -> Arc<Shown<Self>> {
        let Stopped { object, already } = stopped;
        if !dry_run {
            scene.api.until_shown(|snapshot| stop_is_shown(object, snapshot)).await;
        }
        let change = if *already { MaintenanceChange::None } else { MaintenanceChange::Updated };
        Self::seen(scene.after(|_| ()), object, change)
    }

    fn seen(after: Arc<Scene>, object: &NodeMaintenance, change: MaintenanceChange) -> Arc<Shown<Self>> {
        let found = maintenance_shown(object, after.views.snapshot());
        let view = MaintenanceView::from(found.map_or(object, |found| &**found));
        let changed = Self {
            name: object.name().to_owned(),
            created: change.is_creation(),
            changed: change.is_any(),
            object: Some(view),
        };
        Shown::new(after, changed)
    }
}

/// The types.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<MaintenanceView>::of_view(types, &[], &[("node", "nodeName")])
        .link::<Nothing, NodeView>(
            "node",
            "The node, if it is in the cluster.",
            rights::list_nodes,
            |maintenance, _| {
                let name = maintenance.view.node.parse::<NodeName>().ok();
                Ok(name.and_then(|name| maintenance.scene.views.node(&name)))
            },
        )
        .done();
    Type::<Changed>::of_view(types, &[], &[])
        .link::<Nothing, MaintenanceView>(
            "maintenance",
            "The maintenance as it is now; for a dry run as it was or would be.",
            rights::list_maintenances,
            |changed, _| Ok(changed.view.object.clone()),
        )
        .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query
        .connection::<Filter, MaintenanceView>(
            "maintenances",
            "Maintenances, by name.",
            rights::list_maintenances,
            |root, filter| {
                let key = |object: &&Arc<NodeMaintenance>| vec![object.name().to_owned()];
                let show = |object: &Arc<NodeMaintenance>| {
                    Some(MaintenanceView::from(&**object)).filter(|found| filter.takes(found))
                };
                filter.paging.cut("maintenances", root.scene.views.snapshot().maintenances(), key, show)
            },
        )
        .link::<MaintenanceNamed, MaintenanceView>(
            "maintenance",
            "The maintenance of that name.",
            |MaintenanceNamed { name }| rights::get_maintenance(name),
            |root, MaintenanceNamed { name }| match root.scene.views.maintenance(&name) {
                Some(maintenance) => Ok(Some(maintenance)),
                None => Err(Problem::no_maintenance(&name)),
            },
        )
}

/// The changes.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation
        .change::<StartMaintenanceInput, Changed, _>(
            "startMaintenance",
            "Takes a node out of service: cordoned, tainted, drained. Can be repeated for ever: it acts on the maintenance \
             that the node has, whatever its name. One that belongs to another ticket is not touched.",
            async |scene, StartMaintenanceInput { node, name, reason, ticket, drain, dry_run }| {
                scene.demand_change("putNodeMaintenance", &[("node", node.as_str())]).await?;
                scene.demand_besides(&rights_of_dry_run(dry_run)).await?;
                let (requested_by, if_exists) = (scene.asker.account.user(), IfExists::Update);
                let request = StartMaintenance { node, name, reason, ticket, drain, requested_by, if_exists, dry_run };
                let started = scene.api.operations()?.start_maintenance(&request).await?;
                Ok(Changed::started(&scene, &started, dry_run).await)
            },
        )
        .change::<StopMaintenanceInput, Changed, _>(
            "stopMaintenance",
            "Puts a node back as it was: its drain is cancelled, and when it is restored the maintenance is gone.",
            async |scene, StopMaintenanceInput { node, name, ticket, resource_version, force, dry_run }| {
                let (target, operation) = match (node, name) {
                    (Some(node), None) => (StopTarget::OfNode(node), "deleteNodeMaintenance"),
                    (None, Some(name)) => (StopTarget::Named(name), "deleteMaintenance"),
                    _ => return Err(Problem::new(Reason::INVALID_ARGUMENT, "which one: name `node`, or `name`").field("node")),
                };
                let name = match &target {
                    StopTarget::OfNode(node) => node.to_string(),
                    StopTarget::Named(name) | StopTarget::Exactly { name, .. } => name.clone(),
                };
                scene.demand_change(operation, &[("name", name.as_str()), ("node", name.as_str())]).await?;
                if force {
                    scene.asker.account.note(Note::Forced);
                }
                let resource_version = resource_version.map(|version| vec![version]);
                let request = StopMaintenance { target, ticket, resource_version, force, dry_run };
                let stopped = scene.api.operations()?.stop_maintenance(&request).await?;
                Ok(Changed::stopped(&scene, &stopped, dry_run).await)
            },
        )
}

/// The stream.
pub(in crate::graphql) fn subscription(streams: Streams<'_>) -> Streams<'_> {
    streams.one::<OfNode, MaintenanceView>(
        "maintenanceProgress",
        "The maintenance of a node: as it is, and then whenever the answer to what is asked changes. Null while there is \
         none; after a stop that says that the node is restored.",
        rights::list_maintenances,
        |scene, OfNode { node }| scene.views.maintenance_on(node),
        |concerned, OfNode { node }| concerned.concerns(node),
    )
}
