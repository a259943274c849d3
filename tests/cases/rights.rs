//! Careen's rights: exactly what it needs.

use std::collections::BTreeSet;

use careen_tests::{
    audit::Request,
    case::{Case, summary},
    objects::{CLUSTER, Kind, kinds, list, name_of, text},
    wait::{check, soon},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Mutex;

/// When a right was taken away on purpose.
static WITHOUT_A_RIGHT: Mutex<Option<(Timestamp, Timestamp)>> = Mutex::new(None);

pub async fn a_missing_right_is_named_and_waited_for(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let roles = careens_roles(&case).await;
    let patches_nodes = |rule: &Value| {
        list(rule, "/resources").contains(&json!("nodes")) && list(rule, "/verbs").contains(&json!("patch"))
    };
    let role = roles.iter().find(|role| role.kind == kinds::CLUSTER_ROLE && role.rules.iter().any(patches_nodes));
    let role = role.expect("a ClusterRole lets Careen patch nodes");
    let mut reduced = role.rules.clone();
    for rule in reduced.iter_mut().filter(|rule| patches_nodes(rule)) {
        rule["verbs"].as_array_mut().unwrap().retain(|verb| verb != "patch" && verb != "update");
    }
    reduced.retain(|rule| !list(rule, "/verbs").is_empty());
    let since = Timestamp::now();
    let set_rules = async |rules: &[Value], allowed: bool| {
        case.cluster().merge(kinds::CLUSTER_ROLE, CLUSTER, &role.name, json!({"rules": rules})).await;
        soon("the rights are in force", async || {
            let can = may_patch_nodes(&case).await;
            check(can == allowed, || format!("may patch nodes: {can}"))
        })
        .await;
    };
    set_rules(&reduced, false).await;
    let name = case.maintain(&a).await;
    case.until_maintenance(&name, "it names the right", |found| {
        let said = summary(found);
        said.contains("patch") && said.contains("nodes")
    })
    .await;
    case.stays_untouched(&a, &before).await;
    set_rules(&role.rules, true).await;
    *WITHOUT_A_RIGHT.lock().unwrap() = Some((since, Timestamp::now()));
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

async fn may_patch_nodes(case: &Case) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": careen_tests::audit::CAREEN,
            "groups": ["system:serviceaccounts", "system:serviceaccounts:careen", "system:authenticated"],
            "resourceAttributes": {"resource": "nodes", "verb": "patch"},
        },
    });
    case.cluster().create(review).await.pointer("/status/allowed") == Some(&json!(true))
}

/// A `ClusterRole` or Role that Careen's account has.
struct BoundRole {
    kind: Kind,
    name: String,
    /// Where it holds; empty: everywhere.
    namespace: String,
    rules: Vec<Value>,
}

/// Those that `deploy/` gives to Careen's account.
async fn careens_roles(case: &Case) -> Vec<BoundRole> {
    let cluster = case.cluster();
    let mut bindings = cluster.list(kinds::CLUSTER_ROLE_BINDING, CLUSTER).await;
    bindings.extend(cluster.list(kinds::ROLE_BINDING, CLUSTER).await);
    let is_careens = |subject: &Value| {
        text(subject, "/kind") == "ServiceAccount"
            && text(subject, "/namespace") == "careen"
            && text(subject, "/name") == "careen"
    };
    let mut roles = Vec::new();
    for binding in bindings.iter().filter(|binding| list(binding, "/subjects").iter().any(is_careens)) {
        let namespace = text(binding, "/metadata/namespace");
        let name = text(binding, "/roleRef/name");
        let kind = if text(binding, "/roleRef/kind") == "Role" { kinds::ROLE } else { kinds::CLUSTER_ROLE };
        let role = cluster.get(kind, if kind == kinds::ROLE { namespace } else { CLUSTER }, name).await;
        roles.push(BoundRole {
            kind,
            name: name_of(&role).to_owned(),
            namespace: namespace.to_owned(),
            rules: list(&role, "/rules").to_vec(),
        });
    }
    roles
}

/// One thing that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    role: String,
    namespace: String,
    group: String,
    resource: String,
    name: Option<String>,
    verb: String,
}

impl Permission {
    /// Every verb on every resource that the role allows, except KubeVirt's: not every cluster, and not every run, has
    /// all of that.
    fn all_of(role: &BoundRole) -> Vec<Self> {
        let texts = |rule: &Value, field: &str| -> Vec<String> {
            list(rule, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut permissions = Vec::new();
        for rule in &role.rules {
            let names = texts(rule, "/resourceNames");
            let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            let groups = texts(rule, "/apiGroups");
            for group in groups.iter().filter(|group| !group.ends_with("kubevirt.io") || group.starts_with("nodemaint"))
            {
                for resource in texts(rule, "/resources") {
                    for verb in texts(rule, "/verbs") {
                        permissions.extend(names.iter().map(|name| Self {
                            role: role.name.clone(),
                            namespace: role.namespace.clone(),
                            group: group.clone(),
                            resource: resource.clone(),
                            name: name.clone(),
                            verb: verb.clone(),
                        }));
                    }
                }
            }
        }
        permissions
    }

    fn was_used_by(&self, request: &Request) -> bool {
        let Permission { namespace, group, resource, name, verb, .. } = self;
        request.is_by_careens_account()
            && request.code() != 403
            && request.verb == *verb
            && request.object.api_group == *group
            && request.resource() == *resource
            && (namespace.is_empty() || request.object.namespace == *namespace)
            && name.as_ref().is_none_or(|name| request.object.name == *name)
    }
}

/// After the whole suite, and after `careen serve` has ended (a watch is in the log only then).
pub async fn every_right_was_used_and_none_was_missing(case: Case) {
    case.suite.stop_careen().await;
    let audit = case.suite.audit();
    let requests = audit.since(audit.beginning()).that(Request::is_by_careens_account);
    let without = *WITHOUT_A_RIGHT.lock().unwrap();
    let on_purpose = |when: Timestamp| without.is_some_and(|(from, to)| (from..=to).contains(&when));
    let forbidden = requests.clone().that(|request| request.code() == 403 && !on_purpose(request.received));
    let roles = careens_roles(&case).await;
    let unused: BTreeSet<Permission> = roles
        .iter()
        .flat_map(Permission::all_of)
        .filter(|permission| !requests.0.iter().any(|request| permission.was_used_by(request)))
        .collect();
    let unused: Vec<String> = unused.iter().map(|permission| format!("{permission:?}")).collect();
    assert!(forbidden.is_empty() && unused.is_empty(), "forbidden:\n{forbidden}\nunused:\n{}", unused.join("\n"));
}
