//! virt-controller's migration controller: the queue, the target pod, the hand-over to virt-handler, and the phases of a
//! `VirtualMachineInstanceMigration`.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/migration/migration.go>
//!
//! | module | holds |
//! |---|---|
//! | [`queue`] | whose turn it is: priorities, limits, back-off |
//! | [`target`] | the target pod: made, waited for, given up |
//! | [`hand_over`] | what the VMI is told of its migration |
//! | [`status`] | a migration's phase |
//! | [`keep`] | finished migrations that are kept |

mod hand_over;
mod keep;
mod queue;
mod status;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    configuration::Configuration,
    event::{Happening, Source},
    launchers::{current, launchers_of, target_of, vmi_name, vmi_of},
    names::{INSTANCE, KUBEVIRT, MIGRATION, MIGRATION_FINALIZER, NODE, OBSERVED_API_VERSIONS, POD, VMI_NAME},
    object::{add_finalizer, change, delete, is_deleting, is_final, label, phase, remove_finalizer, text, uid_of},
    timing::Timing,
};
use crate::actors::{
    actor::{Actor, Turn, Write},
    view::{Kind, View},
};

/// The migration controller.
#[derive(Clone, Debug)]
pub struct MigrationController {
    timing: Timing,
    /// Target pods that were asked for and not seen yet, by the migration's UID: they take a place already.
    asked: BTreeMap<String, Timestamp>,
    /// Migrations that were handed over, by UID: the VMI may not show it yet.
    handed_over: BTreeSet<String>,
    /// Migrations of which it was said why they wait, by UID.
    told: BTreeSet<String>,
}

impl MigrationController {
    /// With the waits and time-outs of `timing`.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self { timing, asked: BTreeMap::new(), handed_over: BTreeSet::new(), told: BTreeSet::new() }
    }
}

/// A migration, and what there is around it.
struct Case<'a> {
    view: &'a View,
    migration: &'a Value,
    vmi: &'a Value,
    launchers: Vec<&'a Value>,
    timing: &'a Timing,
    now: Timestamp,
}

impl<'a> Case<'a> {
    fn target(&self) -> Option<&'a Value> {
        target_of(self.migration, &self.launchers)
    }

    fn source(&self) -> Option<&'a Value> {
        current(self.vmi, &self.launchers)
    }

    /// Whether the VMI's migration state is that of this migration.
    fn is_on_vmi(&self) -> bool {
        text(self.vmi, "/status/migrationState/migrationUid") == uid_of(self.migration)
    }

    /// Whether a setting of the VMI keeps the migration in that phase.
    fn is_held_in(&self, phase: &str) -> bool {
        self.timing.is_held_in(self.vmi, self.migration, phase)
    }

    fn record(&self, happening: Happening, turn: &mut Turn) {
        turn.writes.push(happening.about(MIGRATION, self.migration, self.now));
    }

    fn record_on_vmi(&self, happening: Happening, turn: &mut Turn) {
        turn.writes.push(happening.about(INSTANCE, self.vmi, self.now));
    }
}

impl Actor for MigrationController {
    fn name(&self) -> &'static str {
        "virt-controller-migration"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![MIGRATION, INSTANCE, POD, NODE, KUBEVIRT]
    }

    fn act(&mut self, view: &View, now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let configuration = Configuration::of(view);
        let mut turn = Turn::default();
        let timing = self.timing.clone();
        self.forget(view, now);
        for migration in queue::in_order(view) {
            let Some(vmi) = vmi_of(view, migration) else {
                turn.writes.extend(without_vmi(migration));
                continue;
            };
            if let Some(adopted) = adopt(migration) {
                turn.writes.push(adopted);
                continue;
            }
            let case = Case { view, migration, vmi, launchers: launchers_of(view, vmi), timing: &timing, now };
            self.sync(&case, &configuration, &mut turn);
            let next = self.next_status(&case, &mut turn);
            turn.writes.extend(next);
        }
        turn.writes.extend(keep::superfluous(view));
        turn
    }
}

