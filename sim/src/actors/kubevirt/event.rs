//! Kubernetes Events, as KubeVirt's parts record them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    names::EVENT,
    object::{name_of, namespace_of, suffix, time, uid_of},
};
use crate::actors::{actor::Write, view::Kind};

/// Who records an Event.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The controllers of VMs, VMIs and migrations.
    Controller,
    /// The evacuation controller.
    Evacuation,
    /// virt-handler.
    Handler,
}

impl Source {
    fn component(self) -> &'static str {
        match self {
            Self::Controller => "virtualmachine-controller",
            Self::Evacuation => "evacuation-controller",
            Self::Handler => "virt-handler",
        }
    }
}

/// What happened.
pub struct Happening<'a> {
    pub source: Source,
    pub is_warning: bool,
    pub reason: &'a str,
    pub message: String,
}

impl<'a> Happening<'a> {
    pub fn normal(source: Source, reason: &'a str, message: impl Into<String>) -> Self {
        Self { source, is_warning: false, reason, message: message.into() }
    }

    pub fn warning(source: Source, reason: &'a str, message: impl Into<String>) -> Self {
        Self { source, is_warning: true, reason, message: message.into() }
    }

    /// An Event about an object.
    pub fn about(self, kind: Kind, object: &Value, now: Timestamp) -> Write {
        let component = self.source.component();
        let seed = format!("{}{component}{}{}{}", uid_of(object), self.reason, self.message, now);
        let made = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": format!("{}.{}{}", name_of(object), suffix(&seed), suffix(&format!("{seed}."))),
                "namespace": namespace_of(object),
            },
            "involvedObject": {
                "apiVersion": kind.api_version(), "kind": kind.kind, "namespace": namespace_of(object), "name": name_of(object),
                "uid": uid_of(object),
            },
            "type": if self.is_warning { "Warning" } else { "Normal" },
            "reason": self.reason, "message": self.message,
            "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
            "firstTimestamp": time(now), "lastTimestamp": time(now), "count": 1,
        });
        Write::Create { kind: EVENT, object: made }
    }
}
