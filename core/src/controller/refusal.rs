//! Refuses maintenances and drain orders: for good, so the node is looked at once as it is now. The caches of nodes, of
//! maintenances and of orders are not of one moment.

use kube::Api;

use super::{
    context::Context,
    news::News,
    requests::{self, WriteError},
};
use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    clock::to_the_second,
    cluster::Snapshot,
    config_map::ConfigMapError,
    maintenance::{
        accept::{Decision, decide},
        status,
    },
    model::{DrainEnd, DrainOrder, DrainOutcome, DrainStatus, Node, NodeMaintenance, NodeName},
    order::{Duty, Orders, duty},
    plan::Refused,
};

/// Why something was not refused; it is decided on again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefusalError {
    /// The refusal does not hold for the node as it is now.
    #[error("node {0} has changed: what was decided by the caches does not hold")]
    NodeChanged(NodeName),
    /// The node cannot be looked at.
    #[error("node {node} cannot be read: {message}")]
    NodeUnknown {
        /// The node.
        node: NodeName,
        /// What the API server says.
        message: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Maintenance(#[from] WriteError),
    /// It could not be written.
    #[error(transparent)]
    Order(#[from] ConfigMapError),
}

/// Refuses a maintenance that is to be refused by what is known.
pub(super) async fn refuse_maintenance(
    context: &Context,
    object: &NodeMaintenance,
    mut known: Snapshot,
) -> Result<(), RefusalError> {
    if let Ok(node) = object.spec.node_name.parse::<NodeName>() {
        look_again(context, &node, &mut known).await?;
    }
    let refused = match decide(object, &known) {
        Decision::Refused(refused) => refused,
        Decision::Accepted(accepted) => return Err(RefusalError::NodeChanged(accepted.node)),
    };
    let (name, reason, message) = (object.name(), refused.reason, &refused.message);
    tracing::info!(maintenance = name, reason, message, "not accepted");
    Ok(write_refusal(context, object, refused).await?)
}

/// Says in its status that a maintenance is refused, and tells of it, unless it says so already.
pub(super) async fn write_refusal(
    context: &Context,
    object: &NodeMaintenance,
    refused: Refused,
) -> Result<(), WriteError> {
    let now = context.clock.now();
    let mut wanted = status::of_refused(object, &refused, now);
    context.note(object.status.as_ref(), &mut wanted);
    let Some(patch) = status::patch(object.status.as_ref(), &wanted, now) else { return Ok(()) };
    requests::write_status(context.cluster.client(), object, patch).await?;
    context.publisher.of_maintenance(object, News::FailedMaintenance(refused.message));
    Ok(())
}

/// Says that an order is not carried out that is not to be by what is known.
pub(super) async fn refuse_order(
    context: &Context,
    order: &DrainOrder,
    mut known: Snapshot,
) -> Result<(), RefusalError> {
    look_again(context, order.node(), &mut known).await?;
    let now = context.clock.now();
    let Duty::Refuse(refused) = duty(order, &known, now) else {
        return Err(RefusalError::NodeChanged(order.node().clone()));
    };
    let outcome = DrainOutcome {
        end: DrainEnd::Refused,
        reason: Some(refused.reason.to_owned()),
        message: refused.message,
        at: to_the_second(now),
        left: 0,
        left_behind: Vec::new(),
    };
    let status = DrainStatus { id: order.id().clone(), outcome: Some(outcome), ..DrainStatus::default() };
    Orders::new(context.cluster.client(), &context.settings.namespace).write_status(order, &status).await?;
    Ok(())
}

/// Puts the node as it is now in place of what is known of it.
async fn look_again(context: &Context, node: &NodeName, known: &mut Snapshot) -> Result<(), RefusalError> {
    let unknown = |message: String| RefusalError::NodeUnknown { node: node.clone(), message };
    let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(context.cluster.client().clone());
    match Answer::within(REQUEST_TIMEOUT, nodes.get(node.as_str())).await {
        Answer::Done(found) => {
            known.put(Node::try_from(found).map_err(|error| unknown(error.to_string()))?);
        }
        Answer::Refused(status) if status.is_not_found() => {
            known.take::<Node>(node);
        }
        Answer::Refused(status) => return Err(unknown(status.message)),
        Answer::Unavailable(error) => return Err(unknown(error.to_string())),
        Answer::TimedOut => return Err(unknown(format!("no answer in {} s", REQUEST_TIMEOUT.as_secs()))),
    }
    Ok(())
}
