//! Decoding, unknown fields, defaults and validation of objects, for kinds of Kubernetes and for custom ones.
//!
//! | module | holds |
//! |---|---|
//! | [`types`] | the Go types of the built-in kinds |
//! | [`mod@decode`] | reading an object as Go's decoder does |
//! | [`quantity`] | `100m`, `1Gi` |
//! | [`defaults`] | what is set when nothing was said |
//! | [`validate`] | what a kind refuses |

use serde_json::Value;

use super::{
    refusal::{Cause, Refusal},
    resource_type::{Definition, ResourceType},
};

pub mod decode;
pub mod defaults;
pub mod quantity;
pub mod types;
pub mod validate;

#[cfg(test)]
mod golden;

/// `?fieldValidation=`: what becomes of unknown and repeated fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped with a `Warning` header.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// An object that may be stored, and what the client is warned of.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Without unknown fields, with defaults.
    pub object: Value,
    /// One sentence for each `Warning` header.
    pub warnings: Vec<String>,
}

/// What of an object a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status, if that has its own path.
    Main,
    /// `/status`
    Status,
}

/// A new object: metadata is complete (name, namespace), everything else is as the client sent it.
pub fn admit_new(resource: &ResourceType, object: Value, validation: FieldValidation) -> Result<Admitted, Refusal> {
    admit(resource, None, object, Part::Main, validation)
}

/// An object that takes the place of another: what may not change has not.
pub fn admit_change(
    resource: &ResourceType,
    old: &Value,
    new: Value,
    part: Part,
    validation: FieldValidation,
) -> Result<Admitted, Refusal> {
    admit(resource, Some(old), new, part, validation)
}

/// Whether an update without a `resourceVersion` is taken for this kind.
#[must_use]
pub fn allows_unconditional_update(resource: &ResourceType) -> bool {
    let conditional = ["PodDisruptionBudget", "Lease", "CustomResourceDefinition"];
    let webhooks = resource.group == "admissionregistration.k8s.io";
    matches!(resource.definition, Definition::Builtin) && !conditional.contains(&resource.kind.as_ref()) && !webhooks
}

/// How an update without a `resourceVersion` is refused where it is needed.
#[must_use]
pub fn resource_version_missing(resource: &ResourceType, name: &str) -> Refusal {
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: "Invalid value: 0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    // The store speaks, which knows the resource and not the kind.
    let resource = ResourceType { kind: resource.plural.clone(), ..resource.clone() };
    Refusal::invalid(&resource, name, &[cause])
}

fn admit(
    resource: &ResourceType,
    old: Option<&Value>,
    object: Value,
    part: Part,
    validation: FieldValidation,
) -> Result<Admitted, Refusal> {
    let Admitted { mut object, warnings } = decode(resource, object, validation)?;
    if let Definition::Custom(definition) = &resource.definition {
        object = definition.admit(resource, old, object, part)?;
        return Ok(Admitted { object, warnings });
    }
    defaults::set(resource, &mut object, old.is_none());
    // Tidies what the defaults left empty.
    object = decode(resource, object, FieldValidation::Ignore)?.object;
    let mut errors = validate::field::Errors::default();
    validate::object(resource, old, &object, &mut errors);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    errors.refuse(resource, name)?;
    Ok(Admitted { object, warnings })
}

/// The object as its kind reads it, without unknown fields and without defaults. What the client is to be warned of, or why
/// it is refused, is about its form only.
pub fn decode(resource: &ResourceType, object: Value, validation: FieldValidation) -> Result<Admitted, Refusal> {
    let (object, unknown) = match &resource.definition {
        Definition::Custom(definition) => definition.decode(resource, object)?,
        Definition::Builtin => match types::TYPES.kind(&resource.group, &resource.version, &resource.kind) {
            Some(of) => {
                let decoded = decode::decode(of, &object).map_err(|error| {
                    let (version, kind) = (&resource.version, &resource.kind);
                    let message = format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}");
                    Refusal::bad_request(message)
                })?;
                (decoded.object, decoded.unknown)
            }
            None => (object, Vec::new()),
        },
    };
    let sentences: Vec<_> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match validation {
        FieldValidation::Strict if !sentences.is_empty() => {
            let (version, kind) = (&resource.version, &resource.kind);
            let error = format!("strict decoding error: {}", sentences.join(", "));
            Err(Refusal::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}")))
        }
        FieldValidation::Warn => Ok(Admitted { object, warnings: sentences }),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Admitted { object, warnings: Vec::new() }),
    }
}

/// Kinds for tests.
#[cfg(test)]
pub mod fixtures {
    use super::*;
    use crate::api_server::resource_type::Scope;

    /// A built-in kind.
    #[must_use]
    pub fn resource(group: &str, kind: &str) -> ResourceType {
        let cluster =
            ["Namespace", "Node", "PersistentVolume", "CustomResourceDefinition", "PriorityClass", "StorageClass"];
        let cluster = cluster.contains(&kind) || kind.starts_with("Cluster") || kind.contains("Webhook");
        ResourceType {
            group: group.to_owned().into(),
            version: "v1".into(),
            kind: kind.to_owned().into(),
            plural: format!("{}s", kind.to_lowercase()).into(),
            singular: kind.to_lowercase().into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope: if cluster { Scope::Cluster } else { Scope::Namespaced },
            subresources: Vec::new(),
            definition: Definition::Builtin,
        }
    }
}
