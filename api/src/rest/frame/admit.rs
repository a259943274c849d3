//! The doorkeeper: who calls, how often, and whether they may. It runs before the handler, so none can forget it.

use std::collections::BTreeMap;

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Account, Frame, Inner};
use crate::{
    auth::Operation,
    rest::{problem::Problem, reason::Reason},
};

/// Lets a request through to its handler, or answers itself.
pub(super) async fn admit(
    State(frame): State<Frame>,
    route: MatchedPath,
    parameters: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let Some(account) = request.extensions().get::<Account>().cloned() else {
        return Problem::internal("a request came to the doorkeeper past the frame").into_response();
    };
    account.set_route(route.as_str());
    let parameters: BTreeMap<String, String> = match &parameters {
        Ok(parameters) => parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Problem::bad_request("the path is no UTF-8").into_response(),
    };
    if let Some(node) = parameters.get("node") {
        account.set_node(node);
    }
    match frame.admitted(&account, request.headers(), route.as_str(), &parameters).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Frame {
    async fn admitted(
        &self,
        account: &Account,
        headers: &HeaderMap,
        route: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let Inner { auth, rates, .. } = &*self.0;
        // What is not in the table is open to nobody, whatever routes there are.
        let operation = Operation::find(account.method(), route).ok_or_else(|| not_taken(account, route))?;
        account.set_operation(operation);
        let caller = auth.caller(headers).await?;
        account.set_caller(caller.clone());
        if let Err(wait) = rates.take(&caller.user) {
            let sentence = format!("{:?} sends more requests than one caller may", caller.user);
            return Err(Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(wait));
        }
        auth.demand(&caller, &operation.rights(parameters), operation.is_read()).await
    }
}

fn not_taken(account: &Account, route: &str) -> Problem {
    let (method, path) = (account.method(), account.path());
    let problem = Problem::new(Reason::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"));
    problem.header("allow", Operation::methods(route).join(", "))
}
