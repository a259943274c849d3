//! Who asks.

use serde_json::{Value, json};

/// A user, as an authenticator gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// `alice`, `system:serviceaccount:careen:careen`.
    pub name: String,
    /// May be empty.
    pub uid: String,
    /// With `system:authenticated`, unless it is the anonymous one.
    pub groups: Vec<String>,
}

impl User {
    /// A user who has logged in, with these groups beside `system:authenticated`.
    #[must_use]
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
        Self { name: name.into(), uid: String::new(), groups }
    }

    /// May do everything, whatever the roles say: a member of `system:masters`.
    #[must_use]
    pub fn administrator() -> Self {
        Self::new("kubernetes-admin", &["system:masters"])
    }

    /// The account of pods in that namespace.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let all_of_namespace = format!("system:serviceaccounts:{namespace}");
        Self::new(
            format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", all_of_namespace.as_str()],
        )
    }

    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), uid: String::new(), groups: vec!["system:unauthenticated".into()] }
    }

    /// As `UserInfo` in reviews and in the audit log.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut user = json!({ "username": self.name, "groups": self.groups });
        if !self.uid.is_empty() {
            user["uid"] = self.uid.as_str().into();
        }
        user
    }
}
