//! The command line as a person meets it: what goes wrong is one sentence, soon.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// A second or less, where the machine does nothing else; what tries again for ever takes longer than this.
const SOON: Duration = Duration::from_secs(30);

/// Runs `careen` with nothing in its environment that it would take up.
fn careen(arguments: &[&str]) -> Output {
    let nowhere = env!("CARGO_TARGET_TMPDIR");
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_careen")).args(arguments).env_clear().env("HOME", nowhere).output();
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    output.unwrap()
}

/// The one line that a failure prints.
#[track_caller]
fn failure(arguments: &[&str], status: i32) -> String {
    let output = careen(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.starts_with("careen: ") && stderr.ends_with('\n') && stderr.lines().count() == 1, "{stderr}");
    stderr
}

fn kubeconfig(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

const POINTS_NOWHERE: &str = "
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: nobody, user: {token: secret-token}}]
";

#[track_caller]
fn serve_fails(arguments: &[&str], names: &[&str]) {
    let arguments = [&["serve", "--listen=127.0.0.1:0"], arguments].concat();
    let line = failure(&arguments, 1);
    for name in names {
        assert!(line.contains(name), "{line} does not name {name}");
    }
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    for (arguments, names) in [
        (&[][..], "serve, "),
        (&["srve"], "serve"),
        (&["serve", "--lisen=127.0.0.1:0"], "--listen"),
        (&["serve", "--listen=8080"], "127.0.0.1:8080"),
        (&["serve", "--log-format=xml"], "text, json"),
        (&["serve", "--namespace=Careen"], "a-z"),
        (&["serve", "--identity="], "--identity"),
        (&["serve", "--allowed-host=https://careen"], "careen.example.com"),
        (&["serve", "--drain-taint-key=a b"], "medik8s.io/drain"),
        (&["serve", "--drain-taint-key=kubevirt.io/drain"], "KubeVirt's own"),
    ] {
        let line = failure(arguments, 2);
        assert!(line.contains(names), "{line} does not say {names}");
    }
}

#[test]
fn a_kubeconfig_that_is_missing() {
    serve_fails(&["--kubeconfig=/no/such/file"], &["/no/such/file", "No such file"]);
}

#[test]
fn no_kubeconfig_at_all() {
    serve_fails(&[], &["found no cluster", ".kube/config", "--kubeconfig"]);
}

#[test]
fn a_kubeconfig_that_is_no_yaml_is_not_repeated() {
    let file = kubeconfig("broken.yaml", "apiVersion: v1\nusers: [{user: {token: [secret\n");
    serve_fails(&["--kubeconfig", file.to_str().unwrap()], &["broken.yaml", "line "]);
}

#[test]
fn a_context_that_is_unknown() {
    let file = kubeconfig("context.yaml", POINTS_NOWHERE);
    serve_fails(&["--kubeconfig", file.to_str().unwrap(), "--context=elsewhere"], &["context.yaml", "\"elsewhere\""]);
}

#[test]
fn a_cluster_that_does_not_answer() {
    let file = kubeconfig("nowhere.yaml", POINTS_NOWHERE);
    serve_fails(&["--kubeconfig", file.to_str().unwrap()], &["https://127.0.0.1:1/", "Connection refused"]);
}

#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = failure(&["serve", "--listen", &address], 1);
    assert!(line.contains(&address) && line.contains("--listen"), "{line}");
}

#[test]
fn tokens_do_not_go_over_a_network_in_the_clear() {
    let line = failure(&["serve", "--listen=0.0.0.0:0"], 1);
    assert!(line.contains("--tls-certificate") && line.contains("--behind-tls-proxy"), "{line}");
    let line = failure(&["serve", "--listen=[::]:0", "--tls-certificate=/none.crt", "--tls-key=/none.key"], 1);
    assert!(line.contains("cannot read /none.crt"), "{line}");
    let line = failure(&["serve", "--tls-certificate=/none.crt"], 2);
    assert!(line.contains("--tls-key"), "{line}");
}

#[test]
fn call_backs_go_where_nobody_listens_in_and_are_signed() {
    let file = |name: &str, text: &str| kubeconfig(name, text).to_str().unwrap().to_owned();
    let good = file("notify-good", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let bad = file("notify-bad", "hunter2\n");
    let refused = |url: &str, secret: &str| {
        let line = failure(&["serve", "--listen=127.0.0.1:0", "--notify-url", url, "--notify-secret-file", secret], 1);
        assert!(!line.contains("hunter2"), "{line}");
        line
    };
    assert!(refused("http://tickets.example.com/hunter2", &good).contains("https://"));
    assert!(refused("https://me:hunter2@tickets.example.com/", &good).contains("leave it out"));
    assert!(refused("hunter2", &good).contains("not a URL such as"));
    assert!(refused("http://localhost:1/", &bad).contains("whsec_"));
    assert!(refused("http://localhost:1/", "/no/such/file").contains("cannot read the secret /no/such/file"));
    let line = failure(&["serve", "--notify-url=https://tickets.example.com/hunter2"], 2);
    assert!(line.contains("--notify-secret-file") && !line.contains("hunter2"), "{line}");
}

#[test]
fn the_contract_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_careen")).arg("openapi").output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../../openapi/openapi.json"));
}

#[cfg(feature = "demo")]
#[test]
fn a_demo_is_for_this_machine_and_ends_or_has_no_story() {
    for (arguments, says) in [
        (&["demo", "--listen=0.0.0.0:8080"][..], "loopback"),
        (&["demo", "--no-story", "--exit-after-story"], "--exit-after-story"),
    ] {
        let line = failure(arguments, 2);
        assert!(line.contains(says), "{line} does not say {says}");
    }
}

#[cfg(feature = "demo")]
#[test]
fn a_demo_whose_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = failure(&["demo", "--listen", &address], 1);
    assert!(line.contains(&address) && line.contains("--listen"), "{line}");
}

#[cfg(feature = "demo")]
#[test]
fn a_demo_that_cannot_write_its_kubeconfig() {
    let output = Command::new(env!("CARGO_BIN_EXE_careen"))
        .args(["demo", "--listen=127.0.0.1:0"])
        .env_clear()
        .env("TMPDIR", "/no/such/folder")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/no/such/folder/careen-demo-") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn crd_prints_what_is_committed() {
    let output = careen(&["crd"]);
    assert!(output.status.success());
    let committed = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crd.yaml")).unwrap();
    assert!(output.stdout == committed, "deploy/crd.yaml is old; regenerate it: cargo run -- crd > deploy/crd.yaml");
}

#[test]
fn help_is_on_stdout() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let output = careen(arguments);
        assert!(output.status.success() && output.stderr.is_empty() && !output.stdout.is_empty());
    }
}
