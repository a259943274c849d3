//! Kinds that a CustomResourceDefinition brings.
//!
//! | module | holds |
//! |---|---|
//! | [`structural`] | pruning and defaults by a structural schema |
//! | [`validate`] | what a schema refuses |
//! | [`mod@column`] | additional printer columns |
//! | [`definition`] | what a CustomResourceDefinition itself must be |

use std::{borrow::Cow, fmt, sync::Arc};

use kube_cel::CompiledSchema;
use serde_json::{Value, json};

use super::{
    refusal::Refusal,
    resource_type::{Definition, ResourceType, Scope, Subresource},
    schema::{
        Part, decode,
        types::TYPES,
        validate::{field::Errors, metadata},
    },
};

pub mod column;
pub mod definition;
pub mod structural;
pub mod validate;

#[cfg(test)]
mod tests;

/// What a CustomResourceDefinition says of one version of its kind.
pub struct CustomDefinition {
    /// `openAPIV3Schema`.
    pub schema: Value,
    /// What can be selected by `?fieldSelector=`: `spec.color`.
    pub selectable_fields: Vec<String>,
    /// What `kubectl get` shows beside the name.
    pub columns: Vec<column::Column>,
    /// `subresources.scale`: `specReplicasPath` and the others.
    pub scale: Option<Value>,
    /// What whoever uses this version is warned of.
    pub deprecation: Option<String>,
    /// Whether there is `/status`, which an ordinary write does not change.
    pub has_status: bool,
    rules: CompiledSchema,
}

impl fmt::Debug for CustomDefinition {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("CustomDefinition").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The kinds, one for each served version, that a CustomResourceDefinition brings.
pub fn resource_types(definition: &Value) -> Result<Vec<ResourceType>, Refusal> {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    Ok(versions.filter(|version| version["served"] == true).map(|version| resource_type(spec, version)).collect())
}

fn resource_type(spec: &Value, version: &Value) -> ResourceType {
    let text = |value: &Value| Cow::Owned(value.as_str().unwrap_or_default().to_owned());
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let names = &spec["names"];
    let subresources = &version["subresources"];
    let has_status = subresources["status"].is_object();
    let mut below = Vec::new();
    if has_status {
        below.push(Subresource::Status);
    }
    if subresources["scale"].is_object() {
        below.push(Subresource::Scale);
    }
    let singular = match names["singular"].as_str() {
        Some(singular) if !singular.is_empty() => singular.to_owned(),
        _ => names["kind"].as_str().unwrap_or_default().to_lowercase(),
    };
    let schema = version["schema"]["openAPIV3Schema"].clone();
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable = selectable.filter_map(|field| field["jsonPath"].as_str());
    ResourceType {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: singular.into(),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        scope: if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        subresources: below,
        definition: Definition::Custom(Arc::new(CustomDefinition {
            selectable_fields: selectable.map(|path| path.trim_start_matches('.').to_owned()).collect(),
            columns: column::read(version),
            scale: Some(subresources["scale"].clone()).filter(Value::is_object),
            deprecation: deprecation(spec, version),
            has_status,
            rules: kube_cel::compile_schema(&schema),
            schema,
        })),
    }
}

fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let usual = || {
        let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
        format!("{group}/{} {kind} is deprecated", text(&version["name"]))
    };
    (version["deprecated"] == true).then(|| version["deprecationWarning"].as_str().map_or_else(usual, str::to_owned))
}

impl CustomDefinition {
    /// The object without unknown fields, and the paths of those.
    pub(super) fn decode(&self, resource: &ResourceType, object: Value) -> Result<(Value, Vec<String>), Refusal> {
        let Value::Object(mut object) = object else {
            return Err(Refusal::bad_request("the object provided is no object"));
        };
        let mut unknown = Vec::new();
        let meta = TYPES.get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        if let (Some(metadata), Some(meta)) = (object.get("metadata"), meta) {
            let decoded = decode::decode(meta, metadata).map_err(|error| {
                let (kind, version) = (&resource.kind, &resource.version);
                Refusal::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}"))
            })?;
            unknown.extend(decoded.unknown.iter().map(|path| format!("metadata.{path}")));
            object.insert("metadata".to_owned(), decoded.object);
        }
        let mut object = Value::Object(object);
        structural::prune(&self.schema, &mut object, &mut unknown);
        unknown.sort();
        Ok((object, unknown))
    }

    /// The object with defaults, if its schema allows it. Of a change of the status, only that is looked at.
    pub(super) fn admit(
        &self,
        resource: &ResourceType,
        old: Option<&Value>,
        mut object: Value,
        part: Part,
    ) -> Result<Value, Refusal> {
        structural::set_defaults(&self.schema, &mut object);
        let mut errors = Errors::default();
        metadata::validate(resource, old, &object, &mut errors);
        let mut found = validate::Findings::default();
        match (part, old) {
            (Part::Status, Some(old)) => validate::status(&self.schema, old, &object, &mut found),
            _ => validate::schema(&self.schema, old, &object, &mut found),
        }
        let unchecked = found.blocks_rules;
        found.tell(&mut errors);
        if unchecked {
            let rules = "some validation rules were not checked because the object was invalid; correct the existing errors \
                         to complete validation";
            errors.invalid("<nil>", &Value::Null, rules);
        } else {
            validate::rules(&self.rules, &self.schema, old, &object, &mut errors);
        }
        errors.refuse(resource, object["metadata"]["name"].as_str().unwrap_or_default())?;
        Ok(object)
    }

    /// The object as `autoscaling/v1` Scale, if it can be scaled.
    #[must_use]
    pub fn to_scale(&self, object: &Value) -> Option<Value> {
        let paths = self.scale.as_ref()?;
        let at = |path: &Value| {
            let path = path.as_str().unwrap_or_default().trim_start_matches('.');
            path.split('.').fold(object, |value, name| &value[name])
        };
        let replicas = |path| at(path).as_i64().unwrap_or_default();
        let metadata = &object["metadata"];
        let mut scale = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
            },
            "spec": {"replicas": replicas(&paths["specReplicasPath"])},
            "status": {"replicas": replicas(&paths["statusReplicasPath"])},
        });
        if let Some(selector) =
            at(&paths["labelSelectorPath"]).as_str().filter(|_| paths["labelSelectorPath"].is_string())
        {
            scale["status"]["selector"] = selector.into();
        }
        Some(scale)
    }
}
