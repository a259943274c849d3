//! What a request that is sent once only (under an `Idempotency-Key`) has led to: a `ConfigMap` in Careen's own
//! namespace.
//!
//! It is made before what the request asks for, so that a repeat finds it; what came of the request is added later.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};

use super::{NodeMaintenance, Uid};
use crate::names::RECEIPT_ANNOTATION;

/// A receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Name of the `ConfigMap`; follows from the key.
    pub name: String,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`: the precondition of every write.
    pub resource_version: String,
    /// The request.
    pub request: ReceiptRequest,
    /// What came of it, once that is known.
    pub result: Option<ReceiptResult>,
}

/// The request that a receipt is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptRequest {
    /// A hash of all that was asked for: a repeat asks for the same.
    pub hash: String,
    /// Who asked.
    pub caller: String,
    /// The name of the `NodeMaintenance` that is made for it.
    pub maintenance: String,
    /// When it came, to the second.
    pub created_at: Timestamp,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptResult {
    /// The maintenance, as it was last noted.
    pub maintenance: NodeMaintenance,
    /// When it was found to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Why a `ConfigMap` is no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReceipt {
    /// An entry is missing.
    #[error("its data has no entry {0}")]
    Missing(&'static str),
    /// An entry is not what it should be.
    #[error("the entry {entry} of its data cannot be read: {problem}")]
    Unreadable {
        /// The entry.
        entry: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl Receipt {
    /// The entry of the data that holds the request.
    pub const REQUEST: &'static str = "request";
    /// The entry of the data that holds what came of it.
    pub const RESULT: &'static str = "result";

    /// Whether that maintenance was made for this receipt's request.
    #[must_use]
    pub fn is_for(&self, maintenance: &NodeMaintenance) -> bool {
        let annotations = maintenance.metadata.annotations.as_ref();
        annotations.and_then(|found| found.get(RECEIPT_ANNOTATION)).is_some_and(|name| *name == self.name)
    }
}

impl ReceiptResult {
    /// Of a maintenance, without what is large and says nothing once it has ended.
    #[must_use]
    pub fn of(maintenance: &NodeMaintenance) -> Self {
        let mut maintenance = maintenance.clone();
        maintenance.metadata.managed_fields = None;
        if let Some(status) = &mut maintenance.status {
            status.pending_pods.clear();
            status.blocking.clear();
            status.record = None;
        }
        Self { maintenance, ended_at: None }
    }
}

impl TryFrom<DynamicObject> for Receipt {
    type Error = InvalidReceipt;

    fn try_from(object: DynamicObject) -> Result<Self, InvalidReceipt> {
        let text = |entry| object.data["data"][entry].as_str();
        let unreadable =
            |entry| move |error: serde_json::Error| InvalidReceipt::Unreadable { entry, problem: error.to_string() };
        let request = text(Self::REQUEST).ok_or(InvalidReceipt::Missing(Self::REQUEST))?;
        let request = serde_json::from_str(request).map_err(unreadable(Self::REQUEST))?;
        let result = text(Self::RESULT).map(serde_json::from_str).transpose().map_err(unreadable(Self::RESULT))?;
        Ok(Self {
            name: object.metadata.name.unwrap_or_default(),
            uid: Uid(object.metadata.uid.unwrap_or_default()),
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            request,
            result,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::testing::{at, maintenance};

    fn read(data: &Value) -> Result<Receipt, InvalidReceipt> {
        let metadata = json!({ "name": "receipt-a", "uid": "u", "resourceVersion": "7" });
        serde_json::from_value::<DynamicObject>(json!({ "metadata": metadata, "data": data })).unwrap().try_into()
    }

    #[test]
    fn a_receipt_is_read_or_told_what_is_wrong_with_it() {
        let request =
            ReceiptRequest { hash: "h".into(), caller: "ann".into(), maintenance: "m".into(), created_at: at(1) };
        let result = ReceiptResult::of(&maintenance("m", "node02").decided(true));
        let text = |value: Value| value.to_string();
        let read_back = read(&json!({ "request": text(json!(request)), "result": text(json!(result)) })).unwrap();
        assert_eq!((&read_back.request, read_back.result.as_ref()), (&request, Some(&result)));
        assert_eq!(read(&json!({ "request": text(json!(request)) })).unwrap().result, None);
        assert_eq!(read(&json!({})), Err(InvalidReceipt::Missing("request")));
        for (data, said) in [
            (json!({ "request": "{" }), "request"),
            (json!({ "request": text(json!(request)), "result": "[]" }), "result"),
        ] {
            assert!(read(&data).unwrap_err().to_string().contains(said), "{data}");
        }
    }
}
