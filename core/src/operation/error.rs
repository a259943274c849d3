//! Why an operation was not carried out. The names are those of the vocabulary: the same in problem details, GraphQL's
//! `extensions.code`, Python's exceptions, audit lines and metrics.

use crate::{
    config_map::ConfigMapError,
    lease::{LeaseError, NodeLeaseError},
    maintenance::Unconfirmed,
    migration::RequestError,
    model::{ActorKind, InvalidDrainSpec, InvalidNodeName, InvalidTaint, NodeName, ObjectKey},
    node::{NodeError, Refused},
    plan::{Refusal, way_out},
};

/// Why an operation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no such node.
    #[error("node {node} does not exist: check the name")]
    NodeNotFound {
        /// The node.
        node: NodeName,
    },
    /// A maintenance acts on the node.
    #[error("node {node} is under maintenance by NodeMaintenance {by}: stop that first")]
    UnderMaintenance {
        /// The node.
        node: NodeName,
        /// Name of the `NodeMaintenance`.
        by: String,
    },
    /// A drain acts on the node.
    #[error("node {node} is being drained by {by}: {}", way_out(*.kind))]
    DrainInProgress {
        /// The node.
        node: NodeName,
        /// The id of the drain.
        by: String,
        /// Who carries it out.
        kind: ActorKind,
    },
    /// Somebody who is not Careen acts on the node.
    #[error("node {node} is held by {holder}: wait until it is done with the node")]
    NodeLeaseHeld {
        /// The node.
        node: NodeName,
        /// Who holds the node Lease.
        holder: String,
    },
    /// The node belongs to another maintenance.
    #[error("node {node} belongs to NodeMaintenance {by}{}: stop that first", ticket_text(ticket.as_deref()))]
    AlreadyUnderMaintenance {
        /// The node.
        node: NodeName,
        /// Name of the `NodeMaintenance`.
        by: String,
        /// The ticket that it names.
        ticket: Option<String>,
    },
    /// The node's maintenance is being stopped.
    #[error("NodeMaintenance {name} is being stopped: start again when node {node} is restored")]
    MaintenanceStopping {
        /// The node.
        node: NodeName,
        /// Name of the `NodeMaintenance`.
        name: String,
    },
    /// The control plane would lose its quorum.
    #[error("{message}")]
    QuorumLost {
        /// A sentence that counts the members.
        message: String,
    },
    /// It cannot be known whether the control plane keeps its quorum.
    #[error("{message}")]
    QuorumUnknown {
        /// A sentence that says what is missing.
        message: String,
    },
    /// There is no such maintenance.
    #[error("{what} does not exist")]
    MaintenanceNotFound {
        /// `NodeMaintenance x`, `a maintenance of node y`.
        what: String,
    },
    /// Another maintenance has that name.
    #[error("NodeMaintenance {name} exists already, for node {node}")]
    NameTaken {
        /// The name.
        name: String,
        /// The node that it is about.
        node: String,
    },
    /// It was made for another ticket than the one that was named.
    #[error("NodeMaintenance {name} belongs to {}, not to ticket {named}", ticket.as_ref().map_or("no ticket".to_owned(), |ticket| format!("ticket {ticket}")))]
    TicketMismatch {
        /// Name of the `NodeMaintenance`.
        name: String,
        /// The ticket that it names.
        ticket: Option<String>,
        /// The ticket that was named.
        named: String,
    },
    /// It has changed since it was read.
    #[error("{what} has changed since it was read (resourceVersion {found}, not {expected})")]
    PreconditionFailed {
        /// The object.
        what: String,
        /// The version that was named.
        expected: String,
        /// The version that it has.
        found: String,
    },
    /// KubeVirt's own drain taint is never written.
    #[error(transparent)]
    KubeVirtDrainTaint(Refused),
    /// There is no drain of that node (with that id).
    #[error("there is no drain of node {node}{}", id.as_ref().map(|id| format!(" with id {id}")).unwrap_or_default())]
    DrainNotFound {
        /// The node.
        node: NodeName,
        /// The id that was named.
        id: Option<String>,
    },
    /// There is no such VM.
    #[error("VirtualMachineInstance {key} does not exist")]
    VirtualMachineInstanceNotFound {
        /// Its namespace and name.
        key: ObjectKey,
    },
    /// The VM does not run.
    #[error("VirtualMachineInstance {key} cannot be migrated, because it does not run ({state})")]
    NotRunning {
        /// Its namespace and name.
        key: ObjectKey,
        /// What it does.
        state: &'static str,
    },
    /// KubeVirt says that the VM cannot migrate.
    #[error("VirtualMachineInstance {key} cannot be migrated: {message} ({why})")]
    NotLiveMigratable {
        /// Its namespace and name.
        key: ObjectKey,
        /// KubeVirt's reason.
        why: String,
        /// KubeVirt's message.
        message: String,
    },
    /// The VM is being migrated, or about to be.
    #[error("VirtualMachineInstance {key} is being migrated already{}", migration.as_ref().map(|name| format!(" by {name}")).unwrap_or_default())]
    AlreadyMigrating {
        /// Its namespace and name.
        key: ObjectKey,
        /// The migration, where there is one already.
        migration: Option<String>,
    },
    /// There is no such migration.
    #[error("VirtualMachineInstanceMigration {key} does not exist")]
    MigrationNotFound {
        /// Its namespace and name.
        key: ObjectKey,
    },
    /// The migration is over.
    #[error("VirtualMachineInstanceMigration {key} is over: there is nothing to cancel")]
    MigrationFinished {
        /// Its namespace and name.
        key: ObjectKey,
    },
    /// The VM runs on two nodes at this moment: aborting would lose it.
    #[error("VirtualMachineInstanceMigration {key} is not cancelled in mode PostCopy: the VM would be lost")]
    PostCopy {
        /// Its namespace and name.
        key: ObjectKey,
    },
    /// What was asked for cannot be understood.
    #[error("{message}")]
    InvalidArgument {
        /// The field, as JSON writes it.
        field: &'static str,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// Careen itself lacks a right.
    #[error("{message}")]
    Forbidden {
        /// A sentence that names the right.
        message: String,
    },
    /// Others kept changing the object in between.
    #[error("{message}")]
    Contended {
        /// A sentence that names the object.
        message: String,
    },
    /// The cluster does not have that kind.
    #[error("{message}")]
    NotServed {
        /// A sentence that says what is missing.
        message: String,
    },
    /// The API server, a webhook or KubeVirt says no.
    #[error("{message}")]
    Rejected {
        /// What it says.
        message: String,
        /// Kubernetes' own word for why, if it has said one: `Forbidden`, `Invalid`.
        kubernetes_reason: Option<String>,
    },
    /// The API server cannot be reached or cannot serve now. Trying again is harmless.
    #[error("{message}")]
    ApiServerUnavailable {
        /// What happened.
        message: String,
    },
}

