//! What is answered, before it is written down.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    content::{Accepted, Encoding, Shape},
    event,
    refusal::Refusal,
    resource_type::ResourceType,
    table::{self, IncludeObject},
    watch::Watch,
};
use jiff::Timestamp;

/// An answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// An object of a kind.
    Object { code: u16, resource: Arc<ResourceType>, object: Arc<Value> },
    /// Objects of a kind.
    List { resource: Arc<ResourceType>, objects: Vec<Arc<Value>>, metadata: Value },
    /// What happens to them.
    Watch(Box<Watch>),
    /// Anything else.
    Json { code: u16, body: Value },
    /// The same, of a media type that says more.
    Typed { content_type: &'static str, body: Value },
    /// What is no JSON.
    Bytes { content_type: &'static str, body: Vec<u8> },
    /// Plain text.
    Text { code: u16, body: String },
}

/// An answer, and what the client is warned of.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) warnings: Vec<String>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, warnings: Vec::new() }
    }
}

/// An object in the version that was asked for.
pub(super) fn in_version(resource: &ResourceType, object: &Arc<Value>) -> Arc<Value> {
    if resource.group == "events.k8s.io" {
        return Arc::new(event::to_events_group(object));
    }
    let version = resource.api_version();
    if object["apiVersion"] == version.as_str() {
        return object.clone();
    }
    let mut object = Value::clone(object);
    object["apiVersion"] = version.into();
    Arc::new(object)
}

/// Metadata only.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
    })
}

/// An item of a list: those of Kubernetes' own kinds do not repeat what they are.
struct Item<'a> {
    object: &'a Value,
    says_kind: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(fields) = self.object.as_object().filter(|_| !self.says_kind) else {
            return self.object.serialize(serializer);
        };
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in fields.iter().filter(|(key, _)| *key != "kind" && *key != "apiVersion") {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: &'a Value,
    items: Vec<Item<'a>>,
}

/// How much of each object a table's rows carry: `?includeObject=`.
pub(super) fn include_object(text: &str) -> Result<IncludeObject, Refusal> {
    match text {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(Refusal::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

/// How a client wants things written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) accepted: Accepted,
    pub(super) include: IncludeObject,
    /// For people.
    pub(super) is_pretty: bool,
}

impl Style {
    fn write(self, body: &impl Serialize) -> Result<(Vec<u8>, &'static str), Refusal> {
        let failed = |error: &dyn std::fmt::Display| Refusal::internal(&error.to_string());
        match (self.accepted.encoding, self.is_pretty) {
            (Encoding::Json, false) => {
                serde_json::to_vec(body).map(|text| (text, "application/json")).map_err(|error| failed(&error))
            }
            (Encoding::Json, true) => {
                serde_json::to_vec_pretty(body).map(|text| (text, "application/json")).map_err(|error| failed(&error))
            }
            (Encoding::Yaml, _) => serde_saphyr::to_string(body)
                .map(|text| (text.into_bytes(), "application/yaml"))
                .map_err(|error| failed(&error)),
        }
    }

    /// Any JSON.
    pub(super) fn json(self, body: &Value) -> Result<(Vec<u8>, &'static str), Refusal> {
        self.write(body)
    }

    /// An object in the form that was asked for.
    pub(super) fn object(
        self,
        resource: &ResourceType,
        object: &Arc<Value>,
        now: Timestamp,
    ) -> Result<(Vec<u8>, &'static str), Refusal> {
        self.write(&*self.shaped(resource, object, now))
    }

    /// An object in the form that was asked for, as JSON.
    pub(super) fn shaped(self, resource: &ResourceType, object: &Arc<Value>, now: Timestamp) -> Arc<Value> {
        let object = in_version(resource, object);
        match self.accepted.shape {
            Shape::Whole => object,
            Shape::Metadata => Arc::new(metadata_only(&object)),
            Shape::Table => Arc::new(table::table(resource, [object.as_ref()], self.include, now)),
        }
    }

    /// A list in the form that was asked for.
    pub(super) fn list(
        self,
        resource: &ResourceType,
        objects: &[Arc<Value>],
        metadata: &Value,
        now: Timestamp,
    ) -> Result<(Vec<u8>, &'static str), Refusal> {
        let objects: Vec<_> = objects.iter().map(|object| in_version(resource, object)).collect();
        match self.accepted.shape {
            Shape::Whole => self.write(&List {
                kind: format!("{}List", resource.kind),
                api_version: resource.api_version(),
                metadata,
                items: objects.iter().map(|object| Item { object, says_kind: resource.is_custom() }).collect(),
            }),
            Shape::Metadata => {
                let items: Vec<_> = objects.iter().map(|object| metadata_only(object)).collect();
                self.write(&json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                }))
            }
            Shape::Table => {
                let mut table = table::table(resource, objects.iter().map(AsRef::as_ref), self.include, now);
                table["metadata"] = metadata.clone();
                if let Some(metadata) = table["metadata"].as_object_mut() {
                    metadata.retain(|field, value| field != "continue" || *value != "");
                }
                self.write(&table)
            }
        }
    }
}
