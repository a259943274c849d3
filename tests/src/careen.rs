//! The binary, and `careen serve` as a process.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use serde_json::Value;

use crate::{repository, rest::Answer, wait};

/// How long `careen serve` may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How long an answer of the REST service may take.
const REST: Duration = Duration::from_secs(70);

/// Builds the binary and copies it to `to`, so that a later build does not change it under a running suite.
/// `CAREEN_BIN` names another binary to test.
pub fn build(to: &Path) -> Result<(), String> {
    let built = if let Some(given) = std::env::var_os("CAREEN_BIN") {
        PathBuf::from(given)
    } else {
        let target = target_folder();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "careen", "--bin", "careen", "--target-dir"])
            .arg(&target)
            .current_dir(repository())
            .status()
            .map_err(|error| format!("cargo build: {error}"))?;
        if !status.success() {
            return Err("careen does not build".to_owned());
        }
        target.join("debug/careen")
    };
    std::fs::copy(&built, to).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(())
}

/// Cargo's target folder: this program is in `<target>/debug/deps`.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it is");
    program.ancestors().nth(3).expect("a test is in target/debug/deps").to_owned()
}

/// What it is started with besides.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// A `careen serve` that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    port: u16,
    pid_file: PathBuf,
}

impl Serve {
    /// Starts it and waits until it is ready. Its log is added to the file.
    pub async fn start(
        binary: &Path,
        kubeconfig: &str,
        options: &Options,
        log: &Path,
        pid_file: &Path,
    ) -> Result<Self, String> {
        let file = File::options().create(true).append(true).open(log).map_err(|error| error.to_string())?;
        let own_log = file.metadata().map_err(|error| error.to_string())?.len();
        let child = Command::new(binary)
            .args(["serve", "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0"])
            .args(&options.arguments)
            .envs(options.environment.iter().cloned())
            .env("RUST_LOG", "info,careen=debug,careen_core=debug")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(|error| error.to_string())?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        std::fs::write(pid_file, child.id().to_string()).map_err(|error| error.to_string())?;
        let mut serve = Self { child, port: 0, pid_file: pid_file.to_owned() };
        let started = std::time::Instant::now();
        loop {
            let ready = match port_in(log, own_log) {
                Some(port) => {
                    serve.port = port;
                    serve.get("/readyz").await
                }
                None => Err("it does not listen yet".to_owned()),
            };
            if ready.as_ref().is_ok_and(|(code, _)| *code == 200) {
                return Ok(serve);
            }
            if let Some(status) = serve.ended() {
                return Err(format!("`careen serve` ended instead of getting ready ({status})"));
            }
            if started.elapsed() > READY {
                return Err(format!("`careen serve` was not ready within {READY:?}; /readyz: {ready:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        Command::new("bash").args(["-c", "kill -TERM \"$0\"", &pid]).status().expect("bash");
        wait::soon("careen serve ends after SIGTERM", async || {
            self.child.try_wait().map_err(|error| error.to_string())?.ok_or("it still runs".to_owned())
        })
        .await
    }

    /// One of its own pages.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        http_get(self.port, path).await
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { port: self.port }
    }
}

/// Where a `careen serve` answers.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    port: u16,
}

impl Address {
    /// A request to the REST service, with these header fields. (A stream of events is read to its end.)
    pub async fn rest(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, String> {
        let mut lines = fields.iter().fold(String::new(), |lines, (name, value)| lines + name + ": " + value + "\r\n");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            lines.push_str("Content-Type: application/json\r\n");
        }
        let (code, header, text) = exchange(self.port, method, path, &lines, &body, REST).await?;
        Ok(Answer { code, header, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.pid_file).ok();
    }
}

/// The port that it says it listens on, in what was written to its log from that place on. It takes a free one by
/// itself: one that was found here could be somebody else's by then.
fn port_in(log: &Path, begin: u64) -> Option<u16> {
    let mut text = Vec::new();
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(begin)).ok()?;
    file.read_to_end(&mut text).ok()?;
    port_of(&String::from_utf8_lossy(&text))
}

fn port_of(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening on http://127.0.0.1:")?;
    // Without something behind it, it may be a part of the number.
    let (port, _) = rest.split_once(|letter: char| !letter.is_ascii_digit())?;
    port.parse().ok()
}

async fn http_get(port: u16, path: &str) -> Result<(u16, String), String> {
    let (code, _, body) = exchange(port, "GET", path, "", "", Duration::from_secs(5)).await?;
    Ok((code, body))
}

/// One request on a connection of its own: the code, the header and the body.
async fn exchange(
    port: u16,
    method: &str,
    path: &str,
    fields: &str,
    body: &str,
    limit: Duration,
) -> Result<(u16, String, String), String> {
    let exchange = async {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n\
             {body}",
            body.len()
        );
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| format!("no answer from port {port}"))?
        .map_err(|error| error.to_string())?;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("not HTTP")?;
    let (header, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((code, header.to_owned(), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_known_when_its_line_has_been_written() {
        let line = r#"{"level":"INFO","message":"listening on http://127.0.0.1:43210","version":"0.1.0"}"#;
        assert_eq!(port_of(line), Some(43210));
        let begun = line.split_once("43210").unwrap().0.to_owned();
        for part in ["", "4", "4321", "43210"] {
            assert_eq!(port_of(&format!("{begun}{part}")), None, "{part}");
        }
    }
}
