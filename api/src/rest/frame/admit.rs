//! The doorkeeper: who calls, how often, and whether they may. It runs before the handler, so none can forget it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Account, Frame};
use crate::{
    auth::{Caller, Operation},
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
        // What is not in the table is open to nobody, whatever routes there are.
        let operation = Operation::find(account.method(), route).ok_or_else(|| not_taken(account, route))?;
        account.set_operation(operation);
        let caller = self.caller(account, headers).await?;
        self.0.auth.demand(&caller, &operation.rights(parameters), operation.is_read()).await
    }

    /// Who calls, unless too often. What they may do is asked by whoever knows what they want.
    pub(crate) async fn caller(&self, account: &Account, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let caller = self.0.auth.caller(headers).await?;
        account.set_caller(caller.clone());
        self.count(&caller)?;
        Ok(caller)
    }

    /// Counts a request of that caller; refuses it if they send too many.
    pub(crate) fn count(&self, caller: &Caller) -> Result<(), Problem> {
        self.0.rates.take(&caller.user).map_err(|wait| {
            let sentence = format!("{:?} sends more requests than one caller may", caller.user);
            Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(wait)
        })
    }

    /// Whether who calls with that header is still known.
    pub(crate) async fn still_knows(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.0.auth.caller(headers).await.map(drop)
    }
}

fn not_taken(account: &Account, route: &str) -> Problem {
    let (method, path) = (account.method(), account.path());
    let problem = Problem::new(Reason::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"));
    problem.header("allow", Operation::methods(route).join(", "))
}
