//! Label selectors, as text (`app=web,tier in (a,b)`) and as objects (`matchLabels`, `matchExpressions`).
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use serde_json::Value;

use crate::api_server::refusal::Refusal;

/// Which labels are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector(());

impl LabelSelector {
    /// From the text of `?labelSelector=`.
    pub fn parse(_text: &str) -> Result<Self, Refusal> {
        Ok(Self(()))
    }

    /// From `{matchLabels, matchExpressions}`. An empty object matches everything.
    pub fn from_json(_selector: &Value) -> Result<Self, Refusal> {
        Ok(Self(()))
    }

    /// Whether these labels (an object of strings, or null) match.
    #[must_use]
    pub fn matches(&self, _labels: &Value) -> bool {
        true
    }
}
