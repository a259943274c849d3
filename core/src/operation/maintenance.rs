//! Start (or change) and stop a maintenance.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::{ATTEMPTS, OperationError, Operations};
use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    cluster::Snapshot,
    model::{DrainSpec, NodeMaintenance, NodeMaintenanceSpec, NodeName, Ticket, Uid},
    names::{FIELD_MANAGER, RECEIPT_ANNOTATION, REQUESTED_BY_ANNOTATION, usual_maintenance},
    plan::{may_go, precedence},
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
    pub(super) fn name_of_new(&self) -> String {
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
    /// Whether it was (would be) made by this request.
    pub created: bool,
    /// Whether something was (would be) written.
    pub changed: bool,
}

/// A maintenance is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopMaintenance {
    /// Which.
    pub target: StopTarget,
    /// Only if it belongs to that ticket.
    pub ticket: Option<String>,
    /// Only if it is still at that version.
    pub resource_version: Option<String>,
    /// Whatever ticket it belongs to, and whatever its version.
    pub force: bool,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// Which maintenance is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopTarget {
    /// That of a node, whatever its name.
    OfNode(NodeName),
    /// The one of that name.
    Named(String),
    /// That one, and none that has its name or its node now.
    Exactly {
        /// Its name.
        name: String,
        /// Its UID.
        uid: Uid,
    },
}

/// A maintenance that ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// It, as it was last known.
    pub object: Arc<NodeMaintenance>,
    /// Whether it was being stopped already.
    pub already: bool,
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
    pub(super) async fn start_in_name_of(
        &self,
        request: &StartMaintenance,
        receipt: Option<&str>,
    ) -> Result<Started, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        for _ in 0..ATTEMPTS {
            let (name, version) = match decide_start(request, receipt, &snapshot)? {
                Start::Unchanged(object) => return Ok(Started { object, created: false, changed: false }),
                Start::Create(object) if request.dry_run => {
                    return Ok(Started { object: Arc::from(object), created: true, changed: true });
                }
                Start::Update(object, _) if request.dry_run => {
                    return Ok(Started { object, created: false, changed: true });
                }
                Start::Create(object) => match self.create(&object).await? {
                    Some(object) => return Ok(Started { object: Arc::new(object), created: true, changed: true }),
                    None => (object.name().to_owned(), None),
                },
                Start::Update(object, spec) => match self.update(&object, spec).await? {
                    Some(object) => return Ok(Started { object: Arc::new(object), created: false, changed: true }),
                    None => (object.name().to_owned(), object.metadata.resource_version.clone()),
                },
            };
            tracing::debug!(name, version, "the cache is behind: looks at the NodeMaintenance itself");
            self.refresh(&mut snapshot, &name).await?;
        }
        Err(contended(&request.node.to_string()))
    }

    /// Stops a maintenance: its object is deleted, and goes when the node is restored.
    pub async fn stop_maintenance(&self, request: &StopMaintenance) -> Result<Stopped, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        // Who has a UID has just made it, perhaps: the caches may be behind.
        if let StopTarget::Exactly { name, .. } = &request.target
            && decide_stop(request, &snapshot).is_err()
        {
            self.refresh(&mut snapshot, name).await?;
        }
        for _ in 0..ATTEMPTS {
            let object = decide_stop(request, &snapshot)?;
            let already = object.metadata.deletion_timestamp.is_some();
            if already || request.dry_run {
                return Ok(Stopped { object, already });
            }
            // What was looked at is what goes: a ticket that is changed in between is looked at again.
            let params = DeleteParams::default().preconditions(Preconditions {
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
            });
            let api = Api::<NodeMaintenance>::all(self.cluster.client().clone());
            match Answer::within(REQUEST_TIMEOUT, api.delete(object.name(), &params)).await {
                Answer::Done(_) => return Ok(Stopped { object, already: false }),
                Answer::Refused(status) if status.is_conflict() || status.is_not_found() => {}
                failed => return Err(failure("delete", object.name(), failed)),
            }
            self.refresh(&mut snapshot, object.name()).await?;
        }
        Err(contended("the maintenance"))
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

    /// Reads one as it is now, in place of what the caches show.
    pub(super) async fn refresh(&self, snapshot: &mut Snapshot, name: &str) -> Result<(), OperationError> {
        let api = Api::<NodeMaintenance>::all(self.cluster.client().clone());
        match Answer::within(REQUEST_TIMEOUT, api.get(name)).await {
            Answer::Done(object) => drop(snapshot.put(object)),
            Answer::Refused(status) if status.is_not_found() => {
                snapshot.take::<NodeMaintenance>(&name.to_owned());
            }
            failed => return Err(failure("get", name, failed)),
        }
        Ok(())
    }
}

/// The maintenance that a node has: the accepted one; else the oldest on which nobody has decided, which will win.
#[must_use]
pub(super) fn maintenance_of<'a>(node: &NodeName, snapshot: &'a Snapshot) -> Option<&'a Arc<NodeMaintenance>> {
    let of_node = snapshot.maintenances().filter(|object| object.spec.node_name == node.as_str());
    let ranked = of_node.filter_map(|object| precedence(object).map(|rank| (rank, object)));
    ranked.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, object)| object)
}

