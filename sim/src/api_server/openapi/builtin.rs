//! The schemas of the built-in kinds, from `k8s-openapi`; how lists are patched is added from the Go types.

use k8s_openapi::{
    api::{
        admissionregistration::v1 as admissionregistration, apps::v1 as apps, authentication::v1 as authentication,
        authorization::v1 as authorization, autoscaling::v1 as autoscaling, batch::v1 as batch,
        coordination::v1 as coordination, core::v1 as core, events::v1 as events, policy::v1 as policy,
        rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
    apimachinery::pkg::apis::meta::v1 as meta,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::super::{
    resource_type::{Definition, ResourceType},
    schema::types::{Field, TYPES},
};

pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to \
     the latest internal value, and may reject unrecognized values. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
pub(super) const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint \
     the client submits requests to. Cannot be updated. In CamelCase. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// Adds the schema of a kind and of all that it refers to.
fn add(generator: &mut SchemaGenerator, group: &str, kind: &str) {
    macro_rules! kinds {
        ($($group:literal, $($module:ident :: $kind:ident),+;)+) => {
            match (group, kind) {
                $($(($group, stringify!($kind)) => {
                    generator.subschema_for::<$module::$kind>();
                })+)+
                _ => {}
            }
        };
    }
    kinds! {
        "", core::Namespace, core::Node, core::Pod, core::Event, core::ConfigMap, core::Secret, core::Service,
            core::ServiceAccount, core::PersistentVolume, core::PersistentVolumeClaim, core::ReplicationController,
            core::Endpoints, core::LimitRange, core::ResourceQuota, core::Binding;
        "apps", apps::Deployment, apps::ReplicaSet, apps::DaemonSet, apps::StatefulSet, apps::ControllerRevision;
        "batch", batch::Job, batch::CronJob;
        "policy", policy::PodDisruptionBudget, policy::Eviction;
        "coordination.k8s.io", coordination::Lease;
        "events.k8s.io", events::Event;
        "apiextensions.k8s.io", apiextensions::CustomResourceDefinition;
        "rbac.authorization.k8s.io", rbac::Role, rbac::ClusterRole, rbac::RoleBinding, rbac::ClusterRoleBinding;
        "scheduling.k8s.io", scheduling::PriorityClass;
        "storage.k8s.io", storage::StorageClass;
        "admissionregistration.k8s.io", admissionregistration::ValidatingWebhookConfiguration,
            admissionregistration::MutatingWebhookConfiguration;
        "autoscaling", autoscaling::Scale;
        "authentication.k8s.io", authentication::TokenReview, authentication::SelfSubjectReview,
            authentication::TokenRequest;
        "authorization.k8s.io", authorization::SubjectAccessReview, authorization::SelfSubjectAccessReview,
            authorization::LocalSubjectAccessReview, authorization::SelfSubjectRulesReview;
        "meta.k8s.io", meta::DeleteOptions;
    }
}

/// The schemas of those of these kinds that are built in, and of all that they refer to.
pub(super) fn schemas(resources: &[&ResourceType], references: &str) -> Map<String, Value> {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = references.trim_start_matches('#').trim_end_matches('/').to_owned().into();
    let mut generator = settings.into_generator();
    generator.subschema_for::<meta::ObjectMeta>();
    for resource in resources.iter().filter(|resource| matches!(resource.definition, Definition::Builtin)) {
        add(&mut generator, &resource.group, &resource.kind);
    }
    let mut schemas = generator.take_definitions(false);
    for (name, schema) in &mut schemas {
        refer_plainly(schema);
        for field in TYPES.get(name).map(|of| of.fields.iter()).into_iter().flatten() {
            // A field that is newer than k8s-openapi has no schema.
            if let Some(property) = schema["properties"].get_mut(field.name) {
                say_how_to_patch(field, property);
            }
        }
    }
    schemas
}

/// `OpenAPI` allows nothing beside `$ref`.
fn refer_plainly(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            // A schema of schemas has a property of this name.
            if entries.len() > 1
                && entries.get("$ref").is_some_and(Value::is_string)
                && let Some(reference) = entries.remove("$ref")
            {
                entries.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
            entries.values_mut().for_each(refer_plainly);
        }
        Value::Array(items) => items.iter_mut().for_each(refer_plainly),
        _ => {}
    }
}

fn say_how_to_patch(field: &Field, schema: &mut Value) {
    let strategies = [(field.merge, "merge"), (field.retain_keys, "retainKeys"), (field.replace, "replace")];
    let strategies: Vec<_> = strategies.into_iter().filter(|(applies, _)| *applies).map(|(_, name)| name).collect();
    if !strategies.is_empty() {
        schema["x-kubernetes-patch-strategy"] = strategies.join(",").into();
    }
    if let Some(key) = field.merge_key {
        schema["x-kubernetes-patch-merge-key"] = key.into();
    }
}
