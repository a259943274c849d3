//! The official client for Python: `official_client.py` is the case.

use std::path::PathBuf;

use careen_tests::{careen::target_folder, demo::Demo};
use tokio::process::Command;

/// Of the minor version of Kubernetes that the cluster has.
const CLIENT: &str = "kubernetes==37.0.2";

pub async fn the_official_client_lists_watches_and_evicts(demo: &Demo) {
    // Whatever was drained before has to be back.
    demo.says("wait --for=jsonpath={.status.readyReplicas}=12 deployment/web -n shop --timeout=120s").await;
    demo.says("wait --for=jsonpath={.status.disruptionsAllowed}=1 pdb/web -n shop --timeout=120s").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/official_client.py");
    let mut python = Command::new(with_client().await);
    run(python.arg(script).env("KUBECONFIG", &demo.kubectl.kubeconfig)).await;
}

/// An interpreter that has the client; it is kept.
async fn with_client() -> PathBuf {
    let folder = target_folder().join("kubernetes-client");
    let (python, is_complete) = (folder.join("bin/python"), folder.join(CLIENT));
    if !is_complete.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", CLIENT];
        run(Command::new(&python).args(pip)).await;
        std::fs::write(is_complete, "").unwrap();
    }
    python
}

async fn run(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", said(&output.stdout), said(&output.stderr));
}
