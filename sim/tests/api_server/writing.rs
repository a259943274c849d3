//! Create, update, patch and delete.

use bytes::Bytes;
use careen_sim::api_server::User;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixtures::{CONFIG_MAPS, PODS, config_map, in_short, merge, pod, running_pod, send, send_as, server, watch};

#[tokio::test(start_paused = true)]
async fn a_new_object_gets_what_the_server_sets() {
    let server = server();
    let mut sent = config_map("");
    sent["metadata"] = json!({ "generateName": "a-", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z" });
    let (code, made) = send(&server, "POST", CONFIG_MAPS, sent).await;
    assert_eq!(code, 201);
    let metadata = &made["metadata"];
    let name = metadata["name"].as_str().unwrap();
    assert!(name.starts_with("a-") && name.len() == 7, "{name}");
    assert_eq!(metadata["creationTimestamp"], "2026-11-24T12:00:00Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["resourceVersion"], server.version().to_string());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_cluster() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let server = server();
        let (_, made) = send(&server, "POST", PODS, pod("a")).await;
        traces.push(made.to_string());
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_refused_as_kubernetes_words_it() {
    let server = server();
    send(&server, "POST", CONFIG_MAPS, config_map("there")).await;
    let other = "/api/v1/namespaces/other/configmaps";
    let named = |field: &str, value: &str| {
        let mut object = config_map("b");
        object["metadata"][field] = value.into();
        object
    };
    let cases = [
        (CONFIG_MAPS, config_map("there"), 409, "configmaps \"there\" already exists"),
        (other, config_map("a"), 404, "namespaces \"other\" not found"),
        (
            CONFIG_MAPS,
            named("name", ""),
            422,
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            CONFIG_MAPS,
            named("namespace", "r"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (CONFIG_MAPS, named("resourceVersion", "3"), 500, "resourceVersion should not be set on objects to be created"),
        (
            CONFIG_MAPS,
            json!({ "apiVersion": "v1", "kind": "Pod" }),
            400,
            "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown \
             conversion",
        ),
        (
            CONFIG_MAPS,
            json!({ "apiVersion": "v2", "kind": "ConfigMap" }),
            400,
            "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for \
             version \"v2\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
    ];
    for (uri, body, code, message) in cases {
        let (answered, refusal) = send(&server, "POST", uri, body).await;
        assert_eq!((answered, refusal["message"].as_str().unwrap()), (code, message));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_makes_nothing() {
    let server = server();
    let version = server.version();
    assert_eq!(send(&server, "POST", &format!("{CONFIG_MAPS}?dryRun=All"), config_map("a")).await.0, 201);
    assert_eq!(server.version(), version);
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_what_the_server_sets_and_needs_the_last_version() {
    let server = server();
    let (_, made) = send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let mut changed = made.clone();
    changed["data"] = json!({ "x": "y" });
    changed["metadata"]["creationTimestamp"] = Value::Null;
    let (code, updated) = send(&server, "PUT", &uri, changed.clone()).await;
    assert_eq!((code, &updated["metadata"]["creationTimestamp"]), (200, &made["metadata"]["creationTimestamp"]));
    assert_eq!(updated["data"], json!({ "x": "y" }));
    let (code, refusal) = send(&server, "PUT", &uri, changed).await;
    assert_eq!(code, 409);
    assert_eq!(
        refusal["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    // What changes nothing makes no new version.
    let version = server.version();
    assert_eq!(send(&server, "PUT", &uri, updated).await.0, 200);
    assert_eq!(server.version(), version);
}

#[tokio::test(start_paused = true)]
async fn names_and_uids_have_to_agree() {
    let server = server();
    send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let (code, refusal) = send(&server, "PUT", &uri, config_map("b")).await;
    let message = "the name of the object (b) does not match the name on the URL (a)";
    assert_eq!((code, &refusal["message"]), (400, &json!(message)));
    let mut other = config_map("a");
    other["metadata"]["uid"] = "x".into();
    let (code, refusal) = send(&server, "PUT", &uri, other).await;
    assert_eq!(code, 409);
    assert!(refusal["message"].as_str().unwrap().contains("UID in precondition: x"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart() {
    let server = server();
    let made = running_pod(&server, "a", true).await;
    let mut changed = made.clone();
    changed["status"]["phase"] = "Failed".into();
    changed["metadata"]["labels"]["x"] = "y".into();
    let uri = format!("{PODS}/a");
    let (_, updated) = send(&server, "PUT", &uri, changed.clone()).await;
    assert_eq!((&updated["status"]["phase"], &updated["metadata"]["labels"]["x"]), (&json!("Running"), &json!("y")));
    let mut changed = updated.clone();
    changed["status"]["phase"] = "Failed".into();
    changed["spec"]["nodeName"] = "other".into();
    let (_, updated) = send(&server, "PUT", &format!("{uri}/status"), changed).await;
    assert_eq!((&updated["status"]["phase"], &updated["spec"]["nodeName"]), (&json!("Failed"), &json!("node01")));
}

#[tokio::test(start_paused = true)]
async fn a_pod_goes_with_its_grace_and_a_kubelet_ends_it() {
    let server = server();
    running_pod(&server, "a", true).await;
    let uri = format!("{PODS}/a");
    let (code, marked) = send(&server, "DELETE", &uri, Value::Null).await;
    assert_eq!((code, &marked["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(30)));
    assert_eq!(marked["metadata"]["generation"], 2);
    // Only a shorter one counts.
    let grace = |seconds: i64| json!({ "gracePeriodSeconds": seconds });
    let (_, longer) = send(&server, "DELETE", &uri, grace(60)).await;
    assert_eq!(longer["metadata"]["deletionTimestamp"], "2026-11-24T12:00:30Z");
    let (_, shorter) = send(&server, "DELETE", &uri, grace(10)).await;
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-11-24T12:00:10Z");
    assert_eq!(send(&server, "DELETE", &uri, grace(0)).await.0, 200);
    assert_eq!(send(&server, "GET", &uri, Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_and_only_shrink() {
    let server = server();
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    send(&server, "POST", CONFIG_MAPS, held).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let (_, marked) = send(&server, "DELETE", &uri, Value::Null).await;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let mut more = marked.clone();
    more["metadata"]["finalizers"] = json!(["example.com/hold", "example.com/more"]);
    let (code, refusal) = send(&server, "PUT", &uri, more).await;
    assert_eq!(code, 422);
    assert!(refusal["message"].as_str().unwrap().contains(r#"[]string{"example.com/more"}"#), "{refusal}");
    let mut free = marked;
    free["metadata"]["finalizers"] = json!([]);
    assert_eq!(send(&server, "PUT", &uri, free).await.0, 200);
    assert_eq!(send(&server, "GET", &uri, Value::Null).await.0, 404);
}

/// There is no last change before an object goes: whoever watches is told only that it has gone.
#[tokio::test(start_paused = true)]
async fn with_its_last_finalizer_an_object_goes_in_one_step() {
    let server = server();
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    send(&server, "POST", CONFIG_MAPS, held).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let (_, marked) = send(&server, "DELETE", &uri, Value::Null).await;
    let version: u64 = marked["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let (code, answer) =
        merge(&server, &uri, json!({ "metadata": { "finalizers": null, "labels": { "last": "words" } } })).await;
    assert_eq!((code, &answer["metadata"]["finalizers"]), (200, &Value::Null));
    assert_eq!(server.version(), version + 1);
    let events = watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1")).await;
    assert_eq!(in_short(&events), ["DELETED a"]);
    // As it was stored last, at the version of its end.
    assert_eq!(events[0].1["metadata"]["finalizers"], json!(["example.com/hold"]));
    assert_eq!(events[0].1["metadata"]["resourceVersion"], (version + 1).to_string());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_has_waited_goes_in_two_steps() {
    let server = server();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "n" } });
    send(&server, "POST", "/api/v1/namespaces", namespace).await;
    let before = server.version();
    send(&server, "DELETE", "/api/v1/namespaces/n", Value::Null).await;
    let uri = format!("/api/v1/namespaces?watch=1&resourceVersion={before}&timeoutSeconds=1");
    assert_eq!(in_short(&watch(&server, &uri).await), ["MODIFIED n", "DELETED n"]);
    assert_eq!(server.version(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn other_times_than_the_servers_are_ignored() {
    let server = server();
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let (_, made) = send(&server, "POST", CONFIG_MAPS, held).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let time = "2020-01-01T00:00:00Z";
    let (code, patched) = merge(&server, &uri, json!({ "metadata": { "creationTimestamp": time } })).await;
    assert_eq!((code, &patched), (200, &made));
    // That it is deleted nobody writes.
    let (code, refusal) = merge(&server, &uri, json!({ "metadata": { "deletionTimestamp": time } })).await;
    assert_eq!((code, &refusal["details"]["causes"][0]["field"]), (422, &json!("metadata.deletionTimestamp")));
    let (_, marked) = send(&server, "DELETE", &uri, Value::Null).await;
    let mut put = marked.clone();
    put["metadata"]["creationTimestamp"] = time.into();
    put["metadata"]["deletionTimestamp"] = time.into();
    assert_eq!(send(&server, "PUT", &uri, put.clone()).await, (200, marked));
    put["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    let (code, refusal) = send(&server, "PUT", &uri, put).await;
    let field = json!("metadata.deletionGracePeriodSeconds");
    assert_eq!((code, &refusal["details"]["causes"][0]["field"]), (422, &field));
}

#[tokio::test(start_paused = true)]
async fn propagation_sets_the_finalizer_that_the_garbage_collector_looks_for() {
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let server = server();
        send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
        let options = json!({ "propagationPolicy": policy });
        let (_, marked) = send(&server, "DELETE", &format!("{CONFIG_MAPS}/a"), options).await;
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
}

/// As a real one: options in the body and in the query are not mixed.
#[tokio::test(start_paused = true)]
async fn the_options_of_a_deletion_are_read_from_the_query_only_if_there_is_no_body() {
    let server = server();
    send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    let uri = format!("{CONFIG_MAPS}/a");
    let dry = format!("{uri}?dryRun=All");
    assert_eq!(send(&server, "DELETE", &dry, Value::Null).await.0, 200);
    let (_, marked) = send(&server, "DELETE", &format!("{uri}?orphanDependents=true"), Value::Null).await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]), "{marked}");
    assert_eq!(send(&server, "DELETE", &format!("{uri}?uid=x"), Value::Null).await.0, 409);
    send(&server, "POST", CONFIG_MAPS, config_map("b")).await;
    let options = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
    let uri = format!("{CONFIG_MAPS}/b?dryRun=All&propagationPolicy=Orphan");
    let (code, gone) = send(&server, "DELETE", &uri, options).await;
    assert_eq!((code, &gone["kind"]), (200, &json!("Status")), "{gone}");
    assert_eq!(send(&server, "GET", &format!("{CONFIG_MAPS}/b"), Value::Null).await.0, 404);
    send(&server, "POST", CONFIG_MAPS, config_map("c")).await;
    let options = json!({ "dryRun": ["All"] });
    send(&server, "DELETE", &format!("{CONFIG_MAPS}?dryRun="), options).await;
    assert_eq!(send(&server, "GET", &format!("{CONFIG_MAPS}/c"), Value::Null).await.0, 200);
}

/// For the sake of old clients; kubectl always says what is to become of the pods.
#[tokio::test(start_paused = true)]
async fn the_pods_of_a_job_stay_unless_it_is_said_what_becomes_of_them() {
    let server = server();
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let mut template = pod("x");
    template["spec"]["restartPolicy"] = "Never".into();
    let job =
        |name: &str| json!({ "metadata": { "name": name }, "spec": { "template": { "spec": template["spec"] } } });
    for name in ["a", "b", "c"] {
        assert_eq!(send(&server, "POST", jobs, job(name)).await.0, 201);
    }
    let request = http::Request::delete(format!("{jobs}/a")).body(Full::<Bytes>::default()).unwrap();
    let response = server.as_user(User::administrator()).oneshot(request).await.unwrap();
    let warning = response.headers()["warning"].to_str().unwrap();
    assert!(warning.contains("child pods are preserved by default when jobs are deleted"), "{warning}");
    let job = server.get("jobs.batch", "default", "a").unwrap();
    assert_eq!(job["metadata"]["finalizers"], json!(["orphan"]));
    let options = json!({ "propagationPolicy": "Background" });
    let (_, gone) = send(&server, "DELETE", &format!("{jobs}/b"), options).await;
    assert_eq!(gone["kind"], "Status");
    // Those of a namespace that ends go.
    send(&server, "POST", "/api/v1/namespaces", json!({ "metadata": { "name": "n" } })).await;
    let (_, job) = send(&server, "GET", &format!("{jobs}/c"), Value::Null).await;
    let job = json!({ "metadata": { "name": "c" }, "spec": { "template": job["spec"]["template"] } });
    assert_eq!(send(&server, "POST", "/apis/batch/v1/namespaces/n/jobs", job).await.0, 201);
    send(&server, "DELETE", "/api/v1/namespaces/n", Value::Null).await;
    assert!(server.get("jobs.batch", "n", "c").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_has_preconditions() {
    let server = server();
    let (_, made) = send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    let uri = format!("{CONFIG_MAPS}/a");
    for preconditions in [json!({ "uid": "x" }), json!({ "resourceVersion": "1" })] {
        let (code, refusal) = send(&server, "DELETE", &uri, json!({ "preconditions": preconditions })).await;
        assert_eq!((code, &refusal["details"]["kind"]), (409, &json!("ConfigMap")));
    }
    let preconditions = json!({ "preconditions": { "uid": made["metadata"]["uid"] } });
    let (code, gone) = send(&server, "DELETE", &uri, preconditions).await;
    assert_eq!((code, &gone["details"]["uid"]), (200, &made["metadata"]["uid"]));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_objects_with_it_and_waits_for_the_last() {
    let server = server();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "n" } });
    send(&server, "POST", "/api/v1/namespaces", namespace).await;
    let maps = "/api/v1/namespaces/n/configmaps";
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    send(&server, "POST", maps, held).await;
    send(&server, "POST", maps, config_map("free")).await;
    let (code, ending) = send(&server, "DELETE", "/api/v1/namespaces/n", Value::Null).await;
    assert_eq!((code, &ending["status"]["phase"]), (200, &json!("Terminating")));
    let (_, left) = send(&server, "GET", maps, Value::Null).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    let (code, refusal) = send(&server, "POST", maps, config_map("new")).await;
    assert_eq!((code, &refusal["details"]["causes"][0]["reason"]), (403, &json!("NamespaceTerminating")));
    server.edit("configmaps", "n", "held", |map| map["metadata"]["finalizers"] = json!([])).unwrap();
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/n", Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_none() {
    let server = server();
    let user = User::administrator();
    let (code, refusal) = send_as(&server, user.clone(), "POST", CONFIG_MAPS, "text/plain", config_map("a")).await;
    assert_eq!((code, &refusal["reason"]), (415, &json!("UnsupportedMediaType")));
    let (code, refusal) = send_as(&server, user, "POST", CONFIG_MAPS, "application/json", Value::Null).await;
    assert_eq!(code, 400);
    assert_eq!(
        refusal["message"],
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: \
         unexpected end of JSON input (<empty>)"
    );
    let mut large = config_map("a");
    large["data"]["a"] = "x".repeat(3_200_000).into();
    let (code, refusal) = send(&server, "POST", CONFIG_MAPS, large).await;
    assert_eq!((code, &refusal["message"]), (413, &json!("Request entity too large: limit is 3145728")));
}
