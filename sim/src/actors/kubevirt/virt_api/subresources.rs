//! `/apis/subresources.kubevirt.io`: which requests there are.

use serde_json::{Value, json};

use super::{
    answer::{Answer, Body},
    evacuate_cancel, migrate,
};
use crate::actors::{
    kubevirt::{
        definitions::{OLD, SUBRESOURCES},
        names::{INSTANCE, VIRTUAL_MACHINE},
    },
    view::View,
};

/// A request to virt-api, as the API server passes it on.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `PUT`.
    pub method: String,
    /// `/apis/subresources.kubevirt.io/v1/namespaces/…`
    pub path: String,
    /// The header `Accept`, if there is one.
    pub accept: Option<String>,
    /// The body; null if there is none.
    pub body: Value,
}

/// An object that a request is about, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `virtualmachines` or `virtualmachineinstances`.
    pub resource: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// `evacuate/cancel`, `migrate`.
    pub subresource: &'a str,
}

/// What of the path of a request names an object.
#[must_use]
pub fn subject_of(path: &str) -> Option<Subject<'_>> {
    let rest = path.strip_prefix("/apis/")?.strip_prefix(SUBRESOURCES)?.strip_prefix('/')?;
    let (version, rest) = rest.split_once("/namespaces/")?;
    if !["v1", OLD].contains(&version) {
        return None;
    }
    let mut parts = rest.splitn(4, '/');
    let (namespace, resource, name) = (parts.next()?, parts.next()?, parts.next()?);
    let subresource = parts.next().unwrap_or_default();
    matches!(resource, "virtualmachines" | "virtualmachineinstances").then_some(Subject {
        resource,
        namespace,
        name,
        subresource,
    })
}

/// Answers a request. `live` holds the VM and the VMI of that name, the VMI's node and its migrations, and the `KubeVirt`
/// object, as far as they exist. Whether the user may is asked before.
#[must_use]
pub fn answer(live: &View, request: &Request) -> Answer {
    let Some(subject) = subject_of(&request.path) else { return discovery(&request.path) };
    let Subject { resource, namespace, name, subresource } = subject;
    if request.method == "PUT" && !accepts_anything(request.accept.as_deref()) {
        let text = "406: Not Acceptable\n\nAvailable representations: ";
        return Answer { body: Body::Text(text), ..Answer::empty(406) };
    }
    let is_known = matches!(
        (request.method.as_str(), resource, subresource),
        ("PUT", _, "evacuate/cancel") | ("PUT", "virtualmachines", "migrate")
    );
    if !is_known {
        let what = format!("{} {resource}/{subresource} of {SUBRESOURCES}", request.method);
        return Answer::not_implemented(&what);
    }
    if resource == "virtualmachines" && live.get(VIRTUAL_MACHINE, namespace, name).is_none() {
        return Answer::not_found("virtualmachine", name);
    }
    let Some(vmi) = live.get(INSTANCE, namespace, name) else {
        return Answer::not_found("virtualmachineinstance", name);
    };
    match subresource {
        "migrate" => migrate::answer(live, vmi, &request.body),
        _ => evacuate_cancel::answer(live, vmi, &request.body),
    }
}

/// The real one writes nothing and so finds no representation for one that wants JSON only.
fn accepts_anything(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| accept.contains("*/*"))
}

fn discovery(path: &str) -> Answer {
    let group_version = format!("{SUBRESOURCES}/v1");
    let version = json!({"groupVersion": group_version, "version": "v1"});
    match path.trim_end_matches('/').strip_prefix("/apis/").unwrap_or_default() {
        SUBRESOURCES => Answer::json(
            200,
            json!({
                "kind": "APIGroup", "apiVersion": "v1", "name": SUBRESOURCES, "versions": [version],
                "preferredVersion": version,
            }),
        ),
        found if found == group_version => Answer::json(
            200,
            json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources(),
            }),
        ),
        _ => Answer::empty(404),
    }
}

/// What the discovery document lists.
#[must_use]
pub fn resources() -> Value {
    let names =
        ["virtualmachineinstances/evacuate/cancel", "virtualmachines/evacuate/cancel", "virtualmachines/migrate"];
    let resource =
        |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["update"]});
    names.into_iter().map(resource).collect()
}
