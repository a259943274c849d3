//! What `core` refuses, as a problem with the same reason.

use careen_core::{
    model::{NodeName, ObjectKey},
    operation::{OperationError, OperationErrorKind},
};

use super::{problem::Problem, reason::Reason};

impl Problem {
    /// A failure with a reason of the vocabulary.
    pub(crate) fn named(reason: &str, detail: impl std::fmt::Display) -> Self {
        match Reason::named(reason) {
            Some(reason) => Self::new(reason, detail),
            None => Self::internal(format!("{reason} is not in the table of reasons ({detail})")),
        }
    }

    /// There is no such node.
    pub(crate) fn no_node(node: &NodeName) -> Self {
        OperationError::NodeNotFound { node: node.clone() }.into()
    }

    /// The node has no drain.
    pub(crate) fn no_drain(node: &NodeName) -> Self {
        OperationError::DrainNotFound { node: node.clone(), id: None }.into()
    }

    /// There is no maintenance of that name.
    pub(crate) fn no_maintenance(name: &str) -> Self {
        OperationError::MaintenanceNotFound { what: format!("NodeMaintenance {name}") }.into()
    }

    /// There is no such VM.
    pub(crate) fn no_instance(key: ObjectKey) -> Self {
        OperationError::VirtualMachineInstanceNotFound { key }.into()
    }

    /// There is no such migration.
    pub(crate) fn no_migration(key: ObjectKey) -> Self {
        OperationError::MigrationNotFound { key }.into()
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let reason = match error.kind() {
            // The same word means the caller elsewhere.
            OperationErrorKind::NotPossible if error.reason() == Reason::FORBIDDEN.name => Reason::CAREEN_MAY_NOT.name,
            _ => error.reason(),
        };
        let problem = Self::named(reason, &error);
        match error {
            OperationError::AlreadyUnderMaintenance { by: name, .. }
            | OperationError::UnderMaintenance { by: name, .. }
            | OperationError::MaintenanceStopping { name, .. }
            | OperationError::TicketMismatch { name, .. } => problem.see(format!("/api/v1/maintenances/{name}")),
            OperationError::DrainInProgress { node, .. } => problem.see(format!("/api/v1/nodes/{node}/drain")),
            OperationError::AlreadyMigrating { key, migration: Some(name) } => {
                problem.see(format!("/api/v1/migrations/{}/{name}", key.namespace))
            }
            OperationError::InvalidArgument { field, .. } => problem.field(field),
            OperationError::Rejected { kubernetes_reason: Some(reason), .. } => problem.kubernetes_reason(reason),
            OperationError::Contended { .. } | OperationError::ApiServerUnavailable { .. } => {
                problem.retry_after(std::time::Duration::from_secs(1))
            }
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_of_core_is_in_the_table() {
        let source = include_str!("../../../core/src/operation/error.rs");
        let reasons: BTreeSet<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\","))
            .collect();
        assert!(reasons.len() > 25, "{reasons:?}");
        let unknown: Vec<_> = reasons.into_iter().filter(|reason| Reason::named(reason).is_none()).collect();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn what_kubernetes_refused_keeps_its_reason() {
        let rejected = |reason: Option<&str>| {
            let kubernetes_reason = reason.map(str::to_owned);
            let error = OperationError::Rejected { message: "not on Fridays".to_owned(), kubernetes_reason };
            String::from_utf8(Problem::from(error).json(None)).unwrap()
        };
        assert!(rejected(Some("Forbidden")).contains(r#""kubernetesReason":"Forbidden""#));
        assert!(!rejected(None).contains("kubernetesReason"));
    }

    #[test]
    fn what_is_in_the_way_is_linked() {
        let node: NodeName = "node02".parse().unwrap();
        let by = "m".to_owned();
        let problem = Problem::from(OperationError::AlreadyUnderMaintenance { node, by, ticket: None });
        assert_eq!((problem.status().as_u16(), problem.reason().name), (409, "AlreadyUnderMaintenance"));
        assert!(String::from_utf8_lossy(&problem.json(None)).contains(r#""see":"/api/v1/maintenances/m""#));
    }
}
