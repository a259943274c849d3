//! What a CustomResourceDefinition itself must be.
//! `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`

use serde_json::{Value, json};

use super::super::schema::validate::{field::Errors, names};

/// Says what is wrong with one; with what it takes the place of, if it does.
pub fn validate(old: Option<&Value>, definition: &Value, errors: &mut Errors) {
    let spec = &definition["spec"];
    name_and_group(definition, errors);
    match &spec["scope"] {
        Value::String(scope) if scope.is_empty() => errors.required("spec.scope", ""),
        Value::Null => errors.required("spec.scope", ""),
        scope => errors.one_of("spec.scope", scope, &["Cluster", "Namespaced"]),
    }
    versions(spec, errors);
    own_names(spec, errors);
    if definition["status"]["storedVersions"].as_array().is_none_or(Vec::is_empty) {
        let detail = "must have at least one stored version";
        errors.invalid("status.storedVersions", &definition["status"]["storedVersions"], detail);
    }
    if let Some(old) = old {
        changes(old, spec, errors);
    }
}

fn name_and_group(definition: &Value, errors: &mut Errors) {
    let spec = &definition["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let expected = format!("{}.{group}", spec["names"]["plural"].as_str().unwrap_or_default());
    if name != expected {
        errors.invalid("metadata.name", &name.into(), "must be spec.names.plural+\".\"+spec.group");
    }
    if group.is_empty() {
        errors.required("spec.group", "");
    } else if !names::dns_subdomain(group).is_empty() {
        errors.malformed("spec.group", group, names::dns_subdomain(group));
    } else if !group.contains('.') {
        errors.invalid("spec.group", &group.into(), "should be a domain with at least one dot");
    }
}

fn versions(spec: &Value, errors: &mut Errors) {
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        errors.invalid("spec.versions", &spec["versions"], "must have exactly one version marked as storage version");
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = version["name"].as_str().unwrap_or_default();
        errors.malformed(format!("{path}.name"), name, names::dns_1035_label(name));
        if seen.contains(&name) {
            errors.invalid("spec.versions", &spec["versions"], "must contain unique version names");
        }
        seen.push(name);
        let schema = &version["schema"]["openAPIV3Schema"];
        // Of a schema that all versions share, Kubernetes speaks by its old name.
        let schema_path = if versions.len() == 1 { "spec.validation" } else { &format!("{path}.schema") };
        if schema.is_object() {
            structural(schema, &format!("{schema_path}.openAPIV3Schema"), true, errors);
        } else {
            errors.required(format!("{path}.schema.openAPIV3Schema"), "");
        }
    }
}

fn own_names(spec: &Value, errors: &mut Errors) {
    for (field, path) in [
        ("plural", "spec.names.plural"),
        ("singular", "spec.names.singular"),
        ("kind", "spec.names.kind"),
        ("listKind", "spec.names.listKind"),
    ] {
        match spec["names"][field].as_str().unwrap_or_default() {
            "" => errors.required(path, ""),
            given => errors.malformed(path, &given.to_lowercase(), names::dns_1035_label(&given.to_lowercase())),
        }
    }
}

/// What has to stay as it was.
fn changes(old: &Value, spec: &Value, errors: &mut Errors) {
    let established = old["status"]["conditions"].as_array().into_iter().flatten();
    let established =
        established.clone().any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    errors.immutable("spec.group", &old["spec"]["group"], &spec["group"]);
    errors.immutable("spec.names.plural", &old["spec"]["names"]["plural"], &spec["names"]["plural"]);
    if established {
        errors.immutable("spec.scope", &old["spec"]["scope"], &spec["scope"]);
        errors.immutable("spec.names.kind", &old["spec"]["names"]["kind"], &spec["names"]["kind"]);
    }
}

/// Every node of the schema has a type, or says why not.
fn structural(schema: &Value, path: &str, root: bool, errors: &mut Errors) {
    let of = schema["type"].as_str().unwrap_or_default();
    let excused =
        schema["x-kubernetes-int-or-string"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true;
    if of.is_empty() && (root || !excused) {
        let detail =
            if root { "must not be empty at the root" } else { "must not be empty for specified object fields" };
        errors.required(format!("{path}.type"), detail);
    } else if root && of != "object" {
        errors.invalid(format!("{path}.type"), &of.into(), "must be object at the root");
    } else if !matches!(of, "" | "object" | "array" | "string" | "integer" | "number" | "boolean") {
        errors.not_supported(
            format!("{path}.type"),
            &of.into(),
            &["array", "boolean", "integer", "number", "object", "string"],
        );
    }
    if of == "array" && !schema["items"].is_object() {
        errors.required(format!("{path}.items"), "must be specified");
    }
    rules(schema, path, errors);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        structural(property, &format!("{path}.properties[{name}]"), false, errors);
    }
    if schema["items"].is_object() {
        structural(&schema["items"], &format!("{path}.items"), false, errors);
    }
    if schema["additionalProperties"].is_object() {
        structural(&schema["additionalProperties"], &format!("{path}.additionalProperties"), false, errors);
    }
}

/// The rules of one node of the schema can be compiled.
fn rules(schema: &Value, path: &str, errors: &mut Errors) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let compiled = kube_cel::compile_schema(&json!({"x-kubernetes-validations": [rule]}));
        for error in compiled.compilation_errors() {
            let path = format!("{path}.x-kubernetes-validations[{index}].rule");
            errors.invalid(path, &rule["rule"], &format!("compilation failed: {error}"));
        }
    }
}
