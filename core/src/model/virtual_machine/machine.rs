//! A `VirtualMachine`: what makes instances.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{key_of, text, uid_of};
use crate::model::{ObjectKey, Uid};

/// `spec.runStrategy` of a `VirtualMachine` (`spec.running: true` is `Always`, `false` is `Halted`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStrategy {
    /// Always runs again.
    Always,
    /// Runs again after a failure only, not after a graceful end.
    RerunOnFailure,
    /// Only by hand.
    Manual,
    /// Runs once.
    Once,
    /// Is to be stopped.
    Halted,
    /// One that this version does not know.
    Unknown(String),
}

/// A `VirtualMachine`.
#[derive(Clone, Debug)]
pub struct VirtualMachine {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// How it is run.
    pub run_strategy: RunStrategy,
}

impl RunStrategy {
    /// As KubeVirt writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Always => "Always",
            Self::RerunOnFailure => "RerunOnFailure",
            Self::Manual => "Manual",
            Self::Once => "Once",
            Self::Halted => "Halted",
            Self::Unknown(text) => text,
        }
    }
}

impl From<DynamicObject> for VirtualMachine {
    fn from(object: DynamicObject) -> Self {
        let running = object.data.pointer("/spec/running").and_then(Value::as_bool);
        Self {
            key: key_of(&object),
            uid: uid_of(&object),
            run_strategy: match (text(&object.data, "/spec/runStrategy"), running) {
                (Some(strategy), _) => match strategy.as_str() {
                    "Always" => RunStrategy::Always,
                    "RerunOnFailure" => RunStrategy::RerunOnFailure,
                    "Manual" => RunStrategy::Manual,
                    "Once" => RunStrategy::Once,
                    "Halted" => RunStrategy::Halted,
                    _ => RunStrategy::Unknown(strategy),
                },
                (None, Some(true)) => RunStrategy::Always,
                (None, _) => RunStrategy::Halted,
            },
        }
    }
}
