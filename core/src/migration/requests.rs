//! The calls to KubeVirt's API. Each ends within [`REQUEST_TIMEOUT`]; repeating one is harmless.

use std::future::Future;

use http::{Request as HttpRequest, header};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams, Preconditions},
    core::GroupVersionKind,
};
use serde_json::json;

use super::answer::{Outcome, Request, RequestError};
use crate::{
    answer::REQUEST_TIMEOUT,
    model::{NodeName, ObjectKey, Uid, virtual_machine::VirtualMachineInstance},
    names::{ACTOR_LABEL, FIELD_MANAGER, REQUESTED_BY_ANNOTATION},
};

const MIGRATION: &str = "VirtualMachineInstanceMigration";
const INSTANCE: &str = "VirtualMachineInstance";

/// Whose migration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// An actor's (the UID of a maintenance, the id of a drain), which takes it back when it is stopped.
    Actor {
        /// Who acts.
        uid: &'a Uid,
        /// Name of the migration: when an answer is lost, a repeat makes no second one.
        name: &'a str,
    },
    /// Somebody's who asked for it, as far as it is known whose; the API server names it. It belongs to no maintenance
    /// and no drain: nobody but a person cancels it.
    Person(Option<&'a str>),
}

/// Asks KubeVirt to migrate a VM to another node. Gives the migration that was made; `Err` within `Ok`: none was, and
/// nothing is left to do about it.
///
/// The migration has no priority: KubeVirt lets only its own controller set one.
pub async fn create_migration(
    client: &Client,
    vmi: &ObjectKey,
    requester: Requester<'_>,
) -> Result<Result<ObjectKey, Outcome>, RequestError> {
    let request = Request {
        action: format!("migrate VirtualMachineInstance {vmi}"),
        rights: "create virtualmachineinstancemigrations (apiGroup kubevirt.io)",
        needs: "it does not serve VirtualMachineInstanceMigrations of kubevirt.io/v1",
    };
    let metadata = match requester {
        Requester::Actor { uid, name } => {
            json!({"namespace": vmi.namespace, "name": name, "labels": {ACTOR_LABEL: uid}})
        }
        Requester::Person(who) => {
            let annotations = who.map(|who| json!({ REQUESTED_BY_ANNOTATION: who }));
            json!({"namespace": vmi.namespace, "generateName": "careen-", "annotations": annotations})
        }
    };
    let body = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": MIGRATION,
        "metadata": metadata,
        "spec": {"vmiName": vmi.name},
    });
    let migrations = api(client, MIGRATION, &vmi.namespace);
    let mut made = None;
    let outcome = send(request, async {
        let migration: DynamicObject = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        made = migrations.create(&params, &migration).await?.metadata.name;
        Ok(())
    })
    .await?;
    Ok(made.map(|name| ObjectKey::new(&vmi.namespace, name)).ok_or(outcome))
}

/// Deletes a migration, which aborts it if it is not over. One that evacuates a node is followed by another as long
/// as the VM is marked: [`cancel_evacuation`] first.
pub async fn delete_migration(client: &Client, key: &ObjectKey, uid: &Uid) -> Result<Outcome, RequestError> {
    let request = Request {
        action: format!("delete VirtualMachineInstanceMigration {key}"),
        rights: "delete virtualmachineinstancemigrations (apiGroup kubevirt.io)",
        needs: "it does not serve VirtualMachineInstanceMigrations of kubevirt.io/v1",
    };
    delete(request, api(client, MIGRATION, &key.namespace), key, uid).await
}

/// Deletes a VMI: the VM is shut down with its own grace. A VM of run strategy `Always` starts again elsewhere.
pub async fn delete_instance(client: &Client, key: &ObjectKey, uid: &Uid) -> Result<Outcome, RequestError> {
    let request = Request {
        action: format!("delete VirtualMachineInstance {key}"),
        rights: "delete virtualmachineinstances (apiGroup kubevirt.io)",
        needs: "it does not serve VirtualMachineInstances of kubevirt.io/v1",
    };
    delete(request, api(client, INSTANCE, &key.namespace), key, uid).await
}

/// Takes back KubeVirt's mark that a VM has to leave that node. It does not end a migration that has begun. A VM that
/// is not marked is `Done`.
///
/// There is no other way: a patch of the mark is answered 200 and silently undone by KubeVirt's webhook.
pub async fn cancel_evacuation(client: &Client, vmi: &ObjectKey, node: &NodeName) -> Result<Outcome, RequestError> {
    let request = Request {
        action: format!("take back the evacuation of VirtualMachineInstance {vmi} from node {node}"),
        // The API server asks for the first, virt-api for the second.
        rights: "update virtualmachineinstances/evacuate and virtualmachineinstances/evacuate/cancel (apiGroup subresources.kubevirt.io)",
        needs: "that takes KubeVirt 1.8 or later, so the VM will still be migrated",
    };
    let path = format!(
        "/apis/subresources.kubevirt.io/v1/namespaces/{}/virtualmachineinstances/{}/evacuate/cancel",
        vmi.namespace, vmi.name
    );
    let body = json!({"evacuationNodeName": node}).to_string().into_bytes();
    send(request, async {
        let http_request = HttpRequest::put(path)
            // virt-api answers 406 to `application/json` alone.
            .header(header::ACCEPT, "*/*")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(kube::Error::HttpError)?;
        client.request_text(http_request).await.map(drop)
    })
    .await
}

