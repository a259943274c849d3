//! What the command line says when it cannot even begin.

use std::{process::Stdio, time::Duration};

use careen_tests::{case::Case, kubectl::kubectl};
use tokio::process::Command;

pub async fn a_missing_kubeconfig_is_one_sentence(case: Case) {
    let complaint = fails(&case, "/no/such/kubeconfig").await;
    assert!(complaint.contains("/no/such/kubeconfig"), "it names the file: {complaint}");
}

pub async fn a_kubeconfig_that_points_nowhere_is_one_sentence(case: Case) {
    let control_plane = &case.suite.control_plane;
    let nowhere = control_plane.folder().join("nowhere.kubeconfig").display().to_string();
    std::fs::copy(control_plane.variable("CAREEN_KUBECONFIG"), &nowhere).unwrap();
    let change = ["--kubeconfig", &nowhere, "config", "set-cluster", "careen-test", "--server=https://127.0.0.1:1"];
    let _ = kubectl(control_plane, &change, "").await.ok();
    let complaint = fails(&case, &nowhere).await;
    assert!(complaint.contains("127.0.0.1:1"), "it names the address: {complaint}");
}

/// `careen serve` ends by itself and without success: the last line that it says.
async fn fails(case: &Case, kubeconfig: &str) -> String {
    let run = Command::new(case.suite.binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--kubeconfig", kubeconfig])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(40), run).await.expect("it ends").unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it should have failed: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr.lines().rfind(|line| !line.trim().is_empty()).expect("it says why").to_owned()
}
