//! `/graphql` over HTTP: `POST`, and `GET` for queries only.

use std::sync::Arc;

use async_graphql::{
    Response as Answer, ServerError, Value,
    dynamic::{DynamicRequestExt, FieldValue},
    parser::types::OperationType,
};
use axum::{
    Router,
    extract::{FromRequest, FromRequestParts, Request, State, WebSocketUpgrade},
    http::header,
    response::Response,
    routing::get,
};

use super::{
    GraphQl, Inner,
    document::{Asked, refused_at},
    media::Media,
    page,
    resources::Root,
    scene::{Asker, Scene},
    shown::Shown,
    socket,
};
use crate::rest::{Account, Body, Problem, Query, Reason};

/// The path.
pub(super) const PATH: &str = "/graphql";

/// The routes.
pub(super) fn routes(graphql: GraphQl) -> Router {
    Router::new().route(PATH, get(follow_or_ask).post(ask)).with_state(graphql)
}

async fn ask(State(graphql): State<GraphQl>, account: Account, request: Request) -> Result<Response, Problem> {
    account.set_route(PATH);
    let media = Media::accepted(request.headers())?;
    let answered = async {
        let caller = graphql.0.frame.caller(&account, request.headers()).await?;
        // Nobody's body is waited for whom nobody knows.
        let Body(asked) = Body::from_request(request, &()).await?;
        graphql.0.answer(asked, Asker::new(account, caller), Allowed::Everything).await
    };
    media.response(answered.await)
}

async fn follow_or_ask(
    State(graphql): State<GraphQl>,
    account: Account,
    request: Request,
) -> Result<Response, Problem> {
    account.set_route(PATH);
    let (mut parts, _) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
        let upgrade = upgrade.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        return socket::open(&graphql, account, parts.headers, upgrade);
    }
    if parts.uri.query().is_none() && page::is_wanted(&parts.headers) {
        return Ok(page::page());
    }
    let media = Media::accepted(&parts.headers)?;
    let answered = async {
        let caller = graphql.0.frame.caller(&account, &parts.headers).await?;
        let Query(asked) = Query::<InQuery>::from_request_parts(&mut parts, &()).await?;
        graphql.0.answer(asked.asked()?, Asker::new(account, caller), Allowed::Queries).await
    };
    media.response(answered.await)
}

/// A request in the query of a `GET`: what is no text is JSON.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InQuery {
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl InQuery {
    fn asked(self) -> Result<Asked, Problem> {
        let Self { query, operation_name, variables, extensions } = self;
        let json = |name: &str, text: Option<String>| {
            let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
            parsed.map_err(|error| {
                Problem::bad_request(format!("{name} in the query is no JSON object: {error}")).field(name)
            })
        };
        let (variables, extensions) = (json("variables", variables)?, json("extensions", extensions)?);
        Ok(Asked { query, operation_name, variables, extensions })
    }
}

/// What a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    Everything,
    Queries,
}

impl Inner {
    async fn answer(&self, request: Asked, asker: Arc<Asker>, allowed: Allowed) -> Result<Answer, Problem> {
        let account = asker.account.clone();
        // What cannot be read, or costs too much to be read to its end, may have been meant to change something.
        let may_be_a_change = request.query.contains("mutation");
        let checked = match request.checked(&self.built, &self.limits) {
            Ok(checked) => checked,
            Err(error) => {
                let answer = refused(vec![error]);
                if may_be_a_change {
                    tell_of_refused(&account, &answer);
                } else {
                    account.set_read();
                }
                return Ok(answer);
            }
        };
        match checked.type_ {
            // Its fields tell the audit log of what they do.
            OperationType::Mutation if allowed == Allowed::Everything => {
                // The first was counted when who calls was asked.
                (1..checked.requests).try_for_each(|_| self.frame.count(&asker.caller))?;
            }
            OperationType::Mutation => return Err(only_by_post()),
            OperationType::Query => account.set_read(),
            OperationType::Subscription => {
                account.set_read();
                let problem = Problem::bad_request("a subscription is followed over a WebSocket, not asked once");
                return Ok(refused(vec![refused_at(&problem, None)]));
            }
        }
        let root = Shown::new(Scene::now(&self.api, asker)?, Root);
        let request = checked.request.root_value(FieldValue::owned_any(root));
        let mut answer = with_codes(self.built.schema.execute(request).await);
        if checked.type_ == OperationType::Mutation && !account.has_line() {
            tell_of_refused(&account, &answer);
        }
        if checked.tells_cost {
            let cost = async_graphql::value!({ "cost": checked.cost, "limit": self.limits.cost });
            answer.extensions.insert("cost".to_owned(), cost);
        }
        Ok(answer)
    }
}

/// Tells the audit log of a mutation of which nothing ran, and why; without a reason, it asked for no change.
fn tell_of_refused(account: &Account, answer: &Answer) {
    let code = answer.errors.first().and_then(|error| error.extensions.as_ref()?.get("code"));
    let reason = match code {
        Some(Value::String(code)) => Reason::named(code),
        _ => None,
    };
    match reason {
        Some(reason) => account.refused("mutation", reason),
        None => account.set_read(),
    }
}

fn only_by_post() -> Problem {
    let sentence = "a mutation is sent with POST: a GET changes nothing";
    Problem::new(Reason::METHOD_NOT_ALLOWED, sentence).header("allow", "POST")
}

/// The answer to a request of which nothing ran.
pub(super) fn refused(errors: Vec<ServerError>) -> Answer {
    Answer::from_errors(errors)
}

/// What the library refuses, in the vocabulary too: it is what it finds wrong in a document that can be read.
pub(super) fn with_codes(mut answer: Answer) -> Answer {
    for error in &mut answer.errors {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", Reason::INVALID.name);
        }
    }
    answer
}
