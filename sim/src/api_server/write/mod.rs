//! Everything that changes objects.
//!
//! | module | holds |
//! |---|---|
//! | [`body`] | what was sent, decoded |
//! | [`create`] | `POST` |
//! | [`update`] | `PUT`, and what every change has to keep |
//! | [`patch`] | `PATCH` |
//! | [`delete`] | `DELETE` of one or many |
//! | [`admission`] | what Kubernetes' own admission plugins add to new objects |
//! | [`effects`] | what follows a write: definitions are served, namespaces end |

pub(super) mod admission;
pub(super) mod body;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod effects;
pub(super) mod patch;
pub(super) mod update;

use std::sync::Arc;

use super::{
    history::Key,
    request::{Request, Target},
    resource_type::ResourceType,
};

/// A request that changes something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) request: &'a Request,
    pub(super) target: &'a Target,
    pub(super) resource: &'a Arc<ResourceType>,
}

impl Write<'_> {
    /// Where the object is kept.
    pub(super) fn key(&self) -> Key {
        let namespace = if self.resource.is_namespaced() { self.target.namespace.clone() } else { String::new() };
        Key(namespace, self.target.name.clone())
    }
}
