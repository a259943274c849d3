//! What the API server in memory knows, and how it answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::{
    collections::{self, Collection, ReplyBody, Watches},
    merge,
};

/// Everything that the server knows.
#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) version: u64,
    pub(super) watches: Watches,
    pub(super) evicted: Vec<String>,
    /// A field of every status that patches do not keep.
    pub(super) pruned: Option<String>,
    /// The node of each pod that was evicted, as it was then.
    pub(super) evicted_from: Vec<Value>,
}

/// As much of strategic merge as node conditions need: merged by type, with the directive to delete.
fn merge_conditions(target: &mut Value, patch: &Value) {
    let list = &mut target["status"]["conditions"];
    let mut found = list.as_array().cloned().unwrap_or_default();
    for entry in patch["status"]["conditions"].as_array().unwrap() {
        let position = found.iter().position(|condition| condition["type"] == entry["type"]);
        match (position, entry["$patch"] == "delete") {
            (Some(position), true) => drop(found.remove(position)),
            (Some(position), false) => merge(&mut found[position], entry),
            (None, true) => {}
            (None, false) => found.push(entry.clone()),
        }
    }
    *list = Value::Array(found);
}

/// Where the definitions of custom resources are.
pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

pub(super) type Answer = (u16, Value);

pub(super) enum Reply {
    Json(Answer),
    /// As the API server answers for a path of which it knows nothing.
    NoSuchPath,
    Stream(ReplyBody),
}

pub(super) trait IntoResponse {
    fn into_response(self) -> Response<ReplyBody>;
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<ReplyBody> {
        match self {
            Self::Json(answer) => answer.into_response(),
            Self::NoSuchPath => {
                let body = ReplyBody::Text(Some(Bytes::from_static(b"404 page not found\n")));
                Response::builder().status(404).body(body).unwrap()
            }
            Self::Stream(body) => Response::new(body),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<ReplyBody> {
        let (code, body) = self;
        let body = ReplyBody::Text(Some(body.to_string().into()));
        Response::builder().status(code).body(body).unwrap()
    }
}

pub(super) fn failure(code: u16, reason: &str, message: &str) -> Answer {
    (code, json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }))
}

pub(super) fn refused(code: u16) -> Answer {
    let reason = match code {
        403 => "Forbidden",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "ServiceUnavailable",
    };
    failure(code, reason, "refused, as the test wants it")
}

impl Store {
    pub(super) fn handle(&mut self, method: &Method, uri: &http::Uri, body: Value, strategic: bool) -> Reply {
        let path = uri.path();
        if !self.serves(path) {
            return Reply::NoSuchPath;
        }
        match (method, Collection::of(uri)) {
            (&Method::GET, _) if path == "/apis" => Reply::Json(self.groups()),
            (&Method::GET, Some(collection)) if collections::is_watch(uri) => self.watch(collection, uri),
            (&Method::GET, Some(collection)) => Reply::Json(self.list(&collection)),
            (&Method::POST, _) => Reply::Json(self.create(path, body)),
            _ => Reply::Json(self.handle_object(method, path, body, strategic)),
        }
    }

    fn handle_object(&mut self, method: &Method, path: &str, body: Value, strategic: bool) -> Answer {
        let path = path.trim_end_matches("/status");
        let Some(current) = self.objects.get(path).cloned() else {
            let (_, name) = path.rsplit_once('/').unwrap();
            let (code, mut status) = failure(404, "NotFound", &format!("{path} not found"));
            status["details"] = json!({ "name": name });
            return (code, status);
        };
        let preconditions = if method == Method::DELETE { &body["preconditions"] } else { &body["metadata"] };
        for field in ["uid", "resourceVersion"] {
            if !preconditions[field].is_null() && preconditions[field] != current["metadata"][field] {
                return failure(409, "Conflict", &format!("{path}: {field} is another"));
            }
        }
        match method.as_str() {
            "GET" => (200, current),
            "PUT" => (200, self.write(path, body)),
            "PATCH" => {
                let mut object = current.clone();
                if strategic {
                    merge_conditions(&mut object, &body);
                } else {
                    merge(&mut object, &body);
                }
                if let (Some(field), Some(status)) = (&self.pruned, object["status"].as_object_mut()) {
                    status.remove(field);
                }
                if object["spec"] != current["spec"] && object["metadata"]["generation"].is_i64() {
                    object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
                }
                // As the real one: what changes nothing makes no new version.
                if object == current { (200, current) } else { (200, self.write(path, object)) }
            }
            "DELETE" => self.delete(path),
            other => failure(405, "MethodNotAllowed", other),
        }
    }

    fn create(&mut self, collection: &str, mut object: Value) -> Answer {
        if let Some(pod) = collection.strip_suffix("/eviction") {
            return self.evict(pod, &object);
        }
        if let Some((_, rest)) = collection.split_once("/namespaces/") {
            let namespace = rest.split('/').next().unwrap();
            if !self.objects.contains_key(&format!("/api/v1/namespaces/{namespace}")) {
                return failure(404, "NotFound", &format!("namespaces \"{namespace}\" not found"));
            }
        }
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
        if self.objects.contains_key(&path) {
            return failure(409, "AlreadyExists", &format!("{path} already exists"));
        }
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version + 1));
        (201, self.write(&path, object))
    }

    /// Accepts every eviction; the pod is gone at once.
    fn evict(&mut self, pod: &str, eviction: &Value) -> Answer {
        let Some(current) = self.objects.get(pod) else { return failure(404, "NotFound", "no such pod") };
        let uid = &eviction["deleteOptions"]["preconditions"]["uid"];
        if *uid != current["metadata"]["uid"] {
            return failure(409, "Conflict", "another pod of that name");
        }
        let node = format!("/api/v1/nodes/{}", current["spec"]["nodeName"].as_str().unwrap_or_default());
        self.evicted_from.push(self.objects.get(&node).cloned().unwrap_or_default());
        self.evicted.push(pod.to_owned());
        self.remove(pod);
        (201, json!({ "kind": "Status", "status": "Success" }))
    }

    pub(super) fn delete(&mut self, path: &str) -> Answer {
        let mut object = self.objects[path].clone();
        let is_held = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if is_held {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                object = self.write(path, object);
            }
            return (200, object);
        }
        self.remove(path);
        (200, json!({ "kind": "Status", "status": "Success" }))
    }

    pub(super) fn write(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let old = self.objects.insert(path.to_owned(), object.clone());
        self.watches.changed(self.version, path, old, Some(object.clone()));
        let is_let_go = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if object["metadata"]["deletionTimestamp"].is_string() && is_let_go {
            self.remove(path);
        }
        object
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.version += 1;
        let old = self.objects.remove(path);
        self.watches.changed(self.version, path, old, None);
    }
}
