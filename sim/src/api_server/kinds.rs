//! The kinds that are served: those of Kubernetes, and those of the CustomResourceDefinitions there are.

use std::sync::Arc;

use super::{builtin, request::Target, resource_type::ResourceType};

/// A kind by one of its versions.
#[derive(Clone, Debug)]
pub(super) struct Kinds {
    builtin: Vec<Arc<ResourceType>>,
    /// By the name of the definition.
    custom: Vec<(String, Vec<Arc<ResourceType>>)>,
}

impl Kinds {
    pub(super) fn builtin() -> Self {
        Self { builtin: builtin::resource_types().into_iter().map(Arc::new).collect(), custom: Vec::new() }
    }

    /// All, in a fixed order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ResourceType>> {
        self.builtin.iter().chain(self.custom.iter().flat_map(|(_, versions)| versions))
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceType>> {
        let is_it = |kind: &&Arc<ResourceType>| kind.group == group && kind.version == version && kind.plural == plural;
        self.all().find(is_it).cloned()
    }

    pub(super) fn of(&self, target: &Target) -> Option<Arc<ResourceType>> {
        self.find(&target.group, &target.version, &target.plural)
    }

    /// A kind of Kubernetes.
    pub(super) fn known(&self, kind: &str) -> Option<Arc<ResourceType>> {
        self.builtin.iter().find(|known| known.kind == kind).cloned()
    }

    /// By where the objects are kept; for a kind of several versions the first.
    pub(super) fn stored_in(&self, storage: &str) -> Option<Arc<ResourceType>> {
        self.all().find(|kind| kind.storage() == storage).cloned()
    }

    /// Whether anything of that group and version is served.
    pub(super) fn has_version(&self, group: &str, version: &str) -> bool {
        self.all().any(|kind| kind.group == group && kind.version == version)
    }

    /// From now on serves these versions for that definition; none: no more.
    pub(super) fn define(&mut self, definition: &str, versions: Vec<ResourceType>) {
        let versions: Vec<_> = versions.into_iter().map(Arc::new).collect();
        let position = self.custom.binary_search_by(|(name, _)| name.as_str().cmp(definition));
        match (position, versions.is_empty()) {
            (Ok(position), true) => drop(self.custom.remove(position)),
            (Ok(position), false) => self.custom[position].1 = versions,
            (Err(_), true) => {}
            (Err(position), false) => self.custom.insert(position, (definition.to_owned(), versions)),
        }
    }
}
