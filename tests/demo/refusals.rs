//! What cannot be done is refused as a real API server refuses it, and what only a real one can do says so.

use careen_tests::demo::Demo;
use serde_json::json;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub async fn what_is_wrong_is_refused_and_named(demo: &Demo) {
    let of_kind =
        |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
    let raw = format!("create --raw {CONFIG_MAPS} -f -");
    let large = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"a": "x".repeat(10_000_000)},
    });
    for (arguments, sent, expected) in [
        ("create -f -", of_kind("v1", "Boat").to_string(), "no matches for kind \"Boat\" in version \"v1\""),
        (
            "create -f -",
            of_kind("apps/v1beta1", "Deployment").to_string(),
            "no matches for kind \"Deployment\" in version \"apps/v1beta1\"",
        ),
        (
            &raw,
            "{\"apiVersion\": ".to_owned(),
            "couldn't get version/kind; json parse error: unexpected end of JSON input",
        ),
        (&raw, "[]".to_owned(), "json: cannot unmarshal array into Go value"),
        (&raw, of_kind("v2", "ConfigMap").to_string(), "no kind \"ConfigMap\" is registered for version \"v2\""),
        (&raw, of_kind("v1", "Pod").to_string(), "Pod in version \"v1\" cannot be handled as a ConfigMap"),
        ("create -f -", of_kind("v1", "Pod").to_string(), "spec.containers: Required value"),
        ("create -f -", large.to_string(), "Request entity too large: limit is 3145728"),
        (
            "create -f -",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "A_b"}}).to_string(),
            "metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            "create -f - --validate=false",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": [1]}).to_string(),
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
    ] {
        let said = demo.kubectl(arguments, &sent).await.refused();
        let short: String = sent.chars().take(200).collect();
        assert!(said.contains(expected), "{arguments} {short}: {said}");
    }
    let said = demo.refuses("get boats").await;
    assert!(said.contains("the server doesn't have a resource type \"boats\""), "{said}");
    for (path, code) in [("/apis/policy/v1beta1/poddisruptionbudgets", "NotFound"), ("/api/v1/boats", "NotFound")] {
        let said = demo.refuses(&format!("get --raw {path}")).await;
        assert!(said.contains(code), "{path}: {said}");
    }
}

pub async fn what_is_not_implemented_says_so(demo: &Demo) {
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}).to_string();
    for (arguments, what) in [
        ("logs registry-node02 -n kube-system", "get of pods/log"),
        ("exec registry-node02 -n kube-system -- true", "of pods/exec"),
        ("get --raw /apis/networking.k8s.io/v1/ingresses", "ingresses.networking.k8s.io"),
        ("apply --server-side -f -", "server-side apply; use kubectl apply without --server-side"),
        ("get nodes --as=alice", "impersonation"),
        ("auth can-i create pods --as=alice", "impersonation"),
    ] {
        let said = demo.kubectl(arguments, &manifest).await.refused();
        let sentence = "careen-sim, the API server in memory, does not implement";
        assert!(said.contains(sentence) && said.contains(what), "kubectl {arguments}: {said}");
    }
}
