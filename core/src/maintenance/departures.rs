//! What has become of the VMs that had to leave a node: pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::Snapshot,
    drain::Progress,
    model::{
        Moved, NodeName, ObjectKey, Report, Stopped, Uid,
        virtual_machine::{VirtualMachineInstance, VmiPhase},
    },
    plan::WorkloadKind,
};

/// So many are listed of each kind.
const MOST_LISTED: usize = 500;

/// Follows the VMs that have to leave one node, each until it is known what became of it.
#[derive(Clone, Debug, Default)]
pub struct Departures {
    leaving: BTreeMap<Uid, ObjectKey>,
    report: Report,
}

impl Departures {
    /// Goes on where a report ends.
    #[must_use]
    pub fn continue_from(report: Option<&Report>) -> Self {
        Self { leaving: BTreeMap::new(), report: report.cloned().unwrap_or_default() }
    }

    /// Follows those too that were asked to leave before: by a leader that did not get to see what became of them.
    pub fn recall(&mut self, asked: &[Uid], snapshot: &Snapshot) {
        if asked.is_empty() {
            return;
        }
        let asked: BTreeSet<&Uid> = asked.iter().collect();
        for vmi in snapshot.virtual_machine_instances().filter(|vmi| asked.contains(&vmi.uid)) {
            if !self.lists(&vmi.key) {
                self.leaving.entry(vmi.uid.clone()).or_insert_with(|| vmi.key.clone());
            }
        }
    }

    fn lists(&self, key: &ObjectKey) -> bool {
        let is_it = |namespace: &str, name: &str| key.namespace == namespace && key.name == name;
        self.report.moved.iter().any(|moved| is_it(&moved.namespace, &moved.name))
            || self.report.stopped.iter().any(|stopped| is_it(&stopped.namespace, &stopped.name))
    }

    /// What is known.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Takes up which VMs have still to leave.
    pub fn see(&mut self, progress: &Progress, node: &NodeName, snapshot: &Snapshot) {
        for left in progress.left() {
            let WorkloadKind::VirtualMachineInstance(name) = &left.workload.kind else { continue };
            let key = ObjectKey::new(&left.workload.pod.namespace, name);
            let Some(vmi) = snapshot.virtual_machine_instance(&key) else { continue };
            if vmi.node.as_ref() == Some(node) {
                self.leaving.entry(vmi.uid.clone()).or_insert(key);
            }
        }
    }

    /// Takes up what has become of them. Caches of different kinds are not of one moment: a VM whose pod has gone is
    /// followed until the VM itself shows what has happened.
    pub fn resolve(&mut self, node: &NodeName, snapshot: &Snapshot) {
        let Report { moved, stopped } = &mut self.report;
        self.leaving.retain(|uid, key| {
            let vmi = snapshot.virtual_machine_instance(key).filter(|vmi| vmi.uid == *uid);
            match what_became_of(vmi.map(|vmi| &**vmi), node) {
                Fate::Open => return true,
                Fate::Moved(to) if moved.len() < MOST_LISTED => {
                    moved.push(Moved { namespace: key.namespace.clone(), name: key.name.clone(), to });
                }
                Fate::Stopped if stopped.len() < MOST_LISTED => {
                    stopped.push(Stopped { namespace: key.namespace.clone(), name: key.name.clone() });
                }
                Fate::Moved(_) | Fate::Stopped => {}
            }
            false
        });
    }
}

enum Fate {
    Open,
    Moved(NodeName),
    Stopped,
}

fn what_became_of(vmi: Option<&VirtualMachineInstance>, node: &NodeName) -> Fate {
    match vmi {
        None => Fate::Stopped,
        Some(vmi) if vmi.phase == VmiPhase::Ended => Fate::Stopped,
        Some(vmi) => match &vmi.node {
            Some(now) if now != node => Fate::Moved(now.clone()),
            _ => Fate::Open,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{WorkloadProgress, WorkloadState},
        model::testing::{node_name, vmi},
        plan::Workload,
    };

    fn to_leave(names: &[&str]) -> Progress {
        let workloads = names.iter().map(|name| WorkloadProgress {
            workload: Workload {
                kind: WorkloadKind::VirtualMachineInstance((*name).to_owned()),
                pod: ObjectKey::new("shop", format!("virt-launcher-{name}")),
                uid: format!("pod-of-{name}").as_str().into(),
            },
            state: WorkloadState::Asked,
        });
        Progress { workloads: workloads.collect(), had_to_leave: names.len() }
    }

    #[test]
    fn a_vm_is_followed_until_it_shows_what_became_of_it() {
        let node = node_name("node02");
        let on = |name, node| vmi("shop", name).on(node);
        let before = Snapshot::default().with(on("db", "node02")).with(on("cache", "node02")).with(on("old", "node02"));
        let mut departures = Departures::default();
        departures.see(&to_leave(&["db", "cache", "old", "unknown"]), &node, &before);
        departures.resolve(&node, &before);
        assert_eq!(departures.report(), &Report::default(), "they are where they were");

        // Its pods have gone; KubeVirt has not said yet that the VM is elsewhere.
        departures.see(&to_leave(&[]), &node, &before);
        departures.resolve(&node, &before);
        assert_eq!(departures.report(), &Report::default());

        // "old" has ended and was started anew under its name: that is another.
        let mut restarted = on("old", "node05");
        restarted.uid = "another".into();
        let after = Snapshot::default().with(on("db", "node03")).with(restarted);
        departures.resolve(&node, &after);
        departures.see(&to_leave(&["db"]), &node, &after);
        departures.resolve(&node, &before);
        let moved = [Moved { namespace: "shop".to_owned(), name: "db".to_owned(), to: node_name("node03") }];
        assert_eq!(departures.report().moved, moved);
        let mut stopped: Vec<_> = departures.report().stopped.iter().map(|stopped| stopped.name.as_str()).collect();
        stopped.sort_unstable();
        assert_eq!(stopped, ["cache", "old"]);
    }

    #[test]
    fn a_vm_that_has_ended_on_the_node_was_stopped_and_what_was_known_before_stays() {
        let node = node_name("node02");
        let known =
            Report { stopped: vec![Stopped { namespace: "a".to_owned(), name: "b".to_owned() }], ..Report::default() };
        let mut departures = Departures::continue_from(Some(&known));
        let running = Snapshot::default().with(vmi("shop", "db").on("node02"));
        departures.see(&to_leave(&["db"]), &node, &running);
        departures.resolve(&node, &Snapshot::default().with(vmi("shop", "db").on("node02").in_phase(VmiPhase::Ended)));
        assert_eq!(departures.report().stopped.len(), 2);
    }

    #[test]
    fn what_was_asked_before_is_followed_unless_it_is_known_what_became_of_it() {
        let node = node_name("node02");
        let known = Moved { namespace: "shop".to_owned(), name: "cache".to_owned(), to: node_name("node03") };
        let before = Report { moved: vec![known.clone()], ..Report::default() };
        let mut departures = Departures::continue_from(Some(&before));
        let (cache, db, other) = (vmi("shop", "cache").on("node04"), vmi("shop", "db").on("node05"), vmi("shop", "o"));
        let asked = [cache.uid.clone(), db.uid.clone(), "of one that has gone".into()];
        let now = Snapshot::default().with(cache).with(db).with(other.on("node05"));
        departures.recall(&asked, &now);
        departures.resolve(&node, &now);
        let moved = Moved { namespace: "shop".to_owned(), name: "db".to_owned(), to: node_name("node05") };
        assert_eq!(departures.report(), &Report { moved: vec![known, moved], ..Report::default() });
    }
}
