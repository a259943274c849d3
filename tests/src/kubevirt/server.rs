//! virt-api: the eviction webhook and `evacuate/cancel`, over HTTPS on loopback.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::ACCEPT};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{DOMAIN, MIGRATION_NAME, is_finished};
use crate::objects::{CLUSTER, Cluster, annotation, condition, kinds, text};

/// An eviction of a pod of this name is answered with [`PROBED`]: so one sees that the webhook is in force.
pub(super) const PROBE: &str = "virt-launcher-probe";
pub(super) const PROBED: &str = "the webhook is in force";

const SUBRESOURCES: &str = "/apis/subresources.kubevirt.io/v1";

/// Serves on a free port: that port, and the certificate to trust (PEM, as base64).
pub(super) async fn start(cluster: Cluster) -> (u16, String) {
    // The names under which the API server calls a webhook by URL, and an API behind a Service.
    let names = ["127.0.0.1", "localhost", "virt-api.kubevirt.svc"].map(str::to_owned);
    let certificate = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(cluster.clone(), acceptor.clone(), connection));
        }
    });
    (port, base64(certificate.cert.pem().as_bytes()))
}

async fn serve(cluster: Cluster, acceptor: TlsAcceptor, connection: TcpStream) {
    let Ok(connection) = acceptor.accept(connection).await else { return };
    let answer_all = service_fn(|request: Request<Incoming>| {
        let cluster = cluster.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok::<_, Infallible>(answer(&cluster, &head.method, head.uri.path(), &head.headers, &body).await)
        }
    });
    http1::Builder::new().serve_connection(TokioIo::new(connection), answer_all).await.ok();
}

