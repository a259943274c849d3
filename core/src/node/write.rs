//! Sending a change to the API server.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::Value;

use super::{
    conditions::{Lifecycle, conditions_patch},
    patch::Refused,
};
use crate::{
    answer::{Answer, REQUEST_TIMEOUT, lacks_right, reason_of},
    model::{Node, NodeName, Uid},
    names::FIELD_MANAGER,
};

const ATTEMPTS: u32 = 5;
/// Doubles with each conflict: 20, 40, 80, 160 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Why a node was not changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no such Node.
    #[error("node {node} is not in the cluster (any more)")]
    Gone {
        /// The node.
        node: NodeName,
    },
    /// It is another Node of the same name.
    #[error(
        "node {node} has left the cluster and come back (its UID was {expected} and is {found}): look at it anew \
         before changing it"
    )]
    Replaced {
        /// The node.
        node: NodeName,
        /// The UID it should have.
        expected: Uid,
        /// The UID it has.
        found: Uid,
    },
    /// The right is missing.
    #[error("not allowed to {verb} {resource} (node {node}): grant that right ({message})")]
    Forbidden {
        /// The node.
        node: NodeName,
        /// `get` or `patch`.
        verb: &'static str,
        /// `nodes` or `nodes/status`.
        resource: &'static str,
        /// What the API server says.
        message: String,
    },
    /// No answer in time: the change may have been made, or not. Trying again is harmless.
    #[error("no answer from the API server within {} s while changing node {node}: try again", after.as_secs())]
    Timeout {
        /// The node.
        node: NodeName,
        /// How long was waited.
        after: Duration,
    },
    /// The API server cannot be reached or cannot serve now. Trying again is harmless.
    #[error("the API server could not be asked to change node {node}, try again: {source}")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// Others kept changing it in between.
    #[error("node {node} changed {attempts} times while it was being changed: try again")]
    Contended {
        /// The node.
        node: NodeName,
        /// How often it was tried.
        attempts: u32,
    },
    /// The change itself must not be made.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The API server does not accept the change: invalid, or refused by an admission webhook.
    #[error("the API server does not accept the change of node {node}: {message}")]
    Rejected {
        /// The node.
        node: NodeName,
        /// What it says.
        message: String,
        /// Kubernetes' own word for why, if it has said one: `Forbidden`, `Invalid`.
        reason: Option<String>,
    },
}

/// Changes a node: computes the patch from the node as the cache has it and sends it, guarded by its resourceVersion;
/// if the node has changed since, reads it and computes the patch anew. One request if nobody interferes, none if there
/// is nothing to change.
///
/// Gives the node as it is now; `None` if the given one was already as wanted.
pub async fn change<F>(client: &Client, node: &Node, patch: F) -> Result<Option<Node>, NodeError>
where
    F: Fn(&Node) -> Result<Option<Value>, Refused>,
{
    Writer { api: Api::all(client.clone()), part: Part::Node }.change(node, patch).await
}

/// Reads a node as it is now. An error if it has gone, or is another of that name.
pub async fn read(client: &Client, node: &Node) -> Result<Node, NodeError> {
    Writer { api: Api::all(client.clone()), part: Part::Node }.read(node).await
}

/// Makes the node conditions say this, or removes Careen's own; as [`change`], on `nodes/status`.
pub async fn set_conditions(
    client: &Client,
    node: &Node,
    wanted: Option<&Lifecycle<'_>>,
    now: Timestamp,
) -> Result<Option<Node>, NodeError> {
    let writer = Writer { api: Api::all(client.clone()), part: Part::Status };
    writer.change(node, |node| Ok(conditions_patch(node, wanted, now))).await
}

struct Writer {
    api: Api<v1::Node>,
    part: Part,
}

/// What is written, and how.
#[derive(Clone, Copy)]
enum Part {
    /// Metadata and spec, by merge patch: taints are one list.
    Node,
    /// The status, by strategic merge patch: conditions are merged by type.
    Status,
}

impl Writer {
    async fn change<F>(&self, node: &Node, patch: F) -> Result<Option<Node>, NodeError>
    where
        F: Fn(&Node) -> Result<Option<Value>, Refused>,
    {
        let mut fresh = None;
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            let current = fresh.as_ref().unwrap_or(node);
            let Some(patch) = patch(current)? else { return Ok(fresh) };
            if let Some(written) = self.patch(node, patch).await? {
                return Ok(Some(written));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            fresh = Some(self.read(node).await?);
        }
        Err(NodeError::Contended { node: node.name.clone(), attempts: ATTEMPTS })
    }

    /// `None` on a conflict.
    async fn patch(&self, node: &Node, patch: Value) -> Result<Option<Node>, NodeError> {
        let name = node.name.as_str();
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let answer = match self.part {
            Part::Node => Answer::within(REQUEST_TIMEOUT, self.api.patch(name, &params, &Patch::Merge(patch))).await,
            Part::Status => {
                Answer::within(REQUEST_TIMEOUT, self.api.patch_status(name, &params, &Patch::Strategic(patch))).await
            }
        };
        match answer {
            Answer::Refused(status) if status.is_conflict() => Ok(None),
            answer => self.node_from(node, "patch", answer).map(Some),
        }
    }

