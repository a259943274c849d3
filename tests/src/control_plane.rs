//! The cluster of the cases: the real control plane that `controlplane/` builds and starts, or the one in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use careen_sim::api_server::ApiServer;

use crate::{audit::AuditLog, in_memory, repository};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Programs of Kubernetes as they are released.
    Real,
    /// `careen-sim`.
    InMemory,
}

/// A control plane that runs. The real one ends with [`ControlPlane::down`].
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    env: BTreeMap<String, String>,
    in_memory: Option<ApiServer>,
}

impl ControlPlane {
    /// Starts an empty one; its files are in that folder.
    pub async fn up(kind: Kind, folder: &Path) -> Result<Self, String> {
        match kind {
            Kind::Real => Self::up_real(folder),
            Kind::InMemory => {
                let (server, env) = in_memory::start(folder).await?;
                Ok(Self { folder: folder.to_owned(), env, in_memory: Some(server) })
            }
        }
    }

    /// The manifests of `deploy/` that this cluster knows the kinds of, as arguments of kubectl.
    pub fn manifests(&self) -> std::io::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(repository().join("deploy"))? {
            let path = entry?.path();
            let is_manifest = path.extension().is_some_and(|extension| extension == "yaml");
            // The one in memory has no flow control.
            let is_known = self.in_memory.is_none() || path.file_stem().is_none_or(|name| name != "flow-schema");
            if is_manifest && is_known {
                files.push(format!("--filename={}", path.display()));
            }
        }
        Ok(files)
    }

    fn up_real(folder: &Path) -> Result<Self, String> {
        let status = script()
            .arg("up")
            .arg(folder)
            .stdout(std::process::Stdio::null())
            .status()
            .map_err(|error| format!("tests/controlplane/controlplane: {error}"))?;
        if !status.success() {
            return Err(format!("tests/controlplane/controlplane up: {status}"));
        }
        let mut env = BTreeMap::new();
        let text = std::fs::read_to_string(folder.join("env")).map_err(|error| error.to_string())?;
        for line in text.lines() {
            // None of the values needs quotes: they are paths without blanks, and URLs.
            if let Some((name, value)) = line.strip_prefix("export ").and_then(|line| line.split_once('=')) {
                env.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(Self { folder: folder.to_owned(), env, in_memory: None })
    }

    /// Ends what runs in that folder; its logs stay. What is in memory ends with this process.
    pub fn down(folder: &Path) {
        if !folder.join("pids").exists() {
            return;
        }
        match script().arg("down").arg(folder).status() {
            Ok(status) if status.success() => {}
            failed => eprintln!("the control plane in {} did not end: {failed:?}", folder.display()),
        }
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A variable of its `env` (`KUBECONFIG`, `CAREEN_KUBECONFIG`, …).
    #[must_use]
    pub fn variable(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("{name} is not in {}/env", self.folder.display()))
    }

    /// The API server, if it is in this process.
    #[must_use]
    pub fn in_memory(&self) -> Option<&ApiServer> {
        self.in_memory.as_ref()
    }

    /// Its audit log.
    #[must_use]
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.variable("AUDIT_LOG").into())
    }
}

fn script() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane/controlplane"))
}
