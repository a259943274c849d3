//! What the answers to requests about VMs mean. The texts and codes are those that the real virt-api gave.

use kube::core::Status;

use crate::answer::{has_cause, lacks_right, reason_of};

/// A request that needs nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, or had been before.
    Done,
    /// The object (or the VM that it is about) is gone, or another has its name now.
    Gone,
    /// The VM is being migrated already, by another migration.
    AlreadyMigrating,
}

/// A request that was not carried out, or not surely. Repeating any of them is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Careen's account may not do that.
    #[error("Careen may not {action}: grant it {rights} ({message})")]
    Forbidden {
        /// What was wanted.
        action: String,
        /// What has to be granted.
        rights: &'static str,
        /// What the API server said.
        message: String,
    },
    /// The cluster does not know that kind or subresource.
    #[error("the cluster cannot {action}: {needs} ({message})")]
    NotServed {
        /// What was wanted.
        action: String,
        /// What the cluster would need for it.
        needs: &'static str,
        /// What the API server said.
        message: String,
    },
    /// Nobody answered, or somebody asked for patience: it may have been carried out.
    #[error("could not {action} yet: {message}")]
    TryAgain {
        /// What was wanted.
        action: String,
        /// What happened.
        message: String,
    },
    /// It is refused as long as nothing changes.
    #[error("could not {action}: {message}")]
    Refused {
        /// What was wanted.
        action: String,
        /// What the API server or KubeVirt said.
        message: String,
        /// Kubernetes' own word for why, if it has said one: `Forbidden`, `Invalid`.
        reason: Option<String>,
    },
}

impl RequestError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_worth_repeating(&self) -> bool {
        matches!(self, Self::TryAgain { .. })
    }
}

/// A request, as far as its answer depends on it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What is wanted, to be read after "could not": `delete VirtualMachineInstance shop/db`.
    pub action: String,
    /// The right that it takes.
    pub rights: &'static str,
    /// What a cluster lacks that does not know its path.
    pub needs: &'static str,
}

impl Request {
    pub fn understand(self, answer: Result<(), kube::Error>) -> Result<Outcome, RequestError> {
        match answer {
            Ok(()) => Ok(Outcome::Done),
            Err(kube::Error::Api(status)) => self.understand_status(&status),
            Err(error) => Err(self.try_again(error.to_string())),
        }
    }

    pub fn try_again(self, message: String) -> RequestError {
        RequestError::TryAgain { action: self.action, message }
    }

    fn understand_status(self, status: &Status) -> Result<Outcome, RequestError> {
        let Self { action, rights, needs } = self;
        let message = status.message.clone();
        match status.code {
            // A kind or subresource that nobody serves names no object, and often comes as bare text.
            404 if names_an_object(status) => Ok(Outcome::Gone),
            404 | 405 => Err(RequestError::NotServed { action, needs, message }),
            403 if has_cause(status, "NamespaceTerminating") => Ok(Outcome::Gone),
            403 if lacks_right(status) => Err(RequestError::Forbidden { action, rights, message }),
            // virt-api, asking for the second of its two rights; an expired token comes with a text.
            401 if message.is_empty() => {
                Err(RequestError::Forbidden { action, rights, message: "virt-api answered 401".to_owned() })
            }
            400 if message.contains("in-flight migration detected") => Ok(Outcome::AlreadyMigrating),
            400 if message.contains("the VMI ") && message.ends_with("does not exist") => Ok(Outcome::Gone),
            409 if status.reason == "AlreadyExists" => Ok(Outcome::Done),
            409 if message.contains("UID in precondition") => Ok(Outcome::Gone),
            401 | 408 | 409 | 429 | 500.. => Err(RequestError::TryAgain { action, message }),
            _ => Err(RequestError::Refused { action, message, reason: reason_of(status) }),
        }
    }
}

fn names_an_object(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn understood(status: Value) -> Result<Outcome, RequestError> {
        let request = Request { action: "do it".into(), rights: "the right", needs: "KubeVirt 1.8" };
        let status: Status = serde_json::from_value(status).unwrap();
        request.understand(Err(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn two_kinds_of_404_are_told_apart() {
        let vmi_gone = json!({"code": 404, "reason": "NotFound", "message": "virtualmachineinstance.kubevirt.io \"nope\" not found",
            "details": {"name": "nope", "group": "kubevirt.io", "kind": "virtualmachineinstance"}});
        assert_eq!(understood(vmi_gone), Ok(Outcome::Gone));
        for not_served in [
            json!({"code": 404, "message": "404: Page Not Found"}),
            json!({"code": 404, "reason": "NotFound", "message": "the server could not find the requested resource", "details": {}}),
        ] {
            let error = understood(not_served).unwrap_err();
            assert!(matches!(error, RequestError::NotServed { .. }), "{error}");
            assert!(error.to_string().contains("KubeVirt 1.8"), "{error}");
        }
    }

    #[test]
    fn a_missing_right_is_named_even_when_virt_api_says_401() {
        let forbidden = json!({"code": 403, "reason": "Forbidden", "message": "User \"alice\" cannot update resource"});
        for status in [forbidden, json!({"code": 401, "message": ""})] {
            let error = understood(status).unwrap_err();
            assert!(matches!(error, RequestError::Forbidden { rights: "the right", .. }), "{error}");
        }
        let expired = json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"});
        assert!(understood(expired).unwrap_err().is_worth_repeating());
    }

    #[test]
    fn what_admission_refuses_is_no_missing_right() {
        let quota = r#"virtualmachineinstancemigrations "m" is forbidden: exceeded quota: few, requested: 1, used: 5"#;
        for message in [quota, r#"admission webhook "a.example.com" denied the request: not on Fridays"#] {
            let error = understood(json!({"code": 403, "reason": "Forbidden", "message": message})).unwrap_err();
            assert!(matches!(error, RequestError::Refused { .. }), "{error}");
        }
    }

    #[test]
    fn another_object_of_the_name_is_as_good_as_gone() {
        let replaced = json!({"code": 409, "reason": "Conflict", "message":
            "Operation cannot be fulfilled on virtualmachineinstances.kubevirt.io \"db\": Precondition failed: UID in precondition: a, UID in object meta: b"});
        assert_eq!(understood(replaced), Ok(Outcome::Gone));
        let contended = json!({"code": 409, "reason": "Conflict", "message": "the object has been modified"});
        assert!(understood(contended).unwrap_err().is_worth_repeating());
        assert_eq!(understood(json!({"code": 409, "reason": "AlreadyExists"})), Ok(Outcome::Done));
    }

    #[test]
    fn kubevirts_refusals_of_a_migration_are_read() {
        let denied = "admission webhook \"migration-create-validator.kubevirt.io\" denied the request: ";
        let answer = |text: &str| understood(json!({"code": 400, "message": format!("{denied}{text}")}));
        let in_flight =
            "in-flight migration detected. Active migration job (x) is currently already in progress for VMI db.";
        assert_eq!(answer(in_flight), Ok(Outcome::AlreadyMigrating));
        assert_eq!(answer("the VMI \"shop/db\" does not exist"), Ok(Outcome::Gone));
        let error = answer("Cannot migrate VMI, Reason: DisksNotLiveMigratable, Message: not shared").unwrap_err();
        assert!(matches!(error, RequestError::Refused { .. }) && error.to_string().contains("not shared"));
    }

    #[test]
    fn a_server_that_fails_is_asked_again() {
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(understood(json!({"code": code, "message": "x"})).unwrap_err().is_worth_repeating(), "{code}");
        }
        assert!(!understood(json!({"code": 422, "message": "x"})).unwrap_err().is_worth_repeating());
    }
}
