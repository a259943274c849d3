//! Careen's end-to-end cases: the real binary against a real control plane, as people and programs see it.
//!
//! `cargo test -p careen-tests --features controlplane [-- FILTER]`; `tests/README.md` has the rest.

mod bad_input;
mod call_backs;
mod command_line;
mod control_plane_nodes;
mod definition;
mod graphql;
mod harness;
mod maintenance;
mod measured;
mod node_lease;
mod pods;
mod python;
mod record;
mod requests;
mod rest;
mod rest_access;
mod restart;
mod rights;
mod virtual_machines;

use std::process::ExitCode;

use careen_tests::{
    case::{self, Body},
    control_plane::Kind,
    suite::Suite,
};
use libtest_mimic::{Arguments, Trial};

/// How many cases run at the same time, unless `--test-threads` says otherwise.
const THREADS: usize = 4;

/// A case and its name.
type Named = (&'static str, Body);

macro_rules! cases {
    ($($module:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |case| Box::pin($module::$name(case)))),*]
    };
}

/// What needs no `careen serve`.
const WITHOUT_CAREEN: &[Named] = cases![
    harness::a_node_and_its_pods_live_and_leave,
    harness::the_audit_log_counts_requests,
    harness::kubectl_talks_to_the_cluster,
    definition::everything_in_deploy_is_accepted,
    harness::the_maintenance_resource_is_served,
    harness::evictions_of_vms_are_answered_as_kubevirt_does,
    harness::an_evicted_vm_migrates,
    harness::an_evacuation_can_be_cancelled,
    harness::a_vm_without_a_strategy_starts_again_elsewhere,
    command_line::a_missing_kubeconfig_is_one_sentence,
    command_line::a_kubeconfig_that_points_nowhere_is_one_sentence,
];

/// Those of the Python package, whose controllers lead where no `careen serve` does.
const PYTHON: &[Named] = cases![python::the_whole_life_blocking, python::the_whole_life_in_asyncio,];

/// What can run side by side.
const TOGETHER: &[Named] = cases![
    maintenance::the_well_known_manifest_takes_a_node_out_and_deleting_it_brings_it_back,
    maintenance::a_node_that_was_cordoned_before_is_cordoned_after,
    maintenance::foreign_taints_stay_in_their_order,
    maintenance::a_drain_taint_that_was_there_before_stays,
    maintenance::a_node_uncordoned_by_hand_is_cordoned_again,
    maintenance::three_nodes_at_once_do_not_wait_for_each_other,
    maintenance::deleting_it_in_mid_drain_stops_the_drain_and_restores,
    pods::finished_pods_are_deleted_and_pods_bound_to_the_node_stay,
    pods::two_budgets_on_one_pod_are_stuck,
    pods::a_budget_that_never_allows_is_stuck_until_it_is_changed,
    pods::a_budget_that_allows_nothing_at_the_moment_is_waited_for,
    record::a_finalizer_removed_by_force_does_not_keep_the_node_cordoned,
    record::a_record_removed_by_hand_is_written_again,
    record::a_record_that_does_not_parse_is_only_reported,
    record::a_record_with_somebody_elses_taint_is_only_reported,
    record::a_record_of_an_unknown_drain_is_only_reported,
    record::a_record_of_another_node_is_only_reported,
    node_lease::a_node_that_somebody_else_holds_is_left_alone_until_it_is_free,
    bad_input::a_node_that_does_not_exist,
    bad_input::a_second_maintenance_of_a_node_names_the_first,
    bad_input::an_empty_or_changed_node_name,
    bad_input::an_unknown_field,
    bad_input::a_selector_that_does_not_parse,
    bad_input::a_maintenance_of_another_controller,
    bad_input::a_node_that_vanishes_in_mid_drain_and_comes_back,
    bad_input::a_node_that_is_not_ready_is_never_called_drained,
    control_plane_nodes::quorum_decides_whether_a_control_plane_node_may_go,
    virtual_machines::a_vm_that_can_migrate_migrates,
    virtual_machines::a_vm_without_a_strategy_is_shut_down_and_starts_elsewhere,
    virtual_machines::vms_that_would_not_start_again_block_and_say_so,
    virtual_machines::a_vm_that_cannot_migrate_blocks_until_it_may_be_shut_down,
    virtual_machines::a_vm_that_can_migrate_if_possible_is_shut_down_where_it_cannot,
    virtual_machines::an_absent_virt_api_is_waited_for,
    virtual_machines::a_failed_migration_is_tried_again_by_kubevirt_alone,
    virtual_machines::a_vm_that_starts_is_waited_for,
    virtual_machines::careen_migrates_what_has_no_strategy_when_asked_to,
    virtual_machines::stopping_takes_marks_back_and_leaves_running_migrations,
    virtual_machines::stopping_ends_migrations_that_have_not_begun,
    virtual_machines::a_forged_evacuation_is_not_taken_back,
    rest::nobody_gets_in_without_a_token_that_kubernetes_knows,
    rest::who_reads_nodes_sees_no_workloads,
    rest::who_may_cordon_may_not_drain,
    rest::who_may_create_maintenances_may_nothing_else,
    rest::a_drain_is_ordered_followed_and_forgotten_when_the_node_is_uncordoned,
    rest::a_cancelled_drain_leaves_the_node_cordoned,
    rest::the_roles_for_users_fit_the_operations,
    rest::a_maintenance_is_followed_to_its_end_and_waited_for,
    rest_access::a_viewer_changes_nothing_by_any_route,
    graphql::what_is_stuck_and_why,
    graphql::what_would_happen_if_a_node_were_drained,
];

