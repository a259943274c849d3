//! Validating admission webhooks, for evictions and for new objects. They are functions of this process: a test or an actor registers one under
//! the name of the service (`kubevirt/virt-api`) or the URL that the `ValidatingWebhookConfiguration` names.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kube_cel::{
    KubeCelExt,
    cel::{Context, Program, Value as CelValue, to_value},
};
use serde_json::{Value, json};

use super::{
    history::Key,
    refusal::Refusal,
    server::ApiServer,
    write::{Write, body},
};
use crate::selector::LabelSelector;

const CONFIGURATIONS: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

/// Takes an `AdmissionReview` with a request and gives one with a response.
pub type Handler = Arc<dyn Fn(Value) -> BoxFuture<'static, Value> + Send + Sync>;

/// The webhooks that can be called.
#[derive(Default)]
pub(super) struct Webhooks {
    handlers: BTreeMap<String, Handler>,
    /// Why they cannot be reached.
    down: BTreeMap<String, String>,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Webhooks {
    pub(super) fn is_down(&self, name: &str) -> bool {
        self.down.contains_key(name)
    }

    /// Whom to call, or why they cannot be reached. Of a webhook that is not in this process nobody knows what it would say,
    /// nor whether it would be reached: not even one that may fail is passed over.
    fn handler(&self, call: &Call) -> Result<Result<Handler, String>, Refusal> {
        if let Some(why) = self.down.get(&call.target) {
            return Ok(Err(format!("dial tcp {}: {why}", call.address)));
        }
        let handler = self.handlers.get(&call.target).cloned();
        let unknown = || {
            Refusal::not_implemented(format_args!(
                "calling webhooks over the network ({:?} at {})",
                call.name, call.url
            ))
        };
        handler.ok_or_else(unknown).map(Ok)
    }
}

impl ApiServer {
    /// Calls that handler for webhooks of the service `namespace/name`, or of the URL.
    pub fn register_webhook(&self, name: impl Into<String>, handler: Handler) {
        self.webhooks().handlers.insert(name.into(), handler);
    }

    /// From now on that service or URL refuses connections, also if it serves a part of the API.
    pub fn set_webhook_down(&self, name: impl Into<String>) {
        self.webhooks().down.insert(name.into(), "connect: connection refused".into());
    }

    /// It answers again.
    pub fn set_webhook_up(&self, name: &str) {
        self.webhooks().down.remove(name);
    }
}

/// What webhooks are asked about.
pub(super) struct Review<'a> {
    pub(super) operation: &'static str,
    pub(super) subresource: &'static str,
    pub(super) kind: Value,
    pub(super) object: &'a Value,
    pub(super) is_dry_run: bool,
}

/// One webhook that is to be called.
struct Call {
    name: String,
    /// Service or URL, as handlers are registered.
    target: String,
    /// As errors name it.
    url: String,
    /// `127.0.0.1:443`
    address: String,
    timeout: Duration,
    is_ignored_when_failing: bool,
}

/// Asks all webhooks that want to be; gives their warnings.
pub(super) async fn ask(server: &ApiServer, write: &Write<'_>, review: &Review<'_>) -> Result<Vec<String>, Refusal> {
    let mut request = request(write, review);
    let calls = calls(server, write, review, &request)?;
    if !calls.is_empty() {
        request["uid"] = server.store().passing_uid().into();
    }
    let mut warnings = Vec::new();
    for call in calls {
        let body = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request });
        let handler = server.webhooks().handler(&call)?;
        match dispatch(handler, &call, body).await {
            Ok(response) => {
                let told = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
                warnings.extend(told.map(ToOwned::to_owned));
                if response["allowed"] != true {
                    return Err(denied(&call.name, &response["status"]));
                }
            }
            Err(why) if call.is_ignored_when_failing => tracing::warn!(webhook = call.name, why, "failing open"),
            Err(why) => {
                let why = format!(
                    "failed calling webhook {:?}: failed to call webhook: Post {:?}: {why}",
                    call.name, call.url
                );
                return Err(Refusal::internal(&why));
            }
        }
    }
    Ok(warnings)
}

