//! `/scale` of workloads: `autoscaling/v1`.

use serde_json::{Value, json};

use super::{
    patch,
    refusal::{Cause, Refusal},
    reply::Reply,
    resource_type::{Definition, ResourceType},
    schema::Part,
    store::Store,
    write::{
        Write, body,
        patch::{parsed, patch_type},
        update::{self, Options},
    },
};

/// An object as a Scale, if it has one.
fn scale_of(resource: &ResourceType, object: &Value) -> Result<Value, Refusal> {
    match &resource.definition {
        Definition::Builtin => Ok(scale_of_workload(object)),
        Definition::Custom(definition) => definition.to_scale(object).ok_or_else(Refusal::no_such_resource),
    }
}

fn set_replicas(resource: &ResourceType, object: &mut Value, replicas: i64) {
    let path = match &resource.definition {
        Definition::Builtin => ".spec.replicas",
        Definition::Custom(definition) => {
            let scale = definition.scale.as_ref();
            scale.and_then(|scale| scale["specReplicasPath"].as_str()).unwrap_or(".spec.replicas")
        }
    };
    let mut place = object;
    for name in path.trim_start_matches('.').split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = replicas.into();
}

fn scale_of_workload(workload: &Value) -> Value {
    let fields = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: Value = fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), workload["metadata"].get(field)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let replicas = workload["spec"]["replicas"].as_i64().unwrap_or(1);
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": if replicas == 0 { json!({}) } else { json!({ "replicas": replicas }) },
        "status": {
            "replicas": workload["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector_text(&workload["spec"]["selector"]),
        },
    })
}

/// `app=web,tier in (a,b)`.
fn selector_text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> =
        labels.map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default())).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let label = expression["key"].as_str().unwrap_or_default();
        let values: Vec<_> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match expression["operator"].as_str() {
            Some("NotIn") => format!("{label} notin ({values})"),
            Some("Exists") => label.to_owned(),
            Some("DoesNotExist") => format!("!{label}"),
            _ => format!("{label} in ({values})"),
        });
    }
    terms.join(",")
}

/// Answers what is asked of a `/scale`.
pub(super) fn answer(store: &mut Store, write: &Write) -> Result<Reply, Refusal> {
    let key = write.key();
    let workload = store.get(&write.resource.storage(), &key).cloned();
    let workload = workload.ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    let (options, wanted) = match write.request.verb {
        "get" => return Ok(reply(scale_of(write.resource, &workload)?)),
        "update" => {
            let wanted = body::object_of(write.request, "Scale")?;
            check_kind(&wanted)?;
            (Options::of(write, "UpdateOptions")?, wanted)
        }
        "patch" => {
            let type_ = patch_type(write.request, write.resource)?;
            let wanted = patch::apply(
                type_,
                write.resource,
                &scale_of(write.resource, &workload)?,
                &parsed(write.request, type_)?,
            )?;
            (Options::of(write, "PatchOptions")?, wanted)
        }
        _ => return Err(Refusal::method_not_allowed()),
    };
    update::check_name(&wanted, write)?;
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        let cause = Cause { reason: "FieldValueInvalid", message, field: "spec.replicas".into() };
        return Err(Refusal::invalid_kind("autoscaling", "Scale", &key.1, &[cause]));
    }
    let mut new = Value::clone(&workload);
    for field in ["resourceVersion", "uid"] {
        if let Some(value) = wanted["metadata"][field].as_str().filter(|value| !value.is_empty()) {
            new["metadata"][field] = value.into();
        }
    }
    set_replicas(write.resource, &mut new, replicas);
    let answer = update::replace(store, write.resource, &workload, new, Options { part: Part::Main, ..options })?;
    Ok(match answer.reply {
        Reply::Object { object, .. } => reply(scale_of(write.resource, &object)?),
        other => other,
    })
}

fn check_kind(scale: &Value) -> Result<(), Refusal> {
    let kind = scale["kind"].as_str().unwrap_or("Scale");
    let version = scale["apiVersion"].as_str().unwrap_or("autoscaling/v1");
    if (kind, version) == ("Scale", "autoscaling/v1") {
        return Ok(());
    }
    let only_version = version.split_once('/').map_or(version, |(_, version)| version);
    Err(Refusal::bad_request(format!(
        "{kind} in version {only_version:?} cannot be handled as a Scale: no kind {kind:?} is registered for version \
         {version:?} in scheme \"pkg/runtime/scheme.go:111\""
    )))
}

fn reply(scale: Value) -> Reply {
    Reply::Json { code: 200, body: scale }
}
