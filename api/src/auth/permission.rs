//! A right, in Kubernetes' words.

use std::fmt;

use serde::Serialize;

/// A right of the table: what to do with which kind of object, wherever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Permission {
    /// `get`, `list`, `create`, `update`, `patch`, `delete`.
    pub(crate) verb: &'static str,
    /// The API group; empty for the core group.
    pub(crate) group: &'static str,
    /// The plural.
    pub(crate) resource: &'static str,
    /// The subresource, or empty.
    pub(crate) subresource: &'static str,
}

impl Permission {
    /// On objects of a kind.
    pub(crate) const fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, subresource: "" }
    }

    /// On a subresource.
    pub(crate) const fn on(self, subresource: &'static str) -> Self {
        Self { subresource, ..self }
    }

    /// On all objects of the kind, in all namespaces.
    pub(crate) fn everywhere(self) -> Right {
        Right { permission: self, namespace: None, name: None }
    }
}

/// As people write it: `create pods/eviction`, `delete virtualmachineinstances.kubevirt.io`.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if self.subresource.is_empty() { Ok(()) } else { write!(f, "/{}", self.subresource) }
    }
}

/// A permission for certain objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Right {
    /// What to do.
    pub(crate) permission: Permission,
    /// Where; without one everywhere.
    pub(crate) namespace: Option<String>,
    /// With which object; without one with all.
    pub(crate) name: Option<String>,
}

impl Right {
    /// In that namespace only.
    pub(crate) fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// With the object of that name only.
    pub(crate) fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// `patch nodes "node02"`, `create virtualmachineinstancemigrations.kubevirt.io in namespace "web"`.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.permission)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace:?}")?;
        }
        Ok(())
    }
}

/// To do that with nodes.
pub(crate) const fn nodes(verb: &'static str) -> Permission {
    Permission::new(verb, "", "nodes")
}

/// To do that with pods.
pub(crate) const fn pods(verb: &'static str) -> Permission {
    Permission::new(verb, "", "pods")
}

/// To do that with maintenances.
pub(crate) const fn maintenances(verb: &'static str) -> Permission {
    Permission::new(verb, "nodemaintenance.kubevirt.io", "nodemaintenances")
}

/// To do that with VMs.
pub(crate) const fn vmis(verb: &'static str) -> Permission {
    Permission::new(verb, "kubevirt.io", "virtualmachineinstances")
}

/// To do that with migrations.
pub(crate) const fn migrations(verb: &'static str) -> Permission {
    Permission::new(verb, "kubevirt.io", "virtualmachineinstancemigrations")
}

/// To do that with budgets.
pub(crate) const fn budgets(verb: &'static str) -> Permission {
    Permission::new(verb, "policy", "poddisruptionbudgets")
}

/// To take the mark of an evacuation back.
pub(crate) const CANCEL_EVACUATION: Permission =
    Permission::new("update", "subresources.kubevirt.io", "virtualmachineinstances").on("evacuate/cancel");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_told_as_people_write_it() {
        assert_eq!(Permission::new("create", "", "pods").on("eviction").to_string(), "create pods/eviction");
        let right = Permission::new("delete", "kubevirt.io", "virtualmachineinstances").everywhere();
        assert_eq!(right.to_string(), "delete virtualmachineinstances.kubevirt.io");
        let one = right.in_namespace("web").named("vm1");
        assert_eq!(one.to_string(), "delete virtualmachineinstances.kubevirt.io \"vm1\" in namespace \"web\"");
    }
}
