//! The table: what each operation of the REST service needs. It is the only place that says so: the frame checks it
//! before a handler runs, and `docs/permissions.md` is made from it.

use std::collections::BTreeMap;
#[cfg(test)]
use std::fmt::Write;

use axum::http::Method;

use super::{
    Freshness, Permission, Right,
    permission::{CANCEL_EVACUATION, budgets, maintenances, migrations, nodes, pods, vmis},
};

/// An operation of the contract.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its `operationId`.
    pub(crate) id: &'static str,
    /// Its method.
    pub(crate) method: Method,
    /// Its path, as in the contract.
    pub(crate) path: &'static str,
    /// What it always needs.
    pub(crate) needs: &'static [Need],
    /// What it needs besides, and when. Its handler asks for these ([`super::besides`]).
    pub(crate) also: &'static [(&'static str, Permission)],
}

/// A permission, and for which objects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// For all of the kind, in all namespaces.
    All(Permission),
    /// For the one whose name is that parameter of the path.
    Named(Permission, &'static str),
    /// For one whose namespace is the parameter `namespace` of the path; its name is in that other parameter, if any.
    InNamespace(Permission, Option<&'static str>),
}

use Need::{All, InNamespace, Named};

/// What shows a node shows these to who may see them.
const SEE_NODE: &[(&str, Permission)] =
    &[("to see a node's `maintenance`", maintenances("list")), ("to see a node's `drain`", pods("list"))];
const SEE_MIGRATION: (&str, Permission) = ("to see a VM's `migration`", migrations("list"));
/// What shows a workload, likewise.
const SEE_WORKLOAD: &[(&str, Permission)] = &[
    ("to see a workload's `budgets`", budgets("list")),
    ("to see a workload's `virtualMachineInstance`", vmis("list")),
    SEE_MIGRATION,
];

/// All operations of `/api/v1`.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        id: "listNodes",
        method: Method::GET,
        path: "/api/v1/nodes",
        needs: &[All(nodes("list"))],
        also: &[SEE_NODE[0], SEE_NODE[1], ("with `underMaintenance`", maintenances("list"))],
    },
    Operation {
        id: "getNode",
        method: Method::GET,
        path: "/api/v1/nodes/{node}",
        needs: &[Named(nodes("get"), "node")],
        also: SEE_NODE,
    },
    Operation {
        id: "listWorkloads",
        method: Method::GET,
        path: "/api/v1/nodes/{node}/workloads",
        needs: &[Named(nodes("get"), "node"), All(pods("list"))],
        also: SEE_WORKLOAD,
    },
    Operation {
        id: "getPlan",
        method: Method::GET,
        path: "/api/v1/nodes/{node}/plan",
        needs: &[Named(nodes("get"), "node"), All(pods("list"))],
        also: &[],
    },
    Operation {
        id: "cordonNode",
        method: Method::POST,
        path: "/api/v1/nodes/{node}/cordon",
        needs: &[Named(nodes("patch"), "node")],
        also: SEE_NODE,
    },
    Operation {
        id: "uncordonNode",
        method: Method::POST,
        path: "/api/v1/nodes/{node}/uncordon",
        needs: &[Named(nodes("patch"), "node")],
        also: &[
            SEE_NODE[0],
            SEE_NODE[1],
            ("where VMs that a drain has asked to leave are still marked", CANCEL_EVACUATION),
        ],
    },
    Operation {
        id: "taintNode",
        method: Method::PUT,
        path: "/api/v1/nodes/{node}/taints",
        needs: &[Named(nodes("patch"), "node")],
        also: SEE_NODE,
    },
    Operation {
        id: "untaintNode",
        method: Method::DELETE,
        path: "/api/v1/nodes/{node}/taints",
        needs: &[Named(nodes("patch"), "node")],
        also: SEE_NODE,
    },
    Operation {
        id: "getDrain",
        method: Method::GET,
        path: "/api/v1/nodes/{node}/drain",
        needs: &[Named(nodes("get"), "node"), All(pods("list"))],
        also: &[],
    },
    Operation {
        id: "startDrain",
        method: Method::POST,
        path: "/api/v1/nodes/{node}/drain",
        needs: &[Named(nodes("patch"), "node"), All(pods("create").on("eviction")), All(pods("delete"))],
        also: &[
            ("with `dryRun`", pods("list")),
            ("with `vmThatCannotMigrate: ShutDown`", vmis("delete")),
            ("with `vmWithoutStrategy: Migrate`", migrations("create")),
        ],
    },
    Operation {
        id: "cancelDrain",
        method: Method::DELETE,
        path: "/api/v1/nodes/{node}/drain",
        needs: &[Named(nodes("patch"), "node"), All(CANCEL_EVACUATION)],
        also: &[("where running migrations are aborted", migrations("delete"))],
    },
    Operation {
        id: "getNodeMaintenance",
        method: Method::GET,
        path: "/api/v1/nodes/{node}/maintenance",
        needs: &[All(maintenances("list"))],
        also: &[],
    },
    Operation {
        id: "putNodeMaintenance",
        method: Method::PUT,
        path: "/api/v1/nodes/{node}/maintenance",
        needs: &[All(maintenances("create")), All(maintenances("patch"))],
        also: &[("with `dryRun`", pods("list"))],
    },
    Operation {
        id: "deleteNodeMaintenance",
        method: Method::DELETE,
        path: "/api/v1/nodes/{node}/maintenance",
        needs: &[All(maintenances("delete"))],
        also: &[],
    },
    Operation {
        id: "listMaintenances",
        method: Method::GET,
        path: "/api/v1/maintenances",
        needs: &[All(maintenances("list"))],
        also: &[],
    },
    Operation {
        id: "createMaintenance",
        method: Method::POST,
        path: "/api/v1/maintenances",
        needs: &[All(maintenances("create"))],
        also: &[("with `dryRun`", pods("list"))],
    },
    Operation {
        id: "getMaintenance",
        method: Method::GET,
        path: "/api/v1/maintenances/{name}",
        needs: &[Named(maintenances("get"), "name")],
        also: &[],
    },
    Operation {
        id: "deleteMaintenance",
        method: Method::DELETE,
        path: "/api/v1/maintenances/{name}",
        needs: &[Named(maintenances("delete"), "name")],
        also: &[],
    },
    Operation {
        id: "listVirtualMachineInstances",
        method: Method::GET,
        path: "/api/v1/virtualmachineinstances",
        needs: &[All(vmis("list"))],
        also: &[SEE_MIGRATION],
    },
    Operation {
        id: "migrateVirtualMachineInstance",
        method: Method::POST,
        path: "/api/v1/virtualmachineinstances/{namespace}/{name}/migrate",
        needs: &[InNamespace(migrations("create"), None)],
        also: &[],
    },
    Operation {
        id: "listMigrations",
        method: Method::GET,
        path: "/api/v1/migrations",
        needs: &[All(migrations("list"))],
        also: &[],
    },
    Operation {
        id: "getMigration",
        method: Method::GET,
        path: "/api/v1/migrations/{namespace}/{name}",
        needs: &[InNamespace(migrations("get"), Some("name"))],
        also: &[],
    },
    Operation {
        id: "cancelMigration",
        method: Method::DELETE,
        path: "/api/v1/migrations/{namespace}/{name}",
        needs: &[InNamespace(migrations("delete"), Some("name"))],
        also: &[],
    },
    Operation {
        id: "followEvents",
        method: Method::GET,
        path: "/api/v1/events",
        needs: &[All(nodes("list")), All(pods("list")), All(maintenances("list"))],
        also: &[],
    },
    Operation {
        id: "followMaintenance",
        method: Method::GET,
        path: "/api/v1/maintenances/{name}/events",
        needs: &[Named(maintenances("get"), "name")],
        also: &[],
    },
    Operation {
        id: "followDrain",
        method: Method::GET,
        path: "/api/v1/nodes/{node}/drain/events",
        needs: &[Named(nodes("get"), "node"), All(pods("list"))],
        also: &[],
    },
];

