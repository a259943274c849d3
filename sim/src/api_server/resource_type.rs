//! What the server knows of a kind.

use std::{borrow::Cow, sync::Arc};

use super::custom::CustomDefinition;

/// A kind that is served, at one version.
#[derive(Clone, Debug)]
pub struct ResourceType {
    /// `apps`; empty for the core group.
    pub group: Cow<'static, str>,
    /// `v1`.
    pub version: Cow<'static, str>,
    /// `Deployment`.
    pub kind: Cow<'static, str>,
    /// `deployments`.
    pub plural: Cow<'static, str>,
    /// `deployment`.
    pub singular: Cow<'static, str>,
    /// `deploy`.
    pub short_names: Vec<Cow<'static, str>>,
    /// `all`.
    pub categories: Vec<Cow<'static, str>>,
    /// Whether its objects are in namespaces.
    pub scope: Scope,
    /// What it has beside itself.
    pub subresources: Vec<Subresource>,
    /// Where its fields are described.
    pub definition: Definition,
}

/// Where objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    Namespaced,
    /// In none.
    Cluster,
}

/// A path below an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `/status`
    Status,
    /// `/scale`
    Scale,
    /// `/eviction`, of pods.
    Eviction,
    /// `/binding`, of pods.
    Binding,
    /// `/token`, of service accounts.
    Token,
}

/// Where the fields of a kind are described.
#[derive(Clone, Debug)]
pub enum Definition {
    /// In Kubernetes: the type of `k8s-openapi`.
    Builtin,
    /// In a CustomResourceDefinition.
    Custom(Arc<CustomDefinition>),
}

impl ResourceType {
    /// `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As messages name it: `pods`, `deployments.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// What whoever uses this version is warned of.
    #[must_use]
    pub fn deprecation(&self) -> Option<&str> {
        match &self.definition {
            Definition::Custom(definition) => definition.deprecation.as_deref(),
            Definition::Builtin => None,
        }
    }

    /// Whether a CustomResourceDefinition brought it.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self.definition, Definition::Custom(_))
    }

    /// Whether its objects are in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether it has that path below an object.
    #[must_use]
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    /// Where its objects are kept: the same for all versions of a kind, and for the two kinds of Events.
    #[must_use]
    pub fn storage(&self) -> String {
        if self.group == "events.k8s.io" { "events".into() } else { self.qualified() }
    }
}