/// What counts all requests, or stops `careen serve`: one at a time, after the others.
const ALONE: &[Named] = cases![
    requests::thirty_pods_cost_few_requests,
    requests::a_budget_of_one_is_asked_once_a_pod,
    requests::an_idle_careen_asks_for_nothing,
    requests::health_and_metrics_are_served,
    rest_access::reading_costs_one_review_of_a_token_and_of_each_right_in_ten_seconds,
    restart::a_killed_careen_goes_on_where_it_was,
    restart::a_finalizer_removed_while_careen_was_down,
    restart::a_maintenance_deleted_while_careen_was_down,
    restart::a_stop_releases_the_leader_lease,
    definition::a_missing_definition_is_named_and_picked_up_when_installed,
    rest::a_key_is_good_after_a_restart_and_after_the_end,
    call_backs::a_receiver_hears_of_the_whole_life_over_a_restart,
    rights::a_missing_right_is_named_and_waited_for,
];

/// What looks back at the whole run.
const AFTERWARDS: &[Named] = cases![rights::every_right_was_used_and_none_was_missing,];

/// What is measured and not asserted: `-- --ignored measured`.
const MEASURED: &[Named] =
    cases![measured::a_node_with_110_pods_of_30_seconds, measured::five_nodes_with_ten_pods_of_ten_seconds,];

/// Runs them on that cluster.
pub fn run(kind: Kind) -> ExitCode {
    let arguments = Arguments::from_args();
    // To look back at a part of the run would blame Careen for what was left out.
    let is_whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.ignored;
    // Which cases run together, whether they need `careen serve`, and whether they are left out.
    let groups: [(&[Named], bool, bool, bool); 6] = [
        (WITHOUT_CAREEN, true, false, false),
        (PYTHON, false, false, python::interpreter().is_none()),
        (TOGETHER, true, true, false),
        (ALONE, false, true, false),
        (MEASURED, false, true, true),
        (AFTERWARDS, false, false, !is_whole),
    ];

    if arguments.list {
        let trials = groups.iter().flat_map(|(cases, ..)| cases.iter());
        let trials = trials.map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let suite = match Suite::start(kind) {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("careen-tests: {error}");
            return ExitCode::FAILURE;
        }
    };
    case::keep_panics();
    let mut number = 0;
    let mut has_failed = false;
    for (cases, side_by_side, needs_careen, is_left_out) in groups {
        let trials: Vec<Trial> = cases
            .iter()
            .map(|&(name, body)| {
                number += 1;
                let id = format!("case{number:02}");
                Trial::test(name, move || case::run(suite, id, needs_careen, body)).with_ignored_flag(is_left_out)
            })
            .collect();
        // Spares the reader its "running 0 tests".
        if arguments.filter.as_ref().is_some_and(|filter| !trials.iter().any(|trial| trial.name().contains(filter))) {
            continue;
        }
        let mut arguments = arguments.clone();
        arguments.test_threads = Some(if side_by_side { arguments.test_threads.unwrap_or(THREADS) } else { 1 });
        has_failed |= libtest_mimic::run(&arguments, trials).has_failed();
    }
    suite.end();
    ExitCode::from(u8::from(has_failed))
}