impl MigrationController {
    /// What is done for a migration: to pods and to the VMI.
    fn sync(&mut self, case: &Case, configuration: &Configuration, turn: &mut Turn) {
        let is_completed = case.is_on_vmi() && case.vmi["status"]["migrationState"]["completed"] == true;
        if is_deleting(case.vmi) || is_completed || !queue::may_take_over(case) {
            return;
        }
        let is_cancelled = is_deleting(case.migration);
        match phase(case.migration) {
            "Pending" | "Scheduling" if is_cancelled => target::cancel(case, turn),
            "Scheduled" if is_cancelled && !self.is_handed_over(case) => target::cancel(case, turn),
            "Pending" => self.sync_pending(case, configuration, turn),
            "Scheduling" => self.wait_for_target(case, turn),
            "Scheduled" if !case.is_held_in("Scheduled") && hand_over::begin(case, configuration, turn) => {
                self.handed_over.insert(uid_of(case.migration).to_owned());
            }
            "PreparingTarget" | "TargetReady" => hand_over::fail_if_target_is_down(case, turn),
            "Failed" => hand_over::fail_after_the_migration(case, turn),
            "Running" if is_cancelled => hand_over::request_abort(case, turn),
            _ => {}
        }
    }

    fn sync_pending(&mut self, case: &Case, configuration: &Configuration, turn: &mut Turn) {
        if let Some(until) = queue::back_off(case) {
            if self.told.insert(uid_of(case.migration).to_owned()) {
                let message = format!("backoff migrating vmi {}", queue::vmi_key(case));
                case.record_on_vmi(Happening::warning(Source::Controller, "MigrationBackoff", message), turn);
            }
            turn.look_again(until);
        } else if case.target().is_some() {
            self.wait_for_target(case, turn);
        } else if !case.is_held_in("Pending") && queue::has_place(case, configuration, &self.asked) {
            self.asked.insert(uid_of(case.migration).to_owned(), case.now);
            target::create(case, turn);
        }
    }

    fn wait_for_target(&mut self, case: &Case, turn: &mut Turn) {
        let key = format!("{} unschedulable", uid_of(case.migration));
        if target::wait_for(case, turn) && self.told.insert(key) {
            let vmi = queue::vmi_key(case);
            let message = format!("Migration target pod for VMI [{vmi}] is currently unschedulable.");
            case.record(Happening::warning(Source::Controller, "migrationTargetPodUnschedulable", message), turn);
        }
    }

    fn is_handed_over(&self, case: &Case) -> bool {
        case.is_on_vmi() || self.handed_over.contains(uid_of(case.migration))
    }

    fn next_status(&self, case: &Case, turn: &mut Turn) -> Option<Write> {
        let next = status::next(case, self.is_handed_over(case), turn);
        if let Some(changed) = change(MIGRATION, Some("status"), case.migration, &next) {
            return Some(changed);
        }
        // The finalizer goes one write after the end.
        let mut next = case.migration.clone();
        if is_final(&next) {
            remove_finalizer(&mut next, MIGRATION_FINALIZER);
        }
        change(MIGRATION, None, case.migration, &next)
    }

    fn forget(&mut self, view: &View, now: Timestamp) {
        // A pod that was not seen after ten seconds was not made.
        let is_recent = |asked: &Timestamp| now.duration_since(*asked).as_secs() < 10;
        self.asked.retain(|_, asked| is_recent(asked));
        let unfinished: BTreeSet<&str> =
            view.all(MIGRATION).filter(|migration| !is_final(migration)).map(uid_of).collect();
        self.handed_over.retain(|migration| unfinished.contains(migration.as_str()));
        self.told.retain(|told| unfinished.contains(told.split(' ').next().unwrap_or_default()));
    }
}

/// What KubeVirt's mutating webhook and virt-controller's first write do to a new migration.
fn adopt(migration: &Value) -> Option<Write> {
    if is_deleting(migration) || is_final(migration) {
        return None;
    }
    let mut next = migration.clone();
    if label(migration, VMI_NAME).is_none() {
        next["metadata"]["labels"][VMI_NAME] = vmi_name(migration).into();
    }
    if phase(migration).is_empty() {
        add_finalizer(&mut next, MIGRATION_FINALIZER);
    }
    for key in OBSERVED_API_VERSIONS {
        next["metadata"]["annotations"][key] = "v1".into();
    }
    change(MIGRATION, None, migration, &next)
}

/// A migration whose VMI has gone goes too. (The real controller leaves one alone that was deleted already: its finalizer
/// keeps it until there is a VMI of that name.)
fn without_vmi(migration: &Value) -> Option<Write> {
    if !is_deleting(migration) {
        return Some(delete(MIGRATION, migration));
    }
    let mut next = migration.clone();
    remove_finalizer(&mut next, MIGRATION_FINALIZER);
    change(MIGRATION, None, migration, &next)
}
