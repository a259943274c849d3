//! The kinds that ask who somebody is and what they may: answered, and not kept.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    authentication,
    authorization::{self, Attributes},
    binding,
    refusal::{Cause, Refusal},
    reply::{Answer, Reply},
    server::ApiServer,
    user::User,
    write::{Write, body},
};

/// Answers a `POST` of a review, or of a Binding.
pub(super) fn answer(server: &ApiServer, write: &Write) -> Result<Answer, Refusal> {
    let resource = write.resource;
    if resource.kind == "Binding" {
        return binding::bind(&mut server.store(), write).map(Answer::from);
    }
    if resource.is_namespaced() == write.target.namespace.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let mut object = body::object(write.request, resource, &server.store().kinds)?;
    let user = &write.request.user;
    object["status"] = match resource.kind.as_ref() {
        "TokenReview" => token(server, &object["spec"])?,
        "SelfSubjectReview" => json!({ "userInfo": user.to_json() }),
        "SelfSubjectAccessReview" => access(server, write, &object["spec"], user)?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            access(server, write, &object["spec"], &subject(&object["spec"]))?
        }
        "SelfSubjectRulesReview" => rules(server, &object["spec"], user),
        other => return Err(Refusal::not_implemented(other)),
    };
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_ref().into();
    let reply = Reply::Object { code: 201, resource: resource.clone(), object: Arc::new(object) };
    Ok(reply.into())
}

fn token(server: &ApiServer, spec: &Value) -> Result<Value, Refusal> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Refusal::bad_request("token is required for TokenReview in authentication"));
    }
    Ok(match authentication::user_of(server, token) {
        Some(user) => json!({ "authenticated": true, "user": user.to_json() }),
        None => json!({ "user": {}, "error": "invalid bearer token" }),
    })
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten();
    User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: groups.filter_map(|group| group.as_str().map(ToOwned::to_owned)).collect(),
    }
}

fn access(server: &ApiServer, write: &Write, spec: &Value, user: &User) -> Result<Value, Refusal> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_null() == path.is_null() {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message:
                "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
                    .into(),
            field: "spec".into(),
        };
        // A real one leaves the kind out.
        return Err(Refusal::invalid_kind(&write.resource.group, "", "", &[cause]));
    }
    let text = |attributes: &Value, field: &str| attributes[field].as_str().unwrap_or_default().to_owned();
    let attributes = if resource.is_null() {
        Attributes { verb: text(path, "verb"), path: text(path, "path"), ..Attributes::default() }
    } else {
        Attributes {
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
            path: String::new(),
        }
    };
    let decision = authorization::decide(server.options().authorization, &server.store(), user, &attributes);
    let mut status = json!({ "allowed": decision.is_allowed });
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Ok(status)
}

fn rules(server: &ApiServer, spec: &Value, user: &User) -> Value {
    let all = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "nonResourceURLs": ["*"] });
    let is_master = user.groups.iter().any(|group| group == "system:masters");
    let rules = if is_master || server.options().authorization == authorization::Authorization::AllowAll {
        vec![all]
    } else {
        authorization::rules_of(&server.store(), user, spec["namespace"].as_str().unwrap_or_default())
    };
    let of = |field: &str| -> Vec<Value> {
        let rules = rules.iter().filter(|rule| rule[field].as_array().is_some_and(|list| !list.is_empty()));
        let keeps = |name: &str| match field {
            "resources" => matches!(name, "verbs" | "apiGroups" | "resources" | "resourceNames"),
            _ => matches!(name, "verbs" | "nonResourceURLs"),
        };
        rules
            .map(|rule| {
                let fields = rule.as_object().into_iter().flatten().filter(|(name, _)| keeps(name));
                fields.map(|(name, value)| (name.clone(), value.clone())).collect()
            })
            .collect()
    };
    json!({ "resourceRules": of("resources"), "nonResourceRules": of("nonResourceURLs"), "incomplete": false })
}