fn ticket_text(ticket: Option<&str>) -> String {
    ticket.map(|ticket| format!(" (ticket {ticket})")).unwrap_or_default()
}

/// What kind of failure it is: what a status code or an exception's class follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationErrorKind {
    /// What it is about does not exist (404).
    NotFound,
    /// Something that exists is in the way (409).
    Conflict,
    /// What the caller knows is out of date (412).
    PreconditionFailed,
    /// The request is wrong, and stays so (422).
    Invalid,
    /// Careen itself lacks something: a right, a kind (503; the caller cannot help).
    NotPossible,
    /// Try again (503).
    Unavailable,
}

impl OperationError {
    /// Its name, the same everywhere.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NodeNotFound { .. } => "NodeNotFound",
            Self::UnderMaintenance { .. } => "UnderMaintenance",
            Self::DrainInProgress { .. } => "DrainInProgress",
            Self::NodeLeaseHeld { .. } => "NodeLeaseHeld",
            Self::AlreadyUnderMaintenance { .. } => "AlreadyUnderMaintenance",
            Self::MaintenanceStopping { .. } => "MaintenanceStopping",
            Self::QuorumLost { .. } => "QuorumLost",
            Self::QuorumUnknown { .. } => "QuorumUnknown",
            Self::MaintenanceNotFound { .. } => "MaintenanceNotFound",
            Self::NameTaken { .. } => "NameTaken",
            Self::TicketMismatch { .. } => "TicketMismatch",
            Self::PreconditionFailed { .. } => "PreconditionFailed",
            Self::KubeVirtDrainTaint(_) => "KubeVirtDrainTaint",
            Self::DrainNotFound { .. } => "DrainNotFound",
            Self::VirtualMachineInstanceNotFound { .. } => "VirtualMachineInstanceNotFound",
            Self::NotRunning { .. } => "NotRunning",
            Self::NotLiveMigratable { .. } => "NotLiveMigratable",
            Self::AlreadyMigrating { .. } => "AlreadyMigrating",
            Self::MigrationNotFound { .. } => "MigrationNotFound",
            Self::MigrationFinished { .. } => "MigrationFinished",
            Self::PostCopy { .. } => "PostCopy",
            Self::InvalidArgument { .. } => "InvalidArgument",
            Self::Forbidden { .. } => "Forbidden",
            Self::Contended { .. } => "Contended",
            Self::NotServed { .. } => "NotServed",
            Self::Rejected { .. } => "Rejected",
            Self::ApiServerUnavailable { .. } => "ApiServerUnavailable",
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> OperationErrorKind {
        match self {
            Self::NodeNotFound { .. }
            | Self::MaintenanceNotFound { .. }
            | Self::DrainNotFound { .. }
            | Self::VirtualMachineInstanceNotFound { .. }
            | Self::MigrationNotFound { .. } => OperationErrorKind::NotFound,
            Self::UnderMaintenance { .. }
            | Self::DrainInProgress { .. }
            | Self::NodeLeaseHeld { .. }
            | Self::AlreadyUnderMaintenance { .. }
            | Self::MaintenanceStopping { .. }
            | Self::QuorumLost { .. }
            | Self::QuorumUnknown { .. }
            | Self::NameTaken { .. }
            | Self::NotRunning { .. }
            | Self::NotLiveMigratable { .. }
            | Self::AlreadyMigrating { .. }
            | Self::MigrationFinished { .. }
            | Self::PostCopy { .. } => OperationErrorKind::Conflict,
            Self::TicketMismatch { .. } | Self::PreconditionFailed { .. } => OperationErrorKind::PreconditionFailed,
            Self::KubeVirtDrainTaint(_) | Self::InvalidArgument { .. } | Self::Rejected { .. } => {
                OperationErrorKind::Invalid
            }
            Self::Forbidden { .. } | Self::NotServed { .. } => OperationErrorKind::NotPossible,
            Self::Contended { .. } | Self::ApiServerUnavailable { .. } => OperationErrorKind::Unavailable,
        }
    }

