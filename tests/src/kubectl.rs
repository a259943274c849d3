//! kubectl, as a person uses it.

use std::{path::PathBuf, process::Stdio};

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

/// kubectl and where it leads.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// The program.
    pub program: PathBuf,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where it keeps what it has discovered.
    pub cache: PathBuf,
}

impl Kubectl {
    /// The one that `controlplane/build` makes.
    #[must_use]
    pub fn built() -> PathBuf {
        concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane/bin/kubectl").into()
    }

    /// A command that is still to be run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it.
    pub async fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        finish(self.command(arguments), stdin).await
    }
}

/// Runs a command with that on its stdin.
pub async fn finish(mut command: Command, stdin: &str) -> Output {
    let mut child = command.spawn().expect("kubectl starts");
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

/// Runs it as the cluster's administrator.
pub async fn kubectl(control_plane: &ControlPlane, arguments: &[&str], stdin: &str) -> Output {
    let variable = |name: &str| control_plane.variable(name).into();
    let kubectl =
        Kubectl { program: variable("KUBECTL"), kubeconfig: variable("KUBECONFIG"), cache: variable("KUBECACHEDIR") };
    kubectl.run(arguments, stdin).await
}
