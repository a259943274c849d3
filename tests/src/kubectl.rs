//! kubectl, as a person uses it.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt, process::Command};

use crate::control_plane::ControlPlane;

/// What kubectl said.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit status.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// It must have worked.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "kubectl: {}{}", self.stdout, self.stderr);
        self
    }

    /// It must have been refused; what it said.
    #[must_use]
    pub fn refused(self) -> String {
        assert_ne!(self.code, 0, "kubectl should have been refused: {}", self.stdout);
        self.stderr
    }
}

/// Runs it as the cluster's administrator.
pub async fn kubectl(control_plane: &ControlPlane, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(control_plane.variable("KUBECTL"))
        .args(arguments)
        .env("KUBECONFIG", control_plane.variable("KUBECONFIG"))
        .env("KUBECACHEDIR", control_plane.variable("KUBECACHEDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl starts");
    let mut input = child.stdin.take().unwrap();
    // kubectl may end without reading all of it.
    input.write_all(stdin.as_bytes()).await.ok();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
