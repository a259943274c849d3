//! virt-api: the eviction webhook and `evacuate/cancel`, over HTTPS on loopback.

use std::convert::Infallible;

use bytes::Bytes;
use careen_sim::actors::kubevirt::virt_api::{VirtApi, answer::Body, subresources::Request};
use careen_sim::api_server::User;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls;

/// An eviction of a pod of this name is answered with [`PROBED`]: so one sees that the webhook is in force.
pub(super) const PROBE: &str = "virt-launcher-probe";
pub(super) const PROBED: &str = "the webhook is in force";

/// Serves on a free port: that port, and the certificate to trust (PEM, as base64).
pub(super) async fn start(virt_api: VirtApi) -> (u16, String) {
    // The names under which the API server calls a webhook by URL, and an API behind a Service.
    let (acceptor, certificate) = tls::acceptor(&["127.0.0.1", "localhost", "virt-api.kubevirt.svc"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(virt_api.clone(), acceptor.clone(), connection));
        }
    });
    (port, base64(certificate.as_bytes()))
}

async fn serve(virt_api: VirtApi, acceptor: TlsAcceptor, connection: TcpStream) {
    let Ok(connection) = acceptor.accept(connection).await else { return };
    let answer_all = service_fn(|request: http::Request<Incoming>| {
        let virt_api = virt_api.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok::<_, Infallible>(answer(&virt_api, &head, &body).await)
        }
    });
    http1::Builder::new().serve_connection(TokioIo::new(connection), answer_all).await.ok();
}

async fn answer(virt_api: &VirtApi, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
    let path = head.uri.path();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body["kind"] == "AdmissionReview" {
        return response(200, "application/json", review(virt_api, &body).await.to_string());
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let groups = head.headers.get_all("x-remote-group").iter();
    let groups = groups.filter_map(|group| group.to_str().ok()).map(str::to_owned).collect();
    // The API server says who asks; its own questions (discovery) have no name.
    let user = header("x-remote-user").map(|name| User { name, groups, uid: String::new() });
    let request = Request { method: head.method.to_string(), path: path.to_owned(), accept: header("accept"), body };
    let answer = virt_api.answer(&request, user.as_ref()).await;
    match answer.body {
        Body::Empty => response(answer.code, "text/plain", String::new()),
        Body::Text(text) => response(answer.code, "text/plain", text.to_owned()),
        Body::Json(json) => response(answer.code, "application/json", json.to_string()),
    }
}

/// As KubeVirt, but for [`PROBE`].
async fn review(virt_api: &VirtApi, review: &Value) -> Value {
    if review.pointer("/request/name") == Some(&json!(PROBE)) {
        let status = json!({"code": 429, "message": PROBED});
        let response = json!({"uid": review["request"]["uid"], "allowed": false, "status": status});
        return json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    }
    virt_api.review(review).await
}

fn response(code: u16, content_type: &str, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(code).header("content-type", content_type).body(Full::new(body.into())).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { ALPHABET[index as usize] as char } else { '=' });
        }
    }
    text
}