/// Why a start would be refused, as far as the caches show.
pub(super) fn refusal_of_start(request: &StartMaintenance, snapshot: &Snapshot) -> Option<OperationError> {
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
    if object.metadata.deletion_timestamp.is_some() {
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

fn decide_stop(request: &StopMaintenance, snapshot: &Snapshot) -> Result<Arc<NodeMaintenance>, OperationError> {
    let object = match &request.target {
        StopTarget::Named(name) => snapshot.maintenance(name).ok_or_else(|| format!("NodeMaintenance {name}")),
        StopTarget::Exactly { name, uid } => {
            let found = snapshot.maintenance(name).filter(|object| object.uid() == *uid);
            found.ok_or_else(|| format!("NodeMaintenance {name} with UID {uid}"))
        }
        StopTarget::OfNode(node) => {
            let usual = snapshot.maintenance(&usual_maintenance(node.as_str()));
            let usual = usual.filter(|object| object.spec.node_name == node.as_str());
            maintenance_of(node, snapshot).or(usual).ok_or_else(|| format!("a maintenance of node {node}"))
        }
    };
    let object = object.map_err(|what| OperationError::MaintenanceNotFound { what })?;
    let ticket = object.spec.ticket.as_ref().map(|ticket| ticket.id.clone());
    if let Some(named) = &request.ticket
        && ticket.as_ref() != Some(named)
        && !request.force
    {
        let name = object.name().to_owned();
        return Err(OperationError::TicketMismatch { name, ticket, named: named.clone() });
    }
    let found = object.metadata.resource_version.clone().unwrap_or_default();
    match &request.resource_version {
        Some(expected) if *expected != found && !request.force => {
            let what = format!("NodeMaintenance {}", object.name());
            Err(OperationError::PreconditionFailed { what, expected: expected.clone(), found })
        }
        _ => Ok(object.clone()),
    }
}

fn contended(what: &str) -> OperationError {
    OperationError::Contended { message: format!("{what} changed each time it was looked at: try again") }
}

fn failure<T>(verb: &str, name: &str, answer: Answer<T>) -> OperationError {
    match answer {
        Answer::Refused(status) if status.is_forbidden() => OperationError::Forbidden {
            message: format!(
                "Careen may not {verb} NodeMaintenance {name}: grant it {verb} on nodemaintenances ({})",
                status.message
            ),
        },
        // Of a kind that nobody serves it often is bare text, which `is_not_found` does not see.
        Answer::Refused(status) if status.code == 404 => OperationError::NotServed {
            message: "the API server does not serve NodeMaintenances: install the definition (careen crd)".to_owned(),
        },
        Answer::Refused(status) => OperationError::Rejected { message: status.message },
        Answer::Unavailable(error) => OperationError::ApiServerUnavailable { message: error.to_string() },
        Answer::TimedOut | Answer::Done(_) => OperationError::ApiServerUnavailable {
            message: format!(
                "no answer in {} s when asked to {verb} NodeMaintenance {name}",
                REQUEST_TIMEOUT.as_secs()
            ),
        },
    }
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

    #[test]
    fn a_stop_names_what_it_means() {
        let mut running = with_ticket(maintenance("m", "node02").decided(true), "CHG1");
        running.metadata.resource_version = Some("7".to_owned());
        let snapshot = cluster().with(running);
        let stop = || StopMaintenance {
            target: StopTarget::OfNode(node_name("node02")),
            ticket: None,
            resource_version: None,
            force: false,
            dry_run: false,
        };
        let reason = |request: StopMaintenance| {
            decide_stop(&request, &snapshot).map_err(|error| error.reason()).err().unwrap_or("goes")
        };
        assert_eq!(reason(stop()), "goes");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG1".into()), ..stop() }), "goes");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG2".into()), ..stop() }), "TicketMismatch");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG2".into()), force: true, ..stop() }), "goes");
        let old = || StopMaintenance { resource_version: Some("6".into()), ..stop() };
        assert_eq!(reason(old()), "PreconditionFailed");
        assert_eq!(reason(StopMaintenance { force: true, ..old() }), "goes");
        assert_eq!(reason(StopMaintenance { target: StopTarget::Named("x".into()), ..stop() }), "MaintenanceNotFound");
        let elsewhere = StopTarget::OfNode(node_name("node03"));
        assert_eq!(reason(StopMaintenance { target: elsewhere, ..stop() }), "MaintenanceNotFound");
        let exactly = |uid| StopTarget::Exactly { name: "m".into(), uid };
        let its_own = maintenance("m", "node02").uid();
        assert_eq!(reason(StopMaintenance { target: exactly(its_own), ..stop() }), "goes");
        let earlier = exactly(Uid::from("an earlier one"));
        assert_eq!(reason(StopMaintenance { target: earlier, force: true, ..stop() }), "MaintenanceNotFound");
    }
}
