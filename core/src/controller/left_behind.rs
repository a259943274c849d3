//! Records on nodes whose maintenance is gone: the finalizer was removed by force, or somebody wrote the record by
//! hand.

use std::time::Duration;

use super::{acting::trouble_with_lease, context::Context, news::News};
use crate::{
    cluster::Snapshot,
    lease::NodeLease,
    maintenance::maintenance_is_gone,
    migration::take_back,
    model::{ActorKind, DrainSpec, Node, NodeMaintenance, Record, RecordReading},
    node,
};

/// Where the node Lease of a drain in a process cannot be read, it is asked for again after so long: it would have
/// lapsed by then.
const UNKNOWN_FOR: Duration = Duration::from_secs(90);

/// What is to be done about the record on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing: there is none, or its maintenance lives.
    Fine,
    /// It is reported and not obeyed.
    Report(String),
    /// The API server is asked first.
    Ask(Question),
}

/// What is to be asked about a record that is obeyed or reported only if those who acted are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether its maintenance, which is not in the caches, is gone: then the node is restored.
    Maintenance(Record),
    /// Whether its drain runs in somebody's process, which holds the node Lease then: if not, it is reported.
    Process(Record),
}

/// What has come of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing is left to do.
    Settled,
    /// It is reported and not obeyed.
    Report(String),
    /// They act: to be asked again after that time.
    AskAgainAfter(Duration),
}

/// Looks at the record of a node: pure.
pub(super) fn find(node: &Node, snapshot: &Snapshot, drain_taint_key: &str) -> Finding {
    let record = match Record::read(node) {
        RecordReading::Absent => return Finding::Fine,
        RecordReading::Unreadable(error) => {
            // That of a live maintenance is put back by its worker.
            let lives = snapshot.maintenances_of(&node.name).next().is_some();
            return if lives { Finding::Fine } else { Finding::Report(error.to_string()) };
        }
        RecordReading::Present(record) => record,
    };
    if record.actor.kind == ActorKind::Order
        && snapshot.drain_order(&node.name).is_some_and(|order| *order.id() == record.actor.uid && !order.is_finished())
    {
        return Finding::Fine;
    }
    match record.actor.kind {
        ActorKind::Maintenance => {}
        ActorKind::Order => return Finding::Report(drain_is_over(node, &record)),
        ActorKind::Process => return Finding::Ask(Question::Process(record)),
    }
    let lives = snapshot.maintenance(&record.actor.name).is_some_and(|object| object.uid() == record.actor.uid);
    if lives {
        return Finding::Fine;
    }
    match record.check(node, drain_taint_key) {
        Ok(()) => Finding::Ask(Question::Maintenance(record)),
        Err(fault) => Finding::Report(fault.to_string()),
    }
}

fn drain_is_over(node: &Node, record: &Record) -> String {
    let (kind, name) = (record.actor.kind, &record.actor.name);
    format!(
        "node {} carries the record of a drain ({kind:?} {name}) that nobody carries out: uncordon the node when it should serve again",
        node.name
    )
}

/// Asks, and does what follows. `Err`: try again later.
pub(super) async fn ask(context: &Context, node: &Node, question: &Question) -> Result<Reply, String> {
    match question {
        Question::Maintenance(record) => restore(context, node, record).await.map(|()| Reply::Settled),
        Question::Process(record) => {
            let client = context.cluster.client().clone();
            let holder = match NodeLease::holder(client, context.clock, &node.name).await {
                Ok(holder) => holder,
                Err(error) => {
                    tracing::warn!(drain = record.actor.name, %error, "it is not known whether a drain runs");
                    return Ok(Reply::AskAgainAfter(UNKNOWN_FOR));
                }
            };
            match holder {
                Some((holder, expires_in)) if holder == record.actor.lease_holder() => {
                    Ok(Reply::AskAgainAfter(expires_in))
                }
                // It has just ended, and the watch is behind.
                _ if recorded_now(context, node, record).await?.is_none() => Ok(Reply::Settled),
                _ => Ok(Reply::Report(drain_is_over(node, record))),
            }
        }
    }
}

/// Restores a node whose maintenance is gone, if the API server confirms that it is.
async fn restore(context: &Context, node: &Node, record: &Record) -> Result<(), String> {
    let client = context.cluster.client();
    if !maintenance_is_gone(client, &record.actor).await.map_err(|error| error.to_string())? {
        // One that cannot be decoded, or has only just been made.
        return Err(format!("NodeMaintenance {} is there, but the cache does not show it", record.actor.name));
    }
    // The watch may be behind what ended the maintenance: then nobody needs the node Lease, and others may want it.
    if recorded_now(context, node, record).await?.is_none() {
        return Ok(());
    }
    let holder = record.actor.lease_holder();
    let lease = NodeLease::acquire(client.clone(), context.clock, &node.name, &node.uid, holder).await;
    let mut lease = lease.map_err(|error| trouble_with_lease(&error).message)?;
    let restored = restore_held(context, node, record).await;
    let released = lease.release().await.map_err(|error| error.to_string());
    restored.and(released)
}

/// The node as the API server has it now, if it carries the record of that actor.
async fn recorded_now(context: &Context, node: &Node, record: &Record) -> Result<Option<(Node, Record)>, String> {
    let node = node::read(context.cluster.client(), node).await.map_err(|error| error.to_string())?;
    Ok(match Record::read(&node) {
        RecordReading::Present(found) if found.actor == record.actor => Some((node, found)),
        _ => None,
    })
}

