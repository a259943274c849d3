//! `careen demo` as a process: what answers, to whom, and what is left of it. The story itself is a part of
//! `tests/run`.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// It answers as soon as it says where, and is ready when it has seen its cluster: in a moment, if it has a core.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A demo that ends with the test.
struct Demo {
    process: Child,
    /// Kept: who has nobody to talk to ends.
    _stdout: BufReader<ChildStdout>,
    kubeconfig: PathBuf,
    /// `127.0.0.1:port` of the service, and of the Kubernetes API.
    service: String,
    kubernetes: String,
}

impl Demo {
    fn start(how: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_careen"))
            .args(["demo", "--listen=127.0.0.1:0", how])
            .env_clear()
            .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        while !said.contains("/readyz") {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let after = |text: &str, mark: &str| {
            let rest = text.split_once(mark).unwrap().1;
            rest[..rest.find([' ', '/', '"', '\n']).unwrap_or(rest.len())].to_owned()
        };
        let kubeconfig = said.split_once("KUBECONFIG=").unwrap().1.split(' ').next().unwrap().into();
        let kubernetes = after(&fs::read_to_string(&kubeconfig).unwrap(), "http://");
        Self { process, _stdout: stdout, kubeconfig, service: after(&said, "http://"), kubernetes }
    }
}

impl Demo {
    fn is_told_to_stop(&mut self) -> ExitStatus {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The status line of the answer.
fn ask(address: &str, request: &str, headers: &[&str]) -> String {
    answer(address, request, headers).lines().next().unwrap().to_owned()
}

fn answer(address: &str, request: &str, headers: &[&str]) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!("{request} HTTP/1.0");
    let lines = [&[request.as_str()], headers, &["", ""]].concat();
    connection.write_all(lines.join("\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn until_ready(address: &str) {
    let started = Instant::now();
    loop {
        let answer = ask(address, "GET /readyz", &[&format!("Host: {address}")]);
        if answer == "HTTP/1.0 200 OK" {
            return;
        }
        assert!(started.elapsed() < READY_WITHIN, "{address} is not ready: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_obeys_no_foreign_page_and_leaves_nothing_behind() {
    let (mut demo, other) = (Demo::start("--no-story"), Demo::start("--no-story"));
    assert_ne!(demo.kubeconfig, other.kubeconfig);
    assert_eq!(mode(&demo.kubeconfig), 0o600);

    for address in [&demo.service, &demo.kubernetes] {
        until_ready(address);
        let host = format!("Host: {address}");
        for refused in [
            ask(address, "GET /livez", &["Host: evil.example"]),
            ask(address, "POST /api/v1/namespaces", &[&host, "Origin: http://evil.example"]),
            ask(address, "POST /api/v1/namespaces", &[&host, "Sec-Fetch-Site: cross-site"]),
            ask(address, "GET /graphql", &[&host, "Upgrade: websocket", "Origin: null"]),
        ] {
            assert_eq!(refused, "HTTP/1.0 403 Forbidden", "{address}");
        }
        assert_eq!(ask(address, "GET /livez", &[&host]), "HTTP/1.0 200 OK", "{address}");
        // A link on another page works, and a frame does not.
        let linked = [&host, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
        assert_eq!(ask(address, "GET /readyz", &linked), "HTTP/1.0 200 OK", "{address}");
        let framed = [&linked[..], &["Sec-Fetch-Dest: iframe"]].concat();
        assert_eq!(ask(address, "GET /readyz", &framed), "HTTP/1.0 403 Forbidden", "{address}");
    }
    let page = answer(&demo.service, "GET /docs/", &[&format!("Host: {}", demo.service)]).to_ascii_lowercase();
    assert!(page.contains("content-type: text/html"), "{page}");
    assert!(page.contains("frame-ancestors 'none'") && page.contains("x-frame-options: deny"), "{page}");

    assert!(demo.is_told_to_stop().success());
    assert!(!demo.kubeconfig.parent().unwrap().exists());
    assert!(other.kubeconfig.exists());
    // One that is killed leaves its folder.
    fs::remove_dir_all(other.kubeconfig.parent().unwrap()).unwrap();
}

#[test]
fn a_story_that_is_not_told_to_its_end_proves_nothing() {
    let status = Demo::start("--exit-after-story").is_told_to_stop();
    assert_eq!(status.code(), Some(1), "{status}");
}
