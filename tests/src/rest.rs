//! The REST service of the `careen serve` that runs, as a caller with a token sees it.

use serde_json::{Value, json};

use crate::{
    case::Case,
    objects::{CLUSTER, kinds},
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The header, a line each.
    pub header: String,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The body as it is.
    pub text: String,
}

impl Answer {
    /// It must have that code: the body.
    #[must_use]
    #[track_caller]
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }

    /// As [`Answer::expect`], where it is asked for again until it is so.
    pub fn check(self, code: u16) -> Result<Value, String> {
        if self.code == code { Ok(self.body) } else { Err(format!("{}: {}", self.code, self.body)) }
    }

    /// A header field; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        let fields = self.header.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        found.next().unwrap_or_default()
    }
}

/// Somebody who calls.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    case: &'a Case,
    token: Option<&'a str>,
}

impl Caller<'_> {
    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Value::Null).await
    }

    /// `POST`, with a body unless it is null.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, Value::Null).await
    }

    /// Any method.
    pub async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.send_with(method, path, body, &[]).await
    }

    /// With further header fields.
    pub async fn send_with(&self, method: &str, path: &str, body: Value, fields: &[(&str, &str)]) -> Answer {
        let token = self.token.map(|token| format!("Bearer {token}"));
        let authorization = token.as_deref().map(|token| ("Authorization", token));
        let fields: Vec<_> = authorization.into_iter().chain(fields.iter().copied()).collect();
        self.case.suite.rest(method, path, &fields, &body).await.expect("careen serve answers")
    }
}

impl Case {
    /// Somebody without a token.
    #[must_use]
    pub fn anonymous(&self) -> Caller<'_> {
        Caller { case: self, token: None }
    }

    /// Somebody with that token.
    #[must_use]
    pub fn caller<'a>(&'a self, token: &'a str) -> Caller<'a> {
        Caller { case: self, token: Some(token) }
    }

    /// A new ServiceAccount of the case's namespace that may do that much everywhere (`"get list nodes"`,
    /// `"create pods/eviction"`): a token of it.
    pub async fn account(&self, name: &str, rights: &[&str]) -> String {
        let role = self.name(name);
        let rules: Vec<Value> = rights.iter().map(|right| rule(right)).collect();
        self.cluster()
            .create(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
                "rules": rules,
            }))
            .await;
        self.account_with(name, &role).await
    }

    /// A new ServiceAccount of the case's namespace that has that ClusterRole everywhere: a token of it.
    pub async fn account_with(&self, name: &str, role: &str) -> String {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": self.namespace},
        });
        self.cluster().create(account).await;
        self.bind(json!({"kind": "ClusterRole", "name": role}), name, CLUSTER).await;
        self.token(name).await
    }

    /// A token of a ServiceAccount of the case's namespace.
    pub async fn token(&self, name: &str) -> String {
        let arguments = ["create", "token", name, "--namespace", &self.namespace];
        self.kubectl(&arguments, "").await.ok().stdout.trim().to_owned()
    }

    /// Gives a role to an account: everywhere, or in one namespace.
    pub async fn bind(&self, mut role: Value, account: &str, namespace: &str) {
        role["apiGroup"] = "rbac.authorization.k8s.io".into();
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let mut binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": self.name(&format!("{account}-{}", role["name"].as_str().unwrap_or_default()))},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}],
        });
        if !namespace.is_empty() {
            binding["metadata"]["namespace"] = namespace.into();
        }
        self.cluster().create(binding).await;
    }

    /// Removes the roles that the case made, which are in no namespace.
    pub(crate) async fn remove_roles(&self) {
        let prefix = format!("{}-", self.id);
        for kind in [kinds::CLUSTER_ROLE_BINDING, kinds::CLUSTER_ROLE] {
            for found in self.cluster().list(kind, CLUSTER).await {
                let name = crate::objects::name_of(&found);
                if name.starts_with(&prefix) {
                    self.cluster().delete(kind, CLUSTER, name).await;
                }
            }
        }
    }
}

/// `"get list nodes"`, `"create nodemaintenances.nodemaintenance.kubevirt.io"`.
fn rule(right: &str) -> Value {
    let mut words: Vec<&str> = right.split(' ').collect();
    let what = words.pop().expect("a right ends with a resource");
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    json!({"apiGroups": [group], "resources": [resource], "verbs": words})
}
