//! Who may do what: everybody everything, or what Roles and their bindings say.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use serde_json::{Value, json};

use super::{
    history::Key,
    refusal::Refusal,
    request::Request,
    server::ApiServer,
    store::{Store, seconds},
    user::User,
};

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Everybody everything.
    AllowAll,
    /// What the `Role`s and `ClusterRole`s of the cluster say; `system:masters` everything.
    Rbac,
}

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    /// Empty: in all of them.
    pub(super) namespace: String,
    pub(super) name: String,
    /// Of a path without a resource; else empty.
    pub(super) path: String,
}

/// Whether they may, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) is_allowed: bool,
    pub(super) reason: String,
}

impl Attributes {
    fn of(request: &Request) -> Self {
        match &request.target {
            Some(target) => Self {
                verb: request.verb.to_owned(),
                group: target.group.clone(),
                resource: target.plural.clone(),
                subresource: target.first_of_subresource().to_owned(),
                namespace: target.namespace.clone(),
                name: target.name.clone(),
                path: String::new(),
            },
            None => Self { verb: request.verb.to_owned(), path: request.path.clone(), ..Self::default() },
        }
    }

    fn with_subresource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }

    fn refusal(&self, user: &User, reason: &str) -> Refusal {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if !self.path.is_empty() {
            let why = format!("User {:?} cannot {} path {:?}{reason}", user.name, self.verb, self.path);
            return Refusal::forbidden_resource("", "", "", &why);
        }
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let why = format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {place}{reason}",
            user.name,
            self.verb,
            self.with_subresource(),
            self.group
        );
        Refusal::forbidden_resource(&self.group, &self.resource, &self.name, &why)
    }
}

/// Whether the user of a request may.
pub(super) fn check(server: &ApiServer, request: &Request) -> Result<(), Refusal> {
    let attributes = Attributes::of(request);
    let decision = decide(server.options().authorization, &server.store(), &request.user, &attributes);
    if decision.is_allowed { Ok(()) } else { Err(attributes.refusal(&request.user, &decision.reason)) }
}

/// Whether a user may.
pub(super) fn decide(authorization: Authorization, store: &Store, user: &User, attributes: &Attributes) -> Decision {
    if authorization == Authorization::AllowAll || user.groups.iter().any(|group| group == "system:masters") {
        return Decision { is_allowed: true, reason: String::new() };
    }
    let mut missing = Vec::new();
    for binding in bindings_of(store, user, &attributes.namespace) {
        match binding.rules(store) {
            Some(rules) if rules.iter().any(|rule| allows(rule, attributes)) => {
                return Decision { is_allowed: true, reason: binding.reason() };
            }
            Some(_) => {}
            None => missing.push(binding.missing()),
        }
    }
    let reason = match missing.as_slice() {
        [] => String::new(),
        [only] => format!("RBAC: {only}"),
        several => format!("RBAC: [{}]", several.join(", ")),
    };
    Decision { is_allowed: false, reason }
}

/// The rules that hold for a user in a namespace.
pub(super) fn rules_of(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    bindings_of(store, user, namespace).iter().filter_map(|binding| binding.rules(store)).flatten().collect()
}

/// A binding that has the user among its subjects.
struct Binding<'a> {
    namespace: &'a str,
    name: &'a str,
    object: &'a Value,
    subject: &'a Value,
}