/// Reads a VMI as it is now; `None` if there is none.
pub async fn get_instance(client: &Client, key: &ObjectKey) -> Result<Option<VirtualMachineInstance>, kube::Error> {
    let api = api(client, INSTANCE, &key.namespace);
    let late = |_| kube::Error::Service(format!("no answer in {} s", REQUEST_TIMEOUT.as_secs()).into());
    let found = tokio::time::timeout(REQUEST_TIMEOUT, api.get_opt(&key.name)).await.map_err(late)??;
    Ok(found.map(VirtualMachineInstance::from))
}

fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("kubevirt.io", "v1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

async fn delete(
    request: Request,
    objects: Api<DynamicObject>,
    key: &ObjectKey,
    uid: &Uid,
) -> Result<Outcome, RequestError> {
    let preconditions = Preconditions { uid: Some(uid.0.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    send(request, async { objects.delete(&key.name, &params).await.map(drop) }).await
}

async fn send(request: Request, call: impl Future<Output = Result<(), kube::Error>>) -> Result<Outcome, RequestError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, call).await {
        Ok(answer) => request.understand(answer),
        Err(_) => Err(request.try_again(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Response, StatusCode};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    type Seen = Arc<Mutex<Vec<(String, String, Value)>>>;

    /// A client whose every request is answered so; what it asked (method and path, `Accept`, body) is kept.
    fn server(status: u16, answer: &'static str) -> (Client, Seen) {
        let seen = Seen::default();
        let keep = Arc::clone(&seen);
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let keep = Arc::clone(&keep);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let accept = parts.headers.get(header::ACCEPT).map_or("", |value| value.to_str().unwrap()).to_owned();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                keep.lock().unwrap().push((format!("{} {}", parts.method, parts.uri), accept, body));
                let status = StatusCode::from_u16(status).unwrap();
                Response::builder().status(status).body(Body::from(answer.as_bytes().to_vec()))
            }
        });
        (Client::new(service, "default"), seen)
    }

    fn db() -> ObjectKey {
        ObjectKey::new("shop", "db")
    }

    #[tokio::test]
    async fn an_evacuation_is_cancelled_as_virt_api_wants_it() {
        let (client, seen) = server(200, "");
        let node = "node02".parse().unwrap();
        assert_eq!(cancel_evacuation(&client, &db(), &node).await, Ok(Outcome::Done));
        let path = "PUT /apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/db/evacuate/cancel";
        let expected = (path.to_owned(), "*/*".to_owned(), json!({"evacuationNodeName": "node02"}));
        assert_eq!(*seen.lock().unwrap(), [expected]);
    }

    #[tokio::test]
    async fn an_older_kubevirt_cannot_cancel() {
        let (client, _) = server(404, "404: Page Not Found");
        let error = cancel_evacuation(&client, &db(), &"node02".parse().unwrap()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the cluster cannot take back the evacuation of VirtualMachineInstance shop/db from node node02: \
             that takes KubeVirt 1.8 or later, so the VM will still be migrated (404: Page Not Found)"
        );
    }

    #[tokio::test]
    async fn a_migration_carries_its_actor_and_no_priority() {
        let (client, seen) = server(
            201,
            r#"{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration", "metadata": {"name": "careen-1"}}"#,
        );
        let requester = Requester::Actor { uid: &"uid-1".into(), name: "careen-1" };
        let made = create_migration(&client, &db(), requester).await;
        assert_eq!(made, Ok(Ok(ObjectKey::new("shop", "careen-1"))));
        let (path, _, body) = seen.lock().unwrap().remove(0);
        assert!(
            path.starts_with("POST /apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstancemigrations?"),
            "{path}"
        );
        assert_eq!(body["metadata"]["name"], "careen-1");
        assert_eq!(body["metadata"]["labels"], json!({"careen.dev/actor": "uid-1"}));
        assert_eq!(body["spec"], json!({"vmiName": "db"}));
    }

    #[tokio::test]
    async fn a_vmi_is_deleted_by_uid_and_with_its_own_grace() {
        let (client, seen) = server(200, r#"{"kind": "Status", "status": "Success"}"#);
        assert_eq!(delete_instance(&client, &db(), &"uid-1".into()).await, Ok(Outcome::Done));
        let (path, _, body) = seen.lock().unwrap().remove(0);
        assert!(path.starts_with("DELETE /apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances/db"), "{path}");
        assert_eq!(body, json!({"preconditions": {"uid": "uid-1"}}));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_for_ever() {
        let silent =
            tower::service_fn(|_: HttpRequest<Body>| std::future::pending::<Result<Response<Body>, http::Error>>());
        let client = Client::new(silent, "default");
        let error = delete_migration(&client, &ObjectKey::new("shop", "m1"), &"uid-1".into()).await.unwrap_err();
        assert!(error.is_worth_repeating());
        assert_eq!(
            error.to_string(),
            "could not delete VirtualMachineInstanceMigration shop/m1 yet: no answer within 12 s"
        );
    }
}