impl Operation {
    /// The operation of that method and path of the contract. `HEAD` is `GET` without the body.
    pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Self> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        OPERATIONS.iter().find(|operation| operation.method == *method && operation.path == path)
    }

    /// The operation of that id.
    pub(crate) fn named(id: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.id == id)
    }

    /// The methods that a path takes.
    pub(crate) fn methods(path: &str) -> Vec<&'static str> {
        let of_path = OPERATIONS.iter().filter(|operation| operation.path == path);
        of_path.map(|operation| operation.method.as_str()).collect()
    }

    /// How old may be what is known of the rights that it needs.
    pub(crate) fn freshness(&self) -> Freshness {
        if self.method == Method::GET { Freshness::MayBeSecondsOld } else { Freshness::Now }
    }

    /// What it always needs, in a line.
    pub(crate) fn needs_in_words(&self) -> String {
        self.needs.iter().map(Need::sentence).collect::<Vec<_>>().join(", ")
    }

    /// What it needs besides, and when, in a line; may be empty.
    pub(crate) fn also_in_words(&self) -> String {
        let also = self.also.iter().map(|(when, permission)| format!("{when}: `{permission}`"));
        also.collect::<Vec<_>>().join("; ")
    }

    /// What it needs for objects of these names, by parameter of the path.
    pub(crate) fn rights(&self, parameters: &BTreeMap<String, String>) -> Vec<Right> {
        let value = |parameter: &str| parameters.get(parameter).cloned().unwrap_or_default();
        let right = |need: &Need| match need {
            Need::All(permission) => permission.everywhere(),
            Need::Named(permission, name) => permission.everywhere().named(value(name)),
            Need::InNamespace(permission, None) => permission.everywhere().in_namespace(value("namespace")),
            Need::InNamespace(permission, Some(name)) => {
                permission.everywhere().in_namespace(value("namespace")).named(value(name))
            }
        };
        self.needs.iter().map(right).collect()
    }
}

