//! `careen demo` as those use it who try things on its cluster: with kubectl, and with the official client for Python.
//!
//! `cargo test -p careen-tests --features controlplane --test demo [-- FILTER]`; kubectl comes with the control plane.

mod drains;
mod python;
mod refusals;
mod verbs;

use std::{fs, process::ExitCode};

use careen_tests::{careen, demo::Demo};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Builder;

/// What a case does.
type Body = fn(&'static Demo) -> LocalBoxFuture<'static, ()>;

macro_rules! cases {
    ($($module:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |demo| Box::pin($module::$name(demo)))),*]
    };
}

/// One after the other, since they share a cluster: those that move its pods last.
const CASES: &[(&str, Body)] = cases![
    verbs::get_prints_the_tables_that_people_expect,
    verbs::get_prints_objects_and_selects_them,
    verbs::get_watches,
    verbs::describe_says_what_there_is_to_know,
    verbs::apply_creates_changes_and_leaves_alone,
    verbs::create_makes_what_it_is_told_to,
    verbs::edit_changes_what_the_editor_changed,
    verbs::patch_knows_three_ways,
    verbs::label_and_annotate_set_and_remove,
    verbs::scale_and_wait,
    verbs::delete_ends_objects_and_what_they_own,
    verbs::events_tell_what_happened,
    verbs::api_resources_and_explain,
    verbs::auth_can_i,
    refusals::what_is_wrong_is_refused_and_named,
    refusals::what_is_not_implemented_says_so,
    verbs::cordon_and_uncordon,
    drains::a_drain_that_may_not_go_on_evicts_nothing,
    drains::a_vm_that_cannot_migrate_is_waited_for,
    drains::a_vm_that_can_migrate_leaves_alive,
    python::the_official_client_lists_watches_and_evicts,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        let trials = CASES.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let folder = careen::target_folder().join("demo").join(std::process::id().to_string());
    let started = fs::create_dir_all(&folder).map_err(|error| error.to_string()).and_then(|()| {
        let binary = folder.join("careen");
        careen::build(&binary)?;
        Demo::start(&binary, &folder)
    });
    let demo = match started {
        Ok(demo) => demo,
        Err(error) => {
            eprintln!("careen-tests: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Any case relies on all that the demo has.
    live(demo.is_full());
    let demo: &'static Demo = Box::leak(Box::new(demo));
    let trials = CASES.iter().map(|&(name, body)| {
        Trial::test(name, move || {
            live(body(demo));
            Ok(())
        })
    });
    arguments.test_threads = Some(1);
    let outcome = libtest_mimic::run(&arguments, trials.collect());
    demo.end();
    fs::remove_dir_all(folder).ok();
    outcome.exit_code()
}

fn live(case: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(case);
}
