//! The writes of the `ConfigMap` that a receipt is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, api::DynamicObject};
use serde_json::json;

use crate::{
    config_map::{ConfigMapError, ConfigMaps, Seen},
    model::{InvalidReceipt, Receipt, ReceiptRequest, ReceiptResult},
    names::RECEIPT_LABEL,
};

/// The receipts in Careen's namespace.
pub(crate) struct Receipts {
    objects: ConfigMaps,
}

impl Receipts {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self { objects: ConfigMaps::new(client, namespace) }
    }

    /// Reads the one of that name as it is now.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Receipt>, ConfigMapError> {
        match self.objects.get(name).await? {
            Some(object) => self.read(name, &object).map(Some),
            None => Ok(None),
        }
    }

    /// Makes one, with what came of the request if that is known. `Changed` if there is one of that name already.
    pub(crate) async fn create(
        &self,
        name: &str,
        request: &ReceiptRequest,
        result: Option<&ReceiptResult>,
    ) -> Result<Receipt, ConfigMapError> {
        let mut data = BTreeMap::from([(Receipt::REQUEST.to_owned(), json!(request).to_string())]);
        data.extend(result.map(|result| (Receipt::RESULT.to_owned(), json!(result).to_string())));
        self.read(name, &self.objects.create(name, RECEIPT_LABEL, data).await?)
    }

    /// Notes what came of the request.
    pub(crate) async fn note(&self, receipt: &Receipt, result: &ReceiptResult) -> Result<Receipt, ConfigMapError> {
        let data = json!({ Receipt::RESULT: json!(result).to_string() });
        self.read(&receipt.name, &self.objects.patch(seen(receipt), data).await?)
    }

    /// Deletes it if it is still exactly this one.
    pub(crate) async fn delete(&self, receipt: &Receipt) -> Result<(), ConfigMapError> {
        self.objects.delete(seen(receipt)).await
    }

    fn read(&self, name: &str, object: &ConfigMap) -> Result<Receipt, ConfigMapError> {
        let object =
            DynamicObject { types: None, metadata: object.metadata.clone(), data: json!({ "data": object.data }) };
        Receipt::try_from(object).map_err(|error: InvalidReceipt| self.objects.rejected(name, error))
    }
}

fn seen(receipt: &Receipt) -> Seen<'_> {
    Seen { name: &receipt.name, uid: &receipt.uid, resource_version: &receipt.resource_version }
}
