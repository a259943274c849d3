//! `careen demo` as a process, without its story.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;
use tokio::time::timeout;

use crate::{
    kubectl::{Kubectl, Output},
    objects::{condition, list},
    wait::{DRAIN, check, until},
};

/// No kubectl hangs for longer than this: a drain takes half a minute.
const LIMIT: Duration = Duration::from_secs(180);

/// The VMs of its cluster.
const VMS: usize = 7;

/// A demo that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Demo {
    process: Mutex<Child>,
    /// Kept: who has nobody to talk to ends.
    _stdout: BufReader<ChildStdout>,
    /// kubectl on its cluster.
    pub kubectl: Kubectl,
}

impl Demo {
    /// Starts that binary; its files are in that folder.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        let mut process = Command::new(binary)
            .args(["demo", "--listen=127.0.0.1:0", "--no-story"])
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut stdout = BufReader::new(process.stdout.take().ok_or("it has no stdout")?);
        let mut said = String::new();
        while !said.contains("/readyz") {
            if stdout.read_line(&mut said).map_err(|error| error.to_string())? == 0 {
                return Err(format!("`careen demo` has ended: {said}"));
            }
        }
        let kubeconfig = said.split_once("KUBECONFIG=").and_then(|(_, rest)| rest.split_whitespace().next());
        let kubeconfig = kubeconfig.ok_or_else(|| format!("`careen demo` names no kubeconfig: {said}"))?.into();
        let kubectl = Kubectl { program: Kubectl::built(), kubeconfig, cache: folder.join("kube-cache") };
        Ok(Self { process: Mutex::new(process), _stdout: stdout, kubectl })
    }

    /// Waits until everything runs that its cluster has.
    pub async fn is_full(&self) {
        until(DRAIN, "all VMs of the demo run", async || {
            let vmis = self.objects("vmi --all-namespaces").await;
            let ready = vmis.iter().filter(|vmi| condition(vmi, "Ready") == "True").count();
            check(ready == VMS, || format!("{ready} of {VMS}"))
        })
        .await;
        until(DRAIN, "all pods of the demo run or have ended", async || {
            let pods = self.objects("pods --all-namespaces").await;
            let is_there = |pod: &Value| condition(pod, "Ready") == "True" || pod["status"]["phase"] == "Succeeded";
            let missing = pods.iter().filter(|pod| !is_there(pod)).count();
            check(missing == 0, || format!("{missing} of {} do not", pods.len()))
        })
        .await;
    }

    /// kubectl with those arguments, which have no blanks in them: what it said.
    pub async fn kubectl(&self, arguments: &str, stdin: &str) -> Output {
        let ended = timeout(LIMIT, self.kubectl.run(&split(arguments), stdin)).await;
        ended.unwrap_or_else(|_| panic!("kubectl {arguments} hangs"))
    }

    /// The same, and it has to work: what it printed.
    pub async fn says(&self, arguments: &str) -> String {
        self.kubectl(arguments, "").await.ok().stdout
    }

    /// The same, and it has to be refused: what it complained about.
    pub async fn refuses(&self, arguments: &str) -> String {
        self.kubectl(arguments, "").await.refused()
    }

    /// What `kubectl get` finds: one object.
    pub async fn object(&self, arguments: &str) -> Value {
        let found = self.says(&format!("get {arguments} --output=json")).await;
        serde_json::from_str(&found).expect("kubectl prints JSON")
    }

    /// What `kubectl get` finds: a list.
    pub async fn objects(&self, arguments: &str) -> Vec<Value> {
        list(&self.object(arguments).await, "/items").to_vec()
    }

    /// Asks it to end, and waits until it has.
    pub fn end(&self) {
        let mut process = self.process.lock().expect("nobody panics while it ends");
        Command::new("bash").args(["-c", "kill -TERM \"$0\"", &process.id().to_string()]).status().ok();
        process.wait().ok();
    }
}

/// Arguments as a person types them.
#[must_use]
pub fn split(arguments: &str) -> Vec<&str> {
    arguments.split_whitespace().collect()
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}
