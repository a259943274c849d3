//! `careen serve` from its start to its end, in a cluster that has nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer},
};

/// An API server on a free port, and the kubeconfig that leads to it.
async fn api_server() -> PathBuf {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, support::empty_api_server("nothing")).into_future());
    let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{}.yaml", server.port()));
    let text = format!(
        "{{current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], \
         clusters: [{{name: a, cluster: {{server: 'http://{server}'}}}}], users: [{{name: a, user: {{token: secret}}}}]}}"
    );
    fs::write(&kubeconfig, text).unwrap();
    kubeconfig
}

/// A server that ends with the test.
struct Careen {
    process: Child,
    log: BufReader<ChildStderr>,
    seen: String,
}

impl Careen {
    fn serve(kubeconfig: &PathBuf, format: &str) -> Self {
        Self::serve_with(kubeconfig, &["--log-format", format])
    }

    fn serve_with(kubeconfig: &PathBuf, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_careen"))
            .args(["serve", "--listen=127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig)
            .args(arguments)
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        Self { process, log, seen: String::new() }
    }

    /// Reads the log until a line contains this.
    #[track_caller]
    fn says(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.log.read_line(&mut self.seen).unwrap() > 0, "it ended without saying {text}: {}", self.seen);
        }
    }

    fn address(&mut self) -> SocketAddr {
        self.says("listening on http");
        let address = self.seen.split_once("listening on http").unwrap().1.trim_start_matches(['s', ':', '/']);
        let end = address.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).unwrap();
        address[..end].parse().unwrap()
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Careen {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn get(address: SocketAddr, path: &str) -> String {
    get_as(&address.to_string(), address, path)
}

/// Called by that name.
fn get_as(host: &str, address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_missing_and_stops_when_it_is_told_to() {
    let mut careen = Careen::serve(&api_server().await, "text");
    let address = careen.address();
    careen.says("careen crd | kubectl apply -f -");
    careen.says("kubectl apply -f deploy/namespace.yaml");
    careen.says("ready");
    assert!(get(address, "/readyz").ends_with("\r\n\r\nok\n"));
    assert!(get(address, "/livez").starts_with("HTTP/1.0 200"));

    // A web page whose owner has pointed its name at 127.0.0.1 reads nothing.
    for path in ["/readyz", "/metrics", "/nothing"] {
        assert!(get_as("evil.example:8080", address, path).starts_with("HTTP/1.0 403"), "{path}");
    }

    // A connection that nobody uses does not hold up the end.
    let _idle = TcpStream::connect(address).unwrap();
    let told = Instant::now();
    careen.terminate();
    careen.says("stopped");
    let status = careen.process.wait().unwrap();
    careen.log.read_to_string(&mut careen.seen).unwrap();
    assert!(status.success(), "{status}: {}", careen.seen);
    assert!(told.elapsed() < Duration::from_secs(15), "it took {:?}", told.elapsed());
    assert!(!careen.seen.contains("secret"), "{}", careen.seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_json_has_an_object_on_every_line() {
    let mut careen = Careen::serve(&api_server().await, "json");
    careen.address();
    careen.says("ready");
    careen.terminate();
    careen.says("stopped");
    for line in careen.seen.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["message"].is_string() && entry["level"].is_string(), "{line}");
    }
}

/// Asks over TLS, and trusts that certificate only.
async fn get_over_tls(address: SocketAddr, certificate: CertificateDer<'static>, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut connection = connector.connect("localhost".try_into().unwrap(), connection).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without a goodbye is as good.
    connection.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_it_speaks_tls() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (certificate, key) = (folder.join("serve-tls.crt"), folder.join("serve-tls.key"));
    fs::write(&certificate, pair.cert.pem()).unwrap();
    fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let files = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut careen = Careen::serve_with(&api_server().await, &files);
    let address = careen.address();
    assert!(careen.seen.contains("listening on https://"), "{}", careen.seen);
    let answer = get_over_tls(address, pair.cert.der().clone(), "/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    let answer = get_over_tls(address, pair.cert.der().clone(), "/api/v1/nodes").await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("application/problem+json"), "{answer}");
    // Who speaks plain HTTP gets nothing.
    let mut plain = TcpStream::connect(address).unwrap();
    write!(plain, "GET /livez HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"HTTP"));
}