/// The same, while we hold the node Lease.
async fn restore_held(context: &Context, node: &Node, record: &Record) -> Result<(), String> {
    let (client, key) = (context.cluster.client(), &context.settings.drain_taint_key);
    let Some((node, record)) = &recorded_now(context, node, record).await? else { return Ok(()) };
    record.check(node, key).map_err(|error| error.to_string())?;
    // The options went with the object; without them nothing is aborted that runs.
    let options = DrainSpec::default().for_maintenance().map_err(|error| error.to_string())?;
    let left = take_back(&context.cluster, &node.name, record, &options).await;
    if !left.is_empty() {
        context.publisher.of_node(node, News::LeftBehind(left.join("; ")));
    }
    let cleared =
        node::set_conditions(client, node, None, context.clock.now()).await.map_err(|error| error.to_string())?;
    let node = cleared.as_ref().unwrap_or(node);
    let restored = node::change(client, node, |node| match Record::read(node) {
        RecordReading::Present(found) if found.actor == record.actor => node::restore(node, &found, key),
        _ => Ok(None),
    });
    if let Some(restored) = restored.await.map_err(|error| error.to_string())? {
        tracing::warn!(node = %restored.name, maintenance = record.actor.name, "restored: its maintenance was removed by force");
        if !record.was_unschedulable {
            context.publisher.of_node(&restored, News::UncordonNode);
        }
    }
    Ok(())
}

/// The sound record of another maintenance that is not in the caches: a newcomer takes the node over from it.
pub(super) fn by_another(
    newcomer: &NodeMaintenance,
    node: &Node,
    snapshot: &Snapshot,
    drain_taint_key: &str,
) -> Option<Record> {
    match find(node, snapshot, drain_taint_key) {
        Finding::Ask(Question::Maintenance(record)) if record.actor.uid != newcomer.uid() => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::testing::{at, maintenance, node},
        names::DRAIN_TAINT_KEY,
        node::Actor,
    };

    fn taken_out() -> (NodeMaintenance, Node) {
        let object = maintenance("node02-maintenance", "node02");
        let record = Record::begin(&object.actor(), &node("node02"), Some(DRAIN_TAINT_KEY), at(0));
        (object, node("node02").cordoned().tainted(DRAIN_TAINT_KEY, "NoSchedule").with_record(&record))
    }

    #[test]
    fn a_live_maintenance_keeps_its_record() {
        let (object, node) = taken_out();
        let snapshot = Snapshot::default().with(object);
        assert_eq!(find(&node, &snapshot, DRAIN_TAINT_KEY), Finding::Fine);
        let found = find(&node, &Snapshot::default(), DRAIN_TAINT_KEY);
        assert!(matches!(found, Finding::Ask(Question::Maintenance(_))));
    }

    #[test]
    fn what_was_written_by_hand_is_only_reported() {
        let (object, good) = taken_out();
        let RecordReading::Present(record) = Record::read(&good) else { panic!() };
        let drain = Actor { kind: ActorKind::Order, ..object.actor() };
        let forged = [
            good.clone().with_record_text("{"),
            good.clone().with_record(&Record { actor: drain, ..record.clone() }),
            good.clone().with_record(&Record { added_taint: Some("example.com/theirs".into()), ..record.clone() }),
            good.clone().with_record(&Record { node_uid: "another".into(), ..record.clone() }),
            // Whoever may only patch nodes/status cannot add the taint.
            node("node02").cordoned().with_record(&record),
        ];
        for node in forged {
            let finding = find(&node, &Snapshot::default(), DRAIN_TAINT_KEY);
            assert!(matches!(&finding, Finding::Report(why) if why.contains("node02")), "{finding:?}");
        }
    }

    #[test]
    fn of_a_drain_in_a_process_the_node_lease_is_asked() {
        let (object, node) = taken_out();
        let RecordReading::Present(record) = Record::read(&node) else { panic!() };
        let drain = Record { actor: Actor { kind: ActorKind::Process, ..object.actor() }, ..record };
        let found = find(&node.with_record(&drain), &Snapshot::default(), DRAIN_TAINT_KEY);
        assert_eq!(found, Finding::Ask(Question::Process(drain)));
    }

    #[test]
    fn a_newcomer_takes_a_node_over_only_from_a_sound_record_of_another_that_is_gone() {
        let (old, node) = taken_out();
        let newcomer = maintenance("newcomer", "node02");
        let found = by_another(&newcomer, &node, &Snapshot::default(), DRAIN_TAINT_KEY);
        assert_eq!(found.map(|record| record.actor), Some(old.actor()));

        assert_eq!(by_another(&newcomer, &node, &Snapshot::default().with(old.clone()), DRAIN_TAINT_KEY), None);
        assert_eq!(by_another(&old, &node, &Snapshot::default(), DRAIN_TAINT_KEY), None, "its own is its own");
        let untainted = crate::model::testing::node("node02").cordoned();
        assert_eq!(by_another(&newcomer, &untainted, &Snapshot::default(), DRAIN_TAINT_KEY), None);
        // Made again under its name: another UID, another maintenance.
        let mut again = old.clone();
        again.metadata.uid = Some("again".to_owned());
        let found = by_another(&again, &node, &Snapshot::default().with(again.clone()), DRAIN_TAINT_KEY);
        assert_eq!(found.map(|record| record.actor), Some(old.actor()));
    }

    #[test]
    fn an_unreadable_record_is_left_to_the_worker_of_a_live_maintenance() {
        let (object, node) = taken_out();
        let node = node.with_record_text("{");
        assert_eq!(find(&node, &Snapshot::default().with(object), DRAIN_TAINT_KEY), Finding::Fine);
        assert!(matches!(find(&node, &Snapshot::default(), DRAIN_TAINT_KEY), Finding::Report(_)));
    }
}
