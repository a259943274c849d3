//! What a taint does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The effect of a taint, as
/// [Kubernetes defines it](https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TaintEffect {
    /// No new pods that do not tolerate it.
    NoSchedule,
    /// New pods that do not tolerate it only if there is no other place.
    PreferNoSchedule,
    /// Pods that do not tolerate it must leave.
    NoExecute,
}

impl TaintEffect {
    /// As it stands in a Node's taints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
