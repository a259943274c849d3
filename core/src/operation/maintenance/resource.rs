//! The object of a maintenance: how it is now, and what the API server's refusals mean.

use kube::Api;

use crate::{
    answer::{Answer, REQUEST_TIMEOUT, lacks_right, reason_of},
    cluster::Snapshot,
    model::NodeMaintenance,
    operation::{OperationError, Operations},
};

impl Operations {
    /// Reads one as it is now, in place of what the caches show.
    pub(in crate::operation) async fn refresh(
        &self,
        snapshot: &mut Snapshot,
        name: &str,
    ) -> Result<(), OperationError> {
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

pub(super) fn contended(what: &str) -> OperationError {
    OperationError::Contended { message: format!("{what} changed each time it was looked at: try again") }
}

pub(super) fn failure<T>(verb: &str, name: &str, answer: Answer<T>) -> OperationError {
    match answer {
        Answer::Refused(status) if lacks_right(&status) => OperationError::Forbidden {
            message: format!(
                "Careen may not {verb} NodeMaintenance {name}: grant it {verb} on nodemaintenances ({})",
                status.message
            ),
        },
        // Of a kind that nobody serves it often is bare text, which `is_not_found` does not see.
        Answer::Refused(status) if status.code == 404 => OperationError::NotServed {
            message: "the API server does not serve NodeMaintenances: install the definition (careen crd)".to_owned(),
        },
        Answer::Refused(status) => OperationError::Rejected {
            kubernetes_reason: reason_of(&status),
            message: format!("the API server refuses to {verb} NodeMaintenance {name}: {}", status.message),
        },
        Answer::Unavailable(error) => OperationError::ApiServerUnavailable { message: error.to_string() },
        Answer::TimedOut | Answer::Done(_) => OperationError::ApiServerUnavailable {
            message: format!(
                "no answer in {} s when asked to {verb} NodeMaintenance {name}",
                REQUEST_TIMEOUT.as_secs()
            ),
        },
    }
}