    async fn read(&self, node: &Node) -> Result<Node, NodeError> {
        let answer = Answer::within(REQUEST_TIMEOUT, self.api.get(node.name.as_str())).await;
        self.node_from(node, "get", answer)
    }

    fn node_from(&self, expected: &Node, verb: &'static str, answer: Answer<v1::Node>) -> Result<Node, NodeError> {
        let node = expected.name.clone();
        let found = match answer {
            Answer::Done(found) => Node::try_from(found).map_err(|error| NodeError::Rejected {
                node: node.clone(),
                message: error.to_string(),
                reason: None,
            })?,
            Answer::Refused(status) if status.is_not_found() => return Err(NodeError::Gone { node }),
            Answer::Refused(status) if lacks_right(&status) => {
                let resource = match (verb, self.part) {
                    ("patch", Part::Status) => "nodes/status",
                    _ => "nodes",
                };
                return Err(NodeError::Forbidden { node, verb, resource, message: status.message });
            }
            Answer::Refused(status) => {
                return Err(NodeError::Rejected { node, reason: reason_of(&status), message: status.message });
            }
            Answer::Unavailable(source) => return Err(NodeError::Unreachable { node, source }),
            Answer::TimedOut => return Err(NodeError::Timeout { node, after: REQUEST_TIMEOUT }),
        };
        if found.uid != expected.uid {
            return Err(NodeError::Replaced { node, expected: expected.uid.clone(), found: found.uid });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        node::{DrainStage, cordon},
        testing::{FakeServer, Mood, maintenance_actor},
    };

    const PATH: &str = "/api/v1/nodes/node02";

    fn server() -> (FakeServer, Node) {
        let server = FakeServer::default();
        let node = server.put(PATH, json!({ "kind": "Node", "metadata": { "name": "node02", "uid": "uid-node02" } }));
        (server, node_of(node))
    }

    fn node_of(value: Value) -> Node {
        serde_json::from_value::<v1::Node>(value).unwrap().try_into().unwrap()
    }

    async fn cordoned(server: &FakeServer, node: &Node) -> Result<Option<Node>, NodeError> {
        change(&server.client(), node, |node| Ok(cordon(node))).await
    }

    #[tokio::test(start_paused = true)]
    async fn one_write_if_nobody_interferes_and_none_if_there_is_nothing_to_do() {
        let (server, node) = server();
        let after = cordoned(&server, &node).await.unwrap().unwrap();
        assert!(after.unschedulable);
        assert_eq!(server.requests(), 1);
        assert!(cordoned(&server, &after).await.unwrap().is_none());
        assert_eq!(server.requests(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_computed_anew() {
        let (server, node) = server();
        let mut changed = server.get(PATH).unwrap();
        changed["spec"]["taints"] = json!([{ "key": "a", "effect": "NoSchedule" }]);
        server.put(PATH, changed);
        let after = cordoned(&server, &node).await.unwrap().unwrap();
        assert!(after.unschedulable && after.has_taint("a", "NoSchedule"));
        assert_eq!(server.requests(), 3, "PATCH, GET, PATCH");

        // A lost answer: somebody (perhaps we) has done it already.
        let after = cordoned(&server, &node).await.unwrap().unwrap();
        assert!(after.unschedulable);
        assert_eq!(server.requests(), 5, "PATCH, GET");
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_has_its_name() {
        let (server, node) = server();
        server.set_mood(Mood::Hang);
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Timeout { .. })));
        server.set_mood(Mood::Refuse(503));
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Unreachable { .. })));
        server.set_mood(Mood::Refuse(403));
        let error = cordoned(&server, &node).await.unwrap_err();
        assert!(error.to_string().contains("not allowed to patch nodes (node node02)"), "{error}");
        server.set_mood(Mood::Refuse(422));
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Rejected { .. })));
        server.set_mood(Mood::ConflictOnWrite);
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Contended { attempts: 5, .. })));

        server.set_mood(Mood::Serve);
        server.put(PATH, json!({ "kind": "Node", "metadata": { "name": "node02", "uid": "another" } }));
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Replaced { .. })));
        server.remove(PATH);
        assert!(matches!(cordoned(&server, &node).await, Err(NodeError::Gone { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn conditions_go_to_the_status() {
        let (server, node) = server();
        let actor = maintenance_actor();
        let wanted = Lifecycle { actor: &actor, drain: DrainStage::InProgress };
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let after = set_conditions(&server.client(), &node, Some(&wanted), now).await.unwrap().unwrap();
        assert!(after.has_condition("MaintenanceInProgress"));
        let after = set_conditions(&server.client(), &after, None, now).await.unwrap().unwrap();
        assert!(after.conditions.is_empty());
    }
}
