//! For tests: nodes, and an API server in memory that knows paths, resourceVersions and preconditions, and can fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::{Method, Request, Response};
use k8s_openapi::api::core::v1;
use kube::client::Body;
use serde_json::{Value, json};

use crate::{
    model::Node,
    node::{Actor, ActorKind},
};

pub(crate) fn node() -> Node {
    node_with_taints(&[])
}

pub(crate) fn node_with_taints(taints: &[(&str, &str)]) -> Node {
    let taints: Vec<_> = taints.iter().map(|(key, effect)| json!({ "key": key, "effect": effect })).collect();
    let object = json!({
        "metadata": { "name": "node02", "uid": "uid-node02", "resourceVersion": "41" },
        "spec": { "taints": taints },
    });
    serde_json::from_value::<v1::Node>(object).unwrap().try_into().unwrap()
}

pub(crate) fn maintenance_actor() -> Actor {
    Actor { kind: ActorKind::Maintenance, name: "node02-maintenance".into(), uid: "uid-maintenance".into() }
}

/// The node after a merge patch, which must have been computed from it.
pub(crate) fn merged(node: &Node, patch: &Value) -> Node {
    assert_eq!(patch["metadata"]["resourceVersion"], node.resource_version.as_str());
    let annotations: BTreeMap<_, _> =
        node.record.iter().map(|record| (crate::names::RECORD_ANNOTATION, record)).collect();
    let mut object = json!({
        "metadata": {
            "name": node.name, "uid": node.uid, "resourceVersion": node.resource_version, "annotations": annotations,
        },
        "spec": { "unschedulable": node.unschedulable, "taints": node.taints },
    });
    merge(&mut object, patch);
    serde_json::from_value::<v1::Node>(object).unwrap().try_into().unwrap()
}

/// JSON merge patch, RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
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

/// How a server behaves towards one of its clients.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Serve,
    /// Takes the request and never answers; nothing is done.
    Hang,
    /// Does what it is asked, and never answers.
    LoseAnswers,
    /// Answers with that code; nothing is done.
    Refuse(u16),
    /// Answers every write with a conflict.
    ConflictOnWrite,
    /// Answers after that time.
    Slow(Duration),
}

/// An API server in memory, seen over one link. Objects are known by their path, and made as they are given.
#[derive(Clone, Default)]
pub(crate) struct FakeServer {
    store: Arc<Mutex<Store>>,
    link: Arc<Mutex<Link>>,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
}

#[derive(Default)]
struct Link {
    mood: Mood,
    log: Vec<String>,
}

impl FakeServer {
    /// The same server over another link, which fails on its own.
    pub(crate) fn another_link(&self) -> Self {
        Self { store: self.store.clone(), link: Arc::default() }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.link().mood = mood;
    }

    /// How many requests came over this link.
    pub(crate) fn requests(&self) -> usize {
        self.link().log.len()
    }

    /// The methods of these requests.
    pub(crate) fn methods(&self) -> String {
        self.link().log.join(" ")
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store().objects.get(path).cloned()
    }

    /// Writes an object past all checks.
    pub(crate) fn put(&self, path: &str, object: Value) -> Value {
        self.store().write(path, object)
    }

    pub(crate) fn remove(&self, path: &str) {
        self.store().objects.remove(path);
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        kube::Client::new(
            tower::service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, kube::Error>(server.answer(request).await) }
            }),
            "default",
        )
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let strategic = head
            .headers
            .get("content-type")
            .is_some_and(|type_| type_.to_str().unwrap().starts_with("application/strategic-merge-patch"));
        let mood = {
            let mut link = self.link();
            link.log.push(head.method.to_string());
            link.mood
        };
        let path = head.uri.path();
        let (code, body) = match mood {
            Mood::Hang => std::future::pending().await,
            Mood::LoseAnswers => {
                self.store().handle(&head.method, path, body, strategic);
                std::future::pending().await
            }
            Mood::Refuse(code) => {
                let reason = match code {
                    403 => "Forbidden",
                    422 => "Invalid",
                    _ => "ServiceUnavailable",
                };
                failure(code, reason, "refused, as the test wants it")
            }
            Mood::ConflictOnWrite if head.method != Method::GET => failure(409, "Conflict", "conflict"),
            Mood::Serve | Mood::ConflictOnWrite => self.store().handle(&head.method, path, body, strategic),
            Mood::Slow(time) => {
                tokio::time::sleep(time).await;
                self.store().handle(&head.method, path, body, strategic)
            }
        };
        Response::builder().status(code).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap()
    }
}

type Answer = (u16, Value);

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    (code, json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }))
}

impl Store {
    fn handle(&mut self, method: &Method, path: &str, body: Value, strategic: bool) -> Answer {
        if method == Method::POST {
            return self.create(path, body);
        }
        let path = path.trim_end_matches("/status");
        let Some(current) = self.objects.get(path).cloned() else {
            return failure(404, "NotFound", &format!("{path} not found"));
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
                let mut object = current;
                if strategic {
                    merge_conditions(&mut object, &body);
                } else {
                    merge(&mut object, &body);
                }
                (200, self.write(path, object))
            }
            "DELETE" => {
                self.objects.remove(path);
                (200, json!({ "kind": "Status", "status": "Success" }))
            }
            other => failure(405, "MethodNotAllowed", other),
        }
    }

    fn create(&mut self, collection: &str, mut object: Value) -> Answer {
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

    fn write(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}
