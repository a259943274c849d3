//! Start (or change) a maintenance.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::resource::{contended, failure};
use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    cluster::Snapshot,
    model::{DrainSpec, NodeMaintenance, NodeMaintenanceSpec, NodeName, Ticket},
    names::{FIELD_MANAGER, RECEIPT_ANNOTATION, REQUESTED_BY_ANNOTATION, usual_maintenance},
    operation::{ATTEMPTS, OperationError, Operations},
    plan::{maintenance_of, may_go},
};

/// A node is to go out of service. What is left out stays as it is where the node is under maintenance already.
#[derive(Clone, Debug, PartialEq)]
pub struct StartMaintenance {
    /// The node.
    pub node: NodeName,
    /// The name of the `NodeMaintenance` if one has to be made; else `<node>-maintenance`.
    pub name: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket that it belongs to.
    pub ticket: Option<Ticket>,
    /// How the node is drained.
    pub drain: Option<DrainSpec>,
    /// Who asks, as far as the service knows.
    pub requested_by: Option<String>,
    /// What to do where the node has a maintenance already.
    pub if_exists: IfExists,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

impl StartMaintenance {
    /// The name of the `NodeMaintenance` if one has to be made.
    pub(in crate::operation) fn name_of_new(&self) -> String {
        self.name.clone().unwrap_or_else(|| usual_maintenance(self.node.as_str()))
    }
}

/// What to do where the node has a maintenance already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// To change it, unless it belongs to another ticket: so that the request can be repeated for ever.
    Update,
    /// To refuse.
    Refuse,
}

/// The maintenance that was started, or had been.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// It; for a dry run as it was or would be.
    pub object: Arc<NodeMaintenance>,
    /// What the request did (would do).
    pub change: MaintenanceChange,
}

/// What a request did to a maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceChange {
    /// It made it.
    Created,
    /// It changed what there was.
    Updated,
    /// Nothing: it is as wanted.
    None,
}

impl MaintenanceChange {
    /// Whether the maintenance was made.
    #[must_use]
    pub fn is_creation(self) -> bool {
        self == Self::Created
    }

    /// Whether something was written.
    #[must_use]
    pub fn is_any(self) -> bool {
        self != Self::None
    }
}

/// What to do about a start.
#[derive(Clone, Debug, PartialEq)]
enum Start {
    Create(Box<NodeMaintenance>),
    /// With that merge patch of its spec.
    Update(Arc<NodeMaintenance>, Value),
    Unchanged(Arc<NodeMaintenance>),
}

impl Operations {
    /// Starts a maintenance, or changes the one that the node has. Races are settled by the name.
    pub async fn start_maintenance(&self, request: &StartMaintenance) -> Result<Started, OperationError> {
        self.start_in_name_of(request, None).await
    }

