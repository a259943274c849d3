//! virt-operator, as far as it says that KubeVirt is deployed.

use jiff::Timestamp;

use super::{
    names::KUBEVIRT,
    object::{change, set_condition},
};
use crate::actors::{
    actor::{Actor, Turn},
    view::{Kind, View},
};

/// Says of each `KubeVirt` object that it is deployed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operator;

impl Actor for Operator {
    fn name(&self) -> &'static str {
        "virt-operator"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![KUBEVIRT]
    }

    fn act(&mut self, view: &View, now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        for kubevirt in view.all(KUBEVIRT) {
            let mut deployed = kubevirt.clone();
            deployed["status"]["phase"] = "Deployed".into();
            deployed["status"]["defaultArchitecture"] = "amd64".into();
            set_condition(&mut deployed, ["Available", "True", "AllComponentsReady", "All components are ready."], now);
            turn.writes.extend(change(KUBEVIRT, Some("status"), kubevirt, &deployed));
        }
        turn
    }
}
