//! `taintNode`, `untaintNode`.

use careen_core::{
    model::{NodeName, TaintEffect, TaintKey, TaintValue},
    operation::{Taint, Untaint},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Root, Type, cordon::Changed};

/// A taint to be put on a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TaintNodeInput {
    /// The name of the node.
    node: NodeName,
    /// The key of the taint.
    key: TaintKey,
    /// Its value. Default: none.
    #[serde(default)]
    value: TaintValue,
    /// Its effect.
    effect: TaintEffect,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// Taints to be taken off a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct UntaintNodeInput {
    /// The name of the node.
    node: NodeName,
    /// The key of the taints.
    key: TaintKey,
    /// Their effect; without it, all effects of the key.
    effect: Option<TaintEffect>,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// The changes.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation
        .change::<TaintNodeInput, Changed, _>(
            "taintNode",
            "Puts a taint on a node; one of the same key and effect gets this value. Can be repeated. The drain taint is \
             not touched while a maintenance or a drain acts on the node, and KubeVirt's own never.",
            async |scene, TaintNodeInput { node, key, value, effect, dry_run }| {
                scene.demand_change("taintNode", &[("node", node.as_str())]).await?;
                let taint = Taint { key, value, effect };
                Ok(Changed::shown(&scene, scene.api.operations()?.taint(&node, &taint, dry_run).await?))
            },
        )
        .change::<UntaintNodeInput, Changed, _>(
            "untaintNode",
            "Takes taints off a node. Can be repeated.",
            async |scene, UntaintNodeInput { node, key, effect, dry_run }| {
                scene.demand_change("untaintNode", &[("node", node.as_str())]).await?;
                Ok(Changed::shown(&scene, scene.api.operations()?.untaint(&node, &Untaint { key, effect }, dry_run).await?))
            },
        )
}
