//! virt-api as a client of the API server: gets what a request is about, live, decides, and writes before it answers. So
//! whoever has the answer can see what it says.

use http::{Request as HttpRequest, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    evacuate_cancel::node_concerned,
    eviction::{self, hotplug_owner, is_hotplug, review_eviction},
    migration::review_migration,
    subresources::{self, Request, subject_of},
};
use crate::actors::{
    actor::Write,
    kubevirt::{
        definitions::{NAMESPACE, SUBRESOURCES},
        launchers::vmi_name,
        names::{DOMAIN, INSTANCE, KUBEVIRT, MIGRATION, NODE, POD, VIRTUAL_MACHINE},
        object::{annotation, text},
    },
    view::{Kind, View},
};
use crate::api_server::User;

/// virt-api.
#[derive(Clone)]
pub struct VirtApi {
    client: Client,
    /// The account of those who play virt-controller.
    actors: String,
}

impl std::fmt::Debug for VirtApi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VirtApi").finish_non_exhaustive()
    }
}

impl VirtApi {
    /// That acts with this client; it may do all that virt-api may. `actors` is the account of those who play
    /// virt-controller.
    #[must_use]
    pub fn new(client: Client, actors: impl Into<String>) -> Self {
        Self { client, actors: actors.into() }
    }

    /// Answers an `AdmissionReview`, of an eviction or a new migration, with an `AdmissionReview`.
    pub async fn review(&self, review: &Value) -> Value {
        let response = match text(review, "/request/resource/resource") {
            "virtualmachineinstancemigrations" => self.review_migration(review).await,
            _ => self.review_eviction(review).await,
        };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    async fn review_eviction(&self, review: &Value) -> Value {
        let live = match self.around_the_pod(&review["request"]).await {
            Ok(live) => live,
            Err(error) => return eviction::refused(review, &format!("kubevirt failed getting the vmi: {error}")),
        };
        let judged = review_eviction(&live, review);
        match self.write_all(&judged.writes).await {
            Ok(()) => judged.response,
            Err(error) => eviction::refused(review, &format!("kubevirt failed marking the vmi for eviction: {error}")),
        }
    }

    async fn around_the_pod(&self, request: &Value) -> kube::Result<View> {
        let namespace = text(request, "/namespace");
        let mut live = View::default();
        let pod = self.look_up(&mut live, POD, namespace, text(request, "/name")).await?;
        let launcher = match pod {
            Some(pod) if is_hotplug(&pod) => self.look_up(&mut live, POD, namespace, hotplug_owner(&pod)).await?,
            pod => pod,
        };
        if let Some(domain) = launcher.as_ref().and_then(|pod| annotation(pod, DOMAIN)) {
            self.look_up(&mut live, INSTANCE, namespace, domain).await?;
            self.look_up_all(&mut live, KUBEVIRT, NAMESPACE).await?;
        }
        Ok(live)
    }

    async fn review_migration(&self, review: &Value) -> Value {
        let request = &review["request"];
        let mut live = View::default();
        let namespace = text(request, "/namespace");
        let found = async {
            self.look_up(&mut live, INSTANCE, namespace, vmi_name(&request["object"])).await?;
            self.look_up_all(&mut live, MIGRATION, namespace).await
        };
        match found.await {
            Ok(()) => review_migration(&live, &self.actors, review),
            Err(error) => super::denied(review, json!({"message": error.to_string(), "code": 400})),
        }
    }

    /// Answers a request below `/apis/subresources.kubevirt.io`. A user is asked for again: the API server has asked only
    /// for the first word of the subresource.
    pub async fn answer(&self, request: &Request, user: Option<&User>) -> Answer {
        match self.try_answer(request, user).await {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) => Answer::internal_error(&status.message),
            Err(error) => Answer::internal_error(&error.to_string()),
        }
    }

    async fn try_answer(&self, request: &Request, user: Option<&User>) -> kube::Result<Answer> {
        let mut live = View::default();
        if let Some(subject) = subject_of(&request.path) {
            if let Some(user) = user
                && !self.is_allowed(user, &subject).await?
            {
                return Ok(Answer::empty(401));
            }
            self.look_up(&mut live, VIRTUAL_MACHINE, subject.namespace, subject.name).await?;
            if let Some(vmi) = self.look_up(&mut live, INSTANCE, subject.namespace, subject.name).await? {
                self.look_up(&mut live, NODE, "", node_concerned(&vmi)).await?;
                self.look_up_all(&mut live, MIGRATION, subject.namespace).await?;
                self.look_up_all(&mut live, KUBEVIRT, NAMESPACE).await?;
            }
        }
        let answer = subresources::answer(&live, request);
        self.write_all(&answer.writes).await?;
        Ok(answer)
    }

    async fn is_allowed(&self, user: &User, subject: &subresources::Subject<'_>) -> kube::Result<bool> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {
                "user": user.name, "groups": user.groups,
                "resourceAttributes": {
                    "group": SUBRESOURCES, "version": "v1", "resource": subject.resource,
                    "subresource": subject.subresource, "namespace": subject.namespace, "name": subject.name,
                    "verb": "update",
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = self.send("POST", path, "application/json", &review).await?;
        Ok(answer["status"]["allowed"] == true)
    }

    // --- requests ---

    async fn look_up(&self, live: &mut View, kind: Kind, namespace: &str, name: &str) -> kube::Result<Option<Value>> {
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.send("GET", &format!("{}/{name}", path_of(kind, namespace)), "", &Value::Null).await;
        match found {
            Ok(found) => {
                live.put(kind, found.clone());
                Ok(Some(found))
            }
            Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND.as_u16() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look_up_all(&self, live: &mut View, kind: Kind, namespace: &str) -> kube::Result<()> {
        let list = self.send("GET", &path_of(kind, namespace), "", &Value::Null).await?;
        for found in list["items"].as_array().into_iter().flatten() {
            live.put(kind, found.clone());
        }
        Ok(())
    }

    async fn write_all(&self, writes: &[Write]) -> kube::Result<()> {
        for write in writes {
            match write {
                Write::Create { kind, object } => {
                    let path = path_of(*kind, text(object, "/metadata/namespace"));
                    self.send("POST", &path, "application/json", object).await?;
                }
                Write::Patch { kind, key: (namespace, name), patch, .. } => {
                    let path = format!("{}/{name}", path_of(*kind, namespace));
                    self.send("PATCH", &path, "application/merge-patch+json", patch).await?;
                }
                // virt-api only marks and creates.
                Write::Delete { .. } | Write::Collect { .. } | Write::Post { .. } => {}
            }
        }
        Ok(())
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> kube::Result<Value> {
        let mut request = HttpRequest::builder().method(method).uri(path);
        let mut bytes = Vec::new();
        if !body.is_null() {
            request = request.header("content-type", content_type);
            bytes = body.to_string().into_bytes();
        }
        let request = request.body(bytes).map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

fn path_of(kind: Kind, namespace: &str) -> String {
    let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
    let within = if kind.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
    format!("{root}/{}{within}/{}", kind.version, kind.plural)
}
