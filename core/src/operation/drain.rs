//! Order a drain, and cancel it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ATTEMPTS, OperationError, Operations};
use crate::{
    clock::to_the_second,
    cluster::Snapshot,
    config_map::ConfigMapError,
    model::{CancelRequest, DrainOrder, DrainRequest, DrainSpec, NodeName, Uid},
    order::Orders,
    plan::may_go,
};

/// A node is to be drained.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderDrain {
    /// Tells it from others: a repeat under the same id, or with the same options while it runs, orders nothing more.
    /// Up to 63 letters, digits and `-` ([`super::new_drain_id`] makes one).
    pub id: Uid,
    /// The node.
    pub node: NodeName,
    /// What the drain may do; what is left out is as for `kubectl drain`.
    pub options: DrainSpec,
    /// Who asks, as far as the service knows.
    pub requested_by: Option<String>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// A drain that is ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The order; for a dry run without a UID.
    pub order: Arc<DrainOrder>,
    /// Whether it was (would be) ordered by this request.
    pub created: bool,
}

/// A drain is to end before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelDrain {
    /// The node.
    pub node: NodeName,
    /// Only this one.
    pub id: Option<Uid>,
    /// Who asks, as far as the service knows.
    pub requested_by: Option<String>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// A drain that ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Cancelled {
    /// The order.
    pub order: Arc<DrainOrder>,
    /// Whether it was over, or being cancelled, already.
    pub already: bool,
}

enum Decision {
    Existing(Arc<DrainOrder>),
    Create,
    Replace(Arc<DrainOrder>),
}

impl Operations {
    /// Orders a drain: durable, carried out by the leader; a caller who goes away changes nothing.
    pub async fn order_drain(&self, request: &OrderDrain) -> Result<Ordered, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        let orders = Orders::new(self.cluster.client(), &self.namespace);
        for _ in 0..ATTEMPTS {
            let (decision, wanted) = decide_order(request, &snapshot, self.clock.now())?;
            let written = match &decision {
                Decision::Existing(order) => return Ok(Ordered { order: order.clone(), created: false }),
                _ if request.dry_run => return Ok(Ordered { order: Arc::new(unwritten(wanted)), created: true }),
                Decision::Create => orders.create(&wanted).await,
                Decision::Replace(order) => orders.replace_request(order, &wanted).await,
            };
            match written {
                Ok(order) => return Ok(Ordered { order: Arc::new(order), created: true }),
                Err(ConfigMapError::Changed(_)) => {}
                Err(error) => return Err(error.into()),
            }
            refresh(&orders, &mut snapshot, &request.node).await?;
        }
        Err(contended(&request.node))
    }

    /// Cancels a drain: nothing new starts, the node stays cordoned. Repeating it changes nothing.
    pub async fn cancel_drain(&self, request: &CancelDrain) -> Result<Cancelled, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        let orders = Orders::new(self.cluster.client(), &self.namespace);
        for _ in 0..ATTEMPTS {
            let order = drain_to_cancel(request, &snapshot)?;
            let already = order.is_finished() || order.request.cancel.is_some();
            if already || request.dry_run {
                return Ok(Cancelled { order, already });
            }
            let at = to_the_second(self.clock.now());
            let cancel = Some(CancelRequest { requested_by: request.requested_by.clone(), at });
            let wanted = DrainRequest { cancel, ..order.request.clone() };
            match orders.replace_request(&order, &wanted).await {
                Ok(order) => return Ok(Cancelled { order: Arc::new(order), already: false }),
                Err(ConfigMapError::Changed(_)) => {}
                Err(error) => return Err(error.into()),
            }
            refresh(&orders, &mut snapshot, &request.node).await?;
        }
        Err(contended(&request.node))
    }
}

/// Reads the order as it is now, in place of what the caches show.
async fn refresh(orders: &Orders, snapshot: &mut Snapshot, node: &NodeName) -> Result<(), OperationError> {
    let name = DrainOrder::name_for(node);
    match orders.get(&name).await? {
        Some(order) => drop(snapshot.put(order)),
        None => drop(snapshot.take::<DrainOrder>(&name)),
    }
    Ok(())
}

fn contended(node: &NodeName) -> OperationError {
    OperationError::Contended { message: format!("the drain order of node {node} changed each time: try again") }
}

fn unwritten(request: DrainRequest) -> DrainOrder {
    DrainOrder {
        name: DrainOrder::name_for(&request.node),
        uid: Uid::default(),
        resource_version: String::new(),
        request,
        status: crate::model::DrainStatus::default(),
    }
}

fn decide_order(
    request: &OrderDrain,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(Decision, DrainRequest), OperationError> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let id = request.id.as_str();
    // It stands in labels of migrations.
    if id.is_empty() || id.len() > 63 || !id.bytes().all(is_valid) || id.starts_with('-') || id.ends_with('-') {
        let message = format!("id {id:?} is not valid: allowed are up to 63 letters, digits and '-' in between");
        return Err(OperationError::invalid("id", message));
    }
    let options = request.options.for_drain()?;
    let found = snapshot.node(&request.node);
    let node = found.ok_or_else(|| OperationError::NodeNotFound { node: request.node.clone() })?;
    let wanted = DrainRequest {
        id: request.id.clone(),
        node: request.node.clone(),
        node_uid: node.uid.clone(),
        requested_by: request.requested_by.clone(),
        options: request.options.clone(),
        created_at: to_the_second(now),
        cancel: None,
    };
    let existing = snapshot.drain_order(&request.node);
    // Whoever has lost the answer asks again, under another id.
    let is_wanted = |order: &&Arc<DrainOrder>| {
        let DrainRequest { id, node_uid, options, cancel, .. } = &order.request;
        let runs = !order.is_finished() && cancel.is_none() && *node_uid == wanted.node_uid;
        *id == request.id || (runs && *options == request.options)
    };
    if let Some(order) = existing.filter(is_wanted) {
        return Ok((Decision::Existing(order.clone()), wanted));
    }
    may_go(&request.node, Some(&request.id), snapshot, &options)?;
    Ok((existing.map_or(Decision::Create, |order| Decision::Replace(order.clone())), wanted))
}

/// The drain that such a cancel is about, as it is now.
pub fn drain_to_cancel(request: &CancelDrain, snapshot: &Snapshot) -> Result<Arc<DrainOrder>, OperationError> {
    let order = snapshot.drain_order(&request.node);
    let order = order.filter(|order| request.id.as_ref().is_none_or(|id| id == order.id()));
    order.cloned().ok_or_else(|| OperationError::DrainNotFound {
        node: request.node.clone(),
        id: request.id.as_ref().map(ToString::to_string),
    })
}