/// Asks about a new object, as it was sent: defaults and generated names are not in it yet.
pub(super) async fn ask_about_new(server: &ApiServer, write: &Write<'_>) -> Result<Vec<String>, Refusal> {
    let is_asked = server.store().all(CONFIGURATIONS, "").next().is_some();
    let object = if is_asked { body::object(write.request, write.resource, &server.store().kinds).ok() } else { None };
    // What cannot be read is refused later, and for that.
    let Some(mut object) = object else { return Ok(Vec::new()) };
    if write.resource.is_namespaced() {
        object["metadata"]["namespace"] = write.target.namespace.as_str().into();
    }
    let kind = json!({
        "group": write.resource.group, "version": write.resource.version, "kind": write.resource.kind,
    });
    let is_dry_run = write.request.query.is_dry_run("CreateOptions")?;
    let review = Review { operation: "CREATE", subresource: "", kind, object: &object, is_dry_run };
    ask(server, write, &review).await
}

/// What a client is told whose webhooks want to be asked more than they will be.
pub(super) fn warning(configuration: &Value) -> Option<String> {
    let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
    let rules = webhooks.filter_map(|webhook| webhook["rules"].as_array()).flatten();
    let is_never_asked = |rule: &Value| {
        let below = rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_about_evictions = below.into_iter().all(|resource| resource == "pods/eviction");
        let operations = rule["operations"].as_array().into_iter().flatten();
        !is_about_evictions && operations.into_iter().any(|operation| operation != "CREATE")
    };
    rules.into_iter().any(is_never_asked).then(|| {
        "careen-sim asks webhooks about evictions and new objects only, not about changes and deletions".to_owned()
    })
}

fn request(write: &Write, review: &Review) -> Value {
    let resource = json!({
        "group": write.resource.group, "version": write.resource.version, "resource": write.resource.plural,
    });
    json!({
        "uid": "", "kind": review.kind, "resource": resource, "subResource": review.subresource,
        "requestKind": review.kind, "requestResource": resource, "requestSubResource": review.subresource,
        "name": review.object["metadata"]["name"], "namespace": write.target.namespace, "operation": review.operation,
        "userInfo": write.request.user.to_json(), "object": review.object, "oldObject": null,
        "dryRun": review.is_dry_run,
        "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
    })
}

fn calls(server: &ApiServer, write: &Write, review: &Review, request: &Value) -> Result<Vec<Call>, Refusal> {
    let store = server.store();
    let namespace = store.get("namespaces", &Key(String::new(), write.target.namespace.clone())).cloned();
    let namespace_labels = namespace.as_ref().map(|namespace| namespace["metadata"]["labels"].clone());
    let configurations = store.all(CONFIGURATIONS, "");
    let mut calls = Vec::new();
    for webhook in configurations.filter_map(|(_, configuration)| configuration["webhooks"].as_array()).flatten() {
        let rules = webhook["rules"].as_array().into_iter().flatten();
        let is_wanted = rules.into_iter().any(|rule| rule_matches(rule, write, review))
            && (!write.resource.is_namespaced()
                || selects(&webhook["namespaceSelector"], &namespace_labels.clone().unwrap_or_default()))
            && selects(&webhook["objectSelector"], &review.object["metadata"]["labels"]);
        if is_wanted && conditions_match(webhook, write, review, request)? {
            calls.push(Call::of(webhook));
        }
    }
    Ok(calls)
}

fn has(list: &Value, wanted: &[&str]) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| wanted.iter().any(|wanted| entry == wanted)))
}

