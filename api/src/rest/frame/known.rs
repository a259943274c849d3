//! What an operation does not know is refused, by the contract, before its handler runs: a parameter that is misspelt,
//! a body where the options are in the query. To ignore it would be to do something else than was asked for.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::rest::{extract::whole, problem::Problem};

/// What each operation takes, by its path and method. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Known(Arc<HashMap<String, HashMap<String, Takes>>>);

#[derive(Debug)]
struct Takes {
    /// The names of the parameters in the query, as the contract has them.
    parameters: Vec<String>,
    has_body: bool,
}

impl Known {
    /// Of all operations of the contract.
    pub(super) fn of(contract: &Value) -> Self {
        let paths = contract["paths"].as_object().into_iter().flatten();
        let paths = paths.map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            let methods = methods.map(|(method, operation)| (method.to_uppercase(), Takes::of(operation)));
            (path.clone(), methods.collect())
        });
        Self(Arc::new(paths.collect()))
    }

    fn takes(&self, method: &Method, path: &str) -> Option<&Takes> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(path)?.get(method.as_str())
    }
}

impl Takes {
    fn of(operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        let names = in_query.filter_map(|parameter| parameter["name"].as_str());
        Self { parameters: names.map(str::to_owned).collect(), has_body: operation["requestBody"].is_object() }
    }

    fn check_query(&self, query: &str) -> Result<(), Problem> {
        let mut sent = form_urlencoded::parse(query.as_bytes());
        let Some((name, value)) = sent.find(|(name, _)| !self.parameters.iter().any(|known| known == name)) else {
            return Ok(());
        };
        let allowed = match &*self.parameters {
            [] => "there are none here".to_owned(),
            names => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("expected one of {}", names.join(", "))
            }
        };
        Err(Problem::bad_request(format!("{name}={value} in the query: unknown field `{name}`, {allowed}")).field(name))
    }
}

/// Lets a request through that says only what its operation knows.
pub(super) async fn check(State(known): State<Known>, path: MatchedPath, request: Request, next: Next) -> Response {
    match known.checked(path.as_str(), request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Known {
    async fn checked(&self, path: &str, request: Request) -> Result<Request, Problem> {
        let Some(takes) = self.takes(request.method(), path) else { return Ok(request) };
        takes.check_query(request.uri().query().unwrap_or_default())?;
        if takes.has_body || request.body().is_end_stream() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        // Clients are made that send an object with nothing in it where there is nothing to say.
        if !matches!(whole(body).await?.trim_ascii(), b"" | b"{}") {
            let detail = format!("{} {} takes no body: options are in the query", parts.method, parts.uri.path());
            return Err(Problem::bad_request(detail));
        }
        Ok(Request::from_parts(parts, Body::empty()))
    }
}
