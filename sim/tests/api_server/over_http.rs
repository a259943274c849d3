//! The same over HTTP on loopback, in real time.

use careen_sim::api_server::http;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Config, api::PostParams, runtime::watcher};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::fixtures::{CONFIG_MAPS, config_map, server};

#[tokio::test]
async fn kube_writes_and_watches_over_a_socket_and_a_shutdown_ends_it() {
    let server = server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(http::serve(listener, server.by_token(), async {
        stopped.await.unwrap();
    }));
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let map: ConfigMap = serde_json::from_value(config_map("a")).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let events = watcher(maps.clone(), watcher::Config::default());
    pin_mut!(events);
    let mut names = Vec::new();
    while names.len() < 2 {
        match events.next().await.unwrap().unwrap() {
            watcher::Event::InitApply(map) | watcher::Event::Apply(map) => names.push(map.metadata.name.unwrap()),
            watcher::Event::InitDone => {
                server.put("configmaps", json!({ "metadata": { "name": "b", "namespace": "default" } })).unwrap();
            }
            watcher::Event::Init | watcher::Event::Delete(_) => {}
        }
    }
    assert_eq!(names, ["a", "b"]);
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(maps.get("a").await.is_err());
}

/// A client that writes does not read: whoever answers early and closes the connection is not heard.
#[tokio::test]
async fn who_sends_far_too_much_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(http::serve(listener, server().by_token(), std::future::pending()));
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = json!({ "metadata": { "name": "large" }, "data": { "a": "x".repeat(10_000_000) } }).to_string();
    let header = format!(
        "POST {CONFIG_MAPS} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(header.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("Request entity too large: limit is 3145728"), "{answer}");
    serving.abort();
}
