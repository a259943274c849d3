//! Admission plugins that somebody brings. They stand for mutating webhooks, and for webhooks that are asked about changes,
//! which this server does not call: functions of this process, asked while the store is locked.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use super::{refusal::Refusal, resource_type::ResourceType, server::ApiServer, user::User, webhook};

/// What a plugin is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who wants it.
    pub user: &'a User,
    /// The kind.
    pub resource: &'a ResourceType,
    /// None: a new object.
    pub old: Option<&'a Value>,
}

/// That the webhook of this name denies the request, and the `status` of its response.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// As its configuration names it.
    pub webhook: &'static str,
    /// `code`, `reason`, `message`, `details`.
    pub status: Value,
}

/// Changes the object that is to be written, or denies it.
pub type Plugin = Arc<dyn Fn(&Asked<'_>, &mut Value) -> Result<(), Denial> + Send + Sync>;

/// All of them, by name.
#[derive(Default)]
pub(super) struct Plugins(BTreeMap<String, Plugin>);

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Plugins {
    pub(super) fn ask(&self, asked: &Asked<'_>, object: &mut Value) -> Result<(), Refusal> {
        let denied = |denial: Denial| webhook::denied(denial.webhook, &denial.status);
        self.0.values().try_for_each(|plugin| plugin(asked, object).map_err(denied))
    }
}

impl ApiServer {
    /// From now on asks this plugin about objects that are made or changed; there is one of a name.
    pub fn register_plugin(&self, name: impl Into<String>, plugin: Plugin) {
        self.store().plugins.0.insert(name.into(), plugin);
    }
}
