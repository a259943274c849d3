//! What all cases share: one control plane, one KubeVirt, one `careen serve`; and the clean-up, however the run ends.

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use serde_json::Value;
use tokio::{runtime::Runtime, sync::Mutex};

use crate::{
    audit::AuditLog,
    careen::{self, Options, Serve},
    control_plane::{ControlPlane, Kind},
    kubectl::{Output, kubectl},
    kubevirt::KubeVirt,
    nodes,
    objects::{Cluster, client, kinds, list, name_of, text},
    rest::Answer,
};

/// Set to anything, it leaves the control plane running at the end, for a look at it.
const KEEP: &str = "CAREEN_TESTS_KEEP";

/// What all cases share.
#[derive(Debug)]
pub struct Suite {
    runtime: Runtime,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// The cluster, as its administrator.
    pub cluster: Cluster,
    /// What plays KubeVirt.
    pub kubevirt: KubeVirt,
    serve: Mutex<ServeState>,
}

#[derive(Debug)]
enum ServeState {
    NotRunning,
    Running(Serve),
    /// It cannot be started; every case that needs it says why.
    Broken(String),
}

impl Suite {
    /// Starts everything but `careen serve`, which the first case that needs it starts.
    pub fn start(kind: Kind) -> Result<&'static Self, String> {
        let runs = careen::target_folder().join("e2e");
        clean_up_after_killed_runs(&runs);
        let folder = runs.join(std::process::id().to_string());
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.spawn(end_on_signal(folder.clone()));