impl Need {
    fn sentence(&self) -> String {
        match self {
            Self::All(permission) => format!("`{permission}`"),
            Self::Named(permission, parameter) => format!("`{permission}` for `{{{parameter}}}`"),
            Self::InNamespace(permission, None) => format!("`{permission}` in `{{namespace}}`"),
            Self::InNamespace(permission, Some(parameter)) => {
                format!("`{permission}` for `{{{parameter}}}` in `{{namespace}}`")
            }
        }
    }
}

/// `docs/permissions.md`.
#[cfg(test)]
pub(crate) fn document() -> String {
    let mut text = String::from(
        "# Permissions\n\n\
         <!-- Written from api/src/auth/operations.rs by `UPDATE_DOCUMENTS=1 cargo test -p careen documents`; not by hand. -->\n\n\
         Careen has no users of its own. Who calls is what Kubernetes says of the bearer token (`TokenReview`); what they \
         may do is what Kubernetes' RBAC says (`SubjectAccessReview`). A caller who lacks a permission is refused with \
         `403`, and `missing` names it; `kubectl auth can-i` gives the same answer. Answers are kept for at most 10 s for \
         reads, and not at all for changes. What a caller may not see of an object that they may see is null, in REST \
         and in GraphQL.\n\n\
         | operation | | needs | besides |\n|---|---|---|---|\n",
    );
    for operation in OPERATIONS {
        let Operation { id, method, path, .. } = operation;
        let (needs, also) = (operation.needs_in_words(), operation.also_in_words());
        // Writing into a String does not fail.
        writeln!(text, "| `{id}` | `{method} {path}` | {needs} | {also} |").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERMISSION: Permission = Permission::new("get", "", "x");
    const NEEDS: &[Need] = &[
        Need::All(PERMISSION),
        Need::Named(PERMISSION, "node"),
        Need::InNamespace(PERMISSION, Some("name")),
        Need::InNamespace(PERMISSION, None),
    ];

    #[test]
    fn what_is_in_the_path_is_what_is_asked_for() {
        let parameters: BTreeMap<_, _> =
            [("node", "node02"), ("namespace", "web"), ("name", "vm1")].map(|(a, b)| (a.into(), b.into())).into();
        let operation = Operation { id: "x", method: Method::GET, path: "/x", needs: NEEDS, also: &[] };
        let all = PERMISSION.everywhere();
        let in_web = all.clone().in_namespace("web");
        let expected = vec![all.clone(), all.named("node02"), in_web.clone().named("vm1"), in_web];
        assert_eq!(operation.rights(&parameters), expected);
    }

    #[test]
    fn every_parameter_that_is_asked_for_is_in_the_path() {
        for operation in OPERATIONS {
            for need in operation.needs {
                let parameters = match need {
                    Need::All(_) => vec![],
                    Need::Named(_, name) => vec![*name],
                    Need::InNamespace(_, name) => name.iter().copied().chain(["namespace"]).collect(),
                };
                for parameter in parameters {
                    assert!(operation.path.contains(&format!("{{{parameter}}}")), "{}: {parameter}", operation.id);
                }
            }
        }
    }

    #[test]
    fn head_is_get() {
        assert_eq!(Operation::find(&Method::HEAD, "/api/v1/nodes").unwrap().id, "listNodes");
        assert!(Operation::find(&Method::POST, "/api/v1/nodes").is_none());
    }
}
