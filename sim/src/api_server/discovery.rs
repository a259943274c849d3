//! Which kinds there are, and everything else that is no resource.

use std::{collections::BTreeMap, sync::Arc};

use http::header;
use serde_json::{Value, json};

use super::{
    builtin,
    content::wants_aggregated_discovery,
    kinds::Kinds,
    openapi,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    resource_type::{ResourceType, Subresource},
    server::ApiServer,
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers a path that names no resource.
pub(super) fn answer(server: &ApiServer, request: &Request) -> Result<Reply, Refusal> {
    if request.method != http::Method::GET && request.method != http::Method::HEAD {
        return Err(Refusal::method_not_allowed());
    }
    let accept = request.header(header::ACCEPT);
    let kinds = server.store().kinds.clone();
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let body = match segments.as_slice() {
        ["version"] => version(),
        ["livez" | "readyz" | "healthz", ..] => return Ok(Reply::Text { code: 200, body: "ok".into() }),
        ["api"] if wants_aggregated_discovery(accept) => {
            return Ok(aggregated(&Groups::of(server, &kinds), str::is_empty));
        }
        ["apis"] if wants_aggregated_discovery(accept) => {
            return Ok(aggregated(&Groups::of(server, &kinds), |group| !group.is_empty()));
        }
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }],
        }),
        ["apis"] => {
            let groups = Groups::of(server, &kinds);
            let groups: Vec<_> = groups.0.iter().filter(|group| !group.name.is_empty()).map(Group::to_json).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["api", "v1"] => resource_list(&kinds, "", "v1"),
        ["apis", name] => {
            let groups = Groups::of(server, &kinds);
            let group = groups.0.iter().find(|group| group.name == *name && !name.is_empty());
            let mut group = group.ok_or_else(|| unknown_group(name))?.to_json();
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        ["apis", group, version] => group_version(server, &kinds, group, version)?,
        ["openapi", rest @ ..] => return open_api(&kinds, rest, accept),
        _ => return Err(Refusal::page_not_found()),
    };
    Ok(Reply::Json { code: 200, body })
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36", "gitVersion": "v1.37.2", "gitCommit": "unknown", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn unknown_group(name: &str) -> Refusal {
    if builtin::OTHER_GROUPS.contains(&name) { Refusal::not_implemented(name) } else { Refusal::page_not_found() }
}

fn group_version(server: &ApiServer, kinds: &Kinds, group: &str, version: &str) -> Result<Value, Refusal> {
    if let Some(other) = server.aggregated().iter().find(|other| other.group == group && other.version == version) {
        return Ok(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
            "resources": other.resources,
        }));
    }
    if !kinds.has_version(group, version) || group.is_empty() {
        return Err(unknown_group(group));
    }
    Ok(resource_list(kinds, group, version))
}

/// A group and its versions, the preferred one first.
struct Group {
    name: String,
    versions: Vec<(String, Vec<Resource>)>,
}

/// What is served below one version.
enum Resource {
    Kind(Arc<ResourceType>),
    /// As an `APIResourceList` names it.
    Aggregated(Value),
}

struct Groups(Vec<Group>);

impl Groups {
    fn of(server: &ApiServer, kinds: &Kinds) -> Self {
        let mut groups = Vec::<Group>::new();
        let mut positions = BTreeMap::<String, usize>::new();
        let mut add = |name: &str, version: &str, resource: Resource| {
            let position = *positions.entry(name.to_owned()).or_insert_with(|| {
                groups.push(Group { name: name.to_owned(), versions: Vec::new() });
                groups.len() - 1
            });
            let versions = &mut groups[position].versions;
            match versions.iter_mut().find(|(known, _)| known == version) {
                Some((_, resources)) => resources.push(resource),
                None => versions.push((version.to_owned(), vec![resource])),
            }
        };
        for kind in kinds.all() {
            add(&kind.group, &kind.version, Resource::Kind(kind.clone()));
        }
        for other in server.aggregated().iter() {
            for resource in other.resources.as_array().into_iter().flatten() {
                add(&other.group, &other.version, Resource::Aggregated(resource.clone()));
            }
        }
        Self(groups)
    }
}

impl Group {
    fn to_json(&self) -> Value {
        let named =
            |version: &String| json!({ "groupVersion": format!("{}/{version}", self.name), "version": version });
        let versions: Vec<_> = self.versions.iter().map(|(version, _)| named(version)).collect();
        json!({ "name": self.name, "versions": versions, "preferredVersion": versions[0] })
    }
}

/// A path below an object, as discovery names it.
struct Below {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: String,
    verbs: &'static [&'static str],
}