fn rule_matches(rule: &Value, write: &Write, review: &Review) -> bool {
    let plural = &write.resource.plural;
    let wanted = match review.subresource {
        "" => ["*/*".to_owned(), "*".to_owned(), plural.to_string(), format!("{plural}/*")],
        below => ["*/*".to_owned(), format!("*/{below}"), format!("{plural}/{below}"), format!("{plural}/*")],
    };
    let scope = rule["scope"].as_str().unwrap_or("*");
    has(&rule["operations"], &["*", review.operation])
        && has(&rule["apiGroups"], &["*", &write.resource.group])
        && has(&rule["apiVersions"], &["*", &write.resource.version])
        && has(&rule["resources"], &wanted.each_ref().map(String::as_str))
        && (scope == "*" || (scope == "Namespaced") == write.resource.is_namespaced())
}

fn selects(selector: &Value, labels: &Value) -> bool {
    selector.is_null() || LabelSelector::from_json(selector).is_ok_and(|selector| selector.matches(labels))
}

/// Whether all `matchConditions` hold. Because of one that cannot be computed the request is forbidden, unless the webhook
/// may fail.
fn conditions_match(webhook: &Value, write: &Write, review: &Review, request: &Value) -> Result<bool, Refusal> {
    let conditions = webhook["matchConditions"].as_array().cloned().unwrap_or_default();
    let mut error = None;
    for condition in &conditions {
        let expression = condition["expression"].as_str().unwrap_or_default();
        match holds(expression, review.object, request) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => error = Some(format!("expression '{expression}' resulted in error: {why}")),
        }
    }
    match error {
        None => Ok(true),
        Some(_) if webhook["failurePolicy"] == "Ignore" => Ok(false),
        Some(why) => {
            let name = review.object["metadata"]["name"].as_str().unwrap_or_default();
            Err(Refusal::forbidden(write.resource, name, &why))
        }
    }
}

fn holds(expression: &str, object: &Value, request: &Value) -> Result<bool, String> {
    let program = Program::compile(expression).map_err(|error| error.to_string())?;
    let mut context = Context::default().with_all();
    for (name, value) in [("object", object), ("oldObject", &Value::Null), ("request", request)] {
        let value = to_value(value).map_err(|error| error.to_string())?;
        context.add_variable_from_value(name, value);
    }
    match program.execute(&context) {
        Ok(CelValue::Bool(holds)) => Ok(holds),
        Ok(_) => Err("not a bool".into()),
        Err(error) => Err(error.to_string()),
    }
}

impl Call {
    fn of(webhook: &Value) -> Self {
        let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
        let client = &webhook["clientConfig"];
        let (target, url) = if let Some(url) = client["url"].as_str() {
            (url.to_owned(), url.to_owned())
        } else {
            let service = &client["service"];
            let text = |field: &str| service[field].as_str().unwrap_or_default();
            let port = service["port"].as_u64().unwrap_or(443);
            let (name, namespace, path) = (text("name"), text("namespace"), text("path"));
            (format!("{namespace}/{name}"), format!("https://{name}.{namespace}.svc:{port}{path}"))
        };
        let address = url.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
        Self {
            name: webhook["name"].as_str().unwrap_or_default().to_owned(),
            target,
            url: format!("{url}?timeout={seconds}s"),
            address,
            timeout: Duration::from_secs(seconds),
            is_ignored_when_failing: webhook["failurePolicy"] == "Ignore",
        }
    }
}

/// The response, or why there is none.
async fn dispatch(handler: Result<Handler, String>, call: &Call, review: Value) -> Result<Value, String> {
    let review = tokio::time::timeout(call.timeout, handler?(review)).await;
    let review = review.map_err(|_| "context deadline exceeded".to_owned())?;
    Ok(review["response"].clone())
}

/// As the API server passes a denial on: one without a code is a bad request.
pub(super) fn denied(webhook: &str, status: &Value) -> Refusal {
    let denied = format!("admission webhook {webhook:?} denied the request");
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let mut refusal = Refusal::new(code.unwrap_or(400), "", message);
    refusal.reason = text("reason").to_owned().into();
    refusal.details = status["details"].as_object().cloned().unwrap_or_default();
    refusal
}
