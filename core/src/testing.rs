//! For tests: nodes, and an API server in memory that knows paths, resourceVersions, preconditions, finalizers, lists
//! and watches, and can fail.

mod collections;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use collections::Collection;
pub(crate) use collections::ReplyBody;
use http::{Method, Request, Response, header};
use k8s_openapi::api::core::v1;
use kube::client::Body;
use serde_json::{Value, json};
use store::{DEFINITIONS, IntoResponse, Store, failure, refused};

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

/// How a server behaves towards one of its clients.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Serve,
    /// Takes the request and never answers; nothing is done.
    Hang,
    /// Does what it is asked, and never answers.
    LoseAnswers,
    /// Answers with that code; nothing is done.
    Refuse(u16),
    /// Answers so; nothing is done.
    RefuseWith { code: u16, reason: String, message: String },
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
struct Link {
    mood: Mood,
    log: Vec<Logged>,
    moods: Vec<(String, Mood)>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) method: String,
    /// `LIST`, `WATCH` or the method, the path, and the selectors if there are any.
    pub(crate) what: String,
    pub(crate) user_agent: String,
    pub(crate) at: tokio::time::Instant,
}

impl Logged {
    fn of(head: &http::request::Parts) -> Self {
        let path = head.uri.path();
        let selectors = collections::selectors(&head.uri).map(|(key, value)| format!(" {key}={value}"));
        let verb = match (&head.method, Collection::of(&head.uri)) {
            (&Method::GET, Some(_)) if collections::is_watch(&head.uri) => "WATCH",
            (&Method::GET, Some(_)) => "LIST",
            (method, _) => method.as_str(),
        };
        let user_agent = head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Self {
            method: head.method.to_string(),
            what: format!("{verb} {path}{}", selectors.collect::<String>()),
            user_agent: user_agent.unwrap_or_default().to_owned(),
            at: tokio::time::Instant::now(),
        }
    }
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
        self.link().log.iter().map(|logged| logged.method.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The requests that came over this link.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.link().log.clone()
    }

