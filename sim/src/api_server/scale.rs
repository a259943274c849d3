//! `/scale` of workloads: `autoscaling/v1`.

use serde_json::{Value, json};

use super::{
    patch,
    refusal::{Cause, Refusal},
    reply::Reply,
    store::Store,
    write::{
        Write, body,
        patch::{parsed, patch_type},
        update::{self, Options, Part},
    },
};

/// A workload as a Scale.
fn scale_of(workload: &Value) -> Value {
    let fields = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: Value = fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), workload["metadata"].get(field)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": { "replicas": workload["spec"]["replicas"].as_i64().unwrap_or(1) },
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
    if write.resource.is_custom() {
        return Err(Refusal::not_implemented("/scale of custom kinds"));
    }
    let key = write.key();
    let workload = store.get(&write.resource.storage(), &key).cloned();
    let workload = workload.ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    let (options, wanted) = match write.request.verb {
        "get" => return Ok(reply(scale_of(&workload))),
        "update" => {
            let wanted = body::any(write.request)?.unwrap_or_default();
            (Options::of(write, "UpdateOptions")?, wanted)
        }
        "patch" => {
            let type_ = patch_type(write.request, write.resource)?;
            let wanted = patch::apply(type_, write.resource, &scale_of(&workload), &parsed(write.request, type_)?)?;
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
    new["spec"]["replicas"] = replicas.into();
    let answer = update::replace(store, write.resource, &workload, new, Options { part: Part::Main, ..options })?;
    Ok(match answer.reply {
        Reply::Object { object, .. } => reply(scale_of(&object)),
        other => other,
    })
}

fn reply(scale: Value) -> Reply {
    Reply::Json { code: 200, body: scale }
}
