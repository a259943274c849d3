//! What came of one request to the API server, told apart by what can be done about it.

use std::time::Duration;

use kube::core::Status;

/// How long an answer is waited for, except for Leases. Longer than the API server waits for a webhook (10 s), and well
/// below the 15 s between the moment when a leader that cannot renew its Lease stops and the moment when another may
/// begin: no request of ours is still on its way then.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);

pub(crate) enum Answer<T> {
    Done(T),
    /// The API server understood and said no.
    Refused(Box<Status>),
    /// It could not be reached, or could not serve (408, 429, 5xx), or does not know Careen's token, which is renewed.
    Unavailable(Box<kube::Error>),
    /// No answer in time: a write may have been made, or not.
    TimedOut,
}

impl<T> Answer<T> {
    pub(crate) async fn within(timeout: Duration, request: impl Future<Output = kube::Result<T>>) -> Self {
        match tokio::time::timeout(timeout, request).await {
            Ok(Ok(done)) => Self::Done(done),
            Ok(Err(kube::Error::Api(status))) if status.code < 500 && ![401, 408, 429].contains(&status.code) => {
                Self::Refused(status)
            }
            Ok(Err(error)) => Self::Unavailable(Box::new(error)),
            Err(_) => Self::TimedOut,
        }
    }
}

/// Whether a right is missing. Admission says 403 too, and no right helps there: a webhook, a policy, a quota, a
/// namespace that is being deleted. Who has no right is told so by name: `.. is forbidden: User "x" cannot ..`.
pub(crate) fn lacks_right(status: &Status) -> bool {
    let admission = status.message.split_once(" is forbidden: ").is_some_and(|(_, why)| !why.starts_with("User "));
    status.code == 403 && !admission && !is_webhooks(&status.message) && !has_cause(status, "NamespaceTerminating")
}

/// Kubernetes' own word for why it refuses, if it says one.
pub(crate) fn reason_of(status: &Status) -> Option<String> {
    Some(status.reason.clone()).filter(|reason| !reason.is_empty())
}

/// Whether it is an admission webhook that says no.
pub(crate) fn is_webhooks(message: &str) -> bool {
    message.contains("admission webhook \"") && message.contains("denied the request")
}

/// Whether a refusal has a cause of that name.
pub(crate) fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_right_and_what_admission_refuses_are_told_apart() {
        let status = |code: u16, message: &str| -> Status {
            let status = json!({ "status": "Failure", "code": code, "reason": "Forbidden", "message": message });
            serde_json::from_value(status).unwrap()
        };
        for message in [
            r#"nodes "node02" is forbidden: User "careen" cannot patch resource "nodes" in API group "" at the cluster scope"#,
            "Forbidden",
            "",
        ] {
            assert!(lacks_right(&status(403, message)), "{message}");
        }
        for message in [
            r#"admission webhook "validation.gatekeeper.sh" denied the request: not on Fridays"#,
            r#"configmaps "a" is forbidden: exceeded quota: few, requested: count/configmaps=1, used: 5, limited: 5"#,
            r#"nodes "node02" is forbidden: ValidatingAdmissionPolicy 'fridays' with binding 'all' denied request: no"#,
        ] {
            assert!(!lacks_right(&status(403, message)), "{message}");
        }
        assert!(!lacks_right(&status(422, "Forbidden")));
        let mut ending = status(403, "");
        let details = json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "" }] });
        ending.details = serde_json::from_value(details).unwrap();
        assert!(!lacks_right(&ending));
    }
}