    /// How many requests of that kind ([`Logged::what`] begins so) came over this link.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.link().log.iter().filter(|logged| logged.what.starts_with(what)).count()
    }

    /// The kinds of different requests that came over this link.
    pub(crate) fn kinds(&self) -> BTreeSet<String> {
        self.link().log.iter().map(|logged| logged.what.clone()).collect()
    }

    /// From now on answers requests of that kind with that code, and does nothing: [`Logged::what`] begins so, or, with
    /// a `$` at its end, is this.
    pub(crate) fn refuse(&self, what: &str, code: u16) {
        self.set_mood_for(what, Mood::Refuse(code));
    }

    /// The same, with that reason and in these words.
    pub(crate) fn refuse_with(&self, what: &str, code: u16, reason: &str, message: &str) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.set_mood_for(what, Mood::RefuseWith { code, reason, message });
    }

    /// From now on is in that mood about requests of that kind, named as for [`FakeServer::refuse`].
    pub(crate) fn set_mood_for(&self, what: &str, mood: Mood) {
        self.link().moods.push((what.to_owned(), mood));
    }

    /// Answers as it should again.
    pub(crate) fn refuse_nothing(&self) {
        self.link().moods.clear();
    }

    /// The pods that were evicted, by path.
    pub(crate) fn evicted(&self) -> Vec<String> {
        self.store().evicted.clone()
    }

    /// The node of each pod that was evicted, as it was then.
    pub(crate) fn evicted_from(&self) -> Vec<Value> {
        self.store().evicted_from.clone()
    }

    /// Every version of that object until now; `None`: it was gone.
    pub(crate) fn versions(&self, path: &str) -> Vec<Option<Value>> {
        self.store().watches.versions(path)
    }

    /// Closes the connections of the watches of a collection.
    pub(crate) fn close_watches(&self, collection: &str) {
        self.store().watches.close(collection);
    }

    /// From now on the watches of a collection tell nothing, until they are released.
    pub(crate) fn hold_watches(&self, collection: &str) {
        let mut store = self.store();
        let version = store.version;
        store.watches.hold(collection, version);
    }

    /// They tell what they have held back, and go on.
    pub(crate) fn release_watches(&self) {
        self.store().watches.release();
    }

    /// Forgets what happened until now: a watch that wants to go on from there is told `410 Gone`.
    pub(crate) fn forget_history(&self) {
        let mut store = self.store();
        let version = store.version;
        store.watches.forget_until(version);
    }

    /// From now on patches do not keep that field of a status, as where the definition in the cluster lacks it.
    pub(crate) fn prune(&self, field: &str) {
        self.store().pruned = Some(field.to_owned());
    }

    /// Serves a custom resource: `plural.group`.
    pub(crate) fn install(&self, definition: &str) {
        let definition_of = json!({ "metadata": { "name": definition, "uid": format!("uid-{definition}") } });
        self.put(&format!("{DEFINITIONS}/{definition}"), definition_of);
    }

    /// Serves it no more; its objects go with it.
    pub(crate) fn uninstall(&self, definition: &str) {
        let (plural, group) = definition.split_once('.').unwrap();
        let mut store = self.store();
        let is_of_it = |path: &&String| path.starts_with(&format!("/apis/{group}/")) && path.contains(plural);
        for path in store.objects.keys().filter(is_of_it).cloned().collect::<Vec<_>>() {
            store.remove(&path);
        }
        store.remove(&format!("{DEFINITIONS}/{definition}"));
        store.watches.close(plural);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store().objects.get(path).cloned()
    }

    /// The objects whose path begins so.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let store = self.store();
        let found = store.objects.iter().filter(|(found, _)| found.starts_with(path));
        found.map(|(_, object)| object.clone()).collect()
    }

    /// Writes an object past all checks.
    pub(crate) fn put(&self, path: &str, object: Value) -> Value {
        self.store().write(path, object)
    }

    /// Changes an object past all checks.
    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) -> Value {
        let mut store = self.store();
        let mut object = store.objects[path].clone();
        edit(&mut object);
        store.write(path, object)
    }

    /// Removes an object past all checks.
    pub(crate) fn remove(&self, path: &str) {
        self.store().remove(path);
    }

    /// Deletes an object as a client would: one with finalizers stays until they are gone.
    pub(crate) fn delete(&self, path: &str) {
        assert_eq!(self.store().delete(path).0, 200);
    }

    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The server as a service, for clients with layers of their own.
    pub(crate) fn service(
        &self,
    ) -> impl tower::Service<
        Request<Body>,
        Response = Response<ReplyBody>,
        Error = kube::Error,
        Future = impl Future<Output = Result<Response<ReplyBody>, kube::Error>> + Send + use<>,
    > + Send
    + use<> {
        let server = self.clone();
        tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, kube::Error>(server.answer(request).await) }
        })
    }

    async fn answer(&self, request: Request<Body>) -> Response<ReplyBody> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let strategic = head
            .headers
            .get("content-type")
            .is_some_and(|type_| type_.to_str().unwrap().starts_with("application/strategic-merge-patch"));
        let mood = {
            let mut link = self.link();
            let logged = Logged::of(&head);
            let is_meant = |(what, _): &&(String, Mood)| match what.strip_suffix('$') {
                Some(exactly) => logged.what == exactly,
                None => logged.what.starts_with(what.as_str()),
            };
            let mood = link.moods.iter().find(is_meant).map_or_else(|| link.mood.clone(), |(_, mood)| mood.clone());
            link.log.push(logged);
            mood
        };
        let handle = |body| self.store().handle(&head.method, &head.uri, body, strategic);
        match mood {
            Mood::Refuse(code) => refused(code).into_response(),
            Mood::RefuseWith { code, reason, message } => failure(code, &reason, &message).into_response(),
            Mood::Hang => std::future::pending().await,
            Mood::LoseAnswers => {
                handle(body);
                std::future::pending().await
            }
            Mood::ConflictOnWrite if head.method != Method::GET => failure(409, "Conflict", "conflict").into_response(),
            Mood::Serve | Mood::ConflictOnWrite => handle(body).into_response(),
            Mood::Slow(time) => {
                tokio::time::sleep(time).await;
                handle(body).into_response()
            }
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap()
    }
}
