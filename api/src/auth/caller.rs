//! Who calls.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;
use serde::Serialize;

/// Who calls, as Kubernetes knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Caller {
    /// The name: `system:serviceaccount:tickets:changes`.
    pub(crate) user: String,
    /// What tells them from an earlier user of that name, if Kubernetes says.
    pub(crate) uid: Option<String>,
    /// The groups.
    pub(crate) groups: Vec<String>,
    /// What else the authenticator knows; some authorizers look at it.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl Caller {
    /// A caller of whom only the name is known.
    #[cfg(any(test, feature = "demo"))]
    pub(crate) fn named(user: impl Into<String>) -> Self {
        Self { user: user.into(), uid: None, groups: Vec::new(), extra: BTreeMap::new() }
    }
}

impl From<UserInfo> for Caller {
    fn from(info: UserInfo) -> Self {
        Self {
            user: info.username.unwrap_or_default(),
            uid: info.uid,
            groups: info.groups.unwrap_or_default(),
            extra: info.extra.unwrap_or_default(),
        }
    }
}