async fn answer(
    cluster: &Cluster,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Full<Bytes>> {
    if path == "/pod-eviction-validate" {
        let review: Value = serde_json::from_slice(body).unwrap_or_default();
        return json_response(StatusCode::OK, &review_eviction(cluster, &review).await);
    }
    let Some(path) = path.strip_prefix(SUBRESOURCES) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (method, segments.as_slice()) {
        (&Method::GET, []) => json_response(StatusCode::OK, &discovery()),
        (&Method::PUT, ["namespaces", namespace, "virtualmachineinstances", name, "evacuate", "cancel"]) => {
            cancel_evacuation(cluster, namespace, name, headers, body).await
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

fn discovery() -> Value {
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "subresources.kubevirt.io/v1",
        "resources": [{
            "name": "virtualmachineinstances/evacuate/cancel", "singularName": "", "namespaced": true,
            "kind": "", "verbs": ["update"],
        }],
    })
}

// --- the eviction webhook ---

async fn review_eviction(cluster: &Cluster, review: &Value) -> Value {
    let request = &review["request"];
    let (namespace, pod) = (text(request, "/namespace"), text(request, "/name"));
    let is_dry_run = request["dryRun"] == json!(true);
    let denied = judge_eviction(cluster, namespace, pod, is_dry_run).await.err();
    let mut response = json!({"uid": request["uid"], "allowed": denied.is_none()});
    if let Some(message) = denied {
        response["status"] = json!({"code": 429, "message": message});
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

/// What KubeVirt answers, and the mark that it sets.
async fn judge_eviction(cluster: &Cluster, namespace: &str, pod: &str, is_dry_run: bool) -> Result<(), String> {
    if pod == PROBE {
        return Err(PROBED.to_owned());
    }
    // Not there: the API server will say so itself.
    let Some(pod) = cluster.find(kinds::POD, namespace, pod).await else { return Ok(()) };
    let Some(name) = annotation(&pod, DOMAIN) else { return Ok(()) };
    // The source of a finished migration.
    if is_finished(text(&pod, "/status/phase")) {
        return Ok(());
    }
    let Some(vmi) = cluster.find(kinds::VMI, namespace, name).await else {
        let missing = format!("virtualmachineinstances.kubevirt.io \"{name}\" not found");
        return Err(format!("kubevirt failed getting the vmi: {missing}"));
    };
    let is_migratable = condition(&vmi, "LiveMigratable") == "True";
    match text(&vmi, "/spec/evictionStrategy") {
        "LiveMigrate" if !is_migratable => {
            return Err(format!("VMI {name} is configured with an eviction strategy but is not live-migratable"));
        }
        "LiveMigrateIfPossible" if !is_migratable => return Ok(()),
        "LiveMigrate" | "LiveMigrateIfPossible" | "External" => {}
        _ => return Ok(()),
    }
    let triggered = format!("Eviction triggered evacuation of VMI \"{namespace}/{name}\"");
    let node = text(&vmi, "/status/nodeName");
    if !text(&vmi, "/status/evacuationNodeName").is_empty() {
        return Err(format!("Evacuation in progress: {triggered}"));
    }
    if annotation(&pod, MIGRATION_NAME).is_some() && text(&pod, "/spec/nodeName") != node {
        return Err("Eviction request for target Pod".to_owned());
    }
    if !is_dry_run {
        let mark = json!({"status": {"evacuationNodeName": node}});
        cluster.try_merge(kinds::VMI, namespace, name, &mark).await.map_err(|error| error.to_string())?;
    }
    Err(triggered)
}

// --- evacuate/cancel ---

async fn cancel_evacuation(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Full<Bytes>> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    if !accept.contains("*/*") {
        let text = "406: Not Acceptable\n\nAvailable representations: ";
        return response(StatusCode::NOT_ACCEPTABLE, "text/plain", Bytes::from_static(text.as_bytes()));
    }
    if !may_cancel(cluster, namespace, name, headers).await {
        return empty(StatusCode::UNAUTHORIZED);
    }
    let Some(vmi) = cluster.find(kinds::VMI, namespace, name).await else {
        let message = format!("virtualmachineinstance.kubevirt.io \"{name}\" not found");
        return failure(StatusCode::NOT_FOUND, "NotFound", &message);
    };
    let node = cluster.find(kinds::NODE, CLUSTER, text(&vmi, "/status/nodeName")).await.unwrap_or_default();
    if crate::case::has_taint(&node, "kubevirt.io/drain") {
        return failure(StatusCode::BAD_REQUEST, "BadRequest", "Node has NodeDrainTaintKey \"kubevirt.io/drain\"");
    }
    let mark = text(&vmi, "/status/evacuationNodeName");
    if mark.is_empty() {
        return empty(StatusCode::OK);
    }
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    if text(&options, "/evacuationNodeName") != mark {
        let message = "Internal error occurred: the server rejected our request due to an error in our request";
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message);
    }
    if options["dryRun"] != json!(["All"]) {
        let unmark = json!({"status": {"evacuationNodeName": null}});
        if let Err(error) = cluster.try_merge(kinds::VMI, namespace, name, &unmark).await {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string());
        }
    }
    empty(StatusCode::OK)
}

/// virt-api asks again, with the whole subresource; the API server has asked only for `evacuate`.
async fn may_cancel(cluster: &Cluster, namespace: &str, name: &str, headers: &HeaderMap) -> bool {
    let user = headers.get("x-remote-user").and_then(|user| user.to_str().ok()).unwrap_or_default();
    let groups: Vec<&str> = headers.get_all("x-remote-group").iter().filter_map(|group| group.to_str().ok()).collect();
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": user, "groups": groups,
            "resourceAttributes": {
                "group": "subresources.kubevirt.io", "version": "v1", "resource": "virtualmachineinstances",
                "subresource": "evacuate/cancel", "namespace": namespace, "name": name, "verb": "update",
            },
        },
    });
    let answer = cluster.try_create(review).await;
    answer.is_ok_and(|answer| answer.pointer("/status/allowed") == Some(&json!(true)))
}

// --- responses ---

fn response(code: StatusCode, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder().status(code).header("content-type", content_type).body(Full::new(body)).unwrap()
}

fn empty(code: StatusCode) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::default()).unwrap()
}

fn json_response(code: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    response(code, "application/json", Bytes::from(body.to_string()))
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response<Full<Bytes>> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    json_response(code, &status)
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
