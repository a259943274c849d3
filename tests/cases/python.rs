//! Careen as a Python package: the whole life of a node as a script has it, `bindings-py/examples/life.py`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use careen_tests::{careen::target_folder, case::Case, kubevirt::Vm, objects::kinds, repository};
use serde_json::json;
use tokio::process::Command;

/// How long the script may take, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);

pub async fn the_whole_life_blocking(case: Case) {
    live(&case, &[]).await;
}

pub async fn the_whole_life_in_asyncio(case: Case) {
    live(&case, &["--asyncio"]).await;
}

/// A Python that has the package: `CAREEN_PYTHON`, or that in which `bindings-py/test` has installed the wheel.
pub fn interpreter() -> Option<PathBuf> {
    let given = std::env::var_os("CAREEN_PYTHON").map(PathBuf::from);
    given.or_else(|| Some(target_folder().join("python/venv/bin/python")).filter(|found| found.exists()))
}

async fn live(case: &Case, way: &[&str]) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    case.deployment("web", 3, 1).await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.launcher(&vmi, &a).await;
    case.available("web", 3).await;
    case.budget("web", "web", json!({"maxUnavailable": 1}), 1).await;
    let before = case.look_of(&a).await;
    case.node("b").await;

    let script = repository().join("bindings-py/examples/life.py");
    let vm = format!("{}/db", case.namespace);
    let kubeconfig = case.suite.control_plane.variable("KUBECONFIG");
    let ran = Command::new(interpreter().expect("without one this is left out"))
        .arg(script)
        .args([a.as_str(), vm.as_str(), "--kubeconfig", kubeconfig])
        .args(way)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(LIMIT, ran).await.expect("the script ends").unwrap();
    let (said, log) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{log}");
    assert!(said.contains("Drained: 0 of 4 are left"), "{said}\n{log}");
    case.looks_again(&a, &before).await;
    case.evictions().assert_none_accepted_twice();
    // Its controller leaves it behind, without a holder; `careen serve` is to make its own, with its own rights.
    case.cluster().delete(kinds::LEASE, "careen", "careen-controller").await;
}
