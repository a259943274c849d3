//! virt-handler and virt-launcher, on all nodes: guests that start, shut down and migrate, and launchers that end with
//! their guests. On a node with the wish `unreachable` nothing of that happens. A launcher is an ordinary pod, which the kubelet starts; when its guest has gone it exits, and what that
//! makes of the pod's status is written here.
//!
//! | module | holds |
//! |---|---|
//! | [`guest`] | a guest that starts, runs and ends |
//! | [`transfer`] | a guest that migrates |
//! | [`exit`] | launchers that end |

mod exit;
mod guest;
mod transfer;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    launchers::{current, launchers_of},
    names::{CPU_VENDOR, INSTANCE, MACHINE_TYPE, MIGRATION, NODE, POD, SCHEDULABLE},
    object::{change, label, phase, text, time},
    timing::{Stopwatch, Timing},
};
use crate::actors::{
    actor::{Actor, Turn},
    view::{Kind, View},
};

/// virt-handler on all nodes, and the guests.
#[derive(Clone, Debug)]
pub struct Handler {
    timing: Timing,
    stopwatch: Stopwatch,
}

impl Handler {
    /// With these durations.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self { timing, stopwatch: Stopwatch::default() }
    }
}

impl Handler {
    /// Whether virt-handler is heard of on that node.
    fn hears(&self, node: &Value) -> bool {
        !self.timing.rules.wishes(NODE, node, "unreachable")
    }

    /// The same, by its name; nothing is known against one that is not there.
    fn hears_from(&self, view: &View, node: &str) -> bool {
        view.get(NODE, "", node).is_none_or(|node| self.hears(node))
    }
}

/// The machine type of every guest.
const MACHINE: &str = "pc-q35-rhel9.6.0";

/// A VMI whose pods virt-handler looks after.
struct Guest<'a> {
    view: &'a View,
    vmi: &'a Value,
    launchers: Vec<&'a Value>,
    /// The launcher that it runs in.
    pod: Option<&'a Value>,
    now: Timestamp,
}

impl Actor for Handler {
    fn name(&self) -> &'static str {
        "virt-handler"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![INSTANCE, POD, MIGRATION, NODE]
    }

    fn act(&mut self, view: &View, now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        for node in view.all(NODE).filter(|node| self.hears(node)) {
            turn.writes.extend(change(NODE, None, node, &labelled(node, now)));
        }
        for vmi in view.all(INSTANCE) {
            let launchers = launchers_of(view, vmi);
            let pod = current(vmi, &launchers);
            let guest = Guest { view, vmi, launchers, pod, now };
            let is_heard = self.hears_from(view, text(vmi, "/status/nodeName"));
            let next = match phase(vmi) {
                "Scheduled" if is_heard => self.start(&guest, &mut turn),
                "Running" if is_heard => Some(self.run(&guest, &mut turn)),
                // The target of its migration knows nothing of that.
                "Running" => self.prepare_target(&guest, &mut turn),
                _ => None,
            };
            turn.writes.extend(next.and_then(|next| change(INSTANCE, None, vmi, &next)));
        }
        turn.writes.extend(exit::ended(view, |node| self.hears_from(view, node), now));
        self.stopwatch.forget_the_rest();
        turn
    }
}

/// A node that VMs may run on. One that says already whether they may is left alone.
fn labelled(node: &Value, now: Timestamp) -> Value {
    let mut next = node.clone();
    if label(node, SCHEDULABLE).is_some() || text(node, "/metadata/name").is_empty() {
        return next;
    }
    next["metadata"]["annotations"]["kubevirt.io/heartbeat"] = time(now);
    let labels = &mut next["metadata"]["labels"];
    labels[SCHEDULABLE] = "true".into();
    labels[format!("{MACHINE_TYPE}{MACHINE}")] = "true".into();
    labels[format!("{MACHINE_TYPE}q35")] = "true".into();
    let has_vendor = labels.as_object().is_some_and(|labels| labels.keys().any(|key| key.starts_with(CPU_VENDOR)));
    if !has_vendor {
        labels[format!("{CPU_VENDOR}Intel")] = "true".into();
    }
    next
}