impl Binding<'_> {
    fn rules(&self, store: &Store) -> Option<Vec<Value>> {
        let role = &self.object["roleRef"];
        let name = role["name"].as_str().unwrap_or_default().to_owned();
        let role = match role["kind"].as_str() {
            Some("Role") => store.get(ROLES, &Key(self.namespace.to_owned(), name)),
            _ => store.get(CLUSTER_ROLES, &Key(String::new(), name)),
        };
        role.map(|role| role["rules"].as_array().cloned().unwrap_or_default())
    }

    fn missing(&self) -> String {
        let role = &self.object["roleRef"];
        let kind = role["kind"].as_str().unwrap_or_default().to_lowercase();
        format!("{kind}.rbac.authorization.k8s.io {} not found", role["name"])
    }

    fn reason(&self) -> String {
        let (kind, name) = match self.namespace {
            "" => ("ClusterRoleBinding", format!("{:?}", self.name)),
            namespace => ("RoleBinding", format!("\"{}/{namespace}\"", self.name)),
        };
        let role = &self.object["roleRef"];
        let role_kind = role["kind"].as_str().unwrap_or_default();
        let subject = &self.subject;
        let subject_kind = subject["kind"].as_str().unwrap_or_default();
        let subject_name = match subject["namespace"].as_str() {
            Some(namespace) => format!("\"{}/{namespace}\"", subject["name"].as_str().unwrap_or_default()),
            None => subject["name"].to_string(),
        };
        format!("RBAC: allowed by {kind} {name} of {role_kind} {} to {subject_kind} {subject_name}", role["name"])
    }
}

fn bindings_of<'a>(store: &'a Store, user: &User, namespace: &'a str) -> Vec<Binding<'a>> {
    let cluster = store.all(CLUSTER_ROLE_BINDINGS, "");
    let local = store.all(ROLE_BINDINGS, namespace).filter(|_| !namespace.is_empty());
    let bindings = cluster.chain(local).filter_map(|(Key(namespace, name), binding)| {
        let subject = binding["subjects"].as_array()?.iter().find(|subject| is_subject(subject, user, namespace))?;
        Some(Binding { namespace, name, object: binding, subject })
    });
    bindings.collect()
}

fn is_subject(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => user.name == name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(namespace);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn has(list: &Value, wanted: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| entry == "*" || entry == wanted))
}

fn allows(rule: &Value, attributes: &Attributes) -> bool {
    if !has(&rule["verbs"], &attributes.verb) {
        return false;
    }
    if !attributes.path.is_empty() {
        let urls = rule["nonResourceURLs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        return urls.into_iter().any(|url| match url.strip_suffix('*') {
            Some(prefix) => attributes.path.starts_with(prefix),
            None => attributes.path == url,
        });
    }
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    let any = format!("*/{}", attributes.subresource);
    has(&rule["apiGroups"], &attributes.group)
        && (has(&rule["resources"], &attributes.with_subresource())
            || (!attributes.subresource.is_empty() && has(&rule["resources"], &any)))
        && names.is_none_or(|names| names.iter().any(|name| *name == attributes.name.as_str()))
}

/// The roles without which nobody can find out what there is.
pub(super) fn make_first_roles(store: &mut Store) {
    let all = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
        { "nonResourceURLs": ["*"], "verbs": ["*"] },
    ]);
    let discovery = json!([{
        "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
            "/readyz", "/version", "/version/"],
        "verbs": ["get"],
    }]);
    let basic = json!([
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"],
        },
        { "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"] },
    ]);
    let public = json!([{
        "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"],
    }]);
    let delegator = json!([
        { "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"] },
        { "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"] },
    ]);
    let roles = [
        ("cluster-admin", all, &["system:masters"][..]),
        ("system:auth-delegator", delegator, &[][..]),
        ("system:basic-user", basic, &["system:authenticated"][..]),
        ("system:discovery", discovery, &["system:authenticated"][..]),
        ("system:public-info-viewer", public, &["system:authenticated", "system:unauthenticated"][..]),
    ];
    for (name, rules, groups) in roles {
        let subjects: Vec<_> = groups
            .iter()
            .map(|group| json!({ "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group }))
            .collect();
        let metadata = json!({ "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } });
        make(store, "ClusterRole", json!({ "metadata": metadata, "rules": rules }));
        if !subjects.is_empty() {
            let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });
            make(store, "ClusterRoleBinding", json!({ "metadata": metadata, "roleRef": role, "subjects": subjects }));
        }
    }
}

fn make(store: &mut Store, kind: &str, mut object: Value) {
    let Some(resource) = store.kinds.known(kind) else { return };
    object["metadata"]["uid"] = store.new_uid().into();
    object["metadata"]["creationTimestamp"] = seconds(store.now()).into();
    store.put(&resource, object);
}
