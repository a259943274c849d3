//! What a request asks for.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

use super::{query::Query, user::User};

/// A request of somebody.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: Method,
    /// Path and query as they were sent.
    pub uri: String,
    /// The path, decoded.
    pub path: String,
    /// The rest of the URL.
    pub query: Query,
    /// What it is about, if the path names a resource.
    pub target: Option<Target>,
    /// `get`, `list`, `watch`, …; for a path without a resource the method.
    pub verb: &'static str,
    /// Who asks.
    pub user: User,
    /// Over which link: see [`super::Connection::on_link`].
    pub link: String,
    /// `Accept`, `Content-Type`, `User-Agent`, ….
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Bytes,
}

/// What a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `apps`; empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `deployments`.
    pub plural: String,
    /// Empty for none.
    pub namespace: String,
    /// Empty for all of them.
    pub name: String,
    /// `status`; `proxy/a/b`; empty for the object itself.
    pub subresource: String,
}

impl Target {
    /// What rights and the audit log know of the subresource: of `evacuate/cancel` only `evacuate`.
    #[must_use]
    pub fn first_of_subresource(&self) -> &str {
        self.subresource.split('/').next().unwrap_or_default()
    }

    /// From a path below `/api` or `/apis`.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let segments: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // A path below a namespace itself names the namespace.
            ["namespaces", namespace, "status" | "finalize"] | ["namespaces", namespace] => (*namespace, rest),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, rest) = rest.split_first()?;
        let (name, subresource) = rest.split_first().map_or(("", &[][..]), |(name, rest)| (*name, rest));
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: (*plural).to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.join("/"),
        })
    }

    /// `deployments.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

impl Request {
    /// From what came over the wire, and who sent it.
    #[must_use]
    pub fn new(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes, user: User) -> Self {
        let query = Query::parse(uri.query().unwrap_or_default());
        let mut target = Target::parse(uri.path());
        let verb = verb(&method, target.as_ref(), &query);
        if let Some(target) = target.as_mut().filter(|target| target.name.is_empty())
            && matches!(verb, "list" | "watch" | "deletecollection")
        {
            name_from_selector(target, &query);
        }
        let path = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
        let uri = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Self { method, uri, path, query, target, verb, user, link: String::new(), headers, body }
    }

    /// A header as text; empty if there is none.
    #[must_use]
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body's media type, without parameters.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
    }

    /// Whether it may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch" | "head")
    }
}

fn verb(method: &Method, target: Option<&Target>, query: &Query) -> &'static str {
    let is_about_many = target.is_some_and(|target| target.name.is_empty());
    match (method.as_str(), target) {
        ("GET" | "HEAD", Some(_)) if is_about_many && query.is_true("watch") => "watch",
        ("GET" | "HEAD", Some(_)) if is_about_many => "list",
        ("GET" | "HEAD", Some(_)) | ("GET", None) => "get",
        ("POST", Some(_)) => "create",
        ("PUT", Some(_)) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", Some(_)) if is_about_many => "deletecollection",
        ("DELETE", _) => "delete",
        ("HEAD", None) => "head",
        ("POST", None) => "post",
        ("PUT", None) => "put",
        _ => "options",
    }
}

/// A list of one object by its name is, for roles and the audit log, about that object.
fn name_from_selector(target: &mut Target, query: &Query) {
    let name = query.get("fieldSelector").split(',').find_map(|term| {
        let (field, value) = term.split_once('=')?;
        (field == "metadata.name").then(|| value.trim_start_matches('=').to_owned())
    });
    target.name = name.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> Request {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Request::new(method, &uri.parse().unwrap(), HeaderMap::new(), Bytes::new(), User::anonymous())
    }

    #[test]
    fn paths_and_verbs() {
        let cases = [
            ("GET", "/api/v1/pods", "list", "pods", "", "", ""),
            ("GET", "/api/v1/pods?watch=true", "watch", "pods", "", "", ""),
            ("GET", "/api/v1/pods?watch=false", "list", "pods", "", "", ""),
            ("GET", "/api/v1/pods?watch=False", "list", "pods", "", "", ""),
            ("GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn1", "list", "nodes", "", "n1", ""),
            ("GET", "/api/v1/namespaces/a/pods/b", "get", "pods", "a", "b", ""),
            ("POST", "/api/v1/namespaces/a/pods/b/eviction", "create", "pods", "a", "b", "eviction"),
            ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", "patch", "deployments.apps", "a", "b", "scale"),
            ("GET", "/api/v1/namespaces", "list", "namespaces", "", "", ""),
            ("DELETE", "/api/v1/namespaces/a", "delete", "namespaces", "a", "a", ""),
            ("PUT", "/api/v1/namespaces/a/status", "update", "namespaces", "a", "a", "status"),
            ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection", "pods", "a", "", ""),
            ("GET", "/api/v1/nodes/n/proxy/a/b", "get", "nodes", "", "n", "proxy/a/b"),
        ];
        for (method, uri, verb, resource, namespace, name, subresource) in cases {
            let request = request(method, uri);
            let target = request.target.unwrap();
            assert_eq!(
                (request.verb, target.qualified().as_str(), target.namespace.as_str()),
                (verb, resource, namespace),
                "{uri}"
            );
            assert_eq!((target.name.as_str(), target.subresource.as_str()), (name, subresource), "{uri}");
        }
    }

    #[test]
    fn a_path_without_a_resource_has_its_method_as_verb() {
        for (method, uri, verb) in
            [("GET", "/version", "get"), ("POST", "/apis/apps/v1", "post"), ("GET", "/apis", "get")]
        {
            let request = request(method, uri);
            assert_eq!((request.verb, request.target), (verb, None), "{uri}");
        }
    }
}