        careen::build(&folder.join("careen"))?;
        let suite = runtime.block_on(async {
            let control_plane = ControlPlane::up(kind, &folder).await?;
            let cluster = Cluster::connect(control_plane.variable("KUBECONFIG")).await;
            let crd = custom_resource_definition(&folder.join("careen"))?;
            let applied = kubectl(&control_plane, &["apply", "-f", "-"], &crd).await;
            if applied.code != 0 {
                return Err(format!("the CustomResourceDefinition was refused: {}", applied.stderr));
            }
            cluster.until_served(kinds::MAINTENANCE).await;
            install_rights(&control_plane).await?;
            let actors = client(control_plane.variable("NODES_KUBECONFIG")).await;
            nodes::play(actors.clone());
            let kubevirt = KubeVirt::install(&control_plane, &cluster, actors).await;
            Ok((control_plane, cluster, kubevirt))
        });
        match suite {
            Ok((control_plane, cluster, kubevirt)) => Ok(Box::leak(Box::new(Self {
                runtime,
                control_plane,
                cluster,
                kubevirt,
                serve: Mutex::new(ServeState::NotRunning),
            }))),
            Err(error) => {
                end(&folder);
                Err(error)
            }
        }
    }

    /// Ends everything.
    pub fn end(&self) {
        self.block_on(self.stop_careen());
        end(self.control_plane.folder());
    }

    /// Runs a future on this thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// kubectl, as the administrator.
    pub async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        kubectl(&self.control_plane, arguments, stdin).await
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> AuditLog {
        self.control_plane.audit()
    }

    /// The binary under test.
    #[must_use]
    pub fn binary(&self) -> PathBuf {
        self.control_plane.folder().join("careen")
    }

    /// Its log, of all its runs.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.control_plane.folder().join("logs/careen.log")
    }

    /// Makes sure that `careen serve` runs and is ready.
    pub async fn start_careen(&self) -> Result<(), String> {
        self.start_careen_with(&Options::default()).await
    }

    /// Likewise; if it is to be started, with these options.
    pub async fn start_careen_with(&self, options: &Options) -> Result<(), String> {
        let mut state = self.serve.lock().await;
        match &mut *state {
            ServeState::Running(serve) => match serve.ended() {
                None => return Ok(()),
                Some(status) => {
                    *state = ServeState::NotRunning;
                    return Err(format!("`careen serve` has ended by itself ({status}); {}", self.end_of_log()));
                }
            },
            ServeState::Broken(why) => return Err(why.clone()),
            ServeState::NotRunning => {}
        }
        let kubeconfig = self.control_plane.variable("CAREEN_KUBECONFIG");
        let pid_file = pid_file(self.control_plane.folder());
        match Serve::start(&self.binary(), kubeconfig, options, &self.log(), &pid_file).await {
            Ok(serve) => {
                *state = ServeState::Running(serve);
                Ok(())
            }
            Err(why) => {
                let why = format!("{why}; {}", self.end_of_log());
                *state = ServeState::Broken(why.clone());
                Err(why)
            }
        }
    }

    /// Ends `careen serve` in good order, if it runs.
    pub async fn stop_careen(&self) -> Option<ExitStatus> {
        match std::mem::replace(&mut *self.serve.lock().await, ServeState::NotRunning) {
            ServeState::Running(serve) => Some(serve.terminate().await),
            ServeState::NotRunning | ServeState::Broken(_) => None,
        }
    }

    /// `kill -9`.
    pub async fn kill_careen(&self) {
        match std::mem::replace(&mut *self.serve.lock().await, ServeState::NotRunning) {
            ServeState::Running(serve) => serve.kill(),
            ServeState::NotRunning | ServeState::Broken(_) => panic!("careen serve should run here"),
        }
    }

    /// A page of `careen serve` (`/metrics`).
    pub async fn careen_page(&self, path: &str) -> Result<(u16, String), String> {
        match &*self.serve.lock().await {
            ServeState::Running(serve) => serve.get(path).await,
            ServeState::NotRunning | ServeState::Broken(_) => Err("careen serve does not run".to_owned()),
        }
    }

    /// A request to the REST service of `careen serve`, with these header fields.
    pub async fn rest(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, String> {
        let answering = match &*self.serve.lock().await {
            ServeState::Running(serve) => serve.address(),
            ServeState::NotRunning | ServeState::Broken(_) => return Err("careen serve does not run".to_owned()),
        };
        answering.rest(method, path, fields, body).await
    }

    fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("its log ends:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}

/// What `careen crd` prints.
fn custom_resource_definition(binary: &Path) -> Result<String, String> {
    let output = std::process::Command::new(binary).arg("crd").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && !text.trim().is_empty() {
        return Ok(text);
    }
    Err(format!("`careen crd` printed no definition ({})", output.status))
}

/// Installs what `deploy/` says about rights and namespaces: Careen's account has exactly these.
async fn install_rights(control_plane: &ControlPlane) -> Result<(), String> {
    let files = control_plane.manifests().map_err(|error| format!("deploy/: {error}"))?;
    let mut read: Vec<&str> = vec!["create", "--dry-run=client", "-o", "json"];
    read.extend(files.iter().map(String::as_str));
    let read = kubectl(control_plane, &read, "").await;
    if read.code != 0 {
        return Err(format!("deploy/ does not parse: {}", read.stderr));
    }
    let mut objects = Vec::new();
    for document in serde_json::Deserializer::from_str(&read.stdout).into_iter::<Value>() {
        let document = document.map_err(|error| error.to_string())?;
        match list(&document, "/items") {
            [] => objects.push(document),
            items => objects.extend(items.iter().cloned()),
        }
    }
    // Rights and what they are about; Careen itself runs here as a process, and its definition is there already.
    let order =
        ["Namespace", "ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "FlowSchema"];
    for kind in order {
        for object in objects.iter().filter(|object| text(object, "/kind") == kind) {
            let applied = kubectl(control_plane, &["apply", "-f", "-"], &object.to_string()).await;
            if applied.code != 0 {
                return Err(format!("deploy/: {kind} {}: {}", name_of(object), applied.stderr));
            }
        }
    }
    Ok(())
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("careen.pid")
}

/// Ctrl-C and a request to end reach this process only: the control plane has a session of its own.
async fn end_on_signal(folder: PathBuf) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    eprintln!("careen-tests: interrupted");
    end(&folder);
    std::process::exit(130);
}

fn end(folder: &Path) {
    if std::env::var_os(KEEP).is_some() {
        eprintln!(
            "careen-tests: {KEEP} is set, so the control plane goes on; to use it:\n  . {0}/env\nto end it:\n  {1} down {0}",
            folder.display(),
            concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane/controlplane"),
        );
        return;
    }
    kill_left_over_careen(folder);
    ControlPlane::down(folder);
}

/// Kills a `careen serve` of that run, if it outlived it.
fn kill_left_over_careen(folder: &Path) {
    let Ok(pid) = std::fs::read_to_string(pid_file(folder)) else { return };
    // The number may belong to somebody else by now.
    let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if arguments.contains(&*folder.to_string_lossy()) {
        std::process::Command::new("bash").args(["-c", "kill -KILL \"$0\"", &pid]).status().ok();
    }
    std::fs::remove_file(pid_file(folder)).ok();
}

/// A run that was killed with -9 could not clean up. Runs that were kept on purpose go as well.
fn clean_up_after_killed_runs(runs: &Path) {
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let alive = Path::new("/proc").join(&pid).exists();
        if !alive && entry.path().join("pids").exists() {
            kill_left_over_careen(&entry.path());
            ControlPlane::down(&entry.path());
        }
    }
    forget_old_runs(runs);
}

/// The logs of the last few runs stay.
fn forget_old_runs(runs: &Path) {
    let mut finished: Vec<_> = std::fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !Path::new("/proc").join(entry.file_name()).exists())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    finished.sort();
    for (_, folder) in finished.iter().rev().skip(5) {
        std::fs::remove_dir_all(folder).ok();
    }
}