    /// The same; one that is made says for which receipt.
    pub(in crate::operation) async fn start_in_name_of(
        &self,
        request: &StartMaintenance,
        receipt: Option<&str>,
    ) -> Result<Started, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        for _ in 0..ATTEMPTS {
            let (name, version) = match decide_start(request, receipt, &snapshot)? {
                Start::Unchanged(object) => return Ok(Started { object, change: MaintenanceChange::None }),
                Start::Create(object) if request.dry_run => {
                    return Ok(Started { object: Arc::from(object), change: MaintenanceChange::Created });
                }
                Start::Update(object, _) if request.dry_run => {
                    return Ok(Started { object, change: MaintenanceChange::Updated });
                }
                Start::Create(object) => match self.create(&object).await? {
                    Some(object) => {
                        return Ok(Started { object: Arc::new(object), change: MaintenanceChange::Created });
                    }
                    None => (object.name().to_owned(), None),
                },
                Start::Update(object, spec) => match self.update(&object, spec).await? {
                    Some(object) => {
                        return Ok(Started { object: Arc::new(object), change: MaintenanceChange::Updated });
                    }
                    None => (object.name().to_owned(), object.metadata.resource_version.clone()),
                },
            };
            tracing::debug!(name, version, "the cache is behind: looks at the NodeMaintenance itself");
            self.refresh(&mut snapshot, &name).await?;
        }
        Err(contended(&request.node.to_string()))
    }

    async fn create(&self, object: &NodeMaintenance) -> Result<Option<NodeMaintenance>, OperationError> {
        let api = Api::<NodeMaintenance>::all(self.cluster.client().clone());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match Answer::within(REQUEST_TIMEOUT, api.create(&params, object)).await {
            Answer::Done(object) => Ok(Some(object)),
            Answer::Refused(status) if status.is_already_exists() => Ok(None),
            failed => Err(failure("create", object.name(), failed)),
        }
    }

    async fn update(&self, object: &NodeMaintenance, spec: Value) -> Result<Option<NodeMaintenance>, OperationError> {
        let api = Api::<NodeMaintenance>::all(self.cluster.client().clone());
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let metadata = json!({ "uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version });
        let patch = Patch::Merge(json!({ "metadata": metadata, "spec": spec }));
        match Answer::within(REQUEST_TIMEOUT, api.patch(object.name(), &params, &patch)).await {
            Answer::Done(object) => Ok(Some(object)),
            Answer::Refused(status) if status.is_conflict() || status.is_not_found() => Ok(None),
            failed => Err(failure("patch", object.name(), failed)),
        }
    }
}

/// Why a start would be refused, as far as the caches show.
pub(in crate::operation) fn refusal_of_start(
    request: &StartMaintenance,
    snapshot: &Snapshot,
) -> Option<OperationError> {
    decide_start(request, None, snapshot).err()
}

fn decide_start(
    request: &StartMaintenance,
    receipt: Option<&str>,
    snapshot: &Snapshot,
) -> Result<Start, OperationError> {
    check(request)?;
    let name = request.name_of_new();
    let found = maintenance_of(&request.node, snapshot);
    let Some(object) = found.or_else(|| snapshot.maintenance(&name)) else {
        let options = request.drain.clone().unwrap_or_default().for_maintenance()?;
        may_go(&request.node, None, snapshot, &options)?;
        return Ok(Start::Create(Box::new(new_object(request, receipt, name))));
    };
    if object.spec.node_name != request.node.as_str() {
        return Err(OperationError::NameTaken { name, node: object.spec.node_name.clone() });
    }
    let by = object.name().to_owned();
    let ticket = object.spec.ticket.as_ref().map(|ticket| ticket.id.clone());
    let is_of_another = matches!((&ticket, &request.ticket), (Some(theirs), Some(ours)) if *theirs != ours.id);
    if is_of_another || request.if_exists == IfExists::Refuse {
        return Err(OperationError::AlreadyUnderMaintenance { node: request.node.clone(), by, ticket });
    }
    if object.is_stopping() {
        return Err(OperationError::MaintenanceStopping { node: request.node.clone(), name: by });
    }
    let patch = spec_patch(request, &object.spec);
    let is_empty = patch.as_object().is_none_or(serde_json::Map::is_empty);
    Ok(if is_empty { Start::Unchanged(object.clone()) } else { Start::Update(object.clone(), patch) })
}

/// What is asked for and is not so yet. What is left out stays as it is.
fn spec_patch(request: &StartMaintenance, spec: &NodeMaintenanceSpec) -> Value {
    let mut patch = json!({});
    if request.reason.is_some() && request.reason != spec.reason {
        patch["reason"] = json!(request.reason);
    }
    if let Some(ticket) = &request.ticket
        && spec.ticket.as_ref() != Some(ticket)
    {
        // A URL that is left out stays as it is as well.
        let same = spec.ticket.as_ref().is_some_and(|found| found.id == ticket.id && ticket.url.is_none());
        if !same {
            patch["ticket"] = json!(ticket);
        }
    }
    if let Some(drain) = &request.drain
        && spec.drain.as_ref() != Some(drain)
    {
        // The options as a whole: what is not named takes its default again.
        let all = json!(drain);
        let old = json!(spec.drain);
        let gone = old.as_object().into_iter().flatten().filter(|(key, _)| all.get(key).is_none());
        let mut whole = all.clone();
        for (key, _) in gone {
            whole[key] = Value::Null;
        }
        patch["drain"] = whole;
    }
    patch
}

fn new_object(request: &StartMaintenance, receipt: Option<&str>, name: String) -> NodeMaintenance {
    let who = request.requested_by.iter().map(|who| (REQUESTED_BY_ANNOTATION.to_owned(), who.clone()));
    let receipt = receipt.iter().map(|name| (RECEIPT_ANNOTATION.to_owned(), (*name).to_owned()));
    let annotations: BTreeMap<String, String> = who.chain(receipt).collect();
    NodeMaintenance {
        metadata: ObjectMeta {
            name: Some(name),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        },
        spec: NodeMaintenanceSpec {
            node_name: request.node.to_string(),
            reason: request.reason.clone(),
            ticket: request.ticket.clone(),
            drain: request.drain.clone(),
        },
        status: None,
    }
}

/// What the CustomResourceDefinition would refuse, in words that name the field.
fn check(request: &StartMaintenance) -> Result<(), OperationError> {
    let within = |field, text: &str, least: usize, most: usize| {
        let length = text.chars().count();
        if (least..=most).contains(&length) {
            return Ok(());
        }
        Err(OperationError::invalid(field, format!("{field} has {length} characters; allowed are {least} to {most}")))
    };
    if let Some(name) = &request.name
        && name.parse::<NodeName>().is_err()
    {
        let message = format!("name {name:?} is not a name that Kubernetes takes: it is written as that of a node");
        return Err(OperationError::invalid("name", message));
    }
    if let Some(reason) = &request.reason {
        within("reason", reason, 0, 4096)?;
    }
    if let Some(ticket) = &request.ticket {
        within("ticket.id", &ticket.id, 1, 253)?;
        within("ticket.url", ticket.url.as_deref().unwrap_or_default(), 0, 2048)?;
    }
    if let Some(drain) = &request.drain {
        drain.for_maintenance()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{at, drain_order, maintenance, node, node_name};

    fn request() -> StartMaintenance {
        StartMaintenance {
            node: node_name("node02"),
            name: None,
            reason: None,
            ticket: None,
            drain: None,
            requested_by: None,
            if_exists: IfExists::Update,
            dry_run: false,
        }
    }

    fn ticket(id: &str) -> Ticket {
        Ticket { id: id.to_owned(), url: None }
    }

    fn with_ticket(mut object: NodeMaintenance, id: &str) -> NodeMaintenance {
        object.spec.ticket = Some(ticket(id));
        object
    }

    fn cluster() -> Snapshot {
        Snapshot::default().with(node("node02"))
    }

    fn reason(request: &StartMaintenance, snapshot: &Snapshot) -> &'static str {
        decide_start(request, None, snapshot).map_err(|error| error.reason()).err().unwrap_or("goes")
    }

    #[test]
    fn a_node_without_one_gets_one_that_says_who_asked() {
        let asked = StartMaintenance { ticket: Some(ticket("CHG1")), requested_by: Some("alice".into()), ..request() };
        let Start::Create(object) = decide_start(&asked, None, &cluster()).unwrap() else { panic!() };
        assert_eq!((object.name(), object.spec.ticket.clone()), ("node02-maintenance", Some(ticket("CHG1"))));
        assert_eq!(object.metadata.annotations.unwrap()[REQUESTED_BY_ANNOTATION], "alice");
        assert_eq!(reason(&request(), &Snapshot::default()), "NodeNotFound");
        assert_eq!(reason(&request(), &cluster().with(drain_order("d1", "node02"))), "DrainInProgress");
    }

    #[test]
    fn a_repeat_acts_on_the_maintenance_that_the_node_has_whatever_its_name() {
        let others = maintenance("by-kubectl", "node02").decided(true);
        let snapshot = cluster().with(others.clone()).with(maintenance("later", "node02"));
        assert_eq!(decide_start(&request(), None, &snapshot).unwrap(), Start::Unchanged(Arc::new(others.clone())));
        let changed = StartMaintenance { reason: Some("new".into()), ticket: Some(ticket("CHG1")), ..request() };
        let patch = json!({ "reason": "new", "ticket": { "id": "CHG1" } });
        assert_eq!(decide_start(&changed, None, &snapshot).unwrap(), Start::Update(Arc::new(others), patch));
        // Nobody has decided yet: the oldest will win.
        let open = cluster()
            .with(maintenance("b", "node02").created_at(at(2)))
            .with(maintenance("a", "node02").created_at(at(3)));
        assert!(
            matches!(decide_start(&request(), None, &open).unwrap(), Start::Unchanged(object) if object.name() == "b")
        );
    }

    #[test]
    fn one_tickets_maintenance_is_not_anothers() {
        let running = with_ticket(maintenance("m", "node02").decided(true), "CHG1");
        let snapshot = cluster().with(running.clone());
        let other = StartMaintenance { ticket: Some(ticket("CHG2")), ..request() };
        let error = decide_start(&other, None, &snapshot).unwrap_err();
        assert_eq!(
            error,
            OperationError::AlreadyUnderMaintenance {
                node: node_name("node02"),
                by: "m".into(),
                ticket: Some("CHG1".into())
            }
        );
        assert_eq!(reason(&request(), &snapshot), "goes", "without a ticket the ticket stays as it is");
        assert_eq!(
            reason(&StartMaintenance { if_exists: IfExists::Refuse, ..request() }, &snapshot),
            "AlreadyUnderMaintenance"
        );
        let stopping = cluster().with(running.stopping(at(9)));
        assert_eq!(
            reason(&StartMaintenance { ticket: Some(ticket("CHG1")), ..request() }, &stopping),
            "MaintenanceStopping"
        );
    }

    #[test]
    fn a_name_that_belongs_to_another_node_is_not_taken_over() {
        let snapshot = cluster().with(maintenance("node02-maintenance", "node03"));
        assert_eq!(reason(&request(), &snapshot), "NameTaken");
        // One that was refused for this node is shown, and considered again when something changes.
        let refused = cluster().with(maintenance("node02-maintenance", "node02").decided(false));
        assert!(matches!(decide_start(&request(), None, &refused), Ok(Start::Unchanged(_))));
        let changed = StartMaintenance { reason: Some("again".into()), ..request() };
        assert!(matches!(decide_start(&changed, None, &refused), Ok(Start::Update(..))));
    }

    #[test]
    fn drain_options_are_replaced_as_a_whole() {
        let mut object = maintenance("m", "node02").decided(true);
        object.spec.drain = Some(DrainSpec { timeout: Some("1h".into()), ..DrainSpec::default() });
        let drain = DrainSpec { delete_after: Some("5m".into()), ..DrainSpec::default() };
        let Start::Update(_, patch) =
            decide_start(&StartMaintenance { drain: Some(drain), ..request() }, None, &cluster().with(object)).unwrap()
        else {
            panic!()
        };
        assert_eq!(patch, json!({ "drain": { "deleteAfter": "5m", "timeout": null } }));
    }

    #[test]
    fn what_kubernetes_would_refuse_is_told_by_its_field() {
        let bad = [
            StartMaintenance { name: Some("NO NAME".into()), ..request() },
            StartMaintenance { reason: Some("x".repeat(4097)), ..request() },
            StartMaintenance { ticket: Some(ticket("")), ..request() },
            StartMaintenance {
                drain: Some(DrainSpec { timeout: Some("soon".into()), ..DrainSpec::default() }),
                ..request()
            },
        ];
        let fields: Vec<_> = bad
            .iter()
            .map(|bad| match decide_start(bad, None, &cluster()) {
                Err(OperationError::InvalidArgument { field, .. }) => field,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(fields, ["name", "reason", "ticket.id", "timeout"]);
    }
}
