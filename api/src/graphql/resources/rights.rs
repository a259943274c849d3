//! What is needed to see what. Lists need the right to list their kind; for one object by its name, the right to get
//! that one is enough.

use careen_core::model::ObjectKey;

use crate::auth::{
    Right,
    permission::{budgets, maintenances, migrations, nodes, pods, vmis},
};

pub(super) fn list_nodes<P>(_: &P) -> Vec<Right> {
    vec![nodes("list").everywhere()]
}

pub(super) fn get_node(name: &str) -> Vec<Right> {
    vec![nodes("get").everywhere().named(name)]
}

pub(super) fn get_plan(name: &str) -> Vec<Right> {
    vec![nodes("get").everywhere().named(name), pods("list").everywhere()]
}

pub(super) fn list_pods<P>(_: &P) -> Vec<Right> {
    vec![pods("list").everywhere()]
}

pub(super) fn list_budgets<P>(_: &P) -> Vec<Right> {
    vec![budgets("list").everywhere()]
}

pub(super) fn list_maintenances<P>(_: &P) -> Vec<Right> {
    vec![maintenances("list").everywhere()]
}

pub(super) fn get_maintenance(name: &str) -> Vec<Right> {
    vec![maintenances("get").everywhere().named(name)]
}

pub(super) fn list_instances<P>(_: &P) -> Vec<Right> {
    vec![vmis("list").everywhere()]
}

pub(super) fn get_instance(key: &ObjectKey) -> Vec<Right> {
    vec![vmis("get").everywhere().in_namespace(&key.namespace).named(&key.name)]
}

pub(super) fn list_migrations<P>(_: &P) -> Vec<Right> {
    vec![migrations("list").everywhere()]
}

pub(super) fn get_migration(key: &ObjectKey) -> Vec<Right> {
    vec![migrations("get").everywhere().in_namespace(&key.namespace).named(&key.name)]
}
