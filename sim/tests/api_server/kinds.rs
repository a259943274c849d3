//! Kinds with rules of their own, and which kinds there are.

use std::sync::Arc;

use careen_sim::api_server::{ApiServer, User, aggregation::Passed};
use futures::FutureExt;
use kube::{Discovery, core::DynamicObject, discovery};
use serde_json::{Value, json};

use crate::fixtures::{PODS, in_short, merge, pod, send, send_as, server, watch};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BOATS: &str = "/apis/example.com/v1/namespaces/default/boats";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "boats.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "boats", "kind": "Boat" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {}, "scale": { "specReplicasPath": ".spec.masts", "statusReplicasPath": ".status.masts" },
                },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "properties": { "masts": { "type": "integer", "default": 1 } } },
                    "status": { "type": "object", "properties": { "masts": { "type": "integer" } } },
                } } },
            }],
        },
    })
}

fn boat(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Boat", "metadata": { "name": name }, "spec": { "oars": 2 },
        "status": { "masts": 7 },
    })
}

async fn with_boats() -> ApiServer {
    let server = server();
    let (code, body) = send(&server, "POST", DEFINITIONS, definition()).await;
    assert_eq!(code, 201, "{body}");
    server
}

#[tokio::test(start_paused = true)]
async fn a_definition_serves_its_kind_until_it_is_deleted() {
    let server = with_boats().await;
    let (_, made) = send(&server, "GET", &format!("{DEFINITIONS}/boats.example.com"), Value::Null).await;
    let conditions = made["status"]["conditions"].as_array().unwrap();
    let types: Vec<_> = conditions.iter().map(|condition| condition["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["NamesAccepted", "Established"]);
    assert_eq!(send(&server, "POST", BOATS, boat("a")).await.0, 201);
    let (_, list) = send(&server, "GET", BOATS, Value::Null).await;
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("BoatList"), &json!("Boat")));
    let since = server.version();
    let (code, ending) = send(&server, "DELETE", &format!("{DEFINITIONS}/boats.example.com"), Value::Null).await;
    assert_eq!(code, 200);
    assert!(ending["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(send(&server, "GET", BOATS, Value::Null).await, (404, json!("404 page not found\n")));
    assert!(server.all("boats.example.com").is_empty());
    let uri = format!("{DEFINITIONS}?watch=true&timeoutSeconds=1&resourceVersion={since}");
    let events = watch(&server, &uri).await;
    assert_eq!(in_short(&events), ["MODIFIED boats.example.com", "DELETED boats.example.com"]);
}

#[tokio::test(start_paused = true)]
async fn custom_objects_are_pruned_defaulted_and_have_their_status_apart() {
    let server = with_boats().await;
    let (code, made) = send(&server, "POST", BOATS, boat("a")).await;
    assert_eq!((code, &made["spec"], &made["status"]), (201, &json!({ "masts": 1 }), &Value::Null));
    let uri = format!("{BOATS}/a");
    let (_, unchanged) = merge(&server, &uri, json!({ "status": { "masts": 3 } })).await;
    assert_eq!((&unchanged["status"], &unchanged["metadata"]["generation"]), (&Value::Null, &json!(1)));
    let patch = json!({ "status": { "masts": 3 }, "spec": { "masts": 9 }, "metadata": { "labels": { "a": "b" } } });
    let (_, status) = merge(&server, &format!("{uri}/status"), patch).await;
    assert_eq!((&status["status"], &status["spec"]), (&json!({ "masts": 3 }), &json!({ "masts": 1 })));
    assert_eq!((&status["metadata"]["labels"], &status["metadata"]["generation"]), (&Value::Null, &json!(1)));
    let (_, changed) = merge(&server, &uri, json!({ "spec": { "masts": 2 } })).await;
    assert_eq!(changed["metadata"]["generation"], 2);
    let (code, refusal) = send(&server, "PUT", &uri, boat("a")).await;
    assert_eq!(code, 422);
    assert_eq!(
        refusal["message"],
        "boats.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
}

#[tokio::test(start_paused = true)]
async fn workloads_and_custom_kinds_scale() {
    let server = with_boats().await;
    send(&server, "POST", BOATS, boat("a")).await;
    let (code, scale) = merge(&server, &format!("{BOATS}/a/scale"), json!({ "spec": { "replicas": 4 } })).await;
    assert_eq!((code, &scale["spec"]["replicas"]), (200, &json!(4)));
    let (_, boat) = send(&server, "GET", &format!("{BOATS}/a"), Value::Null).await;
    assert_eq!(boat["spec"]["masts"], 4);
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": pod("a")["spec"] },
        },
    });
    assert_eq!(send(&server, "POST", deployments, deployment).await.0, 201);
    let uri = format!("{deployments}/web/scale");
    let (_, mut scale) = send(&server, "GET", &uri, Value::Null).await;
    assert_eq!((&scale["kind"], &scale["status"]["selector"]), (&json!("Scale"), &json!("app=web")));
    scale["spec"]["replicas"] = json!(5);
    assert_eq!(send(&server, "PUT", &uri, scale).await.1["spec"]["replicas"], 5);
    let (code, _) = merge(&server, &uri, json!({ "spec": { "replicas": -1 } })).await;
    assert_eq!(code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let server = server();
    send(&server, "POST", PODS, pod("a")).await;
    let binding = json!({ "metadata": { "name": "a" }, "target": { "kind": "Node", "name": "node01" } });
    let uri = format!("{PODS}/a/binding");
    assert_eq!(send(&server, "POST", &uri, binding.clone()).await.0, 201);
    let bound = server.get("pods", "default", "a").unwrap();
    assert_eq!(bound["spec"]["nodeName"], "node01");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let (code, refusal) = send(&server, "POST", &uri, binding).await;
    assert_eq!(code, 409);
    assert_eq!(
        refusal["message"],
        "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"node01\""
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_one_kind_under_two_names() {
    let server = server();
    let event = json!({
        "metadata": { "name": "e" }, "regarding": { "kind": "Pod", "name": "p", "namespace": "default" },
        "reason": "R", "note": "N", "type": "Normal", "eventTime": "2026-11-24T12:00:00.000000Z",
        "reportingController": "example.com/c", "reportingInstance": "i", "action": "A",
    });
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let (code, body) = send(&server, "POST", events, event).await;
    assert_eq!(code, 201, "{body}");
    let (_, seen) = send(&server, "GET", "/api/v1/namespaces/default/events/e", Value::Null).await;
    assert_eq!((&seen["message"], &seen["involvedObject"]["name"]), (&json!("N"), &json!("p")));
    let (_, patched) = merge(&server, &format!("{events}/e"), json!({ "note": "M" })).await;
    assert_eq!((&patched["note"], &patched["apiVersion"]), (&json!("M"), &json!("events.k8s.io/v1")));
}

#[tokio::test(start_paused = true)]
async fn secrets_jobs_services_and_pods_are_completed() {
    let server = server();
    let secret = json!({ "metadata": { "name": "s" }, "stringData": { "a": "b" } });
    let (_, secret) = send(&server, "POST", "/api/v1/namespaces/default/secrets", secret).await;
    assert_eq!((&secret["data"], &secret["stringData"]), (&json!({ "a": "Yg==" }), &Value::Null));
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
    let (_, made) = send(&server, "POST", "/api/v1/namespaces/default/services", service).await;
    assert!(made["spec"]["clusterIP"].as_str().unwrap().starts_with("10.96."), "{made}");
    let mut template = pod("x");
    template["spec"]["restartPolicy"] = "Never".into();
    let job = json!({ "metadata": { "name": "j" }, "spec": { "template": { "spec": template["spec"] } } });
    let (_, job) = send(&server, "POST", "/apis/batch/v1/namespaces/default/jobs", job).await;
    let label = "batch.kubernetes.io/controller-uid";
    assert_eq!(job["spec"]["selector"]["matchLabels"][label], job["metadata"]["uid"]);
    let (_, pod) = send(&server, "POST", PODS, pod("a")).await;
    assert_eq!((&pod["status"]["phase"], &pod["status"]["qosClass"]), (&json!("Pending"), &json!("BestEffort")));
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn kube_discovers_builtin_custom_and_aggregated_kinds() {
    let server = with_boats().await;
    let resources = json!([{
        "name": "virtualmachineinstances/evacuate/cancel", "singularName": "", "namespaced": true,
        "kind": "EvacuateCancelOptions", "verbs": ["update"],
    }]);
    let handler = |request: careen_sim::api_server::request::Request| {
        let target = request.target.clone().unwrap();
        let answer = if request.accepts_anything() {
            Passed { code: 200, body: json!({ "asked": target.subresource, "by": request.user.name }) }
        } else {
            Passed { code: 406, body: json!("406: Not Acceptable") }
        };
        async move { answer }.boxed()
    };
    let group_version = ("subresources.kubevirt.io", "v1");
    server.register_aggregated(group_version, "kubevirt/virt-api", resources, Arc::new(handler));
    let client = server.as_user(User::administrator()).client();
    let found = Discovery::new(client.clone()).run().await.unwrap();
    let names: Vec<_> = found.groups_alphabetical().into_iter().map(|group| group.name().to_owned()).collect();
    assert!(names.contains(&"example.com".to_owned()) && names.contains(&"policy".to_owned()), "{names:?}");
    let (resource, capabilities) =
        discovery::pinned_kind(&client, &kube::core::GroupVersionKind::gvk("example.com", "v1", "Boat")).await.unwrap();
    assert_eq!(resource.plural, "boats");
    assert!(capabilities.supports_operation("watch"));
    send(&server, "POST", BOATS, boat("a")).await;
    let boats = kube::Api::<DynamicObject>::all_with(client, &resource);
    assert_eq!(boats.get("a").await.err().map(|_| ()), Some(()), "a namespaced kind has no objects outside of one");
    assert_eq!(boats.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 1);

    let uri = "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/evacuate/cancel";
    let (code, passed) = send_as(&server, User::administrator(), "PUT", uri, "application/json", json!({})).await;
    assert_eq!((code, passed), (200, json!({ "asked": "evacuate/cancel", "by": "kubernetes-admin" })));
}
