//! The contract: OpenAPI 3.1, made from the code. `careen openapi` prints it, `/openapi.json` serves it, and
//! `openapi/openapi.json` in the repository is held to it by a test.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{examples, problem::ProblemBody, reason::Reason, resources::resources, schema};
use crate::{auth::Operation, error::Error};

/// What is said of the service as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Careen",
        description = "Takes nodes of a Kubernetes / KubeVirt cluster out of service and puts them back, without losing a \
                       virtual machine.\n\n\
                       Send a Kubernetes bearer token; what you may do is what Kubernetes' RBAC says. Every answer that is \
                       no success is `application/problem+json`, and its `reason` is for programs. Lists come in pages \
                       (`limit`, `continue`). Reads have an `ETag`. Times are RFC 3339 in UTC, durations are written as \
                       Kubernetes does (`30s`).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemBody)),
    security(("bearerToken" = [])),
    tags(
        (name = "nodes", description = "Nodes and what is on them"),
        (name = "maintenances", description = "Nodes out of service, and back"),
        (name = "drains", description = "Nodes emptied, and nothing more"),
        (name = "events", description = "What happens, as it happens"),
        (name = "virtual machines", description = "VMs, and their live migrations"),
    ),
)]
struct Base;

/// The contract.
pub(crate) fn contract() -> Value {
    let (_, openapi) = resources().split_for_parts();
    contract_of(openapi)
}

/// The contract that goes with the routes.
pub(super) fn contract_of(routes: utoipa::openapi::OpenApi) -> Value {
    let mut openapi = Base::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut openapi.info.version);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token that Kubernetes knows, such as one from `kubectl create token`"))
        .build();
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("bearerToken", SecurityScheme::Http(bearer));
    openapi.merge(routes);
    // Maps of strings: this does not fail.
    let mut contract = serde_json::to_value(openapi).unwrap_or_default();
    schema::unpack(&mut contract);
    let components = &mut contract["components"];
    components["examples"] = Value::Object(examples::components(&components["schemas"]));
    if let Some(paths) = contract["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                add_problems(path, method, operation);
                add_permissions(path, method, operation);
                examples::add_to(operation);
            }
        }
    }
    contract
}

/// What the operation needs, at the end of its description.
fn add_permissions(path: &str, method: &str, operation: &mut Value) {
    let Some(known) = method.to_uppercase().parse().ok().and_then(|method| Operation::find(&method, path)) else {
        return;
    };
    let mut sentence = format!("Permissions: {}", known.needs_in_words());
    let also = known.also_in_words();
    if !also.is_empty() {
        sentence = format!("{sentence}; {also}");
    }
    let before = operation["description"].as_str().unwrap_or_default();
    operation["description"] = Value::from(format!("{before}\n\n{sentence}.").trim().to_owned());
}

/// The failures that the frame and the extractors answer with, whatever the operation.
fn add_problems(path: &str, method: &str, operation: &mut Value) {
    let mut reasons = vec![
        Reason::BAD_REQUEST,
        Reason::UNAUTHORIZED,
        Reason::FORBIDDEN,
        Reason::TOO_MANY_REQUESTS,
        Reason::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Reason::INTERNAL_ERROR,
        Reason::SERVICE_UNAVAILABLE,
        Reason::TIMEOUT,
    ];
    // What a change is about is named in the path or in the body.
    if path.contains('{') || method != "get" {
        reasons.push(Reason::NOT_FOUND);
    }
    if method != "get" {
        // A body is refused for these even where none is expected.
        reasons.extend([Reason::REQUEST_TIMEOUT, Reason::REQUEST_ENTITY_TOO_LARGE, Reason::UNSUPPORTED_MEDIA_TYPE]);
        add_response(operation, "409", other_problem("Something that exists is in the way; `reason` says what"));
        add_response(operation, "412", other_problem("It is not as the request expects it; `reason` says what"));
        add_response(operation, "422", other_problem("A value is not allowed; `reason` and `field` say which"));
    } else if let Some(answer) = operation["responses"]["200"].as_object_mut()
        && answer["content"].get("application/json").is_some()
    {
        let tag =
            json!({ "schema": { "type": "string" }, "description": "The state that is shown, for If-None-Match" });
        answer.insert("headers".to_owned(), json!({ "ETag": tag }));
        add_response(operation, "304", json!({ "description": "It is as `If-None-Match` says" }));
    }
    for reason in reasons {
        add_response(operation, &reason.status.to_string(), problem(reason));
    }
}

fn add_response(operation: &mut Value, status: &str, response: Value) {
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.entry(status).or_insert(response);
        sort(responses);
    }
}

fn sort(responses: &mut Map<String, Value>) {
    let mut sorted: Vec<_> = std::mem::take(responses).into_iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    responses.extend(sorted);
}

fn other_problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn problem(reason: &Reason) -> Value {
    let mut response = other_problem(&format!("{} (`{}`)", reason.title, reason.name));
    let header = match reason.status {
        401 => Some(("WWW-Authenticate", "How to say who calls")),
        429 | 503 => Some(("Retry-After", "Seconds to wait")),
        _ => None,
    };
    if let Some((name, description)) = header {
        response["headers"] = json!({ name: { "schema": { "type": "string" }, "description": description } });
    }
    response
}

/// The contract as text, the same each time.
pub(crate) fn text() -> String {
    // A tree of strings and numbers: this does not fail.
    let text = serde_json::to_string_pretty(&contract()).unwrap_or_default();
    format!("{text}\n")
}

/// `careen openapi`: prints the contract.
pub(crate) fn print() -> Result<(), Error> {
    match io::stdout().write_all(text().as_bytes()) {
        // `careen openapi | head`: who reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}
