//! What the command line says when it cannot even begin.

use std::{process::Stdio, time::Duration};

use careen_tests::case::Case;
use tokio::process::Command;

pub async fn a_missing_kubeconfig_is_one_sentence(case: Case) {
    let complaint = fails(&case, "/no/such/kubeconfig").await;
    assert!(complaint.contains("/no/such/kubeconfig"), "it names the file: {complaint}");
}

pub async fn a_kubeconfig_that_points_nowhere_is_one_sentence(case: Case) {
    let careens = std::fs::read_to_string(case.suite.control_plane.variable("CAREEN_KUBECONFIG")).unwrap();
    let nowhere = case.suite.control_plane.folder().join("nowhere.kubeconfig");
    let changed: Vec<String> = careens
        .lines()
        .map(|line| if line.contains("server:") { "    server: https://127.0.0.1:1".into() } else { line.to_owned() })
        .collect();
    std::fs::write(&nowhere, changed.join("\n")).unwrap();
    let complaint = fails(&case, nowhere.to_str().unwrap()).await;
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