    pub(super) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { field, message: message.into() }
    }
}

impl From<Refusal> for OperationError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NodeNotFound { node } => Self::NodeNotFound { node },
            Refusal::AlreadyUnderMaintenance { node, by } => Self::AlreadyUnderMaintenance { node, by, ticket: None },
            Refusal::DrainInProgress { node, by, kind } => Self::DrainInProgress { node, by, kind },
            Refusal::QuorumLost { message } => Self::QuorumLost { message },
            Refusal::QuorumUnknown { message } => Self::QuorumUnknown { message },
        }
    }
}

impl From<NodeLeaseError> for OperationError {
    fn from(error: NodeLeaseError) -> Self {
        let message = error.to_string();
        match error {
            NodeLeaseError::HeldBy { node, holder, .. } => Self::NodeLeaseHeld { node, holder },
            NodeLeaseError::Forbidden { .. } | NodeLeaseError::NamespaceMissing { .. } => Self::Forbidden { message },
            NodeLeaseError::Request { source: LeaseError::Rejected { reason, .. }, .. } => {
                Self::Rejected { message, kubernetes_reason: reason }
            }
            NodeLeaseError::Request { .. } => Self::ApiServerUnavailable { message },
        }
    }
}

impl From<NodeError> for OperationError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Gone { node } | NodeError::Replaced { node, .. } => Self::NodeNotFound { node },
            NodeError::Forbidden { .. } => Self::Forbidden { message },
            NodeError::Timeout { .. } | NodeError::Unreachable { .. } => Self::ApiServerUnavailable { message },
            NodeError::Contended { .. } => Self::Contended { message },
            NodeError::Refused(refused) => match refused {
                Refused::KubeVirtDrainTaint { .. } => Self::KubeVirtDrainTaint(refused),
                Refused::Taken { node, by } if by.kind == ActorKind::Maintenance => {
                    Self::UnderMaintenance { node, by: by.name }
                }
                Refused::Taken { node, by } => Self::DrainInProgress { node, by: by.name, kind: by.kind },
                Refused::Record(_) => Self::Rejected { message, kubernetes_reason: None },
            },
            NodeError::Rejected { reason, .. } => Self::Rejected { message, kubernetes_reason: reason },
        }
    }
}

impl From<ConfigMapError> for OperationError {
    fn from(error: ConfigMapError) -> Self {
        let message = error.to_string();
        match error {
            ConfigMapError::Changed(_) => Self::Contended { message },
            ConfigMapError::Forbidden { .. } => Self::Forbidden { message },
            ConfigMapError::Rejected { reason, .. } => Self::Rejected { message, kubernetes_reason: reason },
            ConfigMapError::Unavailable { .. } => Self::ApiServerUnavailable { message },
        }
    }
}

impl From<RequestError> for OperationError {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        match error {
            RequestError::Forbidden { .. } => Self::Forbidden { message },
            RequestError::NotServed { .. } => Self::NotServed { message },
            RequestError::TryAgain { .. } => Self::ApiServerUnavailable { message },
            RequestError::Refused { reason, .. } => Self::Rejected { message, kubernetes_reason: reason },
        }
    }
}

impl From<Unconfirmed> for OperationError {
    fn from(error: Unconfirmed) -> Self {
        Self::ApiServerUnavailable { message: error.to_string() }
    }
}

impl From<InvalidDrainSpec> for OperationError {
    fn from(error: InvalidDrainSpec) -> Self {
        Self::invalid(error.field, error.to_string())
    }
}

impl From<InvalidNodeName> for OperationError {
    fn from(error: InvalidNodeName) -> Self {
        Self::invalid("nodeName", error.to_string())
    }
}

impl From<InvalidTaint> for OperationError {
    fn from(error: InvalidTaint) -> Self {
        Self::invalid(error.part, error.to_string())
    }
}
