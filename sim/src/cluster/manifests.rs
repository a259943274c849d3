//! Objects as documents, and how they get into a cluster.

use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::{Value, json};

use crate::actors::object::{items, name_of, namespace_of};

/// Why an object is not in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is neither YAML nor JSON.
    #[error("the manifests cannot be read: {0}")]
    Unreadable(String),
    /// `apiVersion` or `kind` is missing.
    #[error("an object without apiVersion or kind: {0}")]
    Unnamed(String),
    /// The API server has refused it.
    #[error("{what} was not created: {source}")]
    Refused {
        /// `Deployment shop/web`.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
}

/// The objects of YAML or JSON documents. Lists are taken apart, empty documents left out.
pub fn parse(text: &str) -> Result<Vec<Value>, ManifestError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| ManifestError::Unreadable(error.to_string()))?;
    let mut objects = Vec::new();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        if document["kind"] == "List" {
            objects.extend(items(&document["items"]).to_vec());
        } else {
            objects.push(document);
        }
    }
    Ok(objects)
}

/// Creates it, and its namespace if that is missing.
pub(super) async fn create(client: &Client, mut object: Value) -> Result<Value, ManifestError> {
    let what =
        format!("{} {}/{}", object["kind"].as_str().unwrap_or_default(), namespace_of(&object), name_of(&object));
    let refused = |source| ManifestError::Refused { what: what.clone(), source: Box::new(source) };
    let (Some(api_version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
        return Err(ManifestError::Unnamed(object.to_string()));
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) = pinned_kind(client, &gvk).await.map_err(refused)?;
    let api: Api<DynamicObject> = if capabilities.scope == Scope::Namespaced {
        if namespace_of(&object).is_empty() {
            object["metadata"]["namespace"] = "default".into();
        }
        make_namespace(client, namespace_of(&object)).await.map_err(refused)?;
        Api::namespaced_with(client.clone(), namespace_of(&object), &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    let typed = serde_json::from_value(object).map_err(|error| refused(kube::Error::SerdeError(error)))?;
    let created = api.create(&PostParams::default(), &typed).await.map_err(refused)?;
    serde_json::to_value(created).map_err(|error| refused(kube::Error::SerdeError(error)))
}

async fn make_namespace(client: &Client, name: &str) -> kube::Result<()> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
    let request = http::Request::post("/api/v1/namespaces")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.into_bytes())
        .map_err(kube::Error::HttpError)?;
    match client.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        answer => answer.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
---
{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"kind\": \"Pod\"}, {\"kind\": \"Node\"}]}
";
        let kinds: Vec<_> = parse(text).unwrap().iter().map(|object| object["kind"].clone()).collect();
        assert_eq!(kinds, ["Namespace", "Pod", "Node"]);
        assert!(matches!(parse("a: [b"), Err(ManifestError::Unreadable(_))));
    }
}