fn below(resource: &ResourceType) -> Vec<Below> {
    let subresources = resource.subresources.iter().map(|subresource| match subresource {
        Subresource::Status => Below {
            name: "status",
            group: "",
            version: "",
            kind: resource.kind.to_string(),
            verbs: &["get", "patch", "update"],
        },
        Subresource::Scale => Below {
            name: "scale",
            group: "autoscaling",
            version: "v1",
            kind: "Scale".into(),
            verbs: &["get", "patch", "update"],
        },
        Subresource::Eviction => {
            Below { name: "eviction", group: "policy", version: "v1", kind: "Eviction".into(), verbs: &["create"] }
        }
        Subresource::Token => Below {
            name: "token",
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest".into(),
            verbs: &["create"],
        },
        Subresource::Binding => {
            Below { name: "binding", group: "", version: "", kind: "Binding".into(), verbs: &["create"] }
        }
    });
    let mut subresources: Vec<_> = subresources.collect();
    subresources.sort_by_key(|below| below.name);
    subresources
}

/// The classic document of one group and version.
fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in kinds.all().filter(|kind| kind.group == group && kind.version == version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.is_namespaced(),
            "kind": kind.kind, "verbs": builtin::verbs(kind),
        });
        for (field, names) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
            if !names.is_empty() {
                resource[field] = json!(names);
            }
        }
        resources.push(resource);
        for below in below(kind) {
            let mut resource = json!({
                "name": format!("{}/{}", kind.plural, below.name), "singularName": "",
                "namespaced": kind.is_namespaced(), "kind": below.kind, "verbs": below.verbs,
            });
            if !below.group.is_empty() {
                resource["group"] = below.group.into();
                resource["version"] = below.version.into();
            }
            resources.push(resource);
        }
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": resources });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn aggregated(groups: &Groups, is_wanted: impl Fn(&str) -> bool) -> Reply {
    let items = groups.0.iter().filter(|group| is_wanted(&group.name)).map(|group| {
        let versions = group.versions.iter().map(|(version, resources)| {
            let resources: Vec<_> =
                resources.iter().filter_map(|resource| aggregated_resource(&group.name, version, resource)).collect();
            json!({ "version": version, "resources": resources, "freshness": "Current" })
        });
        let versions: Vec<_> = versions.collect();
        json!({ "metadata": { "name": group.name, "creationTimestamp": null }, "versions": versions })
    });
    let items: Vec<_> = items.collect();
    Reply::Typed {
        content_type: AGGREGATED,
        body: json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        }),
    }
}

fn aggregated_resource(group: &str, version: &str, resource: &Resource) -> Option<Value> {
    let scope = |is_namespaced: bool| if is_namespaced { "Namespaced" } else { "Cluster" };
    let kind = match resource {
        Resource::Kind(kind) => kind,
        Resource::Aggregated(resource) => {
            // Paths below objects of another group are listed with that group's objects alone.
            let name = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            return Some(json!({
                "resource": name, "responseKind": { "group": group, "version": version, "kind": resource["kind"] },
                "scope": scope(resource["namespaced"] == true), "singularResource": resource["singularName"],
                "verbs": resource["verbs"],
            }));
        }
    };
    let mut object = json!({
        "resource": kind.plural, "responseKind": { "group": group, "version": version, "kind": kind.kind },
        "scope": scope(kind.is_namespaced()), "singularResource": kind.singular, "verbs": builtin::verbs(kind),
    });
    for (field, names) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !names.is_empty() {
            object[field] = json!(names);
        }
    }
    let subresources: Vec<_> = below(kind)
        .iter()
        .map(|below| {
            let (group, version) = match below.version {
                "" => (group, version),
                own => (below.group, own),
            };
            json!({
                "subresource": below.name, "verbs": below.verbs,
                "responseKind": { "group": group, "version": version, "kind": below.kind },
            })
        })
        .collect();
    if !subresources.is_empty() {
        object["subresources"] = subresources.into();
    }
    Some(object)
}

fn open_api(kinds: &Kinds, path: &[&str], accept: &str) -> Result<Reply, Refusal> {
    let all: Vec<&ResourceType> = kinds.all().map(AsRef::as_ref).collect();
    let of = |group: &str, version: &str| -> Result<Value, Refusal> {
        let kinds = all.iter().copied().filter(|kind| kind.group == group && kind.version == version);
        let kinds: Vec<_> = kinds.collect();
        if kinds.is_empty() { Err(Refusal::page_not_found()) } else { Ok(openapi::v3(&kinds)) }
    };
    let body = match path {
        ["v2"] if accept.contains(openapi::protobuf::MEDIA_TYPE) => {
            let body = openapi::protobuf::document(&openapi::v2(&all));
            return Ok(Reply::Bytes { content_type: openapi::protobuf::CONTENT_TYPE, body });
        }
        ["v2"] => openapi::v2(&all),
        ["v3"] => openapi::v3_index(&all),
        ["v3", "api", version] => of("", version)?,
        ["v3", "apis", group, version] => of(group, version)?,
        _ => return Err(Refusal::page_not_found()),
    };
    Ok(Reply::Json { code: 200, body })
}
