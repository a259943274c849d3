//! A write as a request, and what its answer says of the objects.

use std::time::Duration;

use http::{Method, Request, header};
use kube::{Client, core::Status};
use serde_json::{Value, json};

use crate::actors::{
    actor::Write,
    mirror::Mirror,
    view::{Kind, key_of},
};

/// Longer than an API server waits for a webhook (10 s unless set, 30 s at most).
const TIMEOUT: Duration = Duration::from_secs(35);

/// What came of a write.
pub(super) enum Outcome {
    /// The answer, and after a `POST` to a subresource the object as it is then; null where it is gone.
    Done(Value),
    Failed {
        code: Option<u16>,
        why: String,
    },
}

impl Outcome {
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Done(_) => Some(200),
            Self::Failed { code, .. } => *code,
        }
    }
}

/// Carries it out, in the name of that actor.
pub(super) async fn send(client: &Client, actor: &str, write: &Write) -> Outcome {
    match tokio::time::timeout(TIMEOUT, answer(client, actor, write)).await {
        Ok(Ok(answer)) => Outcome::Done(answer),
        Ok(Err(kube::Error::Api(status))) => Outcome::Failed { code: Some(status.code), why: status.message },
        Ok(Err(error)) => Outcome::Failed { code: None, why: error.to_string() },
        Err(_) => Outcome::Failed { code: None, why: format!("no answer within {} s", TIMEOUT.as_secs()) },
    }
}

async fn answer(client: &Client, actor: &str, write: &Write) -> Result<Value, kube::Error> {
    if let Write::Collect { owners, .. } = write {
        for (kind, (namespace, name), uid) in owners {
            let request = build(Method::GET, actor, &path(*kind, namespace, name), None)?;
            match client.request::<Value>(request).await {
                Ok(owner) if owner["metadata"]["uid"] == uid.as_str() => return Err(has_an_owner(*kind, name)),
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
    }
    let answer = client.request(request(actor, write)?).await?;
    let Write::Post { kind, key, .. } = write else { return Ok(answer) };
    // The answer says nothing of the object, and whoever acts next should see what was done to it.
    let request = build(Method::GET, actor, &path(*kind, &key.0, &key.1), None)?;
    match client.request(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
        answer => answer,
    }
}

fn has_an_owner(kind: Kind, name: &str) -> kube::Error {
    let message = format!("its owner, {} {name}, is there", kind.kind);
    kube::Error::Api(Box::new(Status::failure(&message, "Conflict").with_code(409)))
}

fn request(actor: &str, write: &Write) -> Result<Request<Vec<u8>>, kube::Error> {
    let manager = format!("?fieldManager={actor}");
    match write {
        Write::Create { kind, object } => {
            let mut object = object.clone();
            object["apiVersion"] = kind.api_version().into();
            object["kind"] = kind.kind.into();
            let (namespace, _) = key_of(&object);
            let path = path(*kind, &namespace, "") + &manager;
            build(Method::POST, actor, &path, Some(("application/json", &object)))
        }
        Write::Patch { kind, key, subresource, patch } => {
            let mut path = path(*kind, &key.0, &key.1);
            if let Some(subresource) = subresource {
                path = format!("{path}/{subresource}");
            }
            build(Method::PATCH, actor, &(path + &manager), Some(("application/merge-patch+json", patch)))
        }
        Write::Delete { kind, key, uid, grace_seconds } => {
            let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
            if let Some(seconds) = grace_seconds {
                options["gracePeriodSeconds"] = (*seconds).into();
            }
            let path = path(*kind, &key.0, &key.1);
            build(Method::DELETE, actor, &path, Some(("application/json", &options)))
        }
        Write::Collect { kind, key, uid, .. } => {
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
                "propagationPolicy": "Background",
            });
            build(Method::DELETE, actor, &path(*kind, &key.0, &key.1), Some(("application/json", &options)))
        }
        Write::Post { kind, key, subresource, body } => {
            let path = format!("{}/{subresource}{manager}", path(*kind, &key.0, &key.1));
            build(Method::POST, actor, &path, Some(("application/json", body)))
        }
    }
}

