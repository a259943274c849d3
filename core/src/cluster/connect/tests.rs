use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::core::v1::Node;
use kube::Api;

use super::*;

/// A kubeconfig in a directory of its own, which goes with it.
struct File {
    path: PathBuf,
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("careen-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self { path }
    }

    fn connection(&self) -> Connection {
        Connection { kubeconfig: Some(self.path.clone()), context: None }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         users: [{{name: u, user: {{token: top-secret}}}}]\n"
    )
}

async fn error_of(connection: Connection) -> String {
    let error = connection.client(&Metrics::default()).await.err().expect("there is no cluster");
    let error = error.to_string();
    assert!(!error.contains("top-secret"), "{error}");
    error
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named_and_what_is_wrong_with_it_is_said() {
    let missing = Connection { kubeconfig: Some(Path::new("/nonexistent/config").to_owned()), context: None };
    assert_eq!(
        error_of(missing).await,
        "cannot use the kubeconfig /nonexistent/config: No such file or directory (os error 2)"
    );

    let no_yaml = File::new("no-yaml", "users: [{token: top-secret");
    let error = error_of(no_yaml.connection()).await;
    assert!(error.contains("no-yaml.yaml: line 1, column"), "{error}");

    let empty = File::new("empty", "{}");
    let error = error_of(empty.connection()).await;
    assert!(error.contains("no current-context (name the context)"), "{error}");

    let other = File::new("context", &kubeconfig("http://127.0.0.1:1"));
    let error = error_of(Connection { context: Some("elsewhere".to_owned()), ..other.connection() }).await;
    assert_eq!(error, format!("there is no context \"elsewhere\" in the kubeconfig {}", other.path.display()));

    let no_url = File::new("no-url", &kubeconfig("not a url"));
    let error = error_of(no_url.connection()).await;
    assert!(error.contains("no-url.yaml: "), "{error}");

    let no_file = kubeconfig("http://127.0.0.1:1").replace("token: top-secret", "tokenFile: /nonexistent/token");
    let no_file = File::new("no-token-file", &no_file);
    let error = error_of(no_file.connection()).await;
    assert!(error.contains("/nonexistent/token"), "{error}");
}

#[test]
fn the_cluster_of_the_pod_is_meant_only_where_there_is_no_kubeconfig_at_all() {
    let there = File::new("usual", "truncated: {");
    let (there, missing) = (Some(there.path.as_path()), Some(Path::new("/nonexistent/config")));
    for (named, usual, expected) in [
        (None, None, true),
        (None, missing, true),
        (Some(""), missing, true),
        (Some(":"), missing, true),
        (None, there, false),
        (Some(""), there, false),
        (Some("/nonexistent/misspelt"), missing, false),
        (Some(":/nonexistent/misspelt"), None, false),
    ] {
        assert_eq!(is_absent(named.map(OsStr::new), usual), expected, "KUBECONFIG={named:?}, {usual:?}");
    }
}

#[tokio::test]
async fn an_api_server_that_is_not_there_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let file = File::new("nowhere", &kubeconfig(&format!("http://{address}")));
    assert_eq!(
        error_of(file.connection()).await,
        format!("the API server http://{address}/ does not answer: Connection refused (os error 111)")
    );
}

/// A server that gives one answer to `/version` and another to everything else.
fn serve(version: &'static str, rest: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let mut head = [0; 4096];
            let read = connection.read(&mut head).unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            let asks_version = head[..read].starts_with(b"GET /version");
            let (code, body) = (if asks_version { version } else { rest }).split_once(' ').unwrap();
            let length = body.len();
            let answer = format!("HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    (format!("http://{address}/"), requests)
}

const VERSION: &str = r#"200 {"major":"1","minor":"37","gitVersion":"v1.37.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;

#[tokio::test]
async fn a_refusal_for_now_is_not_repeated_behind_our_back() {
    let refusal = r#"429 {"kind":"Status","status":"Failure","code":429,"reason":"TooManyRequests","message":"no"}"#;
    let (server, requests) = serve(VERSION, refusal);
    let file = File::new("retry", &kubeconfig(&server));
    let client = file.connection().client(&Metrics::default()).await.unwrap();
    let answer = Api::<Node>::all(client).get("node02").await;
    assert!(matches!(answer, Err(kube::Error::Api(status)) if status.code == 429));
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_api_server_that_answers_but_not_as_hoped_is_told_from_one_that_is_away() {
    let refused =
        r#"401 {"kind":"Status","status":"Failure","code":401,"reason":"Unauthorized","message":"Unauthorized"}"#;
    let (server, _) = serve(refused, refused);
    let error = error_of(File::new("unauthorized", &kubeconfig(&server)).connection()).await;
    assert_eq!(error, format!("the API server {server} refuses the credentials: Unauthorized"));

    let (server, _) = serve("200 <html>a web server</html>", "404 no");
    let error = error_of(File::new("html", &kubeconfig(&server)).connection()).await;
    assert!(error.starts_with(&format!("the API server {server} does not answer")), "{error}");
}

#[tokio::test]
async fn what_an_exec_plugin_prints_is_not_repeated() {
    for (name, script, expected) in [
        ("fails", "echo top-secret; exit 1", "the kubeconfig's exec plugin failed (exit status: 1)"),
        ("rubbish", "echo '{token: top-secret'", "the kubeconfig's exec plugin printed no credential that can be read"),
    ] {
        let exec = format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
             args: [-c, \"{script}\"], env: [{{name: A, value: top-secret}}]}}}}"
        );
        let text = kubeconfig("https://127.0.0.1:1").replace("{token: top-secret}", &exec);
        let error = error_of(File::new(name, &text).connection()).await;
        assert!(error.ends_with(expected), "{error}");
    }
}

fn address(url: &str) -> Address {
    Address { url: url.to_owned(), token: Some("top-secret".to_owned()), certificate_authority: None }
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_named_and_its_token_is_not() {
    let nowhere = || address("https://127.0.0.1:1");
    for (address, field) in [
        (address(""), "url"),
        (address("not a url"), "url"),
        (address("10.0.0.1:6443"), "url"),
        (address("ftp://10.0.0.1"), "url"),
        (address("https://somebody:top-secret@10.0.0.1"), "url"),
        (Address { token: Some("top-secret\n".to_owned()), ..nowhere() }, "token"),
        (Address { token: Some(String::new()), ..nowhere() }, "token"),
        (Address { certificate_authority: Some("/nonexistent/ca.crt".into()), ..nowhere() }, "certificate_authority"),
    ] {
        let error = address.client(&Metrics::default()).await.err().expect("there is no cluster");
        assert!(matches!(&error, ConnectError::Address { field: found, .. } if *found == field), "{error}");
        assert!(!error.to_string().contains("top-secret"), "{error}");
    }
}

#[tokio::test]
async fn an_address_and_a_token_are_enough() {
    let (server, requests) = serve(VERSION, "404 no");
    address(&server).client(&Metrics::default()).await.unwrap();
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}