fn build(
    method: Method,
    actor: &str,
    path: &str,
    body: Option<(&'static str, &Value)>,
) -> Result<Request<Vec<u8>>, kube::Error> {
    let request = Request::builder().method(method).uri(path).header(header::USER_AGENT, actor);
    let request = match body {
        Some((type_, body)) => request.header(header::CONTENT_TYPE, type_).body(body.to_string().into_bytes()),
        None => request.body(Vec::new()),
    };
    request.map_err(kube::Error::HttpError)
}

/// Of a collection where the name is empty.
fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let mut path =
        if kind.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/{}", kind.group, kind.version) };
    for part in kind.namespaced.then_some(["namespaces", namespace]).iter().flatten() {
        path = format!("{path}/{part}");
    }
    path = format!("{path}/{}", kind.plural);
    if name.is_empty() { path } else { format!("{path}/{name}") }
}

/// What the answer says of the objects.
pub(super) fn take_up(mirror: &mut Mirror, write: &Write, answer: Value) {
    match write {
        Write::Create { kind, .. } | Write::Patch { kind, .. } if answer["kind"] == kind.kind => {
            mirror.answered(*kind, answer);
        }
        Write::Delete { kind, key, uid, .. } | Write::Collect { kind, key, uid, .. } => match answer["kind"].as_str() {
            Some("Status") => mirror.removed(*kind, key, uid),
            _ => mirror.answered(*kind, answer),
        },
        Write::Post { kind, .. } if answer["kind"] == kind.kind => mirror.answered(*kind, answer),
        Write::Post { kind, key, .. } if answer.is_null() => {
            let uid = mirror.view().get(*kind, &key.0, &key.1).map(|known| known["metadata"]["uid"].clone());
            if let Some(Value::String(uid)) = uid {
                mirror.removed(*kind, key, &uid);
            }
        }
        // Of a Scale: the watch brings the object.
        Write::Create { .. } | Write::Patch { .. } | Write::Post { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{
        kinds::{DEPLOYMENT, NODE, POD},
        view::Key,
    };

    fn key(namespace: &str, name: &str) -> Key {
        (namespace.to_owned(), name.to_owned())
    }

    fn line(write: &Write) -> String {
        let request = request("kubelet", write).unwrap();
        assert_eq!(request.headers()[header::USER_AGENT], "kubelet");
        format!("{} {} {}", request.method(), request.uri(), String::from_utf8_lossy(request.body()))
    }

    #[test]
    fn writes_become_requests() {
        let pod = json!({"metadata": {"namespace": "shop", "generateName": "web-"}});
        assert_eq!(
            line(&Write::Create { kind: POD, object: pod }),
            "POST /api/v1/namespaces/shop/pods?fieldManager=kubelet \
             {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"generateName\":\"web-\",\"namespace\":\"shop\"}}"
        );
        let patch = Write::Patch {
            kind: DEPLOYMENT,
            key: key("shop", "web"),
            subresource: Some("status"),
            patch: json!({"status": {}}),
        };
        assert_eq!(
            line(&patch),
            "PATCH /apis/apps/v1/namespaces/shop/deployments/web/status?fieldManager=kubelet {\"status\":{}}"
        );
        let delete = Write::Delete { kind: NODE, key: key("", "node01"), uid: "u".into(), grace_seconds: Some(0) };
        assert_eq!(
            line(&delete),
            "DELETE /api/v1/nodes/node01 {\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,\"kind\":\"DeleteOptions\",\
             \"preconditions\":{\"uid\":\"u\"}}"
        );
        // What it owns is garbage as well, of whatever kind it is.
        let collect = Write::Collect { kind: POD, key: key("shop", "a"), uid: "u".to_owned(), owners: Vec::new() };
        assert!(line(&collect).ends_with("\"propagationPolicy\":\"Background\"}"), "{}", line(&collect));
    }
}
